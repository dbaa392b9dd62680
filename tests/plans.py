"""A plan for tests that need one and plan nothing."""

from __future__ import annotations

import math

from tame.adjust.searcher import SearchConfig
from tame.core.space import Space
from tame.monitor.case import Facts
from tame.study.plan import PAIR, Plan


def plain_plan(search: SearchConfig, space: Space, facts: Facts, **changes: object) -> Plan:
    """A plan of networks from scratch on two folds, but for some changes."""
    about: dict[str, object] = {
        "folds": (0, 1), "whole": True, "search_until_s": math.inf, "end_s": 4.5, "other_size_s": 0.0, "sizes": (),
        "tunes": False, "to_the_end": False, "epoch_s": None, "smallest": None, "speed": None, "pair": PAIR,
        "tuning_s": 0.0, "company_s": None, "inputs_s": 0.0, "reasons": {}, "words": "",
    }  # fmt: skip
    return Plan(search=search, space=space, facts=facts, **{**about, **changes})
