"""Two studies beside each other: their scores are compared only where they were tested on the same examples."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping

from tame.core.files import read_bytes
from tame.core.recipe import Value
from tame.core.result import Result
from tame.pages.library import Shelf
from tame.report import formats
from tame.report.fields import name_of

SPLIT_BYTES = 256 * 1024 * 1024
SEALED = "test"


def compared(a: Shelf, b: Shelf) -> dict[str, object]:
    """What can be said of two studies. words: the verdict, or why there is none; recipe: fields of the winners that
    differ."""
    states = (a.followed.state, b.followed.state)
    if any(state.result is None for state in states):
        return {"fits": False, "words": "Both studies must be finished to be compared.", "recipe": []}
    own = [Result.from_json(state.result or {}) for state in states]
    problem = _apart(a, b, own)
    recipe = [
        {"name": name_of(name), "a": _value(own[0].winner.recipe, name), "b": _value(own[1].winner.recipe, name)}
        for name in dict.fromkeys((*own[0].winner.recipe, *own[1].winner.recipe))
        if own[0].winner.recipe.get(name) != own[1].winner.recipe.get(name)
    ]
    return {"fits": not problem, "words": problem or _verdict(own), "recipe": recipe}


def _apart(a: Shelf, b: Shelf, own: list[Result]) -> str:
    """Why the scores cannot be compared; "" if they can."""
    if own[0].metric != own[1].metric:
        names = [formats.metric_name(each.metric) for each in own]
        return f"They are scored by different metrics ({names[0]} and {names[1]}), so they cannot be compared."
    sealed = [_sealed(each) for each in (a, b)]
    if sealed[0] is None or sealed[1] is None:
        return "Which examples they were tested on is not known (split.csv is missing), so they cannot be compared."
    if sealed[0] != sealed[1]:
        both = len(sealed[0] & sealed[1])
        return (
            f"They were tested on different examples ({both:,} of {len(sealed[0]):,} and {len(sealed[1]):,} are the "
            "same), so they cannot be compared."
        )
    return ""


def _verdict(own: list[Result]) -> str:
    """Each interval is of its own study: what both share is counted twice, so the true one is narrower."""
    metric, (first, second) = own[0].metric, (own[0].score, own[1].score)
    sign = 1.0 if formats.is_rising(metric) else -1.0
    gain = sign * (second.value - first.value) + 0.0  # not −0
    half = math.hypot((first.high - first.low) / 2, (second.high - second.low) / 2)
    span = f"{formats.shown_signed(metric, gain - half)} to {formats.shown_signed(metric, gain + half)}"
    said = f"{formats.shown_signed(metric, gain)} ({span}) on the same {second.n:,} examples"
    kept = "The answers to single examples are not kept, so this interval is wider than a paired one would be."
    if abs(gain) <= half:
        return f"No real difference was shown: {said}. {kept}"
    return f"The second is {'better' if gain > 0 else 'worse'}: {said}. {kept}"


def _sealed(shelf: Shelf) -> set[str] | None:
    """The examples of the sealed part, by name; None where the split cannot be read."""
    try:
        text = read_bytes(shelf.folder, "split.csv", most=SPLIT_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    rows = csv.reader(io.StringIO(text))
    head = next(rows, [])
    if "part" not in head:
        return None
    part = head.index("part")
    return {row[0] for row in rows if len(row) > part and row[part] == SEALED}


def _value(recipe: Mapping[str, Value], name: str) -> str:
    return formats.inert(formats.compact(recipe.get(name)))
