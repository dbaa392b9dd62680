"""Predicts how a recipe's curve will end, from all partial curves of a study: Gaussian processes with uncertainty.

Two curves are similar if their recipes are close and their epochs are close on a log scale, and each curve also has
behaviour of its own. How fast similarity falls off along each dimension is not known: several guesses are drawn, and
each is weighted by how well it explains the measurements, so that few measurements do not give false confidence.
Sources: Swersky, Snoek and Adams, Freeze-Thaw Bayesian Optimization (2014), for the two kinds of similarity; Garnett,
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

GUESSES = 12  # kernels that are drawn
KEPT = 4  # how many of them are kept, the likeliest
FEW, MORE = 60, 6  # with fewer measurements, more guesses are drawn and kept, up to this factor
LENGTH = 0.85  # median of a guess along a dimension
TOGETHER, APART = 0.5, 0.7  # standard deviation of its logarithm: for all dimensions together, and for each
LIKELY = {  # distributions of the other parameters of a guess
    "shared": (0.7, 1.0),
    "own": (0.05, 0.2, 0.5),
    "noise": (0.003, 0.02, 0.1),
    "level": (0.3, 0.7),
    "time": (1.0, 2.5),
}
LEAST = 1e-6  # the smallest variance


@dataclass(frozen=True, slots=True)
class Measured:
    """Values of curves at epochs, lower is better, scaled to mean 0 and standard deviation 1.

    points: (N, D) of the recipes; epochs, values: (N,); runs: (N,) numbers that identify the curves.
    """

    points: Array
    epochs: Array
    runs: NDArray[np.int64]
    values: Array


@dataclass(frozen=True, slots=True)
class Kernel:
    """The covariance of two measurements: by the distance of their recipes, of their epochs, and within a curve."""

    lengths: Array  # (D,)
    shared: float  # variance that a curve shares with its neighbours
    own: float  # variance of each curve's own behaviour
    noise: float  # variance of one measurement
    level: float  # share of the covariance that does not depend on the epoch
    time: float  # length scale along the logarithm of the epochs

    def between(self, a: Measured, b: Measured) -> Array:
        """The covariance (N, M) of two sets of measurements without noise: Matern 5/2 times an exponential in time."""
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
    """A Gaussian process conditioned on the measurements. lower: (N, N), the Cholesky factor; weights: (N,)."""

    kernel: Kernel
    measured: Measured
    lower: Array
    weights: Array
    evidence: float  # log marginal likelihood of the measurements

    def predict(self, asked: Measured) -> tuple[Array, Array]:
        """Mean and variance, (M,) each; the values of `asked` are not used."""
        across = self.kernel.between(asked, self.measured)
        inner = solve_triangular(self.lower, across.T, lower=True, check_finite=False)
        variance = self.kernel.shared + self.kernel.own - (inner * inner).sum(0)
        return across @ self.weights, np.maximum(variance, LEAST)


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Several processes and their weights."""

    processes: Sequence[Process]
    shares: Array

    def predict(self, points: Array, epochs: Array, runs: NDArray[np.int64]) -> tuple[Array, Array]:
        """Mean and standard deviation (M,) of the curves of these recipes at these epochs.

        points: (M, D); runs: (M,); a recipe that has not started gets a number that no measured run has.
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
    """The surrogate fitted to the measurements; takes a few milliseconds for 150 of them."""
    times = max(1, min(MORE, FEW // len(measured.values)))
    with one_thread():
        found = [_process(_guess(measured.points.shape[1], rng), measured) for _ in range(GUESSES * times)]
    best = sorted(found, key=lambda each: -each.evidence)[: KEPT * times]
    shares = np.exp([each.evidence - best[0].evidence for each in best])
    return Surrogate(best, shares / shares.sum())


def expected_improvement(mean: Array, deviation: Array, best: float) -> Array:
    """How far below `best` a value is expected to lie; values at or above it count as 0. mean, deviation: (M,).

    Source: Jones, Schonlau and Welch, Efficient Global Optimization of Expensive Black-Box Functions (1998).
    """
    z = (best - mean) / deviation
    found: Array = deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi))
    return np.maximum(found, 0.0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Runs the linear algebra of NumPy and SciPy on one thread, then restores the number of threads.

    Matrices of this size gain nothing from more, and threads that share a busy core wait for each other: while a
    network was training, the Cholesky factor of 150 measurements took 72 ms on two threads and 0.1 ms on one. Also, the
    last digits then do not depend on how many cores a machine has.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # inspects all loaded libraries, which takes a millisecond


def _guess(dimensions: int, rng: np.random.Generator) -> Kernel:
    lengths = LENGTH * np.exp(TOGETHER * rng.standard_normal() + APART * rng.standard_normal(dimensions))
    return Kernel(lengths, **{name: float(rng.choice(values)) for name, values in LIKELY.items()})


def _process(kernel: Kernel, measured: Measured) -> Process:
    covariance = kernel.between(measured, measured)
    covariance[np.diag_indices_from(covariance)] += kernel.noise
    lower = cholesky(covariance, lower=True, check_finite=False)
    weights = cho_solve((lower, True), measured.values, check_finite=False)
    evidence = -0.5 * float(measured.values @ weights) - float(np.log(np.diag(lower)).sum())
    return Process(kernel, measured, lower, weights, evidence)
