"""A study: its folder, its events, its worker. All stages get it, and it stores what they return."""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tame.core.config import StudyConfig
from tame.core.edits import EDITS, read_edits, text_of
from tame.core.errors import StoppedError, StorageError, require
from tame.core.files import remove_drafts
from tame.core.records import Event, History, Point, curve_event, early_stop_event
from tame.kinds.known import kind_of
from tame.store.disk import SAFE, write_inside, write_private
from tame.store.lease import BusyError, Lease, hold
from tame.study.events import (
    Asked,
    HowChosen,
    MeasurementKept,
    Opened,
    StudyEvent,
    WorkerRestarted,
    WorkersHired,
    event_of,
)
from tame.study.folder import CONFIG, WRITTEN, is_interrupted, remove_made, take_folder, written_config
from tame.study.inbox import Seal
from tame.study.pace import Pace
from tame.study.record import (
    DATABASE,
    SERVER,
    Record,
    is_study,
    open_record,
    require_study,
    write_server,
)
from tame.study.state import State, Watcher, config_of, how_to_resume, state_of, unfinished
from tame.study.summary import LEAST, summary_of
from tame.trial.commands import (
    Chosen,
    Commands,
    EndedEarly,
    EngineMeasured,
    Message,
    Note,
    PointMeasured,
    Progress,
    Saved,
)
from tame.worker.executor import Executor, Place
from tame.worker.executors import hired, inline_executor
from tame.worker.watch import LEAST_SILENCE_S, Patience

AGAIN_S = 0.5  # between two requests to end the running command
OURS_LONGER = 10  # factor on the allowed silence of TAME's own networks


@dataclass(slots=True)
class Cut:
    """Whether the clock has ended what was going on. ends_s: when that would have ended, where it was foreseen to end
    too late."""

    is_made: bool = False
    ends_s: float | None = None


class Study:
    """An open study; use as a context manager. Everything that happens goes through `keep`."""

    def __init__(
        self, folder: Path, config: StudyConfig, record: Record, lease: Lease, watcher: Watcher,
        *, state: State | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.watcher = watcher
        self._record = record
        self._lease = lease
        self.throwaway = False  # whether what it made goes with the study
        self.begun_here = False  # whether this process began it
        self.has_data = False  # whether its data was found and read
        self.made_folder = False  # whether it made the folder too
        self._executor: Executor | None = None
        self._waiting: dict[int, list[Point]] = {}  # points of trials whose weights are not saved yet
        self._ends: dict[int, int] = {}  # likewise: trials that stopped early, and their best epoch
        self._pace: Pace | None = None  # of what must end with the clock
        self.build: Callable[..., Any] | None = None  # makes the user's own module
        self.store_of: Callable[[Path], str | None] = lambda folder: None  # the address of another study's server
        self.state = state or State()
        clock = self.state.clock  # a resume may have given more time
        self.config = config if clock is None else replace(config, time_s=clock.time_s)
        if self.state.limits is not None:  # likewise, other limits
            self.config = replace(self.config, limit=dict(self.state.limits.limits))
        self._add_time(self.state.extra_s)
        self.is_over = self.state.stop_asked  # whether the clock or the user has cut the search short
        self.seal: Seal | None = None  # by which requests are known as the user's; None: none is followed
        self.is_stopping = False  # whether the user stops this process
        self.is_called = False  # whether the user has asked for what cannot wait
        self._listens = False  # whether what goes on may be ended for that
        self._started = time.monotonic() - self.state.used_s

    @property
    def history(self) -> History:
        return self.state.history

    @property
    def executor(self) -> Executor:
        assert self._executor is not None, "hire() comes first"
        return self._executor

    @property
    def worker(self) -> Commands:
        """The commands of the training process; progress goes to the watcher, points of curves are stored."""
        return self.executor.commands

    @property
    def used_s(self) -> float:
        """Seconds of the budget used so far, earlier processes included."""
        return time.monotonic() - self._started

    @property
    def left_s(self) -> float:
        """Seconds left on the clock; infinite without one."""
        clock = self.config.clock_s
        return float("inf") if clock is None else clock - self.used_s

    @contextmanager
    def until(self, seconds: float, *, foreseeing: bool = False) -> Iterator[Cut]:
        """Within it, what the worker does ends once so many seconds of the budget are used, at its next word, with all
        that was measured kept. Yields whether that has come to pass.

        foreseeing: whether it ends as soon as the progress of a step shows that it would end too late.
        A stop by the user is raised at the next command, as ever.
        """
        left = seconds - self.used_s
        cut = Cut(left <= 0)
        if cut.is_made or math.isinf(left):
            yield cut
            return
        done = threading.Event()
        pace = Pace(seconds)
        self._pace = pace if foreseeing else None

        def end() -> None:
            wait = left
            while not done.wait(wait):
                self.executor.interrupt()  # again and again: a command without a word may have ended before it heard
                wait = AGAIN_S

        threading.Thread(target=end, daemon=True).start()
        try:
            yield cut
        except StoppedError:
            if self.used_s < seconds and not pace.gives_up:
                raise
            cut.is_made, cut.ends_s = True, pace.ends_s if pace.gives_up else None
        finally:
            done.set()
            self._pace = None

    @contextmanager
    def attentive(self) -> Iterator[Cut]:
        """Within it, what the worker does ends at its next word, with all kept, once the user asks for what cannot
        wait. Yields whether that has come to pass."""
        cut = Cut()
        self._listens = True
        try:
            if self.is_called:
                cut.is_made = True
            yield cut
        except StoppedError:
            if not self.is_called or self.is_stopping:
                raise
            cut.is_made = True
        finally:
            self._listens = False

    def call(self) -> None:
        """The user has asked for what cannot wait. Safe in any thread."""
        self.is_called = True
        if self._listens:
            self.executor.interrupt()

    def stop(self) -> None:
        """Stops this process's work after the current step. Safe in a signal handler."""
        self.is_stopping = True
        self.executor.stop()

    def stand_still(self, seconds: float) -> None:
        """Takes this time, which has just passed, off the used one."""
        self._started += seconds

    def follow(self, wish: Asked) -> None:
        """Does what follows for this process from a request that was granted; the rest is in its state."""
        if wish.what == "time":
            self._add_time(float(wish.seconds or 0.0))
        if wish.what == "stop":
            self.is_over = True

    def _add_time(self, seconds: float) -> None:
        if seconds and self.config.clock_s is not None:
            self.config = replace(self.config, time_s=self.config.clock_s + seconds)

    def stage(self, number: Literal[1, 2, 3, 4, 5, 6], text: str) -> None:
        """Tells the watcher what is done now: 1 reading, 2 planning, 3 search, 4 finalists, 5 test, 6 delivery."""
        self.watcher.phase(f"stage {number} of 6: {text}")

    def started_at(self, monotonic: float) -> None:
        """Counts the budget from a time before the opening."""
        self._started = monotonic - self.state.used_s

    def keep(self, *events: Event | StudyEvent) -> None:
        """Stores events, together with waiting points of curves, in one transaction."""
        plain = [event if isinstance(event, Event) else event_of(event) for event in events]
        self._keep_curves(list(self._waiting), *plain)

    def keep_last(self, *events: Event | StudyEvent) -> None:
        """Stores the events that end this process's work, after a summary of the trials if they are many."""
        self.keep()
        many = len(self.history.trials) >= LEAST and self.state.imported is None
        self.keep(*([summary_of(self.history)] if many else []), *events)

    def _keep_curves(self, trials: Sequence[int], *events: Event) -> None:
        """Stores the waiting points of these trials, and events."""
        waiting = {trial: self._waiting.pop(trial) for trial in trials if trial in self._waiting}
        curves = [curve_event(trial, points) for trial, points in waiting.items()]
        ends = {trial: self._ends.pop(trial) for trial in trials if trial in self._ends}
        stops = [early_stop_event(trial, best) for trial, best in ends.items()]
        fresh = [*curves, *stops, *events]
        for event in self._append(fresh) if fresh else []:
            self.state.after(event)

    def _append(self, events: Sequence[Event]) -> list[Event]:
        try:
            return self._record.append(events)
        except StorageError as problem:
            if self.config.store is None or self.state.opened is None:
                raise
            again = how_to_resume(self.folder, model=self.config.model)
            raise type(problem)(f"{problem}; {SAFE}; go on with: {again}") from problem

    def hire(self, *, cache: Path, inline: bool, under: Path | None = None) -> None:
        """Starts the worker. under: a second cache that is only read."""
        place = Place(cache=cache, study=self.folder, under=under, measured=self.state.measurements)
        if inline:
            self._executor = inline_executor(place, hear=self._hear, build=self.build)
            return

        def restarted(how: str) -> None:
            self.watcher.note(f"the training process ended ({how}); restarting it from the last checkpoint")
            self.keep(WorkerRestarted(how=how))

        kind = kind_of(self.config).name if self.state.data is None else self.state.kind
        self._executor, crew = hired(
            replace(place, kind=kind), hear=self._hear, log=self.folder / "worker.log", restarted=restarted,
            patience=self._patience, workers=self.config.workers or 1, ray=self.config.ray,
        )  # fmt: skip
        several = crew.workers > 1 or self.config.ray is not None
        if several or self.state.workers is not None:
            hired_now = WorkersHired(workers=crew.workers, threads=crew.threads, gpus=crew.gpus, ray=self.config.ray)
            self.keep(hired_now)
        if several:
            self.watcher.note(crew.words)

    def _patience(self) -> Patience:
        """How long the worker may be silent; under a clock, no longer than that allows. A user's own module may hang;
        an epoch of TAME's networks may just be long on a large table and a slow machine."""
        clock, own = self.config.clock_s, self.config.model is not None
        most_s = math.inf if clock is None else (1 if own else OURS_LONGER) * max(LEAST_SILENCE_S, 2 * clock)
        return Patience(most_s=most_s, own_model=own)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the study atomically, readable only by its owner."""
        write_inside(self.folder, name, text)
        return self.folder / name

    def close(self) -> None:
        """Ends the worker and releases the study."""
        if self._executor is not None:
            self._executor.close()
        self._record.close()
        if self.throwaway:  # under the lease: afterwards the folder may be somebody else's
            remove_made(self.folder, self._lease, whole=self.made_folder)
        self._lease.release()

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _hear(self, message: Message) -> None:
        match message:
            case Progress(what, done, total):
                self.watcher.progress(what, done, total)
                if self._pace is not None and self._pace.is_too_slow(what, done, total, used_s=self.used_s):
                    self.executor.interrupt()
            case Chosen(trials, how):
                self._keep_curves((), event_of(HowChosen(trials=tuple(trials), how=how)))
            case EngineMeasured(key, value):
                self._keep_curves((), event_of(MeasurementKept(key=key, value=value)))
            case PointMeasured(trial, point):
                self._waiting.setdefault(trial, []).append(point)
                self.watcher.point(trial, point)
            case EndedEarly(trial, best):
                self._ends[trial] = best
            case Note(text):
                self.watcher.note(text)
            case Saved(trials):
                # Only now: a stored point must not outlive the weights it was measured on.
                self._keep_curves(trials)


def begin(
    config: StudyConfig, watcher: Watcher, *, keep: Callable[[Path], None] | None = None, ours: bool = False
) -> Study:
    """A new study in a new folder, in an empty one, or in one whose start was interrupted before its first event.

    keep: puts what was given from Python into the folder; ours: whether an empty folder was made for this study alone.
    Raises UsageError for a folder that holds something else, StorageError where it cannot be made or is in use.
    """
    edits = None if config.edits is None else read_edits(Path(config.edits))  # refused before anything is made
    folder, lease, made = take_folder(config)
    record: Record | None = None
    try:
        if edits is not None:  # a study that goes on reads its own copy, whatever has become of the user's file
            write_private(folder / EDITS, text_of(edits))
        if config.store is not None:
            write_server(folder, config.store)
        if keep is not None:
            keep(folder)
        # Written before the first event: from here on `reopen` goes on with it.
        write_private(folder / CONFIG, json.dumps(config.to_json(), indent=1, sort_keys=True) + "\n")
        record = open_record(folder, read_only=False, store=config.store, create=True)
        study = Study(folder, config, record, lease, watcher)
        study.made_folder = made or ours
        study.begun_here = True
        study.keep(Opened(config=config.to_json(), id=secrets.token_hex(16)))
    except BaseException as problem:
        if record is not None:
            record.close()
        remove_made(folder, lease, whole=made or ours)
        lease.release()
        if isinstance(problem, StorageError):
            raise StorageError(str(problem).replace(f"; {SAFE}", "")) from problem  # there was nothing before
        raise
    return study


def reopen(folder: Path, watcher: Watcher, *, store: str | None = None) -> Study:
    """A study that was begun earlier, if only by its config. store: as in `open_record`.

    Raises UsageError where there is none, StorageError where it is in use or its server cannot be reached,
    RefusedError where its files are links.
    """
    require(folder.is_dir(), f"the study folder {folder} does not exist")
    if is_study(folder) or not is_interrupted(folder):
        require_study(folder)
    lease = hold(folder)
    record: Record | None = None
    try:
        remove_drafts(folder, *WRITTEN)
        begun = is_study(folder)
        if begun:
            require_study(folder)
        config = None if begun else written_config(folder)
        record = _record_again(folder, store)
        if not record.is_begun:
            config = written_config(folder)
        if config is None:
            state = state_of(record)
            study = Study(folder, config_of(state, folder), record, lease, watcher, state=state)
        else:
            study = Study(folder, config, record, lease, watcher)
            study.keep(Opened(config=config.to_json(), id=secrets.token_hex(16)))
        require(study.state.imported is None, unfinished(folder, study.state))
        return study
    except BaseException:
        if record is not None:
            record.close()
        lease.release()
        raise


def _record_again(folder: Path, store: str | None) -> Record:
    """The record of a study that was begun earlier. Made where its start was killed before that."""
    if not os.path.lexists(folder / SERVER):
        return open_record(folder, read_only=False, create=not os.path.lexists(folder / DATABASE))
    try:
        return open_record(folder, read_only=False, store=store, create=is_interrupted(folder))
    except BusyError:
        raise
    except StorageError as problem:
        again = how_to_resume(folder, model=None)
        raise StorageError(f"{problem}; when the server can be reached again, go on with: {again}") from problem
