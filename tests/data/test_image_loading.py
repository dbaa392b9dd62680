"""Many pictures through the cache."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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


def deep_folder(folder, largest):
    """Grey pictures of 16 bits in two classes, each with its own largest number."""
    for number, top in enumerate(largest):
        place = folder / ("dark", "light")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        grey = np.linspace(0, top, 400).round().astype(np.uint16).reshape(20, 20)
        Image.fromarray(grey).save(place / f"{number}.{('png', 'tif')[number // 2 % 2]}")
    return scan(folder).pictures


@pytest.mark.parametrize(
    ("largest", "bits"), [((100, 255, 9, 30), 8), ((300, 4095, 9, 200), 12), ((300, 65535, 9, 4095), 16)]
)
def test_white_is_the_same_in_all_pictures_of_16_bits(largest, bits, tmp_path):
    (tmp_path / "data" / "dark").mkdir(parents=True)
    (tmp_path / "data" / "dark" / "plain.png").write_bytes(PNG)
    pictures = deep_folder(tmp_path / "data", largest)
    loaded = load_pixels(pictures, shortest=20, cache=ArrayCache(tmp_path / "cache"))
    assert loaded.bits == bits
    assert loaded.skipped == ()
    tops = {Path(p.path).stem: int(own.max()) for p, own in zip(loaded.pictures, loaded.arrays, strict=True)}
    for number, top in enumerate(largest):
        assert abs(tops[str(number)] - 255 * top / (2**bits - 1)) <= 0.5
    again = load_pixels(pictures, shortest=20, cache=ArrayCache(tmp_path / "cache"))
    assert again.bits == bits
    assert all(np.array_equal(one, two) for one, two in zip(loaded.arrays, again.arrays, strict=True))


def test_a_picture_is_seen_by_the_depth_of_its_data_set_though_the_cache_holds_it_otherwise(tmp_path):
    cache = ArrayCache(tmp_path / "cache")
    few = deep_folder(tmp_path / "few", (200, 4095))
    tops = [int(own.max()) for own in load_pixels(few, shortest=20, cache=cache).arrays]
    more = deep_folder(tmp_path / "more", (200, 4095, 65535))
    loaded = load_pixels(more, shortest=20, cache=cache)
    found = {Path(p.path).stem: int(own.max()) for p, own in zip(loaded.pictures, loaded.arrays, strict=True)}
    assert tops == [12, 255]
    assert [found[str(number)] for number in range(3)] == [1, 16, 255]
    assert set(loaded.keys).isdisjoint(load_pixels(few, shortest=20, cache=cache).keys)
