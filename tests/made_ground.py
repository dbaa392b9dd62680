"""Examples for lessons, made of clouds of points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from tame.learn.ground import Album, Ground
from tame.learn.seen import Seen
from tame.learn.tutor import Tutor


def made_ground(*, classes=3, inputs=6, examples=60, apart=1.0, seed=0):
    """Clouds of points, one for each class; of numbers where there are none. apart: between them, in spreads."""
    rng = np.random.default_rng(seed)
    y = rng.integers(max(classes, 1), size=2 * examples)
    centres = rng.normal(size=(max(classes, 1), inputs)) * apart
    x = torch.from_numpy(centres[y] + rng.normal(size=(2 * examples, inputs)))
    target = torch.from_numpy(y) if classes else x[:, 0] * 0.7 + torch.from_numpy(rng.normal(size=2 * examples)) * 0.3
    return Ground(
        name="clouds", nouns="points", classes=tuple("abcdefgh"[:classes]), x=x[:examples], y=target[:examples],
        x_valid=x[examples:], y_valid=target[examples:], of=(examples, examples),
    )  # fmt: skip


def made_album(*, each=20, side=40, seed=0, copies=3):
    """Pictures in two classes, bright on the left and bright on the right, of which the last few are copies."""
    rng = np.random.default_rng(seed)
    y = np.arange(2 * each) % 2
    pictures = [rng.integers(0, 160, (side, side, 3), dtype=np.uint8) for _ in y]
    for own, picture in zip(y, pictures, strict=True):
        picture[:, (side // 2 if own else 0) : (side if own else side // 2)] += 60
    for place in range(copies):
        pictures[-1 - place] = np.clip(pictures[2 * each - 5 - 2 * copies - place] * 1.02, 0, 255).astype(np.uint8)
        y[-1 - place] = y[2 * each - 5 - 2 * copies - place]
    return Album("made", ("left", "right"), pictures, y, is_drawn=True)


def made_tutor(ground=None, seen=None, **changes):
    """The lessons on made examples, about a study of which no trial is known."""
    own = ground or made_ground(**changes)
    counts = {name: int((own.y == place).sum()) for place, name in enumerate(own.classes)}
    bare = Seen(
        name="made", is_own=True, nouns="points", task="multiclass" if own.classes else "regression",
        metric="accuracy" if own.classes else "rmse", counts=counts, train=len(own.x), valid=len(own.x_valid),
    )  # fmt: skip
    return Tutor(own, seen or bare, stands_in=made_ground, album=made_album, cache=Path("nowhere"))
