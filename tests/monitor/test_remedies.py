"""From a finding to a change of one field of the space, within its range; and the words for all other findings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import Finding
from tame.core.space import Float, Int, Space
from tame.monitor.remedies import CHANGES, REMEDIES, Lost, Narrowed, OnEdge, Widened, change_for, wider
from tame.monitor.rules import RULES
from tame.testing.remedy_laws import (
    LAWS,
    Example,
    it_changes_one_field_that_is_searched,
    it_stays_within_what_a_recipe_may_have,
    the_same_finding_suggests_the_same_change,
)

SPACE = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True), "model.width": Int(1, 64, log=True)})
EDGE = {"field": "optimizer.lr", "side": "high", "best_values": [0.1], "low": 1e-4, "high": 0.1, "compared": 20}


LOST = {"begun": 20, "lost": 9, "field": "optimizer.lr", "side": "high", "beyond": 9, "lost_beyond": 9, "bound": 0.01}


def found(code, evidence):
    return Finding(code, "as it was seen", "warning", evidence)


EXAMPLES = {
    "best_on_edge": Example(finding=found("best_on_edge", EDGE), space=SPACE),
    "infeasible": Example(finding=found("infeasible", LOST), space=SPACE),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("code", REMEDIES.names())
def test_every_remedy_keeps_the_laws(code, law):
    law(code, EXAMPLES[code])


def one_that_changes_what_is_fixed(recipe, finding, space):
    return Widened("batch_size", "high", 512)


def one_that_goes_too_far(recipe, finding, space):
    return Widened("optimizer.lr", "high", 1e9)


def one_that_leaves_nothing(recipe, finding, space):
    return Narrowed("optimizer.lr", "high", 1e-9)


def one_that_is_never_the_same(recipe, finding, space, count=iter(range(1, 9))):
    return Narrowed("optimizer.lr", "high", next(count) / 100)


@pytest.mark.parametrize(
    ("remedy", "law"),
    [
        (one_that_changes_what_is_fixed, it_changes_one_field_that_is_searched),
        (one_that_goes_too_far, it_stays_within_what_a_recipe_may_have),
        (one_that_leaves_nothing, it_stays_within_what_a_recipe_may_have),
        (one_that_is_never_the_same, the_same_finding_suggests_the_same_change),
    ],
)
def test_the_laws_find_a_planted_fault(remedy, law, monkeypatch):
    monkeypatch.setitem(REMEDIES._parts, "best_on_edge", remedy)
    with pytest.raises(AssertionError):
        law("best_on_edge", EXAMPLES["best_on_edge"])


def test_a_remedy_never_changes_what_the_user_fixed(monkeypatch):
    monkeypatch.setitem(REMEDIES._parts, "best_on_edge", one_that_changes_what_is_fixed)
    assert change_for(Recipe(), found("best_on_edge", EDGE), SPACE) is None


def test_every_remedy_has_words_for_people_and_every_rule_too():
    assert set(REMEDIES.names()) <= set(CHANGES)
    assert set(RULES.names()) <= set(CHANGES)


@pytest.mark.parametrize("code", [code for code in CHANGES if code not in REMEDIES.names()])
def test_a_finding_without_a_remedy_changes_nothing(code):
    assert change_for(Recipe(), found(code, EDGE), SPACE) is None


@given(low=st.floats(1e-6, 1e-2), factor=st.floats(1.1, 1e4), side=st.sampled_from(["low", "high"]))
def test_best_recipes_on_an_edge_ask_for_a_range_that_goes_on_beyond_it(low, factor, side):
    space = Space({"optimizer.lr": Float(low, low * factor, log=True)})
    change = change_for(Recipe(), found("best_on_edge", {**EDGE, "side": side}), space)
    assert change == Widened("optimizer.lr", side, wider("optimizer.lr", space.dimensions["optimizer.lr"], side))
    assert (change.to < low) if side == "low" else (change.to > low * factor)


def test_a_range_that_no_recipe_may_leave_stays_and_that_is_told():
    edge = found("best_on_edge", {**EDGE, "field": "model.width", "side": "low", "low": 1, "high": 64})
    assert change_for(Recipe(), edge, SPACE) == Widened("model.width", "low", None)


def test_lost_recipes_beyond_a_bound_ask_to_stay_on_this_side_of_it():
    evidence = {"begun": 20, "lost": 9, "field": "optimizer.lr", "side": "high", "beyond": 9, "lost_beyond": 9}
    bound = change_for(Recipe(), found("infeasible", {**evidence, "bound": 0.01}), SPACE)
    assert bound == Narrowed("optimizer.lr", "high", 0.01)
    of_a_choice = {**evidence, "field": "model.norm", "side": "", "value": "none"}
    assert change_for(Recipe(), found("infeasible", of_a_choice), SPACE) is None
    assert change_for(Recipe(), found("infeasible", {"begun": 20, "lost": 9}), SPACE) is None, "whatever their settings"


def test_evidence_is_read_as_it_was_kept():
    assert OnEdge.of(found("best_on_edge", {**EDGE, "to": 1})).to == 1
    assert Lost.of(found("infeasible", {"first_after": 7})).first_after == 7
    with pytest.raises(StorageError, match="the evidence of best_on_edge is damaged"):
        OnEdge.of(found("best_on_edge", {"field": "optimizer.lr", "side": "middle"}))
