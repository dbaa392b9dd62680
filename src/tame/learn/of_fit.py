"""Lesson 7: curves to be sorted, the population of the sliders, and one slider that fixes a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tame.core.errors import require, unknown
from tame.core.plain import to_plain
from tame.core.rng import stream
from tame.learn import population
from tame.learn.seen import VERDICTS, Seen, SeenTrial, findings_of, verdict
from tame.learn.tutor import Nothing, Plain, Tutor, asked
from tame.report.evidence import evidence
from tame.report.formats import capital, inert, sentence

SORTED = 12  # curves of a round


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One slider of the population that is moved. values: of all sliders before."""

    values: Mapping[str, str | int | float]
    slider: str
    to: str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What somebody calls the curve of a trial."""

    trial: int
    answer: str


@asked("population", Nothing)
def trained(tutor: Tutor, _: Nothing) -> Plain:
    """The population of the sliders: each network's curves, and what the doctor says of them."""
    own = tutor.trained[: len(population.recipes())]
    facts_, trials = tutor.seen.facts, population.as_trials(own)
    found = [findings_of(each, facts_) for each in trials]
    return {
        "sliders": population.SLIDERS, "epochs": population.EPOCHS,
        "networks": [
            {"points": each.points, "verdict": verdict(said), "why": said[0].title if said else ""}
            for each, said in zip(own, found, strict=True)
        ],
    }  # fmt: skip


@asked("fix", Fix)
def fix(tutor: Tutor, given: Fix) -> Plain:
    """What moving one slider did to the loss of each validation example."""
    require(given.slider in population.SLIDERS, unknown("slider", given.slider, population.SLIDERS))
    before = tutor.trained[population.place_of(given.values)]
    after = tutor.trained[population.place_of({**given.values, given.slider: given.to})]
    found = population.gain(before, after)
    return {**to_plain(found), "right": found.verdict == "helped", "n": len(before.losses)}


@asked("curves", Nothing)
def curves(tutor: Tutor, _: Nothing) -> Plain:
    """Curves to be sorted, of rare kinds as often as of common ones; what they are is told with the answer."""
    own = tutor.seen
    by_kind: dict[str, list[SeenTrial]] = {}
    for trial in own.readable:
        by_kind.setdefault(verdict(findings_of(trial, own.facts)), []).append(trial)
    rng, some = stream(len(own.trials), "sort"), list[SeenTrial]()
    shuffled = [[kind[place] for place in rng.permutation(len(kind))] for _, kind in sorted(by_kind.items())]
    for turn in range(SORTED):
        some += [kind[turn] for kind in shuffled if turn < len(kind)]
    order = rng.permutation(min(SORTED, len(some)))
    shown = [some[place] for place in order]
    return {
        "names": {name: capital(words) for name, words in VERDICTS.items()}, "is_own": own.is_own,
        "curves": [{"trial": each.number, "points": [point[:3] for point in each.points]} for each in shown],
    }  # fmt: skip


@asked("sort", Sorted)
def sort(tutor: Tutor, given: Sorted) -> Plain:
    """Whether a curve was called what the doctor calls it, with the evidence."""
    require(given.answer in VERDICTS, unknown("kind of curve", given.answer, VERDICTS))
    trial = next((each for each in tutor.seen.readable if each.number == given.trial), None)
    require(trial is not None, f"there is no trial {given.trial} with a curve")
    assert trial is not None
    found = findings_of(trial, tutor.seen.facts)
    right = verdict(found)
    why, shown = (sentence(inert(text)) for text in ((found[0].title, evidence(found[0])) if found else ("", "")))
    return {"verdict": right, "right": right == given.answer, "why": why, "evidence": shown}


@asked("seen", Nothing)
def seen(tutor: Tutor, _: Nothing) -> Seen:
    """What is seen of the study, for the questions."""
    return tutor.seen
