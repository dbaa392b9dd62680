"""What the best trials say about the space: a best value on its edge asks for a wider one."""

from __future__ import annotations

import math

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.records import Finding, Trial
from tame.core.space import Choice, Float, Int, Space
from tame.monitor.advice import CHANGES

EDGE = 0.08  # of a range, on its own (log) scale
TOP_SHARE = 0.1
LEAST_TRIALS = 12


def edges(trials: list[Trial], space: Space) -> list[Finding]:
    """A finding for each numeric dimension whose best recipes lie on one of its edges.

    trials: those that were trained to the end. The best tenth, and at least three, must agree.
    """
    ranked = sorted((t for t in trials if _loss(t) < math.inf), key=_loss)
    if len(ranked) < LEAST_TRIALS:
        return []
    top = ranked[: max(3, round(TOP_SHARE * len(ranked)))]
    found = []
    for name, dimension in space.dimensions.items():
        if isinstance(dimension, Choice):
            continue
        own = [trial for trial in top if _matters(name, trial)]
        if len(own) < 3:
            continue
        places = [dimension.where(trial.recipe.flat()[name]) for trial in own]
        side = "low" if max(places) < EDGE else "high" if min(places) > 1 - EDGE else None
        if side is None or not _can_be_wider(name, dimension, side):
            continue
        values = [trial.recipe.flat()[name] for trial in own]
        evidence = {"field": name, "side": side, "best_values": values, "low": dimension.low, "high": dimension.high}
        title = f"the best {len(own)} recipes lie on the {side} edge of {name}"
        found.append(Finding("best_on_edge", title, "warning", evidence, change=CHANGES["best_on_edge"]))
    return found


def _matters(name: str, trial: Trial) -> bool:
    """Whether the field does anything in this recipe: a linear head drops nothing."""
    model = trial.recipe.model
    return not (name == "model.dropout" and model.name == "head" and not model.hidden)


def _can_be_wider(name: str, dimension: Float | Int, side: str) -> bool:
    """Whether a recipe may lie beyond the edge: no dropout below zero."""
    low, high = dimension.low, dimension.high
    reach = (high - low) / 10
    if dimension.log:
        beyond = low / 2 if side == "low" else high * 2
    else:
        beyond = low - reach if side == "low" else high + reach
    try:
        Recipe().but({name: round(beyond) if isinstance(dimension, Int) else beyond})
    except UsageError:
        return False
    return True


def _loss(trial: Trial) -> float:
    last = trial.curve.last
    return math.inf if last is None or last.valid_loss is None else last.valid_loss
