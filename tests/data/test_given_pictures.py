"""Pictures given from Python: known for what they are, and the same pixels as their files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Subset, TensorDataset
from torchvision.datasets import FakeData, ImageFolder
from torchvision.transforms import ToTensor

from made_pictures import JPEG, encode, fill, scene
from tame.core.errors import DataError, ShapeError, UsageError
from tame.data.given_pictures import (
    Keys,
    class_names,
    content_of_given,
    items_of,
    pictures_alone,
    pictures_given,
    pixels_of_given,
)
from tame.data.image_decoding import decode_bytes
from tame.data.image_depth import UnreadablePicture

NONE = Keys()
TWO = [scene(0), scene(1, width=20, height=30)]


class Labels:
    """As the column of a dataset of Hugging Face that holds classes."""

    names = ("cat", "dog")


class Rows:
    """A dataset as Hugging Face's: rows are dicts, and `features` describes what they hold."""

    def __init__(self, rows):
        self.rows = rows
        self.features = {"image": object(), "label": Labels(), "place": object()}

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, number):
        return self.rows[number]

    def __iter__(self):
        return iter(self.rows)


def labels(data, keys=NONE):
    return [(item.name, item.label, item.part) for item in items_of(pictures_given(data), keys)]


@pytest.mark.parametrize(
    "data",
    [
        np.zeros((4, 3)), (np.zeros((4, 3)), np.zeros(4)), ([[1.0], [2.0]], [0, 1]), "folder", [], ([], []), None, 3,
        {"a": [1, 2]}, ["some text", "more text"], (["a", "b"], [0, 1]), TensorDataset, {"train": [1], "test": [2]},
        FakeData(4, (3, 8, 8), 2, transform=ToTensor()), ["https://example.org/x.jpg"],
    ],
    ids=str,
)  # fmt: skip
def test_other_data_is_left_to_others(data):
    assert pictures_given(data) is None


def test_lists_of_paths_and_of_pictures_come_with_labels(tmp_path):
    fill(tmp_path)
    paths = [tmp_path / "0.png", str(tmp_path / "1.png")]
    assert labels((paths, ["a", "b"])) == [(str(paths[0]), "a", ""), (paths[1], "b", "")]
    assert labels((TWO, np.array([0, 1]))) == [("0", "0", ""), ("1", "1", "")]
    assert labels(list(zip(TWO, (True, 2.0), strict=True))) == [("0", "True", ""), ("1", "2", "")]
    assert labels(paths) == [(str(paths[0]), "", ""), (paths[1], "", "")]
    with pytest.raises(ShapeError, match="2 pictures and 3 labels"):
        labels((TWO, [0, 1, 2]))
    assert [label for _, label, _ in labels((TWO, [0.1 + 0.2, -7.0]))] == ["0.30000000000000004", "-7"]
    with pytest.raises(DataError, match="the label of item 0 of the given pictures is inf: give text or a number"):
        labels((TWO, [np.inf, 1.0]))


def test_datasets_of_torchvision_name_their_classes(tmp_path):
    fill(tmp_path / "ants")
    fill(tmp_path / "bees")
    folder = ImageFolder(tmp_path)
    assert [label for _, label, _ in labels(folder)] == ["ants", "ants", "bees", "bees"]
    assert [label for _, label, _ in labels(Subset(folder, [3, 0]))] == ["bees", "ants"]
    assert labels({"train": folder, "validation": folder})[4] == ("val/0", "ants", "val")
    fake = FakeData(6, (3, 12, 10), num_classes=3)
    assert [int(label) for _, label, _ in labels(fake)] == [int(fake[place][1]) for place in range(6)]


def test_rows_that_are_dicts_name_their_picture_and_label():
    rows = Rows([{"image": each, "label": place, "place": "x"} for place, each in enumerate(TWO)])
    assert class_names(rows, NONE) == ["cat", "dog"]
    assert labels(rows) == [("0", "cat", ""), ("1", "dog", "")]
    named = Rows([{"file_name": "gone.png", "image": each, "label": 1} for each in TWO])
    assert [item.picture for item in items_of({"": named}, NONE)] == TWO
    keys = Keys(image="image", label="place", beside=("label",))
    assert [(item.label, item.beside) for item in items_of({"": rows}, keys)] == [("x", ("0",)), ("x", ("1",))]
    with pytest.raises(UsageError, match="has no 'picture': it has image, label, place"):
        labels(rows, Keys(image="picture"))
    raw = Rows([{"image": {"bytes": encode(each), "path": None}, "label": 0, "place": ""} for each in TWO])
    np.testing.assert_array_equal(pixels_of_given(raw[1]["image"], shortest=99, bits=None), np.asarray(TWO[1]))
    with pytest.raises(DataError, match="is 2, and the dataset names 2 classes"):
        labels(Rows([{"image": TWO[0], "label": 2}]))


@pytest.mark.parametrize("row", [None, (None, 1), {"image": None, "label": 1}, 3, (1, 2, 3)])
def test_an_item_without_a_picture_is_named(row):
    first = {"image": TWO[0], "label": 0} if isinstance(row, dict) else (TWO[0], 0)
    with pytest.raises(DataError, match=r"item 1 of the given pictures holds .* and no picture: it must be a picture"):
        labels([first, row])


def test_parts_are_named_as_folders_are():
    assert [part for _, _, part in labels({"train": (TWO, "ab"), "Validation": (TWO, "ab")})] == ["train"] * 2 + [
        "val"
    ] * 2
    with pytest.raises(UsageError, match="nothing to train on among test"):
        pictures_given({"test": (TWO, "ab")})
    with pytest.raises(UsageError, match="are the same part"):
        pictures_given({"train": (TWO, "ab"), "val": (TWO, "ab"), "valid": (TWO, "ab")})


def grey16() -> Image.Image:
    return Image.fromarray((np.arange(32 * 32).reshape(32, 32) * 64).astype(np.uint16))


def turned() -> Image.Image:
    image = Image.open(io.BytesIO(encode(scene(2, width=500, height=400), "JPEG", exif=b"")))
    image.getexif()[0x0112] = 6
    return image


MODES = {
    "RGB": lambda: scene(3, width=600, height=500), "CMYK": lambda: scene(3).convert("CMYK"),
    "palette": lambda: scene(3).convert("P"), "one bit": lambda: scene(3).convert("1"), "16 bits": grey16,
    "transparent": lambda: Image.merge("RGBA", [*scene(3).split(), scene(4).convert("L")]), "turned": turned,
}  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shortest", [16, 1000])
def test_a_picture_of_pillow_has_the_pixels_of_the_file_that_is_kept_of_it(mode, shortest):
    kept = decode_bytes(content_of_given(MODES[mode]()), shortest=shortest)
    np.testing.assert_array_equal(pixels_of_given(MODES[mode](), shortest=shortest, bits=None), kept)
    assert kept.std() > 10
    assert min(kept.shape[:2]) <= shortest


def test_a_file_that_pillow_opened_has_the_pixels_of_the_file(tmp_path):
    (tmp_path / "a.png").write_bytes(encode(scene(5)))
    opened = Image.open(tmp_path / "a.png")
    np.testing.assert_array_equal(
        pixels_of_given(opened, shortest=24, bits=None), pixels_of_given(tmp_path / "a.png", shortest=24, bits=None)
    )


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (lambda: Image.new("F", (9, 9)), "pixels of mode F have no known white"),
        (lambda: Image.new("I", (9, 9)), "pixels of mode I have no known white"),
        (lambda: Image.new("RGB", (1, 9)), "show nothing"),
        (lambda: Image.open(io.BytesIO(JPEG[:5000])), "cannot be decoded"),
        (lambda: {"bytes": None, "path": None}, "neither bytes nor a path"),
        (lambda: "no/such.png", "cannot be opened"),
    ],
)
def test_what_cannot_be_read_says_why(picture, said):
    for read in (content_of_given, lambda each: pixels_of_given(each, shortest=8, bits=None)):
        with pytest.raises(UnreadablePicture, match=said):
            read(picture())


def test_pictures_alone_are_those_of_a_list_a_dataset_or_one():
    assert list(pictures_alone(TWO[0])) == TWO[:1]
    assert list(pictures_alone(TWO)) == TWO
    assert list(pictures_alone((TWO, [0, 1]))) == TWO
    assert list(pictures_alone(Rows([{"image": each, "label": 0} for each in TWO]))) == TWO
    with pytest.raises(UsageError, match="a ndarray holds no pictures"):
        list(pictures_alone(np.zeros((2, 8, 8))))
