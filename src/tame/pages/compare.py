"""Two studies beside each other: their scores are compared only where they were tested on the same examples."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.files import read_bytes
from tame.core.recipe import Recipe, Value
from tame.core.records import Score
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
    problem = _apart(own, tested) or _other_question(own, shelves, tested) or _relabelled(*shelves)
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


def _other_question(own: list[Result], shelves: Sequence[Shelf], tested: list[Tested | None]) -> str:
    """Why examples of the same names do not ask the same; "" if they do."""
    data = [each.followed.state.data or {} for each in shelves]
    asked = [(each.task, each.classes, _target(facts)) for each, facts in zip(own, data, strict=True)]
    if asked[0] != asked[1]:
        differ = zip(("tasks", "classes", "columns to predict"), *asked, strict=True)
        what = formats.listed([name for name, first, second in differ if first != second])
        return f"They answer different questions (they have other {what}), so they cannot be compared."
    contents = [_contents(facts, each.groups) for facts, each in zip(data, tested, strict=True) if each is not None]
    if contents[0] != contents[1]:
        return "What they were tested on has the same names, but not the same content, so they cannot be compared."
    return ""


def _target(data: Plain) -> object:
    target = data.get("target")
    return target.get("name") if isinstance(target, Mapping) else None


def _contents(data: Plain, names: Collection[str]) -> set[str]:
    """The digests of the sealed examples; of a table, which has none of single rows, those of its files."""
    digests = data.get("digests")
    every = {each for each in digests if isinstance(each, str)} if isinstance(digests, list | tuple) else set()
    return {each for each in every if each.rpartition(":")[0] in names} or every


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
    paired = _paired(own, a, b)
    doubt = next((each.score.doubt for each in own if each.score.doubt), "")
    if paired is None and doubt:
        return f"Which one is better cannot be said: {formats.inert(doubt)}."
    if paired is None:
        gain, *ends = unpaired(own[0].score, own[1].score, is_rising=formats.is_rising(metric))
        more = UNPAIRED
    else:
        gain, ends, more = paired[0] + 0.0, [*paired[1:]], "The interval is of the two answers to each example."
    span = " to ".join(formats.shown_signed(metric, end) for end in ends)
    said = f"{formats.shown_signed(metric, gain)} ({span}) on the same {n:,} examples"
    if ends[0] <= 0 <= ends[1]:
        return f"No real difference was shown: {said}. {more}"
    return f"The second is {'better' if gain > 0 else 'worse'}: {said}. {more}"


def unpaired(a: Score, b: Score, *, is_rising: bool) -> tuple[float, float, float]:
    """How much better the second score is, and its interval from those of the two, whose arms may differ in length.

    What both share is counted twice, so the true interval is narrower (Zou and Donner, Construction of confidence
    limits about effect measures, 2008).
    """
    gain = b.value - a.value + 0.0  # not −0
    low = gain - math.hypot(b.value - b.low, a.high - a.value)
    high = gain + math.hypot(b.high - b.value, a.value - a.low)
    return (gain, low, high) if is_rising else (-gain + 0.0, -high, -low)


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
        sealed = _sealed(csv.reader(io.StringIO(text)))
    except (OSError, csv.Error):
        return None
    if sealed is None:
        return None
    judged = shelf.followed.state.judgements
    wrong = None
    if judged is not None and shelf.followed.state.result is not None:
        own = judged.test
        found = {*(each.row for each in own.mistakes), *(judged.also_wrong or ())}
        has_classes = bool(Result.from_json(shelf.followed.state.result).classes)
        if has_classes and own.n == len(sealed) and len(found) == own.wrong and found <= sealed.keys():
            wrong = {sealed[row][0] for row in found}
    return Tested(dict(sealed.values()), wrong)


def _sealed(rows: Iterator[list[str]]) -> dict[int, tuple[str, str]] | None:
    """The id and the group of each sealed example, by its row; None where the columns are not those of a split."""
    head = next(rows, [])
    if not {"part", "group"} <= set(head):
        return None
    part, group = head.index("part"), head.index("group")
    return {
        number: (row[0], row[group])
        for number, row in enumerate(rows)
        if len(row) > max(part, group) and row[part] == SEALED
    }


def _value(recipe: Mapping[str, Value], name: str) -> str:
    return formats.inert(formats.compact(recipe.get(name)))
