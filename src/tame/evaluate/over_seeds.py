"""Two recipes, each trained with the same seeds, compared on the same examples: what is due to chance in both."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t as student

from tame.core.evaluation import Difference

HOW = "paired over the same examples and seeds"
HOW_ONE = "paired over the same examples, one seed of each"


def difference_over_seeds(apart: np.ndarray, groups: np.ndarray | None = None) -> tuple[Difference, float]:
    """The mean of differences with its 95 % interval, and the two-sided p-value of no difference.

    apart: (S, n) one recipe minus the other, for S seeds and n examples; groups: (n,) the same number for examples that
    belong together. Both seeds and examples count as drawn: the variance of the mean is that of a crossed design with
    random effects of both, never less than that of either alone, with the degrees of freedom of Satterthwaite. One seed
    says nothing of seeds: then only examples count as drawn. Raises ValueError for no seed or fewer than two examples.
    Source: Searle, Casella and McCulloch, Variance Components (1992), section 4.3; Satterthwaite, An approximate
    distribution of estimates of variance components (1946).
    """
    own = np.asarray(apart, dtype=float)
    num_seeds, num_examples = own.shape
    if groups is not None:  # the mean of a group, weighted so that the mean over all groups is that of the examples
        _, place = np.unique(groups, return_inverse=True)
        many = int(place.max()) + 1
        own = np.stack([np.bincount(place, weights=row, minlength=many) for row in own]) * many / num_examples
    n = own.shape[1]
    if num_seeds < 1 or n < 2:
        raise ValueError(f"need a seed and two examples, got {num_seeds} and {n}")
    mean, by_seed, by_example = own.mean(), own.mean(axis=1), own.mean(axis=0)
    rest = own - by_seed[:, None] - by_example[None, :] + mean
    freedom = (num_seeds - 1, n - 1, (num_seeds - 1) * (n - 1))
    sums = (n * ((by_seed - mean) ** 2).sum(), num_seeds * ((by_example - mean) ** 2).sum(), (rest**2).sum())
    squares = [float(each) / max(own, 1) for each, own in zip(sums, freedom, strict=True)]
    whole = max(squares[0] + squares[1] - squares[2], squares[0], squares[1])
    spread = sum(square**2 / max(own, 1) for square, own in zip(squares, freedom, strict=True))
    error = math.sqrt(whole / (num_seeds * n))
    value, how = float(mean), HOW if num_seeds > 1 else HOW_ONE
    if error == 0:
        return Difference(value, value, value, num_examples, how), float(value == 0)
    degrees = max(whole**2 / spread, 1.0)
    half = float(student.ppf(0.975, degrees)) * error
    return Difference(value, value - half, value + half, num_examples, how), float(
        2 * student.sf(abs(value) / error, degrees)
    )


def holm(chances: Sequence[float]) -> list[float]:
    """The p-values (k,) of several comparisons, each raised so that together they mislead as rarely as one alone.

    Source: Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    found, highest = [1.0] * len(chances), 0.0
    for rank, place in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        highest = max(highest, min(1.0, (len(chances) - rank) * chances[place]))
        found[place] = highest
    return found
