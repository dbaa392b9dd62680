"""Trials of other programs as values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.recipe import Value
from tame.core.space import Dimension

Mode = Literal["min", "max"]
State = Literal["complete", "stopped"]


@dataclass(frozen=True, slots=True)
class ForeignTrial:
    """A finished trial. steps: (step, value), ascending; value: None if it is not finite."""

    number: int
    params: Mapping[str, Value]
    value: float | None
    steps: tuple[tuple[int, float | None], ...]
    state: State


@dataclass(frozen=True, slots=True)
class ForeignStudy:
    """Trials with their space. kind: optuna, journal or table; mode: None if unknown."""

    source: str
    kind: str
    name: str
    metric: str
    mode: Mode | None
    dimensions: Mapping[str, Dimension]
    trials: tuple[ForeignTrial, ...]
    left_out: int  # trials that did not finish normally
    notes: tuple[str, ...] = ()  # about columns of a table that cannot be used


def choose(path: Path, names: Sequence[str], wanted: str | None) -> str:
    """The study of this name, or the only one. Raises UsageError for an unknown name, DataError if there is none."""
    require(bool(names), f"{path} contains no study", error=DataError)
    if wanted is not None:
        if wanted not in names:
            raise UsageError(unknown("study", wanted, names))
        return wanted
    listed = ", ".join(map(repr, names[:20]))
    require(len(names) == 1, f"{path} contains {len(names)} studies; choose one with --study NAME: {listed}")
    return names[0]


def plain_value(value: object) -> Value:
    """A value that a recipe can hold: None and values that are not plain become text."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return "none" if value is None else str(value)


def finite(value: object) -> float | None:
    """The number; None if it is not finite or not a number."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
