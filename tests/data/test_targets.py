"""Targets: the task is chosen by looking and said, what cannot be predicted is refused, what gives it away is named."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import DataError, UsageError
from tame.data.table_kinds import type_table
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable
from tame.data.targets import TASKS, Target, leaks, read_later_target, read_target

NUM = 60


@pytest.fixture
def tables(shared) -> Path:
    folder: Path = shared / "data" / "tables"
    if not folder.is_dir():
        pytest.skip(f"needs the tables in {folder}")
    return folder


def raw_of(separator: str = ",", **columns: Sequence[str] | np.ndarray) -> RawTable:
    """A table that did not come from a file; lists are text."""
    arrays = {
        name: cells if isinstance(cells, np.ndarray) else np.array(cells, dtype=object)
        for name, cells in columns.items()
    }
    return RawTable(tuple(columns), arrays, (), len(next(iter(arrays.values()))), "", separator)


def target_of(cells: Sequence[str] | np.ndarray, task: str = "auto") -> Target:
    return read_target(raw_of(y=cells), "y", task=task)[0]


# The task


@pytest.mark.parametrize(
    ("cells", "task", "classes"),
    [
        (["cat", "dog"] * 5, "binary", ("cat", "dog")),
        (["cat", "dog", "ant"] * 5, "multiclass", ("ant", "cat", "dog")),
        (["1", "0", "1", "0"], "binary", ("0", "1")),
        (["0.5", "1.5"] * 2, "binary", ("0.5", "1.5")),
        ([str(i % 10) for i in range(NUM)], "multiclass", tuple("0123456789")),
        (["10", "9", "1"] * 5, "multiclass", ("1", "9", "10")),  # in the order of the numbers
        ([str(i % 11) for i in range(NUM)], "regression", ()),
        ([str(i % 10) for i in range(20)], "regression", ()),  # too few rows for ten classes
        (["1.5", "2", "3"] * 5, "regression", ()),
        (["07", "09", "8"] * 4, "multiclass", ("07", "8", "09")),
        (["Yes", "no", "YES", "Yes"] * 2, "binary", ("no", "Yes")),
        (np.array([True, False] * 3), "binary", ("false", "true")),
        (np.array([3, 4, 5] * 4), "multiclass", ("3", "4", "5")),
        (np.array([3.0, 4.0] * 4), "binary", ("3", "4")),
    ],
)
def test_the_task_is_chosen_by_looking_at_the_target(cells, task, classes):
    target, labelled = read_target(raw_of(y=cells), "y")
    assert (target.task, target.classes) == (task, classes)
    assert labelled.all()
    assert target.why
    if classes and isinstance(cells, list) and "YES" not in cells:
        assert [target.classes[code] for code in target.values] == cells
    if task == "regression":
        assert "--task classification" in target.why
        assert target.values.tolist() == [float(cell) for cell in cells]


def test_a_task_that_is_told_is_obeyed_or_refused():
    numbers = ["1", "2", "3"] * 10
    assert target_of(numbers, "regression").task == "regression"
    assert target_of(numbers, "classification").task == "multiclass"
    assert target_of(["1.5", "2.5", "3.5"] * 3, "multiclass").classes == ("1.5", "2.5", "3.5")
    assert target_of(["a", "b"] * 3, "multiclass").task == "multiclass"
    assert target_of(["a", "b"] * 3, "classification").task == "binary"
    with pytest.raises(DataError, match="is to be binary and has 3 classes"):
        target_of(numbers, "binary")
    with pytest.raises(DataError, match=r"not all its cells are numbers \(row 2: 'abc'\)"):
        target_of(["1", "abc", "3"], "regression")
    with pytest.raises(UsageError, match="no task named 'regresion'; did you mean 'regression'"):
        target_of(numbers, "regresion")


@given(st.lists(st.sampled_from(["a", "b", "c", "1", "2", "2.0", "", "-", "yes", "no"]), min_size=1, max_size=40))
def test_every_task_gives_a_sound_target_or_a_reason(cells):
    refusals: list[str] = []
    for task in TASKS:
        try:
            target, labelled = read_target(raw_of(y=cells), "y", task=task)
        except DataError as problem:
            refusals.append(str(problem))
            continue
        assert len(target.values) == len(labelled) == len(cells)
        if target.task == "regression":
            np.testing.assert_array_equal(np.isfinite(target.values), labelled)
        else:
            np.testing.assert_array_equal(target.values >= 0, labelled)
            assert set(target.values[labelled].tolist()) == set(range(len(target.classes)))
        again, where, _ = read_later_target(raw_of(y=cells), target)
        np.testing.assert_array_equal(again, target.values)
        np.testing.assert_array_equal(where, labelled)
    assert all("'y'" in refusal for refusal in refusals)


# Targets that cannot be predicted


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["", "?", "NA"], "is missing in every row"),
        (["a"] * 5, "one class only, 'a' in 5 rows"),
        (["1.5"] * 5, "one class only"),
        (["a", "nan", "nan"], r"one class only.*2 rows have no label and are left out: 'nan' \(2\)"),
        ([f"name {i}" for i in range(30)], "looks like free text or an identifier"),
        ([f"n{i}" for i in range(1001)] * 3, "1,001 different values .* free text"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused_with_the_reason(cells, said):
    with pytest.raises(DataError, match=said) as caught:
        target_of(cells)
    assert caught.value.exit_code == 3


def test_a_target_that_is_not_there_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match=r"no column named 'incom'; did you mean 'income'\? \(known: age, income\)"):
        read_target(raw_of(income=["1"], age=["2"]), "incom")


@pytest.mark.parametrize("cell", ["1e308", "inf", "-inf", "1e400"])
def test_a_value_that_no_network_can_reach_is_refused_with_its_row(cell):
    with pytest.raises(DataError, match=f"infinite or beyond.*row 3: '{cell}'"):
        target_of(["1.5", "2.5", cell, *(str(i / 7) for i in range(30))])
    with pytest.raises(DataError, match="row 3"):
        target_of(np.array([1.5, 2.5, float(cell), *np.arange(30) / 7]))


def test_a_constant_regression_and_many_classes_of_numbers_are_refused():
    with pytest.raises(DataError, match="the same value in every row"):
        target_of(["2", "2.0"], "regression")
    with pytest.raises(DataError, match="--task regression"):
        target_of([str(i) for i in range(100)], "classification")


def test_a_value_far_from_all_others_is_said():
    target = target_of([*(str(i / 7) for i in range(30)), "1e30"])
    assert "interquartile ranges from the median (row 31: '1e30')" in target.why


def test_a_number_that_marks_missing_targets_is_said():
    cells = [str(i / 7) for i in range(90)]
    assert "-999 in 5 rows lies far from the other numbers" in target_of([*cells, *["-999"] * 5]).why
    assert "lies far" not in target_of([*cells, "-999"]).why


# Marks of missing values and names of classes


def test_rows_without_a_label_are_left_out_and_counted():
    for cells, kept in (
        (["a", "", "b", "NA", "a", "b"], [0, -1, 1, -1, 0, 1]),
        (["1", "-", "0", "None", "1", "0"], None),
    ):
        target, labelled = read_target(raw_of(y=cells), "y")
        assert labelled.tolist() == [True, False, True, False, True, True]
        assert target.values.tolist() == (kept or [1, -1, 0, -1, 1, 0])
        assert "2 rows have no label and are left out" in target.why
    target, labelled = read_target(raw_of(y=["1.5", "?", "2.5", "7", "8", "9"]), "y")
    assert np.isnan(target.values).tolist() == (~labelled).tolist() == [False, True, *[False] * 4]


def test_names_of_classes_that_look_like_marks_are_kept_or_left_out_with_a_word():
    target = target_of(["nan", "None", "", "true", "-"] * 4)
    assert target.classes == ("-", "None", "true")
    assert "'None' is kept as the name of a class" in target.why
    assert "8 rows have no label and are left out: 'nan' (4), '' (4)" in target.why


def test_classes_that_differ_in_capitals_only_are_one_and_said_unless_told():
    cells = ["Cat", "cat", "dog", "dog", "cat", "dog"] * 4
    target = target_of(cells)
    assert target.classes == ("cat", "dog")
    assert [target.classes[code] for code in target.values] == [cell.lower() for cell in cells]
    assert "'cat' and 'Cat' differ in capitals only and are one class" in target.why
    assert read_target(raw_of(y=cells), "y", told="category")[0].classes == ("Cat", "cat", "dog")
    with pytest.raises(DataError, match=r"'M' and 'm': one class or two\?.*--column y=category"):
        target_of(["m", "M", "x"] * 4)
    assert read_target(raw_of(y=["m", "M", "x"] * 4), "y", told="category")[0].classes == ("M", "m", "x")


def test_numbers_are_one_class_however_they_are_written():
    assert target_of(["1", "1.0", "2", "2", "1", "3", "3"] * 3).classes == ("1", "2", "3")


def test_a_target_with_decimal_commas_is_read_by_what_the_other_columns_say():
    cells = ["1,234", "5,678", "9,125"] * 4
    with pytest.raises(DataError, match="ambiguous"):
        read_target(raw_of(";", y=cells), "y")
    target, _ = read_target(raw_of(";", x=["0,5"] * 12, y=cells), "y")
    assert target.values[:3].tolist() == [1.234, 5.678, 9.125]


# Later tables


def test_a_later_target_has_the_numbers_of_the_first():
    first = target_of(["1", "2", "3"] * 4)
    values, labelled, _ = read_later_target(raw_of(y=["3.0", "1", "?"]), first)
    assert values.tolist() == [2, 0, -1]
    assert labelled.tolist() == [True, True, False]
    truth = target_of(["yes", "no"] * 4)
    assert read_later_target(raw_of(y=np.array([True, False])), truth)[0].tolist() == [1, 0]
    with pytest.raises(DataError, match="a class that was not there before: row 2: '7'"):
        read_later_target(raw_of(y=["1", "7"]), first)
    with pytest.raises(DataError, match="no column named 'y'"):
        read_later_target(raw_of(z=["1"]), first)
    size = target_of(["1.5", "2.5", "3"] * 4)
    assert read_later_target(raw_of(y=["2", "2"]), size)[0].tolist() == [2, 2]
    with pytest.raises(DataError, match="row 2: 'abc'"):
        read_later_target(raw_of(y=["2", "abc"]), size)


# Leaks


def leaking(raw: RawTable, name: str = "y") -> dict[str, str]:
    target, _ = read_target(raw, name)
    return {leak.column: leak.evidence for leak in leaks(type_table(raw, target=name), target)}


def test_columns_that_give_classes_away_are_named_with_evidence():
    rng = np.random.default_rng(0)
    code = rng.integers(0, 2, NUM)
    noise = rng.normal(size=NUM)
    found = leaking(
        raw_of(
            y=["bad" if c else "good" for c in code],
            other_name=["x" if c else "z" for c in code],
            finer=[f"{c}{rng.integers(2)}" + "ab"[c] for c in code],
            number=[str(7 + 3 * c) for c in code],
            flag=["yes" if c else "no" for c in code],
            nearly=[repr(float(c + 1e-4 * n)) for c, n in zip(code, noise, strict=True)],
            only_bad=[str(i) if c else "" for i, c in enumerate(code)],
            chance=[str(c) for c in rng.permutation(code)],
            noise=[repr(n) for n in noise.tolist()],
            helpful=[repr(n) for n in (code + noise).tolist()],
        )
    )
    assert set(found) == {"other_name", "finer", "number", "flag", "nearly", "only_bad"}
    assert "other way round" in found["other_name"]
    assert "other way round" not in found["finer"]
    assert "correlation" in found["nearly"]
    assert found["only_bad"] == "is missing exactly where the target is 'good'"


def test_columns_that_give_a_number_away_are_named_with_evidence():
    rng = np.random.default_rng(0)
    y = rng.normal(size=NUM)
    found = leaking(
        raw_of(
            y=[repr(v) for v in y.tolist()],
            copy=[repr(v) if i % 5 else "" for i, v in enumerate(y.tolist())],
            fahrenheit=[repr(32 - 1.8 * v) for v in y.tolist()],
            near=[repr(v) for v in (y + 0.1 * rng.normal(size=NUM)).tolist()],
            square=[repr(v * v) for v in y.tolist()],
            word=["a" if v > 0 else "b" for v in y],
        )
    )
    assert set(found) == {"copy", "fahrenheit"}
    assert "correlation -1.000000 over 60 rows" in found["fahrenheit"]


def test_few_rows_show_no_leak_and_tables_must_match():
    assert leaking(raw_of(y=["a", "b"] * 9, x=["c", "d"] * 9)) == {}
    raw = raw_of(y=["a", "b"] * 20, x=["c", "d"] * 20)
    assert set(leaking(raw)) == {"x"}
    with pytest.raises(DataError, match="the table has 40 rows and the target 2"):
        leaks(type_table(raw, target="y"), Target("y", "binary", ("a", "b"), np.array([0, 1]), ""))


# Real tables


def test_the_targets_of_real_tables_are_understood(tables):
    adult = read_raw(tables / "adult_train.csv")
    target, labelled = read_target(adult, "income")
    assert (target.task, target.classes) == ("binary", ("<=50K", ">50K"))
    assert np.bincount(target.values).tolist() == [24_720, 7_841]
    assert labelled.all()
    later, *_ = read_later_target(read_raw(tables / "adult_test.csv"), target)
    assert np.bincount(later).tolist() == [12_435, 3_846]
    table = type_table(adult, target="income")
    assert leaks(table, target) == []
    for name, column, task in (("abalone", "rings", "regression"), ("phoneme", "label", "binary")):
        raw = read_raw(tables / f"{name}.csv")
        target, _ = read_target(raw, column)
        assert target.task == task
        assert leaks(type_table(raw, target=column), target) == []


# Numbers and names that are asked about


@pytest.mark.parametrize(
    ("form", "value"),
    [
        ("\u20b9{}", 1), ("R$ {},50", 1), ("\u2013{}.5", -1), ("{}\u2009000", 1000), ("\u2212{}", -1), ("NOK {}", 1),
    ],
)  # fmt: skip
def test_numbers_in_many_forms_are_read(form, value):
    target, _ = read_target(raw_of(";", y=[form.format(1 + i % 12) for i in range(240)]), "y")
    assert target.task == "regression"
    assert np.unique(target.values)[0] == pytest.approx(
        min(value * 1, value * 12) + 0.5 * ("5" in form) * np.sign(value)
    )


@pytest.mark.parametrize(
    "form", ["{},00,000", "<{}", "~{}", "{}+", "{}:30", "{} kg|{}000 g", "${}|\u20ac{}", "CHF {}.-", "{}/7"]
)
def test_what_looks_like_numbers_and_is_not_read_is_asked_about(form):
    forms = form.split("|")
    cells = [forms[i % len(forms)].format(1 + i % 12) for i in range(240)]
    with pytest.raises(DataError, match=r"looks like numbers that cannot be read .*--column y=category"):
        target_of(cells)
    assert read_target(raw_of(y=cells), "y", told="category")[0].task == "multiclass"
    table = type_table(raw_of(x=cells), target=None)
    assert any("look like numbers and cannot be read" in note for note in table.notes)


@pytest.mark.parametrize(
    "cells", [["<=50K", ">50K"], ["class 01", "class 02"], ["10-20", "20-30", "30+"], ["A1", "B2"]]
)
def test_names_of_classes_with_digits_are_classes(cells):
    assert set(target_of(cells * 20).classes) == set(cells)


@pytest.mark.parametrize(
    ("cells", "odd"),
    [(["{}.5%"] * 24 + ["0.{}"], "0.25"), (["{}.5"] * 24 + ["<{}"], "<25"), (["{}.5"] * 24 + ["({}"], "(25")],
)
def test_numbers_among_the_cells_that_are_left_out_are_asked_about(cells, odd):
    written = [cell.format(i + 1) for i, cell in enumerate(cells * 8)]
    with pytest.raises(DataError, match=rf"row 25: '{re.escape(odd)}'"):
        target_of(written)


@pytest.mark.parametrize(
    ("words", "mark"),
    [
        (["Europe", "Asia"], "NA"), (["US-E", "US-W"], "NA"), (["NA1", "EU1"], "NA"), (["Ann", "Bob"], "Nan"),
        (["Smith", "Lee"], "Null"), (["North", "South"], "NA"),
    ],
)  # fmt: skip
def test_a_mark_beside_names_may_be_a_name(words, mark):
    cells = [*words, mark] * 8
    with pytest.raises(DataError, match=rf"'{mark}' in 8 rows.*name or a missing value\? Say --column y=category"):
        target_of(cells)
    assert mark in read_target(raw_of(y=cells), "y", told="category")[0].classes
    notes = type_table(raw_of(x=cells), target=None).notes
    assert f"x: {mark!r} is read as missing and may be a name: --column x=category keeps it" in notes


def test_labels_that_look_alike_are_asked_about_and_categories_are_noted():
    for twins in (("Masse", "Ma\u00dfe"), ("cat", "c\u0430t"), ("cat", "\uff43at"), ("it's", "it\u2019s")):
        cells = [*twins, "dog"] * 8
        with pytest.raises(DataError, match=r"one class or two\? .*--column y=category"):
            target_of(cells)
        assert len(read_target(raw_of(y=cells), "y", told="category")[0].classes) == 3
        notes = type_table(raw_of(x=cells), target=None).notes
        assert any("look alike and are two categories" in note for note in notes)
