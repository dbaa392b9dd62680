"""Labels in the names of files, by a pattern that is matched in linear time."""

from __future__ import annotations

import time

import pytest

from made_pictures import fill
from tame.core.config import StudyConfig
from tame.core.errors import DataError, UsageError
from tame.data.image_names import labels_in, read_names


@pytest.fixture
def named(tmp_path):
    """Pictures of two classes, side by side, by part."""
    for part in ("train", "val"):
        for seed, name in enumerate(("ant", "great_bee")):
            for each in fill(tmp_path / "all" / part / name, 4, seed=10 * seed + len(part)).iterdir():
                each.rename(each.parents[1] / f"{name}_{each.name}")
            (tmp_path / "all" / part / name).rmdir()
    return tmp_path / "all"


def test_the_group_of_a_pattern_that_fits_the_whole_name_is_the_label():
    names = ["ant_1.jpg", "great_bee_22.jpg", "ant.jpg", "x_ant_1.jpg.txt", "_1.jpg"]
    assert labels_in(names, r"(.+)_\d+\.jpg") == ["ant", "great_bee", "", "", ""]
    assert labels_in(names, r"(?:x_)?([a-z]*)_.*") == ["ant", "great", "", "ant", ""]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("(.+", "is not a regular expression"), (r"(.)\1", "is not a regular expression"),
        (".+", "must have one group"), ("(.)(.+)", "must have one group"),
    ],
)  # fmt: skip
def test_a_pattern_that_is_none_is_refused(pattern, said):
    with pytest.raises(UsageError, match=said):
        labels_in(["ab"], pattern)


def test_no_pattern_takes_long():
    begun = time.process_time()
    assert labels_in(["a" * 250] * 100, r"((?:a+)+)+b") == [""] * 100
    assert time.process_time() - begun < 5.0


def test_pictures_are_labelled_by_their_names_in_their_parts(named):
    found = read_names(StudyConfig(data=str(named), label_pattern=r"(.+)_\d+\.png"))
    assert (found.classes, found.parts, len(found.pictures)) == (("ant", "great_bee"), ("train", "val"), 16)
    assert {(p.id.split("/")[1].rpartition("_")[0], found.classes[p.label]) for p in found.pictures} == {
        ("ant", "ant"), ("great_bee", "great_bee"),
    }  # fmt: skip
    as_test = read_names(StudyConfig(data=str(named), label_pattern=r"(.+)_\d+\.png", test="val"))
    assert as_test.parts == ("train", "test")


def test_few_names_that_do_not_fit_are_left_out_and_many_are_a_mistake(named):
    fill(named / "train", 1)
    found = read_names(StudyConfig(data=str(named), label_pattern=r"(.+)_\d+\.png"))
    assert [(each.id, each.reason) for each in found.skipped] == [
        ("train/0.png", "its name does not fit --label-pattern")
    ]
    with pytest.raises(DataError, match=r"gives no label to 17 of the 17 pictures: train/0\.png"):
        read_names(StudyConfig(data=str(named), label_pattern=r"(.+)\.jpg"))


def test_labels_come_from_one_place():
    with pytest.raises(UsageError, match="give one of them"):
        StudyConfig(data="x", label_pattern="(.)", target="y")
