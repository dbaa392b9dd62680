"""From a finding about a trial to the changes of its recipe that may help, one field each, in the order of trying them.

A cure is a function of (recipe, steps): the changed field, or None. `FOR` lists them by the name of the finding, by
expected gain and cost. Gains were measured as delivered, at a temperature: what only makes a network less sure of
itself, such as softer labels or fewer epochs of a schedule, gains little beyond that, and often loses.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol

from tame.core.errors import UsageError
from tame.core.plain import from_plain
from tame.core.recipe import Recipe, Value
from tame.core.records import Finding
from tame.core.registry import Registry
from tame.core.space import Choice, Space, field_of

LEAST_PRECISION = 0.8  # of a finding that is treated
PATIENCE = 0.25  # of the epochs, after which a training that no longer improves is stopped
LEAST_PATIENCE = 5
DROPPED, SMOOTHED, MIXED, WARMED, CLIPPED = 0.3, 0.1, 0.2, 0.1, 1.0  # where there was none
MOST_DROPPED = 0.7
DECAY = 10.0  # factor
SHRUNK, MUCH_SHRUNK = 0.5, 2.0  # rate times decay times steps: the logarithm of what decay alone divides a weight by
LEAST_MORE = 1.5  # times its decay, below which more of it would hardly be another training
LOWER, MUCH_LOWER, HIGHER, MUCH_HIGHER = 1 / 3, 1 / 10, 3.0, 10.0  # factors of a rate
THIRTYFOLD, HUNDREDFOLD = 30.0, 100.0
LEAST_WIDTH = 8


@dataclass(frozen=True, slots=True)
class Changed:
    """One field of a recipe with another value. is_free: whether the curve already shows what comes of it."""

    field: str
    to: Value
    is_free: bool = False


class Cure(Protocol):
    """The change of one field that may help against a finding; None where it does not apply. steps: of a training."""

    def __call__(self, recipe: Recipe, steps: int) -> Changed | None: ...


CURES: Registry[Cure] = Registry("cure")

# By the name of a finding, what is tried against it: first what gains most for what it costs.
FOR: Mapping[str, tuple[str, ...]] = {
    "overfitting": (
        "stop_in_time", "more_decay", "more_dropout", "much_more_decay", "mixed_examples", "smoother_labels", "smaller",
    ),
    "overconfident": (
        "stop_in_time", "more_decay", "more_dropout", "much_more_decay", "mixed_examples", "smoother_labels",
    ),
    "memorised": ("more_decay", "more_dropout", "much_more_decay", "mixed_examples", "smoother_labels"),
    "learning_noise": ("stop_in_time", "more_decay", "mixed_examples"),
    "rate_too_high": ("stop_in_time", "lower_rate", "more_decay", "warmup", "clipped_gradients", "much_lower_rate"),
    "diverged": ("much_lower_rate", "clipped_gradients", "warmup", "lower_rate"),
    "rate_too_low": ("thirtyfold_rate", "hundredfold_rate", "much_higher_rate", "higher_rate"),
    "still_improving": ("higher_rate", "much_higher_rate"),
    "underfitting": ("larger", "higher_rate", "less_dropout", "less_decay"),
    "over_regularised": ("less_decay", "less_dropout", "plain_labels"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Precision:
    """How often a finding named the right cause. right, fired: on curves whose cause is known; how: on which."""

    right: int
    fired: int
    how: str

    @property
    def share(self) -> float:
        return self.right / self.fired if self.fired else 0.0


# Findings of one illness, of which the longer curve may show another than the shorter one did.
ALIKE: frozenset[str] = frozenset({"overfitting", "overconfident"})


def is_alike(code: str, other: str) -> bool:
    """Whether what is done against one finding is done against the other too."""
    return code == other or {code, other} <= ALIKE


@cache
def precisions() -> Mapping[str, Precision]:
    """The measured precision by the name of the finding."""
    text = files("tame.monitor").joinpath("precision.toml").read_text(encoding="utf-8")
    return from_plain(dict[str, Precision], tomllib.loads(text), what="precision.toml", error=UsageError)


def is_treated(code: str) -> bool:
    """Whether there are cures for a finding, and it names the right cause often enough."""
    known = precisions().get(code)
    return code in FOR and known is not None and known.share >= LEAST_PRECISION


def changes_against(
    recipe: Recipe, finding: Finding, space: Space, *, steps: int, fixed: Collection[str] = (),
    free: Collection[str] = (),
) -> list[Changed]:  # fmt: skip
    """The changes of a recipe that may help against a finding, the first to try first, each of another value.

    steps: of a training with this recipe, all its epochs.
    None of a field that the user fixed, of an argument of the user's own function, or out of the range that is
    searched, except in fields that are `free`, whose range is a guess. Empty for a finding that is not treated.
    """
    found: list[Changed] = []
    for name in FOR[finding.code] if is_treated(finding.code) else ():
        change = CURES.get(name)(recipe, steps)
        within = None if change is None or change.field in fixed else _within(change, recipe, space, free)
        if within is not None and (within.field, within.to) not in {(each.field, each.to) for each in found}:
            found.append(within)
    return found


def _within(change: Changed, recipe: Recipe, space: Space, free: Collection[str]) -> Changed | None:
    """The change within the range of its field; None if nothing of it is left."""
    values = recipe.flat()
    if change.field.startswith("own.") or change.field not in values:
        return None
    own = [name for name in space.dimensions if field_of(name) == change.field and change.field not in free]
    active = [space.dimensions[name] for name in own if name in space.active(values)]
    if own and not active:
        return None
    to = change.to
    for dimension in active:
        if not isinstance(dimension, Choice) and isinstance(to, int | float):
            to = type(to)(min(max(to, dimension.low), dimension.high))
        if not dimension.holds(to):
            return None
    try:
        changed = recipe.but({change.field: to})
    except UsageError:
        return None
    return None if changed == recipe else Changed(change.field, to, change.is_free)


# Less that is memorised


@CURES.add("stop_in_time")
def stop_in_time(recipe: Recipe, steps: int) -> Changed | None:
    """Ends training once the validation loss no longer falls, and keeps the best epoch.

    Source: Prechelt, Early Stopping - But When? (1998).
    """
    if recipe.regularize.early_stopping:
        return None
    return Changed("regularize.early_stopping", max(LEAST_PATIENCE, math.ceil(PATIENCE * recipe.epochs)), is_free=True)


@CURES.add("more_dropout")
def more_dropout(recipe: Recipe, steps: int) -> Changed | None:
    """Source: Srivastava et al., Dropout: A Simple Way to Prevent Neural Networks from Overfitting (2014)."""
    own = recipe.model.dropout
    to = DROPPED if not own else min(MOST_DROPPED, round(own + DROPPED * (1 - own), 2))
    return Changed("model.dropout", to) if to > own else None


@CURES.add("more_decay")
def more_decay(recipe: Recipe, steps: int) -> Changed | None:
    """Decay that shrinks a weight by two fifths over the training, or by seven eighths if it already does so.

    What decay does depends on rate times decay times steps: 0.1 at a rate of 0.001 changes nothing in 100 steps, and
    leaves nothing of a weight that no gradient holds after 100,000.
    Source: Wang and Aitchison, How to set AdamW's weight decay as you scale model and dataset size (2024).
    """
    return _shrinking(recipe, steps, SHRUNK) or _shrinking(recipe, steps, MUCH_SHRUNK)


@CURES.add("much_more_decay")
def much_more_decay(recipe: Recipe, steps: int) -> Changed | None:
    """Decay that shrinks a weight by seven eighths over the training, if nothing else acts on it."""
    return _shrinking(recipe, steps, MUCH_SHRUNK)


def _shrinking(recipe: Recipe, steps: int, shrunk: float) -> Changed | None:
    to = _rounded(shrunk / (recipe.optimizer.lr * steps))
    return Changed("optimizer.weight_decay", to) if to >= LEAST_MORE * recipe.optimizer.weight_decay else None


@CURES.add("smoother_labels")
def smoother_labels(recipe: Recipe, steps: int) -> Changed | None:
    """Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), section 7."""
    return Changed("loss.label_smoothing", SMOOTHED) if recipe.loss.label_smoothing < SMOOTHED else None


@CURES.add("mixed_examples")
def mixed_examples(recipe: Recipe, steps: int) -> Changed | None:
    """Source: Zhang et al., mixup: Beyond Empirical Risk Minimization (2018)."""
    return Changed("regularize.mixup", MIXED) if not recipe.regularize.mixup else None


@CURES.add("smaller")
def smaller(recipe: Recipe, steps: int) -> Changed | None:
    """Half the width. Only of networks of TAME: what a user's module bears is the user's to say."""
    own = recipe.model.width
    return Changed("model.width", own // 2) if own // 2 >= LEAST_WIDTH else None


# Another rate


@CURES.add("lower_rate")
def lower_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, LOWER)


@CURES.add("much_lower_rate")
def much_lower_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, MUCH_LOWER)


@CURES.add("higher_rate")
def higher_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, HIGHER)


@CURES.add("much_higher_rate")
def much_higher_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, MUCH_HIGHER)


@CURES.add("thirtyfold_rate")
def thirtyfold_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, THIRTYFOLD)


@CURES.add("hundredfold_rate")
def hundredfold_rate(recipe: Recipe, steps: int) -> Changed | None:
    return _rate(recipe, HUNDREDFOLD)


@CURES.add("warmup")
def warmup(recipe: Recipe, steps: int) -> Changed | None:
    """Source: Goyal et al., Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour (2017), section 2.2."""
    return Changed("schedule.warmup", WARMED) if not recipe.schedule.warmup else None


@CURES.add("clipped_gradients")
def clipped_gradients(recipe: Recipe, steps: int) -> Changed | None:
    """Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013)."""
    return Changed("optimizer.clip_norm", CLIPPED) if not recipe.optimizer.clip_norm else None


# More that can be fitted


@CURES.add("larger")
def larger(recipe: Recipe, steps: int) -> Changed | None:
    """Twice the width. Only of networks of TAME: what a user's module bears is the user's to say."""
    return Changed("model.width", 2 * recipe.model.width)


@CURES.add("less_dropout")
def less_dropout(recipe: Recipe, steps: int) -> Changed | None:
    own = recipe.model.dropout
    return Changed("model.dropout", round(own / 2, 2) if own > 0.1 else 0.0) if own else None


@CURES.add("less_decay")
def less_decay(recipe: Recipe, steps: int) -> Changed | None:
    own = recipe.optimizer.weight_decay
    return Changed("optimizer.weight_decay", _rounded(own / DECAY)) if own else None


@CURES.add("plain_labels")
def plain_labels(recipe: Recipe, steps: int) -> Changed | None:
    return Changed("loss.label_smoothing", 0.0) if recipe.loss.label_smoothing else None


def _rate(recipe: Recipe, factor: float) -> Changed:
    return Changed("optimizer.lr", _rounded(recipe.optimizer.lr * factor))


def _rounded(value: float) -> float:
    """A readable number."""
    return float(f"{value:.3g}")
