"""The report's section on what mattered in the search: sentences, charts and their values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from tame.core.importance import BestOf, Importances, Isolation, Mattered, Objective
from tame.core.recipe import Value
from tame.core.records import History
from tame.core.result import Result
from tame.core.space import Choice, Dimension, Space
from tame.evaluate.best_of import what_mattered
from tame.evaluate.outcomes import HOW, Outcome, outcomes
from tame.report import formats
from tame.report.charts import Row, intervals
from tame.report.fields import names_of
from tame.report.importance_words import in_words, worth
from tame.report.search_charts import Axis, Part, Strand, best_by_part, best_of_curve, parallel, spread
from tame.report.svg import WIDE, both

MOST_AXES = 8  # of parallel coordinates, the result among them
MOST_STRANDS = 200
BEST_SHARE = 0.1  # of the trials that are highlighted


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportanceSection:
    """What the template prints; a chart is None if there is nothing to draw."""

    words: str
    n: int
    top: int
    importance_chart: Markup | None
    isolation: list[Markup]
    scientific: bool
    parallel_chart: Markup | None
    beyond: str
    best_chart: Markup | None
    worth: str
    caution: str
    how: str


def of_search(result: Result, history: History) -> ImportanceSection:
    """The section "What mattered" of a finished study, from its result; measured now if the result lacks it."""
    space = result.space
    return section(result.mattered or what_mattered(history, space), outcomes(history, space), space)


def section(found: Mattered, trials: Sequence[Outcome], space: Space) -> ImportanceSection:
    """The section "What mattered". trials: the outcomes it was measured on, the best first."""
    about, best = found.importance, found.best_of
    shown = names_of(space.dimensions)
    isolated = [_isolation_chart(found, trials, each, space, shown, i) for i, each in enumerate(found.isolation)]
    return ImportanceSection(
        words=formats.sentence(in_words(about, shown)),
        n=about.n,
        top=about.top,
        importance_chart=_importance_chart(about, shown) if about.each else None,
        isolation=isolated,
        scientific=any(space.purpose(each.name) == "scientific" for each in found.isolation),
        parallel_chart=_parallel_chart(found, trials, space, shown) if about.each else None,
        beyond=beyond(trials, space, shown),
        best_chart=_best_chart(best, trials, found.objective) if best else None,
        worth=formats.sentence(worth(best, found.objective)) if best else "",
        caution=formats.sentence(caution(best)) if best else "",
        how=formats.sentence(HOW),
    )


def beyond(trials: Sequence[Outcome], space: Space, shown: Mapping[str, str]) -> str:
    """The values of the best trial that lie outside their ranges, as "learning rate 0.002"; "" if there are none."""
    if not trials:
        return ""
    own = {name: value for name, value in trials[0].values.items() if name in space.dimensions}
    outside = {
        name: value
        for name, value in own.items()
        if not isinstance(dim := space.dimensions[name], Choice) and not dim.low <= float(value) <= dim.high
    }
    return ", ".join(f"{shown[name]} {formats.compact(value)} of the best trial" for name, value in outside.items())


def _importance_chart(about: Importances, shown: Mapping[str, str]) -> Markup:
    rows = [
        Row(shown[one.name], one.value, one.low, one.high, f"{100 * one.value:.0f} %",
            "winner" if one.is_shown else "plain")
        for one in about.each
    ]  # fmt: skip
    return both("importance", partial(
        intervals, rows, title="Importance of each hyperparameter",
        desc="; ".join(f"{row.label} {row.note}" for row in rows), low=0.0,
        high=min(1.0, 1.05 * max(one.high for one in about.each)), width=WIDE, label_width=200,
        row_height=30, show=partial(formats.number, digits=2), x_label="share of the importance",
    ))  # fmt: skip


def _isolation_chart(
    found: Mattered, trials: Sequence[Outcome], each: Isolation, space: Space, shown: Mapping[str, str], place: int
) -> Markup:
    low, high = _frame_of_parts(found, trials)
    dim, what = space.dimensions[each.name], found.metric
    far = "trained to the end" if any(one.is_complete for one in trials) else "trained as far as any, none to the end"
    parts = []
    for b in each.buckets:
        own = formats.compact(b.value) if b.value is not None else _between(dim, b.start, b.end)
        said = f"{own}: best {formats.significant(b.best)} of {formats.count(b.n, 'trial')}, {b.final} {far}"
        parts.append(Part(b.start, b.end, b.best, b.low, b.high, not b.final, own, said))
    chosen = isinstance(dim, Choice)
    middles = [((part.start + part.end) / 2, part.label) for part in parts]
    ends = [(u, formats.compact(dim.at(u))) for u in (0.0, 0.5, 1.0)]
    return best_by_part(
        parts, middles if chosen else ends, name=f"isolation-{place}", low=low, high=high,
        title=f"Best {what} for each part of {shown[each.name]}", desc="; ".join(part.note for part in parts),
        x_label=shown[each.name], y_label=f"best {what}",
    )  # fmt: skip


def _frame(trials: Sequence[Outcome], objective: Objective) -> tuple[float, float]:
    """A range for the results of trials, without the worst few, in the objective's own direction."""
    losses = sorted(each.loss for each in trials if math.isfinite(each.loss))
    if not losses:
        return 0.0, 1.0
    ends = losses[0], losses[int(0.9 * (len(losses) - 1))]
    air = 0.08 * (ends[1] - ends[0]) or 0.05 * abs(ends[0]) or 0.05
    low, high = sorted(objective.shown(end) for end in (ends[0] - air, ends[1] + air))
    return low, high


def _frame_of_parts(found: Mattered, trials: Sequence[Outcome]) -> tuple[float, float]:
    """A range for the best of every part, the same in all plots, so that they can be compared."""
    low, high = _frame(trials, found.objective)
    parts = [bucket for each in found.isolation for bucket in each.buckets]
    ends = [v for bucket in parts for v in (bucket.best, bucket.low, bucket.high) if v is not None]
    if not ends:
        return low, high
    air = 0.08 * (max(ends) - min(ends)) or 0.05 * abs(max(ends)) or 0.05
    return max(low, min(ends) - air), min(high, max(ends) + air)


def _between(dim: Dimension, start: float, end: float) -> str:
    return f"{formats.compact(dim.at(start))} to {formats.compact(dim.at(end))}"


def _parallel_chart(found: Mattered, every: Sequence[Outcome], space: Space, shown: Mapping[str, str]) -> Markup:
    own = [one.name for one in found.importance.each][: MOST_AXES - 1]
    objective = found.objective
    low, high = _frame(every, objective)
    axes = [Axis(shown[name], tuple(_ticks(space.dimensions[name]))) for name in own]
    ends = tuple((u, formats.significant(low + u * (high - low), 2)) for u in (0.0, 0.5, 1.0))
    axes.append(Axis(objective.name, ends))
    trials = [each for each in every if math.isfinite(each.loss)]
    best = max(1, round(BEST_SHARE * len(trials)))
    rest = trials[best:]
    drawn = [*trials[:best], *rest[:: math.ceil(len(rest) / MOST_STRANDS) or 1]]
    columns = [_places([each.values.get(name) for each in drawn], space.dimensions[name]) for name in own]
    value = [min((objective.shown(each.loss) - low) / (high - low), 1.0) for each in drawn]
    strands = [
        Strand(
            (*(column[i] for column in columns), max(value[i], 0.0)),
            "winner" if i == 0 else "finalist" if i < best else "faint",
            f"trial {each.number}: {objective.name} {formats.significant(objective.shown(each.loss))}",
        )
        for i, each in enumerate(drawn)
    ]
    return both("parallel", partial(
        parallel, strands, axes, title="All trials: the fields that mattered, and the result",
        desc="Each line is a trial; the best is thick, the best tenth is dark, the others are faint.",
    ))  # fmt: skip


def _ticks(dim: Dimension) -> list[tuple[float, str]]:
    if not isinstance(dim, Choice):
        return [(u, formats.compact(dim.at(u))) for u in (0.0, 0.5, 1.0)]
    values = dim.values
    return [((i + 0.5) / len(values), formats.compact(value)) for i, value in enumerate(values)]


def _places(values: Sequence[Value | None], dim: Dimension) -> list[float | None]:
    """Where values lie on an axis; those of a choice are moved apart, and unknown ones are left out."""
    if not isinstance(dim, Choice):
        return [None if value is None else dim.where(value) for value in values]
    known = [i for i, value in enumerate(values) if value is not None and dim.holds(value)]
    apart = dict(zip(known, spread([dim.where(values[i]) for i in known]), strict=True))
    return [apart.get(i) for i in range(len(values))]


def _best_chart(about: BestOf, trials: Sequence[Outcome], objective: Objective) -> Markup:
    low, high = _frame(trials, objective)
    rising = objective.sign < 0
    best = objective.shown(trials[0].loss)
    return both("best-of", partial(
        best_of_curve, about.sizes, about.median, about.low, about.high, made=about.n, best=best, floor=low,
        ceiling=high, title="The best of n trials",
        desc=f"Median best {objective.name} of n trials with its 95 % band; the best of the {about.n} trials of "
        f"this study has {formats.significant(best)}.", y_label=f"best {objective.name}", rising=rising,
    ))  # fmt: skip


def caution(about: BestOf) -> str:
    """What the band means if some trials were not drawn at random; "" if all were."""
    other = about.n - about.drawn
    if not other:
        return ""
    were = "was" if other == 1 else "were"
    return (
        f"{other:,} of the {about.n:,} trials {were} not drawn at random, as far as is known (the default, known good "
        "recipes, proposals based on earlier trials, imported trials). The curve and its band therefore describe "
        "redrawing from this list; a search that learns from its trials may gain more"
    )
