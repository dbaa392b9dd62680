"""A separate process that executes the commands; it is restarted when it dies."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from tame.core.errors import StoppedError, TameError, UsageError, WorkerError
from tame.core.files import appending
from tame.trial.commands import Commands, Doing, Message, Note
from tame.worker.client import Client
from tame.worker.environment import worker_environment
from tame.worker.executor import Hear, Place, WorkerBug
from tame.worker.watch import Watch
from tame.worker.wire import Answer, Bug, Call, Failed, Request, Said, Start, Stop, Stopped, read_said, request_line

MAX_RESTARTS = 3  # per command; a command that kills its process this often will do so again
LASTING = ("open", "tell", "learn", "network")  # commands that a new process must get before it can continue


class ProcessExecutor:
    """A worker in a separate process.

    hear: called with the messages on the way; restarted: called with the reason whenever the process had to be
    restarted; silence_s: how long a command may run without a message before the process is ended, None for no limit;
    own_model: whether a module of the user's own may be the cause if it hangs.
    """

    def __init__(
        self, place: Place, *, hear: Hear, log: Path | None, restarted: Callable[[str], None],
        silence_s: float | None = None, own_model: bool = False,
    ) -> None:  # fmt: skip
        self.commands: Commands = Client(self._carry_out)
        self.silence_s = silence_s
        self._hear = hear
        self._log = log
        self._restarted = restarted
        self._own_model = own_model
        study, under = (str(path) if path else None for path in (place.study, place.under))
        self._start = Start(str(place.cache), study, under)
        self._lasting: dict[str, Call] = {}
        self._lock = threading.Lock()
        self._stopped = False
        self._process = self._spawn()
        self._fresh = True

    @property
    def pid(self) -> int:
        return self._process.pid

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

    def close(self) -> None:
        if self._process.stdin:
            with suppress(BrokenPipeError):  # it was already dead, as intended
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()

    def _carry_out(self, call: Call) -> object:
        """The plain answer to a command.

        Raises the TameError that the process raised, StoppedError after `stop`, WorkerBug for a bug in TAME, and
        WorkerError if the process died more often than it may be restarted.
        """
        for attempt in range(MAX_RESTARTS + 1):
            try:
                if self._fresh:
                    self._fresh = False
                    self._ask(self._start, _nobody)
                    for earlier in self._lasting.values():
                        self._ask(earlier, _nobody)
                answer = self._ask(call, self._hear)
                self._remember(call)
                return answer
            except (EOFError, BrokenPipeError):
                how = self._ended()
                if attempt == MAX_RESTARTS:
                    log = f"; its log is in {self._log}" if self._log is not None else ""
                    raise WorkerError(
                        f"the training process ended {MAX_RESTARTS + 1} times ({how}) on {call.name!r}{log}"
                    ) from None
                self._restarted(how)
                self._process = self._spawn()
                self._fresh = True
        raise AssertionError("the loop returns or raises")

    def _remember(self, call: Call) -> None:
        """Keeps what a new process must get: the last call of each command, and of each question of `tell`."""
        if call.name in LASTING:
            question = call.values["question"] if call.name == "tell" and isinstance(call.values, Mapping) else ""
            key = f"{call.name} {question}"
            self._lasting.pop(key, None)  # it goes last, since it was the last call
            self._lasting[key] = call

    def _spawn(self) -> subprocess.Popen[str]:
        log: IO[bytes] | int = subprocess.DEVNULL
        if self._log is not None:
            log = appending(self._log.parent, self._log.name)
        # -P: a file in the user's working folder that is named like a module must not be imported.
        command = [sys.executable, "-P", "-m", "tame.worker.serve"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8",
            env={**worker_environment(), **os.environ}, start_new_session=True,
        )  # fmt: skip
        if not isinstance(log, int):
            log.close()
        return process

    def _ask(self, request: Start | Call, hear: Hear) -> object:
        if self._stopped:
            raise StoppedError("stopped by the user")
        self._write(request)
        with Watch(self._process, self.silence_s, lambda text: hear(Note(text))) as watch:
            return self._listen("start" if isinstance(request, Start) else request.name, hear, watch)

    def _listen(self, name: str, hear: Hear, watch: Watch) -> object:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.endswith("\n"):
                break  # it died in the middle of a line
            said = read_said(line)
            if isinstance(said, Answer):
                return said.value
            if isinstance(said, Message):
                watch.heard(said)
                if not isinstance(said, Doing):
                    hear(said)
                continue
            raise _raised(said)
        if watch.ended:
            raise self._hanging(name, watch)
        raise EOFError

    def _hanging(self, name: str, watch: Watch) -> TameError:
        """The error for a process that was ended because it had sent nothing for too long."""
        if watch.doing.what:
            waits = "look for an endless loop, a lock, or something that it waits for"
            return UsageError(f"{watch.doing.what} did not end within {watch.limit_s:.0f} s: {waits}")
        silent = f"the training process sent nothing for {watch.limit_s:.0f} s on {name!r} and was ended"
        if not self._own_model:
            return WorkerError(f"{silent}; allow more with --time, or use smaller models and data")
        return UsageError(f"{silent}; a module of your own may wait forever, while it is built or in forward()")

    def _write(self, request: Request) -> None:
        with self._lock:
            self._send(request)
        if self._stopped:
            self.stop()

    def _send(self, request: Request) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(request_line(request))
        self._process.stdin.flush()

    def _ended(self) -> str:
        code = self._process.wait()
        if self._process.stdin:
            with suppress(BrokenPipeError):  # what it no longer read
                self._process.stdin.close()
        if self._process.stdout:
            self._process.stdout.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


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
