"""A process that answers for the pages what takes torch or a study's data, so that these need not load either.

On its stdin a line of JSON, then the bytes that it announces as "size"; on its stdout a line of JSON, then the bytes
that this announces as "bytes".
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

from tame.core.errors import UsageError, WorkerError

IDLE_S = 300.0  # without a question, after which the process ends
Answer = tuple[dict[str, object], bytes]


class Helper:
    """Answers for one study after the other. command: begins the process, without its study. Not safe in several
    threads: whoever asks holds a lock."""

    def __init__(self, command: tuple[str, ...]) -> None:
        self.lock = threading.Lock()
        self._command = command
        self._study: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def ask(self, study: Path, question: Mapping[str, object], content: bytes = b"") -> Answer:
        """The answer, and the bytes with it. Raises UsageError with its words where it says that there is a problem,
        WorkerError where the process has ended."""
        process = self._of(study)
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps({**question, "size": len(content)}).encode() + b"\n" + content)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # it may have said why before it ended
        line = process.stdout.readline()
        if not line:
            self.close()
            raise WorkerError("the process that answers has ended; try again")
        found: dict[str, object] = json.loads(line)
        if "problem" in found:
            raise UsageError(str(found["problem"]))
        size = found.get("bytes", 0)
        return found, process.stdout.read(size) if isinstance(size, int) else b""

    def is_of(self, study: Path) -> bool:
        """Whether the process that answers for this study lives."""
        return self._process is not None and self._study == study and self._process.poll() is None

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
        if not self.is_of(study) or self._process is None:
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
        with self.lock:
            self.close()
