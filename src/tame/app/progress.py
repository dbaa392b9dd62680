"""Progress of a study: a live display on a terminal, one line per epoch elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tame.app.console import TalkConsole, raw
from tame.core.records import History, Point
from tame.study.state import Silent, Watcher

EVERY_S = 0.1  # a faster display only costs time
LINE_S = 0.5  # between two lines without a terminal: one per epoch, but not a thousand per second


def watcher_for(*, quiet: bool) -> Watcher:
    """The watcher that fits the destination of stderr."""
    if quiet:
        return Silent()
    plain = (
        not raw(sys.stderr).isatty()
        or os.environ.get("TERM") == "dumb"
        or "CI" in os.environ
        or "NO_COLOR" in os.environ
    )
    return Lines() if plain else Display()


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watcher]:
    """The watcher of one job; the terminal is restored at its end, even after an error."""
    watcher = watcher_for(quiet=quiet)
    try:
        yield watcher
    finally:
        if isinstance(watcher, Display):
            watcher.close()


class Lines:
    """One line per epoch (of the leading trial), for logs and pipes."""

    def __init__(self) -> None:
        self._console = TalkConsole(plain=True)
        self._last = 0.0
        self._epoch = 0
        self._begun = time.monotonic()

    def phase(self, text: str) -> None:
        self._console.print(Text(f"{time.monotonic() - self._begun:6.1f} s  {text}"))

    def progress(self, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done == total or now - self._last > 5:
            self._last = now
            self._console.print(Text(f"  {what}: {done} of {total}"))

    def point(self, trial: int, point: Point) -> None:
        now = time.monotonic()
        if point.epoch == self._epoch and now - self._last < LINE_S:
            return
        self._epoch, self._last = point.epoch, now
        self._console.print(Text(f"  {words(trial, point)}"))

    def history(self, history: History) -> None:
        self._console.print(Text(f"{time.monotonic() - self._begun:6.1f} s  {tally(history)}"))

    def note(self, text: str) -> None:
        self._console.print(Text(text))


class Display:
    """Bars on a terminal."""

    def __init__(self) -> None:
        self._console = TalkConsole()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, console=self._console, transient=True)
        self._task = self._bars.add_task("", total=None, note="")
        self._last = 0.0
        self._bars.start()

    def phase(self, text: str) -> None:
        self._console.print(Text(text))
        self._bars.reset(self._task, description="", total=None, note="")

    def progress(self, what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._last > EVERY_S:
            self._last = time.monotonic()
            self._bars.update(self._task, description=what, completed=done, total=total, note=f"{done}/{total}")

    def point(self, trial: int, point: Point) -> None:
        if time.monotonic() - self._last > EVERY_S:
            self._last = time.monotonic()
            self._bars.update(self._task, description="training", total=None, note=words(trial, point))

    def history(self, history: History) -> None:
        self._bars.update(self._task, note=tally(history))

    def note(self, text: str) -> None:
        self._console.print(Text(text))

    def close(self) -> None:
        """Restores the terminal."""
        self._bars.stop()


def words(trial: int, point: Point) -> str:
    """A point of a curve in words."""
    train, valid = point.train_loss, point.valid_loss
    if train is None or valid is None:
        return f"trial {trial} epoch {point.epoch}: diverged"
    measured = "unknown" if point.valid_metric is None else f"{point.valid_metric:.4g}"
    return f"trial {trial} epoch {point.epoch}: train {train:.4f}, validation {valid:.4f}, metric {measured}"


def tally(history: History) -> str:
    """The state of the trials, in words."""
    ended = [
        t
        for t in history.having("complete", "paused", "running")
        if t.curve.last and t.curve.last.valid_loss is not None
    ]
    best = min((t.curve.last.valid_loss or 0.0 for t in ended if t.curve.last), default=None)
    text = f"{len(history.trials)} trials, {sum(t.trained for t in history.trials.values())} epochs"
    return text if best is None else f"{text}, best validation loss {best:.4f}"
