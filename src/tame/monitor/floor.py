"""The floor of a cross-entropy that is given probabilities in place of logits, and curves that stand still on it."""

from __future__ import annotations

import math

import numpy as np

from tame.monitor.case import Case
from tame.monitor.curves import smooth

LEAST = 8  # epochs, of which the last third can be seen to be flat
FLAT = 0.1  # of the floor, that the loss falls by at most in the last third of the epochs
BELOW = 0.002  # of the floor, by which rounding may take a loss below it
OFF = 0.1  # of the way from the floor to guessing, that the loss may be off what the accuracy says, in all that time
LEAST_GAIN = 0.3  # of the way from the dummy to perfection: of less, a loss near guessing is no surprise


def floor_of(num_classes: int, width: float = 1.0) -> float:
    """The lowest cross-entropy, in nats, of logits that differ by at most `width`: ln(1 + (K - 1) e^-width).

    With probabilities in place of logits the width is 1. num_classes: 2 or more.

    >>> round(floor_of(2), 4), round(floor_of(10), 4)
    (0.3133, 1.4612)
    """
    return math.log1p((num_classes - 1) * math.exp(-width))


def at_the_floor(case: Case) -> dict[str, object] | None:
    """The evidence that both losses stand still where probabilities for logits leave them; None if they do not.

    Outputs that are all 0 or 1 cost ln(1 + (K - 1) / e) where they are right and one nat more where they are wrong, so
    the loss tells the accuracy, and no loss was ever below.
    """
    facts, recipe = case.facts, case.recipe
    if facts.task == "regression" or facts.num_classes < 2 or facts.metric != "accuracy" or len(case) < LEAST:
        return None
    if not (case.has_train and case.has_valid and case.has_metric) or (case.learned or 0.0) < LEAST_GAIN:
        return None
    plain = recipe is None or (
        recipe.loss.name == "cross_entropy" and not recipe.loss.label_smoothing and not recipe.regularize.mixup
        and not recipe.regularize.cutmix and recipe.loss.class_weights == "none"
    )  # fmt: skip
    floor = floor_of(facts.num_classes)
    if not plain:
        return None
    late = slice(-max(3, len(case) // 3), None)
    train, valid = case.soft_train[late], case.soft_valid[late]
    expected = floor + 1 - smooth(case.metric)[late]
    off = OFF * (math.log(facts.num_classes) - floor)
    lowest = min(float(case.train.min()), float(case.valid.min()))
    is_flat = abs(float(train[0] - train[-1])) <= FLAT * floor
    is_on_it = bool((np.abs(valid - expected) <= off).all() and (train <= expected + off).all())
    if not is_flat or not is_on_it or lowest < (1 - BELOW) * floor:
        return None
    return {
        "floor_loss": float(f"{floor:.4g}"), "last_train_loss": float(f"{train[-1]:.4g}"),
        "last_valid_loss": float(f"{valid[-1]:.4g}"), "expected": float(f"{expected[-1]:.4g}"),
    }  # fmt: skip
