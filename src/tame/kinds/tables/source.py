"""From a table to examples: reading, typing, judging; the test part is sealed from here on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.plain import from_plain, to_plain
from tame.core.result_parts import TargetFacts
from tame.data.sources import concat, short_names, take_rows, write_columns
from tame.data.table_kinds import type_table
from tame.data.table_later import apply_kinds
from tame.data.table_order import columns_beside
from tame.data.table_reading import names_of, read_raw
from tame.data.tables import Column, RawTable, Table, require_column, require_learnt
from tame.data.targets import Target, read_later_target, read_target
from tame.kinds.kind import Known, Opened, Phase, Port
from tame.kinds.tables.commands import Given
from tame.kinds.tables.kind import TABLES
from tame.kinds.tables.rows import RowFacts, Rows, split_rows
from tame.kinds.tables.text_choice import chosen

HANDED = ".handed.npz"  # the columns of a table on their way to the process that trains


@dataclass(frozen=True, slots=True)
class Found:
    """The rows of one or more files. kept: which rows of the files they are, one file after the other."""

    rows: Rows
    kept: np.ndarray


def look(config: StudyConfig) -> None:
    """Raises DataError and UsageError for a column that the table does not have, so that a clock that is too short does
    not hide it. Reads no more than the head of the table where all is well."""
    names = names_of(Path(config.data))
    if names and _has_columns(config, names):
        return
    if names:
        raw = read_raw(Path(config.data))  # which may be no table at all, and says so first
        require(config.target is not None, _no_target(raw.names), error=UsageError)
        for name in _columns_named(config):
            require_column(name, raw.names)


def _columns_named(config: StudyConfig) -> list[str]:
    return [name for name in (config.target, *config.told, config.groups, config.order) if name is not None]


def _has_columns(config: StudyConfig, names: Sequence[str]) -> bool:
    return config.target is not None and all(name in names for name in _columns_named(config))


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads a table, judges it, splits it. Raises DataError and UsageError."""
    phase("reading the table")
    found = read_rows(_as_begun(config, known))
    own = found.rows
    known.require_same(own.digests, "table")
    handed = folder / HANDED  # reading a wide table once more takes as long as reading it did
    write_columns(handed, own.table)
    try:
        beside = [name for name in (config.target, config.groups, config.order) if name]
        given = Given(
            files=tuple(str(path) for path, _ in files_of(config)), arrays=str(handed), columns=own.table.columns,
            kept=tuple(found.kept.tolist()), beside=tuple(beside),
        )  # fmt: skip

        def open_with(encoder: str | None) -> None:
            port.open(TABLES.name, to_plain(replace(given, encoder=encoder)))

        choice = chosen(config, known, own.table, port, open_with=open_with, phase=phase)
    finally:
        handed.unlink(missing_ok=True)
    own = replace(
        own, notes=(*own.notes, *choice.notes), encoder=choice.encoder, lengths=choice.lengths,
        encoder_blocks=choice.blocks,
    )  # fmt: skip
    return split_rows(own, config, kind=TABLES.name, is_new=known.data is None, edits=known.edits)


def _as_begun(config: StudyConfig, known: Known) -> StudyConfig:
    """The config with the texts left out that a study of an earlier TAME was begun without."""
    if known.data is None:
        return config
    told = from_plain(RowFacts, known.data, what="what is known of the table").columns
    left = {each.name: "ignore" for each in told if each.kind == "text" and not each.learnt}
    return replace(config, columns={**config.columns, **left})


def read_rows(config: StudyConfig) -> Found:
    """The table of a config with its target. Raises DataError and UsageError."""
    files = files_of(config)
    raws = [read_raw(path) for path, _ in files]
    require(config.target is not None, _no_target(raws[0].names), error=UsageError)
    assert config.target is not None
    for name in config.told:
        require(name in raws[0].names, unknown("column", name, raws[0].names), error=DataError)
    told = {name: kind for name, kind in config.told.items() if name != config.target}
    target, labelled = read_target(
        raws[0], config.target, task=_task(config), told=config.columns.get(config.target, "")
    )
    ignore = [name for name in (config.groups, config.order) if name]
    for name in ignore:
        require(name in raws[0].names, unknown("column", name, raws[0].names), error=DataError)
        require(name != config.target, f"{name!r} is the target; it cannot also split the rows")
        require(
            name not in told or (name == config.order and told[name].startswith("date")),
            f"{name!r} splits the rows and is not trained on; leave out --column {name}={told.get(name)}",
        )
    _require_different(files, raws)
    first = type_table(
        raws[0], target=config.target, ignore=ignore,
        told={name: kind for name, kind in told.items() if name not in ignore},
    )  # fmt: skip
    require_learnt(first.columns)
    tables, targets, has = [first], [target.values], [labelled]
    names = short_names([path for path, _ in files])
    for raw, short, (_, part) in zip(raws[1:], names[1:], files[1:], strict=True):
        later, own, table = _later(raw, short, part, target, first.columns, beside=(config.target, *ignore))
        tables.append(table)
        targets.append(later)
        has.append(own)
    table, kept = concat(tables), np.concatenate(has).nonzero()[0]
    given = np.repeat([part for _, part in files], [t.num_rows for t in tables])
    values = np.concatenate(targets)
    numbers = [f"{short}:{line}" for short, raw in zip(names, raws, strict=True) for line in raw.places.tolist()]
    beside, said = columns_beside(
        list(zip(names, raws, strict=True)), groups=config.groups, order=config.order, told=config.columns
    )
    rows = Rows(
        table=take_rows(table, kept), task=target.task, classes=target.classes, values=values[kept],
        given=tuple(given[kept].tolist()), ids=tuple(numbers[row] for row in kept),
        target=TargetFacts(name=target.name, task=target.task, why=target.why), notes=(*_notes(tables, names), *said),
        digests=tuple(raw.digest for raw in raws), beside={name: column[kept] for name, column in beside.items()},
        unlabelled=int(len(values) - len(kept)),
    )  # fmt: skip
    return Found(rows, kept)


def _later(
    raw: RawTable, short: str, part: str, target: Target, columns: Sequence[Column], *, beside: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Table]:
    """Target, which rows have one, and columns of the table of a part. Errors name the file."""
    try:
        for name in beside:
            require_column(name, raw.names)
        values, labelled, notes = read_later_target(raw, target, columns)
        table, _ = apply_kinds(raw, columns, beside=beside)
        table = replace(table, notes=(*table.notes, *notes))
    except DataError as problem:
        raise DataError(f"{short}: {problem}") from None
    require(bool(labelled.any()), f"{short}: no row has a target, so it cannot be the {part} part", error=DataError)
    return values, labelled, table


def _require_different(files: Sequence[tuple[Path, str]], raws: Sequence[RawTable]) -> None:
    """Raises DataError where two files are one: rows that are trained on say nothing as test rows."""
    seen: dict[str, Path] = {}
    for (path, part), raw in zip(files, raws, strict=True):
        other = seen.setdefault(raw.digest, path)
        require(other is path, f"{path}, given as the {part} part, holds the same as {other}", error=DataError)


def _notes(tables: Sequence[Table], names: Sequence[str]) -> list[str]:
    """What was found in each table, each note once; of the later ones with the name of the file."""
    first = list(tables[0].notes)
    rest = [f"{name}: {note}" for name, own in zip(names[1:], tables[1:], strict=True) for note in own.notes]
    return list(dict.fromkeys([*first, *rest]))


def files_of(config: StudyConfig) -> list[tuple[Path, str]]:
    """The paths: the table's own file, then those of the parts that were given."""
    parts = [(config.val, "val"), (config.test, "test")]
    return [(Path(config.data), ""), *((Path(name), part) for name, part in parts if name is not None)]


def _task(config: StudyConfig) -> str:
    return "auto" if config.task == TABLES.name else config.task


def _no_target(names: Sequence[str]) -> str:
    some = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
    return f"a table needs a column to predict: --target COLUMN (columns: {some})"
