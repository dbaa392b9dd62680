"""How results depend on the searched values: isolation, and what more trials would gain."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from scipy.special import betainc, betaincinv

from tame.core.best_of_draws import LEAST_DRAWS, doubling_gain
from tame.core.importance import BestOf, Bucket, Importances, Isolation, Mattered, Objective
from tame.core.recipe import Value
from tame.core.records import History
from tame.core.rng import stream
from tame.core.space import Choice, Dimension, Space
from tame.evaluate.importance import importances
from tame.evaluate.outcomes import HOW, Outcome, outcomes

BUCKETS = 8  # of a range
RESAMPLES = 500
MOST_ISOLATED = 6  # dimensions that get their own plot
CONFIDENCE = 0.95
ROUNDING = 1e-9  # relative: means of equal losses differ by less
SIMULATIONS = 400
MOST_CURVE = 60  # points of the curve


def what_mattered(
    history: History, space: Space, *, objective: Objective | None = None,
    absent: Mapping[str, Sequence[int]] | None = None, seed: int = 0,
) -> Mattered:  # fmt: skip
    """Importance, isolation and the gain of more trials. The same study and seed give the same result."""
    own = objective or Objective()
    found = outcomes(history, space, absent=absent)
    about = importances(found, space, seed=seed)
    names = _isolated(about, space)
    isolations = tuple(isolation(found, name, space.dimensions[name], own, seed=seed) for name in names)
    noise = retrain_noise(history)
    return Mattered(
        metric=own.name, mode="min" if own.sign > 0 else "max", how=HOW, importance=about, isolation=isolations,
        best_of=best_of(found, own, noise=noise),
    )  # fmt: skip


def isolation(found: Sequence[Outcome], name: str, dim: Dimension, objective: Objective, *, seed: int = 0) -> Isolation:
    """The best of each part of a dimension over all other dimensions, with a band from resampled trials.

    No resample is better than the best that was seen, so that the band extends only to the worse side.
    Source: Godbole, Dahl, Gilmer, Shallue and Nado, Deep Learning Tuning Playbook (2023), isolation plots.
    """
    rng = stream(seed, "isolation", name)
    own = [each for each in found if name in each.values]
    if isinstance(dim, Choice):
        known = {repr(value): value for value in (*dim.values, *(each.values[name] for each in own))}
        parts = [((i / len(known), (i + 1) / len(known)), value) for i, value in enumerate(known.values())]
        inside = [[each for each in own if repr(each.values[name]) == key] for key in known]
        return Isolation(name, tuple(_bucket(*p, i, objective, rng) for p, i in zip(parts, inside, strict=True)))
    count = int(min(BUCKETS, dim.count))
    places = [min(int(dim.where(each.values[name]) * count), count - 1) for each in own]
    return Isolation(
        name,
        tuple(
            _bucket((k / count, (k + 1) / count), None, [e for e, p in zip(own, places, strict=True) if p == k],
                    objective, rng)
            for k in range(count)
        ),
    )  # fmt: skip


def _bucket(
    span: tuple[float, float], value: Value | None, inside: Sequence[Outcome], objective: Objective,
    rng: np.random.Generator,
) -> Bucket:  # fmt: skip
    losses = np.array([each.loss for each in inside if math.isfinite(each.loss)])
    final = sum(each.is_final for each in inside)
    if not len(losses):
        return Bucket(*span, value, len(inside), final, None, None, None)
    bests = losses[rng.integers(len(losses), size=(RESAMPLES, len(losses)))].min(axis=1)
    ends = sorted(objective.shown(float(q)) for q in np.quantile(bests, (0.025, 0.975)))
    return Bucket(*span, value, len(inside), final, objective.shown(float(losses.min())), *ends)


def _isolated(about: Importances, space: Space) -> list[str]:
    """The dimensions that get their own plot: the scientific ones, the most important first.

    If none is scientific, the most important of all.
    """
    ranked = [one.name for one in about.each]
    return ([name for name in ranked if space.purpose(name) == "scientific"] or ranked)[:MOST_ISOLATED]


def retrain_noise(history: History) -> float | None:
    """The standard deviation of a recipe's loss over its seeds, pooled over the recipes that were trained again."""
    groups: dict[str, list[float]] = {}
    for trial in history.trials.values():
        if trial.is_finalist and trial.state == "complete" and math.isfinite(trial.loss):
            groups.setdefault(trial.reason, []).append(trial.loss)
    several = [values for values in groups.values() if len(values) > 1]
    if not several:
        return None
    squares = sum(float(np.var(values)) * len(values) for values in several)
    return math.sqrt(squares / sum(len(values) - 1 for values in several))


def best_of(found: Sequence[Outcome], objective: Objective, *, noise: float | None = None) -> BestOf | None:
    """The median best of n trials with its band, and the gain of twice as many; None with too few trials.

    The band comes from a simultaneous band around the distribution of single trials (Lourie, Cho and He, Show your
    work with confidence, 2024). It assumes that the trials are independent draws.
    """
    losses = np.array([each.loss for each in found])
    if np.isfinite(losses).sum() < LEAST_DRAWS:
        return None
    losses = np.sort(np.where(np.isfinite(losses), losses, losses[np.isfinite(losses)].max()))
    num = len(losses)
    sizes = sorted({round(size) for size in np.geomspace(1, 2 * num, MOST_CURVE)})
    shares = 1 - 0.5 ** (1 / np.array(sizes))  # quantiles that are the median best of n
    below, above = cdf_band(num)
    steps = np.arange(1, num + 1) / num
    median = losses[np.searchsorted(steps, shares - 1e-12).clip(max=num - 1)]
    high = losses[np.searchsorted(below, shares).clip(max=num - 1)]
    # Below the best trial there may still be the share above[0] of the distribution.
    at = np.searchsorted(above, shares)
    low = [None if i == 0 else float(losses[i - 1]) for i in at]
    gain, shown = doubling_gain(losses, rounding=ROUNDING), objective.shown
    return BestOf(
        tuple(sizes), tuple(shown(float(v)) for v in median), tuple(None if v is None else shown(v) for v in low),
        tuple(shown(float(v)) for v in high), gain, noise, num, sum(each.is_drawn for each in found),
    )  # fmt: skip


@lru_cache(maxsize=16)
def cdf_band(num: int, confidence: float = CONFIDENCE) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of a distribution function at (below) and just before (above) each of `num` ordered draws, both (num,).

    The true function lies between them everywhere simultaneously with the given confidence: each order statistic has
    an equal-tailed interval of its Beta distribution, at a level found by simulating uniform draws.
    Source: Aldor-Noiman, Brown, Buja, Rolke and Stine, The power to see (2013); Lourie, Cho and He (2024).
    """
    ranks = np.arange(1, num + 1)
    draws = np.sort(stream(0, "cdf band", num).random((SIMULATIONS, num)), axis=1)
    tails = betainc(ranks, num + 1 - ranks, draws)
    level = float(np.quantile(np.minimum(tails, 1 - tails).min(axis=1), 1 - confidence))
    below = betaincinv(ranks, num + 1 - ranks, level)
    above = betaincinv(ranks, num + 1 - ranks, 1 - level)
    return np.asarray(below), np.asarray(above)
