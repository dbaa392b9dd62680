"""What columns tell of a target, judged out of fold: each row is predicted by what was trained on other rows."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm, rankdata

from tame.core.errors import ShapeError
from tame.core.rng import stream, stream_seed

FOLDS = 4
BINS = 32  # of numbers
CODES = 200  # categories that are told apart, the commonest
PRIOR = 1.0  # rows by which the shares of a bin are drawn to those of all rows
SMALL = 1500  # rows; below, trees are averaged, above, they are boosted
TREES, ROUNDS = 100, 60
LEAF = 3


@dataclass(frozen=True, slots=True)
class Values:
    """A column as it is looked at. values: (N,) float64 with NaN for nothing, or int64 codes, below 0 for nothing."""

    name: str
    values: np.ndarray

    @property
    def is_number(self) -> bool:
        return self.values.dtype.kind == "f"


@dataclass(frozen=True, slots=True, eq=False)
class Aim:
    """What is to be told: (N,) class numbers, or numbers where num_classes is 0. folds: (N,) fold of each row."""

    values: np.ndarray
    num_classes: int
    folds: np.ndarray

    def __post_init__(self) -> None:
        if self.values.shape != self.folds.shape:
            raise ShapeError(f"need a fold for each row, got {self.folds.shape} for {self.values.shape}")


def folds_of(groups: np.ndarray, strata: np.ndarray, *, seed: int, folds: int = FOLDS) -> np.ndarray:
    """(N,) fold numbers: whole groups in one fold, strata in proportion as far as groups allow."""
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    drawn = stream(seed, "unseen").permutation(len(first))
    order = drawn[np.argsort(strata[first][drawn], kind="stable")]
    fold = np.empty(len(first), dtype=np.int64)
    fold[order] = np.arange(len(order)) % folds
    return np.asarray(fold[place])


def binned(column: Values, *, bins: int = BINS) -> np.ndarray:
    """(N,) codes from 0: of numbers the bins that hold equally many, of categories the commonest; the last is missing.

    Bins do not depend on a target, so they may be made of all rows.
    """
    values = column.values
    if column.is_number:
        known = values[np.isfinite(values)]
        if not len(known):
            return np.zeros(len(values), dtype=np.int64)
        edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1]))
        return np.where(np.isfinite(values), np.searchsorted(edges, values), len(edges) + 1)
    _, place, counts = np.unique(np.maximum(values, -1), return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.asarray(np.minimum(rank[place], CODES))


def losses_of_one(codes: np.ndarray, aim: Aim) -> np.ndarray:
    """(N,) the loss of each row by the rows of its code in other folds: log loss of a class, squared error of a number.

    codes: (N,) from 0; one code for all rows gives the loss of guessing without looking at anything.
    """
    num_folds, num = int(aim.folds.max()) + 1, int(codes.max()) + 1
    if not aim.num_classes:
        return _squares_of_one(codes, aim, num_folds, num)
    classes = aim.num_classes
    cell = (aim.folds * num + codes) * classes + aim.values
    own = np.bincount(cell, minlength=num_folds * num * classes).reshape(num_folds, num, classes).astype(float)
    rest = own.sum(axis=0) - own
    shares = rest.sum(axis=1) + 1.0
    shares /= shares.sum(axis=1, keepdims=True)
    likely = (rest + PRIOR * shares[:, None]) / (rest.sum(axis=2, keepdims=True) + PRIOR)
    return np.asarray(-np.log(likely[aim.folds, codes, aim.values]))


def _squares_of_one(codes: np.ndarray, aim: Aim, num_folds: int, num: int) -> np.ndarray:
    cell = aim.folds * num + codes
    counts = np.bincount(cell, minlength=num_folds * num).reshape(num_folds, num).astype(float)
    sums = np.bincount(cell, weights=aim.values, minlength=num_folds * num).reshape(num_folds, num)
    counts, sums = counts.sum(axis=0) - counts, sums.sum(axis=0) - sums
    means = sums.sum(axis=1, keepdims=True) / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    found = (sums + PRIOR * means) / (counts + PRIOR)
    return np.asarray((aim.values - found[aim.folds, codes]) ** 2)


def losses_of_none(aim: Aim) -> np.ndarray:
    """(N,) the loss of each row by guessing from the targets of other folds."""
    return losses_of_one(np.zeros(len(aim.values), dtype=np.int64), aim)


def losses_of_line(values: np.ndarray, aim: Aim) -> np.ndarray:
    """(N,) squared errors of the straight line through the numbers of other folds; missing ones are the mean."""
    x = np.where(np.isfinite(values), values, np.nan)
    x = np.nan_to_num(x, nan=float(np.nanmean(x)) if np.isfinite(x).any() else 0.0)
    size = float(np.abs(x).max()) or 1.0
    x, found = x / size, np.empty(len(x))
    for fold in np.unique(aim.folds):
        rest = aim.folds != fold
        centre, middle = x[rest].mean(), aim.values[rest].mean()
        spread = float(((x[rest] - centre) ** 2).sum())
        slope = float((x[rest] - centre) @ (aim.values[rest] - middle)) / spread if spread > 0 else 0.0
        found[~rest] = middle + slope * (x[~rest] - centre)
    return np.asarray((aim.values - found) ** 2)


def explained(losses: np.ndarray, of_none: np.ndarray) -> float:
    """The share of the loss of guessing that is gone; below 0 where it is worse than guessing."""
    return 1 - float(losses.mean()) / max(float(of_none.mean()), 1e-300)


def predictions_of_all(columns: Sequence[Values], aim: Aim, *, seed: int) -> np.ndarray:
    """(N, C) probabilities, or (N,) numbers, of each row by trees that were grown on the other folds.

    Few rows: extremely randomised trees, which do well on little; many: gradient boosting. Source: Geurts, Ernst and
    Wehenkel, Extremely randomized trees (2006); Friedman, Greedy function approximation (2001).
    """
    x, is_code = _matrix(columns)
    num, classes = len(aim.values), aim.num_classes
    found = np.zeros((num, classes)) if classes else np.zeros(num)
    for fold in range(int(aim.folds.max()) + 1):
        own = aim.folds == fold
        if not own.any():
            continue
        model = _model(len(aim.values), bool(classes), is_code, seed=stream_seed(seed, "trees", fold) % 2**31)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
            model.fit(x[~own], aim.values[~own])
            if classes:
                likely = np.zeros((int(own.sum()), classes))
                likely[:, model.classes_.astype(int)] = model.predict_proba(x[own])
                found[own] = likely
            else:
                found[own] = model.predict(x[own])
    return found


def _matrix(columns: Sequence[Values]) -> tuple[np.ndarray, list[bool]]:
    """(N, D) of numbers and codes, and which columns are codes."""
    parts = [each.values if each.is_number else binned(each).astype(float) for each in columns]
    x = np.column_stack(parts)
    x[~np.isfinite(x)] = np.nan
    return x, [not each.is_number for each in columns]


def _model(num: int, is_class: bool, is_code: list[bool], *, seed: int):  # type: ignore[no-untyped-def]
    # Loaded here: it takes a second, and a resumed study has no use for it.
    from sklearn.ensemble import (
        ExtraTreesClassifier,
        ExtraTreesRegressor,
        HistGradientBoostingClassifier,
        HistGradientBoostingRegressor,
    )

    if num < SMALL:
        few = ExtraTreesClassifier if is_class else ExtraTreesRegressor
        return few(TREES, min_samples_leaf=LEAF, max_features=0.5, random_state=seed, n_jobs=1)
    many = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    return many(
        max_iter=ROUNDS, learning_rate=0.15, max_leaf_nodes=15, early_stopping=False, random_state=seed,
        categorical_features=is_code if any(is_code) else None,
    )  # fmt: skip


def losses_of_all(predicted: np.ndarray, aim: Aim) -> np.ndarray:
    """(N,) the loss of predictions of `predictions_of_all`, each class drawn a little to its share."""
    if not aim.num_classes:
        return np.asarray((predicted - aim.values) ** 2)
    shares = np.bincount(aim.values, minlength=aim.num_classes) / len(aim.values)
    likely = 0.99 * predicted + 0.01 * shares
    return np.asarray(-np.log(likely[np.arange(len(aim.values)), aim.values]))


def area(scores: np.ndarray, is_own: np.ndarray) -> tuple[float, float]:
    """The area under the ROC curve of those in is_own (n,) against the rest, and its standard error.

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve (1982).
    """
    m, n = int(is_own.sum()), int((~is_own).sum())
    if not m or not n:
        return 0.5, math.inf
    value = (float(rankdata(scores)[is_own].sum()) - m * (m + 1) / 2) / (m * n)
    pairs, rest = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (m - 1) * (pairs - value**2) + (n - 1) * (rest - value**2)
    # An area of 1 has no variance by the formula; that of no difference is the largest that chance gives.
    chance = (m + n + 1) / (12 * m * n)
    return value, math.sqrt(max(variance / (m * n), chance))


def beyond(many: int, *, level: float = 0.001) -> float:
    """Standard errors beyond which chance goes in a share `level` of looks at so many things at once (Bonferroni)."""
    return float(norm.isf(level / max(many, 1)))
