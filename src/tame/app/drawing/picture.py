"""One picture of a class: a subject on a background, lit and photographed."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from tame.app.drawing.grounds import background
from tame.app.drawing.insects import ant, bee, beetle, butterfly, dragonfly, fly, hoverfly, ladybird, moth, wasp
from tame.app.drawing.shapes import (
    FINE,
    SIZE,
    WHITE,
    Art,
    Pen,
    Pixels,
    Pose,
    Rng,
    Spindle,
    Subject,
    between,
    mix,
    some,
    somewhere,
    turned,
)
from tame.app.drawing.things import THINGS

CLASSES = ("bee", "wasp", "other_insect", "nothing")
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


def blade(art: Art, rng: Rng, pose: Pose) -> None:
    """A blade of grass or a leaf in front of part of the subject, but never over its middle."""
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
    """The layer lit from the angle `light`, with the heights `hill`, (SIZE, SIZE) from 0 to 1."""
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
        # The blurred outline is used twice: as heights for the lighting, and as the shadow.
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
    """The picture as a camera takes it: unevenly lit, tinted, of low or high contrast, slightly soft and noisy."""
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
