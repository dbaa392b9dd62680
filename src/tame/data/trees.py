"""Gradient boosting of trees on the same rows: what networks on a table have to be compared with, by scikit-learn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tame.data.linear import LEAST_LOG
from tame.data.tables import LEARNT, Table

ITERATIONS = 100  # as scikit-learn has it
FIRST_TREES = 50  # after so many it is known how long all would take
MOST_CODES = 255  # categories of a column that scikit-learn tells apart


def columns_for_trees(table: Table, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(n, D) the columns of these rows that are trained on, texts aside, and (D,) which are categories.

    Numbers and dates are as they are; codes of the rarest categories are one where there are too many. Missing is NaN.
    """
    own = [column for column in table.columns if column.kind in LEARNT and column.kind != "text"]
    is_code = np.array([column.kind in ("category", "boolean") for column in own], dtype=bool)
    found = np.empty((len(rows), len(own)))
    for place, column in enumerate(own):
        values = table.values[column.name][np.asarray(rows)]
        if is_code[place]:
            values = np.where(values < 0, np.nan, np.minimum(values, MOST_CODES - 1))
        found[:, place] = values
    return found, is_code


def trees_outputs(
    x: np.ndarray, truth: np.ndarray, judged: np.ndarray, *, is_code: np.ndarray, num_classes: int, seed: int,
    weights: np.ndarray | None = None, by_class: bool = False, absolute: bool = False, limit_s: float | None = None,
) -> tuple[np.ndarray, int]:  # fmt: skip
    """Canonical outputs of gradient boosting for other rows, and of how many iterations it is.

    x: (n, D) inputs; truth: (n,) class numbers, or numbers where num_classes is 0; judged: (m, D); is_code: (D,) which
    columns are categories; weights: (n,) what each row counts as. Returns (m, C) log probabilities, or (m, 1) numbers.
    All settings are those of scikit-learn, without early stopping, which would take rows away. by_class: each class
    counts alike; absolute: absolute errors count; limit_s: seconds that it may take, None for any.
    """
    seen = np.unique(truth) if num_classes else truth[:1]
    if num_classes and len(seen) == 1:
        found = np.full((len(judged), num_classes), LEAST_LOG)
        found[:, seen[0]] = 0.0
        return found, 0
    empty = np.isnan(x).all(axis=0)  # which scikit-learn cannot sort into bins
    x, judged = np.where(empty, 0.0, x), np.where(empty, 0.0, judged)
    each = 1 if num_classes <= 2 else len(seen)  # trees of an iteration
    first = min(max(FIRST_TREES // each, 1), ITERATIONS)
    model = _model(first, is_code, num_classes=num_classes, seed=seed, by_class=by_class, absolute=absolute)
    began = time.perf_counter()
    model.fit(x, truth, sample_weight=weights)
    each_s = (time.perf_counter() - began) / first
    count = ITERATIONS if limit_s is None else max(min(int(limit_s / each_s), ITERATIONS), first)
    if count > first:
        model.set_params(max_iter=count).fit(x, truth, sample_weight=weights)
    if not num_classes:
        return np.asarray(model.predict(judged)).reshape(-1, 1), count
    found = np.full((len(judged), num_classes), LEAST_LOG)
    likely = np.maximum(model.predict_proba(judged), np.exp(LEAST_LOG))
    found[:, model.classes_.astype(int)] = np.log(likely)
    return found, count


def _model(iterations: int, is_code: np.ndarray, *, num_classes: int, seed: int, by_class: bool, absolute: bool) -> Any:
    # Loaded here: it takes a second, and few who import this module fit anything.
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    plain = {
        "max_iter": iterations, "early_stopping": False, "warm_start": True, "random_state": seed % 2**32,
        "categorical_features": is_code if is_code.any() else None,
    }  # fmt: skip
    if num_classes:
        return HistGradientBoostingClassifier(class_weight="balanced" if by_class else None, **plain)
    return HistGradientBoostingRegressor(loss="absolute_error" if absolute else "squared_error", **plain)
