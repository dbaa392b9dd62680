"""Searchers that learn which recipes are good: TPE and Gaussian processes, through Optuna's samplers, in memory.

Each call rebuilds an Optuna study from the history and asks it for new points; nothing of it is kept. The sampler gets
the loss of every trial that has ended, and the points of those still in training. A trial that diverged is reported
with the worst loss seen, so that the sampler avoids its neighbourhood; NaN is never reported.
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import chain, islice
from typing import TYPE_CHECKING, Literal, TypeGuard

import numpy as np

from tame.adjust.sampling import distinct, random_points, tidy
from tame.adjust.searcher import (
    SEARCHERS,
    SearchConfig,
    searched,
    starts,
    to_the_end,
    trains,
)
from tame.core.conditions import in_order
from tame.core.errors import require
from tame.core.recipe import Recipe, Value
from tame.core.records import DEFAULT, LOST, Decision, History, Origin, Trial
from tame.core.rng import stream_seed
from tame.core.space import Choice, Dimension, Space, field_of

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler
    from optuna.study import Study
    from optuna.trial import Trial as OptunaTrial

ROUNDS = 8  # rounds in which trials are requested, so that later ones can learn from earlier ones
FIRST = 10  # random trials before the sampler takes over; a quarter of the trials if there are few
TRIES = 3  # attempts to get a new point before one is drawn at random
MOST_AT_ONCE = 16  # points per request to a Gaussian process: each takes as long as a fit


@dataclass(frozen=True, slots=True)
class Method:
    """One of Optuna's samplers, and how it is used."""

    name: Literal["tpe", "gp"]
    sampler: Callable[[int, int], BaseSampler]  # from the seed and the number of random trials
    asks_all: bool  # whether it is asked for inactive dimensions too, since it has no conditions; they get the middle
    at_once: int
    reason: str


@SEARCHERS.add("tpe")
def decide_tpe(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The tree-structured Parzen estimator over all dimensions together, each trial trained to its end.

    Points in training count as bad (the constant liar), so that many can be requested at once. Sources:
    Bergstra et al., Algorithms for Hyper-Parameter Optimization (2011); Watanabe, Tree-Structured Parzen Estimator
    (2023).
    """
    method = Method("tpe", _tpe, False, 10_000, "where good recipes are more common than bad ones (TPE)")
    return _decide(method, history, space, seed, config)


@SEARCHERS.add("gp")
def decide_gp(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """A Gaussian process with expected improvement over the best, each trial trained to its end.

    Optuna's implementation needs torch, which is loaded for it. Sources: Snoek et al., Practical Bayesian Optimization
    (2012); Ament et al., Unexpected Improvements to Expected Improvement (2023).
    """
    method = Method("gp", _gp, True, MOST_AT_ONCE, "where the most improvement is expected (Gaussian process)")
    return _decide(method, history, space, seed, config)


def _decide(method: Method, history: History, space: Space, seed: int, config: SearchConfig) -> list[Decision]:
    """Trains running trials to their end; then starts the default, if it is the first, and new points."""
    trials = searched(history)
    going = to_the_end(trials, config.rungs)
    if any(decision.kind == "continue" for decision in going) or any(map(trains, trials)):
        return going
    most = min(config.cohort, method.at_once, max(1, math.ceil(config.trials / ROUNDS)))
    room = max(0, min(most, config.trials - len(trials)))
    fresh: list[tuple[Origin, Recipe]] = [(DEFAULT, config.base)][len(trials) : len(trials) + room]
    if room > len(fresh):
        asked = _proposed(method, trials, space, stream_seed(seed, method.name, len(trials)), config)
        with quiet_optuna():
            fresh += [(method.name, recipe) for recipe in islice(asked, room - len(fresh))]
    return going + starts(history, fresh, rungs=config.rungs, reason=f"proposed {method.reason}")


def _proposed(
    method: Method, trials: Sequence[Trial], space: Space, seed: int, config: SearchConfig
) -> Iterator[Recipe]:
    """New recipes from the sampler; drawn at random if it only repeats known ones."""
    recipes = [config.base, *(t.recipe for t in trials)]
    known = {recipe.key() for recipe in recipes}
    left = space.count - len({recipe.key() for recipe in recipes if space.holds(recipe.flat())})
    if left <= 0:
        return
    study = _study(method, trials, space, seed, config)
    chance = distinct(random_points(len(space), stream_seed(seed, "by chance")), space, config.base)
    by_chance = (config.base.but(values) for values in chance)
    while left > 0:
        proposed = (_asked(study, method, space, config) for _ in range(TRIES))
        recipe = next((each for each in chain(proposed, by_chance) if each.key() not in known), None)
        if recipe is None:
            return
        known.add(recipe.key())
        left -= 1
        yield recipe


def _study(method: Method, trials: Sequence[Trial], space: Space, seed: int, config: SearchConfig) -> Study:
    """An Optuna study with these trials."""
    import optuna

    first = min(FIRST, max(2, config.trials // 4))
    study = optuna.create_study(sampler=method.sampler(seed % 2**32, first))
    worst = max((t.loss for t in trials if t.state not in LOST and math.isfinite(t.loss)), default=0.0)
    for trial in trials:
        if not space.holds(trial.recipe.flat()):
            continue  # a default outside the space
        point = _params_of(method, trial.recipe, space)
        about = {name: _distribution(dim) for name, dim in space.dimensions.items() if name in point}
        is_over = trial.state == "complete" or trial.state in LOST or trial.epochs >= trial.recipe.epochs
        value = trial.loss if trial.state not in LOST and math.isfinite(trial.loss) else worst
        state = optuna.trial.TrialState.COMPLETE if is_over else optuna.trial.TrialState.RUNNING
        study.add_trial(
            optuna.trial.create_trial(
                state=state, params=point, distributions=about, value=value if is_over else None
            )
        )  # fmt: skip
    return study


def _asked(study: Study, method: Method, space: Space, config: SearchConfig) -> Recipe:
    """The recipe of a new point. Dimensions that are inactive given the values drawn before are skipped."""
    trial, place = study.ask(), {name: i for i, name in enumerate(space.dimensions)}
    point = np.full(len(space), 0.5)
    values: dict[str, Value] = {}
    for name in in_order(space.dimensions):  # those that others depend on come first
        dim = space.dimensions[name]
        is_active = not dim.when or name in space.active(values)
        if dim.count > 1 and (is_active or method.asks_all):
            point[place[name]] = _suggested(trial, name, dim)
        if is_active:
            values[field_of(name)] = dim.at(float(point[place[name]]))
    return config.base.but(tidy(config.base, space, space.from_unit(point)))


def _params_of(method: Method, recipe: Recipe, space: Space) -> dict[str, float]:
    """A recipe as Optuna parameters: a number in [0, 1] for each dimension, or the index in an unordered choice."""
    own = recipe.flat()
    active = space.active(own)
    return {
        name: int(u * len(dim.values)) if _is_words(dim) else float(u)
        for (name, dim), u in zip(space.dimensions.items(), space.to_unit(own), strict=True)
        if dim.count > 1 and (name in active or method.asks_all)
    }


def _suggested(trial: OptunaTrial, name: str, dim: Dimension) -> float:
    """A point of [0, 1] for a dimension."""
    if _is_words(dim):
        words = list(range(len(dim.values)))
        return (int(trial.suggest_categorical(name, words)) + 0.5) / len(words)
    return float(trial.suggest_float(name, 0.0, 1.0))


def _distribution(dim: Dimension) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return CategoricalDistribution(list(range(len(dim.values)))) if _is_words(dim) else FloatDistribution(0.0, 1.0)


def _is_words(dim: Dimension) -> TypeGuard[Choice]:
    """Whether a dimension is a choice of unordered values."""
    if not isinstance(dim, Choice):
        return False
    numbers = [value for value in dim.values if not isinstance(value, str | bool)]
    return len(numbers) < len(dim.values) or numbers != sorted(numbers)


def _tpe(seed: int, first: int) -> BaseSampler:
    from optuna.samplers import TPESampler

    return TPESampler(seed=seed, n_startup_trials=first, multivariate=True, group=True, constant_liar=True)


def _gp(seed: int, first: int) -> BaseSampler:
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed, n_startup_trials=first, warn_independent_sampling=False)


def require_optuna(what: str) -> None:
    """Raises UsageError if Optuna is not installed. what: that needs it, in words."""
    require(find_spec("optuna") is not None, f"{what} needs Optuna: pip install 'tame-ml[optuna]'")


@contextmanager
def quiet_optuna(least: int = logging.ERROR) -> Iterator[None]:
    """Keeps Optuna quiet on the terminal: hides logs below a level, and warnings about experimental options."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(least)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
