"""Where results are printed for people."""

from __future__ import annotations

from rich.console import Console


class ResultConsole(Console):
    """stdout without highlighting; if the reader of a pipe is gone, BrokenPipeError is raised."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError
