"""A later table, read by the kinds of the one that was trained on, and by what the later file itself shows.

Its decimal mark and the order of its dates are its own: its cells decide, then its other columns, then what was trained
on. What stays open is refused; what cannot be read is counted and said; what is far from what was trained on is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError
from tame.data.labels import case_key, visible
from tame.data.table_cells import (
    DATE_MARKS,
    DATES,
    LARGEST,
    MARKS,
    NEITHER,
    ORDERS,
    SAID_MARKS,
    SOFT_MARKS,
    Cells,
    Decimal,
    cells_of,
    leading_zeros,
    matches,
    read_booleans,
    read_dates,
    read_numbers,
)
from tame.data.table_kinds import EXACT, listed, on_infinite, text_codes
from tame.data.table_numbers import MINUS, ambiguous, in_brackets, lack_unit, signed, votes_of, without_unit
from tame.data.tables import LEARNT, MISSING, UNSEEN, Column, RawTable, Table

MIXED = 0.1  # share of cells written in the other way from which on a column is refused as mixed
MORE_MISSING = 0.2  # of the rows, more than in training: told
OUTSIDE = 0.05  # of the values outside what was trained on: told
PARTS = ("%", "\u2030")  # units of which a hundred or a thousand are 1
WIDER = 0.5  # of the range that was trained on, which a later value may lie beyond it


def apply_kinds(
    raw: RawTable, columns: Sequence[Column], *, beside: Sequence[str] = (), same: bool = False
) -> tuple[Table, tuple[str, ...]]:
    """A later table read by the kinds of an earlier one, and notes on what was not as in that.

    beside: columns that may be there and are no features, such as the target; nothing is said of them. same: whether
    it is the very table that the kinds come from, so that nothing is looked at again.

    Columns are found by name, in any order. Ones that are not there are missing in all rows; what cannot be read as a
    number or date is missing; categories that the earlier table had not are UNSEEN. All of that is in the notes, with
    counts. Raises DataError where no column to learn from is there, and where cells can be read in two ways and
    nothing decides.
    """
    wanted = [column.name for column in columns if column.kind in LEARNT]
    absent = [name for name in wanted if name not in raw.names]
    if wanted and len(absent) == len(wanted):
        raise DataError(f"none of the columns is there: {listed(wanted)} (found: {listed(raw.names)})")
    notes = [f"columns not there, taken as missing in all rows: {listed(absent)}"] if absent else []
    known = {*beside, *(column.name for column in columns)}
    extra = [name for name in raw.names if name not in known]
    if extra:
        notes.append(f"columns that the earlier table had not, ignored: {listed(extra)}")
    file = Evidence(raw, tuple(columns))
    values, texts, again = dict[str, np.ndarray](), dict[str, tuple[str, ...]](), list[Column]()
    for column in columns:
        missing = raw.num_rows
        if column.kind == "text":
            texts[column.name] = ()
        if column.name in raw.names:
            if column.kind == "text":
                cells = cells_of(raw.cells(column.name))
                # As in `marks_of`: a text that a typed table holds, or that the user said is one, is never a mark.
                marks = MARKS if raw.separator and not column.told else ("",)
                found, texts[column.name] = text_codes(cells, cells.mask(marks))
                said: list[str] = []
            else:
                found, said = _read_as(column, file, same=same)
            missing = int(np.isnan(found).sum() if found.dtype.kind == "f" else (found == MISSING).sum())
            notes += [*said, *([] if same else _unusual(column, found, missing))]
        elif column.kind in ("number", "date"):
            found = np.full(raw.num_rows, np.nan)
        else:
            found = np.full(raw.num_rows, MISSING, dtype=np.int64)
        if column.kind in LEARNT:
            values[column.name] = found
        again.append(replace(column, missing=missing) if column.kind in LEARNT else column)
    notes = _together(notes)
    return Table(tuple(again), values, raw.num_rows, (*raw.notes, *notes), texts), tuple(notes)


def _together(notes: Sequence[str]) -> list[str]:
    """The notes, those that say the same of several columns as one."""
    names: dict[str, list[str]] = {}
    for note in notes:
        name, _, said = note.partition(": ")
        names.setdefault(said, []).append(name)
    return [f"{listed(own, quote='')}: {said}" if said else own[0] for said, own in names.items()]


@dataclass(frozen=True)
class Evidence:
    """What a file shows of how it writes numbers and dates. columns: of the table that was trained on."""

    raw: RawTable
    columns: tuple[Column, ...]

    @cached_property
    def marks(self) -> dict[str, int]:
        """Cells that are numbers by a decimal point only (.) and by a comma only (,), of all columns of numbers."""
        found = {".": 0, ",": 0}
        for column in self.columns:
            if column.kind == "number" and self._is_text(column.name):
                cells = cells_of(self.raw.cells(column.name))
                votes = votes_of(without_unit(cells.values, column.unit))
                found["."] += cells.rows(votes.point)
                found[","] += cells.rows(votes.comma)
        return found

    @cached_property
    def orders(self) -> dict[str, int]:
        """Cells that are dates with the day first only (dmy) and with the month first only (mdy)."""
        found = {"dmy": 0, "mdy": 0}
        for column in self.columns:
            if column.kind == "date" and self._is_text(column.name):
                cells = cells_of(self.raw.cells(column.name))
                day, month = (~np.isnan(read_dates(cells.values, order)) for order in ("dmy", "mdy"))
                found["dmy"] += cells.rows(day & ~month)
                found["mdy"] += cells.rows(month & ~day)
        return found

    def _is_text(self, name: str) -> bool:
        return name in self.raw.names and not self.raw.declared(name)


def _read_as(column: Column, file: Evidence, *, same: bool) -> tuple[np.ndarray, list[str]]:
    """(N,) values of the column, float64 or codes, and what was not as in the earlier table."""
    if column.kind == "number" and file.raw.declared(column.name) == "number":
        values = np.asarray(file.raw.columns[column.name], dtype=np.float64)
        if not (np.abs(values) > LARGEST).any() and not column.unit:
            return values, []
    cells = cells_of(file.raw.cells(column.name))
    if column.kind in ("category", "boolean"):
        return _codes_as(column, cells)
    if column.kind not in LEARNT:
        return np.where(cells.mask(MARKS)[cells.codes], MISSING, 0), []
    marks = cells.mask(MARKS) | cells.mask_any_case(SOFT_MARKS) | cells.mask_any_case(SAID_MARKS)
    if column.kind == "date":
        found, notes = _dates_as(column, cells, marks, file, same=same)
    else:
        found, notes = _numbers_as(column, cells, marks, file, same=same)
    infinite = (np.abs(found) > LARGEST) & ~marks
    notes += [on_infinite(column.name, cells, infinite)] if infinite.any() else []
    odd = np.isnan(found) & ~marks
    if odd.any():
        rows = cells.rows(odd)
        said = f"1 cell is not a {column.kind}" if rows == 1 else f"{rows:,} cells are not {column.kind}s"
        said += f" in {column.unit!r}" if column.unit else ""
        notes.append(f"{column.name}: {said}, taken as missing ({cells.example(odd)})")
    return np.where(infinite | marks, np.nan, found)[cells.codes], notes


# Numbers


def read_later_column(column: Column, raw: RawTable, others: Sequence[Column] = ()) -> tuple[np.ndarray, list[str]]:
    """(N,) numbers or days of a column of a later table, NaN where there is none or it cannot be read, and notes.

    others: the columns beside it, which may show how the file writes numbers. Raises DataError as `apply_kinds`.
    """
    return _read_as(column, Evidence(raw, (column, *others)), same=False)


def _numbers_as(
    column: Column, cells: Cells, marks: np.ndarray, file: Evidence, *, same: bool
) -> tuple[np.ndarray, list[str]]:
    """(K,) float64, NaN for what is not a number, and notes."""
    own: Decimal = "," if column.reading == "decimal comma" else "."
    notes: list[str] = []
    cells = _with_signs(column, cells, ~marks, notes, same=same)
    declared = file.raw.declared(column.name)
    if declared == "boolean" and not same:
        notes.append(f"{column.name}: yes and no, not numbers as in the training table, and were read as 1 and 0")
    if declared in ("number", "boolean"):
        texts = pc.replace_substring(pc.replace_substring(cells.values, "true", "1"), "false", "0")
        return _in_unit(column, cells, read_numbers(texts, "."), ~marks, notes, same=same), notes
    texts = without_unit(cells.values, column.unit)
    mark = own if same or (column.told and column.reading) else _mark_of(column, own, cells, texts, ~marks, file)
    found = read_numbers(texts, mark)
    if mark != own:
        other = votes_of(texts)
        differs = (other.comma if mark == "," else other.point) | other.open
        if (differs & ~marks).any():
            notes.append(
                f"{column.name}: the decimal mark is {mark!r}, not {own!r} as in the training table, and was read so"
            )
    return _in_unit(column, cells, found, ~marks, notes, same=same), notes


def _with_signs(column: Column, cells: Cells, firm: np.ndarray, notes: list[str], *, same: bool) -> Cells:
    """The cells with a minus in place of brackets, where these mean negative numbers. Adds to the notes.

    They do where they did in training, or where no number of the later column has a minus.
    """
    brackets = in_brackets(cells.values) & firm
    known = "brackets" in column.forms
    if not brackets.any() or (not known and (same or matches(cells.values, MINUS).any())):
        return cells
    if not known:
        rows = cells.rows(brackets)
        said = "1 number comes" if rows == 1 else f"{rows:,} numbers come"
        notes.append(f"{column.name}: {said} in brackets and read as negative ({cells.example(brackets)})")
    return replace(cells, values=signed(cells.values))


def _in_unit(
    column: Column, cells: Cells, found: np.ndarray, firm: np.ndarray, notes: list[str], *, same: bool
) -> np.ndarray:
    """(K,) the numbers; NaN for those without the unit where others have it. Adds to the notes.

    Where none has it, they are taken as with it, if all are as those that were trained on. Raises DataError otherwise,
    and where per cents may have become shares of 1.
    """
    bare = lack_unit(cells.values, column.unit) & firm
    if not bare.any():
        return found
    if same or (firm & ~bare & ~np.isnan(found) & (found != 0)).any():
        return np.where(bare, np.nan, found)
    example, rows = cells.example(bare), cells.rows(bare)
    given = found[bare & ~np.isnan(found)]
    shares = column.unit in PARTS and (column.high or 0.0) > 1 and bool((np.abs(given) <= 1).all())
    inside = _inside(column, given)
    if shares or not inside:
        why = "may be shares of 1" if inside else "lies outside what was trained on"
        raise DataError(
            f"column {column.name!r} comes without {column.unit!r} ({example}) and {why}: "
            f"write its numbers with {column.unit!r}, as in the training table"
        )
    said = "1 number comes" if rows == 1 else f"{rows:,} numbers come"
    notes.append(f"{column.name}: {said} without {column.unit!r}, read as with it ({example})")
    return found


def _mark_of(column: Column, own: Decimal, cells: Cells, texts: pa.Array, firm: np.ndarray, file: Evidence) -> Decimal:
    """The decimal mark of a later column. Raises DataError where it is mixed, or open and nothing decides."""
    votes = votes_of(texts)
    rows = {".": cells.rows(votes.point & firm), ",": cells.rows(votes.comma & firm)}
    mark: Decimal = "." if rows["."] > rows[","] else ","
    rest = min(rows.values())
    if rest and rest > MIXED * sum(rows.values()):
        point, comma = cells.example(votes.point & firm), cells.example(votes.comma & firm)
        raise DataError(
            f"column {column.name!r} mixes decimal points and decimal commas ({point}; {comma}): write them in one way"
        )
    if sum(rows.values()):
        return mark
    is_open = votes.open & firm
    if not is_open.any():
        return own
    fits = {each: _fits(column, read_numbers(texts, each)[is_open]) for each in (".", ",")}
    shown = file.marks
    doubt = ambiguous(column.name, cells, texts.filter(pa.array(is_open)))
    if sum(shown.values()) and min(shown.values()) <= MIXED * sum(shown.values()):
        mark = "." if shown["."] > shown[","] else ","
        if fits[mark] or not fits["," if mark == "." else "."]:
            return mark
        raise doubt  # the file says one thing, and what was trained on another
    if fits["."] != fits[","]:
        return "." if fits["."] else ","
    if _may_be_own(column, own, texts.filter(pa.array(is_open)), file.raw.separator):
        return own
    raise doubt


def _may_be_own(column: Column, own: Decimal, texts: pa.Array, separator: str) -> bool:
    """Whether texts that can be read by both marks can be read by the one that was trained on, `own`."""
    has_point, has_comma = (bool(matches(texts, rf"[0-9][{mark}]").any()) for mark in ".,")
    if has_point and has_comma:
        return False
    usual: Decimal = "." if has_comma == (separator in (",", "")) else ","
    if column.forms:  # by it these texts must be whole, or numbers with separated thousands, as they were
        return usual == own and has_comma == (own == ".")
    return usual == own or (own == "." and not has_comma)


def _fits(column: Column, values: np.ndarray) -> bool:
    """Whether these values are as those that were trained on: in their range or near it, and whole where all were."""
    return _inside(column, values) and ("whole" not in column.forms or bool((values == np.round(values)).all()))


def _inside(column: Column, values: np.ndarray) -> bool:
    """Whether all values lie in the range that was trained on, or near it."""
    low, high = _range(column)
    return bool(((values >= low) & (values <= high)).all())


def _range(column: Column) -> tuple[float, float]:
    """The range that was trained on, widened by half of itself; of values of one sign at most by half of its logarithm.

    Otherwise everything near 0 would lie near 50,000 to 300,000 too.
    """
    if column.low is None or column.high is None:
        return -np.inf, np.inf
    low, high = column.low, column.high
    width = WIDER * (high - low)
    least, most = low - width, high + width
    if column.kind == "number" and low > 0:
        least = max(least, low * (low / high) ** WIDER)
    if column.kind == "number" and high < 0:
        most = min(most, high * (high / low) ** WIDER)
    return least, most


# Dates


def _dates_as(
    column: Column, cells: Cells, marks: np.ndarray, file: Evidence, *, same: bool
) -> tuple[np.ndarray, list[str]]:
    """(K,) days since 1970, NaN for what is not a date, and notes."""
    if file.raw.declared(column.name) == "date":
        return read_dates(cells.values, "iso"), []
    reads = {order: read_dates(cells.values, order) for order in DATES}
    order = column.reading if same or column.told else _order_of(column, cells, reads, ~marks, file)
    found, notes = reads[order], []
    if order != column.reading:
        notes.append(
            f"{column.name}: dates come with the {ORDERS[order]}, not the {ORDERS[column.reading]} as in the training "
            f"table, and were read so ({cells.example(~np.isnan(found) & ~marks)})"
        )
    year_first = np.isnan(found) & ~np.isnan(reads["iso"])  # never in doubt, whatever the earlier table had
    if year_first.any():
        found = np.where(year_first, reads["iso"], found)
        notes.append(f"{column.name}: some dates come with the year first, unlike before ({cells.example(year_first)})")
    return found, notes


def _order_of(column: Column, cells: Cells, reads: dict[str, np.ndarray], firm: np.ndarray, file: Evidence) -> str:
    """The order of a later column of dates. Raises DataError where it is mixed, or open and nothing decides."""
    can = {order: ~np.isnan(days) & firm for order, days in reads.items()}
    only = {"dmy": can["dmy"] & ~can["mdy"], "mdy": can["mdy"] & ~can["dmy"]}
    either = can["dmy"] | can["mdy"]
    if not either.any():
        return "iso" if can["iso"].any() and column.reading == "iso" else column.reading
    rows = {order: cells.rows(chosen) for order, chosen in only.items()}
    if min(rows.values()) > MIXED * sum(rows.values()):
        both = "; ".join(cells.example(chosen) for chosen in only.values())
        raise DataError(
            f"column {column.name!r} mixes dates with the day first and dates with the month first ({both}): "
            "write them in one way, best as 2024-02-29"
        )
    if sum(rows.values()):
        return max(rows, key=lambda order: rows[order])
    texts = cells.some(either)
    marks = {mark for mark in DATE_MARKS if matches(texts, f"^[0-9]{{1,2}}[{mark}]").any()}
    as_trained = column.reading in only and (not column.forms or marks <= set(column.forms))
    dotted = marks == {"."} and not (column.reading == "mdy" and "." in column.forms)
    others = file.orders
    if sum(others.values()) and min(others.values()) <= MIXED * sum(others.values()):
        order = max(others, key=lambda order: others[order])
        if not (dotted and order == "mdy"):
            return order
    elif dotted:  # months never come first in dates with points
        return "dmy"
    elif as_trained:
        return column.reading
    raise DataError(
        f"column {column.name!r} is ambiguous: in {cells.example(either)} the day or the month may come first, and the "
        f"dates that were trained on, with the {ORDERS[column.reading]}, were written otherwise; write its dates as "
        "2024-02-29"
    )


# Categories


def _codes_as(column: Column, cells: Cells) -> tuple[np.ndarray, list[str]]:
    known = pa.array(column.categories, pa.large_string())
    places = pc.index_in(cells.values, value_set=known).fill_null(UNSEEN).to_numpy().astype(np.int64)
    marks = cells.mask(("",) if column.told else MARKS)
    if column.kind == "boolean":
        marks |= cells.mask_any_case(SOFT_MARKS)
        texts = cells.values.to_pylist()
        plain = pa.array([re.sub(r"^([01])\.0*$", r"\1", text) for text in texts], pa.large_string())
        truth, own = read_booleans(plain), read_booleans(known)
        places = np.where(truth == NEITHER, UNSEEN, np.where(truth == own[0], 0, 1))
    else:
        places = _by_look(column, cells, _by_number(column, cells, known, places))
    places = np.where((places == UNSEEN) & marks, MISSING, places)
    unseen = places == UNSEEN
    if not unseen.any():
        return places[cells.codes], []
    rows, new = cells.rows(unseen), int(unseen.sum())
    said = f"{rows:,} rows have" if rows > 1 else "1 row has"
    note = f"{column.name}: {said} categories that the earlier table had not ({new:,} new; {cells.example(unseen)})"
    return places[cells.codes], [note]


def _by_number(column: Column, cells: Cells, known: pa.Array, places: np.ndarray) -> np.ndarray:
    """The codes (K,), of those UNSEEN the ones that are the same number: 3 from one file and 3.0 from another."""
    numbers, own_numbers = read_numbers(cells.values, "."), read_numbers(known, ".")
    code = {float(number): k for k, number in reversed(list(enumerate(own_numbers))) if np.isfinite(number)}
    plain = ~leading_zeros(cells.values) & (np.abs(numbers) < EXACT)
    for k in np.flatnonzero((places == UNSEEN) & plain):
        text = column.categories[code[numbers[k]]] if float(numbers[k]) in code else ""
        places[k] = code[numbers[k]] if text and not re.match("[+-]?0[0-9]", text) else UNSEEN
    return places


def _by_look(column: Column, cells: Cells, places: np.ndarray) -> np.ndarray:
    """The codes (K,), of those UNSEEN the ones that look the same, or the same but for capitals."""
    unseen = np.flatnonzero(places == UNSEEN)
    if not len(unseen):
        return places
    for key in (visible, lambda text: case_key(visible(text))):
        codes: dict[str, set[int]] = {}
        for code, text in enumerate(column.categories):
            codes.setdefault(key(text), set()).add(code)
        for k in unseen:
            found = codes.get(key(cells.values[int(k)].as_py()), set())
            if places[k] == UNSEEN and len(found) == 1:
                places[k] = next(iter(found))
    return places


# What is unusual


def _unusual(column: Column, found: np.ndarray, missing: int) -> list[str]:
    """What is to be said of a column that is read, and is far from what was trained on. found: (N,)."""
    if column.kind not in LEARNT or not column.rows:
        return []
    notes, num = [], len(found)
    before, now = column.missing / column.rows, missing / num
    if now > before + MORE_MISSING:
        notes.append(
            f"{column.name}: {missing:,} of {num:,} values are missing ({100 * now:.0f} %), and "
            f"{100 * before:.0f} % in the training table"
        )
    if found.dtype.kind == "f" and column.low is not None and missing < num:
        low, high = _range(column)
        values = found[~np.isnan(found)]
        outside = (values < low) | (values > high)
        if outside.mean() > OUTSIDE:
            rows = int(outside.sum())
            ends = [f"{end:.6g}" for end in (column.low, column.high or 0.0)]
            one = f"{values[outside][0]:.6g}"
            if column.kind == "date":
                days = [column.low, column.high or 0.0, float(values[outside][0])]
                *ends, one = [str(np.datetime64(int(np.floor(day)), "D")) for day in days]
            notes.append(
                f"{column.name}: {rows:,} of {len(values):,} values, such as {one}, are far outside {ends[0]} to "
                f"{ends[1]}, which was trained on"
            )
    return notes
