"""Lesson 10: what was learned on some of the examples, used for a new question on a few others."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import require
from tame.core.recipe import OptimizerRecipe
from tame.core.rng import stream
from tame.learn.ground import Ground
from tame.learn.tutor import Nothing, Plain, Tutor, asked
from tame.parts.optimizer_rules import Named
from tame.parts.optimizers import plain_optimizer
from tame.trial.draws import same_chance

UNITS, STEPS, RATE = 32, 120, 0.01
SMALLER = 0.1  # of the rate, at which all weights are trained that were trained before
SIZES = (10, 20, 50, 100, 200)
WAYS = ("frozen", "fine-tuned", "from scratch")
TIMES = 3  # draws of the few examples
FACTORS = (0.1, 1.0, 10.0, 100.0)
NEAR = 2.0  # times, within which a reading is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How many examples a network from scratch needs to be as good as a frozen one with the fewest."""

    examples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """How many times the usual rate a network is fine-tuned at."""

    factor: float


@dataclass(frozen=True, slots=True, eq=False)
class Old:
    """What was trained before, on the old examples, and the new ones. y: (n,) 1 for the class that is asked for."""

    body: nn.Module
    x: Tensor
    y: Tensor
    x_valid: Tensor
    y_valid: Tensor
    trained_on: int
    name: str


@lru_cache(maxsize=2)
def _old(ground: Ground) -> Old:
    """A network trained to tell all classes apart on half of the examples; the new question is the rarest class."""
    half = len(ground.x) // 2
    rare = int(torch.bincount(ground.y, minlength=len(ground.classes)).argmin())
    with same_chance(0, "lesson", "transfer"):
        body = nn.Sequential(nn.Linear(ground.x.shape[1], UNITS), nn.ReLU())
        head = nn.Linear(UNITS, len(ground.classes))
    x = ground.x.float()
    _fit(
        [*body.named_parameters(), *head.named_parameters("head")], lambda: head(body(x[:half])), ground.y[:half], RATE
    )
    new = [(own == rare).long() for own in (ground.y[half:], ground.y_valid)]
    return Old(body, x[half:], new[0], ground.x_valid.float(), new[1], half, ground.classes[rare])


def _fit(named: Named, outputs: Callable[[], Tensor], target: Tensor, lr: float) -> None:
    optimizer = plain_optimizer(named, OptimizerRecipe(name="adam", lr=lr, weight_decay=0.0))
    for _ in range(STEPS):
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(outputs(), target))
        optimizer.step()


def accuracy(old: Old, way: str, size: int, *, factor: float = 1.0, turn: int = 0) -> float:
    """The balanced accuracy on validation examples of one way with so many new examples.

    factor: of the rate. Balanced, since always saying "another class" would be right about most examples.
    """
    rows = _some(old.y, size, turn)
    x, y = old.x[rows], old.y[rows]
    with same_chance(turn, "lesson", "new head"):
        head, body = nn.Linear(UNITS, 2), nn.Sequential(nn.Linear(x.shape[1], UNITS), nn.ReLU())
    if way != "from scratch":
        body.load_state_dict(old.body.state_dict())
    trained = list(head.named_parameters("head"))
    rate = RATE * factor * (SMALLER if way == "fine-tuned" else 1.0)
    trained += [] if way == "frozen" else list(body.named_parameters())
    _fit(trained, lambda: head(body(x)), y, rate)
    with torch.no_grad():
        right = head(body(old.x_valid)).argmax(dim=1) == old.y_valid
    shares = [float(right[old.y_valid == own].float().mean()) for own in (0, 1) if bool((old.y_valid == own).any())]
    return sum(shares) / len(shares)


def _some(y: Tensor, size: int, turn: int) -> Tensor:
    """The first of an order in which both answers take turns, as long as there are both."""
    order = torch.from_numpy(stream(turn, "lesson", "few").permutation(len(y)))
    kinds = [order[y[order] == own] for own in (0, 1)]
    few = min(len(kinds[1]), max(size // 2, 1))
    return torch.cat([kinds[1][:few], kinds[0][: size - few]])


@asked("few", Nothing)
def learning_curves(tutor: Tutor, _: Nothing) -> Plain:
    """Each way with few and with many examples; the means over a few draws."""
    return dict(_curves(_of(tutor)))


@asked("reading", Reading)
def reading(tutor: Tutor, given: Reading) -> Plain:
    """Whether it was read off right how many examples a network from scratch needs, where it gets there."""
    require(math.isfinite(given.examples) and given.examples > 0, "give a number of examples, such as 50")
    found = _curves(_of(tutor))
    needed = needs(found["sizes"], found["curves"]["from scratch"], found["curves"]["frozen"][0])
    most = found["sizes"][-1]
    if needed is None:
        return {"needed": None, "most": most, "right": given.examples > most}
    return {"needed": needed, "most": most, "right": needed / NEAR <= given.examples <= needed * NEAR}


def needs(sizes: list[int], scores: list[float], goal: float) -> float | None:
    """At how many examples a curve reaches a score, read between its points on a logarithmic scale; None if never."""
    if scores[0] >= goal:
        return float(sizes[0])
    for i in range(1, len(sizes)):
        if scores[i] >= goal:
            share = (goal - scores[i - 1]) / (scores[i] - scores[i - 1])
            return float(math.exp(math.log(sizes[i - 1]) + share * math.log(sizes[i] / sizes[i - 1])))
    return None


@asked("destroy", Factor)
def destroy(tutor: Tutor, given: Factor) -> Plain:
    """Fine-tuning at a rate, beside the frozen network; right is a rate that makes it worse than that."""
    require(
        given.factor in FACTORS, f"the rate can be {', '.join(f'{each:g}' for each in FACTORS)} times the usual one"
    )
    old = _of(tutor)
    size = SIZES[1]
    tuned, frozen = (
        sum(accuracy(old, way, size, factor=factor, turn=turn) for turn in range(TIMES)) / TIMES
        for way, factor in (("fine-tuned", given.factor), ("frozen", 1.0))
    )
    return {"tuned": tuned, "frozen": frozen, "examples": size, "right": tuned < frozen - 0.01}


def _of(tutor: Tutor) -> Old:
    require(len(tutor.ground.classes) >= 2, "this lesson needs classes")
    return _old(tutor.ground)


@lru_cache(maxsize=2)
def _curves(old: Old) -> Plain:
    sizes = [size for size in SIZES if size <= len(old.x)] or [len(old.x)]
    curves = {
        way: [sum(accuracy(old, way, size, turn=turn) for turn in range(TIMES)) / TIMES for size in sizes]
        for way in WAYS
    }
    return {"sizes": sizes, "curves": curves, "trained_on": old.trained_on, "name": old.name, "times": TIMES}
