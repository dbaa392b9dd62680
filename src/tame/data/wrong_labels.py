"""Whether labels are wrong in number: examples that are easy to tell contradict their labels, and not by chance.

Some classes overlap by nature, and every model contradicts labels where they do. But then the surest predictions are
nearly always right. Where labels were mixed up, the surest are wrong as often as the others are: errors have a floor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from tame.core.errors import ShapeError

SURE = 0.3  # the share of the predictions of a class that is looked at, the surest
LEAST_SURE = 25  # of them, below which nothing is known
NATURAL = 0.02  # share of labels that the surest predictions contradict in data that is as good as data is
LEVEL = 0.001  # chance of that many contradictions, over all classes
# A floor: among the surest, at least this share of the contradictions that there are among all predictions of a class.
# Of classes that overlap it is a tenth, of labels that were drawn anew more than a half.
FLAT, ALONE_FLAT = 0.4, 0.7
LEAST_LIFT = 0.5  # of the errors of guessing, that the surest predictions must avoid


@dataclass(frozen=True, slots=True)
class WrongLabels:
    """Labels that may be wrong. rows: of the examples, the surest contradictions first; likely: the classes that they
    look like; probability: of these; share: of the surest predictions that contradict their labels; sure: how many
    those are; classes: in whose predictions that shows."""

    rows: np.ndarray
    likely: np.ndarray
    probability: np.ndarray
    share: float
    sure: int
    classes: tuple[int, ...]


def wrong_labels(probability: np.ndarray, labels: np.ndarray) -> WrongLabels | None:
    """The labels that sure predictions contradict, where so many are contradicted that the labels must be at fault.

    probability: (N, C) of a model that has not seen the example; labels: (N,) class numbers. What is named follows
    confident learning: an example is listed where its likeliest class has at least the probability that examples of
    that class have on average. Source: Northcutt, Jiang and Chuang, Confident Learning (2021), section 3.1. Raises
    ShapeError.
    """
    if probability.ndim != 2 or labels.shape != (len(probability),):
        raise ShapeError(f"need (N, C) probabilities and (N,) labels, got {probability.shape} and {labels.shape}")
    num_classes = probability.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    likely = probability.argmax(axis=1)
    top = probability[np.arange(len(labels)), likely]
    seen = [each for c in range(num_classes) if (each := _floor(c, likely, top, labels, counts)) is not None]
    floors = [each for each in seen if each.is_floor]
    if not floors or (len(floors) < len(seen) and not any(each.flat >= ALONE_FLAT for each in floors)):
        return None
    usual = np.array([probability[labels == c, c].mean() if counts[c] else np.inf for c in range(num_classes)])
    own = {each.number for each in floors}
    doubted = np.flatnonzero((likely != labels) & (top >= usual[likely]) & np.isin(likely, list(own)))
    order = doubted[np.argsort(-top[doubted], kind="stable")]
    sure, wrong = sum(each.sure for each in floors), sum(each.wrong for each in floors)
    return WrongLabels(order, likely[order], top[order], wrong / sure, sure, tuple(sorted(own)))


@dataclass(frozen=True, slots=True)
class _Floor:
    number: int
    sure: int
    wrong: int
    flat: float
    is_floor: bool


def _floor(number: int, likely: np.ndarray, top: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> _Floor | None:
    """What the surest predictions of a class say; None where there are too few."""
    own = np.flatnonzero(likely == number)
    num = max(LEAST_SURE, round(SURE * len(own)))
    if len(own) < LEAST_SURE or counts[number] == 0:
        return None
    sure = own[np.argsort(-top[own], kind="stable")[:num]]
    wrong, of_all = int((labels[sure] != number).sum()), float((labels[own] != number).mean())
    share = wrong / len(sure)
    flat = share / of_all if of_all else 0.0
    guessed = 1 - counts[number] / len(labels)
    by_chance = float(binom.sf(wrong - 1, len(sure), NATURAL)) if wrong else 1.0
    many = by_chance < LEVEL / max(int((counts > 0).sum()), 1)
    lifts = share <= LEAST_LIFT * guessed
    return _Floor(number, len(sure), wrong, flat, many and flat >= FLAT and lifts)
