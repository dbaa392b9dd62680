"""Faults of data that statistics see: found where they are planted, silent where they are not."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_iris

from tame.core.errors import ShapeError
from tame.data.column_leaks import telling_columns
from tame.data.group_columns import group_columns
from tame.data.sentinels import sentinel_in
from tame.data.shift import shift_between
from tame.data.unseen import Aim, Values, folds_of
from tame.data.wrong_labels import OF_COLUMNS, OF_FEATURES, wrong_labels


def columns_of(x, prefix="x"):
    return [Values(f"{prefix}{i}", x[:, i].astype(float)) for i in range(x.shape[1])]


def aim_of(y, num_classes):
    strata = y if num_classes else np.zeros(len(y), int)
    return Aim(y, num_classes, folds_of(np.arange(len(y)), strata, seed=0))


def drawn(seed, num=600):
    """Columns, of which two tell something of the class."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, 6))
    y = (x[:, 0] + x[:, 1] + 1.5 * rng.normal(size=num) > 0).astype(np.int64)
    return rng, x, y


# Columns that give the target away


@pytest.mark.parametrize("seed", range(3))
def test_a_column_that_is_nearly_the_target_is_named_with_what_the_others_tell(seed):
    rng, x, y = drawn(seed)
    flips = np.where(rng.random(len(y)) < 0.05, 1 - y, y)
    leak = Values("outcome", flips)
    (found,) = telling_columns([*columns_of(x), leak], aim_of(y, 2), seed=0)
    assert found.column == "outcome"
    assert found.right == pytest.approx(0.95, abs=0.03)
    assert found.own > 0.5 > 2 * found.others


@pytest.mark.parametrize("seed", range(3))
def test_a_number_that_parts_the_classes_is_named(seed):
    rng, x, y = drawn(seed)
    number = Values("result", 25 + 35 * y + 8 * rng.normal(size=len(y)))
    assert [each.column for each in telling_columns([*columns_of(x), number], aim_of(y, 2), seed=0)] == ["result"]


def test_two_columns_that_tell_the_same_secret_are_both_named():
    rng, x, y = drawn(0)
    twice = [Values(name, np.where(rng.random(len(y)) < 0.04, 1 - y, y)) for name in ("one", "two")]
    found = telling_columns([*columns_of(x[:, 2:]), *twice], aim_of(y, 2), seed=0)
    assert sorted(each.column for each in found) == ["one", "two"]


def test_a_column_that_nearly_gives_a_number_is_named():
    rng, x, _ = drawn(0)
    y = x[:, 0] + rng.normal(size=len(x))
    near = Values("later price", 3 * y + 0.5 * rng.normal(size=len(y)))
    assert [e.column for e in telling_columns([*columns_of(x), near], aim_of(y, 0), seed=0)] == ["later price"]


@pytest.mark.parametrize("load", [load_iris, load_breast_cancer])
def test_measurements_that_all_tell_much_give_nothing_away(load):
    x, y = load(return_X_y=True)
    assert telling_columns(columns_of(x), aim_of(y.astype(np.int64), int(y.max()) + 1), seed=0) == []


def test_of_few_rows_nothing_is_said():
    assert telling_columns([Values("a", np.arange(20) % 2)], aim_of(np.arange(20) % 2, 2), seed=0) == []


# Wrong labels


def surely(rng, num, overlap):
    """Probabilities of a calibrated model of two classes, and labels drawn by them."""
    logits = rng.normal(0, 6 if not overlap else 2.5, num)
    p = 1 / (1 + np.exp(-logits))
    labels = (rng.random(num) < p).astype(np.int64)
    return np.column_stack([1 - p, p]), labels


@pytest.mark.parametrize("limits", [OF_COLUMNS, OF_FEATURES])
@pytest.mark.parametrize("seed", range(5))
def test_labels_that_were_mixed_up_are_found_and_most_that_are_named_are_wrong(seed, limits):
    rng = np.random.default_rng(seed)
    p, labels = surely(rng, 1000, overlap=False)
    flip = rng.random(1000) < 0.15
    found = wrong_labels(0.15 + 0.7 * p, np.where(flip, 1 - labels, labels), limits)
    assert found is not None
    assert found.share == pytest.approx(0.15, abs=0.06)
    assert flip[found.rows].mean() > 0.75
    assert flip[found.rows[:50]].mean() > 0.9, "the surest first"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("overlap", "limits"), [(False, OF_COLUMNS), (True, OF_COLUMNS), (False, OF_FEATURES)])
def test_classes_that_overlap_are_no_wrong_labels(seed, overlap, limits):
    rng = np.random.default_rng(seed)
    assert wrong_labels(*surely(rng, 800, overlap=overlap), limits) is None


def test_where_inputs_tell_nothing_no_label_is_doubted():
    rng = np.random.default_rng(0)
    labels = (rng.random(900) < 0.8).astype(np.int64)
    p = np.clip(0.8 + 0.03 * rng.normal(size=900), 0, 1)
    assert wrong_labels(np.column_stack([1 - p, p]), labels, OF_COLUMNS) is None
    with pytest.raises(ShapeError, match="probabilities and"):
        wrong_labels(np.zeros((3, 2)), np.zeros(4, int), OF_COLUMNS)


# Parts that differ


@pytest.mark.parametrize("seed", range(3))
def test_a_part_that_differs_is_told_with_the_column(seed):
    rng, x, _ = drawn(seed)
    later = rng.random(len(x)) < 0.3
    x[:, 3] += 1.5 * later
    found = shift_between(columns_of(x), later, np.arange(len(x)), seed=0)
    assert found is not None
    assert found.columns[0][0] == "x3"
    assert found.area > 0.8


@pytest.mark.parametrize("seed", range(20))
def test_parts_that_were_drawn_alike_do_not_differ(seed):
    rng, x, _ = drawn(seed, num=300)
    assert shift_between(columns_of(x), rng.random(300) < 0.3, np.arange(300), seed=0) is None


def test_of_a_part_of_few_rows_nothing_is_said():
    x = np.arange(60.0)[:, None]
    assert shift_between(columns_of(x), np.arange(60) >= 40, np.arange(60), seed=0) is None


# Marks of missing values


def test_marks_of_missing_values_are_found_at_either_end():
    rng = np.random.default_rng(0)
    age = rng.integers(17, 90, 400).astype(float)
    for value in (-999.0, 9999.0, -1000.0):
        found = sentinel_in("age", np.where(rng.random(400) < 0.03, value, age))
        assert found is not None
        assert (found.value, found.low) == (value, age.min())
    days = np.where(np.arange(400) % 40 == 0, -25567.0, 17000.0 + age)  # 1900-01-01 among dates of 2016
    assert sentinel_in("day", days).value == -25567.0


def test_single_far_values_zeros_and_few_values_are_no_marks():
    rng = np.random.default_rng(0)
    age = rng.integers(17, 90, 400).astype(float)
    age[3] = 9999.0
    assert sentinel_in("age", age) is None, "one far value is an outlier"
    assert sentinel_in("year", np.where(rng.random(400) < 0.5, 0.0, 1950 + rng.integers(0, 60, 400))) is None
    assert sentinel_in("code", rng.choice([0.0, 1.0, 99.0], 400)) is None
    for scale in (1.0, 3.0):
        assert sentinel_in("tail", np.exp(scale * rng.normal(size=2000))) is None
    assert sentinel_in("none", np.full(30, np.nan)) is None


# Groups


def people(seed, rows_each=8):
    rng = np.random.default_rng(seed)
    num = 480
    who = rng.integers(0, num // rows_each, num)
    weight = rng.normal(70, 10, who.max() + 1)[who] + rng.normal(size=num)
    label = rng.integers(0, 2, who.max() + 1)[who]
    names = rng.permutation(who.max() + 1)[who]
    return rng, who, names, weight, label


@pytest.mark.parametrize("seed", range(3))
def test_a_column_of_patients_is_found_by_name_or_number(seed):
    rng, _, names, weight, label = people(seed)
    rest = [Values("weight", weight), *columns_of(rng.normal(size=(len(label), 2)))]
    for patient in (Values("patient", names), Values("user_id", names * 7.0 + 1000)):
        found = group_columns([*rest, patient], [*rest, patient], label, seed=0)
        assert [each.column for each in found] == [patient.name]
        assert found[0].groups == len(np.unique(names))
        assert found[0].alike > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_measurements_and_categories_are_no_groups(seed):
    rng, x, y = drawn(seed, num=500)
    whole = Values("age", np.round(40 + 12 * x[:, 0]))
    town = Values("town", rng.integers(0, 40, 500))
    code = Values("code", rng.integers(0, 100, 500))  # named like one, and tells nothing
    rest = [*columns_of(x[:, 1:]), whole, town, code]
    assert group_columns(rest, rest, y, seed=0) == []


def test_the_same_column_under_two_names_makes_no_groups():
    rng, _, names, _, _ = people(0)
    twice = [Values("education", names), Values("education_num", names[::1] * 2.0)]
    assert group_columns(twice, twice, rng.integers(0, 2, len(names)), seed=0) == []
