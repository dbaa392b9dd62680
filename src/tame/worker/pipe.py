"""The way to a process that trains: lines to it and from it, whether it is a child of this one or elsewhere."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Protocol

from tame.core.files import appending
from tame.worker.environment import LOOPBACK, worker_environment
from tame.worker.executor import Place

VISIBLE = "CUDA_VISIBLE_DEVICES"
# On Windows, where there are no sessions, what keeps Ctrl-C from the process: the coordinator alone takes it.
_NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)


class Way(Protocol):
    """A process that trains, and the way to it."""

    @property
    def pid(self) -> int:
        """Its id on its machine."""
        ...

    def send(self, line: str) -> None:
        """Raises OSError or ValueError where it no longer reads."""
        ...

    def lines(self) -> Iterator[str]:
        """Its lines as they come, until it dies; the last one may be cut off."""
        ...

    def cpu_s(self) -> float | None:
        """Seconds of processor time that it and what it has started have used; None where that is not known."""
        ...

    def end(self) -> None:
        """Kills it with all that it has started; a stopped one too."""
        ...

    def ended(self) -> str:
        """How it ended, in words, once it no longer says anything. If it lives on, it is killed."""
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class Pipe:
    """A child of this process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def lines(self) -> Iterator[str]:
        assert self.process.stdout is not None
        return iter(self.process.stdout)  # no generator: once that is left, it would close what it reads

    def cpu_s(self) -> float | None:
        return cpu_s(self.pid)

    def end(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform != "win32":
                os.killpg(self.pid, signal.SIGKILL)
        self.process.kill()

    def ended(self) -> str:
        try:
            code = self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it can no longer be heard, and lives on
            self.end()
            code = self.process.wait()
        if self.process.stdin:
            with suppress(BrokenPipeError):  # what it no longer read
                self.process.stdin.close()
        if self.process.stdout:
            self.process.stdout.close()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def close(self) -> None:
        if self.process.stdin:
            with suppress(BrokenPipeError):  # it was already dead, as intended
                self.process.stdin.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.end()
            self.process.wait()
        if self.process.stdout:
            self.process.stdout.close()


def spawn(kind: str, *, log: Path | None, gpu: str = "") -> Pipe:
    """A new process that trains. kind: of the data, as in `Place`; log: for what it and its libraries print."""
    written: IO[bytes] | int = subprocess.DEVNULL
    if log is not None:
        written = appending(log.parent, log.name)
    own: Mapping[str, str] = {**LOOPBACK, **({VISIBLE: gpu} if gpu else {})}
    # -P: a file in the user's working folder that is named like a module must not be imported.
    command = [sys.executable, "-P", "-m", "tame.worker.serve", *([kind] if kind else [])]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=written, text=True, encoding="utf-8",
        env={**worker_environment(), **os.environ, **own}, start_new_session=True,
        creationflags=_NEW_GROUP,
    )  # fmt: skip
    if not isinstance(written, int):
        written.close()
    return Pipe(process)


def spawn_at(place: Place, log: Path | None) -> Pipe:
    """A new process that trains at a place."""
    return spawn(place.kind, log=log, gpu=place.gpu)


def cpu_s(session: int) -> float | None:
    """Seconds of processor time that all processes of a session have used; None where the system does not tell."""
    total, known = 0, False
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):  # it may have ended meanwhile
            # The name, in brackets, may hold anything; behind it: state, parent, group, session, ..., times.
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            if int(fields[3]) == session:
                total, known = total + sum(map(int, fields[11:15])), True
    if known and sys.platform != "win32":
        return total / os.sysconf("SC_CLK_TCK")
    return None
