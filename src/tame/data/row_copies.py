"""Rows that are equal, or equal but for one column; and which of them chance alone would make equal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

COMBINATIONS = 0.1  # of the rows: tables of so few possible codes have each of them many times
LIKELY = 2.0  # rows of the same values that chance gives: with so many, nearly each has a twin
NEAR_VALUES = 50_000_000  # rows times columns; above, only equal rows are looked for
NEAR_COLUMNS = 3  # of fewer columns, two that agree say little
BESIDE = 8  # columns of most values, by which agreement by chance is measured
SURER = 5.0  # times as many pairs as chance would give, before rows that differ in one column count as copies
LARGEST = 0.1  # of all rows in one group; what joins more is how the data is, not copying
BLOCK_BYTES = 2**26


@dataclass(frozen=True, slots=True, eq=False)
class RowCopies:
    """Which rows are copies of others.

    equal: (N,) numbers, the same for rows whose values all agree; chance: (N,) bool, the rows whose twins chance alone
    explains; expected: rows that would have a twin by chance if columns were independent; near: pairs (a, b), a < b, of
    rows that differ in one column.
    """

    equal: np.ndarray
    chance: np.ndarray
    expected: float
    near: tuple[tuple[int, int], ...]

    @property
    def has_twin(self) -> np.ndarray:
        """(N,) bool: the rows that equal another."""
        _, place, sizes = np.unique(self.equal, return_inverse=True, return_counts=True)
        return np.asarray(sizes[place] > 1)

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs (a, b), a < b, of rows that must stay together: equal not by chance, or equal but for one column."""
        b = np.flatnonzero(~self.chance & (self.equal != np.arange(len(self.equal))))
        return [*zip(self.equal[b].tolist(), b.tolist(), strict=True), *self.near]


def copies_of(columns: Sequence[np.ndarray]) -> RowCopies:
    """The copies among N rows. columns: (N,) numbers or codes each; missing numbers equal each other.

    100,000 rows of 50 columns take about two seconds.
    Rows are equal by chance where the marginals of the other different rows give a row of these values LIKELY times or
    more in a table of this length; or where the columns hold so few different codes that each combination occurs many
    times.
    """
    num = len(columns[0]) if columns else 0
    if num < 2:
        return RowCopies(np.arange(num), np.zeros(num, dtype=bool), 0.0, ())
    total = np.zeros(num, dtype=np.uint64)
    for salt, column in enumerate(columns):
        total += _mixed(column, salt)
    equal = _first_of_equal(total)
    lies = np.zeros(num, dtype=bool)  # a hash may
    for column in columns:
        bits = _bits(column)
        lies |= bits != bits[equal]
    equal = np.where(lies, np.arange(num), equal)
    chance, expected = _by_chance(columns, equal)
    return RowCopies(equal, chance, expected, tuple(_near(columns, total, equal)))


def copies_in_array(x: np.ndarray) -> RowCopies:
    """The copies among the N examples of an array (N, ...) of numbers; each value of an example is a column.

    Of large arrays only examples that are equal in every value are found, block by block.
    """
    flat = x.reshape(len(x), -1)
    if flat.size <= NEAR_VALUES:
        return copies_of([flat[:, place] for place in range(flat.shape[1])])
    firsts: dict[bytes, int] = {}
    equal = np.arange(len(flat))
    for row, values in _rows_of(flat):
        digest = hashlib.blake2b(values, digest_size=16).digest()
        equal[row] = firsts.setdefault(digest, row)
    return RowCopies(equal, np.zeros(len(flat), dtype=bool), 0.0, ())


def _rows_of(flat: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """The number and the bytes of each row, equal where the values are."""
    step = max(1, BLOCK_BYTES // max(1, flat.itemsize * flat.shape[1]))
    for start in range(0, len(flat), step):
        block = np.ascontiguousarray(flat[start : start + step])
        if block.dtype.kind == "f":
            block = np.where(np.isnan(block), block.dtype.type(np.nan), block + block.dtype.type(0))
        for place, row in enumerate(block):
            yield start + place, row.tobytes()


def _bits(column: np.ndarray) -> np.ndarray:
    """(N,) uint64 that are equal where the values are; missing numbers equal each other, and so do 0 and -0."""
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), np.nan, column + 0.0).astype(np.float64)
    elif column.dtype.itemsize != 8:
        column = column.astype(np.int64)
    return np.asarray(np.ascontiguousarray(column).view(np.uint64))


def _mixed(column: np.ndarray, salt: int) -> np.ndarray:
    """(N,) uint64 hashes of a column, other ones for each column: their sum over columns stands for the row.

    Source: the finaliser of SplitMix64, Steele, Lea and Flood, OOPSLA 2014; twice, so that sums do not cancel.
    """
    bits = _bits(column)
    for round_of in (2 * salt, 2 * salt + 1):
        bits = bits + np.uint64((0x9E3779B97F4A7C15 * (round_of + 1)) % 2**64)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return np.asarray(bits)


def _first_of_equal(hashes: np.ndarray) -> np.ndarray:
    """(N,) the first row of the same hash."""
    _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    return np.asarray(first[place])


def _by_chance(columns: Sequence[np.ndarray], equal: np.ndarray) -> tuple[np.ndarray, float]:
    """(N,) whether a row's twins are explained by chance, and how many rows would have a twin by chance."""
    num = len(equal)
    firsts = np.flatnonzero(equal == np.arange(num))
    twins = np.bincount(equal, minlength=num) > 1
    if len(firsts) == num:
        return np.zeros(num, dtype=bool), 0.0
    rows, combinations, codes = len(firsts), 1.0, True
    # How many rows of such values chance would give, as a logarithm. Counted among different rows and without the row
    # itself: counted among all rows, copies would make themselves likely.
    log = np.full(rows, math.log(num - 1))
    for column in columns:
        own = column[firsts]
        _, place, sizes = np.unique(_bits(own), return_inverse=True, return_counts=True)
        with np.errstate(divide="ignore"):
            log += np.log((sizes[place] - 1) / max(rows - 1, 1))
        combinations *= len(sizes)
        known = own[~np.isnan(own)] if own.dtype.kind == "f" else own
        codes = codes and (own.dtype.kind != "f" or bool((known == np.round(known)).all()))
    place = np.searchsorted(firsts, equal)
    likely = np.exp(np.minimum(log, 50))[place]
    few = codes and combinations <= COMBINATIONS * num
    expected = float(num) if few else float((1 - np.exp(-likely)).sum())
    return twins[equal] & (few | (likely >= LIKELY)), expected


# Equal but for one column


def _near(columns: Sequence[np.ndarray], total: np.ndarray, equal: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows that differ in one column, where chance does not explain them."""
    num = len(total)
    if len(columns) < NEAR_COLUMNS or num * len(columns) > NEAR_VALUES:
        return []
    same = _count_pairs(np.sort(total))
    beside: list[tuple[int, float]] | None = None
    found: list[tuple[int, int]] = []
    for place, column in enumerate(columns):
        rest = total - _mixed(column, place)
        pairs = _count_pairs(np.sort(rest)) - same
        if pairs <= 0:
            continue
        beside = _of_most_values(columns) if beside is None else beside
        if pairs <= SURER * _pairs_by_chance(columns, rest, place, beside):
            continue
        first = _first_of_equal(rest)
        found += [(int(a), int(b)) for a, b in zip(first, np.arange(num), strict=True) if a < b and equal[b] != a]
    return found if not found or _largest_share(num, equal, found) <= LARGEST else []


def _count_pairs(ordered: np.ndarray) -> float:
    """How many pairs of equal values there are. ordered: (N,) sorted."""
    edges = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1], [True])))
    sizes = np.diff(edges).astype(np.float64)
    return float((sizes * (sizes - 1) / 2).sum())


def _of_most_values(columns: Sequence[np.ndarray]) -> list[tuple[int, float]]:
    """The columns of most values, and how often two rows agree in one by chance."""
    num, found = len(columns[0]), []
    for place, column in enumerate(columns):
        ordered = np.sort(_bits(column))
        agree = _count_pairs(ordered) / (num * (num - 1) / 2)
        found.append((place, agree))
    return sorted(found, key=lambda each: each[1])[:BESIDE]


def _pairs_by_chance(
    columns: Sequence[np.ndarray], rest: np.ndarray, without: int, beside: Sequence[tuple[int, float]]
) -> float:
    """Pairs of rows that would agree in all columns but one if one more of them agreed by chance; the most of any."""
    inside, most = _count_pairs(np.sort(rest)), 0.0
    for place, agree in beside:
        if place != without and agree < 1:
            fewer = _count_pairs(np.sort(rest - _mixed(columns[place], place))) - inside
            most = max(most, fewer * agree / (1 - agree))
    return most


def _largest_share(num: int, equal: np.ndarray, pairs: Sequence[tuple[int, int]]) -> float:
    """The share of all rows that the largest group joined by these pairs has, beside the largest of equal rows."""
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    _, group = connected_components(coo_array((np.ones(len(a)), (equal[a], equal[b])), shape=(num, num)))
    sizes = np.bincount(group[equal])
    return float(sizes.max() - np.bincount(equal).max()) / num
