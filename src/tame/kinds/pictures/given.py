"""Pictures given from Python: kept in the study's folder, in one file, where all of its processes find them."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, StorageError, require
from tame.core.files import read_bytes, replacing, require_own, write_text
from tame.core.plain import from_plain, to_plain
from tame.core.result_parts import TargetFacts
from tame.core.text import printable
from tame.data.given_pictures import LABEL, Item, Keys, content_of_given, items_of
from tame.data.image_depth import UnreadablePicture
from tame.data.image_lists import MOST_LOST, file_of, order_in_folders, target_facts, task_asked
from tame.data.image_names import labels_in, named, target_of
from tame.data.images import PARTS, Listing, Part, Picture, Skipped, notes_on_part, refuse_twins

CONTENT, INDEX = "pictures.bin", "pictures.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What is kept beside the content of the pictures. beside: columns that group and order them; target: of numbers,
    which have no classes."""

    classes: tuple[str, ...]
    pictures: tuple[Picture, ...]  # their path is that of the study's folder, wherever it lies
    skipped: tuple[Skipped, ...] = ()
    notes: tuple[str, ...] = ()
    beside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    target: TargetFacts | None = None


@dataclass(frozen=True, slots=True)
class _Written:
    item: Item
    offset: int
    size_bytes: int
    digest: str


def keep_pictures(parts: Mapping[Part, object], config: StudyConfig, folder: Path) -> None:
    """Puts pictures given from Python into a study's folder, as they are; those of Pillow as PNG.

    Raises DataError where there are too few, or too many that cannot be used, and UsageError.
    """
    beside = tuple(name for name in (config.groups, config.order) if name)
    keys = Keys(config.image or "", config.target or "", beside)
    skipped: list[Skipped] = []
    with replacing(folder, CONTENT) as file:
        written = _written(file, parts, keys, skipped)
        names = _names([each.item for each in written])
        kept = _index(written, names, skipped, config, beside)
    write_text(folder, INDEX, json.dumps(to_plain(kept)))


def _written(file: IO[bytes], parts: Mapping[Part, object], keys: Keys, skipped: list[Skipped]) -> list[_Written]:
    """Writes the pictures one after the other; what cannot be read joins `skipped`."""
    found: list[_Written] = []
    offset = total = 0
    for item in items_of(parts, keys):
        total += 1
        try:
            content = content_of_given(item.picture)
        except UnreadablePicture as problem:
            skipped.append(Skipped(printable(item.name), str(problem)))
            continue
        file.write(content)
        digest = hashlib.blake2b(content, digest_size=16).hexdigest()
        found.append(_Written(item, offset, len(content), digest))
        offset += len(content)
    require(total > 0, "no pictures were given", error=DataError)
    if len(skipped) > MOST_LOST * total:
        first = f"{skipped[0].id}: {skipped[0].reason}"
        raise DataError(f"{len(skipped)} of the {total} given pictures cannot be used, the first {first}")
    return found


def _names(items: Sequence[Item]) -> list[str]:
    """An id for each: its number, or its path below the folder that all of them lie in."""
    paths = [os.path.abspath(item.name) for item in items if item.is_path]
    try:
        top = os.path.commonpath([os.path.dirname(path) for path in paths]) if paths else ""
    except ValueError:  # on several drives
        top = ""
    seen: Counter[str] = Counter()
    found = []
    for number, item in enumerate(items):
        name = item.name
        if item.is_path:
            path = os.path.abspath(item.name)
            name = (os.path.relpath(path, top) if top else path).replace(os.sep, "/")
        own = printable(name)
        seen[own] += 1
        found.append(own if seen[own] == 1 else f"{own} (item {number})")
    return found


def _index(
    written: Sequence[_Written], names: Sequence[str], skipped: Sequence[Skipped], config: StudyConfig,
    beside: Sequence[str],
) -> Kept:  # fmt: skip
    labels, where = [each.item.label for each in written], "what was given"
    if config.label_pattern is not None:
        require(not any(labels), "labels are given, and --label-pattern reads them off names: leave one of them out")
        labels = labels_in([name.rpartition("/")[2] for name in names], config.label_pattern)
        where = named(config.label_pattern)
    require(any(labels), f"{where} has no labels: give (pictures, labels), or label_pattern", error=DataError)
    column = config.target or LABEL
    target, labelled = target_of(
        labels, names, where, task=task_asked(config), told=config.columns.get(column, ""), column=column
    )
    refuse_twins(target.classes)
    kept, left = [], list(skipped)
    for each, name, value, has_label in zip(written, names, target.values.tolist(), labelled, strict=True):
        if not has_label:
            left.append(Skipped(name, "no label"))
            continue
        file, label = file_of(name, CONTENT, target, value, each.item.part), value if target.classes else 0
        own = Picture(name, CONTENT, label, file.part, each.digest, each.size_bytes, each.offset, file.value)
        kept.append((file, own, each.item))
    if all(item.is_path for _, _, item in kept):
        places = {name: place for place, name in enumerate(target.classes)}
        kept.sort(key=lambda each: order_in_folders(each[0], places))
    pictures = tuple(own for _, own, _ in kept)
    notes = (f"labels: {target.why}", *_notes_on_parts(pictures, target.classes))
    columns = {name: tuple(item.beside[at] for _, _, item in kept) for at, name in enumerate(beside)}
    return Kept(
        classes=target.classes, pictures=pictures, skipped=tuple(left), notes=notes, beside=columns,
        target=target_facts(target),
    )  # fmt: skip


def _notes_on_parts(pictures: Sequence[Picture], classes: Sequence[str]) -> list[str]:
    held = {
        part: {classes[p.label] if classes else "a number" for p in pictures if p.part == part} for part in ("", *PARTS)
    }
    train = held[""] | held["train"]
    gone = [name for name in classes if all(name not in own for own in held.values())]
    require(not gone, f"no picture of the class {', '.join(gone)} can be used", error=DataError)
    later: tuple[Part, ...] = ("val", "test")
    return [note for part in later if held[part] for note in notes_on_part(part, held[part], train)]


def read_given(folder: Path) -> Listing:
    """The pictures that `keep_pictures` put there. Raises StorageError."""
    try:
        require_own(folder, CONTENT)
        text = read_bytes(folder, INDEX)
        kept = from_plain(Kept, json.loads(text), what=f"what is kept of the pictures of {folder}")
        good = all(
            (0 <= p.label < len(kept.classes) if kept.classes else p.label == 0 and p.value is not None)
            and p.offset is not None
            and min(p.offset, p.size_bytes) >= 0
            for p in kept.pictures
        )
        require(good and (folder / CONTENT).is_file(), "damaged", error=StorageError)
        require({len(kept.pictures)} >= set(map(len, kept.beside.values())), "damaged", error=StorageError)
    except (OSError, ValueError, StorageError) as problem:
        said = f"the pictures of {folder} cannot be read, begin again with tame.fit: {problem}"
        raise StorageError(said) from None
    path = str((folder / CONTENT).resolve())
    pictures = tuple(replace(picture, path=path) for picture in kept.pictures)
    parts = tuple(part for part in PARTS if part in {picture.part for picture in pictures})
    beside = {name: np.array(values, dtype=object) for name, values in kept.beside.items()}
    digests = (hashlib.sha256(text).hexdigest(),)
    return Listing(str(folder), kept.classes, pictures, kept.skipped, parts, kept.notes, beside, digests, kept.target)
