"""The order of classes: numbers as numbers, wherever they come from."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from made_pictures import fill
from tame.core.errors import DataError
from tame.data.array_targets import task_of
from tame.data.arrays import read_arrays
from tame.data.images import scan
from tame.data.labels import lookalikes, numbers_in_order, visible, without_invisible
from tame.data.table_reading import read_raw
from tame.data.tables import RawTable
from tame.data.targets import read_later_target, read_target

WHOLE = list(range(-2, 12))


@given(numbers=st.lists(st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6), min_size=2, unique=True))
def test_texts_that_are_all_numbers_are_in_the_order_of_numbers_and_keep_their_rows(numbers):
    texts = np.array([str(number) for number in numbers])
    names, codes = np.unique(texts, return_inverse=True)
    found, classes = numbers_in_order(codes, tuple(names))
    assert [float(name) for name in classes] == sorted(map(float, numbers))
    assert [classes[code] for code in found] == texts.tolist()


@given(names=st.lists(st.text(min_size=1), min_size=2, unique=True).map(sorted))
def test_other_names_stay_as_they_are(names):
    codes = np.arange(len(names))
    found, classes = numbers_in_order(codes, (*names, "no number"))
    assert (found.tolist(), classes) == (codes.tolist(), (*names, "no number"))


@pytest.mark.parametrize("given_as", [int, float, str])
def test_numbers_from_arrays_are_in_order_whatever_their_type(given_as):
    y = np.array([given_as(number) for number in WHOLE * 3])
    found = task_of(read_arrays(np.zeros((len(y), 1)), y).y, task="classification")
    assert [float(name) for name in found.classes] == WHOLE
    assert found.values.tolist() == list(range(len(WHOLE))) * 3


@pytest.mark.parametrize("form", ["{}", "{:02d}", "{}.0"])
def test_numbers_from_a_table_are_in_order_however_they_are_written(form, tmp_path):
    texts = [form.format(number) for number in WHOLE[2:] * 4]
    (tmp_path / "rows.csv").write_text("a,y\n" + "".join(f"{i},{text}\n" for i, text in enumerate(texts)))
    target, _ = read_target(read_raw(tmp_path / "rows.csv"), "y", task="classification")
    assert [float(name) for name in target.classes] == WHOLE[2:]
    assert [target.classes[code] for code in target.values] == texts


# Which labels are the same, and which only look so

HIDDEN = [
    "\u00ad", "\u034f", "\u061c", "\u180e", "\u200b", "\u200d", "\u200e", "\u202a", "\u202c", "\u2060", "\u2063",
    "\u2066", "\u2069", "\u3164", "\ufe0f", "\ufeff", "\U000e0020",
]  # fmt: skip


@given(label=st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=1, max_size=8), data=st.data())
def test_what_cannot_be_seen_makes_no_other_label(label, data):
    place = data.draw(st.integers(0, len(label)))
    hidden = data.draw(st.sampled_from(HIDDEN))
    assert visible(label[:place] + hidden + label[place:]) == visible(label)


@given(st.text())
def test_every_character_of_the_category_cf_is_not_seen(text):
    if "\U0001f3f4" not in text:  # flags are told apart by such characters, and are seen
        assert not any(unicodedata.category(char) == "Cf" and char < "\u0600" for char in without_invisible(text))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cat", "\uff43at"), ("cat", "c\u0430t"), ("Masse", "Ma\u00dfe"), ("it's", "it\u2019s"), ("m", "M"),
        ("t-shirt", "t\u2013shirt"), ("\u00b5m", "\u03bcm"), ("fish", "\ufb01sh"), ("Cat", "cat"), ("a b", "a\u00a0b"),
        (">50K", ">50K."), ("yes", "Yes."), ("1", "01"), ("New York", "NewYork"), ("class 7", "class 07"), ("7", "7,"),
        ("P-1", "P\u20101"), ("wow", "wow!"), ("2024-01-05", "2024-1-5"),
    ],
)  # fmt: skip
def test_labels_that_are_hard_to_tell_apart_are_found(one, other):
    assert set(lookalikes(["dog", other, one]) or ()) == {one, other}


def test_labels_that_differ_are_left_alone():
    flags = [f"\U0001f3f4\U000e0067\U000e0062{end}\U000e007f" for end in ("\U000e0065", "\U000e0073")]
    assert lookalikes(["1.05", "1.5", "10", "100", "0", "0.5", "?", "!", "...", "-1", "+"]) is None
    assert lookalikes(["O", "0", "caf\u00e9", "cafe", "\u043a\u043e\u0442", "kot", *flags]) is None


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_table_has_one_class_for_labels_that_look_the_same_and_says_so(hidden):
    cells = np.array(["cat", f"ca{hidden}t", "dog", "dog"] * 6, dtype=object)
    target, _ = read_target(RawTable(("y",), {"y": cells}, (), len(cells), "", ","), "y")
    assert target.classes == ("cat", "dog")
    assert "labels that differ from 'cat' only in what cannot be seen are the same class" in target.why


TWINS = [(">50K", ">50K."), ("01", "1"), ("yes", "Yes."), ("a b", "ab")]


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_labels_that_may_be_one_are_asked_about_wherever_they_come_from(one, other):
    cells = np.array([one, other, "2", "3"] * 6, dtype=object)
    raw = RawTable(("y",), {"y": cells}, (), len(cells), "", ",")
    with pytest.raises(DataError, match=r"one class or two\? .*--column y=category to keep them apart"):
        read_target(raw, "y")
    assert len(read_target(raw, "y", told="category")[0].classes) == 4
    with pytest.raises(DataError, match="one class or two"):
        task_of(cells.astype(str), task="classification")


@pytest.mark.parametrize(("one", "other"), TWINS)
def test_a_later_table_that_writes_a_label_otherwise_is_read_and_says_so(one, other):
    first, later = (np.array([label, "2"] * 6, dtype=object) for label in (one, other))
    target, _ = read_target(RawTable(("y",), {"y": first}, (), 12, "", ","), "y", task="classification")
    values, labelled, notes = read_later_target(RawTable(("y",), {"y": later}, (), 12, "", ","), target)
    assert labelled.all()
    assert [target.classes[value] for value in values[:2]] == [one, "2"]
    assert notes == [f"y: {other!r} (6) is read as {one!r}, as the training table has it"]


def test_a_later_label_that_may_be_either_of_two_classes_is_refused():
    first, later = (np.array(labels * 6, dtype=object) for labels in (["01", "1", "2"], ["001", "2", "2"]))
    target, _ = read_target(RawTable(("y",), {"y": first}, (), 18, "", ","), "y", told="category")
    with pytest.raises(DataError, match="a class that was not there before: row 1: '001'"):
        read_later_target(RawTable(("y",), {"y": later}, (), 18, "", ","), target)


@pytest.mark.parametrize("other", ["c\u0430t", "\uff43at", "c\u200bat\u00a0", "CAT"])
def test_folders_whose_names_look_alike_are_refused(other, tmp_path):
    for name in ("cat", other, "dog"):
        fill(tmp_path / name)
    with pytest.raises(DataError, match="look alike"):
        scan(tmp_path)
