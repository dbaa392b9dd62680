"""Traits of pictures, and those that give a class away."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tame.data.images import Picture
from tame.data.picture_traits import columns_of, head_of, light_of, shortcuts_in
from tame.data.unseen import Aim, folds_of

NUM = 120


def picture_of(path, image, name):
    image.save(path)
    return Picture(name, str(path), 0, "", "", path.stat().st_size)


def test_traits_are_those_of_pixels_and_file(tmp_path):
    pixels = np.zeros((40, 60, 3), dtype=np.uint8)
    pixels[..., 0], pixels[..., 2] = 120, 60
    light = light_of(pixels)
    assert light.brightness == pytest.approx(60)
    assert (light.red, light.blue) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert light.saturation == pytest.approx(120)
    assert light.contrast == 0
    own = picture_of(tmp_path / "a.png", Image.fromarray(pixels), "a.png")
    head = head_of(own)
    assert (head.width, head.height, head.format, head.size_bytes) == (60, 40, "PNG", own.size_bytes)
    (tmp_path / "a.png").write_bytes(b"no picture")
    assert head_of(own).format == ""


def traits(tmp_path, kind):
    """Columns of pictures of two classes, with a trait that tells them."""
    rng, labels = np.random.default_rng(0), np.arange(NUM) % 2
    lights, heads, ids = [], [], []
    for i, label in enumerate(labels):
        level = 90 + 50 * label if kind == "brightness" else 110
        pixels = np.clip(rng.normal(level, 20, (24, 24, 3)) + rng.normal(0, 8), 0, 255).astype(np.uint8)
        side = 20 + 4 * label if kind == "pixels" else 24
        ending = "bmp" if kind == "format" and label else "png"
        folder = f"camera {'ab'[label]}" if kind == "folder" else "all"
        own = picture_of(tmp_path / f"{i}.{ending}", Image.fromarray(pixels[:side, :side]), f"{folder}/bee{i}.{ending}")
        lights.append(light_of(pixels[:side, :side]))
        heads.append(head_of(own))
        ids.append(own.id)
    groups = np.arange(NUM)
    return columns_of(lights, heads, ids, ("bee", "wasp")), Aim(labels, 2, folds_of(groups, labels, seed=0))


@pytest.mark.parametrize("kind", ["brightness", "pixels", "format", "folder"])
def test_a_trait_that_tells_the_class_is_found(tmp_path, kind):
    found = shortcuts_in(*traits(tmp_path, kind))
    assert kind in [each.trait for each in found]
    assert found[0].told > 0.6


def test_where_no_trait_tells_the_class_nothing_is_said(tmp_path):
    columns, aim = traits(tmp_path, "none")
    assert shortcuts_in(columns, aim) == []
    assert all(len(column.values) == NUM for column in columns)


def test_the_names_of_classes_in_file_names_are_labels_and_no_shortcuts(tmp_path):
    columns, _ = traits(tmp_path, "none")
    (name,) = (column for column in columns if column.name == "name")
    assert len(np.unique(name.values)) == 1
