"""How a study begins: by one process of many, in no folder of another's, and after a kill at any moment before."""

from __future__ import annotations

import json
import os
import threading

import pytest

from tame.core.config import StudyConfig
from tame.core.errors import DataError, RefusedError, StorageError, TameError, UsageError
from tame.store.database import open_store
from tame.store.lease import BusyError, hold
from tame.study import session
from tame.study.record import STUDY
from tame.study.session import begin, reopen
from tame.study.state import Silent


def config_for(folder, **more):
    return StudyConfig(data="x.csv", out=str(folder), **more)


def names(folder):
    return {path.name for path in folder.iterdir()}


def at_once(count, work):
    """What each of so many threads came to: a value or a TameError. Locks hold between threads as between processes."""
    start, found = threading.Barrier(count), [None] * count

    def one(number):
        start.wait()
        try:
            found[number] = work(number)
        except TameError as problem:
            found[number] = problem

    threads = [threading.Thread(target=one, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_many_that_begin_in_one_folder_one_does_and_none_takes_its_study_away(tmp_path):
    """Among them such as are refused after they began, as by bad data, and remove what they made."""
    for number in range(12):
        folder = tmp_path / str(number)

        def work(place, folder=folder):
            study = begin(config_for(folder, seed=place), Silent())
            study.throwaway = place % 2 == 1
            study.close()
            return study

        found = at_once(8, work)
        kept = [place for place, each in enumerate(found) if not isinstance(each, TameError) and place % 2 == 0]
        for each in found:
            if isinstance(each, TameError):
                assert "worked on by another" in str(each) or "already contains a study" in str(each), each
        if kept:
            (place,) = kept
            with reopen(folder, Silent()) as study:
                assert study.config.seed == place
        else:
            assert not folder.exists() or names(folder) == set()


def test_who_is_refused_while_another_works_takes_nothing_away(tmp_path):
    with begin(config_for(tmp_path / "own", seed=7), Silent()):
        for _ in range(3):
            with pytest.raises(BusyError):
                begin(config_for(tmp_path / "own"), Silent())
    with reopen(tmp_path / "own", Silent()) as study:
        assert study.config.seed == 7
    with pytest.raises(UsageError, match=r"already contains a study; continue it with: tame resume"):
        begin(config_for(tmp_path / "own"), Silent())
    assert reopen(tmp_path / "own", Silent()).config.seed == 7


def test_what_is_thrown_away_is_what_the_study_made(tmp_path):
    study = begin(config_for(tmp_path / "own"), Silent())
    (tmp_path / "own" / "notes.txt").write_text("mine")
    study.throwaway = True
    study.close()
    assert names(tmp_path / "own") == {"notes.txt"}
    (tmp_path / "given").mkdir()
    study = begin(config_for(tmp_path / "given"), Silent())
    study.throwaway = True
    study.close()
    assert names(tmp_path / "given") == set(), "the folder was there before the study"
    study = begin(config_for(tmp_path / "new" / "one"), Silent())
    study.throwaway = True
    study.close()
    assert not (tmp_path / "new" / "one").exists()


def test_a_folder_with_anything_else_in_it_is_refused_and_left_as_it_is(tmp_path):
    for name in ("notes.txt", "inputs.npy", "config.json", "study.pid"):
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UsageError, match="not an empty folder"):
            begin(config_for(folder), Silent())
        assert (names(folder), (folder / name).read_text()) == ({name}, "mine")


class Killed(BaseException):
    """Stands for a kill: nothing is cleaned up after it."""


STEPS = ("hold", "keep", "write_private", "open_record", "Opened")


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_a_start_that_is_killed_at_any_step_is_taken_by_fit_and_by_resume(step, when, tmp_path, monkeypatch):
    folder = tmp_path / "own"
    leave_killed_start(folder, step, when, monkeypatch)
    copied = {path.name: path.read_bytes() for path in folder.iterdir()} if folder.exists() else {}
    if "config.json" in copied:
        with reopen(folder, Silent()) as study:
            assert study.config.seed == 5
            assert [event.kind for event in study._record.events()] == ["opened"]
        for path in folder.iterdir():
            path.unlink()
        for name, content in copied.items():
            (folder / name).write_bytes(content)
    elif copied:
        with pytest.raises(UsageError, match=r"interrupted before anything was stored; begin it again with: tame fit"):
            reopen(folder, Silent())
    if step == "Opened" and when == "after":
        return  # it has begun
    with begin(config_for(folder, seed=6), Silent(), keep=lambda own: (own / "inputs.npy").write_bytes(b"new")):
        pass
    with reopen(folder, Silent()) as study:
        assert study.config.seed == 6
    assert (folder / "inputs.npy").read_bytes() == b"new"


def leave_killed_start(folder, step, when, monkeypatch):
    """A folder as a process leaves it that dies before or after one step of `begin`."""

    def dies(call):
        def instead(*given, **named):
            found = call(*given, **named) if when == "after" else None
            getattr(found, "release", lambda: None)()
            raise Killed

        return instead

    def keep(own):
        (own / "inputs.npy").write_bytes(b"old")

    with monkeypatch.context() as patched:
        patched.setattr("tame.study.session.remove_made", lambda *given, **named: None)
        if step == "hold":
            patched.setattr("tame.study.folder.hold", dies(hold))
        elif step == "keep":
            keep = dies(keep)
        elif step == "Opened":
            patched.setattr(session.Study, "keep", dies(session.Study.keep))
        else:
            patched.setattr(f"tame.study.session.{step}", dies(getattr(session, step)))
        with pytest.raises(Killed):
            begin(config_for(folder, seed=5), Silent(), keep=keep)


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    begin(config_for(tmp_path / "own"), Silent()).close()
    (tmp_path / "own" / "study.db").unlink()
    (tmp_path / "own" / "config.json").write_text("{")
    with pytest.raises(StorageError, match=r"config\.json cannot be read: .*; begin it again with: tame fit"):
        reopen(tmp_path / "own", Silent())


def test_a_start_that_fails_promises_nothing_and_leaves_nothing(tmp_path):
    def full(own):
        raise DataError("the arrays cannot be used")

    with pytest.raises(DataError):
        begin(config_for(tmp_path / "own"), Silent(), keep=full)
    assert not (tmp_path / "own").exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "study.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RefusedError, match="is a link"):
        hold(tmp_path / "own")
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_whose_file_was_taken_away_keeps_nobody_out(tmp_path):
    (tmp_path / "own").mkdir()
    first = hold(tmp_path / "own")
    first.remove(folder=True)
    (tmp_path / "own").mkdir()
    with hold(tmp_path / "own"):
        first.release()
        with pytest.raises(BusyError):
            hold(tmp_path / "own")


def test_the_first_event_and_the_config_say_the_same(tmp_path):
    begin(config_for(tmp_path / "own", seed=3), Silent()).close()
    store = open_store(tmp_path / "own" / "study.db", create=False, read_only=True)
    (opened,) = store.events(STUDY)
    store.close()
    assert json.loads((tmp_path / "own" / "config.json").read_text()) == opened.data["config"]
    assert os.stat(tmp_path / "own").st_mode & 0o777 == 0o700
