"""Dimensions and spaces to and from the unit cube, JSON and text."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.space import Choice, Float, Int, Space, parse_dimension

unit = st.floats(0, 1)


@st.composite
def dimensions(draw):
    kind, log = draw(st.sampled_from(["float", "int", "choice"])), draw(st.booleans())
    if kind == "choice":
        options = st.one_of(st.integers(-5, 5), st.floats(-2, 2), st.text(max_size=3))
        return Choice(*draw(st.lists(options, min_size=1, max_size=6, unique=True)))
    if kind == "int":
        low, high = sorted(draw(st.tuples(*[st.integers(1 if log else -1000, 1000)] * 2)))
        return Int(low, high, log)
    low, high = sorted(draw(st.tuples(*[st.floats(1e-6 if log else -1e3, 1e3)] * 2)))
    return Float(low, high, log)


@given(dimensions(), unit)
def test_every_point_of_the_cube_is_a_value_and_every_value_a_point(dimension, u):
    value = dimension.at(u)
    assert dimension.holds(value)
    place = dimension.where(value)
    assert 0 <= place <= 1
    if isinstance(dimension, Float):
        assert dimension.at(place) == pytest.approx(value, rel=1e-9, abs=1e-9 * (dimension.high - dimension.low))
    else:
        assert dimension.at(place) == value


@given(dimensions())
def test_the_ends_of_the_cube_are_the_ends_of_the_range(dimension):
    ends = (
        (dimension.values[0], dimension.values[-1])
        if isinstance(dimension, Choice)
        else (dimension.low, dimension.high)
    )
    assert (dimension.at(0.0), dimension.at(1.0)) == (pytest.approx(ends) if isinstance(dimension, Float) else ends)


@given(low=st.floats(1e-6, 1), decades=st.floats(0.1, 6), u=unit)
def test_a_log_range_is_even_in_its_logarithm(low, decades, u):
    dimension = Float(low, low * 10**decades, log=True)
    assert math.log10(dimension.at(u) / low) == pytest.approx(u * decades, abs=1e-6)


def test_each_whole_number_has_its_share_of_the_cube():
    found = [Int(2, 5).at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert [found.count(value) for value in (2, 3, 4, 5)] == [250] * 4
    found = [Int(1, 64, log=True).at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert set(found) == set(range(1, 65))
    assert found.count(1) > found.count(2) > found.count(8) > found.count(32)
    found = [Choice("a", "b", "c", "d").at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert [found.count(value) for value in "abcd"] == [250] * 4


SPACE = Space(
    {
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
        "model.dropout": Float(0.0, 0.5),
        "batch_size": Int(8, 256, log=True),
        "schedule.name": Choice("cosine", "linear"),
        "augment.flip": Choice(True, False),
    }
)


@given(st.lists(unit, min_size=5, max_size=5))
def test_a_space_maps_the_cube_to_recipes_and_back(point):
    own = SPACE.from_unit(np.array(point))
    assert SPACE.holds(own)
    recipe = Recipe().but(own)
    assert SPACE.holds(recipe.flat())
    again = SPACE.from_unit(SPACE.to_unit(recipe.flat()))
    for name, value in own.items():
        assert again[name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value)


def test_a_space_comes_back_from_json():
    assert Space.from_json(json.loads(json.dumps(SPACE.to_json()))) == SPACE
    assert (
        SPACE.without(["batch_size"]).but({"batch_size": SPACE.dimensions["batch_size"]}).to_json() == SPACE.to_json()
    )
    assert not SPACE.holds({**SPACE.from_unit(np.zeros(5)), "optimizer.lr": 0.2})
    assert len(SPACE.without(["augment.flip", "no such"])) == 4


@pytest.mark.parametrize(
    ("dimension", "words"),
    [
        ({"seed": Int(0, 5)}, "the seed cannot be searched"),
        ({"optimizer.rate": Float(0, 1)}, "no recipe field named 'optimizer.rate'"),
        ({"model.dropout": Float(0, 1)}, "model.dropout must be at least 0 and below 1"),
        ({"model.dropout": Choice(0.1, 7, 0.2)}, "model.dropout must be at least 0 and below 1, got 7"),
        ({"epochs": Float(5.0, 40.0)}, "epochs is a whole number"),
        ({"epochs": Int(0, 40)}, "epochs must be 1"),
        ({"model.name": Float(0, 1)}, "model.name must be text"),
    ],
)
def test_a_space_that_no_recipe_can_lie_in_is_refused(dimension, words):
    with pytest.raises(UsageError, match=words):
        Space(dimension)


@pytest.mark.parametrize(
    ("text", "name", "dimension"),
    [
        ("optimizer.lr=1e-4..1e-1:log", "optimizer.lr", Float(1e-4, 1e-1, log=True)),
        ("recipe.optimizer.lr = 1..2", "optimizer.lr", Float(1.0, 2.0)),
        ("epochs=5..40", "epochs", Int(5, 40)),
        ("epochs=5.0..40", "epochs", Int(5, 40)),
        ("batch_size=1e1..1e3:log", "batch_size", Int(10, 1000, log=True)),
        ("batch_size=16..256:linear", "batch_size", Int(16, 256)),
        ("model.hidden=0|64|256", "model.hidden", Choice(0, 64, 256)),
        ("schedule.name=cosine|wsd", "schedule.name", Choice("cosine", "wsd")),
        ("augment.flip=true|False", "augment.flip", Choice(True, False)),
        ("model.dropout=0.3", "model.dropout", Choice(0.3)),
        ("model.dropout=-0.5..0.5", "model.dropout", Float(-0.5, 0.5)),
    ],
)
def test_a_dimension_is_read_from_text(text, name, dimension):
    assert parse_dimension(text) == (name, dimension)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr", "cannot read the space 'optimizer.lr': write NAME=LOW..HIGH"),
        ("=1..2", "cannot read the space"),
        ("epochs=", "cannot read the space"),
        ("epochs=1..", "cannot read the range"),
        ("epochs=..5", "cannot read the range"),
        ("epochs=1..2..3", "cannot read the range"),
        ("epochs=a..b", "cannot read the range 'a..b'"),
        ("epochs=1..true", "cannot read the range"),
        ("epochs=1..5:lag", "cannot read the scale 'lag'"),
        ("epochs=5..1", "the low end of a range must not be above the high end"),
        ("optimizer.lr=0..1:log", "a log range must start above 0"),
        ("optimizer.lr=nan..1", "must be finite"),
        ("optimizer.lr=0..inf", "must be finite"),
        ("epochs=3|3", "a choice has the same value twice"),
    ],
)
def test_a_dimension_that_cannot_be_read_is_refused_with_the_right_form(text, words):
    with pytest.raises(UsageError, match=words):
        parse_dimension(text)
