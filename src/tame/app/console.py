"""Where results are printed for people."""

from __future__ import annotations

from rich.console import Console


class ResultConsole(Console):
    """stdout, without colour guesses; a reader that has gone away ends the program as a pipe does."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
