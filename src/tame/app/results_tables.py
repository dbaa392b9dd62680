"""Tables of results as trials: one row per trial, one column of results, the others hyperparameters."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import SupportsFloat

import numpy as np

from tame.app.foreign_study import ForeignStudy, ForeignTrial, Mode, State, finite
from tame.core.config import METRIC_MODES
from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.recipe import Value
from tame.core.space import Choice, Dimension, Float, Int
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable

VALUE_NAMES = ("value", "values_0", "objective", "score", "metric")  # of the column with the results
LOG_FROM = 100.0  # a positive column whose largest value is at least so many times its smallest gets a log scale
FEW = 6  # at most so many different numbers make a choice, if each occurs three times on average
STATES = {"complete", "pruned", "fail", "running", "waiting"}  # in Optuna's words
MISSING = ("", "nan", "none", "null", "na")


def read_results(path: Path, *, metric: str | None) -> ForeignStudy:
    """The rows of a CSV or Parquet file, each a trial: one column of results, the others hyperparameters.

    A table written by Optuna's `trials_dataframe` has its hyperparameters in the columns params_*. A column "state"
    with Optuna's states is used in any table. Errors as in `read_foreign`.
    """
    table = read_raw(path)
    result = _result_column(table, path, metric)
    optunas = [name for name in table.names if name.startswith("params_")]
    states = [str(cell).lower() for cell in _cells(table.columns["state"])] if "state" in table.names else []
    states = states if optunas or set(states) <= STATES else []
    aside = {result, *(("number",) if optunas else ()), *(("state",) if states else ())}
    taken = optunas or [name for name in table.names if name not in aside]
    require(bool(taken), f"{path} has no column besides {result!r}; give one per hyperparameter", error=DataError)
    columns = {name.removeprefix("params_") if optunas else name: _cells(table.columns[name]) for name in taken}
    values = [_number_of(cell) for cell in _cells(table.columns[result])]
    trials, left_out = [], 0
    for row, value in enumerate(values):
        state = states[row] if states else "complete"
        if value is None or state not in ("complete", "pruned"):
            left_out += 1
            continue
        params = {name: cell for name, cells in columns.items() if (cell := cells[row]) is not None}
        own: State = "complete" if state == "complete" else "stopped"
        trials.append(ForeignTrial(row, params, value, (), own))
    none = f"{path} has no row with a finite number in {result!r}, so there is nothing to import"
    require(bool(trials), none, error=DataError)
    dims = {name: _spread([t.params[name] for t in trials if name in t.params]) for name in columns}
    known = {name: dim for name, dim in dims.items() if dim is not None}
    called = metric or result
    mode: Mode | None = None if called not in METRIC_MODES else "min" if METRIC_MODES[called] == "min" else "max"
    notes = tuple(f"the column {note}" for note in table.notes if " is left out: " in note)
    return ForeignStudy(str(path), "table", path.stem, called, mode, known, tuple(trials), left_out, notes)


def _spread(values: Sequence[Value]) -> Dimension | None:
    """A dimension that covers the values of a column; None if there are none."""
    different = {repr(value): value for value in values}
    numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    if not values:
        return None
    if len(numbers) < len(values) or len(different) == 1 or (len(different) <= FEW <= len(values) / 3):
        return Choice(*sorted(different.values(), key=lambda v: (isinstance(v, str), v)))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= LOG_FROM
    if all(isinstance(each, int) for each in numbers):
        return Int(int(low), int(high), log)
    return Float(float(low), float(high), log)


def _result_column(table: RawTable, path: Path, metric: str | None) -> str:
    if metric is not None:
        if metric not in table.names:
            raise UsageError(unknown("column", metric, table.names))
        return metric
    found = [name for name in (*VALUE_NAMES, *METRIC_MODES) if name in table.names]
    names = ", ".join(table.names[:20])
    missing = f"which column of {path} contains the results? Name it with --metric (columns: {names})"
    require(len(found) == 1 or found[:1] == ["value"], missing)
    return found[0]


def _cells(column: np.ndarray) -> list[Value | None]:
    """The cells of a column as plain values: all numbers if all are, else all text."""
    raw = [each.item() if isinstance(each, np.generic) else each for each in column]
    if any(not isinstance(each, str) for each in raw):
        return [_typed(each) for each in raw]
    texts = [None if each.strip().lower() in MISSING else each.strip() for each in raw]
    known = [text for text in texts if text is not None]
    if known and all(re.fullmatch(r"[+-]?[0-9]{1,15}", text) for text in known):
        return [None if text is None else int(text) for text in texts]
    if known and all(text.lower() in ("true", "false") for text in known):
        return [None if text is None else text.lower() == "true" for text in texts]
    numbers = [None if text is None else _number_of(text) for text in texts]
    if all((number is None) == (text is None) for number, text in zip(numbers, texts, strict=True)):
        return list(numbers)
    return list(texts)


def _typed(cell: object) -> Value | None:
    """A cell of a Parquet file as a plain value."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return None
    return cell if isinstance(cell, bool | int | float | str) else str(cell)


def _number_of(cell: object) -> float | None:
    try:
        return finite(float(cell)) if isinstance(cell, SupportsFloat | str) else None
    except (TypeError, ValueError):
        return None
