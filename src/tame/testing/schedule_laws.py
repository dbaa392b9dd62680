"""The laws of a Schedule: what every one must do, whatever its shape. Each law takes the schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tame.parts.schedules import Schedule

Law = Callable[[Schedule], None]

_ALONG = torch.linspace(0, 1, 1001, dtype=torch.float64)


def begins_at_the_peak(schedule: Schedule) -> None:
    assert schedule(torch.zeros(3, dtype=torch.float64)).tolist() == [1, 1, 1]


def stays_between_nothing_and_the_peak(schedule: Schedule) -> None:
    for dtype in (torch.float32, torch.float64):
        found = schedule(_ALONG.to(dtype))
        assert found.dtype == dtype
        assert found.shape == _ALONG.shape
        assert found.isfinite().all()
        assert found.min() >= 0
        assert found.max() <= 1


def never_rises(schedule: Schedule) -> None:
    assert schedule(_ALONG).diff().max() <= 1e-12


def members_do_not_mix(schedule: Schedule) -> None:
    together = schedule(_ALONG)
    for i in (0, 1, 500, 800, 1000):
        assert torch.equal(together[i : i + 1], schedule(_ALONG[i : i + 1]))


LAWS: tuple[Law, ...] = (begins_at_the_peak, stays_between_nothing_and_the_peak, never_rises, members_do_not_mix)
