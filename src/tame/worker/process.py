"""A separate process that executes the commands; it is restarted when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

from tame.core.errors import ApartError, StoppedError, UsageError, WorkerError
from tame.trial.commands import Commands, Doing, Message, Note, Rehearsed
from tame.worker.client import Client
from tame.worker.executor import Hear, Place, WorkerBug, WorkerLostError
from tame.worker.pipe import Way, spawn_at
from tame.worker.watch import Patience, Watch
from tame.worker.wire import (
    Answer,
    Bug,
    Call,
    Failed,
    Request,
    Said,
    Start,
    Stop,
    Stopped,
    read_answer,
    read_said,
    request_line,
)

MAX_RESTARTS = 3  # per command; a command that kills its process this often will do so again
SHARED = ("advance_together",)  # commands that others wait in: a new process alone cannot go on with them
LASTING = ("open", "tell", "learn", "network")  # commands that a new process must get before it can continue


def lasting(call: Call) -> str:
    """Of what such a command takes the place when it is asked again: the same one, about the same question; "" for
    another command."""
    if call.name not in LASTING:
        return ""
    question = call.values["question"] if call.name == "tell" and isinstance(call.values, Mapping) else ""
    return f"{call.name} {question}"


class _SilentError(EOFError):
    """The process was ended because it had sent nothing for too long; the next may do better."""


class ProcessExecutor:
    """A worker in a separate process.

    hear: called with the messages on the way; restarted: called with the reason whenever the process had to be
    restarted; patience: how long a command may run without a message before the process is ended; way: starts the
    process, None for a child of this one.
    """

    def __init__(
        self, place: Place, *, hear: Hear, log: Path | None, restarted: Callable[[str], None],
        patience: Patience | None = None, way: Callable[[], Way] | None = None,
    ) -> None:  # fmt: skip
        self.commands: Commands = Client(self.carry_out)
        self.patience = patience or Patience()
        self._hear = hear
        self._open = way or partial(spawn_at, place, log)
        self._log = log
        self._restarted = restarted
        self._place = place
        self._lasting: dict[str, Call] = {}
        self._lock = threading.Lock()
        self._number = 0  # of the last command
        self._stopped = self._closed = False
        self._way = self._open()
        self._fresh = True

    @property
    def pid(self) -> int:
        return self._way.pid

    def stop(self) -> None:
        self._stopped = True
        # A signal may come in the middle of a write of this same thread: that write is then followed by the word.
        if self._lock.acquire(blocking=False):
            try:
                self._send(Stop())
            except (BrokenPipeError, ValueError, OSError):
                return  # it is already dead, which whoever waits for an answer will notice
            finally:
                self._lock.release()

    def interrupt(self) -> None:
        with suppress(BrokenPipeError, ValueError, OSError):  # dead: whoever waits for an answer will notice
            self._write(Stop())

    def begin_anew(self) -> None:
        self._fresh = True

    def close(self) -> None:
        self._closed = True
        self._way.close()

    def carry_out(self, call: Call) -> object:
        for attempt in range(MAX_RESTARTS + 1):
            try:
                if self._fresh:
                    self._fresh = False
                    self._ask(start_of(self._place), self._hear)  # such as that a checkpoint is damaged
                    for earlier in self._lasting.values():
                        self._ask(earlier, _nobody)
                answer = self._ask(call, self._hear)
                self._remember(call)
                if call.name == "rehearse":
                    self.patience.took(read_answer(Rehearsed, answer, name=call.name).alone_s)
                return answer
            except (EOFError, BrokenPipeError) as problem:
                if self._closed:
                    raise StoppedError("the process that trains was ended") from None
                how = self._way.ended()
                if isinstance(problem, _SilentError):
                    how = str(problem)
                if attempt == MAX_RESTARTS:
                    log = f"; its log is in {self._log}" if self._log is not None else ""
                    raise WorkerLostError(
                        f"the training process ended {MAX_RESTARTS + 1} times ({how}) on {call.name!r}{log}"
                    ) from None
                self._restarted(how)
                self._way = self._open()
                self._fresh = True
                if call.name in SHARED:
                    raise ApartError(f"the training process ended ({how})") from None
        raise AssertionError("the loop returns or raises")

    def _remember(self, call: Call) -> None:
        """Keeps what a new process must get: the last call of each command, and of each question of `tell`."""
        if key := lasting(call):
            self._lasting.pop(key, None)  # it goes last, since it was the last call
            self._lasting[key] = call

    def _ask(self, request: Start | Call, hear: Hear) -> object:
        if self._stopped:
            raise StoppedError("stopped by the user")
        name = "start" if isinstance(request, Start) else request.name
        with Watch(self._way, self.patience, lambda text: hear(Note(text))) as watch:
            self._number += 1
            try:
                self._write(request)  # which waits, where the process does not read
                return self._listen(hear, watch)
            except (EOFError, BrokenPipeError):
                if watch.ended_after_s is not None:
                    raise self._hanging(name, watch, watch.ended_after_s) from None
                raise

    def _listen(self, hear: Hear, watch: Watch) -> object:
        for line in self._way.lines():
            if not line.endswith("\n"):
                break  # it died in the middle of a line
            said, of = read_said(line)
            if 0 < of < self._number:
                continue  # about an earlier command, whose end nobody waited for
            if isinstance(said, Answer):
                return said.value
            if isinstance(said, Message):
                watch.heard(said)
                if not isinstance(said, Doing):
                    hear(said)
                continue
            raise _raised(said)
        raise EOFError

    def _hanging(self, name: str, watch: Watch, silent_s: float) -> Exception:
        """What to raise for a process that was ended because it had sent nothing for so long: an error, or that it is
        to be restarted."""
        if watch.doing.what:
            waits = "look for an endless loop, a lock, or something that it waits for"
            return UsageError(f"{watch.doing.what} did not end within {watch.limit_s:.0f} s: {waits}")
        silent = f"the training process sent nothing for {silent_s:.0f} s on {name!r} and was ended"
        if not self.patience.own_model:
            if silent_s < self.patience.most_s:
                return _SilentError(f"it sent nothing for {silent_s:.0f} s")
            return WorkerError(f"{silent}; allow more with --time, or use smaller models and data")
        return UsageError(f"{silent}; a module of your own may wait forever, while it is built or in forward()")

    def _write(self, request: Request) -> None:
        with self._lock:
            self._send(request)
        if self._stopped:
            self.stop()

    def _send(self, request: Request) -> None:
        self._way.send(request_line(request, self._number))


def start_of(place: Place) -> Start:
    """What a process is told of its place before anything else."""
    study, under = (str(path) if path else None for path in (place.study, place.under))
    return Start(str(place.cache), study, under, dict(place.measured), place.share, place.gpu)


def _nobody(_: Message) -> None:
    """Ignores messages that were handled before."""


def _raised(said: Said) -> BaseException:
    """What a command ends with that gives no answer."""
    match said:
        case Failed():
            return said.error()
        case Stopped():
            return StoppedError("stopped by the user")
        case Bug(text):
            return WorkerBug(text)
    raise AssertionError(f"{said} does not end a command")
