"""The target of arrays given from Python: which task it is, its classes, and shares of classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.rng import stream
from tame.data.labels import lookalikes, numbers_in_order

MOST_CLASSES = 10  # different whole numbers that are taken for classes
HAIR = 1e-6  # of a probability; below what matters, above what float32 rounds off
LARGEST = float(np.finfo(np.float32).max)  # networks compute in float32; what is beyond counts as infinite
TASKS = ("auto", "classification", "regression")
NAMED = 5  # columns that a note names before it says how many more
SUM_WITHIN = 1e-3  # of 1, that a row of probabilities must come to


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What is to be predicted. values: (N,) int64 codes into classes, or (N,) float64 of a regression.

    shares: of rows of probabilities, (N, C) float64 with a sum of 1 each; `values` are then the likeliest classes.
    """

    task: Literal["classification", "regression"]
    why: str
    classes: tuple[str, ...]  # sorted: as numbers if they are numbers, else as text; of rows, the columns' names
    values: np.ndarray
    shares: np.ndarray | None = None


def task_of(y: np.ndarray, *, task: str = "auto", names: Sequence[str] = ()) -> Target:
    """What `y` asks for, unless `task` says it.

    y, names: as in `Arrays`. Texts, booleans and two different values are classes; other numbers that are not whole are
    a regression; whole numbers are classes if there are at most MOST_CLASSES of them, else a regression. Rows that sum
    to 1 are probabilities of classes, and plain classes if they are one-hot. Raises UsageError for an unknown task,
    DataError if y does not fit it or holds one value only.
    """
    if task not in TASKS:
        raise UsageError(unknown("task", task, TASKS))
    if y.ndim == 2:
        return _task_of_rows(y, task, names or tuple(map(str, range(y.shape[1]))))
    found, codes = np.unique(y, return_inverse=True)
    require(len(found) > 1, f"every y is {_shown(found[0])}: there is nothing to learn", error=DataError)
    auto, why = _auto(found)
    if task == "auto":
        task = auto
    else:
        why = f"task={task} was asked for"
    if task == "regression":
        require(y.dtype.kind in "iuf", f"y holds {word_for(y)}, and a regression needs numbers", error=DataError)
        numbers = y.astype(np.float64)
        beyond = np.abs(numbers) > LARGEST
        if beyond.any():
            where = f"y holds {numbers[beyond][0]:.3g} in row {int(beyond.argmax())}"
            raise DataError(f"{where}, which is beyond {LARGEST:.1e}: divide y by a number, or take its logarithm")
        return Target("regression", why, (), numbers)
    if y.dtype.kind == "U":
        twins = lookalikes(map(str, found))
        ask = "one class or two? Write them alike, or give numbers for the classes to keep them apart"
        require(twins is None, f"y holds {' and '.join(map(ascii, twins or ()))}: {ask}", error=DataError)
    most = int(np.bincount(codes).max())
    require(most > 1, f"y has {len(found)} classes of one row each: none can be trained on", error=DataError)
    codes, classes = numbers_in_order(codes.astype(np.int64), tuple(_shown(each) for each in found))
    return Target("classification", why, classes, codes)


def _auto(found: np.ndarray) -> tuple[str, str]:
    """The task for these different values, and why."""
    num = len(found)
    if found.dtype.kind not in "iuf":
        return "classification", f"y holds {word_for(found)}"
    if num == 2:
        return "classification", "y has two different values"
    if found.dtype.kind == "f" and (found != np.round(found)).any():
        return "regression", "y holds numbers that are not whole"
    if num <= MOST_CLASSES:
        return "classification", f"y has {num} different whole numbers, at most {MOST_CLASSES}"
    return "regression", f"y has {num} different whole numbers, more than {MOST_CLASSES}"


def _task_of_rows(y: np.ndarray, task: str, names: Sequence[str]) -> Target:
    """The task of rows of probabilities, (N, C)."""
    require(task != "regression", "a regression needs y with one number a row", error=DataError)
    sums = y.sum(axis=1)
    wrong = (y < 0).any(axis=1) | (np.abs(sums - 1) > SUM_WITHIN)
    if wrong.any():
        row = int(np.argmax(wrong))
        found = f"holds {y[row].min():.6g}" if (y[row] < 0).any() else f"sums to {sums[row]:.6g}"
        raise DataError(
            f"row {row} of y {found} ({int(wrong.sum()):,} such rows): with {y.shape[1]} columns y must hold "
            "probabilities of classes, 0 or more, that sum to 1 in each row; to predict one number or class, give y "
            "with one value a row"
        )
    twice = [name for name, times in Counter(names).items() if times > 1]
    require(not twice, f"y has more than one column named {listed(twice)}", error=DataError)
    require(bool((y != y[0]).any()), "every row of y is the same: there is nothing to learn", error=DataError)
    if bool(np.isin(y, (0, 1)).all()):
        return Target("classification", "y is one-hot", tuple(names), y.argmax(axis=1).astype(np.int64))
    why = "the rows of y are probabilities of classes: trained on as they are, right where the likeliest class is met"
    shares, tied = _without_ties(y / sums[:, None])
    if tied:
        why += f"; in {tied:,} rows several are the likeliest, and one of them, drawn, is taken for it"
    return Target("classification", why, tuple(names), shares.argmax(axis=1).astype(np.int64), shares)


def _without_ties(shares: np.ndarray) -> tuple[np.ndarray, int]:
    """The rows (N, C), of several likeliest classes one made likelier by a hair, and in how many rows that was so.

    Drawn, since the first of them would be right more often the further to the left its column stands.
    """
    likeliest = shares > shares.max(axis=1, keepdims=True) - HAIR / 2
    tied = likeliest.sum(axis=1) > 1
    places = np.where(likeliest, stream(0, "ties").random(shares.shape), -1.0).argmax(axis=1)
    found = shares.copy()
    found[tied, places[tied]] += HAIR
    found[tied] /= 1 + HAIR
    return found, int(tied.sum())


def _shown(value: object) -> str:
    """A class's name: whole numbers without a decimal point."""
    value = value.item() if isinstance(value, np.generic) else value
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def word_for(array: np.ndarray) -> str:
    return {"b": "booleans", "U": "text"}.get(array.dtype.kind, "numbers")


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(repr(name) for name in names[:NAMED]) + more
