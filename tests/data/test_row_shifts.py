"""Windows of one series, found by what they share."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.data.row_copies import copies_in_array, copies_of
from tame.data.row_shifts import windows_in
from tame.data.split import groups_of


def windows(series, length, step=1):
    return np.stack([series[at : at + length] for at in range(0, len(series) - length + 1, step)])


def overlapping(x, most):
    """Pairs of rows where one is the other shifted, by comparing all of them."""
    length = x.shape[1]
    return {
        (min(a, b), max(a, b))
        for a in range(len(x))
        for b in range(len(x))
        for shift in range(1, most + 1)
        if a != b and np.array_equal(x[a, shift:], x[b, : length - shift])
    }


@given(seed=st.integers(0, 99), length=st.integers(6, 20), step=st.integers(1, 3), shuffled=st.booleans())
@settings(deadline=None, max_examples=30)
def test_windows_of_many_short_series_are_one_group_each(seed, length, step, shuffled):
    rng = np.random.default_rng(seed)
    each = [windows(rng.normal(size=length + 4 * step), length, step) for _ in range(30)]
    x, series = np.concatenate(each), np.repeat(np.arange(30), [len(own) for own in each])
    order = rng.permutation(len(x)) if shuffled else np.arange(len(x))
    found = windows_in(x[order])
    groups = groups_of(len(x), found.pairs)
    assert (found.rows, found.cut) == (len(x), 0)
    assert len(np.unique(groups)) == 30
    assert all(len(np.unique(groups[series[order] == own])) == 1 for own in range(30))


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=15)
def test_rows_are_joined_where_a_search_of_all_pairs_finds_them(seed):
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(size=(60, 12)), windows(rng.normal(size=20), 12, 2)])[rng.permutation(65)]
    groups = groups_of(65, windows_in(x).pairs)
    assert np.array_equal(groups, groups_of(65, sorted(overlapping(x, 6))))


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_series_of_all_rows_is_cut_into_blocks_of_neighbours(shuffled):
    rng = np.random.default_rng(0)
    x = windows(np.cumsum(rng.normal(size=1009)).round(2), 10)
    order = rng.permutation(1000) if shuffled else np.arange(1000)
    found = windows_in(x[order])
    groups = groups_of(1000, found.pairs)
    assert (found.rows, found.cut) == (1000, 1000)
    assert len(np.unique(groups)) == 10
    inside = groups[np.argsort(order)]
    assert (np.diff(inside) != 0).sum() == 10 - 1, "each block is a stretch of the series"


@pytest.mark.parametrize("axis", [1, 2])
def test_steps_of_several_channels_are_found_on_either_axis(axis):
    rng = np.random.default_rng(1)
    series = rng.normal(size=(60, 8, 3)).astype(np.float32)
    x = np.concatenate([windows(own, 6) for own in series])
    found = copies_in_array(x if axis == 1 else x.transpose(0, 2, 1).copy())
    assert len(np.unique(groups_of(len(x), found.pairs()))) == 60


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_are_no_windows_are_left_alone(seed):
    rng = np.random.default_rng(seed)
    constant = np.repeat(rng.normal(size=(300, 1)), 8, axis=1)
    runs = np.repeat(rng.integers(0, 5, size=(300, 4)), 4, axis=1)
    for x in (
        rng.normal(size=(300, 10)), rng.integers(0, 2, size=(500, 12)), rng.integers(0, 9, size=(500, 6)), constant,
        runs, np.eye(30)[rng.integers(0, 30, 400)], rng.normal(size=(300, 10)).round(1), np.zeros((40, 9)),
        np.cumsum(rng.integers(0, 3, size=(400, 8)), axis=1), rng.integers(0, 256, size=(200, 3)),
    ):  # fmt: skip
        assert windows_in(x).pairs == ()


def test_a_table_of_lags_is_one_series():
    found = copies_of([*windows(np.random.default_rng(0).normal(size=309), 10).T])
    assert found.windows.cut == 300
    assert len(np.unique(groups_of(300, found.pairs()))) == 10
