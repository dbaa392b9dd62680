"""Rows that are equal, equal but for rounding, nearly equal or shifted; and which of them chance makes equal."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tame.data.array_pictures import as_pictures, same_pictures
from tame.data.image_crops import MANY
from tame.data.row_hashes import bits_of, first_of_equal, joined_rows, mixed
from tame.data.row_near import NEAR_VALUES, near_pairs
from tame.data.row_rounding import rounded_apart, roundings
from tame.data.row_shifts import NONE, Windows, windows_in

COMBINATIONS = 0.1  # of the rows: tables of so few possible codes have each of them many times
LIKELY = 2.0  # rows of the same values that chance gives: with so many, nearly each has a twin
LEAST_MULTIPLE = 10  # different rows, each found a multiple of 2 or more times, before they were copied that often
RARE = 0.1  # rows of the same rounded values that chance may give, for rows equal but for rounding to be copies
BLOCK_BYTES = 2**26


@dataclass(frozen=True, slots=True, eq=False)
class RowCopies:
    """Which rows are copies of others.

    equal: (N,) numbers, the same for rows whose values all agree, or would but for rounding; chance: (N,) bool, the
    rows whose twins chance alone explains; expected: rows that would have a twin by chance if columns were independent;
    near: pairs (a, b), a < b, of rows that differ in one or two columns; crowded: rows left out of them, since so many
    do that this is how the data is; shown: pairs of rows that are pictures of the same; windows: rows that are windows
    of one series.
    """

    equal: np.ndarray
    chance: np.ndarray
    expected: float
    near: tuple[tuple[int, int], ...]
    crowded: int = 0
    shown: tuple[tuple[int, int], ...] = ()
    windows: Windows = NONE

    @property
    def has_twin(self) -> np.ndarray:
        """(N,) bool: the rows that equal another."""
        _, place, sizes = np.unique(self.equal, return_inverse=True, return_counts=True)
        return np.asarray(sizes[place] > 1)

    def without(self, left_out: np.ndarray) -> RowCopies:
        """The same of the other rows: each that is left out, (N,) bool, then stands for itself."""
        if not left_out.any():
            return self
        num = len(self.equal)
        equal = first_of_equal(np.where(left_out, num + np.arange(num), self.equal))
        near, shown = (tuple(p for p in own if not left_out[list(p)].any()) for own in (self.near, self.shown))
        return replace(self, equal=equal, near=near, shown=shown)

    def pairs(self) -> list[tuple[int, int]]:
        """Pairs (a, b), a < b, of rows that must stay together: equal not by chance, or nearly equal."""
        b = np.flatnonzero(~self.chance & (self.equal != np.arange(len(self.equal))))
        return [*zip(self.equal[b].tolist(), b.tolist(), strict=True), *self.near, *self.shown, *self.windows.pairs]


def copies_of(columns: Sequence[np.ndarray]) -> RowCopies:
    """The copies among N rows. columns: (N,) numbers or codes each; missing numbers equal each other.

    Rows of several columns are copies, too, where one is the other rounded, as another program may have saved it,
    or where a network in float32 could not tell them apart. Rows are equal by chance where the marginals of the
    other different rows give a row of these values LIKELY times or more in a table of this length; or where the
    columns hold so few different codes that each combination occurs many times. But where each is found a multiple
    of some number of times, the rows were copied that often. 100,000 rows of 50 columns take a few seconds.
    """
    num = len(columns[0]) if columns else 0
    if num < 2:
        return RowCopies(np.arange(num), np.zeros(num, dtype=bool), 0.0, ())
    total = np.zeros(num, dtype=np.uint64)
    for salt, column in enumerate(columns):
        total += mixed(column, salt)
    equal = first_of_equal(total)
    lies = np.zeros(num, dtype=bool)  # a hash may
    for column in columns:
        bits = bits_of(column)
        lies |= bits != bits[equal]
    equal = np.where(lies, np.arange(num), equal)
    likely, expected = _by_chance(columns, equal)
    chance = likely >= LIKELY
    again: list[tuple[int, int]] = []
    if len(columns) > 1:  # the values of a single column are near each other by chance, and nothing else tells copies
        firsts = np.flatnonzero(equal == np.arange(num))
        apart = rounded_apart([column[firsts] for column in columns])
        again = _rounded(columns, total) + [(int(firsts[a]), int(firsts[b])) for a, b in apart]
    if again:
        joined = joined_rows(equal, again)
        larger = np.bincount(joined, minlength=num)[joined] > np.bincount(equal, minlength=num)[equal]
        equal, chance = joined, chance & ~larger
    near, crowded = near_pairs(columns, total, equal)
    windows = windows_in(np.column_stack(columns)) if all(own.dtype.kind == "f" for own in columns) else NONE
    return RowCopies(equal, chance, expected, tuple(near), crowded, windows=windows)


def copies_in_array(x: np.ndarray) -> RowCopies:
    """The copies among the N examples of an array (N, ...) of numbers; each value of an example is a column.

    Of large arrays only examples that are equal in every value are found, block by block; of pictures, up to MANY, also
    those that show the same.
    """
    flat, pictures = x.reshape(len(x), -1), as_pictures(x) if len(x) <= MANY else None
    if pictures is None and flat.size <= NEAR_VALUES:
        found = copies_of([flat[:, place] for place in range(flat.shape[1])])
        return found if x.ndim == 2 else replace(found, windows=windows_in(x))
    firsts: dict[bytes, int] = {}
    equal = np.arange(len(flat))
    for row, values in _rows_of(flat):
        digest = hashlib.blake2b(values, digest_size=16).digest()
        equal[row] = firsts.setdefault(digest, row)
    pairs, crowd = ([], 0) if pictures is None else same_pictures(pictures)
    shown = tuple((a, b) for a, b in pairs if equal[a] != equal[b])
    return RowCopies(equal, np.zeros(len(flat), dtype=bool), 0.0, (), crowd, shown)


def _rows_of(flat: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """The number and the bytes of each row, equal where the values are."""
    step = max(1, BLOCK_BYTES // max(1, flat.itemsize * flat.shape[1]))
    for start in range(0, len(flat), step):
        block = np.ascontiguousarray(flat[start : start + step])
        if block.dtype.kind == "f":
            block = np.where(np.isnan(block), block.dtype.type(np.nan), block + block.dtype.type(0))
        for place, row in enumerate(block):
            yield start + place, row.tobytes()


def _rounded(columns: Sequence[np.ndarray], total: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of rows that are equal but for rounding, where chance does not explain them."""
    found: list[tuple[int, int]] = []
    for rounded, equal in roundings(columns, total):
        likely, _ = _by_chance(rounded, equal)
        rows = np.flatnonzero((equal != np.arange(len(equal))) & (likely < RARE))
        found += zip(equal[rows].tolist(), rows.tolist(), strict=True)
    return found


def _by_chance(columns: Sequence[np.ndarray], equal: np.ndarray) -> tuple[np.ndarray, float]:
    """(N,) how many rows like each that has a twin chance gives, and how many rows would have a twin by chance."""
    num = len(equal)
    firsts = np.flatnonzero(equal == np.arange(num))
    times = np.bincount(equal, minlength=num)
    if len(firsts) == num:
        return np.zeros(num), 0.0
    rows, combinations, codes = len(firsts), 1.0, True
    # How many rows of such values chance would give, as a logarithm. Counted among different rows and without the row
    # itself: counted among all rows, copies would make themselves likely.
    log = np.full(rows, math.log(num - 1))
    for column in columns:
        own = column[firsts]
        _, place, sizes = np.unique(bits_of(own), return_inverse=True, return_counts=True)
        with np.errstate(divide="ignore"):
            log += np.log((sizes[place] - 1) / max(rows - 1, 1))
        combinations *= len(sizes)
        known = own[~np.isnan(own)] if own.dtype.kind == "f" else own
        codes = codes and (own.dtype.kind != "f" or bool((known == np.round(known)).all()))
    place = np.searchsorted(firsts, equal)
    likely = np.exp(np.minimum(log, 50))[place]
    few = codes and combinations <= COMBINATIONS * num
    expected = float(num) if few else float((1 - np.exp(-likely)).sum())
    if few:
        likely = np.full(num, np.inf)
    if _were_multiplied(times[firsts]):
        likely = np.zeros(num)
    return np.where(times[equal] > 1, likely, 0.0), expected


def _were_multiplied(times: np.ndarray) -> bool:
    """Whether all rows were copied equally often, by how often each different one is found.

    A plan that holds each combination as often as any other is none of that.
    """
    multiple = int(np.gcd.reduce(times))
    return multiple > 1 and len(times) >= LEAST_MULTIPLE and bool(times.min() < times.max())
