"""Arrays given from Python: kept in the study's folder, read again, split; the test part is sealed from here on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, StorageError, require
from tame.core.files import reading, replacing, require_own
from tame.core.plain import from_plain, to_plain
from tame.core.result_parts import TargetFacts
from tame.data.array_targets import Target, task_of
from tame.data.arrays import Arrays
from tame.data.edits import digest_of_cells
from tame.data.row_copies import copies_in_array
from tame.data.sources import matrix_of, open_columns, write_arrays, write_columns
from tame.data.table_kinds import type_table
from tame.data.tables import Column, RawTable, Table, require_learnt
from tame.data.targets import read_target
from tame.data.unseen import Values
from tame.kinds.arrays.commands import Given
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.kind import Known, Opened, Phase, Port
from tame.kinds.looks import MOST_COLUMNS
from tame.kinds.tables.commands import Given as TableGiven
from tame.kinds.tables.kind import TABLES
from tame.kinds.tables.rows import Rows, split_rows
from tame.kinds.tables.text_choice import chosen

COLUMNS, INPUTS, TARGETS = "columns.npz", "inputs.npy", "targets.npz"  # given from Python, in the study's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept beside the values of arrays. columns: () where they are no table; rare: as of `keep_arrays`."""

    task: str
    why: str
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()
    columns: tuple[Column, ...] = ()
    rare: bool = False


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Opens the arrays that were put into the study's folder, and splits them.

    Rows and columns without a module of the user's own are a table.
    """
    own = read_kept(folder)
    if own.table.columns:
        rows = tuple(range(len(own.values)))
        given = TableGiven(files=(), arrays=str(folder / COLUMNS), columns=own.table.columns, kept=rows)

        def open_with(encoder: str | None) -> None:
            port.open(TABLES.name, to_plain(replace(given, encoder=encoder)))

        choice = chosen(config, known, own.table, port, open_with=open_with, phase=phase)
        own = replace(own, notes=(*own.notes, *choice.notes), encoder=choice.encoder)
        return split_rows(own, config, kind=TABLES.name, is_new=known.data is None, edits=known.edits)
    port.open(OWN_ARRAYS.name, to_plain(Given(file=str(folder / INPUTS), build=config.model)))
    x, is_new = inputs_of(folder), known.data is None
    columns = _columns(x) if is_new else []
    return split_rows(
        own, config, kind=OWN_ARRAYS.name, copies=copies_in_array(x), inputs=columns, is_new=is_new,
        edits=known.edits, digest_of=partial(digest_of_input, own, x),
    )  # fmt: skip


def digest_of_input(own: Rows, x: np.ndarray, row: int) -> str:
    """By which an example is known again. x: (N, ...) the inputs."""
    value = own.values[row] if own.shares is None else own.shares[row]
    return digest_of_cells([np.ascontiguousarray(x[row]).tobytes().hex(), repr(np.asarray(value).tolist())])


def _columns(x: np.ndarray) -> list[Values]:
    """The inputs (N, D) of a module as columns; none where they have another shape, or too many to be looked at."""
    if x.ndim != 2 or x.shape[1] > MOST_COLUMNS or x.dtype.kind not in "biuf":
        return []
    return [Values(f"input {place}", np.array(x[:, place], dtype=np.float64)) for place in range(x.shape[1])]


def inputs_of(folder: Path) -> np.ndarray:
    """The inputs (N, ...) that `keep_arrays` put there, read as they are needed. Raises StorageError."""
    try:
        require_own(folder, INPUTS)
        found: np.ndarray = np.load(folder / INPUTS, mmap_mode="r", allow_pickle=False)
    except (OSError, EOFError, ValueError) as problem:
        said = f"the arrays of {folder} cannot be read, begin again with tame.fit: {problem}"
        raise StorageError(said) from None
    return found


def keep_arrays(
    arrays: Arrays, task: str, folder: Path, *, plain: bool, rare: bool = False, told: Mapping[str, str] | None = None
) -> None:
    """Puts arrays given from Python into a study's folder, where its processes find them.

    plain: a module of the user's own sees the array itself; otherwise rows and columns are a table. rare: whether
    classes too small to be judged are trained on nevertheless.
    """
    if arrays.y.dtype.kind == "U" and not plain and not rare:
        target = _of_texts(arrays.y, task)
    else:
        own_task = "classification" if task in ("binary", "multiclass") else task
        target = task_of(arrays.y, task=own_task, names=arrays.names)
    notes = arrays.notes
    x = matrix_of(arrays.x) if plain else arrays.x
    if isinstance(x, Table) and arrays.raw is not None:
        x = type_table(arrays.raw, target=None, told=told)
        notes = (*notes, *x.notes)
    about = Kept(
        task=target.task, why=target.why, classes=target.classes, notes=tuple(notes),
        columns=x.columns if isinstance(x, Table) else (), rare=rare,
    )  # fmt: skip
    if isinstance(x, Table):
        require_learnt(x.columns)
        write_columns(folder / COLUMNS, x)
    else:
        with replacing(folder, INPUTS) as file:
            np.save(file, x, allow_pickle=False)
    own = {"y": target.values, "about": np.frombuffer(json.dumps(to_plain(about)).encode(), dtype=np.uint8)}
    beside = {"shares": target.shares, "weights": arrays.weights}
    write_arrays(folder / TARGETS, own | {name: each for name, each in beside.items() if each is not None})


def _of_texts(y: np.ndarray, task: str) -> Target:
    """The target in texts, read as a column of a file is: numbers stored as text are numbers.

    Raises DataError where some say that they are missing: rows given from Python come with their targets.
    """
    raw = RawTable(("y",), {"y": y.astype(object)}, (), len(y), "")
    found, labelled = read_target(raw, "y", task=task)
    if not labelled.all():
        row = int(np.argmin(labelled))
        without = int((~labelled).sum())
        why = f"y has no number in {without:,} rows, first in row {row} ({str(y[row])!r:.60})"
        raise DataError(f"{why}: leave these rows out")
    if found.task == "regression":
        return Target("regression", f"y holds numbers as text: {found.why}", (), found.values)
    return Target("classification", f"y holds text: {found.why}", found.classes, found.values)


def read_kept(folder: Path) -> Rows:
    """The arrays that `keep_arrays` put there, a table or not."""
    try:
        with reading(folder, TARGETS) as file, np.load(file, allow_pickle=False) as held:
            target, told = held["y"], json.loads(held["about"].tobytes())
            shares, weights = (held[name] if name in held.files else None for name in ("shares", "weights"))
        about = from_plain(Kept, told, what=f"what is kept of the arrays of {folder}")
        columns = about.columns
        texts: Mapping[str, tuple[str, ...]] = {}
        values, lengths = {}, {len(each) for each in (shares, weights) if each is not None}
        if columns:
            table = open_columns(folder / COLUMNS, columns)
            values, texts = dict(table.values), table.texts
            lengths |= {len(column) for column in values.values()}
        elif (folder / INPUTS).exists():
            require_own(folder, INPUTS)
            lengths.add(len(np.load(folder / INPUTS, mmap_mode="r", allow_pickle=False)))
    except (OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile) as problem:
        why = "damaged" if "pickle" in str(problem) else problem  # numpy would advise to load what it refuses
        raise StorageError(f"the arrays of {folder} cannot be read, begin again with tame.fit: {why}") from None
    fits = lengths <= {len(target)}
    mend = "some of them are damaged, begin again with tame.fit"
    require(fits, f"the arrays of {folder} are not of one length: {mend}", error=StorageError)
    num, task = len(target), about.task
    if task == "classification":
        task = "binary" if len(about.classes) == 2 else "multiclass"
    return Rows(
        table=Table(columns, values, num, about.notes, texts), task=task, classes=about.classes, values=target,
        given=("",) * num, ids=tuple(map(str, range(num))), target=TargetFacts(name="y", task=task, why=about.why),
        notes=about.notes, shares=shares, keep_rare=about.rare, weights=weights,
    )  # fmt: skip
