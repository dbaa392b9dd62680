"""What a learner has answered: kept for them alone, and gone when they want."""

from __future__ import annotations

import os
import stat
from datetime import date

import pytest

from tame.core.errors import RefusedError, StorageError
from tame.learn.progress import DAYS, FILE, Card, Progress, Tally, forget_progress, keep_progress, read_progress
from tame.report.glossary import general_terms

DAY = date(2026, 11, 30)


def test_progress_comes_back_as_it_was_kept(tmp_path):
    own = (
        Progress()
        .answered("descent", right=True)
        .answered("descent", right=False)
        .turned("loss", known=True, today=DAY)
    )
    keep_progress(tmp_path / "new", own)
    assert read_progress(tmp_path / "new") == own
    assert own.lessons["descent"] == Tally(2, 1)


@pytest.mark.skipif(os.name == "nt", reason="modes are those of POSIX")
def test_nobody_else_can_read_it(tmp_path):
    keep_progress(tmp_path / "new", Progress())
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "new" / FILE).stat().st_mode) == 0o600


def test_it_can_be_deleted(tmp_path):
    keep_progress(tmp_path, Progress().answered("fit", right=True))
    assert forget_progress(tmp_path)
    assert not forget_progress(tmp_path)
    assert read_progress(tmp_path) == Progress()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"lessons": 3}', b"\xff\xfe", b'{"cards": {"a": {"box": "x"}}}']
)
def test_a_damaged_file_is_named_and_not_overwritten(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(StorageError, match="delete it with: tame learn --forget"):
        read_progress(tmp_path)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "other").write_text("{}")
    (tmp_path / FILE).symlink_to(tmp_path / "other")
    with pytest.raises((RefusedError, StorageError)):
        read_progress(tmp_path)


def test_a_card_comes_back_later_the_better_it_is_known():
    own = Progress()
    for box in (1, 2, 3, 4, 4):
        own = own.turned("loss", known=True, today=DAY)
        assert own.cards["loss"].box == box
        assert (date.fromisoformat(own.cards["loss"].due) - DAY).days == DAYS[box]
    assert own.turned("loss", known=False, today=DAY).cards["loss"].box == 0


def test_due_cards_come_first_and_known_ones_not_at_all():
    own = Progress(cards={"loss": Card(1, "2026-11-29"), "seed": Card(4, "2026-12-20"), "test": Card(0, "2026-11-01")})
    due = [each.anchor for each in own.due(DAY)]
    assert due[:2] == ["test", "loss"]
    assert "seed" not in due
    assert len(due) == len(general_terms()) - 1


@pytest.mark.parametrize("box", [-100, 100])
def test_a_box_that_is_not_there_does_no_harm(box):
    assert (
        0 <= Progress(cards={"loss": Card(box, "")}).turned("loss", known=True, today=DAY).cards["loss"].box < len(DAYS)
    )


def test_a_card_that_was_turned_while_the_clock_was_wrong_is_due():
    late = Progress().turned("loss", known=True, today=date(2036, 1, 1))
    assert late.due(DAY)[0].anchor == "loss"
