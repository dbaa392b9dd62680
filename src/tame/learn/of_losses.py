"""Lesson 4: what an outlier does under three losses, margins, and answers that follow from costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.errors import require
from tame.learn.descent import Run, descend
from tame.learn.ground import Ground
from tame.learn.tutor import Nothing, Plain, Tutor, asked, short

POINTS, ROUNDS, DELTA = 30, 200, 0.5
LOSSES = ("squared", "huber", "absolute")
FAR = 12.0  # standard deviations that an outlier may be away
MOST_COST, MOST_CLASSES = 1000.0, 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """Where the outlier is, in standard deviations; order: which of LOSSES it pulls most, then less, then least."""

    y: float
    order: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What each mistake costs: rows are true classes, columns what was said. less: a class that the learner wants to
    hear less often by these costs."""

    costs: tuple[tuple[float, ...], ...]
    less: int


@asked("line", Outlier)
def line(tutor: Tutor, given: Outlier) -> Plain:
    """Lines through some own points and an outlier, under each loss."""
    require(math.isfinite(given.y) and abs(given.y) <= FAR, f"the outlier must be within {FAR:g} of the middle")
    ground, why = tutor.where(lambda own: len(_usable(own)) >= 2, "two inputs with enough different values")
    x, y, names = _points(ground)
    before = {name: fitted(x, y, name) for name in LOSSES}
    far = torch.cat([x, x.max()[None]]), torch.cat([y, torch.tensor([given.y], dtype=torch.float64)])
    after = {name: fitted(*far, name) for name in LOSSES}
    pull = {name: abs(float(after[name][0] - before[name][0])) for name in LOSSES}
    found: Plain = {
        "x": short(x), "y": short(y), "at": float(x.max()), "names": names,
        "lines": {name: short(own) for name, own in after.items()}, "pull": pull,
        "why": why,
    }  # fmt: skip
    if given.order:
        require(sorted(given.order) == sorted(LOSSES), f"put {', '.join(LOSSES)} into an order, each once")
        found["right"] = list(given.order) == sorted(LOSSES, key=lambda name: -pull[name])
    return found


def fitted(x: Tensor, y: Tensor, loss: str) -> Tensor:
    """(2,) slope and height of the line with the lowest mean loss, by weighted least squares, again and again.

    Source: Holland and Welsch, Robust regression using iteratively reweighted least squares (1977).
    """
    design, weight = torch.stack([x, torch.ones_like(x)], dim=1), torch.ones_like(x)
    for _ in range(1 if loss == "squared" else ROUNDS):
        root = weight.sqrt()[:, None]
        found: Tensor = torch.linalg.lstsq(design * root, y[:, None] * root).solution[:, 0]
        error = (design @ found - y).abs()
        weight = 1 / error.clamp_min(1e-9) if loss == "absolute" else (DELTA / error.clamp_min(DELTA))
    return found


def _usable(ground: Ground) -> Tensor:
    """The inputs with enough different values."""
    some = ground.x[:POINTS]
    many = torch.tensor([len(column.unique()) for column in some.T])
    return ((some.std(dim=0) > 1e-9) & (many > POINTS // 3)).nonzero()[:200, 0]


def _points(ground: Ground) -> tuple[Tensor, Tensor, list[str]]:
    """Two own inputs that go together, of some examples, each with mean 0 and standard deviation 1."""
    some, usable = ground.x[:POINTS], _usable(ground)
    scaled = (some[:, usable] - some[:, usable].mean(dim=0)) / some[:, usable].std(dim=0)
    together = (scaled.T @ scaled / len(some)).abs() - 2 * torch.eye(len(usable)).double()
    # Two inputs that are nearly the same tell nothing: the most alike of those that are not.
    together = torch.where(together < 0.97, together, -1.0)
    place = int(together.argmax())
    one, other = place // len(usable), place % len(usable)
    sign = torch.sign((scaled[:, one] * scaled[:, other]).sum())
    names = [
        ground.names[int(usable[own])] if ground.names else f"input {int(usable[own]) + 1}" for own in (one, other)
    ]
    return scaled[:, one], scaled[:, other] * sign, names


@asked("margins", Nothing)
def margins(tutor: Tutor, _: Nothing) -> Plain:
    """The margins of own validation examples, and three losses as functions of the margin."""
    require(len(tutor.ground.classes) >= 2, "margins need classes")
    outputs = _outputs(tutor)
    true = outputs.gather(1, tutor.ground.y_valid[:, None])[:, 0]
    others = outputs.scatter(1, tutor.ground.y_valid[:, None], -torch.inf).max(dim=1).values
    own = true - others
    grid = torch.linspace(-4, 4, 81, dtype=torch.float64)
    return {
        "margins": short(own.clamp(-4, 4).sort().values), "wrong": int((own < 0).sum()), "n": len(own),
        "idle": int((own > 1).sum()), "grid": short(grid),
        "hinge": short((1 - grid).clamp_min(0)), "squared": short((1 - grid).square()),
        "logistic": short(F.softplus(-grid)),
    }  # fmt: skip


@asked("costs", Costs)
def costs(tutor: Tutor, given: Costs) -> Plain:
    """What answers cost before and after they follow from the costs, on examples that were not trained on."""
    ground, many = tutor.ground, len(tutor.ground.classes)
    require(many >= 2, "costs of mistakes need classes")
    require(
        len(given.costs) == many and all(len(row) == many for row in given.costs), f"give {many} rows of {many} costs"
    )
    own = torch.tensor(given.costs, dtype=torch.float64)
    good = bool(torch.isfinite(own).all()) and bool((own >= 0).all()) and bool((own <= MOST_COST).all())
    require(good, f"a cost is a number from 0 to {MOST_COST:g}")
    require(not own.diagonal().any(), "a right answer costs nothing")
    require(0 <= given.less < many, "there is no such class")
    shares = _outputs(tutor).softmax(dim=1)
    plain, careful = shares.argmax(dim=1), (shares @ own).argmin(dim=1)
    counts = [torch.bincount(said, minlength=many).tolist() for said in (plain, careful)]
    paid = [float(own[ground.y_valid, said].mean()) for said in (plain, careful)]
    return {
        "classes": ground.classes, "before": paid[0], "after": paid[1], "counts": counts, "n": len(plain),
        "changed": int((plain != careful).sum()), "right": counts[1][given.less] < counts[0][given.less],
        "accuracy": [float((said == ground.y_valid).double().mean()) for said in (plain, careful)],
    }  # fmt: skip


def _outputs(tutor: Tutor) -> Tensor:
    """(V, C) what a linear network says of the validation examples."""
    problem = tutor.problem("cross_entropy")
    (path,) = descend(problem, [Run(optimizer="adam", lr=0.03)], steps=100)
    return problem.predict(path.weights[-1:], tutor.ground.x_valid)[0]
