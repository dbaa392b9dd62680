"""Schedules: the learning rate over a recipe's epochs, as a multiplier of its peak."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tame.core.errors import ShapeError, require
from tame.core.recipe import ScheduleRecipe
from tame.core.registry import Registry

ONE_CYCLE_PEAK = 0.3  # share of the steps in which the rate of one_cycle rises
ONE_CYCLE_FIRST = 1 / 25  # of the peak rate
ONE_CYCLE_LAST = 1e-4 / 25
WSD_STABLE = 0.8  # share of the steps before the decay of wsd
LEAST_WARMUP = 0.01  # of inverse_sqrt, whose rate would be unbounded without one
PLATEAU_THRESHOLD = 1e-4  # relative to the best loss: how much lower a better one must be
# Shares of steps are rounded: 1/3 of 300 may be 0.33333331; without slack a drop would come one step late.
_SLACK = 1 + 1e-6


@dataclass(frozen=True, slots=True)
class ScheduleHyper:
    """Hyperparameters of the schedules, each (M,).

    `warmup`, a share of all steps, is set by RateMultiplier; None means no warmup.
    """

    factor: Tensor
    power: Tensor
    drops: Tensor
    cycles: Tensor
    warmup: Tensor | None = None

    def of(self, members: Tensor) -> ScheduleHyper:
        """The hyperparameters of some members. members: their indices."""
        return ScheduleHyper(
            factor=self.factor[members],
            power=self.power[members],
            drops=self.drops[members],
            cycles=self.cycles[members],
            warmup=None if self.warmup is None else self.warmup[members],
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """The shape of a learning rate over the steps after the warmup.

    multiplier: (progress (M,) in [0, 1], hyper) -> (M,) in [0, 1].
    open_ended: the multiplier at a step does not depend on how many steps follow, so that a run may be extended (wsd:
    only before its decay starts; with a warmup: only if it keeps its length in steps).
    uses: which fields of a ScheduleRecipe, besides name and warmup, it uses.
    own_warmup: it starts low and rises by itself, so that a warmup before it makes no sense.
    rises: the rate rises again on the way, so that a later rate may be higher than an earlier one.
    """

    multiplier: Callable[[Tensor, ScheduleHyper], Tensor]
    open_ended: bool
    uses: frozenset[str] = frozenset()
    own_warmup: bool = False
    rises: bool = False


SCHEDULES: Registry[Schedule] = Registry("schedule")


def constant(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier 1 throughout. progress: (M,); returns (M,)."""
    return torch.ones_like(progress)


def step(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier 1 that drops `drops` times to `factor` of its value, at equal distances. progress, result: (M,).

    Source: He et al., Deep Residual Learning (2016), section 3.4; equals torch's StepLR.
    """
    falls = (progress * (hyper.drops + 1) * _SLACK).floor()
    return hyper.factor ** torch.minimum(falls, hyper.drops)


def exponential(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier from 1 down to `factor`, by the same factor in each step. progress, result: (M,)."""
    return hyper.factor**progress


def polynomial(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier (1 - progress) ** power, from 1 down to 0. progress, result: (M,).

    Source: Chen et al., DeepLab (2018), section 4.1.
    """
    return (1 - progress) ** hyper.power


def linear(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier from 1 linearly down to 0. progress: (M,) in [0, 1]; returns (M,)."""
    return 1 - progress


def cosine(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier from 1 down to 0 along half a cosine. progress: (M,) in [0, 1]; returns (M,).

    Source: Loshchilov and Hutter, SGDR (2017), without restarts.
    """
    return 0.5 * (1 + torch.cos(torch.pi * progress))


def restarts(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier from 1 down to 0 along half a cosine, in `cycles` cycles of equal length. progress, result: (M,).

    Source: Loshchilov and Hutter, SGDR (2017), with T_mult = 1.
    """
    along = progress * hyper.cycles
    before = torch.minimum((along * _SLACK).floor(), hyper.cycles - 1)
    return 0.5 * (1 + torch.cos(torch.pi * (along - before).clamp(0, 1)))


def one_cycle(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier from 1/25 up to 1 in the first 30 % of the steps, then down to 4e-6, both along half a cosine.

    progress, result: (M,). Source: Smith and Topin, Super-Convergence (2018), in the two phases of torch's OneCycleLR.
    """
    up = (progress / ONE_CYCLE_PEAK).clamp(max=1)
    down = ((progress - ONE_CYCLE_PEAK) / (1 - ONE_CYCLE_PEAK)).clamp(min=0)
    rising = 1 - (1 - ONE_CYCLE_FIRST) * 0.5 * (1 + torch.cos(torch.pi * up))
    falling = 1 - (1 - ONE_CYCLE_LAST) * 0.5 * (1 - torch.cos(torch.pi * down))
    return torch.where(progress < ONE_CYCLE_PEAK, rising, falling)


def inverse_sqrt(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier sqrt(w / p) at the share p of all steps; w is the share of the warmup or 1 %, whichever is larger.

    progress, result: (M,). With a warmup below 1 % the rate stays at its peak until 1 % of the steps are done.
    Source: Vaswani et al., Attention Is All You Need (2017), section 5.3.
    """
    warmup = torch.zeros_like(progress) if hyper.warmup is None else hyper.warmup
    w = warmup.clamp(min=LEAST_WARMUP)
    return (w / torch.maximum(w, warmup + progress * (1 - warmup))).sqrt()


def wsd(progress: Tensor, hyper: ScheduleHyper) -> Tensor:
    """Multiplier 1 for the first 80 % of the steps, then linearly down to 0. progress: (M,); returns (M,).

    A run may be extended from any point before its decay starts.
    Source: Hu et al., MiniCPM (2024), section 4 (warmup-stable-decay; the decay is the last fifth).
    """
    return ((1 - progress) / (1 - WSD_STABLE)).clamp(max=1)


SCHEDULES.add("constant")(Schedule(constant, open_ended=True))
SCHEDULES.add("step")(Schedule(step, open_ended=False, uses=frozenset(("drops", "factor"))))
SCHEDULES.add("exponential")(Schedule(exponential, open_ended=False, uses=frozenset(("factor",))))
SCHEDULES.add("polynomial")(Schedule(polynomial, open_ended=False, uses=frozenset(("power",))))
SCHEDULES.add("linear")(Schedule(linear, open_ended=False))
SCHEDULES.add("cosine")(Schedule(cosine, open_ended=False))
SCHEDULES.add("restarts")(Schedule(restarts, open_ended=False, uses=frozenset(("cycles",)), rises=True))
SCHEDULES.add("one_cycle")(Schedule(one_cycle, open_ended=False, own_warmup=True, rises=True))
SCHEDULES.add("inverse_sqrt")(Schedule(inverse_sqrt, open_ended=True))
SCHEDULES.add("wsd")(Schedule(wsd, open_ended=True))
# Steps do not change the rate of plateau: step_plateau lowers it, depending on the validation loss.
SCHEDULES.add("plateau")(Schedule(constant, open_ended=True, uses=frozenset(("factor", "patience"))))


def check_schedule(recipe: ScheduleRecipe, *, room: str = "schedule") -> None:
    """Raises UsageError for a name that is not registered, and for a warmup before a schedule that has its own.

    room: the part of the recipe to name in the error.
    """
    schedule = SCHEDULES.get(recipe.name)
    require(
        not (schedule.own_warmup and recipe.warmup),
        f"{room}.warmup must be 0 with {recipe.name}, which has a warmup of its own, got {recipe.warmup:g}",
    )


def schedule_hyper(recipes: Sequence[ScheduleRecipe], *, like: Tensor) -> ScheduleHyper:
    """The schedule hyperparameters of the members' recipes, each (M,), in the dtype and on the device of `like`."""

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(recipe, name) for recipe in recipes], dtype=like.dtype, device=like.device)

    return ScheduleHyper(factor=column("factor"), power=column("power"), drops=column("drops"), cycles=column("cycles"))


@dataclass(frozen=True, slots=True)
class RateMultiplier:
    """The multiplier of each member's peak rate, with its own schedule and warmup, prepared for many steps.

    groups: a schedule, the indices of its members (None: all) and their hyperparameters. A call does not synchronise
    with the device.
    """

    groups: tuple[tuple[Schedule, Tensor | None, ScheduleHyper], ...]
    warmup: Tensor
    warms_up: bool

    @classmethod
    def of(cls, names: Sequence[str], warmup: Tensor, hyper: ScheduleHyper) -> RateMultiplier:
        """Members grouped by schedule.

        names: one schedule per member; warmup: (M,), the share of the steps in which the rate rises from 0 to its peak;
        the schedule covers the rest. Raises UsageError for an unknown name, ShapeError if the sizes differ.
        """
        sizes = {len(names), *(len(getattr(hyper, name)) for name in ("factor", "power", "drops", "cycles"))}
        if warmup.ndim != 1 or sizes != {len(warmup)}:
            raise ShapeError(f"need a name, a warmup and hyperparameters for each member, got {len(names)} names, "
                             f"warmup {tuple(warmup.shape)}, factor {tuple(hyper.factor.shape)}")  # fmt: skip
        hyper = replace(hyper, warmup=warmup)
        groups: list[tuple[Schedule, Tensor | None, ScheduleHyper]] = []
        for name in dict.fromkeys(names):
            own = [i for i, other in enumerate(names) if other == name]
            if len(own) == len(names):
                groups.append((SCHEDULES.get(name), None, hyper))
            else:
                members = torch.tensor(own, device=warmup.device)
                groups.append((SCHEDULES.get(name), members, hyper.of(members)))
        return cls(groups=tuple(groups), warmup=warmup, warms_up=bool((warmup > 0).any()))

    def __call__(self, progress: Tensor) -> Tensor:
        """progress: (M,) in [0, 1], the share of all steps done. Returns (M,) in [0, 1]."""
        rest = ((progress - self.warmup) / (1 - self.warmup)).clamp(0, 1) if self.warms_up else progress.clamp(0, 1)
        found = torch.empty_like(progress)
        for schedule, members, hyper in self.groups:
            if members is None:
                found = schedule.multiplier(rest, hyper)
            else:
                found.index_copy_(0, members, schedule.multiplier(rest.index_select(0, members), hyper))
        if not self.warms_up:
            return found
        rising = (progress / self.warmup.clamp(min=1e-12)).clamp(0, 1)
        return torch.where(progress < self.warmup, rising, found)


def rate_multiplier(names: list[str], progress: Tensor, *, warmup: Tensor, hyper: ScheduleHyper) -> Tensor:
    """As RateMultiplier, for one step.

    names: one schedule for each member; progress: (M,) in [0, 1]; warmup: (M,). Returns (M,) in [0, 1].
    """
    return RateMultiplier.of(names, warmup, hyper)(progress)


@dataclass(frozen=True, slots=True)
class Plateau:
    """The state of the plateau schedule, each (M,): lowest loss, epochs since, multiplier of the peak rate."""

    best: Tensor
    waited: Tensor
    multiplier: Tensor


def start_plateau(num_members: int, *, like: Tensor) -> Plateau:
    """The state before the first epoch: no loss, multiplier 1. Has `like`'s dtype and device; waited: int64."""
    return Plateau(
        best=like.new_full((num_members,), torch.inf),
        waited=torch.zeros(num_members, dtype=torch.int64, device=like.device),
        multiplier=like.new_ones(num_members),
    )


@torch.no_grad()
def step_plateau(
    state: Plateau, valid_loss: Tensor, *, patience: Tensor, factor: Tensor, is_plateau: Tensor
) -> Plateau:
    """The state after an epoch: the multiplier drops to `factor` of its value if the loss has not fallen for too long.

    valid_loss, patience (epochs), factor: (M,); is_plateau: (M,) bools, the members with this schedule; the others keep
    their state. Lower means by at least 1e-4 of the best loss; NaN is never lower. The drop comes with the epoch after
    `patience` epochs without a lower loss. Equals torch's ReduceLROnPlateau, but without its smallest change (eps).
    """
    better = valid_loss < state.best * (1 - PLATEAU_THRESHOLD)
    waited = torch.where(better, 0, state.waited + 1)
    falls = waited > patience
    return Plateau(
        best=torch.where(is_plateau & better, valid_loss, state.best),
        waited=torch.where(is_plateau, torch.where(falls, 0, waited), state.waited),
        multiplier=torch.where(is_plateau & falls, state.multiplier * factor, state.multiplier),
    )
