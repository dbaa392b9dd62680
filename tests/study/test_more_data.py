"""Which examples a network is trained on to see what more would be worth."""

from __future__ import annotations

import numpy as np
import pytest

from tame.core.rng import stream
from tame.data.split import Sealed, Split
from tame.kinds.kind import Data
from tame.study.more_data import fractions

NUM = 400


def data_like(groups=None, classes=("a", "b")):
    targets = (np.arange(NUM) % 10 == 0).astype(int) if classes else np.linspace(0, 1, NUM)
    split = Split(("train",) * NUM, (-1,) * NUM, 1, "")
    task = "binary" if classes else "regression"
    names = tuple(map(str, range(NUM)))
    return Data("table", task, "accuracy", classes, names, targets, split, Sealed((), ()), groups=groups)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_each_class_keeps_its_share(share):
    data = data_like()
    chosen = fractions(data, np.arange(NUM), stream(0, "share", 0)) < share
    assert chosen.sum() == pytest.approx(share * NUM, abs=1)
    assert chosen[data.targets == 1].sum() == pytest.approx(share * 40, abs=1)


def test_a_smaller_share_is_part_of_a_larger_one_and_another_draw_is_another():
    data, rows = data_like(classes=()), np.arange(NUM)
    first, again, other = (fractions(data, rows, stream(0, "share", draw)) for draw in (0, 0, 1))
    assert (first == again).all()
    assert not ((first < 0.25) & ~(first < 0.5)).any()
    assert ((first < 0.5) != (other < 0.5)).any()


def test_a_group_is_left_out_as_a_whole():
    groups = np.arange(NUM) // 8
    found = fractions(data_like(groups), np.arange(NUM), stream(0, "share", 0))
    assert all(len(set(found[groups == group])) == 1 for group in range(50))
    assert (found < 0.5).sum() == pytest.approx(NUM / 2, abs=16)
