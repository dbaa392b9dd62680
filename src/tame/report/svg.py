"""The basis of all charts: SVG elements as text, scales from values to pixels, grids. All text is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from markupsafe import Markup, escape

from tame.report.formats import compact, inert, number

WIDE, HALF, NARROW = 920, 446, 350  # pixels of a chart: of the whole page, of half of it, of a telephone


class Draw(Protocol):
    """Draws a chart under this name; narrow: for a telephone."""

    def __call__(self, *, name: str, narrow: bool) -> Markup: ...


def both(name: str, draw: Draw) -> Markup:
    """A chart in two widths, so that its texts can be read on a telephone too; the page's style shows one of them."""
    broad, slim = draw(name=name, narrow=False), draw(name=f"{name}-narrow", narrow=True)
    return tag("div", broad, class_="broad") + tag("div", slim, class_="slim")


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to pixels."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        low, high, own = self.low, self.high, value
        if self.log:
            low, high, own = math.log(low), math.log(high), math.log(max(value, 1e-300))
        share = (own - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int) -> list[float]:
        """Round values inside the scale, about `about` of them."""
        return _log_ticks(self.low, self.high, about) if self.log else _ticks(self.low, self.high, about)


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element. All text in it is made inert and escaped, unless it is our own markup."""
    own = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_safe(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = "".join(child if isinstance(child, Markup) else _safe(child) for child in children)
    return Markup(f"<{name}{own}>{inside}</{name}>")  # noqa: S704  both parts were escaped above


def svg(name: str, width: float, height: float, title: str, desc: str, *parts: Markup) -> Markup:
    heads = (tag("title", title, id=f"{name}-title"), tag("desc", desc, id=f"{name}-desc"))
    return tag(
        "svg",
        *heads,
        *parts,
        role="img",
        class_="chart",
        viewBox=f"0 0 {plain(width)} {plain(height)}",
        width=width,
        height=height,
        aria_labelledby=f"{name}-title {name}-desc",
    )


def text(words: str, x: float, y: float, *, anchor: str = "start", kind: str = "axis") -> Markup:
    return tag("text", words, x=x, y=y, class_=kind, text_anchor=anchor)


def moves(points: Sequence[tuple[float, float]]) -> str:
    if not points:
        return ""
    return "M" + "L".join(f"{plain(px)} {plain(py)}" for px, py in points)


def grid_across(y: Scale, left: float, right: float, about: int) -> Markup:
    drawn: list[Markup] = []
    for tick in y.ticks(about):
        drawn.append(tag("line", x1=left, x2=right, y1=y.at(tick), y2=y.at(tick), class_="grid"))
        words = _tick_words(tick, y)
        drawn.append(tag("text", words, x=left - 8, y=y.at(tick) + 4, class_="axis", text_anchor="end"))
    return tag("g", *drawn)


def grid_down(x: Scale, top: float, bottom: float, about: int) -> Markup:
    drawn: list[Markup] = []
    for tick in x.ticks(about):
        drawn.append(tag("line", x1=x.at(tick), x2=x.at(tick), y1=top, y2=bottom, class_="grid"))
        words = _tick_words(tick, x)
        drawn.append(tag("text", words, x=x.at(tick), y=bottom + 17, class_="axis", text_anchor="middle"))
    return tag("g", *drawn)


def _tick_words(tick: float, scale: Scale) -> str:
    step = (scale.high - scale.low) / 5
    digits = max(0, -math.floor(math.log10(step)) if step > 0 else 0)
    if digits > 4 or max(abs(scale.low), abs(scale.high)) >= 1e7:
        return compact(float(tick))
    return number(tick, digits)


def _ticks(low: float, high: float, about: int) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten inside the range."""
    rough = (high - low) / max(about, 1)
    if not rough > 0 or not math.isfinite(rough):
        return [low]
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, about: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        found = [f * 10.0**d for d in decades for f in factors if low <= f * 10.0**d <= high]
        if len(found) <= about * 1.5:
            return found
    return found[:: max(1, len(found) // about)]


def _safe(value: object) -> str:
    return str(escape(inert(plain(value))))


def plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0") if math.isfinite(value) else "0"
    return str(value)
