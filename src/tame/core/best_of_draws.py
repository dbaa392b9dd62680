"""The expected best of n draws, and how much twice as many draws would gain; used by the search and the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LEAST_DRAWS = 8  # with fewer, nothing is extrapolated


def in_order(losses: Sequence[float]) -> Array:
    """The losses (N,) in ascending order; losses that are not finite are replaced by the worst finite one, if any."""
    ordered = np.sort(np.asarray(losses, float))
    finite = ordered[np.isfinite(ordered)]
    return np.minimum(ordered, finite.max()) if len(finite) else ordered


def expected_best(losses: Array, size: int) -> float:
    """The mean of the smallest of `size` losses drawn without replacement. losses: (N,) in ascending order, size <= N.

    Sources: Dodge et al., Show your work (2019); unbiased: Tang et al., Showing your work doesn't always work (2020).
    """
    num = len(losses)
    ranks = np.arange(num - size + 1)  # how many are better than the smallest of the draw
    logs = _log_choose(num - 1 - ranks, size - 1) - _log_choose(np.asarray(num), size)
    return float(np.exp(logs) @ losses[: num - size + 1])


def doubling_gain(losses: Array, *, rounding: float = 0.0) -> float | None:
    """How much lower the mean best of 2 N losses would be than that of these N; None for fewer than 8.

    losses: (N,) in ascending order; rounding: relative rounding error of the mean of equal losses. Assumes that each
    doubling gains the same share of what the doubling before it gained, which holds if the losses thin out towards
    their minimum like a power law. The share is taken from the last two doublings, at most 1.
    """
    num = len(losses)
    if num < LEAST_DRAWS:
        return None
    quarter, half, whole = (expected_best(losses, num // part) for part in (4, 2, 1))
    before, last = quarter - half, half - whole
    return last * min(1.0, last / before) if before > rounding * abs(whole) else 0.0


def _log_choose(total: NDArray[np.int_], taken: int) -> Array:
    from scipy.special import gammaln  # loaded here: `tame show` needs the module and none of its numbers

    found: Array = gammaln(total + 1.0) - gammaln(taken + 1.0) - gammaln(total - taken + 1.0)
    return found
