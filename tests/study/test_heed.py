"""What the user asks of a running study: done or refused with the reason, on record, and the same after a kill."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from made_spaces import linear
from tame.adjust.searcher import searched
from tame.app.own_key import own_key
from tame.app.run import fit_study, resume_study
from tame.core.config import ARRAYS, INLINE, StudyConfig
from tame.core.errors import StoppedError, TameError
from tame.data.arrays import read_arrays
from tame.kinds.arrays.source import keep_arrays
from tame.study.events import Asked
from tame.study.inbox import ASKED, Seal, ask, waiting, wish_of
from tame.study.record import open_record
from tame.study.session import Study, reopen
from tame.study.state import Silent, read_state

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))


class Asks(Silent):
    """Somebody who asks for something once trials were trained, and perhaps for more a while later."""

    def __init__(self, folder, *wishes, at="history"):
        self.folder, self.wishes, self.at, self.said = folder, list(wishes), at, []

    def history(self, history):
        if self.at == "history" and history.trials:
            self.press()

    def point(self, trial, point):
        if self.at == "point":
            self.press()

    def note(self, text):
        self.said.append(text)

    def press(self):
        wishes, self.wishes = self.wishes, []
        for wish in wishes:
            ask(self.folder, wish, seal_of(self.folder))


def seal_of(folder):
    _, state = read_state(folder)
    return Seal(key=own_key(Silent()), study=state.opened.id)


def config_for(folder, **changes):
    given = {"trials": 12, "epochs": 6, "folds": 2, "set": {"batch_size": 30}, "widen": False, "doctor": False}
    own = {"space": ("optimizer.lr=0.01..0.5:log", "own.bias=true|false"), **given, **changes}
    return StudyConfig(data=ARRAYS, model=INLINE, out=str(folder), **own)


def fitted(folder, watcher, **changes):
    arrays = read_arrays(X, Y)

    def keep(to):
        keep_arrays(arrays, "auto", to, plain=True)

    return fit_study(config_for(folder, **changes), watcher, keep=keep, build=linear)


def events_of(folder, *kinds):
    record = open_record(folder, read_only=True)
    try:
        return [event for event in record.events() if not kinds or event.kind in kinds]
    finally:
        record.close()


def is_paused(folder):
    try:
        return read_state(folder)[1].is_paused
    except TameError:
        return False  # it has only just begun


def curves_of(folder):
    return {n: (t.recipe, t.curve, t.state) for n, t in read_state(folder)[1].history.trials.items()}


def test_a_search_that_is_stopped_is_evaluated_at_once(tmp_path):
    folder = tmp_path / "study"
    watcher = Asks(folder, wish_of("stop"))
    result = fitted(folder, watcher)
    _, state = read_state(folder)
    assert state.search_ended.reason == "you stopped the search"
    assert max(trial.epochs for trial in searched(state.history)) < 6
    assert result.test_openings == 1
    assert state.answered.done
    assert any("stop and evaluate" in text for text in watcher.said)
    assert not list((folder / ASKED).iterdir())


@pytest.mark.sampled(1)
@pytest.mark.parametrize("at", ["history", "point"])
def test_a_study_that_was_paused_ends_as_one_that_never_was(tmp_path, at):
    plain, paused = tmp_path / "plain", tmp_path / "paused"
    fitted(plain, Silent())
    watcher = Asks(paused, wish_of("pause"), at=at)
    seen = []

    def go_on():
        end = time.monotonic() + 60
        while time.monotonic() < end and not is_paused(paused):
            time.sleep(0.05)
        seen.append(read_state(paused)[1].used_s)
        time.sleep(1.0)
        ask(paused, wish_of("go_on"), seal_of(paused))

    other = threading.Thread(target=go_on)
    other.start()
    fitted(paused, watcher)
    other.join()
    assert curves_of(paused) == curves_of(plain)
    answers = [event.data for event in events_of(paused, "answered")]
    assert [each["done"] for each in answers] == [True, True]
    assert answers[1]["used_s"] - answers[0]["used_s"] < 0.9, "the clock stands still while it waits"


def test_more_time_moves_the_clock_and_the_end_of_the_search(tmp_path):
    folder = tmp_path / "study"
    fitted(folder, Asks(folder, wish_of("time", seconds=30.0)), time_s=60.0, trials=4)
    _, state = read_state(folder)
    assert state.extra_s == 30.0
    assert state.answered.done


def test_more_time_holds_after_a_kill(tmp_path):
    folder = tmp_path / "study"

    class Dies(Asks):
        def history(self, history):
            if self.wishes:
                super().history(history)
            elif read_state(self.folder)[1].extra_s:
                raise StoppedError("killed")

    with pytest.raises(StoppedError):
        fitted(folder, Dies(folder, wish_of("time", seconds=30.0)), time_s=60.0)
    with reopen(folder, Silent()) as study:
        assert study.config.clock_s == 90.0


def test_a_wider_space_is_searched_from_then_on(tmp_path):
    folder = tmp_path / "study"
    fitted(
        folder,
        Asks(folder, wish_of("space", texts=("optimizer.lr=0.01..5:log",))),
        search="random",
        trials=40,
        epochs=1,
    )
    _, state = read_state(folder)
    assert state.space.reason == "asked for while it ran"
    assert max(t.recipe.optimizer.lr for t in state.history.trials.values()) > 0.5


def test_a_muted_finding_is_left_out_of_the_report(tmp_path):
    folder = tmp_path / "study"
    result = fitted(folder, Asks(folder, wish_of("mute", code="small_test")))
    assert any(finding.code == "small_test" for finding in read_state(folder)[1].findings)
    assert not any(finding.code == "small_test" for finding in result.findings)


REFUSED = {
    "no clock": wish_of("time", seconds=5), "not paused": wish_of("go_on"),
    "did you mean 'overfitting'": wish_of("mute", code="over_fitting"),
    "leaves values out": wish_of("space", texts=("optimizer.lr=0.1..0.2:log",)),
    "as wide already": wish_of("space", texts=("own.bias=true|false",)),
}  # fmt: skip


def test_what_cannot_be_done_is_refused_with_the_reason_on_record(tmp_path):
    folder = tmp_path / "study"
    fitted(folder, Asks(folder, *REFUSED.values()), trials=40, epochs=1)
    answers = {event.data["id"]: event.data for event in events_of(folder, "answered")}
    for words, wish in REFUSED.items():
        assert not answers[wish.id]["done"]
        assert words in answers[wish.id]["reason"]
    assert read_state(folder)[1].space is None


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.sampled(1)
@pytest.mark.parametrize("moment", ["before the event", "before the file is gone"])
def test_a_study_that_is_killed_while_it_takes_up_a_request_ends_the_same(tmp_path, moment, monkeypatch):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    fitted(whole, Asks(whole, wish_of("stop")))
    keep, dies = Study.keep, [True]

    def fragile(study, *events):
        mine = dies[0] and any(isinstance(event, Asked) for event in events)
        if mine and moment == "before the event":
            dies[0] = False
            raise Killed
        keep(study, *events)
        if mine:
            dies[0] = False
            raise Killed

    monkeypatch.setattr(Study, "keep", fragile)
    with pytest.raises(Killed):
        fitted(killed, Asks(killed, wish_of("stop")))
    assert len(waiting(killed, seal_of(killed))) == 1
    resume_study(killed, Silent(), build=linear)
    assert curves_of(killed) == curves_of(whole)
    assert len(events_of(killed, "asked")) == len(events_of(killed, "answered")) == 1


@pytest.mark.slow
def test_a_study_that_was_killed_in_a_pause_goes_on_when_it_is_resumed(tmp_path):
    folder, plain = tmp_path / "study", tmp_path / "plain"
    fitted(plain, Silent())

    class Dies(Asks):
        def note(self, text):
            if "it waits" in text:
                raise Killed

    with pytest.raises(Killed):
        fitted(folder, Dies(folder, wish_of("pause")))
    assert read_state(folder)[1].is_paused
    resume_study(folder, Silent(), build=linear)
    assert not read_state(folder)[1].is_paused
    assert curves_of(folder) == curves_of(plain)


def test_a_strangers_requests_are_not_followed(tmp_path):
    folder = tmp_path / "study"

    class Forges(Asks):
        def press(self):
            if self.wishes:
                wish = self.wishes.pop()
                ask(self.folder, wish, Seal(key=b"stranger" * 4, study=read_state(self.folder)[1].opened.id))

    watcher = Forges(folder, wish_of("stop"))
    result = fitted(folder, watcher, trials=4)
    assert result.trials == 4
    assert any("was not followed: it was not asked by this user" in text for text in watcher.said)
    assert events_of(folder, "asked", "answered") == []
    assert not list((folder / ASKED).iterdir())
