"""What is to be predicted: read from a column, its task chosen by looking at it; and what gives it away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tame.core.errors import DataError, UsageError, require, unknown
from tame.core.result_parts import Task
from tame.data.labels import case_key, lookalikes, numbers_in_order, twin_key, visible
from tame.data.table_cells import (
    LARGEST,
    MARKS,
    SOFT_MARKS,
    Cells,
    are_boolean,
    cells_of,
    leading_zeros,
    merged_by,
    read_booleans,
    read_numbers,
)
from tame.data.table_drafts import Draft, decimal_mark, draft_of, require_told, settled, unread_numbers
from tame.data.table_later import read_later_column
from tame.data.table_numbers import forms_of, lack_unit, like_numbers, on_sentinel, votes_of
from tame.data.tables import Column, RawTable, Table, require_column

TASKS = ("auto", "classification", "binary", "multiclass", "regression")
MAX_WHOLE = 10  # different whole numbers that are still taken as classes
ROWS_PER_WHOLE = 3  # rows for each of them, on average; with fewer they are measurements
MAX_CLASSES = 1000
FAR = 1e6  # interquartile ranges from the median; such a value is said
SURE_CORRELATION = 0.9999
LEAK_ROWS = 20  # fewer agree by chance
LEAK_ROWS_PER_VALUE = 10
CODES_OF_CLASSES = 1000  # different values of a column that are compared with the target one by one


@dataclass(frozen=True, slots=True)
class Target:
    """values: (N,) int64 class numbers, -1 where a row has no label; or float64, NaN where it has none.

    column: of a regression, how its cells became numbers, so that a later table is read the same way.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    values: np.ndarray
    why: str
    column: Column | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that gives the target away, and how it shows."""

    column: str
    evidence: str


def read_target(raw: RawTable, name: str, *, task: str = "auto", told: str = "") -> tuple[Target, np.ndarray]:
    """The target, and (N,) bool: the rows that have a label. Cells with a mark of a missing value have none.

    task: auto (two different values: binary; up to 10 whole numbers or any words: classes; else regression),
    classification, binary, multiclass or regression. told: what the user said that the column is, as in
    `core/columns.py`. Classes are in order of number or name. Raises UsageError for another task, DataError where the
    column cannot be such a target, or where it can be read in two ways and nothing decides.
    """
    require(task in TASKS, unknown("task", task, TASKS))
    require_column(name, raw.names)
    task = _task_told(name, task, told)
    draft = _draft(raw, name, task, told)
    cells = draft.cells
    numbers, marks = _as_numbers(draft)
    require(not marks.all(), f"the target {name!r} is missing in every row", error=DataError)
    labelled = ~marks[cells.codes]
    said = _unlabelled(cells, marks)
    is_regression, reason = _choose(cells, numbers, marks, task)
    if is_regression:
        target = _regression(name, cells, numbers, marks, f"{reason}{_written(draft)}{said}")
        return replace(target, column=_column_of(draft, target.values, told)), labelled
    if told != "category" and (numbers is None or _are_codes(cells, numbers, marks)):
        _require_unlike(name, cells, marks)
    # Names such as 07 are numbers too.
    key, classes = numbers_in_order(*_classes(cells, numbers, marks, keep_case=told == "category"))
    _check_classes(name, task, cells, key, classes, f"{reason}{said}", is_words=numbers is None)
    found: Task = "binary" if len(classes) == 2 and task != "multiclass" else "multiclass"
    why = f"{reason}, so {len(classes)} classes{_remarks(cells, marks, key, classes)}{said}"
    return Target(name, found, classes, key[cells.codes], why), labelled


def read_later_target(
    raw: RawTable, target: Target, others: Sequence[Column] = ()
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(N,) the target of a later table by the classes of an earlier one; (N,) bool, the rows that have a label; notes.

    others: the other columns of the earlier table, which may show how the later one writes numbers. Raises DataError
    where the column is not there, or a cell is not a number or a class of the earlier table.
    """
    require_column(target.name, raw.names)
    cells = cells_of(raw.cells(target.name))
    if target.task == "regression":
        return _later_numbers(raw, target, cells, others)
    own = pa.array(target.classes, pa.large_string())
    key = np.array([_class_of(text, target.classes, own) for text in cells.values.to_pylist()], dtype=np.int64)
    marks = cells.mask(MARKS)
    if are_boolean(own) or not np.isnan(read_numbers(own, ".")).any():
        marks |= cells.mask_any_case(SOFT_MARKS)
    marks &= key < 0
    odd = (key < 0) & ~marks
    if odd.any():
        raise DataError(f"the target {target.name!r} has a class that was not there before: {cells.example(odd)}")
    return key[cells.codes], ~marks[cells.codes], _on_twins(target, cells, key)


def _on_twins(target: Target, cells: Cells, key: np.ndarray) -> list[str]:
    """What is to be said of labels that are written otherwise than in the earlier table. key: (K,) their classes."""
    texts = cells.values.to_pylist()
    return [
        f"{target.name}: {text!r} ({count:,}) is read as {target.classes[own]!r}, as the training table has it"
        for text, count, own in zip(texts, cells.counts.tolist(), key.tolist(), strict=True)
        if own >= 0 and text != target.classes[own] and twin_key(text) == twin_key(target.classes[own])
    ]


def _later_numbers(
    raw: RawTable, target: Target, cells: Cells, others: Sequence[Column]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(N,) numbers of a later target, NaN where a row has none; (N,) bool, the rows that have one; and notes."""
    column = target.column or Column(target.name, "number", "")
    _require_unit(target.name, cells, lack_unit(cells.values, column.unit), column.unit)
    values, notes = read_later_column(column, raw, others)
    marks = draft_of(raw, target.name)
    bad = np.isnan(values) & marks.good[cells.codes]
    if bad.any():
        chosen = np.zeros(len(cells.values), dtype=bool)
        chosen[cells.codes[bad]] = True
        example = cells.example(chosen)
        if np.abs(read_numbers(cells.values, ".")[chosen]).max(initial=0) > LARGEST:
            raise DataError(f"the target {target.name!r} is infinite or beyond {LARGEST:.1e} ({example})")
        what = "is to be a regression and not all its cells are numbers"
        raise DataError(f"the target {target.name!r} {what} ({example}); fix these cells or leave the rows out")
    odd = marks.odd[cells.codes]
    if odd.any():
        raise DataError(
            f"the target {target.name!r} is to be a regression and not all its cells are numbers "
            f"({cells.example(marks.odd)}); fix these cells or leave the rows out"
        )
    return values, ~np.isnan(values), notes


def _require_unit(name: str, cells: Cells, bare: np.ndarray, unit: str) -> None:
    """Raises DataError where a number of a target comes without its unit: 0.5 may be a share or half a percent."""
    if bare.any():
        raise DataError(
            f"the target {name!r} has numbers without {unit!r}, which the others have ({cells.example(bare)}); "
            f"write {unit!r} beside each, or empty these cells to leave the rows out"
        )


def leaks(table: Table, target: Target) -> list[Leak]:
    """Columns that give the target away: the same values under other names, copies, and linear functions of it.

    Also columns with values of which each goes with one class only, or that are missing for one class only.
    Says nothing of fewer than 20 labelled rows.
    """
    labelled = target.values >= 0 if target.classes else np.isfinite(target.values)
    if table.num_rows != len(target.values):
        raise DataError(f"the table has {table.num_rows} rows and the target {len(target.values)}")
    if labelled.sum() < LEAK_ROWS:
        return []
    aim = target.values[labelled]
    found = []
    for name, column in table.values.items():
        if name in table.texts:
            continue  # of texts that are nearly all different, each goes with one class
        values = column[labelled]
        present = np.isfinite(values) if values.dtype.kind == "f" else values >= 0
        evidence = _gives_away(values, aim, present, target)
        found += [Leak(name, evidence)] if evidence else []
    return found


# Reading


def _task_told(name: str, task: str, told: str) -> str:
    """The task, by what the user said of the target too. Raises UsageError where both cannot be."""
    kind = told.partition(":")[0]
    if not kind:
        return task
    wanted = {"number": "regression", "category": "classification", "boolean": "binary"}.get(kind)
    if wanted is None:
        raise UsageError(f"{name!r} is the target and cannot be {told!r}; say number, category or boolean")
    fits = task in ("auto", wanted) or (kind != "number" and task in ("classification", "binary", "multiclass"))
    require(fits, f"--task {task} and --column {name}={told} cannot both be; leave one of them out")
    return wanted if task == "auto" else task


def _draft(raw: RawTable, name: str, task: str, told: str) -> Draft:
    """The target's cells, looked at, its decimal mark settled. Raises DataError for what can be read in two ways."""
    draft = draft_of(raw, name, told=told)
    if told.startswith("number"):
        require_told(draft, told)
    if draft.odd.any() and task not in ("auto", "regression"):
        none = np.zeros_like(draft.odd)
        draft = replace(draft, odd=none, decimal="", order="", unit="", bare=draft.cells.values)
    if draft.na and not _marks_in_others(raw, name, draft.na):
        rows = draft.rows(draft.cells.mask((draft.na,)))
        word = draft.cells.some(draft.firm)[0].as_py()
        raise DataError(
            f"the target {name!r} is {draft.na!r} in {rows:,} rows, beside names such as {word!r}: is it a name or a "
            f"missing value? Say --column {name}=category to keep it as a class, or empty these cells to leave the "
            "rows out"
        )
    if draft.decimal == "open":
        others = [draft_of(raw, other) for other in raw.names if other != name]
        draft = settled([draft, *(other for other in others if other.decimal not in ("open", ""))], raw)[0]
    if task == "auto" and not told and not draft.decimal and draft.declared != "category":
        _require_one_kind(name, draft)
    if draft.decimal and not told:
        _require_unit(name, draft.cells, lack_unit(draft.cells.values, draft.unit) & draft.odd, draft.unit)
        _require_read(name, draft)
    return draft


def _marks_in_others(raw: RawTable, name: str, mark: str) -> bool:
    """Whether the mark, such as NA, stands for missing numbers or dates elsewhere in the file."""
    drafts = (draft_of(raw, other) for other in raw.names if other != name)
    return any((draft.decimal or draft.order) and draft.cells.mask((mark,)).any() for draft in drafts)


def _require_one_kind(name: str, draft: Draft) -> None:
    """Raises DataError where most cells are numbers, and so many that they are no names of classes."""
    votes = votes_of(draft.bare)
    reads = draft.firm & ~votes.neither & ~leading_zeros(draft.cells.values)
    some, num = draft.rows(reads), draft.rows(draft.firm)
    if 2 * some > num > some and int(reads.sum()) > MAX_WHOLE:
        odd = draft.cells.example(draft.firm & ~reads)
        raise DataError(
            f"the target {name!r} mixes numbers and words: {some:,} of {num:,} are numbers, others are not ({odd}); "
            f"empty the other cells to leave these rows out, or say --column {name}=number, or --column "
            f"{name}=category to take each as a class"
        )

    like = unread_numbers(draft)
    if like.any():
        raise DataError(
            f"the target {name!r} looks like numbers that cannot be read ({draft.cells.example(like)}); write them "
            f"plainly, as 1300.5, or say --column {name}=category to take each as a class"
        )


def _require_read(name: str, draft: Draft) -> None:
    """Raises DataError where one of the few cells that are left out looks like a number too."""
    odd = draft.odd & like_numbers(draft.cells.values)
    if odd.any():
        raise DataError(
            f"the target {name!r} has cells that look like numbers and cannot be read as the others are "
            f"({draft.cells.example(odd)}); write them alike, or empty them to leave the rows out"
        )


def _as_numbers(draft: Draft) -> tuple[np.ndarray | None, np.ndarray]:
    """(K,) the cells as numbers, or None where some are not numbers; and (K,) those that give a row no label."""
    marks = draft.sure | draft.soft
    if not draft.firm.any():
        return None, draft.sure
    if not draft.decimal:
        boolean = are_boolean(draft.cells.some(draft.firm)) and not draft.said.any()
        return None, marks if boolean else draft.sure
    marks = marks | draft.odd
    return np.where(marks, np.nan, read_numbers(draft.bare, decimal_mark(draft))), marks


def _written(draft: Draft) -> str:
    """How the numbers are written, where it is not plain."""
    said = f"; in {draft.unit!r}" if draft.unit else ""
    said += f"; {draft.brackets}" if draft.brackets else ""
    return said + ("; decimal comma, or points that separate thousands" if draft.decimal == "," else "")


def _column_of(draft: Draft, values: np.ndarray, told: str) -> Column:
    found = values[~np.isnan(values)]
    forms = forms_of(draft.bare.filter(pa.array(draft.good)), found, decimal_mark(draft))
    forms += ("brackets",) if draft.brackets else ()
    return Column(
        draft.name, "number", "", missing=len(values) - len(found), unit=draft.unit,
        reading="decimal comma" if draft.decimal == "," else "", low=float(found.min()), high=float(found.max()),
        rows=len(values), told=":" in told, forms=forms,
    )  # fmt: skip


def _choose(cells: Cells, numbers: np.ndarray | None, marks: np.ndarray, task: str) -> tuple[bool, str]:
    """Whether it is a regression, and why."""
    if task != "auto":
        return task == "regression", f"told to be {task}"
    if numbers is None:
        return False, "words"
    different = np.unique(numbers[~marks])
    num = int(cells.counts[~marks].sum())
    if len(different) <= 2:
        return False, f"{len(different)} different numbers"
    whole = _are_codes(cells, numbers, marks) or bool((different == np.round(different)).all())
    said = f"{len(different):,} different {'whole ' if whole else ''}numbers in {num:,} rows"
    if whole and len(different) <= MAX_WHOLE and num >= ROWS_PER_WHOLE * len(different):
        return False, f"{said} (--task regression would take them as measurements)"
    return True, f"{said}, so regression (--task classification would take each as a class)"


def _are_codes(cells: Cells, numbers: np.ndarray, marks: np.ndarray) -> bool:
    """Whether some numbers have leading zeros, so that 07 and 7 are different names."""
    return bool((leading_zeros(cells.values) & ~marks & (numbers == np.round(numbers))).any())


def _unlabelled(cells: Cells, marks: np.ndarray) -> str:
    rows = int(cells.counts[marks].sum())
    if not rows:
        return ""
    words = [
        f"{text!r} ({count:,})" for text, count in zip(cells.some(marks).to_pylist(), cells.counts[marks], strict=True)
    ]
    return f"; {rows:,} rows have no label and are left out: {', '.join(words)}"


def _regression(
    name: str, cells: Cells, numbers: np.ndarray | None, marks: np.ndarray, why: str, *, least: int = 2
) -> Target:
    if numbers is None:
        odd = np.isnan(read_numbers(cells.values, ".")) & np.isnan(read_numbers(cells.values, ","))
        odd &= ~(marks | cells.mask(SOFT_MARKS))
        example = cells.example(odd if odd.any() else ~marks)
        raise DataError(f"the target {name!r} is to be a regression and not all its cells are numbers ({example})")
    beyond = (np.abs(numbers) > LARGEST) & ~marks
    if beyond.any():
        message = f"infinite or beyond {LARGEST:.1e}; fix the row, or empty the cell to leave the row out"
        raise DataError(f"the target {name!r} is {message} ({cells.example(beyond)})")
    different = len(np.unique(numbers[~marks]))
    require(different >= least, f"the target {name!r} has the same value in every row", error=DataError)
    values = numbers[cells.codes]
    if least:
        mark = on_sentinel(name, numbers[~marks], cells.counts[~marks]).removeprefix(f"{name}: ")
        why += _far(cells, numbers, marks) + (f"; {mark}" if mark else "")
    return Target(name, "regression", (), values, why)


def _far(cells: Cells, numbers: np.ndarray, marks: np.ndarray) -> str:
    values = numbers[cells.codes][~marks[cells.codes]]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    far = (np.abs(numbers - middle) > FAR * (high - low)) & ~marks & (high > low)
    if not far.any():
        return ""
    return f"; some values are more than {FAR:.0e} interquartile ranges from the median ({cells.example(far)})"


# Classes


def _require_unlike(name: str, cells: Cells, marks: np.ndarray) -> None:
    """Raises DataError where two labels are hard to tell apart and are not one: they may be two signs or one."""
    labels = {case_key(visible(text)): text for text in cells.some(~marks).to_pylist()}
    twins = lookalikes(labels.values())
    if twins is not None and not are_boolean(cells.some(~marks)):
        one, other = (f"{text!r}" if text.isascii() else f"{text!r} ({ascii(text)[1:-1]})" for text in twins)
        raise DataError(
            f"the target {name!r} has {one} and {other}: one class or two? Write them alike, or say --column "
            f"{name}=category to keep them apart"
        )


def _classes(
    cells: Cells, numbers: np.ndarray | None, marks: np.ndarray, *, keep_case: bool
) -> tuple[np.ndarray, tuple[str, ...]]:
    """(K,) the class number of each cell, -1 for marks, and the names of the classes in order.

    Numbers that are equal are one class, however written, and so are words for true and for false where the target
    has no others, and words that differ in capitals only unless `keep_case`. A class has the name that most of its
    rows have.
    """
    firm = ~marks
    texts = np.array(cells.values.to_pylist(), dtype=object)
    if are_boolean(cells.some(firm)):
        keys: np.ndarray = read_booleans(cells.values)
    elif numbers is not None and not _are_codes(cells, numbers, marks) and np.abs(numbers[firm]).max() < 2**53:
        keys = numbers
    elif keep_case:
        keys = texts
    else:
        one = merged_by(
            cells, [f"{int(m)}{t if m else case_key(t)}" for t, m in zip(texts, marks.tolist(), strict=True)]
        )
        place = np.zeros(len(texts), dtype=np.int64)
        place[cells.codes] = one.codes
        keys = np.array(one.values.to_pylist(), dtype=object)[place]
    codes = np.full(len(texts), -1, dtype=np.int64)
    _, codes[firm] = np.unique(keys[firm], return_inverse=True)
    names: list[str] = [""] * (int(codes.max()) + 1)
    for k in np.argsort(cells.counts, kind="stable"):  # the commonest spelling comes last, and stays
        if codes[k] >= 0:
            names[codes[k]] = texts[k]
    return codes, tuple(names)


def _check_classes(
    name: str, task: str, cells: Cells, key: np.ndarray, classes: Sequence[str], why: str, *, is_words: bool
) -> None:
    rows = np.bincount(key[key >= 0], weights=cells.counts[key >= 0], minlength=len(classes)).astype(int)
    num = int(rows.sum())
    if len(classes) == 1:
        rows_of = f"{num:,} row{'s' * (num != 1)}"
        raise DataError(f"the target {name!r} has one class only, {classes[0]!r} in {rows_of} ({why})")
    if len(classes) > MAX_CLASSES or (len(classes) > num / 2 and len(classes) > MAX_WHOLE):
        advice = "it looks like free text or an identifier, and cannot be predicted as a class"
        advice = advice if is_words else "take it as a regression (--task regression)"
        raise DataError(f"the target {name!r} has {len(classes):,} different values in {num:,} rows; {advice}")
    if task == "binary" and len(classes) != 2:
        shown = ", ".join(map(repr, classes[:5]))
        raise DataError(f"the target {name!r} is to be binary and has {len(classes)} classes ({shown}, ...)")


def _remarks(cells: Cells, marks: np.ndarray, key: np.ndarray, classes: Sequence[str]) -> str:
    """Of classes that have the name of a missing value, and of spellings that are one class."""
    said = [f"{name!r} is kept as the name of a class" for name in classes if name.lower() in SOFT_MARKS]
    spelled: dict[int, list[str]] = {}
    for text, code, mark in zip(cells.values.to_pylist(), key.tolist(), marks.tolist(), strict=True):
        if not mark:
            spelled.setdefault(code, []).append(text)
    for code, own in spelled.items():
        others = [text for text in own if text != classes[code] and text.lower() == classes[code].lower()]
        said += [
            f"{' and '.join(map(repr, [classes[code], *others]))} differ in capitals only and are one class"
        ] * bool(others)
    seen = [text for text in cells.merged if text in classes]
    said += [f"labels that differ from {text!r} only in what cannot be seen are the same class" for text in seen]
    return f" ({'; '.join(said[:5])})" if said else ""


def _class_of(text: str, classes: Sequence[str], own: pa.Array) -> int:
    """The number of the class that a cell names, by its text, its truth, its number or its look; -1 for none.

    By its look also where it has other punctuation at its end, or zeros in front, if one class only is so.
    """
    if text in classes:
        return classes.index(text)
    cell = pa.array([text], pa.large_string())
    truths, truth = read_booleans(own), read_booleans(cell)[0]
    if sorted(truths.tolist()) == [0, 1]:
        return truths.tolist().index(truth) if truth in (0, 1) else -1
    alike = [place for place, name in enumerate(classes) if case_key(visible(name)) == case_key(visible(text))]
    if len(alike) == 1:
        return alike[0]
    if not re.match("[+-]?0[0-9]", text):
        equal = np.flatnonzero(read_numbers(own, ".") == read_numbers(cell, ".")[0])
        if len(equal):
            return int(equal[0])
    twins = [place for place, name in enumerate(classes) if twin_key(name) == twin_key(text)]
    return twins[0] if len(twins) == 1 else -1


# What gives the target away


def _gives_away(values: np.ndarray, aim: np.ndarray, present: np.ndarray, target: Target) -> str:
    """How a column (n,) shows the target (n,), or "". present: (n,) where the column is not missing."""
    if target.classes and not present.all():
        kept, lost = set(aim[present].tolist()), set(aim[~present].tolist())
        enough = min(present.sum(), (~present).sum()) >= LEAK_ROWS_PER_VALUE
        if enough and not kept & lost and len(target.classes) == 2:
            return f"is missing exactly where the target is {target.classes[lost.pop()]!r}"
    values, aim = values[present], aim[present]
    if len(values) < LEAK_ROWS or len(np.unique(aim)) < 2:
        return ""
    different = np.unique(values)
    if len(different) < 2:
        return ""
    if len(different) <= min(CODES_OF_CLASSES, len(values) / LEAK_ROWS_PER_VALUE):
        codes, aims = (np.unique(each, return_inverse=True)[1] for each in (values, aim))
        pairs = len(np.unique(codes * (int(aims.max()) + 1) + aims))
        if pairs == len(different):
            one = " and the other way round" if pairs == aims.max() + 1 else ""
            return f"each of its {pairs} values goes with one value of the target only{one} ({len(values):,} rows)"
    if values.dtype.kind != "f" or len(target.classes) > 2:
        return ""
    correlation = _correlation(values, aim.astype(np.float64))
    if abs(correlation) <= SURE_CORRELATION:
        return ""
    return f"is a linear function of the target: correlation {correlation:.6f} over {len(values):,} rows"


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Of two columns that are not constant; scaled first, so that no square overflows."""
    x, y = (z / np.abs(z).max() for z in (x, y))
    x, y = x - x.mean(), y - y.mean()
    size = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / size if size > 0 else 0.0
