"""Recipes: their fields, ranges, keys and flat values."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given

from made_recipes import FIELDS, values
from tame.core.errors import UsageError
from tame.core.recipe import Recipe


def test_the_fields_tried_here_are_all_there_are():
    assert set(FIELDS) == set(Recipe().flat())


@given(values)
def test_a_recipe_is_its_flat_values(changes):
    recipe = Recipe().but(changes)
    assert {name: recipe.flat()[name] for name in changes} == changes
    assert {name: v for name, v in recipe.flat().items() if name not in changes}.items() <= Recipe().flat().items()
    assert Recipe.from_flat(recipe.flat()) == recipe
    assert Recipe.from_flat(json.loads(json.dumps(recipe.flat()))) == recipe
    assert [type(v) for v in recipe.flat().values()] == [type(v) for v in Recipe().flat().values()]


@given(values)
@example({"seed": 2**63 - 1})
@example({"seed": 2**53 + 1})
def test_a_recipe_can_be_written_as_text(changes):
    recipe = Recipe().but(changes)
    assert Recipe().but({name: str(value) for name, value in changes.items()}) == recipe
    assert Recipe().but({f"recipe.{name}": value for name, value in changes.items()}) == recipe


@given(values, values)
def test_two_recipes_have_one_key_only_if_they_are_equal(one, other):
    a, b = Recipe().but(one), Recipe().but(other)
    assert (a.key() == b.key()) == (a.flat() == b.flat())
    assert len(a.key()) == 16


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("optimizer.l", "optimizer.lr"),
        ("optimiser.lr", "optimizer.lr"),
        ("epoch", "epochs"),
        ("droput", "model.dropout"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest(name, near):
    with pytest.raises(UsageError, match=f"no recipe field named '{name}'; did you mean '{near}'"):
        Recipe().but({name: 1})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 2.5, "epochs must be a whole number, got 2.5"),
        ("epochs", "ten", "epochs must be a whole number, got 'ten'"),
        ("epochs", True, "epochs must be a whole number, got True"),
        ("epochs", None, "epochs must be a whole number, got None"),
        ("epochs", math.inf, "epochs must be a whole number"),
        ("optimizer.lr", "fast", "optimizer.lr must be a number, got 'fast'"),
        ("optimizer.lr", math.nan, "optimizer.lr must be a number"),
        ("optimizer.lr", 10**400, "optimizer.lr must be a number"),
        ("optimizer.lr", [1], "optimizer.lr must be a number"),
        ("augment.flip", 1, "augment.flip must be true or false, got 1"),
        ("augment.flip", "maybe", "augment.flip must be true or false"),
        ("model.name", 3, "model.name must be text, got 3"),
        ("epochs", 0, "epochs must be 1 to 100000, got 0"),
        ("batch_size", 0, 'batch_size must be 1 to 1000000 or "all", got 0'),
        ("seed", -1, "seed must be 0 to"),
        ("seed", 2**63, "seed must be 0 to"),
        ("optimizer.lr", 0, "optimizer.lr must be above 0"),
        ("optimizer.lr", -1e-3, "optimizer.lr must be above 0"),
        ("optimizer.momentum", 1, "optimizer.momentum must be at least 0 and below 1"),
        ("optimizer.weight_decay", -1, "optimizer.weight_decay must be"),
        ("model.dropout", 1, "model.dropout must be at least 0 and below 1"),
        ("model.hidden", -1, "model.hidden must be"),
        ("model.width", 0, "model.width must be"),
        ("model.pooled", 5, "model.pooled must be"),
        ("model.unfrozen", 17, "model.unfrozen must be"),
        ("model.stage_rate", 0.05, "model.stage_rate must be"),
        ("model.thaw", 1.0, "model.thaw must be"),
        ("loss.label_smoothing", 1, "loss.label_smoothing must be"),
        ("schedule.warmup", 1, "schedule.warmup must be"),
        ("augment.crop", 0.51, "augment.crop must be"),
        ("input.size", 7, "input.size must be"),
        ("input.crop", 0, "input.crop must be"),
        ("input.views", 0, "input.views must be"),
    ],
)
def test_no_recipe_exists_that_cannot_be_trained(name, value, words):
    with pytest.raises(UsageError, match=words):
        Recipe().but({name: value})


def test_words_and_whole_floats_are_understood():
    recipe = Recipe().but({"epochs": 12.0, "batch_size": "1e2", "augment.flip": "Yes", "optimizer.lr": "1e-2"})
    assert (recipe.epochs, recipe.batch_size, recipe.augment.flip, recipe.optimizer.lr) == (12, 100, True, 0.01)
