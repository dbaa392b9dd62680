"""What a delivered model says of a picture: asked of a process of its own that begins at the first question.

One question at a time: a camera gives more than can be answered, and what is not answered at once is old.
"""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path

from tame.core.errors import TameError, UsageError, WorkerError
from tame.pages.picture_files import ending_of

IDLE_S = 300.0  # without a question, after which the process ends


class BusyError(TameError):
    """Another picture is being looked at."""


class Trier:
    """Answers for one study after the other. command: begins the process that answers, without its study."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self._command = command
        self._lock = threading.Lock()
        self._study: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def answer(self, study: Path, content: bytes) -> dict[str, object]:
        """What the model of a study says of a picture: the probability of each class, or its number.

        Raises UsageError for what is not a picture or a study without a model, BusyError while it looks at another one,
        WorkerError where its process has ended.
        """
        ending = ending_of(content)
        if not self._lock.acquire(blocking=False):
            raise BusyError("another picture is being looked at")
        try:
            found = self._ask(self._of(study), ending, content)
        finally:
            self._lock.release()
        if "problem" in found:
            raise UsageError(str(found["problem"]))
        return found

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

    def _of(self, study: Path) -> subprocess.Popen[bytes]:
        """The process that answers for this study, and for no other."""
        if self._process is None or self._study != study or self._process.poll() is not None:
            self.close()
            self._study = study
            self._process = subprocess.Popen(
                [*self._command, str(study)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
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

    def _ask(self, process: subprocess.Popen[bytes], ending: str, content: bytes) -> dict[str, object]:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({"size": len(content), "ending": ending}).encode() + b"\n" + content)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it may have said why before it ended
        line = process.stdout.readline()
        if not line:
            self.close()
            raise WorkerError("the process that answers has ended; try again")
        found: dict[str, object] = json.loads(line)
        return found
