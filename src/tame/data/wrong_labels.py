"""Whether labels are wrong in number: examples that are easy to tell contradict their labels, and not by chance.

Some classes overlap by nature, and every model contradicts labels where they do. But then the surest predictions are
nearly always right. Where labels were mixed up, the surest are wrong nearly as often as the others are: errors have a
floor, and how sure a prediction is says little of whether its label agrees.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from tame.core.errors import ShapeError
from tame.data.unseen import area, beyond

SURE = 0.3  # the share of the predictions of a class that is looked at, the surest
LEAST_SURE = 15  # of them, below which nothing is said
LEAST_PREDICTED = 20  # predictions of a class, below which nothing is known of it
NATURAL = 0.02  # share of labels that the surest predictions contradict in data that is as good as data is
LEVEL = 0.001  # chance of that many contradictions, over all classes
MOST_OF_GUESSING = 0.65  # of the errors of guessing, that the surest predictions may make
# The area under the ROC curve by which sureness tells right predictions from contradicted ones. Of tables and pictures
# that are clean it was 0.69 to 0.98, of those with a tenth or a fifth of all labels drawn again 0.54 to 0.76.
MOST_AREA = 0.75
CLEAR = 1.645  # standard errors, one-sided
OF_EACH = 0.7  # that no class may exceed by more than its noise
LEAST_OF_REST = 0.7  # where one class is at fault, of the others
TO_ONE = 0.8  # of the contradictions among the surest of one class, that have one label: it was mistaken for that


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What must be seen before labels are doubted. flat: of the contradictions among all predictions, the share that
    there is at least among the surest; of_one: the area of a class that is at fault, at most; is_clear: whether areas
    must lie below their limits by more than their noise."""

    flat: float
    of_one: float
    is_clear: bool


# Columns may leave classes overlapping everywhere, so that sureness tells little in clean data too: of 30 clean tables
# the limits of features doubt four. Of photographs it tells much: of 120 clean sets of three classes of CIFAR-10 those
# doubt one, and of 60 with a tenth of all labels drawn again 57, where the limits of columns doubt 41.
OF_COLUMNS = Limits(flat=0.4, of_one=0.65, is_clear=True)
OF_FEATURES = Limits(flat=0.3, of_one=0.7, is_clear=False)


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


def wrong_labels(probability: np.ndarray, labels: np.ndarray, limits: Limits) -> WrongLabels | None:
    """The labels that sure predictions contradict, where so many are contradicted that the labels must be at fault.

    probability: (N, C) of a model that has not seen the example; labels: (N,) class numbers; limits: for what the model
    looks at. Either labels of all classes are, or those of one class have become those of one other. What is named
    follows confident learning: an example is listed where its likeliest class has at least the probability that
    examples of that class have on average. Source: Northcutt, Jiang and Chuang, Confident Learning (2021), section
    3.1. Raises ShapeError.
    """
    if probability.ndim != 2 or labels.shape != (len(probability),):
        raise ShapeError(f"need (N, C) probabilities and (N,) labels, got {probability.shape} and {labels.shape}")
    num_classes = probability.shape[1]
    likely = probability.argmax(axis=1)
    top = probability[np.arange(len(labels)), likely]
    seen = _Seen(likely, top, labels, num_classes, limits)
    classes = [c for c in range(num_classes) if (likely == c).sum() >= LEAST_PREDICTED]
    faulty = classes if _all_are_mixed(seen, classes) else [c for c in classes if _one_is_mixed(seen, c, classes)][:1]
    if not faulty:
        return None
    counts = np.bincount(labels, minlength=num_classes)
    usual = np.array([probability[labels == c, c].mean() if counts[c] else np.inf for c in range(num_classes)])
    doubted = np.flatnonzero(~seen.right & (top >= usual[likely]) & np.isin(likely, faulty))
    order = doubted[np.argsort(-top[doubted], kind="stable")]
    sure = seen.surest(faulty)
    share = float((~seen.right[sure]).mean())
    return WrongLabels(order, likely[order], top[order], share, len(sure), tuple(faulty))


class _Seen:
    """Predictions beside labels. rank: (N,) how sure each is among those of its class, from 0 to 1."""

    def __init__(
        self, likely: np.ndarray, top: np.ndarray, labels: np.ndarray, num_classes: int, limits: Limits
    ) -> None:  # fmt: skip
        self.limits = limits
        self.likely, self.labels, self.num_classes = likely, labels, num_classes
        self.right = likely == labels
        self.rank = np.zeros(len(labels))
        for c in range(num_classes):
            own = np.flatnonzero(likely == c)
            self.rank[own[np.argsort(top[own], kind="stable")]] = (np.arange(len(own)) + 0.5) / max(len(own), 1)

    def surest(self, classes: list[int]) -> np.ndarray:
        """The rows of the surest predictions of these classes."""
        return np.flatnonzero(np.isin(self.likely, classes) & (self.rank > 1 - SURE))

    def told(self, classes: list[int]) -> tuple[float, float]:
        """How well sureness tells right predictions of these classes from contradicted ones, with its error."""
        own = np.isin(self.likely, classes)
        return area(self.rank[own], self.right[own])

    def has_floor(self, classes: list[int]) -> bool:
        """Whether more of the surest are contradicted than is natural, nearly as many as of all, and guessing does
        worse."""
        own, sure = np.isin(self.likely, classes), self.surest(classes)
        wrong, of_all = int((~self.right[sure]).sum()), float((~self.right[own]).mean())
        if len(sure) < LEAST_SURE or not wrong:
            return False
        share = wrong / len(sure)
        shares = np.bincount(self.labels, minlength=self.num_classes) / len(self.labels)
        guessed = float((1 - shares[self.likely[sure]]).mean())
        by_chance = float(binom.sf(wrong - 1, len(sure), NATURAL))
        return (
            by_chance < LEVEL / self.num_classes
            and share >= self.limits.flat * of_all
            and share <= MOST_OF_GUESSING * guessed
        )


def _all_are_mixed(seen: _Seen, classes: list[int]) -> bool:
    """Whether labels of all classes are contradicted by sure predictions as often as by others."""
    if not classes or not seen.has_floor(classes):
        return False
    value, error = seen.told(classes)
    each, z = [seen.told([c]) for c in classes], beyond(len(classes), level=0.05)
    return value + seen.limits.is_clear * CLEAR * error <= MOST_AREA and all(
        own - z * noise <= OF_EACH for own, noise in each
    )


def _one_is_mixed(seen: _Seen, number: int, classes: list[int]) -> bool:
    """Whether examples of one class have got the label of one other, while the other predictions are as they were."""
    value, error = seen.told([number])
    if not seen.has_floor([number]) or value + seen.limits.is_clear * error > seen.limits.of_one:
        return False
    rest = [c for c in classes if c != number]
    sure = seen.surest([number])
    got = np.bincount(seen.labels[sure[~seen.right[sure]]], minlength=seen.num_classes)
    clear = bool(rest) and seen.told(rest)[0] >= LEAST_OF_REST and not seen.has_floor(rest)
    return clear and int(got.max()) >= TO_ONE * int(got.sum())
