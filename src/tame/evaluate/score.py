"""Scores: every reported number comes from scikit-learn, with its interval. Only this file opens the test part."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn import metrics as sk

from tame.core.errors import TameError
from tame.core.records import Score
from tame.data.split import Sealed
from tame.evaluate.compare import Difference, bootstrap, paired_shares, wilson


class InconsistentError(TameError):
    """Two numbers that must agree do not: nothing is reported rather than something wrong."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Predictions on examples, each with the id of its picture, in one order throughout.

    ids: (n,); target: (n,) class numbers; probabilities: (n, C).
    """

    ids: tuple[str, ...]
    target: np.ndarray
    probabilities: np.ndarray

    @property
    def predicted(self) -> np.ndarray:
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def right(self) -> np.ndarray:
        return np.asarray(self.predicted == self.target)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, C) of logits (n, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def open_test(sealed: Sealed, ids: Sequence[str], logits: np.ndarray, record: Callable[[int], None]) -> Judged:
    """The predictions on the sealed part beside its labels; `record` keeps that it was opened. ids: of its rows."""
    target = sealed.open(record)
    return Judged(tuple(ids), target, softmax(logits))


def measure(metric: str, target: np.ndarray, probabilities: np.ndarray) -> float:
    """The metric of predictions, by scikit-learn. target: (n,); probabilities: (n, C)."""
    predicted = probabilities.argmax(axis=1)
    if metric == "accuracy":
        return float(sk.accuracy_score(target, predicted))
    if metric == "balanced_accuracy":
        # The same as balanced_accuracy_score, without its warning about classes that only the predictions hold.
        present = np.unique(target)
        return float(sk.recall_score(target, predicted, labels=present, average="macro", zero_division=0))
    if metric == "f1_macro":
        return float(sk.f1_score(target, predicted, average="macro", zero_division=0))
    own = np.clip(probabilities.astype(float), 1e-15, 1)
    return float(sk.log_loss(target, own / own.sum(axis=1, keepdims=True), labels=range(probabilities.shape[1])))


def score(metric: str, judged: Judged, *, how: str, seed: int) -> Score:
    """The metric of predictions with its 95 % interval: Wilson's for accuracy, the bootstrap's for the others."""
    value, n = measure(metric, judged.target, judged.probabilities), len(judged.target)
    if metric == "accuracy":
        low, high = wilson(int(judged.right.sum()), n)
    else:
        low, high = bootstrap(_on_rows(metric, judged), n, seed=seed)
    return Score(value, low, high, n, how)


def difference(metric: str, a: Judged, b: Judged, *, seed: int) -> Difference:
    """How much higher the metric of `a` is than that of `b` on the same examples, with its 95 % interval."""
    if a.ids != b.ids:
        raise InconsistentError("two predictions are of different examples and cannot be compared")
    if metric == "accuracy":
        return paired_shares(a.right, b.right)

    on_a, on_b, n = _on_rows(metric, a), _on_rows(metric, b), len(a.target)
    low, high = bootstrap(lambda rows: on_a(rows) - on_b(rows), n, seed=seed)
    value = measure(metric, a.target, a.probabilities) - measure(metric, b.target, b.probabilities)
    return Difference(value, low, high, n, "paired bootstrap over the same examples")


def _on_rows(metric: str, judged: Judged) -> Callable[[np.ndarray], float]:
    """What `measure` gives on some rows, for the thousands of times that the bootstrap asks.

    scikit-learn's own takes milliseconds each time, which made an interval take seconds; the tests hold both together.
    """
    if metric == "accuracy":
        return lambda rows: float(judged.right[rows].mean())
    num_classes = judged.probabilities.shape[1]
    if metric == "log_loss":
        own = np.clip(judged.probabilities.astype(float), 1e-15, 1)
        lost = -np.log(own[np.arange(len(own)), judged.target] / own.sum(axis=1))
        return lambda rows: float(lost[rows].mean())
    cell = judged.target * num_classes + judged.predicted

    def of(rows: np.ndarray) -> float:
        counts = np.bincount(cell[rows], minlength=num_classes**2).reshape(num_classes, num_classes)
        true, predicted = counts.sum(axis=1), counts.sum(axis=0)
        top, bottom = (
            (counts.diagonal(), true) if metric == "balanced_accuracy" else (2 * counts.diagonal(), true + predicted)
        )
        present = bottom > 0
        return float((top[present] / bottom[present]).mean())

    return of


def confusion(judged: Judged, classes: Sequence[str]) -> list[list[int]]:
    """Counts, row the true class, column the predicted one.

    Raises InconsistentError where their trace is not the accuracy.
    """
    counts = sk.confusion_matrix(judged.target, judged.predicted, labels=range(len(classes)))
    accuracy = sk.accuracy_score(judged.target, judged.predicted)
    if not math.isclose(np.trace(counts) / counts.sum(), accuracy, rel_tol=0, abs_tol=1e-12):
        raise InconsistentError("the confusion matrix does not agree with the accuracy; it is not reported")
    return [[int(cell) for cell in row] for row in counts]


def per_class(judged: Judged, classes: Sequence[str]) -> list[dict[str, Any]]:
    """For each class: how many there are and the share recognised, with Wilson's interval."""
    found = []
    for number, name in enumerate(classes):
        own = judged.target == number
        n, right = int(own.sum()), int((judged.right & own).sum())
        low, high = wilson(right, n)
        share = right / n if n else None
        found.append({"class": name, "n": n, "right": right, "value": share, "low": low, "high": high})
    return found


def mistakes(judged: Judged, classes: Sequence[str], *, most: int = 12) -> list[dict[str, Any]]:
    """The wrong predictions of highest probability, with the ids of their pictures."""
    wrong = np.nonzero(~judged.right)[0]
    order = wrong[np.argsort(-judged.probabilities[wrong, judged.predicted[wrong]], kind="stable")]
    return [
        {
            "id": judged.ids[row],
            "true": classes[judged.target[row]],
            "predicted": classes[judged.predicted[row]],
            "probability": float(judged.probabilities[row, judged.predicted[row]]),
        }
        for row in order[:most]
    ]


def dummy(metric: str, learnt: np.ndarray, target: np.ndarray, *, num_classes: int, seed: int) -> Score:
    """What always answering with the shares of the classes in the training data scores: the commonest class."""
    shares = np.bincount(learnt, minlength=num_classes) / len(learnt)
    judged = Judged(tuple(map(str, range(len(target)))), target, np.tile(shares, (len(target), 1)))
    return score(metric, judged, how="always the commonest class of the training data", seed=seed)
