"""Checks on a search: which part of a space to propose from, how many dimensions to search with a given number of
recipes, and what the rest of the budget is worth. Pure functions; the study keeps what they return.

Source of the first two: Godbole, Dahl, Gilmer, Shallue and Nado, Deep Learning Tuning Playbook (2023).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from tame.adjust.presets import LAST_RANK
from tame.adjust.searcher import searched
from tame.core.best_of_draws import doubling_gain, in_order
from tame.core.records import LOST, History
from tame.core.space import Choice, Dimension, Float, Int, Space, field_of

FEW = ((10, 2), (25, 3), (65, 5))  # (recipes, dimensions): with fewer recipes, only this many dimensions are searched
ENOUGH_RECIPES, ENOUGH_WHOLE = 24, 3  # recipes started and trained to their end before a search may be called worthless
WORTHLESS = 0.25  # of the noise: the least gain that makes the rest worth its time
ROUNDS = 2  # in a row before the verdict counts
APART = 1.1  # ratio of the epochs of two marks that are kept


@dataclass(frozen=True, slots=True)
class Rest:
    """What spending the same number of epochs again would gain, after a round.

    epochs: trained by all trials; recipes: started; whole: how many were trained to their end; best: their lowest
    validation loss; gain: the expected decrease with as many epochs again, None if unknown; noise: the standard error
    of that loss; marks: earlier (epochs, best); below: rounds in a row with a gain below a quarter of the noise.
    """

    event_kind: ClassVar[str] = "worth"

    epochs: int
    recipes: int
    whole: int
    best: float
    gain: float | None
    noise: float
    marks: tuple[tuple[int, float], ...]
    below: int = 0

    @property
    def is_worthless(self) -> bool:
        """Whether the rest of the search is unlikely to gain anything noticeable."""
        return self.below >= ROUNDS


def narrowed(space: Space, bounds: Mapping[str, Mapping[str, float]]) -> Space:
    """The part of a space within bounds, which give some ranges a "low", a "high" or both.

    Bounds that leave nothing of a range, or are for a range with steps or an unknown dimension, have no effect.
    """
    changes: dict[str, Dimension] = {}
    for name, own in bounds.items():
        dim = space.dimensions.get(name)
        if dim is None or isinstance(dim, Choice):
            continue
        low, high = max(dim.low, own.get("low", dim.low)), min(dim.high, own.get("high", dim.high))
        if isinstance(dim, Int):
            first = dim.low + math.ceil((low - dim.low) / dim.step) * dim.step
            last = dim.low + math.floor((high - dim.low) / dim.step) * dim.step
            if first <= last:
                step = dim.step if first < last else 1
                changes[name] = Int(first, last, dim.log, step, when=dim.when, purpose=dim.purpose)
        elif low <= high and dim.step is None:
            changes[name] = Float(low, high, dim.log, when=dim.when, purpose=dim.purpose)
    return space.but(changes)


def most_dimensions(recipes: float) -> int | None:
    """How many dimensions to search with this many recipes; None for all of them."""
    return next((most for below, most in FEW if recipes < below), None)


def searchable(
    space: Space, ranks: Mapping[str, int], asked: Collection[str], recipes: float | None
) -> tuple[str, ...]:
    """The names of the dimensions that are worth searching with this many recipes, in the order of the space.

    ranks: by name, 1 for what matters most, which is always searched; asked: those that the user gave, which are also
    always searched, with those that set the same field or that their conditions depend on. recipes: None if unknown;
    then all are searched. Dimensions of one value are kept and do not count.
    """
    most = None if recipes is None else most_dimensions(recipes)
    if most is None:
        return tuple(space.dimensions)
    fields = {field_of(name) for name in asked}
    kept = [name for name in space.dimensions if field_of(name) in fields or ranks.get(name) == 1]
    for name in kept:
        on = space.dimensions[name].when
        kept += [each for each in space.dimensions if field_of(each) in on and each not in kept]
    several = space.searched
    rest = sorted((n for n in several if n not in kept), key=lambda name: ranks.get(name, LAST_RANK))
    kept += rest[: max(0, most - sum(name in several for name in kept))]
    return tuple(name for name in space.dimensions if name in kept or name not in several)


def rest_of(history: History, before: Rest | None, *, num_valid: int) -> Rest | None:
    """What the rest is worth after another round. Unchanged if nothing was trained since; None if no trial was trained
    to its end.

    before: the result of the previous round; num_valid: number of validated examples. The gain is the larger of two:
    what the second half of the epochs has gained, and what as many draws again would gain, extrapolated from the
    losses of the recipes that the search has drawn, not those it was given. The noise is estimated as
    best / sqrt(num_valid): the losses of single examples have a standard deviation of at least about their mean, and
    more for confident networks, so that the noise is rather underestimated and the search rather too long.
    """
    trials = [t for t in searched(history) if t.curve.points or t.state in LOST]
    ended = [t for t in trials if t.state not in LOST and (t.state == "complete" or t.epochs >= t.recipe.epochs)]
    finite = [t.loss for t in ended if math.isfinite(t.loss)]
    epochs = sum(t.trained for t in trials)
    if not finite or (before is not None and epochs <= before.epochs):
        return before
    best, worst = min(finite), max(finite)
    marks = () if before is None else before.marks
    known = {t.number for t in ended}
    drawn = [t for t in trials if t.state not in LOST and not t.was_given]
    losses = [t.loss if t.number in known else max(t.loss, worst) for t in drawn]
    gain = _gain(losses, epochs, best, marks)
    noise = best / math.sqrt(max(num_valid, 1))
    enough = len(trials) >= ENOUGH_RECIPES and len(finite) >= ENOUGH_WHOLE
    is_below = enough and gain is not None and gain < WORTHLESS * noise
    if not marks or epochs >= APART * marks[-1][0]:
        marks = (*marks, (epochs, best))
    below = (0 if before is None else before.below) + 1 if is_below else 0
    return Rest(epochs, len(trials), len(finite), best, gain, noise, marks, below)


def _gain(losses: Sequence[float], epochs: int, best: float, marks: Sequence[tuple[int, float]]) -> float | None:
    """What as many epochs again would gain; None before there is a mark at half of the epochs."""
    half = [value for at, value in marks if at <= epochs / 2]
    drawn = doubling_gain(in_order(losses))
    if not half or drawn is None:
        return None
    behind = min(losses) - best  # the best may be a recipe that was given, not drawn
    return max(half[-1] - best, drawn - behind)
