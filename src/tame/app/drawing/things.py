"""Objects in a garden that are not insects."""

from __future__ import annotations

import math

import numpy as np

from tame.app.drawing.shapes import (
    BLACK,
    CIRCLE,
    WHITE,
    Art,
    Rng,
    Spindle,
    Subject,
    between,
    fuzz,
    mix,
    oval,
    some,
    turned,
)


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
        art.body.fill((x, y) + CIRCLE * wobble * rng.uniform(0.14, 0.3, 2), colour)
        if rng.random() < 0.3:  # a banded pebble, a trap for models that look only for stripes
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


THINGS: tuple[Subject, ...] = (flower, twig, stones, fallen_leaf, berries, seeds, bud)
