"""By which decimal mark the cells of a column are numbers, and with which unit: what a file itself says of it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError
from tame.data.table_cells import SPACES, Cells, Decimal, matches, plain_numbers, plain_signs, read_numbers

CODES = "USD|EUR|GBP|CHF|JPY|CNY|INR|BRL|CAD|AUD|SEK|NOK|DKK|PLN|Rs|kr"
BEFORE = rf"^(?P<sign>[+-]?)(?P<unit>[A-Z]{{0,3}}\p{{Sc}}|{CODES})[ \x{{a0}}]?(?P<rest>[+-]?[0-9.].*)$"
UNIT = r"[^0-9\p{No}.,'+\s\x{2019}-][^0-9.,+\s-]{0,3}"  # begins with no half and no square
AFTER = rf"^(?P<rest>[+-]?[0-9.,][0-9.,{SPACES}]*?)[ \x{{a0}}]?(?P<unit>{UNIT})$"
LIKE = re.compile(
    rf"[(<>\u2264\u2265=~\u2248\u00b1+\u2212\u2013\u2014\s-]*(?:[A-Z]{{0,3}}\$|{CODES})?\s?[(+\u2212\u2013-]*"
    rf"[0-9][0-9.,:/_{SPACES}]*(?:[^\W\d_]{{1,4}}|[^\w\s-])?[-)+.\u2013]*$"
)
# As accountants write a negative number, its unit inside or outside: (583), $(1,200.50), (5 %).
BRACKETS = r"^([^0-9()\s+-]{0,4}) ?\( ?([^()+-]*[0-9][^()+-]*?) ?\) ?([^0-9()\s+-]{0,4})$"
MINUS = "^[^0-9]{0,4}[-\u2212]"
LONGEST = 40  # characters; longer texts look like no number, and the pattern would search them for long
SENTINELS = (-1, -9, -99, -999, -9999, -99999, 99, 999, 9999, 99999)  # numbers that are written for none
SENTINEL_SHARE = 0.01  # of the rows
UNITS = 0.95  # of the rows that must have the same unit, for it to be one


@dataclass(frozen=True, slots=True)
class Votes:
    """(K,) each: cells that are numbers by a decimal point only, by a comma only, by both with one value (either) or
    with two (open), and by neither."""

    point: np.ndarray
    comma: np.ndarray
    either: np.ndarray
    open: np.ndarray
    neither: np.ndarray


def votes_of(values: pa.Array) -> Votes:
    """How each of these texts may be read. values: (K,)."""
    point, comma = read_numbers(values, "."), read_numbers(values, ",")
    by_point, by_comma = ~np.isnan(point), ~np.isnan(comma)
    both = by_point & by_comma
    either = both & (point == comma)
    return Votes(by_point & ~by_comma, by_comma & ~by_point, either, both & ~either, ~(by_point | by_comma))


def unit_of(cells: Cells, chosen: np.ndarray) -> tuple[str, pa.Array]:
    """The unit or sign of a currency that nearly all numbers of the `chosen` (K,) cells have, and all cells without it.

    "" and the cells as they are where there is none. A cell without the unit stays as it is.
    """
    values = plain_signs(cells.values)
    found = [pc.extract_regex(values, pattern) for pattern in (BEFORE, AFTER)]
    num, best, most = cells.rows(chosen), "", 0
    for parts in found:
        units = pc.struct_field(parts, "unit")
        counted: dict[str, int] = {}
        for unit, count in zip(units.to_pylist(), np.where(chosen, cells.counts, 0).tolist(), strict=True):
            if unit:
                counted[unit] = counted.get(unit, 0) + count
        for unit, count in counted.items():
            best, most = (unit, count) if count > most else (best, most)
    if not num or most < UNITS * num:
        return "", values
    return best, without_unit(values, best)


def without_unit(values: pa.Array, unit: str) -> pa.Array:
    """The texts (K,) without this unit; those that have another, or none, as they are."""
    if not unit:
        return values
    values = plain_signs(values)
    bare = values
    for pattern in (AFTER, BEFORE):
        parts = pc.extract_regex(values, pattern)
        fits = pc.fill_null(pc.equal(pc.struct_field(parts, "unit"), unit.strip()), False)
        number = pc.struct_field(parts, "rest")
        if pattern == BEFORE:
            number = pc.binary_join_element_wise(
                pc.struct_field(parts, "sign"), number, pa.scalar("", pa.large_string())
            )
        bare = pc.if_else(fits, number, bare)
    return bare


def lack_unit(values: pa.Array, unit: str) -> np.ndarray:
    """(K,) whether a text is a number without the unit that others have. Nothing is nothing in every unit."""
    if not unit:
        return np.zeros(len(values), dtype=bool)
    plain = plain_signs(values)
    numbers = [read_numbers(plain, mark) for mark in (".", ",")]
    return np.asarray(np.any([~np.isnan(each) & (each != 0) for each in numbers], axis=0))


def in_brackets(values: pa.Array) -> np.ndarray:
    """(K,) whether a text stands in brackets, as negative numbers may."""
    return matches(values, BRACKETS)


def signed(values: pa.Array) -> pa.Array:
    """The texts (K,) with a minus in place of brackets."""
    return pc.replace_substring_regex(values, BRACKETS, r"-\1\2\3")


def forms_of(texts: pa.Array, numbers: np.ndarray, mark: Decimal) -> tuple[str, ...]:
    """How numbers are written, as a `Column` keeps it. texts: the cells without their unit; numbers: what they are."""
    forms = ["whole"] if bool((numbers == np.round(numbers)).all()) else []
    grouped = f"[0-9][{'.' if mark == ',' else ','}{SPACES}][0-9]"
    if (mark == "," or plain_numbers(texts) is None) and matches(plain_signs(texts), grouped).any():
        forms.append("thousands")
    return tuple(forms)


def like_numbers(values: pa.Array) -> np.ndarray:
    """(K,) whether a text looks like a number to a reader, in whatever form: <3, 7:30, (1,000), 1.2k, 5 kg."""
    texts = (text if len(text) <= LONGEST else "" for text in values.to_pylist())
    return np.array([bool(LIKE.match(_in_classes(text))) for text in texts], dtype=bool)


def _in_classes(text: str) -> str:
    """The text with 0 for digits of any script, $ for signs of currencies."""
    if text.isascii():
        return text
    return "".join("0" if char.isdecimal() else "$" if unicodedata.category(char) == "Sc" else char for char in text)


def settle_decimal(name: str, cells: Cells, values: pa.Array, *, separator: str, others: Collection[str]) -> Decimal:
    """The decimal mark of a column where both fit, by what is certain in the `others`, then by the cells, then by the
    separator.

    values: the texts that count. Raises DataError where 1,234 or 1.234 may mean either and nothing decides.
    """
    if ("." in others) != ("," in others):
        return "." if "." in others else ","
    points, commas = (matches(values, rf"[0-9][{mark}][0-9]") for mark in ".,")
    if points.any() and commas.any():
        raise ambiguous(name, cells, values.filter(pa.array(commas)))
    marked, mark = (points, ".") if points.any() else (commas, ",")
    if not marked.any():
        return "."
    if are_thousands(values, marked):
        return "," if mark == "." else "."
    if mark == "," and separator in (",", ""):
        return "."  # a comma that had to be quoted separates thousands
    if mark == "." and (separator in (",", "") or (separator != ";" and marked.all())):
        return "."
    raise ambiguous(name, cells, values.filter(pa.array(marked)))


def on_sentinel(name: str, numbers: np.ndarray, counts: np.ndarray) -> str:
    """What is to be said of a number such as -999 that may mark missing values; "" where there is none.

    numbers: (K,) finite ones, perhaps several times; counts: (K,) rows of each. It stands at an end, in several rows,
    and further from the other numbers than these are from each other.
    """
    own, place = np.unique(numbers, return_inverse=True)
    rows = np.bincount(place, weights=counts)
    if len(own) < 3:
        return ""
    for end, rest in ((0, own[1:]), (-1, own[:-1])):
        gap = min(abs(own[end] - rest[0]), abs(own[end] - rest[-1]))
        if own[end] in SENTINELS and rows[end] >= max(2, SENTINEL_SHARE * rows.sum()) and gap > rest[-1] - rest[0]:
            said = f"{own[end]:.0f} in {rows[end]:,.0f} rows lies far from the other numbers and is read as a number"
            return f"{name}: {said}; if it marks missing values, empty these cells"
    return ""


def are_thousands(values: pa.Array, marked: np.ndarray) -> bool:
    """Whether the marks in these texts can only separate thousands. marked: (K,) the texts that have one.

    They can where whole numbers below 1000 stand beside them, and some end in 0: decimals are either all written with
    three digits, 257 as 257.000, or without the zeros that end them, 35.430 as 35.43.
    """
    plain = values.filter(pa.array(~marked))
    small = np.abs(read_numbers(plain, ".")) < 1000
    ends = matches(values.filter(pa.array(marked)), "0$")
    return bool(len(plain)) and bool(small.all()) and bool(ends.any())


def ambiguous(name: str, cells: Cells, values: pa.Array) -> DataError:
    """The error that names the first of these cells and how to say what is meant."""
    example = cells.example(np.isin(np.array(cells.values.to_pylist(), dtype=object), values[:1].to_pylist()))
    mark = "comma" if "," in (values[0].as_py() or "") else "point"
    return DataError(
        f"column {name!r} is ambiguous: in {example} the {mark} may separate thousands or decimals, and no other "
        f"column decides; write its numbers without separators of thousands, or say which mark separates decimals: "
        f"--column {name}=number:point or --column {name}=number:comma"
    )
