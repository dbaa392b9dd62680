"""Traits of pictures that have nothing to do with what they show, and whether such a trait gives a class away."""

from __future__ import annotations

import contextlib
import io
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tame.data.image_depth import UnreadablePicture
from tame.data.image_loading import content_of
from tame.data.images import Picture
from tame.data.light import Head, Light
from tame.data.unseen import Aim, Values, beyond, binned, explained, losses_of_none, losses_of_one

SIDE = 64  # pixels are looked at in steps, so that about so many remain on the longer side
LEAST_OF_CLASS = 20  # pictures
LEAST_SHARE = 0.6  # of what is unknown about a class, that a trait tells out of fold
WORDS: Mapping[str, str] = {
    "brightness": "brightness", "contrast": "contrast", "red": "the share of red", "blue": "the share of blue",
    "saturation": "how colourful they are", "pixels": "the number of pixels", "aspect": "width by height",
    "bytes": "the size of the file", "bytes_per_pixel": "bytes for each pixel", "format": "the format of the file",
    "name": "the pattern of the file name", "folder": "the folder that the file is in",
}  # fmt: skip
OF_CONTENT = ("brightness", "contrast", "red", "blue", "saturation")  # which a class may have by nature


@dataclass(frozen=True, slots=True)
class Shortcut:
    """A trait that gives a class away. told: the share of what is unknown about the class that it tells, out of fold;
    own, others: the median of pictures of the class and of the rest, or the commonest."""

    trait: str
    number: int
    told: float
    own: str
    others: str


def light_of(pixels: np.ndarray) -> Light:
    """The traits of pixels (H, W, 3) uint8."""
    step = max(1, max(pixels.shape[:2]) // SIDE)
    seen = pixels[::step, ::step].reshape(-1, 3).astype(np.float64)
    red, green, blue = seen.mean(axis=0).tolist()
    whole, light = max(red + green + blue, 1e-9), seen.mean(axis=1)
    spread = float((seen.max(axis=1) - seen.min(axis=1)).mean())
    return Light(float(light.mean()), float(light.std()), red / whole, blue / whole, spread)


def head_of(picture: Picture) -> Head:
    """The traits of the file of a picture."""
    with contextlib.suppress(UnreadablePicture, OSError, ValueError, SyntaxError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(content_of(picture))) as image:
            return Head(*image.size, picture.size_bytes, str(image.format or ""))
    return Head(1, 1, picture.size_bytes, "")


def columns_of(
    lights: Sequence[Light], heads: Sequence[Head], ids: Sequence[str], classes: Sequence[str]
) -> list[Values]:
    """The traits of N pictures as columns, with the patterns of their names without the names of classes."""
    numbers: dict[str, list[float]] = {name: [float(getattr(each, name)) for each in lights] for name in OF_CONTENT}
    numbers |= {
        "pixels": [float(each.width * each.height) for each in heads],
        "aspect": [each.width / max(each.height, 1) for each in heads],
        "bytes": [float(each.size_bytes) for each in heads],
        "bytes_per_pixel": [each.size_bytes / max(each.width * each.height, 1) for each in heads],
    }
    names = [os.path.split(_without(each, classes)) for each in ids]
    words = {
        "format": [each.format for each in heads],
        "name": [re.sub(r"\d+", "0", os.path.splitext(name)[0]) for _, name in names],
        "folder": [re.sub(r"\d+", "0", folder) for folder, _ in names],
    }
    return [
        *(Values(name, np.array(own)) for name, own in numbers.items()),
        *(Values(name, np.unique(own, return_inverse=True)[1].astype(np.int64)) for name, own in words.items()),
    ]


def _without(name: str, classes: Sequence[str]) -> str:
    """The path of a file in lower case, without the names of classes: those are labels, not shortcuts."""
    found = name.lower()
    for each in sorted(classes, key=len, reverse=True):
        found = found.replace(each.lower(), "")
    return found


def shortcuts_in(columns: Sequence[Values], aim: Aim) -> list[Shortcut]:
    """The traits that give a class away, each with the class of which it tells most, the clearest first.

    Told is the share of the log loss of guessing whether a picture is of the class that goes away when the trait is
    known, out of fold: most of it, and beyond what chance gives among so many traits and classes.
    """
    counts = np.bincount(aim.values, minlength=aim.num_classes)
    numbers = [c for c in range(aim.num_classes) if LEAST_OF_CLASS <= counts[c] <= len(aim.values) - LEAST_OF_CLASS]
    z, found = beyond(len(columns) * max(len(numbers), 1)), []
    for column in columns:
        codes, best = binned(column), None
        for number in numbers:
            own = Aim((aim.values == number).astype(np.int64), 2, aim.folds)
            none, losses = losses_of_none(own), losses_of_one(codes, own)
            told, apart = explained(losses, none), none - losses
            sure = float(apart.mean()) > z * float(apart.std()) / len(apart) ** 0.5
            if sure and told >= LEAST_SHARE and (best is None or told > best.told):
                best = Shortcut(column.name, number, told, *_sides(column, own.values == 1))
        found += [best] if best is not None else []
    return sorted(found, key=lambda each: -each.told)


def _sides(column: Values, is_own: np.ndarray) -> tuple[str, str]:
    if not column.is_number:
        return "", ""
    own, rest = float(np.median(column.values[is_own])), float(np.median(column.values[~is_own]))
    return f"{own:.3g}", f"{rest:.3g}"
