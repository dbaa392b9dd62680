"""Where results are printed for people."""

from __future__ import annotations

import io
import os
import sys

from rich.console import Console

from tame.core.errors import StorageError
from tame.store.disk import why


class Results(io.TextIOWrapper):
    """stdout that says so where it cannot be written, as on a full disk. Raises StorageError."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise self._lost(problem) from None

    def flush(self) -> None:
        try:
            super().flush()
        except BrokenPipeError:
            raise
        except OSError as problem:
            raise self._lost(problem) from None

    def _lost(self, problem: OSError) -> StorageError:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.fileno())  # what is still in the buffer is lost too, and said once
        os.close(nothing)
        return StorageError(f"the result cannot be written to stdout: {why(problem)}")


def guard_stdout() -> None:
    """From here on a failure to write stdout is one of storage. A terminal that is not UTF-8 gets backslashes."""
    own = sys.stdout
    if not isinstance(own, io.TextIOWrapper):
        return
    if own is not sys.__stdout__:  # somebody has put his own there, and looks after it himself
        own.reconfigure(errors="backslashreplace")
    else:
        own.flush()
        sys.stdout = Results(
            own.buffer, encoding=own.encoding, errors="backslashreplace", line_buffering=own.line_buffering,
            write_through=own.write_through,
        )  # fmt: skip


class ResultConsole(Console):
    """stdout, without colour guesses; a reader that has gone away ends the program as a pipe does."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
