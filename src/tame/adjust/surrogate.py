"""What a recipe's curve will come to, learnt from all partial curves of a study: Gaussian processes with their doubt.

Two curves are alike where their recipes are near and their epochs are near on a log scale, and each curve has ways of
its own that stay with it. How fast likeness falls off along each dimension is not known: several guesses are drawn, and
each counts by how well it explains what was measured, so that a few measurements are never taken for many.
Sources: Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization (2014), for the two kinds of likeness; Garnett,
Osborne and Hennig, Active Learning of Linear Embeddings (2014), section 3, for averaging over guesses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.special import ndtr
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]

GUESSES = 12  # ways of likeness that are drawn
KEPT = 4  # of them, the likeliest
FEW, MORE = 60, 6  # measurements below which more are drawn and kept, since few tell little; so many times at most
LENGTH = 0.85  # of a guess along a dimension, the median
TOGETHER, APART = 0.5, 0.7  # deviation of its logarithm: of all dimensions together, and of each
LIKELY = {  # what the other numbers of a guess are drawn from
    "shared": (0.7, 1.0),
    "own": (0.05, 0.2, 0.5),
    "noise": (0.003, 0.02, 0.1),
    "level": (0.3, 0.7),
    "time": (1.0, 2.5),
}
LEAST = 1e-6  # variance that is always left


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of curves at epochs, lower is better, scaled to mean 0 and deviation 1.

    points: (N, D) where the recipes lie; epochs, values: (N,); runs: (N,) numbers that tell curves apart.
    """

    points: Array
    epochs: Array
    runs: NDArray[np.int64]
    values: Array


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two measurements are: a covariance, by the distance of recipes, of epochs, and by the curve."""

    lengths: Array  # (D,)
    shared: float  # variance of what a curve shares with its neighbours
    own: float  # variance of what is a curve's own
    noise: float  # variance of one measurement
    level: float  # share of the covariance that does not depend on the epoch
    time: float  # length along the logarithm of the epochs

    def between(self, a: Measured, b: Measured) -> Array:
        """The covariance (N, M) of two sets of measurements, noise aside: Matern 5/2 times an exponential in time."""
        u, v = a.points / self.lengths, b.points / self.lengths
        squares = (u * u).sum(1)[:, None] + (v * v).sum(1)[None] - 2 * u @ v.T
        distance = np.sqrt(5 * np.maximum(squares, 0.0))
        near = (1 + distance + distance * distance / 3) * np.exp(-distance)
        apart = np.abs(np.log(a.epochs)[:, None] - np.log(b.epochs)[None]) / self.time
        when = np.exp(-apart)
        same = a.runs[:, None] == b.runs[None]
        found: Array = (
            self.shared * near * (self.level + (1 - self.level) * when) + same * (0.5 + 0.5 * when) * self.own
        )
        return found


@dataclass(frozen=True, slots=True)
class Process:
    """A Gaussian process given what was measured. lower: (N, N), of the Cholesky factors; weights: (N,)."""

    likeness: Likeness
    measured: Measured
    lower: Array
    weights: Array
    evidence: float  # logarithm of how probable the measurements are

    def predict(self, asked: Measured) -> tuple[Array, Array]:
        """Mean and variance, (M,) each; the values of `asked` are not looked at."""
        across = self.likeness.between(asked, self.measured)
        inner = solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        variance = self.likeness.shared + self.likeness.own - (inner * inner).sum(0)
        return across @ self.weights, np.maximum(variance, LEAST)


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Some processes, and how much each counts."""

    processes: Sequence[Process]
    shares: Array

    def predict(self, points: Array, epochs: Array, runs: NDArray[np.int64]) -> tuple[Array, Array]:
        """Mean and standard deviation (M,) of the curves of these recipes at these epochs.

        points: (M, D); runs: (M,), numbers that no measured run has where a recipe has not begun.
        """
        asked = Measured(points, epochs, runs, np.zeros(len(epochs)))
        mean, square = np.zeros(len(epochs)), np.zeros(len(epochs))
        with one_thread():
            for share, process in zip(self.shares, self.processes, strict=True):
                own, variance = process.predict(asked)
                mean += share * own
                square += share * (variance + own * own)
        return mean, np.sqrt(np.maximum(square - mean * mean, LEAST))


def fit(measured: Measured, rng: np.random.Generator) -> Surrogate:
    """The surrogate of what was measured; a few milliseconds for 150 measurements."""
    times = max(1, min(MORE, FEW // len(measured.values)))
    with one_thread():
        found = [_process(_guess(measured.points.shape[1], rng), measured) for _ in range(GUESSES * times)]
    best = sorted(found, key=lambda each: -each.evidence)[: KEPT * times]
    shares = np.exp([each.evidence - best[0].evidence for each in best])
    return Surrogate(best, shares / shares.sum())


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """How far below `best` a value is expected to lie, above or at it counting as 0. mean, deviation: (M,).

    Source: Jones, Schonlau and Welch, Efficient Global Optimization of Expensive Black-Box Functions (1998).
    """
    z = (best - mean) / deviation
    found: Array = deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
    return np.maximum(found, 0.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Linear algebra of NumPy and SciPy on one thread, and afterwards on as many as before.

    Matrices of this size gain nothing by more, and threads that share a busy core wait for each other: beside a
    training, the Cholesky factor of 150 measurements took 72 ms on two threads and 0.1 ms on one. Nor do the last
    digits then hang on how many cores a machine has.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all that the process has loaded, which takes a millisecond


def _guess(dimensions: int, rng: np.random.Generator) -> Likeness:
    lengths = LENGTH * np.exp(TOGETHER * rng.standard_normal() + APART * rng.standard_normal(dimensions))
    return Likeness(lengths, **{name: float(rng.choice(values)) for name, values in LIKELY.items()})


def _process(likeness: Likeness, measured: Measured) -> Process:
    covariance = likeness.between(measured, measured)
    covariance[np.diag_indices_from(covariance)] += likeness.noise
    lower = cholesky(covariance, lower=True, check_finite=False)
    weights = cho_solve((lower, True), measured.values, check_finite=False)
    evidence = -0.5 * float(measured.values @ weights) - float(np.log(np.diag(lower)).sum())
    return Process(likeness, measured, lower, weights, evidence)
