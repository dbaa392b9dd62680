"""Pictures that look alike, by their perceptual hashes."""

from __future__ import annotations

import io

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from made_pictures import encode, scene
from tame.data.cache import ArrayCache
from tame.data.image_hashes import close_pairs, perceptual_hash
from tame.data.image_loading import load_pixels
from tame.data.images import scan


@given(seed=st.integers(0, 10_000), quality=st.integers(50, 95), scale=st.floats(0.7, 1.4))
@settings(max_examples=40, deadline=None)
def test_the_hash_survives_encoding_again_and_a_slight_resize(seed, quality, scale):
    image = scene(seed, width=160, height=120)
    size = (round(160 * scale), round(120 * scale))
    changed = Image.open(io.BytesIO(encode(image.resize(size, Image.Resampling.BICUBIC), "JPEG", quality=quality)))
    one, two = (perceptual_hash(np.asarray(each)) for each in (image, changed))
    assert 0 <= one < 2**64
    assert (one ^ two).bit_count() <= 6


def test_plain_pictures_hash_equal_whatever_their_size():
    hashes = {perceptual_hash(np.full((side, 40, 3), 90, np.uint8)) for side in (8, 31, 32, 200)}
    assert len(hashes) == 1


@given(hashes=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 15), max_size=30), limit=st.integers(0, 64))
def test_close_pairs_are_those_of_a_plain_double_loop(hashes, limit):
    slow = [
        (i, j)
        for i in range(len(hashes))
        for j in range(i + 1, len(hashes))
        if (hashes[i] ^ hashes[j]).bit_count() <= limit
    ]
    assert close_pairs(np.array(hashes, dtype=np.uint64), limit=limit) == slow


def test_real_photos_are_listed_decoded_and_told_apart(shared, tmp_path):
    listing = scan(shared / "data" / "ants_bees")
    assert listing.classes == ("ants", "bees")
    assert listing.parts == ("train", "val")
    assert len(listing.pictures) == 396
    assert listing.skipped == listing.notes == ()
    loaded = load_pixels(listing.pictures, shortest=64, cache=ArrayCache(tmp_path))
    assert loaded.skipped == ()
    assert all(min(array.shape[:2]) <= 64 for array in loaded.arrays)
    hashes = np.array([perceptual_hash(array) for array in loaded.arrays], dtype=np.uint64)
    digests = [picture.digest for picture in loaded.pictures]
    close = close_pairs(hashes, limit=6)
    assert all(digests[i] == digests[j] for i, j in close)
