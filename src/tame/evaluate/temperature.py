"""The temperature of a network's probabilities: fitted on validation examples, kept where it helps beyond chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax

from tame.core.evaluation import Tempering
from tame.core.rng import stream
from tame.evaluate.networks import loss_difference
from tame.evaluate.score import NUMBERS, Judged, require_same

FOLDS = 5  # each is judged at the temperature that the others give
LEAST_EXAMPLES = 50
LEAST_MISTAKES = 10  # on fewer, nothing shows that the network may be surer than it is
SHARPEST, FLATTEST = 0.05, 20.0
HOW = "the log loss on validation examples that the temperature was not fitted on"


def at(judged: Judged, temperature: float) -> Judged:
    """The same predictions with their logits divided by a temperature."""
    if temperature == 1.0 or judged.task in NUMBERS:
        return judged
    return replace(judged, outputs=np.exp(log_softmax(_logs(judged) / temperature, axis=1)))


def tempered(seeds: Sequence[Judged], *, seed: int) -> tuple[Tempering | None, tuple[Judged, ...]]:
    """The temperature of the networks of a recipe, and their predictions at it.

    seeds: what each of them says of the same validation examples, raw. Each returned prediction is at the temperature
    that the examples of other folds give, so that it is no better than it would be on new examples; as they came where
    no temperature is kept. One is kept if the log loss of these is lower by more than chance. None for a regression,
    and where there are too few examples. Groups stay in one fold. Raises InconsistentError for different examples.
    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks (2017), section 4.2.
    """
    first = seeds[0]
    require_same(seeds, "predictions of different examples have no common temperature")
    if first.task in NUMBERS or len(first.ids) < LEAST_EXAMPLES:
        return None, tuple(seeds)
    fold = folds_of(first, seed)
    held = np.stack([_held_out(seeds, fold == number) for number in range(FOLDS)])[fold, :, np.arange(len(fold))]
    fair = tuple(replace(one, outputs=held[:, i]) for i, one in enumerate(seeds))
    found, fitted = loss_difference("log_loss", fair, seeds, seed=seed, how=HOW), fit(seeds)
    kept = found.is_real and found.high < 0
    return Tempering(value=fitted if kept else 1.0, fitted=fitted, difference=found), fair if kept else tuple(seeds)


def fit(seeds: Sequence[Judged]) -> float:
    """The temperature with the lowest log loss of these predictions, of several networks on the same examples.

    From 0.05 to 20; at least 1 where fewer than 10 of the examples are mistaken by a network, which says too little of
    how sure it may be.
    """
    logs = np.stack([_logs(each) for each in seeds])
    truth = seeds[0].shares if seeds[0].shares is not None else np.eye(logs.shape[2])[seeds[0].target]
    counts = np.ones(logs.shape[1]) if seeds[0].weights is None else seeds[0].weights
    wrong = float(np.mean([(~each.right).sum() for each in seeds]))

    def slope(sharpness: float) -> float:
        """Of the log loss, in the logarithm of one over the temperature; rising with it."""
        own = np.exp(log_softmax(math.exp(sharpness) * logs, axis=2))
        return float((((own - truth) * logs).sum(axis=2) @ counts).mean() / counts.sum())

    least, most = math.log(1 / FLATTEST), 0.0 if wrong < LEAST_MISTAKES else math.log(1 / SHARPEST)
    if slope(most) <= 0:
        return math.exp(-most)
    if slope(least) >= 0:
        return math.exp(-least)
    return math.exp(-float(brentq(slope, least, most, xtol=1e-6)))


def _held_out(seeds: Sequence[Judged], out: np.ndarray) -> np.ndarray:
    """(S, n, C) what each network says of all examples at the temperature of those that are not `out` (n,)."""
    value = fit([each.only(~out) for each in seeds]) if out.any() and not out.all() else 1.0
    return np.stack([at(each, value).outputs for each in seeds])


def folds_of(judged: Judged, seed: int) -> np.ndarray:
    """(n,) the fold of each example; those of a group have one."""
    place = np.arange(len(judged.ids)) if judged.groups is None else np.unique(judged.groups, return_inverse=True)[1]
    order = stream(seed, "temperature").permutation(int(place.max()) + 1)
    return np.asarray(order[place] % FOLDS)


def _logs(judged: Judged) -> np.ndarray:
    """(n, C) logarithms of the probabilities, which are logits too."""
    return np.asarray(np.log(np.maximum(judged.probabilities.astype(float), 1e-300)))
