"""The exercise, augmentation: own pictures and a drawn six under it, and the way that makes a nine of the six."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from tame.core.errors import require, unknown
from tame.core.recipe import AugmentRecipe
from tame.data.augment import augment
from tame.learn.exercise import SHOWN, SIDE, as_png
from tame.learn.of_bees import exercise_of
from tame.learn.tutor import Nothing, Plain, Tutor, asked

WAYS = {
    "mirror": AugmentRecipe(flip=True), "shift": AugmentRecipe(crop=0.15), "colour": AugmentRecipe(color=0.6),
    "turn": AugmentRecipe(rotation=180.0),
}  # fmt: skip
NAMES = {
    "mirror": "Mirror images", "shift": "Small shifts", "colour": "Brightness, contrast and colour",
    "turn": "Turns by any angle",
}  # fmt: skip
DRAWN = 200  # sixes that are changed
MOVES = range(-6, 7)  # pixels by which a digit may stand elsewhere
OFTEN = 0.05  # share of them from which on a way changes what they show


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Which way somebody thinks changes what a picture shows."""

    way: str


@asked("augmented", Nothing)
def augmented(tutor: Tutor, _: Nothing) -> Plain:
    """Some of the pictures, and a six, under each way."""
    some = exercise_of(tutor).x[:SHOWN].float()
    strips = {}
    for name in WAYS:
        rows = [torch.cat(list(changed(each, name)), dim=2) for each in (some, six().expand(SHOWN, -1, -1, -1))]
        pixels = torch.cat(rows, dim=1).clamp(0, 255).round().byte().permute(1, 2, 0)
        strips[name] = as_png(np.ascontiguousarray(pixels.numpy()))
    return {"names": NAMES, "strips": strips}


@asked("relabels", Pick)
def relabels(_: Tutor, given: Pick) -> Plain:
    """Whether this way often makes a picture more like a nine of a six, and how often each way does."""
    require(given.way in WAYS, unknown("augmentation", given.way, WAYS))
    shares = {name: share_of_nines(name) for name in WAYS}
    return {"shares": shares, "right": shares[given.way] > OFTEN, "drawn": DRAWN}


@cache
def share_of_nines(way: str) -> float:
    """How many of the changed sixes are nearer to a nine than to a six, wherever those stand in the picture."""
    own = changed(six().expand(DRAWN, -1, -1, -1), way)[:, 0].flatten(1)
    apart = []
    for digit in (six(), six().flip(2, 3)):
        moved = [digit[0, 0].roll((down, right), (0, 1)).flatten() for down in MOVES for right in MOVES]
        apart.append(torch.cdist(own, torch.stack(moved)).min(dim=1).values)
    return float((apart[1] < apart[0]).double().mean())


def changed(x: Tensor, way: str) -> Tensor:
    """Pictures (n, 3, S, S) of bytes as numbers, each changed in its own way."""
    rows = torch.arange(len(x))
    return augment(x, WAYS[way], seed=0, epoch=0, rows=rows, num_examples=len(x), low=0.0, high=255.0)


@cache
def six() -> Tensor:
    """(1, 3, S, S) a six, white on black."""
    size = 4 * SIDE  # drawn larger, so that its edges are smooth
    drawn = Image.new("L", (size, size))
    pen, wide = ImageDraw.Draw(drawn), size // 10
    pen.ellipse((0.3 * size, 0.45 * size, 0.7 * size, 0.85 * size), outline=255, width=wide)
    pen.arc((0.3 * size, 0.15 * size, 1.1 * size, 1.1 * size), 180, 262, fill=255, width=wide)
    small = np.asarray(drawn.resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32)
    return torch.from_numpy(small).expand(1, 3, -1, -1).contiguous()
