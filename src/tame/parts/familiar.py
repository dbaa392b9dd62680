"""How far an example lies from those that a network was trained on, by statistics of these; no example is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.core.errors import UsageError, require
from tame.core.plain import from_plain, to_plain

MOST_DIRECTIONS, ROWS_EACH = 64, 10  # examples that a direction is at least estimated from
LEAST_ROWS, MOST_ROWS = 100, 10_000  # that the statistics are of; of more, evenly spaced ones
FOLDS = 5
QUANTILE = 0.99  # of the distances of examples that the statistics were not made of
SPARE, ROUNDS = 8, 4  # further directions and rounds of the subspace iteration
NOTHING, ROUNDING = 1e-9, 1e-6  # of the whole variance: of a direction, and off all of them as float32 keeps them


@dataclass(frozen=True, slots=True)
class _Kept:
    """The numbers of a `Familiar`, as plain values."""

    rest: float
    limits: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Familiar:
    """Mean (D,), main directions (K, D) with the variance along each (K,), and the mean squared distance `rest` from
    the plane that they span, of training examples as the network sees them.

    limits: of the mean squared coordinate in that plane and of the squared distance from it, both in units of what is
    usual, that at most one in a hundred exceeds, of new examples and of the training examples themselves.
    """

    mean: Tensor
    directions: Tensor
    spreads: Tensor
    rest: float
    limits: tuple[float, float]

    def distance(self, x: Tensor) -> Tensor:
        """(n,) of examples (n, D): above 1 where one is unlike the training examples."""
        along, off = self._parts(x)
        return torch.maximum(along / self.limits[0], off / self.limits[1])

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        own = x.to("cpu", torch.float64) - self.mean.double()
        along = own @ self.directions.double().T
        left = (own.square().sum(dim=1) - along.square().sum(dim=1)).clamp(min=0)
        inside = (along.square() / self.spreads.double()).mean(dim=1)
        return inside, left / self.rest

    def tensors(self) -> dict[str, Tensor]:
        """The arrays, by name."""
        return {"mean": self.mean, "directions": self.directions, "spreads": self.spreads}

    def to_json(self) -> dict[str, object]:
        """The other numbers."""
        found: dict[str, object] = to_plain(_Kept(self.rest, self.limits))
        return found

    @classmethod
    def restore(cls, about: Mapping[str, object], tensors: Mapping[str, Tensor]) -> Familiar:
        """What `to_json` and `tensors` give. Raises UsageError where they do not fit together."""
        mean, directions, spreads = (tensors[name] for name in ("mean", "directions", "spreads"))
        own = from_plain(_Kept, about, what="what is kept of the training examples", error=UsageError)
        rest, (first, second) = own.rest, own.limits
        shapes = mean.ndim == 1 and spreads.ndim == 1 and directions.shape == (len(spreads), len(mean))
        sound = math.isfinite(rest) and rest > 0 and bool((spreads > 0).all())
        within = all(math.isfinite(value) and value > 0 for value in (first, second))
        require(shapes and sound and within, "what is kept of the training examples does not fit together")
        return cls(mean, directions, spreads, rest, (first, second))


def familiar(x: Tensor) -> Familiar | None:
    """What is kept of training examples (n, D), as a network sees them; None of fewer than 100, or if all are alike.

    The limits are 99 % quantiles of the distances of examples in one of five folds from the statistics of the others,
    or of the examples from their own statistics where these are further.
    The distance is that of Mahalanobis in the plane of the main directions, and the one from that plane.
    Source: Lee, Lee, Lee and Shin, A simple unified framework for detecting out-of-distribution samples (2018); for
    what lies off the main directions, Kamoi and Kobayashi, Why is the Mahalanobis distance effective for anomaly
    detection? (2020).
    """
    n = len(x)
    if n < LEAST_ROWS:
        return None
    own = x[torch.linspace(0, n - 1, MOST_ROWS).long()] if n > MOST_ROWS else x
    own = own.detach().to("cpu", torch.float64)
    whole = _of(own)
    if whole is None:
        return None
    fold = torch.arange(len(own)) % FOLDS
    parts = []
    for number in range(FOLDS):
        rest = _of(own[fold != number])
        if rest is None:
            return None
        parts.append(torch.stack(rest._parts(own[fold == number])))
    # Few examples of many numbers pull the main directions towards themselves, and lie further along them than others.
    unseen, own_parts = torch.cat(parts, dim=1), torch.stack(whole._parts(own))
    limits = torch.maximum(_limits(unseen), _limits(own_parts)).tolist()
    return Familiar(
        whole.mean.float(), whole.directions.float(), whole.spreads.float(), whole.rest, (limits[0], limits[1])
    )


def _limits(parts: Tensor) -> Tensor:
    """(2,) limits that one in a hundred examples exceeds, of both distances (2, n); 1 at the least."""
    each = 1 - (1 - QUANTILE) / 2  # each is exceeded by half of one in a hundred, together by about that
    limits = torch.quantile(parts, each, dim=1).clamp(min=1.0)
    more = torch.quantile((parts / limits[:, None]).amax(dim=0), QUANTILE).clamp(min=1.0)
    return limits * more


def _of(x: Tensor) -> Familiar | None:
    """The statistics of examples (n, D), without limits; None if all are alike."""
    mean = x.mean(dim=0)
    own = x - mean
    total = float(own.square().sum()) / len(x)
    if total == 0 or not math.isfinite(total):
        return None
    num = min(MOST_DIRECTIONS, x.shape[1], len(x) // ROWS_EACH)
    chance = torch.Generator().manual_seed(0)
    plane = torch.randn(x.shape[1], min(num + SPARE, x.shape[1]), generator=chance, dtype=x.dtype)
    for _ in range(ROUNDS):
        plane = torch.linalg.qr(own.T @ (own @ plane)).Q
    _, lengths, turned = torch.linalg.svd(own @ plane, full_matrices=False)
    spreads = lengths.square() / len(x)
    kept = int((spreads[:num] > NOTHING * total).sum())
    directions = (plane @ turned.T).T[:kept]
    left = max(total - float(spreads[:kept].sum()), ROUNDING * total)
    return Familiar(mean, directions.contiguous(), spreads[:kept], left, (1.0, 1.0))
