"""What a study does at this moment: told soon, cheaply, and never at the price of the study."""

from __future__ import annotations

import errno
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.errors import StorageError
from tame.core.records import History, Point
from tame.store.ring import MOST_BYTES, RING, RingWriter
from tame.study import live as module
from tame.study.live import Live, Moment, Spent, Told, hear, written

POINT = Point(3, 0.25, 0.5, 0.75)


@pytest.fixture
def live(tmp_path):
    own = Live(tmp_path, lambda: Spent(used_s=1.5, given_s=60.0))
    yield own
    own.close()


def test_a_reader_hears_phases_steps_points_and_notes(tmp_path, live):
    live.phase("stage 3 of 6: searching")
    live.point(7, POINT)
    live.progress("features", 20, 20)
    live.note("a note")
    found = hear(tmp_path)
    last = found.moments[-1]
    assert (last.phase, last.what, last.done, last.total) == ("stage 3 of 6: searching", "features", 20, 20)
    assert last.clock == Spent(used_s=1.5, given_s=60.0)
    assert [each for moment in found.moments for each in moment.points] == [(7, POINT)]
    assert [each for moment in found.moments for each in moment.notes] == ["a note"]
    assert abs(last.at - time.time()) < 60
    assert hear(tmp_path, found).moments == ()


def test_many_points_are_told_together_the_last_ones_first_of_all(tmp_path, live):
    for number in range(10_000):
        live.point(number, POINT)
    live.history(History())
    told = [trial for moment in hear(tmp_path).moments for trial, _ in moment.points]
    assert told[-1] == 9_999
    assert len(told) < 1_000
    assert told == sorted(told)


@given(st.text(max_size=1000), st.text(max_size=1000), st.integers(0, 300))
def test_a_moment_always_fits_into_its_slot(phase, note, count):
    point = Point(10**6, 1.2345678901234567e-300, 1.2345678901234567e-300, 1.2345678901234567e-300)
    moment = Moment(
        at=1.0, phase=module._short(phase), what=module._short(phase), points=((10**9, point),) * count,
        notes=(module._short(note),) * 8,
    )  # fmt: skip
    assert len(written(moment)) <= MOST_BYTES


def test_names_that_utf8_cannot_hold_are_told_in_another_way(tmp_path, live):
    live.note("broken \udcff name")
    assert hear(tmp_path).moments[-1].notes == ("broken \\udcff name",)


def test_a_full_disk_ends_the_telling_and_not_the_study(tmp_path, live, monkeypatch):
    def full(self, text):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(RingWriter, "put", full)
    live.phase("one")
    monkeypatch.undo()
    live.phase("two")
    assert hear(tmp_path) is None


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path):
    live = Live(tmp_path / "missing", Spent)
    live.phase("one")
    live.close()


def test_both_watchers_are_told_all(tmp_path, live):
    heard = []

    class Other:
        def __getattr__(self, name):
            return lambda *values: heard.append((name, values))

    told = Told(Other(), live)
    told.phase("p")
    told.progress("w", 1, 2)
    told.point(1, POINT)
    told.history(History())
    told.note("n")
    assert [name for name, _ in heard] == ["phase", "progress", "point", "history", "note"]
    assert hear(tmp_path).moments[-1].phase == "p"


def test_a_damaged_entry_is_named(tmp_path):
    ring = RingWriter(tmp_path)
    ring.put(msgspec.json.encode({"at": "yesterday"}))
    with pytest.raises(StorageError, match="is damaged"):
        hear(tmp_path)
    ring.close()
    assert not (tmp_path / RING).exists()


def test_telling_costs_little(live):
    """A point costs microseconds: at a thousand epochs a second less than a hundredth of the time."""
    begun = time.process_time()
    for number in range(20_000):
        live.point(number, POINT)
    assert (time.process_time() - begun) / 20_000 < 10e-6
