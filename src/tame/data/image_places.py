"""Where the pictures lie that a table names: beside the table, and nowhere else.

No path leaves the folder of its table, and no link is followed out of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tame.core.errors import DataError, require
from tame.core.text import printable
from tame.data.image_decoding import CONVERT
from tame.data.image_depth import UnreadablePicture
from tame.data.image_layout import some
from tame.data.images import ENDINGS, UNSUPPORTED, Skipped, extension, identify
from tame.data.table_csv import read_head
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable

FOLDERS = ("images", "image", "imgs", "img", "pictures", "photos")  # in which pictures lie beside their list
HEAD_BYTES = 2**18  # of a table, by which it is known for a list
SAMPLE = 200  # pictures that are looked for, to find their folder
ADDRESS = "an address on a network and not a file; save the picture beside the list"


@dataclass(frozen=True, slots=True)
class Named:
    """The pictures that a table names, by row: id, absolute path and what is left out. folder: that they lie in."""

    ids: Mapping[int, str]
    paths: Mapping[int, str]
    left: Mapping[int, str]
    folder: str


def head_of(path: Path) -> tuple[tuple[str, ...], list[list[str]]]:
    """The names of the columns and the first rows of a table; nothing where it cannot be read."""
    try:
        with path.open("rb") as file:
            return read_head(file.read(HEAD_BYTES))
    except OSError:
        return (), []


def picture_columns(path: Path, *, but: Collection[str] = ()) -> tuple[str, ...]:
    """The columns of a CSV file in whose first rows at least half of all cells end as the names of pictures do."""
    names, rows = head_of(path)
    found = []
    for place, name in enumerate(names):
        cells = [row[place].strip() for row in rows if len(row) > place and row[place].strip()]
        if name not in but and cells and 2 * sum(map(is_picture_name, cells)) >= len(cells):
            found.append(name)
    return tuple(found)


def is_picture_name(cell: str) -> bool:
    """Whether a cell ends as the name of a picture does, of one that cannot be read too, and is no address."""
    return extension(cell) in ENDINGS | UNSUPPORTED and "://" not in cell


def pictures_listed(path: Path) -> tuple[list[tuple[str, str]], list[Skipped]]:
    """The pictures that a table names, and those that are left out, as `pictures_in` has those of a folder.

    Raises DataError where no column names pictures, or several do, and for paths that leave the table's folder.
    """
    raw = read_raw(path)
    columns = picture_columns(path) or _columns_of_files(path, raw)
    what = f"the columns {some(columns)} of {path} all name pictures: keep one" if columns else ""
    require(len(columns) == 1, what or f"no column of {path} names pictures beside it", error=DataError)
    named = locate(path, raw, columns[0], top=os.path.realpath(path.parent))
    beside = printable(os.path.dirname(os.fspath(path)))
    found = [(os.path.join(beside, named.ids[row]), named.paths[row]) for row in named.ids]
    left = [Skipped(f"{printable(os.fspath(path))}:{raw.places[row]}", reason) for row, reason in named.left.items()]
    return found, left


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
        looks = is_picture_name(cell)
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
