"""Two studies beside each other: their scores are compared only where they were tested on the same examples."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from tame.core.files import read_bytes
from tame.core.recipe import Recipe, Value
from tame.core.result import Result
from tame.evaluate.compare import paired_shares
from tame.pages.library import Shelf
from tame.report import formats
from tame.report.fields import name_of

SPLIT_BYTES = 256 * 1024 * 1024
SEALED = "test"
SHOWN = 12  # examples that are named which one of the two alone gets right
UNPAIRED = "The answers to single examples are not all kept, so this interval is wider than a paired one would be."
Plain = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Tested:
    """The sealed part of a study. groups: by id, the same for examples that belong together; wrong: the ids of wrong
    answers, None where not all of them are known."""

    groups: Mapping[str, str]
    wrong: Collection[str] | None


def compared(a: Shelf, b: Shelf) -> dict[str, object]:
    """What can be said of two studies.

    words: the verdict, or why there is none; recipe: fields of the winners that differ; alone: which examples only the
    first, and only the second gets right, where that is known.
    """
    shelves = (a, b)
    if any(each.followed.state.result is None for each in shelves):
        return {"fits": False, "words": "Both studies must be finished to be compared.", "recipe": [], "alone": []}
    own = [Result.from_json(each.followed.state.result or {}) for each in shelves]
    tested = [_tested(each) for each in shelves]
    problem = _apart(own, tested) or _relabelled(*shelves)
    recipes = [each.winner.recipe for each in own]
    shown = [Recipe.from_flat(each).shown() for each in recipes]
    recipe = [
        {"name": name_of(name), "a": _value(recipes[0], name), "b": _value(recipes[1], name)}
        for name in dict.fromkeys((*shown[0], *shown[1]))
        if recipes[0].get(name) != recipes[1].get(name)
    ]
    if problem or tested[0] is None or tested[1] is None:
        return {"fits": False, "words": problem, "recipe": recipe, "alone": []}
    said, alone = _verdict(own, tested[0], tested[1]), _alone(tested[0], tested[1])
    return {"fits": True, "words": said, "recipe": recipe, "alone": alone}


def _apart(own: list[Result], tested: list[Tested | None]) -> str:
    """Why the scores cannot be compared; "" if they can."""
    if own[0].metric != own[1].metric:
        names = [formats.metric_name(each.metric) for each in own]
        return f"They are scored by different metrics ({names[0]} and {names[1]}), so they cannot be compared."
    if tested[0] is None or tested[1] is None:
        return "Which examples they were tested on is not known (split.csv is missing), so they cannot be compared."
    first, second = (each.groups.keys() for each in tested if each is not None)
    if first != second:
        return (
            f"They were tested on different examples ({len(first & second):,} of {len(first):,} and {len(second):,} "
            "are the same), so they cannot be compared."
        )
    return ""


def _relabelled(a: Shelf, b: Shelf) -> str:
    """Why the same examples are not the same questions; "" if they are."""
    first, second = (_new_labels(each) for each in (a, b))
    changed = len({name for name, _ in first ^ second})
    if not changed:
        return ""
    labels = "label of the test part was" if changed == 1 else "labels of the test part were"
    return f"{changed:,} {labels} edited for one of them alone, so they cannot be compared."


def _new_labels(shelf: Shelf) -> set[tuple[str, str]]:
    edited = shelf.followed.state.edited
    if edited is None:
        return set()
    return {(each.id, each.label) for each in edited.edits if each.action == "label" and each.id in edited.sealed}


def _verdict(own: list[Result], a: Tested, b: Tested) -> str:
    metric, n = own[0].metric, own[1].score.n
    sign = 1.0 if formats.is_rising(metric) else -1.0
    paired = _paired(own, a, b)
    if paired is None:
        # Each interval is of its own study: what both share is counted twice, so the true one is narrower.
        gain = sign * (own[1].score.value - own[0].score.value) + 0.0  # not −0
        half = math.hypot(*((each.score.high - each.score.low) / 2 for each in own))
        ends, more = (gain - half, gain + half), UNPAIRED
    else:
        gain, ends, more = paired[0] + 0.0, paired[1:], "The interval is of the two answers to each example."
    span = " to ".join(formats.shown_signed(metric, end) for end in ends)
    said = f"{formats.shown_signed(metric, gain)} ({span}) on the same {n:,} examples"
    if ends[0] <= 0 <= ends[1]:
        return f"No real difference was shown: {said}. {more}"
    return f"The second is {'better' if gain > 0 else 'worse'}: {said}. {more}"


def _paired(own: list[Result], a: Tested, b: Tested) -> tuple[float, float, float] | None:
    """How much higher the second accuracy is, with its interval from single answers; None where these do not say."""
    if own[0].metric != "accuracy" or a.wrong is None or b.wrong is None:
        return None
    names = list(a.groups)
    right = [np.array([name not in each.wrong for name in names]) for each in (a, b) if each.wrong is not None]
    counted = zip(right, own, strict=True)
    if any(not math.isclose(each.mean(), result.score.value, abs_tol=1e-9) for each, result in counted):
        return None  # examples count by weights
    groups = [np.array([each.groups[name] for name in names]) for each in (a, b)]
    coarser = min(groups, key=lambda each: len(np.unique(each)))
    alone = len(np.unique(coarser)) == len(names)
    found = paired_shares(right[1], right[0], None if alone else coarser)
    return found.value, found.low, found.high


def _alone(a: Tested, b: Tested) -> list[Plain]:
    """Of each study, how many examples it alone gets right, and the first of them."""
    if a.wrong is None or b.wrong is None:
        return []
    each = [[name for name in a.groups if (name in mine) < (name in other)]
            for mine, other in ((a.wrong, b.wrong), (b.wrong, a.wrong))]  # fmt: skip
    return [{"count": len(names), "names": [formats.inert(name) for name in names[:SHOWN]]} for names in each]


def _tested(shelf: Shelf) -> Tested | None:
    """The sealed part of a study; None where the split cannot be read."""
    try:
        text = read_bytes(shelf.folder, "split.csv", most=SPLIT_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    rows = csv.reader(io.StringIO(text))
    head = next(rows, [])
    if not {"part", "group"} <= set(head):
        return None
    part, group = head.index("part"), head.index("group")
    sealed = {
        number: (row[0], row[group])
        for number, row in enumerate(rows)
        if len(row) > max(part, group) and row[part] == SEALED
    }
    judged = shelf.followed.state.judgements
    wrong = None
    if judged is not None and shelf.followed.state.result is not None:
        own = judged.test
        found = {*(each.row for each in own.mistakes), *(judged.also_wrong or ())}
        has_classes = bool(Result.from_json(shelf.followed.state.result).classes)
        if has_classes and own.n == len(sealed) and len(found) == own.wrong and found <= sealed.keys():
            wrong = {sealed[row][0] for row in found}
    return Tested(dict(sealed.values()), wrong)


def _value(recipe: Mapping[str, Value], name: str) -> str:
    return formats.inert(formats.compact(recipe.get(name)))
