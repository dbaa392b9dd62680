"""Draws the picture set of `tame demo`: bees, wasps, other insects and nothing, with a few planted faults.

Everything is drawn from random numbers and geometry, so the set needs neither network nor licence.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance

from tame.app.drawing.picture import CLASSES, picture
from tame.app.drawing.shapes import SIZE, Rng, between
from tame.core.errors import UsageError, require, unknown
from tame.core.files import write_bytes
from tame.core.rng import stream


@dataclass(frozen=True, slots=True)
class Drawn:
    """The drawn set. Names are relative to `folder`, as in `bee/00123.png`.

    mislabelled: every picture whose folder does not match what it shows. near_duplicates: (first, copy); a copy with
    another label than its first is also in `mislabelled`.
    """

    folder: Path
    num_pictures: int
    mislabelled: tuple[str, ...]
    near_duplicates: tuple[tuple[str, str], ...]


# (folder of the picture, what it shows); bees and wasps are confused most often
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
    """One planned file: its folder, its name, what it shows, and its copies."""

    label: str
    name: str
    shows: str
    copies: list[_Slot]
    is_copy: bool = False


def draw(
    folder: Path, *, seed: int, counts: Mapping[str, int] | int, mislabelled: int = 12, near_duplicates: int = 16
) -> Drawn:
    """Writes `folder/CLASS/NUMBER.png` (some `.jpg`) for every class, and returns which faults are planted where.

    counts: files in each class folder, planted ones included; one number applies to every class. Two of the near
    duplicates have another label than their first, and are two of the `mislabelled`. The same arguments give the
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
        raise UsageError(f"{folder} exists and is not empty; give a new or empty folder")

    slots, pairs = _planned(wanted, stream(seed, "plan"), mislabelled=mislabelled, near_duplicates=near_duplicates)
    for label in CLASSES:
        (folder / label).mkdir(parents=True, exist_ok=True)
    for k, slot in enumerate(slots):
        if slot.is_copy:
            continue
        rng = stream(seed, "picture", k)
        image = picture(slot.shows, rng)
        write_bytes(folder, slot.name, encoded(image, jpeg=slot.name.endswith(".jpg")))
        for copy in slot.copies:
            write_bytes(folder, copy.name, encoded(repeated(image, rng), jpeg=copy.name.endswith(".jpg")))
    wrong = tuple(sorted(slot.name for slot in slots if slot.label != slot.shows))
    return Drawn(folder, len(slots), wrong, tuple((first.name, copy.name) for first, copy in pairs))


def _planned(
    counts: Mapping[str, int], rng: Rng, *, mislabelled: int, near_duplicates: int
) -> tuple[list[_Slot], list[tuple[_Slot, _Slot]]]:
    """Every planned file, with its faults, and the (first, copy) pairs."""
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
    """The picture as a second export would give it: slightly shifted, brightened, resized or compressed."""
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
