"""A process that answers what the pages cannot know without torch: it begins at the first question, and rests later."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping

from tame.core.errors import TameError, UsageError, WorkerError

IDLE_S = 300.0  # without a question, after which the process ends


class BusyError(TameError):
    """Another question is being answered."""


class Helper:
    """One question at a time, about one thing after the other. command: begins the process, without its arguments,
    which name what it answers about."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._about: tuple[str, ...] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def ask(
        self, about: tuple[str, ...], question: Mapping[str, object], body: bytes = b"", *, wait_s: float = 0.0
    ) -> dict[str, object]:
        """The answer to a question, of which the process is sent a line of JSON and then the body.

        wait_s: for an answer to somebody else. Raises BusyError where that takes longer, UsageError for a question that
        the process refuses, WorkerError where it has ended.
        """
        if not self._lock.acquire(blocking=wait_s > 0, timeout=wait_s or -1):
            raise BusyError("another question is being answered")
        try:
            found = self._answer(self._of(about), json.dumps(question).encode() + b"\n" + body)
        finally:
            self._lock.release()
        if "problem" in found:
            raise UsageError(str(found["problem"]))
        return found

    def begin(self, about: tuple[str, ...]) -> None:
        """Begins the process before the first question, unless one is being answered."""
        if self._lock.acquire(blocking=False):
            try:
                self._of(about)
            finally:
                self._lock.release()

    def close(self) -> None:
        """Ends the process."""
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            process.terminate()
            process.wait()

    def _of(self, about: tuple[str, ...]) -> subprocess.Popen[bytes]:
        """The process that answers about this, and about nothing else."""
        if self._process is None or self._about != about or self._process.poll() is not None:
            self.close()
            self._about = about
            self._process = subprocess.Popen(
                [*self._command, *about], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        if self._idle is not None:
            self._idle.cancel()
        self._idle = threading.Timer(IDLE_S, self._rest)
        self._idle.daemon = True
        self._idle.start()
        return self._process

    def _rest(self) -> None:
        with self._lock:
            self.close()

    def _answer(self, process: subprocess.Popen[bytes], question: bytes) -> dict[str, object]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(question)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it may have said why before it ended
        line = process.stdout.readline()
        if not line:
            self.close()
            raise WorkerError("the process that answers has ended; try again")
        found: dict[str, object] = json.loads(line)
        return found
