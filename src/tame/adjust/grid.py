"""Grid search: every combination of some values of each dimension, once, in an order that covers the space early."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from tame.adjust.sampling import once, sobol_points, tidy, train_all
from tame.adjust.searcher import SEARCHERS, SearchConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, History
from tame.core.rng import stream_seed
from tame.core.space import Choice, Dimension, Space

Levels = list[float]  # points of [0, 1], ascending
MOST_COUNTED = 1000  # points of a grid up to which its recipes are counted one by one
MANY = 4096  # values of a range from which evenly spaced points are certainly different


@SEARCHERS.add("grid")
def decide(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """The default recipe, then every point of the grid once, each trained to its end.

    The grid has as many points as fit into the number of trials, and the search ends with it.
    """
    levels = levels_of(space, config.trials - 1, config.base)
    points = grid_points(levels, stream_seed(seed, "grid")) if len(space) else iter(())
    sizes = " x ".join(str(len(each)) for each in levels)
    return train_all(history, once("grid", points, space, config), f"a point of the grid of {sizes}", config)


def levels_of(space: Space, most: int, base: Recipe) -> list[Levels]:
    """The points of [0, 1] that each dimension takes, evenly spaced, ends included; their product is at most `most`.

    Every dimension gets its second value before any gets its third, and none more than it has. A dimension that gets
    only one value has that of the base recipe. Points that differ only in inactive dimensions count once.
    """
    dims = list(space.dimensions.values())
    own = space.to_unit(base.flat()) if space.holds(base.flat()) else np.full(len(dims), 0.5)
    limits, found, size = [dim.count for dim in dims], list[Levels](), most
    while True:
        counts = counts_of(limits, size)
        levels = [_levels(dim, count, float(u)) for dim, count, u in zip(dims, counts, own, strict=True)]
        whole = prod(counts)
        num = _num_distinct(levels, space, base) if whole <= MOST_COUNTED else whole
        if found and num > most:
            return found
        found = levels
        growing = [each for each, limit in zip(counts, limits, strict=True) if each < limit]
        if num == whole or not growing:
            return found
        size = max(min(whole // each * (each + 1) for each in growing), size * most // max(num, 1))
        if size > MOST_COUNTED:
            return found


def counts_of(limits: Sequence[float], most: int) -> list[int]:
    """How many values each dimension takes: as equal as possible, within its limit, their product at most `most`."""
    counts = [1] * len(limits)
    growing = [place for place, limit in enumerate(limits) if limit > 1]
    while growing:
        place = min(growing, key=lambda i: (counts[i], i))
        others = prod(counts) // counts[place]
        room = int(min(limits[place], most // others))
        if room <= counts[place]:
            growing.remove(place)
        else:
            counts[place] = room if len(growing) == 1 else counts[place] + 1
    return counts


def _num_distinct(levels: Sequence[Levels], space: Space, base: Recipe) -> int:
    """How many different recipes a grid contains."""
    cells = (_at(levels, cell) for cell in product(*(range(len(each)) for each in levels)))
    return len({tuple(tidy(base, space, space.from_unit(point)).items()) for point in cells})


def grid_points(levels: Sequence[Levels], seed: int) -> Iterator[np.ndarray]:
    """Every point (D,) of the grid once: the cells in the order in which Sobol points hit them, then the rest."""
    sizes = np.array([len(each) for each in levels])
    seen: set[tuple[int, ...]] = set()
    for point in sobol_points(len(levels), seed):
        cell = tuple(np.minimum((point * sizes).astype(int), sizes - 1).tolist())
        if cell not in seen:
            seen.add(cell)
            yield _at(levels, cell)
        if len(seen) == prod(sizes.tolist()):
            return
    for cell in product(*(range(size) for size in sizes)):
        if cell not in seen:
            yield _at(levels, cell)


def _at(levels: Sequence[Levels], cell: Sequence[int]) -> np.ndarray:
    return np.array([each[i] for each, i in zip(levels, cell, strict=True)])


def _levels(dim: Dimension, count: int, own: float) -> Levels:
    """`count` points of [0, 1] at which a dimension has different values. own: the point of the base recipe."""
    if count == 1:
        return [own]
    wanted = [i / (count - 1) for i in range(count)]
    if dim.count > MANY:
        return wanted
    left = _every(dim)
    found = []
    for u in wanted:  # the nearest value that is still free: in a log range of whole numbers, several would be the same
        found.append(min(left, key=lambda each: abs(each - u)))
        left.remove(found[-1])
    return sorted(found)


def _every(dim: Dimension) -> Levels:
    """A point of [0, 1] for each value of a dimension that has finitely many."""
    if isinstance(dim, Choice):
        return [dim.where(value) for value in dim.values]
    step = dim.step or 0.0
    return [dim.where(dim.low + k * step) for k in range(int(dim.count))]
