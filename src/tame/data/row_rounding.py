"""Rows that are equal but for rounding: saved again with fewer digits, or too close for float32 to tell them apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tame.data.row_hashes import first_of_equal, mixed

# What a program may have kept of each number: float32, so many digits after the point, or so many digits in all.
Rounding = tuple[Literal["single", "places", "digits"], int]
ROUNDINGS: tuple[Rounding, ...] = (
    ("single", 0), *(("places", places) for places in (6, 5, 4, 3, 2, 1)),
    *(("digits", digits) for digits in (7, 6, 5, 4, 3)),
)  # fmt: skip
FINE = 2.0**-23  # of the middle half of a column: closer values are one to a network in float32, once they are scaled


def roundings(columns: Sequence[np.ndarray], total: np.ndarray) -> Iterator[tuple[list[np.ndarray], np.ndarray]]:
    """For each way to round: the columns (N,) rounded, and (N,) the first row of those that are equal then.

    A row is paired by a way to round only with rows that are rounded so already. total: (N,) sums of the hashes of the
    columns. Ways that join no rows are left out.
    """
    places = [place for place, column in enumerate(columns) if column.dtype.kind == "f" and not _is_whole(column)]
    if not places:
        return
    for how in ROUNDINGS:
        done = _rows_rounded([columns[place] for place in places], how)
        if done.all() or not done.any():
            continue
        rounded = {place: rounded_to(columns[place], how) for place in places}
        equal = first_of_equal(_total_of(columns, total, rounded))
        groups = np.bincount(equal, weights=done, minlength=len(total)), np.bincount(equal, minlength=len(total))
        joins = (groups[0] > 0) & (groups[0] < groups[1])
        if joins.any():
            yield _with(columns, rounded), np.where(joins[equal], equal, np.arange(len(total)))
    for offset in (0.0, 0.5):  # two close values lie in one cell of either grid at least
        fine = {place: _cells(columns[place], offset) for place in places}
        equal = first_of_equal(_total_of(columns, total, fine))
        if len(np.unique(equal)) < len(np.unique(total)):
            yield _with(columns, fine), equal


def rounded_to(column: np.ndarray, how: Rounding) -> np.ndarray:
    """(N,) float64 rounded in one of the ways; missing and infinite numbers stay."""
    kind, number = how
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if kind == "single":
            return np.asarray(column.astype(np.float32).astype(np.float64))
        if kind == "places":
            return np.asarray(np.round(column, number))
        power = number - 1 - np.floor(np.log10(np.abs(column)))
        up, down = 10.0 ** np.maximum(power, 0), 10.0 ** np.maximum(-power, 0)
        found = np.rint(column * up / down) / up * down
        return np.asarray(np.where(np.isfinite(found), found, column))


def _is_whole(column: np.ndarray) -> bool:
    known = column[np.isfinite(column)]
    return bool((known == np.round(known)).all())


def _rows_rounded(columns: Sequence[np.ndarray], how: Rounding) -> np.ndarray:
    """(N,) whether all values of a row are rounded so already."""
    done = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        rows = np.flatnonzero(done)  # of most ways no row is left after a column or two
        if not len(rows):
            break
        own = column[rows]
        done[rows] = (rounded_to(own, how) == own) | np.isnan(own)
    return done


def _cells(column: np.ndarray, offset: float) -> np.ndarray:
    """(N,) the numbers of the cells of a grid as fine as float32 is to a scaled column."""
    known = column[np.isfinite(column)]
    low, high = np.quantile(known, (0.25, 0.75))
    width = FINE * (high - low)
    return column if width == 0 else np.asarray(np.floor(column / width + offset))


def _total_of(columns: Sequence[np.ndarray], total: np.ndarray, changed: dict[int, np.ndarray]) -> np.ndarray:
    found = total.copy()
    for place, column in changed.items():
        found += mixed(column, place) - mixed(columns[place], place)
    return found


def _with(columns: Sequence[np.ndarray], changed: dict[int, np.ndarray]) -> list[np.ndarray]:
    return [changed.get(place, column) for place, column in enumerate(columns)]
