"""The end of a search whose time is short: what is nearly trained is trained on."""

from __future__ import annotations

import math

from tame.adjust.searcher import searched
from tame.core.records import Decision, History


def finish(history: History, *, epochs: float, enough: int = 3) -> list[Decision]:
    """The best trials that have not reached their end, as many as so many epochs take there, until enough have.

    For a search whose time is short: a few recipes that were trained to their end are worth more than many that were
    not. The default recipe comes second.
    """
    trials = [t for t in searched(history) if t.curve.points]
    missing = enough - sum(t.state == "complete" or t.epochs >= t.recipe.epochs for t in trials)
    waiting = [t for t in trials if t.state in ("running", "paused") and t.epochs < t.recipe.epochs]
    found: list[Decision] = []
    ranked = sorted(waiting, key=lambda t: (-t.epochs, t.loss, t.number))
    # The best one is compared with the default recipe, so that comes right behind it.
    for trial in sorted(ranked, key=lambda t: 0 if t is ranked[0] else 1 if t.is_default else 2):
        epochs -= trial.recipe.epochs - trial.epochs
        if len(found) >= missing or epochs < 0:
            break
        reason = "among the best, and the time is short: trained to its end"
        found.append(Decision("continue", trial.number, reason, trial.recipe.epochs))
    return found


def unfinished(history: History, *, enough: int = 2) -> int:
    """The epochs that the best recipe and the default one are short of their end; 0 once enough are complete."""
    going = finish(history, epochs=math.inf, enough=enough)
    return sum(decision.until - history.trials[decision.trial].epochs for decision in going)
