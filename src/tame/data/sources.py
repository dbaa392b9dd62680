"""Rows of one or more table files, read by columns that were understood before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tame.data.table_kinds import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, Column, Table


def open_rows(files: Sequence[Path], columns: Sequence[Column]) -> Table:
    """All rows of these files, one after the other, typed as `columns` says. Raises DataError."""
    return concat([apply_kinds(read_raw(file), columns)[0] for file in files])


def open_columns(file: Path, columns: Sequence[Column]) -> Table:
    """The columns that were given from Python and lie in a file of arrays."""
    learnt = [column for column in columns if column.kind in LEARNT]
    with np.load(file, allow_pickle=False) as held:
        values = {column.name: held[f"c{i}"] for i, column in enumerate(learnt)}
    return Table(tuple(columns), values, len(next(iter(values.values()))))


def concat(tables: Sequence[Table]) -> Table:
    """Tables of the same columns as one."""
    first = tables[0]
    values = {name: np.concatenate([table.values[name] for table in tables]) for name in first.values}
    return replace(first, values=values, num_rows=sum(table.num_rows for table in tables))


def take_rows(table: Table, rows: np.ndarray) -> Table:
    """These rows of a table, in this order. rows: (n,) numbers."""
    return replace(table, values={name: value[rows] for name, value in table.values.items()}, num_rows=len(rows))
