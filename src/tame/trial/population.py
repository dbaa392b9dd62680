"""A population: trials trained together, as a value. Engines make it, advance it, copy members and drop them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from tame.core.recipe import Recipe
from tame.core.rng import stream

Tensors = dict[str, Tensor]


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

    target: (N,) class numbers; fold: (N,) the fold that each example is validated in, -1 for never.
    """

    target: Tensor
    fold: Tensor
    num_classes: int

    def __len__(self) -> int:
        return int(self.target.shape[0])

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device."""
        return Examples(self.target.to(device), self.fold.to(device), self.num_classes)

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
    """What one epoch showed: train_loss (M,) in nats, logits (M, n, C) of the examples that any member validates."""

    epoch: int
    train_loss: Tensor
    logits: Tensor
    rows: Tensor  # (n,) which examples the logits belong to


class Engine(Protocol):
    """Trains populations. The laws: stacked equals serial, a member's result does not depend on its company, stopping
    and resuming equals never stopping, and a diverged member leaves its neighbours unmoved."""

    def start(self, members: Sequence[Member]) -> Population: ...

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None]
    ) -> Population: ...

    def predict(self, population: Population, rows: Tensor) -> Tensor: ...


def epoch_order(seed: int, epoch: int, num_examples: int) -> Tensor:
    """The order (N,) in which all examples come in an epoch; the same for all members of that seed."""
    return torch.from_numpy(stream(seed, "order", epoch).permutation(num_examples))


def epoch_batches(seed: int, epoch: int, num_examples: int, batch_size: int) -> list[Tensor]:
    """The batches of an epoch as row numbers: batch_size each, the last one what is left."""
    return list(torch.split(epoch_order(seed, epoch, num_examples), batch_size))


def dropout_noise(seed: int, epoch: int, step: int, shape: tuple[int, ...]) -> Tensor:
    """Uniform draws (float32) of one layer and step, shared by all members of the seed."""
    draws = stream(seed, "dropout", epoch, step).random(shape, dtype="float32")
    return torch.from_numpy(draws)


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
