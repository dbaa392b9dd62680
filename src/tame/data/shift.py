"""Whether parts of the data differ: whether their inputs can be told apart, and by which column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.data.unseen import (
    Aim,
    Values,
    area,
    beyond,
    binned,
    folds_of,
    predictions_of_all,
)

LEAST_ROWS = 30  # of each part
LEAST_AREA = 0.6  # below it, what differs hardly matters: half of all pairs are put in order by chance
MOST_NAMED = 5


@dataclass(frozen=True, slots=True)
class Shift:
    """Two parts that can be told apart. area: under the ROC curve of a model that tells them, out of fold; error: its
    standard error; columns: those by which it can, the clearest first, each with its own area."""

    area: float
    error: float
    columns: tuple[tuple[str, float], ...]


def shift_between(columns: Sequence[Values], is_later: np.ndarray, groups: np.ndarray, *, seed: int) -> Shift | None:
    """How far the rows in is_later (N,) differ from the others by their inputs; None where that was not shown.

    Shown is what exceeds chance by more than its noise, of the model of all columns or of a single one, counting how
    many were looked at. Source: Lopez-Paz and Oquab, Revisiting classifier two-sample tests (2017).
    """
    num_later = int(is_later.sum())
    if min(num_later, len(is_later) - num_later) < LEAST_ROWS or not columns:
        return None
    aim = Aim(is_later.astype(np.int64), 2, folds_of(groups, is_later.astype(np.int64), seed=seed))
    z, named = beyond(len(columns) + 1), []
    for column in columns:
        value, error = area(_by_one(binned(column), aim), is_later)
        if value >= LEAST_AREA and value - z * error > 0.5:
            named.append((column.name, value, error))
    named.sort(key=lambda each: -each[1])
    value, error = area(predictions_of_all(columns, aim, seed=seed)[:, 1], is_later)
    if named and named[0][1] > value:
        _, value, error = named[0]
    if value < LEAST_AREA or value - z * error <= 0.5:
        return None
    return Shift(value, error, tuple((name, own) for name, own, _ in named[:MOST_NAMED]))


def _by_one(codes: np.ndarray, aim: Aim) -> np.ndarray:
    """(N,) how likely each row is a later one by the rows of its code in other folds."""
    num, folds = int(codes.max()) + 1, int(aim.folds.max()) + 1
    cell = aim.folds * num + codes
    counts = np.bincount(cell, minlength=folds * num).reshape(folds, num).astype(float)
    later = np.bincount(cell, weights=aim.values, minlength=folds * num).reshape(folds, num)
    counts, later = counts.sum(axis=0) - counts, later.sum(axis=0) - later
    mean = later.sum(axis=1, keepdims=True) / counts.sum(axis=1, keepdims=True)
    return np.asarray(((later + mean) / (counts + 1))[aim.folds, codes])
