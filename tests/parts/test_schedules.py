"""The laws of every schedule, and of the multiplier that joins them for members with schedules of their own."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim import lr_scheduler

from tame.core.errors import ShapeError, UsageError
from tame.core.recipe import ScheduleRecipe
from tame.parts.schedules import (
    SCHEDULES,
    RateMultiplier,
    check_schedule,
    rate_multiplier,
    schedule_hyper,
    start_plateau,
    step_plateau,
)
from tame.testing.schedule_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")

F64 = torch.float64
LIKE = torch.zeros(1, dtype=F64)
ENDS = {
    "constant": 1.0, "plateau": 1.0, "linear": 0.0, "cosine": 0.0, "wsd": 0.0, "polynomial": 0.0, "restarts": 0.0,
    "step": 0.1**3, "exponential": 0.1, "one_cycle": 4e-6, "inverse_sqrt": 0.1,
}  # fmt: skip


def one_cycle_by_hand(p):
    def between(start, end, share):
        return end + (start - end) * (1 + math.cos(math.pi * share)) / 2

    return between(0.04, 1, p / 0.3) if p < 0.3 else between(1, 4e-6, (p - 0.3) / 0.7)


FORMULAS = {  # with the hyperparameters of a plain recipe, of what the warmup w leaves
    "constant": lambda p, w: 1.0,
    "plateau": lambda p, w: 1.0,
    "linear": lambda p, w: 1 - p,
    "cosine": lambda p, w: (1 + math.cos(math.pi * p)) / 2,
    "wsd": lambda p, w: 1.0 if p < 0.8 else (1 - p) * 5,
    "polynomial": lambda p, w: (1 - p) ** 2,
    "exponential": lambda p, w: math.exp(p * math.log(0.1)),
    "step": lambda p, w: 0.1 ** sum(p >= place for place in (1 / 4, 2 / 4, 3 / 4)),
    "restarts": lambda p, w: 0.0 if p == 1 else (1 + math.cos(math.pi * (3 * p % 1))) / 2,
    "one_cycle": lambda p, w: one_cycle_by_hand(p),
    "inverse_sqrt": lambda p, w: min(1.0, math.sqrt(max(w, 0.01) / max(w + p * (1 - w), 1e-9))),
}
JUMPS = [i / 12 for i in range(1, 12)]  # where step and restarts jump; just before, rounding may have jumped already


def steady(p):
    return all(not place * (1 - 1e-5) < p < place for place in JUMPS)


def multiplier(name, progress, **recipe):
    progress = torch.tensor([progress], dtype=F64)
    return SCHEDULES.get(name).multiplier(progress, schedule_hyper([ScheduleRecipe(**recipe)], like=LIKE)).item()


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_keeps_the_law(name, law):
    law(name)


@pytest.mark.parametrize("name", SCHEDULES.names())
def test_every_schedule_ends_where_it_says(name):
    assert multiplier(name, 1.0) == pytest.approx(ENDS[name], abs=1e-15)


@pytest.mark.parametrize("name", SCHEDULES.names())
@given(progress=st.floats(0, 1).filter(steady))
def test_every_schedule_equals_its_formula(name, progress):
    assert multiplier(name, progress) == pytest.approx(FORMULAS[name](progress, 0), abs=1e-12)


STEPS = 120
TORCH = {
    "constant": lambda o: lr_scheduler.ConstantLR(o, factor=1.0),
    "step": lambda o: lr_scheduler.StepLR(o, STEPS // 6, gamma=0.5),
    "exponential": lambda o: lr_scheduler.ExponentialLR(o, 0.5 ** (1 / STEPS)),
    "polynomial": lambda o: lr_scheduler.PolynomialLR(o, STEPS, power=3.0),
    "linear": lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS),
    "cosine": lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS),
    "restarts": lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, STEPS // 4),
    # torch's peak lies at step 0.3 T - 1 of T; this share puts it at 30 % of the way from the first step to the last.
    "one_cycle": lambda o: lr_scheduler.OneCycleLR(
        o, 1.0, STEPS + 1, pct_start=(0.3 * STEPS + 1) / (STEPS + 1), cycle_momentum=False
    ),
}


@pytest.mark.parametrize("name", TORCH)
def test_equals_the_schedule_of_torch_at_every_step(name):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = TORCH[name](optimizer)
    for done in range(STEPS):
        found = multiplier(name, done / STEPS, factor=0.5, drops=5, power=3.0, cycles=4)
        assert found == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12), done
        optimizer.step()
        reference.step()


@given(pieces=st.integers(2, 12), long=st.integers(2, 60), warm=st.integers(0, 3), double=st.booleans())
def test_falls_and_restarts_come_at_their_very_step_whatever_the_rounding(pieces, long, warm, double):
    """A run of pieces x long steps after a warmup; a share of steps is rounded, and so is what is made of it."""
    total = pieces * long + warm
    along = torch.arange(warm, total, dtype=F64 if double else torch.float32) / total
    warmup = torch.full_like(along, warm / total)
    hyper = schedule_hyper([ScheduleRecipe(drops=pieces - 1, factor=0.5, cycles=pieces)] * len(along), like=along)
    step, restarts = (
        rate_multiplier([name] * len(along), along, warmup=warmup, hyper=hyper) for name in ("step", "restarts")
    )
    assert step.log2().neg().round().tolist() == [k // long for k in range(pieces * long)]
    torch.testing.assert_close(restarts[::long], torch.ones_like(restarts[::long]), rtol=0, atol=1e-6)


def test_one_cycle_is_the_default_of_torch_for_many_steps():
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = lr_scheduler.OneCycleLR(optimizer, 1.0, 2000, cycle_momentum=False)
    for done in range(2000):
        assert multiplier("one_cycle", done / 1999) == pytest.approx(optimizer.param_groups[0]["lr"], abs=2e-3)
        optimizer.step()
        if done < 1999:
            reference.step()


@given(
    own=st.lists(
        st.tuples(st.sampled_from(SCHEDULES.names()), st.floats(0, 1), st.just(0.0) | st.floats(1e-6, 0.99)),
        min_size=1,
        max_size=6,
    )
)
def test_each_member_follows_its_own_schedule_after_its_own_warmup(own):
    names = [name for name, _, _ in own]
    progress, warmup = (torch.tensor([each[i] for each in own], dtype=F64) for i in (1, 2))
    hyper = schedule_hyper([ScheduleRecipe(name=name) for name in names], like=LIKE)
    found = rate_multiplier(names, progress, warmup=warmup, hyper=hyper).tolist()
    for value, (name, p, w) in zip(found, own, strict=True):
        assert 0 <= value <= 1
        rest = min((p - w) / (1 - w), 1)
        if p < w:
            assert value == pytest.approx(p / w, abs=1e-12)
        elif steady(rest):
            assert value == pytest.approx(FORMULAS[name](rest, w), abs=1e-9)


@pytest.mark.parametrize("warmup", [0.0, 0.2])
def test_the_multiplier_made_once_equals_the_one_made_at_every_step(warmup):
    names = ["cosine", "step", "cosine", "one_cycle", "wsd"]
    hyper = schedule_hyper([ScheduleRecipe(drops=i) for i in range(1, 6)], like=LIKE)
    own = torch.tensor([warmup, 0, 0, 0, warmup], dtype=F64)
    made = RateMultiplier.of(names, own, hyper)
    for done in range(11):
        progress = torch.full((5,), done / 10, dtype=F64)
        before = progress.clone()
        assert torch.equal(made(progress), rate_multiplier(names, progress, warmup=own, hyper=hyper))
        assert torch.equal(progress, before)


def test_warmup_rises_from_nothing_to_the_peak():
    along = torch.linspace(0, 1, 101, dtype=F64)
    hyper = schedule_hyper([ScheduleRecipe()] * 101, like=LIKE)
    found = rate_multiplier(["cosine"] * 101, along, warmup=torch.full((101,), 0.2, dtype=F64), hyper=hyper)
    assert found[0] == 0
    assert found[:20].diff().min() > 0
    assert found[20] == pytest.approx(1)
    assert found[20:].diff().max() < 0


def test_members_without_a_value_are_refused():
    hyper = schedule_hyper([ScheduleRecipe()] * 2, like=LIKE)
    with pytest.raises(ShapeError, match=r"got 3 names, warmup \(3,\), factor \(2,\)"):
        RateMultiplier.of(["cosine"] * 3, torch.zeros(3), hyper)
    with pytest.raises(UsageError, match="did you mean 'cosine'"):
        RateMultiplier.of(["cosin", "wsd"], torch.zeros(2), hyper)


def test_a_warmup_before_a_schedule_that_has_its_own_is_refused():
    check_schedule(ScheduleRecipe(name="one_cycle"))
    check_schedule(ScheduleRecipe(name="cosine", warmup=0.1))
    with pytest.raises(UsageError, match=r"schedule\.warmup must be 0 with one_cycle, .*got 0\.1"):
        check_schedule(ScheduleRecipe(name="one_cycle", warmup=0.1))
    with pytest.raises(UsageError, match=r"then\.warmup must be 0 with one_cycle"):
        check_schedule(ScheduleRecipe(name="one_cycle", warmup=0.1), room="then")
    with pytest.raises(UsageError, match="did you mean 'one_cycle'"):
        check_schedule(ScheduleRecipe(name="onecycle"))


@given(
    losses=st.lists(st.floats(-1, 10) | st.just(math.nan) | st.just(math.inf), min_size=1, max_size=30),
    patience=st.integers(1, 4),
    factor=st.floats(0.1, 0.9),
)
def test_plateau_equals_that_of_torch(losses, patience, factor):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, eps=0)
    state = start_plateau(2, like=LIKE)
    for loss in losses:
        reference.step(loss)
        state = step_plateau(
            state,
            torch.tensor([loss, loss], dtype=F64),
            patience=torch.tensor([patience, patience]),
            factor=torch.tensor([factor, factor], dtype=F64),
            is_plateau=torch.tensor([True, False]),
        )
        assert state.multiplier[0].item() == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
    assert state.multiplier[1] == 1
    assert state.best[1] == math.inf
    assert state.waited[1] == 0


def test_each_member_waits_on_its_own_plateau():
    state = start_plateau(3, like=LIKE)
    falling, flat, rising = [3.0, 2.0, 1.0, 0.5], [1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]
    for losses in zip(falling, flat, rising, strict=True):
        state = step_plateau(
            state,
            torch.tensor(losses, dtype=F64),
            patience=torch.tensor([1, 1, 2]),
            factor=torch.tensor([0.1, 0.5, 0.25], dtype=F64),
            is_plateau=torch.ones(3, dtype=torch.bool),
        )
    assert state.multiplier.tolist() == [1, 0.5, 0.25]
    assert state.best.tolist() == [0.5, 1, 1]
    assert state.waited.tolist() == [0, 1, 0]
