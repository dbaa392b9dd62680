"""What a cell says: marks of missing values, numbers, dates and booleans in text, all cells of a column at once."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tame.data.labels import visible, without_invisible

Decimal = Literal[".", ","]
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32; what is beyond counts as infinite
MARKS = ("", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "nan", "NaN", "NAN", "Nan", "-nan", "null", "NULL", "Null")
# Words in their own right, and marks only where the other cells of the column are numbers, dates or booleans.
SOFT_MARKS = ("-", "--", "---", ".", "..", "none", "na", "#div/0!", "#value!", "#ref!", "#name?", "#num!", "#null!")
# The same where the other cells are numbers or dates; beside yes and no they are an answer of their own.
SAID_MARKS = (
    "n.a.", "n.a", "n. a.", "n/a", "n.d.", "n.d", "nd", "k.a.", "k. a.", "s.d.", "unknown", "unk", "missing", "nil",
    "not available", "not known", "not applicable", "no data", "tbd", "unbekannt", "keine angabe", "inconnu",
)  # fmt: skip
BOOLEANS = {
    "true": 1, "t": 1, "yes": 1, "y": 1, "on": 1, "1": 1, "1.0": 1,
    "false": 0, "f": 0, "no": 0, "n": 0, "off": 0, "0": 0, "0.0": 0,
}  # fmt: skip
NEITHER, MAX_SPELLINGS = -1, 64
FIRST = 32  # cells that often answer a question about all of them
SPACES = " '\u2019\u00a0\u202f\u2007\u2009"  # what may separate thousands, besides the mark that is not the decimal one
TIME = (
    r"(?:[T ] ?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}(?:\.[0-9]+)?))?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?"
    r"(?: ?(?:Z|UTC|(?P<sign>[+-])(?P<zone_hour>[0-9]{2}):?(?P<zone_minute>[0-9]{2})))?)?$"
)
DAY, MONTH, YEAR = "(?P<day>[0-9]{1,2})", "(?P<month>[0-9]{1,2})", "(?P<year>[0-9]{4})"
DATES = {
    "iso": f"^{YEAR}[-/.]{MONTH}[-/.]{DAY}{TIME}",
    "dmy": f"^{DAY}[-/.]{MONTH}[-/.]{YEAR}{TIME}",
    "mdy": f"^{MONTH}[-/.]{DAY}[-/.]{YEAR}{TIME}",
}
DATE_MARKS = ("-", "/", ".")  # between day, month and year
ORDERS = {"iso": "year first", "dmy": "day first", "mdy": "month first"}
MONTHS = {
    name: month
    for month, names in enumerate(
        ("jan january januar", "feb february februar", "mar march mär märz", "apr april", "may mai", "jun june juni",
         "jul july juli", "aug august", "sep sept september", "oct october okt oktober", "nov november",
         "dec december dez dezember"), start=1)
    for name in names.split()
}  # fmt: skip
WEEKDAY = r"^(?:[A-Za-z]{3,9},? )?"
NAMED = (
    re.compile(WEEKDAY + r"(?P<day>\d{1,2})[ ./-]+(?P<month>[^\W\d]{3,9})[.,]?[ ./-]+(?P<year>\d{4})(?P<rest>\D.*)?$"),
    re.compile(WEEKDAY + r"(?P<month>[^\W\d]{3,9})\.? (?P<day>\d{1,2}),? (?P<year>\d{4})(?P<rest>\D.*)?$"),
)
# The basic form of ISO 8601, without marks; without a time it would be a whole number.
BASIC = (
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[T ]([0-9]{2})([0-9]{2})([0-9]{2}(?:\.[0-9]+)?)?(Z|[+-][0-9]{2}(?::?[0-9]{2})?)?$"
)
# What looks like a date and is not read as one: two digits of a year, weeks, quarters, months without a day.
LIKE_DATES = (
    r"^(?:[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}|[0-9]{4}-?W[0-9]{1,2}|[0-9]{4}-[0-9]{1,2}|[0-9]{1,2}/[0-9]{4}"
    r"|[0-9]{4}[- ]?Q[1-4]|Q[1-4][- /]?[0-9]{4}"
    r"|(?:[0-9]{1,2}[-. /]+)?(?i:jan|feb|mar|apr|ma[iy]|jun|jul|aug|sep|oct|okt|nov|de[cz])[a-z]*[-. /,]+[0-9]{2,4})"
)


@dataclass(frozen=True, slots=True)
class Cells:
    """A column as its K different cells. values: K texts, spaces around them cut; codes: (N,) which of them a row has;
    counts: (K,) rows of each; merged: those of the texts that stand for others too, which look the same.
    """

    values: pa.Array
    codes: np.ndarray
    counts: np.ndarray
    merged: tuple[str, ...] = ()

    def mask(self, texts: tuple[str, ...]) -> np.ndarray:
        """(K,) whether a cell is one of these texts."""
        return as_bool(pc.is_in(self.values, value_set=_value_set(texts)))

    def mask_any_case(self, texts: tuple[str, ...]) -> np.ndarray:
        """(K,) whether a cell is one of these texts, which are in small letters, in whatever case."""
        return as_bool(pc.is_in(pc.utf8_lower(self.values), value_set=_value_set(texts)))

    def rows(self, chosen: np.ndarray) -> int:
        """How many rows have one of the `chosen` (K,)."""
        return int(self.counts[chosen].sum())

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

    column: also as a dictionary of text without nulls, which is quicker. Cells that differ only in what cannot be seen
    (blanks, characters without width, two ways to write one letter) are the same; the commonest of them stands.
    """
    if isinstance(column, np.ndarray) and column.dtype.kind in "biufM":
        encoded = pa.array(column, from_pandas=True).dictionary_encode(null_encoding="encode")
        values = encoded.dictionary.cast(pa.large_string()).fill_null("")  # of few numbers, not of all
    elif isinstance(column, np.ndarray):
        encoded = pa.array(column, from_pandas=True).cast(pa.large_string()).fill_null("").dictionary_encode()
        values = encoded.dictionary
    else:
        encoded, values = column, column.dictionary
    codes = encoded.indices.to_numpy().astype(np.int64)
    seen = pc.utf8_trim_whitespace(values)
    plain = as_bool(pc.string_is_ascii(seen))
    merged: tuple[str, ...] = ()
    if not plain.all():
        seen, merged = _without_invisible(seen)
    if not seen.equals(values):
        again = seen.dictionary_encode()  # cells that differ in spaces only are now the same
        values, codes = again.dictionary, again.indices.to_numpy().astype(np.int64)[codes]
    cells = Cells(values, codes, np.bincount(codes, minlength=len(values)), merged)
    if plain.all() and not matches(values, r"\s\s|[\t\r\n]").any():
        return cells
    return merged_by(cells, [visible(text) for text in values.to_pylist()])


def _without_invisible(seen: pa.Array) -> tuple[pa.Array, tuple[str, ...]]:
    """The texts (K,) without what cannot be seen, and those that stand for several of them now."""
    texts = list(dict.fromkeys(seen.to_pylist()))
    bare = {text: without_invisible(text) for text in texts}
    times = Counter(bare.values())
    merged = tuple(sorted(text for text, count in times.items() if count > 1))
    return pa.array([bare[text] for text in seen.to_pylist()], pa.large_string()), merged


def merged_by(cells: Cells, keys: list[str]) -> Cells:
    """The cells with one where several have the same key; the commonest stands for them. keys: K."""
    if len(set(keys)) == len(keys):
        return cells
    texts = cells.values.to_pylist()
    best: dict[str, int] = {}
    several: set[str] = set()
    for k, key in enumerate(keys):
        several |= {key} if key in best else set()
        if key not in best or cells.counts[k] > cells.counts[best[key]]:
            best[key] = k
    place = {key: number for number, key in enumerate(best)}
    codes = np.array([place[key] for key in keys], dtype=np.int64)[cells.codes]
    values = pa.array([texts[k] for k in best.values()], pa.large_string())
    merged = (*cells.merged, *(texts[best[key]] for key in sorted(several)))
    return replace(cells, values=values, codes=codes, counts=np.bincount(codes, minlength=len(values)), merged=merged)


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


def plain_signs(values: pa.Array) -> pa.Array:
    """The texts (K,) with the digits of every script, full-width signs and dashes before a number as in ASCII."""
    if as_bool(pc.string_is_ascii(values)).all():
        return values
    return pa.array([_plain_signs(text) for text in values.to_pylist()], pa.large_string())


def _plain_signs(text: str) -> str:
    if text.isascii():
        return text
    wide = "".join(unicodedata.normalize("NFKC", char) if "\uff01" <= char <= "\uff5e" else char for char in text)
    digits = "".join(str(unicodedata.decimal(char)) if char.isdecimal() else char for char in wide)
    return re.sub("^[\u2212\u2013](?=[^0-9]{0,4}[0-9])", "-", digits)


def plain_numbers(values: pa.Array) -> np.ndarray | None:
    """(K,) float64 of texts that all are numbers with a decimal point and without separators; None for others."""
    try:
        return np.array(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid:
        return None


def all_numbers(texts: np.ndarray) -> bool:
    """Whether the texts (N,) but the empty ones are plain numbers, and there are some."""
    found = sorted({text for text in texts.tolist() if text})
    return bool(found) and plain_numbers(pa.array(found, pa.large_string())) is not None


def read_numbers(values: pa.Array, decimal: Decimal) -> np.ndarray:
    """(K,) float64, NaN for what is not a number, infinite for 'inf' and beyond the range of float64.

    Thousands may be separated by spaces, apostrophes or the mark that is not the decimal one.
    """
    values = plain_signs(values)
    # Most columns are plain, and regular expressions are slow to prepare for each of many columns.
    if decimal == "." or not has_any(values, ".,"):
        found = plain_numbers(values)
        if found is not None:
            return found
    point, comma = (r"\.", ",") if decimal == "." else (",", r"\.")
    whole = f"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{comma}[0-9]{{3}})+|[1-9][0-9]{{0,2}}(?:[{SPACES}][0-9]{{3}})+)"
    plain = f"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]+)?"
    fits = pc.match_substring_regex(values, f"^[+-]?(?:{plain}|(?i:inf|infinity))$")
    bare = pc.replace_substring_regex(values, f"[{comma}{SPACES}]", "")
    if decimal == ",":
        bare = pc.replace_substring(bare, ",", ".")
    digits = pc.if_else(fits, bare, pa.scalar(None, pa.large_string()))
    return np.array(digits.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def read_dates(values: pa.Array, order: str) -> np.ndarray:
    """(K,) days since 1970 as float64, in UTC where a zone is given; NaN where it is no such date. order: of DATES."""
    parts = pc.extract_regex(_spelt_out(values) if order == "iso" else values, DATES[order])
    found = as_bool(parts.is_valid())
    days = np.full(len(values), np.nan)
    if not found.any():
        return days
    fields = {field.name: parts.filter(pa.array(found)).field(place) for place, field in enumerate(parts.type)}
    sign = np.where(as_bool(pc.equal(fields.pop("sign"), "-")), -1, 1)
    half = np.array([text or "" for text in pc.utf8_lower(fields.pop("half")).to_pylist()])
    part = {name: _floats(texts) for name, texts in fields.items()}
    year, month, day = (part[name].astype(np.int64) for name in ("year", "month", "day"))
    start = (year - 1970).astype("datetime64[Y]").astype("datetime64[M]") + (np.clip(month, 1, 12) - 1)
    length = ((start + 1).astype("datetime64[D]") - start.astype("datetime64[D]")).astype(np.int64)
    real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= length) & (year >= 1)
    real &= (part["hour"] < 24) & (part["minute"] < 60) & (part["second"] < 61)
    hour = np.where(half == "", part["hour"], part["hour"] % 12 + 12 * (half == "p"))
    clock = (hour * 60 + part["minute"]) * 60 + part["second"]
    clock -= sign * (part["zone_hour"] * 60 + part["zone_minute"]) * 60
    whole = start.astype("datetime64[D]").astype(np.int64) + (day - 1)
    days[found] = np.where(real, whole + clock / 86_400, np.nan)
    return days


def read_dates_or_iso(values: pa.Array, order: str) -> np.ndarray:
    """As `read_dates`, and what is not in this order by the year first, which is never in doubt."""
    found = read_dates(values, order)
    return found if order == "iso" else np.where(np.isnan(found), read_dates(values, "iso"), found)


def _spelt_out(values: pa.Array) -> pa.Array:
    """Dates with the name of a month, English or German, or without marks, as year-month-day; others as they are."""
    if matches(values, BASIC).any():
        values = pa.array([_with_marks(text) for text in values.to_pylist()], pa.large_string())
    if not matches(values, r"^[^\W\d].*[0-9]{4}|[0-9][ ./-]+[^\W\d]{3}").any():
        return values
    return pa.array([_numbered(text) for text in values.to_pylist()], pa.large_string())


def _with_marks(text: str) -> str:
    found = re.match(BASIC, text, re.ASCII)
    if found is None:
        return text
    year, month, day, hour, minute, second, zone = found.groups(default="")
    zone += ":00" if len(zone) == 3 else ""
    return f"{year}-{month}-{day}T{hour}:{minute}{f':{second}' if second else ''}{zone}"


def _numbered(text: str) -> str:
    found = next((match for match in (form.match(text) for form in NAMED) if match is not None), None)
    month = MONTHS.get(found["month"].lower()) if found is not None else None
    if found is None or month is None:
        return text
    return f"{found['year']}-{month}-{found['day']}{found['rest'] or ''}"


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
    values = plain_signs(values)
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


def order_of(values: pa.Array, others: Collection[str] = ()) -> tuple[str, str]:
    """The order (of DATES) in which every text is a date; or "", with the reason where they are dates.

    others: orders that are certain in other columns, which decide where this one leaves it open.
    """
    named = matches(_spelt_out(values), r"^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{2,4}")
    if not named.all():
        return "", ""
    if matches(values, r"^[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}$").all():
        return "", "dates with years of two digits, which can be read in several ways"
    reads = {order: ~np.isnan(read_dates(values, order)) for order in DATES}
    whole = [order for order in DATES if reads[order].all()]
    if len(whole) == 1 or whole == ["iso"]:
        return whole[0], ""
    if whole:  # day first and month first
        told = [order for order in whole if order in others]
        if len(told) == 1:
            return told[0], ""
        dotted = matches(values, r"^[0-9]{1,2}\.").all()  # months never come first in dates with points
        return ("dmy", "") if dotted else ("", "dates of which it is not sure whether the day or the month comes first")
    if (reads["iso"] | reads["dmy"] | reads["mdy"]).all():
        return "", "dates in mixed orders, which cannot be told apart"
    return "", ""
