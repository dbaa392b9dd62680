"""Recipes to try: the portfolio in its order, then points that fill the space evenly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.stats import qmc

from tame.adjust.searcher import SearchConfig
from tame.core.recipe import PER_MEMBER, Recipe, Value
from tame.core.rng import stream_seed
from tame.core.space import Choice, Int, Space


def proposals(space: Space, seed: int, config: SearchConfig) -> Iterator[tuple[str, Recipe]]:
    """Origin and recipe, each recipe once: the default, the portfolio, then scrambled Sobol points without end.

    Source: Owen, Scrambled Sobol and Niederreiter-Xing points (1998), through scipy.stats.qmc.
    """
    seen: set[str] = set()
    for origin, recipe in _all(space, seed, config):
        if recipe.key() not in seen:
            seen.add(recipe.key())
            yield origin, recipe


def _all(space: Space, seed: int, config: SearchConfig) -> Iterator[tuple[str, Recipe]]:
    yield "default", config.base
    for changes in config.portfolio:
        yield "portfolio", config.base.but({k: v for k, v in changes.items() if k not in config.fixed})
    if not len(space):
        return
    tried: set[tuple[Value, ...]] = set()
    for point in _in_company(space, seed, config):
        values = _tidy(config.base, space, space.from_unit(point))
        own = tuple(values.values())
        if own not in tried:
            tried.add(own)
            yield "sobol", config.base.but(values)
        if len(tried) == _size(space):
            return


def _in_company(space: Space, seed: int, config: SearchConfig) -> Iterator[np.ndarray]:
    """Sobol points whose shapes change only now and then, so that trials in a row can be trained together.

    What decides shapes and batches comes from a sequence of its own, a point of it for each eighth of a cohort.
    """
    shared = np.array([name not in PER_MEMBER for name in space.dimensions])
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


def _size(space: Space) -> float:
    """How many points a space holds; infinite where it has a real dimension."""
    return math.prod(
        len(dim.values) if isinstance(dim, Choice) else dim.high - dim.low + 1 if isinstance(dim, Int) else math.inf
        for dim in space.dimensions.values()
    )


def sobol_points(dimensions: int, seed: int) -> Iterator[np.ndarray]:
    """Points (D,) of the unit cube that fill it ever more evenly; 2**16 of them."""
    sampler = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    for _ in range(8, 17):
        yield from sampler.random(256 if sampler.num_generated == 0 else sampler.num_generated)


def _tidy(base: Recipe, space: Space, values: dict[str, Value]) -> dict[str, Value]:
    """The values, the first of the range for what means nothing: a linear head has no hidden layer to drop from."""
    if base.model.name == "head" and not values.get("model.hidden", base.model.hidden) and "model.dropout" in values:
        return {**values, "model.dropout": space.dimensions["model.dropout"].at(0.0)}
    return values
