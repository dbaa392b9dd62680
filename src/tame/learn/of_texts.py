"""Lesson 11: what a language model sounds like before and after it was adapted, and what it forgets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from tame.core.errors import require
from tame.core.rng import stream
from tame.learn.letters import MOST_STEPS, OPENINGS, RATES, WAYS, AdaptedTo
from tame.learn.tutor import Nothing, Plain, Tutor, asked

USUAL_STEPS = 60  # of the adapted model whose texts are told apart
BETTER, WORSE = 0.8, 1.1  # of the bits before: contracts at most the first, everyday text at most the second


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How the tiny model is adapted to contracts. factor: of the usual rate of this way."""

    way: str
    factor: float
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Guess:
    """Which of the two texts of a pair somebody thinks was written after: its place, 0 or 1."""

    pair: int
    after: int


@asked("letters", Nothing)
def letters(tutor: Tutor, _: Nothing) -> Plain:
    """How far the tiny model is trained, and what it is then."""
    tutor.is_reading = True
    own = tutor.letters
    found: Plain = {
        "done": own.num_done, "of": own.steps, "weights": own.num_weights, "ways": WAYS, "rates": RATES,
        "most": MOST_STEPS, "better": BETTER, "worse": WORSE,
        "is_own": tutor.given.language is not None,
    }  # fmt: skip
    return found if not own.is_done else {**found, "bits": own.before.bits, "written": own.before.written}


@asked("adapt", Adaptation)
def adapt(tutor: Tutor, given: Adaptation) -> Plain:
    """What an adaptation gains and what it forgets; right is one that gains enough and forgets little."""
    own, before = _adapted(tutor, given.way, given.factor, given.steps), tutor.letters.before
    gained = own.bits.contracts <= BETTER * before.bits.contracts
    kept = own.bits.everyday <= WORSE * before.bits.everyday
    return {"before": before.bits, "after": own.bits, "num_trained": own.num_trained, "written": own.written,
            "gained": gained, "kept": kept, "right": gained and kept}  # fmt: skip


@lru_cache(maxsize=32)
def _adapted(tutor: Tutor, way: str, factor: float, steps: int) -> AdaptedTo:
    return tutor.letters.adapt(way, factor=factor, steps=steps)


@asked("pairs", Nothing)
def pairs(tutor: Tutor, _: Nothing) -> Plain:
    """What was written before and after, without saying which is which."""
    own = _pairs(tutor)
    shown = [{"opening": opening, "texts": _turned(place, texts)} for place, (opening, *texts) in enumerate(own)]
    return {"is_own": tutor.given.language is not None, "pairs": shown}


@asked("which", Guess)
def which(tutor: Tutor, given: Guess) -> Plain:
    """Whether the text that was written after was told."""
    own = _pairs(tutor)
    require(0 <= given.pair < len(own), "there is no such pair")
    require(given.after in (0, 1), "choose one of the two texts")
    _, before, after = own[given.pair]
    return {"right": _turned(given.pair, [before, after])[given.after] == after}


def _pairs(tutor: Tutor) -> list[tuple[str, str, str]]:
    """Openings, and what was written on before and after: of the study, or of the tiny model."""
    if tutor.given.language is not None:
        return [(own.prompt, own.before, own.after) for own in tutor.given.language.written]
    before, after = tutor.letters.before, _adapted(tutor, WAYS[0], 1.0, USUAL_STEPS)
    return list(zip(OPENINGS, before.written, after.written, strict=True))


def _turned(place: int, texts: list[str]) -> list[str]:
    """The two texts in an order that does not tell which is which."""
    return texts[::-1] if stream(place, "lesson", "pairs").integers(2) else texts
