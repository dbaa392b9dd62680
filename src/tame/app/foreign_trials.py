"""Trials of other programs, read and never changed: an Optuna storage (SQLite or journal), or a table of results.

Nothing is unpickled here. Optuna's own SQLite storage is not opened with Optuna, which would write to it; its journal
is replayed by Optuna, which keeps snapshots (the only thing it pickles) for storages in Redis alone.
"""

from __future__ import annotations

import json
import math
import os
import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.recipe import Value
from tame.core.space import Choice, Dimension, Float, Int
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable

Mode = Literal["min", "max"]
State = Literal["complete", "stopped"]
SQLITE_MAGIC = b"SQLite format 3\x00"
TABLES = {
    "studies": ("study_id", "study_name"),
    "study_directions": ("study_id", "direction", "objective"),
    "study_system_attributes": ("study_id", "key", "value_json"),
    "trials": ("trial_id", "number", "study_id", "state"),
    "trial_params": ("trial_id", "param_name", "param_value", "distribution_json"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_intermediate_values": ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
}  # of Optuna 3 and later
OLDER = "if it was written by Optuna 2, upgrade a copy: optuna storage upgrade --storage sqlite:///COPY"
VALUE_NAMES = ("value", "values_0", "objective", "score", "metric")  # of a table's column of results
LOG_FROM = 100.0  # a column of positive numbers whose ends are so many times apart is spread over its logarithm
FEW = 6  # different numbers in a column that are taken for a choice, where each comes up three times on average
STATES = {"complete", "pruned", "fail", "running", "waiting"}  # in Optuna's words
MISSING = ("", "nan", "none", "null", "na")


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


def read_foreign(source: str, *, study: str | None = None, metric: str | None = None) -> ForeignStudy:
    """The trials of a source: the path of an Optuna SQLite or journal file, sqlite:///PATH, or a CSV or Parquet table.

    study: which of several; metric: the column of a table that holds the results, else how the value is to be called.
    Raises DataError for what is missing, broken, empty or of another kind, UsageError for a name that is not there.
    """
    path = _path(source)
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}") from None
    if head.startswith(SQLITE_MAGIC):
        return read_sqlite(path, study=study, metric=metric)
    if head.lstrip()[:1] == b"{":
        return read_journal(path, study=study, metric=metric)
    require(study is None, f"{path} is a table of results and holds no named studies; leave out --study")
    return read_results(path, metric=metric)


def read_sqlite(path: Path, *, study: str | None, metric: str | None) -> ForeignStudy:
    """One study of an Optuna SQLite file, opened read-only. Errors as in `read_foreign`."""
    # Optuna's own classes would make missing tables, so that the rows are read here.
    uri = f"file:{quote(os.fsencode(path.resolve()))}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0"):
                connection.execute(f"PRAGMA {pragma}")
            _require_sound(connection, path)
            return _from_sqlite(connection, path, study, metric)
    except sqlite3.Error as problem:
        raise DataError(f"{path} is no database that can be read: {problem}; it was left as it is") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} holds text that is not UTF-8, so it is damaged; it was left as it is") from None


def _require_sound(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    require(found == "ok", f"{path} is damaged: {found}; it was left as it is", error=DataError)
    for table, columns in TABLES.items():
        kind = connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        own = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")}  # a name of ours
        is_there = kind == ("table",) and own >= set(columns)
        foreign = f"{path} is a database, but not an Optuna storage of version 3 or later: it has no table {table!r}"
        require(is_there, f"{foreign} with {', '.join(columns)}; {OLDER}", error=DataError)


def _from_sqlite(connection: sqlite3.Connection, path: Path, study: str | None, metric: str | None) -> ForeignStudy:
    known_studies = connection.execute("SELECT study_name, study_id FROM studies ORDER BY study_id").fetchall()
    names = {_text(path, "the name of a study", own): number for own, number in known_studies}
    name = choose(path, list(names), study)

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, (names[name],)).fetchall()

    directions = rows("SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective")
    mode = _mode(path, name, [str(row[0]) for row in directions])
    named = rows("SELECT value_json FROM study_system_attributes WHERE study_id = ? AND key = 'study:metric_names'")
    known: dict[str, Any] = {}
    params: dict[int, dict[str, Value]] = {}
    dists: dict[int, dict[str, Any]] = {}
    for trial, own, value, text in rows(_PARAMS):
        param = _text(path, "the name of a parameter", own)
        if text not in known:
            known[text] = _distribution(path, text)
        dists.setdefault(trial, {})[param] = known[text]
        params.setdefault(trial, {})[param] = _external(path, known[text], value)
    values = {trial: _stored(value, kind) for trial, value, kind in rows(_VALUES)}
    steps: dict[int, list[tuple[int, float | None]]] = {}
    for trial, step, value, kind in rows(_STEPS):
        steps.setdefault(trial, []).append((_whole(path, "a step", step), _stored(value, kind)))
    trials = rows("SELECT trial_id, number, state FROM trials WHERE study_id = ? ORDER BY number, trial_id")
    plain = [
        _Plain(
            place if number is None else _whole(path, "the number of a trial", number), str(state).lower(),
            params.get(trial, {}), dists.get(trial, {}), values.get(trial), tuple(steps.get(trial, ())),
        )
        for place, (trial, number, state) in enumerate(trials)
    ]  # fmt: skip
    called = metric or _first_name(named[0][0] if named else None) or "value"
    return _gathered(path, "optuna", name, called, mode, plain)


_PARAMS = """SELECT p.trial_id, p.param_name, p.param_value, p.distribution_json FROM trial_params p
    JOIN trials t ON t.trial_id = p.trial_id WHERE t.study_id = ?"""
_VALUES = """SELECT v.trial_id, v.value, v.value_type FROM trial_values v
    JOIN trials t ON t.trial_id = v.trial_id WHERE t.study_id = ? AND v.objective = 0"""
_STEPS = """SELECT i.trial_id, i.step, i.intermediate_value, i.intermediate_value_type
    FROM trial_intermediate_values i JOIN trials t ON t.trial_id = i.trial_id WHERE t.study_id = ? ORDER BY i.step"""


# What Optuna raises for lines of a journal that it did not write itself.
_ODD_LINES = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError, OSError)


def read_journal(path: Path, *, study: str | None, metric: str | None) -> ForeignStudy:
    """One study of an Optuna journal file, which is read and not locked. Errors as in `read_foreign`."""
    from optuna.exceptions import OptunaError
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        storage = JournalStorage(JournalFileBackend(str(path)))
        studies = {each.study_name: each for each in storage.get_all_studies()}
        name = choose(path, list(studies), study)
        own = studies[name]
        trials = storage.get_all_trials(own._study_id)
    except (OptunaError, *_ODD_LINES) as problem:
        said = f"{type(problem).__name__}: {problem}"[:200]
        raise DataError(f"{path} is no Optuna journal, or it is damaged: {said}; it was left as it is") from None
    mode = _mode(path, name, [direction.name for direction in own.directions])
    plain = [
        _Plain(
            t.number, t.state.name.lower(), {k: _plain_value(v) for k, v in t.params.items()}, dict(t.distributions),
            _finite(t.values[0]) if t.values else None,
            tuple((int(step), _finite(v)) for step, v in sorted(t.intermediate_values.items())),
        )
        for t in trials
    ]  # fmt: skip
    given = own.system_attrs.get("study:metric_names")
    called = metric or (str(given[0]) if isinstance(given, list) and given else "value")
    return _gathered(path, "journal", name, called, mode, plain)


def read_results(path: Path, *, metric: str | None) -> ForeignStudy:
    """The rows of a CSV or Parquet file, each a trial: one column of results, the others hyperparameters.

    Of a table that Optuna's `trials_dataframe` wrote the columns params_* are taken. A column "state" of Optuna's words
    is heeded in any table.
    Errors as in `read_foreign`.
    """
    table = read_raw(path)
    result = _result_column(table, path, metric)
    optunas = [name for name in table.names if name.startswith("params_")]
    states = [str(cell).lower() for cell in _cells(table.columns["state"])] if "state" in table.names else []
    states = states if optunas or set(states) <= STATES else []
    aside = {result, *(("number",) if optunas else ()), *(("state",) if states else ())}
    taken = optunas or [name for name in table.names if name not in aside]
    require(bool(taken), f"{path} has no column beside {result!r}; give one for each hyperparameter", error=DataError)
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
    none = f"{path} has no row with a finite number in {result!r}; nothing can be learnt from it"
    require(bool(trials), none, error=DataError)
    dims = {name: _spread([t.params[name] for t in trials if name in t.params]) for name in columns}
    known = {name: dim for name, dim in dims.items() if dim is not None}
    called = metric or result
    mode: Mode | None = None if called not in METRIC_MODES else "min" if METRIC_MODES[called] == "min" else "max"
    notes = tuple(f"the column {note}" for note in table.notes if " is left out: " in note)
    return ForeignStudy(str(path), "table", path.stem, called, mode, known, tuple(trials), left_out, notes)


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


@dataclass(frozen=True, slots=True)
class _Plain:
    """A trial of Optuna, finished or not. state: complete, pruned, fail, running or waiting."""

    number: int
    state: str
    params: Mapping[str, Value]
    distributions: Mapping[str, Any]
    value: float | None
    steps: tuple[tuple[int, float | None], ...]


def _gathered(path: Path, kind: str, name: str, metric: str, mode: Mode, plain: Sequence[_Plain]) -> ForeignStudy:
    """The trials that ended, complete or pruned, with a finite value. Raises DataError for none."""
    trials = []
    for each in plain:
        finite = [value for _, value in each.steps if value is not None]
        value = each.value if each.value is not None else finite[-1] if finite and each.state == "pruned" else None
        if each.state in ("complete", "pruned") and value is not None:
            state: State = "complete" if each.state == "complete" else "stopped"
            trials.append(ForeignTrial(each.number, each.params, value, each.steps, state))
    left_out = len(plain) - len(trials)
    none = f"the study {name!r} in {path} holds no finished trial with a value ({len(plain)} trials in all)"
    require(bool(trials), none, error=DataError)
    kept = {each.number for each in trials}
    found: dict[str, list[Any]] = {}
    for own in plain:
        if own.number in kept:
            for param, distribution in own.distributions.items():
                _require_number(path, param, own, distribution)
                found.setdefault(param, []).append(distribution)
    dims = {param: _dimension(path, param, several) for param, several in found.items()}
    require(bool(dims), f"the trials of {name!r} in {path} have no parameters", error=DataError)
    return ForeignStudy(str(path), kind, name, metric, mode, dims, tuple(trials), left_out)


def _require_number(path: Path, param: str, own: _Plain, distribution: Any) -> None:
    """Raises DataError for a value of a range that is no finite number, which SQLite keeps as any other."""
    value = own.params.get(param)
    good = hasattr(distribution, "choices") or _finite(value) is not None
    odd = f"{path} is damaged: {param!r:.200} of trial {own.number} is {value!r:.200}, which lies in no range"
    require(good, f"{odd}; it was left as it is", error=DataError)


def _dimension(path: Path, param: str, distributions: Sequence[Any]) -> Dimension:
    """One dimension that holds what all these distributions of Optuna hold. Raises DataError for what is no range."""
    try:
        return _joined(distributions)
    except UsageError as problem:
        raise DataError(f"{path} holds a distribution of {param!r:.200} that cannot be searched: {problem}") from None


def _joined(distributions: Sequence[Any]) -> Dimension:
    if any(hasattr(each, "choices") for each in distributions):
        values = [_plain_value(v) for each in distributions for v in getattr(each, "choices", ())]
        return Choice(*{repr(value): value for value in values}.values())
    low, high = min(each.low for each in distributions), max(each.high for each in distributions)
    if low == high:
        return Choice(low)
    log = all(each.log for each in distributions)
    if all(isinstance(each.low, int) for each in distributions):
        return Int(int(low), int(high), log)
    return Float(float(low), float(high), log)


def _spread(values: Sequence[Value]) -> Dimension | None:
    """A dimension that holds the values of a column of a table; None for no value."""
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


def _mode(path: Path, name: str, directions: Sequence[str]) -> Mode:
    several = f"the study {name!r} in {path} has {len(directions)} objectives; a study of TAME has one"
    require(len(directions) == 1, several, error=DataError)
    known: dict[str, Mode] = {"MINIMIZE": "min", "MAXIMIZE": "max"}
    unset = f"the study {name!r} in {path} has the direction {directions[0]!r}; minimize or maximize is needed"
    require(directions[0] in known, unset, error=DataError)
    return known[directions[0]]


def _distribution(path: Path, text: str) -> Any:
    from optuna.distributions import json_to_distribution

    try:
        return json_to_distribution(text)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        said = f"{type(problem).__name__}: {problem}"[:200]
        raise DataError(f"{path} holds a distribution that cannot be read ({said}): {text!r:.200}") from None


def _external(path: Path, distribution: Any, value: Any) -> Value:
    try:
        return _plain_value(distribution.to_external_repr(value))
    except (ValueError, IndexError, TypeError) as problem:
        raise DataError(f"{path} holds {value!r}, which is no value of {distribution}: {problem}") from None


def _plain_value(value: Any) -> Value:
    """A value as a recipe can hold it: None and what is no plain value become text."""
    if isinstance(value, bool | int | str) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return "none" if value is None else str(value)


def _text(path: Path, what: str, value: Any) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path} is damaged: {what} is {value!r:.200}, which is no text; it was left as it is")
    return value


def _whole(path: Path, what: str, value: Any) -> int:
    if not isinstance(value, int):
        raise DataError(f"{path} is damaged: {what} is {value!r:.200}, no whole number; it was left as it is")
    return value


def _stored(value: Any, kind: str) -> float | None:
    """A number as Optuna keeps it: its kind tells infinite ones and NaN."""
    return _finite(value) if kind == "FINITE" else None


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _first_name(text: str | None) -> str | None:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None  # a name for people, which a study may do without
    return str(found[0]) if isinstance(found, list) and found else None


def _result_column(table: RawTable, path: Path, metric: str | None) -> str:
    if metric is not None:
        if metric not in table.names:
            raise UsageError(unknown("column", metric, table.names))
        return metric
    found = [name for name in (*VALUE_NAMES, *METRIC_MODES) if name in table.names]
    names = ", ".join(table.names[:20])
    missing = f"which column of {path} holds the results? Name it with --metric (columns: {names})"
    require(len(found) == 1 or found[:1] == ["value"], missing)
    return found[0]


def _cells(column: np.ndarray) -> list[Value | None]:
    """The cells of a column as plain values: all numbers where all are, else all text."""
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


def _typed(cell: Any) -> Value | None:
    """A cell of a Parquet file as a plain value."""
    if cell is None or (isinstance(cell, float) and not math.isfinite(cell)):
        return None
    return cell if isinstance(cell, bool | int | float | str) else str(cell)


def _number_of(cell: Any) -> float | None:
    try:
        return _finite(float(cell))
    except (TypeError, ValueError):
        return None


def _path(source: str) -> Path:
    """The file of a path or of an address sqlite:///PATH. Raises UsageError for another address."""
    address = re.match(r"([a-zA-Z][a-zA-Z0-9+.-]*)://", source)
    if address is None:
        path = Path(source)
    else:
        way = "copy the study into a file with optuna.copy_study and import that"
        is_file = address[1].lower() in ("sqlite", "sqlite+pysqlite") and source[address.end() :].startswith("/")
        require(is_file, f"cannot read the address {address[0]}...: give a file or sqlite:///PATH; {way}")
        path = Path(source[address.end() + 1 :].partition("?")[0])
    require(path.exists(), f"there is no file {path}", error=DataError)
    require(path.is_file(), f"{path} is no file; give an Optuna storage, a journal or a table", error=DataError)
    return path
