"""Progress of a study: three lines on a terminal or in a notebook, one line per epoch elsewhere, nothing when quiet."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tame.app.console import TalkConsole, raw
from tame.app.notebook import Draw, notebook
from tame.core.records import History, Point, Trial
from tame.report import formats
from tame.report.words import state
from tame.study.state import Silent, Watcher

EVERY_S = 0.1  # a faster display only costs time
LOOK_S = 0.5  # between two looks at all trials, which may be thousands
LINE_S = 0.5  # between two lines without a terminal: one per epoch, but not a thousand per second
MOST_NOTES = 8  # that a notebook shows, the last ones
BAR = 20  # characters of a bar, and of a small curve
HEIGHTS = "▁▂▃▄▅▆▇█"


def watcher_for(*, quiet: bool, ends: float | None = None) -> Watcher:
    """The watcher that fits the destination of stderr. ends: when the clock does, by time.monotonic()."""
    if quiet:
        return Silent()
    if (draw := notebook()) is not None:
        return NotebookDisplay(draw, ends)
    plain = (
        not raw(sys.stderr).isatty()
        or os.environ.get("TERM") == "dumb"
        or "CI" in os.environ
        or "NO_COLOR" in os.environ
    )
    return Lines() if plain else Display(ends)


@contextmanager
def watching(*, quiet: bool, ends: float | None = None) -> Iterator[Watcher]:
    """The watcher of one job; the terminal is restored at its end, even after an error.

    ends: when the clock does, by time.monotonic(); None without a clock.
    """
    watcher = watcher_for(quiet=quiet, ends=ends)
    try:
        yield watcher
    finally:
        if isinstance(watcher, Display | NotebookDisplay):
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


class Now:
    """What is said of a study at this moment: its stage, how far that is, the best trial, the last finding or decision.

    ends: when the clock does, by time.monotonic().
    """

    def __init__(self, ends: float | None = None) -> None:
        self.stage, self.count = "starting", ""
        self.best, self.latest = "", ""
        self._begun, self._ends = time.monotonic(), ends
        self._share: float | None = None  # of what is being done; None: not known
        self._reasons: dict[int, str] = {}
        self._last = self._looked = 0.0

    def phase(self, text: str) -> None:
        self.stage, self.count, self._share = text, "", None

    def progress(self, what: str, done: int, total: int) -> None:
        if done == total or time.monotonic() - self._last > EVERY_S:
            self._last = time.monotonic()
            self.count, self._share = f"{what} {done:,} of {total:,}", done / max(total, 1)

    def point(self, trial: int, point: Point) -> None:
        if time.monotonic() - self._last > EVERY_S:
            self._last = time.monotonic()
            self.count, self._share = f"trial {trial}, epoch {point.epoch}", None

    def history(self, history: History) -> None:
        if self.best and time.monotonic() - self._looked < LOOK_S:
            return
        self._looked = time.monotonic()
        self.best = best_so_far(history)
        changed = [t for t in history.trials.values() if t.last_reason not in ("", self._reasons.get(t.number))]
        self._reasons |= {trial.number: trial.last_reason for trial in changed}
        if changed:
            last = changed[-1]
            self.latest = f"trial {last.number} {state(last.state, going_on=True, lives=True)}: {last.last_reason}"

    def note(self, text: str) -> None:
        self.latest = text

    def clock(self) -> tuple[str, float | None]:
        """The time left or passed, and the share of what is being done that is done, None if it is not known."""
        now = time.monotonic()
        if self._ends is None:
            return f"{_clock(now - self._begun)} passed", self._share
        passed = (now - self._begun) / max(self._ends - self._begun, 1e-9)
        return f"{_clock(self._ends - now)} left", min(passed, 1.0) if self._share is None else self._share

    @property
    def took(self) -> str:
        """The time since the beginning."""
        return _clock(time.monotonic() - self._begun)


class Display:
    """Three lines on a terminal: the stage and the time left, the best so far, the last finding or decision."""

    def __init__(self, ends: float | None = None) -> None:
        self._console = TalkConsole()
        self._now = Now(ends)
        self._live = Live(
            get_renderable=self._lines, console=self._console, transient=True, refresh_per_second=round(1 / EVERY_S)
        )
        self._live.start()

    def phase(self, text: str) -> None:
        self._console.print(Text(text, style="dim"))
        self._now.phase(text)

    def progress(self, what: str, done: int, total: int) -> None:
        self._now.progress(what, done, total)

    def point(self, trial: int, point: Point) -> None:
        self._now.point(trial, point)

    def history(self, history: History) -> None:
        self._now.history(history)

    def note(self, text: str) -> None:
        self._console.print(Text(text))
        self._now.note(text)

    def close(self) -> None:
        """Restores the terminal."""
        self._live.stop()

    def _lines(self) -> RenderableType:
        now = self._now
        clock, share = now.clock()
        first = Table.grid(padding=(0, 1), expand=True)
        first.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
        first.add_column(no_wrap=True)
        first.add_column(ratio=1, no_wrap=True, max_width=BAR)
        first.add_column(no_wrap=True)
        bar = ProgressBar(total=None if share is None else 1.0, completed=share or 0.0)
        first.add_row(Text(now.stage, "bold"), Text(now.count), bar, Text(clock))
        below = [Text(line, "" if i == 0 else "dim", no_wrap=True, overflow="ellipsis")
                 for i, line in enumerate((now.best, now.latest))]  # fmt: skip
        return Group(first, *below)


class NotebookDisplay:
    """The same in the one output of a notebook's cell, which is drawn again and again; notes stay below it."""

    def __init__(self, draw: Draw, ends: float | None = None) -> None:
        self._draw = draw
        self._now = Now(ends)
        self._notes: list[str] = []
        self._drawn = 0.0
        self._show()

    def phase(self, text: str) -> None:
        self._now.phase(text)
        self._show()

    def progress(self, what: str, done: int, total: int) -> None:
        self._now.progress(what, done, total)
        self._soon()

    def point(self, trial: int, point: Point) -> None:
        self._now.point(trial, point)
        self._soon()

    def history(self, history: History) -> None:
        self._now.history(history)
        self._soon()

    def note(self, text: str) -> None:
        self._notes.append(text)
        self._show()

    def close(self) -> None:
        """Leaves what was noted, and how long it took."""
        self._show(ended=True)

    def _soon(self) -> None:
        if time.monotonic() - self._drawn > LOOK_S:
            self._show()

    def _show(self, *, ended: bool = False) -> None:
        self._drawn = time.monotonic()
        now, (clock, share) = self._now, self._now.clock()
        first, share = (f"TAME: {now.stage}, {now.took} in all", None) if ended else (f"{now.stage} {now.count}", share)
        below = [line for line in (now.best, "" if ended else now.latest, *self._notes[-MOST_NOTES:]) if line]
        self._draw(first, None if ended else clock, share, below)


def words(trial: int, point: Point) -> str:
    """A point of a curve in words."""
    train, valid = point.train_loss, point.valid_loss
    if train is None or valid is None:
        return f"trial {trial} epoch {point.epoch}: diverged"
    measured = "unknown" if point.valid_metric is None else f"{point.valid_metric:.4g}"
    return f"trial {trial} epoch {point.epoch}: train {train:.4f}, validation {valid:.4f}, metric {measured}"


def tally(history: History) -> str:
    """The state of the trials, in words."""
    best = _best(history)
    text = f"{len(history.trials)} trials, {sum(t.trained for t in history.trials.values())} epochs"
    return text if best is None else f"{text}, best validation loss {best.loss:.4f}"


def best_so_far(history: History) -> str:
    """The best trial with its validation metric, the default recipe beside it, and its loss as a small curve."""
    best = _best(history)
    if best is None:
        return ""
    default = next((trial for trial in history.trials.values() if trial.is_default), None)
    beside = "the default recipe" if best is default else f"trial {best.number}"
    said = f"best so far: validation {_metric(best)}, {beside}"
    if default is not None and best is not default and default.judged is not None:
        said += f"; the default recipe has {_metric(default)}"
    return f"{said}  {sparkline([point.valid_loss for point in best.curve.points])}"


def sparkline(values: list[float | None]) -> str:
    """At most BAR characters as high as the values, for those who see a curve at a glance; gaps are left out."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return ""
    picked = [known[round(i * (len(known) - 1) / (BAR - 1))] for i in range(BAR)] if len(known) > BAR else known
    low, high = min(picked), max(picked)
    steps = len(HEIGHTS) - 1
    return "".join(HEIGHTS[round(steps * (value - low) / ((high - low) or 1.0))] for value in picked)


def _best(history: History) -> Trial | None:
    """The trial with the lowest validation loss at its last epoch."""
    ended = [
        trial
        for trial in history.having("complete", "paused", "running")
        if trial.curve.last and trial.curve.last.valid_loss is not None
    ]
    return min(ended, key=lambda trial: trial.loss, default=None)


def _metric(trial: Trial) -> str:
    return formats.measured(trial.judged.valid_metric if trial.judged else None)


def _clock(seconds: float) -> str:
    """Minutes and seconds: 4:07."""
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"
