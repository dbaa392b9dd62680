"""What a study does at this moment, for pages and other programs: written by its watcher, read while it happens.

The events say what has happened; this says what goes on between two of them, and that the process is alive.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from tame.core.errors import StorageError
from tame.core.plain import JsonText, from_plain
from tame.core.records import History, Point
from tame.store.ring import MOST_BYTES, RingWriter, listen
from tame.study.state import Watcher

EVERY_S = 0.25  # at most so often, whatever is measured meanwhile
MOST_POINTS = 128  # that are told at once: the last ones; the store has all
MOST_NOTES = 8
MOST_TEXT = 300  # characters of a note


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Seconds of the budget. given: None without a clock; is_paused: whether it stands still."""

    used_s: float = 0.0
    given_s: float | None = None
    is_paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What goes on, and what was measured and noted since the last one.

    at: seconds since 1970, by this machine's clock; what, done, total: the step of this phase; points: of a trial each.
    """

    at: float
    phase: str = ""
    what: str = ""
    done: int = 0
    total: int = 0
    clock: Spent = field(default_factory=Spent)
    points: tuple[tuple[int, Point], ...] = ()
    notes: tuple[str, ...] = ()


class Live:
    """A watcher that writes moments, at most a few in a second. A disk that is full ends it, never the study."""

    def __init__(self, folder: Path, clock: Callable[[], Spent]) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # its study speaks, and a second thread says that it is alive
        self._now = Moment(at=0.0)
        self._points: deque[tuple[int, Point]] = deque(maxlen=MOST_POINTS)
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._last = 0.0
        self._ring: RingWriter | None = None
        with suppress(OSError):
            self._ring = RingWriter(folder)

    def phase(self, text: str) -> None:
        self._now = replace(self._now, phase=_short(text), what="", done=0, total=0)
        self.beat()

    def progress(self, what: str, done: int, total: int) -> None:
        self._now = replace(self._now, what=_short(what), done=done, total=total)
        if done == total or self._is_time():
            self.beat()

    def point(self, trial: int, point: Point) -> None:
        self._points.append((trial, point))
        if self._is_time():
            self.beat()

    def history(self, history: History) -> None:
        self.beat()

    def note(self, text: str) -> None:
        self._notes.append(_short(text))
        self.beat()

    def beat(self) -> None:
        """Writes the moment as it is now."""
        with self._lock:
            ring = self._ring
            if ring is None:
                return
            self._last = time.monotonic()
            points = tuple(self._points.popleft() for _ in range(len(self._points)))
            notes = tuple(self._notes.popleft() for _ in range(len(self._notes)))
            told = replace(self._now, at=time.time(), clock=self._clock(), points=points, notes=notes)
            try:
                ring.put(written(told))
            except OSError:
                self._ring = None
                ring.close()

    def close(self) -> None:
        """The process ends in order; where it is killed, what it said last stays."""
        with self._lock:
            ring, self._ring = self._ring, None
            if ring is not None:
                ring.close()

    def _is_time(self) -> bool:
        return time.monotonic() - self._last > EVERY_S


class Told:
    """Two watchers in the place of one."""

    def __init__(self, first: Watcher, second: Watcher) -> None:
        self._first, self._second = first, second

    def phase(self, text: str) -> None:
        self._first.phase(text)
        self._second.phase(text)

    def progress(self, what: str, done: int, total: int) -> None:
        self._first.progress(what, done, total)
        self._second.progress(what, done, total)

    def point(self, trial: int, point: Point) -> None:
        self._first.point(trial, point)
        self._second.point(trial, point)

    def history(self, history: History) -> None:
        self._first.history(history)
        self._second.history(history)

    def note(self, text: str) -> None:
        self._first.note(text)
        self._second.note(text)


def written(moment: Moment) -> bytes:
    """A moment as JSON that fits into a slot: of what does not, the older half of the points goes first."""
    while len(text := msgspec.json.encode(moment)) > MOST_BYTES:
        if moment.points:
            moment = replace(moment, points=moment.points[(len(moment.points) + 1) // 2 :])
        elif moment.notes:
            moment = replace(moment, notes=moment.notes[1:])
        else:
            moment = replace(moment, phase=moment.phase[: MOST_TEXT // 2], what=moment.what[: MOST_TEXT // 2])
            assert len(msgspec.json.encode(moment)) <= MOST_BYTES, "two short texts fit into a slot"
    return text


@dataclass(frozen=True, slots=True)
class Heard:
    """Moments after a cursor, which is life and last. lost: how many were overwritten before they were read."""

    life: str = ""
    last: int = 0
    moments: tuple[Moment, ...] = ()
    lost: int = 0


def hear(folder: Path, before: Heard | None = None) -> Heard | None:
    """What a study's process has said since then; None where none speaks. Raises StorageError, RefusedError."""
    own = before or Heard()
    found = listen(folder, life=own.life, after=own.last)
    if found is None:
        return None
    return Heard(found.life, found.last, tuple(_read(folder, text) for text in found.texts), found.lost)


def _short(text: str) -> str:
    """The start of a text, in characters that UTF-8 can hold: names of files may have others."""
    return text[:MOST_TEXT].encode("utf-8", "backslashreplace").decode("utf-8")[:MOST_TEXT]


def _read(folder: Path, text: bytes) -> Moment:
    try:
        return from_plain(Moment, JsonText(text.decode("utf-8")), what=f"what the process of {folder} said")
    except UnicodeDecodeError as problem:
        raise StorageError(f"what the process of {folder} said is damaged: {problem}") from None
