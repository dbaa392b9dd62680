"""Draws the picture set of `tame demo`: bees, wasps, other insects and nothing, with a few planted faults.

Everything is drawn from chance and geometry, so the set needs no network and no licence. A subject is drawn four times
too large and then shrunk, on two layers: `body` is shaded as if it were round, `top` (wings, a blade of grass in front)
is not. A subject's own coordinates are in lengths of that subject, x towards its head.
"""

from __future__ import annotations

import colorsys
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from tame.core.errors import UsageError, require, unknown
from tame.core.rng import stream

CLASSES = ("bee", "wasp", "other_insect", "nothing")
SIZE = 80  # pixels a side
FINE = 4  # a subject is drawn this many times larger, a background half as much

Rng: TypeAlias = np.random.Generator
Points: TypeAlias = NDArray[np.float64]  # (N, 2)
Pixels: TypeAlias = NDArray[np.floating]  # (SIZE, SIZE, channels), 0 to 255
Colour: TypeAlias = tuple[int, ...]  # red, green, blue and perhaps opacity, 0 to 255
Span: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn. Names are relative to `folder`, as in `bee/00123.png`.

    mislabelled: every picture whose folder is not what it shows. near_duplicates: (first, copy); a copy that sits under
    another label than its first is in `mislabelled` too.
    """

    folder: Path
    num_pictures: int
    mislabelled: tuple[str, ...]
    near_duplicates: tuple[tuple[str, str], ...]


# --- shapes ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where a subject lies in the picture: x, y and length in pixels, the turn in radians, and how it is distorted."""

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
        # Plain floats: for the few points of a line they are several times faster than arrays.
        for x, y in points.tolist() if isinstance(points, np.ndarray) else points:
            aside = self.flip * (self.squash * y + self.bend * x * x)
            ahead = x + self.shear * aside
            placed.append(zoom * self.x + across * ahead - down * aside)
            placed.append(zoom * self.y + down * ahead + across * aside)
        return placed


def ink(colour: Colour) -> Colour:
    """The colour as a layer stores it: multiplied by its opacity, so that layers can be shrunk as they are."""
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


_CIRCLE: Points = np.stack((np.cos(np.linspace(0, 2 * np.pi, 25)), np.sin(np.linspace(0, 2 * np.pi, 25))), axis=1)


def oval(x: float, y: float, rx: float, ry: float) -> Points:
    """The outline of an ellipse."""
    return np.array((x, y)) + _CIRCLE * (rx, ry)


def turned(points: Points, angle: float, origin: Span) -> Points:
    """The points turned about 0 by `angle` in radians, then moved to `origin`."""
    c, s = math.cos(angle), math.sin(angle)
    rotation = np.array(((c, s), (-s, c)))
    return np.asarray(points @ rotation + origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spindle:
    """A round or pointed long shape from x0 to x1: an abdomen, a wing, a petal.

    peak: where it is widest, 0 to 1. blunt: 0.5 gives round ends, 1 pointed ones. droop: how far its end hangs down.
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
    """A colour drawn from the spans."""
    return hsv(between(rng, hue), between(rng, saturation), between(rng, value))


def mix(a: Colour, b: Colour, share: float) -> Colour:
    """`a` with `share` of `b` in it."""
    return tuple(round(p + share * (q - p)) for p, q in zip(a[:3], b[:3], strict=True))


BLACK = (22, 18, 16)
WHITE = (250, 248, 240)


# --- parts of insects -----------------------------------------------------------------------------------------------


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


def legs(pen: Pen, rng: Rng, colour: Colour, *, reach: float, width: float, side: bool) -> None:
    """Six legs from above, three from the side, each with a knee."""
    for k, (root, forward) in enumerate(((0.24, 0.16), (0.14, -0.03), (0.06, -0.26))):
        for sign in (-1,) if side else (-1, 1):
            jitter = rng.normal(0, 0.03, 4)
            knee = (root + 0.6 * forward + jitter[0], sign * (0.55 * reach + jitter[1]))
            foot = (root + 1.5 * forward + jitter[2], sign * (reach * (1.0 if k == 1 else 0.92) + jitter[3]))
            pen.line(((root, 0.0), knee, foot), colour, width)


def antennae(pen: Pen, rng: Rng, colour: Colour, *, x: float, reach: float, width: float, side: bool) -> None:
    """Two bent antennae from the head at `x`."""
    spread = between(rng, (0.35, 0.75))
    for sign in (0.7, 1.2) if side else (-1.0, 1.0):
        knee = (x + 0.45 * reach, sign * 0.5 * spread * reach + 0.02 * sign)
        pen.line(((x, 0.02 * sign), knee, (x + reach, sign * spread * reach)), colour, width)


def wing(pen: Pen, root: Span, angle: float, shape: Spindle, colour: Colour, vein: Colour) -> None:
    """One translucent wing with a rim and two veins, from `root` in the direction `angle`."""
    outline = turned(shape.outline(), angle, root)
    pen.fill(outline, colour)
    pen.line(outline, vein, 0.008)
    for share in (-0.35, 0.3):
        tip = (shape.x1 * 0.85, share * shape.width)
        pen.line(
            turned(np.array(((0.0, 0.0), (shape.x1 * 0.4, 1.3 * share * shape.width), tip)), angle, root), vein, 0.006
        )


def wing_pairs(art: Art, rng: Rng, *, root: float, fore: Spindle, spread: Span, tint: Colour, side: bool) -> None:
    """Two pairs of wings from above, one pair raised from the side; `spread` in degrees off straight back."""
    vein = (*mix(tint, BLACK, 0.55), 190)
    hind = Spindle(x0=0.0, x1=0.7 * fore.x1, width=0.85 * fore.width, peak=fore.peak, blunt=fore.blunt)
    open_by = math.radians(between(rng, spread))
    for sign in (1,) if side else (-1, 1):
        back = math.pi - sign * open_by
        wing(art.top, (root - 0.05, sign * 0.07), back + sign * 0.3, hind, tint, vein)
        wing(art.top, (root, sign * 0.07), back, fore, tint, vein)


# --- bees and wasps -------------------------------------------------------------------------------------------------


def bee(art: Art, rng: Rng) -> None:
    """Plump, furry and golden-brown, with soft dark bands and a round end."""
    side, plump = bool(rng.random() < 0.4), between(rng, (0.21, 0.28))
    fur = some(rng, (26, 45), (0.55, 0.85), (0.6, 0.92))
    dark = some(rng, (18, 32), (0.4, 0.7), (0.12, 0.3))
    legs(art.body, rng, dark, reach=between(rng, (0.26, 0.36)), width=0.034, side=side)
    antennae(art.body, rng, dark, x=0.42, reach=0.15, width=0.022, side=side)
    belly = Spindle(x0=0.08, x1=-0.46, width=plump, peak=0.52, blunt=0.42, droop=-0.12 if side else 0.0)
    art.body.fill(belly.outline(), mix(fur, dark, 0.15))
    num_bands, thick = int(rng.integers(3, 5)), between(rng, (0.3, 0.5))
    middle = belly.droop * 0.3
    fuzz(art.body, rng, (-0.22, middle, 0.27, plump * 0.95), mix(fur, dark, 0.1), count=70, reach=0.06)
    for k in range(num_bands):
        a = 0.26 + 0.7 * k / num_bands
        for grow, share in ((0.03, 0.45), (0.0, 0.85)):
            b = min(a + thick * 0.7 / num_bands + grow, 0.99)
            art.body.fill(belly.outline(a - grow, b, bulge=-0.035), mix(fur, dark, share))
    fuzz(art.body, rng, (-0.25, middle, 0.24, plump * 0.97), mix(fur, dark, 0.25), count=45, reach=0.05)
    art.body.fill(oval(0.36, 0.0, 0.1, 0.13), dark)
    for sign in (0.4,) if side else (-1, 1):
        art.body.fill(oval(0.4, sign * 0.09, 0.05, 0.05), BLACK)
    chest = mix(fur, WHITE, between(rng, (0.0, 0.2)))
    art.body.fill(oval(0.17, 0.0, 0.17, 0.19), mix(chest, dark, 0.35))
    fuzz(art.body, rng, (0.17, 0.01, 0.17, 0.19), chest, count=130, reach=0.07)
    tint = (*some(rng, (25, 60), (0.05, 0.25), (0.75, 0.95)), int(rng.integers(90, 150)))
    fore = Spindle(x0=0.0, x1=between(rng, (0.42, 0.52)), width=between(rng, (0.1, 0.13)), peak=0.62)
    wing_pairs(art, rng, root=0.18, fore=fore, spread=(28, 85), tint=tint, side=side)


def wasp(art: Art, rng: Rng) -> None:
    """Slender, bright yellow with sharp black bands, a thread of a waist and a pointed end."""
    side, slim = bool(rng.random() < 0.4), between(rng, (0.12, 0.165))
    yellow = some(rng, (38, 56), (0.75, 1.0), (0.78, 1.0))
    black = some(rng, (15, 40), (0.2, 0.5), (0.05, 0.16))
    limb = mix(yellow, black, between(rng, (0.0, 0.5)))
    legs(art.body, rng, limb, reach=between(rng, (0.34, 0.44)), width=0.024, side=side)
    antennae(art.body, rng, black, x=0.42, reach=0.22, width=0.02, side=side)
    drop = -0.22 if side else 0.0
    art.body.line(((0.1, 0.0), (-0.06, 0.0)), black, 0.04)
    belly = Spindle(x0=-0.03, x1=-0.56, width=slim, peak=0.36, blunt=0.75, droop=drop)
    art.body.fill(belly.outline(), yellow)
    num_bands, thick = int(rng.integers(4, 6)), between(rng, (0.35, 0.6))
    for k in range(num_bands):
        a = 0.04 + 0.84 * k / num_bands
        art.body.fill(belly.outline(a, a + thick * 0.84 / num_bands, bulge=-0.025), black)
        if not side:  # the black arrow heads along the back
            x = belly.x0 + (belly.x1 - belly.x0) * (a + thick * 0.84 / num_bands)
            art.body.fill(((x + 0.01, -0.04), (x - 0.05, 0.0), (x + 0.01, 0.04)), black)
    art.body.line(((-0.54, drop * 0.95), (-0.61, drop * 1.15)), black, 0.016)
    chest = Spindle(x0=0.32, x1=0.02, width=between(rng, (0.11, 0.14)), blunt=0.45)
    art.body.fill(chest.outline(), black)
    for sign in (0.3,) if side else (-1, 1):
        art.body.line(((0.28, sign * 0.08), (0.2, sign * 0.105)), yellow, 0.035)
        art.body.fill(oval(0.08, sign * 0.05, 0.025, 0.03), yellow)
    art.body.fill(oval(0.37, 0.0, 0.075, 0.12), black)
    art.body.fill(oval(0.41, 0.0, 0.045, 0.07), yellow)
    for sign in (0.4,) if side else (-1, 1):
        art.body.fill(oval(0.385, sign * 0.09, 0.045, 0.04), BLACK)
    tint = (*some(rng, (28, 42), (0.3, 0.6), (0.5, 0.8)), int(rng.integers(90, 160)))
    fore = Spindle(x0=0.0, x1=between(rng, (0.6, 0.72)), width=between(rng, (0.055, 0.08)), peak=0.62)
    wing_pairs(art, rng, root=0.2, fore=fore, spread=(18, 62), tint=tint, side=side)


# --- other insects --------------------------------------------------------------------------------------------------


def ladybird(art: Art, rng: Rng) -> None:
    shell = (
        some(rng, (0, 14), (0.8, 1.0), (0.65, 0.95))
        if rng.random() < 0.7
        else some(rng, (28, 50), (0.8, 1.0), (0.8, 1.0))
    )
    legs(art.body, rng, BLACK, reach=0.4, width=0.04, side=False)
    antennae(art.body, rng, BLACK, x=0.42, reach=0.12, width=0.02, side=False)
    art.body.fill(oval(0.36, 0.0, 0.13, 0.2), BLACK)
    for sign in (-1, 1):
        art.body.fill(oval(0.4, sign * 0.13, 0.045, 0.05), WHITE)
    art.body.fill(oval(-0.05, 0.0, 0.42, 0.36), shell)
    spots = ((0.16, 0.14), (-0.06, 0.22), (-0.1, 0.09), (-0.28, 0.14))[: int(rng.integers(2, 5))]
    size = between(rng, (0.05, 0.085))
    for x, y in spots:
        for sign in (-1, 1):
            art.body.fill(oval(x, sign * y, size, size), BLACK)
    art.body.line(((0.36, 0.0), (-0.46, 0.0)), mix(shell, BLACK, 0.75), 0.02)
    art.top.fill(oval(0.14, 0.12, 0.07, 0.04), (*mix(shell, WHITE, 0.85), 170))


def beetle(art: Art, rng: Rng) -> None:
    shell = (
        some(rng, (70, 220), (0.5, 0.9), (0.25, 0.6))
        if rng.random() < 0.6
        else some(rng, (10, 35), (0.5, 0.8), (0.2, 0.5))
    )
    legs(art.body, rng, mix(shell, BLACK, 0.7), reach=0.36, width=0.035, side=False)
    antennae(art.body, rng, BLACK, x=0.42, reach=0.24, width=0.02, side=False)
    art.body.fill(oval(0.4, 0.0, 0.09, 0.1), mix(shell, BLACK, 0.6))
    art.body.fill(oval(0.25, 0.0, 0.13, 0.2), mix(shell, BLACK, 0.35))
    art.body.fill(Spindle(x0=0.2, x1=-0.52, width=0.25, peak=0.48, blunt=0.42).outline(), shell)
    dark = mix(shell, BLACK, 0.5)
    for y in (-0.13, 0.0, 0.13):
        art.body.line(((0.16, y), (-0.2, 1.1 * y), (-0.47, 0.4 * y)), dark, 0.014)
    art.top.line(((0.1, 0.09), (-0.2, 0.11)), (*mix(shell, WHITE, 0.8), 150), 0.03)


def fly(art: Art, rng: Rng) -> None:
    body = some(rng, (80, 230), (0.15, 0.75), (0.2, 0.5))
    legs(art.body, rng, BLACK, reach=0.4, width=0.026, side=False)
    art.body.fill(Spindle(x0=0.08, x1=-0.42, width=0.19, peak=0.42, blunt=0.5).outline(), body)
    for a in (0.35, 0.58, 0.8):
        art.body.fill(
            Spindle(x0=0.08, x1=-0.42, width=0.19, peak=0.42).outline(a, a + 0.06, bulge=-0.03), mix(body, BLACK, 0.5)
        )
    art.body.fill(oval(0.17, 0.0, 0.18, 0.17), mix(body, BLACK, 0.3))
    for y in (-0.07, 0.0, 0.07):
        art.body.line(((0.3, y), (0.06, y)), mix(body, WHITE, 0.3), 0.016)
    eye = some(rng, (0, 18), (0.6, 0.9), (0.4, 0.7))
    art.body.fill(oval(0.38, 0.0, 0.08, 0.13), mix(body, BLACK, 0.4))
    for sign in (-1, 1):
        art.body.fill(oval(0.39, sign * 0.1, 0.085, 0.075), eye)
    tint = (*some(rng, (180, 240), (0.02, 0.12), (0.75, 0.95)), int(rng.integers(80, 130)))
    shape, angle = Spindle(x0=0.0, x1=0.58, width=0.13, peak=0.6), math.radians(between(rng, (20, 50)))
    for sign in (-1, 1):
        wing(art.top, (0.16, sign * 0.09), math.pi - sign * angle, shape, tint, (*mix(tint, BLACK, 0.6), 180))


def hoverfly(art: Art, rng: Rng) -> None:
    """The fly that is dressed as a wasp: one pair of wings, no waist, eyes that meet."""
    yellow = some(rng, (36, 54), (0.7, 1.0), (0.75, 1.0))
    legs(art.body, rng, mix(yellow, BLACK, 0.3), reach=0.3, width=0.022, side=False)
    belly = Spindle(x0=0.08, x1=-0.52, width=0.17, peak=0.42, blunt=0.42)
    art.body.fill(belly.outline(), yellow)
    for a in (0.12, 0.4, 0.66, 0.88):
        art.body.fill(belly.outline(a, a + 0.1, bulge=-0.01), BLACK)
    art.body.fill(oval(0.18, 0.0, 0.16, 0.15), some(rng, (30, 50), (0.3, 0.6), (0.25, 0.4)))
    eye = some(rng, (0, 18), (0.5, 0.8), (0.35, 0.55))
    for sign in (-1, 1):
        art.body.fill(oval(0.37, sign * 0.075, 0.085, 0.09), eye)
    tint = (*some(rng, (30, 60), (0.02, 0.15), (0.8, 0.95)), int(rng.integers(80, 130)))
    shape, angle = Spindle(x0=0.0, x1=0.55, width=0.1, peak=0.6), math.radians(between(rng, (45, 85)))
    for sign in (-1, 1):
        wing(art.top, (0.18, sign * 0.09), math.pi - sign * angle, shape, tint, (*mix(tint, BLACK, 0.6), 160))


def ant(art: Art, rng: Rng) -> None:
    colour = some(rng, (5, 28), (0.4, 0.8), (0.1, 0.5))
    legs(art.body, rng, mix(colour, BLACK, 0.3), reach=between(rng, (0.34, 0.44)), width=0.026, side=False)
    antennae(art.body, rng, colour, x=0.46, reach=0.24, width=0.022, side=False)
    art.body.line(((0.3, 0.0), (-0.2, 0.0)), colour, 0.05)
    art.body.fill(Spindle(x0=-0.12, x1=-0.52, width=0.16, peak=0.45, blunt=0.5).outline(), mix(colour, BLACK, 0.35))
    art.body.fill(oval(0.12, 0.0, 0.15, 0.08), colour)
    art.body.fill(oval(-0.1, 0.0, 0.045, 0.05), colour)
    art.body.fill(oval(0.38, 0.0, 0.12, 0.12), mix(colour, BLACK, 0.15))
    for sign in (-1, 1):
        art.body.fill(oval(0.41, sign * 0.09, 0.025, 0.025), BLACK)
    art.top.fill(oval(-0.28, 0.06, 0.06, 0.03), (*mix(colour, WHITE, 0.6), 120))


def butterfly(art: Art, rng: Rng) -> None:
    hue = float(rng.choice((18.0, 35.0, 52.0, 210.0, 270.0)))
    base = some(rng, (hue - 10, hue + 10), (0.5, 0.95), (0.7, 1.0)) if rng.random() < 0.8 else WHITE
    rim, eye = mix(base, BLACK, between(rng, (0.5, 0.95))), some(rng, (0, 360), (0.3, 0.9), (0.6, 1.0))
    fold, large = between(rng, (0.55, 1.0)), between(rng, (0.42, 0.52))
    antennae(art.body, rng, BLACK, x=0.24, reach=0.24, width=0.014, side=False)
    for sign in (-1, 1):
        for root, angle, length, width in ((-0.02, 1.95, 0.8 * large, 0.19), (0.1, 1.05, large, 0.18)):
            for shrink, colour in ((1.0, rim), (0.84, base)):
                petal = Spindle(x0=0.0, x1=shrink * length, width=shrink * width, peak=0.66, blunt=0.45).outline()
                art.body.fill(turned(petal, angle, (root, 0.03)) * (1.0, sign * fold), colour)
            x, y = 0.68 * length * math.cos(angle) + root, sign * fold * (0.68 * length * math.sin(angle) + 0.03)
            art.body.fill(oval(x, y, 0.055, 0.055 * fold), rim)
            art.body.fill(oval(x, y, 0.03, 0.03 * fold), eye)
            art.body.line(((root, 0.0), (0.8 * x, 0.8 * y)), mix(base, rim, 0.5), 0.012)
    art.body.fill(Spindle(x0=0.26, x1=-0.28, width=0.045, blunt=0.4).outline(), mix(rim, BLACK, 0.5))


def moth(art: Art, rng: Rng) -> None:
    base = some(rng, (15, 50), (0.1, 0.5), (0.4, 0.8))
    dark = mix(base, BLACK, 0.5)
    antennae(art.body, rng, dark, x=0.4, reach=0.2, width=0.03, side=False)
    art.body.fill(Spindle(x0=0.3, x1=-0.36, width=0.13, blunt=0.5).outline(), mix(base, BLACK, 0.25))
    spread = between(rng, (0.32, 0.48))
    for sign in (-1, 1):
        roof = np.array(((0.3, 0.02), (0.22, 0.15), (-0.3, spread), (-0.42, spread * 0.75), (-0.38, 0.02))) * (1, sign)
        art.body.fill(roof, base)
        for x, share in ((-0.24, 0.35), (-0.08, 0.5), (0.08, 0.3)):
            reach = 0.15 + (spread - 0.15) * (0.22 - x) / 0.52
            art.body.line(
                ((x, 0.03 * sign), (x - 0.06, 0.5 * reach * sign), (x, 0.92 * reach * sign)),
                mix(base, dark, share + 0.3),
                0.024,
            )
        art.body.fill(oval(-0.14, sign * 0.55 * spread, 0.045, 0.04), dark)
    fuzz(art.body, rng, (0.3, 0.0, 0.1, 0.1), mix(base, WHITE, 0.25), count=40, reach=0.05)


def dragonfly(art: Art, rng: Rng) -> None:
    colour = (
        some(rng, (0, 25), (0.7, 0.9), (0.5, 0.8))
        if rng.random() < 0.4
        else some(rng, (150, 225), (0.5, 0.9), (0.4, 0.8))
    )
    art.body.line(((0.25, 0.0), (-0.55, 0.0)), colour, 0.055)
    for k in range(5):
        x = -0.02 - 0.11 * k
        art.body.line(((x, -0.025), (x, 0.025)), mix(colour, BLACK, 0.7), 0.03)
    art.body.fill(oval(0.26, 0.0, 0.12, 0.075), mix(colour, BLACK, 0.2))
    for sign in (-1, 1):
        art.body.fill(oval(0.4, sign * 0.045, 0.06, 0.055), mix(colour, BLACK, 0.4))
    tint = (*some(rng, (180, 240), (0.03, 0.15), (0.8, 0.95)), 110)
    sweep, shape = between(rng, (0.0, 0.3)), Spindle(x0=0.0, x1=0.5, width=0.065, peak=0.68)
    for sign in (-1, 1):
        for root, angle in ((0.2, 1.75), (0.3, 1.4)):
            wing(art.top, (root, sign * 0.04), sign * (angle + sweep), shape, tint, (*mix(tint, BLACK, 0.6), 170))


# --- things that are no insects -------------------------------------------------------------------------------------


def flower(art: Art, rng: Rng) -> None:
    colour = (
        some(rng, (0, 360), (0.1, 0.8), (0.8, 1.0))
        if rng.random() < 0.6
        else some(rng, (44, 58), (0.7, 1.0), (0.9, 1.0))
    )
    count = int(rng.integers(5, 13))
    shape = Spindle(x0=0.08, x1=0.5, width=1.1 / count, peak=0.6, blunt=0.5)
    for k in range(count):
        angle = 2 * math.pi * k / count + float(rng.normal(0, 0.08))
        art.body.fill(turned(shape.outline(), angle, (0.0, 0.0)), mix(colour, BLACK, 0.16 * (k % 2)))
        art.body.line(turned(np.array(((0.12, 0.0), (0.4, 0.0))), angle, (0.0, 0.0)), mix(colour, BLACK, 0.25), 0.012)
    heart = some(rng, (25, 55), (0.7, 1.0), (0.4, 0.9))
    art.body.fill(oval(0.0, 0.0, 0.15, 0.15), heart)
    fuzz(art.body, rng, (0.0, 0.0, 0.13, 0.13), heart, count=25, reach=0.02)


def twig(art: Art, rng: Rng) -> None:
    colour = some(rng, (18, 38), (0.25, 0.6), (0.25, 0.55))
    knots = np.stack((np.linspace(-0.7, 0.7, 6), rng.normal(0, 0.03, 6)), axis=1)
    width = between(rng, (0.04, 0.09))
    art.body.line(knots, colour, width)
    for k in (1, 2, 3, 4)[: int(rng.integers(1, 5))]:
        x, y = knots[k]
        sign = float(rng.choice((-1, 1)))
        art.body.line(
            ((x, y), (x + 0.12, y + 0.16 * sign), (x + 0.2, y + 0.3 * sign)), mix(colour, BLACK, 0.15), 0.5 * width
        )
    art.body.line(knots + np.array((0.0, 0.2 * width)), mix(colour, WHITE, 0.2), 0.2 * width)


def stones(art: Art, rng: Rng) -> None:
    for _ in range(int(rng.integers(1, 4))):
        colour = some(rng, (20, 50), (0.02, 0.45), (0.35, 0.8))
        x, y = rng.uniform(-0.3, 0.3, 2)
        wobble = 1 + 0.1 * rng.normal(0, 1, 25)[:, None]
        wobble[-1] = wobble[0]
        art.body.fill((x, y) + _CIRCLE * wobble * rng.uniform(0.14, 0.3, 2), colour)
        if rng.random() < 0.3:  # a banded pebble, to tempt whoever looks for stripes alone
            pebble, at = Spindle(x0=-0.25, x1=0.25, width=0.17, blunt=0.45), np.array((x, y))
            art.body.fill(at + pebble.outline(), colour)
            for a in (0.2, 0.42, 0.66):
                art.body.fill(at + pebble.outline(a, a + 0.09, bulge=0.03), mix(colour, BLACK, 0.55))


def fallen_leaf(art: Art, rng: Rng) -> None:
    colour = (
        some(rng, (20, 60), (0.5, 0.95), (0.5, 0.95))
        if rng.random() < 0.6
        else some(rng, (60, 130), (0.4, 0.8), (0.3, 0.7))
    )
    dark = mix(colour, BLACK, 0.35)
    shape = Spindle(x0=-0.45, x1=0.5, width=between(rng, (0.13, 0.24)), peak=0.42, blunt=0.7)
    art.body.line(((-0.6, 0.03), (-0.4, 0.0)), dark, 0.03)
    art.body.fill(shape.outline(), colour)
    art.body.line(((-0.45, 0.0), (0.46, 0.0)), dark, 0.02)
    for x in np.linspace(-0.3, 0.25, 5).tolist():
        for sign in (-1, 1):
            art.body.line(((x, 0.0), (x + 0.13, sign * 0.7 * shape.width * (1 - abs(x)))), dark, 0.012)


def berries(art: Art, rng: Rng) -> None:
    colour = (
        some(rng, (-20, 50), (0.7, 1.0), (0.5, 1.0))
        if rng.random() < 0.75
        else some(rng, (220, 290), (0.4, 0.7), (0.2, 0.5))
    )
    for _ in range(int(rng.integers(3, 7))):
        x, y = rng.uniform(-0.3, 0.3, 2).tolist()
        size = between(rng, (0.1, 0.15))
        art.body.line(((x, y), (0.1 * x, 0.5)), (80, 96, 50), 0.02)
        art.body.fill(oval(x, y, size, size), colour)
        art.body.fill(oval(x - 0.3 * size, y - 0.3 * size, 0.25 * size, 0.25 * size), mix(colour, WHITE, 0.7))
        art.body.fill(oval(x, y + 0.75 * size, 0.04, 0.03), mix(colour, BLACK, 0.4))


def seeds(art: Art, rng: Rng) -> None:
    """Striped sunflower seeds and catkins, about as large and as yellow as a wasp's abdomen."""
    pale = some(rng, (36, 56), (0.2, 0.95), (0.7, 1.0))
    dark = some(rng, (20, 40), (0.2, 0.6), (0.1, 0.35))
    across = bool(rng.random() < 0.5)
    for _ in range(int(rng.integers(1, 4))):
        at, angle = tuple(rng.uniform(-0.25, 0.25, 2).tolist()), between(rng, (0.0, 6.3))
        seed = Spindle(x0=-0.25, x1=0.25, width=between(rng, (0.08, 0.14)), peak=0.42, blunt=0.6)
        art.body.fill(turned(seed.outline(), angle, at), pale)
        for k in range(4):
            if across:
                a = 0.12 + 0.2 * k
                art.body.fill(turned(seed.outline(a, a + 0.09), angle, at), dark)
            else:
                y = seed.width * (0.4 * k - 0.6)
                strip = np.array(((-0.2, 0.4 * y), (0.0, y), (0.2, 0.4 * y)))
                art.body.line(turned(strip, angle, at), dark, 0.02)


def bud(art: Art, rng: Rng) -> None:
    stem, colour = some(rng, (80, 120), (0.4, 0.7), (0.3, 0.6)), some(rng, (-40, 58), (0.5, 0.95), (0.7, 1.0))
    art.body.line(((-0.9, 0.1), (-0.4, 0.02), (0.0, 0.0)), stem, 0.05)
    art.body.fill(turned(Spindle(x0=0.0, x1=0.4, width=0.07).outline(), 2.5, (-0.3, 0.0)), stem)
    for angle in (-0.35, 0.35, 0.0):
        petal = Spindle(x0=0.0, x1=0.46, width=0.13, peak=0.5, blunt=0.6)
        art.body.fill(turned(petal.outline(), angle, (-0.05, 0.0)), mix(colour, BLACK, abs(angle) * 0.6))
    art.body.fill(oval(-0.03, 0.0, 0.08, 0.09), mix(stem, BLACK, 0.1))


Subject: TypeAlias = Callable[[Art, Rng], None]
THINGS: tuple[Subject, ...] = (flower, twig, stones, fallen_leaf, berries, seeds, bud)
SUBJECTS: dict[str, tuple[Subject, ...]] = {
    "bee": (bee,),
    "wasp": (wasp,),
    "other_insect": (
        ladybird,
        ladybird,
        fly,
        fly,
        ant,
        ant,
        butterfly,
        butterfly,
        moth,
        beetle,
        beetle,
        dragonfly,
        hoverfly,
    ),
    "nothing": THINGS,
}


# --- backgrounds ----------------------------------------------------------------------------------------------------


def leaf_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    vein = mix(colour, WHITE, between(rng, (0.1, 0.35)))
    pen.line(((-1.0, 0.0), (1.0, 0.0)), vein, 0.035)
    for x in np.arange(-0.9, 0.8, between(rng, (0.16, 0.28))).tolist():
        for sign in (-1, 1):
            pen.line(((x, 0.0), (x + 0.3, sign * 0.35), (x + 0.7, sign * 0.7)), vein, 0.012)


def petal_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    for k, angle in enumerate(np.linspace(-0.9, 0.9, 7).tolist()):
        petal = Spindle(x0=0.0, x1=1.5, width=0.3, peak=0.6, blunt=0.5)
        pen.fill(turned(petal.outline(), angle, (-0.75, 0.0)), mix(colour, BLACK if k % 2 else WHITE, 0.1))
        for lean in (-0.06, 0.0, 0.06):
            pen.line(
                turned(np.array(((0.1, 0.0), (1.3, 0.0))), angle + lean, (-0.75, 0.0)), mix(colour, BLACK, 0.16), 0.01
            )
    pen.fill(oval(-0.75, 0.0, 0.2, 0.2), some(rng, (35, 60), (0.6, 0.9), (0.6, 0.9)))


def sky_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    for x, y, size in rng.uniform((-0.7, -0.7, 0.08), (0.7, 0.7, 0.25), (7, 3)).tolist():
        pen.fill(oval(x, y, 1.6 * size, size), mix(colour, WHITE, 0.45))


def wood_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    x = np.linspace(-1.0, 1.0, 7)
    for y in rng.uniform(-0.8, 0.8, 22).tolist():
        grain = np.stack((x, y + 0.03 * np.sin(3 * x + 4 * y) + rng.normal(0, 0.006, 7)), axis=1)
        pen.line(grain, mix(colour, BLACK if y * 50 % 1 < 0.7 else WHITE, 0.22), between(rng, (0.006, 0.03)))
    for gap in rng.uniform(-0.8, 0.8, 2).tolist():
        pen.line(((-1.0, gap), (1.0, gap)), mix(colour, BLACK, 0.6), 0.02)


def bark_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    for x, y, far in rng.uniform((-0.8, -0.8, 0.08), (0.8, 0.8, 0.4), (46, 3)).tolist():
        dark = mix(colour, BLACK if far < 0.28 else WHITE, 0.3 if far < 0.28 else 0.12)
        pen.line(((x, y), (x + 0.5 * far, y + 0.04), (x + far, y)), dark, 0.03)


def sand_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    dots = rng.uniform((-0.8, -0.8, 0.0), (0.8, 0.8, 1.0), (110, 3))
    shades = [mix(colour, BLACK, 0.35), mix(colour, WHITE, 0.4), mix(colour, BLACK, 0.2), mix(colour, WHITE, 0.2)]
    pen.hairs(dots[:, :2], dots[:, :2] + 0.012 * dots[:, 2:], shades)


def meadow_ground(pen: Pen, rng: Rng, colour: Colour) -> None:
    for x, y, size in rng.uniform((-0.7, -0.7, 0.03), (0.7, 0.7, 0.12), (6, 3)).tolist():
        pen.fill(oval(x, y, size, size), some(rng, (0, 360), (0.1, 0.7), (0.6, 1.0)))
    for root, tip in rng.uniform(-0.8, 0.8, (12, 2)).tolist():
        shade = mix(colour, WHITE if tip > 0 else BLACK, between(rng, (0.1, 0.35)))
        middle = 0.6 * root + 0.4 * tip
        pen.fill(((-0.85, root - 0.04), (0.0, middle), (0.75, tip), (0.0, middle + 0.05)), shade)


@dataclass(frozen=True, slots=True)
class Scene:
    """A kind of background: what it draws, the spans of its colour, and how far out of focus it lies, in pixels."""

    drawn: Callable[[Pen, Rng, Colour], None]
    hue: Span
    saturation: Span
    value: Span
    blur: Span


SCENES = (
    Scene(leaf_ground, (75, 135), (0.35, 0.8), (0.3, 0.75), (0.0, 1.2)),
    Scene(petal_ground, (260, 415), (0.08, 0.75), (0.7, 1.0), (0.3, 1.6)),
    Scene(sky_ground, (190, 225), (0.15, 0.6), (0.7, 1.0), (1.5, 3.0)),
    Scene(wood_ground, (18, 40), (0.25, 0.6), (0.4, 0.85), (0.0, 0.9)),
    Scene(bark_ground, (15, 50), (0.1, 0.45), (0.25, 0.55), (0.2, 1.0)),
    Scene(sand_ground, (28, 48), (0.15, 0.5), (0.6, 0.95), (0.0, 0.5)),
    Scene(meadow_ground, (70, 130), (0.3, 0.7), (0.3, 0.75), (1.0, 3.0)),
)


def background(rng: Rng) -> Image.Image:
    """A blurred ground, often with something lying on it that is no insect."""
    scene = SCENES[int(rng.integers(len(SCENES)))]
    colour = some(rng, scene.hue, scene.saturation, scene.value)
    steps = np.linspace(-1, 1, 6)
    tilt = rng.normal(0, 14, 2)
    field = (
        tilt[0] * steps[:, None, None]
        + tilt[1] * steps[None, :, None]
        + rng.normal(0, 8, (6, 6, 1))
        + rng.normal(0, 3, (6, 6, 3))
    )
    small = Image.fromarray(np.clip(colour + field, 0, 255).astype(np.uint8))
    zoom = FINE // 2
    image = small.resize((zoom * SIZE, zoom * SIZE), Image.Resampling.BILINEAR)
    paper = ImageDraw.Draw(image)
    around = Pose(x=between(rng, (20, 60)), y=between(rng, (20, 60)), length=SIZE, turn=between(rng, (0, 6.28)))
    scene.drawn(Pen(paper, around, zoom), rng, colour)
    for _ in range(int(rng.integers(3)) * int(rng.integers(2))):
        pen = Pen(paper, somewhere(rng, length=(12, 30), reach=40), zoom)
        THINGS[int(rng.integers(len(THINGS)))](Art(pen, pen), rng)
    image = image.reduce(zoom)
    blur = between(rng, scene.blur)
    return image.filter(ImageFilter.GaussianBlur(blur)) if blur > 0.3 else image


# --- one picture ----------------------------------------------------------------------------------------------------


def somewhere(rng: Rng, *, length: Span, reach: float) -> Pose:
    """Any turn, a length drawn from the span, and a place up to `reach` pixels off the middle."""
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


def blade(art: Art, rng: Rng, pose: Pose) -> None:
    """A blade of grass or a leaf in front, across a part of the subject but never over its middle."""
    pen = Pen(art.top.draw, Pose(x=pose.x, y=pose.y, length=pose.length, turn=between(rng, (0, 6.28))), FINE)
    colour = some(rng, (70, 125), (0.4, 0.8), (0.3, 0.75))
    y = between(rng, (0.12, 0.34))
    if rng.random() < 0.7:
        wide = between(rng, (0.05, 0.11))
        pen.fill(((-4.0, y - wide), (0.0, y), (4.0, y - 0.2), (0.0, y + wide), (-4.0, y + wide)), colour)
        pen.line(((-4.0, y), (0.0, y + 0.4 * wide), (4.0, y - 0.2)), mix(colour, WHITE, 0.25), 0.012)
    else:
        leaf = Spindle(x0=-0.15, x1=1.4, width=0.3, peak=0.4, blunt=0.65)
        pen.fill(turned(leaf.outline(), 0.9, (0.0, y)), colour)
        pen.line(turned(np.array(((-0.15, 0.0), (1.35, 0.0))), 0.9, (0.0, y)), mix(colour, WHITE, 0.25), 0.02)


def shaded(body: Pixels, hill: Pixels, *, steep: float, light: float) -> Pixels:
    """The layer lit from the angle `light`, on the ground `hill`, (SIZE, SIZE) from 0 to 1."""
    slope = np.zeros((SIZE, SIZE), dtype=np.float32)
    slope[:, 1:-1] += math.cos(light) * (hill[:, 2:] - hill[:, :-2])
    slope[1:-1] += math.sin(light) * (hill[2:] - hill[:-2])
    lit = np.clip(1 + steep * slope, 0.5, 1.5)[:, :, None]
    return np.concatenate((np.minimum(body[:, :, :3] * lit, body[:, :, 3:]), body[:, :, 3:]), axis=2)


def over(front: Pixels, back: Pixels) -> Pixels:
    """`front`, a layer, laid over `back`, (SIZE, SIZE, 3)."""
    return back * (1 - front[:, :, 3:] / 255) + front[:, :, :3]


def picture(kind: str, rng: Rng) -> Image.Image:
    """A picture of the class `kind`, SIZE by SIZE, RGB."""
    pixels: Pixels = np.asarray(background(rng), dtype=np.float32)
    light = between(rng, (0, 6.28))
    if kind != "nothing" or rng.random() < 0.8:
        body, top, pose = subject(kind, rng)
        radius = 0.05 * pose.length + 0.5
        # The blurred outline serves twice: as the height of a hill that is lit, and as the shadow that it throws.
        hill = np.asarray(body.getchannel(3).filter(ImageFilter.BoxBlur(radius)), dtype=np.float32) / 255
        dx, dy = round(2.2 * math.cos(light)), round(2.2 * math.sin(light))
        shadow = np.roll(hill, (dy, dx), axis=(0, 1))[:, :, None]
        pixels = pixels * (1 - between(rng, (0.2, 0.5)) * shadow)
        pixels = over(shaded(np.asarray(body, dtype=np.float32), hill, steep=radius, light=light), pixels)
        pixels = over(np.asarray(top, dtype=np.float32), pixels)
    return photographed(pixels, rng, light=light)


def subject(kind: str, rng: Rng) -> tuple[Image.Image, Image.Image, Pose]:
    """The two layers of one subject of the class, shrunk to the picture's size, and its pose."""
    drawn = SUBJECTS[kind][int(rng.integers(len(SUBJECTS[kind])))]
    length = between(rng, (0.31, 0.78)) * SIZE
    pose = somewhere(rng, length=(length, length), reach=max(4.0, 0.5 * (SIZE - length) - 4))
    body, top = (Image.new("RGBa", (FINE * SIZE, FINE * SIZE)) for _ in range(2))
    art = Art(Pen(ImageDraw.Draw(body), pose, FINE), Pen(ImageDraw.Draw(top), pose, FINE))
    drawn(art, rng)
    if rng.random() < 0.25:
        blade(art, rng, pose)
    return body.reduce(FINE), top.reduce(FINE), pose


def photographed(pixels: Pixels, rng: Rng, *, light: float) -> Image.Image:
    """The picture as a camera gives it: unevenly lit, tinted, flat or contrasty, a little soft and noisy."""
    across = np.linspace(-1, 1, SIZE, dtype=np.float32)
    fall = between(rng, (0, 0.25))
    lamp = 1 - fall * (math.cos(light) * across[None, :] + math.sin(light) * across[:, None])
    gain = (between(rng, (0.7, 1.15)) * rng.normal(1, 0.05, 3)).astype(np.float32)
    pixels = pixels * lamp[:, :, None] * gain
    contrast = between(rng, (0.6, 1.1))
    mean = float(pixels.mean())
    pixels = mean + contrast * (pixels - mean)
    noise = rng.standard_normal((SIZE, SIZE, 1), dtype=np.float32)
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    blur = between(rng, (-0.6, 0.9))
    if blur > 0.3:
        image = image.filter(ImageFilter.GaussianBlur(blur))
    grainy = np.asarray(image, dtype=np.float32) + between(rng, (1, 7)) * noise
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


# --- the set --------------------------------------------------------------------------------------------------------

# (the folder a picture lands in, what it shows); bees and wasps are mistaken for each other most often
MISTAKES = (
    ("bee", "wasp"),
    ("wasp", "bee"),
    ("bee", "wasp"),
    ("wasp", "bee"),
    ("other_insect", "wasp"),
    ("bee", "other_insect"),
)
JPEG_SHARE = 0.15


@dataclass(slots=True)
class _Slot:
    """One file to be: its folder, its name, what it shows, and the slots that repeat it."""

    label: str
    name: str
    shows: str
    copies: list[_Slot]
    is_copy: bool = False


def draw(
    folder: Path, *, seed: int, counts: Mapping[str, int] | int, mislabelled: int = 12, near_duplicates: int = 16
) -> Drawn:
    """Writes `folder/CLASS/NUMBER.png` (some `.jpg`) for every class, and says which faults are planted where.

    counts: files in each class folder, planted ones included; one number holds for every class. Two of the near
    duplicates lie under another label than their first, and are two of the `mislabelled`. The same arguments give the
    same bytes (with the same Pillow). Raises UsageError if the folder is not empty or too small for the faults.
    """
    wanted = dict.fromkeys(CLASSES, counts) if isinstance(counts, int) else dict(counts)
    for name in wanted:
        require(name in CLASSES, unknown("class", name, CLASSES))
    require(len(wanted) == len(CLASSES), f"counts needs every class of {', '.join(CLASSES)}, got {', '.join(wanted)}")
    require(min(wanted.values()) >= 1, f"every class needs 1 picture or more, got {wanted}")
    require(
        min(mislabelled, near_duplicates) >= 0, f"got {mislabelled} mislabelled and {near_duplicates} near duplicates"
    )
    room = mislabelled + 2 * near_duplicates
    require(
        room <= min(wanted.values()), f"these faults need {room} pictures in each class, got {min(wanted.values())}"
    )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} is there already and not empty; name a folder that is new or empty")

    slots, pairs = _planned(wanted, stream(seed, "plan"), mislabelled=mislabelled, near_duplicates=near_duplicates)
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
    for k, slot in enumerate(slots):
        if slot.is_copy:
            continue
        rng = stream(seed, "picture", k)
        image = picture(slot.shows, rng)
        (folder / slot.name).write_bytes(encoded(image, jpeg=slot.name.endswith(".jpg")))
        for copy in slot.copies:
            (folder / copy.name).write_bytes(encoded(repeated(image, rng), jpeg=copy.name.endswith(".jpg")))
    wrong = tuple(sorted(slot.name for slot in slots if slot.label != slot.shows))
    return Drawn(folder, len(slots), wrong, tuple((first.name, copy.name) for first, copy in pairs))


def _planned(
    counts: Mapping[str, int], rng: Rng, *, mislabelled: int, near_duplicates: int
) -> tuple[list[_Slot], list[tuple[_Slot, _Slot]]]:
    """Every file to be, with the faults planted, and the (first, copy) pairs."""
    labels = [label for label in CLASSES for _ in range(counts[label])]
    numbers = rng.permutation(len(labels)) + 1
    endings = np.where(rng.random(len(labels)) < JPEG_SHARE, "jpg", "png")
    slots = [
        _Slot(label, f"{label}/{number:05d}.{ending}", label, [])
        for label, number, ending in zip(labels, numbers.tolist(), endings.tolist(), strict=True)
    ]
    shuffled = [slots[k] for k in rng.permutation(len(slots))]
    free = {label: [slot for slot in shuffled if slot.label == label] for label in CLASSES}
    num_torn = min(2, mislabelled, near_duplicates)
    for k in range(mislabelled - num_torn):
        label, shows = MISTAKES[k % len(MISTAKES)]
        free[label].pop().shows = shows
    pairs = []
    for k in range(near_duplicates):
        there, here = MISTAKES[k] if k < num_torn else (CLASSES[k % len(CLASSES)],) * 2
        first, copy = free[here].pop(), free[there].pop()
        copy.shows, copy.is_copy = here, True
        first.copies.append(copy)
        pairs.append((first, copy))
    return slots, pairs


def repeated(image: Image.Image, rng: Rng) -> Image.Image:
    """The picture once more, as a second export would give it: moved, brightened, resized or squeezed by a little."""
    way = int(rng.integers(4))
    if way == 0:
        dx, dy = rng.integers(1, 3, 2) * rng.choice((-1, 1), 2)
        rows, columns = (np.clip(np.arange(SIZE) + move, 0, SIZE - 1) for move in (dy, dx))
        return Image.fromarray(np.asarray(image)[rows][:, columns])
    if way == 1:
        return ImageEnhance.Brightness(image).enhance(1 + between(rng, (0.02, 0.04)) * float(rng.choice((-1, 1))))
    if way == 2:
        return Image.open(io.BytesIO(encoded(image, jpeg=True, quality=70)))
    return image.crop((1, 1, SIZE - 1, SIZE - 1)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def encoded(image: Image.Image, *, jpeg: bool, quality: int = 88) -> bytes:
    """The picture as the bytes of a JPEG or a PNG file."""
    file = io.BytesIO()
    if jpeg:
        image.save(file, "JPEG", quality=quality)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()
