"""Typed columns become a matrix of numbers: fitted on the training rows only, and delivered with the model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
from scipy.special import ndtri

from tame.core.errors import DataError, UsageError, require
from tame.core.recipe import TableRecipe
from tame.data.tables import LEARNT, MISSING, UNSEEN, Column, Table

MOST_WIDTH = 4096  # columns that piecewise encodings may fill, with all others
MOST_KNOTS = 1000  # quantiles that the scaling of a column remembers
ALL_KNOTS = 1_000_000  # of all columns together, so that a wide table makes no large model
LEAST_KNOTS = 100
MOST_SPREADS = 10.0  # from the mean, where standard scaling cuts
MOST_NORMAL = 5.199337582605575  # quantile of the normal distribution at 1 - 1e-7, where quantile scaling cuts
MOST_PIECE = (-2.0, 3.0)  # of a piecewise component, below the first edge and above the last
LARGEST = 1e150  # numbers are cut here: their squares and differences are still finite
BLOCK = 16_384  # rows whose piecewise encoding is made at once
NAMED = 8  # columns that a message names before it says how many more

_NUMBERS, _CATEGORIES = ("number", "date"), ("category", "boolean")


@dataclass(frozen=True, slots=True)
class Layout:
    """What the columns of an encoded matrix are, in this order. The model is built from it.

    dense: numbers that enter as they are: scaled numbers, piecewise encodings, one-hot categories, missing marks;
    periodic: scaled numbers that the model turns into periodic embeddings; embedded: for each column of category codes
    (whole numbers, stored as floats) how many codes there are, where code 0 is missing, unseen or rare.
    """

    dense: int
    periodic: int
    embedded: tuple[int, ...]

    @property
    def width(self) -> int:
        """Columns of the matrix."""
        return self.dense + self.periodic + len(self.embedded)

    def to_json(self) -> dict[str, object]:
        return {"dense": self.dense, "periodic": self.periodic, "embedded": list(self.embedded)}

    @classmethod
    def from_json(cls, value: object) -> Layout:
        """The layout that `to_json` wrote. Raises UsageError."""
        found = _fields(value, "a layout", dense=int, periodic=int, embedded=list)
        good = found["dense"] >= 0 and found["periodic"] >= 0 and all(_is_whole(c, 2) for c in found["embedded"])
        require(good, "a layout counts its columns from 0, and at least 2 codes in each embedded column")
        return cls(found["dense"], found["periodic"], tuple(found["embedded"]))


@dataclass(frozen=True, slots=True)
class Scaling:
    """A regression target on the scale that a network learns best: apply(v) = (v - shift) / scale."""

    shift: float
    scale: float

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray | None = None) -> Scaling:
        """Mean and standard deviation of values, (N,); the scale is 1 where all are equal. Raises DataError.

        weights: (N,) above 0, where a value counts as so many.
        """
        array = np.asarray(values, np.float64)
        require(array.ndim == 1 and array.size > 0, f"need (N,) target values, got {array.shape}", error=DataError)
        if not np.isfinite(array).all():
            raise DataError(f"the target is not a finite number in row {int(np.argmin(np.isfinite(array)))}")
        if weights is None:
            mean, spread = _mean_and_spread(np.clip(array, -LARGEST, LARGEST))
            return cls(mean, spread or 1.0)
        size = float(np.abs(array).max()) or 1.0  # so that no square overflows
        middle = float(np.average(array / size, weights=weights))
        spread = math.sqrt(float(np.average((array / size - middle) ** 2, weights=weights)))
        return cls(middle * size, spread * size or 1.0)

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The scaled target, of the same shape."""
        return (values - self.shift) / self.scale

    def undo(self, values: np.ndarray) -> np.ndarray:
        """What `apply` was given, from what it returned."""
        return values * self.scale + self.shift


@dataclass(frozen=True, slots=True, eq=False)
class NumberPlan:
    """How a number or a date enters. A constant with missing values leaves only its mark.

    knots: (K, 3) of quantile scaling: each value, and the ranks (0 to 1) where it begins and ends; edges: (E,) of the
    bins of a piecewise encoding. centre: what stands for a missing value before an encoding by bins.
    """

    name: str
    kind: str
    enters: Literal["plain", "piecewise", "periodic", "mark"]
    mark: bool
    centre: float
    spread: float  # of standard scaling; 0 with quantile scaling
    knots: np.ndarray
    edges: np.ndarray

    @property
    def dense(self) -> int:
        own = {"plain": 1, "piecewise": len(self.edges), "periodic": 0, "mark": 0}[self.enters]
        return own + self.mark

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """values: (N,) cut at LARGEST, NaN where missing. Returns (N,), 0 where missing."""
        if self.spread:
            with np.errstate(over="ignore"):  # what overflows is cut
                found = np.clip((values - self.centre) / self.spread, -MOST_SPREADS, MOST_SPREADS)
        else:
            found = np.clip(ndtri(_rank(values, self.knots)), -MOST_NORMAL, MOST_NORMAL)
        return np.nan_to_num(found, copy=False, nan=0.0)

    def write(self, values: np.ndarray, dense: np.ndarray, periodic: np.ndarray) -> None:
        """Fills dense, (N, self.dense), and periodic, (N, 1) or (N, 0)."""
        values = np.clip(values, -LARGEST, LARGEST)
        missing = np.isnan(values)
        if self.enters == "periodic":
            periodic[:, 0] = self.scaled(values)
        elif self.enters != "mark":
            pieces = len(self.edges) - 1 if self.enters == "piecewise" else 0
            dense[:, pieces] = self.scaled(values)
            if pieces:
                _write_pieces(np.where(missing, self.centre, values), self.edges, dense[:, :pieces])
        if self.mark:
            dense[:, -1] = missing


@dataclass(frozen=True, slots=True, eq=False)
class CategoryPlan:
    """How a category enters: pair is one number, 0 or 1, and a half for what is neither."""

    name: str
    categories: tuple[str, ...]  # code order of one-hot columns and of embedded codes, which count from 1
    enters: Literal["pair", "one_hot", "embedded", "mark"]
    mark: bool

    @property
    def dense(self) -> int:
        own = {"pair": 1, "one_hot": len(self.categories), "embedded": 0, "mark": 0}[self.enters]
        return own + self.mark

    def write(self, codes: np.ndarray, known: Sequence[str], dense: np.ndarray, embedded: np.ndarray) -> None:
        """Fills dense, (N, self.dense), and embedded, (N, 1) or (N, 0). codes: (N,) into `known`."""
        place = {category: i for i, category in enumerate(self.categories)}
        # The last two entries are those that the codes MISSING (-1) and UNSEEN (-2) fall on.
        own = np.array([*(place.get(category, UNSEEN) for category in known), UNSEEN, MISSING], np.int64)[codes]
        if self.enters == "embedded":
            embedded[:, 0] = np.maximum(own + 1, 0)
        elif self.enters == "pair":
            dense[:, 0] = np.where(own < 0, 0.5, own)
        elif self.enters == "one_hot":
            dense[:, : len(self.categories)] = 0
            seen = np.flatnonzero(own >= 0)
            dense[seen, own[seen]] = 1
        if self.mark:
            dense[:, -1] = own == MISSING


Plan = NumberPlan | CategoryPlan


@dataclass(frozen=True, slots=True, eq=False)
class Encoder:
    """The fitted encoding of a table. notes: what was left out or reduced, in sentences."""

    layout: Layout
    notes: tuple[str, ...]
    plans: tuple[Plan, ...]

    @classmethod
    def fit(cls, table: Table, rows: np.ndarray, recipe: TableRecipe) -> Encoder:
        """The encoding that `recipe` asks for, with all numbers and categories taken from `rows` only.

        A number is scaled; missing ones become 0, the middle, and are marked in a column of their own if any are
        missing in `rows`. Quantile scaling goes to a standard normal distribution; equal values share the middle of
        their ranks, also at both ends. A piecewise encoding keeps the scaled number beside it. A category of two
        values is one number; one of up to `recipe.one_hot` values is one-hot, all zero where unseen; a larger one is
        embedded, and what occurs once shares code 0 with missing and unseen. Constant columns are left out.

        rows: (n,) whole numbers. Raises DataError if there are none, or if no column is left.
        Source: Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features (2022), sections 3.2 and 3.3.
        """
        rows = np.asarray(rows)
        require(rows.ndim == 1 and rows.size > 0, "there are no training rows to encode", error=DataError)
        plans, left_out = [], []
        for column in table.columns:
            found = _plan(column, table, rows, recipe)
            if isinstance(found, str):
                left_out.append((column.name, found))
            else:
                plans.append(found)
        reasons = _listed([f"{name!r} ({why})" for name, why in left_out])
        require(bool(plans), f"no column is left to learn from: {reasons or 'the table has none'}", error=DataError)
        learnt = {column.name for column in table.columns if column.kind in LEARNT}
        here = [f"{name!r} ({why})" for name, why in left_out if name in learnt]
        notes = [f"left out, because they carry no information: {_listed(here)}"] if here else []
        if recipe.numbers == "piecewise":
            plans, said = _with_bins(plans, table, rows, recipe.bins)
            notes += said
        return cls(_layout(plans), tuple(notes), tuple(plans))

    @property
    def names(self) -> tuple[str, ...]:
        """The column that each of the `layout.dense` numbers of a row comes from."""
        return tuple(plan.name for plan in self.plans for _ in range(plan.dense))

    def transform(self, table: Table, rows: np.ndarray | None = None) -> np.ndarray:
        """The (n, width) float32 matrix of these rows (all if None), always finite.

        Columns are found by name and categories by their text, so that order and further columns do not matter.
        Raises DataError for a column that is not there or is of another kind.
        """
        columns = {column.name: column for column in table.columns}
        num = table.num_rows if rows is None else len(rows)
        matrix = np.empty((num, self.layout.width), np.float32)
        at, aside, code = 0, self.layout.dense, self.layout.dense + self.layout.periodic
        for plan in self.plans:
            column = _column(columns, plan)
            values = table.values[plan.name]
            values = values if rows is None else values[rows]
            dense = matrix[:, at : at + plan.dense]
            at += plan.dense
            if isinstance(plan, NumberPlan):
                width = int(plan.enters == "periodic")
                plan.write(values, dense, matrix[:, aside : aside + width])
                aside += width
            else:
                width = int(plan.enters == "embedded")
                plan.write(values, column.categories, dense, matrix[:, code : code + width])
                code += width
        return matrix

    def to_json(self) -> dict[str, object]:
        """Names and small things; `tensors` has the rest."""
        columns: list[dict[str, object]] = []
        for plan in self.plans:
            entry: dict[str, object] = {"name": plan.name, "enters": plan.enters, "mark": plan.mark}
            if isinstance(plan, CategoryPlan):
                entry |= {"kind": "category", "categories": list(plan.categories)}
            else:
                entry |= {"kind": plan.kind, "centre": plan.centre, "spread": plan.spread}
                entry |= {"knots": len(plan.knots), "edges": len(plan.edges)}
            columns.append(entry)
        return {"layout": self.layout.to_json(), "notes": list(self.notes), "columns": columns}

    def tensors(self) -> dict[str, np.ndarray]:
        """knots: (K, 3) and edges: (E,), float64, those of all columns one after another."""
        numbers = [plan for plan in self.plans if isinstance(plan, NumberPlan)]
        return {
            "knots": np.concatenate([_NO_KNOTS, *(plan.knots for plan in numbers)]),
            "edges": np.concatenate([_NO_EDGES, *(plan.edges for plan in numbers)]),
        }

    @classmethod
    def restore(cls, json: object, tensors: Mapping[str, np.ndarray]) -> Encoder:
        """The encoder that gave `to_json` and `tensors`. Raises UsageError for what no encoder can have given."""
        found = _fields(json, "an encoder", layout=dict, notes=list, columns=list)
        require(all(isinstance(note, str) for note in found["notes"]), "an encoder's notes must be texts")
        require(set(tensors) == {"knots", "edges"}, f"an encoder has knots and edges, got {sorted(map(str, tensors))}")
        knots, edges = _float64("knots", tensors["knots"], (-1, 3)), _float64("edges", tensors["edges"], (-1,))
        plans: list[Plan] = []
        for entry in found["columns"]:
            plan = _restored(entry, knots, edges)
            if isinstance(plan, NumberPlan):
                knots, edges = knots[len(plan.knots) :], edges[len(plan.edges) :]
            plans.append(plan)
        require(len(knots) == len(edges) == 0, "an encoder's knots or edges are more than its columns use")
        require(
            len({plan.name for plan in plans}) == len(plans) > 0, "an encoder's columns must have names of their own"
        )
        layout = Layout.from_json(found["layout"])
        require(layout == _layout(plans), f"an encoder's columns make {_layout(plans)}, but it says {layout}")
        return cls(layout, tuple(found["notes"]), tuple(plans))


_NO_KNOTS, _NO_EDGES = np.empty((0, 3)), np.empty(0)


def _layout(plans: Sequence[Plan]) -> Layout:
    embedded = [len(p.categories) + 1 for p in plans if isinstance(p, CategoryPlan) and p.enters == "embedded"]
    return Layout(sum(p.dense for p in plans), sum(p.enters == "periodic" for p in plans), tuple(embedded))


def _column(columns: Mapping[str, Column], plan: Plan) -> Column:
    """The table's column that belongs to a plan. Raises DataError."""
    column = columns.get(plan.name)
    if column is None:
        raise DataError(f"the table has no column {plan.name!r}, which the model was trained on")
    wanted = (plan.kind,) if isinstance(plan, NumberPlan) else _CATEGORIES
    if column.kind not in wanted:
        raise DataError(f"column {plan.name!r} must be a {wanted[0]}, as in training; here it is a {column.kind}")
    return column


# Fitting


def _plan(column: Column, table: Table, rows: np.ndarray, recipe: TableRecipe) -> Plan | str:
    """How this column enters, or why it is left out."""
    if column.kind in _NUMBERS:
        most_knots = min(MOST_KNOTS, max(LEAST_KNOTS, ALL_KNOTS // len(table.columns)))
        return _plan_number(column, table.values[column.name][rows], recipe, most_knots)
    if column.kind in _CATEGORIES:
        return _plan_category(column, table.values[column.name][rows], recipe.one_hot)
    return f"{column.kind}: {column.why}" if column.why else column.kind


def _plan_number(column: Column, values: np.ndarray, recipe: TableRecipe, most_knots: int) -> NumberPlan | str:
    mark = bool(np.isnan(values).any())
    # Infinite numbers move no mean, and are cut like any other number that lies far out.
    finite = np.clip(values[np.isfinite(values)], -LARGEST, LARGEST)
    if finite.size == 0:
        return "no value in the training rows"
    plan = NumberPlan(column.name, column.kind, "mark", mark, float(finite[0]), 0.0, _NO_KNOTS, _NO_EDGES)
    if finite.min() == finite.max():
        return plan if mark else "constant in the training rows"
    enters: Literal["plain", "periodic"] = "periodic" if recipe.numbers == "periodic" else "plain"
    if recipe.scaling == "quantile":
        return replace(plan, enters=enters, centre=float(np.median(finite)), knots=_knots(finite, most_knots))
    mean, spread = _mean_and_spread(finite)
    return replace(plan, enters=enters, centre=mean, spread=spread)


def _plan_category(column: Column, codes: np.ndarray, one_hot: int) -> CategoryPlan | str:
    mark = bool((codes == MISSING).any())
    counts = np.bincount(codes[codes >= 0], minlength=len(column.categories))
    present = tuple(column.categories[code] for code in np.flatnonzero(counts))
    if len(present) <= 1:
        why = "constant in the training rows" if present else "no value in the training rows"
        return CategoryPlan(column.name, (), "mark", mark) if present and mark else why
    if len(present) == 2:
        return CategoryPlan(column.name, present, "pair", mark)
    if len(present) <= one_hot:
        return CategoryPlan(column.name, present, "one_hot", mark)
    often = tuple(column.categories[code] for code in np.flatnonzero(counts >= 2))
    if not often:
        return "no value occurs twice in the training rows"
    return CategoryPlan(column.name, often, "embedded", False)


def _with_bins(plans: Sequence[Plan], table: Table, rows: np.ndarray, bins: int) -> tuple[list[Plan], list[str]]:
    """The plans with numbers encoded by bins, as many as MOST_WIDTH has room for, and what was reduced."""
    numbers = [plan for plan in plans if isinstance(plan, NumberPlan) and plan.enters == "plain"]
    room = MOST_WIDTH - _layout(plans).width
    fewer = max(2, min(bins, room // max(1, len(numbers))))
    most = max(0, min(len(numbers), room // fewer))
    chosen = {plan.name for plan in numbers[:most]}
    found: list[Plan] = []
    for plan in plans:
        if isinstance(plan, NumberPlan) and plan.name in chosen:
            values = table.values[plan.name][rows]
            finite = np.clip(values[np.isfinite(values)], -LARGEST, LARGEST)
            edges = _edges(finite, fewer)
            plan = replace(plan, enters="piecewise", edges=edges)
        found.append(plan)
    said = []
    if fewer < bins and most:
        said.append(f"{fewer} bins a column instead of {bins}: the table may fill {MOST_WIDTH} columns")
    if most < len(numbers):
        rest = len(numbers) - most
        said.append(f"{rest} of {len(numbers)} numeric columns have no bins: the table may fill {MOST_WIDTH} columns")
    return found, said


def _mean_and_spread(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation (of the values themselves, not of a sample), without overflow or underflow."""
    if values.min() == values.max():
        return float(values[0]), 0.0  # their mean is rounded, and would differ from them
    mean = float(values.mean())
    off = values - mean
    largest = float(np.abs(off).max())
    return mean, largest * math.sqrt(float(np.mean((off / largest) ** 2))) or largest


def _quantiles(values: np.ndarray, num: int) -> np.ndarray:
    """`num` quantiles of finite values at equal steps of rank from 0 to 1, linear in between; (num,), rising."""
    values = np.sort(values)
    # Whole numbers as long as possible: where a rank falls on a value, the quantile is that value, not a near one.
    low, rest = np.divmod(np.arange(num) * (len(values) - 1), num - 1)
    high = np.minimum(low + 1, len(values) - 1)
    found = values[low] + (values[high] - values[low]) * (rest / (num - 1))
    return np.maximum.accumulate(found)


def _edges(values: np.ndarray, bins: int) -> np.ndarray:
    """Rising edges of at most `bins` bins of a piecewise encoding.

    Quantiles; but a value that fills a bin alone, such as the zeros of an amount that most have not, is one edge, and
    the other edges are quantiles of the rest, which would hardly be told apart otherwise.
    """
    distinct, counts = np.unique(values, return_counts=True)
    heavy = np.zeros(len(distinct), dtype=bool)
    heavy[np.argsort(-counts, kind="stable")[: bins // 2]] = True
    heavy &= counts > len(values) / bins
    rest = np.repeat(distinct[~heavy], counts[~heavy])
    ends = np.array([values.min(), values.max()])
    most = bins + 1 - int(heavy.sum())
    between = _quantiles(rest, most)[1:-1] if most > 2 and len(rest) > 1 else rest[:0]
    return np.unique(np.concatenate([ends, distinct[heavy], between]))


def _knots(values: np.ndarray, most: int) -> np.ndarray:
    """(K, 3), K <= most: each distinct quantile of these values, and the ranks where it begins and ends."""
    num = min(most, len(values))
    points, first, count = np.unique(_quantiles(values, num), return_index=True, return_counts=True)
    return np.stack([points, first / (num - 1), (first + count - 1) / (num - 1)], axis=1)


# Encoding


def _rank(values: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Ranks from 0 to 1: in the middle of its run for a value that is a knot, linear between knots; NaN stays."""
    points, first, last = knots.T
    inside = np.clip(values, points[0], points[-1])
    low = np.minimum(np.searchsorted(points, inside, side="right") - 1, len(points) - 2)
    share = (inside - points[low]) / (points[low + 1] - points[low])
    rank = last[low] + share * (first[low + 1] - last[low])
    middle = (first + last) / 2
    rank = np.where(inside == points[low], middle[low], rank)
    rank = np.where(inside == points[-1], middle[-1], rank)
    rank[values < points[0]], rank[values > points[-1]] = 0, 1
    # Rounding may leave this range, and the normal distribution ends there.
    return cast(np.ndarray, np.clip(rank, 0, 1))


def _write_pieces(values: np.ndarray, edges: np.ndarray, out: np.ndarray) -> None:
    """Fills out, (N, E - 1): 1 for bins below the value, the fraction in its own bin, 0 for bins above."""
    width = np.diff(edges)
    low, high = np.zeros(len(width)), np.ones(len(width))
    low[0], high[-1] = MOST_PIECE
    for start in range(0, len(values), BLOCK):
        part = slice(start, start + BLOCK)
        with np.errstate(over="ignore"):  # what overflows is cut
            out[part] = np.clip((values[part, None] - edges[:-1]) / width, low, high)


# Reading back


def _restored(entry: object, knots: np.ndarray, edges: np.ndarray) -> Plan:
    """The plan of one column, from its JSON and from the tensors that begin with its own part. Raises UsageError."""
    found = _fields(entry, "a column of an encoder", name=str, kind=str, enters=str, mark=bool)
    where = f"column {found['name']!r} of an encoder"
    if found["kind"] == "category":
        return _restored_category(entry, where)
    found = _fields(
        entry, where, name=str, kind=str, enters=str, mark=bool, centre=float, spread=float, knots=int, edges=int
    )
    require(found["kind"] in _NUMBERS, f"{where}: no kind {found['kind']!r}")
    require(found["enters"] in ("plain", "piecewise", "periodic", "mark"), f"{where} cannot enter {found['enters']!r}")
    require(abs(found["centre"]) <= LARGEST and 0 <= found["spread"] <= LARGEST, f"{where}: centre or spread is wrong")
    scaled = found["enters"] != "mark"
    knots, edges = knots[: max(0, found["knots"])], edges[: max(0, found["edges"])]
    require(len(knots) == found["knots"] and len(edges) == found["edges"], f"{where} has too few knots or edges")
    require(len(knots) >= 2 if scaled and not found["spread"] else len(knots) == 0, f"{where}: {len(knots)} knots")
    require(len(edges) >= 2 if found["enters"] == "piecewise" else len(edges) == 0, f"{where}: {len(edges)} edges")
    require(scaled or found["mark"], f"{where} has nothing that enters")
    ranks = knots[:, 1:].ravel()
    rising = bool((np.diff(knots[:, 0]) > 0).all() and (np.diff(edges) > 0).all() and (np.diff(ranks) >= 0).all())
    inside = ranks.size == 0 or (ranks[0] >= 0 and ranks[-1] <= 1)
    large = max(np.abs(knots).max(initial=0), np.abs(edges).max(initial=0))
    require(rising and inside and large <= LARGEST, f"{where}: its knots or edges do not rise, or leave their range")
    return NumberPlan(**{**found, "knots": knots, "edges": edges})


def _restored_category(entry: object, where: str) -> CategoryPlan:
    found = _fields(entry, where, name=str, kind=str, enters=str, mark=bool, categories=list)
    names = found["categories"]
    good = all(isinstance(name, str) for name in names) and len(set(names)) == len(names)
    require(good, f"{where}: its categories must be different texts")
    fits: dict[str, Callable[[int], bool]] = {
        "pair": lambda num: num == 2,
        "one_hot": lambda num: num >= 3,
        "embedded": lambda num: num >= 1 and not found["mark"],
        "mark": lambda num: num == 0 and bool(found["mark"]),
    }
    require(found["enters"] in fits, f"{where} cannot enter {found['enters']!r}")
    require(fits[found["enters"]](len(names)), f"{where}: {len(names)} categories cannot enter {found['enters']!r}")
    return CategoryPlan(found["name"], tuple(names), found["enters"], found["mark"])


def _fields(value: object, what: str, **kinds: type) -> dict[str, Any]:
    """The fields of a JSON object, each of its type; a whole number may stand for a float. Raises UsageError."""
    if not isinstance(value, dict):
        raise UsageError(f"{what} must be a JSON object, got {type(value).__name__}")
    lacking = [name for name in kinds if name not in value]
    require(not lacking, f"{what} lacks {', '.join(lacking)}")
    found = {}
    for name, kind in kinds.items():
        own = value[name]
        if kind is float and _is_whole(own, -(2**53)) and own <= 2**53:
            own = float(own)
        good = isinstance(own, kind) and (kind is bool or not isinstance(own, bool))
        good = good and (kind is not float or math.isfinite(own))
        require(good, f"{what}: {name} must be {_WORDS[kind]}, got {str(own)[:40]}")
        found[name] = own
    return found


_WORDS: Mapping[type, str] = {
    int: "a whole number", float: "a finite number", str: "text", bool: "true or false", list: "a list", dict: "object"
}  # fmt: skip


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _float64(name: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """`array` if it is float64, finite and of this shape (-1: any length). Raises UsageError."""
    good = isinstance(array, np.ndarray) and array.dtype == np.float64 and array.ndim == len(shape)
    good = good and all(want in (-1, got) for want, got in zip(shape, array.shape, strict=True))
    require(good and bool(np.isfinite(array).all()), f"an encoder's {name} must be finite float64 of shape {shape}")
    return array


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - NAMED} more" if len(texts) > NAMED else ""
    return ", ".join(texts[:NAMED]) + more
