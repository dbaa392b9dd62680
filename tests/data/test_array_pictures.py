"""Pictures in arrays: which arrays hold some, and copies among them, as among files."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_digits

from made_pictures import scene
from tame.data.array_pictures import as_pictures, same_pictures
from tame.data.row_copies import copies_in_array
from tame.data.split import groups_of

NUM = 40


def scenes(num=NUM, side=32):
    return np.stack([np.asarray(scene(seed, width=48, height=48).resize((side, side))) for seed in range(num)])


CHANGES = {
    "mirrored": lambda each: each[:, ::-1],
    "turned": lambda each: np.rot90(each),
    "turned and mirrored": lambda each: np.rot90(each[:, ::-1]),
    "with 1 added or taken": lambda each: (
        each.astype(int) + np.random.default_rng(0).integers(-1, 2, each.shape)
    ).clip(0, 255),
    "brighter": lambda each: (each.astype(int) + 12).clip(0, 255),
    "with red and blue exchanged": lambda each: each[..., ::-1],
}  # fmt: skip
FORMS = {
    "bytes": lambda x: x,
    "from 0 to 1": lambda x: (x / 255).astype(np.float32),
    "standardised": lambda x: (x - x.mean()) / x.std(),
    "12 bits": lambda x: x.astype(np.uint16) * 16,
    "channels first": lambda x: x.transpose(0, 3, 1, 2),
    "grey": lambda x: x.mean(axis=3, keepdims=True),
    "grey, without channels": lambda x: x.mean(axis=3),
    "with transparency": lambda x: np.concatenate([x, np.full((*x.shape[:3], 1), 255, x.dtype)], axis=3),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_of_pictures_are_grouped_and_others_are_not(change, form):
    plain = scenes()
    x = FORMS[form](np.concatenate([plain, [CHANGES[change](each) for each in plain[:10]]]).astype(np.uint8))
    found = copies_in_array(x)
    groups = groups_of(len(x), found.pairs())
    assert groups[NUM:].tolist() == list(range(10))
    assert len(np.unique(groups)) == NUM


@pytest.mark.parametrize(
    ("shape", "dtype", "seen"),
    [
        ((9, 32, 24, 3), "float32", (9, 32, 24, 3)), ((9, 3, 32, 24), "uint8", (9, 32, 24, 3)),
        ((9, 32, 24, 1), "int64", (9, 32, 24, 1)), ((9, 28, 28), "float64", (9, 28, 28, 1)),
        ((9, 28, 20), "uint8", (9, 28, 20, 1)), ((9, 28, 20), "float32", None), ((9, 100), "uint8", None),
        ((9, 8, 8, 3), "uint8", None), ((9, 32, 32, 7), "float32", None), ((9, 32, 32, 3, 3), "float32", None),
    ],
)  # fmt: skip
def test_pictures_are_known_by_their_shape(shape, dtype, seen):
    found = as_pictures(np.zeros(shape, dtype=dtype))
    assert (None if found is None else found.shape) == seen


def test_pictures_of_nothing_and_of_no_numbers_are_the_same_as_none():
    assert same_pictures(np.zeros((1, 32, 32, 3))) == ([], 0)
    for x in (np.full((5, 32, 32, 3), np.nan), np.zeros((5, 32, 32, 3)), np.full((5, 32, 32, 1), np.inf)):
        assert groups_of(5, same_pictures(x)[0]).max() == 0  # all of one colour, so all the same


def test_drawings_that_all_look_alike_are_not_joined_to_one():
    digits = np.repeat(np.repeat(load_digits().images[:400], 3, axis=1), 3, axis=2)
    groups = groups_of(len(digits), copies_in_array(digits).pairs())
    assert np.bincount(groups).max() < 0.1 * len(digits)
