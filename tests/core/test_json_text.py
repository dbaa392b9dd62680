"""JSON with an indent: character for character what the standard library writes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.json_text import indented

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()
PLAIN = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(),
    lambda own: st.lists(own, max_size=4) | st.dictionaries(st.text(max_size=6), own, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=6), PLAIN, max_size=5))
def test_the_text_is_that_of_the_standard_library(value):
    assert indented(value) == json.dumps(value, indent=1, allow_nan=False)


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": []},
        {"a": {}},
        {"a": [{}], "b": ()},
        {"a": ({"b": [1, (2.5, None)]},)},
        {1: {2.5: 0}, None: 0, False: 0},
    ],
)
def test_what_is_empty_and_tuples_are_written_as_there(value):
    assert indented(value) == json.dumps(value, indent=1)


def test_a_number_of_numpy_that_is_a_float_is_written_as_one():
    assert json.loads(indented({"a": np.float64(0.1)})) == {"a": 0.1}


@pytest.mark.parametrize(("value", "error"), [
    (float("nan"), ValueError), ([float("inf")], ValueError), (np.float64("nan"), ValueError), (object(), TypeError),
    ({(1,): 2}, TypeError), (np.int64(1), TypeError),
])  # fmt: skip
def test_what_has_no_form_is_refused(value, error):
    with pytest.raises(error):
        indented({"a": value})
