"""Charts as inline SVG: pure functions from values to text. Colours come from the page's style, by class.

Colour never carries meaning alone: kinds also differ in dash, shape or label. Every chart has a title and a
description for screen readers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

from tame.report.formats import compact, number
from tame.report.svg import Scale, grid_across, grid_down, moves, svg, tag

Kind = Literal["winner", "each", "default", "dummy", "valid", "train", "finalist", "faint", "plain", "lost"]
MOST_POINTS = 80  # per line; a chart has no pixels to show more
LINE_HEIGHT = 15  # pixels between two labels at the end of lines


@dataclass(frozen=True, slots=True)
class Row:
    """One value of an interval plot. `note` is printed to its right."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""
    kind: Kind = "plain"
    dots: tuple[float, ...] = ()  # single measurements behind the value


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot over epochs; a point without a value breaks it."""

    points: tuple[tuple[float, float | None], ...]
    kind: Kind = "faint"
    label: str = ""


@dataclass(frozen=True, slots=True)
class Dot:
    """One mark of a scatter plot. y: None if there is no value; drawn on the upper edge."""

    x: float
    y: float | None
    kind: Kind = "plain"
    label: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Spot:
    """One point of an agreement plot, in which x and y should be equal; low and high: the interval of y."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""


def intervals(
    rows: Sequence[Row],
    *,
    name: str,
    title: str,
    desc: str,
    low: float,
    high: float,
    width: int = 560,
    label_width: int = 150,
    note_width: int = 56,
    row_height: int = 40,
    zero: bool = False,
    show: Callable[[float | None], str] = number,
    x_label: str = "",
) -> Markup:
    """Values with their intervals, one per row, on a common scale. `zero` draws the line of no difference.

    show: how a value is written.
    """
    scale = Scale(low, high, label_width, width - note_width - 14)
    bottom = row_height * len(rows) + 6
    parts = [grid_down(scale, 4, bottom, 5)]
    if zero and low <= 0 <= high:
        parts.append(tag("line", x1=scale.at(0), x2=scale.at(0), y1=0, y2=bottom, class_="zero"))
    for place, row in enumerate(rows):
        parts.append(_interval(row, scale, y=row_height * (place + 0.5) + 2, width=width, show=show))
    if x_label:
        middle = (scale.start + scale.end) / 2
        parts.append(tag("text", x_label, x=middle, y=bottom + 38, class_="axis name", text_anchor="middle"))
    return svg(name, width, bottom + (44 if x_label else 24), title, desc, *parts)


def curves(
    lines: Sequence[Line],
    *,
    name: str,
    title: str,
    desc: str,
    low: float,
    high: float,
    y_label: str,
    width: int = 1040,
    height: int = 340,
    label_width: int = 150,
) -> Markup:
    """Lines over epochs, cut off at the edge of the frame. Each label stands at the end of its line."""
    last = max((point[0] for line in lines for point in line.points), default=1)
    left, top, right, bottom = 52, 26, width - label_width, height - 40
    x = Scale(1, max(last, 2), left, right)
    y = Scale(low, high, bottom, top)
    inside = [tag("path", d=_path(line.points, x, y), class_=f"line {line.kind}") for line in _behind(lines)]
    dots = [_lonely(line, x, y) for line in lines if len(line.points) == 1]
    framed = tag(
        "svg",
        *inside,
        *dots,
        x=left,
        y=top - 2,
        width=right - left + 4,
        height=bottom - top + 4,
        viewBox=f"{left} {top - 2} {right - left + 4} {bottom - top + 4}",
        overflow="hidden",
    )
    axes = [
        grid_across(y, left, right, 5),
        *_epoch_ticks(x, bottom),
        tag("text", y_label, x=0, y=14, class_="axis name"),
        tag("text", "epoch", x=(left + right) / 2, y=height - 4, class_="axis name", text_anchor="middle"),
    ]
    return svg(name, width, height, title, desc, *axes, framed, *_end_labels(lines, x, y))


def scatter(
    dots: Sequence[Dot],
    *,
    name: str,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    high: float,
    low: float = 0.0,
    edges: tuple[float, float] | None = None,
    width: int = 1040,
    height: int = 320,
) -> Markup:
    """Marks over a log axis, with the edges of the searched range. Values above `high` lie on the upper edge."""
    xs = [dot.x for dot in dots if dot.x > 0] + list(edges or ())
    left, top, right, bottom = 52, 52, width - 20, height - 44
    x = Scale(min(xs, default=1e-3) / 1.25, max(xs, default=1e-1) * 1.25, left, right, log=True)
    y = Scale(low, high, bottom, top)
    parts = [grid_across(y, left, right, 5)]
    parts += [
        tag("text", compact(float(tick)), x=x.at(tick), y=bottom + 18, class_="axis", text_anchor="middle")
        for tick in x.ticks(7)
    ]
    for edge, anchor, shift in zip(edges or (), ("start", "end"), (6, -6), strict=False):
        parts.append(tag("line", x1=x.at(edge), x2=x.at(edge), y1=top - 18, y2=bottom, class_="edge"))
        words = "edge of the space"
        parts.append(tag("text", words, x=x.at(edge) + shift, y=top - 12, class_="axis", text_anchor=anchor))
    parts += [_mark(dot, x, y) for dot in sorted(dots, key=lambda dot: dot.kind in ("winner", "default"))]
    parts.append(tag("text", y_label, x=0, y=14, class_="axis name"))
    parts.append(tag("text", x_label, x=(left + right) / 2, y=height - 4, class_="axis name", text_anchor="middle"))
    return svg(name, width, height, title, desc, *parts)


def agreement(
    spots: Sequence[Spot],
    *,
    name: str,
    title: str,
    desc: str,
    x_label: str,
    y_label: str,
    low: float,
    high: float,
    width: int = 520,
    height: int = 440,
) -> Markup:
    """Points over two equal axes, with the line on which both values are equal. Points outside are crosses."""
    left, top, right, bottom = 68, 26, width - 30, height - 44
    x, y = Scale(low, high, left, right), Scale(low, high, bottom, top)
    parts = [grid_across(y, left, right, 6), grid_down(x, top, bottom, 6)]
    parts.append(tag("line", x1=left, y1=bottom, x2=right, y2=top, class_="edge"))
    parts += [_spot(spot, x, y) for spot in spots]
    parts.append(tag("text", y_label, x=0, y=14, class_="axis name"))
    parts.append(tag("text", x_label, x=(left + right) / 2, y=height - 4, class_="axis name", text_anchor="middle"))
    return svg(name, width, height, title, desc, *parts)


def shares(parts: Sequence[tuple[str, int, str]], *, name: str, title: str, desc: str, width: int = 1040) -> Markup:
    """A bar of counts, each part with its label below. parts: label, count, class."""
    total, at, drawn = sum(amount for _, amount, _ in parts), 0.0, []
    free_from = 0.0
    for label, amount, kind in parts:
        wide = width * amount / max(total, 1)
        drawn.append(tag("rect", x=at, y=0, width=max(wide - 2, 1), height=12, class_=f"share {kind}"))
        words = f"{label} {amount:,}"
        start = min(max(at, free_from), width - 7.5 * len(words))
        drawn.append(tag("text", words, x=max(start, 0), y=31, class_="axis strong"))
        free_from = start + 7.5 * len(words) + 14
        at += wide
    return svg(name, width, 40, title, desc, *drawn)


def thinned(points: Sequence[tuple[float, float | None]]) -> tuple[tuple[float, float | None], ...]:
    """At most MOST_POINTS of the points, first and last among them."""
    if len(points) <= MOST_POINTS:
        return tuple(points)
    step = (len(points) - 1) / (MOST_POINTS - 1)
    return tuple(points[round(i * step)] for i in range(MOST_POINTS))


def _interval(row: Row, scale: Scale, *, y: float, width: int, show: Callable[[float | None], str]) -> Markup:
    most = max(6, round((scale.start - 12) / 6.6))
    label = row.label if len(row.label) <= most else f"{row.label[: most - 1]}…"
    parts = [tag("text", label, x=0, y=y + 4.5, class_="label", unicode_bidi="isolate")]
    if row.low is not None and row.high is not None:
        ends = scale.at(max(row.low, scale.low)), scale.at(min(row.high, scale.high))
        parts.append(tag("line", x1=ends[0], x2=ends[1], y1=y, y2=y, class_="span"))
        parts += [tag("line", x1=end, x2=end, y1=y - 5, y2=y + 5, class_="cap") for end in ends]
    parts += [
        tag("line", x1=scale.at(dot), x2=scale.at(dot), y1=y - 8, y2=y + 8, class_="tick")
        for dot in row.dots
        if scale.low <= dot <= scale.high
    ]
    if row.value is not None:
        parts.append(_shape(row.kind, scale.at(min(max(row.value, scale.low), scale.high)), y, 6))
    parts.append(tag("text", row.note, x=width, y=y + 4.5, class_="note", text_anchor="end"))
    said = f"{row.label}: {show(row.value)}"
    if row.low is not None and row.high is not None:
        said += f" ({show(row.low)} to {show(row.high)})"
    return tag("g", tag("title", said), *parts, class_=f"row {row.kind}")


def _mark(dot: Dot, x: Scale, y: Scale) -> Markup:
    is_out = dot.y is None or dot.y > y.high
    at = (x.at(max(dot.x, x.low)), y.end if dot.y is None or is_out else y.at(max(dot.y, y.low)))
    kind: Kind = "lost" if is_out and dot.kind not in ("winner", "default") else dot.kind
    parts = [tag("title", dot.note), _shape(kind, *at, 6.5 if dot.kind in ("winner", "default") else 4)]
    if dot.label:
        # The winner has the lowest losses, so there is room below it; for the others there is room above.
        place = (min(max(at[0], x.start + 50), x.end - 50), at[1] + (21 if dot.kind == "winner" else -12))
        parts.append(tag("text", dot.label, x=place[0], y=place[1], class_="label halo", text_anchor="middle"))
    return tag("g", *parts, class_=f"mark {kind}")


def _spot(spot: Spot, x: Scale, y: Scale) -> Markup:
    across, up = x.at(min(max(spot.x, x.low), x.high)), y.at(min(max(spot.y, y.low), y.high))
    parts = [tag("title", spot.note)] if spot.note else []
    if spot.low is not None and spot.high is not None:
        ends = (y.at(max(spot.low, y.low)), y.at(min(spot.high, y.high)))
        parts.append(tag("line", x1=across, x2=across, y1=ends[0], y2=ends[1], class_="span"))
    if x.low <= spot.x <= x.high and y.low <= spot.y <= y.high:
        size = 3.0 if spot.low is None else 5.0
        parts.append(tag("circle", cx=across, cy=up, r=size, class_="dot"))
        return tag("g", *parts, class_="spot" if spot.low is None else "row winner")
    return tag("g", *parts, _shape("lost", across, up, 4), class_="spot")


def _shape(kind: Kind, x: float, y: float, size: float) -> Markup:
    """A disc; a diamond for the default recipe, a square for the dummy, a ring for validation, a cross for lost."""
    if kind == "default":
        far = size * 1.15
        return tag("path", d=moves([(x, y - far), (x + far, y), (x, y + far), (x - far, y)]) + "Z", class_="dot")
    if kind == "dummy":
        side = size * 1.6
        return tag("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_="dot")
    if kind == "lost":
        first = moves([(x - size, y - size), (x + size, y + size)])
        return tag("path", d=first + moves([(x - size, y + size), (x + size, y - size)]), class_="cross")
    return tag("circle", cx=x, cy=y, r=size, class_="dot")


def _behind(lines: Sequence[Line]) -> list[Line]:
    """The lines in drawing order, the most important last."""
    order = {"faint": 0, "finalist": 1, "default": 2, "train": 3, "valid": 4, "winner": 4}
    return sorted((line for line in lines if len(line.points) > 1), key=lambda line: order.get(line.kind, 0))


def _lonely(line: Line, x: Scale, y: Scale) -> Markup:
    epoch, value = line.points[0]
    if value is None:
        return Markup()
    return tag("circle", cx=x.at(epoch), cy=y.at(value), r=2.5, class_=f"lone {line.kind}")


def _path(points: Sequence[tuple[float, float | None]], x: Scale, y: Scale) -> str:
    """The points as a path, broken where a value is missing. Pixels far outside the frame are clamped."""
    drawn, run = "", list[tuple[float, float]]()
    for epoch, value in [*thinned(points), (0.0, None)]:
        if value is None or not math.isfinite(value):
            drawn += moves(run)
            run = []
        else:
            run.append((x.at(epoch), min(max(y.at(value), -1000.0), 5000.0)))
    return drawn


def _end_labels(lines: Sequence[Line], x: Scale, y: Scale) -> list[Markup]:
    """The labels of lines, pushed apart where they would overlap, each connected to the end of its line."""
    ends = []
    for line in lines:
        known = [(epoch, value) for epoch, value in line.points if value is not None and math.isfinite(value)]
        if line.label and known:
            epoch, value = known[-1]
            ends.append((min(max(y.at(value), y.end), y.start), x.at(epoch), line))
    ends.sort(key=lambda end: end[0])
    places: list[float] = []
    for height, _, _ in ends:
        places.append(max(height, places[-1] + LINE_HEIGHT) if places else height)
    over = max(0.0, places[-1] - y.start) if places else 0.0
    for i in range(len(places) - 1, -1, -1):
        limit = y.start if i == len(places) - 1 else places[i + 1] - LINE_HEIGHT
        places[i] = min(places[i], limit) if over else places[i]
    found = []
    for place, (height, end, line) in zip(places, ends, strict=True):
        joint = moves([(end + 2, height), (x.end + 10, place), (x.end + 16, place)])
        found.append(tag("path", d=joint, class_=f"joint {line.kind}"))
        found.append(tag("text", line.label, x=x.end + 20, y=place + 4, class_=f"label of-{line.kind}"))
    return found


def _epoch_ticks(x: Scale, bottom: float) -> Iterable[Markup]:
    whole = [tick for tick in x.ticks(8) if tick == int(tick)]
    near = (x.high - x.low) / 12
    for tick in sorted({1.0, *(tick for tick in whole if tick - 1 > near)}):
        yield tag("text", f"{tick:g}", x=x.at(tick), y=bottom + 18, class_="axis", text_anchor="middle")
