"""What a module of the user's own is given: numbers with all their digits, or an error that says which do not fit."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tame.core.errors import DataError, UsageError
from tame.data.arrays import read_arrays
from tame.data.one_input import require_one_input
from tame.data.own_inputs import EXACT, read_own_inputs, why_lossy

WAYS = {
    "array": lambda rows: np.array(rows),
    "objects": lambda rows: np.array(rows, dtype=object),
    "list": lambda rows: rows,
    "tensor": lambda rows: torch.tensor(rows),
    "pandas": lambda rows: pd.DataFrame(rows),
    "pandas objects": lambda rows: pd.DataFrame(rows).astype(object),
    "nullable": lambda rows: pd.DataFrame(rows).astype("Int64"),
    "polars": lambda rows: pl.DataFrame(np.array(rows)),
}


@pytest.mark.parametrize("way", WAYS)
@given(rows=hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(-(2**62), 2**62)))
def test_whole_numbers_keep_every_digit_however_they_come(way, rows):
    found, notes = read_own_inputs(WAYS[way](rows.tolist()))
    assert (found.astype(object) == rows.astype(object)).all()
    is_large = int(np.abs(rows).max()) > EXACT
    assert found.dtype == (np.int64 if is_large else np.float32)
    assert any("int64" in note for note in notes) == is_large


@given(
    x=hnp.arrays(np.float64, (6, 2), elements=st.floats(-1e9, 1e9)),
    scale=st.sampled_from([1.0, 2.0**30]),
)
def test_floats_are_given_as_float32_only_where_it_tells_whole_numbers_apart(x, scale):
    x = np.concatenate([np.round(x[:, :1]) * scale, x[:, 1:]], axis=1)
    found, _ = read_own_inputs(x)
    assert (found.dtype == np.float64) == bool(why_lossy(x))
    if found.dtype == np.float32 and (np.abs(x[:, 0]) > EXACT).any():
        assert (found[:, 0] == x[:, 0]).all()


@pytest.mark.parametrize(
    ("column", "lossy"),
    [
        (np.array([20_000_001, 20_000_003, 7]), "20000001 in row 0, column 0 of x would become 20000000"),
        (1.7e9 + 0.25 * np.arange(5), "column 0 of x would become 17"),
        (2.0**24 + 2 * np.arange(5), ""),
        (np.array([1e-30, 2.0, 1e30]), ""),
        (np.random.default_rng(0).normal(size=1000), ""),
    ],
)
def test_what_float32_would_lose_is_said_with_its_place(column, lossy):
    said = why_lossy(column[:, None].astype(np.float64))
    assert lossy in said
    assert bool(said) == bool(lossy)


def test_booleans_are_zero_and_one_whichever_is_the_commonest():
    frame = pd.DataFrame({"flag": [True, False, False, False], "size": [1.5, 2.5, 3.5, 4.5]})
    assert read_own_inputs(frame)[0][:, 0].tolist() == [1, 0, 0, 0]
    assert read_own_inputs(~frame[["flag"]])[0][:, 0].tolist() == [0, 1, 1, 1]
    assert read_own_inputs(np.ones((2, 2, 2), bool))[0].dtype == np.bool_


@pytest.mark.parametrize("like", ["float32", "int64", "float64", "uint8"])
def test_later_inputs_come_in_the_type_that_was_trained_on(like):
    found, _ = read_own_inputs([[1, 2], [3, 4]], like=np.dtype(like))
    assert (str(found.dtype), found.tolist()) == (like, [[1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("x", "like", "said"),
    [
        ([[1.5, 2], [3, 4]], "int64", "numbers that are not whole; the model was trained on whole numbers"),
        ([[1, 300], [3, 4]], "uint8", "beyond 0 to 255"),
        ([["a", 1], ["b", 2]], None, r"column 'x0' holds no numbers \(text\)"),
        ([[datetime.date(2020, 1, 1)]], None, r"column 'x0' holds no numbers \(dates\)"),
        (np.array([["2020-01-01"]], "datetime64[D]"), None, r"column 'x0' holds no numbers \(dates\)"),
        ([[None, 1], [2, 3]], None, "column 'x0' has missing values; a module needs all"),
        ([[1.0, np.nan], [2, 3]], None, "column 'x1' has missing values; a module needs all"),
        ([[1.0, np.inf], [2, 3]], None, "x is inf in row 0"),
        (np.full((2, 2, 2), 1e39), None, r"x is 1e\+39 in row 0 \(2 such rows\)"),
        (np.full((2, 2), 2**63, np.uint64), None, "beyond 9.2e18"),
        (pd.DataFrame({"id": [2**60, 1], "size": [0.5, 1.5]}), None, "column 'id' holds whole numbers beyond 9.0e15"),
        (np.zeros((0, 3)), None, "x is empty"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(x, like, said):
    with pytest.raises(DataError, match=said):
        read_own_inputs(x, like=None if like is None else np.dtype(like))


A, B = np.zeros((6, 3)), np.zeros((6, 2))
MANY = {
    "tuple": (A, B),
    "tuple of one shape": (A, A),
    "list": [A, B],
    "tensors": (torch.zeros(6, 3), torch.zeros(6, 3)),
    "frames": (pd.DataFrame(A), pd.DataFrame(B)),
    "dict": {"a": A, "b": B},
    "dict of tensors": {"a": torch.zeros(6, 3, 2)},
}


@pytest.mark.parametrize("way", MANY)
def test_several_inputs_are_refused_in_these_words(way):
    with pytest.raises(UsageError, match=r"a module is given one input here: join them .* take it apart in forward"):
        require_one_input(MANY[way], 6)


@pytest.mark.parametrize("x", [[A[0], A[1]], (A[0], A[1]), A, [[1, 2], [3, 4]], {"a": [1, 2], "b": [3, 4]}])
def test_rows_and_columns_are_one_input(x):
    require_one_input(x, 2)


@pytest.mark.parametrize("item", [(A[0], B[0]), [torch.zeros(3), torch.zeros(3)], {"a": A[0]}])
def test_items_of_a_dataset_with_several_inputs_are_refused(item):
    with pytest.raises(UsageError, match=r"the x of item 0 is a \w+ of several inputs: a module is given one"):
        read_arrays([(item, 0), (item, 1)])
