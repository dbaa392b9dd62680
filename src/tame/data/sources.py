"""Rows of one or more table files, read by columns that were understood before."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tame.core.errors import DataError, require
from tame.core.files import reading, replacing
from tame.data.table_later import apply_kinds
from tame.data.table_reading import read_raw
from tame.data.tables import LEARNT, MISSING, Column, Kind, Table

KEPT: dict[str, tuple[Kind, ...]] = {"numbers": ("number", "date"), "codes": ("category", "boolean", "text")}
TEXTS = "texts"
TEXT_COLUMNS = (Column("text", "text", ""),)  # of texts that come in files


def open_rows(files: Sequence[Path], columns: Sequence[Column]) -> Table:
    """All rows of these files, one after the other, typed as `columns` says, which were found in the first of them.

    Raises DataError.
    """
    return concat([apply_kinds(read_raw(file), columns, same=file == files[0])[0] for file in files])


def write_columns(file: Path, table: Table) -> None:
    """Keeps the values of a table in a file of arrays, for `open_columns`."""
    named = {key: [c.name for c in table.columns if c.kind in kinds] for key, kinds in KEPT.items()}
    # Two arrays, since a wide table would make thousands of small ones.
    arrays = {key: np.stack([table.values[n] for n in names]) for key, names in named.items() if names}
    if table.texts:
        # Cells may hold lone surrogates, which UTF-8 has no room for; JSON escapes them.
        arrays[TEXTS] = np.frombuffer(json.dumps({n: list(own) for n, own in table.texts.items()}).encode(), np.uint8)
    write_arrays(file, arrays)


def open_columns(file: Path, columns: Sequence[Column]) -> Table:
    """The columns that `write_columns` kept. Raises KeyError and ValueError for a file that holds other ones."""
    learnt = [column for column in columns if column.kind in LEARNT]
    # Opened here, since numpy leaves a damaged file open.
    with reading(file.parent, file.name) as opened, np.load(opened, allow_pickle=False) as held:
        if learnt and "c0" in held.files:  # as studies on arrays were begun before
            values = {column.name: held[f"c{i}"] for i, column in enumerate(learnt)}
        else:
            values = {}
            for key, kinds in KEPT.items():
                names = [column.name for column in learnt if column.kind in kinds]
                values |= dict(zip(names, held[key] if names else (), strict=True))
            values = {column.name: values[column.name] for column in learnt}
        told = json.loads(held[TEXTS].tobytes()) if TEXTS in held.files else {}
    texts = {column.name: tuple(told[column.name]) for column in learnt if column.kind == "text"}
    return Table(tuple(columns), values, len(next(iter(values.values()))), texts=texts)


def write_arrays(file: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays without pickle in one step, readable by the owner only."""
    with replacing(file.parent, file.name) as opened:
        np.savez(opened, allow_pickle=False, **arrays)


def table_of_texts(texts: Sequence[str]) -> Table:
    """A table of these texts: one column."""
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(text, len(places)) for text in texts], dtype=np.int64)
    why = f"{len(places):,} different of {len(texts):,}"
    columns = tuple(replace(column, why=why, rows=len(texts)) for column in TEXT_COLUMNS)
    name = columns[0].name
    return Table(columns, {name: codes}, len(texts), texts={name: tuple(places)})


def texts_of(table: Table) -> list[str]:
    """The texts that `table_of_texts` made a table of."""
    name = TEXT_COLUMNS[0].name
    return [table.texts[name][code] for code in table.values[name].tolist()]


def short_names(files: Sequence[Path]) -> list[str]:
    """The name of each file, with as many of its folders as are needed to tell it from the others."""
    parts = [file.parts for file in files]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(own[-length:]) for own in parts]
        if len(set(names)) == len(names):
            return names
    return [str(file) for file in files]


def concat(tables: Sequence[Table]) -> Table:
    """Tables of the same columns as one."""
    first = tables[0]
    if len(tables) == 1:
        return first
    values, texts = {}, {}
    for name in first.values:
        parts = [table.values[name] for table in tables]
        if name in first.texts:
            parts, texts[name] = _one_code([table.texts[name] for table in tables], parts)
        values[name] = np.concatenate(parts)
    return replace(first, values=values, num_rows=sum(table.num_rows for table in tables), texts=texts)


def _one_code(
    texts: Sequence[tuple[str, ...]], codes: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], tuple[str, ...]]:
    """The codes of several tables into the texts of all of them, each of which is there once."""
    places: dict[str, int] = {}
    found = []
    for own, each in zip(texts, codes, strict=True):
        new = np.array([*(places.setdefault(text, len(places)) for text in own), MISSING], dtype=np.int64)
        found.append(new[each])  # MISSING is -1, the last one
    return found, tuple(places)


def take_rows(table: Table, rows: np.ndarray) -> Table:
    """These rows of a table, in this order. rows: (n,) numbers."""
    return replace(table, values={name: value[rows] for name, value in table.values.items()}, num_rows=len(rows))


def only_own_texts(table: Table) -> Table:
    """The table without the texts that none of its rows has."""
    texts, values = dict(table.texts), dict(table.values)
    for name, every in table.texts.items():
        codes, places = np.unique(table.values[name], return_inverse=True)
        first = int((codes == MISSING).any())  # which sorts before all others
        texts[name] = tuple(every[code] for code in codes[first:].tolist())
        values[name] = places.reshape(-1) - first
    return replace(table, texts=texts, values=values)


def matrix_of(x: np.ndarray | Table) -> np.ndarray:
    """The array (N, ...) that a module of the user's own sees. Raises DataError for columns that are no numbers."""
    if not isinstance(x, Table):
        return x
    for column in x.columns:
        number = column.kind in ("number", "boolean", "constant", "identifier") and column.name in x.values
        wrong = f"column {column.name!r} holds no numbers ({column.why}); a module needs numbers"
        require(number, wrong, error=DataError)
        require(not column.missing, f"column {column.name!r} has missing values; a module needs all", error=DataError)
    return np.stack([x.values[column.name] for column in x.columns], axis=1).astype(np.float32)
