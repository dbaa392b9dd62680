"""Search spaces: steps, conditions, labels, text, TOML and JSON, wider spaces, and the presets as data."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import tame
from tame.adjust import portfolio, presets
from tame.app import cli
from tame.app.api import asked
from tame.app.run import fit_study
from tame.core.conditions import field_of, label_of
from tame.core.config import ARRAYS, INLINE, StudyConfig, read_toml
from tame.core.dimensions import When, but, covers, every_value, stretched
from tame.core.errors import StoppedError, UsageError
from tame.core.recipe import Recipe
from tame.core.records import Event
from tame.core.space import Choice, Float, Int, Space, check_asked, joined, parse_dimension, to_text
from tame.core.space_text import read_space, texts_of
from tame.data.arrays import read_arrays
from tame.kinds.arrays.source import keep_arrays
from tame.study.events import PlanEvent, event_of
from tame.study.session import begin, reopen
from tame.study.space import ask_for, asked_space, settle, space_of, widen
from tame.study.state import Silent, read_state

unit = st.floats(0, 1)
LR = Float(1e-4, 1e-1, log=True)
OPTIMIZERS = Choice("adamw", "momentum", "nesterov")

# What is drawn: dimensions whose values recipes take, under conditions on those that stand before them.
RANGES = {
    "model.depth": (Int, 1, 20),
    "batch_size": (Int, 1, 4096),
    "epochs": (Int, 1, 300),
    "own.units": (Int, -50, 50),
    "optimizer.lr": (Float, 1e-6, 10.0),
    "model.dropout": (Float, 0.0, 0.9),
    "optimizer.weight_decay": (Float, 0.0, 1.0),
    "own.slope": (Float, -3.0, 3.0),
}
CHOICES = {
    "optimizer.name": st.sampled_from(("adamw", "momentum", "nesterov", "lion")),
    "model.norm": st.sampled_from(("none", "layer", "batch")),
    "augment.flip": st.booleans(),
    "model.hidden": st.integers(0, 512),
    "loss.label_smoothing": st.floats(0, 0.9),
    "own.kind": st.one_of(st.text(max_size=6), st.booleans(), st.integers(2, 9), st.floats(2.5, 9)),
}


@st.composite
def ranges(draw, field, when=()):
    kind, low, high = RANGES[field]
    numbers = st.integers(low, high) if kind is Int else st.floats(low, high)
    low, high = sorted((draw(numbers), draw(numbers)))
    log = draw(st.booleans()) and low > 1e-9
    also = {"when": dict(when), "purpose": draw(st.sampled_from((None, "scientific", "nuisance")))}
    if high - low <= 1e-6 * max(abs(low), abs(high), 1e-3) or draw(st.booleans()):
        return kind(low, high, log, **also)
    step = draw(st.integers(1, high - low) if kind is Int else st.floats((high - low) / 50, high - low))
    return kind(low, high, log, step, **also)


@st.composite
def choices(draw, field, when=()):
    values = draw(
        st.lists(CHOICES[field], min_size=1, max_size=5, unique_by=lambda v: v if isinstance(v, str) else float(v))
    )
    return Choice(*values, when=dict(when), purpose=draw(st.sampled_from((None, "scientific", "nuisance"))))


@st.composite
def spaces(draw):
    """Spaces of up to 8 dimensions, some with labels, under conditions that may nest."""
    found = {}
    for field in draw(st.permutations([*RANGES, *CHOICES]))[: draw(st.integers(0, 8))]:
        of_field = ranges if field in RANGES else choices
        parents = [name for name, dim in found.items() if isinstance(dim, Choice) and not label_of(name)]
        if not parents or draw(st.booleans()):
            found[field] = draw(of_field(field))
            continue
        parent = draw(st.sampled_from(parents))
        values = draw(st.permutations(found[parent].values))
        cut = draw(st.integers(1, len(values)))
        found[f"{field}@one"] = draw(of_field(field, {parent: tuple(values[:cut])}))
        if cut < len(values) and draw(st.booleans()):
            found[f"{field}@other"] = draw(of_field(field, {parent: tuple(values[cut:])}))
    return Space(found)


def point_of(data, space):
    return np.array(data.draw(st.lists(unit, min_size=len(space), max_size=len(space))))


# Laws -----------------------------------------------------------------------------------------------------------------


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


@given(st.sampled_from(sorted(RANGES)), st.data())
def test_each_step_has_a_place_and_nothing_lies_between(field, data):
    dim = data.draw(ranges(field))
    value = dim.at(data.draw(unit))
    assert dim.holds(value)
    if dim.count > 1000:
        return
    steps = every_value(dim)
    assert value in steps
    assert len(steps) == dim.count
    assert [dim.at(dim.where(step)) for step in steps] == list(steps)
    assert (dim.at(0.0), dim.at(1.0)) == (steps[0], steps[-1])
    for low, high in itertools.pairwise(steps):
        assert high > low
        assert not dim.holds((low + high) / 2)


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


# Steps ----------------------------------------------------------------------------------------------------------------


def test_steps_are_decimals_as_they_were_written():
    dim = Float(0.1, 0.9, step=0.1)
    assert every_value(dim) == (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    assert dim.holds(0.1 + 0.2), "what is off by a rounding is the step itself"
    assert not dim.holds(0.25)
    assert Float(0, 1, step=0.3).at(1.0) == 0.9, "the last step that fits"
    assert every_value(Int(1, 64, step=16)) == (1, 17, 33, 49)
    assert Int(8, 512, log=True, step=8).holds(16)
    assert not Int(8, 512, log=True, step=8).holds(20)


def test_steps_have_their_share_of_the_log_range():
    dim = Float(0.5, 4.0, log=True, step=0.5)
    found = [dim.at(u) for u in np.linspace(0.0005, 0.9995, 2000)]
    shares = [found.count(step) for step in every_value(dim)]
    assert sum(shares) == 2000
    assert all(early >= late for early, late in itertools.pairwise(shares))
    even = [Float(0, 1, step=0.25).at(u) for u in np.linspace(0.0005, 0.9995, 1000)]
    assert [even.count(v) for v in (0, 0.25, 0.5, 0.75, 1.0)] == [200] * 5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Float(2, 1), r"low end .* not be above the high one, got 2.0\.\.1.0; write 1.0\.\.2.0"),
        (lambda: Int(9, 3), r"got 9\.\.3; write 3\.\.9"),
        (lambda: Float(0, 1, log=True), "a log range must start above 0"),
        (lambda: Int(-2, 9, log=True), "a log range must start above 0"),
        (lambda: Float(5e-324, 1, log=True), "a log range must start at 1e-300 or more"),
        (lambda: Float(0, 1, step=0), "the step of a range must be above 0, got 0"),
        (lambda: Float(0, 1, step=-0.1), "the step of a range must be above 0"),
        (lambda: Int(0, 9, step=-1), "the step of a range must be above 0"),
        (lambda: Float(0, 1, step=2), r"must not be larger than the range, got 2.0 in 0.0\.\.1.0"),
        (lambda: Int(4, 8, step=5), r"must not be larger than the range, got 5 in 4\.\.8"),
        (lambda: Float(0, 1, step=1e-12), "more than 1,000,000,000 values .* leave the step out"),
        (lambda: Float(0, 1, step=math.nan), "the step of a range must be above 0"),
        (lambda: Int(0, 9, step=1.5), "the step of a range of whole numbers must be whole, got 1.5"),
        (lambda: Float(0, math.inf), "the ends of a range must be finite"),
        (lambda: Float(math.nan, 1), "the ends of a range must be finite"),
        (lambda: Int(0, math.inf), "the ends of a range must be finite"),
        (lambda: Int(1, 10**400), "the ends of a range must be finite"),
        (lambda: Float(0, 10**400), "the ends of a range must be finite"),
        (lambda: Choice(1, 10**400), "a choice must be finite"),
        (lambda: Float(-1e308, 1e308), "too wide"),
        (lambda: Int(1.5, 3), "the ends of a range of whole numbers must be whole, got 1.5"),
        (lambda: Float("1e-4", 1), "the ends of a range must be numbers, got '1e-4'"),
        (lambda: Int(True, 3), "the ends of a range must be numbers, got True"),
        (lambda: Float(0, 1, "log"), "log is True or False, got 'log'"),
        (lambda: Choice(), "at least one value"),
        (lambda: Choice([1, 2]), r"write Choice\(1, 2, 3\), each value by itself"),
        (lambda: Choice(1, 2, 1.0), "the same value twice: 1 and 1.0"),
        (lambda: Choice(1, True), "the same value twice: 1 and True"),
        (lambda: Choice("a", "a"), "the same value twice: 'a' and 'a'"),
        (lambda: Choice(1, None), "finite numbers, text, True or False; got None"),
        (lambda: Choice(math.nan), "finite numbers, text, True or False; got nan"),
        (lambda: Choice(1, 2, purpose="scientifc"), "no purpose named 'scientifc'; did you mean 'scientific'"),
        (lambda: Float(0, 1, purpose="fixed"), "what is fixed has one value"),
        (lambda: Float(0, 1, when={"model.depth": ()}), "the condition on model.depth names no value"),
        (
            lambda: Float(0, 1, when={"model.depth": (1, 1.0)}),
            "the condition on model.depth holds the same value twice",
        ),
        (lambda: Float(0, 1, when=["model.depth"]), "`when` maps recipe fields to values"),
    ],
)
def test_a_dimension_that_is_none_is_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_numbers_of_numpy_are_taken_as_plain_ones():
    dims = {
        "batch_size": Int(np.int64(2), np.int32(8)),
        "optimizer.lr": Float(np.float32(0.5), 1),
        "epochs": Choice(np.int64(3)),
    }
    assert json.dumps(Space(dims).to_json())
    assert dims["batch_size"] == Int(2, 8)
    assert Int(2.0, 8.0) == Int(2, 8)


def test_true_is_no_number_of_a_range_or_of_a_choice():
    assert not Int(0, 3).holds(True)
    assert not Float(0, 3).holds(True)
    assert not Choice(0, 1).holds(True)
    assert not Choice(True, False).holds(1)
    assert not Choice(0, 1).holds([1])


def test_a_value_that_is_not_in_a_choice_has_no_place():
    with pytest.raises(UsageError, match="no choice named 'adam'; did you mean 'adamw'"):
        OPTIMIZERS.where("adam")
    with pytest.raises(UsageError, match="must be numbers, got 'all'"):
        Int(1, 9).where("all")


def test_ten_thousand_choices_are_quick():
    began = time.process_time()
    for values in (range(10_000), [f"value {n}" for n in range(10_000)]):
        name = "own.kind"
        space = Space(
            {name: Choice(*values), "optimizer.lr@9999": LR} if values == range(10_000) else {name: Choice(*values)}
        )
        for u in np.linspace(0, 1, 500):
            point = np.full(len(space), u)
            assert space.from_unit(space.to_unit(space.from_unit(point))) == space.from_unit(point)
        assert len(parse_dimension(to_text(name, space.dimensions[name]))[1].values) == 10_000
        assert Space.from_json(space.to_json()).but({"epochs": Int(1, 9)}).covers(space)
    assert time.process_time() - began < 10


# Purposes -------------------------------------------------------------------------------------------------------------


def test_what_a_dimension_is_there_for_follows_from_what_it_sets():
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


# Conditions -----------------------------------------------------------------------------------------------------------

RATES = Space(
    {
        "optimizer.lr@adamw": Float(1e-4, 1e-2, log=True),
        "optimizer.name": OPTIMIZERS,
        "optimizer.lr@fast": Float(1e-2, 1.0, log=True, when={"optimizer.name": ("momentum", "nesterov")}),
        "optimizer.momentum@nesterov": Choice(0.8, 0.9),
    }
)


def test_a_rate_belongs_to_its_optimizer():
    found = RATES.from_unit(np.array([0.5, 0.0, 0.5, 0.0]))
    assert found == {"optimizer.lr": pytest.approx(1e-3), "optimizer.name": "adamw"}
    assert list(found) == ["optimizer.lr", "optimizer.name"]
    found = RATES.from_unit(np.array([0.5, 0.9, 0.5, 0.0]))
    assert found == {"optimizer.name": "nesterov", "optimizer.lr": pytest.approx(0.1), "optimizer.momentum": 0.8}
    assert RATES.active(found) == {"optimizer.name", "optimizer.lr@fast", "optimizer.momentum@nesterov"}
    assert RATES.to_unit(found) == pytest.approx([0.5, 5 / 6, 0.5, 0.25])
    assert RATES.holds(found)
    assert not RATES.holds({**found, "optimizer.name": "adamw"}), "a rate of 0.1 is outside AdamW's range"
    assert RATES.holds({**found, "optimizer.name": "momentum", "optimizer.momentum": 0.3}), (
        "its momentum is not searched"
    )
    assert RATES.fields == ("optimizer.lr", "optimizer.name", "optimizer.momentum")
    assert RATES.dimensions["optimizer.lr@adamw"].when == {"optimizer.name": ("adamw",)}


def test_conditions_nest():
    space = Space(
        {
            "model.width": Int(8, 64, when={"model.depth": 3}),
            "model.depth": Int(1, 3, when={"model.norm": ("layer", "batch")}),
            "model.norm": Choice("none", "layer"),
        }
    )
    assert space.from_unit(np.array([0.0, 1.0, 0.9])) == {"model.width": 8, "model.depth": 3, "model.norm": "layer"}
    assert set(space.from_unit(np.array([0.0, 0.0, 0.9]))) == {"model.depth", "model.norm"}
    assert set(space.from_unit(np.array([0.0, 1.0, 0.0]))) == {"model.norm"}, "a plain recipe has two layers"
    deep = space.on({"model.depth": 3})
    assert set(deep.from_unit(np.array([0.0, 0.0, 0.0]))) == {"model.width", "model.norm"}, "this base has three"
    assert space.needs("model.width") == {"model.depth": 3, "model.norm": "layer"}
    assert deep.needs("model.width") == {}
    assert Recipe().but({**space.needs("model.width"), "model.width": 8}).model.norm == "layer"


def test_a_condition_on_a_field_outside_the_space_is_judged_on_the_base():
    space = Space({"schedule.drops": Int(1, 5, when={"schedule.name": "step"}), "epochs": Int(5, 9)})
    assert space.from_unit(np.array([0.0, 0.0])) == {"epochs": 5}
    assert list(space.never()) == ["schedule.drops"]
    assert "which it never is in this space; it is cosine" in space.never()["schedule.drops"]
    stepped = space.on(Recipe().but({"schedule.name": "step"}).flat())
    assert stepped.from_unit(np.array([0.0, 0.0])) == {"schedule.drops": 1, "epochs": 5}
    assert stepped.never() == {}
    assert space.active({"schedule.name": "step"}) == {"schedule.drops", "epochs"}
    assert stepped.but({"batch_size": Int(1, 9)}).without(["epochs"]).base["schedule.name"] == "step"


def test_what_hangs_on_something_that_never_holds_never_holds():
    space = Space(
        {
            "schedule.drops": Int(1, 5, when={"schedule.name": "step"}),
            "schedule.factor": Float(0.1, 0.5, when={"schedule.drops": (4, 5)}),
        }
    )
    assert list(space.never()) == ["schedule.drops", "schedule.factor"]


def test_a_label_stands_for_the_value_of_one_choice():
    flip = Space({"augment.flip": Choice(True, False), "augment.crop@true": Float(0, 0.2)})
    assert flip.dimensions["augment.crop@true"].when == {"augment.flip": (True,)}
    both = Space({"optimizer.name": Choice("lion", "sgd"), "own.kind": Choice("lion", "cat"), "optimizer.lr@lion": LR})
    assert both.dimensions["optimizer.lr@lion"].when == {"optimizer.name": ("lion",)}, "the choice of the part itself"
    with pytest.raises(UsageError, match=r"a value of own\.a and of own\.b; write the condition: .*if own\.a=x"):
        Space({"own.a": Choice("x", 1), "own.b": Choice("x", 2), "optimizer.lr@x": LR})


@pytest.mark.parametrize(
    ("dimensions", "words"),
    [
        ({"optimizer.lr@sgd": LR}, 'label of optimizer.lr@sgd is no value .* write the condition: ".*if FIELD=sgd"'),
        ({"optimizer.lr@": LR}, "'optimizer.lr@' is no name of a dimension"),
        ({"optimizer.lr@a@b": LR}, "is no name of a dimension; write FIELD or FIELD@LABEL"),
        ({"optimizer.rl@sgd": LR}, "no recipe field named 'optimizer.rl'; did you mean 'optimizer.lr'"),
        ({"seed@a": Int(0, 9)}, "the seed is never searched"),
        ({"optimizer.lr": but(LR, when={"optimiser.name": "sgd"})}, "cannot be met: .* did you mean 'optimizer.name'"),
        (
            {"optimizer.lr": but(LR, when={"model.depth": 100})},
            "of optimizer.lr cannot be met: model.depth must be 0 to 64",
        ),
        ({"optimizer.lr": but(LR, when={"model.depth": 1.5})}, "model.depth must be a whole number, got 1.5"),
        ({"optimizer.lr": but(LR, when={"augment.flip": 1})}, "augment.flip must be true or false, got 1"),
        ({"optimizer.lr": but(LR, when={"seed": 1})}, "on the seed, which is never searched"),
        ({"optimizer.lr": but(LR, when={"model.depth@a": 1})}, "write the recipe field: model.depth"),
        (
            {"optimizer.name": OPTIMIZERS, "optimizer.lr": but(LR, when={"optimizer.name": "lion"})},
            "optimizer.lr holds only if optimizer.name is lion, which it never is in this space",
        ),
        (
            {"model.depth": Int(1, 3), "optimizer.lr": but(LR, when={"model.depth": (4, 5)})},
            "only if model.depth is 4 or 5, which it never is",
        ),
        ({"optimizer.lr": but(LR, when={"optimizer.lr": 0.1})}, "in a circle: optimizer.lr depends on optimizer.lr"),
        (
            {
                "model.depth": Int(1, 3, when={"model.width": 16}),
                "model.width": Choice(16, 32, when={"model.depth": 2}),
            },
            "the conditions go in a circle: model.(depth|width) depends on model.(width|depth) depends on",
        ),
        (
            {"optimizer.lr": LR, "optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR},
            "optimizer.lr and optimizer.lr@adamw would both set optimizer.lr at the same time; give each a condition",
        ),
        (
            {
                "optimizer.name": OPTIMIZERS,
                "optimizer.lr@adamw": LR,
                "optimizer.lr@x": but(LR, when={"model.depth": 2}),
            },
            "would both set optimizer.lr",
        ),
        ({"epochs": Float(5, 40)}, "epochs is a whole number; write the ends of its range as such"),
        ({"model.dropout": Int(0, 0)}, "model.dropout is a real number; search it with a Float"),
        ({"optimizer.lr": Choice("0.1", "0.2")}, "optimizer.lr must be a number, got the text '0.1'; write 0.1"),
        ({"augment.flip": Choice("yes", "no")}, "augment.flip must be true or false, got the text 'yes'; write True"),
        ({"batch_size": Choice(16, 0.5, 64)}, "batch_size must be .*0.5"),
        ({"batch_size": Choice(16, 16.5, 64)}, "batch_size must be a whole number, got 16.5"),
        ({"epochs": (5, 40)}, r"the dimension 'epochs' is \(5, 40\); give a Float, an Int or a Choice"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(dimensions, words):
    with pytest.raises(UsageError, match=words):
        Space(dimensions)


def test_conditions_never_change_and_compare_by_what_they_say():
    own = When({"recipe.model.depth": 2, "model.norm": ["layer", "batch"]})
    assert own == {"model.depth": (2,), "model.norm": ("layer", "batch")}
    assert hash(own) == hash(When({"model.norm": ("layer", "batch"), "model.depth": (2,)}))
    with pytest.raises(TypeError):
        own["model.depth"] = (3,)
    assert copy.deepcopy(own) == own


# What is asked for beside a preset ------------------------------------------------------------------------------------


def test_a_rate_for_one_optimizer_leaves_the_presets_own_to_the_others():
    preset = {"optimizer.lr": LR, "optimizer.name": OPTIMIZERS, "epochs": Int(1, 9)}
    found = joined(preset, {"optimizer.lr@nesterov": Float(0.01, 1)})
    assert found["optimizer.lr"] == but(LR, when={"optimizer.name": ("adamw", "momentum")})
    assert found["optimizer.lr@nesterov"].when == {"optimizer.name": ("nesterov",)}
    assert found["epochs"] == Int(1, 9)
    Space(found)
    three = {f"optimizer.lr@{name}": Float(0.01, 1) for name in OPTIMIZERS.values}
    assert "optimizer.lr" not in joined(preset, three), "nothing is left for it"
    assert joined(preset, {"optimizer.lr": Float(0.5, 1)})["optimizer.lr"] == Float(0.5, 1)
    other = {"optimizer.lr@deep": Float(0.5, 1, when={"model.depth": 3})}
    assert "optimizer.lr" not in joined(preset, other), "what is left over is no choice"


def test_dimensions_are_checked_before_the_rest_of_the_space_is_known():
    check_asked({"table.sigma@periodic": Float(0.1, 1)})
    check_asked({"optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR, "optimizer.lr@momentum": LR})
    with pytest.raises(UsageError, match=r"no recipe field named 'table\.sigmo'"):
        check_asked({"table.sigmo@periodic": Float(0.1, 1)})
    with pytest.raises(UsageError, match="would both set"):
        check_asked({"optimizer.name": OPTIMIZERS, "optimizer.lr@adamw": LR, "optimizer.lr": LR})


# Text -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "name", "dimension"),
    [
        ("model.dropout=0..0.5:step=0.1", "model.dropout", Float(0, 0.5, step=0.1)),
        ("batch_size=16..256:log:step=16", "batch_size", Int(16, 256, log=True, step=16)),
        ("optimizer.lr = 1e-4..1 : log : nuisance", "optimizer.lr", Float(1e-4, 1, log=True, purpose="nuisance")),
        ("model.depth=1|2:scientific", "model.depth", Choice(1, 2, purpose="scientific")),
        ("batch_size=32|all", "batch_size", Choice(32, "all")),
        ("augment.flip=yes|no", "augment.flip", Choice(True, False)),
        ("model.name=timm:resnet18|cnn", "model.name", Choice("timm:resnet18", "cnn")),
        ("own.width=16..64", "own.width", Int(16, 64)),
        ("own.width=16.0..64", "own.width", Float(16, 64)),
        ('own.kind="a|b"|"1"|1.5|true', "own.kind", Choice("a|b", "1", 1.5, True)),
        ("optimizer.lr@sgd=1e-3..1:log", "optimizer.lr@sgd", Float(1e-3, 1, log=True)),
        (
            "optimizer.lr@sgd=1e-3..1:log if optimizer.name=momentum|nesterov and recipe.model.depth=2",
            "optimizer.lr@sgd",
            Float(1e-3, 1, log=True, when={"optimizer.name": ("momentum", "nesterov"), "model.depth": 2}),
        ),
        ('own.kind=a|"b if c" if own.x="p and q"', "own.kind", Choice("a", "b if c", when={"own.x": "p and q"})),
    ],
)
def test_a_dimension_is_read_from_text_and_written_again(text, name, dimension):
    assert parse_dimension(text) == (name, dimension)
    assert type(parse_dimension(text)[1]) is type(dimension)
    assert parse_dimension(to_text(name, dimension)) == (name, dimension)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("optimizer.lr=1e-4..", r"cannot read the range '1e-4\.\.' in 'optimizer.lr=1e-4\.\.': write NAME=LOW"),
        ("optimizer.lr=..", r"cannot read the range '\.\.'"),
        ("optimizer.lr=1..0", "not be above the high one"),
        ("optimizer.lr=0..1:step=x", "the step of a range must be numbers, got 'x'"),
        ("optimizer.lr=0..1:step=0.1:step=0.2", "gives its step twice"),
        ("optimizer.lr=1..2:log:linear", "gives its scale twice"),
        ("optimizer.lr=1..2:nuisanse", "cannot read the scale 'nuisanse'"),
        ("optimizer.lr=1..2 if", "cannot read"),
        ("optimizer.lr=1..2 if x", "cannot read the condition 'x' .* write \"if FIELD=VALUE"),
        ("optimizer.lr=1..2 if a=1 if b=2", "cannot read the space"),
        ("optimizer.lr=1..2 if own.a=1 and own.a=2", r"names own.a twice; write own.a=VALUE\|VALUE"),
        ("optimizer.lr=1|", "a value is missing"),
        ('own.kind="a', "quotes are closed"),
        ("own.kind=nan", "finite numbers, text"),
        ("batch_size=16..64:step=1.5", "the step of a range of whole numbers must be whole"),
    ],
)
def test_text_that_cannot_be_read_is_refused_with_the_right_form(text, words):
    with pytest.raises(UsageError, match=words):
        parse_dimension(text)


def test_of_several_texts_it_is_told_which_one_is_wrong():
    for text in ("model.dropout=nan..1", "model.dropout=0.3..0.1", "model.dropout=0..1:log", "model.dropout=0.1|0.1"):
        with pytest.raises(UsageError, match=r"model\.dropout"):
            parse_dimension(text)


# TOML -----------------------------------------------------------------------------------------------------------------

TABLES = """
[space]
"model.hidden" = "0|64"
epochs = 7
augment.flip = {values = [true, false]}
[space.optimizer]
name = {values = ["adamw", "momentum"]}
"lr@adamw" = {low = 1e-4, high = 1e-2, log = true, purpose = "nuisance"}
"lr@fast" = {low = 0.1, high = 1, step = 0.1, when = {optimizer.name = "momentum"}}
[space."own.units"]
low = 1
high = 9
[space.own]
slope = {low = 1, high = 9.0}
low = "1..3"
"""
READ = {
    "model.hidden": Choice(0, 64),
    "epochs": Choice(7),
    "augment.flip": Choice(True, False),
    "optimizer.name": Choice("adamw", "momentum"),
    "optimizer.lr@adamw": Float(1e-4, 1e-2, log=True, purpose="nuisance"),
    "optimizer.lr@fast": Float(0.1, 1, step=0.1, when={"optimizer.name": "momentum"}),
    "own.units": Int(1, 9),
    "own.slope": Float(1, 9),
    "own.low": Int(1, 3),
}


def test_a_folder_is_no_space(tmp_path):
    with pytest.raises(UsageError, match=r"is a folder; a space is a TOML file of dimensions, or one dimension"):
        read_space(tmp_path)


@pytest.mark.parametrize("columns", [0, 20, 256, 257, 10_000])
def test_a_table_of_many_columns_is_not_given_waves(columns):
    preset = portfolio.tables(2000, task="binary", epochs=None, seed=1, columns=columns)
    few = columns <= 256
    assert ("periodic" in preset.dimensions["table.numbers"].values) == few
    assert any(changes.get("table.numbers") == "periodic" for changes in preset.portfolio) == few
    assert ("table.sigma" in preset.dimensions) == few
    assert len(preset.reasons) == len(preset.portfolio)


def test_a_space_is_read_from_toml_in_a_config_and_in_a_file_of_its_own(tmp_path):
    path = tmp_path / "space.toml"
    path.write_text(TABLES)
    assert dict(map(parse_dimension, read_space(path))) == READ
    assert read_toml(path)["space"] == read_space(path)
    config = StudyConfig.from_json({"data": "x", **read_toml(path)})
    assert StudyConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    path.write_text('"optimizer.lr" = "1e-3..1"\n')
    assert read_space(path) == ("optimizer.lr=1e-3..1",)
    path.write_text('space = ["optimizer.lr=1e-3..1", "epochs=1..3"]\n')
    assert read_space(path) == ("optimizer.lr=1e-3..1", "epochs=1..3")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            '"optimizer.lr" = {low = 1, hihg = 2}',
            "optimizer.lr: no key of a dimension named 'hihg'; did you mean 'high'",
        ),
        ('"optimizer.lr" = {low = 1}', "optimizer.lr needs either low and high or values, got low"),
        ('"optimizer.lr" = {}', "needs either low and high or values, got neither"),
        ('"optimizer.lr" = {values = [1], low = 1}', "needs either low and high or values"),
        ('"optimizer.lr" = {low = "1e-4", high = 1}', "optimizer.lr: the ends of a range must be numbers, got '1e-4'"),
        ('"optimizer.lr" = {low = 1, high = 2, log = "yes"}', "log is True or False, got 'yes'"),
        ('"optimizer.lr" = {low = 1, high = 2, when = "sgd"}', "when must be a table of fields, got 'sgd'"),
        ('"optimizer.lr" = {low = 1, high = 2, when = {optimizer.nam = "sgd"}}', "did you mean 'optimizer.name'"),
        ('"optimizer.lr" = {values = 3}', "values must be a list, got 3"),
        ('"optimizer.lr" = {values = []}', "at least one value"),
        ('"optimizer.lr" = {values = ["a"]}', "optimizer.lr must be a number, got 'a'"),
        ('"optimizer.lr" = [1e-4, 1]', r"write \"LOW\.\.HIGH\", \{low = LOW, high = HIGH\} or"),
        ('"optimizer.l" = {low = 1, high = 2}', "no recipe field named 'optimizer.l'; did you mean 'optimizer.lr'"),
        ('"epochs" = {low = 1.5, high = 2}', "epochs must be a whole number, got 1.5"),
        ("epochs = 2024-01-01", "epochs is datetime.date"),
        ("space = 5", "space must be a table of dimensions, got 5"),
        ("space = [5]", "the space holds 5; give texts"),
        ("trials = 5\n[space]\nepochs = 3", "holds more than a space: trials; give a file of settings with --config"),
        ("= 5", "is not a TOML file of dimensions"),
        ("", "holds no dimension"),
        ("[space]", "holds no dimension"),
        ("x = " + "[" * 100_000, "nested too deep"),
        ("a." * 3000 + "b = 1", "nested too deep"),
    ],
)
def test_toml_that_is_no_space_is_refused_with_its_place(tmp_path, text, words):
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as caught:
        read_space(path)
    assert "space.toml" in str(caught.value)


def test_the_page_on_spaces_says_the_same_in_its_three_forms():
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z ]+ \| `(.+)` \| `(.+)` \| `(.+)` \|$", page.replace("\\|", "|"), re.MULTILINE)
    assert len(rows) == 6
    for text, _, toml in rows:
        name, dim = parse_dimension(text)
        (other,) = texts_of(tomllib.loads(f'"{name}" = {toml}'), where="docs")
        assert parse_dimension(other) == (name, dim)
    (block,) = re.findall(r"```toml\n(\[space\].+?)```", page, re.DOTALL)
    Space(dict(map(parse_dimension, texts_of(tomllib.loads(block)["space"], where="docs"))))


def test_a_config_refuses_a_field_that_is_fixed_and_searched_under_a_label():
    with pytest.raises(UsageError, match=r"optimizer\.lr is fixed with --set and searched with --space"):
        StudyConfig(data="x", set={"optimizer.lr": 0.1}, space=("optimizer.lr@adamw=0.1..1",))
    with pytest.raises(UsageError, match=r"the space of optimizer\.lr@adamw is given twice"):
        StudyConfig(data="x", space=("optimizer.lr@adamw=0.1..1", "optimizer.lr@adamw=0.1..1"))
    StudyConfig(data="x", space=("optimizer.lr@adamw=0.1..1",))  # the choice may be in the preset


def test_dimensions_given_from_python_keep_everything():
    def build(kind, width=8):
        raise AssertionError

    space = {
        "kind": Choice("a|b", "1", "deep", True),
        "width@deep": Int(8, 64, log=True, step=8),
        "optimizer.lr": Float(1, 2, when={"kind": "a|b"}, purpose="scientific"),
        "width@x": Float(16.0, 32.0, when={"kind": "1"}),
    }
    texts, _ = asked(build, space, None, None)
    read = dict(map(parse_dimension, texts))
    assert read == {
        "own.kind": space["kind"],
        "own.width@deep": space["width@deep"],
        "optimizer.lr": Float(1, 2, when={"own.kind": "a|b"}, purpose="scientific"),
        "own.width@x": Float(16.0, 32.0, when={"own.kind": "1"}),
    }
    Space(read)
    with pytest.raises(UsageError, match="epochs is a whole number"):
        asked(None, {"epochs": Float(5, 40)}, None, None)


# Stored spaces --------------------------------------------------------------------------------------------------------


def test_the_spaces_of_older_studies_are_read():
    old = {
        "optimizer.lr": {"kind": "float", "low": 1e-4, "high": 0.1, "log": True},
        "epochs": {"kind": "int", "low": 5, "high": 40, "log": False},
        "model.hidden": {"values": [0, 64]},
    }
    space = Space.from_json(old)
    assert space.dimensions == {"optimizer.lr": LR, "epochs": Int(5, 40), "model.hidden": Choice(0, 64)}
    assert space.to_json() == old, "what is not used is not written"


# Wider spaces ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "old", "is_wider"),
    [
        (Float(0, 2), Float(0, 1), True),
        (Float(0, 1), Float(0, 2), False),
        (Float(0, 2), Float(-1, 1), False),
        (Float(0, 2), Float(0, 1, step=0.1), True),
        (Float(0, 2, step=0.1), Float(0, 1), False),
        (Float(0, 2, step=0.1), Float(0, 1, step=0.2), True),
        (Float(0, 2, step=0.2), Float(0, 1, step=0.1), False),
        (Float(-0.05, 2, step=0.1), Float(0, 1, step=0.1), False),
        (Float(0.1, 1, log=True), Float(0.1, 1), True),
        (Int(1, 9), Int(2, 8), True),
        (Int(0, 9, step=3), Int(3, 6, step=3), True),
        (Int(0, 9, step=3), Int(2, 8, step=3), False),
        (Int(1, 9), Float(2, 3), False),
        (Float(1, 9), Int(2, 3), False),
        (Choice(1, 2, 3), Choice(3, 1), True),
        (Choice(1, 2), Choice(1, 3), False),
        (Int(8, 64), Choice(16, 32), True),
        (Int(8, 64, step=8), Choice(16, 33), False),
        (Choice(1, 2, 3), Int(2, 3), True),
        (Choice(1, 3), Int(1, 3), False),
        (Choice(0.0, 0.5), Float(0, 1), False),
        (Float(0, 1), Choice(0.0, 0.5), True),
    ],
)
def test_a_dimension_covers_another_where_it_has_all_its_values(new, old, is_wider):
    assert covers(new, old) == is_wider
    assert covers(old, old)
    assert covers(new, new)


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
    assert [why for why in less.narrower(space) if "would hold in fewer cases" in why]
    assert more.covers(space)
    assert not space.covers(more)
    (gone,) = space.without(["optimizer.name"]).narrower(space)
    assert gone.startswith("optimizer.name is no longer in the space; it was optimizer.name=adamw|momentum|nesterov")


# Presets --------------------------------------------------------------------------------------------------------------

PRESETS = {
    "heads": lambda: portfolio.heads((256, 224), 5000, epochs=None, seed=1, crop=0.875),
    "heads, few": lambda: portfolio.heads((256, 224), 500, epochs=None, seed=1, crop=0.875),
    "scratch": lambda: portfolio.scratch(96, 5000, epochs=None, seed=1),
    "tables": lambda: portfolio.tables(5000, task="binary", epochs=None, seed=1),
    "tables, regression": lambda: portfolio.tables(500_000, task="regression", epochs=None, seed=1),
    "own": lambda: portfolio.own(5000, task="binary", epochs=7, seed=1),
}


def test_a_preset_is_what_its_file_says_with_what_hangs_on_the_data():
    own = PRESETS["own"]()
    changed = {name: value for name, value in own.base.flat().items() if value != Recipe().flat()[name]}
    assert changed == {
        "model.name": "own", "optimizer.lr": 2e-3, "schedule.name": "wsd", "batch_size": 64, "epochs": 7, "seed": 1,
    }  # fmt: skip
    assert own.portfolio == ({"optimizer.lr": 5e-4}, {"optimizer.lr": 8e-3})
    assert own.dimensions == {
        "optimizer.lr": Float(1e-4, 3e-2, log=True, purpose="nuisance"),
        "optimizer.weight_decay": Float(1e-4, 3e-1, log=True, purpose="nuisance"),
    }


def test_what_holds_in_some_cases_only_is_left_out_in_the_others():
    many, few = PRESETS["heads"](), PRESETS["heads, few"]()
    assert list(many.dimensions) == [*few.dimensions, "model.hidden", "model.dropout"]
    assert many.portfolio[1] != few.portfolio[1]
    assert next(iter(many.dimensions)) == "input.size"
    assert many.dimensions["input.size"] == Choice(256, 224)
    assert many.portfolio[0] == {"input.size": 224}
    assert (many.base.batch_size, few.base.batch_size) == (64, 32)
    assert "loss.label_smoothing" in PRESETS["tables"]().dimensions
    assert "loss.label_smoothing" not in PRESETS["tables, regression"]().dimensions
    assert PRESETS["scratch"]().portfolio[-1] == {"input.size": 64, "model.width": 24}
    assert [len(make().portfolio) for make in PRESETS.values()] == [6, 6, 6, 8, 8, 2]
    assert [len(make().dimensions) for make in PRESETS.values()] == [7, 5, 7, 10, 9, 2]


@pytest.mark.parametrize("name", PRESETS)
def test_every_entry_of_a_preset_fits_and_says_why(name):
    preset = PRESETS[name]()
    space = Space(preset.dimensions, base=preset.base.flat())
    assert len(preset.reasons) == len(preset.portfolio)
    assert all(preset.reasons)
    assert set(preset.whys) == set(preset.dimensions)
    assert all(preset.whys.values())
    assert space.never() == {}
    assert {space.purpose(field) for field in preset.dimensions} <= {"scientific", "nuisance", "fixed"}
    for changes in preset.portfolio:
        assert preset.base.but(changes) != preset.base


def test_every_file_of_presets_is_read():
    assert {path.stem for path in Path(presets.__file__).parent.joinpath("spaces").iterdir()} == set(presets.KINDS)
    for kind in presets.KINDS:
        found = presets.known(kind)
        assert found.portfolio
        assert found.space
        assert all(each.why for each in (*found.portfolio, *found.space.values()))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"portfolios": []}, "x.toml: no part named 'portfolios'; did you mean 'portfolio'"),
        ({"portfolio": [{"why": "so"}]}, "x.toml: entry 1 of the portfolio has no changes"),
        ({"portfolio": [{"changes": {"epochs": 1}}]}, "entry 1 of the portfolio does not say why"),
        ({"portfolio": [{"changes": {"epochs": 1}, "whi": ""}]}, "no key named 'whi'; did you mean 'why'"),
        ({"portfolio": [], "base": {"optimizer.l": 1}}, "did you mean 'optimizer.lr'"),
        ({"portfolio": [], "space": {"epochs": {"low": 1, "high": 2}}}, "x.toml: epochs does not say why"),
        ({"portfolio": [], "space": {"epochs": {"low": 1, "hihg": 2, "why": "so"}}}, "did you mean 'high'"),
        ({"portfolio": [], "space": {"epochs": {"low": 0.5, "high": 2, "why": "so"}}}, "epochs must be a whole number"),
        ({"portfolio": [], "space": {"epoch": {"low": 1, "high": 2, "why": "so"}}}, "did you mean 'epochs'"),
    ],
)
def test_a_file_of_presets_that_is_wrong_is_refused(table, words):
    with pytest.raises(UsageError, match=words):
        presets.read_known(table, where="x.toml")


# Wider spaces in a study ----------------------------------------------------------------------------------------------

PLAN = {"base": Recipe().flat(), "space": Space({"optimizer.lr": LR, "model.hidden": Choice(0, 64)}).to_json()}


@pytest.fixture
def stopped(tmp_path):
    """The folder of a study that was stopped in its search."""
    folder = tmp_path / "study"
    with begin(StudyConfig(data="x", out=str(folder), set={"batch_size": 16}), Silent()) as study:
        study.keep(Event("plan", PLAN))
    return folder


def test_a_wider_space_is_an_event_with_its_reason_and_holds_from_then_on(stopped):
    with reopen(stopped, Silent()) as study:
        assert space_of(study.state) == Space.from_json(PLAN["space"])
        wider = space_of(study.state).widened("optimizer.lr", high=1.0)
        assert widen(study, wider, reason="on its edge", evidence={"best": [0.1]}) == wider
        assert event_of(study.state.space).data == {
            "space": wider.to_json(),
            "reason": "on its edge",
            "evidence": {"best": [0.1]},
        }
        with pytest.raises(UsageError, match=r"it was optimizer.lr=0.0001\.\.1.0:log"):
            widen(study, Space.from_json(PLAN["space"]), reason="smaller")
        widen(study, wider, reason="the same again")
    _, state = read_state(stopped)
    assert state.space.reason == "on its edge"
    assert space_of(state).dimensions["optimizer.lr"] == Float(1e-4, 1, log=True)
    assert state.plan == PlanEvent(**PLAN), "the plan stays as it was made"


def test_what_a_resume_asks_for_waits_until_the_study_has_checked_it(stopped):
    ask_for(stopped, ["optimizer.lr=1e-5..1:log", "model.hidden=0|64|256"])
    ask_for(stopped, ["model.depth=1..4", "model.hidden=0|64|128"])
    with reopen(stopped, Silent()) as study:
        assert space_of(study.state).dimensions["optimizer.lr"] == LR, "not checked yet"
        asked_for = asked_space(study)
        assert asked_for.dimensions == {
            "optimizer.lr": Float(1e-5, 1, log=True), "model.hidden": Choice(0, 64, 128), "model.depth": Int(1, 4),
        }  # fmt: skip
        settle(study, asked_for)
        assert asked_space(study) is None
        assert space_of(study.state) == asked_for
        assert study.state.space.reason == "asked for on resume"
    ask_for(stopped, ["model.width=8..16"])
    with reopen(stopped, Silent()) as study:
        settle(study, asked_space(study), problem="a head has no width")
        assert asked_space(study) is None
        assert space_of(study.state) == asked_for
        assert study.state.space_asked.outcome == "refused: a head has no width"


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["optimizer.lr=1e-3..1:log"], r"leaves something out; it was optimizer.lr=0.0001\.\.0.1:log"),
        (["model.hidden=0|128"], r"it was model.hidden=0\|64"),
        (["optimizer.lr=1e-5..1:log if model.hidden=64"], "would hold in fewer cases"),
        (["batch_size=8..64"], "batch_size is fixed in this study with --set"),
        (["model.depth=1..4 if model.hidden=32"], "which it never is in this space"),
        (["schedule.drops=1..4 if schedule.name=step"], "which it never is in this space; it is cosine"),
        (["optimizer.l=1..2"], "did you mean 'optimizer.lr'"),
        (["optimizer.lr@sgd=1..2"], "the label of optimizer.lr@sgd is no value"),
        (["optimizer.lr"], "cannot read the space"),
    ],
)
def test_a_resume_does_not_take_what_no_study_can_search(stopped, texts, words):
    with pytest.raises(UsageError, match=words):
        ask_for(stopped, texts)
    assert read_state(stopped)[1].space_asked is None


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([Event("result", {})], "is finished; begin another study with this space"),
        ([Event("finalists", {"trials": []})], "the search of .* has ended"),
        ([Event("search_ended", {})], "the search of .* has ended"),
    ],
)
def test_a_study_whose_search_is_over_takes_no_wider_space(stopped, events, words):
    with reopen(stopped, Silent()) as study:
        study.keep(*events)
    with pytest.raises(UsageError, match=words):
        ask_for(stopped, ["model.depth=1..4"])


def test_a_study_without_a_plan_takes_no_wider_space(tmp_path):
    with begin(StudyConfig(data="x", out=str(tmp_path / "study")), Silent()):
        pass
    with pytest.raises(UsageError, match="was stopped before its search began"):
        ask_for(tmp_path / "study", ["model.depth=1..4"])


def test_the_command_line_says_what_the_range_was(stopped, monkeypatch, capsys):
    file = stopped.parent / "wider.toml"
    file.write_text('"optimizer.lr" = {low = 1e-3, high = 1.0, log = true}')
    for text in (str(file), "optimizer.lr=1e-3..1:log"):
        monkeypatch.setattr(
            sys, "argv", ["tame", "resume", str(stopped), "--space", "model.depth=1..4", "--space", text]
        )
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        said = capsys.readouterr().err
        assert "tame: the space of optimizer.lr may grow but not shrink" in said
        assert "it was optimizer.lr=0.0001..0.1:log" in said


# The whole way --------------------------------------------------------------------------------------------------------

X = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


class StopsSoon(Silent):
    """Someone who stops a study once its first trials are trained."""

    def history(self, history):
        if history.trials:
            raise StoppedError("enough")


def linear(bias=True):
    return nn.Linear(3, 2, bias=bias)


def stopped_in_its_search(folder, *space, trials=20, search="auto"):
    arrays = read_arrays(X, Y)
    config = StudyConfig(
        data=ARRAYS, model=INLINE, out=str(folder), trials=trials, epochs=1, folds=2, set={"batch_size": 30},
        space=space, widen=False, search=search,
    )  # fmt: skip
    with pytest.raises(StoppedError):
        fit_study(config, StopsSoon(), keep=lambda to: keep_arrays(arrays, "auto", to, plain=True), build=linear)
    return read_state(folder)[1]


def test_a_study_searches_a_rate_for_each_optimizer(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    texts = ("optimizer.name=adamw|momentum", "optimizer.lr@momentum=0.5..0.9:log", "own.bias=true|false")
    state = stopped_in_its_search(tmp_path / "study", *texts)
    space = space_of(state)
    assert space.dimensions["optimizer.lr"].when == {"optimizer.name": ("adamw",)}
    drawn = [t.recipe for t in state.history.trials.values() if t.origin not in ("default", "portfolio")]
    assert {recipe.optimizer.name for recipe in drawn} == {"adamw", "momentum"}
    for recipe in drawn:
        assert space.holds(recipe.flat())
        assert (recipe.optimizer.lr >= 0.5) == (recipe.optimizer.name == "momentum")
    with pytest.raises(UsageError, match=r"only if optimizer\.name is lion, .* it is adamw"):
        stopped_in_its_search(tmp_path / "other", "optimizer.lr@lion=0.5..0.9 if optimizer.name=lion")


def test_a_study_that_was_stopped_goes_on_in_a_wider_space(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    first = stopped_in_its_search(folder, "optimizer.lr=0.01..0.02:log", "own.bias=true|false")
    with pytest.raises(UsageError, match=r"it was optimizer\.lr=0\.01\.\.0\.02:log"):
        tame.resume(folder, model=linear, space=("optimizer.lr=0.015..0.02:log",), quiet=True)
    with pytest.raises(UsageError, match=r"schedule\.power would do nothing"):
        tame.resume(folder, model=linear, space=("schedule.power=1..3",), quiet=True)
    assert "refused" in read_state(folder)[1].space_asked.outcome
    wider = {"optimizer.lr": Float(0.01, 10, log=True), "optimizer.momentum": Float(0.1, 0.8)}
    tame.resume(folder, model=linear, space=wider, quiet=True)
    state = read_state(folder)[1]
    assert 0 < len(first.history.trials) < 20
    assert state.space.reason == "asked for on resume"
    later = [t.recipe.optimizer for n, t in state.history.trials.items() if n not in first.history.trials]
    assert max(each.lr for each in later) > 0.02
    assert min(each.momentum for each in later) < 0.8
    with pytest.raises(UsageError, match="is finished; begin another study"):
        tame.resume(folder, model=linear, space=wider, quiet=True)


def test_a_wider_space_in_which_nothing_would_begin_any_more_is_refused(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "study"
    state = stopped_in_its_search(
        folder, "optimizer.lr=0.01..0.02:log", "own.bias=true|false", search="random", trials=3
    )
    assert len(state.history.trials) == 3
    with pytest.raises(
        UsageError, match=r"all 3 recipes of .* have begun: none would be in the wider space; .* --start-from"
    ):
        tame.resume(folder, model=linear, space=("optimizer.lr=0.001..0.1:log",), quiet=True)


def test_a_wider_range_stays_on_its_scale():
    old = Space({"optimizer.lr": Float(1e-3, 1e-2, log=True)})
    (why,) = Space({"optimizer.lr": Float(1e-4, 1e-1)}).narrower(old)
    assert why == "optimizer.lr is searched on a log scale and stays on it; it was optimizer.lr=0.001..0.01:log"
    assert Space({"optimizer.lr": Float(1e-4, 1e-1, log=True)}).covers(old)
