"""Trackers beside a study that runs, each in a process of its own; and all of a study written for one at once."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tame.app.tracking.serve import Asked
from tame.app.tracking.tracker import FOLDER, Named
from tame.core.errors import StorageError, require
from tame.core.files import new_folder, own_folder
from tame.core.plain import to_plain
from tame.study.state import Watcher

COMMAND = (sys.executable, "-P", "-m", "tame.app.tracking.serve")
MOST_WAIT_S = 60.0  # at the end of a study, for a tracker that is behind
DEAD = "its process has ended"


class _Teller:
    """A process that tells one tracker. Its last word is read as soon as it comes."""

    def __init__(self, study: Path, named: Named, folder: Path) -> None:
        self.named = named
        self._is_late = False
        asked = Asked(study=str(study), tracker=named.name, address=named.address, folder=str(folder.resolve()))
        # A group of its own: a Ctrl-C is for the study, whose last events are still to be told.
        self._process = subprocess.Popen(
            COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(to_plain(asked)).encode() + b"\n")
            self._process.stdin.flush()

    def hear(self) -> str:
        """Waits until the process has ended; why it failed, "" where it did not."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._process.wait()
        self._process.stdout.close()
        if self._is_late:
            return ""  # which is said where it is killed
        try:
            return str(json.loads(line).get("problem", ""))
        except ValueError:
            return DEAD

    def end(self) -> None:
        """Lets it take in what is new, and end."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends it although it is not done."""
        self._is_late = True
        self._process.kill()


@contextmanager
def tracking(
    study: Path, trackers: Sequence[Named], watcher: Watcher, *, most_s: float | None = MOST_WAIT_S
) -> Iterator[None]:
    """Within it, trackers are told what happens in a study; at its end, until they have heard all.

    One that fails is said once, and the study goes on without it. most_s: how long one may take at the end, None for
    as long as it needs.
    """
    tellers = [_Teller(study, named, _place(study, named)) for named in trackers]
    heard = [threading.Thread(target=_listen, args=(each, study, watcher), daemon=True) for each in tellers]
    for each in heard:
        each.start()
    try:
        yield
    finally:
        for teller in tellers:
            teller.end()
        ends = None if most_s is None else time.monotonic() + most_s
        for teller, thread in zip(tellers, heard, strict=True):
            thread.join(None if ends is None else max(0.0, ends - time.monotonic()))
            if thread.is_alive():
                watcher.note(f"{teller.named.name} takes longer than {most_s:.0f} s; {_later(study, teller.named)}")
                teller.kill()


def _listen(teller: _Teller, study: Path, watcher: Watcher) -> None:
    problem = teller.hear()
    if problem:
        watcher.note(f"{teller.named.name} is told no more: {problem}. Training goes on; {_later(study, teller.named)}")


def _later(study: Path, named: Named) -> str:
    where = "=..." if named.address else ""
    return f"tell it what is missing with: tame resume {shlex.quote(str(study))} --track {named.name}{where}"


def _place(study: Path, named: Named) -> Path:
    """The folder of a tracker in that of a study."""
    try:
        return own_folder(own_folder(study, FOLDER), named.name)
    except OSError as problem:
        raise StorageError(f"{study / FOLDER} cannot be made: {problem.strerror}") from None


def write_all(study: Path, named: Named, folder: Path) -> Path:
    """Writes all that a study's events tell into a new folder; one that runs as far as it is. Returns the folder.

    Raises UsageError where the folder holds something, StorageError where it cannot be written, or the study not read.
    """
    new_folder(folder)
    teller = _Teller(study, named, folder)
    teller.end()
    why = teller.hear()
    require(not why, f"{folder} is not complete: {why}", error=StorageError)
    return folder
