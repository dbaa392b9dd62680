"""Files of edits: what is written is read again, whatever ids hold, and what says too little is named by its row."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.edits import COLUMNS, Edit, Edited, after, edits_of, read_edits, text_of
from tame.core.errors import DataError, UsageError

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
EDITS = st.builds(
    lambda own, label, part, why: Edit(
        id=own, action="label" if label else "exclude", label=label, part=part, why=why
    ),
    TEXTS.filter(bool), TEXTS, st.sampled_from(["", "train", "val", "test"]), TEXTS,
)  # fmt: skip
HOSTILE = ("=cmd()|' /C calc'!A0", "'=1", "''@x", "-1", "+1", "a\nb", 'a"b', "a,b;c", "\ufeffid", "../../etc/passwd")


@given(st.lists(EDITS, unique_by=lambda each: each.id, max_size=6))
def test_what_is_written_is_read_again(edits):
    assert edits_of(text_of(edits).encode(), "edits.csv") == tuple(edits)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_cell_is_run_by_a_spreadsheet_and_no_id_is_changed(name):
    text = text_of([Edit(id=name, action="label", label=name)])
    for row in csv.reader(io.StringIO(text, newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
    (found,) = edits_of(text.encode(), "edits.csv")
    assert (found.id, found.label) == (name, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is empty"),
        (b"id,what\n", "no column named 'what'"),
        (b"id,label\na,b\n", "has no column 'action'"),
        (b"id,id,action\na,a,exclude\n", "a column twice"),
        (b"id,action\na,burn\n", "row 2: no action named 'burn'"),
        (b"id,action\na,undo\n", "row 2: no action named 'undo'"),
        (b"id,action\n,exclude\n", "row 2: an edit needs the id"),
        (b"id,action,label\na,label,\n", "row 2: the action is label: give the new one"),
        (b"id,action,label\na,exclude,b\n", "row 2: the action is exclude: leave the column label empty"),
        (b"id,action\na,exclude\nb,exclude,c\n", "row 3 has 3 cells, not 2"),
        (b"id,action\na,exclude\na,exclude\n", "row 3: 'a' is edited twice"),
        (b"id,action\n\xff,exclude\n", "not UTF-8"),
        (b'id,action\n"a,exclude\n', "cannot be read as a table"),
        (b"id,action\n" + b"a" * 2000 + b",exclude\n", "row 2: id is longer"),
    ],
)
def test_what_is_no_file_of_edits_is_named(text, words):
    with pytest.raises(DataError, match=words):
        edits_of(text, "edits.csv")


def test_a_file_of_a_spreadsheet_with_semicolons_is_read():
    (found,) = edits_of("\ufeffid;action;label\r\nbee, big/1.jpg;label;wasp\r\n".encode(), "edits.csv")
    assert found == Edit(id="bee, big/1.jpg", action="label", label="wasp")


def test_a_file_that_is_not_there_or_no_file_is_named(tmp_path):
    with pytest.raises(UsageError, match="no file of edits"):
        read_edits(tmp_path / "none.csv")
    with pytest.raises(DataError, match="a folder"):
        read_edits(tmp_path)


def test_the_last_edit_of_an_example_counts_and_can_be_taken_back():
    one, other = Edit(id="a", action="exclude"), Edit(id="a", action="label", label="b")
    assert after(after((), one), other) == (other,)
    assert after((one,), Edit(id="a", action="undo")) == ()


def test_edits_are_counted_by_what_they_do_to_the_sealed_test_part():
    edits = (
        Edit(id="a", action="exclude", part="train"), Edit(id="b", action="exclude", part="test"),
        Edit(id="c", action="label", label="x", part="test"), Edit(id="d", action="label", label="x", part="train"),
    )  # fmt: skip
    own = Edited(edits=edits, sealed=("b", "c", "d")).counts
    assert (own.excluded, own.relabelled, own.test_excluded, own.test_relabelled) == (2, 2, 1, 2)
    assert own.after_looking == 2  # d lay in another part where it was edited
    assert set(COLUMNS) >= {"id", "action", "label", "part", "when", "why"}
