"""The values that trials of other programs are read as."""

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
    """A finished trial. steps: (step, value), rising; value: None where it was not finite."""

    number: int
    params: Mapping[str, Value]
    value: float | None
    steps: tuple[tuple[int, float | None], ...]
    state: State


@dataclass(frozen=True, slots=True)
class ForeignStudy:
    """Trials with what they were searched over. kind: optuna, journal or table; mode: None where it is not known."""

    source: str
    kind: str
    name: str
    metric: str
    mode: Mode | None
    dimensions: Mapping[str, Dimension]
    trials: tuple[ForeignTrial, ...]
    left_out: int  # trials that had not ended well
    notes: tuple[str, ...] = ()  # of columns of a table that cannot be used


def choose(path: Path, names: Sequence[str], wanted: str | None) -> str:
    """The study that was asked for, or the only one. Raises UsageError for another name, DataError for none."""
    require(bool(names), f"{path} holds no study", error=DataError)
    if wanted is not None:
        if wanted not in names:
            raise UsageError(unknown("study", wanted, names))
        return wanted
    listed = ", ".join(map(repr, names[:20]))
    require(len(names) == 1, f"{path} holds {len(names)} studies; choose one with --study NAME: {listed}")
    return names[0]


def plain_value(value: object) -> Value:
    """A value as a recipe can hold it: None and what is no plain value become text."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return "none" if value is None else str(value)


def finite(value: object) -> float | None:
    """The number; None for one that is not finite, and for anything else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
