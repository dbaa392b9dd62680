"""What a module of the user's own is given of arrays and frames: numbers with all their digits, or an error that says
which do not fit."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from tame.core.errors import DataError, require
from tame.data.array_targets import LARGEST
from tame.data.arrays import columns_of, is_missing, kind_of_objects
from tame.data.foreign import as_array
from tame.data.one_input import require_one_input

EXACT = 2**24  # whole numbers up to here are themselves in float32
COARSE = 1e-3  # of the spread of a column, that float32 may round its numbers by
WHOLE = np.dtype(np.int64)


def read_own_inputs(x: object, *, like: np.dtype[Any] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The array (N, ...) that a module is given of x, finite, and notes.

    Rows and columns become float32; int64 where all of them are whole numbers and some lie beyond 2**24; float64 where
    float32 would lose digits, which only a module in float64 can be trained on. Arrays of three or more dimensions keep
    their whole numbers and bytes. like: the type that the module was trained on, which x is brought to. Raises
    DataError for columns that are not numbers, ShapeError and UsageError for what cannot be read.
    """
    require_one_input(x)
    notes: list[str] = []
    array = _array_of(x, notes)
    require(array.size > 0, f"x is empty: its shape is {array.shape}", error=DataError)
    if array.dtype.kind == "f":
        _require_finite(array)
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        top = int(array.max())
        require(top < 2**63, f"x holds the whole number {top}, beyond 9.2e18: give smaller ones", error=DataError)
    if like is not None:
        return _like(array, like), tuple(notes)
    if array.ndim == 2 and array.dtype.kind in "iu":
        large = int(np.abs(array.astype(np.float64)).max()) > EXACT
        if large:
            notes.append(
                f"x holds whole numbers beyond {EXACT:,}, which float32 would round: the module is given int64"
            )
        return array.astype(np.int64 if large else np.float32), tuple(notes)
    if array.dtype.kind == "f":
        lossy = array.dtype.itemsize == 8 and bool(why_lossy(array))
        return array.astype(np.float64 if lossy else np.float32, copy=False), tuple(notes)
    return array.astype(np.float32) if array.ndim == 2 else array, tuple(notes)


def why_lossy(array: np.ndarray) -> str:
    """What float32 would lose of numbers (N, ...), of the first place where that is so; "" where it loses nothing."""
    flat = array.reshape(len(array), -1)
    top = np.abs(flat).max(axis=0)
    spacing = np.spacing(top.astype(np.float32)).astype(np.float64)
    for place in np.flatnonzero((top > EXACT) | (spacing > COARSE * flat.std(axis=0))):
        column = flat[:, place].astype(np.float64)
        rounded = column.astype(np.float32).astype(np.float64)
        differ = np.flatnonzero(rounded != column)
        whole = bool((column == np.round(column)).all())
        coarse = spacing[place] > COARSE * column.std() and len(np.unique(rounded)) < len(np.unique(column))
        if differ.size and ((whole and top[place] > EXACT) or coarse):
            row = int(differ[0])
            return f"{column[row]:.17g} in row {row}, column {place} of x would become {rounded[row]:.17g} in float32"
    return ""


def _array_of(x: object, notes: list[str]) -> np.ndarray:
    """The array (N, ...) of two or more dimensions, of booleans, whole numbers or floats."""
    columns = columns_of(x)
    if columns is None:
        array = as_array(x, "x", notes)
        require(array.ndim > 0, "x is one value: it must be (N, D), a row for each example")
        if array.ndim == 1:
            notes.append(f"x of shape {array.shape} was read as one column")
            array = array[:, None]
        if array.dtype.kind in "biuf":
            return array
        if array.ndim > 2:
            said = f"x of shape {array.shape} holds {array.dtype.name} values: make it numbers with .astype(float)"
            raise DataError(said)
        columns = [(f"x{i}", array[:, i]) for i in range(array.shape[1])]
    require(bool(columns), "x has no columns", error=DataError)
    found = [_numbers(name, as_array(own, f"column {name!r} of x", notes)) for name, own in columns]
    if all(each.dtype.kind in "biu" for each in found):
        large = any(each.dtype == np.uint64 and each.size and int(each.max()) >= 2**63 for each in found)
        require(not large, "x holds whole numbers beyond 9.2e18: give smaller ones", error=DataError)
        return np.stack([each.astype(WHOLE) for each in found], axis=1)
    return np.stack([_floats(name, each) for (name, _), each in zip(columns, found, strict=True)], axis=1)


def _numbers(name: str, array: np.ndarray) -> np.ndarray:
    """A column as booleans, whole numbers or floats. Raises DataError for anything else, and where one is missing."""
    if array.dtype.kind in "biuf":
        return array
    if array.dtype.kind == "m":
        return np.asarray(array / np.timedelta64(1, "D"))
    what = {"M": "dates", "U": "text"}.get(array.dtype.kind, "")
    values = array.tolist()
    if not what:
        _require_all(name, any(is_missing(value) for value in values))
        kind = kind_of_objects(values)
        if kind == "boolean":
            return np.array(values, np.bool_)
        if kind == "number":
            whole = all(isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63 for value in values)
            return np.array([int(v) for v in values], np.int64) if whole else np.array([float(v) for v in values])
        what = {"category": "text", "date": "dates"}.get(kind, "mixed values")
    raise DataError(f"column {name!r} holds no numbers ({what}); a module needs numbers")


def _floats(name: str, array: np.ndarray) -> np.ndarray:
    """A column as float64. Raises DataError for whole numbers that it would round."""
    beyond = array.dtype.kind in "iu" and array.size and int(np.abs(array.astype(np.float64)).max()) > 2**53
    mend = "beside numbers that are not whole it cannot keep its digits; leave it out or make it smaller"
    require(not beyond, f"column {name!r} holds whole numbers beyond 9.0e15: {mend}", error=DataError)
    _require_all(name, array.dtype.kind == "f" and bool(np.isnan(array).any()))
    return array.astype(np.float64)


def _require_all(name: str, some_missing: bool) -> None:
    require(not some_missing, f"column {name!r} has missing values; a module needs all", error=DataError)


def _require_finite(array: np.ndarray) -> None:
    bad = ~(np.abs(array.astype(np.float64, copy=False)) <= LARGEST)
    if not bad.any():
        return
    place = tuple(int(each) for each in np.argwhere(bad)[0])
    if array.ndim == 2:
        _require_all(f"x{place[1]}", bool(np.isnan(array[place])))
    rows = int(bad.reshape(len(array), -1).any(axis=1).sum())
    raise DataError(
        f"x is {array[place]} in row {place[0]} ({rows} such rows): leave these out or fill them; a module computes in "
        "float32, up to 3.4e38"
    )


def _like(array: np.ndarray, like: np.dtype[Any]) -> np.ndarray:
    """The array in the type that the module was trained on. Raises DataError where it does not fit."""
    fits = like.kind == "f" or array.dtype.kind in "biu"
    whole = fits or bool((array == np.round(array)).all())
    require(whole, "x holds numbers that are not whole; the model was trained on whole numbers", error=DataError)
    if like == np.uint8 and array.dtype != np.uint8:
        within = float(array.min()) >= 0 and float(array.max()) <= 255
        require(within, "x holds numbers beyond 0 to 255; the model was trained on bytes", error=DataError)
    return array.astype(like, copy=False)
