"""What more examples would be worth: from the losses of one recipe on fewer of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np

from tame.core.evaluation import Difference
from tame.core.result_parts import ClassGrowth, SharePoint
from tame.core.rng import stream
from tame.evaluate.intervals import Draws
from tame.evaluate.score import Judged, losses, require_same

SHARES = (0.25, 0.5, 1.0)
LEAST_STEP = 0.35  # times the last gain, that another doubling is taken to give at the least; at most as much again
HOW = "if the loss goes on falling as it did from a quarter to a half and to all examples"
MOST_RESAMPLED = 400
DIFFERENT = "the networks judge different examples, so their losses do not compare"


def growth(
    metric: str, by_share: Sequence[Sequence[Judged]], counts: Sequence[int], *, seed: int
) -> tuple[tuple[SharePoint, ...], Difference]:
    """The loss at each share, and by how much twice as many examples would lower it, above 0 where they would.

    metric: log_loss or rmse; by_share: what networks on a quarter, a half and all of the examples say of the same
    validation examples; counts: the training examples of each share. With a loss of a + b n ** -c, each doubling gains
    a fixed part of what the one before it gained; that part is estimated, from 0.35 to 1. The intervals are of
    resampled examples, or groups of them, and of resampled networks. Raises InconsistentError for different examples.
    Source: the power law of Hestness et al., Deep learning scaling is predictable, empirically (2017).
    """
    require_same(chain.from_iterable(by_share), DIFFERENT)
    weights = _weights(by_share[0][0], seed)
    lost = [np.stack([losses(metric, each) for each in own]) for own in by_share]
    drawn = np.stack([_resampled(own, weights, metric, seed, place) for place, own in enumerate(lost)])
    whole = np.ones((1, len(by_share[0][0].ids)))
    own_weights = by_share[0][0].weights
    seen = np.array([
        _shown(metric, (own.mean(axis=0) @ _counted(whole, own_weights)[0]) / _counted(whole, own_weights).sum())
        for own in lost
    ])  # fmt: skip
    points = tuple(
        SharePoint(
            share=share, examples=count, networks=len(own), loss=float(value),
            low=float(min(np.quantile(each, 0.025), value)), high=float(max(np.quantile(each, 0.975), value)),
        )
        for share, count, own, value, each in zip(SHARES, counts, by_share, seen, drawn, strict=True)
    )  # fmt: skip
    value = float(_next_gain(seen[:, None])[0])
    low, high = np.quantile(_next_gain(drawn), [0.025, 0.975])
    return points, Difference(value, float(min(low, value)), float(max(high, value)), whole.shape[1], HOW)


def class_growth(
    by_share: Sequence[Sequence[Judged]], classes: Sequence[str], counts: Sequence[int], *, seed: int
) -> tuple[ClassGrowth, ...]:
    """What the last doubling of the examples has gained each class, the greatest gain first; without classes that
    validation has no example of. by_share: as of `growth`; counts: training examples of each class."""
    require_same(chain.from_iterable(by_share), DIFFERENT)
    first, found = by_share[0][0], []
    right = [np.stack([each.right.astype(float) for each in own]) for own in by_share]
    for number, name in enumerate(classes):
        own = first.target == number
        if not own.any():
            continue
        weights = _weights(first.only(own), seed)
        half, whole = (_resampled(each[:, own], weights, "", seed, i) for i, each in enumerate(right[1:]))
        shares = tuple(float(each[:, own].mean()) for each in right)
        gain = shares[-1] - shares[-2]
        low, high = np.quantile(whole - half, [0.025, 0.975])
        found.append(ClassGrowth(
            name=name, examples=counts[number], recognised=shares, gain=gain, low=float(min(low, gain)),
            high=float(max(high, gain)),
        ))  # fmt: skip
    return tuple(sorted(found, key=lambda each: -each.gain))


def _next_gain(values: np.ndarray) -> np.ndarray:
    """(B,) what another doubling gains, from the losses (3, B) at a quarter, a half and all."""
    before, last = values[0] - values[1], values[1] - values[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(before > 0, last / np.maximum(before, 1e-300), 1.0)
    return np.asarray(last * np.clip(part, LEAST_STEP, 1.0))


def _weights(judged: Judged, seed: int) -> np.ndarray:
    """(B, n) how often each resample has each example, times what it counts as."""
    found: list[np.ndarray] = []
    for each in Draws(len(judged.ids), judged.groups).weights(stream(seed, "more data")):
        found.append(each)
        if sum(map(len, found)) >= MOST_RESAMPLED:
            break
    return _counted(np.concatenate(found)[:MOST_RESAMPLED], judged.weights)


def _counted(weights: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    return weights if counts is None else weights * counts


def _resampled(values: np.ndarray, weights: np.ndarray, metric: str, seed: int, place: int) -> np.ndarray:
    """(B,) the mean of values (K, n) of K networks, over resampled examples and networks."""
    means = (weights @ values.T) / weights.sum(axis=1, keepdims=True)
    rng, many = stream(seed, "networks", place), len(values)
    picked = rng.integers(many, size=(len(weights), many))
    drawn = np.take_along_axis(means, picked, axis=1).mean(axis=1)
    if many > 1:  # resampling K networks shows only (K - 1) / K of their variance
        middle = means.mean(axis=1)
        drawn = middle + (drawn - middle) * math.sqrt(many / (many - 1))
    return np.asarray(_shown(metric, drawn))


def _shown(metric: str, value: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(value, 0)) if metric == "rmse" else value
