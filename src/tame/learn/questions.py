"""The questions of a round: some of each lesson, drawn by a seed."""

from __future__ import annotations

from importlib import import_module

from tame.core.rng import stream
from tame.learn.question import MAKERS, Question
from tame.learn.seen import Seen

MANY = 3  # questions of a round
TURNS = 4  # draws for each of them: some say what was said before

for _name in ("about_curves", "about_texts", "about_training"):  # that register questions
    import_module(f"tame.learn.{_name}")


def questions(lesson: str, seen: Seen, *, seed: int, many: int = MANY) -> tuple[Question, ...]:
    """Questions of a lesson about this study, the same for the same seed.

    Those for which the study holds nothing are left out, so there may be fewer.
    """
    makers = MAKERS.get(lesson, [])
    order = stream(seed, "order", lesson).permutation(len(makers))
    found: list[Question] = []
    for turn in range(TURNS * many):  # a second one of a kind only where there are fewer kinds than questions
        for place in order:
            own = makers[place](seen, stream(seed, lesson, int(place), turn))
            if own is not None and len(found) < many and own.text not in [each.text for each in found]:
                found.append(own)
    return tuple(found)
