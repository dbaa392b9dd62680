"""Applies the edits of a study's data, once it is split: all other examples stay as they were, each in its part."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tame.core.edits import Edit, Edited, with_part
from tame.core.errors import DataError, require, unknown
from tame.data.split import Part, Split

MOST_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Examples:
    """The examples of a study as they were read and split.

    values: (N,) class numbers, or the numbers of a regression; digest_of: of the example in a row; named_by_place:
    whether ids are places in a file, which say nothing of what lies there now, so that an edit must have a digest;
    are_shared: whether they come with probabilities of classes.
    """

    ids: Sequence[str]
    values: np.ndarray
    classes: Sequence[str]
    split: Split
    digest_of: Callable[[int], str]
    nouns: str
    named_by_place: bool = False
    are_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What the edits make of it. edited: None where there are none; is_left_out: (N,) bool."""

    values: np.ndarray
    split: Split
    edited: Edited | None
    is_left_out: np.ndarray


def apply_edits(edits: Sequence[Edit] | None, own: Examples) -> Applied:
    """The examples with their new labels, and the split in which those that are left out lie in no part.

    The split was made with all of them and their first labels: so nothing else moves to another part or fold. Raises
    DataError for an edit of what is not there or has changed, and where too little is left to train on or to test.
    """
    left_out = np.zeros(len(own.ids), dtype=bool)
    if not edits:
        return Applied(values=own.values, split=own.split, edited=None, is_left_out=left_out)
    rows = [_row_of(edits, own)[each.id] for each in edits]
    _require_unchanged(edits, rows, own)
    values = own.values.copy()
    for edit, row in zip(edits, rows, strict=True):
        if edit.action == "exclude":
            left_out[row] = True
        else:
            values[row] = _value_of(edit, row, own)
    part: list[Part] = ["excluded" if gone else each for gone, each in zip(left_out, own.split.part, strict=True)]
    fold = tuple(-1 if gone else each for gone, each in zip(left_out, own.split.fold, strict=True))
    split = replace(own.split, part=tuple(part), fold=fold)
    _require_enough(split, values, own)
    told = tuple(with_part(edit, own.split.part[row]) for edit, row in zip(edits, rows, strict=True))
    sealed = tuple(edit.id for edit, row in zip(edits, rows, strict=True) if own.split.part[row] == "test")
    edited = Edited(edits=told, sealed=sealed)
    return Applied(values=values, split=split, edited=edited, is_left_out=left_out)


def digest_of_cells(cells: Iterable[str]) -> str:
    """BLAKE2 of a row, 16 bytes as hexadecimal digits. cells: its cells as text, in the order of the columns."""
    whole = hashlib.blake2b(digest_size=16)
    for cell in cells:
        content = cell.encode("utf-8", "surrogatepass")
        whole.update(b"%d:" % len(content) + content)  # so that no other cells make the same text
    return whole.hexdigest()


def _row_of(edits: Sequence[Edit], own: Examples) -> dict[str, int]:
    places = {name: row for row, name in enumerate(own.ids)}
    strange = [each.id for each in edits if each.id not in places]
    if strange:
        many = f"{len(strange)} of the {len(edits)} edits name {own.nouns} that are not there, first: "
        raise DataError(f"{many}{unknown('id', strange[0], own.ids)}")
    return places


def _require_unchanged(edits: Sequence[Edit], rows: Sequence[int], own: Examples) -> None:
    """Raises DataError for an edit of an example that is another one now, or that nothing shows to be the same."""
    for edit, row in zip(edits, rows, strict=True):
        if not edit.digest and not own.named_by_place:
            continue
        there = own.digest_of(row)
        if edit.digest != there:
            has = f"its digest is {there}, and the edit has {edit.digest or 'none'}"
            what = "is not the one that was edited" if edit.digest else "is named by its place alone"
            mend = "edit it again, or write this digest beside it if it is the one that is meant"
            raise DataError(f"{edit.id} {what}: {has}; {mend}")


def _value_of(edit: Edit, row: int, own: Examples) -> float | int:
    require(
        not own.are_shared, f"{edit.id} has probabilities of classes, and no label to change; exclude it, or leave it",
        error=DataError,
    )  # fmt: skip
    if own.classes:
        require(edit.label in own.classes, f"{edit.id}: {unknown('class', edit.label, own.classes)}", error=DataError)
        value: float | int = list(own.classes).index(edit.label)
    else:
        value = _number(edit)
    same = value == own.values[row]
    require(not same, f"{edit.id} is {edit.label} already; take the edit out", error=DataError)
    return value


def _number(edit: Edit) -> float:
    try:
        value = float(edit.label)
    except ValueError:
        value = math.nan
    said = f"{edit.id}: numbers are predicted here, and {edit.label!r} is not one"
    require(math.isfinite(value), said, error=DataError)
    return value


def _require_enough(split: Split, values: np.ndarray, own: Examples) -> None:
    """Raises DataError where a class, or all, has too little left to train on, to choose by and to test."""
    part, fold = np.array(split.part), np.array(split.fold)
    said = "after these edits"
    require(bool((part == "test").any()), f"{said} the test part is empty; keep some of it", error=DataError)
    empty = [number for number in range(split.folds) if not (fold == number).any()]
    require(not empty, f"{said} nothing is left to choose by; keep more of the {own.nouns}", error=DataError)
    for number, name in enumerate(own.classes or ("",)):
        mine = (part == "train") & ((values == number) if own.classes else True)
        # With folds, a class in one fold alone is not there while that fold is validated; what is in none always is.
        by_fold = split.folds > 1 and not (fold[mine] == -1).any()
        kept, least = (len(np.unique(fold[mine])), 2) if by_fold else (int(mine.sum()), 1)
        of = f" of class {name!r}" * bool(name)
        mend = "keep more of them" if not own.classes else "to do without it, take it out of the data"
        require(kept >= least, f"{said} too little is left{of} to train on; {mend}", error=DataError)
