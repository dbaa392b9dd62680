"""What runs on a machine of a Ray cluster: an actor that starts a process that trains, and passes lines on.

The process is the same as without Ray, with the same threads and libraries, so it says the same. Does not load Ray.
"""

from __future__ import annotations

import hashlib
import os
import platform
import queue
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from tame.worker.pipe import Pipe, spawn
from tame.worker.sockets import can_tell, listening

BATCH = 1000  # lines that are passed on at once, at most
WAIT_S = 5.0  # for a line, until it is said that there is none
AUTH = "RAY_AUTH_MODE"


@dataclass(frozen=True, slots=True)
class Begun:
    """What an actor says of its process and its machine. boot: by which a machine is known; log: where it is kept;
    open_to_all: sockets on which other machines can reach Ray here; has_token: whether they need a token."""

    pid: int
    actor: int
    host: str
    boot: str
    python: str
    torch: str
    tame: str
    sees_study: bool
    open_to_all: tuple[str, ...]
    has_token: bool


def versions() -> tuple[str, str, str]:
    """Of Python, torch and TAME, without loading them."""
    return platform.python_version(), metadata.version("torch"), _version("tame-ml")


def boot() -> str:
    """By which this machine is known until it starts again."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()}-{os.getpid()}"  # like no other: nothing is concluded from it


def sum_of(study: Path) -> str:
    """The hash of the file by which a study's folder is known; "" where there is none."""
    try:
        return hashlib.sha256((study / "config.json").read_bytes()).hexdigest()
    except OSError:
        return ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


READING, WRITING = "reading", "writing"  # so that a word can be said while a line is waited for, each in its order


class Holder:
    """Holds one process that trains. It dies with this actor, whose methods run in threads of the groups below."""

    def __init__(self) -> None:
        self._pipe: Pipe | None = None
        self._lines: queue.Queue[str | None] = queue.Queue()

    def begin(self, kind: str, study: str, known: str, gpu: str) -> Begun:
        """Starts the process. known: the hash of the study's config, "" if it has none."""
        sees = not known or sum_of(Path(study)) == known
        log = Path(study) / "worker.log" if study and sees and Path(study).is_dir() else None
        self._pipe = spawn(kind, log=log, gpu=gpu)
        threading.Thread(target=self._pump, daemon=True).start()
        own = listening([os.getpid(), os.getppid()]) if can_tell() else []
        return Begun(
            self._pipe.pid, os.getpid(), platform.node(), boot(), *versions(), sees,
            tuple(each.words for each in own if not each.is_local), os.environ.get(AUTH) == "token",
        )  # fmt: skip

    def write(self, text: str, rest: str = "") -> None:
        """Says a line, which may come in two parts."""
        assert self._pipe is not None
        self._pipe.send(text + rest)

    def read(self) -> tuple[list[str], str | None]:
        """The lines since the last time, and how the process ended, None if it lives. Waits for a line a while."""
        assert self._pipe is not None
        found: list[str] = []
        try:
            each = self._lines.get(timeout=WAIT_S)
            while each is not None:
                found.append(each)
                if len(found) == BATCH:
                    return found, None
                each = self._lines.get_nowait()
        except queue.Empty:
            return found, None
        return found, self._pipe.ended()

    def _pump(self) -> None:
        assert self._pipe is not None
        for line in self._pipe.lines():
            self._lines.put(line)
        self._lines.put(None)
