"""A space that grows during a study: on resume, or because the best recipes lie on an edge.

A study's space is that of its plan until an event "space" replaces it. It only ever grows, so that every recipe tried
lies in it; in a new dimension, older recipes have the base's value. If too many recipes diverge, an event "region" says
in which part of the space new ones are proposed; the space itself does not change.
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
    """The current space of a study as plain values: the last one stored, else the plan's."""
    return (state.space or planned(state)).space


def space_of(state: State) -> Space:
    """The current space of a study, its conditions checked against the study's base recipe."""
    return Space.from_json(space_json(state), base=Recipe.from_flat(planned(state).base).flat())


def widen(study: Study, space: Space, *, reason: str, evidence: Plain | None = None) -> Space:
    """Stores a wider space, and returns it as the study will search it; an unchanged one is not stored again.

    reason: in words, for people; evidence: the numbers behind it, plain JSON values. Raises UsageError for a space that
    does not contain the current one.
    """
    study.keep(*wider_events(study.state, space, reason=reason, evidence=evidence))
    return space.on(space_of(study.state).base)


def wider_events(state: State, space: Space, *, reason: str, evidence: Plain | None = None) -> list[Event]:
    """The event that stores a wider space; none if it is unchanged. Arguments and errors as in `widen`."""
    old = space_of(state)
    for problem in space.narrower(old):
        raise UsageError(problem)
    kept = SpaceKept(space=space.to_json(), reason=reason, evidence=evidence or {})
    return [event_of(kept)] if space.to_json() != old.to_json() else []


def region_of(state: State) -> Space:
    """The part of a study's space for new recipes: all of it, unless it was narrowed."""
    return narrowed(space_of(state), bounds_of(state))


def bounds_of(state: State) -> Mapping[str, Mapping[str, float]]:
    """The bounds for new recipes, if they were narrowed: "low" or "high" by dimension."""
    return {} if state.region is None else state.region.bounds


def narrow(
    state: State, name: str, *, low: float | None = None, high: float | None = None, reason: str,
    evidence: Plain | None = None,
) -> Region:  # fmt: skip
    """The event that limits new recipes to values from `low` or up to `high` of a dimension; the space stays.

    reason, evidence: as in `widen`. Raises UsageError if that narrows nothing, or leaves nothing.
    """
    asked = {end: value for end, value in (("low", low), ("high", high)) if value is not None}
    known = bounds_of(state).get(name, {})
    tighter = {end: (max if end == "low" else min)(value, known.get(end, value)) for end, value in asked.items()}
    bounds = {**bounds_of(state), name: {**known, **tighter}}
    space = space_of(state)
    changes = narrowed(space, bounds) != region_of(state)
    require(changes, f"{name} cannot be narrowed to {' and '.join(f'{end} {value:g}' for end, value in asked.items())}")
    return Region(bounds=bounds, reason=reason, evidence=evidence or {})


def ask_for(folder: Path, texts: Sequence[str], *, store: str | None = None) -> None:
    """Asks a stopped study to search a wider space; the study checks it when it resumes.

    texts: new or wider dimensions; store: as in `open_record`. Raises UsageError for texts that cannot be read, for a
    narrower space (the message has the old range), and for a study whose search has ended.
    """
    with reopen(folder, Silent(), store=store) as study:
        state = study.state
        instead = "start another study with this space, with tame fit"
        require(state.result is None, f"{folder} is finished; {instead}")
        require(state.plan is not None, f"{folder} was stopped before its search started; {instead}")
        is_over = state.search_ended is not None or state.finalists is not None
        require(not is_over, f"the search of {folder} has ended; {instead}")
        closed = why_closed(study)
        require(not closed, f"{closed}; start another study, with tame fit --start-from {folder}")
        own = (*asked_texts(state), *texts)
        wider_with(study, own)
        study.keep(SpaceAsked(texts=own))


def why_closed(study: Study) -> str:
    """Why a wider space would not be used; "" if it would."""
    most = study.config.trials
    if most is None or len(searched(study.history)) < most:
        return ""
    return f"all {most} recipes of {study.folder} have started, so none would use the wider space"


def asked_space(study: Study) -> Space | None:
    """The space that a resume asked for and that is not checked yet; None if there is none."""
    texts = asked_texts(study.state)
    return wider_with(study, texts) if texts else None


def settle(study: Study, space: Space, *, problem: str = "") -> None:
    """Stores a space that was asked for, or why it was refused; either way it is no longer pending."""
    if problem:
        study.keep(SpaceAsked(outcome=f"refused: {problem}"))
        return
    kept = SpaceKept(space=space.to_json(), reason=ON_RESUME, evidence={"texts": asked_texts(study.state)})
    study.keep(kept, SpaceAsked(outcome="taken"))


def asked_texts(state: State) -> tuple[str, ...]:
    """The dimensions that a resume asked for and that are not checked yet."""
    return () if state.space_asked is None else state.space_asked.texts


def planned(state: State) -> PlanEvent:
    """The stored plan of the study; call this only once there is one."""
    assert state.plan is not None, "a study is planned before its space is asked for"
    return state.plan


def wider_with(study: Study, texts: Sequence[str]) -> Space:
    """The study's space with what was asked for. If a dimension is named twice, the later text wins.

    Raises UsageError for texts that cannot be read, and for a narrower space.
    """
    asked = dict(parse_dimension(text) for text in texts)
    for name in asked:
        is_free = field_of(name) not in study.config.set
        require(is_free, f"{field_of(name)} is fixed in this study with --set, so it cannot be searched")
    old = space_of(study.state)
    wider = old.but(asked)
    for problem in wider.narrower(old):
        raise UsageError(problem)
    for name, reason in wider.never().items():
        require(name not in asked, reason)
    return wider
