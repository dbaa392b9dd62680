"""Pictures in a list: a table whose rows name pictures and say what each shows, read as a folder of them would be."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.core.files import is_folder_beside
from tame.core.result_parts import TargetFacts
from tame.core.text import printable
from tame.data.image_layout import some
from tame.data.image_places import Named, head_of, locate, picture_columns
from tame.data.images import (
    PARTS,
    File,
    Listing,
    Part,
    Skipped,
    entries,
    given_parts,
    hash_all,
    identify,
    notes_on_part,
    part_folders,
    part_of_name,
    real_folder,
    refuse_twins,
)
from tame.data.table_order import columns_beside
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable, require_column
from tame.data.targets import Target, read_later_target, read_target

METADATA, FILE_NAME = "metadata.csv", "file_name"  # how Hugging Face lists the pictures of a folder
MOST_LOST = 0.1  # of the pictures that are named; more that cannot be used are a mistake in the list


@dataclass(frozen=True, slots=True)
class ListFile:
    """A table that lists pictures, and the part that they come in ("": their paths may say it)."""

    path: Path
    part: Part


@dataclass(frozen=True, slots=True)
class Labelled:
    """A file with its label, and its row in all lists, one after the other."""

    file: File
    row: int


# What is a list


def is_list(config: StudyConfig) -> bool:
    """Whether the data is a table of which a column names pictures: the one that was given, or one that looks so."""
    path = Path(config.data)
    return path.is_file() and (config.image is not None or bool(picture_columns(path, but=_others(config))))


def metadata_files(config: StudyConfig) -> list[ListFile]:
    """The metadata.csv of a folder, or those of its parts; empty where there is none to train on."""
    top = real_folder(Path(config.data))
    if _is_metadata(Path(top, METADATA), config):
        return [ListFile(Path(top, METADATA), "")]
    folders, _ = entries(top)
    roles = part_folders(folders, given_parts(top, folders, val=config.val, test=config.test))
    files = {part: Path(top, roles[part], METADATA) for part in PARTS if part in roles}
    found = [ListFile(file, part) for part, file in files.items() if _is_metadata(file, config)]
    return found if found and found[0].part == "train" else []


def _is_metadata(path: Path, config: StudyConfig) -> bool:
    """Whether there is such a file that names pictures and has their labels: others describe class folders."""
    if not path.is_file():
        return False
    names, _ = head_of(path)
    column = config.image or FILE_NAME
    return column in names and (config.target or _label_column(config, names, column)) is not None


def _others(config: StudyConfig) -> set[str]:
    """Columns that the user has said to be something else than names of pictures."""
    return {*config.told, *(name for name in (config.target, config.groups, config.order) if name)}


# Reading


def task_asked(config: StudyConfig) -> str:
    """The task of `read_target` that a config asks for; "auto" where the labels decide, as those of a table do."""
    return "auto" if config.task in ("auto", "images") else config.task


def file_of(name: str, path: str, target: Target, value: float, part: Part) -> File:
    """A picture with its label: the class of this number, or the number itself."""
    if not target.classes:
        return File(name, path, "", part, float(value))
    return File(name, path, target.classes[int(value)], part)


def target_facts(target: Target) -> TargetFacts | None:
    """What is kept of the target of a regression; None for classes, which speak for themselves."""
    return None if target.classes else TargetFacts(name=target.name, task=target.task, why=target.why)


def read_list(config: StudyConfig) -> Listing:
    """The pictures that a list names, in the order in which a folder would have them; nothing is decoded.

    data: a table (val and test may be others), or a folder with metadata.csv in it or in its parts. Paths are relative
    to the folder of their table, or to images/ and the like in it. Raises DataError and UsageError.
    """
    files = _files(config)
    raws = [read_raw(each.path) for each in files]
    column = _picture_column(config, files[0].path, raws[0])
    label = _target_column(config, files[0].path, raws[0], column)
    _check_told(config, raws, column, label)
    top = _top(config, files)
    located = [_located(config, each.path, raw, column, top) for each, raw in zip(files, raws, strict=True)]
    told = config.columns.get(label, "")
    target, labelled = read_target(raws[0], label, task=task_asked(config), told=told)
    said = f"pictures: column {column!r} of {files[0].path.name}; labels: column {label!r}"
    kinds = f"{len(target.classes)} classes" if target.classes else "numbers"
    notes = [*raws[0].notes, f"{said}, {kinds}"]
    rest = [name for name in raws[0].names if name not in (column, label, config.groups, config.order)]
    notes += [f"columns that are not trained on: {some(rest)}"] if rest else []
    found: list[Labelled] = []
    skipped: list[Skipped] = []
    first_row = 0
    for each, raw, named in zip(files, raws, located, strict=True):
        values, has, own = (target.values, labelled, []) if raw is raws[0] else _later(each, raw, target)
        notes += [f"{each.path.name}: {note}" for note in own]
        notes += [f"the pictures of {each.path.name} lie in {named.folder}/"] if named.folder else []
        left = {row: "no label" for row in named.ids if not has[row]} | dict(named.left)
        short = identify(top, str(each.path))
        skipped += [Skipped(f"{short}:{raw.places[row]}", reason) for row, reason in left.items()]
        found += [
            Labelled(file_of(name, named.paths[row], target, values[row], each.part), first_row + row)
            for row, name in named.ids.items()
            if has[row]
        ]
        first_row += raw.num_rows
    found, unused = _in_parts(config, top, found)
    found, twice = _each_once(found, np.concatenate([raw.places for raw in raws]))
    tables = [(each.path.name, raw) for each, raw in zip(files, raws, strict=True)]
    beside, more = columns_beside(tables, groups=config.groups, order=config.order, told=config.columns)
    listing = listing_of(top, found, skipped, target.classes, beside=beside, notes=[*notes, *more, *unused, *twice])
    return replace(listing, digests=tuple(raw.digest for raw in raws), target=target_facts(target))


def _files(config: StudyConfig) -> list[ListFile]:
    """The tables to read. Raises DataError where a part that was named has none."""
    path = Path(config.data)
    if not path.is_dir():
        parts: tuple[tuple[str | None, Part], ...] = ((config.val, "val"), (config.test, "test"))
        folders = _folders_beside(config).values()
        later = [ListFile(Path(name), part) for name, part in parts if name is not None and name not in folders]
        mixed = "of --val and --test one names a table and the other a folder: give two tables, or two folders"
        require(not (later and folders), mixed)
        return [ListFile(path, "train" if later else ""), *later]
    found = metadata_files(config)
    given: dict[Part, str | None] = {"val": config.val, "test": config.test}
    for part, name in given.items():
        has = found[0].part == "" or name is None or part in {each.part for each in found}
        require(has, f"the {part} folder {name} contains no {METADATA} that names pictures", error=DataError)
    return found


def _folders_beside(config: StudyConfig) -> dict[Part, str]:
    """The parts that are folders beside a list, whose paths lie in them, and not tables of their own."""
    asked: dict[Part, str | None] = {"val": config.val, "test": config.test}
    return {part: name for part, name in asked.items() if name and is_folder_beside(Path(config.data), name)}


def _top(config: StudyConfig, files: Sequence[ListFile]) -> str:
    """The folder that all lists lie in: ids are paths below it."""
    if Path(config.data).is_dir():
        return real_folder(Path(config.data))
    return os.path.commonpath([os.path.realpath(each.path.parent) for each in files])


def _later(file: ListFile, raw: RawTable, target: Target) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The classes of a later list, which of its rows have one, and notes. Errors name the file."""
    try:
        values, has, notes = read_later_target(raw, target)
    except DataError as problem:
        raise DataError(f"{file.path}: {problem}") from None
    require(bool(has.any()), f"{file.path}: no row has a label, so it cannot be the {file.part} part", error=DataError)
    return values, has, notes


def _picture_column(config: StudyConfig, path: Path, raw: RawTable) -> str:
    """The column that names pictures. Raises UsageError where several do."""
    given = config.image or (FILE_NAME if Path(config.data).is_dir() else None)
    if given is not None:
        require_column(given, raw.names)
        return given
    found = picture_columns(path, but=_others(config))
    several = f"the columns {some(found)} of {path} all name pictures: say with --image which of them to read"
    require(len(found) == 1, several)
    return found[0]


def _target_column(config: StudyConfig, path: Path, raw: RawTable, column: str) -> str:
    """The column of the labels: as given, the one called label, or the only other one. Raises UsageError."""
    if config.target is not None:
        require_column(config.target, raw.names)
        require(config.target != column, f"{column!r} names the pictures; it cannot also be their label")
        return config.target
    found = _label_column(config, raw.names, column)
    if found is not None:
        return found
    which = f"say with --target which column has the labels (columns: {some(raw.names)})"
    raise UsageError(f"{path} names pictures in column {column!r}; {which}")


def _label_column(config: StudyConfig, names: Sequence[str], column: str) -> str | None:
    """The column called label, or the only one that is not for something else."""
    others = [name for name in names if name not in (column, config.groups, config.order)]
    return "label" if "label" in others else others[0] if len(others) == 1 else None


def _check_told(config: StudyConfig, raws: Sequence[RawTable], column: str, target: str) -> None:
    """Raises UsageError and DataError for columns that are not there, or about which something useless was said."""
    for name in (config.groups, config.order):
        for raw in raws if name else ():
            require_column(str(name), raw.names)
        require(name not in (column, target), f"{name!r} cannot also split the pictures")
    for name, kind in config.told.items():
        require_column(name, raws[0].names)
        if name != target and not (name == config.order and kind.startswith("date")):
            raise UsageError(
                f"the pictures in column {column!r} are trained on, and no other column: leave out --column "
                f"{name}={kind}; with --column {column}=ignore the columns are trained on as a table"
            )


def _located(config: StudyConfig, path: Path, raw: RawTable, column: str, top: str) -> Named:
    """The files that a list names. Raises DataError where more of them cannot be used than are named by mistake."""
    named = locate(path, raw, column, top=top)
    if len(named.left) <= MOST_LOST * raw.num_rows:
        return named
    row = min(named.left)
    own = f"{str(raw.columns[column][row])!r:.80} on line {raw.places[row]}: {named.left[row]}"
    where = f"paths are relative to {os.path.realpath(path.parent)}"
    others = len(raw.names) > 2 and config.image is None and not Path(config.data).is_dir()
    table = f"; to train on the other columns instead, say --column {column}=ignore" if others else ""
    said = f"{len(named.left)} of the {raw.num_rows} pictures that column {column!r} of {path} names cannot be used"
    raise DataError(f"{said}, the first {own}; {where}{table}")


# Parts, order, and what comes of it


def parts_of_folders(tops: Sequence[str], given: Mapping[Part, str]) -> list[Part | None]:
    """The part of each picture by the folder at the top of its path; None where it plays no part.

    given: folders that were named for a part. train/, val/ and test/ are parts where all pictures lie in such.
    """
    roles: dict[str, Part] = {name: part for part, name in given.items()}
    like = {top: part for top in set(tops) if top not in roles and (part := part_of_name(top)) is not None}
    free = {top: part for top, part in like.items() if part not in given}
    if set(tops) <= {*roles, *like} and "train" in free.values():
        return [(roles | free).get(top) for top in tops]
    return [roles.get(top, "") for top in tops]


def _in_parts(config: StudyConfig, top: str, found: list[Labelled]) -> tuple[list[Labelled], list[str]]:
    """The pictures with the parts that their folders say, where the lists do not, and notes."""
    if any(each.file.part for each in found):
        return found, []
    named: Mapping[Part, str | None] = {"val": config.val, "test": config.test}
    named = named if Path(config.data).is_dir() else _folders_beside(config)
    folders = entries(top)[0] if any(named.values()) else []
    given = given_parts(top, folders, val=named.get("val"), test=named.get("test"))
    parts = parts_of_folders([first_folder(each.file.id) for each in found], given)
    missing = set(given) - set(parts)
    require(not missing, f"no picture that is listed lies in {some([given[p] for p in missing])}", error=DataError)
    kept = [
        replace(each, file=replace(each.file, part=part))
        for each, part in zip(found, parts, strict=True)
        if part is not None
    ]
    left = len(found) - len(kept)
    return kept, [f"{left} pictures in folders that play no part are not used"] if left else []


def first_folder(own: str) -> str:
    """The folder at the top of an id; "" where the picture lies in none."""
    return own.split("/", 1)[0] if "/" in own else ""


def _each_once(found: Sequence[Labelled], places: np.ndarray) -> tuple[list[Labelled], list[str]]:
    """The pictures with an id each, and a note on those that are listed twice alike, which count once."""
    first: dict[File, Labelled] = {}
    for each in found:
        first.setdefault(each.file, each)
    seen: Counter[str] = Counter()
    kept = []
    for each in first.values():
        seen[each.file.id] += 1
        own = each.file.id if seen[each.file.id] == 1 else f"{each.file.id} (line {places[each.row]})"
        kept.append(replace(each, file=replace(each.file, id=own)))
    left = len(found) - len(first)
    rows = "1 row names" if left == 1 else f"{left} rows name"
    return kept, [f"{rows} a picture that an earlier row names with the same label"] if left else []


def listing_of(
    top: str, found: Sequence[Labelled], skipped: Sequence[Skipped], classes: Sequence[str], *,
    beside: Mapping[str, np.ndarray], notes: Sequence[str],
) -> Listing:  # fmt: skip
    """The pictures in the order of a walk through folders by part and class, whatever the order of their list.

    beside: columns of all rows. Raises DataError where a class has no picture that can be read.
    """
    refuse_twins(classes)
    places = {name: place for place, name in enumerate(classes)}
    ordered = sorted(found, key=lambda each: order_in_folders(each.file, places))
    pictures, left, names = hash_all([each.file for each in ordered], skipped, classes)
    row_of = {each.file.id: each.row for each in ordered}
    rows = np.array([row_of[picture.id] for picture in pictures], dtype=np.int64)
    parts = tuple(part for part in PARTS if part in {picture.part for picture in pictures})
    listing = Listing(
        printable(top), names, pictures, left, parts, tuple(notes),
        beside={name: column[rows] for name, column in beside.items()},
    )  # fmt: skip
    return replace(listing, notes=(*notes, *_notes_on_classes(listing)))


def order_in_folders(file: File, places: Mapping[str, int]) -> tuple[object, ...]:
    """Where a walk comes to a file: part by part, class by class, the files of a folder before those inside it.

    places: of the classes by name, none of a regression.
    """
    *folders, name = file.id.split("/")
    return (
        ("", *PARTS).index(file.part),
        places.get(file.class_name, 0),
        [*((1, each) for each in folders), (0, name)],
    )


def _notes_on_classes(listing: Listing) -> Iterator[str]:
    """Notes on classes that parts lack. Raises DataError for classes without a picture to train on."""
    held: dict[Part, set[str]] = {part: set() for part in ("", *PARTS)}
    for picture in listing.pictures:
        held[picture.part].add(listing.classes[picture.label] if listing.classes else "a number")
    train = held[""] | held["train"]
    why = "".join(f"; left out, among others, {each.id}: {each.reason}" for each in listing.skipped[:1])
    require(bool(train), f"no pictures to train on are listed for {listing.root}{why}", error=DataError)
    for part in listing.parts:
        if part != "train":
            yield from notes_on_part(part, held[part], train)
    gone = [name for name in listing.classes if name not in train]
    require(not gone, f"no picture of the classes {some(gone)} can be read{why}", error=DataError)
