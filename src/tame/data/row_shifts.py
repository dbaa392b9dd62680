"""Rows that are windows of one series: each holds what another holds, shifted by some steps."""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tame.data.row_hashes import mixed

LEAST_STEPS = 4  # of a row; in fewer, what overlaps says too little
MOST_VALUES = 10_000_000  # of all rows; of more nothing is looked for
MOST_SHIFT = 64  # steps
LEAST_OVERLAP = 0.5  # of the steps
SURE = 0.01  # rows that chance may make overlap, in all
MOST_EQUAL = 20  # rows that begin alike, joined to one that ends so
LARGEST = 0.1  # of all rows in one group; a longer series is cut into blocks
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse


@dataclass(frozen=True, slots=True)
class Windows:
    """Windows that overlap. pairs: (a, b), a < b, of rows to be kept together; rows: how many rows overlap others;
    cut: how many of them lie in series too long for one group, which are kept together in blocks."""

    pairs: tuple[tuple[int, int], ...] = ()
    rows: int = 0
    cut: int = 0


NONE = Windows()


def windows_in(x: np.ndarray) -> Windows:
    """The windows of series among N rows. x: (N, T) numbers, or (N, T, C) or (N, C, T) of several at each step.

    Two rows are windows of one series where the end of one is the beginning of the other, over half of all steps or
    more, and chance would hardly give that: by how often each value occurs and each difference to the step before.
    """
    if x.ndim not in (2, 3) or len(x) < 2 or x.size > MOST_VALUES or x.dtype.kind not in "iuf":
        return NONE
    found: dict[tuple[int, int], int] = {}
    for steps in [x[..., None]] if x.ndim == 2 else [x, x.transpose(0, 2, 1)]:
        if steps.shape[1] >= LEAST_STEPS:
            with np.errstate(over="ignore", invalid="ignore"):
                change = np.diff(steps.astype(np.float64), axis=1)
            found |= _overlaps(_hashes(steps), _hashes(change))
    return _grouped(found, len(x)) if found else NONE


def _hashes(steps: np.ndarray) -> np.ndarray:
    """(N, T) uint64, the same for equal values of a step. steps: (N, T, C)."""
    total = np.zeros(steps.shape[:2], dtype=np.uint64)
    for channel in range(steps.shape[2]):
        total += mixed(np.ascontiguousarray(steps[..., channel]).ravel(), channel).reshape(total.shape)
    return total


def _overlaps(steps: np.ndarray, change: np.ndarray) -> dict[tuple[int, int], int]:
    """Rows (a, b) where b is a shifted, and by how many steps. steps: (N, T), change: (N, T - 1) hashes."""
    num, length = steps.shape
    shifts = range(1, min(int(length * (1 - LEAST_OVERLAP)), MOST_SHIFT) + 1)
    first = _surprise(steps)
    rest = np.minimum(first[:, 1:], _surprise(change))
    rest[steps[:, 1:] == steps[:, :-1]] = 0.0
    enough = math.log(num * num * len(shifts) / SURE)
    # Sums of hash times a power of BASE: that of an end is that of a beginning times a power.
    power = np.multiply.accumulate(np.r_[np.uint64(1), np.full(length - 1, BASE, dtype=np.uint64)])
    sums = np.concatenate([np.zeros((num, 1), dtype=np.uint64), np.add.accumulate(steps * power, axis=1)], axis=1)
    found: dict[tuple[int, int], int] = {}
    for shift in shifts:
        sure = np.flatnonzero(first[:, shift] + rest[:, shift:].sum(axis=1) >= enough)
        if not len(sure):
            break
        ends = (sums[sure, length] - sums[sure, shift]) * np.uint64(pow(BASE, -shift, 2**64))
        beginnings = sums[:, length - shift]
        for a, others in zip(sure.tolist(), _equal(beginnings, ends), strict=True):
            found.update({(a, b): shift for b in others if b != a and (a, b) not in found and (b, a) not in found})
    return found


def _surprise(hashes: np.ndarray) -> np.ndarray:
    """(N, T) minus the logarithm of how often each value occurs among all."""
    _, place, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    return np.asarray(-np.log(counts / hashes.size)[place].reshape(hashes.shape))


def _equal(among: np.ndarray, wanted: np.ndarray) -> list[list[int]]:
    """Of each value that is wanted, where it stands, at most MOST_EQUAL times."""
    order = np.argsort(among, kind="stable")
    low, high = (np.searchsorted(among[order], wanted, side=side) for side in ("left", "right"))
    return [
        order[first : min(last, first + MOST_EQUAL)].tolist()
        for first, last in zip(low.tolist(), high.tolist(), strict=True)
    ]


def _grouped(shifts: Mapping[tuple[int, int], int], num: int) -> Windows:
    """The rows of each series as pairs, a series of too many rows cut into blocks of neighbours."""
    beside: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for (a, b), shift in shifts.items():
        beside[a].append((b, shift))
        beside[b].append((a, -shift))
    seen: set[int] = set()
    pairs: list[tuple[int, int]] = []
    cut = 0
    for row in sorted(beside):
        if row in seen:
            continue
        at = _places(row, beside)
        seen |= at.keys()
        series = sorted(at, key=lambda each: (at[each], each))
        is_long = len(series) > LARGEST * num
        cut += len(series) if is_long else 0
        for own in np.array_split(series, math.ceil(len(series) / (LARGEST * num)) if is_long else 1):
            pairs += _chained(sorted(own.tolist()))
    return Windows(tuple(pairs), len(seen), cut)


def _places(row: int, beside: Mapping[int, Sequence[tuple[int, int]]]) -> dict[int, int]:
    """Where the rows of one series begin in it, in steps after `row`."""
    at, waiting = {row: 0}, deque([row])
    while waiting:
        here = waiting.popleft()
        for other, shift in beside[here]:
            if other not in at:
                at[other] = at[here] + shift
                waiting.append(other)
    return at


def _chained(rows: Sequence[int]) -> list[tuple[int, int]]:
    return [(rows[0], other) for other in rows[1:]]
