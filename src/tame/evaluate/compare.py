"""Comparisons with their uncertainty: intervals of a share, and of the difference between two paired shares."""

from __future__ import annotations

import math

import numpy as np

from tame.core.evaluation import Difference

Z = 1.959963984540054  # two-sided 95 % of the normal distribution


def effective(values: np.ndarray, groups: np.ndarray | None) -> float:
    """How many independent examples would tell the mean of `values` (n,) as well as these, in groups (n,), do.

    Examples of one group may be copies, or come from one source. From the variance between groups, reduced for few
    groups by the quantile of Student's t; where the values do not vary, as if all of a group were alike.
    Source: Korn and Graubard, Confidence intervals for proportions with small expected number of positive counts
    estimated from survey data (1998); Kish, Survey Sampling (1965).
    """
    n = len(values)
    if groups is None or n == 0:
        return n
    place, sizes = members(groups)
    many = len(sizes)
    if many == n:
        return n
    if many == 1:
        return 1.0
    apart = np.bincount(place, weights=values - values.mean())
    between = many / (many - 1) * float((apart**2).sum()) / n**2
    alone = float(np.var(values))
    own = alone / between if between > 0 < alone else n * n / float((sizes.astype(float) ** 2).sum())
    return min(n, own) * (Z / quantile(sizes)) ** 2


def share_interval(right: np.ndarray, groups: np.ndarray | None = None) -> tuple[float, float]:
    """95 % interval of the mean of `right` (n,), bools or shares, Wilson's, for as many examples as are independent.

    groups: (n,) the same number for examples that belong together; None where each stands for itself.
    """
    own = np.asarray(right, dtype=float)
    n = effective(own, groups)
    return wilson(min(float(own.sum()), len(own)) * (n / max(len(own), 1)), n)


def quantile(sizes: np.ndarray) -> float:
    """The 97.5 % quantile of Student's t for groups of these sizes: where few are large, they alone tell the spread.

    Source: Satterthwaite, An approximate distribution of estimates of variance components (1946).
    """
    from scipy.special import stdtrit  # loaded here: pages compare studies without it, and it takes 28 MB

    squared = sizes.astype(float) ** 2
    many = float(squared.sum()) ** 2 / float((squared**2).sum())
    return float(stdtrit(max(many - 1, 0.5), 0.975))


def members(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place (n,) of each example's group, and how many each group has."""
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return place, sizes


def wilson(successes: float, n: float) -> tuple[float, float]:
    """95 % interval of a share. Source: Wilson, Probable inference (1927); equals scipy's binomtest().proportion_ci."""
    if n == 0:
        return 0.0, 1.0
    share, z2 = successes / n, Z * Z
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    # If the share is 0 or 1 it is itself an end, which the sums miss by a last digit.
    return min(max(0.0, centre - half), share), max(min(1.0, centre + half), share)


def paired_shares(right_a: np.ndarray, right_b: np.ndarray, groups: np.ndarray | None = None) -> Difference:
    """Difference of two shares over the same examples. right_a, right_b: (n,) bools; groups: as of `share_interval`.

    Source: Newcombe, Improved confidence intervals for the difference between binomial proportions based on paired
    data (1998), method 10.
    """
    a, b = np.asarray(right_a, dtype=bool), np.asarray(right_b, dtype=bool)
    n = effective(a.astype(float) - b, groups)
    weight = n / max(len(a), 1)
    both, only_a, only_b = (weight * int(own.sum()) for own in (a & b, a & ~b, ~a & b))
    neither = weight * int((~a & ~b).sum())
    p_a, p_b = (both + only_a) / max(n, 1e-300), (both + only_b) / max(n, 1e-300)
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
    return Difference(difference, difference - down, difference + up, len(a), how)


def _square(left: float, right: float, phi: float) -> float:
    return max(0.0, left * left - 2 * phi * left * right + right * right)
