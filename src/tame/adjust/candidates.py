"""Points of a space that could begin: spread over it, and near the best; and what a surrogate sees of a point."""

from __future__ import annotations

import numpy as np

from tame.adjust.surrogate import Array
from tame.core.recipe import PER_MEMBER
from tame.core.space import Choice, Space, field_of

NEAR = 0.15  # standard deviation of a step away from one of the best points, in the unit cube


def candidates(space: Space, best: Array, *, count: int, shapes: int | None, rng: np.random.Generator) -> Array:
    """Points (count, D): half of them anywhere, half near one of the best. best: (K, D).

    shapes: how many combinations of what decides shapes and batches they share, so that those that begin together can
    be trained together; None: each has its own.
    """
    points = rng.random((count, len(space)))
    if len(best):
        near = best[rng.integers(len(best), size=count // 2)]
        points[: len(near)] = _inside(near + NEAR * rng.standard_normal(near.shape))
    shared = np.array([field_of(name) not in PER_MEMBER for name in space.dimensions])
    if shapes is not None and shared.any() and not shared.all():
        kinds = points[rng.permutation(count)[:shapes]][:, shared]
        points[:, shared] = kinds[rng.integers(len(kinds), size=count)]
    return settled(space, points)


def some_of(points: Array, best: Array, *, count: int, rng: np.random.Generator) -> Array:
    """So many of the points (N, D) that exist: half of them any, half the nearest to one of the best. best: (K, D)."""
    chosen = rng.permutation(len(points))[: count // 2 if len(best) else count].tolist()
    for each in best:
        distance = np.square(points - each).sum(axis=1)
        chosen += np.argsort(distance)[: count // 2 // len(best)].tolist()
    return points[sorted(set(chosen))]


def settled(space: Space, points: Array) -> Array:
    """The points (N, D) as they come back from recipes: choices in the middle of their share, what is idle at 0.5."""
    if any(dim.when for dim in space.dimensions.values()):
        return np.array([space.to_unit(space.from_unit(point)) for point in points]).reshape(points.shape)
    found = points.copy()
    for column, dim in enumerate(space.dimensions.values()):
        if isinstance(dim, Choice):
            number = len(dim.values)
            found[:, column] = (np.minimum(np.floor(found[:, column] * number), number - 1) + 0.5) / number
    return found


def features(space: Space, points: Array) -> Array:
    """What distances are measured on, (N, F): a column for each dimension, one for each word of a choice of words."""
    columns = []
    for column, dim in enumerate(space.dimensions.values()):
        own = points[:, column]
        if isinstance(dim, Choice) and _is_words(dim):
            number = len(dim.values)
            columns += [np.where(np.floor(own * number) == k, 0.7, 0.0) for k in range(number)]
        else:
            columns.append(own)
    return np.stack(columns, axis=1) if columns else np.zeros((len(points), 1))


def _is_words(dim: Choice) -> bool:
    """Whether it chooses among more than two values that have no order."""
    return len(dim.values) > 2 and any(isinstance(value, str) for value in dim.values)


def _inside(points: Array) -> Array:
    """Points beyond a wall of the unit cube, mirrored into it."""
    found: Array = 1 - np.abs(1 - np.abs(points) % 2)
    return found
