"""Successive halving in brackets: a whole bracket trains to a rung, the best 1/eta continue, the others stop.

Sources: Jamieson and Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016); Li et
al., Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization (2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, repeat

from tame.adjust.sampling import once, random_points, untried
from tame.adjust.searcher import (
    SEARCHERS,
    SearchConfig,
    at_rest,
    complete,
    has_reached,
    most_halvings,
    next_stop,
    ranks,
    rungs_of,
    searched,
    starts,
    trains,
)
from tame.core.records import Decision, History, Trial
from tame.core.space import Space


@dataclass(frozen=True, slots=True)
class Bracket:
    """How many trials are compared with each other, and after which epochs."""

    size: int
    rungs: tuple[int, ...]


@SEARCHERS.add("sha")
def decide_sha(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """Synchronous successive halving: each bracket is a cohort of random recipes; one bracket follows the other."""
    bracket = Bracket(min(config.cohort, config.trials), config.rungs)
    return _decide(repeat(bracket), history, space, seed, config)


@SEARCHERS.add("hyperband")
def decide_hyperband(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """Hyperband: from brackets of many recipes that are cut early to few that all train to the end, repeatedly."""
    return _decide(cycle(hyperband_brackets(config)), history, space, seed, config)


def hyperband_brackets(config: SearchConfig) -> list[Bracket]:
    """The brackets of one turn, the one that cuts earliest first; smaller if fewer trials are requested.

    Source: Li et al. (2018), Algorithm 1: of s_max + 1 brackets, the one with s cuts begins with
    ceil((s_max + 1) / (s + 1) * eta**s) recipes.
    """
    most, eta = most_halvings(config.base.epochs, config.eta), config.eta
    sizes = [math.ceil((most + 1) / (cuts + 1) * eta**cuts) for cuts in range(most, -1, -1)]
    share = min(1.0, config.trials / sum(sizes))
    rungs = [rungs_of(config.base.epochs, eta, cuts + 1) for cuts in range(most, -1, -1)]
    return [Bracket(max(1, int(share * size)), own) for size, own in zip(sizes, rungs, strict=True)]


def _decide(
    brackets: Iterator[Bracket], history: History, space: Space, seed: int, config: SearchConfig
) -> list[Decision]:
    """The decisions for the first bracket that is not full or not finished. All earlier ones are."""
    trials, first = searched(history), 0
    found: list[Decision] = []
    while first < config.trials:
        bracket = next(brackets)
        size = min(bracket.size, config.trials - first)
        own = trials[first : first + size]
        if any(map(trains, own)):
            return found  # a bracket is compared once all of it has reached the rung
        if len(own) == size:
            found += _halve(own, bracket.rungs, config.eta)
            if any(decision.kind == "continue" for decision in found):
                return found
            first += size
            continue
        recipes = once("random", random_points(len(space), seed), space, config)
        fresh = islice(untried(recipes, trials), min(config.cohort, size - len(own)))
        begun = starts(history, fresh, rungs=bracket.rungs, reason=_reason(bracket))
        # If the space is exhausted, the bracket stays smaller than planned.
        return found + (begun or _halve(own, bracket.rungs, config.eta))
    return found


def _halve(own: Sequence[Trial], rungs: Sequence[int], eta: int) -> list[Decision]:
    """Decisions on the trials of a bracket at a rung: the best 1/eta of all that have reached it continue."""
    ended = [complete(t) for t in own if at_rest(t) and t.epochs >= t.recipe.epochs]
    standing = [t for t in own if at_rest(t) and t.epochs < t.recipe.epochs]
    if not standing:
        return ended
    rung = min(t.epochs for t in standing)
    rivals = [t for t in own if has_reached(t, rung)]
    best, place = max(1, len(rivals) // eta), ranks(rivals, rung)
    found = []
    for trial in standing:
        words = f"rank {place[trial.number]} of {len(rivals)} in its bracket at epoch {rung}"
        if place[trial.number] <= best or trial.is_default:
            why = f"the best {best} continue" if place[trial.number] <= best else "the default recipe always continues"
            until = next_stop(trial.recipe, trial.epochs, rungs)
            found.append(Decision("continue", trial.number, f"{words}; {why}", until))
        else:
            found.append(Decision("stop", trial.number, f"{words}; the best {best} continue", rung))
    return ended + found


def _reason(bracket: Bracket) -> str:
    if len(bracket.rungs) == 1:
        return f"drawn at random, one of {bracket.size} that all train to their end"
    after = ", ".join(map(str, bracket.rungs[:-1]))
    return f"drawn at random, one of {bracket.size} that are compared after {after} epochs"
