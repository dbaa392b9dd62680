"""Which kind each column is, decided from all rows, or by what the user said."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError, require
from tame.data.labels import case_key, lookalikes
from tame.data.table_cells import (
    DATE_MARKS,
    DATES,
    LARGEST,
    ORDERS,
    Cells,
    are_boolean,
    are_whole,
    leading_zeros,
    matches,
    merged_by,
    read_booleans,
    read_dates,
    read_dates_or_iso,
    read_numbers,
)
from tame.data.table_drafts import Draft, decimal_mark, draft_of, require_told, settled, unread_numbers
from tame.data.table_numbers import forms_of, on_sentinel
from tame.data.tables import LEARNT, MISSING, Column, Kind, RawTable, Reading, Table, require_column
from tame.data.texts import normalised

EXACT = 2**53  # whole numbers beyond lose digits in float64
FEW = 20  # rows; of fewer, different cells do not show an identifier or free text
NEARLY_ALL = 0.95  # different cells per row
DENSE = 1.1  # the range of whole numbers per row that still is a numbering
TEXT_WORDS = 4.0  # words per cell
LONG = 10  # characters per cell: names and texts, in Chinese two short clauses
DIGITS = 0.1  # of the characters: keys and numbers of articles have more
SOMETIMES = 0.25  # different cells per row, of a column of so many words that comes several times
ID_NAME = re.compile(r"^(?:id|uuid|guid|index|row_?id|row_?(?:no|number))$|[_\s-]id$", re.IGNORECASE)
ID_TAIL = re.compile(r"[a-z]I[dD]$")  # customerId


@dataclass(frozen=True, slots=True)
class _Typed:
    """A column and its values (N,), or None; `numbering`: values that an identifier would have as a number; texts:
    the different ones of a column of text, which its values are codes into."""

    column: Column
    values: np.ndarray | None = None
    note: str = ""
    numbering: np.ndarray | None = None
    texts: tuple[str, ...] = ()


def type_table(
    raw: RawTable, *, target: str | None, ignore: Sequence[str] = (), told: Mapping[str, str] | None = None
) -> Table:
    """The columns of `raw` but the target and the ignored ones, each of a kind, with the reasons in words.

    told: what the user said that columns are, by name, in the words of `core/columns.py`. Raises DataError for names
    that are not there, for numbers that can be read in two ways, and for columns that are not what was said.
    """
    told = told or {}
    for name in (*ignore, *told, *([target] if target is not None else [])):
        require_column(name, raw.names)
    names = [name for name in raw.names if name != target and name not in ignore]
    require(bool(names), "there is no column beside the target and the ignored ones", error=DataError)
    quick = {name: found for name in names if name not in told and (found := _declared(raw, name)) is not None}
    drafts = settled([draft_of(raw, name, told=told.get(name, "")) for name in names if name not in quick], raw)
    looked = [_as_told(draft, told[draft.name]) if draft.name in told else _type(draft) for draft in drafts]
    by_name = {**quick, **{one.column.name: one for one in looked}}
    typed = [by_name[name] for name in names]
    if not any(one.column.kind in LEARNT for one in typed):
        typed = [_as_number(one) for one in typed]
    notes = [
        *raw.notes,
        *_notes_on_marks(drafts, looked, list(quick.values())),
        *(one.note for one in typed if one.note),
    ]
    notes += [note for draft in drafts for note in _on_merged(draft)]
    if ignore:
        notes.append(f"left out as told: {listed(ignore)}")
    values = {one.column.name: one.values for one in typed if one.values is not None}
    columns = tuple(replace(one.column, rows=raw.num_rows) for one in typed)
    texts = {one.column.name: one.texts for one in typed if one.column.kind == "text"}
    return Table(columns, values, raw.num_rows, tuple(notes), texts)


# A first table: from cells to a kind


def _type(draft: Draft) -> _Typed:
    if not draft.firm.any():
        why = "every cell is missing"
        return _Typed(Column(draft.name, "constant", why, missing=len(draft.cells.codes)))
    firm = draft.cells.some(draft.firm)
    if draft.declared != "category" and are_boolean(firm):
        return _words(draft) if draft.said.any() else _boolean(draft, read_booleans(firm))
    if draft.decimal:
        return _number(draft)
    if draft.order:
        return _date(draft)
    return _words(draft)


def _as_told(draft: Draft, told: str) -> _Typed:
    """The column as the user said. Raises DataError where it cannot be that."""
    kind = told.partition(":")[0]
    why = f"said to be {'a ' if kind != 'ignore' else ''}{told}"
    if kind == "ignore":
        column = Column(draft.name, "ignored", "left out as told", draft.rows(draft.sure), told=True)
        return _Typed(column)
    require_told(draft, told)
    if kind == "category":
        one = _categories(draft, draft.cells, "")
    elif kind == "text":
        one = _text(draft, f"{len(draft.cells.values):,} different")
    elif kind == "boolean":
        firm = draft.cells.some(draft.firm)
        fits = draft.firm.any() and are_boolean(firm)
        example = f" ({draft.cells.example(draft.firm)})" if draft.firm.any() else ""
        wrong = (
            f"column {draft.name!r} was said to be a boolean, and its cells are not all words for yes and no{example}"
        )
        require(bool(fits), wrong, error=DataError)
        one = _boolean(draft, read_booleans(firm))
    else:
        one = _number(draft, told=True) if kind == "number" else _date(draft)
    named = one.column.categories or one.texts
    different = len(named) if named else 2 * (one.values is not None)
    require(
        different > 1, f"column {draft.name!r} was said to be a {kind}, and has {one.column.why or 'one value'}: "
        f"there is nothing to learn from it; say --column {draft.name}=ignore", error=DataError,
    )  # fmt: skip
    return replace(one, column=replace(one.column, why=f"{why}; {one.column.why}", told=True))


def _boolean(draft: Draft, truth: np.ndarray) -> _Typed:
    spelled, counts = draft.cells.some(draft.firm).to_pylist(), draft.cells.counts[draft.firm]
    rows = {value: int(counts[truth == value].sum()) for value in (0, 1)}
    order = sorted((0, 1), key=lambda value: (-rows[value], value))
    commonest = {value: max(np.flatnonzero(truth == value), key=lambda k: int(counts[k])) for value in (0, 1)}
    categories = tuple(spelled[commonest[value]] for value in order)
    codes = np.full(len(draft.firm), MISSING, dtype=np.int64)
    codes[draft.firm] = np.array([order.index(0), order.index(1)])[truth]
    others = sorted(set(spelled) - set(categories))
    also = f", also written {listed(others)}" if others else ""
    why = f"only {categories[0]!r} ({rows[order[0]]:,}) and {categories[1]!r} ({rows[order[1]]:,}){also}"
    return _coded(draft.name, "boolean", why, categories, codes[draft.cells.codes])


def _declared(raw: RawTable, name: str) -> _Typed | None:
    """A column that the table declares to be numbers, without a look at how they are written.

    None where there is more to it: few values, infinite ones, or whole numbers that a float would change.
    """
    if raw.declared(name) != "number":
        return None
    values = np.asarray(raw.columns[name], dtype=np.float64)
    gone = np.isnan(values)
    finite = np.unique(values[~gone])
    if len(finite) < 3 or np.abs(finite[[0, -1]]).max() > (EXACT if raw.columns[name].dtype.kind == "i" else LARGEST):
        return None
    whole = bool((finite == np.round(finite)).all())
    kinds = "whole numbers" if whole else "numbers"
    why = f"{kinds} from {finite[0]:.10g} to {finite[-1]:.10g}, {len(finite):,} different"
    missing = int(gone.sum())
    forms = ("whole",) if whole else ()
    column = Column(name, "number", why, missing, low=float(finite[0]), high=float(finite[-1]), forms=forms)
    said = _numbering(name, finite, num=len(values) - missing) if whole else ""
    if said:
        return _Typed(replace(column, kind="identifier", why=said), numbering=values)
    return _Typed(column, values, on_sentinel(name, values[~gone], np.ones(len(values) - missing)))


def _number(draft: Draft, *, told: bool = False) -> _Typed:
    """told: whether the user said that these are numbers, and not names made of digits."""
    cells, good = draft.cells, draft.good
    numbers = np.where(good, read_numbers(draft.bare, decimal_mark(draft)), np.nan)
    texts = draft.bare if good.all() else draft.bare.filter(pa.array(good))
    whole = are_whole(texts)
    if whole and not told:
        zeros = leading_zeros(cells.values) & good
        if zeros.any():
            return _words(draft, f"digits with leading zeros, which numbers would lose ({cells.example(zeros)})")
        beyond = (np.abs(numbers) > EXACT) & good
        if beyond.any():
            return _words(draft, f"whole numbers too large to be kept exactly ({cells.example(beyond)})")
    infinite = (np.abs(numbers) > LARGEST) & good
    finite = np.unique(numbers[good & ~infinite])
    missing = draft.rows(~good | infinite)
    sure = good & ~infinite
    told_of = on_sentinel(draft.name, numbers[sure], cells.counts[sure])
    brackets = f"{draft.name}: {draft.brackets}" if draft.brackets else ""
    notes = (on_infinite(draft.name, cells, infinite), _on_odd(draft, "number"), told_of, brackets)
    note = "; ".join(each for each in notes if each)
    if len(finite) < 2:
        why = f"one value, {finite[0]:.10g}" if len(finite) else "no finite value"
        return _Typed(Column(draft.name, "constant", why, missing), note=note)
    values = np.where(infinite, np.nan, numbers)[cells.codes]
    forms = (*forms_of(texts, finite, decimal_mark(draft)), *(("brackets",) if draft.brackets else ()))
    whole = whole or "whole" in forms
    kinds = "whole numbers" if whole else "numbers"
    why = f"{kinds} from {finite[0]:.10g} to {finite[-1]:.10g}, {len(finite):,} different"
    why += "; thousands separated" if "thousands" in forms else ""
    reading: Reading = "decimal comma" if draft.decimal == "," else ""
    why += "; decimal comma" if reading and matches(texts, ",").any() else ""
    why += f"; in {draft.unit!r}" if draft.unit else ""
    why += f"; {draft.rows(infinite):,} infinite or too large" if infinite.any() else ""
    why += f"; {draft.rows(draft.odd):,} not read" if draft.odd.any() else ""
    column = Column(
        draft.name, "number", why, missing, reading=reading, unit=draft.unit, low=float(finite[0]),
        high=float(finite[-1]), forms=forms,
    )  # fmt: skip
    said = _numbering(draft.name, finite, num=draft.rows(good)) if whole and not told else ""
    if said:
        return _Typed(replace(column, kind="identifier", why=said), note=note, numbering=values)
    return _Typed(column, values, note)


def _on_odd(draft: Draft, kind: str) -> str:
    """What is to be said of the few cells that are not read."""
    if not draft.odd.any():
        return ""
    rows = draft.rows(draft.odd)
    said = f"1 cell is not a {kind}" if rows == 1 else f"{rows:,} cells are not {kind}s"
    unit = f" in {draft.unit!r}" if draft.unit else ""
    return f"{draft.name}: {said}{unit} and taken as missing ({draft.cells.example(draft.odd)})"


def _on_merged(draft: Draft) -> list[str]:
    """What is to be said of cells that look the same and were not."""
    if not draft.cells.merged or draft.decimal or draft.order:
        return []
    merged = dict.fromkeys(draft.cells.merged)
    return [f"{draft.name}: cells that differ only in what cannot be seen are one: {listed(merged)}"]


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
    why = f"{one.column.why}; trained on nevertheless, as there is no other column"
    return _Typed(replace(one.column, kind="number", why=why), one.numbering, one.note)


def _date(draft: Draft) -> _Typed:
    days = read_dates_or_iso(draft.cells.values, draft.order)
    found = days[draft.good]
    missing = draft.rows(~draft.good)
    note = _on_odd(draft, "date")
    if len(np.unique(found)) < 2:
        return _Typed(Column(draft.name, "constant", "one date", missing), note=note)
    ends = [str(np.datetime64(int(day), "D")) for day in (np.floor(found.min()), np.floor(found.max()))]
    why = f"dates from {ends[0]} to {ends[1]}, {ORDERS[draft.order]}"
    why += f"; {draft.rows(draft.odd):,} not read" if draft.odd.any() else ""
    reading = next(known for known in ("iso", "dmy", "mdy") if known == draft.order)
    values = np.where(draft.good, days, np.nan)[draft.cells.codes]
    low, high = float(found.min()), float(found.max())
    texts = draft.cells.some(draft.good)
    forms = tuple(mark for mark in DATE_MARKS if matches(texts, f"^[0-9]{{1,2}}[{mark}]").any())
    column = Column(draft.name, "date", why, missing, reading=reading, low=low, high=high, forms=forms)
    return _Typed(column, values, note)


def _words(draft: Draft, doubt: str = "") -> _Typed:
    """A column of words: category, identifier or free text. doubt: why it is not a number or date."""
    cells, chosen = draft.cells, ~draft.sure
    values, counts = cells.some(chosen), cells.counts[chosen]
    num, different = int(counts.sum()), len(counts)
    mixture = "" if draft.declared == "category" else _mixture(draft)
    unread = draft.doubt or mixture  # not names, and not read: such a column is not an identifier
    doubt = doubt or unread
    also = f"; {doubt}" if doubt else ""
    note = f"{draft.name} is not taken as numbers or dates: {doubt}" if doubt else ""
    column = Column(draft.name, "constant", "", len(cells.codes) - num)
    if different == 1:
        return _Typed(replace(column, why=f"one value, {values[0].as_py()!r:.60}{also}"), note=note)
    words = 0.0
    if num >= FEW and different > SOMETIMES * num:
        spaces = pc.count_substring_regex(values, r"\s+").to_numpy()
        words = float(((spaces + 1) * counts).sum() / num)
    if num >= FEW and (different > num / 2 or words >= TEXT_WORDS):
        why = f"{words:.1f} words, {different:,} different in {num:,} rows{also}"
        if words >= TEXT_WORDS:  # whatever a few cells look like
            return _text(draft, f"{words:.1f} words, {different:,} different in {num:,} rows")
        is_text = unread or (words >= 2 and different <= NEARLY_ALL * num)
        if not is_text and _may_be_texts(values):
            why += f"; if these are texts, say --text {shlex.quote(draft.name)}"
        note += f"; say --column {draft.name}=KIND to say what it is" if unread else ""
        return (
            replace(_text(draft, why), note=note)
            if is_text
            else _Typed(replace(column, kind="identifier", why=why), note=note)
        )
    texts = zip(cells.values.to_pylist(), draft.sure.tolist(), strict=True)
    one = merged_by(cells, [f"{int(mark)}{text if mark else case_key(text)}" for text, mark in texts])
    if len(one.values) < len(cells.values):
        said = listed(one.merged[len(cells.merged) :])
        merged = f"{draft.name}: cells that differ in capitals only are one: {said}"
        note = "; ".join(each for each in (note, f"{merged} (--column {draft.name}=category keeps them apart)") if each)
    found = replace(_categories(draft, one, also), note=note)
    twins = lookalikes(found.column.categories)
    if twins is not None:
        said = f"{draft.name}: {twins[0]!r} and {twins[1]!r} look alike and are two categories"
        found = replace(found, note="; ".join(each for each in (note, said) if each))
    if len(found.column.categories) > 1:
        return found
    return _Typed(replace(column, why=f"one value, {found.column.categories[0]!r:.60}{also}"), note=note)


def _may_be_texts(values: pa.Array) -> bool:
    """Whether different cells are as long as texts and are no numbers or keys: texts in a script without blanks."""
    characters = pc.sum(pc.utf8_length(values)).as_py()
    return bool(
        characters >= LONG * len(values)
        and pc.sum(pc.count_substring_regex(values, "[0-9]")).as_py() <= DIGITS * characters
    )


def _text(draft: Draft, why: str) -> _Typed:
    """The column as texts."""
    codes, texts = text_codes(draft.cells, draft.sure)
    return _Typed(Column(draft.name, "text", why, int((codes == MISSING).sum())), codes, texts=texts)


def text_codes(cells: Cells, missing: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(N,) codes of the texts in these cells, MISSING where there is none, and the different texts. missing: (K,)."""
    places: dict[str, int] = {}
    own = np.full(len(missing), MISSING, dtype=np.int64)
    for k in np.flatnonzero(~missing).tolist():
        text = normalised(cells.values[k].as_py())
        if text.strip():
            own[k] = places.setdefault(text, len(places))
    return own[cells.codes], tuple(places)


def _categories(draft: Draft, cells: Cells, also: str) -> _Typed:
    """The column as categories. cells: its own, perhaps with some merged."""
    missing = cells.mask(tuple(draft.cells.some(draft.sure).to_pylist()))
    values, counts = cells.some(~missing), cells.counts[~missing]
    if not len(values):
        return _Typed(Column(draft.name, "constant", "no value", len(cells.codes)))
    num, different = int(counts.sum()), len(counts)
    order = sorted(range(different), key=lambda k: (-int(counts[k]), values[k].as_py()))
    categories = tuple(values[k].as_py() for k in order)
    codes = np.full(len(missing), MISSING, dtype=np.int64)
    codes[np.flatnonzero(~missing)[order]] = np.arange(different)
    why = f"{different:,} categories, the commonest {categories[0]!r:.60} ({100 * counts.max() / num:.0f} %){also}"
    kept = draft.cells.some(draft.soft & ~draft.said).to_pylist()
    why += f"; {listed(kept)} kept as a category" if kept else ""
    return _coded(draft.name, "category", why, categories, codes[cells.codes])


def _mixture(draft: Draft) -> str:
    """What share of the cells are numbers or dates where not all are, and the first that is not; "" if none is."""
    values, firm = draft.cells.values, draft.firm
    reads = {"numbers": ~np.isnan(read_numbers(values, ".")) & firm}
    reads["dates"] = np.any([~np.isnan(read_dates(values, order)) for order in DATES], axis=0) & firm
    kind = max(reads, key=lambda kind: draft.rows(reads[kind]))
    some, num = draft.rows(reads[kind]), draft.rows(firm)
    if 0 < some < num:
        return f"{some:,} of {num:,} are {kind}, others are not ({draft.cells.example(firm & ~reads[kind])})"
    like = unread_numbers(draft)
    if not like.any():
        return ""
    return f"{draft.rows(like):,} of {num:,} look like numbers and cannot be read ({draft.cells.example(like)})"


def _coded(name: str, kind: Kind, why: str, categories: tuple[str, ...], codes: np.ndarray) -> _Typed:
    """codes: (N,) of the rows."""
    return _Typed(Column(name, kind, why, int((codes == MISSING).sum()), categories), codes)


def on_infinite(name: str, cells: Cells, infinite: np.ndarray) -> str:
    if not infinite.any():
        return ""
    rows = int(cells.counts[infinite].sum())
    said = "1 cell is" if rows == 1 else f"{rows:,} cells are"
    return f"{name}: {said} infinite or beyond {LARGEST:.1e}, taken as missing ({cells.example(infinite)})"


def _notes_on_marks(drafts: Sequence[Draft], typed: Sequence[_Typed], declared: Sequence[_Typed]) -> list[str]:
    """Which marks were read as missing, and in which columns. declared: columns without marks, which may have holes."""
    where: dict[str, list[str]] = defaultdict(list)
    rows: dict[str, int] = defaultdict(int)
    for draft, one in zip(drafts, typed, strict=True):
        plain = one.column.kind in ("number", "date", "boolean")
        marks = draft.sure | draft.soft if plain else draft.sure
        for mark, count in zip(draft.cells.some(marks).to_pylist(), draft.cells.counts[marks].tolist(), strict=True):
            where[mark].append(draft.name)
            rows[mark] += count
    for one in declared:
        if one.column.missing:
            where[""].append(one.column.name)
            rows[""] += one.column.missing
    return [
        f"{'empty cells' if mark == '' else repr(mark)} read as missing: {rows[mark]:,} in {listed(names, quote='')}"
        for mark, names in where.items()
    ] + [
        f"{draft.name}: {draft.na!r} is read as missing and may be a name: --column {draft.name}=category keeps it"
        for draft, one in zip(drafts, typed, strict=True)
        if draft.na and one.column.kind == "category"
    ]


def listed(names: Iterable[str], *, quote: str = "'", most: int = 5) -> str:
    shown = [f"{quote}{name}{quote}" for name in names]
    return ", ".join(shown) if len(shown) <= most else f"{', '.join(shown[:most])} and {len(shown) - most} more"
