"""Labels that are probably wrong: a model that has not seen an example contradicts its label, and is sure of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tame.core.errors import ShapeError

DECAYS = np.logspace(-4, 2, 13)  # of the linear model, in units of the mean squared length of the features
SHARPNESS = np.logspace(-0.5, 1.5, 21)  # factors that turn outputs into logits
RARE = 0.02  # a label less probable than this is suspect, where the model is as sure of another as it usually is
MANY, MANY_SHARE = 6, 0.015  # suspects, and share of all examples, that chance does not make
CERTAIN = 0.1  # over the number of examples: a label less probable than this is suspect by itself
LEAST = 8  # examples of a class, below which nothing is known of it


@dataclass(frozen=True, slots=True)
class Suspect:
    """An example whose label is probably wrong. likely: the class it looks like; probability: of that class."""

    row: int
    likely: int
    probability: float


def unseen_probabilities(features: np.ndarray, labels: np.ndarray, *, num_classes: int) -> np.ndarray:
    """(N, C) probabilities of each example by a linear model of all others.

    features: (N, D) of a pretrained backbone; labels: (N,) class numbers. The model is by least squares; its outputs
    become probabilities that fit the labels as well as they can. Raises ShapeError if the numbers of examples differ.
    """
    if features.ndim != 2 or labels.shape != (len(features),):
        raise ShapeError(f"need (N, D) features and (N,) labels, got {features.shape} and {labels.shape}")
    return _probabilities(unseen_outputs(features.astype(np.float64), np.eye(num_classes)[labels]), labels)


def can_be_judged(labels: np.ndarray, *, num_classes: int) -> bool:
    """Whether two classes have so many examples that something is known of them. labels: (N,) class numbers."""
    counts = np.bincount(labels, minlength=num_classes)
    return len(counts) >= 2 and int(np.sort(counts)[-2]) >= LEAST


def suspect_labels(features: np.ndarray, labels: np.ndarray, *, num_classes: int) -> list[Suspect]:
    """The examples whose label is probably wrong, the most suspect first, by `unseen_probabilities`.

    Suspect is what has less than RARE of its own label, and of another class at least what examples of that class have
    on average. Source: Northcutt, Jiang and Chuang, Confident Learning (2021), section 3.1.
    """
    if features.ndim != 2 or labels.shape != (len(features),):
        raise ShapeError(f"need (N, D) features and (N,) labels, got {features.shape} and {labels.shape}")
    if not can_be_judged(labels, num_classes=num_classes):
        return []
    return suspects_by(unseen_probabilities(features, labels, num_classes=num_classes), labels)


def suspects_by(probability: np.ndarray, labels: np.ndarray) -> list[Suspect]:
    """The same by probabilities (N, C) of a model that has not seen the examples.

    Probabilities that are right let some labels look wrong too: of a hundred with 1 % each, one is true. So fewer than
    MANY are named only if they are CERTAIN: of clean photographs, one of 120 sets has such a label.
    """
    num_classes = probability.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    rows, likely = np.arange(len(labels)), probability.argmax(axis=1)
    usual = np.array([probability[labels == c, c].mean() if counts[c] else np.inf for c in range(num_classes)])
    known = counts >= LEAST
    sure = (probability[rows, likely] >= usual[likely]) & known[likely] & known[labels]
    own = probability[rows, labels]
    found = np.flatnonzero(sure & (likely != labels) & (own < RARE))
    if len(found) < max(MANY, MANY_SHARE * len(labels)):
        found = found[own[found] < CERTAIN / len(labels)]
    return [
        Suspect(int(row), int(likely[row]), float(probability[row, likely[row]]))
        for row in sorted(found, key=lambda row: (own[row], row))
    ]


def unseen_outputs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N, C) outputs of ridge regression for each example, trained on all others, by the exact leave-one-out formula.

    Of several decays the one whose outputs are nearest to y is used. Source: Allen, The Relationship between Variable
    Selection and Data Augmentation and a Method for Prediction (1974), PRESS.
    """
    x = x - x.mean(axis=0)
    offset = y - y.mean(axis=0)
    wide = x.shape[1] > len(x)
    values, vectors = np.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = values > 1e-10 * max(float(values[-1]), 1e-300)
    values, vectors = values[kept], vectors[:, kept]
    left = vectors if wide else (x @ vectors) / np.sqrt(values)  # (N, K) left singular vectors
    seen, unit = left.T @ offset, float(values.sum()) / len(x)
    best, error = y, np.inf
    for decay in DECAYS * unit:
        share = values / (values + decay)
        leverage = 1 / len(x) + (left**2) @ share
        apart = (offset - left @ (share[:, None] * seen)) / np.maximum(1 - leverage, 1e-6)[:, None]
        own = float((apart**2).sum())
        if own < error:
            best, error = y - apart, own
    return best


def _probabilities(outputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(N, C) probabilities from outputs: the softmax whose factor gives the labels the highest likelihood."""
    best, lowest = outputs, np.inf
    for factor in SHARPNESS:
        logits = factor * outputs
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        loss = -float(logs[np.arange(len(labels)), labels].mean())
        if loss < lowest:
            best, lowest = np.exp(logs), loss
    return best
