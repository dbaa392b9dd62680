"""What a study keeps: each kind of event reads what it wrote, byte for byte, and older ones with what they lack."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import MISSING, fields
from typing import get_args, get_type_hints

import pytest

from tame.adjust.guard import Rest
from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Point, curve_event, decision_event
from tame.store.protocol import from_text, to_text
from tame.study.events import (
    EVENTS,
    Clock,
    Delivered,
    EnginesUsed,
    FinalistsChosen,
    Forecast,
    ForecastCorrected,
    Imported,
    Memory,
    MoreSeeds,
    Opened,
    PlanEvent,
    Region,
    SearchEnded,
    SpaceKept,
    StudyEvent,
    Trained,
    TuningJudged,
    event_of,
    read_event,
)
from tame.study.state import STEPS, State

SPEED = {"precision": "float32", "way": "fused", "batch_size": 8, "rate": 81.5, "size": 224}
# As the version before types wrote them: key by key in this order.
KEPT = {
    "opened": {"config": {"data": "x", "time_s": 30.0, "set": {"epochs": 3}}},
    "clock": {"time_s": 31},
    "plan": {
        "base": {"epochs": 18, "batch_size": "all", "augment.flip": False}, "portfolio": [{"optimizer.lr": 0.1}],
        "fixed": ["epochs"], "space": {"optimizer.lr": {"kind": "float", "low": 1}}, "left_out": [], "recipes": None,
        "trials": 9, "sizes": [224, 256], "search_until_s": None, "to_the_end": False, "epoch_s": None, "smallest": 224,
        "end_s": 4.5, "other_size_s": 0.0, "tunes": True, "speed": SPEED, "cohort": 12, "pair": 1.5, "company_s": 0.5,
        "inputs_s": 0.0, "reasons": {},
    },
    "space": {"space": {"optimizer.lr": {}}, "reason": "on its edge", "evidence": {"best": [0.1]}},
    "space_asked": {"texts": [], "outcome": "taken"},
    "region": {"bounds": {"optimizer.lr": {"low": 1, "high": 0.5}}, "reason": "many diverged", "evidence": {}},
    "worth": {
        "epochs": 30, "recipes": 24, "whole": 3, "best": 0.25, "gain": None, "noise": 0.01, "marks": [[10, 0.5]],
        "below": 1,
    },
    "search_ended": {"used_s": 12.5, "reason": "the time is used up", "worthless": False},
    "finalists": {"trials": [3, 0], "seeds": [7]},
    "more_seeds": {"seeds": [8, 9], "over": False},
    "tuning_judged": {
        "kept": True, "why": "kept",
        "difference": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 100, "how": "paired", "verdict": "real"},
        "trial": 0,
    },
    "test_opened": {"n": 100, "trial": 31, "used_s": 20.0},
    "delivered": {"files": {"model.json": "ab"}, "checked": 64, "largest_difference": 0.0},
    "forecast": {
        "epoch_s": 0.5, "alone_s": 2.0, "mean_s": 0.6, "slower": 1.0, "recipes": 40, "whole": 5, "search_until_s": 25.0,
        "clock_s": 30, "all_s": None, "memory": {"needs": 1, "available": None}, "device": None,
        "features_s": {"224": 1.5}, "words": ["an epoch takes 0.5 s"],
    },
    "forecast_corrected": {"mean_s": 0.5, "recipes": 24, "whole": 0, "all_s": 7200.0},
    "engines": {"used": [{"group": "32x10", "members": 8, "engine": "stacked", "why": "faster"}]},
    "trained": {"trained_s": 1.5, "used_s": 2.5},
    "worker_restarted": {"how": "killed"},
    "stopped": {"used_s": 3.5},
    "ended": {"why": "no time", "code": 5, "used_s": 4.5},
    "imported": {
        "source": "a.db", "kind": "optuna", "name": "one", "metric": "loss", "mode": "max", "names": {"lr": "own.lr"},
        "space": {"optimizer.lr": {}}, "absent": {"optimizer.lr": [1]}, "left_out": 0, "notes": ["none"],
    },
}  # fmt: skip


def stored(event):
    """The event as a store gives it back."""
    return Event(event.kind, from_text(to_text(event)), id=3)


@pytest.mark.parametrize("kind", KEPT)
def test_an_event_is_written_back_byte_for_byte(kind):
    event = Event(kind, KEPT[kind])
    assert to_text(event_of(read_event(event))) == to_text(event)


def test_every_kind_of_event_has_its_law_here():
    assert set(KEPT) == set(EVENTS)
    assert set(get_args(StudyEvent)) == set(EVENTS.values())


@pytest.mark.parametrize("kind", ["finalists", "tuning_judged", "forecast_corrected", "plan"])
def test_what_says_nothing_is_left_out_of_the_events_that_leave_it_out(kind):
    sparse = EVENTS[kind].sparse
    less = {key: value for key, value in KEPT[kind].items() if key not in sparse}
    assert to_text(event_of(read_event(Event(kind, less)))) == to_text(Event(kind, less))


def test_what_is_0_or_empty_is_written_all_the_same():
    own = event_of(PlanEvent(inputs_s=0.0, reasons={})).data
    assert (own["inputs_s"], own["reasons"]) == (0.0, {})
    assert event_of(TuningJudged(kept=False, why="", trial=0)).data["trial"] == 0
    assert event_of(FinalistsChosen(over=True)).data["over"] is True


@pytest.mark.parametrize("kind", [kind for kind in EVENTS if kind not in ("clock", "space", "worth")])
def test_an_event_of_an_older_study_lacks_keys_and_is_read(kind):
    own = read_event(Event(kind, {}))
    needed = [each.name for each in fields(own) if each.default is each.default_factory is MISSING]
    assert needed == []
    assert read_event(Event(kind, {"something": "new"})) == own, "a key of a newer version changes nothing"


def test_older_studies_trained_all_their_seeds():
    assert read_event(Event("more_seeds", {"seeds": [1]})) == MoreSeeds(seeds=(1,), over=True)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("worth", {"epochs": "many"}, "worth"),
        ("plan", {"sizes": 224}, r"event 3 \(plan\) is damaged: .*sizes"),
        ("finalists", {"trials": [0, "best"]}, r"event 3 \(finalists\) is damaged: .*trials"),
    ],
)
def test_a_damaged_event_is_named_with_the_place(kind, data, words):
    with pytest.raises(StorageError, match=words):
        read_event(Event(kind, data, id=3))


def test_the_state_holds_the_last_event_of_each_kind_under_its_name():
    hints = get_type_hints(State)
    for kind, event in EVENTS.items():
        assert hints[kind] == event | None, kind
    state = State()
    for kind, data in KEPT.items():
        state.after(stored(Event(kind, data)))
        assert to_text(event_of(getattr(state, kind))) == to_text(Event(kind, data))
    assert set(EVENTS) < set(STEPS)
    assert state.openings == 1
    assert (state.trained_s, state.used_s, state.marks) == (1.5, 20.0, [(20.0, 0)])


def test_a_kind_that_is_not_known_changes_nothing_but_the_time_that_is_used():
    state = State()
    state.after(Event("something new", {"used_s": 7.0, "plan": 1}))
    assert state == State(used_s=7.0)


def test_data_and_result_are_held_as_their_kinds_wrote_them():
    state = State()
    assert state.kind == "images", "the first studies did not say"
    state.after(Event("data", {"kind": "table", "digests": []}))
    state.after(Event("result", {"schema": "tame/1"}))
    assert (state.kind, state.result) == ("table", {"schema": "tame/1"})


def test_where_a_trial_went_on_from_is_known_after_continue_and_copy():
    state, recipe = State(), Recipe().but({"epochs": 9})
    for event in (
        decision_event(Decision("start", 0, "first", 3, recipe, "default")),
        curve_event(0, [Point(epoch, 1.0, 1.0, None) for epoch in (1, 2, 3)]),
        decision_event(Decision("continue", 0, "on", 9)),
        decision_event(Decision("copy", 1, "from it", 9, recipe, "copy", 0)),
    ):
        state.after(stored(event))
    assert state.left_from == {0: 3, 1: 3}
    assert state.epochs == 3


def test_a_state_is_read_without_torch_and_without_the_worker():
    code = "import sys, tame.study.state; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in told if name.startswith(("torch", "sklearn", "tame.worker", "scipy.stats"))]


def test_values_are_what_they_were_made_of():
    assert event_of(Clock(time_s=31)).data == {"time_s": 31}
    assert isinstance(read_event(Event("clock", {"time_s": 31})).time_s, int)
    memory = Memory(2, 1)
    assert memory.is_short
    assert not Memory(2, None).is_short
    for value in (
        Opened(config={}), SpaceKept(space={}), Region(), SearchEnded(), Delivered(), Forecast(memory=memory),
        ForecastCorrected(), EnginesUsed(used=({"members": 1},)), Trained(), Imported(),
        Rest(1, 2, 3, 0.5, None, 0.1, ((1, 0.5),)),
    ):  # fmt: skip
        assert read_event(stored(event_of(value))) == value
