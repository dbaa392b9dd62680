"""Rows that are copies of others: equal, equal by chance, and equal but for one column."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.data import row_copies
from tame.data.row_copies import copies_in_array, copies_of
from tame.data.row_rounding import rounded_apart
from tame.data.split import groups_of
from tame.data.table_kinds import type_table
from tame.data.table_reading import read_raw

CELL = st.sampled_from([0.0, -0.0, 1.5, 2.0, float("nan")])


def noise(num, columns, seed=0):
    return np.random.default_rng(seed).normal(size=(num, columns))


@given(st.lists(st.tuples(CELL, CELL, st.integers(-1, 1)), min_size=2, max_size=40))
@settings(deadline=None)
def test_rows_are_equal_where_they_agree_everywhere(rows):
    columns = [np.array(column) for column in zip(*rows, strict=True)]
    keys = [tuple("nan" if v != v else v + 0.0 for v in row) for row in rows]
    found = copies_of(columns)
    assert found.equal.tolist() == [keys.index(key) for key in keys]
    assert found.has_twin.tolist() == [keys.count(key) > 1 for key in keys]


@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=3), seed=st.integers(0, 99), large=st.booleans(),
    dtype=st.sampled_from(["float32", "int64", "uint8", "?"]),
)  # fmt: skip
@settings(deadline=None, max_examples=60)
def test_equal_examples_of_arrays_of_any_shape_are_found(shape, dtype, seed, large):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 3, size=(30, *shape)).astype(dtype)
    if dtype == "float32":
        x = np.where(x == 0, rng.choice([0.0, -0.0], size=x.shape), x).astype(dtype)
    keys = [(row + 0).tolist() for row in x]
    most = row_copies.NEAR_VALUES
    try:
        row_copies.NEAR_VALUES = 0 if large else most  # so that the way for large arrays is taken
        found = copies_in_array(x)
    finally:
        row_copies.NEAR_VALUES = most
    assert found.equal.tolist() == [keys.index(key) for key in keys]


@given(num=st.integers(20, 200), times=st.integers(2, 5), columns=st.integers(1, 12), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_copies_of_measurements_are_never_taken_for_chance(num, times, columns, seed):
    found = copies_of([*np.repeat(noise(num, columns, seed), times, axis=0).T])
    assert not found.chance.any()
    assert len(np.unique(groups_of(num * times, found.pairs()))) == num
    assert found.expected < 1


@pytest.mark.parametrize(
    ("columns", "values", "num"), [(1, 5, 500), (2, 3, 300), (4, 3, 500), (6, 2, 400), (3, 10, 5000)]
)
def test_rows_of_few_different_values_are_equal_by_chance_in_about_the_number_that_is_told(columns, values, num):
    found = copies_of([*np.random.default_rng(0).integers(0, values, size=(num, columns)).T])
    twins = int(found.has_twin.sum())
    assert found.chance.sum() == twins > 0.9 * num
    assert found.expected == pytest.approx(twins, rel=0.05)
    assert found.pairs() == []


def test_copies_beyond_what_chance_gives_are_copies():
    """Of 1,000 possible rows 200 are there: chance gives a third of them a twin, and these have one each."""
    x = np.repeat(np.random.default_rng(0).integers(0, 10, size=(200, 3)), 2, axis=0)
    found = copies_of([*x.T])
    assert not found.chance.any()
    assert found.expected < 200


@pytest.mark.parametrize("column", range(6))
def test_rows_that_differ_in_one_column_are_found(column):
    x = np.column_stack([noise(300, 4), np.random.default_rng(1).integers(0, 3, size=(300, 2))])
    x[:40] = x[-40:]
    x[:40, column] += 1 + np.arange(40)
    assert copies_of([*x.T]).near == tuple((row, 260 + row) for row in range(40))


@pytest.mark.parametrize(
    "saved",
    [
        lambda x: x.astype(np.float32).astype(float), lambda x: x.round(6), lambda x: x.round(2),
        lambda x: x.astype(np.float16).astype(float),
        lambda x: np.vectorize(lambda v: float(f"{v:.4g}"))(x), lambda x: x * (1 + 1e-10),
    ],
    ids=["float32", "6 places", "2 places", "float16", "4 digits", "noise"],
)  # fmt: skip
@given(seed=st.integers(0, 99), columns=st.integers(4, 9))
@settings(deadline=None, max_examples=10)
def test_rows_saved_again_with_other_digits_are_copies(saved, seed, columns):
    x = noise(150, columns, seed)
    found = copies_of([*np.vstack([x, saved(x[:60])]).T])
    groups = groups_of(210, found.pairs())
    together = groups[150:] == groups[:60]
    assert together.mean() > 0.98  # noise of 1e-10 may cross the edges of both grids
    assert len(np.unique(groups)) >= 150


@given(seed=st.integers(0, 99), places=st.integers(2, 4))
@settings(deadline=None, max_examples=20)
def test_rows_of_measurements_are_no_copies_since_some_end_in_zeros(seed, places):
    found = copies_of([*noise(400, 5, seed).round(places).T])
    assert not found.has_twin.any()


def test_one_large_group_of_near_copies_does_not_hide_the_others():
    x = noise(175, 8)
    near = x[:125].copy()
    near[:, 3] += 1 + np.arange(125)
    crowd = np.tile(x[0], (50, 1))
    crowd[:, 2] = noise(50, 1, seed=3)[:, 0]
    found = copies_of([*np.vstack([x[:125], near, crowd]).T])
    assert set(found.near) == {(row, 125 + row) for row in range(1, 125)}
    assert found.crowded == 52


@pytest.mark.parametrize("columns", [6, 8, 12])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_draws_of_few_values_that_were_multiplied_are_copies(columns, share):
    draws = (np.random.default_rng(4).random((300, columns)) < share).astype(int)
    found = copies_of([*np.tile(draws, (10, 1)).T])
    assert not found.chance.any()
    groups = groups_of(3000, found.pairs())
    assert all((groups[row::300] == groups[row]).all() for row in range(300))


def test_a_plan_that_is_repeated_is_not_taken_for_copies():
    plan = np.array(np.meshgrid(*[range(2)] * 6)).reshape(6, -1)
    found = copies_of([*np.tile(plan, (1, 10))])
    assert found.chance.all()


def test_rows_that_chance_or_a_plan_makes_nearly_equal_are_left_alone():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, size=(2000, 8))
    factorial = np.array(np.meshgrid(*[range(4)] * 5)).reshape(5, -1)
    day, store, product = np.repeat(np.arange(100), 30), np.tile(np.arange(10), 300), np.tile(np.arange(30) // 10, 100)
    for columns in ([*codes.T], [*codes.T, noise(2000, 1)[:, 0]], [*factorial], [day, store, product, store * 7 % 5]):
        assert copies_of(columns).near == ()


def test_a_pair_that_chance_gives_to_one_of_many_pairs_of_columns_is_no_copy():
    told = 0
    for seed in range(40):
        x = np.random.default_rng(seed).normal(size=(400, 6)).round(1)
        told += bool(copies_of([*x.T]).near)
    assert told <= 2  # without a look at all columns together, 23
    x = np.random.default_rng(0).normal(size=(400, 6)).round(3)
    x[0, 2:] = x[1, 2:]
    assert copies_of([*x.T]).near == ((0, 1),)


def table_of(kind, rng, num=600):
    """Rows by chance: numbers of few digits, codes, both, and columns that go together."""
    size = rng.normal(size=(num, 1))
    made = {
        "mixed": lambda: np.column_stack([
            rng.normal(size=(num, 3)).round(1), rng.integers(0, 2, (num, 2)), rng.integers(0, 5, (num, 2)),
            rng.integers(18, 80, (num, 1)),
        ]),
        "codes": lambda: rng.integers(0, [2, 2, 3, 4, 5, 8, 12, 20, 3, 3], (num, 10)),
        "rounded": lambda: rng.normal(size=(num, 6)).round(1),
        "fine": lambda: np.column_stack([rng.normal(size=(num, 4)), rng.integers(0, 3, (num, 3))]),
        "together": lambda: (size + 0.5 * rng.normal(size=(num, 6))).round(1),
    }  # fmt: skip
    return made[kind]().astype(np.float64)


def planted(x, rng, count, *, most):
    """The table with its last rows in place of copies of the first, each changed in 1 to `most` columns."""
    x = x.copy()
    for row in range(count):
        copy = len(x) - count + row
        x[copy] = x[row]
        for column in rng.choice(x.shape[1], rng.integers(1, most + 1), replace=False):
            x[copy, column] = rng.choice(np.setdiff1d(x[:, column], x[row, column]))
    return x


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("kind", ["mixed", "codes", "rounded", "fine", "together"])
def test_copies_do_not_hide_each_other_by_making_themselves_likely(kind, most):
    rng = np.random.default_rng(0)
    x = planted(table_of(kind, rng), rng, 50, most=most)
    near = set(copies_of([*x.T]).near)
    wanted = {(row, 550 + row) for row in range(50)}
    # Codes that are changed in two columns are as many by chance.
    assert len(near & wanted) >= (35 if most == 1 or kind != "codes" else 0)
    assert len(near - wanted) <= 10


@pytest.mark.parametrize("kind", ["mixed", "codes", "rounded", "fine", "together"])
def test_noise_of_every_kind_holds_hardly_a_copy(kind):
    told = sum(bool(copies_of([*table_of(kind, np.random.default_rng(seed)).T]).near) for seed in range(100, 160))
    assert told <= 1


def test_real_tables_hold_the_copies_that_are_known_of_them(shared):
    found = {}
    for name, target in (("abalone", "rings"), ("phoneme", "label"), ("adult_train", "income")):
        table = type_table(read_raw(shared / "data" / "tables" / f"{name}.csv"), target=target)
        copies = copies_of([*table.values.values()])
        assert not copies.chance.any()
        found[name] = (int(copies.has_twin.sum()), len(copies.near))
    # Eight rows of phoneme differ from others by rounding only.
    assert found == {"abalone": (0, 0), "phoneme": (118, 496), "adult_train": (49, 305)}


@pytest.mark.slow
def test_a_large_table_is_looked_through_in_seconds():
    x = noise(100_000, 50)
    x[:10_000] = x[-10_000:]
    start = time.process_time()
    assert copies_of([*x.T]).has_twin.sum() == 20_000
    assert time.process_time() - start < 30


@pytest.mark.parametrize("columns", [4, 6, 12])
def test_rows_that_differ_in_two_columns_are_found(columns):
    rng = np.random.default_rng(columns)
    x = noise(300, columns)
    x[200:] = x[:100]
    for row in range(200, 300):
        x[row, rng.choice(columns, 2, replace=False)] = rng.normal(size=2)
    found = copies_of([*x.T])
    groups = groups_of(300, found.pairs())
    assert (groups[200:] == groups[:100]).mean() > 0.95
    assert len(np.unique(groups[:200])) == 200


@pytest.mark.parametrize("places", [None, 6, 4])
def test_rows_of_two_columns_that_agree_in_one_are_found_where_it_is_measured_finely(places):
    x = noise(400, 2)
    x = x if places is None else np.round(x, places)
    x[300:] = x[:100]
    x[300:350, 0] += 1.5
    x[350:, 1] -= 0.7
    groups = groups_of(400, copies_of([*x.T]).pairs())
    assert (groups[300:] == groups[:100]).mean() > 0.95
    assert len(np.unique(groups[:300])) >= 290


def test_rows_of_two_columns_that_agree_in_one_by_chance_are_left_alone():
    rng = np.random.default_rng(0)
    for columns in (
        [np.round(each, 2) for each in noise(1000, 2).T],
        [rng.integers(0, 20, 500), rng.normal(size=500)],
        [np.repeat(np.linspace(0, 1, 40), 10), rng.normal(size=400)],
        [rng.integers(0, 5000, 900).astype(float), rng.normal(size=900)],
    ):
        assert copies_of(columns).near == ()


@pytest.mark.parametrize("columns", [3, 5, 8])
def test_rows_whose_columns_are_rounded_each_in_its_own_way_are_copies(columns):
    rng = np.random.default_rng(columns)
    x = noise(300, columns) * 10
    x[200:] = x[:100]
    for row in range(200, 300):
        x[row] = [np.round(value, rng.integers(1, 5)) for value in x[row]]
    x[5, 0] = x[205, 0] = np.nan
    found = copies_of([*x.T])
    groups = groups_of(300, found.pairs())
    assert (groups[200:] == groups[:100]).mean() > 0.95
    assert len(np.unique(groups[:200])) == 200


@pytest.mark.parametrize("places", [1, 2, 3])
def test_measurements_that_go_together_are_no_rounded_copies(places):
    rng = np.random.default_rng(places)
    size = rng.normal(size=800)
    columns = [np.round(size * (k + 1) + 0.02 * rng.normal(size=800), places) for k in range(5)]
    assert rounded_apart(columns) == []


@pytest.mark.parametrize("numbers", [1, 2])
def test_rows_of_one_code_are_no_copies_though_the_code_has_a_column_for_each_value(numbers):
    codes = np.random.default_rng(0).integers(0, 30, 900)
    columns = [*(codes == code for code in range(30)), *noise(900, numbers).T]
    assert copies_of([each.astype(np.float64) for each in columns]).near == ()


def test_numbers_of_float32_with_missing_ones_are_looked_at_too():
    x = noise(60, 4).astype(np.float32)
    x[3, 1] = np.nan
    x[50:] = x[:10]
    assert len(np.unique(groups_of(60, copies_in_array(x).pairs()))) == 50


@pytest.mark.parametrize("digits", [2, 3, 5])
def test_of_a_single_column_only_equal_values_are_joined(digits):
    x = noise(300, 1)[:, 0].round(digits)
    found = copies_of([x])
    assert len(np.unique(found.equal)) == len(np.unique(x))
    assert len(found.pairs()) == len(x) - len(np.unique(x))
