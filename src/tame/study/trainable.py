"""Checks, before any training, that everything in a plan can be trained."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from tame.core.recipe import Recipe, Value
from tame.core.space import Choice, Space, field_of, parse_dimension
from tame.kinds.known import KINDS
from tame.study.session import Study
from tame.study.space import asked_texts

SKETCH = "sketch"  # the folder of a user's own untrained model, as it was when the study began
MOST_CHECKED = 100  # numbers of one choice that are checked before the study starts; all words are checked


def check(study: Study, base: Recipe, space: Space) -> None:
    """Raises UsageError, with the remedy, if the base recipe cannot be trained with everything in the space."""
    recipes = [base, *(_with(base, space, changes) for changes in _choices(space))]
    also = [_with(base, space, changes) for changes in _ends(space)]
    texts = [*study.config.space, *asked_texts(study.state)]
    given = sorted({*study.config.set, *(field_of(parse_dimension(text)[0]) for text in texts)})
    study.worker.check(recipes, also=also, given=given)
    _compare(study, [*recipes, *also])


def recognise(study: Study) -> None:
    """Raises UsageError where the user's function makes another model now than when the study began."""
    if study.build is not None:
        KINDS.get(study.state.kind).own().recognise(study.folder / SKETCH, study.build)


def _compare(study: Study, recipes: Sequence[Recipe]) -> None:
    """Raises UsageError where the process that trains makes another model of the user's own than this one; keeps the
    model of the first recipe for `recognise`."""
    if study.build is None:
        return
    own = KINDS.get(study.state.kind).own()
    if study.executor.pid != os.getpid():
        own.compare(study.build, recipes, study.worker, study.config.model or "")
    own.keep(recipes[0], study.worker, study.folder / SKETCH)


def _with(base: Recipe, space: Space, changes: Mapping[str, Value]) -> Recipe:
    """The base recipe with changes, without arguments of the user's function whose conditions they end."""
    return base.but({**changes, **dict.fromkeys(space.resting({**base.flat(), **changes}))})


def _choices(space: Space) -> list[dict[str, Value]]:
    """The changes to the base for every value of every choice in a space; only some of very many numbers."""
    found: list[dict[str, Value]] = []
    for name, dim in space.dimensions.items():
        if isinstance(dim, Choice):
            numbers = [each for each in dim.values if not isinstance(each, bool | str)]
            some = dict.fromkeys(numbers[:: math.ceil(len(numbers) / MOST_CHECKED) or 1] + numbers[-1:])
            words = [each for each in dim.values if isinstance(each, bool | str)]
            found += [{**space.needs(name), field_of(name): each} for each in (*some, *words)]
    return found


def _ends(space: Space) -> list[dict[str, Value]]:
    """The changes to the base for both ends of every range in a space."""
    ranges = {name: dim for name, dim in space.dimensions.items() if not isinstance(dim, Choice)}
    return [{**space.needs(name), field_of(name): dim.at(u)} for name, dim in ranges.items() for u in (0.0, 1.0)]
