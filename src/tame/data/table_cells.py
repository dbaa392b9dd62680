"""What a cell says: marks of missing values, numbers, dates and booleans in text, all cells of a column at once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.core.errors import DataError

Decimal = Literal[".", ","]
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32; what is beyond counts as infinite
MARKS = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN", "Nan", "-nan", "null", "NULL", "Null")
# Words in their own right, and marks only where the other cells of the column are numbers, dates or booleans.
SOFT_MARKS = ("-", "--", ".", "None", "none", "NONE", "na", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!")
BOOLEANS = {
    "true": 1, "t": 1, "yes": 1, "y": 1, "on": 1, "1": 1, "1.0": 1,
    "false": 0, "f": 0, "no": 0, "n": 0, "off": 0, "0": 0, "0.0": 0,
}  # fmt: skip
NEITHER, MAX_SPELLINGS = -1, 64
FIRST = 32  # cells that often answer a question about all of them
SPACES = " '\u2019\u00a0\u202f"  # what may separate thousands, besides the mark that is not the decimal one
TIME = (
    r"(?:[T ](?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:\.[0-9]+)?))?"
    r"(?: ?(?:Z|UTC|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})))?)?$"
)
DAY, MONTH, YEAR = "(?P<day>[0-9]{1,2})", "(?P<month>[0-9]{1,2})", "(?P<year>[0-9]{4})"
DATES = {
    "iso": f"^{YEAR}[-/.]{MONTH}[-/.]{DAY}{TIME}",
    "dmy": f"^{DAY}[-/.]{MONTH}[-/.]{YEAR}{TIME}",
    "mdy": f"^{MONTH}[-/.]{DAY}[-/.]{YEAR}{TIME}",
}


@dataclass(frozen=True, slots=True)
class Cells:
    """A column as its K different cells. values: K texts, spaces around them cut; codes: (N,) which of them a row has;
    counts: (K,) rows of each.
    """

    values: pa.Array
    codes: np.ndarray
    counts: np.ndarray

    def mask(self, texts: tuple[str, ...]) -> np.ndarray:
        """(K,) whether a cell is one of these texts."""
        return as_bool(pc.is_in(self.values, value_set=_value_set(texts)))

    def some(self, chosen: np.ndarray) -> pa.Array:
        """The values where `chosen` (K,) holds."""
        return self.values if chosen.all() else self.values.filter(pa.array(chosen))

    def first_row(self, chosen: np.ndarray) -> int:
        """The first row, counted from 1, whose cell is one of the `chosen` (K,)."""
        return int(np.argmax(chosen[self.codes])) + 1

    def example(self, chosen: np.ndarray) -> str:
        """Where the first such cell is and what it says, cut to 40 characters."""
        row = self.first_row(chosen)
        text = self.values[int(self.codes[row - 1])].as_py()
        return f"row {row:,}: {text if len(text) <= 40 else text[:37] + '...'!r}"


def cells_of(column: np.ndarray | pa.DictionaryArray) -> Cells:
    """The different cells of a column (N,) of text, bool, int64, float64 or datetime64; "" where nothing is.

    column: also as a dictionary of text without nulls, which is quicker.
    """
    if isinstance(column, np.ndarray):
        arrow = pa.array(column, from_pandas=True)
        encoded = arrow.cast(pa.large_string()).fill_null("").dictionary_encode()
    else:
        encoded = column
    values, codes = encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)
    trimmed = pc.utf8_trim_whitespace(values)
    if not trimmed.equals(values):
        again = trimmed.dictionary_encode()  # cells that differ in spaces only are now the same
        values, codes = again.dictionary, again.indices.to_numpy().astype(np.int64)[codes]
    return Cells(values, codes, np.bincount(codes, minlength=len(values)))


@cache
def _value_set(texts: tuple[str, ...]) -> pa.Array:
    return pa.array(texts, pa.large_string())


def as_bool(array: pa.Array) -> np.ndarray:
    """(K,) numpy booleans of an arrow array of booleans."""
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=bool)


def matches(values: pa.Array, pattern: str) -> np.ndarray:
    """(K,) whether each text holds the pattern."""
    return as_bool(pc.match_substring_regex(values, pattern))


def has_any(values: pa.Array, characters: str) -> bool:
    """Whether one of these characters is in one of the texts."""
    return any(as_bool(pc.match_substring(values, character)).any() for character in characters)


def plain_numbers(values: pa.Array) -> np.ndarray | None:
    """(K,) float64 of texts that all are numbers with a decimal point and without separators; None for others."""
    try:
        return np.array(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid:
        return None


def read_numbers(values: pa.Array, decimal: Decimal) -> np.ndarray:
    """(K,) float64, NaN for what is no number, infinite for 'inf' and beyond the range of float64.

    Thousands may be separated by spaces, apostrophes or the mark that is not the decimal one.
    """
    # Most columns are plain, and regular expressions are slow to prepare for each of many columns.
    if decimal == "." or not has_any(values, ".,"):
        found = plain_numbers(values)
        if found is not None:
            return found
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    whole = f"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{comma}[0-9]{{3}})+|[1-9][0-9]{{0,2}}(?:[{SPACES}][0-9]{{3}})+)"
    plain = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    minus = pc.replace_substring(values, "\u2212", "-")
    fits = pc.match_substring_regex(minus, f"^[+-]?(?:{plain}|(?i:inf|infinity))$")
    bare = pc.replace_substring_regex(minus, f"[{comma}{SPACES}]", "")
    if decimal == ",":
        bare = pc.replace_substring(bare, ",", ".")
    digits = pc.if_else(fits, bare, pa.scalar(None, pa.large_string()))
    return np.array(digits.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def read_dates(values: pa.Array, order: str) -> np.ndarray:
    """(K,) days since 1970 as float64, in UTC where a zone is given; NaN for what is no such date. order: of DATES."""
    parts = pc.extract_regex(values, DATES[order])
    found = as_bool(parts.is_valid())
    days = np.full(len(values), np.nan)
    if not found.any():
        return days
    fields = {field.name: parts.filter(pa.array(found)).field(place) for place, field in enumerate(parts.type)}
    sign = np.where(as_bool(pc.equal(fields.pop("sign"), "-")), -1, 1)
    part = {name: _floats(texts) for name, texts in fields.items()}
    year, month, day = (part[name].astype(np.int64) for name in ("year", "month", "day"))
    start = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (np.clip(month, 1, 12) - 1)
    length = ((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
    real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= length) & (year >= 1)
    real &= (part["hour"] < 24) & (part["minute"] < 60) & (part["second"] < 61)
    clock = (part["hour"] * 60 + part["minute"]) * 60 + part["second"]
    clock -= sign * (part["zone_hour"] * 60 + part["zone_minute"]) * 60
    whole = start.astype("datetime64[D]").astype(np.int64) + (day - 1)
    days[found] = np.where(real, whole + clock / 86_400, np.nan)
    return days


def _floats(texts: pa.Array) -> np.ndarray:
    filled = pc.if_else(pc.equal(pc.fill_null(texts, ""), ""), "0", texts)
    return np.asarray(filled.cast(pa.float64()).to_numpy(zero_copy_only=False))


def read_booleans(values: pa.Array) -> np.ndarray:
    """(K,) 1 or 0 by the words of BOOLEANS in any case, NEITHER for others."""
    return np.array([BOOLEANS.get(text.lower(), NEITHER) for text in values.to_pylist()], dtype=np.int64)


def are_boolean(values: pa.Array) -> bool:
    """Whether all the texts are words for true or for false, and both are there."""
    return len(values) <= MAX_SPELLINGS and set(read_booleans(values).tolist()) == {0, 1}


def are_whole(values: pa.Array) -> bool:
    """Whether all the texts are whole numbers, written with digits and a sign at most."""
    plain = as_bool(pc.ascii_is_decimal(values))
    if plain.all():
        return True
    others, form = values.filter(pa.array(~plain)), "^[+-]?[0-9]+$"
    return bool(matches(others[:FIRST], form).all()) and bool(matches(others, form).all())


def leading_zeros(values: pa.Array) -> np.ndarray:
    """(K,) whether a text begins with a zero that another digit follows."""
    starts = [as_bool(pc.starts_with(values, start)) for start in ("0", "+0", "-0")]
    return matches(values, "^[+-]?0[0-9]") if np.any(starts) else starts[0]


def decimal_of(values: pa.Array) -> Literal["", ".", ",", "any", "open"]:
    """By which decimal mark all the texts are numbers: neither, one, any (no difference) or open (it makes one)."""
    if as_bool(pc.ascii_is_decimal(values)).all():
        return "any"
    point = read_numbers(values, ".")
    by_point = not np.isnan(point).any()
    if by_point and not has_any(values, ".,"):
        return "any"
    form = r"\.([0-9]{0,2}|[0-9]{4,})$"
    if by_point and (matches(values[:FIRST], form).any() or matches(values, form).any()):
        return "."  # such digits after a point are no thousands, and to read the others by comma is slow
    comma = read_numbers(values, ",")
    by_comma = not np.isnan(comma).any()
    if by_point and by_comma:
        return "any" if np.array_equal(point, comma) else "open"
    return "." if by_point else "," if by_comma else ""


def settle_decimal(name: str, cells: Cells, chosen: np.ndarray, *, separator: str, others: Collection[str]) -> Decimal:
    """The decimal mark of a column where both fit, by what is certain in the `others`, then by the separator.

    chosen: (K,) the cells that count. Raises DataError where 1,234 may mean either and nothing decides.
    """
    if ("." in others) != ("," in others):
        return "." if "." in others else ","
    commas = matches(cells.values, ",") & chosen
    if separator in (",", "") or not commas.any():
        return "."  # a comma that had to be quoted separates thousands; without commas a point is the decimal mark
    raise DataError(
        f"column {name!r} is ambiguous: in {cells.example(commas)} the comma may separate thousands or decimals, and "
        "no other column decides; write its numbers without separators of thousands"
    )


def order_of(values: pa.Array) -> tuple[str, str]:
    """The order (of DATES) in which every text is a date; or "", with the reason where they are dates."""
    if not matches(values, r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{2,4}").all():
        return "", ""
    reads = {order: ~np.isnan(read_dates(values, order)) for order in DATES}
    if matches(values, r"^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}$").all():
        return "", "dates with years of two digits, which can be read in several ways"
    whole = [order for order in DATES if reads[order].all()]
    if len(whole) == 1 or whole == ["iso"]:
        return whole[0], ""
    if whole:  # day first and month first
        dotted = matches(values, r"^[0-9]{1,2}\.").all()  # months never come first in dates with points
        return ("dmy", "") if dotted else ("", "dates of which it is not sure whether the day or the month comes first")
    if (reads["iso"] | reads["dmy"] | reads["mdy"]).all():
        return "", "dates in mixed orders, which cannot be told apart"
    return "", ""
