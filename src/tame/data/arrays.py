"""Arrays, tensors, frames and datasets given from Python: checked, and made one of two things.

What has rows and columns becomes a `Table`, whose columns are typed by what they hold; arrays of more dimensions stay
arrays.
"""

from __future__ import annotations

import datetime
import math
import numbers
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import repeat
from typing import Any, Literal, Protocol, cast

import numpy as np

from tame.core.errors import DataError, ShapeError, UsageError, require
from tame.data.array_targets import LARGEST, listed, word_for
from tame.data.foreign import as_array, is_from
from tame.data.one_input import require_one_item
from tame.data.table_cells import all_numbers
from tame.data.tables import LEARNT, MISSING, Column, RawTable, Table

EXACT = 2**53  # every whole number up to here is a float64
NAME_BYTES = 60  # of a value that a message shows
COARSE_WITHIN = 0.02  # the same of 16-bit numbers, whose rounding adds up


@dataclass(frozen=True, slots=True, eq=False)
class Arrays:
    """Examples and their targets.

    x: a Table of N rows, or an array (N, ...) of three or more dimensions, finite float32 or integers; y: (N,) of
    bool, int64, float64 or text, or (N, C) float64; finite. They may share memory with what was given. notes: what was
    changed or assumed, in sentences. names: of the C columns of y, where it came as a frame. raw: the columns of x as
    they came, which `type_table` types as it does those of a file; None where x is not a table. weights: (N,) above 0,
    what each example counts as; None: all alike.
    """

    x: np.ndarray | Table
    y: np.ndarray
    notes: tuple[str, ...]
    names: tuple[str, ...] = ()
    raw: RawTable | None = None
    weights: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example: (columns,) of a table, (channels, height, width) of pictures that came so."""
        return (len(self.x.columns),) if isinstance(self.x, Table) else self.x.shape[1:]


class ReadInputs(Protocol):
    """How x is read: `read_inputs`, or `read_own_inputs` for a module of the user's own."""

    def __call__(self, x: Any, /) -> tuple[np.ndarray | Table, tuple[str, ...]]: ...


def read_arrays(x: Any, y: Any = None, *, read: ReadInputs | None = None) -> Arrays:
    """The examples and targets in x and y, or in x alone if that is a dataset of (x, y) pairs.

    x: an array, tensor, frame or list of N examples; a table if it has rows and columns, whose columns are named x0,
    x1, ... unless it is a frame. y: N labels or numbers, or N rows of C numbers. Raises UsageError for what cannot be
    read at all, ShapeError for lengths and shapes that do not fit, DataError for values that cannot be used. read: how
    x is read, `read_inputs` if it is None.
    """
    notes: list[str] = []
    if y is None:
        x, y = _pairs(x)
    inputs, said = (read or read_inputs)(x)
    raw = read_columns(x) if read is None and isinstance(inputs, Table) else None
    target, names = _target(y, notes)
    num = inputs.num_rows if isinstance(inputs, Table) else len(inputs)
    if num != len(target):
        raise ShapeError(f"x has {num} rows and y has {len(target)}: they must be as many")
    require(num >= 2, "x has one row: at least 2 are needed, and many more to learn from", error=DataError)
    indexed = all(is_from("pandas", each, "DataFrame", "Series") for each in (x, y))
    if indexed and not x.index.equals(y.index):
        _require_one_order("x", x, "y", y)
        notes.append("the indexes of x and y differ: their rows were matched by position")
    return Arrays(inputs, target, (*said, *notes), names, raw)


def read_inputs(x: object, *, like: Sequence[Column] = ()) -> tuple[np.ndarray | Table, tuple[str, ...]]:
    """The x of `read_arrays` by itself, also of one row, with its notes.

    like: columns whose kind is taken over by a column that holds no value here. Raises as `read_arrays` does.
    """
    notes: list[str] = []
    kinds = {c.name: "category" if c.kind == "text" else c.kind for c in like if c.kind in LEARNT}
    columns = columns_of(x)
    if columns is None:
        array = as_array(x, "x", notes)
        if array.ndim > 2:
            return _examples(array), tuple(notes)
        columns = _columns_of_array(array, notes)
    names = [name for name, _ in columns]
    twice = [name for name, times in Counter(names).items() if times > 1]
    require(not twice, f"x has more than one column named {listed(twice)}", error=DataError)
    require(bool(names), "x has no columns", error=DataError)
    made: list[Column] = []
    values: dict[str, np.ndarray] = {}
    infinite: list[str] = []
    for name, own in columns:
        column, found = _typed(name, own, kinds.get(name, "number"), notes)
        beyond = np.abs(found) > LARGEST if column.kind == "number" else np.zeros(1)
        if beyond.any():
            infinite.append(name)
            found = np.where(beyond, np.nan, found)
            column = replace(column, missing=int(np.isnan(found).sum()))
        values[name] = found
        made.append(column)
    num = len(values[names[0]])
    require(num > 0, "x is empty: it has no rows", error=DataError)
    if infinite:
        notes.append(f"numbers that are infinite or beyond 3.4e38, in {listed(infinite)}, count as missing")
    return Table(tuple(made), values, num, tuple(notes)), tuple(notes)


def read_columns(x: object) -> RawTable:
    """The columns of x as they came, x being a frame or something else of rows and columns that `read_inputs` takes.

    Texts stay texts, so that they are typed as those of a file are; None and NaN are empty cells. What there is to say
    of them `read_inputs` says.
    """
    columns = columns_of(x)
    if columns is None:
        columns = _columns_of_array(as_array(x, "x", []), [])
    found = [(name, *_raw_column(name, own)) for name, own in columns]
    values = {name: own for name, own, _ in found}
    declared = frozenset(name for name, _, is_category in found if is_category)
    return RawTable(tuple(values), values, (), len(found[0][1]), "", categories=declared)


def _raw_column(name: str, own: Any) -> tuple[np.ndarray, bool]:
    """A column as `RawTable` holds it, and whether it is declared to be categories of what is not words."""
    is_category = is_from("pandas", own, "Series") and getattr(own.dtype, "name", "") == "category"
    if is_category:
        own = own.astype(object)
    elif is_from("pyarrow", own, "Array", "ChunkedArray") and str(own.type).startswith("dictionary<"):
        is_category, own = True, own.to_pylist()
    elif is_from("polars", own, "Series") and str(own.dtype).startswith(("Categorical", "Enum")):
        is_category = True
    array = as_array(own, f"column {name!r} of x", [])
    if array.dtype.kind == "m":
        array = array / np.timedelta64(1, "D")
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]"), False
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and len(array) and array.max() >= 2**63:
        array = array.astype(object)
    if array.dtype.kind in "biuf":
        if not is_category:
            return array.astype({"b": np.bool_, "f": np.float64}.get(array.dtype.kind, np.int64), copy=False), False
        array = array.astype(object)
    values = array.tolist()
    present = [value for value in values if not is_missing(value)]
    kind = kind_of_objects(present) if present else "category"
    if kind == "date" and not is_category:
        return _utc(name, values, []), False
    if kind == "boolean" and len(present) == len(values) and not is_category:
        return np.array(values, dtype=np.bool_), False
    whole = all(isinstance(value, numbers.Integral) for value in present)
    if kind == "number" and not is_category and not (whole and any(abs(int(value)) > EXACT for value in present)):
        is_full = whole and len(present) == len(values)
        return (np.array(values, dtype=np.int64) if is_full else _floats(name, values)), False
    texts = np.empty(len(values), dtype=object)
    texts[:] = ["" if text is None else text for text in _texts(values)]
    return texts, is_category and (kind != "category" or all_numbers(texts))


# The task


# Targets


def _target(y: object, notes: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    """y as an array, (N,) or (N, C), complete and finite, and the names of the C columns of a frame."""
    if isinstance(y, str | bytes) or np.isscalar(y):
        raise UsageError(f"y is one value, {str(y)[:NAME_BYTES]!r}: it must be as long as x; of a frame: frame[name]")
    columns = columns_of(y)
    names: tuple[str, ...] = ()
    if columns is None:
        array = _complete(as_array(y, "y", notes))
    else:
        require(bool(columns), "y has no columns", error=DataError)
        array = np.stack([_complete(as_array(own, "y", notes)) for _, own in columns], axis=1)
        names = tuple(name for name, _ in columns)
    require(array.ndim > 0, "y is one value: it must be as long as x")
    require(array.size > 0, f"y is empty: its shape is {array.shape}", error=DataError)
    if array.ndim == 2 and array.shape[1] == 1:
        notes.append(f"y of shape {array.shape} was flattened")
        array = array[:, 0]
    good = array.ndim == 1 or (array.ndim == 2 and array.dtype.kind in "biuf")
    if not good:
        raise ShapeError(f"y must be (N,), or (N, C) numbers; it is {word_for(array)} of shape {array.shape}")
    if array.dtype.kind == "f" or array.ndim == 2:
        array = array.astype(np.float64, copy=False)
        _require_finite(array, "y")
    if array.ndim == 2 and str(getattr(y, "dtype", "")).endswith("float16"):
        sums = array.sum(axis=1, keepdims=True)
        if bool((np.abs(sums - 1) <= COARSE_WITHIN).all()) and bool((sums != 1).any()):
            notes.append("y holds 16-bit numbers: its rows were made to sum to 1")
            array = array / sums
    return array, names if array.ndim == 2 else ()


def _complete(array: np.ndarray) -> np.ndarray:
    """y in one of four types: bool, int64, float64, text. Raises DataError where a value is missing."""
    if array.dtype.kind == "O":
        values = array.ravel().tolist()
        _require_none_missing([is_missing(value) for value in values])
        kind = kind_of_objects(values)
        require(
            kind in ("boolean", "number", "category"),
            f"y holds {_names_of_types(values)}: give numbers, text or booleans",
            error=DataError,
        )
        if kind == "number":
            if all(isinstance(value, numbers.Integral) and -(2**63) <= int(value) < 2**63 for value in values):
                return array.astype(np.int64)
            return _floats("y", values).reshape(array.shape)
        array = np.array(values, np.bool_ if kind == "boolean" else np.str_).reshape(array.shape)
    if array.dtype.kind == "U":
        _require_none_missing((np.char.str_len(array) == 0).ravel())
        return array
    if array.dtype.kind in "Mm":
        raise DataError("y holds dates: give numbers, such as days since one of them")
    if array.dtype.kind == "u" and array.dtype.itemsize == 8:
        return array.astype(np.float64)  # beyond int64
    return array.astype({"b": np.bool_, "i": np.int64, "u": np.int64, "f": np.float64}[array.dtype.kind], copy=False)


def _require_none_missing(missing: Iterable[object]) -> None:
    rows = np.flatnonzero(np.fromiter(missing, np.bool_))
    if rows.size:
        raise DataError(f"y is missing in {rows.size} rows, first in row {rows[0]}: leave these rows out")


def _require_finite(array: np.ndarray, name: str) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        bad = np.flatnonzero(~finite.reshape(len(array), -1).all(axis=1))
        value = array[bad[0]].ravel()[np.argmin(finite[bad[0]].ravel())]
        raise DataError(f"{name} is {value} in row {bad[0]} ({len(bad)} such rows): leave these out or fill them")


# Arrays of more dimensions


def _examples(array: np.ndarray) -> np.ndarray:
    """(N, ...) of three or more dimensions as finite float32 or integers."""
    require(array.size > 0, f"x is empty: its shape is {array.shape}", error=DataError)
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind in "iu":
        return array
    if array.dtype.kind != "f":
        raise DataError(
            f"x of shape {array.shape} holds {array.dtype.name} values: make it numbers with .astype(float)"
        )
    _require_finite(array, "x")
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    require(bool(np.isfinite(single).all()), "x holds numbers beyond 3.4e38: scale it first", error=DataError)
    return single


# Columns


def columns_of(value: Any) -> list[tuple[str, object]] | None:
    """Names and columns of a frame; None if it is none."""
    if is_from("pandas", value, "DataFrame"):
        return [(_name(name), value.iloc[:, i]) for i, name in enumerate(value.columns)]
    if is_from("polars", value, "DataFrame"):
        return [(name, value[name]) for name in value.columns]
    if is_from("pyarrow", value, "Table", "RecordBatch"):
        return list(zip(value.column_names, value.columns, strict=True))
    if isinstance(value, Mapping):
        return _columns_of_mapping(value)
    if is_from("polars", value, "LazyFrame"):
        raise UsageError("a lazy frame holds no data yet: give frame.collect()")
    if hasattr(value, "__dataframe__"):
        kind = f"{type(value).__module__.split('.')[0]}.{type(value).__name__}"
        raise UsageError(f"a {kind} cannot be read: make it a frame of pandas or polars, for instance .to_pandas()")
    return None


def _columns_of_mapping(value: Mapping[Any, Any]) -> list[tuple[str, object]]:
    """Names and columns of a dict. Raises UsageError and ShapeError unless they are columns of one length."""
    columns: list[tuple[str, Any]] = []
    for name, own in value.items():
        if isinstance(own, str) or not hasattr(own, "__len__"):
            raise UsageError(
                f"column {_name(name)!r} of x is a {type(own).__name__}: give a list or array for each name"
            )
        is_series = is_from("pandas", own, "Series") or is_from("polars", own, "Series")
        column = own if is_series else as_array(own, f"column {_name(name)!r} of x", [])
        if len(np.shape(column)) != 1:
            raise UsageError(
                f"x is a dict, and {_name(name)!r} in it has shape {np.shape(column)}: a dict gives the columns of a "
                "table, one value a row; join several inputs into one array"
            )
        if columns and len(column) != len(columns[0][1]):
            lengths = f"{len(column)} values, and column {columns[0][0]!r} has {len(columns[0][1])}"
            raise ShapeError(f"column {_name(name)!r} of x has {lengths}: they must be as many")
        if columns and all(is_from("pandas", each, "Series") for each in (columns[0][1], column)):
            _require_one_order(f"x[{columns[0][0]!r}]", columns[0][1], f"x[{_name(name)!r}]", column)
        columns.append((_name(name), column))
    return columns


def _require_one_order(one: str, own: Any, other: str, theirs: Any) -> None:
    """Raises DataError where the indexes of two frames or series have the same labels in another order."""
    is_open = not own.index.equals(theirs.index) and own.index.is_unique and set(own.index) == set(theirs.index)
    require(
        not is_open,
        f"the indexes of {one} and {other} hold the same labels in another order, and which rows belong together is "
        f"open: give {other}.loc[{one}.index] to match them by label, or {other}.set_axis({one}.index) to match them "
        "by position",
        error=DataError,
    )


def _name(name: object) -> str:
    return " ".join(map(str, name)) if isinstance(name, tuple) else str(name)


def _columns_of_array(array: np.ndarray, notes: list[str]) -> list[tuple[str, object]]:
    """Columns x0, x1, ... of an array (N, D) or (N,)."""
    require(array.ndim > 0, "x is one value: it must be (N, D), a row for each example", error=ShapeError)
    if array.ndim == 1:
        notes.append(f"x of shape {array.shape} was read as one column")
        array = array[:, None]
    if array.dtype.kind == "U":
        raise DataError("x is an array of text: give a frame, whose columns have types of their own")
    if array.dtype.kind in "iuf":
        array = np.ascontiguousarray(array.T, np.float64).T
    return [(f"x{i}", array[:, i]) for i in range(array.shape[1])]


def _typed(name: str, own: Any, if_none: str, notes: list[str]) -> tuple[Column, np.ndarray]:
    """A column by what it holds, and its values. if_none: its kind if it holds nothing."""
    where = f"column {name!r} of x"
    if is_from("pandas", own, "Series") and getattr(own.dtype, "name", "") == "category":
        return _categories(name, _texts(own.astype(object).tolist()), "category", "categories")
    array = as_array(own, where, notes)
    if array.dtype.kind == "M":
        return _number(name, _days(array), "date", "dates")
    if array.dtype.kind == "m":
        notes.append(f"{where} holds spans of time: they are counted in days")
        return _number(name, array / np.timedelta64(1, "D"), "number", "spans of time, in days")
    if array.dtype.kind == "b":
        return _categories(name, np.where(array, "True", "False").tolist(), "boolean", "booleans")
    if array.dtype.kind == "f" and np.isnan(array).all():
        return _typed_objects(name, [None] * len(array), if_none, notes)
    if array.dtype.kind in "iuf":
        return _number(name, array.astype(np.float64, copy=False), "number", "numbers")
    return _typed_objects(name, array.tolist(), if_none, notes)


def _typed_objects(name: str, values: list[Any], if_none: str, notes: list[str]) -> tuple[Column, np.ndarray]:
    """A column of Python's own values, by what all of them are."""
    if str in (types := set(map(type, values))) and types <= {str, type(None)} and any(values):
        return _categories(name, values, "category", "text")  # the common case, and large ones come so
    present = [value for value in values if not is_missing(value)]
    kind = kind_of_objects(present) if present else if_none
    if kind == "date":
        return _number(name, _days(_utc(f"column {name!r} of x", values, notes)), "date", "dates")
    if kind == "number":
        return _number(name, _floats(f"column {name!r} of x", values), "number", "numbers" if present else "no value")
    if kind in ("boolean", "category"):
        return _categories(name, _texts(values), cast(Literal["boolean", "category"], kind), "booleans or text")
    if kind == "mixed":
        notes.append(f"column {name!r} of x mixes {_names_of_types(present)}: it was read as text")
        return _categories(name, _texts(values), "category", "mixed values")
    raise DataError(
        f"column {name!r} of x holds {_names_of_types(present)}, which no network can be given: make it numbers, text, "
        "booleans or dates, or leave it out"
    )


def _number(name: str, values: np.ndarray, kind: Literal["number", "date"], why: str) -> tuple[Column, np.ndarray]:
    return Column(name, kind, why, int(np.isnan(values).sum())), values


def _categories(
    name: str, texts: list[str | None], kind: Literal["category", "boolean"], why: str
) -> tuple[Column, np.ndarray]:
    counts = Counter(texts)
    missing = counts.pop(None, 0) + counts.pop("", 0)
    names = sorted((text for text in counts if text), key=lambda text: (-counts[text], text))
    place: dict[str | None, int] = {text: i for i, text in enumerate(names)}
    codes = np.fromiter(map(place.get, texts, repeat(MISSING)), np.int64, len(texts))
    return Column(name, kind, why, missing, tuple(names)), codes


def kind_of_objects(values: list[object]) -> str:
    """number, boolean, category, date; mixed for scalars of several kinds; other for what is not a scalar."""
    tests: Mapping[str, Callable[[type], bool]] = {
        "boolean": lambda kind: issubclass(kind, bool | np.bool_),
        "number": lambda kind: issubclass(kind, _NUMBERS) and not issubclass(kind, bool | np.timedelta64),
        "category": lambda kind: issubclass(kind, str),
        "date": lambda kind: issubclass(kind, datetime.date | np.datetime64),
    }
    found = {next((word for word, fits in tests.items() if fits(kind)), "other") for kind in {type(v) for v in values}}
    if "other" in found:
        return "other"
    return found.pop() if len(found) == 1 else "mixed"


_NUMBERS = (numbers.Real, np.number, Decimal)


def is_missing(value: object) -> bool:
    """None, NaN, NaT, pandas' NA, or text without a character."""
    if value is None or type(value).__name__ == "NAType" or (isinstance(value, str) and not value):
        return True
    return bool(isinstance(value, float | np.floating | np.datetime64 | datetime.date) and value != value)


def _texts(values: Iterable[object]) -> list[str | None]:
    return [None if is_missing(value) else str(value) for value in values]


def _floats(name: str, values: list[Any]) -> np.ndarray:
    """(N,) float64 of Python's own numbers, NaN where missing."""
    try:
        return np.array([math.nan if is_missing(value) else float(value) for value in values], np.float64)
    except OverflowError:
        raise DataError(f"{name} holds a whole number beyond 1.8e308") from None


def _utc(name: str, values: Sequence[object], notes: list[str]) -> np.ndarray:
    """(N,) datetime64[us] of Python's own dates: in UTC, since numpy has no time zones; NaT where missing."""
    zones = {str(value.tzinfo) for value in values if isinstance(value, datetime.datetime) and value.tzinfo is not None}
    if others := sorted(zones - {"UTC"}):
        notes.append(f"{name} has times of the zone {', '.join(others[:3])}, read as UTC")
    return np.array([_without_zone(value) for value in values], "datetime64[us]")


def _without_zone(value: object) -> object:
    if is_missing(value):
        return np.datetime64("NaT")
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def _days(dates: np.ndarray) -> np.ndarray:
    """Days since 1970, NaN where NaT."""
    return cast(np.ndarray, (dates - np.datetime64("1970-01-01")) / np.timedelta64(1, "D"))


def _names_of_types(values: Iterable[object]) -> str:
    return " and ".join(sorted({type(value).__name__ for value in values}))


# Datasets


def _pairs(data: object) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a dataset of (x, y) pairs. Raises ShapeError at the first pair of another shape."""
    if columns_of(data) is not None or hasattr(data, "__array__") or isinstance(data, tuple):
        raise UsageError("there is x but no y: give both")
    if hasattr(data, "dataset") and hasattr(data, "batch_size"):
        raise UsageError("a loader gives batches in an order of its own: give its dataset (loader.dataset)")
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise UsageError(f"a {type(data).__name__} alone cannot be read: give x and y, or a dataset with a length")
    num = len(data)
    require(num > 0, "the dataset is empty", error=DataError)
    stacks: list[np.ndarray] = []
    for i in range(num):
        pair = data[i]
        if not (isinstance(pair, tuple | list) and len(pair) == 2):
            raise DataError(f"item {i} of the dataset is a {type(pair).__name__}: it must be a pair (x, y)")
        require_one_item(pair[0], f"the x of item {i}")
        arrays = [_item(own, f"the {name} of item {i}") for own, name in zip(pair, "xy", strict=True)]
        if not stacks:
            stacks = [np.empty((num, *array.shape), array.dtype) for array in arrays]
        stacks = [_placed(stack, array, i, name) for stack, array, name in zip(stacks, arrays, "xy", strict=True)]
    return stacks[0], stacks[1]


def _item(value: object, name: str) -> np.ndarray:
    if isinstance(value, str):
        return np.array(value, object)
    if isinstance(value, bool | numbers.Real):
        return np.asarray(value)
    return as_array(value, name, [])


def _placed(stack: np.ndarray, array: np.ndarray, i: int, name: str) -> np.ndarray:
    """`stack` with `array` in row i, in a type that holds both."""
    if array.shape != stack.shape[1:]:
        raise ShapeError(
            f"the {name} of item {i} has shape {array.shape}, and that of item 0 has {stack.shape[1:]}: they must be "
            "the same; resize or pad them in the dataset"
        )
    dtype = np.result_type(stack, array)
    if dtype != stack.dtype:
        stack = stack.astype(dtype)
    stack[i] = array[()]  # text by itself, not in an array of its own
    return stack
