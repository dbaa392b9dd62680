"""Tables: CSV and Parquet read as text first, then typed, with every choice said."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from tame.core.errors import DataError, unknown
from tame.core.plain import from_plain

Kind = Literal["number", "category", "boolean", "date", "identifier", "text", "constant", "ignored"]
Reading = Literal["", "decimal comma", "iso", "dmy", "mdy"]
LEARNT: tuple[Kind, ...] = ("number", "category", "boolean", "date", "text")  # the others are left aside
MOST_NAMES = 40  # of which all are listed in an error
MISSING, UNSEEN = -1, -2  # codes of a category that is not there, and of one that the table had not when it was typed


@dataclass(frozen=True, slots=True)
class Column:
    """A column and how it is understood. Identifiers, constants and ignored columns are not trained on.

    categories: of a category or boolean, the commonest first. reading: how the text becomes a number or a date; unit:
    what stands beside each number; forms: how its cells were written, "whole" where all numbers are whole, "thousands"
    where their thousands are separated, "brackets" where negative ones stand in brackets, and the marks between day,
    month and year of dates that do not begin with the year; told: whether the user said what it is. With low and high,
    the least and largest number or date, and missing of all rows, they say how a later table is to be read and what is
    unusual in it.
    """

    name: str
    kind: Kind
    why: str
    missing: int = 0
    categories: tuple[str, ...] = ()
    reading: Reading = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    rows: int = 0
    told: bool = False
    forms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name, "kind": self.kind, "why": self.why, "missing": self.missing,
            "categories": list(self.categories), "reading": self.reading, "unit": self.unit, "low": self.low,
            "high": self.high, "rows": self.rows, "told": self.told,
            "forms": list(self.forms),
        }  # fmt: skip

    @classmethod
    def from_json(cls, record: object) -> Column:
        """The column that `to_json` wrote. Raises DataError for a record of another shape."""
        try:
            return from_plain(cls, record, what="a column", error=DataError)
        except DataError:
            raise DataError(f"not the record of a column: {record!r:.200}") from None


@dataclass(frozen=True, slots=True)
class Table:
    """Typed columns. values, by name: number: (N,) float64, NaN where missing; date: the same, in days since 1970;
    category and boolean: (N,) int64 codes into `categories`, MISSING or UNSEEN; text: (N,) int64 codes into `texts`,
    MISSING where there is none; of other kinds: none.

    notes: what was found and chosen in reading and typing, in words; texts: of each column of text, the different ones.
    """

    columns: tuple[Column, ...]
    values: Mapping[str, np.ndarray]
    num_rows: int
    notes: tuple[str, ...] = ()
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawTable:
    """A table as it came. columns, by name: (N,) of text (object; "" for nothing), or, where the table declares types
    (Parquet, frames, arrays): bool, int64, float64 (NaN for nothing) or datetime64[us] in UTC (NaT for nothing).

    notes: encoding, separator and what else was found. digest: SHA-256 of the file. separator: "" where types are
    declared. lines: (N,) the line that each row begins on, None where every line after the first is one row. encoded:
    columns of text as pyarrow holds them, each a dictionary of its different cells, where they came so. categories:
    columns of numbers, dates or booleans that the table declares to be categories.
    """

    names: tuple[str, ...]
    columns: Mapping[str, np.ndarray]
    notes: tuple[str, ...]
    num_rows: int
    digest: str
    separator: str = ""
    lines: np.ndarray | None = None
    encoded: Mapping[str, object] = field(default_factory=dict)
    categories: frozenset[str] = frozenset()

    def declared(self, name: str) -> Literal["", "number", "date", "boolean", "category"]:
        """What the table itself says that a column holds; "" of text."""
        if name in self.categories:
            return "category"
        kinds: Mapping[str, Literal["number", "date", "boolean"]] = {
            "i": "number", "f": "number", "M": "date", "b": "boolean"
        }  # fmt: skip
        return "" if name in self.encoded else kinds.get(self.columns[name].dtype.kind, "")

    def cells(self, name: str) -> object:
        """A column as `cells_of` takes it quickest."""
        return self.encoded[name] if name in self.encoded else self.columns[name]

    @property
    def places(self) -> np.ndarray:
        """(N,) where each row is found in its file: its line, or in Parquet its number, counted from 1."""
        if self.lines is not None:
            return self.lines
        return np.arange(self.num_rows) + (2 if self.separator else 1)


def require_column(name: str, names: Sequence[str]) -> None:
    """Raises DataError with the nearest names unless `name` is one of `names`."""
    if name in names:
        return
    if len(names) == 1:
        mend = "separate its cells by commas, semicolons, tabs or vertical bars"
        raise DataError(f"no column named {name!r}: the table has one column, {names[0]!r:.200}; {mend}")
    if len(names) <= MOST_NAMES:
        raise DataError(unknown("column", name, names))
    near = ", ".join(map(repr, difflib.get_close_matches(name, names, n=3))) or "none"
    raise DataError(f"no column named {name!r} among {len(names):,}; near it: {near}")


def require_learnt(columns: Sequence[Column]) -> None:
    """Raises DataError, with what each column is taken for, unless one of them can be trained on."""
    if any(column.kind in LEARNT for column in columns):
        return
    found = [f"{column.name!r} ({column.kind}: {column.why})" for column in columns[:MOST_NAMES]]
    more = f" and {len(columns) - MOST_NAMES:,} more" if len(columns) > MOST_NAMES else ""
    fix = "numbers, categories, dates and texts are trained on; identifiers and constants are not"
    raise DataError(f"no column is left to learn from: {', '.join(found)}{more}; {fix}")


def safe_cell(text: str) -> str:
    """The text with an apostrophe before what a spreadsheet would run as a formula; not as it was, so say so."""
    return f"'{text}" if text[:1] in tuple("=+-@\t\r") else text
