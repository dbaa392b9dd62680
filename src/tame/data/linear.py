"""A linear model of the same inputs: what a network must be better than to be worth its trouble."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from tame.core.rng import stream

MOST_CELLS = 3_000_000  # rows times columns: about two seconds on one core
STRENGTHS = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # inverse penalties that are tried, per standardised column
HELD = 5  # one in so many rows chooses between them
FEW_CELLS = 200_000  # with so few, every row does in turn
STEPS = 60  # of the solver: on standardised columns with a penalty the loss hardly falls afterwards
LEAST_LOG = -30.0  # of the probability of a class that was not seen


def linear_outputs(
    x: np.ndarray, truth: np.ndarray, judged: np.ndarray, *, num_classes: int, seed: int,
    weights: np.ndarray | None = None,
) -> np.ndarray:  # fmt: skip
    """Canonical outputs of a linear model for other rows: (m, C) log probabilities, or (m, 1) numbers.

    x: (n, D) inputs; truth: (n,) class numbers, or numbers where num_classes is 0; judged: (m, D); weights: (n,) what
    each row counts as. Logistic regression or ridge regression on standardised columns; of several penalties the one
    that does best in cross-validation (of much data on a fifth of it), then trained on all; of many rows on some.
    """
    most = max(MOST_CELLS // max(x.shape[1], 1), 100)
    if len(x) > most:
        some = np.sort(stream(seed, "linear").choice(len(x), most, replace=False))
        x, truth, weights = x[some], truth[some], None if weights is None else weights[some]
    mean, spread = x.mean(axis=0), x.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    x, judged = (x - mean) / spread, (judged - mean) / spread
    own = np.ones(len(x)) if weights is None else weights
    part = stream(seed, "linear", "held").permutation(len(x)) % HELD
    folds = range(HELD) if x.size <= FEW_CELLS else [0]
    # Two threads gain nothing in products this small, and took four times as long on a machine that others load.
    with threadpool_limits(1):
        best = min(STRENGTHS, key=lambda strength: _loss(x, truth, own, part, folds, strength, num_classes))
        return _fitted(x, truth, own, judged, best, num_classes)


def _loss(
    x: np.ndarray, truth: np.ndarray, weights: np.ndarray, part: np.ndarray, folds: Iterable[int], strength: float,
    num_classes: int,
) -> float:  # fmt: skip
    """The loss of a penalty on these fifths of the rows, each by the rest."""
    total = 0.0
    for fold in folds:
        held = part == fold
        outputs = _fitted(x[~held], truth[~held], weights[~held], x[held], strength, num_classes)
        if num_classes:
            each = -outputs[np.arange(len(outputs)), truth[held]]
        else:
            each = (outputs[:, 0] - truth[held]) ** 2
        total += float(each @ weights[held])
    return total


def _fitted(
    x: np.ndarray, truth: np.ndarray, weights: np.ndarray, judged: np.ndarray, strength: float, num_classes: int
) -> np.ndarray:
    # Loaded here: it takes a second, and few who import this module fit anything.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    if not num_classes:
        ridge = Ridge(alpha=1 / strength).fit(x, truth, sample_weight=weights)
        return np.asarray(ridge.predict(judged)).reshape(-1, 1)
    found = np.full((len(judged), num_classes), LEAST_LOG)
    seen = np.unique(truth)
    if len(seen) == 1:
        found[:, seen[0]] = 0.0
        return found
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = LogisticRegression(C=strength, max_iter=STEPS).fit(x, truth, sample_weight=weights)
    found[:, model.classes_.astype(int)] = np.maximum(model.predict_log_proba(judged), LEAST_LOG)
    return found
