"""Lesson 8: how much a second look at the same examples flatters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from tame.core.errors import require
from tame.core.rng import stream
from tame.learn import population
from tame.learn.tutor import Plain, Tutor, asked

TIMES = 1000  # splits that are simulated
NEAR = 2.0  # times, within which a guess is right
LEVELS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """How many points of accuracy somebody thinks the best of all networks is flattered by."""

    points: float


@asked("second_look", Guess)
def second_look(tutor: Tutor, given: Guess) -> Plain:
    """The best of k networks on one half of the validation examples, and the same network on the other half."""
    require(math.isfinite(given.points) and 0 <= given.points <= 100, "guess a number of points from 0 to 100")
    right = _right(tutor)
    flattery = [flattered(right, many) for many in LEVELS]
    luck = flattered(stream(0, "lesson", "coins").random(right.shape) < right.mean(), LEVELS[-1])
    key = 100 * flattery[-1]
    low, high = min(key, key / NEAR), max(key * NEAR, key + 0.5)
    return {
        "networks": LEVELS, "flattery": [100 * each for each in flattery], "half": right.shape[1] // 2, "key": key,
        "coins": 100 * luck, "right": low - 0.5 <= given.points <= high, "times": TIMES,
    }  # fmt: skip


def flattered(right: np.ndarray, many: int) -> float:
    """How much better the best of so many networks looks on the half of the examples that chose it than on the other.

    right: (M, V) of each network whether it was right about each example; the mean over random halves and choices.
    """
    rng, apart = stream(0, "lesson", "halves", many), 0.0
    half = right.shape[1] // 2
    for _ in range(TIMES):
        order, some = rng.permutation(right.shape[1]), rng.permutation(len(right))[:many]
        chosen = right[np.ix_(some, order[:half])].mean(axis=1)
        best = int(chosen.argmax())
        apart += float(chosen[best] - right[some[best], order[half:]].mean())
    return apart / TIMES


def _right(tutor: Tutor) -> np.ndarray:
    """(64, V) whether each network was right about each validation example."""
    require(bool(tutor.ground.classes), "this lesson needs classes")
    own = [each.right for each in tutor.trained[: len(population.recipes())]]
    return torch.stack([each for each in own if each is not None]).numpy()
