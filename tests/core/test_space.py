"""Search spaces: steps, conditions, labels, text, TOML and JSON, wider spaces, and the presets as data."""

from __future__ import annotations

import copy
import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_spaces import LR, OPTIMIZERS, spaces, unit
from tame.core.conditions import field_of
from tame.core.dimensions import but, covers, every_value, stretched
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.space import Choice, Float, Int, Space, parse_dimension, to_text


def point_of(data, space):
    return np.array(data.draw(st.lists(unit, min_size=len(space), max_size=len(space))))


@given(spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_every_point_is_a_recipe_of_the_space_and_comes_back(space, data):
    values = space.from_unit(point_of(data, space))
    assert space.holds(values)
    assert {field_of(name) for name in space.active(values)} == set(values)
    assert len(space.active(values)) == len(values), "two active dimensions would set one field"
    recipe = Recipe().but(values)
    assert space.active(recipe.flat()) == space.active(values)
    assert space.holds(recipe.flat())
    again = space.to_unit(recipe.flat())
    assert ((again >= 0) & (again <= 1)).all()
    for place, name in zip(again, space.dimensions, strict=True):
        assert name in space.active(values) or place == 0.5
    back = space.from_unit(again)
    assert list(back) == list(values)
    for name, value in values.items():
        assert back[name] == (pytest.approx(value, rel=1e-9, abs=1e-9) if isinstance(value, float) else value)


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_a_space_comes_back_from_json_and_from_text(space):
    assert Space.from_json(json.loads(json.dumps(space.to_json()))) == space
    read = dict(parse_dimension(to_text(name, dim)) for name, dim in space.dimensions.items())
    assert read == space.dimensions
    assert [type(dim) for dim in read.values()] == [type(dim) for dim in space.dimensions.values()]
    assert copy.deepcopy(space) == space
    assert {hash(dim) for dim in read.values()} == {hash(dim) for dim in space.dimensions.values()}


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_the_recipes_of_a_space_are_counted(space):
    few = space.without([name for name, dim in space.dimensions.items() if dim.count > 6])
    every = [[dim.where(value) for value in every_value(dim)] for dim in few.dimensions.values()]
    if math.prod(map(len, every)) <= 2000:
        found = {tuple(few.from_unit(np.array(point)).items()) for point in itertools.product(*every)}
        assert few.count == len(found)
    assert (space.count < math.inf) or any(dim.count > 1000 for dim in space.dimensions.values())


@given(spaces(), st.data())
@settings(max_examples=60, deadline=None)
def test_a_space_covers_itself_and_what_it_grew_from(space, data):
    assert space.covers(space)
    for name, dim in space.dimensions.items():
        assert not space.without([name]).covers(space)
        if isinstance(dim, Choice) and len(dim.values) > 1:
            less = Choice(*dim.values[1:], when=dim.when, purpose=dim.purpose)
            assert covers(dim, less)
            assert not covers(less, dim)
        elif not isinstance(dim, Choice) and dim.count > 1 and dim.step in (None, 1):
            less = stretched(dim, low=None, high=dim.at(data.draw(st.floats(0, 0.4))))
            assert covers(dim, less)
            assert covers(less, dim) == (less.high == dim.high)


def test_the_purpose_of_a_dimension_follows_from_the_field_that_it_sets():
    space = Space(
        {
            "optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR, "model.width": Choice(64), "model.depth": Int(1, 4),
            "model.dropout": Float(0, 0.5), "augment.flip": Choice(True, False), "schedule.warmup": Float(0, 0.1),
            "schedule.name": Choice("cosine", "wsd"), "regularize.mixup": Float(0, 1, purpose="scientific"),
        }
    )  # fmt: skip
    found = {name: space.purpose(name) for name in space.dimensions}
    assert [name for name, purpose in found.items() if purpose == "nuisance"] == [
        "optimizer.lr@adamw", "model.dropout", "schedule.warmup",
    ]  # fmt: skip
    assert [name for name, purpose in found.items() if purpose == "fixed"] == ["model.width"]


def test_the_spaces_of_older_studies_are_read():
    old = {
        "optimizer.lr": {"kind": "float", "low": 1e-4, "high": 0.1, "log": True},
        "epochs": {"kind": "int", "low": 5, "high": 40, "log": False},
        "model.hidden": {"values": [0, 64]},
    }
    space = Space.from_json(old)
    assert space.dimensions == {"optimizer.lr": LR, "epochs": Int(5, 40), "model.hidden": Choice(0, 64)}
    assert space.to_json() == old, "what is not used is not written"


def test_a_space_is_widened_and_never_narrowed():
    space = Space({"optimizer.lr": LR, "model.hidden": Choice(0, 64), "batch_size": Int(16, 64, step=16)})
    wider = (
        space.widened("optimizer.lr", high=1.0).widened("model.hidden", values=[256]).widened("batch_size", high=128)
    )
    assert wider.dimensions["optimizer.lr"] == Float(1e-4, 1.0, log=True)
    assert wider.dimensions["model.hidden"] == Choice(0, 64, 256)
    assert wider.dimensions["batch_size"] == Int(16, 128, step=16)
    assert wider.covers(space)
    assert not space.covers(wider)
    assert space.but({"epochs": Int(1, 9)}).covers(space), "new dimensions may come"
    for change, words in [
        (
            lambda: space.widened("optimizer.lr", high=0.01),
            r"may grow but not shrink: optimizer.lr=0.0001\.\.0.01:log leaves",
        ),
        (lambda: space.widened("optimizer.lr", high=0.01), r"it was optimizer.lr=0.0001\.\.0.1:log"),
        (
            lambda: space.widened("optimizer.rate", high=1),
            "no dimension named 'optimizer.rate'; did you mean 'optimizer.lr'",
        ),
        (lambda: space.widened("optimizer.lr"), "widen it with low=... or high="),
        (lambda: space.widened("optimizer.lr", values=(1,)), "is a range; widen it with low"),
        (lambda: space.widened("model.hidden", low=1), "is a choice; widen it with values"),
        (lambda: space.widened("model.hidden", values=(64,)), "the same value twice"),
        (lambda: space.widened("batch_size", low=8), "may grow but not shrink"),
        (lambda: space.widened("optimizer.lr", low=-1), "a log range must start above 0"),
    ]:
        with pytest.raises(UsageError, match=words):
            change()


def test_a_dimension_that_holds_in_fewer_cases_is_narrower():
    space = Space(
        {"optimizer.name": OPTIMIZERS, "optimizer.lr": but(LR, when={"optimizer.name": ("adamw", "momentum")})}
    )
    less = space.but({"optimizer.lr": but(LR, when={"optimizer.name": "adamw"})})
    more = space.but({"optimizer.lr": LR})
    assert [why for why in less.narrower(space) if "would be active in fewer cases" in why]
    assert more.covers(space)
    assert not space.covers(more)
    (gone,) = space.without(["optimizer.name"]).narrower(space)
    assert gone.startswith("optimizer.name is no longer in the space; it was optimizer.name=adamw|momentum|nesterov")


def test_a_wider_range_stays_on_its_scale():
    old = Space({"optimizer.lr": Float(1e-3, 1e-2, log=True)})
    (why,) = Space({"optimizer.lr": Float(1e-4, 1e-1)}).narrower(old)
    assert why == "optimizer.lr is searched on a log scale, which cannot change; it was optimizer.lr=0.001..0.01:log"
    assert Space({"optimizer.lr": Float(1e-4, 1e-1, log=True)}).covers(old)
