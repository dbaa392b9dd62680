"""From a curve to a finding, by name. A rule returns a finding with its evidence, or None.

Noise is that of the very curve, and limits are multiples of it. Ends are compared by smoothed values, whose noise is
that of a median. The metric is compared with the dummy; the loss with its own start, because smoothing, penalties and
mixup move the loss of the recipe away from that of guessing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from tame.core.codes import CODES
from tame.core.records import Confidence, Finding, Trial
from tame.core.registry import Registry
from tame.monitor.case import Case, Facts
from tame.monitor.curves import OF_MEDIANS, Fall, cycle, noise, relative_fall, trend
from tame.monitor.floor import at_the_floor

LEAST = 3  # epochs; below, there is nothing to compare
LEAST_FLAT = 8  # epochs, of which the last third can be seen to be flat
WIDEST = 5  # epochs of the medians of the metric that are compared
CYCLIC = ("restarts", "one_cycle")  # schedules that rise again by themselves
NOISES = 4.0  # times the noise of a difference of medians that a change must have
WORTH_TELLING = 0.15  # of the lowest validation loss: a smaller rise does no harm while the metric holds
HARDLY = 0.005  # of a share such as the accuracy; a smaller drop is not a drop
LARGE_NOISE = 0.04  # of all that the loss fell: larger in both losses, and it does not settle
AGAIN = 0.2  # of its lowest value: a rise that is large beside the level
QUIET = 0.005  # of the loss: noise below is that of numbers and batches
BACK = 0.12  # of all that the loss fell: a later rise by more is one
OFTEN = 0.3  # of the epochs: rises by more than a twentieth this often are no way down
BY_HEART, WILD = 0.25, 10.0  # of the first training loss, below which examples were learned by heart, unless so fast
FAR_ABOVE, FAR_BELOW, FAR_LOWER = 3.0, 0.3, 0.01  # times the usual rate
STEADY = -0.9  # Kendall's tau of a curve that does nothing but fall
LONG = 20  # epochs: a run that is still on its way after these is not just short
NO_GAP = 0.05  # of the training loss
LITTLE = 0.3  # of the way from the dummy to perfection
REGULARIZERS: Mapping[str, float] = {  # values from which on each holds a network back by itself
    "model.dropout": 0.6, "optimizer.weight_decay": 0.3, "loss.label_smoothing": 0.4, "regularize.mixup": 1.0,
    "regularize.l2": 0.1, "regularize.l1": 0.01, "augment.noise": 1.0, "augment.strength": 0.9,
}  # fmt: skip


class Rule(Protocol):
    """From (curve, facts) to a finding or None: fires on the planted fault, and stays silent on clean runs."""

    def __call__(self, trial: Trial, facts: Facts) -> Finding | None: ...


RULES: Registry[Rule] = Registry("rule")

_RATES = ("rate_too_high", "rate_too_low")
_OF_DOING_WELL = ("overfitting", "overconfident", "memorised", "still_improving", "plateau")
_OF_LEARNING_LITTLE = ("no_better_than_dummy", "underfitting", "learning_noise")
# What a finding explains or contradicts, by its name: those are not told beside it.
SILENCES: Mapping[str, tuple[str, ...]] = {
    "diverged": (*_RATES, *_OF_DOING_WELL, *_OF_LEARNING_LITTLE, "over_regularised", "noisy_validation", "periodic"),
    "squashed_outputs": (*_RATES, *_OF_DOING_WELL, *_OF_LEARNING_LITTLE, "over_regularised"),
    "over_regularised": (*_RATES, *_OF_DOING_WELL, *_OF_LEARNING_LITTLE, "noisy_validation"),
    "rate_too_high": ("rate_too_low", *_OF_DOING_WELL, *_OF_LEARNING_LITTLE, "noisy_validation", "periodic"),
    "rate_too_low": (*_OF_DOING_WELL, "no_better_than_dummy", "underfitting", "learning_noise", "noisy_validation"),
    "learning_noise": (*_OF_DOING_WELL, "no_better_than_dummy", "underfitting", "noisy_validation"),
    "no_better_than_dummy": ("underfitting", "plateau", "noisy_validation"),
    "overfitting": ("memorised", "still_improving", "underfitting"),
    "still_improving": ("underfitting", "memorised"),
}  # fmt: skip


def examine(trial: Trial, facts: Facts) -> list[Finding]:
    """What the rules find in one trial, the causes before the symptoms, without what another finding explains."""
    every = [RULES.get(name)(trial, facts) for name in RULES.names()]
    return consistent([finding for finding in every if finding is not None])


def consistent(findings: Sequence[Finding]) -> list[Finding]:
    """Of findings about one recipe, those that no other one explains or contradicts; of each kind the first."""
    found = {finding.code: finding for finding in reversed(findings)}
    silent = {other for name in SILENCES if name in found for other in _silenced(name, found)}
    told = [finding for code, finding in found.items() if code not in silent]
    return sorted(told, key=lambda finding: finding.id or "~")  # those of other packages last


def _silenced(name: str, found: Mapping[str, Finding]) -> tuple[str, ...]:
    """What this finding explains; nothing if it is itself explained by one that stands before it."""
    before = [other for other in SILENCES if other in found and name in SILENCES[other] and other != name]
    return () if before else SILENCES[name]


@RULES.add("diverged")
def diverged(trial: Trial, facts: Facts) -> Finding | None:
    """A loss became infinite or NaN."""
    if trial.state != "diverged":
        return None
    evidence: dict[str, object] = {"epoch": trial.epochs, **_rate(Case(trial, facts))}
    return _finding("diverged", f"diverged in epoch {trial.epochs}", "problem", evidence, trial, "high")


@RULES.add("squashed_outputs")
def squashed_outputs(trial: Trial, facts: Facts) -> Finding | None:
    """Both losses stand still where they must if probabilities are given to a cross-entropy, for that accuracy."""
    floor = at_the_floor(Case(trial, facts))
    if floor is None:
        return None
    title = f"the loss stands still at the floor of outputs between 0 and 1, {floor['floor_loss']:.3g} and the mistakes"
    return _finding("squashed_outputs", title, "warning", floor, trial, "medium")


@RULES.add("rate_too_high")
def rate_too_high(trial: Trial, facts: Facts) -> Finding | None:
    """The steps are too large: the losses rise late, do not settle, or stopped moving at once.

    A loss that rose is compared with what it had reached, never with that of guessing: a large first loss is not a
    rise. Where it stands still at the level of the dummy, the curve alone does not tell; the rate decides. A rate far
    below the usual one is not too high: what rises there is the noise of dropout and of batches.
    """
    case = Case(trial, facts)
    if trial.state == "diverged" or not case.has_train or len(case) < LEAST:
        return None
    if case.rate_ratio is not None and case.rate_ratio < FAR_LOWER:
        return None
    for look in (_rose_late, _does_not_settle, _froze, _learnt_nothing_at_a_high_rate):
        told = look(case)
        if told is not None:
            why, evidence, strength = told
            title = f"{_named_rate(case)} too high: {why}"
            return _finding(
                "rate_too_high", title, "warning", {"how": look.__name__.strip("_"), **evidence, **_rate(case)}, trial,
                case.confidence(strength),
            )  # fmt: skip
    return None


Look = tuple[str, dict[str, object], float]  # why, the evidence, and how strong it is


def _rose_late(case: Case) -> Look | None:
    """Both losses rose from what they had reached, by more than their noise and a good part of all they had fallen."""
    soft = case.wide_train
    low = int(np.argmin(soft))
    fall, rise = float(case.train[0] - soft[low]), float(np.median(soft[-max(1, len(case) // 10) :]) - soft[low])
    # Where most was learned in the first epoch, the fall since is small, and a rise must be large beside the level.
    share = min(
        max(fall, 0.02 * case.scale) + AGAIN * abs(float(soft[low])) / BACK, _whole_fall(case.train, soft, case)
    )
    limit = max(BACK * share, NOISES * OF_MEDIANS * case.train_noise * (3 / 5) ** 0.5)
    if rise <= limit or (case.has_valid and not _valid_rose(case, low)):
        return None
    begun = low + 1
    evidence: dict[str, object] = {
        "since_epoch": int(case.epochs[low]), "lowest_train_loss": _rounded(float(soft[low])),
        "last_train_loss": _rounded(float(case.train[-1])),
    }  # fmt: skip
    if begun >= len(case):
        return None
    return f"both losses rose again after epoch {case.epochs[low]}", evidence, rise / limit


def _valid_rose(case: Case, low: int) -> bool:
    """Whether the validation loss too ends higher than it had been when the training loss was lowest, or before."""
    last = float(np.median(case.wide_valid[-max(1, len(case) // 10) :]))
    least = NOISES / 2 * OF_MEDIANS * case.valid_noise
    return last - float(case.wide_valid[: low + 1].min()) > min(least, 0.05 * case.scale)


def _does_not_settle(case: Case) -> Look | None:
    """Both losses jump from epoch to epoch by a good part of all that they fell, and there is no way down."""
    if len(case) < LEAST + 2:
        return None
    noises = [case.train_noise / _whole_fall(case.train, case.soft_train, case)]
    if case.has_valid:
        noises.append(case.valid_noise / _whole_fall(case.valid, case.soft_valid, case))
    jump = np.maximum(0.05 * np.abs(case.train[:-1]), 0.02 * case.scale)
    often = float(np.mean(np.diff(case.train) > jump))
    is_quiet = case.train_noise < QUIET * float(np.median(np.abs(case.train)))
    settles = is_quiet or case.train_trend <= -0.3 or min(noises) <= LARGE_NOISE or len(case) < LEAST_FLAT
    if (settles and often < OFTEN) or _is_flat_at_the_dummy(case) or cycle(case.train[_start(len(case)) :]) is not None:
        return None
    evidence: dict[str, object] = {
        "share_of_epochs_that_rose": round(float(np.mean(np.diff(case.train) > 0)), 3),
        "noise_of_train_loss": _rounded(case.train_noise), "first_train_loss": _rounded(float(case.train[0])),
        "last_train_loss": _rounded(float(case.train[-1])),
    }  # fmt: skip
    return "the training loss does not settle", evidence, max(min(noises) / LARGE_NOISE, often / OFTEN)


def _is_flat_at_the_dummy(case: Case) -> bool:
    """Whether nothing was learned and the loss hardly moves, which has many causes besides a high rate."""
    ratio, level = case.rate_ratio, float(np.median(np.abs(case.train)))
    is_usual = ratio is None or ratio < FAR_ABOVE
    return case.is_no_better_than_dummy and is_usual and case.train_noise < 0.05 * level


def _whole_fall(values: np.ndarray, soft: np.ndarray, case: Case) -> float:
    """All that a loss fell, from guessing on if that is known and was higher than the loss of the first epoch."""
    start = max(float(values[0]), case.facts.guess_loss or -np.inf)
    return max(start - float(soft.min()), 1e-300)


def _froze(case: Case) -> Look | None:
    """The training loss does not move at all any more, although nothing or little was learned: units have died.

    With a rate that is not high and a metric like the dummy's, the cause is not the rate.
    """
    ratio = case.rate_ratio
    if not case.is_frozen or case.beats_dummy:
        return None
    if case.is_no_better_than_dummy and ratio is not None and ratio < FAR_ABOVE:
        return None
    moves = np.abs(np.diff(case.train)) > 2e-6 * np.abs(case.train[:-1])
    since = int(case.epochs[int(np.flatnonzero(moves)[-1]) + 1 if moves.any() else 0])
    evidence: dict[str, object] = {"since_epoch": since, "last_train_loss": _rounded(float(case.train[-1]))}
    return f"the training loss has not moved since epoch {since}", evidence, 1.0


def _learnt_nothing_at_a_high_rate(case: Case) -> Look | None:
    """The metric is that of the dummy, the rate far above the usual one, and the examples were not learned by heart."""
    ratio = case.rate_ratio
    if ratio is None or ratio < FAR_ABOVE or not case.is_no_better_than_dummy or not case.has_ended:
        return None
    by_heart = case.has_train and float(case.wide_train[-1]) < BY_HEART * abs(float(case.train[0]))
    if by_heart and ratio < WILD:
        return None
    evidence: dict[str, object] = {
        "valid_metric": _rounded(case.judged_metric or 0.0), "dummy": _rounded(case.facts.dummy or 0.0),
        "times_the_usual_rate": _rounded(ratio),
    }  # fmt: skip
    return f"nothing was learned at {_rounded(ratio):,g} times the usual rate", evidence, ratio / FAR_ABOVE


@RULES.add("over_regularised")
def over_regularised(trial: Trial, facts: Facts) -> Finding | None:
    """Little was learned, the losses stand still without a gap, and a regularizer is strong enough to be the cause."""
    case = Case(trial, facts)
    if case.recipe is None or not case.has_train or not case.has_valid or len(case) < LEAST or not case.has_ended:
        return None
    if case.learned is None or case.learned >= 2 * LITTLE or (case.rate_ratio or 1.0) >= FAR_ABOVE:
        return None
    flat = case.recipe.flat()
    strong = {
        name: float(value)
        for name, least in REGULARIZERS.items()
        if isinstance(value := flat.get(name), int | float) and value >= least
    }
    if not strong or _gap(case) > NO_GAP:
        return None
    name = max(strong, key=lambda each: strong[each] / REGULARIZERS[each])
    if case.learned >= LITTLE and strong[name] < 10 * REGULARIZERS[name]:
        return None  # that much is learned in spite of it
    evidence: dict[str, object] = {
        "field": name, "value": strong[name], "last_train_loss": _rounded(float(case.train[-1])),
        "last_valid_loss": _rounded(float(case.valid[-1])), "learned": round(case.learned, 3),
    }  # fmt: skip
    title = f"too much regularization: with {name} at {strong[name]:g} little was learned, in training too"
    return _finding("over_regularised", title, "warning", evidence, trial, case.confidence(1.0))


@RULES.add("rate_too_low")
def rate_too_low(trial: Trial, facts: Facts) -> Finding | None:
    """The losses did nothing but fall, and had not slowed down at the end, at a rate far below the usual one.

    Where the rate is not known, hardly anything must have been learned, or the run be long: else it is undertrained.
    Where noise hides so slow a fall, the rate tells.
    """
    case = Case(trial, facts)
    if trial.state == "diverged" or not case.has_train or len(case) < LEAST + 1 or not case.has_ended:
        return None
    ratio, learned = case.rate_ratio, case.learned
    if (ratio is not None and ratio > FAR_BELOW) or case.is_frozen:
        return None
    if case.has_valid and float(case.soft_valid[-1] - case.valid[0]) > NOISES * OF_MEDIANS * case.valid_noise:
        return None  # what it learns is of no use
    hardly = learned is not None and learned < 0.1
    fall = Fall.of(case.train, case.soft_train)
    on_its_way = case.train_trend < STEADY and fall.whole > NOISES * OF_MEDIANS * case.train_noise and fall.goes_on
    if learned is None:
        on_its_way = on_its_way and fall.late > 0.2 * fall.whole and fall.last > 0.2 * fall.late
    else:
        on_its_way = on_its_way and (hardly or _gap(case) <= NO_GAP) and fall.whole < 0.67 * abs(case.train[0])
    if case.has_valid and not hardly:  # with dropout, the training loss goes on falling after all has been learned
        on_its_way = on_its_way and Fall.of(case.valid, case.soft_valid).goes_on
    slow = on_its_way and (hardly or (ratio is not None and learned is not None) or len(case) >= LONG)
    still = ratio is not None and ratio <= 0.1 and case.is_no_better_than_dummy and fall.whole < BACK * case.scale
    if not slow and not still:
        return None
    evidence: dict[str, object] = {
        "first_train_loss": _rounded(float(case.train[0])), "last_train_loss": _rounded(float(case.train[-1])),
        "share_of_fall_in_second_half": round(fall.late / fall.whole, 3) if fall.whole > 0 else 0.0,
        "epochs": trial.epochs, **_rate(case),
    }  # fmt: skip
    title = f"{_named_rate(case)} too low: the training loss had not slowed down after {trial.epochs} epochs"
    strength = fall.late / (Fall.HALF * fall.whole) if slow else 1.0
    return _finding("rate_too_low", title, "warning", evidence, trial, case.confidence(strength))


@RULES.add("learning_noise")
def learning_noise(trial: Trial, facts: Facts) -> Finding | None:
    """The training loss falls, but what is learned is of no use: the metric was never better than the dummy's."""
    case = Case(trial, facts)
    if not case.has_train or not case.has_metric or len(case) < LEAST + 1 or not case.is_no_better_than_dummy:
        return None
    gains = [case.gain(float(value)) or 0.0 for value in case.metric]
    limit = NOISES * OF_MEDIANS * case.train_noise
    fall = float(case.train[0] - case.soft_train[-1])
    valid_fell = case.has_valid and float(case.valid[0] - case.soft_valid[-1]) > BACK * fall
    if max(gains) > 3 * (facts.dummy_error or 0.0) or fall <= max(limit, 0.1 * abs(case.train[0])) or valid_fell:
        return None
    evidence: dict[str, object] = {
        "first_train_loss": _rounded(float(case.train[0])), "last_train_loss": _rounded(float(case.train[-1])),
        "valid_metric": _rounded(case.judged_metric or 0.0), "dummy": _rounded(facts.dummy or 0.0),
    }  # fmt: skip
    title = "learning noise: the training loss falls, but validation was never better than the dummy"
    return _finding("learning_noise", title, "problem", evidence, trial, case.confidence(fall / max(limit, 1e-300)))


@RULES.add("no_better_than_dummy")
def no_better_than_dummy(trial: Trial, facts: Facts) -> Finding | None:
    """At the end, the validation metric is within two standard errors of the dummy."""
    case = Case(trial, facts)
    if not case.is_no_better_than_dummy or not case.has_ended or case.judged_metric is None or facts.dummy is None:
        return None
    own, dummy = case.judged_metric, facts.dummy
    evidence = {"valid_metric": _rounded(own), "dummy": _rounded(dummy), "n": facts.num_valid, "guess": _guess(facts)}
    said = (
        f"{_rounded(value):,g}" if facts.task == "regression" else f"{value:.3f}" for value in (own, dummy)
    )  # fmt: skip
    title = f"not shown to be better than the dummy: {' against '.join(said)}"
    return _finding("no_better_than_dummy", title, "problem", evidence, trial, case.confidence(1.0))


@RULES.add("overfitting")
def overfitting(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss rose from its lowest point by more than its noise while the training loss kept falling.

    Where the metric did not get worse, it is for information: then the probabilities suffer, and not the classes.
    """
    case = Case(trial, facts)
    turn = _turn(case)
    if turn is None:
        return None
    low, strength = turn
    epoch, rise, evidence = _rise(case, low)
    held = _metric_held(case, low)
    if held and rise < WORTH_TELLING:
        return None
    title = f"overfitting since epoch {epoch}: the validation loss rose by {100 * rise:.0f} %"
    return _finding("overfitting", title, "info" if held else "warning", evidence, trial, case.confidence(strength))


@RULES.add("overconfident")
def overconfident(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss of a classification rose as in overfitting, but the metric is not worse, within noise.

    The network then predicts classes as well as before, but gives its mistakes ever higher probabilities.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), section 3.
    """
    case = Case(trial, facts)
    turn = _turn(case)
    if turn is None or not _metric_held(case, turn[0]):
        return None
    epoch, rise, evidence = _rise(case, turn[0])
    if rise < WORTH_TELLING:
        return None
    name = facts.metric.replace("_", " ")
    rose = f"the validation loss rose by {100 * rise:.0f} % while the {name} did not get worse"
    title = f"overconfident since epoch {epoch}: {rose}"
    evidence |= {"last_valid_metric": _rounded(float(case.metric[-1]))}
    return _finding("overconfident", title, "info", evidence, trial, case.confidence(turn[1]))


@RULES.add("memorised")
def memorised(trial: Trial, facts: Facts) -> Finding | None:
    """The training loss is next to nothing while the validation loss stays high, without rising."""
    case = Case(trial, facts)
    if not case.has_train or not case.has_valid or len(case) < LEAST + 1 or _turn(case) is not None:
        return None
    train, valid = float(case.soft_train[-1]), float(case.soft_valid[-1])
    much = train < 0.1 * valid and train < 0.1 * case.scale and valid > 0.25 * case.scale
    if not much or case.is_restored:
        return None
    evidence: dict[str, object] = {"last_train_loss": _rounded(train), "last_valid_loss": _rounded(valid)}
    title = f"memorised: the training loss is {train:.2g}, the validation loss stays at {valid:.2g}"
    return _finding("memorised", title, "info", evidence, trial, case.confidence(0.1 * valid / max(train, 1e-300)))


@RULES.add("still_improving")
def still_improving(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss still fell over the last fifth of the epochs by more than its noise, or did nothing else."""
    case = Case(trial, facts)
    if not case.has_valid or len(case) < LEAST or trial.epochs < trial.recipe.epochs or case.is_restored:
        return None
    fall = relative_fall(case.valid, share=0.2)
    own = NOISES * OF_MEDIANS * case.valid_noise / max(abs(float(case.valid[-1])), 1e-12)
    # In a curve that does nothing but fall, what looks like noise is its bend; and a slow one may not slow down.
    is_steady = trend(case.valid) <= STEADY
    is_slow = is_steady and Fall.of(case.valid, case.soft_valid).goes_on and len(case) >= LONG
    limit = 0.01 if is_slow else 0.03 if is_steady else max(0.03, own)
    if fall <= limit:
        return None
    evidence = {"fall_over_last_fifth": round(fall, 4), "epochs": trial.epochs,
                "last_valid_loss": _rounded(float(case.valid[-1]))}  # fmt: skip
    title = f"still improving at the end: the validation loss fell by {100 * fall:.0f} % over the last fifth"
    return _finding("still_improving", title, "info", evidence, trial, case.confidence(fall / limit))


@RULES.add("underfitting")
def underfitting(trial: Trial, facts: Facts) -> Finding | None:
    """Both losses stand still without a gap, and little more than guessing was learned, in training too.

    One curve cannot tell a network that is too small from a target that the inputs do not tell, so it is for
    information.
    """
    case = Case(trial, facts)
    if not case.has_train or not case.has_valid or len(case) < LEAST_FLAT or not case.has_ended or case.is_restored:
        return None
    if case.learned is None or case.learned >= LITTLE or not case.beats_dummy or _gap(case) > NO_GAP:
        return None
    third = case.soft_train[-max(3, len(case) // 3) :]
    if float(third[0] - third[-1]) > max(0.02 * abs(third[0]), NOISES * OF_MEDIANS * case.train_noise):
        return None  # it still falls
    evidence: dict[str, object] = {
        "last_train_loss": _rounded(float(case.train[-1])), "last_valid_loss": _rounded(float(case.valid[-1])),
        "learned": round(case.learned, 3),
    }  # fmt: skip
    title = f"underfitting: both losses stand still, {100 * case.learned:.0f} % of the way from guessing to perfection"
    return _finding("underfitting", title, "info", evidence, trial, "low")


@RULES.add("plateau")
def plateau(trial: Trial, facts: Facts) -> Finding | None:
    """The training loss stood still for a good part of the epochs and then fell again: it had not been at its floor."""
    case = Case(trial, facts)
    if not case.has_train or len(case) < LEAST_FLAT or _is_cyclic(case):
        return None
    least, soft = max(4, round(0.3 * len(case))), case.wide_train
    whole = float(case.train[0] - soft.min())
    if whole <= 0:
        return None
    still = max(0.02 * whole, OF_MEDIANS * case.train_noise)
    for begin in range(len(case) - least - 1):
        end = begin + least
        later = float(soft[end] - soft[end:].min())
        if abs(float(soft[begin] - soft[end])) < still and later > max(0.25 * whole, 2 * NOISES * still):
            while end + 1 < len(case) and abs(float(soft[begin] - soft[end + 1])) < still:
                end += 1
            evidence: dict[str, object] = {
                "since_epoch": int(case.epochs[begin]), "until_epoch": int(case.epochs[end]),
                "train_loss": _rounded(float(soft[begin])), "last_train_loss": _rounded(float(case.train[-1])),
            }  # fmt: skip
            title = f"plateau: the training loss stood still from epoch {case.epochs[begin]} to {case.epochs[end]}"
            strength = later / (0.25 * whole)
            return _finding("plateau", title, "info", evidence, trial, case.confidence(strength))
    return None


@RULES.add("noisy_validation")
def noisy_validation(trial: Trial, facts: Facts) -> Finding | None:
    """The metric jumps from epoch to epoch as much as so few examples explain; the size that would be enough.

    The noise of a share from n examples falls with the square root of n; wanted is a hundredth.
    """
    case = Case(trial, facts)
    if not case.has_metric or len(case) < 6 or not facts.num_valid or not facts.higher_is_better:
        return None
    tail = case.metric[len(case) // 2 :] if len(case) >= 12 else case.metric[2:]
    level, spread = float(np.median(tail)), noise(tail)
    if not 0 < level < 1:
        return None
    by_size = (level * (1 - level) / facts.num_valid) ** 0.5
    if spread <= 0.02 or not 0.3 * by_size <= spread <= 3 * by_size or abs(trend(tail)) > 0.7:
        return None
    needed = int(np.ceil(facts.num_valid * (spread / 0.01) ** 2 / 100) * 100)
    evidence: dict[str, object] = {"noise": round(spread, 4), "n": facts.num_valid, "needed": needed}
    title = (
        f"noisy validation: the {facts.metric.replace('_', ' ')} jumps by {spread:.2g} from epoch to epoch on "
        f"{facts.num_valid:,} examples; about {needed:,} would bring that to 0.01"
    )
    return _finding("noisy_validation", title, "info", evidence, trial, case.confidence(spread / 0.02))


@RULES.add("periodic")
def periodic(trial: Trial, facts: Facts) -> Finding | None:
    """A loss rises and falls in a regular cycle that the schedule does not make."""
    case = Case(trial, facts)
    if case.recipe is not None and case.recipe.schedule.name in CYCLIC:
        return None
    for name, values in (("validation", case.valid), ("training", case.train)):
        found = cycle(values[_start(len(values)) :]) if np.isfinite(values).all() else None
        if found is not None and found.epochs >= 2.5:
            evidence: dict[str, object] = {"epochs": round(found.epochs, 1), "share_of_variance": round(found.share, 3)}
            title = f"periodic: the {name} loss rises and falls every {found.epochs:.1f} epochs"
            return _finding("periodic", title, "info", evidence, trial, case.confidence(found.share / 0.4))
    return None


def _start(length: int) -> int:
    """Where to begin to look for a cycle: after the steep fall of the first epochs."""
    return length // 4


def _is_cyclic(case: Case) -> bool:
    return case.recipe is not None and case.recipe.schedule.name in CYCLIC


def _turn(case: Case) -> tuple[int, float] | None:
    """The index of the lowest validation loss and how many times its limit the rise since then is, if it rose by more
    than its noise while training continued."""
    # After early stopping the best epoch is restored, so the rise is not in the weights.
    if not case.has_train or not case.has_valid or len(case) < LEAST or case.is_restored:
        return None
    soft = case.soft_valid if len(case) >= 2 * LEAST else case.valid
    train = case.soft_train if len(case) >= 2 * LEAST else case.train
    low = int(np.argmin(soft))
    limit = max(NOISES * OF_MEDIANS * case.valid_noise, 0.05 * abs(float(soft[low])), 0.002 * case.scale)
    rise = float(soft[-1] - soft[low])
    turned = low <= 0.75 * len(soft) and rise > limit and train[-1] < train[low]
    if len(case) <= LEAST + 1:  # too few to know their noise: only a rise in every epoch counts
        turned = turned and bool((np.diff(soft[low:]) > 0).all()) and rise > 2 * limit
    return (low, rise / limit) if turned else None


def _metric_held(case: Case, low: int) -> bool:
    """Whether the metric ended about as good as its best since `low`, within the noise of medians and few examples."""
    facts = case.facts
    # A metric where lower is better is a loss itself, and rises with it.
    if not facts.higher_is_better or facts.task == "regression" or not case.has_metric:
        return False
    size = WIDEST if len(case) - low >= 2 * WIDEST else 1
    ends = float(np.median(case.metric[-size:]))
    # The best of medians of as many epochs each, so that both ends have the same noise.
    windows = np.lib.stride_tricks.sliding_window_view(case.metric[low:], size)
    best = float(np.median(windows, axis=1).max())
    of_medians = OF_MEDIANS if size >= 3 else 2**0.5
    limit = max(HARDLY, 3 * of_medians * case.metric_noise * (3 / max(size, 3)) ** 0.5)
    if facts.num_valid:
        # Paired examples: only those that changed side count, of which there are few.
        limit = max(limit, 2 * (max(best - ends, 1 / facts.num_valid) / facts.num_valid) ** 0.5)
    return bool(best - ends <= limit)


def _rise(case: Case, low: int) -> tuple[int, float, dict[str, object]]:
    """The epoch since which the validation loss rose, by what share, and the losses that show it."""
    soft = case.soft_valid if len(case) >= 2 * LEAST else case.valid
    epoch = int(case.epochs[low])
    evidence: dict[str, object] = {
        "since_epoch": epoch, "lowest_valid_loss": _rounded(float(case.valid[low])),
        "last_valid_loss": _rounded(float(case.valid[-1])), "last_train_loss": _rounded(float(case.train[-1])),
    }  # fmt: skip
    return epoch, float((soft[-1] - soft[low]) / max(abs(soft[low]), 1e-12)), evidence


def _gap(case: Case) -> float:
    """Validation loss minus training loss at the end, over the training loss; infinite if one is not known."""
    if not case.has_train or not case.has_valid:
        return np.inf
    train = float(case.soft_train[-1])
    return float(case.soft_valid[-1] - train) / max(abs(train), 1e-12)


def _guess(facts: Facts) -> str:
    """How the dummy predicts, in words."""
    if facts.task != "regression":
        return "always predicting the most common class"
    return f"always predicting the {'median' if facts.metric == 'mae' else 'mean'}"


def _rate(case: Case) -> dict[str, object]:
    return {} if case.recipe is None else {"optimizer.lr": case.recipe.optimizer.lr}


def _named_rate(case: Case) -> str:
    return "learning rate" if case.recipe is None else f"learning rate {case.recipe.optimizer.lr:.2g}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _finding(
    code: str, title: str, severity: str, evidence: Mapping[str, object], trial: Trial, confidence: Confidence
) -> Finding:
    assert severity in ("info", "warning", "problem")
    return Finding(
        code, title, severity, evidence, change=CODES[code].change, trial=trial.number,  # type: ignore[arg-type]
        confidence=confidence,
    )  # fmt: skip
