"""What a study keeps: each kind of event reads what it wrote, byte for byte, and older ones with what they lack."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from made_results import of_table
from tame.adjust.guard import Rest
from tame.app.importance import what_mattered_in
from tame.app.show import state_json, study_table
from tame.core.config import StudyConfig
from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Finding, Point, curve_event, decision_event, early_stop_event
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
from tame.study.state import STEPS, State, config_of, readable

SPACE = {"optimizer.lr": {"kind": "float", "low": 0.001, "high": 0.1, "log": True}}
SPEED = {"precision": "float32", "way": "fused", "batch_size": 8, "rate": 81.5, "size": 224}
# As the version before types wrote them: key by key in this order.
KEPT = {
    "opened": {"config": {"data": "x", "time_s": 30.0, "set": {"epochs": 3}}},
    "edited": {
        "edits": [
            {
                "id": "bee/1.jpg", "action": "label", "label": "wasp", "part": "test", "why": "", "when": "",
                "digest": "",
            }
        ],
        "sealed": ["bee/1.jpg"],
    },
    "clock": {"time_s": 31},
    "plan": {
        "base": {"epochs": 18, "batch_size": "all", "augment.flip": False}, "portfolio": [{"optimizer.lr": 0.1}],
        "fixed": ["epochs"], "space": SPACE, "left_out": [], "recipes": None,
        "trials": 9, "sizes": [224, 256], "search_until_s": None, "to_the_end": False, "epoch_s": None, "smallest": 224,
        "end_s": 4.5, "other_size_s": 0.0, "tunes": True, "speed": SPEED, "cohort": 12, "pair": 1.5, "company_s": 0.5,
        "inputs_s": 0.0, "reasons": {},
    },
    "set_up": {"wall_s": 0.25, "not_run": ["reach"]},
    "space": {"space": SPACE, "reason": "on its edge", "evidence": {"best": [0.1]}},
    "space_asked": {"texts": [], "outcome": "taken"},
    "asked": {"id": "0f", "what": "time", "seconds": 120},
    "answered": {"id": "0f", "done": True, "reason": "the search goes on for longer", "used_s": 3.5},
    "region": {"bounds": {"optimizer.lr": {"low": 1, "high": 0.5}}, "reason": "many diverged", "evidence": {}},
    "worth": {
        "epochs": 30, "recipes": 24, "whole": 3, "best": 0.25, "gain": None, "noise": 0.01, "marks": [[10, 0.5]],
        "below": 1,
    },
    "prescribed": {
        "code": "overfitting", "seen": "overfitting since epoch 9", "epoch": 40, "evidence": {"since_epoch": 9},
        "patient": 0, "beside": [0],
        "tried": [{"field": "model.dropout", "before": 0.0, "after": 0.3, "trials": [3], "is_free": False}],
        "epochs": 120,
    },
    "remedied": {
        "trial": 3,
        "outcomes": [
            {
                "trial": 3, "verdict": "helped", "kept": True,
                "difference": {"value": -0.4, "low": -0.5, "high": -0.3, "n": 100, "how": "paired", "verdict": "real"},
                "chance": 0.001,
            }
        ],
    },
    "search_ended": {"used_s": 12.5, "reason": "the time is used up", "worthless": False},
    "finalists": {"trials": [3, 0], "seeds": [7]},
    "more_seeds": {"seeds": [8, 9], "over": False},
    "priced": {"shape": "[{}]", "latency_s": 0.002, "size_bytes": 5000},
    "limits": {"limits": {"latency": "20ms"}},
    "tuning_judged": {
        "kept": True, "why": "kept",
        "difference": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 100, "how": "paired", "verdict": "real"},
        "trial": 0,
    },
    "more_data": {
        "found": {
            "metric": "log_loss",
            "points": [{"share": 0.5, "examples": 60, "networks": 2, "loss": 0.5, "low": 0.25, "high": 0.75}],
            "gain": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 100, "how": "", "verdict": "real"},
            "classes": [{"name": "a", "examples": 60, "recognised": [0.5], "gain": 0.5, "low": 0.25, "high": 0.75}],
            "epochs": 12, "why": "",
        }
    },
    "test_opened": {"n": 100, "trial": 31, "used_s": 20.0},
    "judgements": {
        "valid": {"n": 9, "wrong": 1, "mistakes": [[3, "wasp", 0.75]], "right": [[4, "bee", 0.5]]},
        "test": {"n": 0, "wrong": 0, "mistakes": [], "right": []},
        "odd": [[7, 1.5]],
    },
    "delivered": {"files": {"model.json": "ab"}, "checked": 64, "largest_difference": 0.0},
    "forecast": {
        "epoch_s": 0.5, "alone_s": 2.0, "mean_s": 0.6, "slower": 1.0, "recipes": 40, "whole": 5, "search_until_s": 25.0,
        "clock_s": 30, "all_s": None, "memory": {"needs": 1, "available": None}, "device": None,
        "features_s": {"224": 1.5}, "words": ["an epoch takes 0.5 s"],
    },
    "forecast_corrected": {"mean_s": 0.5, "recipes": 24, "whole": 0, "all_s": 7200.0},
    "measured": {"key": "12-table-cpu", "value": {"alone": 0.002, "together": {"4": 0.0005, "16": None}}},
    "how": {"trials": [0, 3], "how": {"stacked": True, "onednn": False, "half": False}},
    "engines": {"used": [{"group": "32x10", "members": 8, "engine": "stacked", "why": "faster"}]},
    "trained": {"trained_s": 1.5, "used_s": 2.5},
    "summary": {
        "base": {"epochs": 9}, "trials": [[0, "default", "paused", 3, 1.5, None, {}], [3, "sobol", "failed", 0, None,
                                                                                        None, {"epochs": 3}]],
    },
    "workers": {"workers": 2, "threads": 4, "gpus": ["0", "1"]},
    "worker_restarted": {"how": "killed"},
    "stopped": {"used_s": 3.5},
    "ended": {"why": "no time", "code": 5, "used_s": 4.5},
    "imported": {
        "source": "a.db", "kind": "optuna", "name": "one", "metric": "loss", "mode": "max", "names": {"lr": "own.lr"},
        "space": SPACE, "absent": {"optimizer.lr": [1]}, "left_out": 0, "notes": ["none"],
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
    for number in (0, 3):
        state.after(stored(decision_event(Decision("start", number, "first", 3, Recipe(), "default"))))
    for kind, data in KEPT.items():
        state.after(stored(Event(kind, data)))
        assert to_text(event_of(getattr(state, kind))) == to_text(Event(kind, data))
    assert set(EVENTS) < set(STEPS)
    assert state.openings == 1
    assert (state.trained_s, state.used_s, state.marks) == (1.5, 20.0, [(20.0, 0, 0)])


def test_a_kind_that_is_not_known_changes_nothing_but_the_time_that_is_used():
    state = State()
    state.after(Event("something new", {"used_s": 7.0, "plan": 1}))
    assert state == State(used_s=7.0)


def test_data_and_result_are_held_as_their_kinds_wrote_them():
    state = State()
    assert state.kind == "images", "the first studies did not say"
    state.after(Event("data", {"kind": "table", "digests": [], "counts": {}}))
    result, _ = of_table()
    state.after(Event("result", result))
    assert (state.kind, state.result) == ("table", result)


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


def events_of_a_study():
    """One event of every kind, in an order in which a study could keep them."""
    result, past = of_table()
    recipe = Recipe().but({"epochs": 9})
    points = [Point(epoch, 1.0, 1.0, 0.5) for epoch in (1, 2, 3)]
    trials = [
        decision_event(Decision("start", 0, "first", 3, recipe, "default")), curve_event(0, points),
        decision_event(Decision("copy", 1, "from it", 9, recipe, "copy", 0)), early_stop_event(0, 2),
        decision_event(Decision("start", 3, "next", 3, recipe, "sobol")),
        Event("trial_state", {"trial": 3, "state": "failed"}),
        decision_event(Decision("continue", 1, "on", 9)),
        Event("imported_trial", {"trial": 7, "recipe": recipe.flat(), "state": "complete", "points": [[1, 0.5, 0.5]],
                                 "kept": None, "reason": "row 1"}),
        Event("finding", finding().to_json()),
        Event("data", {"kind": "table", "digests": [], "counts": {"train": {"a": 3}}, "pairs": []}),
    ]  # fmt: skip
    kept = [Event(kind, data) for kind, data in KEPT.items() if kind not in ("imported", "opened")]
    opened = Event("opened", {"config": StudyConfig(data="x.csv", target="y").to_json()})
    return [stored(event) for event in (opened, *trials, *kept, Event("result", result))], past


def finding():
    columns = [{"column": "a", "evidence": "alone it has 0.99"}]
    return Finding("target_leak", "a column tells the target", "warning", {"columns": columns}, "leave it out")


ODD = (
    None,
    True,
    -1,
    0,
    3.5,
    10**12,
    10**400,
    -1e308,
    "",
    "zebra",
    "\x1b[2J",
    [],
    [None],
    [[]],
    {},
    {"a": None},
    "a" * 99,
)
GOOD, _ = events_of_a_study()


def places(value, path=()):
    """Every place in plain values, the whole included."""
    yield path
    if isinstance(value, dict):
        for key, own in value.items():
            yield from places(own, (*path, key))
    elif isinstance(value, list):
        for number, own in enumerate(value[:3]):
            yield from places(own, (*path, number))


def put(value, path, new):
    """A copy with another value at a place; ... takes the key away."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if len(path) == 1 and new is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = put(copy[path[0]], path[1:], new)
    return copy


def shown(events):
    """All that is said of a study to people and programs."""
    state = State()
    for event in events:
        state.after(event)
    config = config_of(state, Path("study"))
    console = Console(file=io.StringIO(), width=80)
    with readable(Path("study")):
        mattered = None if state.result is not None else what_mattered_in(state)
        console.print(study_table(state, mattered=mattered))
        console.print(study_table(state, mattered=mattered, summary=state.summary))
        json.dumps(state_json(Path("study"), config, state, mattered=mattered), allow_nan=False)
    return console.file.getvalue()


def test_a_study_with_every_kind_of_event_is_shown():
    assert "recipes" in shown(GOOD)
    assert {event.kind for event in GOOD} >= set(STEPS) - {"imported"}


@pytest.mark.sampled(20)
@pytest.mark.parametrize("number", range(len(GOOD)), ids=[event.kind for event in GOOD])
@given(data=st.data())
@settings(max_examples=60, suppress_health_check=list(HealthCheck))
def test_a_poisoned_event_is_named_or_changes_nothing_that_breaks(number, data):
    event = GOOD[number]
    path = data.draw(st.sampled_from([path for path in places(event.data) if path]))
    new = data.draw(st.sampled_from((*ODD, ...)))
    if new is ... and not isinstance(path[-1], str):
        new = None
    try:
        poisoned = from_text(json.dumps(put(event.data, path, new)))
        shown([*GOOD[:number], Event(event.kind, poisoned, id=number + 1), *GOOD[number + 1 :]])
        told = "its record is fine"
    except StorageError as problem:
        told = str(problem)
    assert re.search(r"event \d+ \(|its record|holds no config", told)


@pytest.mark.parametrize(
    ("kind", "data", "words"),
    [
        ("decision", {"kind": "continue", "trial": 99, "reason": ""}, "no earlier event begins trial 99"),
        ("decision", {"kind": "start", "trial": 99, "reason": ""}, "a start without a recipe|no earlier event"),
        ("decision", {"kind": "start", "trial": 5, "reason": "", "recipe": {"epochs": 0}}, "epochs must be"),
        ("decision", {"kind": "start", "trial": 0, "reason": "", "until": 1, "recipe": {}}, "trial 0 cannot start"),
        ("decision", {"kind": "start", "trial": 5, "reason": "", "until": 10**9, "recipe": {}}, "<= 100000.*until"),
        ("curve", {"trial": 99, "points": []}, "no earlier event begins trial 99"),
        ("curve", {"trial": 0, "points": [[1]]}, "length 4 to 5, got 1"),
        ("curve", {"trial": 0, "points": [[1.5, 1, 1, 1]]}, "got `float`"),
        ("curve", {"trial": 0, "points": [[0, 1, 1, 1]]}, ">= 1"),
        ("curve", {"trial": 0, "points": [[None, 1, 1, 1]]}, "got `null`"),
        ("curve", {"trial": 0, "points": [[4, 1, 1, 1, 1, 1]]}, "length 4 to 5, got 6"),
        ("curve", {"trial": 0, "points": [[4, 10**400, 1, 1]]}, ""),
        ("early_stop", {"trial": 0, "best": 44, "reason": ""}, "has not measured epoch 44"),
        ("trial_state", {"trial": 99, "state": "failed"}, "no earlier event begins trial 99"),
        ("trial_state", {"trial": 0, "state": "happy"}, "happy"),
        ("opened", {"config": {"data": 3}}, ""), ("opened", {"config": {"no such": 3}}, "no such"),
        ("limits", {"limits": {"latency": "20"}}, "needs a number and a unit"),
        ("priced", {"shape": "[{}]", "latency_s": -1, "size_bytes": 5}, "a price of -1"),
        ("clock", {"time_s": -3}, "a clock of -3"), ("plan", {"base": {"model.width": 10**9}}, "model.width"),
        ("plan", {"space": {"optimizer.lr": {}}}, ""), ("space", {"space": {"optimizer.lr": {"kind": "float"}}}, ""),
        ("space_asked", {"texts": ["lr"]}, ""), ("asked", {"what": "edit"}, "no edit, or one too many"),
        ("asked", {"what": "edit", "edit": {"id": "a", "action": "burn"}}, "burn"),
        ("region", {"bounds": {"optimizer.lr": {"above": 1}}}, "bounded by above"),
        ("how", {"trials": [0], "how": {"stacked": 1}}, "stacked"),
        ("finalists", {"trials": [99]}, "no earlier event begins trial 99"),
        ("finalists", {}, "there are no finalists"),
        ("trained", {"trained_s": 1e308}, r"it took 1e\+308 s"),
        ("opened", {"config": {"data": ""}}, "its data has no name"),
        ("opened", {"config": {"data": "x.csv", "target": ""}}, "its target has no name"),
        ("prescribed", {"patient": 0}, "a remedy has no trial"),
        ("prescribed", {"tried": [{"field": "epochs", "before": 1, "after": 2, "trials": []}]}, "has no trial"),
        ("prescribed", {"tried": [{"field": "epochs", "before": 1, "after": 2, "trials": [99]}]}, "begins trial 99"),
        ("remedied", {"trial": 0}, "no case is known by trial 0"),
        ("remedied", {"trial": 0, "outcomes": [{"trial": 99, "verdict": "helped"}]}, "begins trial 99"),
        ("remedied", {"trial": 0, "outcomes": [{"trial": 0, "verdict": "healed"}]}, "healed"),
        ("trained", {"trained_s": -1}, "less than no"),
        ("stopped", {"used_s": -1}, "used_s is -1"), ("engines", {"used": [{}]}, ""), ("data", {"pairs": 3}, "pairs"),
        ("data", {"counts": {}, "metric": "acuracy"}, "did you mean 'accuracy'"),
        ("result", {}, "the result"), ("finding", {"code": "x"}, ""),
    ],
)  # fmt: skip
def test_an_event_of_the_right_types_that_cannot_be_so_is_named(kind, data, words):
    state = State()
    for event in GOOD[:3]:
        state.after(event)
    with pytest.raises(StorageError, match=rf"event 44 \({kind}\) is damaged: .*({words})"):
        state.after(Event(kind, from_text(json.dumps(data)), id=44))


@pytest.mark.parametrize(
    "text", ["[]", "3", "null", '{"a": NaN}', '{"a": 1e999}', '{"a": -Infinity}', "{", "[" * 10_000]
)
def test_data_that_is_not_an_object_of_finite_numbers_is_refused(text):
    with pytest.raises((ValueError, RecursionError)):
        from_text(text)
