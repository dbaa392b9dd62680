"""Varied tables for `own_runs.py`: generated from a seed, or those that come with scikit-learn.

A generated table has far more rows for evaluation than for training, so that curves differ by the training and not by
which rows happened to be held out. Small real tables are evaluated by cross-validation.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

JUDGED = 1500  # rows of a generated table for evaluation
FOLDS, FOLDS_BELOW, HELD_OUT = 3, 300, 0.4
TARGET = "target"
Values = tuple[dict[str, np.ndarray], np.ndarray]  # columns by name, and the target (text for classes)


@dataclass(frozen=True)
class Drawn:
    """A table with its target among the columns. fold: (N,) the fold that validates a row, -1 for none."""

    columns: Mapping[str, np.ndarray]
    task: str
    fold: np.ndarray
    num_own: int  # rows that a user would have: those for training, or all with folds
    target: str = TARGET

    def digest(self) -> str:
        """Identifies a table, so that records of one are not used for another."""
        said = hashlib.blake2b(self.fold.tobytes(), digest_size=8)
        for name, column in self.columns.items():
            said.update(name.encode() + np.ascontiguousarray(column).tobytes())
        return said.hexdigest()


@dataclass(frozen=True)
class Task:
    """A generator of tables, and the number of training rows; None for a real table, whose length is fixed."""

    make: Callable[[Generator, int], Values]
    rows: int | None = None

    def draw(self, seed: int, share: float = 1.0) -> Drawn:
        """The table of a seed. share: of the training rows of a generated table."""
        rng = np.random.default_rng([seed, *self.make.__name__.encode()])
        trained = max(50, round((self.rows or 0) * share))
        columns, target = self.make(rng, trained + JUDGED)
        num = len(target)
        classes = np.unique(target) if target.dtype.kind == "U" else ()
        task = "regression" if not len(classes) else "binary" if len(classes) == 2 else "multiclass"
        if self.rows is not None:
            fold = np.where(np.arange(num) < trained, -1, 0)
        elif num < FOLDS_BELOW:
            fold = _folds(rng, target, FOLDS)
        else:
            fold = np.where(rng.random(num) < HELD_OUT, 0, -1)
        own = num if fold.max() > 0 else int((fold < 0).sum())
        return Drawn({**columns, TARGET: target}, task, fold.astype(np.int64), own)


def write_csv(drawn: Drawn, path: Path) -> Path:
    """Writes the table to a file; numbers with six digits, empty cells for missing values."""
    columns = [_cells(column) for column in drawn.columns.values()]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(drawn.columns)
        writer.writerows(zip(*columns, strict=True))
    return path


def _cells(column: np.ndarray) -> list[str]:
    if column.dtype.kind == "U":
        return [str(value) for value in column]
    return ["" if np.isnan(value) else f"{value:.6g}" for value in column.astype(float)]


def _folds(rng: Generator, target: np.ndarray, num: int) -> np.ndarray:
    """Fold numbers, stratified by class, or by small and large values."""
    order = np.lexsort((rng.random(len(target)), target))
    fold = np.empty(len(target), dtype=np.int64)
    fold[order] = np.arange(len(target)) % num
    return fold


# Building blocks of targets and columns -------------------------------------------------------------------------------


def normal(rng: Generator, num: int, dims: int) -> np.ndarray:
    return rng.standard_normal((num, dims))


def named(x: np.ndarray, prefix: str = "x") -> dict[str, np.ndarray]:
    return {f"{prefix}{i}": x[:, i] for i in range(x.shape[1])}


def scaled(score: np.ndarray) -> np.ndarray:
    return np.asarray((score - score.mean()) / score.std())


def network(rng: Generator, x: np.ndarray, *, units: int = 32, gain: float = 1.5) -> np.ndarray:
    """A random network with two hidden layers: a smooth target that mixes all columns."""
    hidden = np.tanh(x @ rng.standard_normal((x.shape[1], units)) * gain / x.shape[1] ** 0.5)
    hidden = np.tanh(hidden @ rng.standard_normal((units, units)) * gain / units**0.5)
    return scaled(hidden @ rng.standard_normal(units))


def trees(rng: Generator, x: np.ndarray, *, count: int = 20, depth: int = 3) -> np.ndarray:
    """A sum of random trees that split at the same column on each level: steps along the axes."""
    score = np.zeros(len(x))
    for _ in range(count):
        which = rng.integers(0, x.shape[1], depth)
        at = [np.quantile(x[:, column], rng.uniform(0.15, 0.85)) for column in which]
        leaf = sum(
            (x[:, column] > edge).astype(int) << k for k, (column, edge) in enumerate(zip(which, at, strict=True))
        )
        score += rng.standard_normal(2**depth)[leaf]
    return scaled(score)


def categories(rng: Generator, num: int, sizes: Sequence[int]) -> np.ndarray:
    """(num, len(sizes)) codes, few of them frequent, like words in a text."""
    shares = [1 / np.arange(1, size + 1) for size in sizes]
    return np.stack([rng.choice(len(p), num, p=p / p.sum()) for p in shares], axis=1)


def words(codes: np.ndarray, prefix: str = "c") -> dict[str, np.ndarray]:
    return {f"{prefix}{i}": np.array([f"{prefix}{code}" for code in codes[:, i]]) for i in range(codes.shape[1])}


def effects(rng: Generator, codes: np.ndarray) -> np.ndarray:
    """The effect of each category and of some pairs."""
    score = np.zeros(len(codes))
    for column in codes.T:
        score += rng.standard_normal(column.max() + 1)[column]
    for a, b in rng.integers(0, codes.shape[1], (codes.shape[1], 2)):
        pair = codes[:, a] % 7 * 7 + codes[:, b] % 7
        score += 0.7 * rng.standard_normal(49)[pair]
    return scaled(score)


def binary(rng: Generator, score: np.ndarray, *, gain: float = 3.0, share: float = 0.5) -> np.ndarray:
    """Random yes or no, "yes" for about this share; the larger the gain, the more certain."""
    odds = gain * (score - np.quantile(score, 1 - share))
    return np.where(rng.random(len(score)) < 1 / (1 + np.exp(-odds)), "yes", "no")


def classes(score: np.ndarray, num: int) -> np.ndarray:
    """`num` classes, by the quantiles of a score."""
    edges = np.quantile(score, np.arange(1, num) / num)
    return np.array([f"k{code}" for code in np.searchsorted(edges, score)])


def noisy(rng: Generator, score: np.ndarray, noise: float) -> np.ndarray:
    return np.asarray(score + noise * rng.standard_normal(len(score)))


def holed(rng: Generator, x: np.ndarray, share: float) -> np.ndarray:
    return np.where(rng.random(x.shape) < share, np.nan, x)


# Drawn tables ---------------------------------------------------------------------------------------------------------


def linear_few(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 10)
    return named(x), binary(rng, scaled(x @ rng.standard_normal(10)), gain=2.0)


def linear_noisy(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 15)
    return named(x), noisy(rng, scaled(x[:, :6] @ rng.standard_normal(6)), 1.0)


def rotated(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 10)
    return named(x), binary(rng, network(rng, x), gain=5.0)


def smooth(rng: Generator, num: int) -> Values:
    """Source: Friedman, Multivariate Adaptive Regression Splines (1991), its first example."""
    x = rng.random((num, 10))
    bent = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2
    return named(x), noisy(rng, bent + 10 * x[:, 3] + 5 * x[:, 4], 1.0)


def steps(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 12)
    return named(x), classes(noisy(rng, trees(rng, x), 0.3), 3)


def steps_few(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 8)
    return named(x), binary(rng, trees(rng, x, count=8, depth=2), gain=6.0)


def steps_number(rng: Generator, num: int) -> Values:
    x = np.exp(normal(rng, num, 10))
    return named(x), noisy(rng, trees(rng, x, count=30), 0.3)


def waves(rng: Generator, num: int) -> Values:
    x = rng.uniform(-1, 1, (num, 6))
    score = sum(np.sin(x[:, i] * rng.uniform(4, 14) + rng.uniform(0, 6)) for i in range(5))
    return named(x), noisy(rng, scaled(score), 0.2)


def checkers(rng: Generator, num: int) -> Values:
    x = rng.uniform(0, 1, (num, 5))
    odd = (np.floor(x[:, 0] * 4) + np.floor(x[:, 1] * 4)) % 2
    return named(x), binary(rng, odd - 0.5 + 0.3 * x[:, 2], gain=5.0)


def mixed(rng: Generator, num: int) -> Values:
    x, codes = normal(rng, num, 6), categories(rng, num, (3, 5, 8, 12, 30))
    score = scaled(trees(rng, x) + effects(rng, codes))
    return {**named(holed(rng, x, 0.1)), **words(codes)}, binary(rng, score, gain=3.0, share=0.3)


def mixed_number(rng: Generator, num: int) -> Values:
    x, codes = normal(rng, num, 4), categories(rng, num, (2, 4, 6, 20))
    score = network(rng, x) * (1 + 0.5 * (codes[:, 0] > 0)) + effects(rng, codes)
    return {**named(x), **words(codes)}, np.exp(noisy(rng, 0.6 * scaled(score), 0.3))


def only_words(rng: Generator, num: int) -> Values:
    codes = categories(rng, num, (3, 4, 6, 8, 10, 15, 25, 40))
    return words(codes), classes(noisy(rng, effects(rng, codes), 0.4), 4)


def rare(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 15)
    return named(x), binary(rng, scaled(network(rng, x) + trees(rng, x)), gain=4.0, share=0.06)


def heavy_tails(rng: Generator, num: int) -> Values:
    x = rng.standard_t(1.8, (num, 8))
    score = network(rng, np.sign(x) * np.log1p(np.abs(x)))
    return named(x), noisy(rng, score, 0.4)


def wrong_labels(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 8)
    said = binary(rng, network(rng, x), gain=20.0)
    return named(x), np.where(rng.random(num) < 0.2, np.where(said == "yes", "no", "yes"), said)


def haystack(rng: Generator, num: int) -> Values:
    x = normal(rng, num, 50)
    return named(x), binary(rng, network(rng, x[:, 10:14]), gain=5.0)


def clouds(rng: Generator, num: int) -> Values:
    which = rng.integers(0, 20, num)
    x = normal(rng, 20, 16)[which] * 1.1 + normal(rng, num, 16)
    return named(x), np.array([f"k{code % 8}" for code in which])


def counts(rng: Generator, num: int) -> Values:
    hour, x = rng.integers(0, 24, num), normal(rng, num, 5)
    rate = np.exp(1.2 + np.sin(hour / 24 * 2 * np.pi) + 0.7 * np.sin(hour / 6 * np.pi) + 0.5 * network(rng, x))
    return {"hour": hour.astype(float), **named(x)}, rng.poisson(rate).astype(float)


def zeros(rng: Generator, num: int) -> Values:
    x = np.where(rng.random((num, 12)) < 0.75, 0.0, np.round(np.exp(1 + normal(rng, num, 12)), 1))
    return named(x), binary(rng, trees(rng, np.log1p(x), count=30, depth=2), gain=4.0, share=0.4)


def many_rows(rng: Generator, num: int) -> Values:
    x, codes = normal(rng, num, 10), categories(rng, num, (4, 9))
    score = scaled(network(rng, x, gain=2.5) + trees(rng, x) + 0.5 * effects(rng, codes))
    return {**named(x), **words(codes)}, classes(noisy(rng, score, 0.2), 3)


# Tables that come with scikit-learn -----------------------------------------------------------------------------------


def _real(name: str) -> tuple[dict[str, np.ndarray], np.ndarray]:
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return named(x), y


def _classes_of(codes: np.ndarray) -> np.ndarray:
    return np.array([f"k{code}" for code in codes])


def iris(rng: Generator, num: int) -> Values:
    columns, y = _real("iris")
    return columns, _classes_of(y)


def wine(rng: Generator, num: int) -> Values:
    columns, y = _real("wine")
    return columns, _classes_of(y)


def breast_cancer(rng: Generator, num: int) -> Values:
    columns, y = _real("breast_cancer")
    return columns, _classes_of(y)


def digits(rng: Generator, num: int) -> Values:
    columns, y = _real("digits")
    return columns, _classes_of(y)


def diabetes(rng: Generator, num: int) -> Values:
    return _real("diabetes")


def wine_alcohol(rng: Generator, num: int) -> Values:
    """The first column from the others, as a regression on few real rows."""
    columns, _ = _real("wine")
    return columns, columns.pop("x0")


def cancer_texture(rng: Generator, num: int) -> Values:
    """The mean texture from the columns that do not measure texture."""
    columns, _ = _real("breast_cancer")
    target = columns.pop("x1")
    return {name: own for name, own in columns.items() if name not in ("x11", "x21")}, target


def digits_odd(rng: Generator, num: int) -> Values:
    columns, y = _real("digits")
    return columns, np.where(y % 2 == 1, "odd", "even")


REAL: Sequence[Callable[[Generator, int], Values]] = (
    iris, wine, breast_cancer, digits, diabetes, wine_alcohol, cancer_texture, digits_odd,
)  # fmt: skip
DRAWN: Mapping[Any, int] = {
    linear_few: 300, smooth: 1000, steps: 3000, waves: 1500, mixed: 4000, linear_noisy: 800, only_words: 1500,
    heavy_tails: 1200, rare: 3000, wrong_labels: 900, rotated: 1500, steps_number: 1500, haystack: 600, checkers: 1000,
    counts: 1200, mixed_number: 1200, steps_few: 500, zeros: 3000, clouds: 1500, many_rows: 8000,
}  # fmt: skip
TASKS: dict[str, Task] = {make.__name__: Task(make) for make in REAL} | {
    make.__name__: Task(make, rows) for make, rows in DRAWN.items()
}
