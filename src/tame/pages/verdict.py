"""What came of teaching, in words: whether it learned, what it mistakes, and what would make it better."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tame.core.evaluation import ClassAnswers
from tame.core.recipe import Value
from tame.core.result import Result
from tame.report import formats, words

FEW = 30  # pictures of a class, below which more are the first advice
UNEVEN = 3.0  # times as many pictures as the smallest class has
WEAK = 0.8  # share of a class that is recognised, below which it is named
MANY_TESTED = 100  # pictures; of fewer, what the score may be instead is said
KNOBS = {"epochs": "epochs", "batch_size": "batch_size", "rate": "optimizer.lr"}
FITS = {  # by the code of a finding, the first that is there holds
    "no_better_than_dummy": "It has learned nothing: it is no better than always giving the same answer.",
    "overfitting": "It overfits: it learned some of its pictures by heart, and does worse on others.",
    "memorised": "It overfits: it learned some of its pictures by heart, and does worse on others.",
    "underfitting": "It underfits: it tells not even the pictures apart that it was trained on.",
    "over_regularised": "It underfits: what keeps it from learning by heart keeps it from learning.",
    "cut_short": "Its training was cut short by the clock.",
    "still_improving": "It was still getting better when the training ended.",
}
SOUND = "Neither overfitting nor underfitting was found in the network that was chosen."
LONGER = ("cut_short", "still_improving", "underfitting")  # findings that more time may help


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """said: sentences; next: what to do, the most useful first; longer: whether more time may help; knobs: what the
    search chose, by name; default: what the default recipe has."""

    said: tuple[str, ...]
    next: tuple[str, ...]
    longer: bool
    knobs: Mapping[str, Value]
    default: Mapping[str, Value]


def verdict_of(result: Result) -> Verdict:
    """What a finished study of pictures has to say to whoever taught it."""
    codes = {each.code for each in result.findings}
    fit = next((said for code, said in FITS.items() if code in codes), SOUND)
    return Verdict(
        said=(fit, *_tested(result), *_mistaken(result)),
        next=tuple(_next(result, codes)),
        longer=bool(codes & set(LONGER)),
        knobs=_knobs(result.winner.recipe),
        default=_knobs(result.default_recipe),
    )


def _tested(result: Result) -> Iterator[str]:
    if result.score.n < MANY_TESTED:
        span = words.span(result.score, result.metric)
        yield f"Only {formats.count(result.score.n, 'picture')} tested it, so its score is a rough one: {span}."


def _mistaken(result: Result) -> Iterator[str]:
    """The class that is recognised worst, and what it is taken for."""
    answers = result.answers
    if not isinstance(answers, ClassAnswers):
        return
    known = [each for each in answers.per_class if each.value is not None]
    worst = min(known, key=lambda each: each.value or 0.0, default=None)
    if worst is None or worst.value is None or worst.right == worst.n:
        return
    place = [each.name for each in answers.per_class].index(worst.name)
    taken = ""
    if answers.confusion is not None:
        row = [(count, name) for name, count in zip(result.classes, answers.confusion[place], strict=True)]
        most, other = max((each for each in row if each[1] != worst.name), default=(0, ""))
        taken = f"; it is taken for {formats.inert(other)} most" if most else ""
    yield f"{formats.inert(worst.name)} is recognised worst, {worst.right} of {worst.n} times{taken}."


def _next(result: Result, codes: set[str]) -> Iterator[str]:
    counts = _counts(result)
    least, most = min(counts.values(), default=0), max(counts.values(), default=0)
    few = [f"{formats.inert(name)} ({own})" for name, own in counts.items() if own < FEW or most > UNEVEN * own]
    if few:
        uneven = f"; another class has {most}" if most > UNEVEN * least else ""
        yield f"Too few pictures of {formats.listed(few)}{uneven}."
    if weak := _weak(result):
        yield (
            f"Give more pictures of {formats.listed(weak)} that differ: other places, light and sides. Look among its "
            "pictures for some that are in the wrong class."
        )
    if codes & {"overfitting", "memorised"} and not few:
        yield "More pictures, and more different ones, help most against overfitting."
    if codes & set(LONGER):
        yield "Train for longer."
    if "label_conflict" in codes:
        yield "Some pictures lie in two classes: take them out of the wrong one."
    yield "Try it below on pictures that are new to it."


def _weak(result: Result) -> list[str]:
    answers = result.answers
    known = answers.per_class if isinstance(answers, ClassAnswers) else ()
    return [formats.inert(each.name) for each in known if each.value is not None and each.value < WEAK][:3]


def _counts(result: Result) -> dict[str, int]:
    """How many pictures of each class all parts have together."""
    found = dict.fromkeys(result.classes, 0)
    for part in result.data_facts.counts.values():
        for name, count in part.items():
            found[name] = found.get(name, 0) + count
    return found


def _knobs(recipe: Mapping[str, Value]) -> dict[str, Value]:
    return {name: recipe[field] for name, field in KNOBS.items() if field in recipe}
