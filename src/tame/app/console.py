"""The exit of all text: what is printed for people is made inert here, once.

File names, cells, class names and whatever a study's folder says may hold control characters, with which a terminal
can be made to do things. The streams of the program are wrapped when it starts; consoles that draw with colours write
past the wrapping, and make the text of every segment inert themselves.
"""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from tame.report.formats import inert


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


def raw(stream: TextIO) -> TextIO:
    """The stream itself, for documents that hold no control characters and for consoles."""
    return stream.raw if isinstance(stream, InertStream) else stream


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


class TalkConsole(InertConsole):
    """stderr without highlighting. plain: without colours and movements, and lines as long as they are."""

    def __init__(self, *, plain: bool = False) -> None:
        file = raw(sys.stderr)
        if plain:
            super().__init__(file=file, highlight=False, color_system=None, width=100, soft_wrap=True)
        else:
            super().__init__(file=file, highlight=False)
