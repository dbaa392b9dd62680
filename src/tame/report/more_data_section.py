"""The report's section on what more examples would be worth, and for which class."""

from __future__ import annotations

from dataclasses import dataclass

from tame.core.result import Result
from tame.core.result_parts import ClassGrowth, MoreData, SharePoint
from tame.report import formats, words


@dataclass(frozen=True, slots=True)
class PointRow:
    """A share of the examples, and the loss of a network that was trained on it."""

    share: str
    examples: str
    loss: str
    span: str


@dataclass(frozen=True, slots=True)
class GrowthRow:
    """A class at each share, and what the last doubling has gained it."""

    name: str
    examples: str
    recognised: list[str]
    gain: str
    span: str


@dataclass(frozen=True, slots=True)
class MoreDataSection:
    """said: in a sentence, also why it is not known; about_classes: which one gains; heads: of the shares."""

    said: str
    about_classes: str
    loss: str
    points: list[PointRow]
    heads: list[str]
    classes: list[GrowthRow]


MOST_CLASSES = 30


def of_more_data(result: Result) -> MoreDataSection | None:
    """What the templates print; None where it was not asked for."""
    about = result.more_data
    if about is None:
        return None
    return MoreDataSection(
        said=in_words(result, about),
        about_classes=_about_classes(about),
        loss=formats.metric_name(about.metric),
        points=[_point(each, about.metric) for each in about.points],
        heads=[_percent(each.share) for each in about.points],
        classes=[_growth(each) for each in about.classes[:MOST_CLASSES]],
    )


def in_words(result: Result, about: MoreData) -> str:
    """What twice as many examples would be worth."""
    many = words.noun(result.kind)
    if about.gain is None:
        return f"whether more {many} would help is not known: {about.why}"
    gain, loss = about.gain, formats.metric_name(about.metric)
    value, low, high = (formats.shown(about.metric, each) for each in (gain.value, gain.low, gain.high))
    change = f"{value} ({low} to {high})"
    if gain.low > 0:
        return f"twice as many training {many} would probably lower the {loss} by about {change}"
    return f"that twice as many training {many} would lower the {loss} is not shown: by about {change}"


def _about_classes(about: MoreData) -> str:
    gaining = [each for each in about.classes if each.low > 0]
    if not about.classes:
        return ""
    if not gaining:
        return "no class is shown to gain from more of its examples"
    best = gaining[0]
    name = formats.inert(formats.short(best.name, 40))
    return (
        f"the class that gained most from the last doubling is {name}: {_percent(best.recognised[-2])} of it were "
        f"recognised before, and {_percent(best.recognised[-1])} after it"
    )


def _point(each: SharePoint, metric: str) -> PointRow:
    low, high = formats.shown(metric, each.low), formats.shown(metric, each.high)
    return PointRow(_percent(each.share), f"{each.examples:,}", formats.shown(metric, each.loss), f"{low} to {high}")


def _growth(each: ClassGrowth) -> GrowthRow:
    gain, low, high = (formats.signed(100 * value, 1) for value in (each.gain, each.low, each.high))
    return GrowthRow(each.name, f"{each.examples:,}", list(map(_percent, each.recognised)), gain, f"{low} to {high}")


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
