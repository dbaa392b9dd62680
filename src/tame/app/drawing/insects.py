"""Insects: shared parts, bees and wasps, and other insects."""

from __future__ import annotations

import math

import numpy as np

from tame.app.drawing.shapes import (
    BLACK,
    WHITE,
    Art,
    Colour,
    Pen,
    Rng,
    Span,
    Spindle,
    between,
    fuzz,
    mix,
    oval,
    some,
    turned,
)


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
    """Two pairs of wings from above, one raised pair from the side; `spread` in degrees from straight back."""
    vein = (*mix(tint, BLACK, 0.55), 190)
    hind = Spindle(x0=0.0, x1=0.7 * fore.x1, width=0.85 * fore.width, peak=fore.peak, blunt=fore.blunt)
    open_by = math.radians(between(rng, spread))
    for sign in (1,) if side else (-1, 1):
        back = math.pi - sign * open_by
        wing(art.top, (root - 0.05, sign * 0.07), back + sign * 0.3, hind, tint, vein)
        wing(art.top, (root, sign * 0.07), back, fore, tint, vein)


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
    """Slender and bright yellow, with sharp black bands, a very thin waist and a pointed end."""
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
        if not side:  # the black arrowheads along the back
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
    """A fly that looks like a wasp: one pair of wings, no waist, eyes that meet."""
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
