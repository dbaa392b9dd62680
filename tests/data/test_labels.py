"""The order of classes: numbers as numbers, wherever they come from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.data.array_targets import task_of
from tame.data.arrays import read_arrays
from tame.data.labels import numbers_in_order
from tame.data.table_reading import read_raw
from tame.data.targets import read_target

WHOLE = list(range(-2, 12))


@given(numbers=st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6), min_size=2, unique=True))
def test_texts_that_are_all_numbers_are_in_the_order_of_numbers_and_keep_their_rows(numbers):
    texts = np.array([str(number) for number in numbers])
    names, codes = np.unique(texts, return_inverse=True)
    found, classes = numbers_in_order(codes, tuple(names))
    assert [float(name) for name in classes] == sorted(map(float, numbers))
    assert [classes[code] for code in found] == texts.tolist()


@given(names=st.lists(st.text(min_size=1), min_size=2, unique=True).map(sorted))
def test_other_names_stay_as_they_are(names):
    codes = np.arange(len(names))
    found, classes = numbers_in_order(codes, (*names, "no number"))
    assert (found.tolist(), classes) == (codes.tolist(), (*names, "no number"))


@pytest.mark.parametrize("given_as", [int, float, str])
def test_numbers_from_arrays_are_in_order_whatever_their_type(given_as):
    y = np.array([given_as(number) for number in WHOLE * 3])
    found = task_of(read_arrays(np.zeros((len(y), 1)), y).y, task="classification")
    assert [float(name) for name in found.classes] == WHOLE
    assert found.values.tolist() == list(range(len(WHOLE))) * 3


@pytest.mark.parametrize("form", ["{}", "{:02d}", "{}.0"])
def test_numbers_from_a_table_are_in_order_however_they_are_written(form, tmp_path):
    texts = [form.format(number) for number in WHOLE[2:] * 4]
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    target, _ = read_target(read_raw(tmp_path / "rows.csv"), "y", task="classification")
    assert [float(name) for name in target.classes] == WHOLE[2:]
    assert [target.classes[code] for code in target.values] == texts
