"""Questions that are made from a study, with keys that are computed from it each time an answer is judged.

No key is ever kept or sent: a question is its lesson, a seed and a number, and whoever judges makes it again.
Those of each lesson are in `about_training` and `about_curves`; `questions` puts them together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tame.core.errors import UsageError
from tame.learn.seen import Seen

Rng = np.random.Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question. options: of a choice, whose key is a place in them; without them the key is a number, and an answer
    is right within `tolerance` of its size; why: one line that explains the key; trial: whose curve shows it."""

    text: str
    key: float
    why: str
    options: tuple[str, ...] = ()
    tolerance: float = 0.05
    trial: int | None = None

    def __post_init__(self) -> None:
        assert math.isfinite(self.key), "a key is a number"
        assert not self.options or int(self.key) in range(len(self.options)), "the key of a choice is one of its places"

    @property
    def answer(self) -> str:
        """The right answer in words."""
        return self.options[int(self.key)] if self.options else f"{self.key:.4g}"


@dataclass(frozen=True, slots=True)
class Judged:
    """Whether an answer is right, the right one, and why it is that."""

    right: bool
    answer: str
    why: str
    trial: int | None = None


Maker = Callable[[Seen, Rng], Question | None]
MAKERS: dict[str, list[Maker]] = {}  # of each lesson


def asks(*lessons: str) -> Callable[[Maker], Maker]:
    """Registers a maker of questions for these lessons."""

    def register(maker: Maker) -> Maker:
        for name in lessons:
            MAKERS.setdefault(name, []).append(maker)
        return maker

    return register


def judge(question: Question, answer: object) -> Judged:
    """Whether an answer is right. Raises UsageError for what is no answer: nothing, not a number, not finite."""
    value = _number(answer)
    if question.options:
        if value != int(value) or not 0 <= value < len(question.options):
            raise UsageError(f"choose one of the {len(question.options)} answers")
        right = int(value) == int(question.key)
    else:
        right = abs(value - question.key) <= question.tolerance * abs(question.key) + 1e-12
    return Judged(right, question.answer, question.why, question.trial)


def _number(answer: object) -> float:
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise UsageError("give a number, such as 0.25")
    text = str(answer).strip().replace("−", "-").removesuffix("%").strip()
    if not text:
        raise UsageError("the answer is empty; give a number, such as 0.25")
    try:
        value = float(text)
    except ValueError:
        hint = "; write a point before the decimals" if "," in text else ""
        raise UsageError(f"{text[:40]!r} is not a number{hint}; give one such as 0.25") from None
    if not math.isfinite(value):
        raise UsageError("the answer must be a finite number, such as 0.25")
    return value


def choice(
    text: str, options: Mapping[str, str], right: str, *, why: str, rng: Rng, trial: int | None = None
) -> Question:  # fmt: skip
    """A question with shuffled answers. options: by their names, one of which is right."""
    names = list(options)
    shuffled = [names[place] for place in rng.permutation(len(names))]
    return Question(
        text=text, options=tuple(options[name] for name in shuffled), key=shuffled.index(right), why=why, trial=trial
    )
