"""Columns that nearly give the target away: alone they tell far more of it than all others together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.data.unseen import (
    Aim,
    Values,
    beyond,
    binned,
    explained,
    losses_of_all,
    losses_of_line,
    losses_of_none,
    losses_of_one,
    predictions_of_all,
)

LEAST_ROWS = 50
CLASS_SHARE, NUMBER_SHARE = 0.5, 0.8  # of the loss of guessing, that a column takes away by itself
# What all others take away together, in shares of what the column does. Several such columns may be one fact told
# twice, as two sizes of a flower are: with all of them gone, the rest must tell hardly anything.
OTHERS, OTHERS_OF_SEVERAL = 0.7, 0.3
LEFT = 0.5  # or it leaves half of what they leave, at most
MOST_CLASSES = 100
FINE = 64  # bins for a target of numbers


@dataclass(frozen=True, slots=True)
class Telling:
    """A column that tells nearly all. own, others: the share of the loss of guessing that it and all others take away;
    right: the share of rows whose class it gives, None of numbers."""

    column: str
    own: float
    others: float
    right: float | None


def telling_columns(columns: Sequence[Values], aim: Aim, *, seed: int) -> list[Telling]:
    """The columns that nearly give the target away, the most telling first.

    Such a column takes away at least half of the loss of guessing out of fold (of squared errors four fifths), and all
    other columns together do less, by more than their noise. Where every column of a table tells much, as measurements
    of one thing do, none gives it away.
    """
    if len(aim.values) < LEAST_ROWS or aim.num_classes > MOST_CLASSES:
        return []
    none = losses_of_none(aim)
    least = CLASS_SHARE if aim.num_classes else NUMBER_SHARE
    alone = {column.name: _alone(column, aim) for column in columns}
    own = {name: explained(losses, none) for name, losses in alone.items()}
    strong = [column for column in columns if own[column.name] >= least]
    z, found = beyond(len(columns)), []
    for column in strong[:3]:
        others = _others(columns, [column], aim, none, seed=seed)
        rest, one = explained(others, none), own[column.name]
        if (rest <= OTHERS * one or 1 - one <= LEFT * (1 - rest)) and _is_less(alone[column.name], others, z):
            found.append((column, rest))
    if not found and 2 <= len(strong) < len(columns):
        others = _others(columns, strong, aim, none, seed=seed)
        rest = explained(others, none)
        found = [
            (column, rest)
            for column in strong
            if rest <= OTHERS_OF_SEVERAL * own[column.name] and _is_less(alone[column.name], others, z)
        ]
    told = [Telling(c.name, own[c.name], max(rest, 0.0), _right(c, aim)) for c, rest in found]
    return sorted(told, key=lambda each: -each.own)


def _alone(column: Values, aim: Aim) -> np.ndarray:
    """(N,) the losses of a column by itself, in bins or, of numbers, by a line, whichever is better."""
    losses = losses_of_one(binned(column, bins=FINE if not aim.num_classes else 32), aim)
    if aim.num_classes or not column.is_number:
        return losses
    line = losses_of_line(column.values, aim)
    return line if line.mean() < losses.mean() else losses


def _others(
    columns: Sequence[Values], without: Sequence[Values], aim: Aim, none: np.ndarray, *, seed: int
) -> np.ndarray:
    """(N,) the losses of all other columns together; those of guessing where there are none, or they do no better."""
    names = {column.name for column in without}
    rest = [column for column in columns if column.name not in names]
    if not rest:
        return none
    losses = losses_of_all(predictions_of_all(rest, aim, seed=seed), aim)
    return losses if losses.mean() < none.mean() else none


def _is_less(one: np.ndarray, other: np.ndarray, z: float) -> bool:
    """Whether the mean of paired losses is lower by more than z of its standard errors."""
    apart = other - one
    return float(apart.mean()) > z * float(apart.std()) / math.sqrt(len(apart))


def _right(column: Values, aim: Aim) -> float | None:
    """The share of rows whose class is the commonest of their bin; None of numbers."""
    if not aim.num_classes:
        return None
    codes = binned(column)
    counts = np.zeros((int(codes.max()) + 1, aim.num_classes))
    np.add.at(counts, (codes, aim.values), 1)
    return float(counts.max(axis=1).sum() / len(codes))
