"""What is said of data before anything is trained: each fault by its finding, and never by labels of the test part."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from command_line import tame_here
from tame.core.config import StudyConfig
from tame.core.errors import DataError
from tame.kinds.findings import metric_for, of_classes
from tame.kinds.groups import named_groups
from tame.kinds.looks import LEAST_CELLS, MOST_CELLS, look_at
from tame.kinds.tables.rows import _scales, split_rows
from tame.kinds.tables.source import read_rows


def columns(seed=0, num=500):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num, 4))
    y = np.where(x[:, 0] + x[:, 1] + rng.normal(size=num) > 0, "yes", "no")
    return rng, {f"x{i}": x[:, i] for i in range(4)} | {"y": y}


def write(path, own):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(own)
        writer.writerows(zip(*own.values(), strict=True))
    return str(path)


def config_of(tmp_path, own, later=None, **more):
    test = None if later is None else write(tmp_path / "test.csv", later)
    return StudyConfig(data=write(tmp_path / "all.csv", own), target="y", test=test, **more)


def said(config, **about):
    opened = split_rows(read_rows(config).rows, config, kind="table", **about)
    return {each.code: each for each in opened.findings}, opened


def test_a_clean_table_is_left_in_peace(tmp_path):
    _, own = columns()
    found, _ = said(config_of(tmp_path, own))
    assert set(found) <= {"small_test"}


def test_each_fault_of_rows_is_said_with_its_column(tmp_path):
    rng, own = columns()
    num = len(own["y"])
    own["outcome"] = np.where(rng.random(num) < 0.04, "x", np.where(own["y"] == "yes", "paid", "owed"))
    own["x3"] = np.where(rng.random(num) < 0.03, -999.0, own["x3"])
    who = rng.integers(0, 60, num)
    own["patient"] = np.array([f"P{each}" for each in who])
    own["weight"] = rng.normal(size=60)[who] + 0.1 * rng.normal(size=num)
    found, _ = said(config_of(tmp_path, own))
    assert found["target_leak"].evidence["columns"][0]["column"] == "outcome"
    assert found["target_leak"].confidence == "medium"
    (mark,) = found["sentinel_values"].evidence["columns"]
    assert (mark["column"], mark["value"]) == ("x3", "-999")
    assert found["group_column"].evidence["columns"][0]["column"] == "patient"
    assert "--groups patient" in found["group_column"].change
    named, _ = said(config_of(tmp_path, own, groups="patient"))
    assert "group_column" not in named


def test_a_part_that_differs_is_a_warning_and_later_rows_are_information(tmp_path):
    _, own = columns()
    _, later = columns(1, 200)
    assert "parts_differ" not in said(config_of(tmp_path, own, later))[0]
    moved = {**later, "x2": later["x2"] + 2}
    found, _ = said(config_of(tmp_path, own, moved))
    assert found["parts_differ"].severity == "warning"
    assert next(iter(found["parts_differ"].evidence["columns"][0])) == "x2"
    dated = {**own, "day": np.arange(500), "x2": own["x2"] + 4 * (np.arange(500) > 400)}
    ordered, _ = said(config_of(tmp_path, dated, order="day"))
    assert ordered["parts_differ"].severity == "info"


def test_no_label_of_the_test_part_is_looked_at(tmp_path):
    """With other labels there, the findings are the same, those of inputs that the test part shows included."""
    rng, own = columns()
    own["outcome"] = np.where(rng.random(500) < 0.04, "x", np.where(own["y"] == "yes", "paid", "owed"))
    _, later = columns(1, 200)
    later["outcome"], later["x2"] = np.where(later["y"] == "yes", "paid", "owed"), later["x2"] + 2
    config = config_of(tmp_path, own, later)
    rows = read_rows(config).rows
    opened = split_rows(rows, config, kind="table")
    test = opened.data.split.rows("test")
    assert len(test) == 200
    values = rows.values.copy()
    values[test] = 1 - values[test]
    other = split_rows(replace(rows, values=values), config, kind="table")
    assert other.data.split == opened.data.split
    assert other.findings == opened.findings
    assert {each.code for each in opened.findings} >= {"target_leak", "parts_differ"}


def test_a_study_that_goes_on_looks_at_nothing_again(tmp_path):
    rng, own = columns()
    own["copy"] = np.where(rng.random(500) < 0.04, "x", own["y"])
    assert "target_leak" in said(config_of(tmp_path, own))[0]
    assert "target_leak" not in said(config_of(tmp_path, own), is_new=False)[0]


def test_under_a_short_clock_less_is_looked_at_and_that_is_said():
    rows = np.arange(10_000)
    whole = look_at(rows, 20, clock_s=None, seed=0)
    assert (len(whole.rows), whole.trees, whole.skipped) == (10_000, True, "")
    some = look_at(rows, 20, clock_s=20, seed=0)
    assert LEAST_CELLS <= len(some.rows) * 20 <= MOST_CELLS
    assert "of 10,000 rows were looked at" in some.skipped
    np.testing.assert_array_equal(some.rows, look_at(rows, 20, clock_s=20, seed=0).rows)
    none = look_at(rows, 20, clock_s=2, seed=0)
    assert not none.trees
    assert "no time" in none.skipped
    assert look_at(rows[:100], 20, clock_s=2, seed=0).trees, "what is little is looked at in any case"
    assert "too many" in look_at(rows, 600, clock_s=None, seed=0).skipped


@pytest.mark.parametrize(("sizes", "metric"), [((95, 5), "balanced_accuracy"), ((94, 6), "accuracy"), ((), "accuracy")])
def test_where_one_class_is_rare_the_balanced_accuracy_chooses(sizes, metric):
    assert metric_for(StudyConfig(data="x"), "binary", sizes) == metric
    assert metric_for(StudyConfig(data="x", metric="roc_auc"), "binary", sizes) == "roc_auc"
    assert metric_for(StudyConfig(data="x"), "regression", ()) == "rmse"


def test_unequal_and_small_classes_are_told_with_what_chooses():
    (unequal,) = of_classes({"a": 950, "b": 50}, "rows", metric="balanced_accuracy", asked=False)
    assert "chosen by balanced accuracy" in unequal.title
    assert "average_precision" in unequal.change, "of two classes one is the rare one"
    (many,) = of_classes({"a": 950, "b": 50, "c": 300}, "rows", metric="balanced_accuracy", asked=False)
    assert "average_precision" not in many.change
    (asked,) = of_classes({"a": 950, "b": 50}, "rows", metric="balanced_accuracy", asked=True)
    assert "chosen" not in asked.title
    small = of_classes({"a": 20, "b": 9}, "rows", metric="accuracy", asked=False)
    assert [each.code for each in small] == ["small_classes"]
    assert small[0].evidence["classes"] == [{"b": 9}]
    assert of_classes({"a": 30, "b": 10}, "rows", metric="accuracy", asked=False) == []
    sizes = {"a": 20, "b": 1, "c": 9}
    (few,) = of_classes(sizes, "rows", metric="balanced_accuracy", asked=True, unjudged=["b"])
    assert few.title == "2 classes have fewer than 10 rows to train on; 1 of them is trained on and not judged"


def test_a_class_of_two_rows_needs_no_third_group():
    cells, values = np.array(["p", "q", "r", "s", "t"] * 8), np.array([0, 1] * 20)
    values[[0, 2]] = 2
    given = [""] * 40
    groups, _ = named_groups(cells, "patient", given=given, values=values, classes=("a", "b", "c"), nouns="rows")
    assert len(np.unique(groups)) == 5
    values[5] = 2
    with pytest.raises(DataError, match="the rows of class 'c' lie in 2 groups of 'patient'; at least 3"):
        named_groups(cells, "patient", given=given, values=values, classes=("a", "b", "c"), nouns="rows")


def test_inputs_of_an_own_module_on_other_scales_are_told():
    from tame.data.unseen import Values

    rng = np.random.default_rng(0)
    near = [Values("input 0", rng.normal(size=50)), Values("input 1", 100 * rng.normal(size=50))]
    assert _scales(near) == []
    (found,) = _scales([*near, Values("input 2", 1e4 * rng.normal(size=50)), Values("input 3", np.ones(50))])
    assert (found.evidence["smallest"], found.evidence["largest"]) == ("input 0", "input 2")


def test_wrong_labels_of_pictures_and_tables_reach_the_terminal(tmp_path):
    rng = np.random.default_rng(0)
    code = rng.integers(0, 3, 600)
    x = rng.normal(size=(3, 6))[code] * 3 + rng.normal(size=(600, 6))
    said = np.where(rng.random(600) < 0.2, (code + rng.integers(1, 3, 600)) % 3, code)
    own = {f"x{i}": x[:, i] for i in range(6)} | {"y": np.array([f"k{each}" for each in said])}
    done = tame_here("check", write(tmp_path / "all.csv", own), "--target", "y", "--json", cache=tmp_path / "cache")
    findings = {each["code"]: each for each in json.loads(done.stdout)["findings"]}
    found = findings["suspect_labels"]
    assert found["id"] == "TAME105"
    assert 0.1 < found["evidence"]["share"] < 0.3
    assert found["evidence"]["rows"][0]["row"].startswith("all.csv:")
