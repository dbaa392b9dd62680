"""Who says nothing for too long is named, and then ended."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.trial.commands import Doing
from tame.worker.pipe import Pipe, cpu_s
from tame.worker.watch import BUSY_OURS, BUSY_OWN, FACTOR, Patience, Watch

DOING = Doing("forward() of the model on 2 examples", 0.6)


def sleeper(code="import time; time.sleep(60)"):
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True
    )  # fmt: skip


def test_a_module_that_hangs_is_named_and_then_ended(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with sleeper() as process, Watch(Pipe(process), Patience(), notes.append) as watch:
        watch.heard(DOING)
        assert process.stdout.read() == ""
        assert process.wait() != 0
    assert watch.ended_after_s is not None
    (note,) = notes
    assert note.startswith("forward() of the model on 2 examples has taken ")
    assert note.endswith(" s so far; Ctrl-C twice ends it, and it is ended after 1 s")


def test_what_ends_in_time_is_neither_ended_nor_reported(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with sleeper() as process, Watch(Pipe(process), Patience(), notes.append) as watch:
        watch.heard(DOING)
        watch.heard(Doing("", None))
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.kill()
    assert (notes, watch.ended_after_s) == ([], None)


def test_in_the_users_own_process_it_is_named_and_continues(monkeypatch):
    monkeypatch.setattr("tame.worker.watch.LONG_S", 0.2)
    notes = []
    with Watch(None, Patience(), notes.append) as watch:
        watch.heard(Doing(DOING.what, 0.3))
        time.sleep(1.5)
    assert watch.ended_after_s is None
    assert notes == ["forward() of the model on 2 examples has taken 1 s so far; Ctrl-C twice ends it"]


@given(steps=st.lists(st.floats(0, 1e5), max_size=5), own=st.booleans(), most=st.floats(1, 1e6))
def test_silence_is_measured_against_the_longest_step_so_far(steps, own, most):
    patience = Patience(own_model=own, most_s=most)
    for step in steps:
        patience.took(step)
    longest = max(steps, default=0.0)
    assert patience.idle_s == min(most, max(60.0, FACTOR * longest))
    assert patience.busy_s == min(most, (BUSY_OWN if own else BUSY_OURS) * patience.idle_s)
    assert Patience().idle_s < Patience().busy_s < math.inf, "without a clock too"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_what_sleeps_is_ended_sooner_than_what_computes():
    """And a child that computes counts as its parent."""
    busy = "while True: pass"
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])"
    ended = {}
    for name, code in {"sleeps": "import time; time.sleep(60)", "computes": busy, "has a child": child}.items():
        patience = Patience(least_s=1.0)
        with sleeper(code) as process, Watch(Pipe(process), patience, print) as watch:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(6.0)
            ended[name] = watch.ended_after_s
            process.kill() if code != child else os.killpg(process.pid, signal.SIGKILL)
    assert ended["sleeps"] is not None
    assert ended["computes"] is None
    assert ended["has a child"] is None


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_stopped_process_is_ended_with_all_that_it_started():
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with sleeper(child) as process, Watch(Pipe(process), Patience(least_s=1.0), print):
        while len(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()) < 1:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGSTOP)
        process.wait(20.0)
        end = time.monotonic() + 5
        while cpu_s(process.pid) is not None and time.monotonic() < end:
            time.sleep(0.05)
        assert cpu_s(process.pid) is None, "nobody of its session lives"


def test_a_step_that_was_heard_makes_the_next_one_be_waited_for_longer():
    patience = Patience(least_s=0.5)
    with sleeper() as process:
        with Watch(Pipe(process), patience, print) as watch:
            time.sleep(0.35)
            watch.heard()
        assert patience.longest_s > 0.1
        assert patience.idle_s > 2.0
        process.kill()
