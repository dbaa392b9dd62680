"""The outcome of each trial of a search on one scale: how trials of unequal length are compared."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from tame.core.recipe import Value
from tame.core.records import History, Trial
from tame.core.space import Space, field_of

HOW = (
    "trials that were trained to their end count with their last loss; those that were stopped earlier, or wait, count "
    "as no better than the worst of these, since the search had ranked them behind"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a trial of the search. values: of the dimensions that are active in its recipe."""

    number: int
    values: Mapping[str, Value]
    loss: float  # infinite where it diverged
    is_final: bool  # whether it was trained to its end or, where none was, as far as any
    is_drawn: bool  # whether it was chosen without looking at earlier trials
    is_complete: bool = True  # whether it was trained to its end


def outcomes(history: History, space: Space, *, absent: Mapping[str, Collection[int]] | None = None) -> list[Outcome]:
    """The outcomes of the search, the best first; trials without a loss yet are left out.

    absent: by dimension, trials in which it has no effect although the space says that it is active.
    """
    gone = absent or {}
    of_search = [t for t in history.trials.values() if not (t.may_be_delivered or t.is_remedy)]
    trials = [t for t in of_search if t.state == "diverged" or _known(t)]
    done = [t for t in trials if t.state == "complete"]
    longest = max((t.epochs for t in trials if t.state != "diverged"), default=0)
    ended = {t.number for t in done or trials if t.state != "diverged" and (done or t.epochs == longest)}
    worst = max((t.loss for t in trials if t.number in ended), default=-math.inf)
    found = []
    for trial in trials:
        is_final = trial.number in ended
        loss = math.inf if trial.state == "diverged" else trial.loss if is_final else max(trial.loss, worst)
        own = {k: v for k, v in values_of(trial, space).items() if trial.number not in gone.get(k, ())}
        key = (not is_final, -trial.epochs if not is_final and math.isfinite(loss) else 0, loss, trial.number)
        found.append(
            (
                (math.isinf(loss), *key),
                Outcome(trial.number, own, loss, is_final, trial.is_drawn, trial.state == "complete"),
            )
        )
    return [outcome for _, outcome in sorted(found, key=lambda pair: pair[0])]


def values_of(trial: Trial, space: Space) -> dict[str, Value]:
    """The value of each dimension that is active in the trial's recipe, by the dimension's name."""
    flat = trial.recipe.flat()
    active = space.active(flat)
    return {name: flat[field_of(name)] for name in space.dimensions if name in active and field_of(name) in flat}


def _known(trial: Trial) -> bool:
    return bool(trial.curve.points) and math.isfinite(trial.loss)
