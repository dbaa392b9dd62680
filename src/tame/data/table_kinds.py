"""Which kind each column is, decided from all rows, and a later table read by the kinds of an earlier one."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError, require
from tame.data.table_cells import (
    DATES,
    LARGEST,
    MARKS,
    NEITHER,
    SOFT_MARKS,
    SPACES,
    Cells,
    Decimal,
    are_boolean,
    are_whole,
    cells_of,
    decimal_of,
    leading_zeros,
    matches,
    order_of,
    plain_numbers,
    read_booleans,
    read_dates,
    read_numbers,
    settle_decimal,
)
from tame.data.tables import LEARNT, MISSING, UNSEEN, Column, Kind, RawTable, Reading, Table, require_column

EXACT = 2**53  # whole numbers beyond lose digits in float64
FEW = 20  # rows; of fewer, different cells do not show an identifier or free text
NEARLY_ALL = 0.95  # different cells per row
DENSE = 1.1  # the range of whole numbers per row that still is a numbering
TEXT_WORDS = 4.0  # words per cell
ID_NAME = re.compile(r"^(?:id|uuid|guid|index|row_?id|row_?(?:no|number))$|[_\s-]id$", re.IGNORECASE)
ID_TAIL = re.compile(r"[a-z]I[dD]$")  # customerId


@dataclass(frozen=True, slots=True)
class _Typed:
    """A column and its values (N,), or None; `numbering`: values that an identifier would have as a number."""

    column: Column
    values: np.ndarray | None = None
    note: str = ""
    numbering: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class _Draft:
    """A column before its kind is known. sure, soft: (K,) marks of missing values; firm: (K,) the other cells."""

    name: str
    cells: Cells
    sure: np.ndarray
    soft: np.ndarray
    firm: np.ndarray
    decimal: str

    def rows(self, chosen: np.ndarray) -> int:
        return int(self.cells.counts[chosen].sum())


def type_table(raw: RawTable, *, target: str | None, ignore: Sequence[str] = ()) -> Table:
    """The columns of `raw` but the target and the ignored ones, each of a kind, with the reasons in words.

    Raises DataError for names that are not there and for numbers that can be read in two ways.
    """
    for name in (*ignore, *([target] if target is not None else [])):
        require_column(name, raw.names)
    names = [name for name in raw.names if name != target and name not in ignore]
    require(bool(names), "there is no column beside the target and the ignored ones", error=DataError)
    drafts = [_draft(name, cells_of(raw.cells(name))) for name in names]
    sure = {draft.decimal for draft in drafts}
    typed = [_type(_settled(draft, raw.separator, sure)) for draft in drafts]
    if not any(one.column.kind in LEARNT for one in typed):
        typed = [_as_number(one) for one in typed]
    notes = [*raw.notes, *_notes_on_marks(drafts, typed), *(one.note for one in typed if one.note)]
    if ignore:
        notes.append(f"left out as told: {_listed(ignore)}")
    values = {one.column.name: one.values for one in typed if one.values is not None}
    return Table(tuple(one.column for one in typed), values, raw.num_rows, tuple(notes))


def apply_kinds(
    raw: RawTable, columns: Sequence[Column], *, beside: Sequence[str] = ()
) -> tuple[Table, tuple[str, ...]]:
    """A later table read by the kinds of an earlier one, and notes on what was not as in that.

    beside: columns that may be there and are no features, such as the target; nothing is said of them.

    Columns are found by name, in any order. Ones that are not there are missing in all rows; what cannot be read as a
    number or date is missing; categories that the earlier table had not are UNSEEN. All of that is in the notes, with
    counts. Raises DataError where no column to learn from is there.
    """
    wanted = [column.name for column in columns if column.kind in LEARNT]
    absent = [name for name in wanted if name not in raw.names]
    if wanted and len(absent) == len(wanted):
        raise DataError(f"none of the columns is there: {_listed(wanted)} (found: {_listed(raw.names)})")
    notes = [f"columns not there, taken as missing in all rows: {_listed(absent)}"] if absent else []
    known = {*beside, *(column.name for column in columns)}
    extra = [name for name in raw.names if name not in known]
    if extra:
        notes.append(f"columns that the earlier table had not, ignored: {_listed(extra)}")
    values, again = {}, []
    for column in columns:
        missing = raw.num_rows
        if column.name in raw.names:
            found, said = _read_as(column, cells_of(raw.cells(column.name)))
            notes += said
            missing = int(np.isnan(found).sum() if found.dtype.kind == "f" else (found == MISSING).sum())
        elif column.kind in ("number", "date"):
            found = np.full(raw.num_rows, np.nan)
        else:
            found = np.full(raw.num_rows, MISSING, dtype=np.int64)
        if column.kind in LEARNT:
            values[column.name] = found
        again.append(replace(column, missing=missing))
    return Table(tuple(again), values, raw.num_rows, (*raw.notes, *notes)), tuple(notes)


# A first table: from cells to a kind


def _draft(name: str, cells: Cells) -> _Draft:
    marks = cells.mask((*MARKS, *SOFT_MARKS))
    sure = cells.mask(MARKS) if marks.any() else marks
    soft, firm = marks & ~sure, ~marks
    if sure.any() and firm.sum() >= 10 and matches(cells.some(firm), "^[A-Z]{2}$").all():
        sure = sure & ~cells.mask(("NA",))  # among codes of two letters NA is one, such as that of Namibia
        firm = ~(sure | soft)
    if not firm.any():  # nothing tells that "-" or "None" are marks
        soft = np.zeros_like(soft)
        firm = ~sure
    return _Draft(name, cells, sure, soft, firm, decimal_of(cells.some(firm)) if firm.any() else "")


def _settled(draft: _Draft, separator: str, sure: set[str]) -> _Draft:
    if draft.decimal != "open":
        return draft
    mark = settle_decimal(draft.name, draft.cells, draft.firm, separator=separator, others=sure)
    return replace(draft, decimal=mark)


def _type(draft: _Draft) -> _Typed:
    if not draft.firm.any():
        why = "every cell is missing"
        return _Typed(Column(draft.name, "constant", why, missing=len(draft.cells.codes)))
    firm = draft.cells.some(draft.firm)
    if are_boolean(firm):
        return _boolean(draft, read_booleans(firm))
    if draft.decimal:
        return _number(draft)
    order, doubt = order_of(firm)
    if order:
        return _date(draft, order)
    return _words(draft, doubt)


def _boolean(draft: _Draft, truth: np.ndarray) -> _Typed:
    spelled, counts = draft.cells.some(draft.firm).to_pylist(), draft.cells.counts[draft.firm]
    rows = {value: int(counts[truth == value].sum()) for value in (0, 1)}
    order = sorted((0, 1), key=lambda value: (-rows[value], value))
    commonest = {value: max(np.flatnonzero(truth == value), key=lambda k: int(counts[k])) for value in (0, 1)}
    categories = tuple(spelled[commonest[value]] for value in order)
    codes = np.full(len(draft.firm), MISSING, dtype=np.int64)
    codes[draft.firm] = np.array([order.index(0), order.index(1)])[truth]
    others = sorted(set(spelled) - set(categories))
    also = f", also written {_listed(others)}" if others else ""
    why = f"only {categories[0]!r} ({rows[order[0]]:,}) and {categories[1]!r} ({rows[order[1]]:,}){also}"
    return _coded(draft, "boolean", why, categories, codes)


def _number(draft: _Draft) -> _Typed:
    cells, firm = draft.cells, draft.firm
    numbers = _numbers(draft)
    whole = are_whole(cells.some(firm))
    if whole:
        zeros = leading_zeros(cells.values) & firm
        if zeros.any():
            return _words(draft, f"digits with leading zeros, which numbers would lose ({cells.example(zeros)})")
        beyond = (np.abs(numbers) > EXACT) & firm
        if beyond.any():
            return _words(draft, f"whole numbers too large to be kept exactly ({cells.example(beyond)})")
    infinite = (np.abs(numbers) > LARGEST) & firm
    finite = np.unique(numbers[firm & ~infinite])
    missing = draft.rows(~firm | infinite)
    note = _on_infinite(draft.name, cells, infinite)
    if len(finite) < 2:
        why = f"one value, {finite[0]:.10g}" if len(finite) else "no finite value"
        return _Typed(Column(draft.name, "constant", why, missing), note=note)
    values = np.where(infinite, np.nan, numbers)[cells.codes]
    kinds = "whole numbers" if whole else "numbers"
    why = f"{kinds} from {finite[0]:.10g} to {finite[-1]:.10g}, {len(finite):,} different"
    grouped = f"[0-9][{'.' if draft.decimal == ',' else ','}{SPACES}][0-9]"
    if not whole and plain_numbers(cells.some(firm)) is None and matches(cells.some(firm), grouped).any():
        why += "; thousands separated"
    reading: Reading = "decimal comma" if draft.decimal == "," else ""
    why += "; decimal comma" if reading else ""
    why += f"; {draft.rows(infinite):,} infinite or too large" if infinite.any() else ""
    column = Column(draft.name, "number", why, missing, reading=reading)
    said = _numbering(draft.name, finite, num=draft.rows(firm)) if whole else ""
    if said:
        return _Typed(replace(column, kind="identifier", why=said), note=note, numbering=values)
    return _Typed(column, values, note)


def _numbers(draft: _Draft) -> np.ndarray:
    """(K,) the cells as numbers, NaN for marks."""
    numbers = read_numbers(draft.cells.values, _mark("decimal comma" if draft.decimal == "," else ""))
    return np.where(draft.firm, numbers, np.nan)


def _mark(reading: Reading) -> Decimal:
    return "," if reading == "decimal comma" else "."


def _numbering(name: str, finite: np.ndarray, *, num: int) -> str:
    """Why these whole numbers, all the different ones in order, are an identifier; "" if they are not."""
    if num < FEW or len(finite) < NEARLY_ALL * num:
        return ""
    span = f"whole numbers from {finite[0]:.0f} to {finite[-1]:.0f}"
    if finite[-1] - finite[0] + 1 <= DENSE * num:
        return f"{span}, about one for each row: a numbering of the rows"
    named = ID_NAME.search(name) or ID_TAIL.search(name)
    return f"{span}, nearly all different, in a column named like an identifier" if named else ""


def _as_number(one: _Typed) -> _Typed:
    """A numbering as numbers: where no other column is left to learn from, it may be the abscissa."""
    if one.numbering is None:
        return one
    why = f"{one.column.why}; learnt from nevertheless, as there is no other column"
    return _Typed(replace(one.column, kind="number", why=why), one.numbering, one.note)


def _date(draft: _Draft, order: str) -> _Typed:
    days = read_dates(draft.cells.values, order)
    found = days[draft.firm]
    missing = draft.rows(~draft.firm)
    if len(np.unique(found)) < 2:
        return _Typed(Column(draft.name, "constant", "one date", missing))
    ends = [str(np.datetime64(int(day), "D")) for day in (np.floor(found.min()), np.floor(found.max()))]
    said = {"iso": "year first", "dmy": "day first", "mdy": "month first"}[order]
    why = f"dates from {ends[0]} to {ends[1]}, {said}"
    reading = next(known for known in ("iso", "dmy", "mdy") if known == order)
    values = np.where(draft.firm, days, np.nan)[draft.cells.codes]
    return _Typed(Column(draft.name, "date", why, missing, reading=reading), values)


def _words(draft: _Draft, doubt: str = "") -> _Typed:
    """A column of words: category, identifier or free text. doubt: why it is no number or date."""
    cells, chosen = draft.cells, ~draft.sure
    values, counts = cells.some(chosen), cells.counts[chosen]
    num, different = int(counts.sum()), len(counts)
    mixture = _mixture(draft)
    doubt = doubt or mixture
    also = f"; {doubt}" if doubt else ""
    note = f"{draft.name} is not taken as numbers or dates: {doubt}" if doubt else ""
    column = Column(draft.name, "constant", "", len(cells.codes) - num)
    if different == 1:
        return _Typed(replace(column, why=f"one value, {values[0].as_py()!r:.60}{also}"), note=note)
    if num >= FEW and different > num / 2:
        spaces = pc.count_substring_regex(values, r"\s+").to_numpy()
        words = float(((spaces + 1) * counts).sum() / num)
        why = f"{words:.1f} words, {different:,} different in {num:,} rows{also}"
        is_text = mixture or words >= TEXT_WORDS or (words >= 2 and different <= NEARLY_ALL * num)
        return _Typed(replace(column, kind="text" if is_text else "identifier", why=why), note=note)
    order = sorted(range(different), key=lambda k: (-int(counts[k]), values[k].as_py()))
    categories = tuple(values[k].as_py() for k in order)
    codes = np.full(len(chosen), MISSING, dtype=np.int64)
    codes[np.flatnonzero(chosen)[order]] = np.arange(different)
    why = f"{different:,} categories, the commonest {categories[0]!r:.60} ({100 * counts.max() / num:.0f} %){also}"
    kept = cells.some(draft.soft).to_pylist()
    why += f"; {_listed(kept)} kept as a category" if kept else ""
    return replace(_coded(draft, "category", why, categories, codes), note=note)


def _mixture(draft: _Draft) -> str:
    """What share of the cells are numbers or dates where not all are, and the first that is not; "" if none is."""
    values, firm = draft.cells.values, draft.firm
    reads = {"numbers": ~np.isnan(read_numbers(values, ".")) & firm}
    reads["dates"] = np.any([~np.isnan(read_dates(values, order)) for order in DATES], axis=0) & firm
    kind = max(reads, key=lambda kind: draft.rows(reads[kind]))
    some, num = draft.rows(reads[kind]), draft.rows(firm)
    if some == 0:
        return _unit(draft)
    if some == num:
        return ""
    return f"{some:,} of {num:,} are {kind}, others are not ({draft.cells.example(firm & ~reads[kind])})"


def _unit(draft: _Draft) -> str:
    """What is to be said of numbers that all have the same unit or sign of a currency; "" for anything else."""
    values = draft.cells.some(draft.firm)
    if not matches(values, r"^[+-]?(?:[$€£¥] ?[0-9][0-9.,]*|[0-9][0-9.,]* ?[^0-9.,+\s-]{1,4})$").all():
        return ""
    units = pc.unique(pc.replace_substring_regex(values, r"[0-9.,+\s-]", ""))
    if len(units) > 1:
        return ""
    example = draft.cells.example(draft.firm)
    return f"numbers with {units[0].as_py()!r} ({example}); write it into the name of the column, not into its cells"


def _coded(draft: _Draft, kind: Kind, why: str, categories: tuple[str, ...], codes: np.ndarray) -> _Typed:
    """codes: (K,) of the cells."""
    rows = codes[draft.cells.codes]
    return _Typed(Column(draft.name, kind, why, int((rows == MISSING).sum()), categories), rows)


def _on_infinite(name: str, cells: Cells, infinite: np.ndarray) -> str:
    if not infinite.any():
        return ""
    rows = int(cells.counts[infinite].sum())
    said = "1 cell is" if rows == 1 else f"{rows:,} cells are"
    return f"{name}: {said} infinite or beyond {LARGEST:.1e}, taken as missing ({cells.example(infinite)})"


def _notes_on_marks(drafts: Sequence[_Draft], typed: Sequence[_Typed]) -> list[str]:
    """Which marks were read as missing, and in which columns."""
    where: dict[str, list[str]] = defaultdict(list)
    rows: dict[str, int] = defaultdict(int)
    for draft, one in zip(drafts, typed, strict=True):
        plain = one.column.kind in ("number", "date", "boolean")
        marks = draft.sure | draft.soft if plain else draft.sure
        for mark, count in zip(draft.cells.some(marks).to_pylist(), draft.cells.counts[marks].tolist(), strict=True):
            where[mark].append(draft.name)
            rows[mark] += count
    return [
        f"{'empty cells' if mark == '' else repr(mark)} read as missing: {rows[mark]:,} in {_listed(names, quote='')}"
        for mark, names in where.items()
    ]


def _listed(names: Iterable[str], *, quote: str = "'", most: int = 5) -> str:
    shown = [f"{quote}{name}{quote}" for name in names]
    return ", ".join(shown) if len(shown) <= most else f"{', '.join(shown[:most])} and {len(shown) - most} more"


# A later table: by the kinds of the first


def _read_as(column: Column, cells: Cells) -> tuple[np.ndarray, list[str]]:
    """(N,) values of the column, float64 or codes, and what was not as in the earlier table."""
    if column.kind in ("category", "boolean"):
        return _codes_as(column, cells)
    if column.kind not in LEARNT:
        return np.where(cells.mask(MARKS)[cells.codes], MISSING, 0), []
    marks = cells.mask(MARKS) | cells.mask(SOFT_MARKS)
    notes = []
    if column.kind == "date":
        found = read_dates(cells.values, column.reading)
        year_first = read_dates(cells.values, "iso")  # never in doubt, whatever the earlier table had
        other_order = np.isnan(found) & ~np.isnan(year_first)
        if other_order.any():
            found = np.where(other_order, year_first, found)
            notes.append(
                f"{column.name}: some dates come with the year first, unlike before ({cells.example(other_order)})"
            )
    else:
        mark = _mark(column.reading)
        found = read_numbers(cells.values, mark)
        unread = np.isnan(found[~marks]).any()  # the other mark is costly to try
        other = read_numbers(cells.values, "." if mark == "," else ",") if unread else found
        if unread and not np.isnan(other[~marks]).any():
            found = other
            notes.append(f"{column.name}: the decimal mark is not {mark!r} as in the earlier table, and was read so")
    infinite = (np.abs(found) > LARGEST) & ~marks
    notes += [_on_infinite(column.name, cells, infinite)] if infinite.any() else []
    odd = np.isnan(found) & ~marks
    if odd.any():
        rows, what = int(cells.counts[odd].sum()), f"no {column.kind}"
        said = f"1 cell is {what}" if rows == 1 else f"{rows:,} cells are {what}"
        notes.append(f"{column.name}: {said}, taken as missing ({cells.example(odd)})")
    return np.where(infinite | marks, np.nan, found)[cells.codes], notes


def _codes_as(column: Column, cells: Cells) -> tuple[np.ndarray, list[str]]:
    known = pa.array(column.categories, pa.large_string())
    places = pc.index_in(cells.values, value_set=known).fill_null(UNSEEN).to_numpy().astype(np.int64)
    marks = cells.mask(MARKS)
    if column.kind == "boolean":
        marks |= cells.mask(SOFT_MARKS)
        truth, own = read_booleans(cells.values), read_booleans(known)
        places = np.where(truth == NEITHER, UNSEEN, np.where(truth == own[0], 0, 1))
    else:
        # A whole number may come as 3 from one file and as 3.0 from another.
        numbers, own_numbers = read_numbers(cells.values, "."), read_numbers(known, ".")
        code = {float(number): k for k, number in reversed(list(enumerate(own_numbers))) if np.isfinite(number)}
        plain = ~leading_zeros(cells.values) & (np.abs(numbers) < EXACT)
        for k in np.flatnonzero((places == UNSEEN) & plain):
            text = column.categories[code[numbers[k]]] if float(numbers[k]) in code else ""
            places[k] = code[numbers[k]] if text and not re.match("[+-]?0[0-9]", text) else UNSEEN
    places = np.where((places == UNSEEN) & marks, MISSING, places)
    unseen = places == UNSEEN
    if not unseen.any():
        return places[cells.codes], []
    rows, new = int(cells.counts[unseen].sum()), int(unseen.sum())
    said = f"{rows:,} rows have" if rows > 1 else "1 row has"
    note = f"{column.name}: {said} categories that the earlier table had not ({new:,} new; {cells.example(unseen)})"
    return places[cells.codes], [note]
