"""Which encoder the texts of a table pass: one that there is time for, and words alone where there is not."""

from __future__ import annotations

import numpy as np
import pytest

from tame.core.config import StudyConfig
from tame.core.plain import to_plain
from tame.data.table_kinds import type_table
from tame.data.tables import RawTable
from tame.kinds.kind import Known
from tame.kinds.tables import text_choice
from tame.kinds.tables.text_choice import Answer, Asked, chosen

CLOCK_S = 20.0
CELLS = np.array([f"the words of text {number} are its own" for number in range(20)], dtype=object)
RAW = RawTable(("text", "y"), {"text": CELLS, "y": np.array(list("ab" * 10), dtype=object)}, (), 20, "", ",")
TABLE = type_table(RAW, target="y", told={"text": "text"})


class Desk:
    """The process that trains, as far as the choice of an encoder sees it. late: whether features come too late."""

    def __init__(self, seconds: float, *, late: bool = False) -> None:
        self.seconds, self.late = seconds, late
        self.opened: list[str | None] = []
        self.asked: list[Asked] = []

    def ask(self, question, given):
        assert question == text_choice.QUESTION
        asked = Asked(tuple(given["lengths"]), given["make"], given["limit_s"])
        self.asked.append(asked)
        lengths = () if asked.make and self.late else (64,)
        return to_plain(Answer(100, 100, lengths, (self.seconds,) * len(lengths), longest=512, blocks=6))

    def choose(self, *, used_s=0.0, **asked):
        config = StudyConfig(data="t.csv", target="y", **{"time_s": CLOCK_S, **asked})
        known = Known(used_s=used_s)
        return chosen(config, known, TABLE, self, open_with=self.opened.append, phase=lambda said: None)


@pytest.fixture(autouse=True)
def with_an_encoder(monkeypatch):
    monkeypatch.setattr(text_choice, "can_read_texts", lambda: True)


def test_features_that_there_is_time_for_are_made_within_a_limit():
    desk = Desk(3.0)
    choice = desk.choose(used_s=1.0)
    assert (choice.encoder, choice.lengths) == ("minilm", (64,))
    assert desk.opened == ["minilm"]
    assert desk.asked[-1].limit_s == pytest.approx(text_choice.LATE * (text_choice.SHARE * CLOCK_S - 1.0), abs=0.5)


def test_what_was_used_before_is_not_left_for_features():
    desk = Desk(8.0)
    assert desk.choose(used_s=0.0).encoder == "minilm"
    late = Desk(8.0)
    choice = late.choose(used_s=3.0)
    assert choice.encoder == ""
    assert late.opened == ["minilm", None]
    assert "about 8 s" in choice.notes[0]


def test_an_encoder_is_not_loaded_where_reading_took_most_of_the_time():
    desk = Desk(0.1)
    choice = desk.choose(used_s=9.0)
    assert desk.opened == [None]
    assert desk.asked == []
    assert "9 s had passed" in choice.notes[0]


def test_features_that_come_too_late_are_given_up():
    desk = Desk(3.0, late=True)
    choice = desk.choose()
    assert choice.encoder == ""
    assert desk.opened == ["minilm", None]
    assert "slower than it was measured" in choice.notes[0]


def test_an_encoder_that_was_asked_for_is_used_whatever_it_takes():
    desk = Desk(50.0)
    choice = desk.choose(used_s=15.0, backbone="minilm")
    assert choice.encoder == "minilm"
    assert desk.asked[-1].limit_s is None


def test_without_a_clock_nothing_is_given_up():
    desk = Desk(1e6)
    assert desk.choose(used_s=1e5, time_s=None, trials=2).encoder == "minilm"
    assert desk.asked[-1].limit_s is None
