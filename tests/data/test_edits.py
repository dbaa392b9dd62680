"""Edits are applied once the data is split: everything else stays where it was."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.edits import Edit
from tame.core.errors import DataError
from tame.data.edits import Examples, apply_edits, digest_of_cells
from tame.data.split import groups_of, make_split

CLASSES = ("bee", "fly", "wasp")
NUM = 60


def examples(seed=0, *, folds=3, regression=False, **changes):
    chance = np.random.default_rng(seed)
    codes = np.arange(NUM) % 3
    pairs = [(int(a), int(a) + 3) for a in chance.choice(NUM - 3, 5, replace=False)]
    split = make_split(codes, [""] * NUM, groups_of(NUM, pairs), classes=CLASSES, folds=folds, seed=seed)
    values = chance.normal(size=NUM) if regression else codes
    about = Examples(
        ids=[f"p/{row}.jpg" for row in range(NUM)], values=values, classes=() if regression else CLASSES,
        split=split, digest_of=lambda row: f"d{row}", nouns="pictures",
    )  # fmt: skip
    return replace(about, **changes)


def edit(row, label="", **more):
    return Edit(id=f"p/{row}.jpg", action="label" if label else "exclude", label=label, **more)


CHOSEN = st.dictionaries(st.integers(0, NUM - 1), st.sampled_from(["", *CLASSES]), min_size=1, max_size=8)


@given(seed=st.integers(0, 20), folds=st.integers(2, 5), chosen=CHOSEN)
def test_all_others_stay_in_their_part_and_fold_and_keep_their_label(seed, folds, chosen):
    own = examples(seed, folds=folds)
    edits = [edit(row, label) for row, label in chosen.items() if label != CLASSES[own.values[row]]]
    if not edits:
        return
    found = apply_edits(edits, own)
    touched = {int(each.id[2:-4]): each for each in edits}
    for row in range(NUM):
        mine = touched.get(row)
        if mine is not None and mine.action == "exclude":
            assert (found.split.part[row], found.split.fold[row]) == ("excluded", -1)
            continue
        assert (found.split.part[row], found.split.fold[row]) == (own.split.part[row], own.split.fold[row])
        expected = own.values[row] if mine is None else CLASSES.index(mine.label)
        assert found.values[row] == expected
    assert found.edited is not None
    assert set(found.edited.sealed) == {each.id for row, each in touched.items() if own.split.part[row] == "test"}
    np.testing.assert_array_equal(own.values, np.arange(NUM) % 3)  # what came in is as it was


def test_no_edits_change_nothing():
    own = examples()
    for none in (None, ()):
        found = apply_edits(none, own)
        assert found.edited is None
        assert found.split is own.split
        assert found.values is own.values


def test_numbers_are_changed_to_numbers():
    own = examples(regression=True)
    assert apply_edits([edit(5, "2.5")], own).values[5] == 2.5
    for label in ("bee", "nan", "inf"):
        with pytest.raises(DataError, match="numbers are predicted here"):
            apply_edits([edit(5, label)], own)


@pytest.mark.parametrize(
    ("edits", "words"),
    [
        ([Edit(id="p/61.jpg", action="exclude")], r"1 of the 1 edits name pictures that are not there.*did you mean"),
        ([Edit(id="../../etc/passwd", action="exclude")], "not there"),
        ([edit(0, "bumblebee")], "no class named 'bumblebee'"),
        ([edit(0, "bee")], "is bee already"),
        ([edit(0, digest="d1")], "is not the one that was edited: its digest is d0, and the edit has d1"),
        ([edit(row) for row in range(0, NUM, 3)], "too little is left of class 'bee' to train on"),
        ([edit(row, "fly") for row in range(0, NUM, 3)], "too little is left of class 'bee' to train on"),
    ],
)
def test_what_cannot_be_applied_is_named(edits, words):
    with pytest.raises(DataError, match=words):
        apply_edits(edits, examples())


def test_a_test_part_and_every_fold_keep_some_examples():
    own = examples()
    with pytest.raises(DataError, match="the test part is empty"):
        apply_edits([edit(row) for row in own.split.rows("test")], own)
    fold = [row for row in range(NUM) if own.split.fold[row] == 1]
    with pytest.raises(DataError, match="nothing is left to choose by"):
        apply_edits([edit(row) for row in fold], own)


def test_examples_that_are_named_by_their_place_need_a_digest():
    own = examples(named_by_place=True)
    with pytest.raises(DataError, match="named by its place alone: its digest is d4, and the edit has none"):
        apply_edits([edit(4)], own)
    assert apply_edits([edit(4, digest="d4")], own).is_left_out.sum() == 1


def test_examples_with_probabilities_have_no_label_to_change():
    own = examples(are_shared=True)
    with pytest.raises(DataError, match="has probabilities of classes"):
        apply_edits([edit(0, "fly")], own)
    assert apply_edits([edit(0)], own).is_left_out[0]


def test_other_cells_never_make_the_same_digest():
    rows = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc"), ("2:ab1:c",)]
    assert len({digest_of_cells(row) for row in rows}) == len(rows)
