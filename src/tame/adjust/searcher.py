"""The protocol of a searcher: a function of history, space and seed, without access to anything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tame.core.errors import require
from tame.core.recipe import Recipe, Value
from tame.core.records import DEFAULT, LOST, Decision, History, Origin, Trial
from tame.core.registry import Registry
from tame.core.space import Space

DEFAULT_REASON = "the default recipe, which is always tried"
FIRST_LOOK = 1 / 25  # share of the epochs before which a curve says little about its end


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """The bounds of a search."""

    base: Recipe  # the default recipe, with the fields that the user fixed
    portfolio: tuple[Mapping[str, Value], ...] = ()  # good recipes to try first, as changes of the base
    fixed: frozenset[str] = field(default_factory=frozenset)  # fields that neither portfolio nor space may change
    trials: int = 100_000  # the most recipes that are tried
    cohort: int = 32  # how many trials start together
    eta: int = 3  # the best 1/eta of a rung continue
    num_rungs: int = 3
    points: Sequence[Sequence[float]] | None = None  # (N, D) in [0, 1]: only these may start; None: any
    step: int | None = None  # epochs between the stops of freeze-thaw trials; None: the rungs

    def __post_init__(self) -> None:
        require(self.trials >= 1, f"trials must be 1 or more, got {self.trials}")
        require(self.cohort >= 1, f"cohort must be 1 or more, got {self.cohort}")
        require(self.eta >= 2, f"eta must be 2 or more, got {self.eta}")
        require(self.num_rungs >= 1, f"num_rungs must be 1 or more, got {self.num_rungs}")
        require(self.step is None or self.step >= 1, f"step must be 1 or more, got {self.step}")

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which trials are compared, ascending; the last one is all epochs."""
        return rungs_of(self.base.epochs, self.eta, self.num_rungs)

    @property
    def stops(self) -> tuple[int, ...]:
        """Epochs after which a trial may pause, ascending; the last one is all epochs."""
        last = self.base.epochs
        if self.step is None:
            return self.rungs
        first = max(self.step, round(FIRST_LOOK * last))
        return (*range(first, last, self.step), last)

    @property
    def all_rungs(self) -> tuple[int, ...]:
        """As many rungs as the epochs allow, from about one epoch on, each `eta` times the one before."""
        return rungs_of(self.base.epochs, self.eta, 1 + most_halvings(self.base.epochs, self.eta))


class Decide(Protocol):
    """A searcher. Laws (tame.testing.searcher_laws): a fresh one makes the same decisions from the same history; every
    proposal lies in the space; a trial that diverged never wins.

    A call decides what happens next to all trials at rest, and which new ones start. The search ends when nothing is in
    training after it.
    """

    def __call__(self, history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]: ...


SEARCHERS: Registry[Decide] = Registry("search")


def rungs_of(epochs: int, eta: int, num_rungs: int) -> tuple[int, ...]:
    """Epochs after which trials are compared: all epochs, and repeatedly 1/eta of that, at least one."""
    return tuple(sorted({max(1, round(epochs / eta**k)) for k in range(num_rungs)}))


def most_halvings(epochs: int, eta: int) -> int:
    """How often the epochs can be divided by eta before less than one is left."""
    count = 0
    while eta ** (count + 1) <= epochs:
        count += 1
    return count


def searched(history: History) -> list[Trial]:
    """The trials that the search has started, by number."""
    return [trial for _, trial in sorted(history.trials.items()) if trial.is_searched]


def trains(trial: Trial) -> bool:
    """Whether a trial has not yet reached the epoch that it was asked to train to."""
    return trial.state == "running" and not at_rest(trial)


def at_rest(trial: Trial) -> bool:
    """Whether a trial has reached the epoch that it was asked to train to, and may continue."""
    return trial.state == "paused" or (trial.state == "running" and trial.epochs >= max(trial.until, 1))


def loss_at(trial: Trial, epoch: int) -> float:
    """The validation loss after an epoch; infinite if the trial is lost or has not come that far.

    A trial that ended earlier, by early stopping or because its recipe is shorter, keeps its loss.
    """
    if trial.state in LOST:
        return math.inf
    if trial.state == "complete" and trial.epochs < epoch:
        return trial.loss
    for point in trial.curve.points:
        if point.epoch == epoch:
            return math.inf if point.valid_loss is None else point.valid_loss
    return math.inf


def has_reached(trial: Trial, epoch: int) -> bool:
    """Whether a trial is compared after an epoch; one that is lost is, and ranks last."""
    return trial.epochs >= epoch or trial.state in ("complete", *LOST)


def next_stop(recipe: Recipe, epochs: int, rungs: Sequence[int]) -> int:
    """The epoch that a trial trains to from here: the next rung, or its end after the last rung."""
    ahead = [rung for rung in rungs[:-1] if epochs < rung < recipe.epochs]
    return ahead[0] if ahead else recipe.epochs


def starts(
    history: History, recipes: Iterable[tuple[Origin, Recipe]], *, rungs: Sequence[int], reason: str
) -> list[Decision]:
    """Decisions that start these recipes, numbered from the last trial on. recipes: origin and recipe."""
    first = max(history.trials, default=-1) + 1
    return [
        Decision(
            "start", first + i, DEFAULT_REASON if origin == DEFAULT else reason, next_stop(recipe, 0, rungs), recipe,
            origin,
        )
        for i, (origin, recipe) in enumerate(recipes)
    ]  # fmt: skip


def to_the_end(trials: Iterable[Trial], rungs: Sequence[int]) -> list[Decision]:
    """Decisions that train every trial at rest to its end, one rung per round, so that the clock can be checked."""
    reason = "every trial is trained to its end"
    return [
        complete(t)
        if t.epochs >= t.recipe.epochs
        else Decision("continue", t.number, reason, next_stop(t.recipe, t.epochs, rungs))
        for t in trials
        if at_rest(t)
    ]


def complete(trial: Trial) -> Decision:
    """The decision that a trial has reached its end."""
    return Decision("complete", trial.number, f"all {trial.epochs} epochs are trained", trial.epochs)


def ranks(trials: Iterable[Trial], epoch: int) -> dict[int, int]:
    """The rank of each trial, from 1, by its validation loss after an epoch; ties go by number."""
    ranked = sorted(trials, key=lambda t: (loss_at(t, epoch), t.number))
    return {trial.number: place + 1 for place, trial in enumerate(ranked)}
