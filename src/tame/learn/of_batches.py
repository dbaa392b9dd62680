"""Lesson 3: the same descent by one example, a few and all of them, against updates, examples and seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from tame.core.errors import require, unknown
from tame.learn.descent import MOST_STEPS, Path, Problem, Run, descend
from tame.learn.tutor import Plain, Tutor, asked, short

AXES = ("updates", "examples", "seconds")
RATES = (0.03, 0.3, 1.0, 3.0)  # of the rate at which all examples get lowest
TIMED, SMOOTH = 40, 15  # updates whose time is measured, and over which a noisy loss is averaged
MINI = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bets:
    """Which batch size gets there first, by each axis; 0 for all examples."""

    bets: Mapping[str, int]


@asked("batches", Bets)
def batches(tutor: Tutor, given: Bets) -> Plain:
    """The three descents, once it was said which is fastest by what."""
    problem = tutor.problem("")
    sizes = (1, min(MINI, len(problem.x) // 2), 0)
    for axis in AXES:
        require(given.bets.get(axis) in sizes, unknown("batch size", str(given.bets.get(axis)), map(str, sizes)))
    paths = [_best(problem, size, tutor.rate) for size in sizes]
    each_s = [_seconds(problem, path.run) for path in paths]
    smooth = [_smooth(path.losses) for path in paths]
    goal = max(float(own.min()) for own in smooth)  # that all of them reach
    reached = [int((own <= goal).nonzero()[0]) for own in smooth]
    cost = {
        "updates": [float(steps) for steps in reached],
        "examples": [float(steps * (size or len(problem.x))) for steps, size in zip(reached, sizes, strict=True)],
        "seconds": [steps * own for steps, own in zip(reached, each_s, strict=True)],
    }
    first = {axis: sizes[own.index(min(own))] for axis, own in cost.items()}
    return {
        "sizes": sizes, "losses": [short(own) for own in smooth], "rates": [path.run.lr for path in paths],
        "goal": goal, "each_s": each_s, "cost": cost, "first": first, "all": len(problem.x),
        "hits": {axis: given.bets[axis] == first[axis] for axis in AXES},
        "right": sum(given.bets[axis] == first[axis] for axis in AXES) >= 2,
    }  # fmt: skip


def _best(problem: Problem, size: int, rate: float) -> Path:
    """The descent with this batch size at the rate, of those tried, that ends lowest without rising on the whole."""
    paths = descend(problem, [Run(lr=rate * each, batch=size) for each in RATES], steps=MOST_STEPS)
    good = [path for path in paths if not path.is_lost] or paths
    return min(good, key=lambda path: float(_smooth(path.losses)[-1]))


def _seconds(problem: Problem, run: Run) -> float:
    """What an update takes on this machine now, the loss on all examples not counted."""
    weights = problem.start()[None]
    rows = slice(None) if not run.batch else torch.arange(run.batch)
    begun = time.perf_counter()
    for _ in range(TIMED):
        weights = weights - run.lr * problem.loss_and_gradient(weights, rows)[1]
    return (time.perf_counter() - begun) / TIMED


def _smooth(losses: torch.Tensor) -> torch.Tensor:
    """(T,) each loss averaged with those just before it."""
    padded = torch.cat([losses[:1].expand(SMOOTH - 1), losses])
    return padded.unfold(0, SMOOTH, 1).mean(dim=1)
