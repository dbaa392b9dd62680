"""The pictures of the report: typical answers and mistakes of each class, pairs of copies, and how large each is."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tame.core.evaluation import ClassAnswers, NumberAnswers, Sample
from tame.core.records import Finding
from tame.core.result import Result
from tame.kinds.known import KINDS
from tame.report import formats

LARGE, SMALL = 480, 160  # pixels of the longer side: of mistakes, which can be enlarged, and of the others
MOST_PAIRS = 6  # of each finding
MOST_ERRORS = 12  # largest ones, of numbers
PAIRED = {  # findings that name pairs of pictures: how the pairs are headed, and what is said of them
    "label_conflict": (
        "The same picture under two labels",
        "One of the two labels is wrong. Decide which, and remove the other picture.",
    ),
    "near_duplicates": ("Copies", "Pictures that are the same or nearly; they were kept on one side of the split."),
}


@dataclass(frozen=True, slots=True)
class Shown:
    """A picture. source: a data URL, "" if there is no picture; alt: what it shows, for those who cannot see it."""

    id: str
    source: str
    alt: str
    predicted: str = ""
    probability: str = ""
    is_right: bool = True


@dataclass(frozen=True, slots=True)
class Strip:
    """The samples of one class."""

    name: str
    samples: list[Shown]


@dataclass(frozen=True, slots=True)
class PairGroup:
    """Pairs of pictures that belong together. all: how many there are, some of which may not be shown."""

    title: str
    words: str
    all: int
    pairs: list[tuple[Shown, Shown]]


def pictured(result: Result) -> dict[str, int]:
    """The pictures that the report shows, each with the pixels of its longer side."""
    answers = result.answers
    if isinstance(answers, ClassAnswers):
        small, large = [each.id for each in answers.samples], [each.id for each in answers.mistakes]
    elif isinstance(answers, NumberAnswers):
        shown = answers.errors[:MOST_ERRORS] if KINDS.get(result.kind).thumbnails else ()
        small, large = [each.id for each in shown], []
    else:
        small, large = [], []
    small += [name for _, pairs in _paired(result.findings) for pair in pairs for name in pair]
    return {**dict.fromkeys(small, SMALL), **dict.fromkeys(large, LARGE)}


def strips(result: Result, answers: ClassAnswers, thumbnails: Mapping[str, bytes]) -> list[Strip]:
    """The samples of each class that has some."""
    found = [
        Strip(name, [_sample(each, thumbnails) for each in answers.samples if each.true == name])
        for name in result.classes
    ]
    return [each for each in found if each.samples]


def pair_groups(result: Result, thumbnails: Mapping[str, bytes]) -> list[PairGroup]:
    """Pairs of copies and of contradicting labels, of which both pictures can be shown."""
    groups = []
    for finding, pairs in _paired(result.findings):
        shown = [
            (_plain(one, thumbnails), _plain(other, thumbnails))
            for one, other in pairs
            if one in thumbnails and other in thumbnails
        ]
        count = finding.evidence.get("count")
        if shown:
            groups.append(PairGroup(*PAIRED[finding.code], count if isinstance(count, int) else len(shown), shown))
    return groups


def source_of(name: str, thumbnails: Mapping[str, bytes]) -> str:
    """The data URL of a picture; "" if it has none."""
    jpeg = thumbnails.get(name)
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}" if jpeg else ""


def _paired(findings: Sequence[Finding]) -> list[tuple[Finding, list[tuple[str, str]]]]:
    """The findings that name pairs of pictures, with the first pairs of each."""
    return [(each, _pairs(each)) for code in PAIRED for each in findings if each.code == code]


def _pairs(finding: Finding) -> list[tuple[str, str]]:
    named = finding.evidence.get("pairs")
    if not isinstance(named, Sequence) or isinstance(named, str):
        return []
    pairs = [each for each in named if isinstance(each, Sequence) and not isinstance(each, str) and len(each) == 2]
    return [(str(one), str(other)) for one, other in pairs[:MOST_PAIRS]]


def _sample(each: Sample, thumbnails: Mapping[str, bytes]) -> Shown:
    share = f"{100 * each.probability:.1f} %"
    said = "predicted correctly" if each.is_right else f"predicted as {each.predicted}"
    alt = f"{each.true}, {said} with a probability of {share}"
    return Shown(each.id, source_of(each.id, thumbnails), alt, each.predicted, share, each.is_right)


def _plain(name: str, thumbnails: Mapping[str, bytes]) -> Shown:
    return Shown(name, source_of(name, thumbnails), formats.short(name, 80))
