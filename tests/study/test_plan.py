"""The plan that a study works by is the one that it keeps."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np

from tame.core.recipe import Recipe
from tame.core.space import Float, Space
from tame.data.split import Sealed, Split
from tame.kinds.kind import Data
from tame.monitor.case import Facts
from tame.study.events import PlanEvent
from tame.study.plan import PAIR, Plan, plan_of

SPACE = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True)})
DATA = Data(
    "table", "binary", "accuracy", ("a", "b"), ("0", "1", "2"), np.array([0, 1, -1]),
    Split(("train", "train", "test"), (0, 1, -1), 2, ""), Sealed((2,), (0,)),
)  # fmt: skip
OWN = PlanEvent(
    base=Recipe().flat(), space=SPACE.to_json(), sizes=(64, 96), search_until_s=40.0, to_the_end=True, epoch_s=7.0,
    smallest=64, end_s=5.5, other_size_s=0.5, tuning_s=2.5, tunes=True, pair=3.0, company_s=2.5, inputs_s=1.5,
    reasons={"key": "why"},
)  # fmt: skip
FACTS = Facts(
    task="binary", num_classes=2, num_valid=2, metric="accuracy", higher_is_better=True, dummy=0.5, dummy_error=0.1,
    guess_loss=0.7,
)  # fmt: skip


def test_what_is_kept_of_a_plan_is_what_it_says():
    plan = plan_of(OWN, DATA, SPACE, FACTS)
    same = {field.name for field in fields(Plan)} & {field.name for field in fields(PlanEvent)} - {"space", "speed"}
    assert same >= {"sizes", "pair", "company_s", "inputs_s", "reasons", "epoch_s", "end_s", "other_size_s"}
    assert {name: getattr(plan, name) for name in same} == {name: getattr(OWN, name) for name in same}


def test_what_an_older_plan_does_not_say_has_its_one_default():
    plan = plan_of(PlanEvent(base=Recipe().flat(), space=SPACE.to_json()), DATA, SPACE, FACTS)
    assert (plan.pair, plan.inputs_s, plan.reasons, plan.search_until_s) == (PAIR, 0.0, {}, math.inf)
