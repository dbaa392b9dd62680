"""Lesson 5: five optimizers in three situations on the learner's own examples, each at its best rate."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from tame.core.errors import require, unknown
from tame.core.rng import stream_seed
from tame.learn.descent import Path, Problem, Run, descend
from tame.learn.tutor import Plain, Tutor, asked, short

OPTIMIZERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
RATES = {  # that are tried; of sgd and momentum as multiples of the rate found on the examples
    "sgd": (0.1, 0.3, 1.0, 3.0), "momentum": (0.03, 0.1, 0.3, 1.0), "adagrad": (0.01, 0.03, 0.1, 0.3),
    "rmsprop": (0.001, 0.003, 0.01, 0.03), "adam": (0.003, 0.01, 0.03, 0.1),
}  # fmt: skip
SITUATIONS = ("as it is", "sparse", "noisy")
KEPT, SCALES = 0.05, (0.03, 1.0)  # share of each input's values that stay in a sparse copy
STEPS, LAST, NOISY_BATCH = 80, 10, 4
CLOSE = 0.9  # of the way down that the best one goes, which is as good
MEMORY = {"sgd": 0, "momentum": 1, "adagrad": 1, "rmsprop": 1, "adam": 2}  # numbers for each weight


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which optimizer somebody chooses in a situation."""

    situation: str
    optimizer: str


@asked("contest", Choice)
def contest(tutor: Tutor, given: Choice) -> Plain:
    """All five, each at the rate of those tried that ends lowest, once a choice was made."""
    require(given.situation in SITUATIONS, unknown("situation", given.situation, SITUATIONS))
    require(given.optimizer in OPTIMIZERS, unknown("optimizer", given.optimizer, OPTIMIZERS))
    problem = tutor.problem("")
    batch = NOISY_BATCH if given.situation == "noisy" else 0
    problem = sparse(problem) if given.situation == "sparse" else problem
    best = {name: _best(problem, name, batch, tutor.rate) for name in OPTIMIZERS}
    ends = {name: _end(path) for name, path in best.items()}
    start = float(best["sgd"].losses[0])
    way = start - min(ends.values())
    return {
        "ends": ends, "rates": {name: path.run.lr for name, path in best.items()}, "keeps": MEMORY,
        "losses": {name: short(path.losses) for name, path in best.items()}, "steps": STEPS,
        "best": min(ends, key=lambda name: ends[name]), "right": start - ends[given.optimizer] >= CLOSE * way,
    }  # fmt: skip


def sparse(problem: Problem) -> Problem:
    """The same examples with most values of their inputs taken away, and inputs on two scales: as in counts of words,
    some inputs are rare and small."""
    drawn = torch.Generator().manual_seed(stream_seed(0, "lesson", "sparse"))
    kept = torch.rand(problem.x.shape, generator=drawn, dtype=torch.float64) < KEPT
    low, high = SCALES
    scale = torch.where(torch.arange(problem.x.shape[1]) % 2 == 0, high, low).double()
    return replace(problem, x=problem.x * kept * scale)


def _best(problem: Problem, name: str, batch: int, rate: float) -> Path:
    own = rate if name in ("sgd", "momentum") else 1.0
    runs = [Run(optimizer=name, lr=own * each, batch=batch) for each in RATES[name]]
    return min(descend(problem, runs, steps=STEPS), key=_end)


def _end(path: Path) -> float:
    return float(path.losses[-LAST:].mean()) if not path.is_lost else float("1e300")
