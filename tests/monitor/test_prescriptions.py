"""From a finding to changes of a recipe: one field each, in range, in order, and never what the user fixed."""

from __future__ import annotations

import pytest

from tame.core.recipe import Recipe
from tame.core.records import Finding
from tame.core.space import Choice, Float, Space
from tame.monitor.prescriptions import (
    CURES,
    FOR,
    LEAST_PRECISION,
    Changed,
    Precision,
    changes_against,
    is_alike,
    is_treated,
    precisions,
)
from tame.monitor.rules import RULES
from tame.testing.remedy_laws import (
    CURE_LAWS,
    CureExample,
    it_changes_one_field_of_the_recipe,
    it_sets_neither_what_costs_more_nor_what_is_the_users,
    the_same_recipe_gets_the_same_change,
)

STEPS = 1000
PLAIN = Recipe().but({"model.name": "mlp", "model.width": 64, "epochs": 40})
REGULAR = PLAIN.but({"model.dropout": 0.4, "optimizer.weight_decay": 0.3, "loss.label_smoothing": 0.1})
EXAMPLES = {name: CureExample(recipe=PLAIN) for name in CURES.names()} | {
    name: CureExample(recipe=REGULAR) for name in ("less_dropout", "less_decay", "plain_labels")
}


def found(code):
    return Finding(code, "as it was seen", "warning", {})


def changes(recipe, code, space=None, **more):
    return changes_against(recipe, found(code), space or Space({}), steps=STEPS, **more)


@pytest.mark.parametrize("law", CURE_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", CURES.names())
def test_every_cure_keeps_the_laws(name, law):
    law(name, EXAMPLES[name])


@pytest.mark.parametrize(
    ("cure", "law"),
    [
        (lambda recipe, steps: Changed("epochs", 80), it_sets_neither_what_costs_more_nor_what_is_the_users),
        (lambda recipe, steps: Changed("model.dropout", 0.0), it_changes_one_field_of_the_recipe),
        (lambda recipe, steps: None, it_changes_one_field_of_the_recipe),
        (
            lambda recipe, steps, count=iter(range(1, 9)): Changed("model.dropout", next(count) / 10),
            the_same_recipe_gets_the_same_change,
        ),
    ],
)
def test_the_laws_find_a_planted_fault(cure, law, monkeypatch):
    monkeypatch.setitem(CURES._parts, "smaller", cure)
    with pytest.raises(AssertionError):
        law("smaller", EXAMPLES["smaller"])


def test_every_finding_that_is_treated_is_one_of_a_rule_with_known_cures():
    assert {name for names in FOR.values() for name in names} == set(CURES.names())
    treated = {code for code in FOR if is_treated(code)}
    assert treated <= set(RULES.names())
    assert {"overfitting", "overconfident", "rate_too_high"} <= treated


def test_a_finding_is_treated_only_while_it_names_the_right_cause_often_enough():
    for code, own in precisions().items():
        assert 0 <= own.right <= own.fired
        assert own.how
        assert is_treated(code) == (code in FOR and own.right / own.fired >= LEAST_PRECISION), code
    assert not is_treated("no_better_than_dummy"), "a symptom: its cause is not known"


def test_what_names_another_cause_too_often_is_not_treated(monkeypatch):
    assert changes(PLAIN, "rate_too_low")
    often_wrong = {"rate_too_low": Precision(right=16, fired=32, how="as it once was")}
    monkeypatch.setattr("tame.monitor.prescriptions.precisions", lambda: often_wrong)
    assert not is_treated("rate_too_low"), "half of what it blames is something else"
    assert changes(PLAIN, "rate_too_low") == []


def test_a_rate_that_is_far_too_low_is_raised_far():
    own = PLAIN.but({"optimizer.lr": 1e-4})
    rates = [each.to for each in changes(own, "rate_too_low")]
    assert rates == pytest.approx([3e-3, 1e-2, 1e-3, 3e-4])


@pytest.mark.parametrize(("lr", "steps"), [(1e-3, 100), (1e-3, 100_000), (2e-2, 64)])
def test_decay_is_what_shrinks_a_weight_by_as_much_in_any_training(lr, steps):
    """A weight that no gradient holds is left with exp(-rate times decay times steps)."""
    recipe = PLAIN.but({"optimizer.lr": lr, "optimizer.weight_decay": 0.0})
    for name, left in (("more_decay", 0.607), ("much_more_decay", 0.135)):
        decay = CURES.get(name)(recipe, steps).to
        assert (1 - lr * decay) ** steps == pytest.approx(left, abs=0.03)


def test_decay_that_acts_already_is_raised_once_more_and_then_left():
    at = {decay: CURES.get("more_decay")(PLAIN.but({"optimizer.weight_decay": decay}), STEPS) for decay in (0.5, 1.5)}
    assert at[0.5] == Changed("optimizer.weight_decay", 2.0)
    assert at[1.5] is None, "nearly as much as is ever tried"


def test_the_first_remedy_of_overfitting_is_free():
    first, *others = changes(PLAIN, "overfitting")
    assert first == Changed("regularize.early_stopping", 10, is_free=True)
    assert [each.is_free for each in others] == [False] * len(others)
    assert others[:3] == [
        Changed("optimizer.weight_decay", 0.5), Changed("model.dropout", 0.3), Changed("optimizer.weight_decay", 2.0),
    ]  # fmt: skip


def test_what_the_user_fixed_stays():
    every = changes(PLAIN, "overfitting")
    for change in every:
        left = changes(PLAIN, "overfitting", fixed=[change.field])
        assert left == [each for each in every if each.field != change.field]


def test_a_searched_field_stays_in_its_range():
    space = Space({"optimizer.weight_decay": Float(1e-4, 3e-2, log=True), "model.dropout": Float(0.0, 0.2)})
    changed = {each.field: each.to for each in changes(PLAIN, "overfitting", space)}
    assert changed["optimizer.weight_decay"] == 3e-2
    assert changed["model.dropout"] == 0.2
    at_its_end = PLAIN.but({"model.dropout": 0.2})
    assert "model.dropout" not in {each.field for each in changes(at_its_end, "overfitting", space)}


def test_a_range_that_the_user_did_not_give_is_a_guess():
    space = Space({"optimizer.weight_decay": Float(1e-4, 3e-2, log=True)})
    free = changes(PLAIN, "overfitting", space, free=["optimizer.weight_decay"])
    assert Changed("optimizer.weight_decay", 0.5) in free


def test_overfitting_and_overconfidence_are_one_illness():
    assert is_alike("overfitting", "overconfident")
    assert is_alike("diverged", "diverged")
    assert not is_alike("overfitting", "rate_too_high")


def test_of_a_choice_only_its_values_are_tried():
    for values, tried in (((0.0, 0.02), False), ((0.0, 0.1), True)):
        space = Space({"loss.label_smoothing": Choice(*values)})
        fields = [each.field for each in changes(PLAIN, "overfitting", space)]
        assert ("loss.label_smoothing" in fields) == tried


def test_a_field_whose_dimension_rests_is_left_alone():
    space = Space(
        {"model.name": Choice("linear", "mlp"), "model.dropout": Float(0.0, 0.5, when={"model.name": ("mlp",)})}
    )
    assert "model.dropout" in {each.field for each in changes(PLAIN, "overfitting", space)}
    linear = PLAIN.but({"model.name": "linear"})
    assert "model.dropout" not in {each.field for each in changes(linear, "overfitting", space)}


def test_no_two_changes_are_the_same():
    space = Space({"optimizer.lr": Float(8e-4, 1e-2, log=True)})
    rates = [e for e in changes(PLAIN, "rate_too_high", space) if e.field == "optimizer.lr"]
    assert rates == [Changed("optimizer.lr", 8e-4)]
