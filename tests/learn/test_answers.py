"""Studies on which a lesson is hard to give, and answers of all kinds: they are refused in words, or judged."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import replace

import pytest

from made_ground import made_ground, made_tutor
from tame.app.lessons import said
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.learn.answers import answer, load
from tame.learn.lesson import lessons
from tame.learn.numbers import numbers
from tame.learn.question import judge
from tame.learn.questions import questions
from tame.learn.seen import SeenTrial
from tame.learn.tutor import ASKS

load()
RUNS = {"runs": [{"lr": 0.1}, {"lr": 0.2}], "steps": 5}
GIVEN = {  # what can be asked; a question that is not here has no details that are needed
    "click": {"step": 0, "a": 1.0, "b": 0.0, "descents": RUNS}, "race": {"descents": RUNS, "order": [0, 1]},
    "descents": RUNS, "rate": {"lr": 0.1, "wanted": "rises"}, "fix": {"values": {}, "slider": "share", "to": 0.5},
    "sort": {"trial": 1, "answer": "good"}, "batches": {"bets": {"updates": 0, "examples": 1, "seconds": 1}},
    "line": {"y": 3.0}, "costs": {"costs": [[0, 1, 1], [1, 0, 1], [1, 1, 0]], "less": 0},
    "contest": {"situation": "noisy", "optimizer": "sgd"}, "derivative": {"seed": 0, "edge": "v1", "value": 0.5},
    "second_look": {"points": 3.0}, "few": {"place": 0}, "reading": {"examples": 10.0}, "destroy": {"factor": 1.0},
    "adapt": {"way": "adapters", "factor": 1.0, "steps": 5}, "which": {"pair": 0, "after": 0},
    "split": {"by": "groups"}, "read": {"answer": "good"}, "story": {"place": 0}, "change": {"change": "", "bet": ""},
    "found": {"place": 0, "answer": "matrix"}, "doctor": {"bet": ""}, "exam": {"bet": ""},
}  # fmt: skip
STRANGE = [
    None, True, -1, 10**19, 10**400, 1e308, 5e-324, math.nan, math.inf, "", "\ud800", "a" * 20_000, "1e999", [], {},
    [[]], [1, 1, 1], [None], [math.nan] * 3, [[10**400] * 3] * 3, [{"lr": 10**400}], [{"lr": 0.1}] * 13, {"a": 1},
]  # fmt: skip
SLOW = ("adapt", "which", "curves", "reading", "second_look", "few", "story")  # what they ask about is trained first
ASKED = [
    pytest.param(name, marks=pytest.mark.slow if name in SLOW else ())
    for name, (kind, _) in sorted(ASKS.items()) if dataclasses.fields(kind)
]  # fmt: skip


def trials(many, state="complete", *, loss=0.5):
    """Trials whose losses are one number, or none where they diverged."""
    points = tuple((epoch, loss, loss, None if loss is None else 0.6) for epoch in range(1, 7))
    flat = Recipe().flat()
    return tuple(
        SeenTrial(number=i, origin="sobol", state=state, recipe=flat, points=points[:1] if loss is None else points)
        for i in range(many)
    )


def seen(**changes):
    return replace(made_tutor().given, **changes)


ODD = {
    "no trial": seen(), "one trial": seen(trials=trials(1)), "all alike": seen(trials=trials(5)),
    "all diverged": seen(trials=trials(6, "diverged", loss=None)), "one class": seen(counts={"a": 60}),
    "no example counted": seen(counts={}, train=0, valid=0), "a regression": seen(task="regression", counts={}),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("own", lessons(), ids=lambda own: own.name)
def test_what_is_told_and_asked_has_answers(own, name):
    told = own.sentences(numbers(ODD[name]))
    assert not [each for each in told if "nan" in each or "{" in each]
    for question in questions(own.name, ODD[name], seed=1):
        assert judge(question, question.key).right


def test_a_study_whose_trials_all_diverged_has_curves_to_sort_and_the_population_to_search():
    tutor = made_tutor(seen=ODD["all diverged"], ground=made_ground())
    assert tutor.is_readable
    assert answer(tutor, "sort", {"trial": tutor.given.trials[0].number, "answer": "diverged"})["right"]
    assert not answer(tutor, "pool", {})["is_own"]


def test_a_study_whose_curves_are_all_of_one_kind_has_planted_faults_to_sort_beside_them():
    tutor = made_tutor(seen=ODD["all alike"], ground=made_ground())
    own = {each.number for each in tutor.given.trials}
    found = answer(tutor, "curves", {"first": "rate", "many": 6})
    assert found["is_mixed"]
    numbers_of = {each["trial"] for each in found["curves"]}
    assert numbers_of & own
    said = {number: answer(tutor, "sort", {"trial": number, "answer": "good"}) for number in numbers_of}
    assert len({each["verdict"] for each in said.values()}) >= 3
    assert all(("for this lesson" in each["evidence"]) == (number not in own) for number, each in said.items())


@pytest.mark.parametrize("what", ["network", "line"])
def test_other_examples_stand_in_where_there_are_no_two_inputs_and_it_is_said(what):
    asked = {} if what == "network" else {"y": 3.0}
    assert answer(made_tutor(), what, asked)["why"] == ""
    assert "stand in" in answer(made_tutor(inputs=1), what, asked)["why"]


def test_a_regression_gets_the_losses_of_numbers_and_is_refused_where_classes_are_needed():
    tutor = made_tutor(classes=0)
    assert answer(tutor, "rates", {})["loss"] == "mse"
    assert answer(tutor, "descents", {"runs": [{"lr": 0.1}]})["loss"] == "mse"
    for what, asked in (("margins", {}), ("before", {}), ("second_look", {"points": 3})):
        with pytest.raises(UsageError, match="classes"):
            answer(tutor, what, asked)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "", None, "three"])
@pytest.mark.parametrize(
    ("what", "asked"),
    [
        ("derivative", {"edge": "v1", "value": 0}), ("rate", {"lr": 0, "wanted": "rises"}),
        ("second_look", {"points": 0}), ("reading", {"examples": 0}), ("line", {"y": 0}), ("destroy", {"factor": 0}),
    ],
)  # fmt: skip
def test_answers_that_are_no_numbers_are_refused(what, asked, value):
    field = next(name for name in ("value", "lr", "points", "examples", "y", "factor") if name in asked)
    with pytest.raises(UsageError):
        answer(made_tutor(), what, {**asked, field: value})


@pytest.fixture(scope="module")
def few():
    return made_tutor(examples=40)


@pytest.mark.parametrize("what", ASKED)
def test_strange_details_are_refused_or_answered(few, what):
    names, usual = [each.name for each in dataclasses.fields(ASKS[what][0])], GIVEN.get(what, {})
    for given in ({"nothing": 1}, *({**usual, name: each} for name in names for each in STRANGE)):
        json.dumps(said(few, {"what": what, "asked": given}), allow_nan=False)


def test_a_trial_that_the_search_left_is_not_said_to_be_good():
    left = seen(trials=tuple(replace(each, state="paused") for each in trials(5)))
    tutor = made_tutor(seen=left, ground=made_ground())
    found = answer(tutor, "curves", {"many": 6})["curves"]
    assert found
    assert not {each["trial"] for each in found} & {each.number for each in left.trials}
    with pytest.raises(UsageError, match="no trial"):
        answer(tutor, "sort", {"trial": left.trials[0].number, "answer": "good"})
    assert "good" not in numbers(left)
