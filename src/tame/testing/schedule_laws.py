"""The laws that every Schedule must satisfy. Each law takes a registered name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from tame.core.recipe import ScheduleRecipe
from tame.parts.schedules import SCHEDULES, RateMultiplier, ScheduleHyper, schedule_hyper

Law = Callable[[str], None]

_ALONG = torch.linspace(0, 1, 1001, dtype=torch.float64)
_PLAIN = ScheduleRecipe(factor=0.3, drops=4, power=1.5, cycles=3)
_OTHERS = {
    "factor": replace(_PLAIN, factor=0.5),
    "drops": replace(_PLAIN, drops=2),
    "power": replace(_PLAIN, power=3.0),
    "cycles": replace(_PLAIN, cycles=2),
}


def begins_at_the_peak_or_rises_to_it(name: str) -> None:
    found = _shape(name)
    assert abs(found.max() - 1) <= 1e-12
    assert (found[0].item() < 1) is SCHEDULES.get(name).own_warmup


def stays_between_nothing_and_the_peak(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        for recipe in (_PLAIN, replace(_PLAIN, factor=1e-6, drops=1000, power=100.0, cycles=1000)):
            found = _shape(name, _ALONG.to(dtype), recipe)
            assert found.dtype == dtype
            assert found.shape == _ALONG.shape
            assert found.isfinite().all()
            assert found.min() >= 0
            assert found.max() <= 1


def rises_only_if_it_says_so(name: str) -> None:
    rises = bool(_shape(name).diff().max() > 1e-12)
    assert rises is SCHEDULES.get(name).rises


def members_do_not_mix(name: str) -> None:
    recipes = [replace(_PLAIN, factor=0.1 + 0.01 * i, drops=1 + i, power=0.5 + i, cycles=1 + i) for i in range(5)]
    progress = torch.tensor([0.0, 0.31, 0.5, 0.83, 1.0], dtype=torch.float64)
    together = SCHEDULES.get(name).multiplier(progress, schedule_hyper(recipes, like=progress))
    for i, recipe in enumerate(recipes):
        alone = SCHEDULES.get(name).multiplier(progress[i : i + 1], schedule_hyper([recipe], like=progress))
        assert torch.equal(together[i : i + 1], alone)


def uses_what_it_says_and_nothing_else(name: str) -> None:
    uses = SCHEDULES.get(name).uses
    assert uses <= {*_OTHERS, "patience"}
    for field, other in _OTHERS.items():
        # With a patience, step_plateau uses the hyperparameters, not the shape.
        wanted = field in uses and "patience" not in uses
        moved = not torch.equal(_shape(name), _shape(name, recipe=other))
        assert moved is wanted, field


def is_open_ended_if_it_says_so(name: str) -> None:
    """A run of 1000 steps that becomes one of 2000: the first 800, with the same warmup in steps, are the same."""
    schedule = SCHEDULES.get(name)
    warmup = 0.0 if schedule.own_warmup else 0.1
    along = torch.arange(800, dtype=torch.float64)
    short = _rates(name, along / 1000, warmup)
    long = _rates(name, along / 2000, warmup / 2)
    assert torch.allclose(short, long, rtol=0, atol=1e-12) is schedule.open_ended


def a_warmup_leads_to_its_beginning(name: str) -> None:
    if SCHEDULES.get(name).own_warmup:
        return
    found = _rates(name, _ALONG, 0.2)
    assert found[0] == 0
    torch.testing.assert_close(found[:201], torch.linspace(0, 1, 201, dtype=torch.float64), rtol=0, atol=1e-12)


def single_precision_agrees_with_double(name: str) -> None:
    """At every step of runs whose length hits the schedule's change points, so that both engines use the same rate."""
    for steps in (30, 60, 300, 999):
        for cuts in (1, 2, 4):
            recipe = replace(_PLAIN, drops=cuts, cycles=cuts + 1)
            along = torch.arange(steps) / steps
            double = _shape(name, torch.arange(steps, dtype=torch.float64) / steps, recipe)
            torch.testing.assert_close(_shape(name, along, recipe).double(), double, rtol=1e-4, atol=2e-6)


LAWS: tuple[Law, ...] = (
    begins_at_the_peak_or_rises_to_it,
    stays_between_nothing_and_the_peak,
    rises_only_if_it_says_so,
    members_do_not_mix,
    uses_what_it_says_and_nothing_else,
    is_open_ended_if_it_says_so,
    a_warmup_leads_to_its_beginning,
    single_precision_agrees_with_double,
)


def _hyper(recipe: ScheduleRecipe, progress: Tensor) -> ScheduleHyper:
    return schedule_hyper([recipe] * len(progress), like=progress)


def _shape(name: str, progress: Tensor = _ALONG, recipe: ScheduleRecipe = _PLAIN) -> Tensor:
    return SCHEDULES.get(name).multiplier(progress, _hyper(recipe, progress))


def _rates(name: str, progress: Tensor, warmup: float) -> Tensor:
    own = torch.full_like(progress, warmup)
    return RateMultiplier.of([name] * len(progress), own, _hyper(_PLAIN, progress))(progress)
