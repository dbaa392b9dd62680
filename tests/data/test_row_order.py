"""What the place of a row tells of its target: found where it drifts, silent by chance and in a sorted file."""

from __future__ import annotations

import numpy as np
import pytest

from tame.data.row_order import LEAST_ROWS, PARTS, order_tells
from tame.data.unseen import Aim, folds_of


def aim_of(y, num_classes):
    y = np.asarray(y)
    strata = y if num_classes else np.zeros(len(y), int)
    return Aim(y, num_classes, folds_of(np.arange(len(y)), strata, seed=0))


def drifting(rng, num=600, start=0.0, end=0.9):
    """Labels whose share of class 1 grows along the file."""
    return (rng.random(num) < np.linspace(start, end, num)).astype(np.int64)


@pytest.mark.parametrize("seed", range(5))
def test_a_class_that_becomes_more_frequent_is_told_with_where(seed):
    y = drifting(np.random.default_rng(seed))
    found = order_tells(aim_of(y, 2))
    assert found is not None
    assert found.told > 0.1
    for first, last, share in (found.low, found.high):
        assert last - first + 1 == len(y) // PARTS
        assert share == pytest.approx((y[first : last + 1] == found.number).mean())
    assert found.low[2] < found.high[2] - 0.3


@pytest.mark.parametrize("seed", range(5))
def test_numbers_that_rise_or_swing_are_told(seed):
    rng = np.random.default_rng(seed)
    for trend in (np.linspace(0, 2, 600), 2 * np.sin(np.linspace(0, 12, 600))):
        found = order_tells(aim_of(trend + rng.normal(size=600), 0))
        assert found is not None
        assert found.number is None
        assert found.low[2] < found.high[2] - 1


def test_chance_is_not_told():
    """Of 200 files in any order, of classes and of numbers."""
    fired = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        fired += order_tells(aim_of((rng.random(400) < 0.2).astype(np.int64), 2)) is not None
        fired += order_tells(aim_of(rng.standard_t(3, 400), 0)) is not None
    assert fired == 0


def test_a_file_that_was_sorted_is_left_in_peace():
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 3, 600)
    assert order_tells(aim_of(np.sort(classes), 3)) is None
    blocks = np.concatenate([np.sort(part) for part in np.split(classes, 4)])
    assert order_tells(aim_of(blocks, 3)) is None
    mistaken = np.where(rng.random(600) < 0.02, rng.integers(0, 3, 600), np.sort(classes))
    assert order_tells(aim_of(mistaken, 3)) is None
    assert order_tells(aim_of(np.sort(rng.normal(size=600)), 0)) is None


def test_of_few_rows_nothing_is_said():
    y = drifting(np.random.default_rng(0), num=LEAST_ROWS - 1, start=0, end=1)
    assert order_tells(aim_of(y, 2)) is None
