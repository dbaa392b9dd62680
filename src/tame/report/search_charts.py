"""Charts of what mattered in a search: isolation, parallel coordinates, best of n trials. Pure, as in charts.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tame.report.svg import NARROW, WIDE, Scale, grid_across, moves, svg, tag, text

MOST_LETTERS = 20  # of a label below or beside an axis
NARROW_AXES = 3  # of parallel coordinates on a telephone, besides the result


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an axis with its best value and band; hollow: no trial in it was trained to the end."""

    start: float  # of the axis, in [0, 1]
    end: float
    best: float | None
    low: float | None
    high: float | None
    hollow: bool
    label: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of parallel coordinates. ticks: places in [0, 1] with their labels."""

    label: str
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Strand:
    """A trial over all axes: places in [0, 1], None if the trial has no value on an axis."""

    places: tuple[float | None, ...]
    kind: str = "faint"  # faint, finalist or winner
    note: str = ""


def best_by_part(
    parts: Sequence[Part],
    ticks: Sequence[tuple[float, str]],
    *,
    name: str,
    title: str,
    desc: str,
    low: float,
    high: float,
    x_label: str,
    y_label: str,
    width: int = 290,
    height: int = 232,
) -> Markup:
    """The best value in each part of an axis, with its band. ticks: places in [0, 1] and their labels.

    Values outside the frame are drawn on its edge.
    """
    left, top, right, bottom = 48, 28, width - 8, height - 44
    x, y = Scale(0, 1, left, right), Scale(low, high, bottom, top)
    drawn = [grid_across(y, left, right, 4)]
    for place, words in ticks:
        anchor = "start" if place <= 0.01 else "end" if place >= 0.99 else "middle"
        drawn.append(text(_short(words), x.at(place), bottom + 17, anchor=anchor))
    drawn += [_part(part, x, y) for part in parts]
    drawn.append(tag("text", y_label, x=0, y=14, class_="axis name"))
    drawn.append(tag("text", x_label, x=(left + right) / 2, y=height - 5, class_="axis strong", text_anchor="middle"))
    return svg(name, width, height, title, desc, *drawn)


def parallel(
    strands: Sequence[Strand],
    axes: Sequence[Axis],
    *,
    name: str,
    title: str,
    desc: str,
    width: int = WIDE,
    height: int = 340,
    narrow: bool = False,
) -> Markup:
    """Each trial as a line over one axis per field; the last axis is the result. narrow: only the first few fields.

    Source: Inselberg, The plane with parallel coordinates (1985).
    """
    if narrow:
        width, kept = NARROW, [*range(len(axes) - 1)[:NARROW_AXES], len(axes) - 1]
        axes = [axes[i] for i in kept]
        strands = [Strand(tuple(each.places[i] for i in kept), each.kind, each.note) for each in strands]
    left, top, right, bottom = 40 if narrow else 56, 50 if narrow else 34, width - (54 if narrow else 84), height - 22
    across = Scale(0, max(len(axes) - 1, 1), left, right)
    y = Scale(0, 1, bottom, top)
    order = {"faint": 0, "finalist": 1, "winner": 2}
    drawn = [_strand(each, across, y) for each in sorted(strands, key=lambda each: order[each.kind])]
    for place, axis in enumerate(axes):
        at = across.at(place)
        drawn.append(tag("line", x1=at, x2=at, y1=top, y2=bottom, class_="post"))
        label = _short(axis.label, 13 if narrow else MOST_LETTERS)
        drawn.append(text(label, at, 14 if place % 2 or not narrow else 28, anchor="middle", kind="axis strong"))
        drawn += [text(_short(words), at + 6, y.at(tick) + 4, kind="axis halo plainly") for tick, words in axis.ticks]
    return svg(name, width, height, title, desc, *drawn)


def best_of_curve(
    sizes: Sequence[int],
    median: Sequence[float],
    low: Sequence[float | None],
    high: Sequence[float],
    *,
    made: int,
    best: float,
    floor: float,
    ceiling: float,
    name: str,
    title: str,
    desc: str,
    y_label: str,
    rising: bool = False,
    width: int = WIDE,
    height: int = 300,
    narrow: bool = False,
) -> Markup:
    """The best of n trials over n, on a logarithmic axis, with its band. made: number of trials; best: the best of all.

    low: if the band has no lower end, it reaches the better end of the axis. rising: higher is better. narrow: for a
    telephone.
    """
    width = NARROW if narrow else width
    left, top, right, bottom = 60, 40, width - (14 if narrow else 150), height - 42
    x, y = Scale(min(sizes), max(sizes), left, right, log=True), Scale(floor, ceiling, bottom, top)

    def at(value: float) -> float:
        return y.at(min(max(value, floor), ceiling))

    open_end = ceiling if rising else floor
    lows = [open_end if value is None else value for value in low]
    there = [(x.at(n), at(v)) for n, v in zip(sizes, high, strict=True)]
    back = [(x.at(n), at(v)) for n, v in zip(sizes, lows, strict=True)]
    drawn = [grid_across(y, left, right, 5)]
    drawn.append(tag("path", d=moves([*there, *reversed(back)]) + "Z", class_="band"))
    drawn += [tag("path", d=moves(edge), class_="band-edge") for edge in (there, back)]
    drawn.append(
        tag("path", d=moves([(x.at(n), at(v)) for n, v in zip(sizes, median, strict=True)]), class_="line winner")
    )
    drawn += [
        text(f"{tick:,.0f}", x.at(tick), bottom + 17, anchor="middle")
        for tick in x.ticks(4 if narrow else 9)
        if tick >= 1
    ]
    drawn.append(tag("line", x1=x.at(made), x2=x.at(made), y1=top - 10, y2=bottom, class_="edge"))
    drawn.append(text(f"{made:,} trials in this study", x.at(made) - 6, top - 14, anchor="end"))
    drawn.append(tag("circle", cx=x.at(made), cy=at(best), r=5, class_="found"))
    end, lift, anchor = (right - 4, -12, "end") if narrow else (right + 8, 4, "start")
    drawn.append(text("median best of n", end, at(median[-1]) + lift, anchor=anchor, kind="label halo of-winner"))
    drawn.append(tag("text", y_label, x=0, y=14, class_="axis name"))
    drawn.append(text("n, the number of trials drawn", (left + right) / 2, height - 4, anchor="middle"))
    return svg(name, width, height, title, desc, *drawn)


def spread(values: Sequence[float]) -> list[float]:
    """The values with equal ones moved apart a little, so that lines through the same place can be told apart."""
    seen: dict[float, int] = {}
    found = []
    for value in values:
        rank = seen[value] = seen.get(value, 0) + 1
        # Multiples of the golden ratio fill the gap evenly, however many there are.
        found.append(value + 0.05 * ((rank * 0.618033988749895) % 1 - 0.5))
    return found


def _part(part: Part, x: Scale, y: Scale) -> Markup:
    if part.best is None:
        return tag("g")
    start, end = x.at(part.start) + 2, x.at(part.end) - 2
    middle = (start + end) / 2
    best = y.at(min(max(part.best, y.low), y.high))
    drawn = [tag("title", part.note)]
    if part.low is not None and part.high is not None:
        ends = sorted(y.at(min(max(v, y.low), y.high)) for v in (part.low, part.high))
        drawn.append(
            tag("rect", x=start, y=ends[0], width=end - start, height=max(ends[1] - ends[0], 1.0), class_="band")
        )
    drawn.append(tag("line", x1=start, x2=end, y1=best, y2=best, class_="span"))
    drawn.append(tag("circle", cx=middle, cy=best, r=4, class_="ring" if part.hollow else "dot"))
    return tag("g", *drawn, class_="row plain" if part.hollow else "row winner")


def _strand(strand: Strand, across: Scale, y: Scale) -> Markup:
    drawn, run = "", list[tuple[float, float]]()
    for place, value in enumerate([*strand.places, None]):
        if value is None or not math.isfinite(value):
            drawn += moves(run)
            run = []
        else:
            run.append((across.at(place), y.at(min(max(value, -0.03), 1.03))))
    return tag("g", tag("title", strand.note), tag("path", d=drawn, class_=f"line {strand.kind}"))


def _short(words: str, most: int = MOST_LETTERS) -> str:
    return words if len(words) <= most else f"{words[: most - 1]}…"
