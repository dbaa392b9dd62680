"""What the rules look at: the curves of one run, their noise, and what is known of the task and of the recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tame.core.recipe import Recipe
from tame.core.records import Confidence, Point, Trial
from tame.monitor.curves import noise, smooth, trend

WIDE = 5  # epochs of the medians that tell where a curve stands, where there are enough of them
LEAST_SURE, LEAST_CLEAR = 8, 5  # epochs from which on a finding may be sure, and below which it is a guess
# Rates that usually work, by optimizer; of plain descent and momentum, divided by 1 - momentum. Source: the defaults
# of their papers and of torch.optim. Used only where a curve that stands still does not tell the direction.
USUAL_RATES = {
    "sgd": 0.1, "momentum": 0.1, "nesterov": 0.1, "schedule_free_sgd": 1.0, "adagrad": 1e-2, "rmsprop": 1e-3,
    "adam": 1e-3, "adamw": 1e-3, "nadamw": 1e-3, "schedule_free_adamw": 2.5e-3, "lion": 1e-4, "muon": 2e-2,
}  # fmt: skip
# Times these, for adapters of low rank beside a frozen network. Source: Biderman et al., LoRA Learns Less and Forgets
# Less (2024).
OF_ADAPTERS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the rules know besides the curve. None (of num_valid 0) where it is not known, as in logs of other programs.

    dummy: the validation metric of the dummy (most common class; mean of a regression), with its standard error
    dummy_error; guess_loss: the loss of always predicting the training shares, in nats, or 1 for the squared error of a
    standardized target. num_classes is 1 in a regression. knows_recipe: whether the trial's recipe is what was run.
    """

    task: str  # binary, multiclass or regression
    num_classes: int
    num_valid: int
    metric: str
    higher_is_better: bool
    dummy: float | None
    dummy_error: float | None
    guess_loss: float | None
    knows_recipe: bool = True


class Case:
    """The curves of a trial up to the first epoch that was lost. Missing values are NaN.

    epochs, train, valid, metric: (T,), of the same epochs.
    """

    def __init__(self, trial: Trial, facts: Facts) -> None:
        points: list[Point] = []
        for point in trial.curve.points:
            if point.is_lost and (trial.state == "diverged" or facts.knows_recipe):
                break
            points.append(point)
        self.trial, self.facts = trial, facts
        self.epochs = np.array([p.epoch for p in points], dtype=int)
        self.train, self.valid, self.metric = (_numbers([p[i] for p in points]) for i in (1, 2, 3))
        self.recipe: Recipe | None = trial.recipe if facts.knows_recipe else None

    def __len__(self) -> int:
        return len(self.epochs)

    @cached_property
    def has_train(self) -> bool:
        return bool(len(self)) and bool(np.isfinite(self.train).all())

    @cached_property
    def has_valid(self) -> bool:
        return bool(len(self)) and bool(np.isfinite(self.valid).all())

    @cached_property
    def has_metric(self) -> bool:
        return bool(len(self)) and bool(np.isfinite(self.metric).all())

    @cached_property
    def soft_train(self) -> np.ndarray:
        return smooth(self.train)

    @cached_property
    def soft_valid(self) -> np.ndarray:
        return smooth(self.valid)

    @cached_property
    def train_noise(self) -> float:
        return noise(self.train)

    @cached_property
    def valid_noise(self) -> float:
        return noise(self.valid)

    @cached_property
    def metric_noise(self) -> float:
        return noise(self.metric)

    @cached_property
    def train_trend(self) -> float:
        return trend(self.train)

    @cached_property
    def wide_train(self) -> np.ndarray:
        return smooth(self.train, window=WIDE if len(self) >= 2 * WIDE else 3)

    @cached_property
    def wide_valid(self) -> np.ndarray:
        return smooth(self.valid, window=WIDE if len(self) >= 2 * WIDE else 3)

    @property
    def has_ended(self) -> bool:
        """Whether all epochs are trained, or early stopping ended the trial."""
        return self.trial.epochs >= self.trial.recipe.epochs or self.trial.kept_epoch is not None

    @property
    def is_restored(self) -> bool:
        """Whether the weights of an earlier epoch are judged, so that what came later is not in them."""
        return self.trial.kept_epoch is not None

    @cached_property
    def scale(self) -> float:
        """A loss that is large here: that of guessing or, where it is not known, the first one."""
        guess = self.facts.guess_loss
        return guess if guess is not None else float(abs(self.train[0] if self.has_train else self.valid[0]))

    def gain(self, value: float) -> float | None:
        """How much better than the dummy a value of the metric is; None if that cannot be said."""
        if self.facts.dummy is None or not math.isfinite(value):
            return None
        return value - self.facts.dummy if self.facts.higher_is_better else self.facts.dummy - value

    @cached_property
    def judged_metric(self) -> float | None:
        """The metric of the weights that are judged."""
        found = self.metric[self.epochs == self.trial.best_epoch]
        return float(found[0]) if len(found) and math.isfinite(found[0]) else None

    @cached_property
    def is_no_better_than_dummy(self) -> bool:
        """Whether the judged metric is within two standard errors of the dummy."""
        gain = None if self.judged_metric is None else self.gain(self.judged_metric)
        return gain is not None and gain <= 2 * (self.facts.dummy_error or 0.0)

    @cached_property
    def beats_dummy(self) -> bool:
        """Whether the judged metric is shown to be better than the dummy: False too where it is not known."""
        gain = None if self.judged_metric is None else self.gain(self.judged_metric)
        return gain is not None and gain > 2 * (self.facts.dummy_error or 0.0)

    @cached_property
    def learned(self) -> float | None:
        """The share of the way from the dummy to perfection, by the metric; None if it is not known."""
        gain = None if self.judged_metric is None else self.gain(self.judged_metric)
        if gain is None or self.facts.dummy is None:
            return None
        whole = 1 - self.facts.dummy if self.facts.higher_is_better else self.facts.dummy
        return gain / whole if whole > 0 else None

    @cached_property
    def rate_ratio(self) -> float | None:
        """The learning rate over the one that usually works with its optimizer; None if it is not known."""
        if self.recipe is None or self.recipe.optimizer.name not in USUAL_RATES:
            return None
        own = self.recipe.optimizer
        rate = own.lr / (1 - own.momentum) if own.name in ("momentum", "nesterov") else own.lr
        times = OF_ADAPTERS if self.recipe.model.name == "adapted" else 1.0
        return rate / USUAL_RATES[own.name] / times

    @cached_property
    def is_frozen(self) -> bool:
        """Whether the training loss does not move any more at all, far above zero: in the second half, and for five
        epochs at least, it changes by less than a millionth of itself."""
        if not self.has_train or len(self) < 6:
            return False
        tail = self.train[min(len(self) // 2, len(self) - LEAST_CLEAR) :]
        level = float(np.median(np.abs(tail)))
        still = np.abs(np.diff(tail)) <= 2e-6 * level
        return level > 0.05 * self.scale and bool(np.mean(still) >= 0.8)

    def confidence(self, strength: float) -> Confidence:
        """How sure a finding is. strength: the effect over the smallest one that is a finding."""
        if len(self) < LEAST_CLEAR:
            return "low"
        return "high" if strength >= 2 and len(self) >= LEAST_SURE else "medium"


def _numbers(values: Sequence[float | None]) -> np.ndarray:
    return np.array([math.nan if value is None else float(value) for value in values])
