"""How much of a difference is the luck of the seed: a recipe's networks differ though nothing but the seed does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import t as student

from tame.core.config import METRIC_MODES
from tame.core.evaluation import ONE_SEED, Difference
from tame.core.records import Score
from tame.evaluate.intervals import Draws
from tame.evaluate.score import Judged, measure, statistic_of

LEAST_FREEDOM = 4  # below it, what few examples add stays in: the rest would too often come out as nothing


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """The standard deviation of a metric from seed to seed of one recipe, with its degrees of freedom.

    What the seeds of a recipe differ by on few examples, and would not on many, is not part of it.
    """

    spread: float
    freedom: int

    def half(self, networks: float) -> float:
        """Half the 95 % interval of the luck of so many independent networks together."""
        return float(student.ppf(0.975, self.freedom)) * self.spread * math.sqrt(networks)


def seed_noise(metric: str, recipes: Sequence[Sequence[Judged]], *, networks: int = 1) -> SeedNoise | None:
    """The noise of one network's seed, from the predictions of several seeds of each recipe; None if all have one.

    recipes: for each the predictions of its seeds on the same examples. networks: how many independent networks judge a
    part of the examples each, as in cross-validation; their mean varies less than one of them.
    Source: the variance component of the seed in a two-way analysis of seeds and rows (Searle, Casella and McCulloch,
    Variance Components, 1992), pooled over the recipes.
    """
    spread, of_rows, freedom = 0.0, 0.0, 0
    for seeds in recipes:
        if len(seeds) > 1:
            values = np.array([measure(metric, each) for each in seeds])
            spread += (len(seeds) - 1) * float(values.var(ddof=1))
            of_rows += (len(seeds) - 1) * _of_rows(metric, seeds)
            freedom += len(seeds) - 1
    if not freedom:
        return None
    own = spread if freedom < LEAST_FREEDOM else max(spread - of_rows, 0.0)
    return SeedNoise(math.sqrt(own / freedom * networks), freedom)


def _of_rows(metric: str, seeds: Sequence[Judged]) -> float:
    """By how much the metric varies between seeds only because so few examples judge them."""
    first = seeds[0]
    draws, whole = Draws(len(first.ids), first.groups), np.ones((1, len(first.ids)))
    each = np.array([statistic_of(metric, judged)(whole)[1][0] for judged in seeds])
    errors = [float(draws.error(whole, own[None])[0]) for own in each - each.mean(axis=0)]
    return float(np.square(errors).sum()) / (len(seeds) - 1)


def beyond_seeds(found: Difference, noise: SeedNoise | None, *, networks: float = 2) -> Difference:
    """The difference of two recipes, where `found` has that of their networks: its interval also covers the seeds.

    networks: of which the difference is made; 2 for one of each recipe. Without a noise nothing is claimed.
    """
    if found.low == found.value == found.high:  # of a network and itself
        return found
    if noise is None:
        return replace(found, verdict=ONE_SEED, how=f"{found.how}; one seed of each recipe, so their luck is not known")
    return _wider(found, noise, networks)


def optimism(metric: str, validation: Score, test: Score, noise: SeedNoise | None, *, networks: float) -> Difference:
    """How much better the validation score is than that of the test, with the noise of both and of the seeds.

    Above zero is better, for every metric. networks: whose luck is in one of the two scores only.
    """
    best, rest = (validation, test) if METRIC_MODES[metric] == "max" else (test, validation)
    value = best.value - rest.value
    low = value - math.hypot(best.value - best.low, rest.high - rest.value)
    high = value + math.hypot(best.high - best.value, rest.value - rest.low)
    found = Difference(value, low, high, test.n, "the noise of the validation and of the test examples")
    return found if noise is None else _wider(found, noise, networks)


def _wider(found: Difference, noise: SeedNoise, networks: float) -> Difference:
    """Source: the square-and-add rule of Newcombe (1998) for independent parts of an error."""
    half = noise.half(networks)
    low = found.value - math.hypot(found.value - found.low, half)
    high = found.value + math.hypot(found.high - found.value, half)
    how = f"{found.how}, and of seeds, which vary by {noise.spread:.2g} ({noise.freedom} degrees of freedom)"
    return Difference(found.value, low, high, found.n, how)
