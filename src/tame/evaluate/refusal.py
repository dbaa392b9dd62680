"""When to say "I do not know": a probability below which a prediction is not given, and what that is worth."""

from __future__ import annotations

import numpy as np

from tame.core.evaluation import Refusal
from tame.evaluate.compare import share_interval
from tame.evaluate.score import Judged

LEAST_MISTAKES = 10  # on validation examples: of fewer, half are too few to choose by
LEAST_ANSWERED = 0.5  # of the validation examples
THRESHOLDS = (0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def refusal(chosen_on: Judged, judged: Judged) -> Refusal | None:
    """The lowest probability at which half the share of mistakes is left, and what it leaves on other examples.

    chosen_on: the validation examples that the threshold is chosen on; judged: those that it is told of. None where
    validation has fewer than 10 mistakes, or more than half of the examples would not be answered.
    Source: Geifman and El-Yaniv, Selective classification for deep neural networks (2017).
    """
    sure, wrong = chosen_on.probabilities.max(axis=1), ~chosen_on.right
    if wrong.sum() < LEAST_MISTAKES:
        return None
    order = np.argsort(-sure, kind="stable")
    risk = np.cumsum(wrong[order]) / np.arange(1, len(order) + 1)
    is_last = np.append(np.diff(sure[order]) < 0, True)  # of equal probabilities, all are answered or none
    answered = np.nonzero(is_last & (risk <= wrong.mean() / 2))[0]
    if not len(answered) or answered[-1] + 1 < LEAST_ANSWERED * len(order):
        return None
    threshold = float(sure[order[answered[-1]]])
    return below(judged, threshold)


def refusals(judged: Judged) -> tuple[Refusal, ...]:
    """What "I do not know" below each of a few probabilities leaves; without those that refuse nothing, or all."""
    found = (below(judged, threshold) for threshold in THRESHOLDS)
    return tuple(each for each in found if 0 < each.answered < each.n)


def below(judged: Judged, threshold: float) -> Refusal:
    """What "I do not know" below this probability leaves."""
    given = judged.probabilities.max(axis=1) >= threshold
    mistaken = ~judged.right[given]
    groups = judged.groups
    low, high = share_interval(given, groups)
    risk_low, risk_high = share_interval(mistaken, None if groups is None else groups[given])
    return Refusal(
        threshold=threshold, n=len(given), answered=int(given.sum()), coverage=float(given.mean()), coverage_low=low,
        coverage_high=high, risk=float(mistaken.mean()) if given.any() else 0.0, risk_low=risk_low, risk_high=risk_high,
        risk_of_all=float((~judged.right).mean()),
    )  # fmt: skip
