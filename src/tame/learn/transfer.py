"""Networks that were trained before, and what of them is used for new examples: frozen, fine-tuned, or nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import require
from tame.core.recipe import OptimizerRecipe, Recipe
from tame.core.rng import stream
from tame.learn.ground import Ground, Tuning
from tame.parts.models import build_model, init_module
from tame.parts.optimizers import plain_optimizer
from tame.report.formats import inert
from tame.trial.draws import same_chance

Way = Literal["frozen", "fine-tuned", "from scratch"]
WAYS: tuple[Way, ...] = ("frozen", "fine-tuned", "from scratch")
UNITS, STEPS, RATE = 32, 120, 0.01
SMALLER = 0.1  # of the rate, at which all weights are trained that were trained before
TUNED_STEPS, TUNED_RATE = 12, 3e-4  # of the last stage of a backbone
SCRATCH_STEPS, SCRATCH_RATE, SCRATCH_SIDE = 60, 3e-3, 32  # of a small network on pictures of so many pixels
MEAN, STD = 127.5, 64.0  # of their bytes
BATCH = 20  # pictures of a step
LENGTH = 16.0  # of scaled features, on average


class Before(Protocol):
    """What was trained before. sizes: numbers of new examples that are tried; times: draws of them; said: what it is,
    in a sentence."""

    sizes: tuple[int, ...]
    times: int
    said: str

    def accuracy(self, way: Way, size: int, *, factor: float, turn: int) -> float:
        """The mean share of each class that is told right on validation examples. factor: of the usual rate."""
        ...


def before_of(ground: Ground) -> Before:
    """The backbone of a study of pictures; else a network that is trained now, on half of the examples.

    Raises UsageError without classes.
    """
    require(len(ground.classes) >= 2, "this lesson needs classes")
    return OnRows(ground) if ground.tuning is None else OnPictures(ground, ground.tuning())


class OnRows:
    """A network trained to tell all classes apart on half of the examples; the new question is the rarest class."""

    times = 3

    def __init__(self, ground: Ground) -> None:
        half = len(ground.x) // 2
        rare = int(torch.bincount(ground.y, minlength=len(ground.classes)).argmin())
        with same_chance(0, "lesson", "transfer"):
            body = nn.Sequential(nn.Linear(ground.x.shape[1], UNITS), nn.ReLU())
            head = nn.Linear(UNITS, len(ground.classes))
        x, old = ground.x.float(), torch.arange(half)
        self._body, self._x, self._x_valid = body, x[half:], ground.x_valid.float()
        every = [*body.named_parameters(), *head.named_parameters("head")]
        _fit(every, lambda own: head(body(x[own])), ground.y, RATE, [old] * STEPS)
        self._y, self._y_valid = ((own == rare).long() for own in (ground.y[half:], ground.y_valid))
        self.sizes = _sizes((10, 20, 50, 100, 200), len(self._x))
        self.said = (
            f"A network was trained to tell all classes apart on {half} of your {ground.nouns}. Now it is asked only "
            f"for {inert(ground.classes[rare])}, with a few of the others."
        )

    def accuracy(self, way: Way, size: int, *, factor: float, turn: int) -> float:
        rows = some_of_each(self._y, size, turn)
        with same_chance(turn, "lesson", "new head"):
            head = nn.Linear(UNITS, 2)
            body = nn.Sequential(nn.Linear(self._x.shape[1], UNITS), nn.ReLU())
        if way != "from scratch":
            body.load_state_dict(self._body.state_dict())
        trained = [*head.named_parameters("head"), *([] if way == "frozen" else body.named_parameters())]
        rate = RATE * factor * (SMALLER if way == "fine-tuned" else 1.0)
        _fit(trained, lambda own: head(body(self._x[own])), self._y, rate, [rows] * STEPS)
        return _recall(head(body(self._x_valid)), self._y_valid)


class OnPictures:
    """The backbone of a study of pictures, which saw none of them, and a small network from scratch."""

    times = 2

    def __init__(self, ground: Ground, own: Tuning) -> None:
        self._own, self._classes = own, len(ground.classes)
        self._y, self._y_valid = ground.y[: len(own.rows)], ground.y_valid[: len(own.rows_valid)]
        self.sizes = _sizes((10, 30, len(own.rows)), len(own.rows))
        self.said = (
            f"The network that your study begins with has seen many photographs, and none of yours. Here it sees up to "
            f"{len(own.rows)} of your {ground.nouns}, {own.task.pixels.shape[-1]} pixels wide, and is judged on "
            f"{len(own.rows_valid)} others."
        )

    @cached_property
    def _maps(self) -> tuple[Tensor, Tensor]:
        """What the part that stays as it is makes of the pictures that are trained on, and of the others."""
        own = self._own
        train, valid = (own.task.views(own.recipe, rows)[0] for rows in (own.rows, own.rows_valid))
        return train, valid

    @cached_property
    def _scale(self) -> tuple[Tensor, Tensor]:
        """What centres features, and gives them the length that heads are trained with."""
        with torch.no_grad():
            features = self._own.task.upper(self._maps[0])
        shift = features.mean(dim=0)
        return shift, LENGTH / (features - shift).square().sum(dim=1).mean().sqrt().clamp_min(1e-12)

    @cached_property
    def _features(self) -> tuple[Tensor, Tensor]:
        """(n, D) the features of both."""
        shift, scale = self._scale
        with torch.no_grad():
            train, valid = ((self._own.task.upper(own) - shift) * scale for own in self._maps)
        return train, valid

    def accuracy(self, way: Way, size: int, *, factor: float, turn: int) -> float:
        rows = some_of_each(self._y, size, turn)
        if way == "from scratch":
            return self._from_scratch(rows, turn)
        features, judged = self._features
        with same_chance(turn, "lesson", "new head"):
            head = nn.Linear(features.shape[1], self._classes)
        named = list(head.named_parameters("head"))
        _fit(named, lambda own: head(features[own]), self._y, RATE, [rows] * STEPS)
        if way == "frozen":
            return _recall(head(judged), self._y_valid)
        maps, maps_valid = self._maps
        upper, (shift, scale) = copy.deepcopy(self._own.task.upper).requires_grad_(True), self._scale
        named += [(name, each) for name, each in upper.named_parameters() if each.requires_grad]

        def outputs(own: Tensor) -> Tensor:
            return head((upper(own) - shift) * scale)  # type: ignore[no-any-return]

        _fit(named, lambda own: outputs(maps[own]), self._y, TUNED_RATE * factor, _batches(rows, TUNED_STEPS, turn))
        with torch.no_grad():
            return _recall(outputs(maps_valid), self._y_valid)

    def _from_scratch(self, rows: Tensor, turn: int) -> float:
        train, valid = self._pixels
        recipe = Recipe().but({"model.name": "plain_cnn", "model.width": 8, "model.dropout": 0.0, "seed": turn})
        network = build_model(recipe.model, self._classes)
        init_module(network, seed=turn)
        batches = _batches(rows, SCRATCH_STEPS, turn)
        _fit(network.named_parameters(), lambda own: network(train[own]), self._y, SCRATCH_RATE, batches)
        with torch.no_grad():
            return _recall(network(valid), self._y_valid)

    @cached_property
    def _pixels(self) -> tuple[Tensor, Tensor]:
        """(n, 3, S, S) the pictures of both as a network from scratch sees them."""
        own = self._own
        small = F.adaptive_avg_pool2d((own.task.pixels.float() - MEAN) / STD, SCRATCH_SIDE)
        return small[own.rows], small[own.rows_valid]


def some_of_each(y: Tensor, size: int, turn: int) -> Tensor:
    """(size,) the first of an order in which the classes take turns, as long as there are examples of them."""
    order = torch.from_numpy(stream(turn, "lesson", "few").permutation(len(y)))
    kinds = [order[y[order] == each].tolist() for each in torch.unique(y).flip(0)]
    longest = max(map(len, kinds))
    return torch.tensor([kind[i] for i in range(longest) for kind in kinds if i < len(kind)][:size])


def _sizes(wanted: Sequence[int], most: int) -> tuple[int, ...]:
    return tuple(sorted({min(each, most) for each in wanted}))


def _batches(rows: Tensor, steps: int, turn: int) -> Iterator[Tensor]:
    """So many batches of these rows, each row as often as the others, within one."""
    rng, left = stream(turn, "lesson", "batches"), rows[:0]
    for _ in range(steps):
        while len(left) < min(BATCH, len(rows)):
            left = torch.cat([left, rows[torch.from_numpy(rng.permutation(len(rows)))]])
        yield left[:BATCH]
        left = left[BATCH:]


def _fit(
    named: Iterable[tuple[str, nn.Parameter]], outputs: Callable[[Tensor], Tensor], y: Tensor, lr: float,
    batches: Iterable[Tensor],
) -> None:  # fmt: skip
    """Trains these weights, a step for each batch of rows. outputs: of these rows."""
    optimizer = plain_optimizer(list(named), OptimizerRecipe(name="adam", lr=lr, weight_decay=0.0))
    for rows in batches:
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(outputs(rows), y[rows]))
        optimizer.step()


def _recall(outputs: Tensor, y: Tensor) -> float:
    """The mean share of each class that is told right: always saying the most common one would be right too often."""
    right = outputs.argmax(dim=1) == y
    return float(torch.stack([right[y == own].float().mean() for own in torch.unique(y)]).mean())
