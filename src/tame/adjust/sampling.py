"""Recipes to try: the portfolio in order, then points that fill the space evenly, or random points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
from scipy.stats import qmc

from tame.adjust.searcher import (
    SEARCHERS,
    SearchConfig,
    searched,
    starts,
    to_the_end,
    trains,
)
from tame.core.recipe import PER_MEMBER, Recipe, Value
from tame.core.records import DEFAULT, Decision, History, Origin, Trial
from tame.core.rng import stream, stream_seed
from tame.core.space import Space, field_of

DRY = 4096  # points in a row without a new recipe, after which a space counts as exhausted


@SEARCHERS.add("random")
def decide_random(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe, then recipes drawn uniformly from the unit cube, each trained to its end.

    Source: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization (2012).
    """
    points = random_points(len(space), seed)
    return train_all(history, once("random", points, space, config), "drawn at random", config)


@SEARCHERS.add("sobol")
def decide_sobol(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe, then scrambled Sobol points of the whole space, each trained to its end.

    Source: Owen, Scrambled Sobol and Niederreiter-Xing points (1998), through scipy.stats.qmc.
    """
    points = sobol_points(len(space), stream_seed(seed, "sobol")) if len(space) else iter(())
    return train_all(history, once("sobol", points, space, config), "fills the space evenly", config)


def train_all(
    history: History, recipes: Iterator[tuple[Origin, Recipe]], reason: str, config: SearchConfig
) -> list[Decision]:
    """Trains recipe after recipe to its end, one cohort at a time; no decisions once all are tried.

    recipes: origin and recipe, from the first trial on.
    """
    trials = searched(history)
    going = to_the_end(trials, config.rungs)
    if any(decision.kind == "continue" for decision in going) or any(map(trains, trials)):
        return going
    room = max(0, min(config.cohort, config.trials - len(trials)))
    fresh = islice(untried(recipes, trials), room)
    return going + starts(history, fresh, rungs=config.rungs, reason=reason)


def proposals(space: Space, seed: int, config: SearchConfig) -> Iterator[tuple[Origin, Recipe]]:
    """Origin and recipe, each recipe once: the default, the portfolio, then endless scrambled Sobol points.

    Source: Owen, Scrambled Sobol and Niederreiter-Xing points (1998), through scipy.stats.qmc.
    """
    seen: set[str] = set()
    for origin, recipe in _all(space, seed, config):
        if recipe.key() not in seen:
            seen.add(recipe.key())
            yield origin, recipe


def untried(recipes: Iterable[tuple[Origin, Recipe]], trials: Sequence[Trial]) -> Iterator[tuple[Origin, Recipe]]:
    """The recipes that no trial has; in a space that has grown since, these are not only the later ones."""
    known = {trial.recipe.key() for trial in trials}
    for origin, recipe in recipes:
        if recipe.key() not in known:
            yield origin, recipe


def once(
    origin: Origin, points: Iterable[np.ndarray], space: Space, config: SearchConfig
) -> Iterator[tuple[Origin, Recipe]]:
    """Origin and recipe: the default, then the recipe of each point of the unit cube, without duplicates."""
    yield DEFAULT, config.base
    own = config.base.key()
    for values in distinct(points, space, config.base):
        recipe = config.base.but(values)
        if recipe.key() != own:
            yield origin, recipe


def distinct(points: Iterable[np.ndarray], space: Space, base: Recipe) -> Iterator[dict[str, Value | None]]:
    """The values at each point of the unit cube, none twice; ends when the space seems to be used up."""
    tried: set[tuple[tuple[str, Value | None], ...]] = set()
    most, dry = space.count, 0
    for point in points:
        values = tidy(base, space, space.from_unit(point))
        own = tuple(values.items())
        dry += 1
        if own not in tried:
            tried.add(own)
            dry = 0
            yield values
        if len(tried) == most or dry == DRY:
            return


def _all(space: Space, seed: int, config: SearchConfig) -> Iterator[tuple[Origin, Recipe]]:
    yield DEFAULT, config.base
    for changes in config.portfolio:
        own = {name: value for name, value in changes.items() if name not in config.fixed}
        resting = space.resting({**config.base.flat(), **own})
        yield "portfolio", config.base.but({**own, **dict.fromkeys(resting)})
    if len(space):
        for values in distinct(existing(_in_company(space, seed, config), config), space, config.base):
            yield "sobol", config.base.but(values)


def existing(points: Iterable[np.ndarray], config: SearchConfig) -> Iterator[np.ndarray]:
    """The points (D,) themselves, or those nearest to them if only some exist."""
    if config.points is None:
        yield from points
        return
    listed = np.asarray(config.points)
    for point in points:
        yield listed[np.square(listed - point).sum(axis=1).argmin()]


def _in_company(space: Space, seed: int, config: SearchConfig) -> Iterator[np.ndarray]:
    """Sobol points whose shapes change only rarely, so that consecutive trials can be trained together.

    The dimensions that decide shapes and batches have a sequence of their own, with one point for each eighth of a
    cohort.
    """
    shared = np.array([field_of(name) not in PER_MEMBER for name in space.dimensions])
    every = sobol_points(len(space), stream_seed(seed, "sobol"))
    if shared.all() or not shared.any():
        yield from every
        return
    run = max(1, config.cohort // 8)
    shapes = sobol_points(int(shared.sum()), stream_seed(seed, "sobol", "shapes"))
    own = next(shapes)
    for i, point in enumerate(every):
        if i and i % run == 0:
            own = next(shapes)
        point[shared] = own
        yield point


def random_points(dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """Endless random points (D,) of the unit cube; none if there is no dimension."""
    rng = stream(seed, "random")
    while dimensions:
        yield rng.random(dimensions)


def sobol_points(dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """2**16 points (D,) that fill the unit cube ever more evenly."""
    sampler = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    for _ in range(8, 17):
        yield from sampler.random(256 if sampler.num_generated == 0 else sampler.num_generated)


def tidy(base: Recipe, space: Space, values: dict[str, Value]) -> dict[str, Value | None]:
    """The values as changes of the base, without what means nothing.

    A linear head has no hidden layer to drop from: its dropout is the first of the range. An argument of the user's
    function whose condition is not met is None, so that the function's default holds.
    """
    name = "model.dropout"
    found: dict[str, Value | None] = dict(values)
    if base.model.name == "head" and not values.get("model.hidden", base.model.hidden) and name in values:
        found[name] = space.dimensions[name].at(0.0) if name in space.dimensions else values[name]
    return found | dict.fromkeys(sorted(space.resting({**base.flat(), **values})))
