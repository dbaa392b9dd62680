"""What of a search's decisions can be carried out in the time that is left, by what the rounds before took."""

from __future__ import annotations

from collections.abc import Sequence

from tame.core.records import Decision
from tame.study.plan import Plan
from tame.study.state import State

GOING = ("start", "continue", "copy")  # decisions after which a trial trains


def epochs_in(state: State, seconds: float) -> float:
    """How many epochs of trials fit into some seconds, from the rounds before."""
    return seconds / state.epoch_s if state.epoch_s else 0.0


def fitting(plan: Plan, state: State, decisions: Sequence[Decision], seconds: float) -> list[Decision]:
    """The decisions that can be carried out in some seconds, by a forecast from the rounds before, in their order.

    A running trial whose turn does not come is left where it is.
    """
    trials, left, found = state.history.trials, epochs_in(state, seconds), list[Decision]()
    known = state.trained_s > 0
    ready = {trial.recipe.table for trial in trials.values()}
    inputs = epochs_in(state, plan.inputs_s)
    for decision in decisions:
        if decision.recipe is not None and decision.recipe.table not in ready:
            left -= inputs
            ready.add(decision.recipe.table)
        if decision.kind in GOING:
            begins = decision.trial if decision.source is None else decision.source
            left -= decision.until - (trials[begins].epochs if begins in trials else 0)
        if decision.kind not in GOING or left >= 0 or not known:
            found.append(decision)
        elif decision.kind == "continue" and trials[decision.trial].state == "running":
            found.append(Decision("pause", decision.trial, "the time is short", trials[decision.trial].epochs))
    return found
