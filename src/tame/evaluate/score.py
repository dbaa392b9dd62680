"""Scores: every reported number comes from scikit-learn, with its interval. Only this file opens the test part."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn import metrics as sk

from tame.core.config import CLASSIFICATION_METRICS, LANGUAGE, LANGUAGE_METRICS, REGRESSION_METRICS
from tame.core.errors import TameError, UsageError, unknown
from tame.core.evaluation import ClassScore, Difference, Mistake, NumberError, Residuals, Sample, rare_of_two
from tame.core.records import Score
from tame.core.rng import stream
from tame.data.split import Sealed
from tame.evaluate import influence
from tame.evaluate.compare import Z, paired_shares, share_interval
from tame.evaluate.influence import Statistic
from tame.evaluate.intervals import (
    LEAST_GROUPS,
    LOG,
    LOG_REST,
    LOGIT,
    areas,
    balanced,
    balanced_difference,
    linear,
    macro_f1,
    precisions,
    studentized,
    tail_factor,
    unseen_mistakes,
)

REGRESSION = "regression"
METRICS_OF = {
    "binary": CLASSIFICATION_METRICS,
    "multiclass": CLASSIFICATION_METRICS,
    REGRESSION: REGRESSION_METRICS,
    LANGUAGE: LANGUAGE_METRICS,
}
NUMBERS = (REGRESSION, LANGUAGE)  # tasks whose outputs are no probabilities
LEAST = 1e-15  # probability: a certain mistake has a high, but not an infinite loss
RANDOM_GUESSES = 60  # draws for the standard deviation of a metric under guessing
MOST_POINTS = 500  # of a scatter plot
MOST_SAMPLED = 12  # classes that have samples
RANKED = ("roc_auc", "average_precision")
UNSPREAD = ("balanced_accuracy", "f1_macro", *RANKED)  # a perfect score of these does not vary between resamples
BY_CLASS = ("balanced_accuracy", "f1_macro")
WEIGHED = "; each counts by its weight"  # said where examples have weights
SCALES = {
    "accuracy": LOGIT,
    "roc_auc": LOGIT,
    "average_precision": LOGIT,
    "balanced_accuracy": LOGIT,
    "f1_macro": LOGIT,
    "log_loss": LOG,
    "rmse": LOG,
    "mae": LOG,
    "r2": LOG_REST,
    "bits_per_character": LOG,
}


class InconsistentError(TameError):
    """Two numbers that must agree do not: TAME reports nothing rather than something wrong."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Predictions on examples, each with the id of its example, in one order throughout.

    ids: (n,); target: (n,) class numbers, or numbers in a regression; outputs: (n, C) probabilities, or (n,) or (n, 1)
    numbers in the units of the target; task: binary, multiclass, regression, or language-model, whose outputs are the
    bits per character of texts and whose target is what the base gave them. shares: (n, C) of classes, if the
    examples have probabilities; `target` is then the most likely class, and the log loss is against the shares.
    groups: (n,) the same number for examples that belong together, as copies do; None where each stands for itself.
    weights: (n,) above 0, where an example counts as so many in metrics and their intervals; counts ignore them.
    """

    ids: tuple[str, ...]
    target: np.ndarray
    outputs: np.ndarray
    task: str
    shares: np.ndarray | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None

    @property
    def truth(self) -> np.ndarray:
        """The true targets: `shares` if there are any, otherwise `target`."""
        return self.target if self.shares is None else self.shares

    def only(self, chosen: np.ndarray) -> Judged:
        """The predictions on the examples where `chosen` (n,) is true."""
        ids = tuple(name for name, mine in zip(self.ids, chosen, strict=True) if mine)
        beside = (None if own is None else own[chosen] for own in (self.shares, self.groups, self.weights))
        return Judged(ids, self.target[chosen], self.outputs[chosen], self.task, *beside)

    @property
    def probabilities(self) -> np.ndarray:
        """(n, C). Only for a classification."""
        assert self.task not in NUMBERS, "a regression gives numbers, not probabilities"
        return self.outputs

    @property
    def predicted(self) -> np.ndarray:
        """(n,) the most probable class, or the number."""
        return np.asarray(self.outputs.reshape(-1) if self.task in NUMBERS else self.outputs.argmax(axis=1))

    @property
    def right(self) -> np.ndarray:
        """(n,) whether the predicted class is the true one. Only for a classification."""
        assert self.task not in NUMBERS, "a number is not right or wrong, but off by some amount"
        return np.asarray(self.predicted == self.target)

    @property
    def residual(self) -> np.ndarray:
        """(n,) the predicted number minus the true one. Only for a regression."""
        assert self.task == REGRESSION, "classes have no difference"
        return np.asarray(self.predicted - self.target)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (n, C) of logits (n, C)."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def judged_from(
    task: str, ids: Sequence[str], target: Sequence[float] | np.ndarray, canonical: np.ndarray,
    *, groups: np.ndarray | None = None, weights: np.ndarray | None = None,
) -> Judged:  # fmt: skip
    """Predictions from the outputs of a network. groups, weights: as of `Judged`.

    target: (n,) class numbers or numbers, or (n, C) shares of classes; canonical: (n, C) logits, or (n, 1) numbers in
    the units of the target. Raises UsageError for an unknown task, InconsistentError if the lengths differ or a
    number is not finite.
    """
    if task not in METRICS_OF:
        raise UsageError(unknown("task", task, METRICS_OF))
    outputs = np.asarray(canonical, dtype=float)
    if not len(ids) == len(target) == len(outputs):
        raise InconsistentError(f"{len(ids)} ids, {len(target)} targets and {len(outputs)} outputs do not fit together")
    if not np.isfinite(outputs).all():
        raise InconsistentError("the network's outputs contain a number that is not finite; nothing is reported")
    if task in NUMBERS:
        numbers = np.asarray(target, dtype=float)
        return Judged(tuple(ids), numbers, outputs.reshape(len(outputs)), task, groups=groups, weights=weights)
    truth = np.asarray(target)
    shares = truth.astype(float) if truth.ndim == 2 else None
    classes = truth if shares is None else shares.argmax(axis=1)
    return Judged(tuple(ids), classes.astype(np.int64), softmax(outputs), task, shares, groups, weights)


def require_same(judged: Iterable[Judged], problem: str) -> None:
    """Raises InconsistentError, in these words, where predictions are of different examples."""
    first, *rest = judged
    if any(each.ids != first.ids for each in rest):
        raise InconsistentError(problem)


def mean_of(judged: Sequence[Judged]) -> Judged:
    """The prediction of several networks together: the mean of their probabilities or numbers."""
    require_same(judged, "predictions of different examples cannot be averaged")
    return replace(judged[0], outputs=np.mean([each.outputs for each in judged], axis=0))


def measure(metric: str, judged: Judged) -> float:
    """The metric of predictions, by scikit-learn. Raises UsageError for a metric that does not fit the task.

    roc_auc with more than two classes is the mean over the classes, each against the rest; classes that no example or
    every example has are left out, and if none is left it is 0.5. average_precision is the mean over the classes that
    occur; of two it is that of one (`rare_of_two`), and 0 if that does not occur. r2 of targets that are all the same
    is 0, or 1 if every prediction is right.
    """
    known = METRICS_OF[judged.task]
    if metric not in known:
        raise UsageError(unknown(f"metric of a {judged.task} task", metric, known))
    target, predicted, weights = judged.target, judged.predicted, judged.weights
    if metric == "accuracy":
        return float(sk.accuracy_score(target, predicted, sample_weight=weights))
    if metric == "balanced_accuracy":
        # The same as balanced_accuracy_score, without its warning about classes that occur only in the predictions.
        present = np.unique(target)
        about = {"average": "macro", "zero_division": 0, "sample_weight": weights}
        return float(sk.recall_score(target, predicted, labels=present, **about))
    if metric == "f1_macro":
        return float(sk.f1_score(target, predicted, average="macro", zero_division=0, sample_weight=weights))
    if metric == "log_loss":
        own = _clipped(judged)
        classes, weight = range(own.shape[1]), weights
        if judged.shares is not None:  # each example once per class, weighted by its share
            each = judged.shares if weights is None else judged.shares * weights[:, None]
            target, weight = np.tile(classes, len(own)), each.reshape(-1)
            own = own.repeat(len(classes), axis=0)
        return float(sk.log_loss(target, own, labels=classes, sample_weight=weight))
    if metric == "roc_auc":
        areas = [
            sk.roc_auc_score(target == c, judged.probabilities[:, c], sample_weight=weights)
            for c in _ranked_classes(judged)
        ]
        return float(np.mean(areas)) if areas else 0.5
    if metric == "average_precision":
        each = [
            sk.average_precision_score(target == c, judged.probabilities[:, c], sample_weight=weights)
            for c in _precise_classes(judged)
        ]
        return float(np.mean(each)) if each else 0.0
    if metric == "rmse":
        return float(sk.root_mean_squared_error(target, predicted, sample_weight=weights))
    if metric == "bits_per_character":
        return float(np.average(predicted, weights=weights))
    if metric == "mae":
        return float(sk.mean_absolute_error(target, predicted, sample_weight=weights))
    if np.ptp(target) == 0:
        return float(bool((predicted == target).all()))
    return float(sk.r2_score(target, predicted, sample_weight=weights))


def statistic_of(metric: str, judged: Judged) -> Statistic:
    """A metric as a function of how often it has each row, many of them at once, with the influence of each row."""
    own = _unweighted(metric, judged)
    return own if judged.weights is None else influence.counted(own, judged.weights)


def _unweighted(metric: str, judged: Judged) -> Statistic:
    if metric == "balanced_accuracy":
        return influence.of_recalls(judged.target, judged.right)
    if metric == "f1_macro":
        return influence.of_f1(judged.target, judged.predicted)
    if metric == "roc_auc":
        return influence.of_areas(judged.target, judged.probabilities)
    if metric == "average_precision":
        return influence.of_precisions(judged.target, judged.probabilities)
    if metric == "r2":
        return influence.of_explained(judged.target, losses(metric, judged))
    return (influence.of_root if metric == "rmse" else influence.of_mean)(losses(metric, judged))


def losses(metric: str, judged: Judged) -> np.ndarray:
    """(n,) the contribution of each example to a metric that is a mean; for rmse and r2 the squared error."""
    if metric == "accuracy":
        return judged.right.astype(float)
    if metric == "bits_per_character":
        return judged.predicted
    if metric == "log_loss":
        own = _clipped(judged)
        if judged.shares is not None:
            return np.asarray(-(judged.shares * np.log(own)).sum(axis=1))
        return np.asarray(-np.log(own[np.arange(len(own)), judged.target]))
    return np.abs(judged.residual) if metric == "mae" else judged.residual**2


def _clipped(judged: Judged) -> np.ndarray:
    """Probabilities (n, C) of which none is 0."""
    own = np.clip(judged.probabilities.astype(float), LEAST, 1)
    return np.asarray(own / own.sum(axis=1, keepdims=True))


def open_test(
    sealed: Sealed, ids: Sequence[str], canonical: np.ndarray, record: Callable[[int], None], *, task: str,
    groups: np.ndarray | None = None, weights: np.ndarray | None = None,
) -> Judged:  # fmt: skip
    """The predictions on the sealed part with its labels; `record` records that it was opened. ids: of its rows.

    canonical: (n, C) logits, or (n, 1) numbers for a regression; groups, weights: as of `Judged`.
    """
    target = sealed.open(record)
    return judged_from(task, ids, target, canonical, groups=groups, weights=weights)


def score(metric: str, judged: Judged, *, how: str, seed: int) -> Score:
    """The metric of predictions with its 95 % interval: Wilson's for shares, the studentized bootstrap for the others.

    Examples that belong together count as such in the interval, and `how` says so. The log loss may be higher than all
    examples show, by as many mistakes as none of them rules out.
    """
    value, n, groups = measure(metric, judged), len(judged.target), judged.groups
    if metric in ("accuracy", *RANKED) and judged.weights is None:
        low, high = _by_formula(metric, judged)
    else:
        low, high = studentized(statistic_of(metric, judged), n, seed=seed, scale=SCALES[metric], groups=groups)
    if metric in BY_CLASS and judged.weights is None:
        # Few examples of a class deceive resamples, and many small classes the formula.
        first, last = _by_formula(metric, judged)
        low, high = min(low, first), max(high, last)
    if low == high == 1 and judged.weights is not None and judged.task not in NUMBERS:  # resamples do not vary
        low = _by_formula(metric, judged)[0]
    doubt = ""
    if metric == "log_loss":
        high = max(high, unseen_mistakes(_clipped(judged), judged.truth, groups, judged.weights))
    if judged.task == REGRESSION:
        lost = losses(metric, judged) if judged.weights is None else losses(metric, judged) * judged.weights
        factor = tail_factor(lost, groups)
        doubt = _few_decide(metric, lost) if math.isinf(factor) else ""
        low, high = _with_tail(metric, value, (low, high), 1.0 if doubt else factor)
    many = n if groups is None else len(np.unique(groups))
    if many < min(LEAST_GROUPS, n):
        of = "file" if judged.task == LANGUAGE else "group"
        doubt = f"the examples are of {many} {of}{'s' * (many > 1)} only, and the interval may be too narrow"
    if judged.task == LANGUAGE:
        return Score(
            value, low, high, n, f"{how}; {n:,} passages, and the interval is over their {many:,} files", doubt
        )
    said = f"; of them {n - many:,} belong to another one, as copies do, and the interval counts {many:,} groups"
    return Score(value, low, high, n, how + said * (many < n) + WEIGHED * (judged.weights is not None), doubt)


def _by_formula(metric: str, judged: Judged) -> tuple[float, float]:
    """The interval of a metric of classes that needs no resamples."""
    target, num_classes, groups = judged.target, judged.outputs.shape[1], judged.groups
    if metric == "accuracy":
        return share_interval(judged.right, groups)
    if metric == "balanced_accuracy":
        return balanced(target, judged.right, num_classes, groups)
    if metric == "f1_macro":
        return macro_f1(target, judged.predicted, num_classes, groups)
    return (areas if metric == "roc_auc" else precisions)(target, judged.probabilities, groups)


def _with_tail(metric: str, value: float, ends: tuple[float, float], factor: float) -> tuple[float, float]:
    """An interval that also holds what the metric is if the mean of the errors is `factor` times as large."""
    if metric == "r2":
        return min(ends[0], 1 - (1 - value) * factor), ends[1]
    return ends[0], max(ends[1], value * (math.sqrt(factor) if metric == "rmse" else factor))


def _few_decide(metric: str, lost: np.ndarray) -> str:
    """That the largest errors decide, and by how much."""
    most = max(1, round(len(lost) / 100))
    share = float(np.sort(lost)[-most:].sum() / max(lost.sum(), 1e-300))
    which = "the largest error alone makes" if most == 1 else f"the largest {most:,} of {len(lost):,} errors make"
    whole = "all errors" if metric == "mae" else "all squared errors"
    return (
        f"{which} {100 * share:.0f} % of the sum of {whole}; rarer and larger ones cannot be ruled out, and the "
        "interval may be too narrow"
    )


def difference(metric: str, a: Judged, b: Judged, *, seed: int) -> Difference:
    """How much higher the metric of `a` is than that of `b` on the same examples, with its 95 % interval."""
    require_same((a, b), "the two predictions are of different examples and cannot be compared")
    if metric == "accuracy" and a.weights is None:
        return paired_shares(a.right, b.right, a.groups)
    if metric == "balanced_accuracy" and a.weights is None:
        return balanced_difference(a.target, a.right, b.right, a.outputs.shape[1], a.groups)
    n, apart = len(a.target), influence.minus(statistic_of(metric, a), statistic_of(metric, b))
    value = measure(metric, a) - measure(metric, b)
    if metric in RANKED:  # a bootstrap would sort out each resample, which takes seconds
        how = "DeLong's method" if metric == "roc_auc" else "by the influence of each"
        return Difference(value, *linear(apart, n, groups=a.groups), n, f"paired on the same examples, {how}")
    low, high = studentized(apart, n, seed=seed, groups=a.groups)
    return Difference(value, min(low, value), max(high, value), n, "paired bootstrap over the same examples")


def guesses(metric: str, targets: np.ndarray, judged: Judged, weights: np.ndarray | None = None) -> Judged:
    """Guesses for the same examples without their inputs, from the targets (n,) or (n, C) of the training data, which
    count by their weights.

    The shares of the classes; for a regression the mean, which is best for squared errors, or the median for mae; for a
    language model what it said before it was adapted.
    """
    n = len(judged.target)
    if judged.task == LANGUAGE:
        return replace(judged, outputs=judged.target)
    if judged.task == REGRESSION:
        middle = _median(targets, weights) if metric == "mae" else np.average(targets, weights=weights)
        return replace(judged, outputs=np.full(n, float(middle)))
    return replace(judged, outputs=np.tile(class_shares(targets, judged.outputs.shape[1], weights), (n, 1)))


def class_shares(targets: np.ndarray, num_classes: int, weights: np.ndarray | None = None) -> np.ndarray:
    """(C,) the share of each class in targets (n,), or the mean of shares (n, C). weights: (n,) what each counts as."""
    if targets.ndim == 2:
        return np.asarray(np.average(targets, axis=0, weights=weights))
    found = np.bincount(targets, weights=weights, minlength=num_classes)
    return np.asarray(found / found.sum())


def _median(values: np.ndarray, weights: np.ndarray | None) -> float:
    """The median; with weights the lowest value below or at which half of the weight lies."""
    if weights is None:
        return float(np.median(values))
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def dummy(metric: str, targets: np.ndarray, judged: Judged, *, seed: int, weights: np.ndarray | None = None) -> Score:
    """The score of guessing without the inputs on the examples of `judged`. targets, weights: of the training data."""
    if judged.task == LANGUAGE:
        return score(metric, guesses(metric, targets, judged), how="the model before it was adapted", seed=seed)
    how = "always the most common class of the training data"
    if judged.task == REGRESSION:
        how = f"always the {'median' if metric == 'mae' else 'mean'} of the training data"
    return score(metric, guesses(metric, targets, judged, weights), how=how, seed=seed)


def dummy_error(metric: str, targets: np.ndarray, judged: Judged, *, seed: int) -> float:
    """The standard error of the metric of guessing on as many examples.

    Metrics for which a constant answer always gives the same value (balanced accuracy, macro F1, the area under the ROC
    curve) are measured on random answers that follow the shares of the classes.
    """
    guessed, n = guesses(metric, targets, judged), len(judged.target)
    if metric == "accuracy":
        share = measure(metric, guessed)
        return math.sqrt(max(share * (1 - share), 1e-12) / n)
    if metric in UNSPREAD:
        rng, whole = stream(seed, "guesses"), np.ones((1, n))
        logits = np.log(np.clip(guessed.outputs, 1e-12, 1))
        drawn = (replace(judged, outputs=softmax(logits + rng.gumbel(size=logits.shape)))
                 for _ in range(RANDOM_GUESSES))  # fmt: skip
        return float(np.std([statistic_of(metric, each)(whole)[0][0] for each in drawn]))
    lost = losses(metric, guessed)
    error = float(lost.std() / math.sqrt(n))
    if metric == "rmse":
        return error / (2 * max(math.sqrt(lost.mean()), 1e-300))
    return error / max(float(judged.target.var()), 1e-300) if metric == "r2" else error


def confusion(judged: Judged, classes: Sequence[str]) -> tuple[tuple[int, ...], ...]:
    """Counts, row the true class, column the predicted one.

    Raises InconsistentError if their trace does not give the accuracy.
    """
    counts = sk.confusion_matrix(judged.target, judged.predicted, labels=range(len(classes)))
    accuracy = sk.accuracy_score(judged.target, judged.predicted)
    if not math.isclose(np.trace(counts) / counts.sum(), accuracy, rel_tol=0, abs_tol=1e-12):
        raise InconsistentError("the confusion matrix does not agree with the accuracy; it is not reported")
    return tuple(tuple(int(cell) for cell in row) for row in counts)


def per_class(judged: Judged, classes: Sequence[str]) -> tuple[ClassScore, ...]:
    """For each class: the number of examples and the share recognised, with Wilson's interval."""
    found = []
    for number, name in enumerate(classes):
        own = judged.only(judged.target == number)
        n, right = len(own.target), int(own.right.sum())
        low, high = share_interval(own.right, own.groups)
        share = right / n if n else None
        found.append(ClassScore(name, n, right, share, low, high))
    return tuple(found)


def mistakes(judged: Judged, classes: Sequence[str], *, most: int = 12) -> tuple[Mistake, ...]:
    """The wrong predictions with the highest probability, with the ids of their examples."""
    wrong = np.nonzero(~judged.right)[0]
    order = wrong[np.argsort(-judged.probabilities[wrong, judged.predicted[wrong]], kind="stable")]
    return tuple(
        Mistake(
            judged.ids[row], classes[judged.target[row]], classes[judged.predicted[row]],
            float(judged.probabilities[row, judged.predicted[row]]),
        )
        for row in order[:most]
    )  # fmt: skip


def samples(judged: Judged, classes: Sequence[str], *, right: int = 4, wrong: int = 2) -> tuple[Sample, ...]:
    """Of each class the right answers whose probability is nearest to the median of its right answers, then its most
    confident mistakes.

    right, wrong: at most so many of each. Empty for more than MOST_SAMPLED classes.
    """
    sure = judged.probabilities[np.arange(len(judged.target)), judged.predicted]
    found: list[int] = []
    for label in range(len(classes) if len(classes) <= MOST_SAMPLED else 0):
        good, bad = (np.nonzero((judged.target == label) & (judged.right == is_right))[0] for is_right in (True, False))
        usual = float(np.median(sure[good])) if len(good) else 0.0
        found += good[np.argsort(np.abs(sure[good] - usual), kind="stable")][:right].tolist()
        found += bad[np.argsort(-sure[bad], kind="stable")][:wrong].tolist()
    return tuple(
        Sample(judged.ids[row], classes[judged.target[row]], classes[judged.predicted[row]], float(sure[row]))
        for row in found
    )


def errors(judged: Judged, *, most: int = 12) -> tuple[NumberError, ...]:
    """The largest errors of a regression, predicted minus true, with the ids of their examples."""
    order = np.argsort(-np.abs(judged.residual), kind="stable")[:most]
    return tuple(
        NumberError(
            judged.ids[row], float(judged.target[row]), float(judged.predicted[row]), float(judged.residual[row])
        )
        for row in order
    )


def residuals(judged: Judged) -> Residuals:
    """The distribution of a regression's errors, predicted minus true.

    mean_error has a 95 % interval from its standard error; median_size and size_90 are the 50 and 90 % quantiles of the
    absolute errors; within_rmse is the share of errors no larger than the rmse; points are (true, predicted) pairs,
    evenly spaced over the ranking of the true values, at most 500.
    """
    own, n = judged.residual, len(judged.target)
    rmse = measure("rmse", judged)
    half = Z * float(own.std()) / math.sqrt(n)
    mean = float(own.mean())
    half_way, most = np.quantile(np.abs(own), [0.5, 0.9])
    order = np.argsort(judged.target, kind="stable")
    picked = order[np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(int))]
    return Residuals(
        n=n, rmse=rmse, mean_error=mean, mean_low=mean - half, mean_high=mean + half,
        median_size=float(half_way), size_90=float(most),
        within_rmse=float((np.abs(own) <= rmse * (1 + 1e-12)).mean()),
        points=tuple((float(judged.target[row]), float(judged.predicted[row])) for row in picked),
    )  # fmt: skip


def _ranked_classes(judged: Judged) -> list[int]:
    """The classes that some but not all examples have; of two only the second, since both give the same ranking."""
    counts = np.bincount(judged.target, minlength=judged.outputs.shape[1])
    found = [c for c, count in enumerate(counts) if 0 < count < len(judged.target)]
    return [1] if judged.outputs.shape[1] == 2 and found else found


def _precise_classes(judged: Judged) -> list[int]:
    """The classes that occur; of two only the rare one."""
    sizes = np.bincount(judged.target, weights=judged.weights, minlength=judged.outputs.shape[1])
    wanted = range(len(sizes)) if len(sizes) != 2 else [rare_of_two(sizes[0] / sizes.sum())]
    return [c for c in wanted if sizes[c]]
