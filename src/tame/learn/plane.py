"""A slice of the loss: the plane through the start and the end of a descent, with what is seen of others in it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.learn.descent import Path, Problem

SIDE = 41  # points of each side
STRAIGHT = 1e-18  # squared length, of what a way leaves a line by, below which it is straight
TINY = 1e-100  # lengths, below which squares are lost
NARROW = 0.6  # of the wider side, that the other one has at least
MARGIN = 0.25  # of the way that is seen, on each side


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane in the space of all weights. origin: (P,); axes: (2, P), of length one and at right angles."""

    origin: Tensor
    axes: Tensor

    def places(self, weights: Tensor) -> Tensor:
        """(T, 2) where these weights (T, P) are seen in the plane."""
        return (weights - self.origin) @ self.axes.T

    def arrows(self, vectors: Tensor) -> Tensor:
        """(T, 2) what of these directions (T, P) lies in the plane."""
        return vectors @ self.axes.T

    def share(self, weights: Tensor) -> float:
        """How much of the movement of a path (T, P) from its start lies in the plane: squared lengths, in total."""
        moved = weights - weights[0]
        total = float(moved.square().sum())
        return 1.0 if total == 0 else float((moved @ self.axes.T).square().sum()) / total


@dataclass(frozen=True, slots=True)
class Slice:
    """Losses in a plane. a, b: (n,) the places along the two axes; losses: (n, n), a row for each b."""

    a: Tensor
    b: Tensor
    losses: Tensor


def plane_of(paths: Sequence[Path]) -> Plane:
    """The plane through the start and the end of the first descent, turned to show as much as it can of all.

    Source: Li, Xu, Taylor, Studer and Goldstein, Visualizing the Loss Landscape of Neural Nets (2018), section 7.
    """
    origin = paths[0].weights[0]
    moved = paths[0].weights - origin
    # What rounding leaves of a way is none: it has no direction.
    moves = float(torch.linalg.vector_norm(moved[-1])) > TINY
    first = moved[-1] if moves else torch.eye(1, len(origin), dtype=origin.dtype)[0]
    first = first / torch.linalg.vector_norm(first)
    rest = torch.cat([path.weights - origin for path in paths if not path.is_lost] or [moved])
    rest = rest - (rest @ first)[:, None] * first
    scale = max(float(torch.linalg.vector_norm(path.weights[-1] - origin)) for path in paths)
    rest = rest / max(scale, TINY)
    products = rest @ rest.T  # the leading direction of (T, P) by these: P may be thousands of times T
    if float(products.diagonal().sum()) > STRAIGHT:
        second = rest.T @ torch.linalg.eigh(products).eigenvectors[:, -1]
    else:  # any direction beside a straight way shows the same
        second = torch.linspace(-1, 1, len(origin), dtype=origin.dtype).cos()
    second = second - (second @ first) * first
    return Plane(origin, torch.stack([first, second / torch.linalg.vector_norm(second)]))


def slice_of(problem: Problem, plane: Plane, paths: Sequence[Path], *, side: int = SIDE) -> Slice:
    """The losses around these descents, of which those that were lost set no frame.

    The outputs of a linear network are linear in its weights, so those of a point are a sum of three.
    """
    seen = torch.cat([plane.places(path.weights) for path in paths if not path.is_lost] or [torch.zeros(1, 2).double()])
    low, high = seen.min(dim=0).values, seen.max(dim=0).values
    wide = (high - low).clamp_min(NARROW * float((high - low).max().clamp_min(1e-9)))
    middle = (low + high) / 2
    a, b = (torch.linspace(float(m - w * (0.5 + MARGIN)), float(m + w * (0.5 + MARGIN)), side, dtype=torch.float64)
            for m, w in zip(middle, wide, strict=True))  # fmt: skip
    base, *slopes = problem.predict(torch.cat([plane.origin[None], plane.axes]))
    zero = problem.predict(torch.zeros_like(plane.origin)[None])[0]
    along, across = (own - zero for own in slopes)
    rows = [problem.losses(base + a[:, None, None] * along + y * across) for y in b]
    return Slice(a, b, torch.stack(rows))


def angle(one: Tensor, other: Tensor) -> float:
    """Degrees between two directions (2,); 180 where one of them has no length."""
    lengths = float(torch.linalg.vector_norm(one) * torch.linalg.vector_norm(other))
    if lengths == 0:
        return 180.0
    return math.degrees(math.acos(max(-1.0, min(1.0, float(one @ other) / lengths))))
