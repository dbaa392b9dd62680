"""Rows that are equal but for one or two columns, where chance does not explain it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from scipy.stats import poisson

from tame.data.row_hashes import bits_of, first_of_equal, joined_rows, mixed

NEAR_VALUES = 50_000_000  # rows times columns; above, only equal rows are looked for; the same for pairs of columns
NEAR_COLUMNS = 3  # of fewer columns, two that agree say little
BESIDE = 8  # columns of most values, by which agreement by chance is measured
SURER = 5.0  # times as many pairs as chance would give, before rows that differ in one column count as copies
SURE = 0.004  # how often chance may give as many such pairs somewhere in a table, for them to be copies
UNSEEN = 0.5  # pairs that differ in one column more, where there are none: so few have a chance of their own
LARGEST = 0.1  # of all rows in one group; what joins more is how the data is, not copying
DIFFERENT = 0.1  # different rows without a column, for each row; twice as many without two
MANY_VALUES = 0.3  # different values for each row, before one equal value shows a copy
PLACES = 8  # digits after the point that are looked at


def near_pairs(
    columns: Sequence[np.ndarray], total: np.ndarray, equal: np.ndarray
) -> tuple[list[tuple[int, int]], int]:
    """Pairs of rows that differ in one or two columns, where chance does not explain them; and the rows of groups too
    large.

    total: (N,) sums of the hashes of the columns; equal: (N,) the first row of the same values.
    """
    num = len(total)
    if num * len(columns) > NEAR_VALUES:
        return [], 0
    found: list[tuple[int, int]] = []
    if len(columns) == NEAR_COLUMNS - 1:
        agree = [first_of_equal(bits_of(column)) for column in columns if _shows_copies(column)]
        found = [pair for first in agree for pair in _pairs(first, equal)]
    elif len(columns) >= NEAR_COLUMNS:
        found = _but_for_some(columns, total, equal)
    return _without_crowds(found, equal) if found else ([], 0)


def _pairs(first: np.ndarray, equal: np.ndarray) -> list[tuple[int, int]]:
    """Each row with the first of the same, where they are not equal. first: (N,)."""
    rows = np.flatnonzero((first != np.arange(len(first))) & (equal[first] != equal))
    return list(zip(first[rows].tolist(), rows.tolist(), strict=True))


def _but_for_some(columns: Sequence[np.ndarray], total: np.ndarray, equal: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows that are equal but for one column, or for two of four or more."""
    num = len(total)
    agreeing = _Agreeing(columns, total)
    without: list[tuple[int, ...]] = [(place,) for place in range(len(columns))]
    if len(columns) > NEAR_COLUMNS and num * len(columns) ** 2 / 2 <= NEAR_VALUES:
        without = [*itertools.combinations(range(len(columns)), 2), *without]
    found: list[tuple[float, float, list[tuple[int, int]]]] = []
    explained: dict[tuple[int, ...], float] = {}  # places at which copies differ: the pairs that chance gives there
    for places in without:
        pairs, rest = agreeing.but_for(places), agreeing.rest(places)
        # Columns that go together, as those of one code do, agree at once; chance as it is measured does not know that.
        if pairs <= 0 or len(np.unique(rest)) < DIFFERENT * len(places) * num:
            continue
        by_chance = _pairs_by_chance(agreeing, places, explained)
        if pairs > SURER * by_chance:
            found.append((pairs, by_chance, _pairs(first_of_equal(rest), equal)))
            if poisson.sf(pairs - 1, by_chance) < SURE / len(without):
                explained[places] = by_chance
    # Where so many places are looked at, chance gives a pair or two to one of them or another.
    together = sum(pairs for pairs, _, _ in found), len(without) * float(np.mean([own for _, own, _ in found] or [0.0]))
    every = poisson.sf(together[0] - 1, together[1]) < SURE
    sure = (own for pairs, by_chance, own in found if every or poisson.sf(pairs - 1, by_chance) < SURE / len(without))
    return list(itertools.chain.from_iterable(sure))


class _Agreeing:
    """How many pairs of rows agree in all columns but some, counted once each."""

    def __init__(self, columns: Sequence[np.ndarray], total: np.ndarray) -> None:
        self._columns, self._total = columns, total
        self._hashes = [mixed(column, place) for place, column in enumerate(columns)]
        self._counts: dict[tuple[int, ...], float] = {}

    def rest(self, places: tuple[int, ...]) -> np.ndarray:
        """(N,) sums of the hashes of all other columns."""
        return np.asarray(self._total - sum((self._hashes[place] for place in places), np.uint64(0)))

    def but_for(self, places: tuple[int, ...]) -> float:
        """The pairs that differ at each of these places and agree at all others."""
        return sum(
            self._count(own) if (len(places) - size) % 2 == 0 else -self._count(own)
            for size in range(len(places) + 1)
            for own in itertools.combinations(sorted(places), size)
        )

    def _count(self, places: tuple[int, ...]) -> float:
        """The pairs that agree at all other places, whether or not at these."""
        if places not in self._counts:
            self._counts[places] = _count_pairs(np.sort(self.rest(places)))
        return self._counts[places]

    @cached_property
    def of_most_values(self) -> list[tuple[int, float]]:
        """The columns of most values, and how often two rows agree in one by chance."""
        num, found = len(self._total), []
        for place, column in enumerate(self._columns):
            agree = _count_pairs(np.sort(bits_of(column))) / (num * (num - 1) / 2)
            found.append((place, agree))
        return sorted(found, key=lambda each: each[1])[:BESIDE]


def _shows_copies(column: np.ndarray) -> bool:
    """Whether equal values of a column show that rows are copies: measured so finely that few would be equal by chance.

    By chance about half as many pairs are equal as are one step apart, the last digit that is written.
    """
    known = np.sort(column[np.isfinite(column)]) if column.dtype.kind == "f" else np.sort(column)
    if len(known) < 2 or len(np.unique(known)) < MANY_VALUES * len(column):
        return False
    step = 0.0
    if (np.round(known, PLACES) == known).all():
        step = 10.0 ** -next(places for places in range(PLACES + 1) if (np.round(known, places) == known).all())
    equal = _count_pairs(known)
    near = np.searchsorted(known, known + 1.5 * step, side="right") - np.searchsorted(known, known, side="right")
    return equal > SURER * float(near.sum()) / 2


def _without_crowds(pairs: list[tuple[int, int]], equal: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """The pairs but those of groups that hold more than LARGEST of all rows, and the rows of such groups.

    Rows that are all equal are no such group, however many they are.
    """
    num = len(equal)
    group = joined_rows(equal, pairs)
    sizes = np.bincount(group, minlength=num) - _largest_of_equal(group, equal)
    crowd = sizes[group] > LARGEST * num
    return [pair for pair in pairs if not crowd[pair[0]]], int(crowd.sum())


def _largest_of_equal(group: np.ndarray, equal: np.ndarray) -> np.ndarray:
    """(N,) by the first row of a group: how many rows of it are equal, the most of any."""
    num = len(equal)
    most = np.zeros(num, dtype=np.int64)
    np.maximum.at(most, group, np.bincount(equal, minlength=num)[equal])
    return np.where(most > 1, most, 0)


def _count_pairs(ordered: np.ndarray) -> float:
    """How many pairs of equal values there are. ordered: (N,) sorted."""
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    sizes = np.diff(edges).astype(np.float64)
    return float((sizes * (sizes - 1) / 2).sum())


def _pairs_by_chance(agreeing: _Agreeing, places: tuple[int, ...], explained: Mapping[tuple[int, ...], float]) -> float:
    """Pairs that would differ at these places only if those that differ at one more agreed there by chance; the most
    of any, and no fewer than UNSEEN pairs more would give by the surest.

    Copies that differ elsewhere are not among them, or they would make themselves likely: those that differ at one
    place because only pairs that differ at all these places count; those at two because chance stands for them.
    explained: by places at which copies differ, the pairs that chance gives there.
    """
    most, least = 0.0, math.inf
    for place, agree in agreeing.of_most_values:
        if place not in places and agree < 1:
            more = tuple(sorted((*places, place)))
            differing, odds = explained.get(more, agreeing.but_for(more)), agree / (1 - agree)
            most, least = max(most, differing * odds), min(least, (differing + UNSEEN) * odds)
    return max(most, least) if math.isfinite(least) else most
