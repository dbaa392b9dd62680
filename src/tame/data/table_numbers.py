"""By which decimal mark the cells of a column are numbers, and with which unit: what a file itself says of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError
from tame.data.table_cells import Cells, Decimal, matches, read_numbers

CURRENCIES = "$€£¥"
BEFORE = rf"^(?P<sign>[+-]?)(?P<unit>[{CURRENCIES}]|USD|EUR|GBP|CHF) ?(?P<rest>[+-]?[0-9.].*)$"
AFTER = r"^(?P<rest>[+-]?[0-9.,][0-9.,' \x{2019}\x{a0}\x{202f}]*?) ?(?P<unit>[^0-9.,'+\s\x{2019}-][^0-9.,+\s-]{0,3})$"
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
    found = [pc.extract_regex(cells.values, pattern) for pattern in (BEFORE, AFTER)]
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
        return "", cells.values
    return best, without_unit(cells.values, best)


def without_unit(values: pa.Array, unit: str) -> pa.Array:
    """The texts (K,) without this unit; those that have another, or none, as they are."""
    if not unit:
        return values
    bare = values
    for pattern in (AFTER, BEFORE):
        parts = pc.extract_regex(values, pattern)
        fits = pc.fill_null(pc.equal(pc.struct_field(parts, "unit"), unit), False)
        number = pc.struct_field(parts, "rest")
        if pattern == BEFORE:
            number = pc.binary_join_element_wise(
                pc.struct_field(parts, "sign"), number, pa.scalar("", pa.large_string())
            )
        bare = pc.if_else(fits, number, bare)
    return bare


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
