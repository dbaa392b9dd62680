"""Whether probabilities can be believed, and what decisions that rest on them cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tame.core.errors import require
from tame.data.costs import expected_cost as costs_of
from tame.evaluate.compare import bootstrap, wilson
from tame.evaluate.score import Judged


def calibration(judged: Judged, bins: int = 10) -> dict[str, Any]:
    """How often the predicted class is right beside the probability that it was given, in bins of equal width.

    An example that comes with shares of classes is right by the share of the class that is predicted. Returns n, the
    expected calibration error `ece` (the mean distance of the two, each bin by its share of examples), `confidence` and
    `right` of all, and `bins`: for each that is not empty its ends `from` and `to`, n, mean confidence, share right and
    Wilson's 95 % interval of that share.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), section 2.
    """
    require(bins >= 1, f"a calibration table has 1 bin or more, got {bins}")
    confidence = judged.probabilities.max(axis=1)
    each = judged.right if judged.shares is None else judged.shares[np.arange(len(judged.target)), judged.predicted]
    # Each bin holds its upper end, as in the source.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    table, apart = [], 0.0
    for number in range(bins):
        own = place == number
        n, right = int(own.sum()), min(float(each[own].sum()), int(own.sum()))
        if not n:
            continue
        low, high = wilson(right, n)
        mean = float(confidence[own].mean())
        apart += n * abs(right / n - mean)
        table.append(
            {"from": number / bins, "to": (number + 1) / bins, "n": n, "confidence": mean, "right": right / n,
             "low": low, "high": high}
        )  # fmt: skip
    total = len(judged.target)
    return {
        "n": total, "ece": apart / total, "confidence": float(confidence.mean()),
        "right": float(each.mean()), "bins": table,
    }  # fmt: skip


def expected_cost(judged: Judged, matrix: Sequence[Sequence[float]], *, seed: int) -> dict[str, Any]:
    """What the predictions cost an example, with a 95 % interval, and what decisions that weigh the costs would.

    matrix: (C, C), row the true class, column the decision. `value`, `low`, `high` are of always deciding for the
    class of highest probability; `aware` holds the same of deciding for the lowest expected cost, and `changed`, how
    many decisions that turns. Raises UsageError where the matrix does not fit the classes or a cost is not finite.
    Source: Elkan, The foundations of cost-sensitive learning (2001), equation 1.
    """
    costs, size = np.asarray(matrix, dtype=float), judged.probabilities.shape[1]
    require(costs.shape == (size, size), f"costs of {size} classes are a {size} x {size} table, got {costs.shape}")
    require(bool(np.isfinite(costs).all()), "every cost must be a finite number")
    cheapest = (judged.probabilities @ costs).argmin(axis=1)
    n = len(judged.target)

    def of(decided: np.ndarray) -> dict[str, Any]:
        each = costs_of(costs, judged.target, decided)
        low, high = bootstrap(lambda rows: float(each[rows].mean()), n, seed=seed)
        return {"value": float(each.mean()), "low": low, "high": high}

    return {
        **of(judged.predicted), "n": n, "how": "mean cost of the predictions on the sealed test part",
        "matrix": costs.tolist(), "aware": {**of(cheapest), "changed": int((cheapest != judged.predicted).sum())},
    }  # fmt: skip
