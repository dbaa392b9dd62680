"""Asynchronous successive halving: a trial among the best 1/eta of its rung continues at once, the others wait.

Source: Li et al., A System for Massively Parallel Hyperparameter Tuning (2020), Algorithm 2. A waiting trial keeps its
weights and continues from them, so that no epoch is trained twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import islice

from tame.adjust.sampling import once, random_points, untried
from tame.adjust.searcher import (
    SEARCHERS,
    SearchConfig,
    at_rest,
    complete,
    has_reached,
    next_stop,
    ranks,
    searched,
    starts,
    trains,
)
from tame.core.records import Decision, History, Trial
from tame.core.space import Space


@SEARCHERS.add("asha")
def decide(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """Promotions first, from the highest rung down, then new recipes; together at most one cohort.

    Once no more recipes may start, 1/eta is rounded up, so that the best of each rung continues to the end.
    """
    trials, rungs = searched(history), config.all_rungs
    rest = [t for t in trials if at_rest(t)]
    ended = [complete(t) for t in rest if t.epochs >= t.recipe.epochs]
    waiting = [t for t in rest if t.epochs < t.recipe.epochs]
    busy = sum(map(trains, trials))
    free = max(0, config.cohort - busy)
    up = _promoted(trials, waiting, rungs, lambda num: num // config.eta)[:free]
    room = max(0, min(free - len(up), config.trials - len(trials)))
    recipes = once("random", random_points(len(space), seed), space, config)
    fresh = starts(
        history, islice(untried(recipes, trials), room), rungs=rungs,
        reason="drawn at random: there was room for one more",
    )  # fmt: skip
    if not up and not fresh and not busy:
        up = _promoted(trials, waiting, rungs, lambda num: math.ceil(num / config.eta))[:free]
    going = {decision.trial for decision in up}
    return ended + up + _pauses(trials, waiting, going) + fresh


def _promoted(
    trials: Sequence[Trial], waiting: Sequence[Trial], rungs: Sequence[int], share: Callable[[int], int]
) -> list[Decision]:
    """The trials that continue from their rung: the default, and those among the best that have reached it."""
    found = []
    for rung in sorted({t.epochs for t in waiting}, reverse=True):
        rivals = [t for t in trials if has_reached(t, rung)]
        best, place = share(len(rivals)), ranks(rivals, rung)
        standing = sorted((t for t in waiting if t.epochs == rung), key=lambda t: place[t.number])
        for trial in standing:
            words = f"rank {place[trial.number]} of {len(rivals)} at epoch {rung}"
            if place[trial.number] <= best:
                why = f"{words}; the best {best} continue"
            elif trial.is_default:
                why = f"{words}; the default recipe always continues"
            else:
                continue
            found.append(Decision("continue", trial.number, why, next_stop(trial.recipe, rung, rungs)))
    default = {t.number for t in waiting if t.is_default}
    return sorted(found, key=lambda decision: decision.trial not in default)


def _pauses(trials: Sequence[Trial], waiting: Sequence[Trial], going: set[int]) -> list[Decision]:
    """Running trials that are not promoted wait."""
    found = []
    for trial in waiting:
        if trial.state == "running" and trial.number not in going:
            rivals = [t for t in trials if has_reached(t, trial.epochs)]
            words = f"rank {ranks(rivals, trial.epochs)[trial.number]} of {len(rivals)} at epoch {trial.epochs}"
            found.append(Decision("pause", trial.number, f"{words}; waits for a place among the best", trial.epochs))
    return found
