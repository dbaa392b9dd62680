"""A population: trials trained together, as a value. Engines create and advance it, and copy and drop members."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from tame.core.recipe import ModelRecipe, Recipe
from tame.data.augment import Mix, apply_mix, draw_mix
from tame.parts.losses import LOSSES
from tame.trial.draws import same_chance

Tensors = dict[str, Tensor]


class Group(NamedTuple):
    """Named parameters that are trained alike. factor: multiplier of the rate; begins: the share of the epochs after
    which they begin to change."""

    named: list[tuple[str, nn.Parameter]]
    factor: float = 1.0
    begins: float = 0.0


Groups = list[Group]


def stage_groups(stages: Sequence[list[tuple[str, nn.Parameter]]], recipe: ModelRecipe) -> Groups:
    """Stages that are fine-tuned, first to last, each with its rate and its beginning.

    Sources: Howard and Ruder, Universal Language Model Fine-tuning for Text Classification (2018), for both.
    """
    if recipe.stage_rate == 1 and not recipe.thaw:
        return [Group([each for named in stages for each in named])]
    most = max(len(stages) - 1, 1)
    return [
        Group(named, recipe.stage_rate**above, recipe.thaw * above / most)
        for above, named in zip(range(len(stages) - 1, -1, -1), stages, strict=True)
        if named
    ]


@dataclass(frozen=True, slots=True)
class Member:
    """One network in training: a trial's recipe on one part of the examples.

    fold: the fold that it never sees and is validated on; None: it trains on all examples.
    """

    trial: int
    fold: int | None
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class Examples:
    """The training and validation examples of a study. Sealed examples are not included.

    target: (N,) class numbers, (N,) numbers of a regression, or (N, C) rows; fold: (N,) the fold in which each example
    is validated, -1 for never; num_classes: 0 for a regression. costs: (C, C) of confusions, if given.
    together: all members use the same batches, whichever fold they leave out; an example has weight zero for the
    member that it validates. Otherwise each member's batches come only from the examples that it trains on.
    weight: (N,) above 0, what an example counts as; None: all alike.
    scaling: of a regression, the mean and standard deviation of each fold's training targets, which standardise them.
    are_texts: outputs are then the loss of each text itself, and no target is looked at.
    """

    target: Tensor
    fold: Tensor
    num_classes: int
    together: bool = True
    costs: Tensor | None = None
    weight: Tensor | None = None
    scaling: Mapping[int | None, tuple[float, float]] | None = None  # by fold
    are_texts: bool = False

    def __len__(self) -> int:
        return int(self.target.shape[0])

    def to(self, device: torch.device) -> Examples:
        """The same examples on a device."""
        costs, weight = (None if own is None else own.to(device) for own in (self.costs, self.weight))
        return replace(self, target=self.target.to(device), fold=self.fold.to(device), costs=costs, weight=weight)

    def only(self, rows: Tensor) -> Examples:
        """These examples (n,), of examples that are not scaled yet."""
        assert self.scaling is None, "the scale is that of all examples"
        weight = None if self.weight is None else self.weight[rows]
        return replace(self, target=self.target[rows], fold=self.fold[rows], weight=weight)

    def aims(self, members: Sequence[Member], rows: Tensor, like: Tensor) -> Tensor:
        """The target of these rows as the members see it: (n, ...), or (M, n, 1) if each has its own scale."""
        target = self.target.index_select(0, rows)  # a third of the time of target[rows]
        if self.scaling is None:
            return target.to(like.dtype) if target.is_floating_point() else target
        own = [self.scaling[member.fold] for member in members]
        shift, scale = torch.tensor(own, dtype=target.dtype, device=target.device).T
        scaled: Tensor = (target - shift[:, None]) / scale[:, None]
        return scaled.to(like.dtype)[..., None]

    def undo(self, outputs: Tensor, fold: int | None) -> Tensor:
        """Outputs of a regression in the units of the data, as float64; those of a classification unchanged."""
        if self.scaling is None:
            return outputs
        shift, scale = self.scaling[fold]
        return outputs.double() * scale + shift

    def trains(self, member: Member) -> Tensor:
        """(N,) bools: the examples that this member trains on."""
        if member.fold is None:
            return torch.ones_like(self.fold, dtype=torch.bool)
        return self.fold != member.fold

    def validates(self, member: Member) -> Tensor:
        """(N,) bools: the examples that this member is validated on."""
        if member.fold is None:
            return torch.zeros_like(self.fold, dtype=torch.bool)
        return self.fold == member.fold

    def walked(self, member: Member) -> Tensor:
        """Rows (n,) that an epoch of this member iterates over."""
        if joint(self, member.recipe):
            return torch.arange(len(self), device=self.fold.device)
        return self.trains(member).nonzero().squeeze(1)

    def class_counts(self, member: Member) -> Tensor | None:
        """(C,) how many examples of each class the member trains on, shares and weights added up; None for a
        regression."""
        if not self.num_classes:
            return None
        trains = self.trains(member)
        own, weight = self.target[trains], None if self.weight is None else self.weight[trains]
        if own.ndim == 2:
            return own.sum(dim=0) if weight is None else weight.to(own) @ own
        return torch.bincount(own, weight, minlength=self.num_classes)


@dataclass(frozen=True, slots=True)
class Population:
    """Members and their state: every tensor has a leading M (stacked engine) or belongs to the only member (serial).

    epoch: epochs trained so far, the same for all members.
    """

    members: tuple[Member, ...]
    tensors: Mapping[str, Tensor]
    epoch: int = 0

    def at(self, epoch: int, tensors: Mapping[str, Tensor]) -> Population:
        """The same members after more training."""
        return replace(self, epoch=epoch, tensors=tensors)


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements of one epoch: train_loss (M,), outputs (M, n, C) for the examples that any member validates.

    Outputs are canonical: logits whose softmax gives the probabilities, or numbers (M, n, 1).
    """

    epoch: int
    train_loss: Tensor
    outputs: Tensor
    rows: Tensor  # (n,) which examples the outputs belong to


class Task(Protocol):
    """What engines train: how to build a member's module, and its inputs."""

    @property
    def examples(self) -> Examples: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def autocast(self) -> torch.dtype | None:
        """bfloat16 if that is faster and safe, otherwise None; parameters stay float32."""
        ...

    def build(self, member: Member) -> nn.Module: ...

    @property
    def draws(self) -> bool:
        """Whether training a module draws from torch's generators."""
        ...

    @property
    def eval_batch(self) -> int:
        """Examples that one network predicts at once."""
        ...

    @property
    def by_fold(self) -> Sequence[int | None] | None:
        """Folds whose members have different inputs: `batch` and `views` then return one of each, in this order."""
        ...

    @property
    def codes_from(self) -> int | None:
        """Of inputs (n, D), the first of the last columns, whose numbers stand for categories; None without any."""
        ...

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        """The inputs of these examples in this step of this recipe."""
        ...

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The inputs of these examples for prediction: one view, or the picture and its mirror image."""
        ...

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        """The trained parameters by name, with each group's multiplier of the rate."""
        ...


def nothing() -> None:
    """What is done between two steps where nobody wants to end an epoch."""


class Engine(Protocol):
    """Trains populations. Laws: stacked equals serial, a member's result does not depend on the other members, stopping
    and resuming equals never stopping, and a diverged member does not affect the others."""

    def start(self, members: Sequence[Member]) -> Population: ...

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None],
        between: Callable[[], None] = nothing,
    ) -> Population:  # fmt: skip
        """The population trained to a total of `until` epochs.

        watch: called after every epoch; between: before every step. What it raises ends the training, and leaves the
        given population as it was.
        """
        ...

    def predict(self, population: Population, rows: Tensor) -> Tensor: ...

    def fits(self, population: Population) -> bool:
        """Whether this engine wrote the state, so that it can continue from it."""
        ...

    def module(self, population: Population, place: int) -> nn.Module:
        """The network of one member, with the weights that are judged."""
        ...


def epoch_chance(task: Task, seed: int, epoch: int, *, rank: int = 0) -> AbstractContextManager[None]:
    """Sets torch's generators for an epoch; does nothing if nothing draws from them.

    rank: of a process among those that see other parts of the same batches, which must not draw the same for them.
    """
    name = (epoch, "rank", rank) if rank else (epoch,)
    return same_chance(seed, "epoch", *name) if task.draws else nullcontext()


def built(task: Task, member: Member) -> nn.Module:
    """The member's module, built without changing the state of torch's generators."""
    with same_chance(member.recipe.seed, "build"):
        return task.build(member)


def named(room: str, tensors: Mapping[str, Tensor]) -> Tensors:
    """Tensors with names that start with their namespace: "param.", "state."."""
    return {f"{room}.{name}": value for name, value in tensors.items()}


def in_room(tensors: Mapping[str, Tensor], room: str) -> Tensors:
    """The tensors of a namespace, by their own names."""
    return {name.removeprefix(f"{room}."): value for name, value in tensors.items() if name.startswith(f"{room}.")}


def take(population: Population, keep: Sequence[int]) -> Population:
    """The population of only these members, in this order; a member that is listed twice is cloned."""
    index = torch.tensor(list(keep), dtype=torch.long)
    tensors = {name: value[index.to(value.device)] for name, value in population.tensors.items()}
    return replace(population, members=tuple(population.members[i] for i in keep), tensors=tensors)


def join(populations: Sequence[Population]) -> Population:
    """One population of the members of several that were trained for the same number of epochs."""
    first = populations[0]
    tensors = {name: torch.cat([p.tensors[name] for p in populations]) for name in first.tensors}
    members = tuple(member for p in populations for member in p.members)
    return Population(members, tensors, first.epoch)


def joint(examples: Examples, recipe: Recipe) -> bool:
    """Whether members that leave out different folds use the same batches.

    Not if examples are mixed or random noise depends on the batch: the validation examples of one member must not
    affect the batches of another.
    """
    own = recipe.regularize
    return examples.together and not (own.mixup or own.cutmix or recipe.augment.noise)


def partners(target: Tensor, mix: Mix) -> Tensor:
    """The targets of the examples that these are mixed with. target: (B, ...) or (M, B, 1)."""
    return target[:, mix.partner] if target.ndim == 3 else target[mix.partner]


def mixes(recipe: Recipe) -> bool:
    """Whether the examples of a batch are mixed with each other."""
    return bool(recipe.regularize.mixup or recipe.regularize.cutmix)


def mixed(task: Task, recipe: Recipe, epoch: int, step: int, x: Tensor) -> tuple[Tensor, Mix | None]:
    """The examples (B, ...) of a batch mixed with each other, and how; as they are if the recipe has no mixing."""
    own = recipe.regularize
    if not mixes(recipe):
        return x, None
    side = x.shape[-1] if x.ndim == 4 else None
    mix = draw_mix(
        mixup=own.mixup, cutmix=own.cutmix, seed=recipe.seed, epoch=epoch, step=step, batch_size=len(x), side=side,
        has_codes=task.codes_from is not None,
    )  # fmt: skip
    return (x, None) if mix is None else (apply_mix(x, mix, codes_from=task.codes_from), mix)


def num_outputs(recipe: Recipe, examples: Examples) -> int:
    """The number of outputs per example that the loss needs."""
    return LOSSES.get(recipe.loss.name).num_outputs(examples.num_classes)
