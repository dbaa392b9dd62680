"""Lessons 8 and 9: what a second look at the same examples flatters, and a search on networks trained before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tame.adjust.surrogate import Measured, expected_improvement, fit
from tame.core.errors import require
from tame.core.rng import stream
from tame.learn import population
from tame.learn.tutor import Plain, Tutor, asked

TIMES = 1000  # splits, and searches, that are simulated
NEAR = 2.0  # times, within which a guess is right
PICKS = 8  # recipes of a search
FEWEST = 3  # that the model needs before it predicts
LEVELS = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """How many points of accuracy somebody thinks the best of all networks is flattered by."""

    points: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """Recipes that somebody tried, each by the values of its sliders."""

    picks: tuple[Mapping[str, str | int | float], ...] = ()


@asked("second_look", Guess)
def second_look(tutor: Tutor, given: Guess) -> Plain:
    """The best of k networks on one half of the validation examples, and the same network on the other half."""
    require(math.isfinite(given.points) and 0 <= given.points <= 100, "guess a number of points from 0 to 100")
    right = _right(tutor)
    flattery = [flattered(right, many) for many in LEVELS]
    luck = flattered(stream(0, "lesson", "coins").random(right.shape) < right.mean(), LEVELS[-1])
    key = 100 * flattery[-1]
    low, high = min(key, key / NEAR), max(key * NEAR, key + 0.5)
    return {
        "networks": LEVELS, "flattery": [100 * each for each in flattery], "half": right.shape[1] // 2, "key": key,
        "coins": 100 * luck, "right": low - 0.5 <= given.points <= high, "times": TIMES,
    }  # fmt: skip


def flattered(right: np.ndarray, many: int) -> float:
    """How much better the best of so many networks looks on the half of the examples that chose it than on the other.

    right: (M, V) of each network whether it was right about each example; the mean over random halves and choices.
    """
    rng, apart = stream(0, "lesson", "halves", many), 0.0
    half = right.shape[1] // 2
    for _ in range(TIMES):
        order, some = rng.permutation(right.shape[1]), rng.permutation(len(right))[:many]
        chosen = right[np.ix_(some, order[:half])].mean(axis=1)
        best = int(chosen.argmax())
        apart += float(chosen[best] - right[some[best], order[half:]].mean())
    return apart / TIMES


@asked("table", Picks)
def table(tutor: Tutor, given: Picks) -> Plain:
    """The losses of the recipes that were tried; with all of them tried, what others find with as many."""
    values = _lowest(tutor)
    require(len(given.picks) <= PICKS, f"{PICKS} recipes can be tried")
    places = [population.place_of(each) for each in given.picks]
    require(len(set(places)) == len(places), "this recipe was tried already")
    found: Plain = {"sliders": population.SLIDERS, "picks": PICKS, "losses": [float(values[place]) for place in places]}
    if len(places) < PICKS:
        return found
    own = float(values[places].min())
    random, model = by_random(values), by_model(values)
    grid = float(values[_grid()].min())
    better = sum(each <= own + 1e-12 for each in random) / len(random)
    best, other = tutor.trained[places[int(values[places].argmin())]], tutor.trained[int(model[values[model].argmin()])]
    apart = population.gain(other, best)
    return {
        **found, "best": float(values.min()), "own": own, "random": float(np.mean(random)), "grid": grid,
        "model": float(values[model].min()), "random_as_good": better, "verdict": apart.verdict,
        "gain": apart.value, "low": apart.low, "high": apart.high, "right": own <= float(np.mean(random)),
    }  # fmt: skip


def by_random(values: np.ndarray) -> list[float]:
    """The lowest of so many drawn at random, many times over."""
    rng = stream(0, "lesson", "random search")
    return [float(values[rng.permutation(len(values))[:PICKS]].min()) for _ in range(TIMES)]


def by_model(values: np.ndarray) -> np.ndarray:
    """The places that a Gaussian process tries one after the other, by expected improvement; the first are drawn."""
    points = _points()
    rng = stream(0, "lesson", "model search")
    tried = rng.permutation(len(values))[:FEWEST].tolist()
    while len(tried) < PICKS:
        seen = values[tried]
        spread = max(float(seen.std()), 1e-9)
        one = np.ones(len(tried))
        scaled = (seen - seen.mean()) / spread
        surrogate = fit(Measured(points[tried], one, np.arange(len(tried)), scaled), rng)
        rest = [place for place in range(len(values)) if place not in tried]
        mean, deviation = surrogate.predict(points[rest], np.ones(len(rest)), 1000 + np.arange(len(rest)))
        tried.append(rest[int(expected_improvement(mean, deviation, float(scaled.min())).argmax())])
    return np.array(tried)


def _points() -> np.ndarray:
    """(64, 5) each recipe as a point, each slider from 0 to 1."""
    sizes = [len(own) for own in population.SLIDERS.values()]
    grids = np.meshgrid(*(np.linspace(0, 1, size) for size in sizes), indexing="ij")
    return np.stack([own.ravel() for own in grids], axis=1)


def _grid() -> list[int]:
    """As many recipes as may be tried, as a grid has them: ends of three sliders, the first value of the others."""
    first = {name: own[0] for name, own in population.SLIDERS.items()}
    ends = [(name, (own[0], own[-1])) for name, own in list(population.SLIDERS.items())[:3]]
    return [
        population.place_of({**first, ends[0][0]: a, ends[1][0]: b, ends[2][0]: c})
        for a in ends[0][1] for b in ends[1][1] for c in ends[2][1]
    ]  # fmt: skip


def _lowest(tutor: Tutor) -> np.ndarray:
    """(64,) the validation loss of each network after its last epoch, on the examples that compare them."""
    own = tutor.trained[: len(population.recipes())]
    return torch.stack([each.losses.mean() for each in own]).nan_to_num(nan=1e9, posinf=1e9).numpy()


def _right(tutor: Tutor) -> np.ndarray:
    """(64, V) whether each network was right about each validation example."""
    own = [each.right for each in tutor.trained[: len(population.recipes())]]
    require(None not in own, "this lesson needs classes")
    return torch.stack([each for each in own if each is not None]).numpy()
