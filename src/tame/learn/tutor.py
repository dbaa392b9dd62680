"""Who answers what a lesson asks of the learner's examples. Everything is computed when it is asked for, and a key is
never sent before its answer has come."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from torch import Tensor

from tame.learn import population
from tame.learn.descent import Chosen, Problem, problem_of, that_overshoots, try_rates
from tame.learn.ground import Ground
from tame.learn.seen import LEAST_TRIALS, Seen

Plain = dict[str, Any]
SEEN = 3.0  # times smaller than the rate that gets lowest, so that single steps can be seen
R = TypeVar("R", bound=Callable[..., object])
Reply = Callable[["Tutor", Any], object]
ASKS: dict[str, tuple[type, Reply]] = {}  # questions by name: what is given, and who answers


def asked(name: str, given: type) -> Callable[[R], R]:
    """Registers who answers a question. given: a frozen dataclass with its details."""

    def register(reply: R) -> R:
        assert name not in ASKS, f"{name} is answered already"
        ASKS[name] = (given, reply)
        return reply

    return register


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """A question without details."""


class Tutor:
    """The lessons on these examples. say: hears what is being done, how much of it and of how much."""

    def __init__(
        self, ground: Ground, seen: Seen, *, say: Callable[[str, int, int], None] = lambda what, done, of: None
    ):
        self.ground, self.given, self._say = ground, seen, say

    @cached_property
    def chosen(self) -> Chosen:
        """The loss in which a rate that overshoots can be seen."""
        return that_overshoots(self.ground)

    @cached_property
    def rate(self) -> float:
        """A rate at which plain descent of the examples' own loss takes steps that can be seen one by one."""
        return try_rates(self.problem("")).best / SEEN

    @cached_property
    def trained(self) -> list[population.Trained]:
        """The population of the sliders, and those with planted faults after it."""
        planted = [(population.recipes()[-1][0].but({**population.BASE, **each}), 1.0) for each in population.PLANTED]
        told = lambda done, of: self._say("training networks", done, of)  # noqa: E731
        return population.train(self.ground, [*population.recipes(), *planted], say=told)

    @cached_property
    def seen(self) -> Seen:
        """The study, with the population in place of its trials where it has none that can be read."""
        if len(self.given.readable) >= LEAST_TRIALS:
            return self.given
        return population.seen_on(self.ground, self.given, self.trained)

    def problem(self, loss: str) -> Problem:
        """A linear network on the examples; with their own loss where none is named."""
        return problem_of(self.ground, loss or ("cross_entropy" if self.ground.classes else "mse"))


def short(values: Tensor) -> list[float | None]:
    """Numbers with six digits, which is what a screen needs; None where one is not finite."""
    return [float(f"{each:.6g}") if math.isfinite(each) else None for each in values.tolist()]
