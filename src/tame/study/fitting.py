"""Which decisions of a search fit into the remaining time, judged by earlier rounds."""

from __future__ import annotations

from collections.abc import Sequence

from tame.core.records import Decision
from tame.study.plan import Plan
from tame.study.state import State

GOING = ("start", "continue", "copy")  # decisions after which a trial trains


def epochs_in(state: State, seconds: float) -> float:
    """How many epochs of trials fit into this many seconds, judged by earlier rounds."""
    return seconds / state.epoch_s if state.epoch_s else 0.0


def fitting(plan: Plan, state: State, decisions: Sequence[Decision], seconds: float) -> list[Decision]:
    """The decisions that fit into this many seconds, in their order, judged by earlier rounds.

    A running trial that does not fit is paused.
    """
    trials, left, found = state.history.trials, epochs_in(state, seconds), list[Decision]()
    known = state.trained_s > 0
    ready = {trial.recipe.table for trial in trials.values()}
    inputs = epochs_in(state, plan.inputs_s)
    for decision in decisions:
        cost = 0.0
        if decision.kind in GOING:
            recipe = decision.recipe or trials[decision.trial].recipe
            begun = trials.get(decision.trial if decision.source is None else decision.source)
            cost = state.in_epochs(recipe, decision.until - (begun.epochs if begun is not None else 0))
            cost += inputs * (recipe.table not in ready)
        if decision.kind not in GOING or left >= cost or not known:
            left -= cost
            ready |= {decision.recipe.table} if decision.recipe is not None else set()
            found.append(decision)
        elif decision.kind == "continue" and trials[decision.trial].state == "running":
            found.append(
                Decision("pause", decision.trial, "not enough time left to continue", trials[decision.trial].epochs)
            )
    return found
