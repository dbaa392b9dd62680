"""Comparisons with their uncertainty: intervals of a share, and of the difference between two paired shares."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tame.core.answers import Difference
from tame.core.rng import stream

Z = 1.959963984540054  # two-sided 95 % of the normal distribution
RESAMPLES = 2000
LEAST_RESAMPLES = 200
MOST_DRAWS = 100_000_000  # rows of all resamples together: without this limit, an interval of large data takes minutes


def wilson(successes: float, n: int) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson, Probable inference (1927); equals scipy's binomtest().proportion_ci."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # If the share is 0 or 1 it is itself an end, which the sums miss by a last digit.
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)


def paired_shares(right_a: np.ndarray, right_b: np.ndarray) -> Difference:
    """Difference of two shares over the same examples. right_a, right_b: (n,) bools.

    Source: Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired
    data (1998), method 10.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    n = len(a)
    both, only_a, only_b = int((a & b).sum()), int((a & ~b).sum()), int((~a & b).sum())
    neither = n - both - only_a - only_b
    p_a, p_b = (both + only_a) / max(n, 1), (both + only_b) / max(n, 1)
    low_a, high_a = wilson(both + only_a, n)
    low_b, high_b = wilson(both + only_b, n)
    product = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    top = both * neither - only_a * only_b
    if product == 0:
        phi = 0.0
    else:
        phi = (max(top - n / 2, 0) if top > 0 else top) / math.sqrt(product)
    down = math.sqrt(_square(p_a - low_a, high_b - p_b, phi))
    up = math.sqrt(_square(high_a - p_a, p_b - low_b, phi))
    difference = p_a - p_b
    how = "paired on the same examples, Newcombe's method 10"
    return Difference(difference, difference - down, difference + up, n, how)


def bootstrap(measure: Callable[[np.ndarray], float], n: int, *, seed: int) -> tuple[float, float]:
    """95 % percentile bootstrap interval of a number over n rows. measure: (n,) row numbers to a number.

    2000 resamples; fewer above 50,000 rows, down to 200.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
    """
    rng = stream(seed, "bootstrap")
    resamples = min(RESAMPLES, max(LEAST_RESAMPLES, MOST_DRAWS // max(n, 1)))
    values = [measure(rng.integers(n, size=n)) for _ in range(resamples)]
    low, high = np.nanquantile(values, [0.025, 0.975])
    return float(low), float(high)


def _square(left: float, right: float, phi: float) -> float:
    return max(0.0, left * left - 2 * phi * left * right + right * right)
