"""Varied sets of pictures for `own_runs.py`: small photographs from the shared data, and insects drawn from a seed.

Each set has more pictures for evaluation than for training, if there are enough, with the same shares of classes and
of wrong labels.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from features import SHARED

JUDGED = 1000  # the most pictures for evaluation
POOL = 500  # pictures of each class; there are no more photographs
PHOTOGRAPHS = SHARED / "data" / "cifar10_small"


@dataclass(frozen=True)
class Pictured:
    """Pictures with their classes. fold: (N,) 0 for evaluation, -1 for training."""

    pixels: Sequence[np.ndarray]
    digests: Sequence[str]
    target: np.ndarray
    fold: np.ndarray
    num_classes: int
    task: str = "multiclass"

    @property
    def num_own(self) -> int:
        """The number of pictures that a user would have: those for training."""
        return int((self.fold < 0).sum())

    def digest(self) -> str:
        """Identifies a set, so that records of one are not used for another."""
        said = hashlib.blake2b("".join(self.digests).encode(), digest_size=8)
        said.update(self.target.tobytes() + self.fold.tobytes())
        return said.hexdigest()


@dataclass(frozen=True)
class Task:
    """The number of training pictures of each class. wrong: the share of all labels that are wrong."""

    counts: Mapping[str, int]
    drawn: bool = False
    wrong: float = 0.0

    def draw(self, seed: int, share: float = 1.0) -> Pictured:
        """The set of a seed. share: of the training pictures."""
        rng = np.random.default_rng([seed, *" ".join(self.counts).encode()])
        trained = [max(2, round(count * share)) for count in self.counts.values()]
        more = min(JUDGED / sum(trained), *((POOL - count) / count for count in trained))
        pixels, target, fold = list[np.ndarray](), list[int](), list[int]()
        for code, (name, count) in enumerate(zip(self.counts, trained, strict=True)):
            judged = int(count * more)
            order = rng.permutation(POOL)[: count + judged].tolist()
            pixels += [drawing(seed, name, i) for i in order] if self.drawn else [photographs(name)[i] for i in order]
            target += [code] * len(order)
            fold += [-1] * count + [0] * judged
        said, num = np.array(target), len(self.counts)
        other = (said + rng.integers(1, num, len(said))) % num
        said = np.where(rng.random(len(said)) < self.wrong, other, said)
        return Pictured(pixels, [_digest(each) for each in pixels], said, np.array(fold), num)


@cache
def photographs(name: str) -> list[np.ndarray]:
    """All photographs of a class, in the order of their names."""
    from tame.data.image_decoding import decode

    paths: list[Path] = sorted(PHOTOGRAPHS.glob(f"*/{name}/*"))
    if not paths:
        raise SystemExit(f"no photographs of class {name!r} in {PHOTOGRAPHS}")
    return [decode(str(path), shortest=None) for path in paths]


@cache
def drawing(seed: int, name: str, number: int) -> np.ndarray:
    """One drawn picture of a class."""
    from tame.app.drawing.picture import picture
    from tame.core.rng import stream

    return np.asarray(picture(name, stream(seed, "own pictures", name, number)))


def _digest(pixels: np.ndarray) -> str:
    return hashlib.blake2b(np.ascontiguousarray(pixels).tobytes(), digest_size=16).hexdigest()


ALL = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FIVE = ("bird", "cat", "deer", "dog", "frog")  # animals, which are harder to tell apart than what people build
INSECTS = ("bee", "wasp", "other_insect", "nothing")


def _each(names: Sequence[str], count: int) -> Mapping[str, int]:
    return dict.fromkeys(names, count)


TASKS: Mapping[str, Task] = {
    # fewer than 1,000 pictures, for which TAME plans smaller batches and more epochs
    "pets_60": Task(_each(("cat", "dog"), 30)),
    "vehicles_200": Task(_each(("airplane", "ship"), 100)),
    "uneven_200": Task({"deer": 140, "horse": 45, "bird": 15}),
    "animals_60": Task(_each(FIVE, 12)),
    "ten_200": Task(_each(ALL, 20)),
    "ten_wrong_600": Task(_each(ALL, 60), wrong=0.2),
    "drawn_easy_100": Task(_each(("wasp", "nothing"), 50), drawn=True),
    "drawn_hard_400": Task(_each(INSECTS, 100), drawn=True),
    "drawn_wrong_300": Task(_each(("bee", "wasp", "other_insect"), 100), drawn=True, wrong=0.25),
    # many pictures
    "three_1100": Task({"automobile": 400, "truck": 350, "ship": 350}),
    "uneven_1000": Task({"cat": 400, "dog": 300, "bird": 200, "deer": 70, "frog": 30}),
    "ten_1000": Task(_each(ALL, 100)),
    "ten_wrong_2000": Task(_each(ALL, 200), wrong=0.2),
    "ten_4000": Task(_each(ALL, 400)),
    "drawn_1200": Task(_each(INSECTS, 300), drawn=True),
    "drawn_uneven_1000": Task({"bee": 150, "wasp": 400, "other_insect": 400, "nothing": 50}, drawn=True, wrong=0.1),
}

# for networks from scratch, which need more of them
SCRATCH: Mapping[str, Task] = {
    "vehicles_400": Task(_each(("airplane", "ship"), 200)),
    "animals_500": Task(_each(FIVE, 100)),
    **{name: TASKS[name] for name in ("drawn_wrong_300", "drawn_hard_400", "ten_wrong_600")},
    "pets_wrong_800": Task(_each(("cat", "dog"), 400), wrong=0.15),
    **{name: TASKS[name] for name in ("uneven_1000", "ten_1000", "drawn_uneven_1000", "three_1100", "drawn_1200")},
    "ten_wrong_2000": TASKS["ten_wrong_2000"],
    "ten_2500": Task(_each(ALL, 250)),
}
