"""Which pictures a model is asked about: folders are walked as they are for training."""

from __future__ import annotations

import os
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from torch import nn

from made_pictures import fill
from tame.core.errors import DataError, UsageError
from tame.core.recipe import Recipe
from tame.data.images import pictures_in, scan
from tame.kinds.pictures.prediction import bits_of, find_pictures, prepared
from tame.parts.network import Network


@pytest.fixture
def folder(tmp_path):
    """Pictures of two classes among all that lies in folders beside them."""
    root = tmp_path / "root"
    for name in ("ants", "bees", "bees/deeper", "ants/.hidden", "ants/__MACOSX", "elsewhere"):
        fill((tmp_path if name == "elsewhere" else root) / name)
    for name in ("ants/.hidden.png", "bees/Thumbs.db", "bees/notes.txt", "bees/photo.heic"):
        (root / name).write_bytes(b"x")
    (root / "ants" / "inside.png").symlink_to(root / "bees" / "0.png")
    (root / "ants" / "outside.png").symlink_to(tmp_path / "elsewhere" / "0.png")
    (root / "ants" / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    os.mkfifo(root / "ants" / "pipe.jpg")
    return root


def test_a_folder_is_walked_for_prediction_as_for_training(folder):
    listing = scan(folder)
    found, left = find_pictures([folder])
    # A pipe looks like a picture by its name, and is left out when it is opened.
    assert {name for name, _ in found} - {f"{folder}/ants/pipe.jpg"} == {f"{folder}/{p.id}" for p in listing.pictures}
    told = {each.input for each in left} | {f"{folder}/ants/pipe.jpg"}
    assert told == {f"{folder}/{each.id}" for each in listing.skipped}
    paths = dict(found)
    assert paths[f"{folder}/ants/inside.png"] == str(folder / "bees" / "0.png")


def test_a_link_that_was_named_is_followed_and_keeps_its_name(folder, tmp_path):
    link = tmp_path / "mine.png"
    link.symlink_to(folder / "bees" / "0.png")
    assert find_pictures([link]) == ([(str(link), str(folder / "bees" / "0.png"))], [])
    to_folder = tmp_path / "all"
    to_folder.symlink_to(folder, target_is_directory=True)
    assert {name for name, _ in find_pictures([to_folder])[0]} == {
        name.replace(str(folder), str(to_folder)) for name, _ in find_pictures([folder])[0]
    }


def test_where_nothing_is_found_that_is_said(tmp_path):
    with pytest.raises(UsageError, match="no file or folder"):
        find_pictures([tmp_path / "gone"])
    with pytest.raises(DataError, match="there are no pictures in what was given"):
        find_pictures([tmp_path])


def test_a_folder_that_cannot_be_listed_is_an_error_and_one_inside_it_is_told(folder, monkeypatch):
    real = os.scandir

    def closed(path):
        if str(path).endswith("deeper"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(os, "scandir", closed)
    found, left = pictures_in(folder)
    assert not any("deeper" in name for name, _ in found)
    assert any(each.id.endswith("bees/deeper") and "cannot be listed" in each.reason for each in left)
    with pytest.raises(DataError, match="cannot be listed"):
        pictures_in(folder / "bees" / "deeper")


def test_names_of_pictures_are_sorted(tmp_path):
    for name in ("b.png", "a.png", "c.png"):
        Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / name)
    assert [name for name, _ in find_pictures([tmp_path])[0]] == [
        str(tmp_path / name) for name in ("a.png", "b.png", "c.png")
    ]


def test_a_model_keeps_what_white_is_in_16_bits():
    own = Network("images", "binary", Recipe(), ("a", "b"), nn.Identity())
    assert bits_of(own) is None
    for bits in (None, 8, 12, 16):
        assert bits_of(replace(own, prepared=prepared(bits))) == bits
    with pytest.raises(UsageError, match="white has 11 bits: 8, 12, 16 are known"):
        bits_of(replace(own, prepared={"bits": 11}))
