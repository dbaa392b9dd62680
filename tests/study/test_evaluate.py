"""What a finished study says of copies: nothing is better than guessing by them, and chance is told."""

from __future__ import annotations

import csv
import json
import random
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from command_line import tame_here
from tame.data.split import Sealed, Split
from tame.evaluate.score import Judged, measure
from tame.kinds.kind import Data
from tame.study.delivery import difference_of
from tame.study.evaluate import without_twins

SMALL = ("--trials", "1", "--epochs", "3", "--folds", "2", "--json", "--quiet")


def judged_on(num):
    rng = np.random.default_rng(0)
    outputs = rng.dirichlet([1, 1], size=num)
    return Judged(tuple(map(str, range(num))), rng.integers(0, 2, num), outputs, "binary")


def data_of(twins, num=60):
    split = Split(("test",) * num, (-1,) * num, 1, "")
    ids = tuple(map(str, range(num)))
    sealed = Sealed(tuple(range(num)), (0,) * num)
    return Data("table", "binary", "accuracy", ("a", "b"), ids, np.full(num, -1), split, sealed, twins=twins)


def test_the_score_is_told_with_and_without_twins():
    judged = judged_on(60)
    (found,) = without_twins(data_of(tuple(range(20))), judged, seed=0)
    rest = judged.only(np.arange(60) >= 20)
    assert found.evidence["with_twins"] == measure("accuracy", judged)
    assert found.evidence["without"] == measure("accuracy", rest) != found.evidence["with_twins"]
    assert (found.evidence["n"], found.evidence["n_without"], found.evidence["twins"]) == (60, 40, 20)
    assert f"without them {found.evidence['without']:.3g}" in found.title


def test_where_every_test_example_has_a_twin_that_is_said():
    (found,) = without_twins(data_of(tuple(range(60))), judged_on(60), seed=0)
    assert found.evidence["without"] is None
    assert "no test example is without a twin" in found.title
    assert without_twins(data_of(()), judged_on(60), seed=0) == []


@pytest.mark.slow
def test_rows_that_are_equal_by_chance_are_split_as_they_fall_and_both_scores_are_told(tmp_path):
    chance = random.Random(0)
    rows = [[chance.choice("abcd"), chance.choice("xyz"), chance.choice(["no", "yes"])] for _ in range(240)]
    rows += [[f"{number}?", "x", "no"] for number in range(4)] + [["solo", "z", "yes"]] * 2
    path = tmp_path / "few.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("one", "two", "label"), *rows])
    done = tame_here("fit", path, "--target", "label", *SMALL, "--out", tmp_path / "study", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    found = {each["code"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["equal_by_chance"]["evidence"]["rows"] == pytest.approx(240, abs=8)
    assert found["equal_by_chance"]["evidence"]["by_chance"] == pytest.approx(240, abs=12)
    told = found["score_without_twins"]["evidence"]
    assert told["twins"] + told["n_without"] == told["n"]
    assert found["label_conflict"]["severity"] == "warning"
    page = (tmp_path / "study" / "report.html").read_text()
    assert "chance alone gives about" in page


@pytest.mark.parametrize(("moved", "apart"), [(0.0, 0.0), (2e-6, 4e-6), (2e-3, 1.0)])
def test_a_delivered_model_may_settle_a_tie_otherwise_and_no_more(moved, apart):
    before = judged_on(6)
    near = np.where(np.arange(6) == 3, 0.5 + moved / 2, 0.9)
    scored = replace(before, outputs=np.stack([near, 1 - near], axis=1))
    near = np.where(np.arange(6) == 3, 0.5 - moved / 2, 0.9)
    loaded = replace(before, outputs=np.stack([near, 1 - near], axis=1))
    data = SimpleNamespace(task="binary")
    assert difference_of(data, scored, loaded) == pytest.approx(apart / 2 if apart < 1 else apart)
