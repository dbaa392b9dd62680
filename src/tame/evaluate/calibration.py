"""Whether predicted probabilities are reliable, and what decisions based on them cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.errors import require
from tame.core.evaluation import AwareCost, Calibration, CalibrationBin, ExpectedCost
from tame.core.rng import stream
from tame.data.costs import expected_cost as costs_of
from tame.evaluate.compare import bootstrap, share_interval
from tame.evaluate.score import Judged

DRAWS, LEAST_DRAWS = 500, 100  # of answers of a calibrated network, for the error that is usual
MOST_DRAWN = 20_000_000  # answers in all draws: of more examples there are fewer draws


def calibration(judged: Judged, bins: int = 10) -> Calibration:
    """How often the predicted class is right, compared with its predicted probability, in bins of equal width.

    For an example with shares of classes, the share of the predicted class counts as right. The expected calibration
    error is the mean distance of the two, each bin weighted by its share of examples; empty bins are left out.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), section 2.
    """
    require(bins >= 1, f"a calibration table needs 1 bin or more, got {bins}")
    confidence = judged.probabilities.max(axis=1)
    each = judged.right if judged.shares is None else judged.shares[np.arange(len(judged.target)), judged.predicted]
    # Each bin includes its upper end, as in the source.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table, apart = [], 0.0
    for number in range(bins):
        own = place == number
        n, right = int(own.sum()), min(float(each[own].sum()), int(own.sum()))
        if not n:
            continue
        low, high = share_interval(each[own], None if judged.groups is None else judged.groups[own])
        mean = float(confidence[own].mean())
        apart += n * abs(right / n - mean)
        table.append(
            CalibrationBin(
                start=number / bins, end=(number + 1) / bins, n=n, confidence=mean, right=right / n, low=low, high=high
            )
        )
    total = len(judged.target)
    return Calibration(
        n=total, ece=apart / total, confidence=float(confidence.mean()), right=float(each.mean()), bins=tuple(table),
        usual=None if judged.shares is not None else usual_error(confidence, place, bins, judged.groups),
    )  # fmt: skip


def usual_error(confidence: np.ndarray, place: np.ndarray, bins: int, groups: np.ndarray | None = None) -> float:
    """The calibration error that 95 % of networks stay below which are as sure as this one and perfectly calibrated.

    confidence, place: (n,) the probability of each prediction, and its bin; groups: as of `Judged`, right or wrong
    together. From draws of which predictions are right. Source: Bröcker and Smith, Increasing the reliability of
    reliability diagrams (2007).
    """
    rng, n = stream(0, "calibration"), len(confidence)
    own = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    sure = np.bincount(place, weights=confidence, minlength=bins)
    found = []
    for _ in range(max(LEAST_DRAWS, min(DRAWS, MOST_DRAWN // max(n, 1)))):
        right = rng.random(n)[own] < confidence
        found.append(np.abs(np.bincount(place, weights=right, minlength=bins) - sure).sum() / n)
    return float(np.quantile(found, 0.95))


def expected_cost(judged: Judged, matrix: Sequence[Sequence[float]], *, seed: int) -> ExpectedCost:
    """The mean cost of the predictions, with a 95 % interval, and that of decisions that take the costs into account.

    matrix: (C, C), row the true class, column the decision. `value`, `low`, `high` are for deciding for the most
    probable class; `aware` is the same for deciding for the lowest expected cost, with `changed`, the number of
    decisions that differ. Raises UsageError if the matrix does not fit the classes or a cost is not finite.
    Source: Elkan, The foundations of cost-sensitive learning (2001), equation 1.
    """
    costs, size = np.asarray(matrix, dtype=float), judged.probabilities.shape[1]
    require(costs.shape == (size, size), f"costs of {size} classes must be a {size} x {size} table, got {costs.shape}")
    require(bool(np.isfinite(costs).all()), "every cost must be a finite number")
    cheapest = (judged.probabilities @ costs).argmin(axis=1)
    n = len(judged.target)

    def of(decided: np.ndarray) -> tuple[float, float, float]:
        each = costs_of(costs, judged.target, decided)
        low, high = bootstrap(lambda rows: float(each[rows].mean()), n, seed=seed, groups=judged.groups)
        return float(each.mean()), low, high

    (value, low, high), (least, least_low, least_high) = of(judged.predicted), of(cheapest)
    changed = int((cheapest != judged.predicted).sum())
    return ExpectedCost(
        value=value, low=low, high=high, n=n, how="mean cost of the predictions on the sealed test part",
        matrix=tuple(map(tuple, costs.tolist())),
        aware=AwareCost(value=least, low=least_low, high=least_high, changed=changed),
    )  # fmt: skip
