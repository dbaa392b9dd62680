"""The report's section on what a model takes: the finalists by metric and price, and what the choice has cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from markupsafe import Markup

from tame.core.objectives import LATENCY, MEANS, OBJECTIVES, SIZE, SOONER, Price, shown
from tame.core.result import Result
from tame.core.result_parts import PricedRow, Trade
from tame.report import formats, words
from tame.report.charts import Dot, scatter
from tame.report.search_section import value_range
from tame.report.svg import both

SCALE = {LATENCY: (1e3, "ms"), SIZE: (1e-3, "kB")}  # of the chart: of seconds, and of bytes


@dataclass(frozen=True, slots=True)
class PriceLine:
    """A finalist. said: what it is in this choice."""

    from_trial: int
    value: str
    latency: str
    size: str
    is_winner: bool
    said: str


@dataclass(frozen=True, slots=True)
class TradeSection:
    """said: sentences; by: by what the chart lays the finalists out; means: how each objective is measured."""

    said: list[str]
    chart: Markup
    by: str
    means: str
    rows: list[PriceLine]


def of_trade(result: Result) -> TradeSection | None:
    """What the templates print; None where it was not asked what a model takes."""
    about = result.trade
    if about is None:
        return None
    means = "; ".join(f"{name} is {MEANS[name]}" for name in OBJECTIVES)
    rows = sorted(about.rows, key=lambda each: (_price(each).of(about.by), each.from_trial))
    return TradeSection(
        said=sentences(result), chart=_chart(result, about), by=about.by, means=means,
        rows=[_line(result, about, each) for each in rows],
    )  # fmt: skip


def sentences(result: Result) -> list[str]:
    """What the choice was, and what it has cost; none where it was not asked for."""
    about = result.trade
    if about is None:
        return []
    own = Price(about.latency_s, about.size_bytes)
    takes = " and ".join(_of_limit(name, own, about) for name in OBJECTIVES)
    found = [f"one example alone takes the delivered model {takes}"]
    if about.objective is not None:
        found.append(_chosen(result, about))
    out = [each for each in about.rows if not each.is_within]
    if out:
        many = formats.count(len(out), "finalist")
        found.append(f"{many} of {len(about.rows)} {_takes(len(out))} more than the limit and could not win")
        if about.objective is None and about.instead_of is not None:
            found.append(_price_of_choice(result, about, about.by))
    return [formats.sentence(each) for each in found]


def _takes(many: int) -> str:
    return "takes" if many == 1 else "take"


def _of_limit(name: str, own: Price, about: Trade) -> str:
    said = shown(name, own.of(name)) + ("" if name == LATENCY else " on disk")
    return f"{said} (limit {shown(name, about.limits[name])})" if name in about.limits else said


def _chosen(result: Result, about: Trade) -> str:
    metric, name = formats.metric_name(result.metric), about.objective or ""
    if about.instead_of is None:
        return f"trial {result.winner.from_trial} has the best {metric}, and nothing about as good has less {name}"
    return f"trial {result.winner.from_trial} was chosen for its {name}: {_price_of_choice(result, about, name)}"


def _price_of_choice(result: Result, about: Trade, name: str) -> str:
    """How much less the winner takes than the one with the better metric, and how much worse it is."""
    rows = {each.from_trial: _price(each) for each in about.rows}
    own, other = rows[result.winner.from_trial].of(name), rows[about.instead_of or 0].of(name)
    metric, best = formats.metric_name(result.metric), f"trial {about.instead_of}"
    less = f"{other / own:.1f} times {SOONER[name]}" if other >= 2 * own else f"{100 * (1 - own / other):.0f} % less"
    found = f"{shown(name, own)}, where {best}, which has the best {metric}, takes {shown(name, other)} ({less})"
    if about.difference is None:
        return found
    return f"{found}. Its {metric} on the validation part: {words.comparison(result.metric, about.difference, best)}"


def _line(result: Result, about: Trade, each: PricedRow) -> PriceLine:
    own, is_winner = _price(each), each.from_trial == result.winner.from_trial
    said = "" if each.is_on_front else "another is as good and takes less"
    if not each.is_within:
        said = "over the limit"
    elif is_winner:
        said = "the winner"
    elif each.from_trial == about.instead_of:
        said = f"the best {formats.metric_name(result.metric)}"
    return PriceLine(
        each.from_trial, formats.shown(result.metric, each.value), shown(LATENCY, own.latency_s),
        shown(SIZE, own.size_bytes), is_winner, said,
    )  # fmt: skip


def _price(each: PricedRow) -> Price:
    return Price(each.latency_s, each.size_bytes)


def _chart(result: Result, about: Trade) -> Markup:
    """The finalists by price and metric; those on the front have a number."""
    factor, unit = SCALE[about.by]
    low, high = value_range(result.metric, [each.value for each in about.rows])
    dots = [
        Dot(
            factor * _price(each).of(about.by), each.value,
            "winner" if each.from_trial == result.winner.from_trial else "finalist" if each.is_within else "plain",
            f"trial {each.from_trial}" if each.is_on_front else "",
            f"trial {each.from_trial}: {formats.shown(result.metric, each.value)}, "
            f"{shown(about.by, _price(each).of(about.by))}",
        )
        for each in about.rows
    ]  # fmt: skip
    return both("trade", partial(
        scatter, dots, title=f"Validation {formats.metric_name(result.metric)} and {about.by} of the finalists",
        desc="; ".join(dot.note for dot in dots), x_label=f"{about.by}, {unit}, log scale",
        y_label=f"validation {formats.metric_name(result.metric)}", low=low, high=high, height=280,
    ))  # fmt: skip
