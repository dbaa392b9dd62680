"""A summary of all trials: shown as the events that it sums up, never older than they are, and held against them."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from command_line import tame_here
from foreign_files import study_at
from tame.core.records import Decision, Event, Point, curve_event, decision_event
from tame.store.schema import event_checksum
from tame.study import session
from tame.study.events import Stopped, Summary, event_of
from tame.study.record import open_record
from tame.study.session import reopen
from tame.study.state import Silent, read_state
from tame.study.summary import read_shown, said_otherwise, summary_of


def with_summary(folder, *later):
    """A study with trials that ended in every way there is, summed up when it was stopped, and what came later."""
    study_at(folder)
    with reopen(folder, Silent()) as study:
        study.keep(Event("trial_state", {"trial": 2, "state": "failed"}))
        many = session.LEAST
        session.LEAST = 3
        try:
            study.keep_last(Stopped(used_s=7.0))
        finally:
            session.LEAST = many
        study.keep(*later)
    return folder


def without(folder):
    """The same study as it was before there were summaries."""
    with closing(sqlite3.connect(folder / "study.db")) as store, store:
        (seq,) = store.execute("SELECT seq FROM event WHERE kind = 'summary'").fetchone()
        (text, at) = store.execute("SELECT data, at FROM event WHERE seq = ?", (seq,)).fetchone()
        crc = event_checksum("study", seq, "unknown", text, at)
        store.execute("UPDATE event SET kind = 'unknown', crc = ? WHERE seq = ?", (crc, seq))
    return folder


def said(folder, tmp_path, *words):
    done = tame_here("show", folder, *words, cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_study_is_shown_by_its_summary_as_by_its_events(tmp_path):
    folder = with_summary(tmp_path / "study")
    state = read_state(folder)[1]
    assert state.summary == summary_of(state.history)
    assert read_shown(folder)[1].history.trials == {}, "not read from every curve"
    by_summary, whole = said(folder, tmp_path), said(folder, tmp_path, "--json")
    without(folder)
    assert len(read_shown(folder)[1].history.trials) == 7
    assert said(folder, tmp_path) == by_summary
    assert said(folder, tmp_path, "--json") == whole


@pytest.mark.parametrize(
    "later",
    [
        [curve_event(3, [Point(3, 0.1, 0.01, 0.99)])],
        [decision_event(Decision("stop", 3, "the end", 2))],
        [Event("trial_state", {"trial": 3, "state": "failed"})],
    ],
)
def test_what_happened_since_is_shown(later, tmp_path):
    folder = with_summary(tmp_path / "study", *later)
    fresh = said(folder, tmp_path)
    assert len(read_shown(folder)[1].history.trials) == 7
    assert said(without(folder), tmp_path) == fresh
    assert tame_here("verify", folder, cache=tmp_path / "cache").stdout.count("sound  events") == 1


def test_other_events_since_do_not_make_it_old(tmp_path):
    folder = with_summary(tmp_path / "study", Stopped(used_s=9.0))
    assert read_shown(folder)[1].history.trials == {}
    assert "9.0 s used" in said(folder, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda told: told["trials"][0].__setitem__(4, 0.0001), "trial 0 is summed up otherwise"),
        (lambda told: told["trials"][3].__setitem__(6, {"batch_size": 8}), "trial 3 is summed up otherwise"),
        (lambda told: told["trials"].pop(), "sums up 6 trials, but 7 have begun"),
        (lambda told: told["trials"].__setitem__(1, told["trials"][0]), "trial 1 is summed up otherwise"),
        (lambda told: told["base"].update({"optimizer.lr": 0.5}), "is summed up otherwise"),
    ],
)
def test_verify_holds_it_against_the_events(change, words, tmp_path):
    """A stranger may write anything into it, with the checksum that fits: shown it is, but not verified."""
    folder = with_summary(tmp_path / "study")
    before = tame_here("verify", folder, cache=tmp_path / "cache")
    assert "sound  summary: 1 of all trials, each as the events before it say" in before.stdout
    with closing(sqlite3.connect(folder / "study.db")) as store, store:
        seq, text, at = store.execute("SELECT seq, data, at FROM event WHERE kind = 'summary'").fetchone()
        told = json.loads(text)
        change(told)
        text = json.dumps(told)
        crc = event_checksum("study", seq, "summary", text, at)
        store.execute("UPDATE event SET data = ?, crc = ? WHERE seq = ?", (text, crc, seq))
    done = tame_here("verify", folder, cache=tmp_path / "cache")
    assert done.returncode == 6
    assert f"event {seq} (summary)" in done.stderr
    assert words in done.stderr


def test_few_trials_are_not_summed_up(tmp_path):
    study_at(tmp_path / "study")
    with reopen(tmp_path / "study", Silent()) as study:
        study.keep_last(Stopped(used_s=1.0))
    with closing(open_record(tmp_path / "study", read_only=True)) as record:
        assert record.last(Summary.event_kind) is None


def test_a_summary_of_nothing_is_right_about_nothing(tmp_path):
    state = read_state(with_summary(tmp_path / "study"))[1]
    assert said_otherwise(summary_of(state.history), state.history) == ""
    assert said_otherwise(Summary(), state.history) == "it sums up 0 trials, but 7 have begun"
    assert event_of(Summary()).data == {"base": {}, "trials": []}
