"""Edits of a study's data: examples that are left out and labels that are changed, as `edits.csv` holds them.

The user's own files are never touched: a new study applies the edits when it has read and split the data.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import ClassVar, Literal

from tame.core.errors import DataError, RefusedError, UsageError, require, unknown
from tame.core.files import TEXT_BYTES, read_bytes
from tame.core.text import printable

EDITS = "edits.csv"  # in a study's folder
NEEDED, ACTIONS = ("id", "action"), ("exclude", "label")
MOST_TEXT = 1000  # characters of a cell
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet takes a cell for a formula


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """What is done with one example. id: as in `split.csv`; label: the new one, "" where the example is left out.

    part: in which it lay where it was edited, "test" only after that part was opened; "" where that is not known. why,
    when: in words and as an ISO time; digest: of the example as it was, "" where it is not to be checked. action "undo"
    takes an earlier edit back, and is in no file.
    """

    id: str
    action: Literal["exclude", "label", "undo"]
    label: str = ""
    part: str = ""
    why: str = ""
    when: str = ""
    digest: str = ""


COLUMNS = tuple(each.name for each in fields(Edit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Edited:
    """The edits that a study was begun with. sealed: ids of those of them that lie in its own test part."""

    event_kind: ClassVar[str] = "edited"
    edits: tuple[Edit, ...] = ()
    sealed: tuple[str, ...] = ()

    @property
    def counts(self) -> EditCounts:
        """How many there are of each sort."""
        hidden = set(self.sealed)
        own = [each for each in self.edits if each.id in hidden]
        return EditCounts(
            excluded=_number(self.edits, "exclude"), relabelled=_number(self.edits, "label"),
            test_excluded=_number(own, "exclude"), test_relabelled=_number(own, "label"),
            after_looking=sum(each.part == "test" for each in own),
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EditCounts:
    """How many examples were edited before a study. excluded, relabelled: of all; test_: of its sealed test part.

    after_looking: edits of the test part that were made after an earlier study had shown its test answers.
    """

    excluded: int = 0
    relabelled: int = 0
    test_excluded: int = 0
    test_relabelled: int = 0
    after_looking: int = 0


def after(edits: Sequence[Edit], edit: Edit) -> tuple[Edit, ...]:
    """The edits after one more: there is one for each example, and the last one counts."""
    others = tuple(each for each in edits if each.id != edit.id)
    return others if edit.action == "undo" else (*others, edit)


def check_edit(edit: Edit, *, where: str = "") -> None:
    """Raises DataError for an edit that says too little or too much. where: such as the line of a file."""
    said = f"{where}: " if where else ""
    require(bool(edit.id), f"{said}an edit needs the id of an example, as split.csv has it", error=DataError)
    known = (*ACTIONS, "undo")
    require(edit.action in known, f"{said}{unknown('action', str(edit.action), ACTIONS)}", error=DataError)
    has_label = edit.action == "label"
    mend = (
        "give the new one in the column label" if has_label else "leave the column label empty, or make it the action"
    )
    require(bool(edit.label) == has_label, f"{said}the action is {edit.action}: {mend}", error=DataError)
    long = next((name for name in COLUMNS if len(getattr(edit, name)) > MOST_TEXT), "")
    require(not long, f"{said}{long} is longer than {MOST_TEXT} characters", error=DataError)


def read_edits(path: Path) -> tuple[Edit, ...]:
    """The edits of a file. Raises UsageError where there is none, DataError where it is not one of edits."""
    try:
        whole = path.resolve(strict=True)
        content = read_bytes(whole.parent, whole.name, most=TEXT_BYTES)
    except FileNotFoundError:
        raise UsageError(f"there is no file of edits {printable(str(path))}") from None
    except (OSError, RefusedError, RuntimeError) as problem:
        raise DataError(f"the edits {printable(str(path))} cannot be read: {problem}") from None
    return edits_of(content, printable(path.name))


def edits_of(content: bytes, name: str) -> tuple[Edit, ...]:
    """The edits that a file's bytes hold. name: of the file, for the errors. Raises DataError.

    >>> [each.label for each in edits_of(b"id,action,label\\nbee/1.jpg,label,wasp\\n", "edits.csv")]
    ['wasp']
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(f"{name} is not UTF-8 text ({problem.reason} at byte {problem.start})") from None
    head = text.partition("\n")[0]
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=_separator(head), strict=True))
    except csv.Error as problem:
        raise DataError(f"{name} cannot be read as a table: {problem}") from None
    names = [cell.strip() for cell in rows[0]] if rows else []
    require(bool(names), f"{name} is empty; its first line names the columns id and action", error=DataError)
    for column in names:
        require(column in COLUMNS, f"{name}: {unknown('column', column, COLUMNS)}", error=DataError)
    for column in NEEDED:
        require(column in names, f"{name} has no column {column!r}; it has {', '.join(names)}", error=DataError)
    require(len(set(names)) == len(names), f"{name} has a column twice", error=DataError)
    found: dict[str, Edit] = {}
    for line, cells in enumerate(rows[1:], 2):
        if not any(cells):
            continue
        where = f"{name}, row {line}"
        require(len(cells) == len(names), f"{where} has {len(cells)} cells, not {len(names)}", error=DataError)
        edit = Edit(**{column: _plain(cell) for column, cell in zip(names, cells, strict=True)})  # type: ignore[arg-type]
        require(edit.action != "undo", f"{where}: {unknown('action', 'undo', ACTIONS)}", error=DataError)
        check_edit(edit, where=where)
        require(edit.id not in found, f"{where}: {edit.id!r} is edited twice; keep one of the rows", error=DataError)
        found[edit.id] = edit
    return tuple(found.values())


def text_of(edits: Iterable[Edit]) -> str:
    """The content of a file of these edits; `edits_of` reads it again."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for each in edits:
        writer.writerow([_inert(getattr(each, name)) for name in COLUMNS])
    return text.getvalue()


def with_part(edit: Edit, part: str) -> Edit:
    """The edit, which says in which part its example lay if it did not."""
    return edit if edit.part else replace(edit, part=part)


def _number(edits: Iterable[Edit], action: str) -> int:
    return sum(each.action == action for each in edits)


def _separator(head: str) -> str:
    return ";" if ";" in head and "," not in head else ","


def _inert(text: str) -> str:
    """The text as a cell that no spreadsheet runs as a formula; `_plain` is the way back."""
    return f"'{text}" if text.lstrip("'").startswith(_FORMULA) else text


def _plain(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell
