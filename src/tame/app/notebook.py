"""Where a notebook shows what goes on: one output of the cell, drawn again and again, without scripts and widgets.

Neither IPython nor marimo is imported unless it is already there: a program outside of a notebook pays nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Protocol

from tame.report.formats import inert
from tame.report.svg import tag


class Draw(Protocol):
    """Draws what goes on over what was drawn before.

    first: what is being done; clock: the time left or passed, None at the end; share: done of that, from 0 to 1, None
    if it is not known; below: lines of text.
    """

    def __call__(self, first: str, clock: str | None, share: float | None, below: Sequence[str]) -> None: ...


def notebook() -> Draw | None:
    """What draws in the notebook that this runs in: of Jupyter and its kin, or of marimo; else None."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return _InMarimo(marimo)
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return _InJupyter() if getattr(shell, "kernel", None) is not None else None


class _InJupyter:
    """One display with an id, which is updated."""

    def __init__(self) -> None:
        self._handle: Any = None  # of IPython, which TAME does not depend on

    def __call__(self, first: str, clock: str | None, share: float | None, below: Sequence[str]) -> None:
        data = {"text/html": as_html(first, clock, share, below), "text/plain": as_text(first, clock, below)}
        if self._handle is None:
            self._handle = import_module("IPython.display").display(data, raw=True, display_id=True)
        else:
            self._handle.update(data, raw=True)


class _InMarimo:
    """The output of the cell, which is replaced."""

    def __init__(self, marimo: Any) -> None:
        self._marimo = marimo

    def __call__(self, first: str, clock: str | None, share: float | None, below: Sequence[str]) -> None:
        self._marimo.output.replace(self._marimo.Html(as_html(first, clock, share, below)))


def as_html(first: str, clock: str | None, share: float | None, below: Sequence[str]) -> str:
    """The lines as a piece of HTML; all text is made inert and escaped."""
    parts = [tag("b", first)]
    if clock is not None:
        bar = {} if share is None else {"value": f"{share:.3f}"}
        label = "share of this stage or of the time"
        parts += [tag("progress", max="1", aria_label=label, style="vertical-align:middle;margin:0 8px", **bar)]
        parts += [tag("span", clock)]
    style = "color:inherit;opacity:.75;overflow-wrap:anywhere"
    lines = [tag("div", *parts), *(tag("div", line, style=style) for line in below)]
    return str(tag("div", *lines, style="font:13px/1.5 system-ui,sans-serif"))


def as_text(first: str, clock: str | None, below: Sequence[str]) -> str:
    """The same for notebooks that show text only."""
    return "\n".join(map(inert, (first if clock is None else f"{first}  {clock}", *below)))
