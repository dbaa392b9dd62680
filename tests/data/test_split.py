"""The split of examples, duplicates, and what a network sees of a picture."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from tame.core.errors import DataError, UsageError
from tame.core.rng import stream
from tame.data.image_hashes import perceptual_hash
from tame.data.quality import find_duplicates
from tame.data.split import class_sizes, groups_of, make_split, seal, split_by_order, write_split
from tame.data.views import central_pixels, square_view


def split_of(labels, *, given=None, groups=None, folds=None, seed=0):
    given = given if given is not None else [""] * len(labels)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    classes = [f"class {i}" for i in range(max(labels) + 1)]
    return make_split(labels, given, groups, classes=classes, folds=folds, seed=seed)


@st.composite
def collections(draw):
    """Labels, given parts and groups: pairs join any two examples, so that a group may hold several labels."""
    num_classes, num = draw(st.integers(2, 5)), draw(st.integers(12, 120))
    rng = stream(draw(st.integers(0, 10_000)), "collection")
    labels = rng.integers(num_classes, size=num).tolist()
    parts = draw(st.sampled_from([[""], ["train"], ["train", "test"], ["train", "val"], ["train", "val", "test"]]))
    given = rng.choice(
        parts, size=num, p=[1.0] if len(parts) == 1 else [0.6] + [0.4 / (len(parts) - 1)] * (len(parts) - 1)
    )
    pairs = rng.integers(num, size=(draw(st.integers(0, num // 3)), 2))
    return labels, given.tolist(), groups_of(num, [(int(a), int(b)) for a, b in pairs])


@given(collections(), st.none() | st.integers(2, 6), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_the_laws_of_a_split(collection, folds, seed):
    labels, given, groups = collection
    try:
        split = split_of(labels, given=given, groups=groups, folds=folds, seed=seed)
    except (DataError, UsageError):
        assume(False)
    num = len(labels)
    # Disjoint and complete.
    assert len(split.part) == len(split.fold) == num
    assert sorted(split.rows("train") + split.rows("val") + split.rows("test") + split.rows("aside")) == list(
        range(num)
    )
    # A group is never on two sides: not of the test part, not of a validation part, not of a fold.
    for group in np.unique(groups):
        own = [split.part[row] for row in np.flatnonzero(groups == group)]
        assert len(set(own) - {"aside"}) <= 1
        folds_of_group = {split.fold[row] for row in np.flatnonzero(groups == group) if split.part[row] != "aside"}
        assert len(folds_of_group) <= 1
    # The given parts are honoured: nothing moves into a part that was given, and the test part is never robbed.
    for row, asked in enumerate(given):
        if asked == "test":
            assert split.part[row] == "test"
        if "test" in given and split.part[row] == "test":
            assert asked == "test"
        if "val" in given and split.part[row] == "val":
            assert asked == "val"
    # There is something to learn from, to choose by and to test on, and every class can be trained on.
    assert split.rows("test")
    assert any(fold >= 0 for fold in split.fold)
    assert {labels[row] for row in split.rows("train")} == set(range(max(labels) + 1))
    # What no other is judged by is never left out of a training.
    for number in class_sizes(split, np.array(labels), max(labels) + 1)[1]:
        assert all(split.part[row] in ("train", "aside") for row in np.flatnonzero(np.array(labels) == number))
    # Folds: as many as said, none empty, only where there is training data or the validation part.
    assert {fold for fold in split.fold if fold >= 0} == set(range(split.folds))
    assert all(split.fold[row] == -1 for row in split.rows("test", "aside"))
    if folds is not None:
        assert split.folds == folds
    # The same seed gives the same split.
    assert split == split_of(labels, given=given, groups=groups, folds=folds, seed=seed)


@given(seed=st.integers(0, 1000), counts=st.lists(st.integers(20, 60), min_size=2, max_size=4))
@settings(max_examples=30, deadline=None)
def test_classes_are_in_proportion_everywhere(seed, counts):
    labels = [i for i, count in enumerate(counts) for _ in range(count)]
    split = split_of(labels, seed=seed)
    assert split.folds == 5
    for number, count in enumerate(counts):
        own = [row for row, label in enumerate(labels) if label == number]
        assert abs(sum(split.part[row] == "test" for row in own) - count / 5) <= 1.01
        for fold in range(5):
            assert abs(sum(split.fold[row] == fold for row in own) - 0.16 * count) <= 1.6


def test_another_seed_gives_another_split():
    labels = [0, 1] * 50
    assert split_of(labels, seed=0) != split_of(labels, seed=1)


def test_many_examples_are_validated_in_one_part_and_few_in_folds():
    many = split_of([0, 1] * 700)
    assert (many.folds, len(many.rows("test")), len(many.rows("val"))) == (1, 280, 224)
    few = split_of([0, 1] * 100)
    assert (few.folds, len(few.rows("test")), len(few.rows("val"))) == (5, 40, 0)
    assert split_of([0, 1] * 700, folds=3).folds == 3


@pytest.mark.parametrize("counts", [(3, 3), (4, 4), (3, 100), (5, 4, 3)])
def test_very_few_examples_are_still_split(counts):
    labels = [i for i, count in enumerate(counts) for _ in range(count)]
    split = split_of(labels)
    assert split.rows("test")
    assert split.folds >= 2


def test_a_copy_of_a_test_picture_is_put_aside_and_not_trained_on():
    labels = [0, 1] * 40
    given = ["train"] * 60 + ["test"] * 20
    groups = np.arange(80)
    groups[5] = groups[75]
    split = split_of(labels, given=given, groups=groups)
    assert split.part[5] == "aside"
    assert split.part[75] == "test"
    assert split.fold[5] == -1


@pytest.mark.parametrize(
    ("labels", "options", "error", "words"),
    [
        ([0] * 50 + [1] * 2, {}, DataError, r"'class 1' has 2 different example\(s\).*two classes need at least 3"),
        ([0] * 10 + [1] * 10, {"groups": [0] * 10 + list(range(10, 20))}, DataError, "class 'class 0' has 1 different"),
        ([0, 0, 1, 1, 2], {}, DataError, "every class has too few different examples"),
        ([0] * 20 + [1] * 20 + [2] * 4, {"folds": 5}, DataError, "class 'class 2' has 3 different.*at least 5"),
        ([0, 1] * 10, {"given": ["test", "train"] * 10}, DataError, "class 'class 0' has 0 different"),
        ([0, 1] * 10, {"folds": 12}, DataError, "at least 12 are needed"),
        ([0, 1] * 10, {"given": ["train"] * 12 + ["val"] * 8, "folds": 3}, UsageError, "leave out --folds"),
    ],
)
def test_what_cannot_be_split_is_refused(labels, options, error, words):
    with pytest.raises(error, match=words):
        split_of(labels, **options)


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(
    ("given", "folds"),
    [
        ([""] * 60, None), ([""] * 60, 4), (["train"] * 40 + ["test"] * 20, None), ([""] * 1500, None),
        (["train"] * 40 + ["val"] * 20, None), (["train"] * 30 + ["val"] * 15 + ["test"] * 15, None),
    ],
)  # fmt: skip
def test_a_class_of_one_or_two_examples_is_trained_on_by_every_fold_and_not_judged(count, given, folds):
    labels = [2] * count + [0, 1] * ((len(given) - count) // 2) + [0] * ((len(given) - count) % 2)
    groups = np.arange(len(labels))
    groups[10] = 0  # a copy under another label stays with it
    split = split_of(labels, given=given, groups=groups, folds=folds)
    own = [0, *([1] if count == 2 else []), 10]
    if count == 2 and "test" in given and "val" not in given:  # two are enough for two folds
        assert class_sizes(split, np.array(labels), 3)[1] == []
        return
    assert class_sizes(split, np.array(labels), 3)[1] == [2]
    assert all((split.part[row], split.fold[row]) == ("train", -1) for row in own)
    said = f"{count + 1} of classes too rare for that ('class 2') are trained on and not judged"
    assert (said in split.how) is not ("val" in given and "test" in given)


def test_without_rare_classes_the_split_is_what_it_was():
    """Studies that were begun with an earlier TAME are split again when they go on."""
    found = split_of([0, 1, 2] * 9, seed=5)
    assert (
        "".join({"train": "abcde"[fold], "test": "T"}[part] for part, fold in zip(found.part, found.fold, strict=True))
        == "cdaeTadbTacbbceTaeaTdbdcceT"
    )


def test_nothing_cannot_be_split():
    with pytest.raises(DataError, match="there is nothing to split"):
        make_split([], [], np.array([]), classes=[], folds=None, seed=0)


@given(st.integers(1, 30).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_groups_are_the_connected_parts(case):
    num, pairs = case
    found = groups_of(num, pairs)
    near = np.eye(num, dtype=bool)
    for a, b in pairs:
        near[a, b] = near[b, a] = True
    for _ in range(num):
        near = near @ near
    assert np.array_equal(found[:, None] == found[None, :], near)
    assert all(found[i] <= i for i in range(num))


@given(seed=st.integers(0, 99), copies=st.integers(0, 30))
def test_a_split_by_time_puts_copies_of_later_rows_aside(seed, copies):
    rng = np.random.default_rng(seed)
    order, groups = np.arange(100.0), np.arange(100)
    early, late = rng.choice(60, copies, replace=False), rng.choice(np.arange(60, 100), copies)
    groups[early] = groups[late]
    split = split_by_order(order, [""] * 100, groups)
    assert split.rows("test") == list(range(80, 100))
    sides = {}
    for row, part in enumerate(split.part):
        if part != "aside":
            sides.setdefault(int(groups[row]), set()).add(part)
    assert all(len(own) == 1 for own in sides.values())
    assert set(early.tolist()) <= set(split.rows("aside"))
    with pytest.raises(DataError, match="all rows before the test part are copies of later ones"):
        split_by_order(order, [""] * 100, np.arange(100) % 20)


def test_the_sealed_part_opens_with_a_record():
    split = split_of([0, 1] * 20)
    sealed = seal(split, [0, 1] * 20)
    log = []
    assert sealed.open(log.append).tolist() == [row % 2 for row in split.rows("test")]
    assert log == [len(split.rows("test"))]


def test_a_split_is_written_as_a_table_without_formulas(tmp_path):
    split = split_of([0, 1] * 10)
    ids = ["=cmd()", "+1", *(f"{i}.jpg" for i in range(18))]
    write_split(tmp_path / "split.csv", split, ids, np.arange(20))
    with (tmp_path / "split.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["part"] for row in rows] == list(split.part)
    assert [row["id"] for row in rows][:3] == ["'=cmd()", "'+1", "0.jpg"]
    assert [int(row["fold"] or -1) for row in rows] == list(split.fold)
    assert (tmp_path / "split.csv").stat().st_mode & 0o077 == 0


# Duplicates -----------------------------------------------------------------------------------------------------------


def photograph(seed, size=96):
    """Something with shapes and shades, different for each seed."""
    rng = stream(seed, "photograph")
    image = Image.new("RGB", (size, size), tuple(rng.integers(256, size=3).tolist()))
    draw = ImageDraw.Draw(image)
    for _ in range(12):
        x, y, w, h = rng.integers(size, size=4).tolist()
        draw.ellipse((x - w // 3, y - h // 3, x + w // 3, y + h // 3), fill=tuple(rng.integers(256, size=3).tolist()))
    return np.asarray(image)


def test_planted_copies_are_found_and_nothing_else():
    pictures = [photograph(i) for i in range(40)]
    brighter = np.clip(pictures[3].astype(int) + 12, 0, 255).astype(np.uint8)
    smaller = np.asarray(Image.fromarray(pictures[7]).resize((70, 70)))
    pictures += [pictures[0].copy(), brighter, smaller]
    digests = [f"{i}" for i in range(40)] + ["0", "41", "42"]
    hashes = [perceptual_hash(picture) for picture in pictures]
    assert find_duplicates(hashes, None, digests=digests) == [(0, 40), (3, 41), (7, 42)]


def test_features_decide_where_hashes_are_near_and_find_what_they_miss():
    rng = stream(0, "features")
    features = rng.normal(size=(60, 32))
    features[50] = features[10] + 0.02 * rng.normal(size=32)  # a crop: another hash, the same features
    features[51] = features[20] + 0.25 * rng.normal(size=32)  # near hash, near features
    hashes = [int(x) for x in rng.integers(2**63, size=60)]
    hashes[51] = hashes[20] ^ 0b1111111111  # 10 bits away
    hashes[52] = hashes[30] ^ 0b1  # 1 bit away, but of other features
    digests = [str(i) for i in range(60)]
    assert find_duplicates(hashes, features, digests=digests) == [(10, 50), (20, 51)]
    assert find_duplicates(hashes, None, digests=digests) == [(30, 52)]


def test_copies_of_one_file_are_all_joined_to_the_first():
    assert find_duplicates([1 << 60, 1 << 30, 1 << 5, 0xFFFF], None, digests=["a", "b", "a", "a"])[:1] == [(0, 1)]
    far = [0xFFFF << 48, 0xFFFF << 32, 0xFFFF << 16, 0xFFFF]
    assert find_duplicates(far, None, digests=["a", "b", "a", "a"]) == [(0, 2), (0, 3)]


# Views ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (80, 80)])
def test_the_first_view_is_the_central_crop_resized_by_pil(height, width, interpolation):
    pixels = stream(0, "pixels").integers(256, size=(height, width, 3), dtype=np.uint8)
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    kinds = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    cropped = Image.fromarray(pixels).crop((left, top, left + side, top + side))
    wanted = np.asarray(cropped.resize((32, 32), kinds[interpolation]))
    found = square_view(pixels, size=32, view=0, name="x", crop=1.0, interpolation=interpolation)
    # Cropping and resizing in one step, PIL looks a few pixels over the edge of the crop where there are any.
    inner = slice(3, -3)
    assert np.array_equal(found[inner, inner], wanted[inner, inner])
    if height == width:
        assert np.array_equal(found, wanted)
    half = square_view(pixels, size=16, view=0, name="x", crop=0.5, interpolation=interpolation)
    box = (width / 2 - side / 4, height / 2 - side / 4, width / 2 + side / 4, height / 2 + side / 4)
    assert np.array_equal(half, np.asarray(Image.fromarray(pixels).resize((16, 16), kinds[interpolation], box=box)))


def test_a_picture_of_the_right_size_is_seen_as_it_is():
    pixels = photograph(0, size=48)
    assert np.array_equal(square_view(pixels, size=48, view=0, name="x", crop=1.0), pixels)


@given(seed=st.integers(0, 99), height=st.integers(20, 60), width=st.integers(20, 60), crop=st.floats(0.3, 1))
def test_the_second_view_is_the_mirror_image_of_the_first(seed, height, width, crop):
    pixels = stream(seed, "pixels").integers(256, size=(height, width, 3), dtype=np.uint8)
    first, second = (square_view(pixels, size=24, view=view, name="x", crop=crop) for view in (0, 1))
    assert first.shape == (24, 24, 3)
    assert np.array_equal(second[:, ::-1], first)


def test_later_views_are_crops_that_depend_on_picture_and_number_alone():
    pixels = photograph(1)
    seen = [square_view(pixels, size=32, view=view, name="a.jpg") for view in range(6)]
    again = [square_view(pixels, size=32, view=view, name="a.jpg") for view in range(6)]
    assert all(np.array_equal(a, b) for a, b in zip(seen, again, strict=True))
    assert not any(np.array_equal(seen[a], seen[b]) for a in range(6) for b in range(a))
    assert not np.array_equal(seen[2], square_view(pixels, size=32, view=2, name="b.jpg"))


def test_pixels_for_networks_are_first_views_with_channels_first():
    pictures = [photograph(0), photograph(1, size=70)]
    found = central_pixels(pictures, size=24, crop=0.9)
    assert found.shape == (2, 3, 24, 24)
    for i, picture in enumerate(pictures):
        assert np.array_equal(
            found[i].permute(1, 2, 0).numpy(), square_view(picture, size=24, view=0, name="", crop=0.9)
        )


@pytest.mark.parametrize("num", [300, 3000])
@pytest.mark.parametrize("seed", range(4))
def test_a_group_that_is_most_of_the_data_is_no_test_part(num, seed):
    groups = np.where(np.arange(num) < 0.7 * num, 0, np.arange(num))
    labels = np.arange(num) % 2
    split = make_split(labels, [""] * num, groups, classes=("a", "b"), folds=None, seed=seed)
    assert 1 <= len(split.rows("test")) <= num // 4
    assert 0 not in {int(groups[row]) for row in split.rows("test", "val")}
    assert split.how.startswith("a part was cut")


def test_the_largest_of_unequal_groups_is_not_always_the_test_part():
    groups = np.repeat(np.arange(6), (90, 50, 40, 40, 40, 40))
    labels = np.arange(300) % 2
    split = make_split(labels, [""] * 300, groups, classes=("a", "b"), folds=None, seed=0)
    assert 0 not in {int(groups[row]) for row in split.rows("test")}
    assert len(split.rows("test")) in (40, 50)


@pytest.mark.parametrize("num", [3, 4, 5, 6])
def test_a_few_groups_are_enough_for_every_part(num):
    groups = np.repeat(np.arange(num), 2)
    split = make_split([0] * len(groups), [""] * len(groups), groups, classes=(), folds=None, seed=1, folds_below=0)
    parts = {group: {split.part[row] for row in (groups == group).nonzero()[0]} for group in range(num)}
    assert all(len(own) == 1 for own in parts.values())
    assert set().union(*parts.values()) == {"train", "val", "test"}


def test_copies_of_one_example_are_refused():
    with pytest.raises(DataError, match="too few different examples"):
        make_split([0] * 4, [""] * 4, np.zeros(4, dtype=int), classes=(), folds=None, seed=1, folds_below=0)
