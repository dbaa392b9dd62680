"""What is shown while a study works: a rich display on a terminal, one line an epoch elsewhere, nothing when quiet."""

from __future__ import annotations

import io
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from tame.core.records import History, Point
from tame.study.state import Silent, Watcher

EVERY_S = 0.1  # a display that changes more often only costs time
LINE_S = 0.5  # between two lines where nothing is animated: one an epoch, but not a thousand a second


def watcher_for(*, quiet: bool) -> Watcher:
    """The watcher that fits where stderr goes."""
    if quiet:
        return Silent()
    plain = (
        not sys.stderr.isatty() or os.environ.get("TERM") == "dumb" or "CI" in os.environ or "NO_COLOR" in os.environ
    )
    return Lines() if plain else Display()


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watcher]:
    """The watcher of one job; the terminal is given back at its end, whatever that is."""
    watcher = watcher_for(quiet=quiet)
    try:
        yield watcher
    finally:
        if isinstance(watcher, Display):
            watcher.close()


class Lines:
    """One line an epoch (of the trial that is ahead), for logs and pipes."""

    def __init__(self) -> None:
        self._console = Console(file=Talk(), highlight=False, color_system=None, width=100, soft_wrap=True)
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
        self._console = Console(file=Talk(), highlight=False)
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
        """Gives the terminal back."""
        self._bars.stop()


class Talk(io.StringIO):
    """stderr for what is only told: where it cannot be written (a closed terminal, a full disk) the study goes on."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def fileno(self) -> int:
        return sys.stderr.fileno()


def words(trial: int, point: Point) -> str:
    """A point of a curve in words."""
    train, valid = point.train_loss, point.valid_loss
    if train is None or valid is None:
        return f"trial {trial} epoch {point.epoch}: diverged"
    measured = "not known" if point.valid_metric is None else f"{point.valid_metric:.4g}"
    return f"trial {trial} epoch {point.epoch}: train {train:.4f}, validation {valid:.4f}, metric {measured}"


def tally(history: History) -> str:
    """How the trials stand, in words."""
    ended = [
        t
        for t in history.having("complete", "paused", "running")
        if t.curve.last and t.curve.last.valid_loss is not None
    ]
    best = min((t.curve.last.valid_loss or 0.0 for t in ended if t.curve.last), default=None)
    text = f"{len(history.trials)} trials, {sum(t.trained for t in history.trials.values())} epochs"
    return text if best is None else f"{text}, best validation loss {best:.4f}"
