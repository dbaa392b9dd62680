"""Who answers what a lesson asks of the learner's examples. Everything is computed when it is asked for, and a key is
never sent before its answer has come."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from tame.learn.descent import Chosen, Problem, problem_of, that_overshoots, try_rates
from tame.learn.ground import Album, Ground
from tame.learn.letters import Letters
from tame.learn.seen import LEAST_TRIALS, Seen
from tame.learn.transfer import Before, before_of

if TYPE_CHECKING:
    from tame.learn import population

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
    """The lessons on these examples. say: hears what is being done, how much of it and of how much; stands_in: gives
    examples for what these cannot show; album: draws pictures where these are none; cache: of pretrained weights."""

    def __init__(
        self, ground: Ground, seen: Seen, *, stands_in: Callable[[], Ground], album: Callable[[], Album], cache: Path,
        say: Callable[[str, int, int], None] = lambda what, done, of: None,
    ) -> None:  # fmt: skip
        self.album, self.cache, self._stands_in = ground.album or album, cache, stands_in
        self.ground, self.given, self._say = ground, seen, say
        self.is_growing = not self.is_readable  # whether a lesson needs the population
        self.is_reading = False  # whether one needs the tiny language model

    @cached_property
    def mark(self) -> str:
        """Differs wherever the examples or the trials do: a page that began with others must not go on with these."""
        own, found = self.ground, hashlib.sha256(self.given.name.encode("utf-8", "surrogateescape"))
        for each in (own.x, own.y, own.x_valid, own.y_valid):
            found.update(each.numpy().tobytes())
        found.update(repr([(each.number, len(each.points)) for each in self.given.trials]).encode())
        return found.hexdigest()[:16]

    @cached_property
    def _other(self) -> Ground:
        return self._stands_in()

    def where(self, enough: Callable[[Ground], bool], need: str) -> tuple[Ground, str]:
        """The examples, or those that stand in where these are not enough for a lesson, and why. need: what of."""
        if enough(self.ground):
            return self.ground, ""
        return self._other, f"{self._other.name.capitalize()} stand in: {self.ground.name} has no {need}."

    @cached_property
    def chosen(self) -> Chosen:
        """The loss in which a rate that overshoots can be seen."""
        return that_overshoots(self.ground)

    @cached_property
    def rate(self) -> float:
        """A rate at which plain descent of the examples' own loss takes steps that can be seen one by one."""
        return try_rates(self.problem("")).best / SEEN

    @cached_property
    def before(self) -> Before:
        """What was trained before, for the lesson on transfer."""
        return before_of(self.ground)

    @cached_property
    def growing(self) -> population.Growing:
        """The population of the sliders, and those with planted faults after it, each trained when it is needed."""
        from tame.learn import population  # what trains tables takes seconds to load

        planted = [(population.recipes()[-1][0].but({**population.BASE, **each}), 1.0) for each in population.PLANTED]
        return population.Growing(self.ground, [*population.recipes(), *planted])

    @property
    def trained(self) -> list[population.Trained]:
        """All of them, trained now where they were not."""
        return self.growing.all(lambda done, of: self._say("training networks", done, of))

    @property
    def is_readable(self) -> bool:
        """Whether the study has curves of its own to be read."""
        return len(self.given.readable) >= LEAST_TRIALS

    @property
    def has_work(self) -> bool:
        """Whether there is something to train that a lesson will ask for."""
        return self._next() is not None

    def work(self) -> None:
        """Does a part of that, a second or less."""
        own = self._next()
        if own is not None:
            own.advance()

    def _next(self) -> population.Growing | Letters | None:
        if self.is_reading and not self.letters.is_done:
            return self.letters
        return self.growing if self.is_growing and not self.growing.is_done else None

    @cached_property
    def letters(self) -> Letters:
        """The tiny language model, trained when there is time or when it is needed."""
        return Letters()

    @cached_property
    def seen(self) -> Seen:
        """The study, with the population in place of its trials where it has none that can be read."""
        if self.is_readable:
            return self.given
        from tame.learn import population

        return population.seen_on(self.ground, self.given, self.trained)

    def problem(self, loss: str) -> Problem:
        """A linear network on the examples; with their own loss where none is named."""
        return problem_of(self.ground, loss or ("cross_entropy" if self.ground.classes else "mse"))


def short(values: Tensor) -> list[float | None]:
    """Numbers with six digits, which is what a screen needs; None where one is not finite."""
    return [float(f"{each:.6g}") if math.isfinite(each) else None for each in values.tolist()]
