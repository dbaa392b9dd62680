"""Tables: CSV and Parquet read as text first, then typed, with every choice said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

Kind = Literal["number", "category", "boolean", "date", "identifier", "text", "constant"]
MISSING, UNSEEN = -1, -2  # codes of a category that is not there, and of one that the table had not when it was typed


@dataclass(frozen=True, slots=True)
class Column:
    """A column and how it is understood. Identifiers, free text and constants are not learnt from.

    categories: of a category or boolean, the commonest first.
    """

    name: str
    kind: Kind
    why: str
    missing: int = 0
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Typed columns. values, by name: number: (N,) float64, NaN where missing; date: the same, in days since 1970;
    category and boolean: (N,) int64 codes into `categories`, MISSING or UNSEEN; of other kinds: none.
    """

    columns: tuple[Column, ...]
    values: Mapping[str, np.ndarray]
    num_rows: int
