"""A space that grows while a study goes on: asked for on resume, or because its best recipes lie on an edge.

A study's space is that of its plan until an event "space" brings another, which holds from then on. It only ever grows,
so that every recipe that was tried lies in it; of a dimension that is new, older recipes have the base's value. Where
too many recipes diverge, an event "region" says in which part of the space new ones are proposed: the space itself, as
it was asked for, stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tame.adjust.guard import narrowed
from tame.adjust.searcher import searched
from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe
from tame.core.records import Event
from tame.core.space import Space, field_of, parse_dimension
from tame.study.events import Plain, PlanEvent, Region, SpaceAsked, SpaceKept, event_of
from tame.study.session import Study, reopen
from tame.study.state import Silent, State

ON_RESUME = "asked for on resume"


def space_json(state: State) -> Plain:
    """The space of a study as it is now, as plain values: the newest that was kept, else the plan's."""
    return (state.space or planned(state)).space


def space_of(state: State) -> Space:
    """The space of a study as it is now, its conditions judged against the study's base recipe."""
    return Space.from_json(space_json(state), base=Recipe.from_flat(planned(state).base).flat())


def widen(study: Study, space: Space, *, reason: str, evidence: Plain | None = None) -> Space:
    """Keeps a wider space, and returns it as the study will search it; one that is as before is not kept again.

    reason: in words, for people; evidence: the numbers behind it, plain JSON values. Raises UsageError for a space that
    leaves out something of the present one.
    """
    study.keep(*wider_events(study.state, space, reason=reason, evidence=evidence))
    return space.on(space_of(study.state).base)


def wider_events(state: State, space: Space, *, reason: str, evidence: Plain | None = None) -> list[Event]:
    """The event that keeps a wider space; none where it is as before. Arguments and errors as of `widen`."""
    old = space_of(state)
    for problem in space.narrower(old):
        raise UsageError(problem)
    kept = SpaceKept(space=space.to_json(), reason=reason, evidence=evidence or {})
    return [event_of(kept)] if space.to_json() != old.to_json() else []


def region_of(state: State) -> Space:
    """The part of a study's space that new recipes are proposed from: all of it, unless it was narrowed."""
    return narrowed(space_of(state), bounds_of(state))


def bounds_of(state: State) -> Mapping[str, Mapping[str, float]]:
    """Between which values new recipes are proposed, where it was narrowed: "low" or "high" by dimension."""
    return {} if state.region is None else state.region.bounds


def narrow(
    state: State, name: str, *, low: float | None = None, high: float | None = None, reason: str,
    evidence: Plain | None = None,
) -> Region:  # fmt: skip
    """The event after which new recipes are proposed from `low` on, or up to `high`, of a dimension; the space stays.

    reason, evidence: as in `widen`. Raises UsageError where that narrows nothing, or leaves nothing.
    """
    asked = {end: value for end, value in (("low", low), ("high", high)) if value is not None}
    known = bounds_of(state).get(name, {})
    tighter = {end: (max if end == "low" else min)(value, known.get(end, value)) for end, value in asked.items()}
    bounds = {**bounds_of(state), name: {**known, **tighter}}
    space = space_of(state)
    changes = narrowed(space, bounds) != region_of(state)
    require(changes, f"{name} cannot be narrowed to {' and '.join(f'{end} {value:g}' for end, value in asked.items())}")
    return Region(bounds=bounds, reason=reason, evidence=evidence or {})


def ask_for(folder: Path, texts: Sequence[str]) -> None:
    """Notes in a study that was stopped that it shall search a wider space; this holds once the study has checked it.

    texts: dimensions that are new, or wider than before. Raises UsageError for texts that cannot be read, for a space
    that is narrower, with the old range, and for a study whose search has ended.
    """
    with reopen(folder, Silent()) as study:
        state = study.state
        mend = "begin another study with this space, with tame fit"
        require(state.result is None, f"{folder} is finished; {mend}")
        require(state.plan is not None, f"{folder} was stopped before its search began; {mend}")
        is_over = state.search_ended is not None or state.finalists is not None
        require(not is_over, f"the search of {folder} has ended; {mend}")
        most = study.config.trials
        used_up = most is not None and len(searched(study.history)) >= most
        mend = f"begin another study in it, with tame fit --start-from {folder}"
        require(not used_up, f"all {most} recipes of {folder} have begun: none would be in the wider space; {mend}")
        own = (*asked_texts(state), *texts)
        _wider(study, own)
        study.keep(SpaceAsked(texts=own))


def asked_space(study: Study) -> Space | None:
    """The space that a resume has asked for and that is not checked yet; None where there is none."""
    texts = asked_texts(study.state)
    return _wider(study, texts) if texts else None


def settle(study: Study, space: Space, *, problem: str = "") -> None:
    """Keeps a space that was asked for, or why it cannot be: either way it waits no longer."""
    if problem:
        study.keep(SpaceAsked(outcome=f"refused: {problem}"))
        return
    kept = SpaceKept(space=space.to_json(), reason=ON_RESUME, evidence={"texts": asked_texts(study.state)})
    study.keep(kept, SpaceAsked(outcome="taken"))


def asked_texts(state: State) -> tuple[str, ...]:
    """The dimensions that a resume has asked for and that are not checked yet."""
    return () if state.space_asked is None else state.space_asked.texts


def planned(state: State) -> PlanEvent:
    """The plan that the study has kept; to be called once there is one."""
    assert state.plan is not None, "a study is planned before its space is asked for"
    return state.plan


def _wider(study: Study, texts: Sequence[str]) -> Space:
    """The study's space with what was asked for. Of a dimension that is named twice the later text counts."""
    asked = dict(parse_dimension(text) for text in texts)
    for name in asked:
        is_free = field_of(name) not in study.config.set
        require(is_free, f"{field_of(name)} is fixed in this study with --set, and cannot be searched")
    old = space_of(study.state)
    wider = old.but(asked)
    for problem in wider.narrower(old):
        raise UsageError(problem)
    for name, reason in wider.never().items():
        require(name not in asked, reason)
    return wider
