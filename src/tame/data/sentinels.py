"""Numbers and dates that stand for "not known": one value, found many times, far outside of all others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEAST_TIMES = 3  # rows that hold it
LEAST_SHARE = 0.001  # of the rows
LEAST_OTHERS = 10  # different values beside it: of fewer, none is outside
WIDE = 1.0  # ranges of all other values between it and the nearest of them


@dataclass(frozen=True, slots=True)
class Sentinel:
    """A value that may stand for "not known". low, high: between which all others lie."""

    column: str
    value: float
    rows: int
    low: float
    high: float


def sentinel_in(name: str, values: np.ndarray) -> Sentinel | None:
    """The value of a column (N,) that may mark what is not known; None where there is none.

    It is the lowest or the highest, found in several rows, more often than any value near that end, and further from
    the rest than these are from each other. 0 is none: it mostly means none of something.
    """
    known = values[np.isfinite(values)]
    different, times = np.unique(known, return_counts=True)
    if len(different) < LEAST_OTHERS + 1:
        return None
    least = max(LEAST_TIMES, LEAST_SHARE * len(known))
    for end, rest, at in ((0, different[1:], times[1:]), (-1, different[:-1], times[:-1])):
        gap = min(abs(different[end] - rest[0]), abs(different[end] - rest[-1]))
        if different[end] != 0 and times[end] >= least and gap > WIDE * (rest[-1] - rest[0]) and at.sum() >= least:
            return Sentinel(name, float(different[end]), int(times[end]), float(rest[0]), float(rest[-1]))
    return None
