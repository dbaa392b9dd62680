"""The coordinator's side of the worker: starts it, talks to it, starts it again when it dies."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from tame.core import errors
from tame.core.errors import StoppedError, TameError, UsageError, WorkerError
from tame.worker.environment import worker_environment

Reply = dict[str, Any]
Hear = Callable[[Reply], None]
LEAST_SILENCE_S = 60.0  # that a command may take without a word where a clock holds
LONG_S = 10.0  # that something of the user's own may take before it is named
MAX_RESTARTS = 3  # of one command; a command that kills its process so often will do so again
# What a new process must hear before it can go on.
SETUP = ("start", "open", "speed", "learn", "network")


class WorkerBug(Exception):
    """The worker's own traceback: a bug of ours."""


class Worker(Protocol):
    """Who carries out the commands of `worker/trainer.py`."""

    def call(self, name: str, hear: Hear | None = None, **values: Any) -> Reply: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


class ProcessWorker:
    """A worker in a process of its own. `restarted` hears why, each time it had to be started again.

    silence_s: how long a command may go on without a word before the process is ended; None for ever.
    """

    def __init__(
        self, *, cache: Path, study: Path | None, log: Path | None, restarted: Callable[[str], None],
        silence_s: float | None = None, under: Path | None = None,
    ) -> None:  # fmt: skip
        self.silence_s = silence_s
        self._log = log
        self._restarted = restarted
        self._setup: list[tuple[str, str, dict[str, Any]]] = [
            (
                "start",
                "start",
                {"cache": str(cache), "study": str(study) if study else None, "under": str(under) if under else None},
            )
        ]
        self._lock = threading.Lock()
        self._stopped = False
        self._process = self._spawn()
        self._fresh = True

    @property
    def pid(self) -> int:
        return self._process.pid

    def call(self, name: str, hear: Hear | None = None, **values: Any) -> Reply:
        """The answer to a command; `hear` gets the events on the way.

        Raises the TameError that the worker raised, StoppedError after `stop`, WorkerBug for a bug of ours, and
        WorkerError when the process died more often than it may be started again.
        """
        for attempt in range(MAX_RESTARTS + 1):
            try:
                if self._fresh:
                    self._fresh = False
                    for _, earlier, own in list(self._setup):
                        self._ask(earlier, own, None)
                answer = self._ask(name, values, hear)
                told = values["question"] if name == "ask" else name
                if told in SETUP:
                    self._setup = [each for each in self._setup if each[0] != told] + [(told, name, values)]
                return answer
            except (EOFError, BrokenPipeError):
                how = self._ended()
                if attempt == MAX_RESTARTS:
                    log = f"; its last words are in {self._log}" if self._log is not None else ""
                    raise WorkerError(
                        f"the process that trains ended {MAX_RESTARTS + 1} times ({how}) on {name!r}{log}"
                    ) from None
                self._restarted(how)
                self._process = self._spawn()
                self._fresh = True
        raise AssertionError("the loop returns or raises")

    def stop(self) -> None:
        """Asks the worker to finish its epoch and to keep what it has. Safe in a signal handler."""
        self._stopped = True
        try:
            self._write({"do": "stop"})
        except (BrokenPipeError, ValueError, OSError):
            return  # it is dead already, and `call` will notice

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin:
            with suppress(BrokenPipeError):  # it was dead already, which is what is wanted
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _spawn(self) -> subprocess.Popen[str]:
        log: IO[bytes] | int = subprocess.DEVNULL
        if self._log is not None:
            log = os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
        # -P: a file named like a module, lying in the folder that the user works in, must not be imported.
        command = [sys.executable, "-P", "-m", "tame.worker.serve"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
            env={**worker_environment(), **os.environ}, start_new_session=True,
        )  # fmt: skip
        if not isinstance(log, int):
            log.close()
        return process

    def _ask(self, name: str, values: dict[str, Any], hear: Hear | None) -> Reply:
        if self._stopped:
            raise StoppedError("stopped by the user")
        self._write({"do": name, "with": values})
        note = (lambda text: None) if hear is None else (lambda text: hear({"event": "note", "text": text}))
        with _Watch(self._process, self.silence_s, note) as watch:
            return self._listen(name, values, hear, watch)

    def _listen(self, name: str, given: Reply, hear: Hear | None, watch: _Watch) -> Reply:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            message = json.loads(line)
            watch.heard(message)
            if "event" in message:
                if hear is not None and message["event"] != "doing":
                    hear(message)
            elif "answer" in message:
                return message["answer"]  # type: ignore[no-any-return]
            elif "stopped" in message:
                raise StoppedError("stopped by the user")
            elif "error" in message:
                kind = getattr(errors, message["error"]["type"], TameError)
                raise kind(message["error"]["message"])
            else:
                raise WorkerBug(message["bug"])
        if watch.ended:
            raise self._hanging(name, given, watch)
        raise EOFError

    def _hanging(self, name: str, given: Reply, watch: _Watch) -> TameError:
        """What to say of a process that was ended because it had said nothing for too long."""
        if watch.doing:
            waits = "look for an endless loop, a lock, or something that it waits for"
            return UsageError(f"{watch.doing['what']} did not end within {watch.limit_s:.0f} s: {waits}")
        silent = f"the process that trains said nothing for {watch.limit_s:.0f} s on {name!r} and was ended"
        if not any(values.get("kind") == "arrays" for values in (given, *(own for _, _, own in self._setup))):
            return WorkerError(f"{silent}; give more with --time, or smaller models and data")
        return UsageError(
            f"{silent}; a module of your own may wait for what never comes, while it is built or in forward()"
        )

    def _write(self, message: Reply) -> None:
        assert self._process.stdin is not None
        with self._lock:
            self._process.stdin.write(json.dumps(message, allow_nan=False) + "\n")
            self._process.stdin.flush()

    def _ended(self) -> str:
        code = self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


class _Watch:
    """Ends a process that says nothing for too long, so that a read from it does not wait for ever.

    process: None where the work is done in this one, which only hears of it. note: hears what a function or module of
    the user's own has been silent in for a while.
    """

    def __init__(
        self, process: subprocess.Popen[str] | None, silence_s: float | None, note: Callable[[str], None]
    ) -> None:
        self.ended = False
        self.doing: Reply = {}
        self._process = process
        self._silence_s = silence_s
        self._note = note
        self._silent_s = 0.0
        self._over = threading.Event()

    def heard(self, message: Reply) -> None:
        """Takes in that something was said, which may be what is tried next."""
        self._silent_s = 0.0
        self.doing = message if message.get("event") == "doing" and message["what"] else {}

    @property
    def limit_s(self) -> float | None:
        own: float | None = self.doing.get("limit_s")
        return own if own is not None and self._process is not None else self._silence_s

    def __enter__(self) -> _Watch:
        threading.Thread(target=self._count, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _count(self) -> None:
        told: Reply = {}
        while (limit_s := self.limit_s or math.inf) > self._silent_s:
            tick, begun = min(1.0, limit_s / 4), time.monotonic()
            if self._over.wait(tick):
                return
            # While both processes are suspended nothing can be said: a tick counts once, however long it took.
            self._silent_s += min(time.monotonic() - begun, 2 * tick)
            doing = self.doing
            if doing and doing is not told and self._silent_s >= LONG_S:
                told = doing
                self._note(_still(doing["what"], self._silent_s, self.limit_s or math.inf))
        if self._process is not None:
            self.ended = True
            self._process.kill()


def _still(what: str, silent_s: float, limit_s: float) -> str:
    ends = f", and it is ended after {limit_s:.0f} s" if math.isfinite(limit_s) else ""
    return f"{what} has taken {silent_s:.0f} s so far; Ctrl-C twice ends it{ends}"


class InlineWorker:
    """The same commands in this process: for debugging, and for modules that no other process can find."""

    def __init__(
        self, *, cache: Path, study: Path | None, build: Callable[..., Any] | None = None, under: Path | None = None
    ) -> None:
        from tame.worker.trainer import Trainer  # loads torch, which the coordinator otherwise never does

        self._hear: Hear | None = None
        self._watch: _Watch | None = None
        self._stopped = False
        own, below = (str(path) if path else None for path in (study, under))
        self._trainer = Trainer(cache=str(cache), study=own, under=below, emit=self._emit, build=build)

    def call(self, name: str, hear: Hear | None = None, **values: Any) -> Reply:
        """The answer to a command; `hear` gets the events on the way."""
        self._hear = hear
        with _Watch(None, None, lambda text: self._say({"event": "note", "text": text})) as self._watch:
            answer: Reply = getattr(self._trainer, name)(**values)
        return json.loads(json.dumps(answer, allow_nan=False))  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Asks the training to end after its epoch."""
        self._stopped = True

    def close(self) -> None:
        """Nothing to end."""

    def _say(self, message: Reply) -> None:
        if self._hear is not None and message["event"] != "doing":
            self._hear(message)

    def _emit(self, message: Reply) -> None:
        if self._watch is not None:
            self._watch.heard(message)
        self._say(message)
        if self._stopped:
            raise StoppedError("stopped by the user")
