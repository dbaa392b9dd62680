"""TAME's own runs as recorded curves, lists of recipes selected from them, and the lists that are shipped."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from tame.adjust import portfolio, presets

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
EPOCHS, RECIPES = 2, 4
ALL = ("linear_few", "linear_noisy")
HEADS = ("drawn_easy_100", "pets_60")
SCRATCH = "vehicles_400"


@pytest.fixture(scope="module", autouse=True)
def benchmarks():
    """Benchmarks are scripts that import one another by their plain names."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def run(module, *arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    module.main()
    return json.loads(capsys.readouterr().out)


def record(out, *arguments, tasks=ALL, **fixtures):
    import own_pictures
    import own_runs
    import own_tables

    fixtures["monkeypatch"].setattr(own_tables, "JUDGED", 200)
    fixtures["monkeypatch"].setattr(own_pictures, "JUDGED", 16)
    size = ("--tasks", ",".join(tasks), "--recipes", RECIPES, "--epochs", EPOCHS, "--rows", 0.1)
    return run(own_runs, "--out", out, *size, *arguments, **fixtures)


def test_own_runs_are_read_as_recorded_curves_and_continue_where_they_stopped(
    shared, tmp_path, monkeypatch, capsys, one_thread
):
    import learn_portfolio

    out, fixtures = tmp_path / "own.npz", {"monkeypatch": monkeypatch, "capsys": capsys}
    said = record(out, **fixtures)
    assert (said["tasks"], said["recipes"], said["epochs"]) == (2, RECIPES, EPOCHS)
    suite = learn_portfolio.world().load(str(out))
    assert suite.tasks == sorted(ALL)
    assert (suite.num_epochs, suite.sign, suite.cube.shape) == (EPOCHS, -1.0, (RECIPES, len(suite.names)))
    assert ((suite.cube >= 0) & (suite.cube <= 1)).all()
    assert all(name.isidentifier() for name in suite.names)
    for task in suite.tasks:
        assert suite.valid[task].shape == (RECIPES, EPOCHS)
        assert np.isfinite(suite.valid[task]).all()
        assert len(np.unique(suite.valid[task][:, -1])) == RECIPES
    judged = suite.task("linear_few", budget_epochs=RECIPES * EPOCHS)
    for i in range(RECIPES):
        assert judged.nearest(judged.config(i)) == i
        judged.train(i, EPOCHS)
    assert judged.regret([RECIPES]) == [0.0]

    parts = {path: path.stat().st_mtime_ns for path in (tmp_path / "own.npz.parts").iterdir()}
    min(parts).unlink()
    before = out.read_bytes()
    record(out, **fixtures)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "own.npz.parts").iterdir()}
    assert set(kept) == set(parts)
    assert sum(kept[path] == parts[path] for path in parts) == 1
    with np.load(out) as again:
        for task in ALL:  # what is trained again is what it was
            np.testing.assert_array_equal(again[f"valid/{task}"], suite.valid[task])
        assert json.loads(str(again["changes"][0])) == {}
    assert out.read_bytes() == before

    listed = run(
        learn_portfolio, "--curves", out, "--length", 2, "--lead", "0", "--against", "0,1", "--last", **fixtures
    )
    assert listed["numbers"][0] == 0
    assert listed["changes"][0] == {}
    assert set(listed["leave_one_out"]["by_task"]) == set(ALL)


def test_heads_are_recorded_as_tables_are_and_files_of_the_same_recipes_are_taken_together(
    shared, tmp_path, monkeypatch, capsys, one_thread
):
    import learn_portfolio

    outs, fixtures = [tmp_path / f"{name}.npz" for name in HEADS], {"monkeypatch": monkeypatch, "capsys": capsys}
    for out, name in zip(outs, HEADS, strict=True):
        said = record(out, "--kind", "heads", tasks=[name], **fixtures)
        assert (said["kind"], said["tasks"], said["recipes"]) == ("heads", 1, RECIPES)
        suite = learn_portfolio.world().load(str(out))
        assert suite.valid[name].shape == (RECIPES, EPOCHS)
        assert len(np.unique(suite.valid[name][:, -1])) == RECIPES
    how = ("--length", 3, "--lead", "0", "--among", "2,3", "--against", "0,1")
    listed = run(learn_portfolio, "--curves", *outs, *how, **fixtures)
    assert set(listed["leave_one_out"]["by_task"]) == set(listed["learnt_from"]) == set(HEADS)
    assert listed["numbers"][0] == 0
    assert sorted(listed["numbers"]) == [0, 2, 3]
    with pytest.raises(SystemExit, match="both have the task"):
        run(learn_portfolio, "--curves", outs[0], outs[0], **fixtures)


def test_networks_from_scratch_are_recorded_one_by_one_and_do_not_affect_each_other(
    shared, tmp_path, monkeypatch, capsys, one_thread
):
    import learn_portfolio

    outs, fixtures = (
        [tmp_path / f"{name}.npz" for name in ("four", "two")],
        {"monkeypatch": monkeypatch, "capsys": capsys},
    )
    for out, more in zip(outs, ((), ("--recipes", 2)), strict=True):
        said = record(out, "--kind", "scratch", *more, tasks=[SCRATCH], **fixtures)
        assert (said["kind"], said["tasks"]) == ("scratch", 1)
    four, two = (learn_portfolio.world().load(str(out)).valid[SCRATCH] for out in outs)
    assert (four.shape, two.shape) == ((RECIPES, EPOCHS), (2, EPOCHS))
    assert len(np.unique(four[:, -1])) == RECIPES
    np.testing.assert_array_equal(four[:2], two)


def test_sets_of_pictures_repeat_by_seed_and_are_judged_on_held_out_pictures(shared):
    from own_pictures import TASKS

    drawn = {name: TASKS[name].draw(0, 0.1) for name in ("uneven_200", "ten_wrong_600", "ten_4000")}
    assert len({own.digest() for own in drawn.values()}) == len(drawn)
    assert TASKS["uneven_200"].draw(0, 0.1).digest() == drawn["uneven_200"].digest()
    assert TASKS["uneven_200"].draw(1, 0.1).digest() != drawn["uneven_200"].digest()
    for name, own in drawn.items():
        trained, judged = ({own.digests[i] for i in np.flatnonzero(own.fold == fold)} for fold in (-1, 0))
        assert not trained & judged, name
        assert len(own.pixels) == len(own.digests) == len(own.target) == len(own.fold)
        assert set(own.target.tolist()) == set(range(own.num_classes)), name
    uneven = drawn["uneven_200"]
    shares = [np.bincount(uneven.target[uneven.fold == fold]) / (uneven.fold == fold).sum() for fold in (-1, 0)]
    np.testing.assert_allclose(*shares, atol=0.01)
    wrong = drawn["ten_wrong_600"]
    assert 0.1 < (wrong.target != np.repeat(np.arange(10), len(wrong.target) // 10)).mean() < 0.3


def test_a_list_is_selected_greedily_and_not_from_the_task_it_is_judged_on():
    from learn_portfolio import BUDGETS, compared, cover

    table = np.array([[0.3, 0.0, 1.0, 2.0], [0.3, 2.0, 0.0, 2.0], [0.3, 0.1, 0.9, 0.0]])
    assert cover(table, 3)[0] == 0
    assert cover(table, 2, lead=[3]) == [3, 2]
    assert cover(table, 9, lead=[2, 1])[:2] == [2, 1]
    assert sorted(cover(table, 9)) == [0, 1, 2, 3]
    assert cover(table[:1], 1) == [1]
    assert cover(table[1:], 4) == [2, 3, 0, 1]  # nothing is left to take after two: the least mean regret goes first
    assert cover(table, 9, lead=[3], among=[1, 0]) == [3, 0, 1]
    found = compared(table[:2], ["a", "b"], [0], 1)
    assert found["by_task"]["a"]["learnt"] == [1.0] * len(BUDGETS)  # the best of b, which is the worst but one of a
    assert found["by_task"]["b"]["learnt"] == [2.0] * len(BUDGETS)
    assert found["given"] == [0.3] * len(BUDGETS)


def test_tables_repeat_by_seed_are_varied_and_hold_more_to_judge_on_than_noise():
    from own_tables import TASKS

    drawn = {name: task.draw(0, 0.1) for name, task in TASKS.items()}
    kinds = [own.task for own in drawn.values()]
    assert {kind: kinds.count(kind) >= 5 for kind in kinds} == dict.fromkeys(
        ("binary", "multiclass", "regression"), True
    )
    assert len({own.digest() for own in drawn.values()}) == len(drawn)
    for name in ("mixed", "wine", "digits"):
        assert TASKS[name].draw(0, 0.1).digest() == drawn[name].digest()
    assert TASKS["mixed"].draw(1, 0.1).digest() != drawn["mixed"].digest()
    for name, own in drawn.items():
        assert all(len(column) == len(own.fold) for column in own.columns.values()), name
        assert own.target in own.columns, name
        assert (own.fold >= 0).sum() >= 150, name
        assert own.num_own >= 50, name
    assert np.isnan(drawn["mixed"].columns["x0"]).any()


@pytest.mark.parametrize("name", ["tables", "heads", "scratch"])
def test_recipes_repeat_and_each_is_another_change_of_the_default(name):
    from own_runs import KINDS, numbered, recipes

    kind = KINDS[name]
    found = recipes(kind, 8, epochs=3, seed=0)
    assert found == recipes(kind, 8, epochs=3, seed=0)
    assert found[0] == {}
    base, known = kind.preset(2000, task="binary", epochs=3, seed=0).base, kind.known
    assert [base.but(own).key() for own in found[1 : 1 + len(known)]] == [base.but(own).key() for own in known]
    assert len({base.but(own).key() for own in found}) == len(found)
    names, values, logs = numbered(kind, found)
    assert values.shape == (len(found), len(names)) == (len(found), len(logs))
    assert len(np.unique(values, axis=0)) == len(found)


@pytest.mark.parametrize("kind", ["heads", "tables", "scratch", "own"])
def test_a_shipped_list_lies_in_the_space_that_is_searched_after_it(kind):
    found = presets.known(kind)
    for tried in found.portfolio:
        for name, value in tried.changes.items():
            assert name not in found.space or found.space[name].dimension.holds(value), (kind, name, value)


@pytest.mark.parametrize("kind", ["heads", "tables"])
def test_a_selected_list_says_where_each_recipe_comes_from(kind):
    tried = presets.known(kind).portfolio
    assert len(tried) >= 5
    assert all(each.source for each in tried)


def test_few_and_many_pictures_have_lists_of_their_own():
    few, many = (portfolio.heads((96,), num, epochs=None, seed=1, crop=1.0) for num in (200, 2000))
    assert not [each for each in few.portfolio if each in many.portfolio]
    assert not any("model.hidden" in each for each in few.portfolio), "it is not searched for few pictures"
    assert all(each["model.hidden"] for each in many.portfolio)


@pytest.mark.parametrize("name", ["tables", "heads", "scratch"])
def test_the_shipped_list_can_be_recorded_alone(name):
    from own_runs import KINDS, shipped

    found, listed = shipped(KINDS[name]), presets.known(name).portfolio
    assert found[0] == {}
    assert len(found) == len(listed) + 1
    for own, tried in zip(found[1:], listed, strict=True):  # pictures are seen at one size here
        assert own == dict(tried.changes)


def test_a_regression_leaves_the_smoothing_of_labels_as_it_is():
    numbers, classes = (portfolio.tables(3000, task=task, epochs=9, seed=1) for task in ("regression", "multiclass"))
    assert any("loss.label_smoothing" in each for each in classes.portfolio)
    assert not any("loss.label_smoothing" in each for each in numbers.portfolio)
    assert len(numbers.portfolio) == len(classes.portfolio) == len(numbers.reasons)
    only = presets.Known({}, (presets.Tried({"loss.label_smoothing": 0.1}, "so"),), {})
    assert presets.without(only, "loss.label_smoothing").portfolio == ()
