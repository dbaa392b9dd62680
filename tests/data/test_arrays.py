"""Arrays, tensors, frames and datasets from Python: what they become, and what is refused in which words."""

from __future__ import annotations

import contextlib
import datetime
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.utils.multiclass import type_of_target

from tame.core.errors import DataError, ShapeError, TameError, UsageError
from tame.core.recipe import TableRecipe
from tame.core.rng import stream
from tame.data.array_targets import task_of
from tame.data.arrays import read_arrays, read_inputs
from tame.data.encode import Encoder
from tame.data.tables import MISSING, Column, Table

NAN = float("nan")
Y3 = [0.5, 1.25, 2.0]


def library(name):
    return pytest.importorskip(name, reason=f"needs {name}, which TAME reads from but does not install")


def kinds_of(table):
    return {column.name: column.kind for column in table.columns}


def texts_of(table, name):
    """A categorical column as text again, None where missing."""
    column = next(column for column in table.columns if column.name == name)
    return [None if code == MISSING else column.categories[code] for code in table.values[name]]


# Tables from arrays


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.float16, np.int64, np.uint8, np.dtype(">f8"), np.dtype(">i2")]),
        st.tuples(st.integers(2, 6), st.integers(1, 5)),
    )
)
@settings(max_examples=60, deadline=None)
def test_an_array_of_rows_and_columns_is_a_table_of_its_numbers(x):
    read = read_arrays(x, np.arange(len(x)) / 3)
    assert isinstance(read.x, Table)
    assert [column.name for column in read.x.columns] == [f"x{i}" for i in range(x.shape[1])]
    for i, column in enumerate(read.x.columns):
        with np.errstate(invalid="ignore"):
            wanted = x[:, i].astype(np.float64)
        wanted[np.abs(wanted) > np.finfo(np.float32).max] = NAN
        np.testing.assert_array_equal(read.x.values[column.name], wanted)
        assert (column.kind, column.missing) == ("number", np.isnan(wanted).sum())
    assert (read.shape, read.x.num_rows) == (x.shape[1:], len(x))


def test_tensors_and_lists_are_read_as_the_array_they_hold():
    x = stream(0, "x").normal(size=(5, 3)).astype(np.float32)
    y = [0, 1, 2, 0, 1]
    wanted = read_arrays(x, np.array(y))
    given = torch.tensor(x, requires_grad=True)
    ways = [given, given.T.contiguous().T, given.to_sparse(), x.tolist(), [tuple(r) for r in x.tolist()], list(x)]
    for own in [*ways, list(torch.tensor(x)), scipy.sparse.csr_matrix(x), scipy.sparse.coo_array(x)]:
        read = read_arrays(own, torch.tensor(y))
        assert kinds_of(read.x) == kinds_of(wanted.x)
        np.testing.assert_array_equal(np.stack([*read.x.values.values()]), x.T)
        assert (read.y.tolist(), read.y.dtype) == (y, np.int64)
    half = read_arrays(torch.tensor(x).to(torch.bfloat16), y)
    np.testing.assert_allclose(np.stack([*half.x.values.values()]), x.T, rtol=1e-2)


def test_a_sparse_matrix_is_made_dense_with_a_note_if_it_is_small():
    small = scipy.sparse.eye_array(4).tocsr()
    assert "x is sparse, (4, 4): it was made dense" in read_arrays(small, [1, 2, 3, 4]).notes
    large = scipy.sparse.csr_array((10_000, 100_000))
    with pytest.raises(DataError, match=r"x is sparse, \(10000, 100000\): dense it would hold 1000000000 numbers"):
        read_arrays(large, np.arange(10_000))
    with pytest.raises(DataError, match="x is sparse"):
        read_arrays(torch.sparse_coo_tensor(size=(10_000, 100_000), check_invariants=True), np.arange(10_000))


def test_masked_and_infinite_numbers_count_as_missing():
    masked = np.ma.array([[1, 2], [3, 4], [5, 6]], mask=[[0, 1], [0, 0], [0, 0]])
    read = read_arrays(masked, Y3)
    np.testing.assert_array_equal(read.x.values["x1"], [NAN, 4, 6])
    read = read_arrays([[1.0, np.inf], [2.0, 1e39], [3.0, 4.0]], Y3)
    np.testing.assert_array_equal(read.x.values["x1"], [NAN, NAN, 4])
    assert read.x.columns[1].missing == 2
    assert read.notes == ("numbers that are infinite or beyond 3.4e38, in 'x1', count as missing",)
    assert read.x.notes == read.notes
    with pytest.raises(DataError, match="y is nan in row 1"):
        read_arrays([[1], [2], [3]], np.ma.array([1, 2, 3], mask=[0, 1, 0]))


def test_lists_of_rows_may_mix_what_columns_hold():
    day = datetime.date(1970, 1, 3)
    aware = datetime.datetime(1970, 1, 2, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))
    rows = [
        [1, "red", True, day, Decimal("1.5"), None, 7],
        [None, "blue", False, aware, 10**20, None, "seven"],
        [2.5, "red", None, None, 2, None, NAN],
    ]
    read = read_arrays(rows, Y3)
    kinds = ["number", "category", "boolean", "date", "number", "number", "category"]
    assert list(kinds_of(read.x).values()) == kinds
    np.testing.assert_array_equal(read.x.values["x0"], [1, NAN, 2.5])
    assert texts_of(read.x, "x1") == ["red", "blue", "red"]
    assert read.x.columns[1].categories == ("red", "blue")  # the commonest first
    assert texts_of(read.x, "x2") == ["True", "False", None]
    np.testing.assert_array_equal(read.x.values["x3"], [2, 1, NAN])
    np.testing.assert_array_equal(read.x.values["x4"], [1.5, 1e20, 2])
    assert np.isnan(read.x.values["x5"]).all()
    assert texts_of(read.x, "x6") == ["7", "seven", None]
    assert [column.missing for column in read.x.columns] == [1, 0, 1, 1, 0, 3, 1]
    assert read.notes == (
        "column 'x3' of x has times of the zone UTC+01:00, read as UTC",
        "column 'x6' of x mixes int and str: it was read as text",
    )


def test_dates_spans_and_booleans_of_numpy_are_typed():
    dates = np.array([["1970-01-02", "NaT"], ["1970-01-03T12", "2000-01-01"]], "datetime64[h]")
    read = read_arrays(dates, [1, 2])
    assert kinds_of(read.x) == {"x0": "date", "x1": "date"}
    np.testing.assert_array_equal(read.x.values["x0"], [1, 2.5])
    np.testing.assert_array_equal(read.x.values["x1"], [NAN, 10_957])
    spans = read_arrays(np.array([[36], [12]], "timedelta64[h]"), [1, 2])
    np.testing.assert_array_equal(spans.x.values["x0"], [1.5, 0.5])
    assert "counted in days" in spans.notes[0]
    flags = read_arrays(np.array([[True], [False]]), [1, 2])
    assert (kinds_of(flags.x), texts_of(flags.x, "x0")) == ({"x0": "boolean"}, ["True", "False"])


def test_times_of_other_zones_are_read_as_utc_and_told():
    paris = [pd.Timestamp(f"2024-07-0{day}", tz="Europe/Paris") for day in (1, 2)]
    frames = {
        "series of pandas": pd.DataFrame({"a": pd.Series(paris)}),
        "series of polars": pl.DataFrame({"a": pl.Series(paris).dt.convert_time_zone("Europe/Paris")}),
        "objects": pd.DataFrame({"a": pd.Series([each.to_pydatetime() for each in paris], dtype=object)}),
    }
    for name, frame in frames.items():
        read = read_arrays(frame, [1, 2])
        assert sum("the zone Europe/Paris, read as UTC" in note for note in read.notes) == 1, name
        np.testing.assert_allclose(read.x.values["a"], [19_904 + 22 / 24, 19_905 + 22 / 24])
    utc = pd.DataFrame({"a": pd.to_datetime(["2024-07-01", "2024-07-02"], utc=True)})
    assert not any("zone" in note for note in read_arrays(utc, [1, 2]).notes)


def test_one_column_may_come_flat():
    read = read_arrays(np.arange(4.0), np.arange(4.0))
    assert read.shape == (1,)
    assert read.notes == ("x of shape (4,) was read as one column",)


# Arrays of more dimensions


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int32, np.int64, np.bool_, ">f4"])
def test_pictures_stay_arrays_of_float32_or_integers(dtype):
    x = stream(0, "pictures").integers(0, 2, (4, 3, 8, 8)).astype(dtype)
    read = read_arrays(x, [0, 1, 0, 1])
    assert (read.shape, read.notes) == ((3, 8, 8), ())
    np.testing.assert_array_equal(read.x, x)
    assert read.x.dtype == (np.float32 if np.dtype(dtype).kind == "f" else np.uint8 if dtype == np.bool_ else dtype)
    torch.from_numpy(read.x)  # of a byte order that torch takes


def test_a_float32_array_is_not_copied():
    x = np.zeros((3, 2, 2), np.float32)
    assert np.shares_memory(read_arrays(x, Y3).x, x)


@pytest.mark.parametrize(
    ("value", "words"), [(NAN, "x is nan in row 2"), (np.inf, "x is inf in row 2"), (1e39, "beyond 3.4e38: scale it")]
)
def test_a_hole_in_a_picture_is_refused_with_its_row(value, words):
    x = np.zeros((3, 2, 2))
    x[2, 1, 0] = value
    with pytest.raises(DataError, match=words):
        read_arrays(x, Y3)


# Datasets


class Pairs:
    """A dataset of one's own, as torch's protocol has it."""

    def __init__(self, *pairs):
        self.pairs = pairs

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, index):
        return self.pairs[index]


def test_a_dataset_is_read_pair_by_pair():
    x, y = torch.arange(24.0).reshape(4, 3, 2), torch.tensor([1, 0, 1, 2])
    for dataset in (torch.utils.data.TensorDataset(x, y), Pairs(*zip(x, y, strict=True)), list(zip(x, y, strict=True))):
        read = read_arrays(dataset)
        np.testing.assert_array_equal(read.x, x.numpy())
        assert (read.y.tolist(), read.y.dtype) == ([1, 0, 1, 2], np.int64)
    rows = read_arrays(Pairs(([1, 2], "a"), ([3, 4.5], "bee"), (np.array([5, 6]), "a")))
    np.testing.assert_array_equal(rows.x.values["x1"], [2, 4.5, 6])
    assert rows.y.tolist() == ["a", "bee", "a"]
    assert read_arrays(Pairs((1, 2), (3, 4.5))).y.tolist() == [2, 4.5]
    assert read_arrays(Pairs((1, [0.5, 0.5]), (3, [1, 0]))).y.tolist() == [[0.5, 0.5], [1, 0]]


@pytest.mark.parametrize(
    ("dataset", "error", "words"),
    [
        (Pairs((np.ones((3, 4)), 0), (np.ones((3, 4)), 1), (np.ones((3, 5)), 1)), ShapeError,
         r"the x of item 2 has shape \(3, 5\), and that of item 0 has \(3, 4\)"),
        (Pairs((1, [1, 0]), (2, 1)), ShapeError, r"the y of item 1 has shape \(\), and that of item 0 has \(2,\)"),
        (Pairs((1, 2), 3), DataError, "item 1 of the dataset is a int: it must be a pair"),
        (Pairs({"x": 1, "y": 2}), DataError, "item 0 of the dataset is a dict"),
        (Pairs((1, None)), UsageError, "the y of item 0 is a NoneType"),
        (Pairs(), DataError, "the dataset is empty"),
        (iter([(1, 2)]), UsageError, "a list_iterator alone cannot be read"),
        (np.ones((3, 2)), UsageError, "there is x but no y"),
        (torch.ones(3, 2), UsageError, "there is x but no y"),
        (torch.utils.data.DataLoader(Pairs((1, 2))), UsageError, "loader.dataset"),
    ],
)  # fmt: skip
def test_a_dataset_that_cannot_be_read_is_refused(dataset, error, words):
    with pytest.raises(error, match=words):
        read_arrays(dataset)


# Refused


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        (np.ones((3, 2)), [1, 2], ShapeError, "x has 3 rows and y has 2"),
        (np.ones((1, 2)), [1], DataError, "x has one row"),
        (np.ones((0, 2)), [], DataError, "empty"),
        (np.ones((3, 0)), Y3, DataError, "no columns"),
        (np.ones((3, 0, 2)), Y3, DataError, "x is empty"),
        (np.float64(3), Y3, ShapeError, "x is one value"),
        (torch.tensor(3), Y3, ShapeError, "x is one value"),
        (5, Y3, UsageError, "x is a int, which cannot be read"),
        ("photos", Y3, UsageError, "x is a str, which cannot be read"),
        ([], Y3, DataError, "x is empty"),
        ([[1, 2], [3]], [1, 2], ShapeError, r"x\[1\] has shape \(1,\), and x\[0\] has \(2,\)"),
        ([[1, 2], [3, [4, 5]]], [1, 2], ShapeError, r"x\[1\] is ragged"),
        ([np.ones((2, 2)), np.ones((2, 3))], [1, 2], ShapeError, r"x\[1\] has shape \(2, 3\)"),
        ([torch.ones(2), torch.ones(3)], [1, 2], ShapeError, r"x\[1\] has shape \(3,\), and x\[0\] has \(2,\)"),
        (np.ones((3, 2), complex), Y3, DataError, "x holds complex numbers: give their real"),
        (torch.ones(3, 2, dtype=torch.complex64), Y3, DataError, "x holds complex numbers"),
        (np.array([["a"], ["b"], ["c"]]), Y3, DataError, "array of text: give a frame"),
        (np.array([[b"a"], [b"b"], [b"c"]]), Y3, DataError, "bytes: make them text"),
        (np.zeros(3, [("a", float), ("b", int)]), Y3, DataError, "records: make them a frame"),
        (np.full((3, 2, 2), None), Y3, DataError, "x of shape \\(3, 2, 2\\) holds object values"),
        (np.array([[{}], [[1]], [{}]], dtype=object), Y3, DataError, "'x0' of x holds dict and list, which no network"),
        ([{"a": 1}, {"a": 2}, {"a": 3}], Y3, DataError, "holds dict"),
        ({"a": [1, 2, 3], "b": [1, 2]}, Y3, ShapeError, "'b' of x has 2 values, and column 'a' has 3"),
        ({"a": np.ones((3, 2))}, Y3, UsageError, r"'a' in it has shape \(3, 2\): a dict gives the columns"),
        ({"a": "xyz"}, Y3, UsageError, "column 'a' of x is a str: give a list"),
        ({}, Y3, DataError, "x has no columns"),
        ([[1], [10**400], [3]], Y3, DataError, "beyond 1.8e308"),
        (np.ones((3, 2)), 3.0, UsageError, "y is one value, '3.0'"),
        (np.ones((3, 2)), "price", UsageError, "y is one value, 'price'.*frame"),
        (np.ones((3, 2)), torch.tensor(1), UsageError, "y is one value"),
        (np.ones((3, 2)), [1.0, NAN, np.inf], DataError, r"y is nan in row 1 \(2 such rows\)"),
        (np.ones((3, 2)), [[1, 0], [0, 1], [0, np.inf]], DataError, "y is inf in row 2"),
        (np.ones((3, 2)), ["a", None, "b"], DataError, "y is missing in 1 rows, first in row 1"),
        (np.ones((3, 2)), np.array(["a", "b", ""]), DataError, "first in row 2"),
        (np.ones((3, 2)), ["a", 1, "b"], DataError, "y holds int and str: give numbers, text or booleans"),
        (np.ones((3, 2)), [1, 10**400, 2], DataError, "y holds a whole number beyond"),
        (np.ones((3, 2)), np.ones((3, 2, 2)), ShapeError, r"y must be \(N,\), or \(N, C\) numbers; it is numbers of"),
        (np.ones((3, 2)), [["a", "b"]] * 3, ShapeError, "it is text of shape"),
        (np.ones((3, 2)), np.ones(3, complex), DataError, "y holds complex"),
        (np.ones((3, 2)), np.arange(3).astype("datetime64[D]"), DataError, "y holds dates"),
        (np.ones((3, 2)), [datetime.date(2000, 1, 1)] * 3, DataError, "y holds date"),
        (np.ones((3, 2)), [object()] * 3, DataError, "y holds object"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(x, y, error, words):
    with pytest.raises(error, match=words):
        read_arrays(x, y)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=2) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=1), inner),
    max_leaves=12,
)


@given(anything, anything)
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_read_or_refused(x, y):
    with contextlib.suppress(TameError):
        read = read_arrays(x, y)
        assert len(read.y) == (read.x.num_rows if isinstance(read.x, Table) else len(read.x)) >= 2


# y


def test_y_takes_one_of_four_types():
    x = np.ones((3, 2))
    for y, kind in (
        ([1, 2, 3], np.int64), (np.array([1, 2, 3], ">i2"), np.int64), (np.array([1, 2, 3], np.uint64), np.float64),
        (np.array([1, 2, 3], np.float16), np.float64), ([1, 2.5, Decimal(3)], np.float64), ([True, False, True], bool),
        (np.array([1, 2, 3], object), np.int64), (np.array([True, False, True], object), bool),
    ):  # fmt: skip
        read = read_arrays(x, y)
        assert read.y.dtype == kind
        assert read.y.tolist() == [float(value) if kind == np.float64 else value for value in y]
    for y in (["a", "bb", "a"], np.array(["a", "bb", "a"]), np.array(["a", "bb", "a"], np.dtypes.StringDType())):
        read = read_arrays(x, y)
        assert (read.y.dtype.kind, read.y.tolist()) == ("U", ["a", "bb", "a"])


def test_a_y_of_one_column_is_flattened_and_rows_are_kept():
    read = read_arrays(np.ones((3, 2)), torch.tensor([[1.0], [2.0], [4.0]]))
    assert (read.y.tolist(), read.notes) == ([1, 2, 4], ("y of shape (3, 1) was flattened",))
    rows = read_arrays(np.ones((3, 2)), torch.eye(3, dtype=torch.int32))
    np.testing.assert_array_equal(rows.y, np.eye(3))
    assert rows.y.dtype == np.float64


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        (["b", "a", "b", "c"], "classification", ("a", "b", "c")),
        ([True, False, True], "classification", ("False", "True")),
        ([2.5, 0.5, 0.5], "classification", ("0.5", "2.5")),
        ([-1, 1, 1], "classification", ("-1", "1")),
        ([10, 9, 2, 10], "classification", ("2", "9", "10")),
        ([1.0, 2.0, 3.0, 3.0], "classification", ("1", "2", "3")),
        ([*range(10), 0], "classification", tuple(map(str, range(10)))),
        ([*range(11), 0], "regression", ()),
        ([0.5, 1, 2, 2], "regression", ()),
    ],
)
def test_the_task_follows_from_y(y, task, classes):
    found = task_of(read_arrays(np.ones((len(y), 1)), y).y)
    assert (found.task, found.classes) == (task, classes)
    assert found.why
    if task == "classification":
        names = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in y]
        assert [classes[code] for code in found.values] == names
        assert found.values.dtype == np.int64
    else:
        assert (found.values.tolist(), found.values.dtype) == (y, np.float64)


def test_scikit_learn_agrees_on_what_is_continuous_text_or_binary():
    for y, theirs in (([0.5, 1.5, 2.5], "continuous"), (["a", "b", "c", "c"], "multiclass"), ([3, 5, 5], "binary")):
        array = np.array(y)
        assert type_of_target(array) == theirs
        assert task_of(array).task == ("regression" if theirs == "continuous" else "classification")


def test_rows_are_probabilities_of_classes_or_one_hot_classes():
    soft, hard = np.array([[0.2, 0.8004], [1.0, 0.0]]), np.eye(3)[[2, 0, 2]]
    for task in ("auto", "classification"):
        found = task_of(soft, task=task)
        assert (found.task, found.classes, found.values.tolist()) == ("classification", ("0", "1"), [1, 0])
        np.testing.assert_allclose(found.shares, [[0.2 / 1.0004, 0.8004 / 1.0004], [1, 0]], rtol=1e-15)
    assert (task_of(hard).task, task_of(hard).values.tolist()) == ("classification", [2, 0, 2])
    assert task_of(hard).shares is None
    assert task_of(hard, names=("a", "b", "c")).classes == ("a", "b", "c")


def test_columns_of_a_frame_name_the_classes_of_its_rows():
    pd = library("pandas")
    y = pd.DataFrame({"bee": [0.25, 1.0, 0.0], "wasp": [0.75, 0.0, 1.0]})
    arrays = read_arrays(np.arange(6.0).reshape(3, 2), y)
    assert arrays.names == ("bee", "wasp")
    assert task_of(arrays.y, names=arrays.names).classes == ("bee", "wasp")
    dummies = read_arrays(np.arange(6.0).reshape(3, 2), pd.get_dummies(pd.Series(["x", "y", "x"])))
    found = task_of(dummies.y, names=dummies.names)
    assert (found.classes, found.values.tolist(), found.shares) == (("x", "y"), [0, 1, 0], None)
    assert read_arrays(np.arange(3.0)[:, None], pd.DataFrame({"only": [1.5, 2.0, 3.0]})).names == ()


@pytest.mark.parametrize(
    ("y", "task", "error", "words"),
    [
        (np.array([1, 2, 2]), "clasification", UsageError, "no task named 'clasification'; did you mean 'classif"),
        (np.array(["a", "b", "b"]), "regression", DataError, "y holds text, and a regression needs numbers"),
        (np.array([True, False]), "regression", DataError, "y holds booleans"),
        (np.array([1.5, 2.5, 3.5]), "classification", DataError, "3 classes of one row each"),
        (np.array([2.0, 2.0]), "auto", DataError, "every y is 2: there is nothing to learn"),
        (np.array([1, 2, 2]), "distribution", UsageError, "no task named 'distribution'"),
        (np.array([[0.5, 0.5], [0.5, 0.6]]), "auto", DataError, r"row 1 of y sums to 1\.1 \(1 such rows\)"),
        (np.array([[0.5, 0.502], [0.2, 0.8]]), "auto", DataError, r"row 0 of y sums to 1\.002"),
        (np.array([[0.5, 0.5], [-0.5, 1.5]]), "classification", DataError, r"row 1 of y holds -0\.5"),
        (np.array([[0.5, 0.5], [0.2, 0.8]]), "regression", DataError, "one number a row"),
        (np.eye(2)[[1, 1]], "auto", DataError, "every row of y is the same"),
    ],
)
def test_a_task_that_y_does_not_fit_is_refused(y, task, error, words):
    with pytest.raises(error, match=words):
        task_of(y, task=task)


def test_a_task_that_is_asked_for_is_taken():
    y = np.array([1, 2, 2, 3])
    assert task_of(y, task="regression").values.tolist() == [1, 2, 2, 3]
    assert task_of(np.array([0.5, 1.5, 2.5, 2.5]), task="classification").classes == ("0.5", "1.5", "2.5")
    assert task_of(y, task="regression").why == "task=regression was asked for"


# Frames


def columns_of_frames():
    """The same columns for either library: name, values, kind."""
    day = datetime.datetime(1970, 1, 2, 12)
    return [
        ("age", [1.5, None, 3.0, 4.0], "number"),
        ("count", [1, 2, 3, 2**40], "number"),
        ("holes", [1, None, 3, 4], "number"),
        ("job", ["b", "a", "b", None], "category"),
        ("flag", [True, False, True, True], "boolean"),
        ("maybe", [True, None, False, True], "boolean"),
        ("day", [day, None, day, day], "date"),
        ("none", [None, None, None, None], "number"),
    ]


@pytest.mark.parametrize("name", ["pandas", "polars"])
def test_a_frame_becomes_a_table_with_its_names(name):
    frame = library(name).DataFrame({column: values for column, values, _ in columns_of_frames()})
    table = read_arrays(frame, frame["count"]).x
    assert kinds_of(table) == {column: kind for column, _, kind in columns_of_frames()}
    np.testing.assert_array_equal(table.values["age"], [1.5, NAN, 3, 4])
    np.testing.assert_array_equal(table.values["count"], [1, 2, 3, 2**40])
    np.testing.assert_array_equal(table.values["holes"], [1, NAN, 3, 4])
    np.testing.assert_array_equal(table.values["day"], [1.5, NAN, 1.5, 1.5])
    assert texts_of(table, "job") == ["b", "a", "b", None]
    assert texts_of(table, "flag") == ["True", "False", "True", "True"]
    assert texts_of(table, "maybe") == ["True", None, "False", "True"]
    assert [column.missing for column in table.columns] == [1, 0, 1, 1, 0, 1, 1, 4]
    assert [column.missing for column in table.columns] == [column.count(None) for _, column, _ in columns_of_frames()]


def test_the_types_of_pandas_are_all_read():
    pd = library("pandas")
    frame = pd.DataFrame(
        {
            "cat": pd.Categorical(["x", "y", None], categories=["z", "y", "x"]),
            "sizes": pd.Categorical([1, 2, 2]),
            "int": pd.array([1, None, 3], "Int64"),
            "large": np.array([1, 2, 2**64 - 1], np.uint64),
            "float": pd.array([1.5, None, 3], "Float32"),
            "bool": pd.array([True, None, False], "boolean"),
            "text": pd.array(["a", None, "b"], "string"),
            "zone": pd.to_datetime(["1970-01-02 00:00+02:00", None, "1970-01-03 02:00+02:00"]),
            "span": pd.to_timedelta(["12h", None, "48h"]),
            "thin": pd.arrays.SparseArray([0.0, 0.0, 1.0]),
            3: [1, 2, 3],
            ("a", 1): ["p", 4, "p"],
        }
    )
    read = read_arrays(frame, pd.Series(["u", "v", "u"], dtype="category"))
    table = read.x
    kinds = "category category number number number boolean category date number number number category"
    assert list(kinds_of(table).values()) == kinds.split()
    assert list(kinds_of(table))[-2:] == ["3", "a 1"]
    assert texts_of(table, "cat") == ["x", "y", None]
    assert texts_of(table, "sizes") == ["1", "2", "2"]
    np.testing.assert_array_equal(table.values["int"], [1, NAN, 3])
    np.testing.assert_array_equal(table.values["large"], [1, 2, 2.0**64])
    np.testing.assert_array_equal(table.values["float"], [1.5, NAN, 3])
    assert texts_of(table, "bool") == ["True", None, "False"]
    assert texts_of(table, "text") == ["a", None, "b"]
    np.testing.assert_allclose(table.values["zone"], [1 - 2 / 24, NAN, 2])
    np.testing.assert_array_equal(table.values["span"], [0.5, NAN, 2])
    np.testing.assert_array_equal(table.values["thin"], [0, 0, 1])
    assert read.y.tolist() == ["u", "v", "u"]


def test_the_types_of_polars_are_all_read():
    pl = library("polars")
    frame = pl.DataFrame(
        {
            "cat": pl.Series(["x", "y", None], dtype=pl.Categorical),
            "enum": pl.Series(["x", "y", None], dtype=pl.Enum(["y", "x"])),
            "decimal": pl.Series([Decimal("1.5"), None, Decimal(2)]),
            "small": pl.Series([1, None, 3], dtype=pl.UInt8),
            "date": pl.Series([datetime.date(1970, 1, 2), None, datetime.date(1970, 1, 3)]),
            "span": pl.Series([datetime.timedelta(hours=12), None, datetime.timedelta(2)]),
        }
    )
    table = read_arrays(frame, frame["small"].fill_null(7)).x
    assert list(kinds_of(table).values()) == ["category", "category", "number", "number", "date", "number"]
    assert texts_of(table, "cat") == texts_of(table, "enum") == ["x", "y", None]
    np.testing.assert_array_equal(table.values["decimal"], [1.5, NAN, 2])
    np.testing.assert_array_equal(table.values["small"], [1, NAN, 3])
    np.testing.assert_array_equal(table.values["date"], [1, NAN, 2])
    np.testing.assert_array_equal(table.values["span"], [0.5, NAN, 2])
    with pytest.raises(UsageError, match=r"frame\.collect\(\)"):
        read_arrays(frame.lazy(), [1, 2, 3])
    with pytest.raises(DataError, match="'a' of x holds list"):
        read_arrays(pl.DataFrame({"a": [[1], [2]]}), [1, 2])


def test_frames_that_cannot_be_used_are_refused_in_words():
    pd = library("pandas")
    frame = pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"])
    with pytest.raises(DataError, match="more than one column named 'a'"):
        read_arrays(frame, [1, 2])
    with pytest.raises(DataError, match="x has no columns"):
        read_arrays(frame.iloc[:, :0], [1, 2])
    with pytest.raises(DataError, match="y is missing in 1 rows, first in row 1"):
        read_arrays(frame.iloc[:, :1], pd.Series(["a", None]))
    with pytest.raises(DataError, match="y is nan in row 0"):
        read_arrays(frame.iloc[:, :1], pd.Series([None, 2.5]))
    with pytest.raises(DataError, match="'a' of x holds complex numbers"):
        read_arrays(pd.DataFrame({"a": [1j, 2]}), [1, 2])
    with pytest.raises(UsageError, match="there is x but no y"):
        read_arrays(frame)


def test_rows_of_pandas_are_matched_by_position_and_a_note_says_so():
    pd = library("pandas")
    x, y = pd.DataFrame({"a": [1, 2, 3]}), pd.DataFrame({"y": [4, 5, 6]}, index=[3, 2, 1])
    read = read_arrays(x, y)
    assert read.y.tolist() == [4, 5, 6]
    assert read.notes == (
        "y of shape (3, 1) was flattened",
        "the indexes of x and y differ: their rows were matched by position",
    )
    assert read_arrays(x, y["y"].set_axis(x.index)).notes == ()


def test_the_same_index_in_another_order_is_asked():
    pd = library("pandas")
    x, y = pd.DataFrame({"a": [1, 2, 3]}), pd.Series([4, 5, 6], index=[2, 1, 0])
    with pytest.raises(DataError, match=r"in another order.*give y\.loc\[x\.index\].*y\.set_axis\(x\.index\)"):
        read_arrays(x, y)
    assert read_arrays(x, y.loc[x.index]).y.tolist() == [6, 5, 4]
    assert read_arrays(x, y.set_axis(x.index)).y.tolist() == [4, 5, 6]
    with pytest.raises(DataError, match=r"the indexes of x\['a'\] and x\['b'\] hold the same labels"):
        read_arrays({"a": x["a"], "b": y}, [0, 1, 0])


# Prediction


def test_inputs_are_read_by_themselves_and_encoded_as_in_training():
    rows = [[float(i), "ab"[i % 2], None if i % 3 else "u", "vw"[i % 2]] for i in range(12)]
    read = read_arrays(rows, list(range(12)))
    encoder = Encoder.fit(read.x, np.arange(12), TableRecipe())
    matrix = encoder.transform(read.x)
    columns = read.x.columns
    for i, row in enumerate(rows):
        table, _ = read_inputs([row], like=columns)
        np.testing.assert_array_equal(encoder.transform(table), matrix[i : i + 1])
    empty, _ = read_inputs([[None, None, None, NAN]], like=columns)
    assert kinds_of(empty) == kinds_of(read.x)
    assert np.isfinite(encoder.transform(empty)).all()
    left, _ = read_inputs([[None]], like=[Column("x0", "identifier", "")])
    assert kinds_of(left) == {"x0": "number"}


def test_reading_arrays_loads_no_library_of_frames_or_tensors():
    code = (
        "import sys, numpy; from tame.data.arrays import read_arrays; read_arrays(numpy.ones((3, 2)), [1, 2, 3]);"
        "print(*{'torch', 'pandas', 'polars', 'scipy.sparse'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


def test_numbers_beyond_what_networks_compute_in_are_refused_as_targets():
    y = read_arrays(np.arange(6.0)[:, None], [0.5, 1e39, 2.5, 3.5, 4.5, 5.5]).y
    with pytest.raises(DataError, match=r"y holds 1e\+39 in row 1, which is beyond 3.4e\+38: divide y"):
        task_of(y)
