"""Studies in Optuna's storages, SQLite and journal files, read-only.

Nothing is unpickled. An SQLite storage is not opened with Optuna, because Optuna would write to it. A journal is
replayed by Optuna, which pickles only snapshots, and only in Redis storages.
"""

from __future__ import annotations

import json
import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tame.app.foreign_study import ForeignStudy, ForeignTrial, Mode, State, choose, finite, plain_value
from tame.core.errors import DataError, RefusedError, StorageError, UsageError, require
from tame.core.recipe import Value
from tame.core.space import Choice, Dimension, Float, Int
from tame.store.sqlite import copied, look_beside

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


TABLES = {
    "studies": ("study_id", "study_name"),
    "study_directions": ("study_id", "direction", "objective"),
    "study_system_attributes": ("study_id", "key", "value_json"),
    "trials": ("trial_id", "number", "study_id", "state"),
    "trial_params": ("trial_id", "param_name", "param_value", "distribution_json"),
    "trial_values": ("trial_id", "objective", "value", "value_type"),
    "trial_intermediate_values": ("trial_id", "step", "intermediate_value", "intermediate_value_type"),
}  # of Optuna 3 and later
MOST_BYTES = 2**22  # of one value: far more than Optuna writes, and a file of a few bytes may claim a gigabyte
OLDER = "if it was written by Optuna 2, upgrade a copy: optuna storage upgrade --storage sqlite:///COPY"


# No expression of the file is worked out: neither a check of a column nor, below, a column that is computed.
PRAGMAS = (
    "query_only = ON", "trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0", "ignore_check_constraints = ON",
)  # fmt: skip


def read_sqlite(path: Path, *, study: str | None, metric: str | None) -> ForeignStudy:
    """One study of an Optuna SQLite file, which stays as it is. Errors as in `read_foreign`.

    With a journal beside it, which SQLite would work off there, a copy of both is read. Raises RefusedError for one
    that leads elsewhere.
    """
    path = path.resolve()  # what lies beside a link is not what SQLite would use
    look_beside(path)
    if not any(path.with_name(f"{path.name}{end}").exists() for end in ("-journal", "-wal")):
        return _read(path, path, "ro", study, metric)
    with tempfile.TemporaryDirectory(prefix="tame-optuna-") as folder:
        copy = copied(path, Path(folder))
        if copy is None:
            raise StorageError(f"{path}: another process is changing it; import it again in a moment")
        look_beside(copy)
        return _read(copy, path, "rw", study, metric)


def _read(file: Path, path: Path, mode: str, study: str | None, metric: str | None) -> ForeignStudy:
    # Optuna's own classes would create missing tables, so the rows are read here.
    uri = f"file:{quote(os.fsencode(file))}?mode={mode}"
    try:
        with closing(sqlite3.connect(uri, uri=True, timeout=10)) as connection:
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_BYTES)
            connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
            for pragma in PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            _require_sound(connection, path)
            return _from_sqlite(connection, path, study, metric)
    except sqlite3.Error as problem:
        raise DataError(f"{path} cannot be read as a database: {problem}; the file was not changed") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is damaged: it contains text that is not UTF-8; the file was not changed") from None


def _require_sound(connection: sqlite3.Connection, path: Path) -> None:
    # Before any table is looked into: one of a foreign kind (virtual, without a page of its own) runs code for that.
    foreign_kind = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND rootpage = 0").fetchone()
    odd = f"{path} holds a virtual table, unlike a storage of Optuna; it is not used"
    require(foreign_kind is None, odd, error=RefusedError)
    for table, columns in TABLES.items():
        kind = connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        known = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()  # a name of ours
        odd = f"{path} computes a column of {table!r}, unlike a storage of Optuna; it is not used"
        require(not any(row[6] for row in known), odd, error=RefusedError)
        own = {row[1] for row in known}
        is_there = kind == ("table",) and own >= set(columns)
        foreign = f"{path} is a database, but not an Optuna storage of version 3 or later: it has no table {table!r}"
        require(is_there, f"{foreign} with {', '.join(columns)}; {OLDER}", error=DataError)
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    require(found == "ok", f"{path} is damaged: {found}; the file was not changed", error=DataError)


def _from_sqlite(connection: sqlite3.Connection, path: Path, study: str | None, metric: str | None) -> ForeignStudy:
    known_studies = connection.execute("SELECT study_name, study_id FROM studies ORDER BY study_id").fetchall()
    names = {_text(path, "the name of a study", own): number for own, number in known_studies}
    name = choose(path, list(names), study)

    def rows(query: str) -> list[tuple[Any, ...]]:
        return connection.execute(query, (names[name],)).fetchall()

    directions = rows("SELECT direction FROM study_directions WHERE study_id = ? ORDER BY objective")
    mode = _mode(path, name, [str(row[0]) for row in directions])
    named = rows("SELECT value_json FROM study_system_attributes WHERE study_id = ? AND key = 'study:metric_names'")
    known: dict[str, BaseDistribution] = {}
    params: dict[int, dict[str, Value]] = {}
    dists: dict[int, dict[str, BaseDistribution]] = {}
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
# What Optuna raises for lines that it did not write itself.
_ODD_LINES = (LookupError, ValueError, TypeError, AttributeError, AssertionError, RecursionError, OSError)


def read_journal(path: Path, *, study: str | None, metric: str | None) -> ForeignStudy:
    """One study of an Optuna journal file, read without a lock. Errors as in `read_foreign`."""
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
        raise DataError(
            f"{path} is not an Optuna journal, or it is damaged: {said}; the file was not changed"
        ) from None
    mode = _mode(path, name, [direction.name for direction in own.directions])
    plain = [
        _Plain(
            t.number, t.state.name.lower(), {k: plain_value(v) for k, v in t.params.items()}, dict(t.distributions),
            finite(t.values[0]) if t.values else None,
            tuple((int(step), finite(v)) for step, v in sorted(t.intermediate_values.items())),
        )
        for t in trials
    ]  # fmt: skip
    given = own.system_attrs.get("study:metric_names")
    called = metric or (str(given[0]) if isinstance(given, list) and given else "value")
    return _gathered(path, "journal", name, called, mode, plain)


@dataclass(frozen=True, slots=True)
class _Plain:
    """A trial of Optuna, finished or not. state: complete, pruned, fail, running or waiting."""

    number: int
    state: str
    params: Mapping[str, Value]
    distributions: Mapping[str, BaseDistribution]
    value: float | None
    steps: tuple[tuple[int, float | None], ...]


def _gathered(path: Path, kind: str, name: str, metric: str, mode: Mode, plain: Sequence[_Plain]) -> ForeignStudy:
    """The trials that ended, complete or pruned, with a finite value. Raises DataError if there are none."""
    trials = []
    for each in plain:
        finite = [value for _, value in each.steps if value is not None]
        value = each.value if each.value is not None else finite[-1] if finite and each.state == "pruned" else None
        if each.state in ("complete", "pruned") and value is not None:
            state: State = "complete" if each.state == "complete" else "stopped"
            trials.append(ForeignTrial(each.number, each.params, value, each.steps, state))
    left_out = len(plain) - len(trials)
    none = f"the study {name!r} in {path} contains no finished trial with a value ({len(plain)} trials in all)"
    require(bool(trials), none, error=DataError)
    kept = {each.number for each in trials}
    found: dict[str, list[BaseDistribution]] = {}
    for own in plain:
        if own.number in kept:
            for param, distribution in own.distributions.items():
                _require_number(path, param, own, distribution)
                found.setdefault(param, []).append(distribution)
    dims = {param: _dimension(path, param, several) for param, several in found.items()}
    require(bool(dims), f"the trials of {name!r} in {path} have no parameters", error=DataError)
    return ForeignStudy(str(path), kind, name, metric, mode, dims, tuple(trials), left_out)


def _require_number(path: Path, param: str, own: _Plain, distribution: BaseDistribution) -> None:
    """Raises DataError for a value of a range that is not a finite number, which SQLite allows."""
    value = own.params.get(param)
    good = hasattr(distribution, "choices") or finite(value) is not None
    odd = f"{path} is damaged: {param!r:.200} of trial {own.number} is {value!r:.200}, which lies in no range"
    require(good, f"{odd}; the file was not changed", error=DataError)


def _dimension(path: Path, param: str, distributions: Sequence[BaseDistribution]) -> Dimension:
    """One dimension that covers all these Optuna distributions. Raises DataError if they are not a valid range."""
    try:
        return _joined(distributions)
    except UsageError as problem:
        raise DataError(
            f"{path} contains a distribution of {param!r:.200} that cannot be searched: {problem}"
        ) from None


def _joined(distributions: Sequence[BaseDistribution]) -> Dimension:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    choices = [each for each in distributions if isinstance(each, CategoricalDistribution)]
    if choices:
        values = [plain_value(value) for each in choices for value in each.choices]
        return Choice(*{repr(value): value for value in values}.values())
    ranges = [each for each in distributions if isinstance(each, FloatDistribution | IntDistribution)]
    low, high = min(each.low for each in ranges), max(each.high for each in ranges)
    if low == high:
        return Choice(low)
    log = all(each.log for each in ranges)
    if all(isinstance(each.low, int) for each in ranges):
        return Int(int(low), int(high), log)
    return Float(float(low), float(high), log)


def _mode(path: Path, name: str, directions: Sequence[str]) -> Mode:
    several = f"the study {name!r} in {path} has {len(directions)} objectives; a TAME study has one"
    require(len(directions) == 1, several, error=DataError)
    known: dict[str, Mode] = {"MINIMIZE": "min", "MAXIMIZE": "max"}
    unset = f"the study {name!r} in {path} has the direction {directions[0]!r}; it must be minimize or maximize"
    require(directions[0] in known, unset, error=DataError)
    return known[directions[0]]


def _distribution(path: Path, text: str) -> BaseDistribution:
    from optuna.distributions import json_to_distribution

    try:
        return json_to_distribution(text)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as problem:
        said = f"{type(problem).__name__}: {problem}"[:200]
        raise DataError(f"{path} contains a distribution that cannot be read ({said}): {text!r:.200}") from None


def _external(path: Path, distribution: BaseDistribution, value: float) -> Value:
    from optuna.distributions import CategoricalDistribution

    try:
        if isinstance(distribution, CategoricalDistribution) and value not in range(len(distribution.choices)):
            raise IndexError(f"there are {len(distribution.choices)} choices")  # Optuna would count -1 from their end
        return plain_value(distribution.to_external_repr(value))
    except (ValueError, IndexError, TypeError, OverflowError) as problem:
        raise DataError(f"{path} contains {value!r}, which is not a value of {distribution}: {problem}") from None


def _text(path: Path, what: str, value: object) -> str:
    if not isinstance(value, str):
        raise DataError(f"{path} is damaged: {what} is {value!r:.200}, which is not text; the file was not changed")
    return value


def _whole(path: Path, what: str, value: object) -> int:
    if not isinstance(value, int):
        raise DataError(f"{path} is damaged: {what} is {value!r:.200}, not a whole number; the file was not changed")
    return value


def _stored(value: object, kind: object) -> float | None:
    """A number as Optuna stores it: its kind marks infinity and NaN."""
    return finite(value) if kind == "FINITE" else None


def _first_name(text: str | None) -> str | None:
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None  # a display name, which is optional
    return str(found[0]) if isinstance(found, list) and found else None
