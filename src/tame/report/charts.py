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
from tame.report.svg import NARROW, WIDE, Scale, grid_across, grid_down, moves, svg, tag, text

Kind = Literal["winner", "each", "default", "dummy", "valid", "train", "finalist", "faint", "plain", "lost", "above"]
MOST_POINTS, NARROW_POINTS = 80, 40  # per line; a chart has no pixels to show more
LINE_HEIGHT = 15  # pixels between two labels at the end of lines
LETTER = 6.6  # pixels of a letter, about


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
    """One mark of a scatter plot. y: None if there is no value: a cross on the upper edge. Above it: an arrow."""

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
    show: Callable[[float | None], str] = number,
    x_label: str = "",
    narrow: bool = False,
) -> Markup:
    """Values with their intervals, one per row, on a common scale.

    show: how a value is written; narrow: for a telephone, with labels and notes above the values.
    """
    if narrow:
        width, row_height = NARROW, 52
    scale = Scale(low, high, 16, width - 16) if narrow else Scale(low, high, label_width, width - note_width - 14)
    bottom = row_height * len(rows) + 6
    parts = [grid_down(scale, 4, bottom, 5)]
    for place, row in enumerate(rows):
        y, above = row_height * (place + (0.7 if narrow else 0.5)) + 2, 22.0 if narrow else 0.0
        parts.append(_interval(row, scale, y=y, above=above, width=width, show=show))
    if x_label:
        parts.append(text(x_label, (scale.start + scale.end) / 2, bottom + 38, anchor="middle", kind="axis name"))
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
    width: int = WIDE,
    height: int = 320,
    label_width: int = 136,
    narrow: bool = False,
) -> Markup:
    """Lines over epochs, cut off at the edge of the frame. Each label stands at the end of its line.

    narrow: for a telephone, with the labels inside the frame, and none of other finalists.
    """
    if narrow:
        width, height, label_width = NARROW, 270, 8
    last = max((point[0] for line in lines for point in line.points), default=1)
    left, top, right, bottom = 52, 26, width - label_width, height - 40
    x = Scale(1, max(last, 2), left, right)
    y = Scale(low, high, bottom, top)
    most = NARROW_POINTS if narrow else MOST_POINTS
    inside = [tag("path", d=_path(line.points, x, y, most), class_=f"line {line.kind}") for line in _behind(lines)]
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
        *_epoch_ticks(x, bottom, 4 if narrow else 8),
        text(y_label, 0, 14, kind="axis name"),
        text("epoch", (left + right) / 2, height - 4, anchor="middle", kind="axis name"),
    ]
    named = [line for line in lines if line.kind != "finalist"] if narrow else lines
    return svg(name, width, height, title, desc, *axes, framed, *_end_labels(named, x, y, inside=narrow))


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
    width: int = WIDE,
    height: int = 320,
    narrow: bool = False,
) -> Markup:
    """Marks over a log axis, with the edges of the searched range. Values above `high` lie on the upper edge.

    narrow: for a telephone.
    """
    width = NARROW if narrow else width
    xs = [dot.x for dot in dots if dot.x > 0] + list(edges or ())
    left, top, right, bottom = 52, 52, width - 20, height - 44
    x = Scale(min(xs, default=1e-3) / 1.25, max(xs, default=1e-1) * 1.25, left, right, log=True)
    y = Scale(low, high, bottom, top)
    parts = [grid_across(y, left, right, 5)]
    parts += [
        text(compact(float(tick)), x.at(tick), bottom + 18, anchor="middle") for tick in x.ticks(3 if narrow else 7)
    ]
    for edge, anchor, shift in zip(edges or (), ("start", "end"), (6, -6), strict=False):
        parts.append(tag("line", x1=x.at(edge), x2=x.at(edge), y1=top - 18, y2=bottom, class_="edge"))
        parts.append(text("edge of the space", x.at(edge) + shift, top - 12, anchor=anchor))
    parts += [_mark(dot, x, y) for dot in sorted(dots, key=lambda dot: dot.kind in ("winner", "default"))]
    parts.append(text(y_label, 0, 14, kind="axis name"))
    parts.append(text(x_label, (left + right) / 2, height - 4, anchor="middle", kind="axis name"))
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
    width: int = 446,
    height: int = 400,
    narrow: bool = False,
) -> Markup:
    """Points over two equal axes, with the line on which both values are equal. Points outside are crosses.

    narrow: for a telephone.
    """
    width, height = (NARROW, 330) if narrow else (width, height)
    left, top, right, bottom = 68, 26, width - 30, height - 44
    x, y = Scale(low, high, left, right), Scale(low, high, bottom, top)
    parts = [grid_across(y, left, right, 6), grid_down(x, top, bottom, 3 if narrow else 5)]
    parts.append(tag("line", x1=left, y1=bottom, x2=right, y2=top, class_="edge"))
    parts += [_spot(spot, x, y) for spot in spots]
    parts.append(text(y_label, 0, 14, kind="axis name"))
    parts.append(text(x_label, (left + right) / 2, height - 4, anchor="middle", kind="axis name"))
    return svg(name, width, height, title, desc, *parts)


def shares(
    parts: Sequence[tuple[str, int, str]], *, name: str, title: str, desc: str, width: int = WIDE, narrow: bool = False
) -> Markup:
    """A bar of counts, each part with its label below. parts: label, count, class. narrow: with a line per label."""
    width = NARROW if narrow else width
    total, at, drawn, free_from = sum(amount for _, amount, _ in parts), 0.0, [], 0.0
    for place, (label, amount, kind) in enumerate(parts):
        wide = width * amount / max(total, 1)
        drawn.append(tag("rect", x=at, y=0, width=max(wide - 2, 1), height=12, class_=f"share {kind}"))
        words, y = f"{label} {amount:,}", 31 + 20 * place if narrow else 31
        start = 18.0 if narrow else max(min(max(at, free_from), width - 7.5 * len(words)), 0)
        drawn.append(text(words, start, y, kind="axis strong"))
        if narrow:
            drawn.append(tag("rect", x=0, y=y - 10, width=10, height=10, class_=f"share {kind}"))
        free_from = start + 7.5 * len(words) + 14
        at += wide
    return svg(name, width, 20 + 20 * len(parts) if narrow else 40, title, desc, *drawn)


def thinned(
    points: Sequence[tuple[float, float | None]], most: int = MOST_POINTS
) -> tuple[tuple[float, float | None], ...]:
    """At most so many of the points, first and last among them."""
    if len(points) <= most:
        return tuple(points)
    step = (len(points) - 1) / (most - 1)
    return tuple(points[round(i * step)] for i in range(most))


def _interval(
    row: Row, scale: Scale, *, y: float, above: float, width: int, show: Callable[[float | None], str]
) -> Markup:
    """A row. above: how far its label and note stand above its value, 0: on its left and right."""
    room = width - LETTER * len(row.note) if above else scale.start
    most = max(6, round((room - 12) / LETTER))
    label = row.label if len(row.label) <= most else f"{row.label[: most - 1]}…"
    parts = [tag("text", label, x=0, y=y + 4.5 - above, class_="label", unicode_bidi="isolate")]
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
    parts.append(text(row.note, width, y + 4.5 - above, anchor="end", kind="note"))
    said = f"{row.label}: {show(row.value)}"
    if row.low is not None and row.high is not None:
        said += f" ({show(row.low)} to {show(row.high)})"
    return tag("g", tag("title", said), *parts, class_=f"row {row.kind}")


def _mark(dot: Dot, x: Scale, y: Scale) -> Markup:
    at = (x.at(max(dot.x, x.low)), y.end if dot.y is None or dot.y > y.high else y.at(max(dot.y, y.low)))
    out: Kind | None = "lost" if dot.y is None else "above" if dot.y > y.high else None
    kind: Kind = dot.kind if out is None or dot.kind in ("winner", "default") else out
    parts = [tag("title", dot.note), _shape(kind, *at, 6.5 if dot.kind in ("winner", "default") else 4)]
    if dot.label:
        # The winner has the lowest losses, so there is room below it; for the others there is room above.
        half = LETTER * len(dot.label) / 2
        place = (min(max(at[0], x.start + half), x.end - half), at[1] + (21 if dot.kind == "winner" else -12))
        parts.append(text(dot.label, *place, anchor="middle", kind="label halo"))
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
    """A disc; a diamond for the default recipe, a square for the dummy, a ring for validation; a cross for what is
    lost, an arrow for what lies above the frame."""
    if kind == "default":
        far = size * 1.15
        return tag("path", d=moves([(x, y - far), (x + far, y), (x, y + far), (x - far, y)]) + "Z", class_="dot")
    if kind == "dummy":
        side = size * 1.6
        return tag("rect", x=x - side / 2, y=y - side / 2, width=side, height=side, class_="dot")
    if kind == "lost":
        first = moves([(x - size, y - size), (x + size, y + size)])
        return tag("path", d=first + moves([(x - size, y + size), (x + size, y - size)]), class_="cross")
    if kind == "above":
        return tag("path", d=moves([(x, y - size), (x + size, y + size), (x - size, y + size)]) + "Z", class_="arrow")
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


def _path(points: Sequence[tuple[float, float | None]], x: Scale, y: Scale, most: int) -> str:
    """The points as a path, broken where a value is missing. Pixels far outside the frame are clamped."""
    drawn, run = "", list[tuple[float, float]]()
    for epoch, value in [*thinned(points, most), (0.0, None)]:
        if value is None or not math.isfinite(value):
            drawn += moves(run)
            run = []
        else:
            run.append((x.at(epoch), min(max(y.at(value), -1000.0), 5000.0)))
    return drawn


def _end_labels(lines: Sequence[Line], x: Scale, y: Scale, *, inside: bool) -> list[Markup]:
    """The labels of lines, pushed apart where they would overlap, each connected to the end of its line.

    inside: within the frame, each over the end of its line.
    """
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
        if inside:
            found.append(text(line.label, x.end - 4, place - 5, anchor="end", kind=f"label halo of-{line.kind}"))
            continue
        joint = moves([(end + 2, height), (x.end + 10, place), (x.end + 16, place)])
        found.append(tag("path", d=joint, class_=f"joint {line.kind}"))
        found.append(text(line.label, x.end + 20, place + 4, kind=f"label of-{line.kind}"))
    return found


def _epoch_ticks(x: Scale, bottom: float, about: int) -> Iterable[Markup]:
    whole = [tick for tick in x.ticks(about) if tick == int(tick)]
    near = (x.high - x.low) / 12
    for tick in sorted({1.0, *(tick for tick in whole if tick - 1 > near)}):
        yield text(f"{tick:g}", x.at(tick), bottom + 18, anchor="middle")
