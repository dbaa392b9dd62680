"""Lessons 1 and 2: descents on a slice of the loss, clicks and arrows, a race, and rates."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from tame.core.errors import require, unknown
from tame.learn.descent import Path, Problem, Run, descend, judged_rate
from tame.learn.plane import Plane, angle, plane_of, slice_of
from tame.learn.tutor import Nothing, Plain, Tutor, asked, short

NEAR, STEEPEST = 30.0, 10.0  # degrees within which a click, and an arrow, are right
WANTED = ("creeps", "arrives", "rises")  # what a rate may be meant to do
RACED = 0.8  # share of the pairs of an order that must be right
LOOKED_AT, NOISY, LAST = 40, 200, 20  # steps of a rate, of a noisy descent, and of its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Descents:
    """Descents to be made. The plane goes through the start and the end of the first."""

    runs: tuple[Run, ...] = (Run(),)
    loss: str = ""
    steps: int = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """Where somebody thinks the next point of the first descent is. step: of the point before; a, b: in the plane."""

    descents: Descents = field(default_factory=Descents)
    step: int
    a: float
    b: float
    is_arrow: bool = False  # the direction in which the loss rises most steeply, and not a point


@dataclass(frozen=True, slots=True, kw_only=True)
class Bet:
    """An order in which descents will end, the lowest loss first, by their places."""

    descents: Descents
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A rate to be judged, as what it is meant to be: creeps, arrives or rises."""

    lr: float
    wanted: str


@asked("about", Nothing)
def about(tutor: Tutor, _: Nothing) -> Plain:
    """Whose examples these are, and why they are not the learner's."""
    return {"is_own": tutor.given.is_own, "name": tutor.ground.name, "why": tutor.given.why}


@asked("facts", Nothing)
def facts(tutor: Tutor, _: Nothing) -> Plain:
    own = tutor.ground
    return {
        "name": own.name, "is_own": tutor.given.is_own, "nouns": own.nouns,
        "classes": own.classes, "examples": len(own.x), "judged": len(own.x_valid),
        "inputs": own.x.shape[1], "weights": tutor.problem("").size, "of": own.of, "names": own.names[:200],
        "rate": tutor.rate,
    }  # fmt: skip


@asked("descents", Descents)
def descents(tutor: Tutor, given: Descents) -> Plain:
    """The slice of the loss with all descents in it."""
    problem = tutor.problem(given.loss)
    paths = descend(problem, given.runs, steps=given.steps)
    plane = plane_of(paths)
    cut = slice_of(problem, plane, paths)
    return {
        "loss": problem.loss, "weights": problem.size, "a": short(cut.a), "b": short(cut.b),
        "losses": [short(row) for row in cut.losses], "share": plane.share(paths[0].weights),
        "paths": [_path(problem, plane, path) for path in paths],
    }  # fmt: skip


def _path(problem: Problem, plane: Plane, path: Path) -> Plain:
    gradients = problem.loss_and_gradient(path.weights)[1]
    return {
        "run": path.run, "points": [short(each) for each in plane.places(path.weights)], "losses": short(path.losses),
        "gradients": [short(each) for each in plane.arrows(gradients)], "share": plane.share(path.weights),
        "lengths": short(torch.linalg.vector_norm(gradients, dim=1)), "is_lost": path.is_lost,
        "velocity": None if path.velocity is None else [short(each) for each in plane.arrows(path.velocity)],
    }  # fmt: skip


@asked("click", Click)
def click(tutor: Tutor, given: Click) -> Plain:
    """Whether a click lies in the direction in which plain descent goes on, as far as the plane shows it."""
    require(math.isfinite(given.a) and math.isfinite(given.b), "the place of the click is not a number")
    require(0 <= given.step < given.descents.steps, f"the descent has steps 0 to {given.descents.steps - 1}")
    problem = tutor.problem(given.descents.loss)
    path, *_ = paths = descend(problem, given.descents.runs, steps=given.descents.steps)
    plane = plane_of(paths)
    here = path.weights[given.step][None]
    uphill = plane.arrows(problem.loss_and_gradient(here)[1])[0]
    clicked = torch.tensor([given.a, given.b], dtype=torch.float64)
    if given.is_arrow:
        apart = angle(clicked, uphill)
        return {"degrees": apart, "right": apart <= STEEPEST, "uphill": short(uphill)}
    apart = angle(clicked - plane.places(here)[0], -uphill)
    return {
        "degrees": apart,
        "right": apart <= NEAR,
        "next": short(plane.places(path.weights[given.step + 1][None])[0]),
    }


@asked("race", Bet)
def race(tutor: Tutor, given: Bet) -> Plain:
    """The descents, once an order was committed to; how many pairs of it were right."""
    many = len(given.descents.runs)
    require(sorted(given.order) == list(range(many)), f"put all {many} descents into an order, each once")
    found = descents(tutor, given.descents)
    ends = [path["losses"][-1] if not path["is_lost"] else math.inf for path in found["paths"]]
    right = sorted(range(many), key=lambda place: ends[place])
    pairs = [(one, other) for i, one in enumerate(given.order) for other in given.order[i + 1 :]]
    good = sum(ends[one] <= ends[other] for one, other in pairs)
    return {**found, "order": right, "pairs": len(pairs), "right_pairs": good, "right": good >= RACED * len(pairs)}


@asked("rates", Nothing)
def rates(tutor: Tutor, _: Nothing) -> Plain:
    """Which loss is looked at and why; the rates themselves are the learner's to find."""
    own = tutor.chosen
    missed = None if own.missed is None else {"loss": own.missed.loss, "highest": own.missed.rates[-1]}
    return {"loss": own.found.loss, "start": own.found.start, "missed": missed,
            "low": own.found.rates[0], "high": own.found.rates[-1]}  # fmt: skip


@asked("rate", Rate)
def rate(tutor: Tutor, given: Rate) -> Plain:
    """A descent at a rate, and whether it is what it was meant to be."""
    require(given.wanted in WANTED, unknown("outcome", given.wanted, WANTED))
    problem, found = tutor.problem(tutor.chosen.found.loss), tutor.chosen.found
    (path,) = descend(problem, [Run(lr=given.lr)], steps=LOOKED_AT)
    judged = judged_rate(found, path)
    rose = int((path.losses.diff() > 0).sum())
    return {"losses": short(path.losses), "judged": judged, "right": judged == given.wanted, "rose": rose,
            "is_lost": path.is_lost, "steps": LOOKED_AT, "best": found.ends[found.rates.index(found.best)]}  # fmt: skip


@asked("decays", Nothing)
def decays(tutor: Tutor, _: Nothing) -> Plain:
    """A noisy descent by small batches with a constant rate, one that decays and one that warms up as well."""
    problem = tutor.problem(tutor.chosen.found.loss)
    best, small = tutor.chosen.found.best, max(1, min(8, len(tutor.ground.x) // 8))
    runs = [Run(lr=best, batch=small), Run(lr=best, batch=small, schedule="linear"),
            Run(lr=best, batch=small, schedule="linear", warmup=0.2)]  # fmt: skip
    paths = descend(problem, runs, steps=NOISY)
    last = [path.losses[-LAST:].diff().abs().mean() for path in paths]
    ends = [float(path.losses[-LAST:].mean()) for path in paths]
    losses = [short(path.losses) for path in paths]
    return {"rate": best, "batch": small, "losses": losses, "noise": [float(each) for each in last], "ends": ends}
