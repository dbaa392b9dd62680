"""Pictures that show a part of another one: planted among photographs, and what is found where nothing was planted."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_digits

from made_pictures import scene
from tame.data import image_crops
from tame.data.image_crops import SIDE, match_windows, small_copy
from tame.data.image_decoding import decode
from tame.data.images import scan
from tame.data.quality import find_equal, find_parts
from tame.data.split import groups_of

PLANTED = 40
FLIP = Image.Transpose.FLIP_LEFT_RIGHT


def photographs(shared, name, every=1):
    return [Image.fromarray(decode(p.path, shortest=384)) for p in scan(shared / "data" / name).pictures[::every]]


def saved_again(image):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=88)
    return Image.open(file).convert("RGB")


def cropped(image, rng, low, high, *, same_shape=True):
    """A part of a picture, at its old size."""
    width, height = image.size
    across = rng.uniform(low, high)
    down = across if same_shape else rng.uniform(low, high)
    wide, tall = round(width * across), round(height * down)
    left, top = rng.integers(0, width - wide + 1), rng.integers(0, height - tall + 1)
    return image.crop((left, top, left + wide, top + tall)).resize((width, height), Image.Resampling.BICUBIC)


def half(image, rng):
    """One half of a picture, wherever it is cut."""
    width, height = image.size
    if rng.random() < 0.5:
        left = int(rng.integers(0, width - width // 2))
        return image.crop((left, 0, left + width // 2, height))
    top = int(rng.integers(0, height - height // 2))
    return image.crop((0, top, width, top + height // 2))


CHANGES = {
    **{f"laid {way.name}": lambda image, rng, way=way: image.transpose(way) for way in Image.Transpose},
    "half": half,
    "half and turned": lambda image, rng: half(image, rng).transpose(Image.Transpose(int(rng.integers(0, 7)))),
    "cropped a little": lambda image, rng: cropped(image, rng, 0.85, 0.98),
    "cropped": lambda image, rng: cropped(image, rng, 0.65, 0.9),
    "cropped and stretched": lambda image, rng: cropped(image, rng, 0.7, 1.0, same_shape=False),
    "cropped and mirrored": lambda image, rng: cropped(image.transpose(FLIP), rng, 0.7, 0.95),
}


def planted(images, change, rng):
    """Small copies of all pictures and of PLANTED changed ones, and the pairs that are to be found."""
    rows = rng.choice(len(images), PLANTED, replace=False).tolist()
    own = [*images, *(saved_again(CHANGES[change](images[row], rng)) for row in rows)]
    small = np.stack([small_copy(np.asarray(each)) for each in own])
    return small, {(row, len(images) + number) for number, row in enumerate(rows)}


@pytest.mark.sampled(6)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("name", "every"), [("ants_bees", 1), ("cifar10_small", 10)])
def test_planted_parts_of_photographs_are_found(shared, name, every, change):
    small, pairs = planted(photographs(shared, name, every), change, np.random.default_rng(7))
    found = set(find_parts(small)[0])
    assert len(found & pairs) >= 0.95 * PLANTED
    assert len(found - pairs) <= 0.01 * len(small)


def test_different_photographs_are_told_apart(shared):
    assert find_parts(np.stack([small_copy(np.asarray(each)) for each in photographs(shared, "ants_bees")])) == ([], 0)


def test_of_very_many_pictures_only_mirrored_and_cropped_copies_are_looked_for(monkeypatch):
    images = [scene(seed, width=64, height=64) for seed in range(30)]
    own = [
        *images,
        images[0].transpose(FLIP),
        images[1].transpose(Image.Transpose.ROTATE_90),
        images[2].crop((0, 0, 56, 56)),
    ]
    small = np.stack([small_copy(np.asarray(each)) for each in own])
    assert find_parts(small) == ([(0, 30), (1, 31), (2, 32)], 0)
    monkeypatch.setattr(image_crops, "MANY", 20)
    assert find_parts(small) == ([(0, 30), (2, 32)], 0)


@pytest.mark.slow
def test_few_of_many_small_photographs_are_taken_for_copies(shared):
    """33 pairs of 5,000, nearly all of which are copies: CIFAR-10 is known to hold some."""
    images = photographs(shared, "cifar10_small")
    found, _ = find_parts(np.stack([small_copy(np.asarray(each)) for each in images]))
    assert 25 <= len(found) <= 45
    assert np.bincount(groups_of(len(images), found)).max() <= 8


def test_drawings_that_all_look_alike_are_not_joined_to_one():
    digits = [np.repeat((each * 15.9).astype(np.uint8)[..., None], 3, axis=2) for each in load_digits().images[:500]]
    found, crowd = find_parts(np.stack([small_copy(each) for each in digits]))
    assert np.bincount(groups_of(len(digits), found)).max() < 0.1 * len(digits)
    assert 0 < crowd <= len(digits)


@pytest.mark.parametrize(
    "pictures",
    [
        [np.random.default_rng(seed).integers(0, 256, (40, 30, 3), dtype=np.uint8) for seed in range(50)],
        [np.full((20, 20, 3), value, dtype=np.uint8) for value in range(50)],
        [np.full((20, 20, 3), 7, dtype=np.uint8)],
        [],
    ],
    ids=["noise", "plain", "one", "none"],
)
def test_pictures_without_a_form_are_not_parts_of_each_other(pictures):
    small = np.array([small_copy(each) for each in pictures], dtype=np.uint8).reshape(-1, SIDE, SIDE, 3)
    assert find_parts(small) == ([], 0)


@given(seed=st.integers(0, 500), left=st.floats(0, 0.2), top=st.floats(0, 0.2), share=st.floats(0.7, 0.8))
@settings(max_examples=25)
def test_the_window_that_a_part_was_cut_from_is_found(seed, left, top, share):
    image = scene(seed, width=160, height=120)
    box = (round(160 * left), round(120 * top), round(160 * (left + share)), round(120 * (top + share)))
    both = np.stack([small_copy(np.asarray(each)) for each in (image, image.crop(box))])
    found = match_windows(both)
    own = np.flatnonzero((found.whole == 0) & (found.way == 0) & (found.alike > 0.95))
    assert len(own) == 1
    np.testing.assert_allclose(found.window[own[0]] * (160, 120, 160, 120), box, atol=8)


def test_equal_pixels_are_the_same_picture_whatever_the_files_say():
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (50, 60, 3), dtype=np.uint8) for _ in range(4)]
    other = pixels[1].copy()
    other[0, 0, 0] ^= 1
    own = [*pixels, pixels[1].copy(), other, pixels[3].copy(), pixels[1].copy()]
    assert find_equal(own, np.stack([small_copy(each) for each in own])) == [(1, 4), (3, 6), (1, 7)]
