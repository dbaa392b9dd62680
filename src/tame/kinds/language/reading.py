"""Texts that a language model is adapted to, as they are read: files in a folder, or the rows of a table's column."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from tame.core.config import GIVEN, StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.data.images import Skipped
from tame.data.sources import short_names
from tame.data.table_kinds import type_table
from tame.data.table_reading import names_of, read_raw
from tame.data.tables import MISSING, MOST_NAMES, Column, RawTable, require_column
from tame.data.texts import ENDINGS, OTHER_ENDINGS, ROLES, UnreadableText, digest_of, on_encodings, read_text
from tame.kinds.findings import count
from tame.kinds.tables.source import files_of

LEAST_TEXTS = 3
MOST_FILES = 200_000
NEEDS = "a language model is trained on a folder of texts (.txt, .md), or on a column of a table"


@dataclass(slots=True)
class ReadTexts:
    """Texts in their order. paths: of files; () of rows; parts: "" where none was given."""

    names: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def look_at(config: StudyConfig) -> None:
    """Raises DataError for what holds no texts; opens no file of a folder, and reads of a table only its head."""
    place = Path(config.data)
    require(config.data not in GIVEN, f"{NEEDS}; write them into files", error=DataError)
    _require_several(config)
    if place.is_dir():
        _listed(place)
    elif config.text is not None and (names := names_of(place)):
        require_column(config.text, names)


def read_texts(config: StudyConfig) -> ReadTexts:
    """The texts of a study. Raises DataError where fewer than three can be read."""
    _require_several(config)
    own = _of_folder(config) if Path(config.data).is_dir() else _of_table(config)
    why = f"; {own.skipped[0].id} was left out: {own.skipped[0].reason}" if own.skipped else ""
    few = f"{config.data} holds {count(len(own.texts), 'text')} that can be read"
    need = "a language model needs at least three: to train on, to choose by and to be judged on"
    need += "; write the chapters of a long one into files of their own" if len(own.texts) == 1 else ""
    require(len(own.texts) >= LEAST_TEXTS, f"{few}; {need}{why}", error=DataError)
    return own


def _require_several(config: StudyConfig) -> None:
    """Raises DataError for one text in a file, which is no table."""
    place = Path(config.data)
    if place.is_file() and place.suffix.lower() in ENDINGS and config.text is None:
        said = f"{place} is one text, and a language model needs at least three: give a folder of texts"
        raise DataError(f"{said}; write the chapters of a long one into files of their own")


def _of_table(config: StudyConfig) -> ReadTexts:
    """The texts in a column of one or more tables. Raises DataError and UsageError."""
    files = files_of(config)
    raws = [read_raw(path) for path, _ in files]
    names = short_names([path for path, _ in files])
    column, own, empty = _column(config, raws[0]), ReadTexts(), 0
    for raw, short, (_, part) in zip(raws, names, files, strict=True):
        require_column(column, raw.names)
        table = type_table(raw, target=None, told={column: "text"})
        own.notes += [note for note in table.notes if note not in own.notes and _is_about(note, column, raw)]
        codes, texts = table.values[column], table.texts[column]
        for line, code in zip(raw.places.tolist(), codes.tolist(), strict=True):
            if code == MISSING:
                empty += 1
                continue
            own.names.append(f"{short}:{line}")
            own.parts.append(part)
            own.texts.append(texts[code])
            own.digests.append(digest_of(texts[code]))
    own.notes.append(f"each row of column {column!r} is a text")
    if empty:
        own.notes.append(f"{count(empty, 'row')} without a text {'is' if empty == 1 else 'are'} not used")
    return own


def _is_about(note: str, column: str, raw: RawTable) -> bool:
    """Whether a note is about the whole table, or about this column."""
    return note in raw.notes or note.startswith(f"{column}: ")


def _column(config: StudyConfig, raw: RawTable) -> str:
    """The column with the texts: the one that was named, or the only one that holds any."""
    if config.text is not None:
        require_column(config.text, raw.names)
        return config.text
    columns = type_table(raw, target=None).columns
    found = [column.name for column in columns if column.kind == "text"]
    require(bool(found), f"{config.data} has no column of texts: {_told(columns)}", error=DataError)
    several = " and ".join(map(repr, found[:MOST_NAMES]))
    require(len(found) == 1, f"columns {several} hold texts; give one of them with --text", error=UsageError)
    return found[0]


def _told(columns: tuple[Column, ...]) -> str:
    some = ", ".join(f"{column.name!r} ({column.kind}: {column.why})" for column in columns[:MOST_NAMES])
    return f"{some}; if one of them is one nevertheless, give it with --text"


def _listed(place: Path) -> list[Path]:
    """The files with texts in a folder, in order of their names. Raises DataError where there are none."""
    every = [Path(root) / name for root, _, names in os.walk(place) for name in names if not name.startswith(".")]
    said = f"{place} holds {len(every):,} files; at most {MOST_FILES:,} are read"
    require(len(every) <= MOST_FILES, said, error=DataError)
    texts = sorted(each for each in every if each.suffix.lower() in ENDINGS)
    others = sorted(each.name for each in every if each.suffix.lower() in OTHER_ENDINGS)
    cure = f"; it holds {others[0]!r}: save the text of such files as .txt, with pdftotext or pandoc" if others else ""
    require(bool(texts), f"{place} holds no texts (.txt, .md){cure}", error=DataError)
    return texts


def _of_folder(config: StudyConfig) -> ReadTexts:
    """The texts in the files of a folder. Raises DataError."""
    place = Path(config.data)
    asked = {part: given for part in ("val", "test") if (given := getattr(config, part)) is not None}
    for part, given in asked.items():
        require((place / given).is_dir(), f"{place} has no folder {given!r} for the {part} part")
    named = {given: part for part, given in asked.items()}
    own, encodings = ReadTexts(), []
    for path in _listed(place):
        name = path.relative_to(place).as_posix()
        try:
            found = read_text(str(path))
        except UnreadableText as problem:
            own.skipped.append(Skipped(name, str(problem)))
            continue
        own.names.append(name)
        own.paths.append(str(path.resolve()))
        folder = name.split("/")[0] if "/" in name else ""
        role = ROLES.get(folder.casefold(), "")
        own.parts.append(named.get(folder, "" if role in asked else role))
        own.texts.append(found.content)
        own.digests.append(found.digest)
        encodings.append(found.encoding)
    others = sorted(each.name for each in place.rglob("*") if each.suffix.lower() in OTHER_ENDINGS and each.is_file())
    if others:
        own.notes.append(
            f"{count(len(others), 'file')} such as {others[0]!r} {'is' if len(others) == 1 else 'are'} not read: save "
            "the text as .txt, with pdftotext or pandoc"
        )
    own.notes.extend(on_encodings(encodings))
    return own
