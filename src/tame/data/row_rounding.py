"""Rows that are equal but for rounding: saved again with fewer digits, or too close for float32 to tell them apart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from tame.data.row_hashes import first_of_equal, mixed

# What a program may have kept of each number: float32 or float16, so many digits after the point, or so many in all.
Rounding = tuple[Literal["single", "half", "places", "digits"], int]
ROUNDINGS: tuple[Rounding, ...] = (
    ("single", 0), ("half", 0), *(("places", places) for places in (6, 5, 4, 3, 2, 1)),
    *(("digits", digits) for digits in (7, 6, 5, 4, 3)),
)  # fmt: skip
NOTHING = -1e300  # stands for a missing number
MOST_PLACES = 9  # after the point
MOST_VALUES = 5_000_000  # rows times columns, of those looked at with each column by its own digits
RARE_FITS = 0.1  # rows that fit by chance
MOST_FITS = 200  # rows that one column leaves to be looked at
SHIFTED = 8  # columns by which it is measured how close values lie by nature
SURER = 5.0  # times as many pairs as then
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
        if kind == "half":
            return np.asarray(column.astype(np.float16).astype(np.float64))
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


# Each column to its own digits


def rounded_apart(columns: Sequence[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs (a, b) of rows where b is a with each column rounded to as many places as b has there, not all as in a.

    Only rows are looked at that hardly any other would fit by chance, if columns were independent; and none where as
    many are found beside what b may stand for as in it, since then values lie so close by nature.
    """
    num = len(columns[0])
    places = {k: _places(own) for k, own in enumerate(columns) if own.dtype.kind == "f" and not _is_whole(own)}
    if not places or num < 2 or num * len(columns) > MOST_VALUES:
        return []
    columns = [own.astype(np.float64) if own.dtype.kind == "f" else own for own in columns]
    columns = [np.where(np.isnan(own), NOTHING, own) if own.dtype.kind == "f" else own for own in columns]
    low, high = (np.empty((len(columns), num)) for _ in range(2))
    for k, own in enumerate(columns):
        reach = 0.5 * 10.0 ** -places[k] * (1 + 1e-9) if k in places else np.zeros(num)
        low[k], high[k] = own - reach, own + reach
    found = _inside(columns, low, high, places, least=2)
    if not found:
        return []
    for k in list(places)[:SHIFTED]:
        width = high[k] - low[k]
        for way in (-1, 1):
            moved = [low.copy(), high.copy()]
            for edge in moved:
                edge[k] += way * width
            if len(found) <= SURER * len(_inside(columns, moved[0], moved[1], places, least=1)):
                return []
    return found


def _inside(
    columns: Sequence[np.ndarray], low: np.ndarray, high: np.ndarray, places: Mapping[int, np.ndarray], *, least: int
) -> list[tuple[int, int]]:
    """Pairs (a, b) where a, with more places somewhere and with fewer nowhere, lies between b's bounds (D, N).

    least: how many rows each bound must leave, b itself among them where it is.
    """
    num = len(columns[0])
    order = [np.argsort(own, kind="stable") for own in columns]
    first, count = np.empty(low.shape, dtype=np.int64), np.empty(low.shape, dtype=np.int64)
    log = np.full(num, np.log(num))
    for k, own in enumerate(columns):
        sorted_own = own[order[k]]
        first[k] = np.searchsorted(sorted_own, low[k], side="left")
        count[k] = np.searchsorted(sorted_own, high[k], side="right") - first[k]
        log += np.log(np.maximum(count[k], 1) / num)
    best = count.argmin(axis=0)
    fewest = count.min(axis=0)
    rows = np.flatnonzero((np.exp(log) < RARE_FITS) & (least <= fewest) & (fewest <= MOST_FITS))
    found: list[tuple[int, int]] = []
    for b in rows.tolist():
        k = best[b]
        fits = order[k][first[k, b] : first[k, b] + count[k, b]]
        for other, own in enumerate(columns):
            fits = fits[(own[fits] >= low[other, b]) & (own[fits] <= high[other, b])]
        finer = np.zeros(len(fits), dtype=bool)
        for own in places.values():
            finer |= own[fits] > own[b]
            fits, finer = fits[own[fits] >= own[b]], finer[own[fits] >= own[b]]
        found += [(int(a), b) for a in fits[finer] if a != b]
    return found


def _places(column: np.ndarray) -> np.ndarray:
    """(N,) how many digits after the point each number has, MOST_PLACES where it has more, or is none."""
    found = np.full(len(column), MOST_PLACES)
    for places in reversed(range(MOST_PLACES)):
        found[np.round(column, places) == column] = places
    return found
