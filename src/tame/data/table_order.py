"""What a column says of the rows themselves: which belong together, and which came earlier."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tame.core.errors import DataError, require
from tame.data.labels import group_key
from tame.data.table_cells import MARKS, Cells, cells_of, leading_zeros, merged_by, order_of, read_numbers
from tame.data.table_kinds import EXACT, listed, type_table
from tame.data.table_later import read_later_column
from tame.data.tables import Column, RawTable, Table

ADVICE = "give a column of numbers or dates, or of text such as 2024-W05 or run7"


def columns_beside(
    tables: Sequence[tuple[str, RawTable]], *, groups: str | None, order: str | None, told: Mapping[str, str]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """(N,) cells of the columns that group and order the rows, of one table after the other, and notes.

    told: what the user said that columns are. Raises as `joined_groups` and `joined_order`.
    """
    found, notes = dict[str, np.ndarray](), list[str]()
    if groups:
        found[groups], said = joined_groups(tables, groups)
        notes += said
    if order:
        found[order], said = joined_order(tables, order, told=told.get(order, ""))
        notes += said
    return found, notes


def joined_groups(tables: Sequence[tuple[str, RawTable]], name: str) -> tuple[np.ndarray, list[str]]:
    """(N,) text, the same where the cells of a column are the same value, in one table after the other; and notes.

    tables: with the name of each for errors and notes. 1 and 1.0 are one value, and so are 1 from CSV and from Parquet;
    dates are read as `joined_order` reads them.
    """
    column = _typed(tables[0][1], name, "")[0]
    if column.kind == "date":
        days, notes = _measured(tables, name, "")
        return _texts(["" if np.isnan(day) else repr(float(day)) for day in days]), notes
    return np.concatenate([_plainly(cells_of(raw.cells(name))) for _, raw in tables]), []


def joined_order(tables: Sequence[tuple[str, RawTable]], name: str, *, told: str = "") -> tuple[np.ndarray, list[str]]:
    """(N,) cells of the column that orders the rows, of one table after the other: numbers, days or texts; and notes.

    tables: with the name of each for errors and notes. Later tables are read as the columns of a later table are. told:
    what the user said that the column is. Raises DataError where a later cell is not what the first table has.
    """
    if _typed(tables[0][1], name, told)[0].kind in ("number", "date"):
        return _measured(tables, name, told)
    return np.concatenate([_plainly(cells_of(raw.cells(name))) for _, raw in tables]), []


def _typed(raw: RawTable, name: str, told: str) -> tuple[Column, Table]:
    """The column by itself."""
    encoded = {key: cells for key, cells in raw.encoded.items() if key == name}
    only = replace(raw, names=(name,), columns={name: raw.columns[name]}, encoded=encoded)
    table = type_table(only, target=None, told={name: told} if told else None)
    return table.columns[0], table


def _measured(tables: Sequence[tuple[str, RawTable]], name: str, told: str) -> tuple[np.ndarray, list[str]]:
    """(N,) numbers or days of the column in all tables, and notes on the later ones."""
    column, table = _typed(tables[0][1], name, told)
    found, notes = [table.values[name]], []
    for short, raw in tables[1:]:
        try:
            values, said = read_later_column(column, raw)
        except DataError as problem:
            raise DataError(f"{short}: {problem}") from None
        cells = cells_of(raw.cells(name))
        lost = np.isnan(values) & ~cells.mask(MARKS)[cells.codes]
        if lost.any():
            example = f"row {int(lost.argmax()) + 1:,}: {cells.values[int(cells.codes[lost.argmax()])].as_py()!r}"
            raise DataError(f"{short}: column {name!r} is not the {column.kind} that the first table has ({example})")
        found.append(values)
        notes += [f"{short}: {note}" for note in said]
    return np.concatenate(found), notes


def _plainly(cells: Cells) -> np.ndarray:
    """(N,) text of cells: a whole number without a fraction, whatever it came as; others as they are."""
    texts = cells.values.to_pylist()
    numbers = np.where(leading_zeros(cells.values), np.nan, read_numbers(cells.values, "."))
    plain = [
        str(int(number)) if number == np.floor(number) and abs(number) <= EXACT else text
        for text, number in zip(texts, numbers.tolist(), strict=True)
    ]
    return np.asarray(_texts(plain)[cells.codes])


def _texts(texts: list[str]) -> np.ndarray:
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found


def group_codes(values: np.ndarray, name: str) -> tuple[np.ndarray, str]:
    """(N,) int64, equal for rows of one group, and what is to be said of it. values: (N,) raw cells.

    Names that are hard to tell apart, in capitals, hyphens or blanks, are one group: taken for two, they would cross
    the split.
    """
    known = cells_of(values)
    texts = zip(known.values.to_pylist(), known.mask(MARKS).tolist(), strict=True)
    cells = merged_by(known, [f"{int(mark)}{text if mark else group_key(text)}" for text, mark in texts])
    merged = cells.merged[len(known.merged) :]
    alike = "groups that differ in capitals only, or are otherwise hard to tell apart, are one"
    notes = [f"{name}: {alike}: {listed(merged)}"] if merged else []
    nameless = cells.mask(MARKS)
    if nameless.any():
        rows = int(cells.counts[nameless].sum())
        notes.append(f"{name}: {rows:,} without a value, kept together as one group")
    codes = np.where(nameless, len(cells.counts), np.arange(len(cells.counts)))[cells.codes]
    return codes, "; ".join(notes)


def order_values(values: np.ndarray, name: str, *, told: str = "") -> np.ndarray:
    """(N,) float64 that order rows by time: of numbers, dates, or text that is the same but for its numbers.

    values: (N,) raw cells. told: what the user said that they are, such as date:dmy. Raises DataError where a cell is
    empty or infinite, or the column has no order.
    """
    cells = cells_of(values)
    gone = cells.mask(MARKS)
    require(
        not gone.any(),
        f"the order column {name!r} has cells that are empty or cannot be read, such as row {_row(cells, gone)}",
        error=DataError,
    )
    if values.dtype.kind in "iufM":
        return _finite(values.astype(np.float64), name)
    raw = RawTable((name,), {name: values}, (), len(values), "")
    typed = type_table(raw, target=None, told={name: told} if told else None)
    (column,) = typed.columns
    if column.kind in ("number", "date"):
        return _finite(typed.values[name], name)
    require(len(cells.counts) > 1, f"the order column {name!r} has the same value in every row", error=DataError)
    doubt = order_of(cells.values)[1]
    if not doubt:
        ranks = _ranks([str(text) for text in cells.values.to_pylist()])
        if ranks is not None:
            return np.asarray(ranks[cells.codes])
    raise DataError(f"the order column {name!r} does not order the rows ({doubt or column.why}); {ADVICE}")


def _ranks(texts: list[str]) -> np.ndarray | None:
    """(K,) the place of each text by its numbers, or None where the texts differ in more than their numbers.

    Of several numbers the first must be the longest, as in 2024-05: in 05-2024 it is the last that counts most.
    """
    if len({re.sub("[0-9]+", "0", text) for text in texts}) > 1 or not re.search("[0-9]", texts[0]):
        return None
    numbers = [re.findall("[0-9]+", text) for text in texts]
    widths = [max(len(each[place]) for each in numbers) for place in range(len(numbers[0]))]
    if widths != sorted(widths, reverse=True):
        return None
    keys = [tuple(map(int, each)) for each in numbers]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([places[key] for key in keys], dtype=np.float64)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    bad = ~np.isfinite(values)
    message = f"the order column {name!r} has values that cannot be ordered, such as in row {int(bad.argmax()) + 1:,}"
    require(not bad.any(), message, error=DataError)
    return values


def _row(cells: Cells, chosen: np.ndarray) -> str:
    return f"{cells.first_row(chosen):,}"
