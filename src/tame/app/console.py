"""The exit of all text: what is printed for people is made inert here, once.

File names, cells, class names and whatever a study's folder says may hold control characters, with which a terminal
can be made to do things. The streams of the program are wrapped when it starts; consoles that draw with colours write
past the wrapping, and make the text of every segment inert themselves.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tame.core.errors import StorageError
from tame.core.files import nowhere
from tame.report.formats import inert
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
        nothing = nowhere()
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


class InertStream(io.TextIOBase):
    """A text stream in which nothing but lines and tabs moves the terminal; it does not pass for one itself."""

    def __init__(self, raw: TextIO) -> None:
        super().__init__()
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(inert_lines(text))
        return len(text)

    def flush(self) -> None:
        self.raw.flush()

    def close(self) -> None:
        """Leaves the stream open: it goes on without this wrapping, which Python closes when it is let go."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.raw.fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self.raw.encoding


def inert_lines(text: str) -> str:
    """The text with all control characters but line breaks and tabs made visible."""
    if text.isprintable():
        return text
    return "\n".join("\t".join(map(inert, line.split("\t"))) for line in text.split("\n"))


@contextlib.contextmanager
def inert_exits() -> Iterator[None]:
    """Within, whatever is printed to stdout and stderr is inert."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = InertStream(sys.stdout), InertStream(sys.stderr)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def wrapped(text: str) -> str:
    """The text in lines of the terminal's width, broken between words only: a terminal itself breaks within them."""
    wide = shutil.get_terminal_size().columns
    lines = [textwrap.wrap(line, wide, break_long_words=False, break_on_hyphens=False) for line in text.split("\n")]
    return "\n".join(part for line in lines for part in (line or [""]))


def raw(stream: TextIO) -> TextIO:
    """The stream itself, for documents that hold no control characters and for consoles."""
    return stream.raw if isinstance(stream, InertStream) else stream


def machine_stdout() -> TextIO:
    """stdout for values as they are: the file or pipe itself; a terminal gets them inert."""
    own = raw(sys.stdout)
    return sys.stdout if own.isatty() else own


class InertConsole(Console):
    """A console whose texts are inert, colours and movements of its own aside; a reader that has gone away ends the
    program as a pipe does."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else inert_lines(text), style, control)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class ResultConsole(InertConsole):
    """stdout without highlighting; if the reader of a pipe is gone, BrokenPipeError is raised."""

    def __init__(self) -> None:
        super().__init__(file=raw(sys.stdout), highlight=False)


class Talk(io.StringIO):
    """stderr for what is only told: where it cannot be written (a closed terminal, a full disk) the study goes on.

    It is the stderr of the moment: a live display puts itself in place of sys.stderr, and writes through this.
    """

    def __init__(self) -> None:
        super().__init__()
        self._stderr = raw(sys.stderr)

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._stderr.flush()

    def isatty(self) -> bool:
        return self._stderr.isatty()

    def fileno(self) -> int:
        return self._stderr.fileno()


class TalkConsole(InertConsole):
    """stderr without highlighting. plain: without colours and movements, and lines as long as they are."""

    def __init__(self, *, plain: bool = False) -> None:
        file = Talk()
        if plain:
            super().__init__(file=file, highlight=False, color_system=None, width=100, soft_wrap=True)
        else:
            super().__init__(file=file, highlight=False)
