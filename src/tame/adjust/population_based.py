"""Population-based training: the worst of a population continue from the weights of the best, with changed rates.

Source: Jaderberg et al., Population Based Training of Neural Networks (2017): truncation selection of a fifth, changes
by a factor of 0.8 or 1.2, and sometimes a newly drawn value.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

import numpy as np

from tame.adjust.sampling import once, random_points, tidy, untried
from tame.adjust.searcher import (
    SEARCHERS,
    SearchConfig,
    at_rest,
    complete,
    next_stop,
    ranks,
    searched,
    starts,
    trains,
)
from tame.core.recipe import Recipe, Value
from tame.core.records import Decision, History, Origin, Trial
from tame.core.rng import stream
from tame.core.space import Choice, Dimension, Space, field_of

COPY: Final[Origin] = "copy"  # the origin of a trial that continues from the weights of another
SHARE = 0.2  # of the population that is replaced, and of those that are copied
TURNS = 10  # how often the members of a long training are compared
REDRAWN = 0.25  # share of the changed values that are drawn again
FACTORS = (0.8, 1.2)
TRIES = 16

# Fields that may change during training: weights and optimizer state keep their shape and meaning.
CHANGEABLE = frozenset(
    (
        "optimizer.lr", "optimizer.weight_decay", "optimizer.momentum", "optimizer.beta2", "optimizer.clip_norm",
        "optimizer.clip_value", "then.lr", "then.weight_decay", "then.momentum", "model.dropout",
        "loss.label_smoothing", "regularize.l1", "regularize.l2", "regularize.max_norm",
    )
)  # fmt: skip
NEAR_ONE = frozenset(("optimizer.momentum", "optimizer.beta2", "then.momentum"))  # 1 minus these is changed


@SEARCHERS.add("pbt")
def decide(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """A population of random recipes that keeps training and passes on its best weights; then the next population.

    The default recipe is never replaced. A population is a cohort; copies do not count as recipes tried.
    """
    trials = searched(history)
    if any(map(trains, trials)):
        return []  # they are compared once all have reached the same epoch
    marks = marks_of(config.base.epochs)
    ended = [complete(t) for t in trials if at_rest(t) and t.epochs >= t.recipe.epochs]
    alive = [t for t in trials if at_rest(t) and t.epochs < t.recipe.epochs]
    begun = [t for t in trials if t.parent is None]
    if alive:
        own = begun[(len(begun) - 1) // config.cohort * config.cohort :]
        over = [t for t in trials if t.state == "complete" and t.number >= own[0].number]
        missing = len(own) - len(alive) - len(over) - len(ended)
        return ended + _next_turn(history, alive, missing, space, seed, marks)
    room = max(0, min(config.cohort, config.trials - len(begun)))
    recipes = once("random", random_points(len(space), seed), space, config)
    fresh = islice(untried(recipes, trials), room)
    return ended + starts(history, fresh, rungs=marks, reason="drawn at random to start a population")


def marks_of(epochs: int) -> tuple[int, ...]:
    """The epochs after which the members of a population are compared, the last one being all epochs."""
    every = max(1, round(epochs / TURNS))
    return (*range(every, epochs, every), epochs)


def _next_turn(
    history: History, alive: Sequence[Trial], missing: int, space: Space, seed: int, marks: Sequence[int]
) -> list[Decision]:
    """All members continue to the next mark, except the worst, which are replaced by copies of the best.

    missing: members that diverged and have not been replaced.
    """
    epoch = min(t.epochs for t in alive)
    place = ranks(alive, epoch)
    ordered = sorted(alive, key=lambda t: place[t.number])
    num = max(1, round(SHARE * len(alive))) if len(alive) > 1 else 0
    best = ordered[: max(1, num)]
    others = [t for t in ordered[len(best) :] if not t.is_default]
    worst = others[max(0, len(others) - num) :]
    rng = stream(seed, "pbt", history_mark(history), epoch)
    found: list[Decision] = []
    copies: list[Decision] = []
    for loser in [*worst, *[None] * max(0, missing)]:
        source = best[int(rng.integers(len(best)))]
        recipe = changed(source.recipe, space, rng)
        if recipe is None:
            continue
        number = max(history.trials) + 1 + len(copies)
        copies.append(_copy(number, source, recipe, loser, marks))
        if loser is not None:
            words = f"rank {place[loser.number]} of {len(alive)} at epoch {epoch}"
            found.append(Decision("stop", loser.number, f"{words}; trial {number} takes its place", epoch))
    gone = {decision.trial for decision in found}
    for trial in alive:
        if trial.number not in gone:
            words = f"rank {place[trial.number]} of {len(alive)} at epoch {trial.epochs}; the population trains on"
            found.append(Decision("continue", trial.number, words, next_stop(trial.recipe, trial.epochs, marks)))
    return found + copies


def history_mark(history: History) -> int:
    """A number that no earlier round had: the number of trials of the search."""
    return len(searched(history))


def _copy(number: int, source: Trial, recipe: Recipe, loser: Trial | None, marks: Sequence[int]) -> Decision:
    before = source.recipe.flat()
    steps = [f"{n} {_short(before[n])} to {_short(v)}" for n, v in recipe.flat().items() if v != before[n]]
    place = f"in place of trial {loser.number}" if loser is not None else "in place of one that diverged"
    reason = f"continues from trial {source.number} at epoch {source.epochs} {place}, with {', '.join(steps)}"
    until = next_stop(recipe, source.epochs, marks)
    return Decision("copy", number, reason, until, recipe, COPY, source.number)


def changed(recipe: Recipe, space: Space, rng: np.random.Generator) -> Recipe | None:
    """The recipe with other values of the fields that may change during training; None if there are none.

    Each such field of the space is multiplied by 0.8 or 1.2 or drawn again, and stays in its range.
    """
    own = recipe.flat()
    for _ in range(TRIES):
        values: dict[str, Value] = {}
        for name in space.dimensions:
            if field_of(name) in CHANGEABLE and name in space.active(own):
                values[field_of(name)] = _changed(field_of(name), own[field_of(name)], space.dimensions[name], rng)
        found = recipe.but(tidy(recipe, space, values))
        if found != recipe:
            return found
    return None


def _changed(name: str, value: Value, dim: Dimension, rng: np.random.Generator) -> Value:
    redrawn, draw = rng.random() < REDRAWN, float(rng.random())
    if redrawn or isinstance(value, str | bool) or (isinstance(dim, Choice) and not dim.holds(value)):
        return dim.at(draw)
    if isinstance(dim, Choice):
        place = dim.values.index(value) + (1 if draw < 0.5 else -1)
        return dim.values[min(max(place, 0), len(dim.values) - 1)]
    factor = FACTORS[int(draw < 0.5)]
    moved = 1 - (1 - value) * factor if name in NEAR_ONE else value * factor
    return dim.at(dim.where(moved))


def _short(value: Value) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
