"""Costs of confusing classes: read from text or a file, and what predictions cost."""

from __future__ import annotations

import csv
import math
import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tame.core.errors import UsageError, require, unknown


def parse_costs(text: str, classes: Sequence[str]) -> list[list[float]]:
    """The costs (C, C), row the true class, column the predicted one, both in the order of `classes`.

    text: "pizza>bread=0.2, cat>dog=3", true class > predicted class, where a confusion that is not named costs 1; or
    the path of a CSV file in UTF-8 whose header and first column name the classes, in any order.
    Raises UsageError for an unknown class (with the nearest one), a cost that is negative, not finite or not there,
    a right answer that costs something, and a file that cannot be read.
    """
    path = os.path.expanduser(text.strip())
    # os.path, for Path.is_file raises where the text is longer than a file's name can be.
    costs = _from_file(Path(path), classes) if os.path.isfile(path) else _from_text(text, classes)
    require(any(map(any, costs)), "every cost is 0, so that no answer would be wrong; give some confusions a cost")
    return costs


def expected_cost(
    matrix: Sequence[Sequence[float]] | np.ndarray, target: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """What each prediction costs; their mean is the expected cost. matrix: (C, C), row the true class.

    target, predicted: (n,) class numbers. Returns (n,) float64. Raises UsageError where the shapes differ or a number
    is no class.
    """
    costs = np.asarray(matrix, dtype=np.float64)
    true, said = np.asarray(target), np.asarray(predicted)
    require(true.shape == said.shape, f"need as many targets as predictions, got {true.shape} and {said.shape}")
    inside = all(((part >= 0) & (part < len(costs))).all() for part in (true, said))
    require(inside, f"class numbers must be 0 to {len(costs) - 1}")
    return np.asarray(costs[true, said])


def _from_text(text: str, classes: Sequence[str]) -> list[list[float]]:
    place = {name: number for number, name in enumerate(classes)}
    costs = [[float(row != column) for column in range(len(classes))] for row in range(len(classes))]
    seen: set[tuple[str, str]] = set()
    for part in text.split(","):
        pair, equals, cost = part.rpartition("=")
        names = [name.strip() for name in pair.split(">")]
        if not equals or len(names) != 2:
            way = 'write "true>predicted=2, ...", or the path of a CSV file, which takes class names of any form'
            raise UsageError(f"cannot read the costs {part.strip()!r}, and no file has that name: {way}")
        true, predicted = names
        for name in names:
            if name not in place:
                raise UsageError(unknown("class", name, place))
        require((true, predicted) not in seen, f"the cost of {true}>{predicted} is given twice")
        seen.add((true, predicted))
        costs[place[true]][place[predicted]] = _cost(cost, true=true, predicted=predicted)
    return costs


def _from_file(path: Path, classes: Sequence[str]) -> list[list[float]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"{path} cannot be read as a CSV file: {problem}") from None
    lines = [line for line in lines if any(line)]
    require(bool(lines), f"{path} is empty; its header must name the classes")
    header = lines[0][1:]
    _check_names(header, classes, where=f"{path}, header")
    _check_names([line[0] for line in lines[1:]], classes, where=f"{path}, first column")
    found: dict[tuple[str, str], float] = {}
    for true, *cells in lines[1:]:
        if len(cells) != len(header):
            raise UsageError(
                f"{path}: the row of {true} has {len(cells)} costs, the header names {len(header)} classes"
            )
        for predicted, cell in zip(header, cells, strict=True):
            found[true, predicted] = _cost(cell, true=true, predicted=predicted, where=f"{path}: ")
    return [[found[true, predicted] for predicted in classes] for true in classes]


def _check_names(names: Sequence[str], classes: Sequence[str], *, where: str) -> None:
    """Raises UsageError unless the names are the classes, each once."""
    count, known = Counter(names), set(classes)
    for name in names:
        if name not in known:
            raise UsageError(f"{where}: {unknown('class', name, classes)}")
    twice = [name for name in count if count[name] > 1]
    require(not twice, f"{where}: {', '.join(twice)} is there more than once")
    missing = [name for name in classes if name not in count]
    require(not missing, f"{where}: {', '.join(missing)} is missing")


def _cost(text: str, *, true: str, predicted: str, where: str = "") -> float:
    what = f"{where}the cost of {true}>{predicted}"
    try:
        cost = float(text)
    except ValueError:
        raise UsageError(f"{what} must be a number, got {text.strip()!r}") from None
    require(math.isfinite(cost) and cost >= 0, f"{what} must be finite and 0 or more, got {text.strip()}")
    require(true != predicted or cost == 0, f"{what} must be 0, for it is the right answer; got {text.strip()}")
    return cost
