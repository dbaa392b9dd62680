"""Labels that are probably wrong: planted ones are found, and clean data is left in peace."""

from __future__ import annotations

import numpy as np
import pytest

from tame.core.errors import ShapeError
from tame.data.suspects import DECAYS, LEAST, suspect_labels, unseen_outputs


def clusters(
    num: int, *, apart: float, dims: int = 40, classes: int = 4, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features (num, dims) of classes whose means are `apart` standard deviations of one feature from zero."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(classes, size=num)
    centres = rng.normal(size=(classes, dims))
    centres *= apart / np.linalg.norm(centres, axis=1, keepdims=True)
    return centres[labels] + rng.normal(size=(num, dims)), labels


def refitted(x: np.ndarray, y: np.ndarray, decay: float) -> np.ndarray:
    """Ridge regression with a free intercept, fitted again without each example in turn: the slow way."""
    found = np.empty_like(y)
    for row in range(len(x)):
        rest = np.arange(len(x)) != row
        mean, target = x[rest].mean(axis=0), y[rest].mean(axis=0)
        own = x[rest] - mean
        weights = np.linalg.solve(own.T @ own + decay * np.eye(x.shape[1]), own.T @ (y[rest] - target))
        found[row] = target + (x[row] - mean) @ weights
    return found


@pytest.mark.parametrize("dims", [5, 60])  # fewer and more than examples
def test_unseen_outputs_are_those_of_models_fitted_without_each_example(dims: int) -> None:
    x, labels = clusters(30, apart=3.0, dims=dims)
    y = np.eye(4)[labels]
    unit = float(((x - x.mean(axis=0)) ** 2).sum()) / len(x)
    slow = [refitted(x, y, float(decay) * unit) for decay in DECAYS]
    best = min(slow, key=lambda each: float(((each - y) ** 2).sum()))
    np.testing.assert_allclose(unseen_outputs(x, y), best, atol=1e-8)  # float64


@pytest.mark.parametrize("seed", range(3))
def test_planted_labels_are_found_and_few_others(seed: int) -> None:
    x, truth = clusters(600, apart=6.0, seed=seed)
    wrong = np.random.default_rng(seed).permutation(600)[:18]
    labels = truth.copy()
    labels[wrong] = (truth[wrong] + 1) % 4
    found = suspect_labels(x, labels, num_classes=4)
    right = [each for each in found if each.row in set(wrong.tolist())]
    assert len(right) >= 12
    assert len(right) >= 0.8 * len(found)
    assert all(each.likely == truth[each.row] for each in right)
    assert all(0.5 < each.probability <= 1 for each in found)


@pytest.mark.parametrize("seed", range(3))
def test_clean_labels_are_left_in_peace(seed: int) -> None:
    x, labels = clusters(600, apart=6.0, seed=seed)
    assert len(suspect_labels(x, labels, num_classes=4)) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_labels_that_features_say_nothing_of_are_no_suspects(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert suspect_labels(rng.normal(size=(300, 40)), rng.integers(3, size=300), num_classes=3) == []


def test_nothing_is_said_of_classes_with_too_few_examples() -> None:
    x, labels = clusters(2 * LEAST - 2, apart=9.0, classes=2)
    assert suspect_labels(x, labels, num_classes=2) == []
    assert suspect_labels(x, np.zeros(len(x), int), num_classes=1) == []


def test_numbers_of_examples_that_differ_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"got \(5, 2\) and \(4,\)"):
        suspect_labels(np.zeros((5, 2)), np.zeros(4, int), num_classes=2)
