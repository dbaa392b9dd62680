"""95 % intervals of metrics that are no plain shares: studentized resampling of rows or groups, class by class where
classes are small, and a bound for mistakes that no example has shown yet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax
from scipy.stats import chi2

from tame.core.evaluation import Difference, rare_of_two
from tame.core.rng import stream
from tame.evaluate.compare import Z, effective, members, paired_shares, quantile, share_interval
from tame.evaluate.influence import Statistic, of_area, of_areas, of_precision, of_precisions, ranked

RESAMPLES, LEAST_RESAMPLES = 2000, 200
MOST_DRAWS = 20_000_000  # rows of all resamples together: without this limit, an interval of large data takes minutes
AT_ONCE = 500_000  # rows of the resamples that are held at one time
LEAST_GROUPS = 5  # of fewer groups, resamples that draw one of them only are too many to take quantiles of
MANY_MISTAKES = 100  # from which on their losses tell how large those of the others are
SHARPEST = 1e3  # by which logits are multiplied where no mistake says that the network is less sure than it claims


@dataclass(frozen=True, slots=True)
class Scale:
    """Where a metric's error is nearly symmetric: a rising function of it, its slope and its inverse."""

    at: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]
    back: Callable[[np.ndarray], np.ndarray]


PLAIN = Scale(lambda v: v, np.ones_like, lambda x: x)
LOG = Scale(np.log, lambda v: 1 / v, np.exp)  # of losses, from 0 up
LOG_REST = Scale(lambda v: -np.log1p(-v), lambda v: 1 / (1 - v), lambda x: -np.expm1(-x))  # of R squared, up to 1
LOGIT = Scale(lambda v: np.log(v / (1 - v)), lambda v: 1 / (v * (1 - v)), lambda x: 1 / (1 + np.exp(-x)))  # of shares


def studentized(
    statistic: Statistic, n: int, *, seed: int, scale: Scale = PLAIN, groups: np.ndarray | None = None
) -> tuple[float, float]:
    """95 % interval of a metric over n rows, by the bootstrap of its studentized error on a scale of its own.

    groups: as of `share_interval`; whole groups are drawn then, and the standard error is that between groups. Below
    5 groups it is that of Student's t. Both ends are the value itself where the rows leave no doubt, or no scale.
    2000 resamples; fewer above 10,000 rows, down to 200.
    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 12.5; of groups, Davison and Hinkley,
    Bootstrap Methods and their Application (1997), section 3.8.
    """
    draws = Draws(n, groups)
    whole = np.ones((1, n))
    value, influence = statistic(whole)
    error = draws.error(whole, influence)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        middle, step = scale.at(value), error * scale.slope(value)
        if not (np.isfinite(middle).all() and np.isfinite(step).all() and step.all()):
            return float(value[0]), float(value[0])
        if len(draws.sizes) < LEAST_GROUPS:
            ends = np.array([-draws.quantile, draws.quantile])
        else:
            found = []
            for weights in draws.weights(stream(seed, "bootstrap")):
                drawn, influence = statistic(weights)
                own = draws.error(weights, influence) * scale.slope(drawn)
                found.append((scale.at(drawn) - middle) / own)
            errors = np.concatenate(found)
            errors = errors[np.isfinite(errors)]  # not of resamples that do not vary, or have no scale
            ends = np.quantile(errors, [0.025, 0.975]) if len(errors) else np.zeros(2)
        low, high = (scale.back(middle - end * step) for end in ends[::-1])
    return float(min(low[0], value[0])), float(max(high[0], value[0]))


def linear(statistic: Statistic, n: int, *, groups: np.ndarray | None = None) -> tuple[float, float]:
    """95 % interval of a metric over n rows, from its influences alone; for a difference of areas it is DeLong's.

    Source: DeLong, DeLong and Clarke-Pearson (1988); groups: as of `studentized`.
    """
    draws, whole = Draws(n, groups), np.ones((1, n))
    value, influence = statistic(whole)
    half = draws.quantile * float(draws.error(whole, influence)[0])
    return float(value[0]) - half, float(value[0]) + half


class Draws:
    """Resamples of n rows, or of the groups that they belong to."""

    def __init__(self, n: int, groups: np.ndarray | None) -> None:
        self.n = n
        self.place, self.sizes = members(np.arange(n) if groups is None else groups)
        self.order = np.argsort(self.place, kind="stable")
        self.starts = np.cumsum(self.sizes) - self.sizes

    def weights(self, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """How often each resample has each row, (b, n) at a time."""
        many = len(self.sizes)
        left = min(RESAMPLES, max(LEAST_RESAMPLES, MOST_DRAWS // self.n))
        while left:
            own = min(left, max(AT_ONCE // self.n, 1))
            drawn = rng.integers(many, size=(own, many)) + many * np.arange(own)[:, None]
            counts = np.bincount(drawn.reshape(-1), minlength=own * many).reshape(own, many).astype(float)
            yield counts if many == self.n else counts[:, self.place]
            left -= own

    @property
    def quantile(self) -> float:
        """The standard errors to either side in 95 of 100, by Student's t for so many rows or groups."""
        many = len(self.sizes)
        return quantile(self.sizes) * math.sqrt(many / max(many - 1, 0.5))

    def error(self, weights: np.ndarray, influence: np.ndarray) -> np.ndarray:
        """The standard error (b,) from the influences of the rows, (b, n) as the weights."""
        if len(self.sizes) == self.n:
            squares = (weights * influence**2).sum(axis=1)
        else:
            sums = np.add.reduceat(influence[:, self.order], self.starts, axis=1)
            squares = (weights[:, self.order[self.starts]] * sums**2).sum(axis=1)
        return np.asarray(np.sqrt(squares) / weights.sum(axis=1))


def tail_factor(values: np.ndarray, groups: np.ndarray | None) -> float:
    """By how much more than the mean of values (n,), 0 or above, their true mean may be, if rare large ones are still
    to come; infinite where the largest tenth does not rule out that the mean is without bound.

    The largest tenth, but five at least, are taken to follow a Pareto law, whose mean is finite if its index is below
    1. The 90 % limit of the index is exact; that share, and one standard error of what lies below, were chosen so that
    with errors of Student's t(2.5) and lighter the limit is missed in about 2.5 of 100 (benchmarks/honesty.py). Of
    groups, the sums of each are taken.
    Source: Hill, A simple general approach to inference about the tail of a distribution (1975).
    """
    own = values if groups is None else np.bincount(members(groups)[0], weights=values)
    n, most = len(own), max(5, round(0.1 * len(own)))
    if n <= 2 * most:
        return math.inf
    ordered = np.sort(own)
    start, mean = float(ordered[-most - 1 : -most + 1].mean()), float(own.mean())
    if start <= 0:
        return 1.0 if mean == 0 else math.inf
    index = float(np.log(ordered[-most:] / start).mean()) * 2 * most / float(chi2.ppf(0.1, 2 * most))
    if index >= 1:
        return math.inf
    below = np.minimum(own, start)
    limit = float(below.mean() + below.std() / math.sqrt(n)) + most / n * start * index / (1 - index)
    return max(limit / mean, 1.0)


def balanced(target: np.ndarray, right: np.ndarray, num_classes: int, groups: np.ndarray | None) -> tuple[float, float]:
    """95 % interval of balanced accuracy, from Wilson's of each class. target: (n,) classes; right: (n,) bools.

    Nothing is known of a class without examples: its share may be 0 or 1.
    Source: Zou and Donner, Construction of confidence limits about effect measures: a general approach (2008).
    """
    parts, shared = [(0.5, 0.0, 1.0)] * num_classes, Shared(len(target), groups)
    for number, own in _classes(target, num_classes):
        share = float(right[own].mean())
        parts[number] = (share, *share_interval(right[own], None if groups is None else groups[own]))
        shared.add(own * (right - share) / own.sum())
    low, high = _mean_of(parts, 1.0 if groups is None else max(1.0, shared.factor))
    seen = float(np.mean([parts[number][0] for number, _ in _classes(target, num_classes)]))
    return min(low, seen), max(high, seen)


def balanced_difference(
    target: np.ndarray, right_a: np.ndarray, right_b: np.ndarray, num_classes: int, groups: np.ndarray | None
) -> Difference:
    """How much higher the balanced accuracy of a is than that of b: Newcombe's interval in each class, put together."""
    parts, shared = [], Shared(len(target), groups)
    for _, own in _classes(target, num_classes):
        found = paired_shares(right_a[own], right_b[own], None if groups is None else groups[own])
        parts.append((found.value, found.low, found.high))
        shared.add(own * (right_a.astype(float) - right_b - found.value) / own.sum())
    low, high = _mean_of(parts, 1.0 if groups is None else max(1.0, shared.factor))
    value = float(np.mean([part[0] for part in parts]))
    return Difference(value, low, high, len(target), "paired on the same examples of each class, Newcombe's method 10")


def macro_f1(
    target: np.ndarray, predicted: np.ndarray, num_classes: int, groups: np.ndarray | None
) -> tuple[float, float]:
    """95 % interval of macro F1, from Wilson's of each class. target, predicted: (n,) classes.

    Of the examples that are of a class or are called so, the share j that is both gives its F1 as 2 j / (1 + j). A
    mistake counts in two classes, which makes the mean vary more than of independent ones. Nothing is known of a class
    that does not occur and is never predicted.
    Source: Zou and Donner (2008), as for `balanced`.
    """
    parts, own, shared = [(0.5, 0.0, 1.0)] * num_classes, [], Shared(len(target), groups)
    for number in np.unique([target, predicted]).tolist():
        either = (target == number) | (predicted == number)
        count = (target == number).astype(float) + (predicted == number)
        both_here = (count == 2).astype(float)
        both = both_here[either]
        ends = share_interval(both, None if groups is None else groups[either])
        share, low, high = (2 * j / (1 + j) for j in (float(both.mean()), *ends))
        parts[number] = share, low, high
        own.append(share)
        shared.add((2 * both_here - share * count) / count.sum())
    low, high = _mean_of(parts, shared.factor)
    value = float(np.mean(own))
    return min(low, value), max(high, value)


def areas(target: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """95 % interval of the mean area under the ROC curve of each class against the rest. probabilities: (n, C).

    Each area's limits are those that its standard error would not rule out if it were true: by the formula for areas,
    or as large as it was measured where that is more. Unlike a bootstrap's they are of use for few examples and for
    areas of 1. Nothing is known of a class that no example has.
    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve (1982); Newcombe, Confidence intervals
    for an effect size measure based on the Mann-Whitney statistic, part 2 (2006); Zou and Donner (2008).
    """
    parts, shared = [], Shared(len(target), groups)
    for number in ranked(probabilities):
        own = target == number
        num, rest = int(own.sum()), int((~own).sum())
        if not num or not rest:
            parts.append((0.5, 0.0, 1.0))
            continue
        value, influence = of_area(own, probabilities[:, number])(np.ones((1, len(target))))
        kept = effective(influence[0], groups) / len(target)
        parts.append((float(value[0]), *_of_area(float(value[0]), num, rest, float((influence**2).mean()), kept)))
        shared.add(influence[0])
    low, high = _mean_of(parts, shared.factor)
    value = of_areas(target, probabilities)(np.ones((1, len(target))))[0]
    return min(low, float(value[0])), max(high, float(value[0]))


def precisions(target: np.ndarray, probabilities: np.ndarray, groups: np.ndarray | None) -> tuple[float, float]:
    """95 % interval of the average precision of each class, or of the rare one of two. probabilities: (n, C).

    A class's is a mean of numbers from 0 to 1 over its own examples, so that its error is at most that of a share of as
    many; its limits are those that this error would not rule out if they were true, or one as large as was measured
    where that is more. Nothing is known of a class that no example has.
    Source: Boyd, Eng and Page, Area under the Precision-Recall Curve: Point Estimates and Confidence Intervals (2013).
    """
    n, num_classes = probabilities.shape
    one = rare_of_two(float((target == 0).mean()))
    parts, shared = [], Shared(n, groups)
    for number in [one] if num_classes == 2 else range(num_classes):
        own = target == number
        num = int(own.sum())
        if not num:
            parts.append((0.5, 0.0, 1.0))
            continue
        value, influence = of_precision(own, probabilities[:, number])(np.ones((1, n)))
        kept = effective(influence[0], groups) / n
        parts.append(
            (float(value[0]), *_of_precision(float(value[0]), num * kept, float((influence**2).mean()) / n / kept))
        )
        shared.add(influence[0])
    low, high = _mean_of(parts, shared.factor)
    value = of_precisions(target, probabilities)(np.ones((1, n)))[0]
    return min(low, float(value[0])), max(high, float(value[0]))


def _of_precision(value: float, num: float, variance: float) -> tuple[float, float]:
    """Limits of an average precision of so many independent examples of the class. variance: as it was measured."""
    return _not_ruled_out(value, lambda own: Z * math.sqrt(own * (1 - own) / num), Z * math.sqrt(variance))


def _of_area(value: float, num: int, rest: int, variance: float, kept: float) -> tuple[float, float]:
    """Limits of an area of `num` examples against `rest`. variance: of the influences; kept: the share of the examples
    that are independent."""

    def error(area: float) -> float:
        pairs, same = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + (num - 1) * (pairs - area**2) + (rest - 1) * (same - area**2)
        return Z * math.sqrt(spread / (num * rest * kept))

    return _not_ruled_out(value, error, Z * math.sqrt(variance / ((num + rest) * kept)))


def _not_ruled_out(value: float, error: Callable[[float], float], measured: float) -> tuple[float, float]:
    """The lowest and the highest share that is no farther from the value than its own error, or one that is larger by
    as much as the measured one is."""
    more = max(1.0, measured / error(value)) if 0 < value < 1 else 1.0
    ends = []
    for end in (0.0, 1.0):
        inside, outside = value, end
        for _ in range(50):
            middle = (inside + outside) / 2
            if abs(middle - value) <= more * error(middle):
                inside = middle
            else:
                outside = middle
        ends.append(inside)
    return ends[0], ends[1]


class Shared:
    """How much larger the standard error of a sum is than of independent parts, which rows or groups have in common."""

    def __init__(self, n: int, groups: np.ndarray | None) -> None:
        self.draws, self.whole = Draws(n, groups), np.ones((1, n))
        self.total, self.alone, self.many = np.zeros((1, n)), 0.0, 0

    def add(self, influence: np.ndarray) -> None:
        """One more part. influence: (n,) of the rows on it, in any unit that all parts have."""
        self.total += influence
        self.alone += float(self.draws.error(self.whole, influence[None])[0]) ** 2
        self.many += 1

    @property
    def factor(self) -> float:
        """sqrt(2) where no part varies, as if each mistake were to count in two of them."""
        if not self.alone:
            return math.sqrt(max(min(self.many, 2), 1))
        return float(self.draws.error(self.whole, self.total)[0]) / math.sqrt(self.alone)


def _classes(target: np.ndarray, num_classes: int) -> list[tuple[int, np.ndarray]]:
    """The classes that occur, each with its examples (n,)."""
    return [(number, target == number) for number in range(num_classes) if (target == number).any()]


def _mean_of(parts: Sequence[tuple[float, float, float]], wider: float) -> tuple[float, float]:
    """The interval of the mean of independent values, from the value and the interval of each."""
    value, low, high = np.array(parts).T
    down, up = (wider * math.sqrt(float((apart**2).sum())) / len(parts) for apart in (value - low, high - value))
    middle = float(value.mean())
    return middle - down, middle + up


def unseen_mistakes(
    probabilities: np.ndarray, target: np.ndarray, groups: np.ndarray | None, counts: np.ndarray | None = None
) -> float:
    """How large the mean log loss could be in nats, judging by the labels of these examples; 0 for many mistakes.

    Where few answers are wrong, their losses say little about that of the next mistake. The probabilities (n, C) say
    what each mistake would cost. How many there are to be expected is bounded as follows: the true probabilities are
    taken to be those of the network at some temperature, and the highest is found that the labels do not refute. The
    limit of its likelihood is that of an exact interval of as many mistakes, 97.5 % on this side.
    target: (n,) classes, or (n, C) shares of them; counts: (n,) above 0, as how many each example counts.
    """
    logs, rows = np.log(probabilities), np.arange(len(target))
    truth = target if target.ndim == 2 else np.eye(logs.shape[1])[target]
    wrong = 1 - truth[rows, logs.argmax(axis=1)]
    own = np.ones(len(target)) if counts is None else counts / counts.mean()
    weight = effective(wrong, groups) / float((own**2).sum())  # unequal counts tell as much as fewer equal ones
    mistakes = weight * float((own * wrong).sum())
    if mistakes > MANY_MISTAKES:
        return 0.0

    def likelihood(sharpness: float) -> float:
        return weight * float(own @ (truth * log_softmax(sharpness * logs, axis=1)).sum(axis=1))

    best = _highest(likelihood)
    least = likelihood(best) - _exact_drop(mistakes)
    low, high = 0.0, best
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if likelihood(middle) >= least else (middle, high)
    true = np.exp(log_softmax(high * logs, axis=1))
    return float(-(own @ (true * logs).sum(axis=1)) / len(own))


def _highest(concave: Callable[[float], float]) -> float:
    """Where a concave function of a number from 0 to SHARPEST is highest, found on a logarithmic scale."""
    low, high = -10.0, math.log(SHARPEST)
    for _ in range(40):
        first, second = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, second) if concave(math.exp(first)) >= concave(math.exp(second)) else (first, high)
    return math.exp((low + high) / 2)


def _exact_drop(mistakes: float) -> float:
    """By how much the exact upper limit of a count's mean lowers the log likelihood of having counted so many.

    3.69 for none, and down to 1.92 for many. Source: Garwood, Fiducial limits for the Poisson distribution (1936).
    """
    limit = float(chi2.ppf(0.975, 2 * mistakes + 2)) / 2
    return limit - mistakes + (mistakes * math.log(mistakes / limit) if mistakes > 0 else 0.0)
