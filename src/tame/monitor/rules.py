"""From a curve to a finding, by code. A rule returns a finding with its evidence, or None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tame.core.records import Finding, Trial
from tame.core.registry import Registry
from tame.monitor.curves import noise, relative_fall, smooth
from tame.monitor.remedies import CHANGES

MIN_EPOCHS = 5  # shorter curves show too little
NEAR_ZERO = 0.02  # of the loss of guessing; smaller moves count as settled
HARDLY = 0.005  # of a share such as the accuracy; a smaller drop is not a drop


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules know besides the curve.

    dummy: the validation metric of the dummy (most common class; mean of a regression), with its standard error
    dummy_error; guess_loss: the loss of always predicting the training shares, in nats, or 1 for the squared error of a
    standardized target. num_classes is 1 in a regression.
    """

    task: str  # binary, multiclass or regression
    num_classes: int
    num_valid: int
    metric: str
    higher_is_better: bool
    dummy: float
    dummy_error: float
    guess_loss: float


class Rule(Protocol):
    """From (curve, facts) to a finding or None: fires on the planted fault, and stays silent on clean runs."""

    def __call__(self, trial: Trial, facts: Facts) -> Finding | None: ...


RULES: Registry[Rule] = Registry("rule")


@RULES.add("overfitting")
def overfitting(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss rose from its lowest point by more than its noise while the training loss kept falling.

    If the metric of a classification did not get worse, it is overconfidence, which has its own rule.
    """
    low = _turn(trial)
    if low is None or _metric_held(trial, facts, low):
        return None
    epoch, rise, evidence = _rise(trial, low)
    title = f"overfitting since epoch {epoch}: the validation loss rose by {100 * rise:.0f} %"
    return _finding("overfitting", title, "warning", evidence, trial)


@RULES.add("overconfident")
def overconfident(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss of a classification rose as in overfitting, but the metric is not worse, within noise.

    The network then predicts classes as well as before, but gives its mistakes ever higher probabilities.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), section 3.
    """
    low = _turn(trial)
    if low is None or not _metric_held(trial, facts, low):
        return None
    epoch, rise, evidence = _rise(trial, low)
    name = facts.metric.replace("_", " ")
    rose = f"the validation loss rose by {100 * rise:.0f} % while the {name} did not get worse"
    title = f"overconfident since epoch {epoch}: {rose}"
    evidence |= {"last_valid_metric": _rounded(_metrics(trial)[-1])}
    return _finding("overconfident", title, "info", evidence, trial)


@RULES.add("still_improving")
def still_improving(trial: Trial, facts: Facts) -> Finding | None:
    """The validation loss still fell over the last fifth of the epochs by more than its noise."""
    _, valid = _losses(trial)
    if len(valid) < MIN_EPOCHS or trial.epochs < trial.recipe.epochs:
        return None
    fall = relative_fall(valid, share=0.2)
    if fall <= 0.03 or fall * valid[-1] <= 3 * noise(valid):
        return None
    evidence = {"fall_over_last_fifth": round(fall, 4), "epochs": trial.epochs, "last_valid_loss": round(valid[-1], 4)}
    title = f"still improving at the end: the validation loss fell by {100 * fall:.0f} % over the last fifth"
    return _finding("still_improving", title, "info", evidence, trial)


@RULES.add("rate_too_high")
def rate_too_high(trial: Trial, facts: Facts) -> Finding | None:
    """The training loss fluctuates or rises above that of guessing: the steps are too large."""
    train, _ = _losses(trial)
    if trial.state == "diverged" or len(train) < MIN_EPOCHS:
        return None
    guess = facts.guess_loss
    # Near zero, every loss jumps by more than a twentieth of itself; on recorded good runs that was just noise.
    jump = np.maximum(0.05 * np.abs(np.array(train[:-1])), NEAR_ZERO * guess)
    rises = float(np.mean(np.diff(train) > jump))
    if rises < 0.3 and max(train[1:]) < 1.5 * guess:
        return None
    evidence = {
        "share_of_epochs_that_rose": round(rises, 3), "highest_train_loss": round(max(train[1:]), 4),
        "loss_of_guessing": round(guess, 4), "optimizer.lr": trial.recipe.optimizer.lr,
    }  # fmt: skip
    title = f"learning rate {trial.recipe.optimizer.lr:.2g} too high: the training loss does not settle"
    return _finding("rate_too_high", title, "warning", evidence, trial)


@RULES.add("rate_too_low")
def rate_too_low(trial: Trial, facts: Facts) -> Finding | None:
    """After all epochs the training loss is still near that of guessing, and it fell steadily."""
    train, valid = _losses(trial)
    if len(train) < MIN_EPOCHS or not _has_ended(trial) or not valid:
        return None
    guess = facts.guess_loss
    falls = float(np.mean(np.diff(train) < 0))
    if train[-1] < 0.75 * guess or falls < 0.8 or relative_fall(train, share=0.5) < 0.01:
        return None
    evidence = {
        "last_train_loss": round(train[-1], 4), "loss_of_guessing": round(guess, 4),
        "share_of_epochs_that_fell": round(falls, 3), "optimizer.lr": trial.recipe.optimizer.lr,
    }  # fmt: skip
    title = f"learning rate {trial.recipe.optimizer.lr:.2g} too low: hardly any progress in {trial.epochs} epochs"
    return _finding("rate_too_low", title, "warning", evidence, trial)


@RULES.add("diverged")
def diverged(trial: Trial, facts: Facts) -> Finding | None:
    """A loss became infinite or NaN."""
    if trial.state != "diverged":
        return None
    evidence = {"epoch": trial.epochs, "optimizer.lr": trial.recipe.optimizer.lr}
    return _finding("diverged", f"diverged in epoch {trial.epochs}", "problem", evidence, trial)


@RULES.add("no_better_than_dummy")
def no_better_than_dummy(trial: Trial, facts: Facts) -> Finding | None:
    """At the end, the validation metric is within two standard errors of the dummy."""
    last = next((point for point in trial.curve.points if point.epoch == trial.best_epoch), None)
    if last is None or last.valid_metric is None or not _has_ended(trial):
        return None
    gain = last.valid_metric - facts.dummy if facts.higher_is_better else facts.dummy - last.valid_metric
    if gain > 2 * facts.dummy_error:
        return None
    evidence = {
        "valid_metric": _rounded(last.valid_metric), "dummy": _rounded(facts.dummy), "n": facts.num_valid,
        "guess": _guess(facts),
    }  # fmt: skip
    own, other = (
        f"{_rounded(value):,g}" if facts.task == "regression" else f"{value:.3f}"
        for value in (last.valid_metric, facts.dummy)
    )
    title = f"not shown to be better than the dummy: {own} against {other}"
    return _finding("no_better_than_dummy", title, "problem", evidence, trial)


def examine(trial: Trial, facts: Facts) -> list[Finding]:
    """Everything that the rules find in one trial."""
    found = [RULES.get(name)(trial, facts) for name in RULES.names()]
    return [finding for finding in found if finding is not None]


def _has_ended(trial: Trial) -> bool:
    """Whether all epochs are trained, or early stopping ended the trial."""
    return trial.epochs >= trial.recipe.epochs or trial.kept_epoch is not None


def _turn(trial: Trial) -> int | None:
    """The index of the lowest validation loss, if it then rose by more than its noise while training continued."""
    train, valid = _losses(trial)
    # After early stopping the best epoch is restored, so the rise is not in the weights.
    if len(valid) < MIN_EPOCHS or trial.kept_epoch is not None:
        return None
    soft = smooth(valid)
    low = int(np.argmin(soft))
    rise, limit = soft[-1] - soft[low], max(3 * noise(valid), 0.05 * soft[low])
    turned = low <= 0.75 * len(soft) and rise > limit and smooth(train)[-1] < smooth(train)[low]
    return low if turned else None


def _metric_held(trial: Trial, facts: Facts, low: int) -> bool:
    """Whether the metric ended about as good as its best since `low`, within its noise and a few examples."""
    values = _metrics(trial)
    # A metric where lower is better is a loss itself, and rises with it.
    if not facts.higher_is_better or facts.task == "regression" or len(values) < len(_losses(trial)[1]):
        return False
    soft = smooth(values)
    least = max(HARDLY, 2 / max(facts.num_valid, 1))
    return bool(soft[low:].max() - soft[-1] <= max(3 * noise(values), least))


def _rise(trial: Trial, low: int) -> tuple[int, float, dict[str, object]]:
    """The epoch since which the validation loss rose, by what share, and the losses that show it."""
    train, valid = _losses(trial)
    soft, epoch = smooth(valid), trial.curve.points[low].epoch
    evidence: dict[str, object] = {
        "since_epoch": epoch, "lowest_valid_loss": round(float(soft[low]), 4),
        "last_valid_loss": round(float(soft[-1]), 4), "last_train_loss": round(train[-1], 4),
    }  # fmt: skip
    return epoch, float((soft[-1] - soft[low]) / max(soft[low], 1e-12)), evidence


def _guess(facts: Facts) -> str:
    """How the dummy predicts, in words."""
    if facts.task != "regression":
        return "always predicting the most common class"
    return f"always predicting the {'median' if facts.metric == 'mae' else 'mean'}"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _metrics(trial: Trial) -> list[float]:
    """The validation metric of the epochs in which it and both losses are finite."""
    known = [p for p in trial.curve.points if p.train_loss is not None and p.valid_loss is not None]
    return [float(p.valid_metric) for p in known if p.valid_metric is not None]


def _losses(trial: Trial) -> tuple[list[float], list[float]]:
    """Training and validation losses of the epochs in which both are finite."""
    points = [p for p in trial.curve.points if p.train_loss is not None and p.valid_loss is not None]
    return [float(p.train_loss or 0.0) for p in points], [float(p.valid_loss or 0.0) for p in points]


def _finding(code: str, title: str, severity: str, evidence: Mapping[str, object], trial: Trial) -> Finding:
    assert severity in ("info", "warning", "problem")
    return Finding(code, title, severity, evidence, change=CHANGES[code], trial=trial.number)  # type: ignore[arg-type]
