"""A study that is followed while it runs: its events are read once, in small pieces, and folded as they come.

For readers that never disturb a writer: each piece is a short transaction of its own, so that no lock is held while it
is folded. Nothing here loads torch.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tame.core.errors import StorageError, require
from tame.core.records import Decided, Event, story_of
from tame.study.columns import Columns
from tame.study.events import Answered, FinalistsChosen, Prescribed, Remedied, read_event
from tame.study.record import DATABASE, SERVER, Record, open_record
from tame.study.state import OF_TRIALS, Case, State

PIECE = 2_000  # events that are read in one transaction
OF_CASES = ("prescribed", "remedied", "finalists")  # kinds that name trials, which the state here does not hold
OF_WISHES = ("asked", "answered")
MOST_LINES = 2_000  # of what was decided and found, the last ones

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Line:
    """A decision, finding, answer or other event, for people: number of its event, when, about which trial."""

    id: int
    at: str
    kind: str
    data: Mapping[str, object]
    trial: int | None = None


@dataclass(slots=True)
class Followed:
    """What the events so far tell. state: all but the trials, which are in the columns."""

    columns: Columns = field(default_factory=Columns)
    state: State = field(default_factory=State)
    cases: list[Case] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    answers: dict[str, Answered] = field(default_factory=dict)  # to what was asked, by its id
    seq: int = 0  # of the last event
    last_kind: str = ""
    begun_at: str = ""
    last_at: str = ""

    def after(self, event: Event) -> None:
        """Takes in an event. Raises StorageError for one that does not fit."""
        trial: int | None = None
        if event.kind in OF_TRIALS:
            row = self.columns.after(event)
            trial = None if row is None else row.number
        elif event.kind in OF_CASES:
            self._of_cases(event)
        else:
            self.state.after(event)
            if event.kind == Answered.event_kind and self.state.answered is not None:
                self.answers[self.state.answered.id] = self.state.answered
        self.seq = event.id
        if event.kind not in OF_WISHES:  # an edit may be asked for and answered after a study has stopped
            self.last_kind = event.kind
        self.last_at, self.begun_at = event.at, self.begun_at or event.at
        data = _told(event)
        if data is not None:
            self.lines.append(Line(event.id, event.at, event.kind, data, trial))
            if len(self.lines) > 2 * MOST_LINES:
                del self.lines[:MOST_LINES]

    def _of_cases(self, event: Event) -> None:
        own = read_event(event)
        if isinstance(own, Prescribed):
            fits = bool(own.tried) and all(each.trials for each in own.tried)
            known = all(number in self.columns.rows for number in (own.patient, *own.trials))
            require(fits and known, f"{event} names trials that no earlier event begins", error=StorageError)
            self.cases.append(Case(own))
        elif isinstance(own, Remedied):
            places = [i for i, case in enumerate(self.cases) if case.prescribed.first == own.trial]
            known = len(places) == 1 and all(each.trial in self.columns.rows for each in own.outcomes)
            require(known, f"{event} judges a case that no earlier event begins", error=StorageError)
            self.cases[places[0]] = Case(self.cases[places[0]].prescribed, own)
        elif isinstance(own, FinalistsChosen):
            known = all(number in self.columns.rows for number in own.trials)
            require(known, f"{event} names trials that no earlier event begins", error=StorageError)
            self.state.finalists = own


# What is told line by line; curves and times are seen in the charts.
_TOLD = frozenset(
    {
        "opened", "data", "plan", "forecast", "decision", "early_stop", "finding", "prescribed", "remedied", "space",
        "region", "search_ended", "finalists", "tuning_judged", "test_opened", "delivered", "worker_restarted",
        "answered", "stopped", "ended", "result", "imported", "clock", "space_asked",
    }
)  # fmt: skip


def _told(event: Event) -> Mapping[str, object] | None:
    """What a line keeps of an event; None for one that is not told. That a trial goes on is said thousands of times,
    and a recipe is in the columns."""
    if event.kind not in _TOLD:
        return None
    if event.kind != "decision":
        return event.data
    story = story_of(event)
    assert isinstance(story, Decided)
    plain = {"kind": story.kind, "trial": story.trial, "reason": story.reason}
    return None if story.kind == "continue" else plain


class Takes(Protocol):
    """What events are folded into."""

    seq: int  # of the last event

    def after(self, event: Event) -> None: ...


Taker = TypeVar("Taker", bound=Takes)


class Follower(Generic[Taker]):
    """Reads a study's record again and again. followed: takes its events in; store: as in `open_record`."""

    def __init__(self, folder: Path, followed: Taker, *, store: str | None = None) -> None:
        self.folder = folder
        self.followed = followed
        self._store = store
        self._record: Record | None = None
        self._stamps: tuple[Stamp, ...] | None = None
        self._first: Event | None = None  # that was read here, by which a study is known again

    def catch_up(self) -> bool:
        """Takes in what is new; whether there was anything. Raises as `open_record`, and StorageError where the study
        has been deleted, or is another one than before."""
        stamps = self._look()
        if stamps is not None and stamps == self._stamps:
            return False
        if self._record is None or self._record.is_copy:
            self._open()
        before = self.followed.seq
        for event in self._fresh():
            self.followed.after(event)
            self._first = self._first or event
        self._stamps = stamps
        return self.followed.seq > before

    def close(self) -> None:
        """Lets go of the record."""
        record, self._record = self._record, None
        if record is not None:
            record.close()

    def rest(self) -> None:
        """Lets go of files until they change; a server stays connected, since only asking it tells of a change."""
        if not self._is_on_server:
            self.close()

    @property
    def _is_on_server(self) -> bool:
        return self._store is not None or os.path.lexists(self.folder / SERVER)

    def _open(self) -> None:
        self.close()
        self._record = open_record(self.folder, read_only=True, store=self._store)
        if self._first is not None:  # the number of a file that is not held open may be given to another one
            with closing(self._record.since(self._first.id - 1)) as events:
                is_same = next(events, None) == self._first
            if not is_same:
                raise self._replaced()

    def _replaced(self) -> StorageError:
        self.close()
        return StorageError(f"{self.folder} is another study than before: its {DATABASE} was replaced")

    def _fresh(self) -> Iterator[Event]:
        assert self._record is not None
        while True:
            with closing(self._record.since(self.followed.seq)) as events:
                piece = list(islice(events, PIECE))
            yield from piece
            if len(piece) < PIECE:
                return

    def _look(self) -> tuple[Stamp, ...] | None:
        """By which a change of the database's files is seen; None where it is kept on a server."""
        if self._is_on_server:
            return None
        stamps = tuple(_stamp(self.folder / f"{DATABASE}{end}") for end in ("", "-wal", "-journal"))
        if stamps[0] is None:
            self.close()
            raise StorageError(f"{self.folder} is gone: its {DATABASE} was deleted or moved away")
        if self._stamps is not None and self._stamps[0] is not None and stamps[0][0] != self._stamps[0][0]:
            raise self._replaced()
        return stamps


def _stamp(path: Path) -> Stamp:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
