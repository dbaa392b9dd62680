"""Draws the picture set of `tame demo`: bees, wasps, other insects and nothing, with a few planted faults.

Everything is drawn from random numbers and geometry, so the set needs neither network nor licence.
"""

from __future__ import annotations

import io
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
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
    """A drawn set, and which faults are planted where. Names are relative to `folder`, as in `bee/00123.png`.

    mislabelled: every picture whose folder does not match what it shows. near_duplicates: (first, copy); a copy with
    another label than its first is also in `mislabelled`. copies: (first, copy) of the same bytes. unreadable: files
    that are not pictures any more.
    """

    folder: Path
    num_pictures: int
    mislabelled: tuple[str, ...]
    near_duplicates: tuple[tuple[str, str], ...]
    copies: tuple[tuple[str, str], ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How many faults of each kind are planted. Two of the near duplicates have another label than their first, and are
    two of the mislabelled."""

    mislabelled: int = 0
    near_duplicates: int = 0
    copies: int = 0
    unreadable: int = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            number = getattr(self, each.name)
            require(number >= 0, f"there cannot be {number} {each.name.replace('_', ' ')}")

    @property
    def room(self) -> int:
        """Pictures that each class must have at the least."""
        return self.mislabelled + 2 * self.near_duplicates + 2 * self.copies + self.unreadable


CLEAN = Faults()
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
WEB_PAGE = b"<!doctype html>\n<title>404 Not Found</title>\n"  # what a download may leave in the place of a picture


@dataclass(slots=True)
class _Slot:
    """One planned file: its folder, its name, what it shows, its copies, and how it is ruined ("" if it is not)."""

    label: str
    name: str
    shows: str
    copies: list[_Slot]
    is_copy: bool = False
    is_same: bool = False  # a copy of the same bytes
    ruin: str = ""


RUINS: Mapping[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "a web page": lambda content: WEB_PAGE,
}


def draw(
    folder: Path, *, seed: int, counts: Mapping[str, int] | int, faults: Faults = CLEAN, processes: int = 1
) -> Drawn:
    """Writes `folder/CLASS/NUMBER.png` (some `.jpg`) for every class, and returns which faults are planted where.

    counts: files in each class folder, planted ones included, of the classes that are drawn, two or more; one number
    applies to every class. processes: how many draw. The same arguments give the same bytes (with the same Pillow),
    however many processes draw them. Raises UsageError if the folder is not empty or too small for the faults.
    """
    slots, drawn = _planned(folder, seed=seed, counts=counts, faults=faults)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not empty; give a new or empty folder")
    for label in sorted({slot.label for slot in slots}):
        (folder / label).mkdir(parents=True, exist_ok=True)
    own = [(k, slot) for k, slot in enumerate(slots) if not slot.is_copy]
    if processes == 1:
        _write(folder, seed, own)
        return drawn
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _leave_interrupts) as pool:
        parts = [pool.submit(_write, folder, seed, own[place::processes]) for place in range(processes)]
    for part in parts:
        part.result()
    return drawn


def planted(folder: Path, *, seed: int, counts: Mapping[str, int] | int, faults: Faults) -> Drawn:
    """Which faults `draw` plants where; draws nothing. Raises UsageError as it does."""
    return _planned(folder, seed=seed, counts=counts, faults=faults)[1]


def contents(*, seed: int, counts: Mapping[str, int] | int, faults: Faults = CLEAN) -> dict[str, bytes]:
    """The files that `draw` writes, by name. Raises UsageError if there are too few for the faults."""
    slots, _ = _planned(Path(), seed=seed, counts=counts, faults=faults)
    return dict(sorted(_contents(seed, [(k, slot) for k, slot in enumerate(slots) if not slot.is_copy])))


def _write(folder: Path, seed: int, slots: Sequence[tuple[int, _Slot]]) -> None:
    for name, content in _contents(seed, slots):
        write_bytes(folder, name, content)


def _contents(seed: int, slots: Sequence[tuple[int, _Slot]]) -> Iterator[tuple[str, bytes]]:
    """Draws these files, each with its copies."""
    for k, slot in slots:
        rng = stream(seed, "picture", k)
        image = picture(slot.shows, rng)
        content = encoded(image, jpeg=slot.name.endswith(".jpg"))
        yield slot.name, RUINS[slot.ruin](content) if slot.ruin else content
        for copy in slot.copies:
            again = content if copy.is_same else encoded(repeated(image, rng), jpeg=copy.name.endswith(".jpg"))
            yield copy.name, again


def _leave_interrupts() -> None:
    """Leaves Ctrl-C to the process that waits for the drawing."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _planned(folder: Path, *, seed: int, counts: Mapping[str, int] | int, faults: Faults) -> tuple[list[_Slot], Drawn]:
    """Every planned file, and which faults it has."""
    wanted = dict.fromkeys(CLASSES, counts) if isinstance(counts, int) else dict(counts)
    for name in wanted:
        require(name in CLASSES, unknown("class", name, CLASSES))
    require(len(wanted) >= 2, f"counts needs 2 classes or more of {', '.join(CLASSES)}, got {', '.join(wanted)}")
    labels = [label for label in CLASSES if label in wanted]
    least = min(wanted.values())
    require(least >= 1, f"every class needs 1 picture or more, got {wanted}")
    require(faults.room <= least, f"these faults need {faults.room} pictures in each class, got {least}")
    rng = stream(seed, "plan")
    slots = _blank(wanted, rng)
    shuffled = [slots[k] for k in rng.permutation(len(slots))]
    free = {label: [slot for slot in shuffled if slot.label == label] for label in labels}
    pairs, same, ruined = _mislabelled_and_near(free, faults), [], []
    for k in range(faults.copies):
        own = free[labels[k % len(labels)]]
        first, copy = own.pop(), own.pop()
        copy.is_copy = copy.is_same = True
        copy.name = str(Path(copy.name).with_suffix(Path(first.name).suffix))
        first.copies.append(copy)
        same.append((first, copy))
    for k in range(faults.unreadable):
        slot = free[labels[k % len(labels)]].pop()
        slot.ruin = list(RUINS)[k % len(RUINS)]
        ruined.append(slot.name)
    wrong = tuple(sorted(slot.name for slot in slots if slot.label != slot.shows))
    near, exact = (tuple((first.name, copy.name) for first, copy in own) for own in (pairs, same))
    return slots, Drawn(folder, len(slots), wrong, near, exact, tuple(sorted(ruined)))


def _blank(counts: Mapping[str, int], rng: Rng) -> list[_Slot]:
    """Every file, without faults; numbers run through the classes in no order."""
    labels = [label for label in CLASSES if label in counts for _ in range(counts[label])]
    numbers = rng.permutation(len(labels)) + 1
    endings = np.where(rng.random(len(labels)) < JPEG_SHARE, "jpg", "png")
    return [
        _Slot(label, f"{label}/{number:05d}.{ending}", label, [])
        for label, number, ending in zip(labels, numbers.tolist(), endings.tolist(), strict=True)
    ]


def _mislabelled_and_near(free: Mapping[str, list[_Slot]], faults: Faults) -> list[tuple[_Slot, _Slot]]:
    """Plants pictures in the wrong folder, and near duplicates; returns the (first, copy) pairs of the latter."""
    num_torn = min(2, faults.mislabelled, faults.near_duplicates)
    labels = list(free)
    mistakes = [pair for pair in MISTAKES if free.keys() >= set(pair)] or [(labels[0], labels[1])]
    for k in range(faults.mislabelled - num_torn):
        label, shows = mistakes[k % len(mistakes)]
        free[label].pop().shows = shows
    pairs = []
    for k in range(faults.near_duplicates):
        there, here = mistakes[k % len(mistakes)] if k < num_torn else (labels[k % len(labels)],) * 2
        first, copy = free[here].pop(), free[there].pop()
        copy.shows, copy.is_copy = here, True
        first.copies.append(copy)
        pairs.append((first, copy))
    return pairs


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
