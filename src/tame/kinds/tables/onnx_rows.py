"""The encoding of rows in operators, in float64 as in `data/encode.py`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.data.encode import (
    MOST_NORMAL,
    MOST_PIECE,
    MOST_SPREADS,
    CategoryPlan,
    Encoder,
    NumberPlan,
)
from tame.data.table_cells import BOOLEANS, LARGEST, MARKS, NEITHER, SOFT_MARKS
from tame.data.tables import MISSING, UNSEEN, Column
from tame.parts.operators import DOUBLE, FLOAT, ML, TEXT, Operators

# Of the quantile of the normal distribution. Source: Moshier, Cephes Mathematical Library, ndtri (as in scipy).
_MIDDLE = (
    (-5.99633501014107895267e1, 9.80010754185999661536e1, -5.66762857469070293439e1, 1.39312609387279679503e1,
     -1.23916583867381258016e0),
    (1.0, 1.95448858338141759834e0, 4.67627912898881538453e0, 8.63602421390890590575e1, -2.25462687854119370527e2,
     2.00260212380060660359e2, -8.20372256168333339912e1, 1.59056225126211695515e1, -1.18331621121330003142e0),
)  # fmt: skip
_TAIL = (
    (4.05544892305962419923e0, 3.15251094599893866154e1, 5.71628192246421288162e1, 4.40805073893200834700e1,
     1.46849561928858024014e1, 2.18663306850790267539e0, -1.40256079171354495875e-1, -3.50424626827848203418e-2,
     -8.57456785154685413611e-4),
    (1.0, 1.57799883256466749731e1, 4.53907635128879210584e1, 4.13172038254672030440e1, 1.50425385692907503408e1,
     2.50464946208309415979e0, -1.42182922854787788574e-1, -3.80806407691578277194e-2, -9.33259480895457427372e-4),
)  # fmt: skip
_LEAST_RANK = 1e-8  # below the rank where quantile scaling cuts, so that nothing infinite is computed


@dataclass(frozen=True, slots=True)
class RowNodes:
    """The encoded rows. dense: (n, D) and periodic: (n, P) float32; codes: (n, E) int64; "" where there are none."""

    dense: str
    periodic: str
    codes: str


@dataclass(frozen=True, slots=True)
class Given:
    """The columns of a table, read. numbers: (n, P) float64, NaN where missing; codes: (n, Q) int64, as in `Table`.

    Each with the places of its columns; "" where there are none.
    """

    numbers: str
    codes: str
    number_at: dict[str, int]
    code_at: dict[str, int]


def given_nodes(nodes: Operators, columns: Sequence[Column]) -> Given:
    """One input for each column: numbers and days as float64, categories as texts; all (n,)."""
    numbers = [each for each in columns if each.kind in ("number", "date")]
    texts = [each for each in columns if each.kind in ("category", "boolean")]
    found = {each.name: nodes.input(each.name, DOUBLE if each in numbers else TEXT, ["n"]) for each in columns}
    values = nodes.beside(*(_column(nodes, found[each.name]) for each in numbers)) if numbers else ""
    if numbers:  # what is too large for float32 counts as missing, as in every table
        large = nodes.op("Greater", nodes.op("Abs", values), _number(nodes, LARGEST))
        values = nodes.op("Where", large, _number(nodes, np.nan), values)
    codes = [_column(nodes, _code(nodes, found[each.name], each)) for each in texts]
    return Given(
        values, nodes.beside(*codes) if codes else "", {each.name: i for i, each in enumerate(numbers)},
        {each.name: i for i, each in enumerate(texts)},
    )  # fmt: skip


def row_nodes(nodes: Operators, encoder: Encoder, given: Given, columns: Sequence[Column]) -> RowNodes:
    """As `Encoder.transform` of the given columns."""
    numbers = [plan for plan in encoder.plans if isinstance(plan, NumberPlan)]
    texts = [plan for plan in encoder.plans if isinstance(plan, CategoryPlan)]
    blocks = [*_number_blocks(nodes, numbers, given), *_category_blocks(nodes, texts, given, columns)]
    parts, places = [block for block, _ in blocks], [place for _, own in blocks for place in own]
    # Blocks hold one kind of number each; in the matrix those of a column stand together.
    order = {place: at for at, place in enumerate(places)}
    wanted = [
        (plan.name, number) for plan in encoder.plans for number in range(plan.dense)
    ]  # as `Encoder.transform` writes them
    dense = nodes.taken(nodes.beside(*parts), [order[place] for place in wanted]) if wanted else ""
    periodic = [plan for plan in numbers if plan.enters == "periodic"]
    embedded = [plan for plan in texts if plan.enters == "embedded"]
    codes = ""
    if embedded:
        one = nodes.op("Add", _own_codes(nodes, embedded, given, columns), nodes.whole(1))
        codes = nodes.op("Max", one, nodes.whole(0))
    return RowNodes(dense, nodes.cast(_scaled(nodes, periodic, given), FLOAT) if periodic else "", codes)


Block = tuple[str, list[tuple[str, int]]]  # a matrix (n, k) float32, and which number of which column each is


def _number_blocks(nodes: Operators, plans: Sequence[NumberPlan], given: Given) -> list[Block]:
    blocks: list[Block] = []
    pieces = [plan for plan in plans if plan.enters == "piecewise"]
    scaled = [plan for plan in plans if plan.enters in ("plain", "piecewise")]
    marked = [plan for plan in plans if plan.mark]
    if pieces:
        places = [(plan.name, number) for plan in pieces for number in range(len(plan.edges) - 1)]
        blocks.append((nodes.cast(_pieces(nodes, pieces, given), FLOAT), places))
    if scaled:
        places = [(plan.name, max(len(plan.edges) - 1, 0)) for plan in scaled]
        blocks.append((nodes.cast(_scaled(nodes, scaled, given), FLOAT), places))
    if marked:
        own = nodes.taken(given.numbers, [given.number_at[plan.name] for plan in marked])
        blocks.append((nodes.cast(nodes.op("IsNaN", own), FLOAT), [(plan.name, plan.dense - 1) for plan in marked]))
    return blocks


def _category_blocks(
    nodes: Operators, plans: Sequence[CategoryPlan], given: Given, columns: Sequence[Column]
) -> list[Block]:
    blocks: list[Block] = []
    pairs = [plan for plan in plans if plan.enters == "pair"]
    hot = [plan for plan in plans if plan.enters == "one_hot"]
    marked = [plan for plan in plans if plan.mark]
    if pairs:
        own = _own_codes(nodes, pairs, given, columns)
        unknown = nodes.op("Less", own, nodes.whole(0))
        value = nodes.op("Where", unknown, nodes.constant(np.array(0.5, np.float32)), nodes.cast(own, FLOAT))
        blocks.append((value, [(plan.name, 0) for plan in pairs]))
    if hot:
        own = _own_codes(nodes, hot, given, columns)
        many = [len(plan.categories) for plan in hot]
        spread = nodes.taken(own, np.repeat(np.arange(len(hot)), many).tolist())
        same = nodes.op("Equal", spread, nodes.whole(*(code for num in many for code in range(num))))
        places = [(plan.name, code) for plan in hot for code in range(len(plan.categories))]
        blocks.append((nodes.cast(same, FLOAT), places))
    if marked:
        own = _own_codes(nodes, marked, given, columns)
        gone = nodes.cast(nodes.op("Equal", own, nodes.whole(MISSING)), FLOAT)
        blocks.append((gone, [(plan.name, plan.dense - 1) for plan in marked]))
    return blocks


# Numbers


def _scaled(nodes: Operators, plans: Sequence[NumberPlan], given: Given) -> str:
    """(n, k) as `NumberPlan.scaled` of these columns, in their order."""
    plain = [plan for plan in plans if plan.spread]
    ranked = [plan for plan in plans if not plan.spread]
    parts = []
    if plain:
        values, missing = _values(nodes, plain, given, [plan.centre for plan in plain])
        off = nodes.op("Sub", values, _row(nodes, [plan.centre for plan in plain]))
        found = nodes.op("Div", off, _row(nodes, [plan.spread for plan in plain]))
        parts.append(nodes.op("Where", missing, _number(nodes, 0.0), _within(nodes, found, MOST_SPREADS)))
    if ranked:
        values, missing = _values(nodes, ranked, given, [plan.knots[0, 0] for plan in ranked])
        found = _within(nodes, _normal(nodes, _rank(nodes, ranked, values)), MOST_NORMAL)
        parts.append(nodes.op("Where", missing, _number(nodes, 0.0), found))
    order = {plan.name: at for at, plan in enumerate([*plain, *ranked])}
    return nodes.taken(nodes.beside(*parts), [order[plan.name] for plan in plans])


def _values(nodes: Operators, plans: Sequence[NumberPlan], given: Given, instead: Sequence[float]) -> tuple[str, str]:
    """(n, k) the values of these columns, those that are missing replaced; and which ones are."""
    own = nodes.taken(given.numbers, [given.number_at[plan.name] for plan in plans])
    missing = nodes.op("IsNaN", own)
    return nodes.op("Where", missing, _row(nodes, instead), own), missing


def _pieces(nodes: Operators, plans: Sequence[NumberPlan], given: Given) -> str:
    """(n, k) the piecewise encodings of these columns, one after the other."""
    starts = np.concatenate([plan.edges[:-1] for plan in plans])
    widths = np.concatenate([np.diff(plan.edges) for plan in plans])
    low, high = np.zeros(len(starts)), np.ones(len(starts))
    ends = np.cumsum([len(plan.edges) - 1 for plan in plans])
    low[[0, *ends[:-1]]], high[ends - 1] = MOST_PIECE
    values, _ = _values(nodes, plans, given, [plan.centre for plan in plans])
    spread = nodes.taken(values, np.repeat(np.arange(len(plans)), np.diff([0, *ends])).tolist())
    share = nodes.op("Div", nodes.op("Sub", spread, _row(nodes, starts)), _row(nodes, widths))
    return nodes.op("Min", nodes.op("Max", share, _row(nodes, low)), _row(nodes, high))


def _rank(nodes: Operators, plans: Sequence[NumberPlan], values: str) -> str:
    """(n, k) ranks from 0 to 1 as `_rank` of `data/encode.py`; each column's knots are searched by halving."""
    size = 1 << max((len(plan.knots) - 1).bit_length() for plan in plans)  # a power of two, for all columns
    table = np.full((3, len(plans), size), np.inf)
    for place, plan in enumerate(plans):
        table[:, place, : len(plan.knots)] = plan.knots.T
    points, first, last = (nodes.constant(part.reshape(-1)) for part in table)
    middle = nodes.constant(((table[1] + table[2]) / 2).reshape(-1))
    ends = [np.array([plan.knots[place] for plan in plans]) for place in (0, -1)]
    lowest, highest = (_row(nodes, end[:, 0]) for end in ends)
    inside = nodes.op("Min", nodes.op("Max", values, lowest), highest)
    begin = nodes.constant(np.arange(len(plans), dtype=np.int64)[None] * size)
    low, step = begin, size // 2
    while step:
        further = nodes.op("Add", low, nodes.whole(step))
        reached = nodes.op("LessOrEqual", nodes.op("Gather", points, further, axis=0), inside)
        low = nodes.op("Where", reached, further, low)
        step //= 2
    most = nodes.constant(np.array([[len(plan.knots) - 2 for plan in plans]], np.int64))
    low = nodes.op("Min", low, nodes.op("Add", begin, most))
    after = nodes.op("Add", low, nodes.whole(1))

    def at(part: str, place: str) -> str:
        return nodes.op("Gather", part, place, axis=0)

    width = nodes.op("Sub", at(points, after), at(points, low))
    share = nodes.op("Div", nodes.op("Sub", inside, at(points, low)), width)
    rise = nodes.op("Sub", at(first, after), at(last, low))
    rank = nodes.op("Add", at(last, low), nodes.op("Mul", share, rise))
    rank = nodes.op("Where", nodes.op("Equal", inside, at(points, low)), at(middle, low), rank)
    top = _row(nodes, (ends[1][:, 1] + ends[1][:, 2]) / 2)
    rank = nodes.op("Where", nodes.op("Equal", inside, highest), top, rank)
    rank = nodes.op("Where", nodes.op("Less", values, lowest), _number(nodes, 0.0), rank)
    return nodes.op("Where", nodes.op("Greater", values, highest), _number(nodes, 1.0), rank)


def _normal(nodes: Operators, rank: str) -> str:
    """The quantiles of the normal distribution, as `scipy.special.ndtri` at ranks that are not at the very ends."""
    one, half = _number(nodes, 1.0), _number(nodes, 0.5)
    low = nodes.op("Max", rank, _number(nodes, _LEAST_RANK))
    y = nodes.op("Min", low, nodes.op("Max", nodes.op("Sub", one, rank), _number(nodes, _LEAST_RANK)))
    off = nodes.op("Sub", rank, half)
    square = nodes.op("Mul", off, off)
    middle = nodes.op("Mul", square, _ratio(nodes, square, *_MIDDLE))
    middle = nodes.op("Mul", nodes.op("Add", off, nodes.op("Mul", off, middle)), _number(nodes, np.sqrt(2 * np.pi)))
    x = nodes.op("Sqrt", nodes.op("Mul", nodes.op("Log", y), _number(nodes, -2.0)))
    z = nodes.op("Div", one, x)
    tail = nodes.op("Sub", x, nodes.op("Mul", nodes.op("Log", x), z))
    tail = nodes.op("Sub", tail, nodes.op("Mul", z, _ratio(nodes, z, *_TAIL)))
    tail = nodes.op("Mul", tail, nodes.op("Sign", off))
    return nodes.op("Where", nodes.op("Greater", y, _number(nodes, np.exp(-2.0))), middle, tail)


def _ratio(nodes: Operators, x: str, above: Sequence[float], below: Sequence[float]) -> str:
    """A polynomial over another, the highest power first."""
    found = []
    for numbers in (above, below):
        value = _number(nodes, numbers[0])
        for number in numbers[1:]:
            value = nodes.op("Add", nodes.op("Mul", value, x), _number(nodes, number))
        found.append(value)
    return nodes.op("Div", *found)


def _within(nodes: Operators, values: str, most: float) -> str:
    return nodes.op("Min", nodes.op("Max", values, _number(nodes, -most)), _number(nodes, most))


# Categories


def _code(nodes: Operators, texts: str, column: Column) -> str:
    """(n,) the code of each text, as in `Table`: UNSEEN for one that is not known, MISSING for a mark of nothing."""
    known = words_of(column)
    return nodes.op(
        "LabelEncoder", texts, domain=ML, keys_strings=list(known), values_int64s=list(known.values()),
        default_int64=UNSEEN,
    )  # fmt: skip


def words_of(column: Column) -> dict[str, int]:
    """The code of each text that a category or a boolean may be given as, exactly so written."""
    marks = dict.fromkeys(("",) if column.told else MARKS, MISSING)
    if column.kind == "category":
        return {**marks, **{text: code for code, text in enumerate(column.categories)}}
    first = BOOLEANS.get(column.categories[0].lower(), NEITHER)
    said = {text: int(value != first) for text, value in BOOLEANS.items()}
    every = {**dict.fromkeys(SOFT_MARKS, MISSING), **said}
    return {**marks, **{way(text): code for text, code in every.items() for way in (str.lower, str.title, str.upper)}}


def _own_codes(nodes: Operators, plans: Sequence[CategoryPlan], given: Given, columns: Sequence[Column]) -> str:
    """(n, k) which of its own categories each column has, UNSEEN for one that it has not, or MISSING."""
    known = {column.name: column.categories for column in columns}
    tables = []
    for plan in plans:
        place = {category: code for code, category in enumerate(plan.categories)}
        tables.append([UNSEEN, MISSING, *(place.get(category, UNSEEN) for category in known[plan.name])])
    starts = np.cumsum([0, *(len(table) for table in tables[:-1])]) - UNSEEN  # the code UNSEEN comes first
    own = nodes.taken(given.codes, [given.code_at[plan.name] for plan in plans])
    flat = nodes.whole(*(code for table in tables for code in table))
    return nodes.op("Gather", flat, nodes.op("Add", own, nodes.whole(*starts.tolist())), axis=0)


# Small things


def _column(nodes: Operators, values: str) -> str:
    return nodes.op("Unsqueeze", values, nodes.whole(1))


def _row(nodes: Operators, values: Sequence[float] | np.ndarray) -> str:
    return nodes.constant(np.asarray(values, dtype=np.float64)[None])


def _number(nodes: Operators, value: float) -> str:
    return nodes.constant(np.array(value, dtype=np.float64))
