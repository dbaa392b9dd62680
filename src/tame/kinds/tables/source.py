"""From a table, or arrays given from Python, to examples; the test part is sealed from here on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.records import Event, Finding
from tame.data.sources import (
    concat,
    short_names,
    take_rows,
    write_columns,
)
from tame.data.split import groups_of, make_split, seal, split_all_but_rare, split_by_order, strata, write_split
from tame.data.table_kinds import apply_kinds, type_table
from tame.data.table_order import group_codes, order_values
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, Column, RawTable, Table, require_column, require_learnt
from tame.data.targets import Target, duplicate_rows, leaks, read_later_target, read_target
from tame.kinds.kind import Data, count, finding, learn, metric_for
from tame.study.session import Study
from tame.study.state import findings_events

FOLDS_BELOW = 10_000  # rows; a table is cheap to train on, and folds use all of it
NATURAL = 0.1  # share of rows with a twin from which on twins are what the data is like, not copies
FEW = 200
LEAST_GROUPS = 3
MOST_NAMED = 20  # rows that a finding names; the rest is counted
HANDED = ".handed.npz"  # the columns of a table on their way to the process that trains


@dataclass(frozen=True, slots=True)
class Rows:
    """A table with its target and the part that each row came in. kept: which rows of the files they are; shares:
    (N, C) of classes, where rows come with probabilities.
    """

    table: Table
    task: str
    classes: tuple[str, ...]
    target: np.ndarray
    given: list[str]
    kept: np.ndarray
    about: dict[str, Any]
    beside: dict[str, np.ndarray]  # groups and order, where columns were named for them
    ids: tuple[str, ...]
    shares: np.ndarray | None = None


def open_table(study: Study) -> Data:
    """Reads a table, judges it, splits it, and hands the worker what is not sealed. Raises DataError."""
    config = study.config
    study.watcher.phase("reading the table")
    known = study.state.data
    own = read_rows(config)
    if known is not None:
        same = known["digests"] == own.about["digests"]
        require(same, "the table changed since the study began", error=DataError)
    handed = study.folder / HANDED  # reading a wide table once more takes as long as reading it did
    write_columns(handed, own.table)
    try:
        beside = [name for name in (config.target, config.groups, config.order) if name]
        given = {
            "files": [str(path) for path, _ in _files(config)], "arrays": str(handed), "beside": beside,
            "columns": [column.to_json() for column in own.table.columns], "kept": own.kept.tolist(),
        }  # fmt: skip
        study.worker.open("table", given)
    finally:
        handed.unlink(missing_ok=True)
    return _split(study, own, known, "table")


def read_rows(config: StudyConfig) -> Rows:
    """The table of a config with its target. Raises DataError and UsageError."""
    files = _files(config)
    raws = [read_raw(path) for path, _ in files]
    require(config.target is not None, _no_target(raws[0]), error=UsageError)
    assert config.target is not None
    target, labelled = read_target(raws[0], config.target, task=_task(config))
    ignore = [name for name in (config.groups, config.order) if name]
    for name in ignore:
        require(name in raws[0].names, unknown("column", name, raws[0].names), error=DataError)
        require(name != config.target, f"{name!r} is the target; it cannot also split the rows")
    _require_different(files, raws)
    first = type_table(raws[0], target=config.target, ignore=ignore)
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
    beside = {name: np.concatenate([np.asarray(raw.columns[name]) for raw in raws]) for name in ignore}
    about = {
        "target": {"name": target.name, "task": target.task, "why": target.why},
        "unlabelled": int(len(values) - len(kept)),
        "notes": _notes(tables, names),
        "digests": [raw.digest for raw in raws],
        "leaks": [{"column": each.column, "evidence": each.evidence} for each in leaks(first, target)],
    }
    return Rows(
        take_rows(table, kept), target.task, target.classes, values[kept], given[kept].tolist(), kept, about,
        {name: column[kept] for name, column in beside.items()}, tuple(numbers[row] for row in kept),
    )  # fmt: skip


def _later(
    raw: RawTable, short: str, part: str, target: Target, columns: Sequence[Column], *, beside: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, Table]:
    """Target, which rows have one, and columns of the table of a part. Errors name the file."""
    try:
        for name in beside:
            require_column(name, raw.names)
        values, labelled = read_later_target(raw, target)
        table, _ = apply_kinds(raw, columns, beside=beside)
    except DataError as problem:
        raise DataError(f"{short}: {problem}") from None
    require(bool(labelled.any()), f"{short}: no row has a target, so it cannot be the {part} part", error=DataError)
    return values, labelled, table


def _require_different(files: Sequence[tuple[Path, str]], raws: Sequence[RawTable]) -> None:
    """Raises DataError where two files are one: rows that are learnt from say nothing as test rows."""
    seen: dict[str, Path] = {}
    for (path, part), raw in zip(files, raws, strict=True):
        other = seen.setdefault(raw.digest, path)
        require(other is path, f"{path}, given as the {part} part, holds the same as {other}", error=DataError)


def _notes(tables: Sequence[Table], names: Sequence[str]) -> list[str]:
    """What was found in each table, each note once; of the later ones with the name of the file."""
    first = list(tables[0].notes)
    rest = [f"{name}: {note}" for name, own in zip(names[1:], tables[1:], strict=True) for note in own.notes]
    return list(dict.fromkeys([*first, *rest]))


def _split(study: Study, own: Rows, known: Any, kind: str) -> Data:
    config = study.config
    pairs = duplicate_rows(own.table) if own.table.values else []
    twins = len({row for pair in pairs for row in pair})
    natural = twins > NATURAL * len(own.target)
    groups = groups_of(len(own.target), [] if natural else pairs)
    if config.groups:
        groups = _grouped(own, config.groups)
    if config.order:
        split = split_by_order(order_values(own.beside[config.order], config.order), own.given, seed=config.seed)
    elif own.classes and (own.about.get("rare") or own.shares is not None):  # a class may be nobody's likeliest
        split = split_all_but_rare(
            own.target, groups, classes=own.classes, folds=config.folds, seed=config.seed, folds_below=FOLDS_BELOW
        )
    else:
        labels = own.target if own.classes else strata(own.target)
        split = make_split(
            labels, own.given, groups, classes=own.classes, folds=config.folds, seed=config.seed,
            folds_below=FOLDS_BELOW,
        )  # fmt: skip
    sealed = seal(split, own.target if own.shares is None else own.shares)
    is_test = np.array(split.part) == "test"
    hidden = np.where(is_test, -1 if own.classes else np.nan, own.target)
    learnt = sum(column.kind in LEARNT for column in own.table.columns)
    data = Data(
        kind, own.task, metric_for(config, own.task), own.classes, own.ids,
        hidden.astype(np.int64) if own.classes else hidden, split, sealed, columns=learnt,
        refits=config.val is None,
        shares=None if own.shares is None else np.where(is_test[:, None], np.nan, own.shares),
    )  # fmt: skip
    learn(study, data)
    if known is None:
        about = _describe(own, data, kind, twins)
        study.keep(Event("data", about), *findings_events(_findings(own, data, twins, natural)))
    if not (study.folder / "split.csv").exists():  # after the event: then the study knows its table again
        write_split(study.folder / "split.csv", split, own.ids, groups)
    return data


def _describe(own: Rows, data: Data, kind: str, twins: int) -> dict[str, Any]:
    parts = data.split.part
    counts: dict[str, Any] = {}
    for part in ("train", "val", "test", "aside"):
        rows = [row for row, each in enumerate(parts) if each == part]
        if rows and own.classes:
            counts[part] = dict(Counter(own.classes[int(own.target[row])] for row in rows))
        elif rows:
            counts[part] = {"rows": len(rows)}
    return {
        "kind": kind, "classes": list(own.classes), "examples": len(own.target), "counts": counts,
        "columns": [
            {"name": c.name, "kind": c.kind, "why": c.why, "missing": c.missing, "categories": len(c.categories),
             "learnt": c.kind in LEARNT}
            for c in own.table.columns
        ],
        "notes": own.about["notes"], "target": own.about["target"], "unlabelled": own.about["unlabelled"],
        "split": data.split.how, "folds": data.split.folds, "digests": own.about["digests"], "pairs": [],
        "twins": twins,
    }  # fmt: skip


def _findings(own: Rows, data: Data, twins: int, natural: bool) -> list[Finding]:
    """What the doctor has to say about the table."""
    found = []
    if own.about["leaks"]:
        leaky = ", ".join(each["column"] for each in own.about["leaks"])
        evidence = {"columns": own.about["leaks"]}
        found.append(finding("target_leak", f"the target can be read off: {leaky}", "problem", evidence))
    if own.about["unlabelled"]:
        number = own.about["unlabelled"]
        evidence = {"count": number}
        found.append(finding("skipped_rows", f"{count(number, 'row')} without a target left out", "warning", evidence))
    for code, kind, word in (
        ("identifier_columns", "identifier", "identifier"), ("constant_columns", "constant", "constant column")
    ):  # fmt: skip
        names = [column.name for column in own.table.columns if column.kind == kind]
        if names:
            evidence = {"columns": names[:20], "count": len(names)}
            found.append(finding(code, f"{count(len(names), word)} left out", "info", evidence))
    infinite = [note for note in own.about["notes"] if "infinite" in note]
    if infinite:
        title = "numbers that are infinite or too large count as missing"
        found.append(finding("infinite_values", title, "warning", {"notes": infinite}))
    aside = data.split.rows("aside")
    if aside:
        title = f"{count(len(aside), 'row')} outside the test part also found inside it, or across given parts"
        evidence = {"count": len(aside), "pictures": [own.ids[row] for row in aside[:MOST_NAMED]]}
        found.append(finding("leak", title, "problem", evidence))
    copies = _copies(own, data)
    if copies:
        title = f"{copies} of the {count(len(data.sealed.rows), 'row')} of the test part are also learnt from"
        evidence = {"rows": twins, "of": len(own.target), "in_test": copies}
        found.append(finding("duplicate_rows", title, "problem", evidence))
    elif twins:
        evidence = {"rows": twins, "of": len(own.target)}
        how = ", so many that they lie where they fall" if natural else ""
        found.append(finding("duplicate_rows", f"{count(twins, 'row')} with a twin{how}", "warning", evidence))
    if own.classes:
        sizes = Counter(own.classes[int(data.targets[row])] for row in data.rows)
        common, rare = max(sizes.values()), min(sizes.values())
        if common > 3 * rare:
            title = f"the commonest class has {common / rare:.1f} times as many rows as the rarest"
            found.append(finding("imbalance", title, "warning", dict(sizes.most_common(20))))
    if len(data.rows) < FEW:
        evidence = {"rows": len(data.rows)}
        found.append(finding("few_rows", f"only {count(len(data.rows), 'row')} to learn from", "warning", evidence))
    num_test = len(data.sealed.rows)
    if num_test < 100:
        title = f"the test part holds only {count(num_test, 'row')}: its score is uncertain"
        found.append(finding("small_test", title, "info", {"n": num_test}))
    return found


def _copies(own: Rows, data: Data) -> int:
    """Rows of a test part that was given, of which the same also lies among the rows that are not sealed."""
    if "test" not in own.given:
        return 0
    sealed, learnt = set(data.sealed.rows), set(data.rows)
    groups = groups_of(len(own.target), duplicate_rows(own.table))
    outside = {int(groups[row]) for row in learnt}
    return sum(int(groups[row]) in outside for row in sealed)


def _files(config: StudyConfig) -> list[tuple[Path, str]]:
    """The table's own file, then those of the parts that were given."""
    parts = [(config.val, "val"), (config.test, "test")]
    return [(Path(config.data), ""), *((Path(name), part) for name, part in parts if name is not None)]


def _task(config: StudyConfig) -> str:
    return "auto" if config.task == "table" else config.task


def _no_target(raw: RawTable) -> str:
    names = ", ".join(raw.names[:20]) + (", ..." if len(raw.names) > 20 else "")
    return f"a table needs a column to predict: --target COLUMN (columns: {names})"


def _grouped(own: Rows, name: str) -> np.ndarray:
    """(N,) groups of rows by a column. Raises DataError where a class lies in too few of them to be split."""
    groups, said = group_codes(own.beside[name], name)
    if said:
        own.about["notes"].append(said)
    free = np.array([part == "" for part in own.given])
    least = LEAST_GROUPS - len({part for part in own.given if part})
    for number, label in enumerate(own.classes or ("the target",)):
        mine = free & (own.target == number) if own.classes else free
        found = len(np.unique(groups[mine]))
        what = f"the rows of class {label!r} lie" if own.classes else "the rows lie"
        mend = f"at least {least} are needed to learn, choose and test by different ones"
        require(found >= least, f"{what} in {count(found, 'group')} of {name!r}; {mend}", error=DataError)
    return groups
