"""A process that trains: talked to from outside, silent, killed and started again."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tame.core.errors import StoppedError, UsageError, WorkerError
from tame.testing.executor_laws import EXAMPLES, NUM, RECIPE
from tame.trial.commands import Asked, PointMeasured, Progress, StateOf
from tame.worker.executor import Place
from tame.worker.inline import InlineExecutor
from tame.worker.process import ProcessExecutor
from tame.worker.watch import Patience
from tame.worker.wire import Call, request_line

MODEL = "from torch import nn\ndef build():\n    return nn.Linear(5, 3)\n"


@contextlib.contextmanager
def executor_in(folder, *, hear=lambda message: None, restarted=lambda how: None, **how):
    place = Place(cache=folder / "cache", study=folder / "study")
    own = ProcessExecutor(place, hear=hear, log=None, restarted=restarted, **how)
    try:
        yield own
    finally:
        own.close()


@pytest.fixture
def given(tmp_path):
    """What the kind "arrays" opens: inputs, and the file of a model."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(NUM, 5)).astype(np.float32))
    (tmp_path / "own.py").write_text(MODEL)
    return {"file": str(tmp_path / "x.npy"), "build": f"{tmp_path / 'own.py'}:build"}


def advance(commands, trial=0, until=1):
    return commands.advance(
        [Asked(trial=trial, recipe=RECIPE)], folds=[0], until=until, metric="accuracy", final=False
    )  # fmt: skip


@pytest.mark.slow
def test_a_model_that_prints_does_not_break_the_protocol(tmp_path):
    """While its file is imported, while it is built, and in every forward pass."""
    file = tmp_path / "loud.py"
    file.write_text(
        "import os, sys\nfrom torch import nn\nprint('import')\n"
        "class Loud(nn.Linear):\n    def forward(self, x):\n        print('forward', flush=True)\n"
        "        os.write(1, b'raw\\n')\n        return super().forward(x)\n"
        "def build():\n    print('build')\n    return Loud(5, 3)\n"
    )
    np.save(tmp_path / "x.npy", np.zeros((NUM, 5), dtype=np.float32))
    trials = [Asked(trial=0, recipe=RECIPE)]
    commands = [
        ("start", {"cache": str(tmp_path / "cache"), "study": str(tmp_path / "study")}),
        ("open", {"kind": "arrays", "given": {"file": str(tmp_path / "x.npy"), "build": f"{file}:build"}}),
        ("learn", {"examples": EXAMPLES}),
        ("check", {"recipes": [RECIPE]}),
        ("advance", {"trials": trials, "folds": [0], "until": 1, "metric": "accuracy", "final": False}),
    ]
    worker = subprocess.Popen(
        [sys.executable, "-m", "tame.worker.serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    answers = []
    with worker:
        for name, values in commands:
            worker.stdin.write(request_line(Call(name, values)))
            worker.stdin.flush()
            answers.append(json.loads(worker.stdout.readline()))
            while "event" in answers[-1]:
                answers.append(json.loads(worker.stdout.readline()))
        worker.stdin.close()
        talk = worker.stderr.read()
    assert [answer for answer in answers if "error" in answer or "bug" in answer] == []
    assert any(answer.get("event") == "point" for answer in answers)
    for word in ("import", "build", "forward", "raw"):
        assert word in talk


def test_an_invalid_line_is_refused_and_the_next_command_is_executed(tmp_path):
    worker = subprocess.Popen(
        [sys.executable, "-m", "tame.worker.serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    lines = ["nonsense\n", '{"do": "judge", "with": {}}\n', '{"do": "start", "with": {"cache": 1}}\n',
             f'{{"do": "start", "with": {{"cache": "{tmp_path}"}}}}\n', '{"do": "learned", "with": {}}\n']  # fmt: skip
    with worker:
        worker.stdin.writelines(lines)
        worker.stdin.flush()
        answers = [json.loads(worker.stdout.readline()) for _ in lines]
        worker.stdin.close()
    said = [each.get("error", {}).get("message", "") for each in answers]
    assert answers[3] == {"answer": None}
    assert said[0] == "this is not a command: 'nonsense\\n'"
    assert said[1].startswith("the command 'judge' is damaged")
    assert said[2].startswith("the command 'start' is damaged")
    assert said[4].startswith("no command named 'learned'; did you mean 'learn'?")


def test_a_silent_worker_is_ended_and_the_error_says_so(tmp_path, given):
    (tmp_path / "waits.py").write_text("import time\n\ntime.sleep(600)\n")
    waits = {**given, "build": f"{tmp_path / 'waits.py'}:build"}
    with executor_in(tmp_path, patience=Patience(own_model=True)) as executor:
        executor.commands.learn(EXAMPLES)  # any command, so that torch is loaded before the patience is cut
        executor.patience = Patience(most_s=1.0, own_model=True)
        begun = time.monotonic()
        with pytest.raises(UsageError, match=r"sent nothing for 1 s on 'open' and was ended; a module of your own"):
            executor.commands.open("arrays", waits)
        assert time.monotonic() - begun < 30


def test_a_killed_process_is_restarted_and_continues_where_it_was(tmp_path, given):
    """It hears again what the first one was told, and nobody hears twice what was said on the way."""
    heard, reasons = [], []

    def restarted(how):
        with pytest.raises(ProcessLookupError):
            os.kill(first, 0)  # it has gone, so it can write nothing that the next one does not know
        reasons.append(how)

    with executor_in(tmp_path, hear=heard.append, restarted=restarted) as executor:
        commands, first = executor.commands, executor.pid
        commands.open("arrays", given)
        commands.learn(EXAMPLES)
        advance(commands)
        os.kill(first, signal.SIGKILL)
        advance(commands, until=2)
        assert executor.pid != first
    assert reasons == ["signal 9"]
    points = [(each.trial, each.point.epoch) for each in heard if isinstance(each, PointMeasured)]
    assert points == [(0, 1), (0, 1), (0, 2)], "a checkpoint's points are said again, and only they"


@pytest.mark.slow
def test_a_command_that_kills_its_process_each_time_is_given_up_and_named(tmp_path, given):
    (tmp_path / "dies.py").write_text("import os\nos._exit(7)\n")
    reasons = []
    dies = {**given, "build": f"{tmp_path / 'dies.py'}:build"}
    said = pytest.raises(WorkerError, match=r"ended 4 times \(exit code 7\) on 'open'")
    with executor_in(tmp_path, restarted=reasons.append) as executor, said:
        executor.commands.open("arrays", dies)
    assert reasons == ["exit code 7"] * 3


def test_a_bad_command_is_refused_by_the_process_with_its_name(tmp_path):
    with executor_in(tmp_path) as executor, pytest.raises(WorkerError, match="the command 'judge' is damaged"):
        executor.commands.judge(["first"])


def test_a_process_says_where_and_how_it_trains(tmp_path, given):
    heard = []
    with executor_in(tmp_path, hear=heard.append, restarted=pytest.fail) as executor:
        assert executor.commands.open("arrays", given)["device"] in ("cpu", "cuda")
        executor.commands.learn(EXAMPLES)
        assert [each.group for each in advance(executor.commands).engines] == ["own, batch 8, adamw"]
        assert not any(isinstance(each, Progress) for each in heard)


class Interrupted:
    """A pipe in whose next write, halfway, Ctrl-C comes."""

    def __init__(self, pipe, press):
        self.pipe, self.press = pipe, press

    def write(self, text):
        half = len(text) // 2
        self.pipe.write(text[:half])
        press, self.press = self.press, lambda: None
        press()
        self.pipe.write(text[half:])

    def flush(self):
        self.pipe.flush()

    def close(self):
        self.pipe.close()


def test_a_stop_that_comes_while_a_command_is_written_is_told_after_it(tmp_path, given):
    """As a signal handler does: in the same thread, in the middle of the write."""
    with executor_in(tmp_path) as executor:
        executor.commands.open("arrays", given)
        executor.commands.learn(EXAMPLES)
        pipe = executor._way.process
        pipe.stdin = Interrupted(pipe.stdin, executor.stop)
        with pytest.raises(StoppedError):
            advance(executor.commands, until=2)


@pytest.mark.parametrize("kind", ["process", "inline"])
def test_a_command_that_is_interrupted_keeps_its_epochs_and_the_next_one_goes_on_from_there(kind, tmp_path, given):
    heard = []

    def hear(message):
        heard.append(message)
        if isinstance(message, PointMeasured) and message.point.epoch == 3 and not done:
            done.append(True)
            executor.interrupt()

    done = []
    place = Place(cache=tmp_path / "cache", study=tmp_path / "study")
    if kind == "process":
        executor = ProcessExecutor(place, hear=hear, log=None, restarted=lambda how: None)
    else:
        executor = InlineExecutor(place, hear=hear)
    long = RECIPE.but({"epochs": 2000})
    asked = [Asked(trial=n, recipe=long.but({"optimizer.lr": 0.1**n})) for n in (1, 2, 3)]
    how = {"folds": [0, 1], "metric": "accuracy", "final": False}
    try:
        executor.commands.open("arrays", given)
        executor.commands.learn(EXAMPLES)
        executor.interrupt()  # too late for a command that has ended: the next one does not hear of it
        with pytest.raises(StoppedError):
            executor.commands.advance(asked, until=2000, **how)
        reached = {m.trial: m.point.epoch for m in heard if isinstance(m, PointMeasured)}  # others had not begun
        assert 3 <= max(reached.values()) < 2000
        for trial, epoch in reached.items():  # the weights stand where the curve ends
            assert executor.commands.validation(
                StateOf(trial=trial, recipe=asked[trial - 1].recipe, epochs=epoch), folds=[0, 1]
            ).outputs
        heard.clear()
        until = max(reached.values()) + 2
        executor.commands.advance(asked, until=until, **how)
        fresh = {(m.trial, m.point.epoch) for m in heard if isinstance(m, PointMeasured)}
        assert {(n, until) for n in (1, 2, 3)} <= fresh
    finally:
        executor.close()


@pytest.mark.slow
def test_a_process_that_was_stopped_is_ended_without_a_clock_and_another_goes_on(tmp_path, given):
    reasons = []

    def restarted(how):
        executor.patience.least_s = 60.0
        reasons.append(how)

    with executor_in(tmp_path, restarted=restarted) as executor:
        commands, first = executor.commands, executor.pid
        commands.open("arrays", given)
        commands.learn(EXAMPLES)
        assert executor.patience.longest_s > 0, "loading torch was a step"
        executor.patience.least_s, executor.patience.longest_s = 1.0, 0.0
        os.kill(first, signal.SIGSTOP)
        advance(commands)
        assert executor.pid != first
    assert [each.split(" for ")[0] for each in reasons] == ["it sent nothing"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a stopped process with its parent")
def test_a_stopped_worker_dies_with_its_coordinator(tmp_path):
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom tame.worker.executor import Place\n"
        "from tame.worker.process import ProcessExecutor, start_of\n"
        "place = Place(cache=Path(sys.argv[1]), study=None)\n"
        "own = ProcessExecutor(place, hear=print, log=None, restarted=print)\n"
        "own._ask(start_of(place), print)\nprint(own.pid, flush=True)\ntime.sleep(60)\n"
    )
    coordinator = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with coordinator:
        worker = int(coordinator.stdout.readline())
        os.kill(worker, signal.SIGSTOP)
        coordinator.kill()
    end = time.monotonic() + 5
    while lives(worker) and time.monotonic() < end:
        time.sleep(0.05)
    assert not lives(worker)


def lives(pid):
    """Whether a process is there that has not ended; one that nobody has waited for has."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
