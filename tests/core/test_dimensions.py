"""Ranges in steps, choices, and what is not a dimension."""

from __future__ import annotations

import itertools
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_spaces import LR, OPTIMIZERS, RANGES, ranges, unit
from tame.core.dimensions import covers, every_value
from tame.core.errors import UsageError
from tame.core.space import Choice, Float, Int, Space, parse_dimension, to_text


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
        (lambda: Float(2, 1), r"low end .* not be above the high end, got 2.0\.\.1.0; write 1.0\.\.2.0"),
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
        (lambda: Choice([1, 2]), r"write Choice\(1, 2, 3\), each value as an argument"),
        (lambda: Choice(1, 2, 1.0), "the same value twice: 1 and 1.0"),
        (lambda: Choice(1, True), "the same value twice: 1 and True"),
        (lambda: Choice("a", "a"), "the same value twice: 'a' and 'a'"),
        (lambda: Choice(1, None), "finite numbers, text, True or False; got None"),
        (lambda: Choice(math.nan), "finite numbers, text, True or False; got nan"),
        (lambda: Choice(1, 2, purpose="scientifc"), "no purpose named 'scientifc'; did you mean 'scientific'"),
        (lambda: Float(0, 1, purpose="fixed"), "a fixed dimension has one value"),
        (lambda: Float(0, 1, when={"model.depth": ()}), "the condition on model.depth names no value"),
        (
            lambda: Float(0, 1, when={"model.depth": (1, 1.0)}),
            "the condition on model.depth has the same value twice",
        ),
        (lambda: Float(0, 1, when=["model.depth"]), "`when` maps recipe fields to values"),
    ],
)
def test_an_invalid_dimension_is_refused(make, words):
    with pytest.raises(UsageError, match=words):
        make()


def test_numpy_numbers_become_plain_ones():
    dims = {
        "batch_size": Int(np.int64(2), np.int32(8)),
        "optimizer.lr": Float(np.float32(0.5), 1),
        "epochs": Choice(np.int64(3)),
    }
    assert json.dumps(Space(dims).to_json())
    assert dims["batch_size"] == Int(2, 8)
    assert Int(2.0, 8.0) == Int(2, 8)


def test_true_is_not_a_number_in_a_range_or_a_choice():
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
