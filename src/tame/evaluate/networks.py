"""Networks compared by the loss that one of them has on average: an ensemble with a member, one at two temperatures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.evaluation import Difference
from tame.evaluate import influence
from tame.evaluate.influence import Statistic
from tame.evaluate.intervals import linear, studentized
from tame.evaluate.score import Judged, losses, require_same

MOST_RESAMPLED = 2000  # examples; of more, the mean is as good as normal, and resamples take seconds


def loss_difference(metric: str, a: Sequence[Judged], b: Sequence[Judged], *, seed: int, how: str) -> Difference:
    """How much higher a loss of `a` is than that of `b`, with its 95 % interval over the examples.

    metric: log_loss or rmse. a, b: networks; of several, the loss of each example is their mean, as that of one network
    is that is drawn from them. Raises InconsistentError for different examples.
    """
    first = a[0]
    require_same((*a, *b), "the predictions are of different examples and cannot be compared")
    apart, n = influence.minus(_mean_loss(metric, a), _mean_loss(metric, b)), len(first.ids)
    value = float(apart(np.ones((1, n)))[0][0])
    if n <= MOST_RESAMPLED:
        low, high = studentized(apart, n, seed=seed, groups=first.groups)
    else:
        low, high = linear(apart, n, groups=first.groups)
    return Difference(value, min(low, value), max(high, value), n, how)


def _mean_loss(metric: str, networks: Sequence[Judged]) -> Statistic:
    lost = np.mean([losses(metric, each) for each in networks], axis=0)
    statistic = (influence.of_root if metric == "rmse" else influence.of_mean)(lost)
    weights = networks[0].weights
    return statistic if weights is None else influence.counted(statistic, weights)
