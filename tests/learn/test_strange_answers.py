"""Whatever is sent in place of an answer: it is refused in words or answered, and the process goes on."""

from __future__ import annotations

import dataclasses
import json
import math

import pytest

from made_ground import made_tutor
from tame.app.lessons import said
from tame.learn.answers import load
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


@pytest.fixture(scope="module")
def tutor():
    return made_tutor(examples=40)


@pytest.mark.parametrize("what", ASKED)
def test_strange_details_are_refused_or_answered(tutor, what):
    names, usual = [each.name for each in dataclasses.fields(ASKS[what][0])], GIVEN.get(what, {})
    for given in ({"nothing": 1}, *({**usual, name: each} for name in names for each in STRANGE)):
        json.dumps(said(tutor, {"what": what, "asked": given}), allow_nan=False)
