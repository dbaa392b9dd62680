"""Lesson 7: curves to be sorted, the population of the sliders, and one slider that fixes a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from tame.core.errors import require, unknown
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.learn import population
from tame.learn.seen import OF_RATES, VERDICTS, Named, Seen, SeenTrial, Verdict, cause, findings_of, named, verdict
from tame.learn.tutor import Nothing, Plain, Tutor, asked
from tame.report.evidence import evidence
from tame.report.formats import capital, compact, inert, sentence

MOST_SORTED = 24  # curves of a round
KINDS = 3  # of curves that a study must have, so that sorting them teaches something
NAMES = {name: capital(words) for name, words in VERDICTS.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """Where the sliders are."""

    values: Mapping[str, str | int | float] = field(default_factory=lambda: population.START)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grow:
    """Whether the lesson needs the population also where the study has curves that can be read."""

    whole: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """One slider of the population that is moved. values: of all sliders before."""

    values: Mapping[str, str | int | float]
    slider: str
    to: str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """How many curves are to be sorted; first: "rate" where those whose rate is at fault come first."""

    first: str = ""
    many: int = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What somebody calls the curve of a trial."""

    trial: int
    answer: str


@asked("grow", Grow)
def grow(tutor: Tutor, given: Grow) -> Plain:
    """How much of the population is trained; the rest is, whenever nothing is asked, where the lesson needs it."""
    tutor.is_growing = tutor.is_growing or given.whole
    done, of = tutor.growing.num_done, len(tutor.growing.wanted)
    return {"done": done, "of": of, "waits": tutor.has_work, "readable": tutor.is_readable}


@asked("population", At)
def trained(tutor: Tutor, given: At) -> Plain:
    """The population of the sliders as far as it is trained, the network of these sliders at least: curves, and what
    the doctor says of them."""
    tutor.is_growing = True
    many = len(population.recipes())
    tutor.growing.of(population.place_of(given.values))
    return {
        "sliders": population.SLIDERS, "epochs": population.EPOCHS, "start": population.START, "names": NAMES,
        "networks": [None if each is None else _read(tutor, each) for each in tutor.growing.known()[:many]],
    }  # fmt: skip


def _read(tutor: Tutor, own: population.Trained) -> Plain:
    """The curves of a network, and what the doctor says of them."""
    found = findings_of(population.as_trials([own])[0], population.of_ground(tutor.ground, tutor.given).facts)
    why = cause(found)
    return {"points": own.points, "verdict": verdict(found), "why": "" if why is None else sentence(inert(why.title))}


@asked("fix", Fix)
def fix(tutor: Tutor, given: Fix) -> Plain:
    """What moving one slider did to the loss of each validation example."""
    require(given.slider in population.SLIDERS, unknown("slider", given.slider, population.SLIDERS))
    before, after = (
        tutor.growing.of(population.place_of(values))
        for values in (given.values, {**given.values, given.slider: given.to})
    )
    found = population.gain(before, after)
    return {**to_plain(found), "right": found.verdict == "helped", "n": len(before.losses)}


@lru_cache(maxsize=1)
def _sortable(tutor: Tutor) -> Mapping[int, Named]:
    """Trials with curves to be sorted, by number; where those of the study are of few kinds, with networks after them
    that are trained with planted faults."""
    own = tutor.seen
    found = {each.trial.number: each for each in named(own)}
    if len({each.verdict for each in found.values()}) >= KINDS or not tutor.is_readable:
        return found
    growing = tutor.growing
    planted = [growing.of(place) for place in range(len(population.recipes()), len(growing.wanted))]
    trials = population.as_trials(planted, first=1 + max(each.number for each in own.trials))
    made = replace(population.of_ground(tutor.ground, own), trials=trials)
    return found | {each.trial.number: each for each in named(made)}


@asked("curves", Round)
def curves(tutor: Tutor, given: Round) -> Plain:
    """Curves to be sorted, of rare kinds as often as of common ones; what they are is told with the answer."""
    require(1 <= given.many <= MOST_SORTED, f"1 to {MOST_SORTED} curves can be sorted, not {given.many}")
    require(given.first in ("", "rate"), unknown("kind of curves", given.first, ("rate",)))
    own, found = tutor.seen, _sortable(tutor)
    by_kind: dict[Verdict, list[SeenTrial]] = {}
    for each in found.values():
        by_kind.setdefault(each.verdict, []).append(each.trial)
    rng, some = stream(len(own.trials), "sort", given.first), list[SeenTrial]()
    kinds = sorted(by_kind, key=lambda kind: (given.first == "rate" and kind not in OF_RATES, kind))
    shuffled = [[by_kind[kind][place] for place in rng.permutation(len(by_kind[kind]))] for kind in kinds]
    for turn in range(given.many):
        some += [kind[turn] for kind in shuffled if turn < len(kind)]
    order = rng.permutation(min(given.many, len(some)))
    shown = [some[place] for place in order]
    return {
        "names": NAMES, "is_own": own.is_own, "is_mixed": len(found) > len(named(own)),
        "curves": [{"trial": each.number, "points": [point[:3] for point in each.points]} for each in shown],
    }  # fmt: skip


@asked("sort", Sorted)
def sort(tutor: Tutor, given: Sorted) -> Plain:
    """Whether a curve was called what the doctor calls it, with the evidence and the rate that it had."""
    require(given.answer in VERDICTS, unknown("kind of curve", given.answer, VERDICTS))
    every = _sortable(tutor)
    require(given.trial in every, f"there is no trial {given.trial} with a curve")
    found = every[given.trial]
    trial, right, own, recipe = found.trial, found.verdict, found.cause, Recipe.from_flat(found.trial.recipe).optimizer
    why, shown = (sentence(inert(text)) for text in (("", "") if own is None else (own.title, evidence(own))))
    trained = f"Trial {trial.number} was trained" if trial in tutor.seen.trials else "It was trained for this lesson"
    had = f"{trained} by {recipe.name} with a rate of {compact(recipe.lr)}."
    return {"verdict": right, "right": right == given.answer, "why": why, "evidence": f"{shown} {had}".strip()}


@asked("seen", Nothing)
def seen(tutor: Tutor, _: Nothing) -> Seen:
    """What is seen of the study, for the questions."""
    return tutor.seen
