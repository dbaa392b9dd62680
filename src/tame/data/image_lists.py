"""Pictures in a list: a table whose rows name pictures and say what each shows.

Nothing here trusts a list: a path that leaves the folder of the list is refused, and no link is followed out of it.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError, require
from tame.core.text import printable
from tame.data.image_decoding import CONVERT, UnreadablePicture
from tame.data.image_layout import some
from tame.data.images import (
    ENDINGS,
    PARTS,
    UNSUPPORTED,
    File,
    Listing,
    Part,
    Skipped,
    entries,
    extension,
    given_parts,
    hash_all,
    identify,
    notes_on_part,
    part_folders,
    part_of_name,
    real_folder,
    refuse_twins,
)
from tame.data.table_csv import read_head
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable, require_column
from tame.data.targets import Target, read_later_target, read_target

METADATA, FILE_NAME = "metadata.csv", "file_name"  # how Hugging Face lists the pictures of a folder
FOLDERS = ("images", "image", "imgs", "img", "pictures", "photos")  # in which pictures lie beside their list
HEAD_BYTES = 2**18  # of a table, by which it is known for a list
SAMPLE = 200  # pictures that are looked for, to find their folder
MOST_LOST = 0.1  # of the pictures that are named; more that cannot be used are a mistake in the list
ADDRESS = "an address on a network and not a file; save the picture beside the list"


@dataclass(frozen=True, slots=True)
class ListFile:
    """A table that lists pictures, and the part that they come in ("": their paths may say it)."""

    path: Path
    part: Part


@dataclass(frozen=True, slots=True)
class Named:
    """The pictures that a table names, by row: id, absolute path and what is left out. folder: that they lie in."""

    ids: Mapping[int, str]
    paths: Mapping[int, str]
    left: Mapping[int, str]
    folder: str


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


def picture_columns(path: Path, *, but: Collection[str] = ()) -> tuple[str, ...]:
    """The columns of a CSV file in whose first rows at least half of all cells end as the names of pictures do."""
    try:
        with path.open("rb") as file:
            names, rows = read_head(file.read(HEAD_BYTES))
    except OSError:
        return ()
    found = []
    for place, name in enumerate(names):
        cells = [row[place].strip() for row in rows if len(row) > place and row[place].strip()]
        if name not in but and cells and 2 * sum(map(_is_picture_name, cells)) >= len(cells):
            found.append(name)
    return tuple(found)


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
    with path.open("rb") as file:
        names = read_head(file.read(HEAD_BYTES))[0]
    column = config.image or FILE_NAME
    return column in names and (config.target or _label_column(config, names, column)) is not None


def _is_picture_name(cell: str) -> bool:
    return extension(cell) in ENDINGS | UNSUPPORTED and "://" not in cell


def _others(config: StudyConfig) -> set[str]:
    """Columns that the user has said to be something else than names of pictures."""
    return {*config.columns, *(name for name in (config.target, config.groups, config.order) if name)}


# Reading


def read_list(config: StudyConfig) -> Listing:
    """The pictures that a list names, in the order in which a folder would have them; nothing is decoded.

    data: a table (val and test may be others), or a folder with metadata.csv in it or in its parts. Paths are relative
    to the folder of their table, or to images/ and the like in it. Raises DataError and UsageError.
    """
    files = _files(config)
    raws = [read_raw(each.path) for each in files]
    column = _picture_column(config, files[0].path, raws[0])
    target_name = _target_column(config, files[0].path, raws[0], column)
    _check_told(config, raws, column, target_name)
    told = config.columns.get(target_name, "")
    target, labelled = read_target(raws[0], target_name, task="classification", told=told)
    top = _top(config, files)
    notes = [*raws[0].notes, f"pictures: column {column!r} of {files[0].path.name}; labels: {target.why}"]
    found: list[Labelled] = []
    skipped: list[Skipped] = []
    first_row = 0
    for each, raw in zip(files, raws, strict=True):
        values, has = (target.values, labelled) if raw is raws[0] else _later(each, raw, target)
        named = locate(each.path, raw, column, top=top)
        _require_few_lost(config, each.path, raw, column, named)
        if named.folder:
            notes.append(f"the pictures of {each.path.name} lie in {named.folder}/")
        short = identify(top, str(each.path))
        skipped += [Skipped(f"{short}:{raw.places[row]}", reason) for row, reason in named.left.items()]
        for row, own in named.ids.items():
            if not has[row]:
                skipped.append(Skipped(f"{short}:{raw.places[row]}", "no label"))
                continue
            own_file = File(own, named.paths[row], target.classes[int(values[row])], each.part)
            found.append(Labelled(own_file, first_row + row))
        first_row += raw.num_rows
    found, said = _in_parts(config, top, found)
    places = np.concatenate([raw.places for raw in raws])
    found, twice = _each_once(found, places)
    names = [name for name in (config.groups, config.order) if name]
    beside = {name: np.concatenate([np.asarray(raw.columns[name]) for raw in raws]) for name in names}
    listing = listing_of(top, found, skipped, target.classes, beside=beside, notes=[*notes, *said, *twice])
    return replace(listing, digests=tuple(raw.digest for raw in raws))


def pictures_listed(path: Path) -> tuple[list[tuple[str, str]], list[Skipped]]:
    """The pictures that a table names, and those that are left out, as `pictures_in` has those of a folder.

    Raises DataError where no column names pictures, or several do, and for paths that leave the table's folder.
    """
    raw = read_raw(path)
    columns = picture_columns(path) or _columns_of_files(path, raw)
    what = f"the columns {some(columns)} of {path} all name pictures: keep one" if columns else ""
    require(len(columns) == 1, what or f"no column of {path} names pictures beside it", error=DataError)
    named = locate(path, raw, columns[0], top=os.path.realpath(path.parent))
    beside = os.path.dirname(os.fspath(path))
    found = [(os.path.join(beside, named.ids[row]), named.paths[row]) for row in named.ids]
    left = [Skipped(f"{printable(os.fspath(path))}:{raw.places[row]}", reason) for row, reason in named.left.items()]
    return [(printable(name), file) for name, file in found], left


def _columns_of_files(path: Path, raw: RawTable) -> tuple[str, ...]:
    """Columns whose first cell names a file beside the table, without the ending of a picture."""
    found = []
    for name in raw.names:
        cells = [str(cell).strip() for cell in raw.columns[name][:1].tolist()]
        inside = [cell for cell in cells if cell and not _is_absolute(cell) and not _leaves(cell)]
        folder = os.path.join(os.path.realpath(path.parent), _folder_of(path, os.path.realpath(path.parent), inside))
        if any(_present(os.path.join(folder, cell)) is not None for cell in inside):
            found.append(name)
    return tuple(found)


def _files(config: StudyConfig) -> list[ListFile]:
    """The tables to read. Raises DataError where a part that was named has none."""
    path = Path(config.data)
    if not path.is_dir():
        parts: tuple[tuple[str | None, Part], ...] = ((config.val, "val"), (config.test, "test"))
        later = [ListFile(Path(name), part) for name, part in parts if name is not None]
        return [ListFile(path, "train" if later else ""), *later]
    found = metadata_files(config)
    given: dict[Part, str | None] = {"val": config.val, "test": config.test}
    for part, name in given.items():
        has = found[0].part == "" or name is None or part in {each.part for each in found}
        require(has, f"the {part} folder {name} contains no {METADATA} that names pictures", error=DataError)
    return found


def _top(config: StudyConfig, files: Sequence[ListFile]) -> str:
    """The folder that all lists lie in: ids are paths below it."""
    if Path(config.data).is_dir():
        return real_folder(Path(config.data))
    return os.path.commonpath([os.path.realpath(each.path.parent) for each in files])


def _later(file: ListFile, raw: RawTable, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """The classes of a later list, and which of its rows have one. Errors name the file."""
    try:
        values, has = read_later_target(raw, target)
    except DataError as problem:
        raise DataError(f"{file.path}: {problem}") from None
    require(bool(has.any()), f"{file.path}: no row has a label, so it cannot be the {file.part} part", error=DataError)
    return values, has


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
    for name, kind in config.columns.items():
        require_column(name, raws[0].names)
        if name != target and not (name == config.order and kind.startswith("date")):
            raise UsageError(
                f"the pictures in column {column!r} are trained on, and no other column: leave out --column "
                f"{name}={kind}; with --column {column}=ignore the columns are trained on as a table"
            )


def _require_few_lost(config: StudyConfig, path: Path, raw: RawTable, column: str, named: Named) -> None:
    """Raises DataError where more pictures cannot be used than a list may name by mistake."""
    if len(named.left) <= MOST_LOST * raw.num_rows:
        return
    row = min(named.left)
    own = f"{str(raw.columns[column][row])!r:.80} on line {raw.places[row]}: {named.left[row]}"
    where = f"paths are relative to {os.path.realpath(path.parent)}"
    others = len(raw.names) > 2 and config.image is None and not Path(config.data).is_dir()
    table = f"; to train on the other columns instead, say --column {column}=ignore" if others else ""
    said = f"{len(named.left)} of the {raw.num_rows} pictures that column {column!r} of {path} names cannot be used"
    raise DataError(f"{said}, the first {own}; {where}{table}")


# Where the pictures lie


def locate(file: Path, raw: RawTable, column: str, *, top: str) -> Named:
    """The files that a column of a list names. top: what ids are relative to.

    Raises DataError for paths that are absolute or leave the folder of the list.
    """
    root = os.path.realpath(file.parent)
    cells = [str(cell).strip() for cell in raw.columns[column].tolist()]
    _require_inside(file, raw, column, cells, root)
    folder = _folder_of(file, root, cells)
    ids, paths, left = {}, {}, {}
    for row, cell in enumerate(cells):
        try:
            named = _named(os.path.join(root, folder), cell)
            paths[row] = _safe(root, named)
            ids[row] = identify(top, named)
        except UnreadablePicture as problem:
            left[row] = str(problem)
    return Named(ids, paths, left, folder)


def _require_inside(file: Path, raw: RawTable, column: str, cells: Sequence[str], root: str) -> None:
    for what, test in (("are absolute", _is_absolute), ("leave the folder of the list", _leaves)):
        rows = [row for row, cell in enumerate(cells) if test(cell)]
        if rows:
            first = f"{cells[rows[0]]!r:.80} on line {raw.places[rows[0]]}"
            said = f"{len(rows)} of the {len(cells)} paths in column {column!r} of {file} {what}, the first {first}"
            raise DataError(f"{said}: pictures lie in {root} or below, and their paths are relative to it")


def _is_absolute(cell: str) -> bool:
    return os.path.isabs(cell) or re.match(r"[A-Za-z]:[\\/]|[\\/]|~|file:", cell) is not None


def _leaves(cell: str) -> bool:
    return os.path.normpath(cell.replace("\\", "/")).split(os.sep)[0] == os.pardir


def _folder_of(file: Path, root: str, cells: Sequence[str]) -> str:
    """The folder beside a list that the names in it begin in; "" where they begin at the list itself.

    Raises DataError where they are found in several.
    """
    some_cells = [cell for cell in dict.fromkeys(cells) if cell][:SAMPLE]
    beside = dict.fromkeys((*FOLDERS, file.stem, f"{file.stem}_images"))
    real = [name for name in beside if os.path.isdir(os.path.join(root, name))]
    counts = {
        name: sum(_present(os.path.join(root, name, cell)) is not None for cell in some_cells) for name in ("", *real)
    }
    most = max(counts.values())
    best = [name for name, own in counts.items() if own == most]
    if "" in best:
        return ""
    several = f"the pictures of {file} are found in {some([f'{name}/' for name in best])}: begin the paths with one"
    require(len(best) == 1, several, error=DataError)
    return best[0]


def _named(folder: str, cell: str) -> str:
    """The path of the file that a cell names. Raises UnreadablePicture."""
    require(bool(cell), "names no picture", error=UnreadablePicture)
    require("://" not in cell, ADDRESS, error=UnreadablePicture)
    found = _present(os.path.join(folder, cell))
    if found is None:
        looks = _is_picture_name(cell)
        raise UnreadablePicture("there is no such file" if looks else "names no picture, and there is no such file")
    return found


def _present(path: str) -> str | None:
    """The file of this name, or of this name with the ending of a picture."""
    for each in dict.fromkeys((path, path.replace("\\", "/"))):
        if os.path.lexists(each):
            return os.path.normpath(each)
        if extension(each) not in ENDINGS | UNSUPPORTED:
            endings = (cased for ending in sorted(ENDINGS) for cased in (ending, ending.upper()))
            found = next((each + ending for ending in endings if os.path.lexists(each + ending)), None)
            if found is not None:
                return os.path.normpath(found)
    return None


def _safe(root: str, path: str) -> str:
    """The file without links. Raises UnreadablePicture for one outside, for a folder, and for what cannot be read."""
    real = os.path.realpath(path)
    if os.path.commonpath([root, real]) != root:
        raise UnreadablePicture("a link that leaves the folder of the list; such links are not followed")
    require(not os.path.isdir(real), "a folder and not a picture", error=UnreadablePicture)
    require(os.path.lexists(real), "a link that leads nowhere", error=UnreadablePicture)
    kind = extension(path)
    require(kind not in UNSUPPORTED, f"{kind} files cannot be read; {CONVERT}", error=UnreadablePicture)
    return real


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
    is_folder = Path(config.data).is_dir()
    if any(each.file.part for each in found):
        return found, []
    given = given_parts(top, entries(top)[0], val=config.val, test=config.test) if is_folder else {}
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
    return kept, [f"{left} rows name a picture that an earlier row names with the same label"] if left else []


def listing_of(
    top: str, found: Sequence[Labelled], skipped: Sequence[Skipped], classes: Sequence[str], *,
    beside: Mapping[str, np.ndarray], notes: Sequence[str],
) -> Listing:  # fmt: skip
    """The pictures in the order of a walk through folders by part and class, whatever the order of their list.

    beside: columns of all rows. Raises DataError where a class has no picture that can be read.
    """
    refuse_twins(classes)
    ordered = sorted(found, key=lambda each: order_in_folders(each.file, classes))
    pictures, left, names = hash_all([each.file for each in ordered], skipped, classes)
    row_of = {each.file.id: each.row for each in ordered}
    rows = np.array([row_of[picture.id] for picture in pictures], dtype=np.int64)
    parts = tuple(part for part in PARTS if part in {picture.part for picture in pictures})
    listing = Listing(
        printable(top), names, pictures, left, parts, tuple(notes),
        beside={name: column[rows] for name, column in beside.items()},
    )  # fmt: skip
    return replace(listing, notes=(*notes, *_notes_on_classes(listing)))


def order_in_folders(file: File, classes: Sequence[str]) -> tuple[object, ...]:
    """Where a walk comes to a file: part by part, class by class, the files of a folder before those inside it."""
    *folders, name = file.id.split("/")
    return (
        ("", *PARTS).index(file.part),
        classes.index(file.class_name),
        [*((1, each) for each in folders), (0, name)],
    )


def _notes_on_classes(listing: Listing) -> Iterator[str]:
    """Notes on classes that parts lack. Raises DataError for classes without a picture to train on."""
    held: dict[Part, set[str]] = {part: set() for part in ("", *PARTS)}
    for picture in listing.pictures:
        held[picture.part].add(listing.classes[picture.label])
    train = held[""] | held["train"]
    why = "".join(f"; left out, among others, {each.id}: {each.reason}" for each in listing.skipped[:1])
    require(bool(train), f"no pictures to train on are listed for {listing.root}{why}", error=DataError)
    for part in listing.parts:
        if part != "train":
            yield from notes_on_part(part, held[part], train)
    gone = [name for name in listing.classes if name not in train]
    require(not gone, f"no picture of the classes {some(gone)} can be read{why}", error=DataError)
