"""Examples for lessons, made of clouds of points."""

from __future__ import annotations

import numpy as np
import torch

from tame.learn.ground import Ground


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
