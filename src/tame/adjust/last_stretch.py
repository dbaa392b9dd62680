"""The end of a search when time is short: trials that are nearly done are trained to their end."""

from __future__ import annotations

import math

from tame.adjust.searcher import searched
from tame.core.records import Decision, History


def finish(history: History, *, epochs: float, enough: int = 3) -> list[Decision]:
    """Decisions that train the best unfinished trials to their end, as many as fit into `epochs`, until `enough` are.

    When time is short, a few recipes that were trained to their end are worth more than many that were not. The default
    recipe comes second.
    """
    trials = [t for t in searched(history) if t.curve.points]
    missing = enough - sum(t.state == "complete" or t.epochs >= t.recipe.epochs for t in trials)
    waiting = [t for t in trials if t.state in ("running", "paused") and t.epochs < t.recipe.epochs]
    found: list[Decision] = []
    ranked = sorted(waiting, key=lambda t: (-t.epochs, t.loss, t.number))
    # The best one is compared with the default recipe, which therefore comes right after it.
    for trial in sorted(ranked, key=lambda t: 0 if t is ranked[0] else 1 if t.is_default else 2):
        epochs -= trial.recipe.epochs - trial.epochs
        if len(found) >= missing or epochs < 0:
            break
        reason = "among the best, and time is short: trained to its end"
        found.append(Decision("continue", trial.number, reason, trial.recipe.epochs))
    return found


def unfinished(history: History, *, enough: int = 2) -> int:
    """The epochs that the best recipe and the default still need to their end; 0 once enough are complete."""
    going = finish(history, epochs=math.inf, enough=enough)
    return sum(decision.until - history.trials[decision.trial].epochs for decision in going)
