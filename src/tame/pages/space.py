"""The space of a study as a page draws it: axes with their edges, trials as lines over them, and what mattered.

What a wider range would cost is told before it is asked for. A line per trial of 10,000 would be a black page, so that
the best are drawn and of the others a sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from tame.core.errors import UsageError, require, unknown
from tame.core.importance import LEAST, Importances
from tame.core.recipe import Recipe, Value
from tame.core.records import FINALIST, REMEDY, Curve, History, Point, Trial
from tame.core.result import Result
from tame.core.space import Choice, Dimension, Float, Int, Space, field_of, to_text
from tame.pages.library import Shelf
from tame.pages.views import finite, life_of, lines
from tame.report import formats
from tame.report.fields import names_of
from tame.report.importance_words import in_words
from tame.study.columns import TRAIN, VALID, Columns, TrialRow
from tame.study.events import PlanEvent
from tame.study.state import State, absent_of, explored_space

MOST_AXES = 12
MOST_BEST, MOST_OTHERS = 40, 160  # lines
MOST_MEASURED = 2_000  # trials of which the importance is measured while a study runs
FRESH = 1.1  # times as many trials, at which it is measured again
TICKS = (0.0, 0.5, 1.0)
Plain = dict[str, object]


class Measured:
    """What mattered in each study. It is measured again once there are a tenth more trials: of 2,000 it takes a second,
    and a page that is left open asks again and again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, Importances]] = {}

    def of(self, shelf: Shelf, space: Space, rows: Sequence[TrialRow]) -> Importances | None:
        """As kept in the result, otherwise by these trials; None with too few of them, or too many to measure."""
        state = shelf.followed.state
        if state.result is not None and (mattered := Result.from_json(state.result).mattered) is not None:
            return mattered.importance
        if not LEAST <= len(rows) <= MOST_MEASURED:
            return None
        count, found = self._known.get(shelf.id, (0, None))
        if found is None or len(rows) >= FRESH * count or {each.name for each in found.each} - set(space.dimensions):
            found = _importances(shelf, space, rows)
            self._known[shelf.id] = len(rows), found
        return found


def space_view(shelf: Shelf, measured: Measured) -> Plain:
    """Axes, lines and importance of a study, as plain values."""
    state, columns = shelf.followed.state, shelf.followed.columns
    space = explored_space(state)
    rows = _ranked(columns)
    about = measured.of(shelf, space, rows)
    shown = names_of(space.dimensions)
    order = [each.name for each in about.each] if about else []
    names = [*order, *(name for name in space.searched if name not in order)][:MOST_AXES]
    drawn = _drawn(rows)
    return {
        "axes": [_axis(name, space, planned_space(state), shown) for name in names],
        "hidden": max(len(space.searched) - MOST_AXES, 0),
        "lines": [_line(columns, row, names, space) for row in drawn],
        "count": len(rows), "importance": _told(about, shown), "is_open": life_of(shelf) in ("training", "paused"),
        "how": _how(about, shown, len(rows)), "seq": shelf.followed.seq,
        "answer": next((one for one in reversed(lines(shelf.followed, after=0)) if one.get("asked") == "space"), None),
    }  # fmt: skip


def planned_space(state: State) -> Space:
    """The space as it was planned, before anything widened it."""
    plan = state.plan or PlanEvent()
    return Space.from_json(plan.space, base=plan.base) if state.imported is None else explored_space(state)


def wider_text(state: State, name: str, *, low: float | None, high: float | None) -> str:
    """A dimension with other ends, as it is asked for. Raises UsageError for ends that make it no wider."""
    return to_text(name, _wider(explored_space(state), name, low=low, high=high).dimensions[name])


def cost_words(shelf: Shelf, name: str, *, low: float | None, high: float | None) -> list[str]:
    """What a wider range would cost, in sentences: how much longer it is, and what it takes to search it as densely.

    Raises UsageError as `wider_text`.
    """
    state, columns = shelf.followed.state, shelf.followed.columns
    space = explored_space(state)
    old, new = space.dimensions[name], _wider(space, name, low=low, high=high).dimensions[name]
    times = _length(new) / _length(old)
    tried = [row for row in columns.rows.values() if row.origin not in (FINALIST, REMEDY)]
    more = math.ceil((times - 1) * len(tried))
    said = [f"The range becomes {times:.2g} times as long{' on its log scale' if getattr(new, 'log', False) else ''}."]
    if not tried:
        return said
    recipes = formats.count(more, "more recipe")
    said.append(f"To search it as densely as so far takes about {recipes} beside the {len(tried):,} tried.")
    each_s = _epoch_s(state) * sum(row.epochs for row in tried) / len(tried)
    if each_s > 0:
        said.append(f"At {formats.duration(each_s)} for a recipe these are about {formats.duration(more * each_s)}.")
        said += _left(shelf, more * each_s)
    return said


def _left(shelf: Shelf, needed_s: float) -> list[str]:
    state, moment = shelf.followed.state, shelf.moment
    plan = state.plan
    if plan is None or plan.search_until_s is None or moment is None:
        return ["This study has no clock: the number of its recipes stays, and they lie further apart."]
    left = max(plan.search_until_s + state.extra_s - moment.clock.used_s, 0.0)
    short = " That is too short: give it more time, too." if left < needed_s else ""
    return [f"The search has {formats.duration(left)} left.{short}"]


def _epoch_s(state: State) -> float:
    """Seconds for an epoch of a trial, by the forecast or, once it was corrected, as measured."""
    own = state.forecast_corrected or state.forecast
    return 0.0 if own is None else float(own.mean_s)


def _wider(space: Space, name: str, *, low: float | None, high: float | None) -> Space:
    require(name in space.dimensions, unknown("dimension", name, space.dimensions))
    dim = space.dimensions[name]
    if isinstance(dim, Choice):
        raise UsageError(f"{name} is a choice of values, which has no edge; add one with tame resume --space")
    require(low is not None or high is not None, "which edge should move, and where to?")
    low = None if low is None else _on_step(dim, low)
    high = None if high is None else math.ceil(high) if isinstance(dim, Int) else high
    wider = space.widened(name, low=low, high=high)
    require(wider.dimensions[name] != dim, f"{name} reaches from {dim.low:g} to {dim.high:g} already")
    return wider


def _on_step(dim: Float | Int, low: float) -> float:
    """The lower end, moved down onto a step, so that every value of the range stays one."""
    if dim.step is None or low >= dim.low:
        return low
    return dim.low - math.ceil((dim.low - low) / dim.step) * dim.step


def _length(dim: Dimension) -> float:
    """How long a range is, on the scale on which it is searched."""
    if isinstance(dim, Choice):
        return float(dim.count)
    if dim.log:
        return math.log(dim.high / dim.low) or 1.0
    return float(dim.high - dim.low) or 1.0


def _axis(name: str, space: Space, before: Space, shown: Mapping[str, str]) -> Plain:
    dim = space.dimensions[name]
    own: Plain = {"name": name, "label": formats.inert(shown[name]), "when": bool(dim.when)}
    if isinstance(dim, Choice):
        ticks = [((i + 0.5) / len(dim.values), formats.compact(value)) for i, value in enumerate(dim.values)]
        return {**own, "kind": "choice", "ticks": [[u, formats.inert(words)] for u, words in ticks]}
    old = before.dimensions.get(name)
    edges = [] if old is None or isinstance(old, Choice) else [v for v in (old.low, old.high) if dim.low < v < dim.high]
    return {
        **own, "kind": "whole" if isinstance(dim, Int) else "real", "low": dim.low, "high": dim.high,
        "log": dim.log, "ticks": [[u, formats.compact(dim.at(u))] for u in TICKS],
        "edges": [[dim.where(v), formats.compact(v)] for v in edges],  # of the space as it was planned
    }  # fmt: skip


def _ranked(columns: Columns) -> list[TrialRow]:
    """The trials of the search that have measured anything, the best first."""
    own = [row for row in columns.rows.values() if row.spans and row.origin not in (FINALIST, REMEDY)]
    return sorted(own, key=lambda row: (row.loss, row.number))


def _drawn(rows: Sequence[TrialRow]) -> list[TrialRow]:
    rest = rows[MOST_BEST:]
    return [*rows[:MOST_BEST], *rest[:: math.ceil(len(rest) / MOST_OTHERS) or 1]]


def _line(columns: Columns, row: TrialRow, names: Sequence[str], space: Space) -> Plain:
    """A trial: its place on each axis, None where it has no value there or one outside of a choice."""
    recipe = columns.recipe(row.number)
    active = space.active(recipe)
    values = [recipe.get(field_of(name)) if name in active else None for name in names]
    places = [_place(space.dimensions[name], value) for name, value in zip(names, values, strict=True)]
    return {
        "trial": row.number, "loss": finite(row.loss), "origin": row.origin, "places": places,
        "values": ["" if value is None else formats.inert(formats.compact(value)) for value in values],
    }  # fmt: skip


def _place(dim: Dimension, value: Value | None) -> float | None:
    if value is None or (isinstance(dim, Choice) and not dim.holds(value)):
        return None
    return round(dim.where(value), 4)


def _importances(shelf: Shelf, space: Space, rows: Sequence[TrialRow]) -> Importances:
    # Loaded here: it needs scipy, and most who look at pages never ask for it.
    from tame.evaluate.importance import importances
    from tame.evaluate.outcomes import outcomes

    followed = shelf.followed
    history = History({row.number: _trial(followed.columns, row) for row in rows})
    return importances(outcomes(history, space, absent=absent_of(followed.state)), space)


def _trial(columns: Columns, row: TrialRow) -> Trial:
    """A trial with no more of its curve than by what it is judged."""
    point = columns.judged(row.number)
    curve = Curve() if point is None else Curve((Point(row.epochs, finite(point[TRAIN]), finite(point[VALID]), None),))
    return Trial(
        row.number, Recipe.from_flat(columns.recipe(row.number)), row.origin, row.reason, row.state, curve=curve
    )


def _told(about: Importances | None, shown: Mapping[str, str]) -> list[Plain]:
    each = () if about is None else about.each
    return [
        {"name": one.name, "label": formats.inert(shown.get(one.name, one.name)), "value": one.value, "low": one.low,
         "high": one.high, "is_shown": one.is_shown,
         "words": f"{100 * one.value:.0f} % ({100 * one.low:.0f} to {100 * one.high:.0f} %)"}
        for one in each
    ]  # fmt: skip


def _how(about: Importances | None, shown: Mapping[str, str], count: int) -> str:
    if about is not None:
        return formats.sentence(in_words(about, shown))
    if count < LEAST:
        return f"What mattered is told from {LEAST} trials on; {formats.count(count, 'trial')} so far."
    return "With so many trials, what mattered is measured when the study has ended."
