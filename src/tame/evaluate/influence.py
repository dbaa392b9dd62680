"""Metrics as functions of the rows' weights, with each row's influence on them: what standard errors are made of.

A statistic takes weights (b, n), a line for each resample, and returns the metric of each (b,) and the influences
(b, n): moving a weight by a small share e of their sum moves the metric by e times the row's influence.
Source: Hampel, The influence curve and its role in robust estimation (1974).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tame.core.evaluation import rare_of_two

Statistic = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def of_mean(values: np.ndarray) -> Statistic:
    """The mean of values (n,)."""

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (weights @ values) / weights.sum(axis=1)
        return mean, values - mean[:, None]

    return of


def counted(statistic: Statistic, counts: np.ndarray) -> Statistic:
    """A statistic in which each row counts as so many. counts: (n,) above 0."""

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, influence = statistic(weights * counts)
        return value, influence * counts * (weights.sum(axis=1) / (weights @ counts))[:, None]

    return of


def minus(a: Statistic, b: Statistic) -> Statistic:
    """How much higher one statistic is than another on the same rows."""

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        (value_a, influence_a), (value_b, influence_b) = a(weights), b(weights)
        return value_a - value_b, influence_a - influence_b

    return of


def of_root(squares: np.ndarray) -> Statistic:
    """The root of the mean of squares (n,)."""
    mean_of = of_mean(squares)

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, influence = mean_of(weights)
        root = np.sqrt(mean)
        return root, influence / (2 * np.maximum(root, 1e-300))[:, None]

    return of


def of_explained(target: np.ndarray, squares: np.ndarray) -> Statistic:
    """R squared: the share of the variance of target (n,) that is left by squared errors (n,), subtracted from 1."""

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = weights.sum(axis=1)
        apart = (target - ((weights @ target) / total)[:, None]) ** 2
        spread = np.maximum((weights * apart).sum(axis=1) / total, 1e-300)[:, None]
        lost = ((weights @ squares) / total)[:, None]
        return 1 - (lost / spread)[:, 0], (lost * (apart - spread) / spread - (squares - lost)) / spread

    return of


def of_recalls(target: np.ndarray, right: np.ndarray) -> Statistic:
    """Balanced accuracy: the mean over the classes that occur of the share that is right."""
    classes, place = np.unique(target, return_inverse=True)
    summed = _summed(place, len(classes))

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = summed(weights)
        share = summed(weights * right) / np.maximum(count, 1e-300)
        present = (count > 0).sum(axis=1)
        apart = (right - share[:, place]) / np.maximum(count, 1e-300)[:, place]
        return share.sum(axis=1) / present, apart * (weights.sum(axis=1) / present)[:, None]

    return of


def of_f1(target: np.ndarray, predicted: np.ndarray) -> Statistic:
    """Macro F1 over the classes that occur or are predicted."""
    classes, both = np.unique([target, predicted], return_inverse=True)
    true, said = both.reshape(2, -1)
    of_true, of_said = (_summed(place, len(classes)) for place in (true, said))
    right = (true == said).astype(float)

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        count = of_true(weights) + of_said(weights)
        each = 2 * of_true(weights * right) / np.maximum(count, 1e-300)
        share = (weights.sum(axis=1) / (count > 0).sum(axis=1))[:, None]
        one, f1 = 1 / np.maximum(count, 1e-300), each / np.maximum(count, 1e-300)
        moved = 2 * right * one[:, true] - f1[:, true] - f1[:, said]
        return each.sum(axis=1) / (count > 0).sum(axis=1), share * moved

    return of


def _summed(place: np.ndarray, num: int) -> Callable[[np.ndarray], np.ndarray]:
    """Sums of weights (b, n) over the rows of each class, (b, num). place: (n,) the class of each row."""
    order = np.argsort(place, kind="stable")
    found, starts = np.unique(place[order], return_index=True)

    def of(weights: np.ndarray) -> np.ndarray:
        sums = np.zeros((len(weights), num))
        sums[:, found] = np.add.reduceat(weights[:, order], starts, axis=1)
        return sums

    return of


def of_precisions(target: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """Average precision: the mean over the classes that occur; of two, of the one that `rare_of_two` says.

    probabilities: (n, C). 0 where that class does not occur.
    """
    parts = [of_precision(target == c, probabilities[:, c]) for c in range(probabilities.shape[1])]
    first = target == 0

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, influences = (np.stack(own) for own in zip(*(part(weights) for part in parts), strict=True))
        known = np.isfinite(values)
        if len(parts) == 2:
            one = np.array([rare_of_two(share) for share in (weights @ first) / weights.sum(axis=1)])
            known &= np.arange(2)[:, None] == one
        many = np.maximum(known.sum(axis=0), 1)
        kept = np.where(known[..., None], influences, 0).sum(axis=0)
        return np.where(known, values, 0).sum(axis=0) / many, kept / many[:, None]

    return of


def of_precision(own: np.ndarray, scores: np.ndarray) -> Statistic:
    """The average precision of the examples in own (n,); NaN where there are none."""
    return _Ranked(scores, own).precision


def of_areas(target: np.ndarray, probabilities: np.ndarray) -> Statistic:
    """The mean over the classes of the area under the ROC curve of each against the rest; of two, of the second.

    probabilities: (n, C). A class that no or every example of a resample has is left out; 0.5 if none is left.
    Source: DeLong, DeLong and Clarke-Pearson, Comparing the areas under two or more correlated ROC curves (1988).
    """
    parts = [of_area(target == c, probabilities[:, c]) for c in ranked(probabilities)]

    def of(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        areas, influences = zip(*(part(weights) for part in parts), strict=True)
        known = np.isfinite(areas)
        many = np.maximum(known.sum(axis=0), 1)
        value = np.where(known.any(axis=0), np.where(known, areas, 0).sum(axis=0) / many, 0.5)
        return value, np.sum([np.where(known[i][:, None], own, 0) for i, own in enumerate(influences)], axis=0) / (
            many[:, None]
        )

    return of


def ranked(probabilities: np.ndarray) -> range:
    """The classes of which the examples are ranked: all, but of two the second, since both give the same ranking."""
    return range(1 if probabilities.shape[1] == 2 else 0, probabilities.shape[1])


def of_area(own: np.ndarray, scores: np.ndarray) -> Statistic:
    """The area under the ROC curve of the examples in own (n,) against the rest; NaN where there are none of either."""
    return _Ranked(scores, own).area


class _Ranked:
    """Examples in the order of their scores (n,), of which `own` (n,) are to be ranked first."""

    def __init__(self, scores: np.ndarray, own: np.ndarray) -> None:
        self.order = np.argsort(scores, kind="stable")
        self.back = np.argsort(self.order)
        self.own = own[self.order]
        self.ties = np.concatenate([[0], np.nonzero(np.diff(scores[self.order]))[0] + 1])
        self.tie_of = np.cumsum(np.isin(np.arange(len(scores)), self.ties)) - 1

    def area(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The area (b,), NaN where a resample has no pair, and the influences (b, n)."""
        sorted_weights = weights[:, self.order]
        with_it, without = (np.where(chosen, sorted_weights, 0.0) for chosen in (self.own, ~self.own))
        below, above = self._passed(without), with_it.sum(axis=1, keepdims=True) - self._passed(with_it)
        num, rest = with_it.sum(axis=1), without.sum(axis=1)
        has_pairs = (num > 0) & (rest > 0)
        num, rest = np.where(has_pairs, num, 1.0)[:, None], np.where(has_pairs, rest, 1.0)[:, None]
        area = (with_it * below).sum(axis=1, keepdims=True) / (num * rest)
        placed = np.where(self.own, (below / rest - area) / num, (above / num - area) / rest)
        influence = (placed * weights.sum(axis=1, keepdims=True))[:, self.back]
        return np.where(has_pairs, area[:, 0], np.nan), influence

    def precision(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The average precision (b,), NaN where a resample has no example of its own, and the influences (b, n)."""
        sorted_weights = weights[:, self.order]
        with_it = np.where(self.own, sorted_weights, 0.0)
        right, among = (self._from_here(each) for each in (with_it, sorted_weights))
        num, known = with_it.sum(axis=1, keepdims=True), with_it.sum(axis=1) > 0
        among, num = np.where(among > 0, among, 1.0), np.where(num > 0, num, 1.0)
        precise = right / among
        value = (with_it * precise).sum(axis=1, keepdims=True) / num
        # One more example moves the precision at each example of the class that ranks no higher.
        moved = self.own * self._up_to_here(with_it / among) - self._up_to_here(with_it * precise / among)
        influence = (self.own * (precise - value) + moved) / num * weights.sum(axis=1, keepdims=True)
        return np.where(known, value[:, 0], np.nan), influence[:, self.back]

    def _up_to_here(self, weights: np.ndarray) -> np.ndarray:
        """The weight (b, n) of what ranks no higher than each example."""
        return np.asarray(np.cumsum(np.add.reduceat(weights, self.ties, axis=1), axis=1)[:, self.tie_of])

    def _from_here(self, weights: np.ndarray) -> np.ndarray:
        """The weight (b, n) of what ranks no lower than each example."""
        tied = np.add.reduceat(weights, self.ties, axis=1)
        return np.asarray(np.cumsum(tied[:, ::-1], axis=1)[:, ::-1][:, self.tie_of])

    def _passed(self, weights: np.ndarray) -> np.ndarray:
        """The weight (b, n) of what lies below each example, of equal scores half."""
        tied = np.add.reduceat(weights, self.ties, axis=1)
        return (np.cumsum(tied, axis=1) - tied / 2)[:, self.tie_of]
