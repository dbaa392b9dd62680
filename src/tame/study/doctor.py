"""The search checks itself: it acts on findings about the space while it runs, and reports what that changed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tame.adjust.guard import Rest, narrowed, rest_of
from tame.adjust.searcher import searched
from tame.core.errors import UsageError
from tame.core.plain import from_plain
from tame.core.records import LOST, Event, Finding, Trial
from tame.core.result_parts import RestWorth
from tame.core.space import Choice, Space, field_of, to_text
from tame.monitor.remedies import CHANGES, Lost, Narrowed, OnEdge, Widened, change_for
from tame.monitor.space import edges, infeasible
from tame.study.case_rows import outcome_words
from tame.study.events import Region, event_of
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.space import bounds_of, narrow, region_of, space_of, wider_events
from tame.study.state import State, unmuted

MOST_TIMES = 3  # how often a side of a dimension is widened or narrowed
COSTLY = ("epochs", "batch_size", "input")  # never widened automatically: they cost time or memory
FIXED_BEFOREHAND = ("grid",)  # searches that fix all recipes at the start


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome of a round: the new plan, the findings with their changes, the events that record them."""

    plan: Plan
    findings: list[Finding]
    events: list[Event]
    rest: Rest | None


def of_space(study: Study) -> list[Finding]:
    """Findings about the space from its trials, each once."""
    trials = searched(study.history)
    found = edges(trials, space_of(study.state))
    lost = infeasible(trials, region_of(study.state))
    known = [_key(finding) for finding in study.state.findings]
    return [each for each in (*found, *([lost] if lost else [])) if known.count(_key(each)) < _most(each)]


def act(study: Study, plan: Plan, findings: Sequence[Finding]) -> Checked:
    """Makes the change for each finding, if allowed, and estimates the value of the rest of the search.

    Nothing is stored here, so that the caller can store everything at once.
    """
    space, region, own = _changed(study, plan, findings)
    wide = [f for f in own if f.code == "best_on_edge" and "to" in f.evidence]
    events: list[Event] = wider_events(
        study.state, space, reason="; ".join(f.title for f in wide), evidence={"fields": [f.evidence for f in wide]}
    )
    events += [event_of(region)] if region else []
    rest = _rest(study, plan)
    if rest is not None:
        events.append(event_of(rest))
        if rest.is_worthless and all(f.code != "worthless_rest" for f in study.state.findings):
            own.append(_worthless(rest))
    for finding in own:
        if "to" in finding.evidence or "bound" in finding.evidence:
            study.watcher.note(f"{finding.title}; from now on: {finding.change}")
    if events and (wide or region):
        plan = replace(plan, space=narrowed(space, region.bounds if region else bounds_of(study.state)))
    return Checked(plan, own, events, rest)


def _changed(study: Study, plan: Plan, findings: Sequence[Finding]) -> tuple[Space, Region | None, list[Finding]]:
    """The space and the part of it for new proposals, after the changes, and the findings with what was changed."""
    space, region, own = space_of(study.state), None, list(findings)
    for i, finding in enumerate(own):
        match change_for(plan.search.base, finding, space):
            case Widened() as change:
                space, own[i] = _widened(study, plan, space, finding, change)
            case Narrowed() as change:
                region, own[i] = _narrowed(study, finding, change)
    return space, region, own


def why_worthless(rest: Rest) -> str:
    """Why the search ends before its budget is used."""
    return (
        f"as many epochs again would lower the best validation loss by about {rest.gain:.2g}, less than a quarter of "
        f"its noise ({rest.noise:.2g})"
    )


def with_outcomes(state: State) -> list[Finding]:
    """The findings of a study that are told, with outcomes for those about the search and those that were treated."""
    return [replace(f, outcome=f.outcome or _outcome(state, f)) for f in unmuted(state)]


def rest_worth(state: State) -> RestWorth | None:
    """The value of the rest of the search, and whether and why the search ended early, for the report."""
    known, ended = state.worth, state.search_ended
    if known is None:
        return None
    return RestWorth(
        recipes=known.recipes, epochs=known.epochs, best=known.best, gain=known.gain, noise=known.noise,
        stopped_because=ended.reason if ended is not None and ended.worthless else "",
    )  # fmt: skip


def _rest(study: Study, plan: Plan) -> Rest | None:
    """The value of the rest after this round; None if nothing changed."""
    before = study.state.worth
    found = rest_of(study.history, before, num_valid=plan.facts.num_valid)
    return None if found == before else found


def _worthless(rest: Rest) -> Finding:
    title = f"after {rest.recipes} recipes, further trials are unlikely to help: {why_worthless(rest)}"
    evidence = {"recipes": rest.recipes, "epochs": rest.epochs, "best": rest.best, "gain": rest.gain}
    return Finding("worthless_rest", title, "info", {**evidence, "noise": rest.noise}, change=CHANGES["worthless_rest"])


def _widened(study: Study, plan: Plan, space: Space, finding: Finding, change: Widened) -> tuple[Space, Finding]:
    """The space with one side of a range widened, or unchanged and the reason."""
    name, side, end = change.name, change.side, change.to
    dim = space.dimensions[name]
    why = _why_not(study, name, side)
    if end is None or why or isinstance(dim, Choice):
        return space, replace(finding, outcome=f"not widened: {why or 'no recipe may have values beyond it'}")
    try:
        wide = space.widened(name, low=end) if side == "low" else space.widened(name, high=end)
        recipe = plan.search.base.but({**space.needs(name), field_of(name): end})
        study.worker.check([recipe])
    except UsageError as problem:
        return space, replace(finding, outcome=f"not widened: {problem}")
    evidence = {**finding.evidence, "to": end}
    return wide, replace(finding, evidence=evidence, change=f"search {to_text(name, wide.dimensions[name])}")


def _why_not(study: Study, name: str, side: str) -> str:
    """Why a range is not widened; "" if it may be."""
    config, own = study.config, field_of(name)
    command = f"{how_to_widen(study, name)}, while the search is running"
    if not config.widen:
        return f"--no-widen forbids it; to widen it yourself: {command}"
    if study.state.search_ended is not None or len(searched(study.history)) >= (config.trials or math.inf):
        return f"no recipes are left to start; start another study with a wider --space {name}=..."
    if config.search in FIXED_BEFOREHAND:
        return "a grid is fixed in advance"
    if own in COSTLY or own.partition(".")[0] in COSTLY:
        return f"it would cost time or memory, so that is your decision: {command}"
    if own.startswith("own."):
        return f"TAME cannot know which values your model tolerates; to widen it: {command}"
    if side in bounds_of(study.state).get(name, {}):
        return "recipes beyond it diverged"
    often = _times_widened(study.state, name, side) >= MOST_TIMES
    return f"it was already widened {MOST_TIMES} times on this side" if often else ""


def _times_widened(state: State, name: str, side: str) -> int:
    times = [f.evidence for f in state.findings if f.code == "best_on_edge" and "to" in f.evidence]
    return sum(each["field"] == name and each["side"] == side for each in times)


def how_to_widen(study: Study, name: str) -> str:
    """The command, or the Python call, that widens a range."""
    if study.config.model is None:
        return f"tame resume {study.folder} --space {name}=..."
    return f"tame.resume({str(study.folder)!r}, model=build, space=['{name}=...'])"


def _narrowed(study: Study, finding: Finding, change: Narrowed) -> tuple[Region | None, Finding]:
    """The region for new proposals, narrowed, or None and the reason."""
    name, bound = change.name, float(change.bound)
    low, high = (bound, None) if change.side == "low" else (None, bound)
    first = max(study.history.trials, default=-1) + 1
    own = replace(finding, evidence={**finding.evidence, "first_after": first})
    try:
        return narrow(study.state, name, low=low, high=high, reason=finding.title, evidence=own.evidence), own
    except UsageError as problem:
        evidence = {key: value for key, value in finding.evidence.items() if key != "bound"}
        return None, replace(finding, evidence=evidence, outcome=f"not narrowed: {problem}")


def _outcome(state: State, finding: Finding) -> str:
    trials = [t for t in searched(state.history) if t.curve.points or t.state in LOST]
    if finding.code == "best_on_edge" and "to" in finding.evidence:
        return _of_wider(OnEdge.of(finding), trials)
    if finding.code == "infeasible":
        return _of_narrower(Lost.of(finding), trials)
    if finding.code == "worthless_rest":
        about = from_plain(_Weighed, finding.evidence, what=f"the evidence of {finding.code}")
        return _of_the_rest(state, about, trials)
    return outcome_words(state, finding)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighed:
    """The evidence that the rest is worth little: recipes and epochs trained by then, and the best validation loss."""

    recipes: int
    epochs: int
    best: float


def _of_the_rest(state: State, about: _Weighed, trials: Sequence[Trial]) -> str:
    """What the rest of the search gained in fact."""
    if state.search_ended is not None and state.search_ended.worthless:
        return f"the search stopped after {about.recipes} recipes"
    gained = max(0.0, about.best - min((t.loss for t in _ended(trials)), default=math.inf))
    more, epochs = len(trials) - about.recipes, sum(t.trained for t in trials) - about.epochs
    return f"{more} more recipes and {epochs} more epochs lowered the best validation loss by {gained:.2g}"


def _of_narrower(about: Lost, trials: Sequence[Trial]) -> str:
    """How many of the recipes started in the narrower part were lost; "" if it was not narrowed."""
    if about.first_after is None:
        return ""
    later = [t for t in trials if t.number >= about.first_after]
    lost = sum(t.state in LOST for t in later)
    said = f"of {len(later)} recipes started since then, {lost} diverged or failed"
    return said if later else "no recipe was started since then"


def _of_wider(about: OnEdge, trials: Sequence[Trial]) -> str:
    """Whether the best recipe lies in the new part of a range."""
    new = [t for t in trials if _is_in_the_new_part(about, t)]
    said = f"{len(new)} recipe{' was' if len(new) == 1 else 's were'} in the new part"
    best = min(_ended(trials), key=lambda t: (t.loss, t.number), default=None)
    if not new or best is None:
        return said
    where = "including the best" if best in new else "but not the best"
    return f"{said}, {where}: trial {best.number}, at {best.recipe.flat()[field_of(about.field)]:.3g}"


def _is_in_the_new_part(about: OnEdge, trial: Trial) -> bool:
    """Whether a trial's value lies only in the wider range."""
    value = trial.recipe.flat().get(field_of(about.field))
    if isinstance(value, str) or value is None or about.to is None:
        return False
    beyond = value < about.low if about.side == "low" else value > about.high
    within = value >= about.to if about.side == "low" else value <= about.to
    return beyond and (within or math.isclose(value, about.to))


def _ended(trials: Sequence[Trial]) -> list[Trial]:
    """The trials trained to the end, or if there are none, all that were not lost."""
    sound = [t for t in trials if t.state not in LOST]
    return [t for t in sound if t.state == "complete" or t.epochs >= t.recipe.epochs] or sound


def _key(finding: Finding) -> tuple[object, ...]:
    """What makes two findings about the space the same: the same side of the same range."""
    about = finding.evidence
    if finding.code == "best_on_edge":
        return finding.code, about["field"], about["side"], about[str(about["side"])]
    return finding.code, about.get("field"), about.get("side"), about.get("value")


def _most(finding: Finding) -> int:
    """How often a finding may be made."""
    return MOST_TIMES if "bound" in finding.evidence else 1
