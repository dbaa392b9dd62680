"""What is to be predicted: read from a column, its task chosen by looking at it; and what gives it away."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from tame.core.errors import DataError, require, unknown
from tame.data.labels import numbers_in_order
from tame.data.table_cells import (
    LARGEST,
    MARKS,
    SOFT_MARKS,
    Cells,
    Decimal,
    are_boolean,
    cells_of,
    decimal_of,
    leading_zeros,
    read_booleans,
    read_numbers,
    settle_decimal,
)
from tame.data.tables import RawTable, Table, require_column

Task = Literal["binary", "multiclass", "regression"]
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
    """values: (N,) int64 class numbers, -1 where a row has no label; or float64, NaN where it has none."""

    name: str
    task: Task
    classes: tuple[str, ...]
    values: np.ndarray
    why: str


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that gives the target away, and how it shows."""

    column: str
    evidence: str


def read_target(raw: RawTable, name: str, *, task: str = "auto") -> tuple[Target, np.ndarray]:
    """The target, and (N,) bool: the rows that have a label. Cells with a mark of a missing value have none.

    task: auto (two different values: binary; up to 10 whole numbers or any words: classes; else regression),
    classification, binary, multiclass or regression. Classes are in order of number or name.
    Raises UsageError for another task, DataError where the column cannot be such a target.
    """
    require(task in TASKS, unknown("task", task, TASKS))
    require_column(name, raw.names)
    cells = cells_of(raw.cells(name))
    numbers, marks = _as_numbers(raw, name, cells)
    require(not marks.all(), f"the target {name!r} is missing in every row", error=DataError)
    labelled = ~marks[cells.codes]
    said = _unlabelled(cells, marks)
    is_regression, reason = _choose(cells, numbers, marks, task)
    if is_regression:
        return _regression(name, cells, numbers, marks, f"{reason}{said}"), labelled
    key, classes = numbers_in_order(*_classes(cells, numbers, marks))  # names such as 07 are numbers too
    _check_classes(name, task, cells, key, classes, f"{reason}{said}", is_words=numbers is None)
    found: Task = "binary" if len(classes) == 2 and task != "multiclass" else "multiclass"
    why = f"{reason}, so {len(classes)} classes{_remarks(classes)}{said}"
    return Target(name, found, classes, key[cells.codes], why), labelled


def read_later_target(raw: RawTable, target: Target) -> tuple[np.ndarray, np.ndarray]:
    """(N,) the target of a later table by the classes of an earlier one, and (N,) bool: the rows that have a label.

    Raises DataError where the column is not there, or a cell is no number or no class of the earlier table.
    """
    require_column(target.name, raw.names)
    cells = cells_of(raw.cells(target.name))
    numbers, marks = _as_numbers(raw, target.name, cells)
    if target.task == "regression":
        values = _regression(target.name, cells, numbers, marks, "", least=0).values
        return values, ~marks[cells.codes]
    own = pa.array(target.classes, pa.large_string())
    key = np.array([_class_of(text, target.classes, own) for text in cells.values.to_pylist()], dtype=np.int64)
    marks = (key < 0) & cells.mask(MARKS)
    odd = (key < 0) & ~marks
    if odd.any():
        raise DataError(f"the target {target.name!r} has a class that was not there before: {cells.example(odd)}")
    return key[cells.codes], ~marks[cells.codes]


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
        values = column[labelled]
        present = np.isfinite(values) if values.dtype.kind == "f" else values >= 0
        evidence = _gives_away(values, aim, present, target)
        found += [Leak(name, evidence)] if evidence else []
    return found


def duplicate_rows(table: Table) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of rows that agree in every column that is learnt from; a is the first of its group."""
    if not table.values:
        return []
    mixed = np.zeros(table.num_rows, dtype=np.uint64)
    for column in table.values.values():
        mixed = _mix(mixed ^ _bits(column))
    _, first, group = np.unique(mixed, return_index=True, return_inverse=True)
    a, b = first[group], np.arange(table.num_rows)
    a, b = a[a < b], b[a < b]
    same = np.ones(len(a), dtype=bool)  # a hash may lie
    for column in table.values.values():
        bits = _bits(column)
        same &= bits[a] == bits[b]
    return [(int(i), int(j)) for i, j in zip(a[same], b[same], strict=True)]


# Reading


def _as_numbers(raw: RawTable, name: str, cells: Cells) -> tuple[np.ndarray | None, np.ndarray]:
    """(K,) the cells as numbers, or None where some are no numbers; and (K,) the marks of missing values."""
    sure = cells.mask(MARKS)
    marks = sure | cells.mask(SOFT_MARKS)
    if marks.all():
        return None, sure
    firm = cells.some(~marks)
    mark = decimal_of(firm)
    if mark == "":
        return None, marks if are_boolean(firm) else sure
    decimal: Decimal = "," if mark == "," else "."
    if mark == "open":
        others = {decimal_of(other.some(~other.mask((*MARKS, *SOFT_MARKS)))) for other in _others(raw, name)}
        decimal = settle_decimal(name, cells, ~marks, separator=raw.separator, others=others)
    return np.where(marks, np.nan, read_numbers(cells.values, decimal)), marks


def _others(raw: RawTable, name: str) -> list[Cells]:
    return [cells_of(raw.cells(other)) for other in raw.names if other != name]


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
        message = f"infinite or beyond {LARGEST:.1e}; mend the row, or empty the cell to leave the row out"
        raise DataError(f"the target {name!r} is {message} ({cells.example(beyond)})")
    different = len(np.unique(numbers[~marks]))
    require(different >= least, f"the target {name!r} has the same value in every row", error=DataError)
    values = numbers[cells.codes]
    return Target(name, "regression", (), values, why + (_far(cells, numbers, marks) if least else ""))


def _far(cells: Cells, numbers: np.ndarray, marks: np.ndarray) -> str:
    values = numbers[cells.codes][~marks[cells.codes]]
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    far = (np.abs(numbers - middle) > FAR * (high - low)) & ~marks & (high > low)
    if not far.any():
        return ""
    return f"; some values are more than {FAR:.0e} interquartile ranges from the median ({cells.example(far)})"


# Classes


def _classes(cells: Cells, numbers: np.ndarray | None, marks: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """(K,) the class number of each cell, -1 for marks, and the names of the classes in order.

    Numbers that are equal are one class, however written, and so are words for true and for false where the target
    has no others. A class has the name that most of its rows have.
    """
    firm = ~marks
    texts = np.array(cells.values.to_pylist(), dtype=object)
    if are_boolean(cells.some(firm)):
        keys: np.ndarray = read_booleans(cells.values)
    elif numbers is not None and not _are_codes(cells, numbers, marks) and np.abs(numbers[firm]).max() < 2**53:
        keys = numbers
    else:
        keys = texts
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
    single = [label for label, count in zip(classes, rows, strict=True) if count == 1]
    if single:
        shown = ", ".join(map(repr, single[:5])) + (", ..." if len(single) > 5 else "")
        advice = "one can not be learnt and judged; add rows, join classes or empty these cells"
        raise DataError(f"the target {name!r} has classes of a single row: {shown}; {advice} ({why})")


def _remarks(classes: Sequence[str]) -> str:
    """Of classes that have the name of a missing value, or differ in capitals only."""
    said = [f"{name!r} is kept as the name of a class" for name in classes if name in SOFT_MARKS]
    seen: dict[str, str] = {}
    for name in classes:
        other = seen.setdefault(name.casefold(), name)
        said += [f"{other!r} and {name!r} differ in capitals only and are two"] if other != name else []
    return f" ({'; '.join(said[:5])})" if said else ""


def _class_of(text: str, classes: Sequence[str], own: pa.Array) -> int:
    """The number of the class that a cell names, by its text, its truth or its number; -1 if there is none."""
    if text in classes:
        return classes.index(text)
    cell = pa.array([text], pa.large_string())
    truths, truth = read_booleans(own), read_booleans(cell)[0]
    if sorted(truths.tolist()) == [0, 1]:
        return truths.tolist().index(truth) if truth in (0, 1) else -1
    if re.match("[+-]?0[0-9]", text):
        return -1
    equal = np.flatnonzero(read_numbers(own, ".") == read_numbers(cell, ".")[0])
    return int(equal[0]) if len(equal) else -1


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


def _bits(column: np.ndarray) -> np.ndarray:
    """(N,) uint64 that are equal where the values are; missing numbers equal each other, and so do 0 and -0."""
    if column.dtype.kind == "f":
        column = np.where(np.isnan(column), np.nan, column + 0.0).astype(np.float64)
    return np.asarray(np.ascontiguousarray(column).view(np.uint64))


def _mix(bits: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64. Source: Steele, Lea and Flood, OOPSLA 2014."""
    bits = bits + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(bits ^ (bits >> np.uint64(31)))
