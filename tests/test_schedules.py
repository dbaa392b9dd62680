"""The laws of every schedule, and of the multiplier that joins them for members with schedules of their own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tame.parts.schedules import SCHEDULES, rate_multiplier
from tame.testing.schedule_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")

ENDS = {"constant": 1.0, "linear": 0.0, "cosine": 0.0, "wsd": 0.0}
FORMULAS = {
    "constant": lambda p: 1.0,
    "linear": lambda p: 1 - p,
    "cosine": lambda p: (1 + math.cos(math.pi * p)) / 2,
    "wsd": lambda p: 1.0 if p < 0.8 else (1 - p) * 5,
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_keeps_the_law(name, law):
    law(SCHEDULES.get(name))


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_ends_where_it_says(name):
    found = SCHEDULES.get(name)(torch.ones(1, dtype=torch.float64))
    assert found.item() == pytest.approx(ENDS[name], abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULES.names())
@given(progress=st.floats(0, 1))
def test_every_schedule_equals_its_formula(name, progress):
    found = SCHEDULES.get(name)(torch.tensor([progress], dtype=torch.float64))
    assert found.item() == pytest.approx(FORMULAS[name](progress), abs=1e-12)


@given(
    own=st.lists(
        st.tuples(st.sampled_from(SCHEDULES.names()), st.floats(0, 1), st.floats(0, 0.99)), min_size=1, max_size=6
    )
)
def test_each_member_follows_its_own_schedule_after_its_own_warmup(own):
    names = [name for name, _, _ in own]
    progress, warmup = (torch.tensor([each[i] for each in own], dtype=torch.float64) for i in (1, 2))
    found = rate_multiplier(names, progress, warmup=warmup).tolist()
    for value, (name, p, w) in zip(found, own, strict=True):
        wanted = p / w if p < w else FORMULAS[name](min((p - w) / (1 - w), 1))
        assert value == pytest.approx(wanted, abs=1e-12)
        assert 0 <= value <= 1


def test_warmup_rises_from_nothing_to_the_peak():
    along = torch.linspace(0, 1, 101, dtype=torch.float64)
    found = rate_multiplier(["cosine"] * 101, along, warmup=torch.full((101,), 0.2, dtype=torch.float64))
    assert found[0] == 0
    assert found[:20].diff().min() > 0
    assert found[20] == pytest.approx(1)
    assert found[20:].diff().max() < 0
