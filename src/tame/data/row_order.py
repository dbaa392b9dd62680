"""Whether the place of a row in its file tells of its target, as it does where rows were gathered over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from tame.data.unseen import Aim, Values, beyond, binned, explained, losses_of_none, losses_of_one

LEAST_ROWS = 200
LEAST_SHARE = 0.1  # of the loss of guessing, that the place takes away out of fold: many tables drift a little
FEWEST, MOST, ROWS_OF_EACH = 8, 32, 50  # stretches of the file, and how many rows each should have
LEVEL = 0.02  # chance of so large a gain, if losses were not out of fold, where chance gives hardly any
PARTS = 10  # of the file, that are compared in words
# Labels that come in blocks, as in a file that was sorted by them, say how the file was written and not how the rows
# came about: within a stretch of such a file labels change far less often than by chance.
LEAST_CHANGES, LEAST_MIXED = 0.5, 0.05
SORTED = 0.95  # rank correlation of place and number, from which on the file was sorted by it


@dataclass(frozen=True, slots=True)
class OrderTells:
    """told: the share of the loss of guessing that the place takes away. number: the class that changes most, None of
    numbers; low, high: where it is rarest and most frequent: first and last row, and the share there, or the mean."""

    told: float
    number: int | None
    low: tuple[int, int, float]
    high: tuple[int, int, float]


def order_tells(aim: Aim) -> OrderTells | None:
    """What the place of a row tells of its target; None if no more than chance does, or if the file is sorted by it.

    aim: of the rows in their order. Told is the share of the log loss, or of the squared error, of guessing that goes
    away out of fold when the stretch of the file that a row is in is known.
    """
    num = len(aim.values)
    if num < LEAST_ROWS:
        return None
    places = binned(Values("place", np.arange(num, dtype=np.float64)), bins=min(max(num // ROWS_OF_EACH, FEWEST), MOST))
    none, losses = losses_of_none(aim), losses_of_one(places, aim)
    told, apart = explained(losses, none), none - losses
    sure = float(apart.mean()) > beyond(1, level=LEVEL) * float(apart.std()) / num**0.5
    if not sure or told < LEAST_SHARE or _is_sorted(aim, places):
        return None
    parts = np.array_split(np.arange(num), PARTS)
    wanted = np.eye(aim.num_classes)[aim.values] if aim.num_classes else aim.values[:, None].astype(float)
    means = np.stack([wanted[part].mean(axis=0) for part in parts])
    most = int(np.ptp(means, axis=0).argmax())
    low, high = (int(at) for at in (means[:, most].argmin(), means[:, most].argmax()))
    ends = [(int(parts[i][0]), int(parts[i][-1]), float(means[i, most])) for i in (low, high)]
    return OrderTells(told, most if aim.num_classes else None, ends[0], ends[1])


def _is_sorted(aim: Aim, places: np.ndarray) -> bool:
    """Whether the rows were put in the order of their targets, or in blocks of one class."""
    if not aim.num_classes:
        return abs(float(spearmanr(np.arange(len(places)), aim.values).statistic)) >= SORTED
    sizes = np.zeros((int(places.max()) + 1, aim.num_classes))
    np.add.at(sizes, (places, aim.values), 1)
    many = sizes.sum(axis=1)
    # Of n rows in any order, each of the n - 1 neighbours is of another class as often as two rows drawn at random.
    by_chance = float((many - (sizes * (sizes - 1)).sum(axis=1) / np.maximum(many, 1) - 1).clip(0).sum())
    changes = int(((np.diff(aim.values) != 0) & (np.diff(places) == 0)).sum())
    return by_chance < LEAST_MIXED * len(places) or changes < LEAST_CHANGES * by_chance
