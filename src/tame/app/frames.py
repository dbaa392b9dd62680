"""The trials and curves of a study as frames."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tame.core.errors import UsageError, unknown
from tame.core.records import History, Trial

FRAMES = ("pandas", "arrow")


def trials_frame(history: History, frame: str) -> Any:
    """A row for each trial: what became of it, its values, and the fields of its recipe, those first that vary.

    Raises UsageError for another frame, and where pandas is not installed.
    """
    every = [trial for _, trial in sorted(history.trials.items())]
    flat = [trial.recipe.flat() for trial in every]
    names = list(dict.fromkeys(name for each in flat for name in each))
    columns: dict[str, list[object]] = {
        "trial": [trial.number for trial in every],
        "origin": [str(trial.origin) for trial in every],
        "state": [trial.state for trial in every],
        "epochs": [trial.epochs for trial in every],
        "train_loss": [_judged(trial, "train_loss") for trial in every],
        "valid_loss": [_judged(trial, "valid_loss") for trial in every],
        "valid_metric": [_judged(trial, "valid_metric") for trial in every],
        "reason": [trial.reason for trial in every],
        "last_reason": [trial.last_reason for trial in every],
    }
    fields = {name: _alike([each.get(name) for each in flat]) for name in names}
    varying = [name for name, values in fields.items() if any(value != values[0] for value in values)]
    told = {f"recipe.{name}": fields[name] for name in dict.fromkeys((*varying, *names))}
    return _framed({**columns, **told}, frame)


def curves_frame(history: History, frame: str) -> Any:
    """A row for each epoch of each trial. Errors as of `trials_frame`."""
    points = [(number, point) for number, trial in sorted(history.trials.items()) for point in trial.curve.points]
    columns: dict[str, list[object]] = {
        "trial": [number for number, _ in points],
        "epoch": [point.epoch for _, point in points],
        "train_loss": [point.train_loss for _, point in points],
        "valid_loss": [point.valid_loss for _, point in points],
        "valid_metric": [point.valid_metric for _, point in points],
        "valid_error": [point.valid_error for _, point in points],
    }
    return _framed(columns, frame)


NUMBERS = ("train_loss", "valid_loss", "valid_metric", "valid_error")  # None in them is a missing number


def _framed(columns: Mapping[str, Sequence[object]], frame: str) -> Any:
    if frame not in FRAMES:
        raise UsageError(unknown("frame", frame, FRAMES))
    own = {name: pa.array(values, pa.float64() if name in NUMBERS else None) for name, values in columns.items()}
    table = pa.table(own)
    if frame == "arrow":
        return table
    try:
        return table.to_pandas()
    except ImportError:
        mend = "pip install pandas, or take frame='arrow', which polars.from_arrow and others read"
        raise UsageError(f"pandas is not installed: {mend}") from None


def _judged(trial: Trial, name: str) -> float | None:
    value: float | None = getattr(trial.judged, name, None)
    return value


def _alike(values: Sequence[object]) -> list[object]:
    """The values of a column; as texts where some are texts and others are not."""
    kinds = {isinstance(value, str) for value in values if value is not None}
    return [None if value is None else str(value) for value in values] if len(kinds) > 1 else list(values)
