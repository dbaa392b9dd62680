"""A study: its folder, its events, its worker. All stages get it, and it stores what they return."""

from __future__ import annotations

import json
import math
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tame.core.config import StudyConfig
from tame.core.errors import StoppedError, StorageError, UsageError, require
from tame.core.records import Event, History, Point, curve_event, early_stop_event
from tame.store.database import Database, open_store
from tame.store.disk import write_inside
from tame.store.lease import Lease, hold
from tame.study.events import Opened, StudyEvent, WorkerRestarted, event_of
from tame.study.state import (
    STUDY,
    State,
    Watcher,
    config_of,
    how_to_resume,
    open_events,
    require_study,
    state_of,
    unfinished,
)
from tame.trial.commands import Commands, EndedEarly, Message, Note, PointMeasured, Progress, Saved
from tame.worker.executor import Executor, Place
from tame.worker.executors import inline_executor, process_executor
from tame.worker.watch import LEAST_SILENCE_S

AGAIN_S = 0.5  # between two requests to end the running command
OURS_LONGER = 10  # factor on the allowed silence of TAME's own networks


@dataclass(slots=True)
class Cut:
    """Whether the clock has ended what was going on."""

    is_made: bool = False


class Study:
    """An open study; use as a context manager. Everything that happens goes through `keep`."""

    def __init__(
        self, folder: Path, config: StudyConfig, store: Database, lease: Lease, watcher: Watcher,
        *, state: State | None = None,
    ) -> None:  # fmt: skip
        self.folder = folder
        self.watcher = watcher
        self._store = store
        self._lease = lease
        self.throwaway = False  # whether the folder is removed with the study
        self._executor: Executor | None = None
        self._waiting: dict[int, list[Point]] = {}  # points of trials whose weights are not saved yet
        self._ends: dict[int, int] = {}  # likewise: trials that stopped early, and their best epoch
        self.is_over = False  # whether the clock has cut the search short
        self.build: Callable[..., Any] | None = None  # makes the user's own module
        self.state = state or State()
        clock = self.state.clock  # a resume may have given more time
        self.config = config if clock is None else replace(config, time_s=clock.time_s)
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
    def until(self, seconds: float) -> Iterator[Cut]:
        """Within it, what the worker does ends once so many seconds of the budget are used, at its next word, with all
        that was measured kept. Yields whether that has come to pass.

        A stop by the user is raised at the next command, as ever.
        """
        left = seconds - self.used_s
        cut = Cut(left <= 0)
        if cut.is_made or math.isinf(left):
            yield cut
            return
        done = threading.Event()

        def end() -> None:
            wait = left
            while not done.wait(wait):
                self.executor.interrupt()  # again and again: a command without a word may have ended before it heard
                wait = AGAIN_S

        threading.Thread(target=end, daemon=True).start()
        try:
            yield cut
        except StoppedError:
            if self.used_s < seconds:
                raise
            cut.is_made = True
        finally:
            done.set()

    def started_at(self, monotonic: float) -> None:
        """Counts the budget from a time before the opening."""
        self._started = monotonic - self.state.used_s

    def keep(self, *events: Event | StudyEvent) -> None:
        """Stores events, together with waiting points of curves, in one transaction."""
        plain = [event if isinstance(event, Event) else event_of(event) for event in events]
        self._keep_curves(list(self._waiting), *plain)

    def _keep_curves(self, trials: Sequence[int], *events: Event) -> None:
        """Stores the waiting points of these trials, and events."""
        waiting = {trial: self._waiting.pop(trial) for trial in trials if trial in self._waiting}
        curves = [curve_event(trial, points) for trial, points in waiting.items()]
        ends = {trial: self._ends.pop(trial) for trial in trials if trial in self._ends}
        stops = [early_stop_event(trial, best) for trial, best in ends.items()]
        fresh = [*curves, *stops, *events]
        for event in self._store.append(STUDY, fresh) if fresh else []:
            self.state.after(event)

    def hire(self, *, cache: Path, inline: bool, under: Path | None = None) -> None:
        """Starts the worker. under: a second cache that is only read."""
        place = Place(cache=cache, study=self.folder, under=under)
        if inline:
            self._executor = inline_executor(place, hear=self._hear, build=self.build)
            return

        def restarted(how: str) -> None:
            self.watcher.note(f"the training process ended ({how}); restarting it from the last checkpoint")
            self.keep(WorkerRestarted(how=how))

        self._executor = process_executor(
            place, hear=self._hear, log=self.folder / "worker.log", restarted=restarted, silence_s=self._silence_s(),
            own_model=self.config.model is not None,
        )  # fmt: skip

    def _silence_s(self) -> float | None:
        """How long the worker may be silent; None, without limit, if there is no clock. A user's own module may hang;
        an epoch of TAME's networks may just be long on a large table and a slow machine."""
        clock = self.config.clock_s
        if clock is None:
            return None
        return (1 if self.config.model else OURS_LONGER) * max(LEAST_SILENCE_S, 2 * clock)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the study atomically, readable only by its owner."""
        write_inside(self.folder, name, text)
        return self.folder / name

    def close(self) -> None:
        """Ends the worker and releases the study."""
        if self._executor is not None:
            self._executor.close()
        self._store.close()
        self._lease.release()
        if self.throwaway:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _hear(self, message: Message) -> None:
        match message:
            case Progress(what, done, total):
                self.watcher.progress(what, done, total)
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


def begin(config: StudyConfig, watcher: Watcher) -> Study:
    """A new study in a new folder. Raises UsageError if the folder exists, StorageError if it cannot be created."""
    folder = _new_folder(config)
    try:
        lease = hold(folder)
        store = open_store(folder / "study.db", create=True)
    except BaseException:
        _remove_if_ours(folder)
        raise
    study = Study(folder, config, store, lease, watcher)
    study.write("config.json", json.dumps(config.to_json(), indent=1, sort_keys=True) + "\n")
    study.keep(Opened(config=config.to_json(), id=secrets.token_hex(16)))
    return study


def reopen(folder: Path, watcher: Watcher) -> Study:
    """An existing study. Raises UsageError if there is none, StorageError if it is in use."""
    require_study(folder)
    lease = hold(folder)
    try:
        store = open_events(folder, read_only=False)
        state = state_of(store)
        study = Study(folder, config_of(state, folder), store, lease, watcher, state=state)
        require(study.state.imported is None, unfinished(folder, study.state))
        return study
    except BaseException:
        lease.release()
        raise


def _new_folder(config: StudyConfig) -> Path:
    """The folder of a new study, created: the one asked for, or the next free runs/NAME-0001."""
    if config.out is not None:
        folder = Path(config.out)
        if (folder / "study.db").exists():
            command = how_to_resume(folder, model=config.model)
            raise UsageError(f"{folder} already contains a study; continue it with: {command}")
        require(
            not folder.exists() or _is_empty(folder), f"{folder} exists and is not an empty folder; give another --out"
        )
        return _make(folder, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(config.data).resolve().name).strip(".-") or "study"
    for number in range(1, 10_000):
        folder = Path("runs") / f"{name}-{number:04d}"
        if not folder.exists():
            try:
                return _make(folder, exist_ok=False)
            except FileExistsError:
                continue  # another process took the number a moment ago
    raise UsageError(f"runs/ contains 9,999 studies named {name}; give a folder with --out")


def _make(folder: Path, *, exist_ok: bool) -> Path:
    """The folder, created for its owner alone. Raises FileExistsError if it must not exist, else StorageError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700, exist_ok=exist_ok)
        except FileExistsError:
            if not exist_ok:
                raise
            raise StorageError(f"{folder} exists and is not a folder; give another --out") from None
        folder.chmod(0o700)
    except FileExistsError as problem:
        if Path(str(problem.filename)) == folder:
            raise
        raise _not_made(folder, f"{problem.filename} is not a folder") from None
    except OSError as problem:
        raise _not_made(folder, str(problem.strerror)) from None
    return folder


def _not_made(folder: Path, why: str) -> StorageError:
    return StorageError(f"cannot create the folder {folder} for the study: {why}")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _remove_if_ours(folder: Path) -> None:
    """Removes a folder that contains only what a failed start leaves behind."""
    ours = {"study.lock", "study.pid", "study.db", ".study.db.lock", ".study.db.new"}
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if names <= ours:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
