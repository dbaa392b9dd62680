"""Parquet: the columns that hold one plain value per row; the others are left out, and said."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from tame.core.errors import DataError, require
from tame.data.table_cells import all_numbers
from tame.data.table_csv import column_names, text_array
from tame.data.tables import RawTable

PARQUET_MAGIC = b"PAR1"
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)  # what pyarrow raises for damaged files
EXACT = 2**53  # every whole number up to here is a float64
BYTES_PER_CELL = 16  # in memory: once in Arrow and once in numpy


def parquet_bytes(data: bytes, *, where: str) -> int:
    """Bytes of memory that the table needs by what its footer declares. Raises DataError where the footer is broken."""
    footer = _open(data, where).metadata
    groups = [footer.row_group(place) for place in range(footer.num_row_groups)]
    rows = sum(group.num_rows for group in groups)
    agree = rows == footer.num_rows and min((group.num_rows for group in groups), default=0) >= 0
    require(agree, f"{where} declares {footer.num_rows} rows and its parts {rows}; it is damaged", error=DataError)
    return int(max(rows * footer.num_columns * BYTES_PER_CELL, sum(group.total_byte_size for group in groups)))


def parquet_names(path: Path) -> tuple[str, ...]:
    """The columns of a Parquet file; () where its footer cannot be read."""
    try:
        return column_names(parquet.read_schema(path).names, "")[0]
    except (*BROKEN, DataError):
        return ()


def read_parquet(data: bytes, *, where: str, digest: str) -> RawTable:
    """The columns of a Parquet file. Raises DataError where it is damaged or holds no usable column or no rows."""
    file = _open(data, where)
    try:
        table = file.read()
        table.validate(full=True)
        found = table.column_names
    except BROKEN as problem:
        raise DataError(f"{where} is damaged: {_first_line(problem)}") from None
    declared = file.metadata.num_rows
    require(table.num_rows == declared, f"{where} declares {declared} rows and has {table.num_rows}", error=DataError)
    require(table.num_rows > 0 and table.num_columns > 0, f"{where} has no rows", error=DataError)
    names, notes = column_names(found, where)
    columns: dict[str, np.ndarray] = {}
    categories: set[str] = set()
    for name, column in zip(names, table.columns, strict=True):
        if re.fullmatch(r"__index_level_\d+__", name):
            notes.append(f"{name} is left out: the numbering that pandas writes")
            continue
        values, said = _plain(column, where=f"{where}, column {name!r}")
        notes += [f"{name} {said}"] if said else []
        if values is not None:
            columns[name] = values
            if pa.types.is_dictionary(column.type) and values.dtype.kind == "O" and all_numbers(values):
                categories.add(name)
    require(bool(columns), f"{where} has no usable column: {'; '.join(notes)}", error=DataError)
    return RawTable(
        tuple(columns), columns, ("format: Parquet", *notes), table.num_rows, digest, categories=frozenset(categories)
    )


def _open(data: bytes, where: str) -> parquet.ParquetFile:
    try:
        return parquet.ParquetFile(pa.BufferReader(data))
    except BROKEN as problem:
        raise DataError(f"{where} is not a whole Parquet file: {_first_line(problem)}") from None


def _first_line(problem: Exception) -> str:
    return (str(problem).splitlines() or [type(problem).__name__])[0]


def _plain(column: pa.ChunkedArray, *, where: str) -> tuple[np.ndarray | None, str]:
    """(N,) values as RawTable holds them, or None, and what is to be said."""
    if isinstance(column.type, pa.BaseExtensionType):
        storage = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
        values, said = _plain(storage, where=where)
        return values, said or f"is of the type {column.type}, read as {column.type.storage_type}"
    if pa.types.is_dictionary(column.type):
        return _plain(column.cast(column.type.value_type), where=where)
    try:
        return _convert(column)
    except pa.ArrowException as problem:
        raise DataError(f"{where}: {_first_line(problem)}") from None


def _convert(column: pa.ChunkedArray) -> tuple[np.ndarray | None, str]:
    kind, types = column.type, pa.types
    if types.is_floating(kind):
        return column.cast(pa.float64()).to_numpy(), ""
    if types.is_integer(kind):
        return _whole(column), ""
    if types.is_boolean(kind) and not column.null_count:
        return column.to_numpy(), ""
    if types.is_timestamp(kind) or types.is_date(kind):
        zone = getattr(kind, "tz", None)
        moments = column.cast(pa.timestamp("us", zone), safe=False).to_numpy().astype("datetime64[us]")
        return moments, f"has times of the zone {zone}, read as UTC" if zone not in (None, "UTC") else ""
    if types.is_duration(kind):
        spans = column.cast(pa.duration("us"), safe=False).to_numpy()
        return np.asarray(spans / np.timedelta64(1, "D"), dtype=np.float64), "holds spans of time, read in days"
    if types.is_time(kind):
        return text_array(_times(column)), ""
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return text_array(column.cast(pa.large_string())), ""
    if types.is_null(kind) or types.is_boolean(kind) or types.is_decimal(kind):
        return text_array(column.cast(pa.string())), ""
    if types.is_binary(kind) or types.is_large_binary(kind):
        try:
            return text_array(column.cast(pa.large_string())), "holds bytes, which are read as UTF-8"
        except pa.ArrowInvalid:
            return None, "is left out: it contains bytes that are not text"
    return None, f"is left out: its type {kind!s:.80} is not one plain value per row"


def _times(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Times of day as text, as every other entrance has them: without fractions of seconds where all are whole."""
    try:
        return column.cast(pa.time32("s")).cast(pa.string())
    except pa.ArrowInvalid:
        return column.cast(pa.string())


def _whole(column: pa.ChunkedArray) -> np.ndarray:
    """(N,) int64; float64 where some are missing; text where that would lose digits."""
    extremes = pc.min_max(column).as_py()
    low, high = extremes["min"] or 0, extremes["max"] or 0
    if not column.null_count and high < 2**63:
        return np.asarray(column.cast(pa.int64()).to_numpy())
    if max(abs(low), abs(high)) <= EXACT:
        return np.asarray(column.cast(pa.float64()).to_numpy())
    return text_array(column.cast(pa.string()))
