"""Many pictures through the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from made_pictures import PNG
from tame.data.cache import ArrayCache
from tame.data.image_decoding import decode
from tame.data.image_loading import load_pixels
from tame.data.images import Skipped, scan


def test_pixels_come_from_the_cache_the_second_time(pets, tmp_path):
    (pets / "cats" / "twin.png").write_bytes((pets / "cats" / "0.png").read_bytes())
    (pets / "dogs" / "bad.png").write_bytes(PNG[:80])
    (pets / "dogs" / "text.jpg").write_bytes(b"hello")
    pictures = scan(pets).pictures
    told: list[tuple[int, int]] = []
    cache = ArrayCache(tmp_path / "cache")
    loaded = load_pixels(pictures, shortest=16, cache=cache, on_progress=lambda *at: told.append(at))
    assert [picture.id for picture in loaded.pictures] == [
        p.id for p in pictures if p.id[5:] not in ("bad.png", "text.jpg")
    ]
    assert [item.id for item in loaded.skipped] == ["dogs/bad.png", "dogs/text.jpg"]
    assert told[-1] == (7, 7)
    assert told == sorted(told)
    for picture, array in zip(loaded.pictures, loaded.arrays, strict=True):
        np.testing.assert_array_equal(array, decode(picture.path, shortest=16))
        assert not array.flags.writeable
    for picture in loaded.pictures:
        Path(picture.path).unlink()
    again = load_pixels(loaded.pictures, shortest=16, cache=ArrayCache(tmp_path / "cache"))
    assert again.pictures == loaded.pictures
    for one, two in zip(again.arrays, loaded.arrays, strict=True):
        np.testing.assert_array_equal(one, two)
    other = load_pixels(loaded.pictures, shortest=8, cache=cache)
    assert len(other.skipped) == len(loaded.pictures)
    assert "No such file" in other.skipped[0].reason


def test_a_file_that_changed_after_the_scan_is_skipped(pets, tmp_path):
    pictures = scan(pets).pictures
    (pets / "cats" / "0.png").write_bytes(PNG)
    loaded = load_pixels(pictures, shortest=16, cache=ArrayCache(tmp_path / "cache"))
    assert loaded.skipped == (Skipped("cats/0.png", "the file has changed since it was listed"),)


def test_no_pictures_load_as_nothing(tmp_path):
    loaded = load_pixels([], shortest=8, cache=ArrayCache(tmp_path))
    assert loaded.pictures == loaded.arrays == loaded.skipped == ()
