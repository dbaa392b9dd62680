"""Lesson 10: what was learned before, used for new examples: frozen, fine-tuned, or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from tame.core.errors import require
from tame.learn.transfer import WAYS, Way
from tame.learn.tutor import Nothing, Plain, Tutor, asked

FACTORS = (0.1, 1.0, 10.0, 100.0)
NEAR = 2.0  # times, within which a reading is right


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Which number of examples: its place among those that are tried."""

    place: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How many examples a network from scratch needs to be as good as a frozen one with the fewest."""

    examples: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """How many times the usual rate a network is fine-tuned at."""

    factor: float


@asked("before", Nothing)
def what_was_before(tutor: Tutor, _: Nothing) -> Plain:
    """What was trained before, and with how many examples it is tried."""
    own = tutor.before
    return {"said": own.said, "sizes": own.sizes, "times": own.times}


@asked("few", Point)
def with_so_many(tutor: Tutor, given: Point) -> Plain:
    """Each way with one number of examples; the means over a few draws."""
    own = tutor.before
    require(0 <= given.place < len(own.sizes), f"there are {len(own.sizes)} numbers of examples")
    return {way: _mean(tutor, way, own.sizes[given.place]) for way in WAYS}


@asked("reading", Reading)
def reading(tutor: Tutor, given: Reading) -> Plain:
    """Whether it was read off right how many examples a network from scratch needs, where it gets there."""
    require(math.isfinite(given.examples) and given.examples > 0, "give a number of examples, such as 50")
    own = tutor.before
    goal = _mean(tutor, "frozen", own.sizes[0])
    needed = needs(own.sizes, [_mean(tutor, "from scratch", size) for size in own.sizes], goal)
    most = own.sizes[-1]
    if needed is None:
        return {"needed": None, "most": most, "right": given.examples > most}
    return {"needed": needed, "most": most, "right": needed / NEAR <= given.examples <= needed * NEAR}


def needs(sizes: Sequence[int], scores: Sequence[float], goal: float) -> float | None:
    """At how many examples a curve reaches a score, read between its points on a logarithmic scale; None if never."""
    if scores[0] >= goal:
        return float(sizes[0])
    for i in range(1, len(sizes)):
        if scores[i] >= goal:
            share = (goal - scores[i - 1]) / (scores[i] - scores[i - 1])
            return float(math.exp(math.log(sizes[i - 1]) + share * math.log(sizes[i] / sizes[i - 1])))
    return None


@asked("destroy", Factor)
def destroy(tutor: Tutor, given: Factor) -> Plain:
    """Fine-tuning at a rate, beside the frozen network; right is a rate that makes it worse than that."""
    usual = ", ".join(f"{each:g}" for each in FACTORS)
    require(given.factor in FACTORS, f"the rate can be {usual} times the usual one")
    own = tutor.before
    size = own.sizes[min(1, len(own.sizes) - 1)]
    tuned, frozen = _mean(tutor, "fine-tuned", size, factor=given.factor), _mean(tutor, "frozen", size)
    return {"tuned": tuned, "frozen": frozen, "examples": size, "right": tuned < frozen - 0.01}


@lru_cache(maxsize=100)
def _mean(tutor: Tutor, way: Way, size: int, *, factor: float = 1.0) -> float:
    own = tutor.before
    return sum(own.accuracy(way, size, factor=factor, turn=turn) for turn in range(own.times)) / own.times
