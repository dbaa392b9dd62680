"""What a kind of data gives to training: the tasks of its recipes, the network that is delivered, its judgement."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import UsageError, WorkerError, require, unknown
from tame.core.recipe import Recipe
from tame.data.encode import Scaling
from tame.parts.activations import ACTIVATIONS
from tame.parts.losses import check_loss
from tame.parts.network import Build, Network
from tame.parts.optimizers import OPTIMIZERS, plain_optimizer
from tame.parts.schedules import check_schedule
from tame.trial.commands import Fold, Plain, Unsealed
from tame.trial.population import Examples, Task
from tame.trial.settings import optimizer_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Where a kind of data is opened. cache: for what it makes; under: another cache, which is read too; study: its
    folder; build: what makes a module of the user's own.

    doing: hears what is tried of the user's own, "" for nothing any more, and how many seconds that may take, None for
    any; say: hears of progress: what, done, of how many.
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
    """What would be trained together, of which the memory is asked.

    cores: trainings that go on side by side; tuning: a recipe that a backbone may be fine-tuned with; rehearsed: the
    recipe of which some steps have been tried already; members: how many of so many members of a recipe are trained
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
    """A kind of data in the process that trains. rows: of the data, of the examples that are not sealed."""

    @property
    def kind(self) -> str: ...

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        """The answer to a question that only this kind knows. Raises WorkerError for one that it does not."""
        ...

    @property
    def reason(self) -> str:
        """Why the last recipe that `stacks` was asked about is trained one at a time."""
        ...

    def check(self, recipe: Recipe, examples: Examples) -> None:
        """Nothing, if this recipe can be trained on this kind of data. Raises UsageError with the mend."""
        ...

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        """What engines train for members that leave out these folds. rows: of the examples, in the data."""
        ...

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        """Folds by whether their members can be trained in one computation: together, or each by itself."""
        ...

    def small(self, recipe: Recipe) -> bool:
        """Whether steps are so short that a training is best left to one core. Such modules draw no global chance."""
        ...

    def stacks(self, recipe: Recipe) -> bool:
        """Whether members with this recipe can be trained in one computation."""
        ...

    def rehearsed(self) -> Material:
        """What takes as long to train on as this, and needs none of the inputs that take long to make."""
        ...

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        """The task that a recipe is rehearsed with whose members are always trained one by one; None for others."""
        ...

    def adds_bytes(self, trained: Trained) -> int:
        """Bytes that training all this adds to what the process has held so far."""
        ...

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        """The trained module with all that it needs to judge raw examples."""
        ...

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        """Canonical outputs (n, C) of rows of the data. cached: whether what was kept of this study may be used."""
        ...

    def read(self, folder: Path) -> Network:
        """The network that was delivered into a folder, as whoever gets it reads it."""
        ...


class OpenMaterial(Protocol):
    """Opens data of a kind, as its source gives it. Returns also what is known of it then."""

    def __call__(self, given: Plain, room: Room) -> tuple[Material, Plain]: ...


def not_asked(question: str, kind: str, known: Iterable[str] = ()) -> WorkerError:
    """What to raise for a question that a kind does not answer."""
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
    )


def scaled(examples: Examples, recipe: Recipe) -> Examples:
    """The examples of a regression with the mean and spread that each fold's members see the target by.

    Counts stay as they are: the loss of a Poisson regression is not about distances.
    """
    if examples.num_classes or recipe.loss.name == "poisson":
        return examples
    folds: list[Fold] = [None, *range(int(examples.fold.max()) + 1)]
    learnt = {f: examples.target if f is None else examples.target[examples.fold != f] for f in folds}
    found = {fold: Scaling.of(own.numpy()) for fold, own in learnt.items()}
    return replace(examples, scaling={fold: (own.shift, own.scale) for fold, own in found.items()})


def scale_of(examples: Examples, fold: Fold) -> dict[str, float]:
    """Mean and spread that the outputs of a fold's members are turned back by."""
    shift, scale = (0.0, 1.0) if examples.scaling is None else examples.scaling[fold]
    return {"shift": shift, "scale": scale}


def check_parts(recipe: Recipe, *, task: str, num_classes: int, has_costs: bool, stacked: bool) -> None:
    """Nothing, if every part that this recipe names exists and fits. Raises UsageError with the nearest name."""
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
    limited = "judges an average of the weights, which no regularize.max_norm reaches"
    require(not (free and recipe.regularize.max_norm), f"{free} {limited}; use another optimizer, or leave it at 0")
    own_averages = (recipe.regularize.ema > 0) + (recipe.regularize.swa > 0)
    require(own_averages < 2, "regularize.ema and regularize.swa both average the weights; keep one of them")


def need_pictures(recipe: Recipe) -> None:
    """Raises UsageError for settings that only pictures know."""
    own = recipe.augment
    given = {
        "augment.flip": own.flip, "augment.crop": own.crop, "augment.rotation": own.rotation,
        "augment.color": own.color, "augment.strength": own.strength, "regularize.cutmix": recipe.regularize.cutmix,
    }  # fmt: skip
    for name, value in given.items():
        if value:
            raise UsageError(f"{name} is for pictures; leave it out")
