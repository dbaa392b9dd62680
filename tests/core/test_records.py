"""The fold from events to a history."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import StorageError
from tame.core.plain import JsonText
from tame.core.recipe import Recipe
from tame.core.records import (
    ORIGINS,
    Curve,
    Decision,
    Event,
    Fold,
    History,
    Point,
    Score,
    Trial,
    curve_event,
    decision_event,
    replay,
)  # fmt: skip

losses = st.none() | st.floats(0, 10)


@st.composite
def stories(draw):
    """Events of a study: trials that start, measure (some points twice), and are decided about."""
    events, started = [], 0
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["start", "curve", "decision", "state", "other"]))
        if kind == "start" or not started:
            recipe = Recipe().but({"seed": started})
            events.append(decision_event(Decision("start", started, "new", 3, recipe, "sobol")))
            started += 1
            continue
        trial = draw(st.integers(0, started - 1))
        if kind == "curve":
            first = draw(st.integers(1, 4))
            points = [Point(first + i, draw(losses), draw(losses), None) for i in range(draw(st.integers(1, 3)))]
            events.append(curve_event(trial, points))
        elif kind == "decision":
            what = draw(st.sampled_from(["continue", "pause", "stop", "complete"]))
            events.append(decision_event(Decision(what, trial, "so", draw(st.integers(0, 9)))))
        elif kind == "state":
            events.append(Event("trial_state", {"trial": trial, "state": draw(st.sampled_from(["failed", "running"]))}))
        else:
            events.append(Event("something else", {"trial": 99}))
    return events


@pytest.mark.parametrize("origin", [*ORIGINS, "a searcher of another package"])
def test_predicates_on_origins_agree_with_the_former_sets(origin):
    trial = Trial(0, Recipe(), origin, "")
    assert trial.is_searched == (origin not in {"finalist", "fine-tune", "imported", "remedy"})
    assert trial.is_remedy == (origin == "remedy")
    assert trial.may_be_delivered == (origin in ("finalist", "fine-tune"))
    assert trial.is_drawn == (origin in ("sobol", "random", "grid"))
    assert trial.was_given == (origin in ("default", "portfolio"))
    assert trial.is_independent == (origin in ("default", "portfolio", "sobol", "random", "grid"))
    assert (trial.is_default, trial.is_finalist) == (origin == "default", origin == "finalist")
    assert trial.is_fine_tuned == (origin == "fine-tune")
    kept = decision_event(Decision("start", 0, "", 1, Recipe(), origin))
    assert replay([kept]).trials[0].origin == origin


def test_a_damaged_decision_or_curve_is_named():
    for kind, data in (("decision", {"kind": "begin", "trial": 0, "reason": ""}), ("curve", {"trial": 0, "points": 1})):
        with pytest.raises(StorageError, match=rf"event 7 \({kind}\) is damaged"):
            History().after(Event(kind, data, id=7))


@given(stories())
def test_replaying_equals_continuing_and_events_survive_json(events):
    history = History()
    for i, event in enumerate(events):
        before = dict(history.trials)
        after = history.after(event)
        assert dict(history.trials) == before, "a history is a value"
        history = after
        assert history == replay(events[: i + 1])
    assert replay([Event(e.kind, json.loads(json.dumps(e.data))) for e in events]) == history


@given(stories(), st.data())
def test_a_fold_tells_the_same_however_often_it_is_asked_in_between(events, data):
    fold, given_out = Fold(), []
    for i, event in enumerate(events):
        fold.take(event)
        if data.draw(st.booleans()):
            given_out.append((i + 1, fold.history))
    assert fold.history == replay(events)
    assert fold.epochs == sum(trial.trained for trial in replay(events).trials.values())
    for taken, history in given_out:
        assert history == replay(events[:taken]), "what was given out does not change"


@given(stories())
def test_an_event_that_is_read_as_text_says_the_same(events):
    assert replay([Event(e.kind, JsonText(json.dumps(e.data))) for e in events]) == replay(events)


@pytest.mark.parametrize(
    ("kind", "data", "said"),
    [
        ("curve", {"trial": 8, "points": [[1, 1.0, 1.0, None]]}, "no earlier event begins trial 8"),
        ("curve", {"trial": 0, "points": [[1, 1.0]]}, "damaged"),
        ("curve", {"trial": 0, "points": [["1", 1.0, 1.0, None]]}, "damaged"),
        ("decision", {"kind": "pause", "trial": 8, "reason": ""}, "no earlier event begins trial 8"),
        ("decision", {"kind": "start", "trial": 1, "reason": ""}, "a start without a recipe"),
        (
            "decision",
            {"kind": "start", "trial": 1, "reason": "", "recipe": {"optimizer.lr": -1.0}},
            "optimizer.lr must",
        ),
        (
            "decision",
            {"kind": "copy", "trial": 1, "reason": "", "recipe": {}, "source": 8},
            "no earlier event begins trial 8",
        ),
        ("trial_state", {"trial": 8, "state": "failed"}, "no earlier event begins trial 8"),
        ("early_stop", {"trial": 8, "best": 1, "reason": ""}, "no earlier event begins trial 8"),
    ],
)
@pytest.mark.parametrize("of", [dict, lambda data: JsonText(json.dumps(data))])
def test_an_event_of_the_wrong_shape_is_named(kind, data, said, of):
    with pytest.raises(StorageError, match=rf"event 7 \({kind}\) is damaged.*") as raised:
        started().after(Event(kind, of(data), id=7))
    assert said in str(raised.value)


def test_half_a_surrogate_pair_in_a_stored_text_is_read():
    data = {"kind": "start", "trial": 0, "reason": "\ud800", "until": 1, "recipe": Recipe().flat(), "origin": "sobol"}
    assert replay([Event("decision", JsonText(json.dumps(data)))]).trials[0].reason == "\ud800"


@given(stories())
def test_a_curve_is_in_order_and_ends_where_a_loss_was_lost(events):
    for trial in replay(events).trials.values():
        epochs = [point.epoch for point in trial.curve.points]
        assert epochs == sorted(set(epochs))
        for point in trial.curve.points[:-1]:
            assert point.train_loss is not None
            assert point.valid_loss is not None


def started(until=5):
    return replay([decision_event(Decision("start", 0, "why", until, Recipe(), "default"))])


def test_a_loss_that_is_lost_ends_the_curve_and_the_trial():
    points = [Point(1, 1.0, 1.0, 0.5), Point(2, None, 1.0, 0.5), Point(3, 1.0, 1.0, 0.5)]
    trial = started().after(curve_event(0, points)).trials[0]
    assert trial.state == "diverged"
    assert trial.epochs == 2
    assert started().after(curve_event(0, [Point(1, 1.0, None, None)])).trials[0].state == "diverged"


def test_points_that_come_twice_count_once_and_the_last_one_holds():
    event = curve_event(0, [Point(1, 3.0, 3.0, 0.1), Point(2, 2.0, 2.0, 0.2)])
    once = started().after(event)
    assert once.after(event) == once
    corrected = once.after(curve_event(0, [Point(2, 1.5, 1.5, 0.3)]))
    assert corrected.trials[0].curve.points == (Point(1, 3.0, 3.0, 0.1), Point(2, 1.5, 1.5, 0.3))


def test_decisions_change_the_state_and_keep_the_reason_of_the_start():
    history = started()
    for kind, state in [("pause", "paused"), ("continue", "running"), ("stop", "stopped"), ("complete", "complete")]:
        trial = history.after(decision_event(Decision(kind, 0, "other", 9))).trials[0]
        assert (trial.state, trial.until, trial.reason, trial.origin) == (state, 9, "why", "default")
    assert history.after(decision_event(Decision("pause", 0, "other"))).trials[0].until == 5
    assert [t.number for t in history.having("running", "paused")] == [0]
    assert history.having("complete") == []


def test_curves_and_scores_are_plain_values():
    curve = Curve(tuple(Point(i, 1.0, 1.0, None) for i in (1, 2, 3)))
    assert curve.upto(2).last == Point(2, 1.0, 1.0, None)
    assert Curve().last is None
    assert json.loads(json.dumps(Score(0.5, 0.4, 0.6, 10, "how").to_json())) == {
        "value": 0.5, "low": 0.4, "high": 0.6, "n": 10, "how": "how",
    }  # fmt: skip
    assert Score(0.5, 0.4, 0.6, 10, "how", "few rows").to_json()["doubt"] == "few rows"
