"""One array from what other libraries hold: tensors, series, sparse matrices, lists.

torch, pandas, polars and scipy are only used where the caller has loaded them: nothing of theirs can come in otherwise.
"""

from __future__ import annotations

import datetime
import sys
from collections.abc import Sequence
from typing import Any, cast

import numpy as np

from tame.core.errors import DataError, ShapeError, UsageError, require

MOST_DENSE = 2**25  # numbers that a sparse matrix may become: 256 MiB in float64


def as_array(value: Any, name: str, notes: list[str]) -> np.ndarray:
    """Any one array as numpy holds it, of an honest type. Raises UsageError, ShapeError or DataError."""
    if is_from("torch", value, "Tensor"):
        array = _of_tensor(value, name)
    elif is_from("pandas", value, "Series", "Index"):
        array = _of_pandas(value)
    elif is_from("polars", value, "Series"):
        array = _of_polars(value)
    elif _is_sparse(value):
        _require_small(value.shape, name)
        notes.append(f"{name} is sparse, {value.shape}: it was made dense")
        array = value.toarray()
    elif isinstance(value, np.ma.MaskedArray):
        wide = value.astype(np.float64 if value.dtype.kind in "biuf" else object)
        array = np.where(np.ma.getmaskarray(wide), np.nan, np.ma.getdata(wide))
    elif isinstance(value, list | tuple | range):
        array = _of_list(list(value), name)
    elif hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        array = np.asarray(value)
    else:
        raise UsageError(
            f"{name} is a {type(value).__name__}, which cannot be read: give an array, a tensor, a frame of pandas or "
            "polars, a list, or, alone, a dataset of (x, y) pairs"
        )
    if (zone := _zone(value)) not in ("", "UTC"):
        notes.append(f"{name} has times of the zone {zone}, read as UTC")
    if array.dtype.kind in "cVS":
        words = {
            "c": "complex numbers: give their real and imaginary parts, or size and angle, as numbers of their own",
            "V": "records: make them a frame, whose columns have names and types",
            "S": "bytes: make them text with .astype(str)",
        }
        raise DataError(f"{name} holds {words[array.dtype.kind]}")
    if array.dtype.kind == "T":
        return array.astype(object)
    if array.dtype.kind == "O":
        array = _spans_of_time(array)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _zone(series: Any) -> str:
    """The time zone of a series of pandas or polars; empty if it has none."""
    dtype = getattr(series, "dtype", None)
    return str(getattr(dtype, "tz", None) or getattr(dtype, "time_zone", None) or "")


def _spans_of_time(array: np.ndarray) -> np.ndarray:
    """Objects that all are spans of time, or missing, as numpy's own spans; others as they are."""
    kinds = {type(value) for value in array.ravel()} - {type(None)}
    if not kinds or not all(issubclass(kind, datetime.timedelta | np.timedelta64) for kind in kinds):
        return array
    return array.astype("timedelta64[us]")


def _of_tensor(value: Any, name: str) -> np.ndarray:
    value = value.detach()
    torch = sys.modules["torch"]
    if value.layout != torch.strided:
        _require_small(value.shape, name)
        value = value.to_dense()
    if value.is_quantized:
        value = value.dequantize()
    if value.is_floating_point() and value.dtype not in (torch.float16, torch.float32, torch.float64):
        value = value.float()  # numpy has no bfloat16 and none smaller
    return cast(np.ndarray, value.resolve_conj().resolve_neg().cpu().numpy())


def _of_pandas(value: Any) -> np.ndarray:
    """A series: numbers as floats or whole numbers, dates in UTC, anything else as objects."""
    types = sys.modules["pandas"].api.types
    dtype = value.dtype
    if types.is_complex_dtype(dtype):
        return np.asarray(value)
    if types.is_numeric_dtype(dtype) and not value.hasnans:
        kind: type[np.generic] = (
            np.bool_ if types.is_bool_dtype(dtype) else np.int64 if types.is_integer_dtype(dtype) else np.float64
        )
        if types.is_unsigned_integer_dtype(dtype) and getattr(dtype, "itemsize", 8) == 8:
            kind = np.uint64  # numbers from 2**63 on are not int64, and float64 would round them
        return cast(np.ndarray, value.to_numpy(dtype=kind))
    if types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype):
        return cast(np.ndarray, value.to_numpy(dtype=np.float64, na_value=np.nan))
    if types.is_datetime64_any_dtype(dtype):
        dates = value.dt if hasattr(value, "dt") else value
        local = dates.tz_convert(None) if getattr(dtype, "tz", None) is not None else value
        return cast(np.ndarray, local.to_numpy())
    if types.is_timedelta64_dtype(dtype):
        return cast(np.ndarray, value.to_numpy())
    return cast(np.ndarray, value.to_numpy(dtype=object, na_value=None))


def _of_polars(value: Any) -> np.ndarray:
    """A series: numbers as numpy holds them (NaN where null), dates as dates, anything else as objects."""
    polars = sys.modules["polars"]
    if value.dtype.is_decimal():
        value = value.cast(polars.Float64)
    if value.dtype.is_numeric() or value.dtype in (polars.Date, polars.Datetime, polars.Duration):
        return cast(np.ndarray, value.to_numpy())
    return _objects(value.to_list())


def _is_sparse(value: Any) -> bool:
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(value))


def _require_small(shape: Sequence[int], name: str) -> None:
    size = int(np.prod(shape, dtype=object))
    if size > MOST_DENSE:
        raise DataError(
            f"{name} is sparse, {tuple(shape)}: dense it would hold {size} numbers, more than {MOST_DENSE}; "
            "keep fewer columns, for instance with sklearn.decomposition.TruncatedSVD"
        )


def _of_list(value: list[Any], name: str) -> np.ndarray:
    """A list of scalars, of rows or of arrays. Raises ShapeError for rows of different shapes."""
    require(bool(value), f"{name} is empty", error=DataError)
    if any(is_from("torch", each, "Tensor") for each in value):
        value = [as_array(each, f"{name}[{i}]", []) for i, each in enumerate(value)]
    first: tuple[int, ...] = ()
    for i, row in enumerate(value):
        shape = np.shape(_numpy(row, f"{name}[{i}]"))
        if i and shape != first:
            raise ShapeError(f"{name}[{i}] has shape {shape}, and {name}[0] has {first}: they must be the same")
        first = shape
    array = _numpy(value, name)
    if array.dtype.kind in "USO":  # text beside numbers: numpy would have made text of all
        flat = np.empty(array.shape, object)
        flat[...] = np.array(value, dtype=object)
        return flat
    return array


def _numpy(value: Any, name: str) -> np.ndarray:
    """What numpy makes of a list or a scalar. Raises ShapeError if it is ragged."""
    try:
        return np.asarray(value)
    except UnicodeDecodeError:
        raise DataError(f"{name} mixes bytes and text: make them text with .decode()") from None
    except ValueError:
        raise ShapeError(f"{name} is ragged: its own rows have different lengths") from None


def is_from(library: str, value: Any, *kinds: str) -> bool:
    """Whether `value` is one of these classes of a library, which is not loaded for the question."""
    module = sys.modules.get(library)
    return module is not None and isinstance(value, tuple(getattr(module, kind) for kind in kinds))


def _objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array
