"""The settings of a group's recipes as tensors with one value per member: read once, used in every step."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tame.core.recipe import PER_MEMBER, OptimizerRecipe, Recipe, ScheduleRecipe
from tame.parts.adapters import room_of
from tame.parts.losses import LossHyper, loss_hyper
from tame.parts.optimizers import Hyper
from tame.parts.schedules import RateMultiplier, ScheduleHyper, schedule_hyper
from tame.trial.population import Examples, Member


def group_key(recipe: Recipe) -> Hashable:
    """Recipes with the same key can be trained in one group."""
    own = (*PER_MEMBER, "adapter.rank")  # smaller ranks are masks of a larger one
    shared = tuple((name, value) for name, value in recipe.flat().items() if name not in own)
    switch = recipe.epochs if recipe.then.start < 1 else 0  # all members switch optimizers in the same epoch
    return (*shared, room_of(recipe.adapter.rank), switch, averages(recipe), recipe.schedule.name == "plateau")


def averages(recipe: Recipe) -> str:
    """Which averaged weights are judged instead of the trained ones: "ema", "swa", or "" for none."""
    return "ema" if recipe.regularize.ema else "swa" if recipe.regularize.swa else ""


def last_of_first_phase(recipe: Recipe) -> int:
    """The epoch after which the second phase starts; all epochs if there is none."""
    return max(1, round(recipe.then.start * recipe.epochs)) if recipe.then.start < 1 else recipe.epochs


def phase(recipe: Recipe, epoch: int) -> int:
    """1, or 2 for an epoch (from 1) in the second phase. Beyond a recipe's epochs its last phase continues."""
    return 2 if recipe.then.start < 1 and epoch > last_of_first_phase(recipe) else 1


def optimizer_of(recipe: Recipe, number: int) -> OptimizerRecipe:
    """The optimizer of a phase; gradient limits and beta2 are the same in both."""
    then = recipe.then
    if number == 1:
        return recipe.optimizer
    return replace(
        recipe.optimizer, name=then.optimizer, lr=then.lr, weight_decay=then.weight_decay, momentum=then.momentum
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Columns (M,) of the members of a group. `any_*`: whether any member uses it."""

    recipes: tuple[Recipe, ...]
    loss: LossHyper
    dropout: Tensor | None
    clip_norm: Tensor
    clip_value: Tensor
    l1: Tensor
    l2: Tensor
    max_norm: Tensor
    ema: Tensor
    any_smoothing: bool
    any_clip: bool
    any_penalty: bool
    any_max_norm: bool

    @classmethod
    def of(cls, members: Sequence[Member], examples: Examples, like: Tensor) -> Settings:
        """The settings of these members. like: a tensor with the dtype and device of the parameters."""
        recipes = tuple(member.recipe for member in members)
        columns = {
            name: _column(recipes, pick, like)
            for name, pick in {
                "clip_norm": lambda r: r.optimizer.clip_norm,
                "clip_value": lambda r: r.optimizer.clip_value,
                "l1": lambda r: r.regularize.l1,
                "l2": lambda r: r.regularize.l2,
                "max_norm": lambda r: r.regularize.max_norm,
                "ema": lambda r: r.regularize.ema,
            }.items()
        }
        counts = [examples.class_counts(member) for member in members]
        given = [each for each in counts if each is not None]
        own = [r.optimizer for r in recipes]
        dropout = _column(recipes, lambda r: r.model.dropout, like) if any(r.model.dropout for r in recipes) else None
        return cls(
            recipes=recipes,
            loss=loss_hyper(
                [r.loss for r in recipes],
                class_counts=torch.stack(given).to(like) if given else None,
                costs=None if examples.costs is None else examples.costs.to(like),
                like=like,
            ),
            dropout=dropout,
            any_smoothing=any(r.loss.label_smoothing for r in recipes),
            any_clip=any(r.clip_norm or r.clip_value for r in own),
            any_penalty=any(r.regularize.l1 or r.regularize.l2 for r in recipes),
            any_max_norm=any(r.regularize.max_norm for r in recipes),
            **columns,
        )

    def rates(self, epoch: int, num_steps: int, like: Tensor) -> Tensor:
        """The learning rate (steps, M) of each step of an epoch, before a plateau schedule lowers it."""
        number = phase(self.recipes[0], epoch)
        own = [_schedule_of(recipe, number) for recipe in self.recipes]
        members = len(own)
        first = torch.tensor([last_of_first_phase(r) if number == 2 else 0 for r in self.recipes], dtype=torch.float64)
        ends = [r.epochs if number == 2 else last_of_first_phase(r) for r in self.recipes]
        length = torch.tensor(ends, dtype=torch.float64) - first
        step = torch.arange(num_steps, dtype=torch.float64) / num_steps
        progress = ((epoch - 1 - first + step[:, None]) / length).clamp(max=1).flatten()
        warmup = torch.tensor([s.warmup for s in own], dtype=torch.float64).repeat(num_steps)
        hyper = schedule_hyper(own, like=progress)
        wide = ScheduleHyper(
            factor=hyper.factor.repeat(num_steps), power=hyper.power.repeat(num_steps),
            drops=hyper.drops.repeat(num_steps), cycles=hyper.cycles.repeat(num_steps),
        )  # fmt: skip
        multiplier = RateMultiplier.of([s.name for s in own] * num_steps, warmup=warmup, hyper=wide)(progress)
        peak = torch.tensor([optimizer_of(r, number).lr for r in self.recipes], dtype=torch.float64)
        return (multiplier.view(num_steps, members) * peak).to(like)

    def averaging(self, epoch: int) -> tuple[list[int], list[int]]:
        """For each member: 1 if the end of this epoch goes into its mean (swa), and how many went in before."""
        shares = [(r.epochs, r.regularize.swa) for r in self.recipes]
        opens = [epochs - max(1, round(swa * epochs)) if swa else None for epochs, swa in shares]
        inside = [int(o is not None and epoch > o) for o in opens]
        return inside, [max(epoch - 1 - o, 0) if o is not None else 0 for o in opens]


def hyper_of(recipes: Sequence[Recipe], number: int, like: Tensor) -> Hyper:
    """The settings (M,) of the optimizers of a phase, at a rate of 1. like: as in `Settings.of`."""
    own = [optimizer_of(recipe, number) for recipe in recipes]

    def column(pick: Callable[[OptimizerRecipe], float]) -> Tensor:
        return torch.tensor([pick(each) for each in own], dtype=like.dtype, device=like.device)

    return Hyper(
        lr=column(lambda o: 1.0), weight_decay=column(lambda o: o.weight_decay),
        momentum=column(lambda o: o.momentum), beta2=column(lambda o: o.beta2),
    )  # fmt: skip


def _schedule_of(recipe: Recipe, number: int) -> ScheduleRecipe:
    then = recipe.then
    return recipe.schedule if number == 1 else replace(recipe.schedule, name=then.schedule, warmup=then.warmup)


def _column(recipes: Sequence[Recipe], pick: Callable[[Recipe], float], like: Tensor) -> Tensor:
    return torch.tensor([pick(recipe) for recipe in recipes], dtype=like.dtype, device=like.device)
