"""Sixty-four recipes that are trained on the examples of a lesson, so that what a slider shows was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import torch
from torch import Tensor

from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe, Value
from tame.core.records import TrialState
from tame.core.rng import stream
from tame.kinds.tables.material import TableTask
from tame.learn.ground import Ground
from tame.learn.seen import Seen, SeenTrial
from tame.parts.mlp import Columns
from tame.trial.population import Examples, Measured, Member, Population
from tame.trial.settings import group_key
from tame.trial.stacked import Stacked
from tame.trial.unit import judged

EPOCHS = 40
BASE: Mapping[str, Value] = {
    "model.name": "mlp", "model.depth": 1, "optimizer.name": "adamw", "optimizer.lr": 1e-2, "schedule.name": "constant",
    "optimizer.weight_decay": 0.0, "batch_size": 32, "epochs": EPOCHS, "seed": 1,
}  # fmt: skip
SLIDERS: Mapping[str, tuple[Value, ...]] = {  # the values of each; share is that of the training examples
    "model.width": (1, 8, 32, 128), "optimizer.weight_decay": (0.0, 1.0), "model.dropout": (0.0, 0.6),
    "augment.noise": (0.0, 0.8), "share": (0.1, 0.5),
}  # fmt: skip
START = {name: values[-1] if name == "model.width" else values[0] for name, values in SLIDERS.items()}  # overfits
PLANTED: tuple[Mapping[str, Value], ...] = (  # faults of the rate and of the length, to be read off curves
    {"optimizer.lr": 1e-5}, {"optimizer.lr": 3e-5}, {"optimizer.lr": 3.0}, {"optimizer.lr": 10.0}, {"epochs": 8},
    {"optimizer.lr": 1e-3, "epochs": 6}, {"optimizer.name": "sgd", "optimizer.lr": 1e4},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Trained:
    """A recipe that was trained. share: of the training examples that it saw; points: epoch, training loss, validation
    loss, metric; losses: (V,) of each validation example after the last epoch; right: (V,) whether it was told right,
    nothing in a regression."""

    recipe: Recipe
    share: float
    state: TrialState
    points: tuple[tuple[int, float | None, float | None, float | None], ...]
    losses: Tensor
    right: Tensor | None


@cache
def recipes() -> tuple[tuple[Recipe, float], ...]:
    """Every recipe of the sliders, with the share of the examples that it is trained on."""
    found = []
    for values in product(*SLIDERS.values()):
        changes = dict(zip(SLIDERS, values, strict=True))
        share = float(changes.pop("share"))
        found.append((Recipe().but({**BASE, **changes}), share))
    return tuple(found)


def place_of(values: Mapping[str, Value]) -> int:
    """Where the recipe with these values of the sliders is in `recipes`. Raises UsageError for others."""
    place = 0
    for name, own in SLIDERS.items():
        if values.get(name) not in own:
            raise UsageError(f"{name} must be one of {', '.join(map(str, own))}, got {values.get(name)}")
        place = place * len(own) + own.index(values[name])
    return place


class Growing:
    """Recipes that are trained on shares of the examples when they are asked for, or when there is time; those that can
    be trained together are."""

    def __init__(self, ground: Ground, wanted: Sequence[tuple[Recipe, float]]) -> None:
        self.wanted, self._ground = tuple(wanted), ground
        self._found: dict[int, Trained] = {}
        together: dict[object, list[int]] = {}
        for place, (recipe, share) in enumerate(self.wanted):
            together.setdefault((group_key(recipe), recipe.epochs, share), []).append(place)
        self._groups = list(together.values())

    @property
    def num_done(self) -> int:
        """How many are trained."""
        return len(self._found)

    @property
    def is_done(self) -> bool:
        return not self._groups

    def known(self) -> list[Trained | None]:
        """All that are trained, in their places."""
        return [self._found.get(place) for place in range(len(self.wanted))]

    def of(self, place: int) -> Trained:
        """The recipe in this place, trained now if it was not."""
        own = next((group for group in self._groups if place in group), None)
        if own is not None:
            self._train(own)
        return self._found[place]

    def advance(self) -> None:
        """Trains the next of them."""
        self._train(self._groups[0])

    def all(self, say: Callable[[int, int], None] = lambda done, of: None) -> list[Trained]:
        """All of them, trained now where they were not. say: hears how many of how many are done."""
        while not self.is_done:
            self.advance()
            say(self.num_done, len(self.wanted))
        return [self._found[place] for place in range(len(self.wanted))]

    def _train(self, own: list[int]) -> None:
        share = self.wanted[own[0]][1]
        done = _train_alike(self._ground, [self.wanted[place][0] for place in own], share=share)
        self._found |= dict(zip(own, done, strict=True))
        self._groups.remove(own)


def _train_alike(ground: Ground, own: Sequence[Recipe], *, share: float) -> list[Trained]:
    num = max(2, round(share * len(ground.x)))
    rows = torch.from_numpy(stream(0, "lesson", "share").permutation(len(ground.x))[:num])
    x = torch.cat([ground.x[rows], ground.x_valid]).float()
    target = torch.cat([ground.y[rows], ground.y_valid])
    fold = torch.cat([torch.full((num,), -1), torch.zeros(len(ground.x_valid), dtype=torch.long)])
    examples = Examples(target, fold, len(ground.classes), together=False)
    device = torch.device("cpu")
    task = TableTask(x, Columns(x.shape[1]), examples, device)
    loss = "cross_entropy" if ground.classes else "mse"
    members = tuple(Member(i, 0, recipe.but({"loss.name": loss})) for i, recipe in enumerate(own))
    metric = "accuracy" if ground.classes else "rmse"
    points: list[list[tuple[int, float | None, float | None, float | None]]] = [[] for _ in own]
    last: list[Tensor] = []

    def watch(_: Population, measured: Measured) -> None:
        told = judged(members, measured, examples, metric)
        for i in range(len(own)):
            points[i].append((measured.epoch, *(_finite(each) for each in told[i, 0])))  # type: ignore[arg-type]
        last[:] = [measured.outputs]

    engine = Stacked(task)
    engine.advance(engine.start(members), until=own[0].epochs, watch=watch)
    return [
        _trained(recipe, share, points[i], last[0][i].double(), ground.y_valid) for i, recipe in enumerate(own)
    ]  # fmt: skip


def _trained(
    recipe: Recipe, share: float, points: list[tuple[int, float | None, float | None, float | None]], outputs: Tensor,
    target: Tensor,
) -> Trained:  # fmt: skip
    lost = next((i for i, point in enumerate(points) if None in point[1:3]), None)
    state: TrialState = "complete" if lost is None else "diverged"
    kept = tuple(points if lost is None else points[: lost + 1])
    if target.is_floating_point():
        return Trained(recipe, share, state, kept, (outputs[:, 0] - target).square(), None)
    losses = torch.nn.functional.cross_entropy(outputs, target, reduction="none")
    return Trained(recipe, share, state, kept, losses, outputs.argmax(dim=1) == target)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Gain:
    """How much lower the loss of one network is than that of another on the same examples, with its 95 % interval."""

    value: float
    low: float
    high: float
    verdict: str


def gain(before: Trained, after: Trained) -> Gain:
    """What a change did: helped, hurt or no real difference, by the paired differences of the validation losses."""
    apart = before.losses - after.losses
    mean, error = float(apart.mean()), float(apart.std()) / math.sqrt(len(apart))
    if not math.isfinite(mean):
        return Gain(0.0, 0.0, 0.0, "no real difference")
    low, high = mean - 1.96 * error, mean + 1.96 * error
    verdict = "helped" if low > 0 else "hurt" if high < 0 else "no real difference"
    return Gain(mean, low, high, verdict)


def as_trials(trained: Sequence[Trained], *, first: int = 1) -> tuple[SeenTrial, ...]:
    """As trials of a study, numbered from `first` on."""
    return tuple(
        SeenTrial(
            number=first + i, origin="sobol", state=each.state, recipe=each.recipe.flat(), points=each.points
        )
        for i, each in enumerate(trained)
    )  # fmt: skip


def seen_on(ground: Ground, seen: Seen, trained: Sequence[Trained]) -> Seen:
    """What is seen of a study, with these in place of its trials: where it has none whose curves can be read."""
    require(bool(trained), "nothing was trained")
    rates = sorted({each.recipe.optimizer.lr for each in trained})
    return replace(of_ground(ground, seen), trials=as_trials(trained), rates=(rates[0], rates[-1]))


def of_ground(ground: Ground, seen: Seen) -> Seen:
    """What is seen of a study, with the metric that the population is measured by."""
    return replace(seen, metric="accuracy" if ground.classes else "rmse")
