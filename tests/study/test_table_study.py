"""A table from the outside: the command line on good, odd and broken tables, killed, resumed and predicted with."""

from __future__ import annotations

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from command_line import tame_here
from processes import count_events, wait_for, worker_of
from tame.core.config import ARRAYS, INLINE, LANGUAGE, StudyConfig
from tame.core.errors import DataError, UsageError
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.table_order import order_values
from tame.kinds.known import kind_of
from tame.kinds.tables.kind import TABLES
from tame.kinds.tables.rows import split_rows
from tame.kinds.tables.source import read_rows
from tame.parts.unused_settings import refuse_unused
from tame.study.session import begin
from tame.study.state import Silent

TAME = str(Path(sys.executable).with_name("tame"))
SMALL = ("--trials", "2", "--epochs", "2", "--seed", "1", "--json", "--quiet")
TREES = ("--baseline", "trees")
UNCHANGED = ("score", "validation", "winner", "baselines", "confusion", "finalists", "epochs", "trials")
HEADER = ("alpha", "beta", "color", "label")


def rows_of(seed, count=160):
    """Rows of two numbers and a colour, with a label that follows from them."""
    rng = np.random.default_rng(seed)
    x, color = rng.normal(size=(count, 2)).round(3), rng.choice(["red", "green", "blue"], count)
    label = np.where(x[:, 0] + 0.5 * x[:, 1] + (color == "red") > 0.3, "yes", "no")
    return [[*map(str, pair), c, own] for pair, c, own in zip(x.tolist(), color.tolist(), label.tolist(), strict=True)]


def write(path, header, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.fixture(scope="module")
def table(folder):
    return write(folder / "good.csv", HEADER, rows_of(0))


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def tame(*arguments, cache, cwd=None):
    return subprocess.run(
        [TAME, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, timeout=300,
        env={**os.environ, "TAME_CACHE": str(cache), "COLUMNS": "80"},
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(table, cache, tmp_path_factory):
    study = tmp_path_factory.mktemp("study") / "whole"
    done = tame("fit", table, "--target", "label", *SMALL, *TREES, "--out", study, cache=cache)
    assert done.returncode == 0, done.stderr
    return study, json.loads(done.stdout)


def settings(table, **more):
    return StudyConfig(data=str(table), **{"target": "label", **more})


# The data


def test_a_refused_table_leaves_nothing_behind(table, cache, tmp_path):
    done = tame_here("fit", table, "--target", "lable", *SMALL, cache=cache, cwd=tmp_path)
    assert done.returncode == 3
    assert "did you mean 'label'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_another_part_is_read_by_the_columns_of_the_first(table, tmp_path):
    other = write(
        tmp_path / "good.csv", ("label", "more", "color", "alpha"), [(r[3], "1", r[2], r[0]) for r in rows_of(1, 9)]
    )
    own = read_rows(settings(table, test=str(other))).rows
    assert own.ids[0] == f"{table.parent.name}/good.csv:2"
    assert own.ids[-1] == f"{tmp_path.name}/good.csv:10"
    assert len(set(own.ids)) == len(own.ids), "two files of one name must not share names of rows"
    assert np.isnan(own.table.values["beta"][-9:]).all()
    assert any("'beta'" in note for note in own.notes)
    assert any("'more'" in note for note in own.notes)


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        (HEADER[:3], [r[:3] for r in rows_of(1, 9)], "no column named 'label'"),
        (HEADER, [[*r[:3], ""] for r in rows_of(1, 9)], "no row has a target"),
        (HEADER, [[*r[:3], "perhaps"] for r in rows_of(1, 9)], "not there before"),
        (HEADER, rows_of(0), "holds the same as"),
    ],
)
def test_a_test_part_that_cannot_test_is_refused_by_its_name(table, tmp_path, header, rows, said):
    other = write(tmp_path / "other.csv", header, rows)
    with pytest.raises(DataError, match=said) as caught:
        read_rows(settings(table, test=str(other)))
    assert "other.csv" in str(caught.value)


@pytest.mark.parametrize("role", ["groups", "order"])
def test_a_part_without_the_column_that_splits_is_refused(tmp_path, role):
    own = write(tmp_path / "own.csv", (*HEADER, "who"), [[*r, str(i // 4)] for i, r in enumerate(rows_of(0))])
    other = write(tmp_path / "other.csv", HEADER, rows_of(1, 9))
    with pytest.raises(DataError, match=r"other\.csv: no column named 'who'"):
        read_rows(settings(own, test=str(other), **{role: "who"}))


def test_a_table_without_inputs_is_refused_with_what_its_columns_are(tmp_path, cache):
    lines = [[f"order-{i:04d}x", ("yes", "no")[i % 2]] for i in range(30)]
    path = write(tmp_path / "numbered.csv", ("order", "label"), lines)
    with pytest.raises(DataError, match=r"no column is left to learn from: 'order' \(identifier: "):
        read_rows(settings(path))
    done = tame("check", path, "--target", "label", cache=cache)
    assert (done.returncode, done.stdout) == (3, "")
    assert "identifiers and constants are not" in " ".join(done.stderr.split())


def test_rows_are_named_by_the_line_that_they_begin_on(tmp_path):
    lines = ["alpha,color,label", "", "1.5,red,yes", '2.5,"two', 'lines",no', "3.5,red,yes", "4.5,red,no"]
    path = tmp_path / "gaps.csv"
    path.write_text("\n".join(lines) + "\n")
    assert read_rows(settings(path)).rows.ids == ("gaps.csv:3", "gaps.csv:4", "gaps.csv:6", "gaps.csv:7")
    path.write_text("alpha,label\n\n\n1,yes\n2,no\n\n3,yes\n4,no\n")
    assert read_rows(settings(path)).rows.ids == ("gaps.csv:4", "gaps.csv:5", "gaps.csv:7", "gaps.csv:8")


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-31", "2024-02-01", "2024-10-01"],
        ["run2", "run9", "run10"],
        ["2024-W05", "2024-W40", "2025-W01"],
        ["1", "2.5", "10"],
    ],
)
def test_text_orders_rows_by_its_numbers(texts):
    mixed = np.array([texts[2], texts[0], texts[1], texts[0]], dtype=object)
    found = order_values(mixed, "when")
    assert found[1] == found[3] < found[2] < found[0]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["Jan", "Feb", "Mar"], "does not order the rows"),
        (["05-2024", "06-2023", "07-2024"], "does not order the rows"),
        (["01/02/2024", "03/04/2024", "05/06/2024"], "whether the day or the month"),
        (["1", "", "3"], "empty or cannot be read, such as row 2"),
        (["1", "inf", "3"], "cannot be ordered, such as in row 2"),
        (["7", "7", "7"], "same value in every row"),
    ],
)
def test_what_does_not_order_the_rows_is_refused(texts, said):
    with pytest.raises(DataError, match=said):
        order_values(np.array(texts * 3, dtype=object), "when")


def test_copies_of_given_test_rows_are_put_aside(table, cache, tmp_path):
    copies = write(tmp_path / "copies.csv", HEADER, [*rows_of(0)[:60], *rows_of(5, 4)])
    done = tame_here("check", table, "--target", "label", "--test", copies, "--json", cache=cache)
    said = json.loads(done.stdout)
    found = {each["code"]: each for each in said["findings"]}
    begin = shlex.split(said["next"][0]["command"])
    assert begin[:3] == ["tame", "fit", str(table)]
    assert begin[begin.index("--test") + 1] == str(copies)
    assert found["leak"]["severity"] == "problem"
    assert "60 rows outside the test part also found inside it" in found["leak"]["title"]
    assert found["duplicate_rows"]["evidence"]["rows"] == 120


@pytest.mark.slow
def test_groups_stay_on_one_side_and_too_few_are_refused(cache, tmp_path):
    rows = [[*r, f"p{i // 5}" if i % 7 else ""] for i, r in enumerate(rows_of(0))]
    path = write(tmp_path / "who.csv", (*HEADER, "who"), rows)
    study = tmp_path / "study"
    done = tame(
        "fit", path, "--target", "label", "--groups", "who", "--folds", "3", *SMALL, "--out", study, cache=cache
    )
    assert done.returncode == 0, done.stderr
    sides: dict[str, set[tuple[str, str]]] = {}
    with (study / "split.csv").open(newline="") as file:
        for each in csv.DictReader(file):
            who = rows[int(each["id"].rsplit(":", 1)[1]) - 2][4]
            sides.setdefault(who, set()).add((each["part"], each["fold"]))
    assert all(len(own) == 1 for own in sides.values())
    few = write(tmp_path / "few.csv", (*HEADER, "who"), [[*r, "ab"[i % 2]] for i, r in enumerate(rows_of(0))])
    done = tame_here("check", few, "--target", "label", "--groups", "who", cache=cache)
    assert done.returncode == 3
    assert "2 groups of 'who'" in done.stderr


def test_equal_rows_of_different_groups_stay_together(table):
    rows = read_rows(StudyConfig(data=str(table), target="label")).rows
    num = len(rows.values)
    eight = np.arange(num) // 8 * 8  # the row that each is made equal to
    table_of_copies = replace(rows.table, values={name: own[eight] for name, own in rows.table.values.items()})
    who = np.array([f"p{row // 4}" for row in range(num)], dtype=object)
    own = replace(rows, beside={"who": who}, table=table_of_copies)
    opened = split_rows(own, StudyConfig(data=str(table), target="label", groups="who"), kind="table")
    assert len(np.unique(opened.groups)) == num / 8
    assert not opened.data.twins


# Settings


@pytest.mark.parametrize(
    ("fixed", "said"),
    [
        ({"input.size": 96}, "pictures"),
        ({"model.hidden": 64}, "heads on a backbone"),
        ({"own.x": 3}, "a model of your own"),
        ({"optimizer.name": "rmsprop", "optimizer.momentum": 0.5}, "rmsprop does not use it"),
        ({"loss.gamma": 3.0}, "focal would"),
        ({"schedule.name": "cosine", "schedule.power": 3.0}, "polynomial would"),
        ({"then.lr": 0.1}, "then.start"),
        ({"then.start": 0.5, "then.optimizer": "sgd", "then.momentum": 0.5}, "sgd does not use it"),
        ({"model.name": "linear", "model.dropout": 0.3}, "no hidden layers"),
        ({"model.depth": 0, "model.width": 8}, "from 1 on"),
        ({"table.numbers": "plain", "table.bins": 8}, "'piecewise' uses it"),
    ],
)
def test_a_setting_that_nothing_uses_is_refused_with_what_would_use_it(fixed, said):
    base = Recipe().but({"model.name": "mlp"})
    with pytest.raises(UsageError, match=said):
        refuse_unused([base.but(fixed)], sorted(fixed), uses=TABLES.uses)


def test_a_setting_that_one_of_the_recipes_uses_is_obeyed():
    base = Recipe().but({"model.name": "mlp", "schedule.power": 3.0, "then.lr": 0.1})
    others = [base.but({"schedule.name": "polynomial"}), base.but({"then.start": 0.5})]
    refuse_unused([base, *others], ["schedule.power", "then.lr", "model.dropout", "loss.costs"], uses=TABLES.uses)
    with pytest.raises(
        UsageError, match=r"augment\.noise would have no effect: this kind of data is trained on as it is"
    ):
        refuse_unused([base.but({"augment.noise": 0.1})], ["augment.noise"], uses={"table"})
    with pytest.raises(UsageError, match=r"augment\.noise would have no effect: .* in its forward\(\)"):
        refuse_unused([base.but({"augment.noise": 0.1})], ["augment.noise"], uses={"own"})
    refuse_unused([base.but({"model.name": "linear"})], ["model.dropout"], uses=TABLES.uses)  # 0 asks for nothing


def test_a_useless_setting_is_refused_before_anything_is_trained(table, cache, tmp_path):
    done = tame("fit", table, "--target", "label", "--space", "schedule.power=1..3", *SMALL, cache=cache, cwd=tmp_path)
    assert done.returncode == 2
    assert "schedule.power would have no effect" in done.stderr
    assert list(tmp_path.iterdir()) == []


# The clock


@pytest.mark.slow
def test_a_plan_where_nothing_limits_the_study_is_for_five_minutes(table, cache, tmp_path):
    done = tame("plan", table, "--target", "label", "--json", cache=cache, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    forecast = json.loads(done.stdout)["forecast"]
    assert forecast["clock_s"] == 300
    assert 100 < forecast["search_until_s"] < 300


def test_a_clock_that_is_too_short_trains_nothing_and_says_how_to_go_on(table, cache, tmp_path):
    study = tmp_path / "short"
    done = tame("fit", table, "--target", "label", "--time", "1s", "--quiet", "--out", study, cache=cache)
    assert done.returncode == 5
    assert done.stdout == ""
    assert "would be enough on this machine" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (study / "model").exists()
    if not study.exists():  # the clock ended before there was a plan, so nothing is left behind
        assert "start again with --time" in done.stderr
        return
    assert f"tame resume {study} --time" in done.stderr
    assert tame("resume", study, "--quiet", cache=cache).returncode == 5, "it has no more time than before"


# Prediction


def test_predictions_are_what_was_scored_however_the_columns_lie(finished, table, cache, tmp_path):
    study, result = finished
    rows = rows_of(0)
    shuffled = write(
        tmp_path / "good.csv", ("color", "extra", "beta", "alpha"), [(r[2], "x", r[1], r[0]) for r in rows]
    )
    alone = tmp_path / "alone"
    shutil.copytree(study / "model", alone)
    said = {}
    for model, path in ((study, table), (alone, shuffled)):
        done = tame_here("predict", model, path, "--json", cache=cache)
        assert done.returncode == 0, done.stderr
        said[path] = json.loads(done.stdout)["predictions"]
    assert said[table] == said[shuffled]
    assert len(said[table]) == len(rows)
    label = {each["input"]: each["label"] for each in said[table]}
    with (study / "split.csv").open(newline="") as file:
        sealed = [each["id"] for each in csv.DictReader(file) if each["part"] == "test"]
    right = [label[name] == rows[int(name.rsplit(":", 1)[1]) - 2][3] for name in sealed]
    assert sum(right) / len(right) == pytest.approx(result["score"]["value"])


def test_trees_are_trained_and_judged_on_the_rows_of_the_winner(finished, table):
    study, result = finished
    with table.open(newline="") as file:
        lines = list(csv.DictReader(file))
    colors = np.unique([row["color"] for row in lines], return_inverse=True)[1]
    x = np.column_stack([[float(row[name]) for row in lines] for name in ("alpha", "beta")] + [colors])
    y = np.array([row["label"] for row in lines])
    with (study / "split.csv").open(newline="") as file:
        is_test = np.array([row["part"] == "test" for row in csv.DictReader(file)])
    model = HistGradientBoostingClassifier(categorical_features=[False, False, True], early_stopping=False)
    right = model.fit(x[~is_test], y[~is_test]).predict(x[is_test]) == y[is_test]
    trees = result["baselines"]["trees"]
    assert (trees["n"], trees["value"]) == (is_test.sum(), pytest.approx(right.mean()))
    assert trees["how"].startswith("gradient boosting of the same rows by scikit-learn, 100 iterations")
    assert trees["difference"]["value"] == pytest.approx(result["score"]["value"] - right.mean())
    page = (study / "report.html").read_text()
    assert page.count("gradient boosting (scikit-learn)") == 1


def test_what_has_no_trees_refuses_them(folder):
    def of(data, **more):
        return kind_of(StudyConfig(data=data, baseline="trees", **more))

    texts = folder / "texts"
    for name in ("a", "b"):
        (texts / name).mkdir(parents=True)
        (texts / name / "x.txt").write_text(f"all about {name}")
    for data, more in (
        (str(texts), {}),
        (str(texts), {"task": LANGUAGE, "backbone": "x"}),
        (ARRAYS, {"model": INLINE}),
    ):
        with pytest.raises(UsageError, match=r"trees are a baseline for tables .*leave out --baseline"):
            of(data, **more)
    assert of(ARRAYS).name == "arrays"
    notes = stream(0, "words").integers(0, 1000, (60, 8))
    rows = [[" ".join(f"w{n}" for n in note), "yn"[i % 2]] for i, note in enumerate(notes)]
    words = write(folder / "words.csv", ("note", "label"), rows)
    own = read_rows(StudyConfig(data=str(words), target="label", text="note"))
    with pytest.raises(UsageError, match="leave out --baseline"):
        split_rows(own.rows, StudyConfig(data=str(words), target="label", baseline="trees"), kind="table")


def test_what_is_odd_in_a_later_table_is_told_and_the_target_is_not_odd(finished, table, cache, tmp_path):
    study, _ = finished
    odd = write(tmp_path / "odd.csv", ("alpha", "color", "label"), [(r[0], "purple", r[3]) for r in rows_of(2, 3)])
    done = json.loads(tame_here("predict", study, odd, "--json", cache=cache).stdout)
    assert len(done["predictions"]) == 3
    assert len(done["notes"]) == 2, done["notes"]
    assert "'beta'" in done["notes"][0]
    assert "purple" in done["notes"][1]
    assert tame_here("predict", study, tmp_path / "none.csv", cache=cache).returncode == 2


# Killed


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["coordinator", "worker"])
def test_a_table_study_that_is_killed_ends_with_the_same_result(whom, finished, table, cache, tmp_path):
    whole_folder, whole = finished
    study = tmp_path / "killed"
    process = start("fit", table, "--target", "label", *SMALL, *TREES, "--out", study, cache=cache)
    mark = count_events(whole_folder) // 3
    wait_for(lambda: process.poll() is not None or count_events(study) >= mark)
    victim = process.pid if whom == "coordinator" else worker_of(process.pid)
    assert process.poll() is None, "it ended before it could be killed"
    assert victim is not None
    os.kill(victim, signal.SIGKILL)
    if whom == "coordinator":
        process.communicate()
        process = start("resume", study, "--json", "--quiet", cache=cache)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    result = json.loads(output)
    assert {key: result.get(key) for key in UNCHANGED} == {key: whole.get(key) for key in UNCHANGED}


@pytest.mark.slow
def test_a_table_that_changed_since_the_study_began_is_noticed(cache, tmp_path):
    own = write(tmp_path / "own.csv", HEADER, rows_of(3))
    study = tmp_path / "study"
    process = start("fit", own, "--target", "label", *SMALL, "--out", study, cache=cache)
    wait_for(lambda: count_events(study) >= 3)  # the data are on record
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    write(own, HEADER, rows_of(4))
    done = tame("resume", study, cache=cache)
    assert done.returncode == 3
    assert "changed since the study began" in done.stderr


def test_a_model_that_a_study_names_is_not_run_by_the_command_line(table, cache, tmp_path):
    """A study's folder may come from elsewhere: its word alone must not run code."""
    trap, sprung, study = tmp_path / "trap.py", tmp_path / "sprung", tmp_path / "hostile"
    trap.write_text(f"open({str(sprung)!r}, 'w')\n\n\ndef build():\n    pass\n")
    begin(StudyConfig(data=ARRAYS, model=f"{trap}:build", out=str(study)), Silent()).close()
    said = {}
    for arguments in (("resume", study), ("report", study), ("predict", study, table)):
        done = tame_here(*arguments, cache=cache)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1
        said[arguments[0]] = done.stderr
    assert "model=build" in said["resume"]
    assert not sprung.exists()


def start(*arguments, cache):
    return subprocess.Popen(
        [TAME, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "TAME_CACHE": str(cache)},
    )  # fmt: skip
