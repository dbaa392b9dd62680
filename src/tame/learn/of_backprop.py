"""Lesson 6: a network of two inputs, three units and one output, on two own inputs; derivatives by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.core.errors import require
from tame.core.rng import stream
from tame.learn.ground import Ground
from tame.learn.tutor import Plain, Tutor, asked, short

EDGES = tuple([f"w{i}{j}" for i in (1, 2) for j in (1, 2, 3)] + [f"v{j}" for j in (1, 2, 3)])
NUDGE, NEAR = 1e-5, 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Of:
    """Which network: a seed draws its weights and an example."""

    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Derivative:
    """What somebody computed as the derivative of the loss with respect to the weight of an edge."""

    seed: int = 0
    edge: str
    value: float


@dataclass(frozen=True, slots=True)
class Tiny:
    """The network. x: (2,); target: a number; w: (2, 3); v: (3,). ReLU units, half the squared error as loss."""

    x: Tensor
    target: float
    w: Tensor
    v: Tensor

    def loss(self, w: Tensor, v: Tensor) -> Tensor:
        """The loss with these weights."""
        return 0.5 * (torch.relu(self.x @ w) @ v - self.target) ** 2


def _varying(ground: Ground) -> list[int]:
    """The inputs that are not the same in all examples."""
    return [int(each) for each in (ground.x.std(dim=0) > 1e-9).nonzero()[:, 0]]


def tiny(tutor: Tutor, seed: int) -> tuple[Tiny, list[str], str]:
    """A network with rounded numbers that has two units or more which are not off, its inputs' names, and why other
    examples stand in."""
    ground, why = tutor.where(lambda own: len(_varying(own)) >= 2, "two inputs that vary")
    one, other = _varying(ground)[:2]
    for turn in range(100):
        rng = stream(seed, "lesson", "tiny", turn)
        row = int(rng.integers(len(ground.x)))
        x = torch.tensor([round(float(ground.x[row, own]), 1) for own in (one, other)], dtype=torch.float64)
        target = float(int(ground.y[row]) == 0) if ground.classes else round(float(ground.y[row]), 1)
        w, v = (torch.from_numpy(rng.uniform(-1.5, 1.5, size).round(1)) for size in ((2, 3), (3,)))
        inside = x @ w
        is_plain = bool((x != 0).all() and (w != 0).all() and (v != 0).all())  # else a derivative may be told by eye
        if int((inside > 0.1).sum()) >= 2 and is_plain and bool((inside.abs() > 0.05).all()):
            break
    names = [ground.names[own] if ground.names else f"input {own + 1}" for own in (one, other)]
    return Tiny(x, target, w, v), names, why


def derivatives(net: Tiny) -> dict[str, float]:
    """The derivative of the loss with respect to each edge's weight."""
    w, v = net.w.clone().requires_grad_(), net.v.clone().requires_grad_()
    of_w, of_v = torch.autograd.grad(net.loss(w, v), (w, v))
    return dict(zip(EDGES, [*of_w.flatten().tolist(), *of_v.tolist()], strict=True))


def by_difference(net: Tiny, edge: str) -> float:
    """The same by moving one weight a little to both sides."""
    place = EDGES.index(edge)
    moved = torch.zeros(len(EDGES), dtype=torch.float64)
    moved[place] = NUDGE
    up, down = (net.loss(net.w + sign * moved[:6].view(2, 3), net.v + sign * moved[6:]) for sign in (1, -1))
    return float(up - down) / (2 * NUDGE)


@asked("network", Of)
def network(tutor: Tutor, given: Of) -> Plain:
    """All numbers on the way forward, and which two derivatives are asked for."""
    net, names, why = tiny(tutor, given.seed)
    inside = net.x @ net.w
    outside = torch.relu(inside)
    on = [j for j in range(3) if float(inside[j]) > 0]
    edges = [f"v{on[0] + 1}", f"w1{on[-1] + 1}"]
    return {
        "names": names, "x": short(net.x), "target": net.target, "w": [short(row) for row in net.w], "v": short(net.v),
        "inside": short(inside), "outside": short(outside), "output": float(outside @ net.v),
        "loss": float(net.loss(net.w, net.v)), "edges": edges, "why": why,
    }  # fmt: skip


@asked("derivative", Derivative)
def derivative(tutor: Tutor, given: Derivative) -> Plain:
    """Whether a derivative is right within five percent, with the one by a difference."""
    require(given.edge in EDGES, f"there is no edge {given.edge!r}")
    require(math.isfinite(given.value), "the derivative must be a number, such as -0.25")
    net, *_ = tiny(tutor, given.seed)
    key, checked = derivatives(net)[given.edge], by_difference(net, given.edge)
    right = abs(given.value - key) <= NEAR * abs(key) + 0.005  # numbers on the edges are rounded
    return {"right": right, "key": key, "by_difference": checked, "nudge": NUDGE}
