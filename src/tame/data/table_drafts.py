"""A column before its kind is known: which cells are marks of missing values, and what nearly all others are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tame.core.errors import DataError
from tame.data.table_cells import (
    DATES,
    LIKE_DATES,
    MARKS,
    SAID_MARKS,
    SOFT_MARKS,
    Cells,
    Decimal,
    are_boolean,
    cells_of,
    decimal_of,
    has_any,
    matches,
    order_of,
    read_dates,
    read_numbers,
)
from tame.data.table_numbers import (
    MINUS,
    in_brackets,
    lack_unit,
    like_numbers,
    settle_decimal,
    signed,
    unit_of,
    votes_of,
)
from tame.data.tables import RawTable

LEAST_ROWS = 10  # of fewer, one odd cell is not odd
FEW_ODD, FEWEST_ODD = 0.05, 0.01  # share of cells that may be odd among many different numbers, and among few
MOST_CODES = 10  # different cells that look like numbers and may still be names
MANY = 20  # different numbers that are no codes
DROPPED_ODD = 0.2  # the same where nearly all cells differ, so that the column would be left out as text
CODES = 3  # of two letters, beside which NA is one too
# Codes of regions; beside one of them NA is North America.
REGIONS = frozenset(
    {"EMEA", "APAC", "LATAM", "EU", "EUR", "EUW", "EUNE", "ASIA", "AMER", "ANZ", "MEA", "MENA", "CALA", "ROW", "APJ"}
)
MAY_BE_NAMES = ("NA", "Nan", "Null")  # marks that are names too: North America, Namibia, people
HEXADECIMAL = "^[+-]?0[xX][0-9a-fA-F]+$"
ASKS_NA = r"^\p{Lu}[^0-9].*|^\p{Lu}+[0-9]+$"  # cells beside which they may be: names and codes


@dataclass(frozen=True, slots=True)
class Draft:
    """A column before its kind is known. (K,) each: sure, soft: marks of missing values, by themselves and beside
    numbers; said: those of the soft ones that are an answer beside yes and no; firm: the other cells; odd: those of
    them that cannot be read as nearly all can.

    bare: the K texts without their unit; decimal, order: by which the firm ones that are not odd are numbers or dates;
    doubt: why dates are not read as such; na: the mark, such as NA, that may be a name; brackets: what is to be said of
    numbers in brackets, which are read as negative.
    """

    name: str
    cells: Cells
    sure: np.ndarray
    soft: np.ndarray
    said: np.ndarray
    firm: np.ndarray
    odd: np.ndarray
    bare: pa.Array
    declared: str = ""
    unit: str = ""
    decimal: str = ""
    order: str = ""
    doubt: str = ""
    na: str = ""
    brackets: str = ""

    @property
    def good(self) -> np.ndarray:
        """(K,) the cells that are read."""
        return np.asarray(self.firm & ~self.odd)

    def rows(self, chosen: np.ndarray) -> int:
        return self.cells.rows(chosen)


def draft_of(raw: RawTable, name: str, *, told: str = "") -> Draft:
    """A column of the table, looked at by itself. told: what the user said that it is.

    Raises DataError where most numbers stand in brackets, or some do and others have a minus.
    """
    cells = cells_of(raw.cells(name))
    plain = _draft_of(raw, name, cells, told)
    if raw.declared(name) or told.partition(":")[0] not in ("", "number") or plain.order:
        return plain
    brackets = in_brackets(cells.values) & plain.firm if has_any(cells.values, "(") else np.zeros_like(plain.firm)
    if not brackets.any():
        return plain
    draft = _draft_of(raw, name, replace(cells, values=signed(cells.values)), told)
    if not draft.decimal or (draft.odd & brackets).any():
        return plain
    others = draft.good & ~brackets
    mixed = bool(matches(draft.cells.some(others), MINUS).any())
    if not told and (mixed or draft.rows(others) < draft.rows(brackets)):
        if plain.decimal or int(brackets.sum()) <= MOST_CODES:
            return plain  # few are odd then, or they are names such as (1)
        why = "and others have a minus" if mixed else "and so do most of the column"
        raise DataError(
            f"column {name!r} is ambiguous: in {cells.example(brackets)} a number stands in brackets {why}; write "
            f"negative numbers as -583, or say --column {name}=number if that is what brackets mean"
        )
    rows = draft.rows(brackets)
    said = "1 number in brackets is" if rows == 1 else f"{rows:,} numbers in brackets are"
    return replace(draft, brackets=f"{said} read as negative ({cells.example(brackets)})")


def _draft_of(raw: RawTable, name: str, cells: Cells, told: str) -> Draft:
    declared = raw.declared(name)
    kind = told.partition(":")[0]
    sure, soft, said, na = marks_of(
        cells, typed=not raw.separator, declared=declared, as_words=kind in ("category", "text")
    )
    firm = ~(sure | soft)
    if not firm.any():  # nothing tells that "-" or "None" are marks
        soft, said = np.zeros_like(soft), np.zeros_like(soft)
        firm = ~sure
    draft = Draft(name, cells, sure, soft, said, firm, np.zeros_like(firm), cells.values, declared, na=na)
    if kind in ("category", "text") or declared == "category" or not firm.any():
        return draft
    return _looked_at(draft, told)


def marks_of(
    cells: Cells, *, typed: bool, declared: str = "", as_words: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """(K,) each: marks that are sure, soft ones, those that are said; and the mark that may be a name after all.

    typed: whether the table declares types, so that a text in it is never a mark by itself; as_words: whether all
    texts are categories, as the user said.
    """
    empty = cells.mask(("",))
    none = np.zeros_like(empty)
    if declared or as_words:
        return empty, none, none, ""
    said = cells.mask_any_case(SAID_MARKS)
    soft = cells.mask_any_case(SOFT_MARKS) | said
    marks = cells.mask(MARKS)
    if typed:
        return empty, (soft | marks) & ~empty, said & ~marks, ""
    firm = ~(soft | marks)
    na = next((name for name in MAY_BE_NAMES if cells.mask((name,)).any()), "")
    if na and (not firm.any() or not matches(cells.some(firm), ASKS_NA).all()):
        na = ""
    if na:
        words = set(cells.some(firm).to_pylist())
        two = len(words) >= CODES and all(re.fullmatch("[A-Z]{2}", word) for word in words)
        if na == "NA" and (two or (words & REGIONS and all(re.fullmatch("[A-Z]{2,6}", word) for word in words))):
            marks, na = marks & ~cells.mask((na,)), ""
        elif len(words) == 1 or are_boolean(cells.some(firm)):
            na = ""
    return marks, soft & ~marks, said & ~marks, na


def settled(drafts: Sequence[Draft], raw: RawTable) -> list[Draft]:
    """The drafts, with decimal marks and orders of dates that they leave open settled by the others.

    Raises DataError where nothing decides by which mark numbers are to be read.
    """
    marks = {draft.decimal for draft in drafts if not draft.declared}
    orders = {draft.order for draft in drafts}
    found = []
    for draft in drafts:
        if draft.decimal == "open":
            texts = draft.bare.filter(pa.array(draft.good))
            mark = settle_decimal(draft.name, draft.cells, texts, separator=raw.separator, others=marks)
            draft = replace(draft, decimal=mark)
        elif draft.doubt and not draft.order:
            order, doubt = order_of(draft.cells.some(draft.good), orders)
            draft = replace(draft, order=order, doubt=doubt or draft.doubt)
        found.append(draft)
    return found


def _looked_at(draft: Draft, told: str) -> Draft:
    """The draft with the mark or the order by which all its cells, or nearly all, are numbers or dates."""
    kind, _, how = told.partition(":")
    if draft.declared in ("number", "date"):
        return replace(draft, **({"decimal": "."} if draft.declared == "number" else {"order": "iso"}))  # type: ignore[arg-type]
    values = draft.cells.some(draft.firm)
    if kind != "date":
        decimal = decimal_of(values) if not how else ""
        if decimal:
            return replace(draft, decimal=decimal)
        if matches(values, "[0-9]").any():
            found = _numbers(draft, told, how)
            if found is not None:
                return found
    if kind in ("number", "boolean"):
        return draft
    order, doubt = order_of(values) if not how else ("", "")
    if order:
        return replace(draft, order=order)
    found = _dates(draft, told, how) if matches(values, "[0-9]").any() else None
    if found is not None:
        return found
    if matches(values, HEXADECIMAL).all():
        doubt = "hexadecimal numbers, which are not read; write them as decimal ones to have them trained on"
    unread = all(np.isnan(read_dates(values, order)).all() for order in DATES)
    if not doubt and unread and matches(values, LIKE_DATES).all():
        doubt = "dates in a form that cannot be read; write them as 2024-02-29"
    return replace(draft, doubt=doubt)


def _numbers(draft: Draft, told: str, how: str) -> Draft | None:
    """The draft as numbers, where all but a few cells are; None where they are not. how: point or comma, or ""."""
    unit, bare = unit_of(draft.cells, draft.firm)
    votes = votes_of(bare)
    rows = {mark: draft.rows(draft.firm & own) for mark, own in ((".", votes.point), (",", votes.comma))}
    if how:
        mark = {"point": ".", "comma": ","}[how]
    elif rows["."] == rows[","]:
        if rows["."]:
            return None
        mark = "open" if (votes.open & draft.firm).any() else "any"
    else:
        mark = max(rows, key=lambda each: rows[each])
    others = {".": votes.comma, ",": votes.point}.get(mark, np.zeros_like(draft.firm))
    odd = draft.firm & (votes.neither | others | lack_unit(draft.cells.values, unit))
    numbers = read_numbers(bare, "," if mark == "," else ".")
    if not _may_be_odd(draft, odd, len(np.unique(numbers[draft.firm & ~odd])), told):
        return None
    return replace(draft, odd=odd, bare=bare, unit=unit, decimal=mark)


def _dates(draft: Draft, told: str, how: str) -> Draft | None:
    """The draft as dates, where all but a few cells are. how: dmy, mdy or ymd, or ""."""
    reads = {order: ~np.isnan(read_dates(draft.cells.values, order)) & draft.firm for order in DATES}
    order = {"ymd": "iso"}.get(how, how) or max(reads, key=lambda each: draft.rows(reads[each]))
    odd = draft.firm & ~(reads[order] | reads["iso"])
    if how == "" and order != "iso" and draft.rows(reads["dmy"]) == draft.rows(reads["mdy"]):
        return None  # nothing tells the day from the month
    different = int((draft.firm & ~odd).sum())
    if not _may_be_odd(draft, odd, different, told):
        return None
    return replace(draft, odd=odd, order=order)


def _may_be_odd(draft: Draft, odd: np.ndarray, different: int, told: str) -> bool:
    """Whether so few cells are odd that the column is what the others are; half of them, where the user said so."""
    num, rows = draft.rows(draft.firm), draft.rows(odd)
    if told:
        return 2 * rows <= num
    if rows == 0:
        return True
    if num < LEAST_ROWS:
        return False
    if rows == 1:
        return different > 2
    if different > num / 2 and num >= MANY:
        return rows <= DROPPED_ODD * num
    return rows <= (FEW_ODD if different > MANY else FEWEST_ODD) * num


def unread_numbers(draft: Draft) -> np.ndarray:
    """(K,) the cells that look like numbers and are not read, where most are such and differ too much for codes."""
    if draft.decimal or draft.order:
        return np.zeros_like(draft.firm)
    votes = votes_of(draft.bare)
    like = draft.firm & like_numbers(draft.cells.values)
    unread = like & votes.neither
    many = int(like.sum()) > MOST_CODES and 2 * draft.rows(like) > draft.rows(draft.firm)
    return np.asarray(unread if many else np.zeros_like(like))


def decimal_mark(draft: Draft) -> Decimal:
    """The mark by which the cells of a settled draft are read."""
    return "," if draft.decimal == "," else "."


def require_told(draft: Draft, told: str) -> None:
    """Raises DataError where the cells are not what the user said that the column is."""
    kind = told.partition(":")[0]
    fits = {"number": bool(draft.decimal), "date": bool(draft.order)}.get(kind, True)
    if fits:
        return
    if draft.doubt:
        why = f"it holds {draft.doubt}"
        advice = f"; say --column {draft.name}=date:dmy or --column {draft.name}=date:mdy" if "not sure" in why else ""
        raise DataError(f"column {draft.name!r} was said to be a {kind}: {why}{advice}")
    read = votes_of(draft.bare).neither if kind == "number" else np.isnan(read_dates(draft.cells.values, "iso"))
    odd = draft.firm & read
    example = draft.cells.example(odd if odd.any() else draft.firm) if draft.firm.any() else "it is empty"
    raise DataError(
        f"column {draft.name!r} was said to be a {kind}, and most of its cells are not ({example}); "
        "leave out what was said of it, or fix the cells"
    )
