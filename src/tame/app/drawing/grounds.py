"""Backgrounds: leaves, petals, sky, wood, bark, sand and meadow, often with an object on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tame.app.drawing.shapes import (
    BLACK,
    FINE,
    SIZE,
    WHITE,
    Art,
    Colour,
    Pen,
    Pose,
    Rng,
    Span,
    Spindle,
    between,
    mix,
    oval,
    some,
    somewhere,
    turned,
)
from tame.app.drawing.things import THINGS


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
    """A kind of background: what it draws, the ranges of its colour, and its blur in pixels."""

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
    """A blurred ground, often with an object on it that is not an insect."""
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
