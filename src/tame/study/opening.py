"""Opens the data of a study, of any kind."""

from __future__ import annotations

import csv
from dataclasses import replace
from functools import partial
from pathlib import Path

from tame.core.edits import EDITS, Edit, read_edits
from tame.core.errors import require
from tame.core.plain import to_plain
from tame.core.records import Event
from tame.data.costs import parse_costs
from tame.data.images import write_skipped
from tame.data.split import write_split
from tame.kinds.arrays.kind import OWN_ARRAYS
from tame.kinds.costs import Speed
from tame.kinds.kind import Data, Known, Opened
from tame.kinds.known import OURS, kind_of, reader_of
from tame.kinds.tables.kind import TABLES
from tame.study.session import Study
from tame.study.state import findings_events
from tame.trial.commands import Unsealed

SKIPPED = "skipped.csv"


def open_data(study: Study) -> Data:
    """Reads, checks and splits the data, and gives the worker everything except the sealed part.

    A resumed study must find the same data again. Raises DataError.
    """
    known = _known(study)
    kind = kind_of(study.config) if known.data is None else reader_of(study.config, study.state.kind)
    if kind not in OURS:
        study.watcher.note(f"{study.config.data} is read as {kind.words.nouns}, a kind of data of another package")
    # A later version may choose another metric for the same data; a study keeps the one that it began with.
    config = replace(study.config, metric=study.state.metric or study.config.metric)
    opened = kind.read(config, known, study.worker, phase=partial(study.stage, 1), folder=study.folder)
    own = (kind, TABLES) if kind is OWN_ARRAYS else (kind,)  # arrays of rows and columns become a table
    said = f"the kind of data {kind.name!r} returned data of the kind {opened.data.kind!r}"
    require(opened.data.kind in [each.name for each in own], said)
    known.require_same(opened.facts.digests, "data")
    applied = known.edits is None or opened.edited is not None
    require(applied, f"the kind of data {kind.name!r} applies no edits; leave out --edits")
    learn(study, opened.data)
    if known.data is None:
        facts = {**to_plain(opened.facts), "metric": opened.data.metric}
        edited = () if opened.edited is None else (opened.edited,)
        study.keep(Event("data", facts), *edited, *findings_events(opened.findings))
    _write_files(study, opened)
    study.has_data = True
    return replace(opened.data, groups=opened.groups)


def learn(study: Study, data: Data) -> None:
    """Gives the worker everything except the sealed part."""
    text = str(study.config.set.get("loss.costs", ""))
    require(not text or bool(data.classes), "loss.costs needs classes, but the target is a number")
    study.worker.learn(
        Unsealed(
            rows=data.rows,
            targets=data.learnt().tolist(),
            folds=[data.split.fold[row] for row in data.rows],
            num_classes=len(data.classes),
            task=data.task,
            costs=parse_costs(text, data.classes) if text else None,
            weights=None if data.weights is None else data.weights[data.rows].tolist(),
        )
    )


def _known(study: Study) -> Known:
    """What earlier processes stored about this study's data."""
    speed = None if study.state.plan is None else study.state.plan.speed
    own = None if speed is None else Speed.from_json(speed)
    return Known(study.state.data, own, _edits(study) or None, used_s=study.used_s)


def _edits(study: Study) -> tuple[Edit, ...]:
    """The edits that the study was begun with. Its own copy holds them until its data is opened."""
    if study.state.data is not None:
        return () if study.state.edited is None else study.state.edited.edits
    return () if study.config.edits is None else read_edits(study.folder / EDITS)


def _write_files(study: Study, opened: Opened) -> None:
    """Writes skipped.csv and split.csv, if they do not exist yet.

    This comes after the event, so that a study with these files recognizes its data, whenever it was killed.
    """
    skipped, split = study.folder / SKIPPED, study.folder / "split.csv"
    if opened.skipped and not skipped.exists():
        write_skipped(skipped, opened.skipped)
    if not split.exists():
        write_split(split, opened.data.split, opened.data.ids, opened.groups)


def read_skipped(folder: Path) -> tuple[tuple[str, str], ...]:
    """The files that a study could not use, each with the reason; none where nothing was skipped."""
    if not (folder / SKIPPED).exists():
        return ()
    with (folder / SKIPPED).open(newline="", encoding="utf-8") as file:
        return tuple((name, why) for name, why in list(csv.reader(file))[1:])
