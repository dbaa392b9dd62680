"""From texts in folders to rows with one column: reading, judging; the test part is sealed from here on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, require
from tame.core.plain import to_plain
from tame.core.result_parts import TargetFacts
from tame.core.text import printable
from tame.data.images import Skipped, entries, real_folder
from tame.data.labels import lookalikes
from tame.data.sources import table_of_texts, write_columns
from tame.data.texts import ENDINGS, OTHER_ENDINGS, ROLES, UnreadableText, on_encodings, read_text
from tame.kinds.examples import Examples
from tame.kinds.findings import MOST_NAMED, count, finding
from tame.kinds.kind import Known, Opened, Phase, Port
from tame.kinds.tables.commands import Given
from tame.kinds.tables.examples import MOST_CELL, of_rows
from tame.kinds.tables.rows import Rows, cells_of, split_rows
from tame.kinds.tables.text_choice import chosen
from tame.kinds.texts.kind import NAME

KEPT = "texts.npz"  # in the study's folder: the texts, for the process that trains
LOST_SHARE = 0.5  # of a class's texts that may be unreadable


@dataclass(frozen=True, slots=True)
class File:
    """A file that is to be read. part: "" where the folder has no parts."""

    id: str
    path: str
    label: str
    part: str


@dataclass(slots=True)
class Found:
    """The texts of a folder, in order."""

    files: list[File] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    encodings: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def look(config: StudyConfig) -> None:
    """Raises DataError for a folder that holds nothing to learn from; opens no file."""
    listed(config)


def read(config: StudyConfig, known: Known, port: Port, *, phase: Phase, folder: Path) -> Opened:
    """Reads the texts, judges them, splits them. Raises DataError and UsageError."""
    phase("reading the texts")
    own, skipped = read_texts(config)
    known.require_same(own.digests, "texts")
    write_columns(folder / KEPT, own.table)
    given = Given(
        files=(), arrays=str(folder / KEPT), columns=own.table.columns, kept=tuple(range(len(own.values))), kind=NAME
    )

    def open_with(encoder: str | None) -> None:
        port.open(NAME, to_plain(replace(given, encoder=encoder)))

    choice = chosen(config, known, own.table, port, open_with=open_with, phase=phase)
    own = replace(
        own, notes=(*own.notes, *choice.notes), encoder=choice.encoder, lengths=choice.lengths,
        encoder_blocks=choice.blocks,
    )  # fmt: skip
    opened = split_rows(own, config, kind=NAME, is_new=known.data is None, edits=known.edits)
    said = []
    if skipped:
        evidence: dict[str, object] = {
            "count": len(skipped),
            "first": [f"{each.id}: {each.reason}" for each in skipped[:3]],
        }
        title = f"{count(len(skipped), 'file')} could not be read"
        said.append(finding("skipped_files", title, "warning", evidence))
    return replace(opened, findings=(*said, *opened.findings), skipped=skipped)


def examples(config: StudyConfig, known: Known, folder: Path) -> Examples:
    """The texts in the order in which the study has them. Raises DataError where they have changed."""
    own, _ = read_texts(config)
    known.require_same(own.digests, "texts")

    def beginning(row: int) -> Mapping[str, str]:
        return {name: cell[:MOST_CELL] for name, cell in cells_of(own.table, row).items()}

    return of_rows(own, cells=beginning)


def read_texts(config: StudyConfig) -> tuple[Rows, tuple[Skipped, ...]]:
    """The texts of a folder as rows, and what could not be read. Raises DataError."""
    files, notes = listed(config)
    found = _read(files)
    _require_enough(files, found)
    digests = tuple(f"{file.id}:{digest}" for file, digest in zip(found.files, found.digests, strict=True))
    return _rows(found, (*notes, *on_encodings(found.encodings)), digests), tuple(found.skipped)


def listed(config: StudyConfig) -> tuple[list[File], tuple[str, ...]]:
    """The texts in a folder, and what is to be said of it.

    It holds `class/x.txt`, or `train/`, `val/` and `test/` of such. Raises DataError where there is nothing to learn
    from.
    """
    top = real_folder(Path(config.data))
    folders, loose = entries(top)
    roles = {name: role for name in folders if (role := ROLES.get(name.casefold()))}
    for part in ("val", "test"):
        asked = getattr(config, part)
        if asked is not None:
            require(asked in folders, f"{printable(top)} has no folder {asked!r} for the {part} part", error=DataError)
            roles = {**{name: role for name, role in roles.items() if role != part}, asked: part}
    require(
        "train" in roles.values() or not roles, f"{printable(top)} holds {_some(roles)} but no train/", error=DataError
    )
    named = {role: os.path.join(top, name) for name, role in roles.items()}
    parts: dict[str, str] = {part: named[part] for part in ("train", "val", "test") if part in named}
    parts = parts or {"": top}
    files, others = list[File](), Counter[str]()
    for part, place in parts.items():
        for label in entries(place)[0]:
            _walk(top, os.path.join(place, label), label, part, files, others)
    notes = []
    if loose and any(os.path.splitext(name)[1].lower() in ENDINGS for name in loose):
        notes.append(f"{count(len(loose), 'file')} right in {printable(top)} have no class and are not used")
    mend = (
        "; save the text of PDF and office documents as .txt, with pdftotext or pandoc"
        if others & Counter(OTHER_ENDINGS)
        else ""
    )
    if others:
        kinds = ", ".join(f"{number} {ending or 'without an ending'}" for ending, number in others.most_common(8))
        notes.append(f"{others.total():,} files are not texts, by their endings: {kinds}{mend}")
    classes = sorted({file.label for file in files if file.part in ("", "train")})
    have = "put each text into a folder that is named as its class" if not files else f"all are of {classes[0]!r}"
    require(
        len(classes) > 1, f"{printable(top)} holds no two classes of texts (.txt, .md): {have}{mend}", error=DataError
    )
    strange = sorted({file.label for file in files} - set(classes))
    require(not strange, f"classes that no text of train/ has: {_some(strange)}", error=DataError)
    twins = lookalikes(classes)
    if twins is not None:
        notes.append(f"{twins[0]!r} and {twins[1]!r} look alike and are two classes")
    return files, tuple(notes)


def _walk(top: str, place: str, label: str, part: str, files: list[File], others: Counter[str]) -> None:
    """Adds the texts of a class, also those of folders inside it."""
    folders, names = entries(place)
    for name in names:
        path, ending = os.path.join(place, name), os.path.splitext(name)[1].lower()
        if ending in ENDINGS:
            files.append(File(printable(os.path.relpath(path, top)), path, printable(label), part))
        else:
            others[ending] += 1
    for name in folders:
        _walk(top, os.path.join(place, name), label, part, files, others)


def _read(files: Sequence[File]) -> Found:
    found = Found()
    for file in files:
        try:
            own = read_text(file.path)
        except UnreadableText as problem:
            found.skipped.append(Skipped(file.id, str(problem)))
            continue
        found.files.append(file)
        found.contents.append(own.content)
        found.digests.append(own.digest)
        found.encodings.append(own.encoding)
    return found


def _rows(found: Found, notes: tuple[str, ...], digests: tuple[str, ...]) -> Rows:
    classes = tuple(sorted({file.label for file in found.files}))
    number = {label: i for i, label in enumerate(classes)}
    task = "binary" if len(classes) == 2 else "multiclass"
    return Rows(
        table=table_of_texts(found.contents), task=task, classes=classes,
        values=np.array([number[file.label] for file in found.files], dtype=np.int64),
        given=tuple(file.part for file in found.files), ids=tuple(file.id for file in found.files),
        target=TargetFacts(name="class", task=task, why="the names of the folders"), notes=notes, digests=digests,
    )  # fmt: skip


def _require_enough(files: Sequence[File], found: Found) -> None:
    """Raises DataError where reading has left too little of a class."""
    before, after = Counter(file.label for file in files), Counter(file.label for file in found.files)
    for label, number in before.items():
        lost = number - after[label]
        few = not after[label] or after[label] < LOST_SHARE * number
        first = f" ({found.skipped[0].id}: {found.skipped[0].reason})" if found.skipped else ""
        require(not few, f"{lost} of the {number} texts of {label!r} cannot be read{first}", error=DataError)


def _some(names: Sequence[str] | Mapping[str, str]) -> str:
    shown = sorted(names)
    return ", ".join(map(repr, shown[:MOST_NAMED])) + (", ..." if len(shown) > MOST_NAMED else "")
