"""What a column says of the rows themselves: which belong together, and which came earlier."""

from __future__ import annotations

import re

import numpy as np

from tame.core.errors import DataError, require
from tame.data.table_cells import MARKS, Cells, cells_of, order_of
from tame.data.table_kinds import type_table
from tame.data.tables import RawTable

ADVICE = "give a column of numbers or dates, or of text such as 2024-W05 or run7"


def group_codes(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """(N,) int64, equal for rows of one group, and what is to be said of rows without one. values: (N,) raw cells."""
    cells = cells_of(values)
    nameless = cells.mask(MARKS)
    if not nameless.any():
        return cells.codes, ""
    rows = int(cells.counts[nameless].sum())
    codes = np.where(nameless, len(cells.counts), np.arange(len(cells.counts)))[cells.codes]
    return codes, f"{name}: {rows:,} without a value, kept together as one group"


def order_values(values: np.ndarray, name: str, *, told: str = "") -> np.ndarray:
    """(N,) float64 that order rows by time: of numbers, dates, or text that is the same but for its numbers.

    values: (N,) raw cells. told: what the user said that they are, such as date:dmy. Raises DataError where a cell is
    empty or infinite, or the column has no order.
    """
    cells = cells_of(values)
    gone = cells.mask(MARKS)
    require(
        not gone.any(), f"the order column {name!r} has empty cells, such as row {_row(cells, gone)}", error=DataError
    )
    if values.dtype.kind in "iufM":
        return _finite(values.astype(np.float64), name)
    raw = RawTable((name,), {name: values}, (), len(values), "")
    typed = type_table(raw, target=None, told={name: told} if told else None)
    (column,) = typed.columns
    if column.kind in ("number", "date"):
        return _finite(typed.values[name], name)
    require(len(cells.counts) > 1, f"the order column {name!r} has the same value in every row", error=DataError)
    doubt = order_of(cells.values)[1]
    if not doubt:
        ranks = _ranks([str(text) for text in cells.values.to_pylist()])
        if ranks is not None:
            return np.asarray(ranks[cells.codes])
    raise DataError(f"the order column {name!r} does not order the rows ({doubt or column.why}); {ADVICE}")


def _ranks(texts: list[str]) -> np.ndarray | None:
    """(K,) the place of each text by its numbers, or None where the texts differ in more than their numbers.

    Of several numbers the first must be the longest, as in 2024-05: in 05-2024 it is the last that counts most.
    """
    if len({re.sub("[0-9]+", "0", text) for text in texts}) > 1 or not re.search("[0-9]", texts[0]):
        return None
    numbers = [re.findall("[0-9]+", text) for text in texts]
    widths = [max(len(each[place]) for each in numbers) for place in range(len(numbers[0]))]
    if widths != sorted(widths, reverse=True):
        return None
    keys = [tuple(map(int, each)) for each in numbers]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([places[key] for key in keys], dtype=np.float64)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    bad = ~np.isfinite(values)
    message = f"the order column {name!r} has values that cannot be ordered, such as in row {int(bad.argmax()) + 1:,}"
    require(not bad.any(), message, error=DataError)
    return values


def _row(cells: Cells, chosen: np.ndarray) -> str:
    return f"{cells.first_row(chosen):,}"
