"""Schedules: how the learning rate moves over a recipe's epochs, as a multiplier of its peak."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from tame.core.registry import Registry


class Schedule(Protocol):
    """Multiplier on the peak rate. progress: (M,) in [0, 1], the share of steps done. Returns (M,) in [0, 1]."""

    def __call__(self, progress: Tensor) -> Tensor: ...


SCHEDULES: Registry[Schedule] = Registry("schedule")


@SCHEDULES.add("constant")
def constant(progress: Tensor) -> Tensor:
    """Multiplier 1 throughout. progress: (M,); returns (M,)."""
    return torch.ones_like(progress)


@SCHEDULES.add("linear")
def linear(progress: Tensor) -> Tensor:
    """Multiplier from 1 straight down to 0. progress: (M,) in [0, 1]; returns (M,)."""
    return 1 - progress


@SCHEDULES.add("cosine")
def cosine(progress: Tensor) -> Tensor:
    """Multiplier from 1 down to 0 along half a cosine. progress: (M,) in [0, 1]; returns (M,).

    Source: Loshchilov and Hutter, SGDR (2017), without restarts.
    """
    return 0.5 * (1 + torch.cos(torch.pi * progress))


@SCHEDULES.add("wsd")
def wsd(progress: Tensor) -> Tensor:
    """Multiplier 1 for the first 80 % of the steps, then straight down to 0. progress: (M,); returns (M,).

    Source: Hu et al., MiniCPM (2024), section 4 (warmup-stable-decay, the decay being the last fifth).
    """
    return ((1 - progress) / 0.2).clamp(max=1)


def rate_multiplier(names: list[str], progress: Tensor, *, warmup: Tensor) -> Tensor:
    """The multiplier of each member's peak rate, with its own schedule and warmup.

    names: one schedule for each member; progress: (M,) in [0, 1]; warmup: (M,), the share of the steps in which the
    rate rises from 0 to its peak; the schedule takes the rest. Returns (M,) in [0, 1].
    """
    rest = ((progress - warmup) / (1 - warmup)).clamp(0, 1)
    found = torch.empty_like(progress)
    for name in set(names):
        members = torch.tensor([own == name for own in names], device=progress.device)
        found = torch.where(members, SCHEDULES.get(name)(rest), found)
    rising = progress / warmup.clamp(min=1e-12)
    return torch.where(progress < warmup, rising, found)
