"""A population: trials trained together, as a value. Engines make it, advance it, copy members and drop them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.data.augment import Mix, draw_mix
from tame.parts.losses import LOSSES
from tame.trial.draws import same_chance

Tensors = dict[str, Tensor]
Groups = list[tuple[list[tuple[str, nn.Parameter]], float]]  # named parameters, and the factor on their rate


@dataclass(frozen=True, slots=True)
class Member:
    """One network in training: a trial's recipe on one part of the examples.

    fold: the fold it never sees and is validated on; None: it trains on every example.
    """

    trial: int
    fold: int | None
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Examples:
    """What the members of a study learn from. Sealed examples are not among them.

    target: (N,) class numbers, (N,) numbers of a regression, or (N, C) rows; fold: (N,) the fold that each example is
    validated in, -1 for never; num_classes: 0 for a regression. costs: (C, C) of confusions, where they are given.
    together: all members walk through the same batches, whatever fold they leave out; an example weighs nothing for
    the member that it validates. Otherwise each member's batches are cut from the examples it learns from.
    scaling: of a regression, the mean and spread of what the members of a fold learn from; they see the target so.
    """

    target: Tensor
    fold: Tensor
    num_classes: int
    together: bool = True
    costs: Tensor | None = None
    scaling: Mapping[int | None, tuple[float, float]] | None = None  # by fold

    def __len__(self) -> int:
        return int(self.target.shape[0])

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device."""
        costs = None if self.costs is None else self.costs.to(device)
        return replace(self, target=self.target.to(device), fold=self.fold.to(device), costs=costs)

    def aims(self, members: Sequence[Member], rows: Tensor, like: Tensor) -> Tensor:
        """The target of these rows as the members see it: (n, ...), or (M, n, 1) where each has its own scale."""
        target = self.target.index_select(0, rows)  # a third of the time of target[rows]
        if self.scaling is None:
            return target.to(like.dtype) if target.is_floating_point() else target
        own = [self.scaling[member.fold] for member in members]
        shift, scale = torch.tensor(own, dtype=target.dtype, device=target.device).T
        scaled: Tensor = (target - shift[:, None]) / scale[:, None]
        return scaled.to(like.dtype)[..., None]

    def undo(self, outputs: Tensor, fold: int | None) -> Tensor:
        """Outputs of a regression in the units of the data, in float64; those of a classification as they are."""
        if self.scaling is None:
            return outputs
        shift, scale = self.scaling[fold]
        return outputs.double() * scale + shift

    def trains(self, member: Member) -> Tensor:
        """(N,) bools: the examples that this member learns from."""
        if member.fold is None:
            return torch.ones_like(self.fold, dtype=torch.bool)
        return self.fold != member.fold

    def validates(self, member: Member) -> Tensor:
        """(N,) bools: the examples that this member is judged on."""
        if member.fold is None:
            return torch.zeros_like(self.fold, dtype=torch.bool)
        return self.fold == member.fold

    def walked(self, member: Member) -> Tensor:
        """Rows (n,) that an epoch of this member goes through."""
        if joint(self, member.recipe):
            return torch.arange(len(self), device=self.fold.device)
        return self.trains(member).nonzero().squeeze(1)

    def class_counts(self, member: Member) -> Tensor | None:
        """(C,) how many examples of each class the member learns from, shares of examples added up; None of numbers."""
        if not self.num_classes:
            return None
        own = self.target[self.trains(member)]
        return own.sum(dim=0) if own.ndim == 2 else torch.bincount(own, minlength=self.num_classes)


@dataclass(frozen=True, slots=True)
class Population:
    """Members and their state: every tensor has a leading M (stacked engine) or belongs to the one member (serial).

    epoch: epochs trained so far, the same for all members.
    """

    members: tuple[Member, ...]
    tensors: Mapping[str, Tensor]
    epoch: int = 0

    def at(self, epoch: int, tensors: Mapping[str, Tensor]) -> Population:
        """The same members after some more training."""
        return replace(self, epoch=epoch, tensors=tensors)


@dataclass(frozen=True, slots=True)
class Measured:
    """What one epoch showed: train_loss (M,), outputs (M, n, C) of the examples that any member validates.

    Outputs are canonical: logits whose softmax are the probabilities, or numbers (M, n, 1).
    """

    epoch: int
    train_loss: Tensor
    outputs: Tensor
    rows: Tensor  # (n,) which examples the outputs belong to


class Task(Protocol):
    """What engines train: how to build a member's module and what the module is fed with."""

    @property
    def examples(self) -> Examples: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def autocast(self) -> torch.dtype | None:
        """bfloat16 where that is faster and safe, else None; parameters stay float32."""
        ...

    def build(self, member: Member) -> nn.Module: ...

    @property
    def draws(self) -> bool:
        """Whether a module's training draws from torch's own generators."""
        ...

    @property
    def eval_batch(self) -> int:
        """Examples that one network judges at once."""
        ...

    @property
    def by_fold(self) -> Sequence[int | None] | None:
        """Folds whose members see inputs of their own: `batch` and `views` then give one of each, in this order."""
        ...

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        """The inputs of these examples as this step of this recipe sees them."""
        ...

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The inputs of these examples to judge them by: one view, or the picture and its mirror image."""
        ...

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        """The parameters that are trained, by name, with the factor on the rate that each group has."""
        ...


class Engine(Protocol):
    """Trains populations. The laws: stacked equals serial, a member's result does not depend on its company, stopping
    and resuming equals never stopping, and a diverged member leaves its neighbours unmoved."""

    def start(self, members: Sequence[Member]) -> Population: ...

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None]
    ) -> Population: ...

    def predict(self, population: Population, rows: Tensor) -> Tensor: ...

    def fits(self, population: Population) -> bool:
        """Whether this engine wrote the state, so that it can go on from it."""
        ...

    def module(self, population: Population, place: int) -> nn.Module:
        """The network of one member, as it is judged."""
        ...


def epoch_chance(task: Task, seed: int, epoch: int) -> AbstractContextManager[None]:
    """The state of torch's generators that an epoch is trained in; none where nothing draws from them."""
    return same_chance(seed, "epoch", epoch) if task.draws else nullcontext()


def built(task: Task, member: Member) -> nn.Module:
    """The member's module; what torch draws while making it must not move its generators."""
    with same_chance(member.recipe.seed, "build"):
        return task.build(member)


def named(room: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors by names that begin with their room: "param.", "state."."""
    return {f"{room}.{name}": value for name, value in tensors.items()}


def in_room(tensors: Mapping[str, Tensor], room: str) -> Tensors:
    """The tensors of a room, by their own names."""
    return {name.removeprefix(f"{room}."): value for name, value in tensors.items() if name.startswith(f"{room}.")}


def take(population: Population, keep: Sequence[int]) -> Population:
    """The population of these members only, in this order; clones a member that is named twice."""
    index = torch.tensor(list(keep), dtype=torch.long)
    tensors = {name: value[index.to(value.device)] for name, value in population.tensors.items()}
    return replace(population, members=tuple(population.members[i] for i in keep), tensors=tensors)


def join(populations: Sequence[Population]) -> Population:
    """One population of all members of several that have trained equally long."""
    first = populations[0]
    tensors = {name: torch.cat([p.tensors[name] for p in populations]) for name in first.tensors}
    members = tuple(member for p in populations for member in p.members)
    return Population(members, tensors, first.epoch)


def joint(examples: Examples, recipe: Recipe) -> bool:
    """Whether members that leave out different folds walk through the same batches.

    Not where examples are mixed, or drawn noise depends on the batch: what one member is validated on must not come
    into the batches of another.
    """
    own = recipe.regularize
    return examples.together and not (own.mixup or own.cutmix or recipe.augment.noise)


def partners(target: Tensor, mix: Mix) -> Tensor:
    """The targets of the examples that these are mixed with. target: (B, ...) or (M, B, 1)."""
    return target[:, mix.partner] if target.ndim == 3 else target[mix.partner]


def mixes(recipe: Recipe) -> bool:
    """Whether the examples of a batch are mixed with each other."""
    return bool(recipe.regularize.mixup or recipe.regularize.cutmix)


def mixing(recipe: Recipe, epoch: int, step: int, x: Tensor) -> Mix | None:
    """How the examples of this batch are mixed with each other; None where the recipe does not ask for it."""
    own = recipe.regularize
    if not mixes(recipe):
        return None
    side = x.shape[-1] if x.ndim == 4 else None
    return draw_mix(
        mixup=own.mixup, cutmix=own.cutmix, seed=recipe.seed, epoch=epoch, step=step, batch_size=len(x), side=side
    )


def num_outputs(recipe: Recipe, examples: Examples) -> int:
    """Numbers that the model gives for each example, as the loss wants them."""
    return LOSSES.get(recipe.loss.name).num_outputs(examples.num_classes)
