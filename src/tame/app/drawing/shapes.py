"""Shapes, colours and pens, and the position of a subject in a picture.

A subject is drawn at four times its size and then reduced, on two layers: `body` is shaded as if it were round, `top`
(wings, a blade of grass in front) is not. A subject's own coordinates are in units of its length, with x towards its
head.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

SIZE = 80  # pixels per side
FINE = 4  # a subject is drawn this many times larger, a background half as much
Rng: TypeAlias = np.random.Generator
Points: TypeAlias = NDArray[np.float64]  # (N, 2)
Pixels: TypeAlias = NDArray[np.floating]  # (SIZE, SIZE, channels), 0 to 255
Colour: TypeAlias = tuple[int, ...]  # red, green, blue and perhaps opacity, 0 to 255
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Position of a subject in the picture: x, y and length in pixels, turn in radians, and its distortion."""

    x: float
    y: float
    length: float
    turn: float
    flip: float = 1.0
    squash: float = 1.0
    shear: float = 0.0
    bend: float = 0.0

    def place(self, points: Points | Sequence[Span], *, zoom: int) -> list[float]:
        """The points, in the subject's lengths, as x, y, x, y, ... on a layer `zoom` times finer than the picture."""
        across = zoom * self.length * math.cos(self.turn)
        down = zoom * self.length * math.sin(self.turn)
        placed: list[float] = []
        # Plain floats are several times faster than arrays for the few points of a line.
        for x, y in points.tolist() if isinstance(points, np.ndarray) else points:
            aside = self.flip * (self.squash * y + self.bend * x * x)
            ahead = x + self.shear * aside
            placed.append(zoom * self.x + across * ahead - down * aside)
            placed.append(zoom * self.y + down * ahead + across * aside)
        return placed


def ink(colour: Colour) -> Colour:
    """The colour as a layer stores it: multiplied by its opacity, so that layers can be reduced directly."""
    if len(colour) == 3:
        return colour
    opacity = colour[3]
    return (*(channel * opacity // 255 for channel in colour[:3]), opacity)


@dataclass(frozen=True, slots=True)
class Pen:
    """Draws one subject's shapes on a layer that is `zoom` times finer than the picture."""

    draw: ImageDraw.ImageDraw
    pose: Pose
    zoom: int

    def fill(self, points: Points | Sequence[Span], colour: Colour) -> None:
        self.draw.polygon(self.pose.place(points, zoom=self.zoom), fill=ink(colour))

    def line(self, points: Points | Sequence[Span], colour: Colour, width: float) -> None:
        pixels = max(2, round(self.zoom * self.pose.length * width))
        self.draw.line(self.pose.place(points, zoom=self.zoom), fill=ink(colour), width=pixels, joint="curve")

    def hairs(self, starts: Points, ends: Points, colours: Sequence[Colour]) -> None:
        placed = self.pose.place(np.concatenate((starts, ends), axis=1).reshape(-1, 2), zoom=self.zoom)
        for k in range(len(starts)):
            self.draw.line(placed[4 * k : 4 * k + 4], fill=colours[k % len(colours)], width=2)


@dataclass(frozen=True, slots=True)
class Art:
    """The two layers a subject is drawn on."""

    body: Pen
    top: Pen


CIRCLE: Points = np.stack((np.cos(np.linspace(0, 2 * np.pi, 25)), np.sin(np.linspace(0, 2 * np.pi, 25))), axis=1)


def oval(x: float, y: float, rx: float, ry: float) -> Points:
    """The outline of an ellipse."""
    return np.array((x, y)) + CIRCLE * (rx, ry)


def turned(points: Points, angle: float, origin: Span) -> Points:
    """The points turned about 0 by `angle` in radians, then moved to `origin`."""
    c, s = math.cos(angle), math.sin(angle)
    rotation = np.array(((c, s), (-s, c)))
    return np.asarray(points @ rotation + origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spindle:
    """A long round or pointed shape from x0 to x1: an abdomen, a wing, a petal.

    peak: where it is widest, 0 to 1. blunt: 0.5 gives round ends, 1 pointed ones. droop: how far its end points down.
    """

    x0: float
    x1: float
    width: float
    peak: float = 0.5
    blunt: float = 0.5
    droop: float = 0.0

    def outline(self, a: float = 0.0, b: float = 1.0, *, bulge: float = 0.0) -> Points:
        """The outline of the slice from a to b, 0 to 1; `bulge` moves the middle of its ends, as on a band around."""
        t = np.linspace(a, b, 15 if b - a > 0.5 else 6)
        power = math.log(0.5) / math.log(self.peak)
        half = self.width * (4 * t**power * (1 - t**power)) ** self.blunt
        x, y, n = self.x0 + (self.x1 - self.x0) * t, self.droop * t * t, len(t)
        outline = np.empty((2 * n + 2, 2))
        outline[:n, 0], outline[:n, 1] = x, y + half
        outline[n] = x[-1] + bulge, y[-1]
        outline[n + 1 : -1, 0], outline[n + 1 : -1, 1] = x[::-1], (y - half)[::-1]
        outline[-1] = x[0] + bulge, y[0]
        return outline


def between(rng: Rng, span: Span) -> float:
    return float(rng.uniform(span[0], span[1]))


def hsv(hue: float, saturation: float, value: float, opacity: int | None = None) -> Colour:
    """A colour from a hue in degrees and a saturation and value from 0 to 1."""
    red, green, blue = colorsys.hsv_to_rgb(hue / 360 % 1, min(max(saturation, 0), 1), min(max(value, 0), 1))
    rgb = (round(255 * red), round(255 * green), round(255 * blue))
    return rgb if opacity is None else (*rgb, opacity)


def some(rng: Rng, hue: Span, saturation: Span, value: Span) -> Colour:
    """A random colour from these ranges."""
    return hsv(between(rng, hue), between(rng, saturation), between(rng, value))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of `b` in it."""
    return tuple(round(p + share * (q - p)) for p, q in zip(a[:3], b[:3], strict=True))


BLACK = (22, 18, 16)
WHITE = (250, 248, 240)
Subject: TypeAlias = Callable[[Art, Rng], None]


def somewhere(rng: Rng, *, length: Span, reach: float) -> Pose:
    """A random turn, a random length from the range, and a position up to `reach` pixels from the middle."""
    x, y = SIZE / 2 + rng.uniform(-reach, reach, 2)
    return Pose(
        x=float(x),
        y=float(y),
        length=between(rng, length),
        turn=between(rng, (0, 2 * math.pi)),
        flip=float(rng.choice((-1, 1))),
        squash=between(rng, (0.82, 1.1)),
        shear=between(rng, (-0.15, 0.15)),
        bend=between(rng, (-0.2, 0.2)),
    )


def fuzz(
    pen: Pen, rng: Rng, spot: tuple[float, float, float, float], colour: Colour, *, count: int, reach: float
) -> None:
    """A fur of short hairs over the ellipse `spot` (x, y, rx, ry), each pointing outwards and `reach` long."""
    x, y, rx, ry = spot
    angle, far = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0.1, 1.0, count))
    order = np.argsort(-far)
    angle, far = angle[order], far[order]
    out = np.stack((np.cos(angle), np.sin(angle)), axis=1)
    starts = (x, y) + out * far[:, None] * (rx, ry)
    lean = rng.normal(0, 0.35, (count, 2))
    shades = [
        mix(colour, BLACK, 0.3),
        colour,
        mix(colour, WHITE, 0.35),
        mix(colour, BLACK, 0.12),
        mix(colour, WHITE, 0.15),
    ]
    pen.hairs(starts, starts + reach * (out + lean), shades)
