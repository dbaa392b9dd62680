"""Who says nothing for too long is named, and then ended."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tame.trial.commands import Doing
from tame.worker.watch import Watch

DOING = Doing("forward() of the model on 2 examples", 0.6)


def sleeper():
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], stdout=subprocess.PIPE, text=True)


def test_a_module_that_hangs_is_named_and_then_ended(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with sleeper() as process, Watch(process, None, notes.append) as watch:
        watch.heard(DOING)
        assert process.stdout.read() == ""
        assert process.wait() != 0
    assert watch.ended
    (note,) = notes
    assert note.startswith("forward() of the model on 2 examples has taken ")
    assert note.endswith(" s so far; Ctrl-C twice ends it, and it is ended after 1 s")


def test_what_ends_in_time_is_neither_ended_nor_reported(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with sleeper() as process, Watch(process, None, notes.append) as watch:
        watch.heard(DOING)
        watch.heard(Doing("", None))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.kill()
    assert (notes, watch.ended) == ([], False)


def test_in_the_users_own_process_it_is_named_and_continues(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with Watch(None, None, notes.append) as watch:
        watch.heard(Doing(DOING.what, 0.3))
        time.sleep(1.5)
    assert not watch.ended
    assert notes == ["forward() of the model on 2 examples has taken 1 s so far; Ctrl-C twice ends it"]
