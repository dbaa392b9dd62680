"""Recipes of earlier studies that a study tries first: the best different ones of each, if they fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from pathlib import Path

from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe, Value
from tame.core.records import PORTFOLIO, Decision
from tame.core.space import Choice, Space, field_of
from tame.evaluate.outcomes import Outcome, outcomes
from tame.kinds.kind import Data
from tame.study.events import PlanEvent
from tame.study.session import Study
from tame.study.state import State, absent_of, explored_space, read_state

MOST = 8  # recipes of all earlier studies together
APART = 0.1  # of a range: two values closer than this count as equal
NEVER = ("seed", "epochs", "input.views", "input.crop", "model.pooled", "model.unfrozen")  # the new study decides them
ANYWHERE = ("optimizer", "schedule", "then", "regularize")  # fields that suit any kind of data


@dataclass(frozen=True, slots=True)
class Earlier:
    """A recipe of an earlier study: the fields it sets, and where it comes from, in words."""

    changes: Mapping[str, Value]
    origin: str


def put_first(study: Study, data: Data, own: PlanEvent) -> PlanEvent:
    """The plan with the best recipes of earlier studies before its portfolio, as far as they can be trained here.

    Fields that have no effect in this study, or that it decides itself, are dropped with a note. Raises UsageError for
    a folder without a study or without a recipe that was trained to the end, and if the search takes no recipes.
    """
    if not study.config.start_from:
        return own
    search = study.config.search
    require(
        search == "auto",
        f"--search {search} cannot start from recipes of earlier studies; leave out --search or --start-from",
    )
    base = Recipe.from_flat(own.base)
    found: list[Earlier] = []
    dropped: dict[str, str] = {}
    named: dict[str, str] = {}
    folders = [Path(each) for each in study.config.start_from]
    for earlier in _in_turn([best_recipes(each, data.kind, store=study.store_of(each)) for each in folders]):
        changes = _fitting(study, earlier, own, base, dropped, named)
        if changes and changes not in [each.changes for each in found]:
            found.append(Earlier(changes, earlier.origin))
        if len(found) == MOST:
            break
    if dropped:
        said = "; ".join(f"{name}: {why}" for name, why in dropped.items())
        study.watcher.note(f"recipes of earlier studies are used without fields that have no effect here ({said})")
    if named:
        said = ", ".join(f"{there} is {here}" for there, here in named.items())
        study.watcher.note(f"recipes of earlier studies are used with the names of this study: {said}")
    if not found:
        study.watcher.note("no recipe of the earlier studies both fits here and differs from the default")
    reasons = {base.but(each.changes).key(): each.origin for each in reversed(found)}
    return replace(own, portfolio=(*(each.changes for each in found), *own.portfolio), reasons=reasons)


def explained(decisions: Iterable[Decision], reasons: Mapping[str, str]) -> list[Decision]:
    """The decisions; those that start a recipe of an earlier study give its origin. reasons: by Recipe.key()."""
    return [
        replace(d, reason=reasons[d.recipe.key()])
        if d.origin == PORTFOLIO and d.recipe is not None and d.recipe.key() in reasons
        else d
        for d in decisions
    ]


def best_recipes(folder: Path, kind: str, *, store: str | None = None) -> list[Earlier]:
    """The best recipes of a study that differ from each other, at most MOST, the winner first.

    kind: of the new study's data; from a study on another kind of data only fields that suit any kind are taken;
    store: as in `open_record`. Raises UsageError if the folder is not a study, or has no trial that was trained to the
    end.
    """
    _, state = read_state(folder, store=store)
    space = explored_space(state)
    ranked = [each for each in outcomes(state.history, space, absent=absent_of(state)) if each.is_final]
    require(bool(ranked), f"--start-from {folder}: no trial of this study was trained to the end")
    winner = (state.result or {}).get("winner")
    first = winner.get("from_trial") if isinstance(winner, Mapping) else None
    ranked.sort(key=lambda each: each.number != first)
    kept: list[Outcome] = []
    for each in ranked:
        if len(kept) < MOST and not any(_are_alike(each, other, space) for other in kept):
            kept.append(each)
    return [
        Earlier(
            _taken(each, state, space, kind), f"trial {each.number} of the earlier study {folder.name}, its {_place(i)}"
        )
        for i, each in enumerate(kept)
    ]


def _taken(own: Outcome, state: State, space: Space, kind: str) -> dict[str, Value]:
    """The fields of a trial's recipe that another study may use; for an imported trial, those that it had."""
    if state.imported is not None:
        return {field_of(name): value for name, value in own.values.items() if field_of(name) not in NEVER}
    flat = state.history.trials[own.number].recipe.flat()
    taken = {name: value for name, value in flat.items() if name not in NEVER}
    if state.kind == kind:
        return taken
    return {n: v for n, v in taken.items() if n.partition(".")[0] in ANYWHERE or n == "batch_size"}


def _fitting(
    study: Study,
    earlier: Earlier,
    own: PlanEvent,
    base: Recipe,
    dropped: dict[str, str],
    named: dict[str, str],
) -> dict[str, Value]:
    """The changes to the base recipe that can be trained and have an effect here; empty if they cannot be trained.

    dropped: receives what is left out, and why; named: receives names that differ here.
    """
    flat, sizes, fixed = base.flat(), own.sizes, set(own.fixed)
    known = {*flat, *(field_of(name) for name in own.space)}
    changes = {name: value for name, value in earlier.changes.items() if name not in fixed}
    gone = {name: "the model of this study has no such argument" for name in changes if name not in known}
    size = earlier.changes.get("input.size")
    if size is not None and sizes and size not in sizes:
        gone["input.size"] = f"this study computes no features at {size} pixels"
    changes = {name: value for name, value in changes.items() if name not in gone and value != flat.get(name)}
    spelled = _spelled_here(study, earlier, changes, base)
    if spelled is None:
        return {}
    named |= {f"{name} {changes[name]}": str(value) for name, value in spelled.items() if value != changes[name]}
    changes = {name: value for name, value in spelled.items() if value != flat.get(name)}
    for name in changes:
        try:
            study.worker.check([base.but(changes)], given=[name])
        except UsageError as problem:
            gone[name] = str(problem).removeprefix(f"{name} ")
    dropped |= gone
    return {name: value for name, value in changes.items() if name not in gone}


def _spelled_here(
    study: Study, earlier: Earlier, changes: Mapping[str, Value], base: Recipe
) -> dict[str, Value] | None:
    """The changes, with names in lower case if only those can be trained; None, with a note, if neither can."""
    words = {n: v for n, v in changes.items() if isinstance(v, str) and v.isidentifier() and not n.startswith("own.")}
    small = {name: word.lower() for name, word in words.items()}
    try:
        study.worker.check([base.but(changes)])
    except UsageError as problem:
        try:
            study.worker.check([base.but({**changes, **small})])
        except UsageError:
            study.watcher.note(f"{earlier.origin}, cannot be trained here: {problem}")
            return None
        return {**changes, **small}
    return dict(changes)


def _are_alike(one: Outcome, other: Outcome, space: Space) -> bool:
    """Whether two trials have the same choices, and numbers that lie close together."""
    if one.values.keys() != other.values.keys():
        return False
    for name, value in one.values.items():
        dim, beside = space.dimensions[name], other.values[name]
        if isinstance(dim, Choice):
            if value != beside:
                return False
        elif abs(dim.where(value) - dim.where(beside)) > APART:
            return False
    return True


def _in_turn(several: Sequence[Sequence[Earlier]]) -> list[Earlier]:
    """The best of each, then the second of each, and so on."""
    return [each for each in chain.from_iterable(zip_longest(*several)) if each is not None]


def _place(index: int) -> str:
    return "best" if index == 0 else f"number {index + 1}"
