"""Pictures with planted faults, for `planted_data.py`: drawn insects and small photographs, written as files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from own_pictures import drawing, photographs
from PIL import Image, ImageFilter

from tame.core.config import StudyConfig
from tame.core.records import Finding
from tame.kinds.kind import Known
from tame.kinds.pictures.material import PictureMaterial, open_material
from tame.kinds.pictures.source import read
from tame.parts.embedded import DEFAULT
from tame.trial.commands import Plain
from tame.trial.training_material import Room

PER_CLASS = 110
FOR_LABELS = 220  # pictures of each class, where labels are to be judged
CODES = (
    "target_leak", "suspect_labels", "parts_differ", "sentinel_values", "group_column", "small_classes", "shortcut",
    "imbalance",
)  # fmt: skip
SETS: Mapping[str, tuple[bool, Sequence[str]]] = {
    "insects": (True, ("bee", "wasp", "nothing")),
    "drawn pair": (True, ("wasp", "other_insect")),
    "vehicles": (False, ("airplane", "automobile", "ship")),
    "animals": (False, ("deer", "frog", "horse")),
}
Rng = np.random.Generator


@dataclass(frozen=True)
class Shown:
    """A picture: what it shows, the folder that it is put in, its part ("" where there are none), and its ending."""

    image: Image.Image
    label: str
    part: str = ""
    ending: str = "png"
    quality: int = 92


def base(which: str, seed: int, count: int = PER_CLASS) -> list[Shown]:
    """Clean pictures, so many of each class."""
    is_drawn, classes = SETS[which]
    rng = np.random.default_rng([seed, len(which)])
    found = []
    for name in classes:
        for i in rng.permutation(400)[:count].tolist():
            pixels = drawing(seed, name, i) if is_drawn else photographs(name)[i]
            found.append(Shown(Image.fromarray(pixels), name, ending="jpg"))
    return found


def of_first(shown: Sequence[Shown], change: Callable[[Shown], Shown]) -> list[Shown]:
    """With the pictures of one class changed."""
    first = shown[0].label
    return [change(each) if each.label == first else each for each in shown]


def lit(image: Image.Image, gain: float, more: float) -> Image.Image:
    pixels = np.asarray(image.convert("RGB")).astype(float) * gain + more
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def brighter(rng: Rng, shown: Sequence[Shown]) -> list[Shown]:
    """All pictures with some light of their own, those of one class with much more."""
    own = [replace(each, image=lit(each.image, 0.25, rng.normal(60, 6))) for each in shown]
    return of_first(own, lambda each: replace(each, image=lit(each.image, 1, 70)))


def other_format(rng: Rng, shown: Sequence[Shown]) -> list[Shown]:
    return of_first(shown, lambda each: replace(each, ending="png"))


def other_size(rng: Rng, shown: Sequence[Shown]) -> list[Shown]:
    def smaller(each: Shown) -> Shown:
        width, height = each.image.size
        return replace(each, image=each.image.resize((int(width * 0.8), int(height * 0.8))))

    return of_first(shown, smaller)


def wrong(share: float, *, one_sided: bool = False) -> Callable[[Rng, Sequence[Shown]], list[Shown]]:
    def make(rng: Rng, shown: Sequence[Shown]) -> list[Shown]:
        names = sorted({each.label for each in shown})
        found = []
        for each in shown:
            here = names.index(each.label)
            step = 1 if one_sided else int(rng.integers(1, len(names)))
            flip = rng.random() < share and (not one_sided or here == 0)
            found.append(replace(each, label=names[(here + step) % len(names)]) if flip else each)
        return found

    return make


def parted(change: Callable[[Rng, Shown], Shown]) -> Callable[[Rng, Sequence[Shown]], list[Shown]]:
    """With a test part of a third, changed."""

    def make(rng: Rng, shown: Sequence[Shown]) -> list[Shown]:
        found = []
        for each in shown:
            later = rng.random() < 0.33
            found.append(replace(change(rng, each), part="test") if later else replace(each, part="train"))
        return found

    return make


def darker(rng: Rng, each: Shown) -> Shown:
    return replace(each, image=lit(each.image, 0.55, 0))


def blurred(rng: Rng, each: Shown) -> Shown:
    width, _ = each.image.size
    return replace(each, image=each.image.filter(ImageFilter.GaussianBlur(width / 40)))


def squeezed(rng: Rng, each: Shown) -> Shown:
    return replace(each, quality=8)


def as_it_is(rng: Rng, each: Shown) -> Shown:
    return each


@dataclass(frozen=True)
class Plant:
    code: str
    make: Callable[[Rng, Sequence[Shown]], list[Shown]]
    sets: Sequence[str] = tuple(SETS)


EASY = ("insects", "vehicles", "animals")
PLANTS = {
    "shortcut: brightness": Plant("shortcut", brighter),
    "shortcut: format": Plant("shortcut", other_format),
    "shortcut: size": Plant("shortcut", other_size),
    "wrong labels: 20 %": Plant("suspect_labels", wrong(0.2), EASY),
    "wrong labels: 10 %": Plant("suspect_labels", wrong(0.1), EASY),
    "wrong labels: 30 % of one class": Plant("suspect_labels", wrong(0.3, one_sided=True), EASY),
    "parts: darker": Plant("parts_differ", parted(darker)),
    "parts: blurred": Plant("parts_differ", parted(blurred)),
    "parts: squeezed": Plant("parts_differ", parted(squeezed)),
}


class Here:
    """The process that trains, in this one."""

    def __init__(self, cache: Path) -> None:
        self.room = Room(
            cache=cache, under=None, study=None, device=torch.device("cpu"), build=None,
            doing=lambda *_: None, say=lambda *_: None,
        )  # fmt: skip
        self.material: PictureMaterial | None = None

    def open(self, kind: str, given: Plain) -> Plain:
        self.material, about = open_material(given, self.room)
        return about

    def ask(self, question: str, given: Plain) -> Plain:
        assert self.material is not None
        return self.material.answer(question, given, ())

    def tell(self, question: str, given: Plain) -> None:
        self.ask(question, given)


def checked(shown: Sequence[Shown], folder: Path, cache: Path) -> tuple[tuple[Finding, ...], float]:
    for number, each in enumerate(shown):
        path = folder / each.part / each.label / f"{number:04d}.{each.ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        about = {"quality": each.quality} if each.ending == "jpg" else {}
        each.image.save(path, **about)
    config = StudyConfig(data=str(folder), backbone=DEFAULT)
    began = time.process_time()
    opened = read(config, Known(), Here(cache), phase=lambda _: None, folder=folder)
    return opened.findings, time.process_time() - began


def pictures(seeds: int, only: str) -> Iterator[tuple[str, str, int, list[str], bool, int, float]]:
    """As `tables` of `planted_data.py`."""
    clean = {"clean": Plant("", lambda _, shown: list(shown)), "clean, two parts": Plant("", parted(as_it_is))}
    with tempfile.TemporaryDirectory() as cache:
        for name, plant in {**PLANTS, **clean}.items():
            if only not in name:
                continue
            for seed in range(seeds):
                for which in plant.sets:
                    rng = np.random.default_rng([seed, len(name), len(which)])
                    with tempfile.TemporaryDirectory() as folder:
                        count = FOR_LABELS if plant.code == "suspect_labels" else PER_CLASS
                        shown = plant.make(rng, base(which, seed, count))
                        found, spent = checked(shown, Path(folder), Path(cache))
                    said = [each.code for each in found if each.code in CODES and each.severity != "info"]
                    more = sum(each != plant.code and each != "imbalance" for each in said)
                    yield ("clean" if not plant.code else name), which, seed, said, plant.code in said, more, spent
