"""Whether predicted probabilities are reliable, and what decisions based on them cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tame.core.errors import require
from tame.core.evaluation import AwareCost, Calibration, CalibrationBin, ExpectedCost
from tame.core.rng import stream
from tame.data.costs import expected_cost as costs_of
from tame.evaluate.compare import share_interval
from tame.evaluate.influence import of_mean
from tame.evaluate.intervals import LOG, studentized
from tame.evaluate.score import Judged

DRAWS = 1000  # of the labels of a calibrated network
DRAWN_AT_ONCE = 1_000_000


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
    found = Calibration(
        n=total, ece=apart / total, confidence=float(confidence.mean()), right=float(each.mean()), bins=tuple(table)
    )
    if judged.shares is not None:
        return found
    errors, gaps = _of_calibrated(confidence, place, judged.groups, bins)
    brier = _brier(judged)
    low, high = studentized(of_mean(brier), total, seed=0, scale=LOG, groups=judged.groups)
    return replace(
        found, usual=float(errors.mean()), most=float(np.quantile(errors, 0.95)),
        least_gap=float(np.quantile(gaps, 0.025)), most_gap=float(np.quantile(gaps, 0.975)),
        brier=float(brier.mean()), brier_low=low, brier_high=min(high, 1.0 if judged.outputs.shape[1] == 2 else 2.0),
    )  # fmt: skip


def _of_calibrated(
    confidence: np.ndarray, place: np.ndarray, groups: np.ndarray | None, bins: int
) -> tuple[np.ndarray, np.ndarray]:
    """Calibration errors, and gaps between confidence and share right, of a network that is right as often as it says.

    The answers of a group are right together, as those of copies are. place: (n,) the bin of each answer.
    Source: the consistency resampling of Bröcker and Smith, Increasing the reliability of reliability diagrams (2007).
    """
    rng, n = stream(0, "calibrated"), len(confidence)
    own = np.arange(n) if groups is None else np.unique(groups, return_inverse=True)[1]
    member = np.zeros((n, bins))
    member[np.arange(n), place] = 1
    errors, gaps, at_once = [], [], max(1, DRAWN_AT_ONCE // n)
    for begin in range(0, DRAWS, at_once):
        chance = rng.random((min(at_once, DRAWS - begin), int(own.max()) + 1))[:, own]
        apart = ((chance < confidence) - confidence) @ member
        errors.append(np.abs(apart).sum(axis=1) / n)
        gaps.append(-apart.sum(axis=1) / n)
    return np.concatenate(errors), np.concatenate(gaps)


def _brier(judged: Judged) -> np.ndarray:
    """(n,) the squared distance of the probabilities from the true class, halved for two classes.

    Source: Brier, Verification of forecasts expressed in terms of probability (1950); halved as is usual for two.
    """
    own = judged.probabilities
    apart = ((own - np.eye(own.shape[1])[judged.target]) ** 2).sum(axis=1)
    return np.asarray(apart / 2 if own.shape[1] == 2 else apart)


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
        low, high = studentized(of_mean(each), n, seed=seed, groups=judged.groups)
        return float(each.mean()), low, high

    (value, low, high), (least, least_low, least_high) = of(judged.predicted), of(cheapest)
    changed = int((cheapest != judged.predicted).sum())
    return ExpectedCost(
        value=value, low=low, high=high, n=n, how="mean cost of the predictions on the sealed test part",
        matrix=tuple(map(tuple, costs.tolist())),
        aware=AwareCost(value=least, low=least_low, high=least_high, changed=changed),
    )  # fmt: skip
