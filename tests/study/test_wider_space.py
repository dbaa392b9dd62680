"""A study that goes on in a wider space."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import tame
from made_results import of_table
from made_spaces import LR, linear
from tame.app import cli
from tame.app.run import fit_study
from tame.core.config import ARRAYS, INLINE, StudyConfig
from tame.core.errors import StoppedError, UsageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, decision_event
from tame.core.space import Choice, Float, Int, Space
from tame.data.arrays import read_arrays
from tame.kinds.arrays.source import keep_arrays
from tame.study.events import PlanEvent, event_of
from tame.study.session import begin, reopen
from tame.study.space import ask_for, asked_space, settle, space_of, widen
from tame.study.state import Silent, read_state

BEGUN = decision_event(Decision("start", 0, "the default recipe", until=1, recipe=Recipe(), origin="default"))
PLAN = {"base": Recipe().flat(), "space": Space({"optimizer.lr": LR, "model.hidden": Choice(0, 64)}).to_json()}


@pytest.fixture
def stopped(tmp_path):
    """The folder of a study that was stopped in its search."""
    folder = tmp_path / "study"
    with begin(StudyConfig(data="x", out=str(folder), set={"batch_size": 16}), Silent()) as study:
        study.keep(Event("plan", PLAN))
    return folder


def test_a_wider_space_is_an_event_with_its_reason_and_holds_from_then_on(stopped):
    with reopen(stopped, Silent()) as study:
        assert space_of(study.state) == Space.from_json(PLAN["space"])
        wider = space_of(study.state).widened("optimizer.lr", high=1.0)
        assert widen(study, wider, reason="on its edge", evidence={"best": [0.1]}) == wider
        assert event_of(study.state.space).data == {
            "space": wider.to_json(),
            "reason": "on its edge",
            "evidence": {"best": [0.1]},
        }
        with pytest.raises(UsageError, match=r"it was optimizer.lr=0.0001\.\.1.0:log"):
            widen(study, Space.from_json(PLAN["space"]), reason="smaller")
        widen(study, wider, reason="the same again")
    _, state = read_state(stopped)
    assert state.space.reason == "on its edge"
    assert space_of(state).dimensions["optimizer.lr"] == Float(1e-4, 1, log=True)
    assert state.plan == PlanEvent(**PLAN), "the plan stays as it was made"


def test_what_a_resume_asks_for_waits_until_the_study_has_checked_it(stopped):
    ask_for(stopped, ["optimizer.lr=1e-5..1:log", "model.hidden=0|64|256"])
    ask_for(stopped, ["model.depth=1..4", "model.hidden=0|64|128"])
    with reopen(stopped, Silent()) as study:
        assert space_of(study.state).dimensions["optimizer.lr"] == LR, "not checked yet"
        asked_for = asked_space(study)
        assert asked_for.dimensions == {
            "optimizer.lr": Float(1e-5, 1, log=True), "model.hidden": Choice(0, 64, 128), "model.depth": Int(1, 4),
        }  # fmt: skip
        settle(study, asked_for)
        assert asked_space(study) is None
        assert space_of(study.state) == asked_for
        assert study.state.space.reason == "asked for on resume"
    ask_for(stopped, ["model.width=8..16"])
    with reopen(stopped, Silent()) as study:
        settle(study, asked_space(study), problem="a head has no width")
        assert asked_space(study) is None
        assert space_of(study.state) == asked_for
        assert study.state.space_asked.outcome == "refused: a head has no width"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["optimizer.lr=1e-3..1:log"], r"leaves values out; it was optimizer.lr=0.0001\.\.0.1:log"),
        (["model.hidden=0|128"], r"it was model.hidden=0\|64"),
        (["optimizer.lr=1e-5..1:log if model.hidden=64"], "would be active in fewer cases"),
        (["batch_size=8..64"], "batch_size is fixed in this study with --set"),
        (["model.depth=1..4 if model.hidden=32"], "which it never is in this space"),
        (["schedule.drops=1..4 if schedule.name=step"], "which it never is in this space; it is cosine"),
        (["optimizer.l=1..2"], "did you mean 'optimizer.lr'"),
        (["optimizer.lr@sgd=1..2"], "the label of optimizer.lr@sgd is not a value"),
        (["optimizer.lr"], "cannot read the space"),
    ],
)
def test_a_resume_does_not_take_what_no_study_can_search(stopped, texts, words):
    with pytest.raises(UsageError, match=words):
        ask_for(stopped, texts)
    assert read_state(stopped)[1].space_asked is None


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Event("result", of_table()[0])], "is finished; start another study with this space"),
        ([BEGUN, Event("finalists", {"trials": [0]})], "the search of .* has ended"),
        ([Event("search_ended", {})], "the search of .* has ended"),
    ],
)
def test_a_study_whose_search_is_over_takes_no_wider_space(stopped, events, words):
    with reopen(stopped, Silent()) as study:
        study.keep(*events)
    with pytest.raises(UsageError, match=words):
        ask_for(stopped, ["model.depth=1..4"])


def test_a_study_without_a_plan_takes_no_wider_space(tmp_path):
    with begin(StudyConfig(data="x", out=str(tmp_path / "study")), Silent()):
        pass
    with pytest.raises(UsageError, match="was stopped before its search started"):
        ask_for(tmp_path / "study", ["model.depth=1..4"])


def test_the_command_line_says_what_the_range_was(stopped, monkeypatch, capsys):
    file = stopped.parent / "wider.toml"
    file.write_text('"optimizer.lr" = {low = 1e-3, high = 1.0, log = true}')
    for text in (str(file), "optimizer.lr=1e-3..1:log"):
        monkeypatch.setattr(
            sys, "argv", ["tame", "resume", str(stopped), "--space", "model.depth=1..4", "--space", text]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert "tame: the space of optimizer.lr may grow but not shrink" in said
        assert "it was optimizer.lr=0.0001..0.1:log" in said


X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


class StopsSoon(Silent):
    """Someone who stops a study once its first trials are trained."""

    def history(self, history):
        if history.trials:
            raise StoppedError("enough")


def stopped_in_its_search(folder, *space, trials=20, search="auto"):
    arrays = read_arrays(X, Y)
    config = StudyConfig(
        data=ARRAYS, model=INLINE, out=str(folder), trials=trials, epochs=1, folds=2, set={"batch_size": 30},
        space=space, widen=False, search=search,
    )  # fmt: skip
    with pytest.raises(StoppedError):
        fit_study(config, StopsSoon(), keep=lambda to: keep_arrays(arrays, "auto", to, plain=True), build=linear)
    return read_state(folder)[1]


def test_a_study_searches_a_rate_for_each_optimizer(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    texts = ("optimizer.name=adamw|momentum", "optimizer.lr@momentum=0.5..0.9:log", "own.bias=true|false")
    state = stopped_in_its_search(tmp_path / "study", *texts)
    space = space_of(state)
    assert space.dimensions["optimizer.lr"].when == {"optimizer.name": ("adamw",)}
    drawn = [t.recipe for t in state.history.trials.values() if t.origin not in ("default", "portfolio")]
    assert {recipe.optimizer.name for recipe in drawn} == {"adamw", "momentum"}
    for recipe in drawn:
        assert space.holds(recipe.flat())
        assert (recipe.optimizer.lr >= 0.5) == (recipe.optimizer.name == "momentum")
    with pytest.raises(UsageError, match=r"only if optimizer\.name is lion, .* it is adamw"):
        stopped_in_its_search(tmp_path / "other", "optimizer.lr@lion=0.5..0.9 if optimizer.name=lion")


def test_a_study_that_was_stopped_goes_on_in_a_wider_space(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    first = stopped_in_its_search(folder, "optimizer.lr=0.01..0.02:log", "own.bias=true|false")
    with pytest.raises(UsageError, match=r"it was optimizer\.lr=0\.01\.\.0\.02:log"):
        tame.resume(folder, model=linear, space=("optimizer.lr=0.015..0.02:log",), quiet=True)
    with pytest.raises(UsageError, match=r"schedule\.power would have no effect"):
        tame.resume(folder, model=linear, space=("schedule.power=1..3",), quiet=True)
    assert "refused" in read_state(folder)[1].space_asked.outcome
    wider = {"optimizer.lr": Float(0.01, 10, log=True), "optimizer.momentum": Float(0.1, 0.8)}
    tame.resume(folder, model=linear, space=wider, quiet=True)
    state = read_state(folder)[1]
    assert 0 < len(first.history.trials) < 20
    assert state.space.reason == "asked for on resume"
    later = [t.recipe.optimizer for n, t in state.history.trials.items() if n not in first.history.trials]
    assert max(each.lr for each in later) > 0.02
    assert min(each.momentum for each in later) < 0.8
    with pytest.raises(UsageError, match="is finished; start another study"):
        tame.resume(folder, model=linear, space=wider, quiet=True)


def test_a_wider_space_in_which_nothing_would_begin_any_more_is_refused(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    state = stopped_in_its_search(
        folder, "optimizer.lr=0.01..0.02:log", "own.bias=true|false", search="random", trials=3
    )
    assert len(state.history.trials) == 3
    with pytest.raises(
        UsageError, match=r"all 3 recipes of .* have started, so none would use the wider space; .* --start-from"
    ):
        tame.resume(folder, model=linear, space=("optimizer.lr=0.001..0.1:log",), quiet=True)
