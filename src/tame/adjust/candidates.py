"""Candidate points of a space, spread over it and near the best; and the features that a surrogate sees."""

from __future__ import annotations

import numpy as np

from tame.adjust.surrogate import Array
from tame.core.recipe import PER_MEMBER
from tame.core.space import Choice, Space, field_of

NEAR = 0.15  # standard deviation of a step from one of the best points, in the unit cube


def candidates(space: Space, best: Array, *, count: int, shapes: int | None, rng: np.random.Generator) -> Array:
    """Points (count, D): half of them anywhere, half near one of the best. best: (K, D).

    shapes: how many different combinations of shapes and batch size the points have, so that recipes that start
    together can be trained together; None: each point has its own.
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
    """`count` of the given points (N, D): half of them any, half those nearest to one of the best. best: (K, D)."""
    chosen = rng.permutation(len(points))[: count // 2 if len(best) else count].tolist()
    for each in best:
        distance = np.square(points - each).sum(axis=1)
        chosen += np.argsort(distance)[: count // 2 // len(best)].tolist()
    return points[sorted(set(chosen))]


def settled(space: Space, points: Array) -> Array:
    """The points (N, D) as `to_unit` gives them: choices in the middle of their share, inactive dimensions at 0.5."""
    if any(dim.when for dim in space.dimensions.values()):
        return np.array([space.to_unit(space.from_unit(point)) for point in points]).reshape(points.shape)
    found = points.copy()
    for column, dim in enumerate(space.dimensions.values()):
        if isinstance(dim, Choice):
            number = len(dim.values)
            found[:, column] = (np.minimum(np.floor(found[:, column] * number), number - 1) + 0.5) / number
    return found


def features(space: Space, points: Array) -> Array:
    """Features (N, F) for distances: a column for each dimension, or one for each value of an unordered choice."""
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
    """Whether it chooses among more than two unordered values."""
    return len(dim.values) > 2 and any(isinstance(value, str) for value in dim.values)


def _inside(points: Array) -> Array:
    """The points, with those outside the unit cube reflected into it."""
    found: Array = 1 - np.abs(1 - np.abs(points) % 2)
    return found
