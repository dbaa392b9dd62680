"""Successive halving that pauses and resumes: at each rung the best go on, the next best wait, the rest stop.

Source: Karnin et al., Almost Optimal Exploration in Multi-Armed Bandits (2013); waiting trials that later cohorts make
look better are taken up again, as in Li et al., A System for Massively Parallel Hyperparameter Tuning (2020).
"""

from __future__ import annotations

import math
from itertools import islice

from tame.adjust.sampling import proposals
from tame.adjust.searcher import SearchConfig, at_rest, searched
from tame.core.records import Decision, History, Trial
from tame.core.space import Space

SEARCHED = ("default", "portfolio", "sobol")  # origins of trials that a search has started


def decide(history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]:
    """What happens next to each trial that has reached its rung; where none goes on, a new cohort starts.

    Empty when every recipe that may be tried has been tried.
    """
    trials = {n: t for n, t in sorted(history.trials.items()) if t.origin in SEARCHED}
    decisions: list[Decision] = []
    for place, rung in enumerate(config.rungs):
        decisions += _at_rung(trials, place, rung, config)
    if any(decision.kind == "continue" for decision in decisions):
        return decisions
    return decisions + _cohort(history, trials, space, seed, config)


def finish(history: History, *, epochs: float, enough: int = 3) -> list[Decision]:
    """The best trials that have not reached their end, as many as so many epochs take there, until enough have.

    For a search whose time is short: a few recipes that were trained to their end are worth more than many that were
    not.
    """
    trials = [t for t in searched(history) if t.curve.points]
    missing = enough - sum(t.state == "complete" for t in trials)
    waiting = [t for t in trials if t.state in ("running", "paused") and t.epochs < t.recipe.epochs]
    found: list[Decision] = []
    for trial in sorted(waiting, key=lambda t: (-t.epochs, t.loss, t.number)):
        epochs -= trial.recipe.epochs - trial.epochs
        if len(found) == missing or epochs < 0:
            break
        reason = "among the best, and the time is short: trained to its end"
        found.append(Decision("continue", trial.number, reason, trial.recipe.epochs))
    return found


def _at_rung(trials: dict[int, Trial], place: int, rung: int, config: SearchConfig) -> list[Decision]:
    """Decisions on the trials that stand at a rung, from the losses of all that have passed it."""
    last = place == len(config.rungs) - 1
    standing = [t for t in trials.values() if t.epochs == rung and at_rest(t)]
    if last:
        return [Decision("complete", t.number, f"all {rung} epochs are trained", rung) for t in standing]
    passed = [
        t for t in trials.values()
        if (t.epochs >= rung or t.kept_epoch is not None) and t.state not in ("diverged", "failed")
    ]  # fmt: skip
    ranked = sorted(passed, key=lambda t: (_loss_at(t, rung), t.number))
    rank = {t.number: i + 1 for i, t in enumerate(ranked)}
    best = math.ceil(len(ranked) / config.eta)
    target = config.rungs[place + 1]
    found = []
    for trial in standing:
        own = f"rank {rank[trial.number]} of {len(ranked)} by validation loss at epoch {rung}"
        if trial.origin == "default" or rank[trial.number] <= best:
            why = "the default recipe stays in the race" if rank[trial.number] > best else f"the best {best} go on"
            found.append(Decision("continue", trial.number, f"{own}; {why}", target))
        elif trial.state == "running" and rank[trial.number] <= 2 * best:
            found.append(Decision("pause", trial.number, f"{own}; waits for a place among the best {best}", rung))
        elif trial.state == "running":
            found.append(Decision("stop", trial.number, f"{own}; the best {best} go on, {best} more wait", rung))
    return found


def _cohort(
    history: History, trials: dict[int, Trial], space: Space, seed: int, config: SearchConfig
) -> list[Decision]:
    """New trials, numbered on from the last: as many as a cohort holds and the budget allows."""
    room = min(config.cohort, config.trials - len(trials))
    if room <= 0:
        return []
    fresh = islice(proposals(space, seed, config), len(trials), len(trials) + room)
    first = max(history.trials, default=-1) + 1
    reasons = {
        "default": "the default recipe, always in the race",
        "portfolio": "known to work on many tasks",
        "sobol": "fills the space evenly",
    }
    rung = config.rungs[0]
    return [
        Decision("start", first + i, reasons[origin], rung, recipe, origin) for i, (origin, recipe) in enumerate(fresh)
    ]


def _loss_at(trial: Trial, epoch: int) -> float:
    if trial.kept_epoch is not None and trial.epochs < epoch:
        return trial.loss  # it stopped early, and stays as good as it was
    for point in trial.curve.points:
        if point.epoch == epoch:
            return math.inf if point.valid_loss is None else point.valid_loss
    return math.inf
