"""Networks picked one by one for the loss of their mean, and what it says of examples that they were not picked on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tame.evaluate.score import LEAST, NUMBERS, Judged, measure, require_same
from tame.evaluate.temperature import FOLDS, folds_of

GAIN = 1e-4  # of the loss, that a further network must take away


@dataclass(frozen=True, slots=True)
class Picked:
    """members: places of the networks, in the order in which they were picked; judged: what the mean of those that are
    picked in the same way without an example says of it; optimism: how much lower the loss of the members is on the
    examples that they were picked on."""

    members: tuple[int, ...]
    judged: Judged
    optimism: float


def picked_fairly(networks: Sequence[Judged], loss: str, *, most: int, seed: int) -> Picked:
    """The networks whose mean has a low loss, judged by five parts, each by those that the other four pick.

    networks: on the same examples, the first of which is always a member; loss: log_loss or rmse; most: members.
    Examples of a group are in one part. Raises InconsistentError for different examples.
    Source: Caruana, Niculescu-Mizil, Crew and Ksikes, Ensemble selection from libraries of models (2004), without
    replacement, so that all members count alike.
    """
    first = networks[0]
    require_same(networks, "networks that judge different examples cannot be picked among")
    fold, outputs = folds_of(first, seed), np.stack([each.outputs for each in networks])
    fair = np.empty_like(outputs[0])
    for number in range(FOLDS):
        out = fold == number
        if out.any():
            some = [each.only(~out) for each in networks] if not out.all() else networks[:1]
            fair[out] = outputs[list(picked(some, loss, most=most))][:, out].mean(axis=0)
    members = picked(networks, loss, most=most)
    own, judged = (replace(first, outputs=each) for each in (outputs[list(members)].mean(axis=0), fair))
    return Picked(members, judged, measure(loss, judged) - measure(loss, own))


def picked(networks: Sequence[Judged], loss: str, *, most: int) -> tuple[int, ...]:
    """Places of networks, the first and then each time the one with which the mean has the lowest loss, as long as that
    becomes lower."""
    said, loss_of = _means(networks, loss)
    members, total = [0], said[0]
    best = float(loss_of(said[:1])[0])
    while len(members) < min(most, len(networks)):
        tried = loss_of((total + said) / (len(members) + 1))
        tried[members] = np.inf
        place = int(tried.argmin())
        if tried[place] >= best * (1 - GAIN):
            break
        members.append(place)
        total, best = total + said[place], float(tried[place])
    return tuple(members)


def _means(networks: Sequence[Judged], loss: str) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """(S, n, ...) what of each network's predictions enters the loss, and the function from means (K, n, ...) of it to
    losses (K,)."""
    first = networks[0]
    counts = np.ones(len(first.ids)) if first.weights is None else first.weights
    counts = counts / counts.sum()
    said = np.stack([each.outputs.astype(float) for each in networks])
    if first.task in NUMBERS:
        return said.reshape(len(said), -1), lambda mean: (mean - first.target) ** 2 @ counts
    if first.shares is not None:
        shares = first.shares
        return said, lambda mean: -(shares * np.log(np.maximum(mean, LEAST))).sum(axis=2) @ counts
    rows = np.arange(len(first.ids))
    return said[:, rows, first.target], lambda mean: -np.log(np.maximum(mean, LEAST)) @ counts
