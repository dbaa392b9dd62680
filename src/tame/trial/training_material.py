"""What a kind of data provides for training: the tasks of its recipes, the delivered network, its predictions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.config import LANGUAGE
from tame.core.errors import UsageError, WorkerError, require, unknown
from tame.core.recipe import Recipe
from tame.data.encode import Scaling
from tame.parts.activations import ACTIVATIONS
from tame.parts.loss_checks import check_loss
from tame.parts.network import Build, Network
from tame.parts.optimizers import OPTIMIZERS, plain_optimizer
from tame.parts.schedules import check_schedule
from tame.trial.commands import Fold, Plain, Unsealed
from tame.trial.population import Examples, Task
from tame.trial.settings import optimizer_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """The environment in which a kind of data is opened. cache: for what it computes; under: a second cache, only read;
    study: its folder; build: makes a module of the user's own.

    doing: called with the user's own code that runs next, "" for none, and its time limit in seconds, None for no
    limit; say: called with progress: what, done, of how many.
    """

    cache: Path
    under: Path | None
    study: Path | None
    device: torch.device
    build: Build | None
    doing: Callable[[str, float | None], None]
    say: Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What would be trained together, to compute its memory.

    cores: trainings that run side by side; tuning: a recipe that a backbone may be fine-tuned with; rehearsed: the
    recipe of which some steps have already run; members: how many of this many members of a recipe are trained
    together.
    """

    recipes: Sequence[Recipe]
    folds: Sequence[Fold]
    rows: Sequence[int]
    examples: Examples
    cores: int
    tuning: Recipe | None
    rehearsed: Recipe | None
    members: Callable[[Recipe, int], int]


class Material(Protocol):
    """A kind of data in the training process. rows: of the data, of the examples that are not sealed."""

    @property
    def kind(self) -> str: ...

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        """The answer to a question that only this kind can answer. Raises WorkerError for an unknown question."""
        ...

    @property
    def reason(self) -> str:
        """Why the last recipe passed to `stacks` is trained one at a time."""
        ...

    def check(self, recipe: Recipe, examples: Examples) -> None:
        """Checks that this recipe can be trained on this kind of data. Raises UsageError with the fix."""
        ...

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        """What engines train for members that leave out these folds. rows: of the examples, in the data."""
        ...

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        """The folds grouped by which members can be trained in one computation: all together, or each alone."""
        ...

    def small(self, recipe: Recipe) -> bool:
        """Whether steps are so short that one core is best. Such modules do not draw from torch's generators."""
        ...

    def stacks(self, recipe: Recipe) -> bool:
        """Whether members with this recipe can be trained in one computation."""
        ...

    def rehearsed(self) -> Material:
        """A stand-in that takes as long to train on, without the inputs that are slow to compute."""
        ...

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        """The rehearsal task of a recipe whose members are always trained one by one; None for others."""
        ...

    def adds_bytes(self, trained: Trained) -> int:
        """Bytes that training all this adds to what the process has used so far."""
        ...

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        """The trained module with everything that it needs to predict raw examples."""
        ...

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        """Canonical outputs (n, C) for rows of the data. cached: whether caches of this study may be used."""
        ...

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        """(n, D) rows of the data as the network sees them, in which the distance from other examples means something.

        None where there is no such thing. cached: as of `judge`.
        """
        ...

    def read(self, folder: Path) -> Network:
        """The network in a model folder, read as a recipient would read it."""
        ...


class OpenMaterial(Protocol):
    """Opens data of a kind, described by its source. Returns the material and the facts about it."""

    def __call__(self, given: Plain, room: Room) -> tuple[Material, Plain]: ...


def not_asked(question: str, kind: str, known: Iterable[str] = ()) -> WorkerError:
    """The error for a question that a kind cannot answer."""
    return WorkerError(unknown(f"question about {kind}", question, known))


def examples_of(given: Unsealed) -> Examples:
    """The examples that are not sealed, as tensors."""
    target = np.array(given.targets, dtype=np.float64)
    whole = given.num_classes > 0 and target.ndim == 1
    return Examples(
        torch.from_numpy(target.astype(np.int64)) if whole else torch.from_numpy(target),
        torch.tensor(given.folds),
        given.num_classes,
        costs=None if given.costs is None else torch.tensor(given.costs, dtype=torch.float64),
        weight=None if given.weights is None else torch.tensor(given.weights, dtype=torch.float64),
        are_texts=given.task == LANGUAGE,
    )


def scaled(examples: Examples, recipe: Recipe) -> Examples:
    """The examples of a regression with the mean and standard deviation that standardise each fold's targets.

    Counts are not scaled: a Poisson loss is not a distance.
    """
    if examples.num_classes or examples.are_texts or recipe.loss.name == "poisson":
        return examples
    folds: list[Fold] = [None, *range(int(examples.fold.max()) + 1)]
    trains = {fold: (examples.fold != fold if fold is not None else slice(None)) for fold in folds}
    weight = examples.weight
    found = {
        fold: Scaling.of(examples.target[own].numpy(), None if weight is None else weight[own].numpy())
        for fold, own in trains.items()
    }
    return replace(examples, scaling={fold: (own.shift, own.scale) for fold, own in found.items()})


def scale_of(examples: Examples, fold: Fold) -> dict[str, float]:
    """The mean and standard deviation that convert the outputs of a fold's members back."""
    shift, scale = (0.0, 1.0) if examples.scaling is None else examples.scaling[fold]
    return {"shift": shift, "scale": scale}


def check_parts(recipe: Recipe, *, task: str, num_classes: int, has_costs: bool, stacked: bool) -> None:
    """Checks that every part that this recipe names exists and fits. Raises UsageError with the nearest name."""
    check_loss(recipe.loss, task=task, num_classes=num_classes, has_costs=has_costs)
    ACTIVATIONS.get(recipe.model.activation)
    check_schedule(recipe.schedule)
    for number in (1, 2) if recipe.then.start < 1 else (1,):
        own = optimizer_of(recipe, number)
        if stacked and own.name in OPTIMIZERS.names():
            continue
        plain_optimizer([("weight", nn.Parameter(torch.zeros(2, 2)))], own)
    if recipe.then.start < 1:
        then = recipe.then
        check_schedule(replace(recipe.schedule, name=then.schedule, warmup=then.warmup), room="then")
        require(recipe.then.schedule != "plateau", "then.schedule cannot be plateau; use it in the first phase")
    names = [optimizer_of(recipe, number).name for number in ((1, 2) if recipe.then.start < 1 else (1,))]
    free = next((name for name in names if name.startswith("schedule_free")), "")
    limited = "evaluates an average of the weights, to which regularize.max_norm does not apply"
    require(not (free and recipe.regularize.max_norm), f"{free} {limited}; use another optimizer, or leave it at 0")
    own_averages = (recipe.regularize.ema > 0) + (recipe.regularize.swa > 0)
    require(own_averages < 2, "regularize.ema and regularize.swa both average the weights; keep one of them")


def need_pictures(recipe: Recipe) -> None:
    """Raises UsageError for settings that exist only for pictures."""
    own = recipe.augment
    given = {
        "augment.flip": own.flip, "augment.crop": own.crop, "augment.rotation": own.rotation,
        "augment.color": own.color, "augment.strength": own.strength, "regularize.cutmix": recipe.regularize.cutmix,
    }  # fmt: skip
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} is for pictures; leave it out")
