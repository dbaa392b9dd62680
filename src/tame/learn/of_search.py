"""Lesson 9: three rounds of search by hand on recorded trials, against a grid, chance and a model that learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tame.adjust.surrogate import Measured, expected_improvement, fit
from tame.core.errors import require
from tame.core.recipe import Value
from tame.core.rng import stream
from tame.learn import population
from tame.learn.seen import SeenTrial
from tame.learn.tutor import Nothing, Plain, Tutor, asked
from tame.report.fields import FIELDS
from tame.report.formats import capital, compact

ROUNDS, PICKS = 3, 6  # and recipes that may be tried in each
FEWEST = 3  # that the model needs before it predicts
LEAST = ROUNDS * 2 * PICKS  # recorded trials; with fewer the population of the sliders is searched
MOST = ROUNDS * 24
SHOWN, HIDDEN = 5, frozenset({"seed"})  # fields of a recipe that are shown, and those that never are
LOGARITHMIC = 30.0  # times, from which on a field is looked at by its ratio
LOST = 1e9  # in place of a loss that is not a number
SHARE = "Share of the examples"  # that a network of the population is trained on
TIMES = 1000  # searches that are simulated
SURE = 0.05  # share of random searches as good, below which a win is hardly luck


@dataclass(frozen=True, slots=True, kw_only=True)
class Picks:
    """Which recipes somebody tried in each round, by their places."""

    picks: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """Recipes with recorded losses, in rounds. fields: those that differ; recipes: their values; points: (n, d) the
    same from 0 to 1; rounds: which recipes are in each; trials: that they are of, () for the population."""

    fields: tuple[str, ...]
    recipes: tuple[tuple[Value, ...], ...]
    points: np.ndarray
    rounds: tuple[tuple[int, ...], ...]
    trials: tuple[SeenTrial, ...] = ()


@lru_cache(maxsize=1)
def pool_of(tutor: Tutor) -> Pool:
    """The recorded trials of the study where it has enough of them, else the population of the sliders."""
    own = [each for each in tutor.given.trials if each.lowest is not None]
    if len(own) >= LEAST:
        some = tuple(own[place] for place in sorted(stream(0, "lesson", "pool").permutation(len(own))[:MOST]))
        return _pool([each.recipe for each in some], some)
    tutor.is_growing = True
    flat = [dict(recipe.flat()) | {"share": share} for recipe, share in population.recipes()]
    return _pool([{name: each[name] for name in population.SLIDERS} for each in flat], ())


def _pool(recipes: Sequence[object], trials: tuple[SeenTrial, ...]) -> Pool:
    every = [dict(each) for each in recipes]  # type: ignore[call-overload]
    names = sorted(set.intersection(*(set(each) for each in every)) - HIDDEN)
    kinds = {name: len({each[name] for each in every}) for name in names}
    fields = sorted((name for name in names if kinds[name] > 1), key=lambda name: (-kinds[name], name))
    values = tuple(tuple(each[name] for name in fields) for each in every)
    columns = [_scaled([row[i] for row in values]) for i in range(len(fields))]
    points = np.stack(columns, axis=1) if columns else np.zeros((len(every), 1))
    order = stream(0, "lesson", "rounds").permutation(len(every)).tolist()
    each = len(every) // ROUNDS
    rounds = tuple(tuple(sorted(order[i * each : (i + 1) * each])) for i in range(ROUNDS))
    return Pool(tuple(fields), values, points, rounds, trials)


def _scaled(values: Sequence[Value]) -> np.ndarray:
    """(n,) from 0 to 1: numbers by size or, over a wide range, by ratio; words in their order."""
    if any(isinstance(each, str | bool) for each in values):
        known = sorted(set(map(str, values)))
        return np.array([known.index(str(each)) for each in values]) / max(len(known) - 1, 1)
    own = np.array(values, dtype=np.float64)
    if own.min() > 0 and own.max() / own.min() > LOGARITHMIC:
        own = np.log(own)
    spread = float(own.max() - own.min())
    found: np.ndarray = (own - own.min()) / (spread or 1.0)
    return found


def _loss(tutor: Tutor, own: Pool, place: int) -> float:
    """The lowest validation loss of a trial, or the last one of a network of the population; huge where it was lost."""
    if own.trials:
        lowest = own.trials[place].lowest
        assert lowest is not None
        return lowest[1]
    loss = float(tutor.growing.of(place).losses.mean())
    return loss if math.isfinite(loss) else LOST


@asked("pool", Nothing)
def pool(tutor: Tutor, _: Nothing) -> Plain:
    """The recipes of each round, without their losses."""
    own = pool_of(tutor)
    fields = own.fields[:SHOWN]
    return {
        "is_own": bool(own.trials) and tutor.given.is_own, "picks": PICKS,
        "fields": [capital(FIELDS[name].name) if name in FIELDS else SHARE for name in fields],
        "rounds": [
            [{"place": place, "values": [_shown(each) for each in own.recipes[place][:SHOWN]]} for place in places]
            for places in own.rounds
        ],
    }  # fmt: skip


def _shown(value: Value) -> str:
    return compact(value) if isinstance(value, float) else str(value)


@asked("tries", Picks)
def tries(tutor: Tutor, given: Picks) -> Plain:
    """The losses of the recipes that were tried, in each round; of whole rounds, what others find with as many."""
    own = pool_of(tutor)
    require(len(given.picks) <= ROUNDS, f"there are {ROUNDS} rounds")
    for places, there in zip(given.picks, own.rounds, strict=False):
        require(len(places) <= PICKS, f"{PICKS} recipes can be tried in a round")
        require(len(set(places)) == len(places), "this recipe was tried already")
        require(set(places) <= set(there), "this recipe is not in the round")
    whole = [number for number, places in enumerate(given.picks) if len(places) == PICKS]
    found: Plain = {
        "losses": [[_loss(tutor, own, place) for place in places] for places in given.picks],
        "rounds": [_compared(tutor, own, number, given.picks[number]) for number in whole],
    }  # fmt: skip
    if len(whole) == ROUNDS:
        chance = [by_random(_losses(tutor, own, number), number) for number in whole]
        found |= _real(found["rounds"], chance)
    return found


def _compared(tutor: Tutor, own: Pool, number: int, picks: Sequence[int]) -> Plain:
    """The lowest loss of each way to search in a round."""
    places, losses = own.rounds[number], _losses(tutor, own, number)
    return {
        "own": min(_loss(tutor, own, place) for place in picks), "random": float(by_random(losses, number).mean()),
        "grid": float(losses[by_grid(own.points[list(places)])].min()),
        "model": float(losses[by_model(own.points[list(places)], losses, number)].min()), "best": float(losses.min()),
        "middle": float(np.median(losses)),
    }  # fmt: skip


def _losses(tutor: Tutor, own: Pool, number: int) -> np.ndarray:
    """The losses of all recipes of a round."""
    return np.array([_loss(tutor, own, place) for place in own.rounds[number]])


def _real(rounds: Sequence[Plain], chance: Sequence[np.ndarray]) -> Plain:
    """How often random searches are, over all rounds together, at least as good as the learner."""

    def total(pick: str) -> float:
        return sum(float(_regret(each, np.array(each[pick]))) for each in rounds)

    by_chance = np.sum([_regret(each, own) for each, own in zip(rounds, chance, strict=True)], axis=0)
    regrets = {name: total(name) for name in ("own", "random", "grid", "model")}
    share = float(np.mean(by_chance <= regrets["own"] + 1e-12))
    return {"regrets": regrets, "as_good": share, "is_real": share < SURE, "right": regrets["own"] <= regrets["random"]}


def _regret(found: Plain, losses: np.ndarray) -> np.ndarray:
    """How far losses are above the lowest of their round: 1 for the middle one."""
    far = found["middle"] - found["best"]
    apart: np.ndarray = (losses - found["best"]) / (far or 1.0)
    return apart


def by_random(losses: np.ndarray, number: int) -> np.ndarray:
    """(TIMES,) the lowest of so many drawn at random, many times over."""
    rng = stream(number, "lesson", "random search")
    return np.array([losses[rng.permutation(len(losses))[:PICKS]].min() for _ in range(TIMES)])


def by_grid(points: np.ndarray) -> list[int]:
    """The recipes nearest to a grid: three values of the first field, two of the second."""
    second = (0.25, 0.75) if points.shape[1] > 1 else (0.5, 0.5)
    found: list[int] = []
    for one in (1 / 6, 0.5, 5 / 6):
        for other in second:
            target = np.array([one, other][: points.shape[1]])
            apart = np.square(points[:, : len(target)] - target).sum(axis=1)
            apart[found] = math.inf
            found.append(int(apart.argmin()))
    return found


def by_model(points: np.ndarray, losses: np.ndarray, number: int) -> list[int]:
    """What a Gaussian process tries one after the other, by expected improvement; the first are drawn."""
    rng = stream(number, "lesson", "model search")
    tried: list[int] = rng.permutation(len(losses))[:FEWEST].tolist()
    while len(tried) < PICKS:
        seen = losses[tried].argsort().argsort()  # ranks: a lost run must not press all others flat
        scaled = (seen - seen.mean()) / max(float(seen.std()), 1e-9)
        surrogate = fit(Measured(points[tried], np.ones(len(tried)), np.arange(len(tried)), scaled), rng)
        rest = [place for place in range(len(losses)) if place not in tried]
        mean, deviation = surrogate.predict(points[rest], np.ones(len(rest)), 1000 + np.arange(len(rest)))
        tried.append(rest[int(expected_improvement(mean, deviation, float(scaled.min())).argmax())])
    return tried
