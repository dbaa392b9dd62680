"""Hashes of the rows of a table: equal where the values are, and taken apart column by column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def bits_of(column: np.ndarray) -> np.ndarray:
    """(N,) uint64 that are equal where the values are; missing numbers equal each other, and so do 0 and -0."""
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), np.nan, column + 0.0).astype(np.float64)
    elif column.dtype.itemsize != 8:
        column = column.astype(np.int64)
    return np.asarray(np.ascontiguousarray(column).view(np.uint64))


def mixed(column: np.ndarray, salt: int) -> np.ndarray:
    """(N,) uint64 hashes of a column, other ones for each column: their sum over columns stands for the row.

    Source: the finaliser of SplitMix64, Steele, Lea and Flood, OOPSLA 2014; twice, so that sums do not cancel.
    """
    bits = bits_of(column)
    for round_of in (2 * salt, 2 * salt + 1):
        bits = bits + np.uint64((0x9E3779B97F4A7C15 * (round_of + 1)) % 2**64)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return np.asarray(bits)


def first_of_equal(hashes: np.ndarray) -> np.ndarray:
    """(N,) the first row of the same hash."""
    _, first, place = np.unique(hashes, return_index=True, return_inverse=True)
    return np.asarray(first[place])


def joined_rows(equal: np.ndarray, pairs: Sequence[tuple[int, int]]) -> np.ndarray:
    """(N,) the first row of the group that equal rows and these pairs make together."""
    num = len(equal)
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    rows, others = np.concatenate([equal, a]), np.concatenate([np.arange(num), b])
    _, group = connected_components(coo_array((np.ones(len(rows)), (rows, others)), shape=(num, num)), directed=False)
    _, first, place = np.unique(group, return_index=True, return_inverse=True)
    return np.asarray(first[place])
