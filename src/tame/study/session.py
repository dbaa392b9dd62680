"""A study: its folder, its events, its worker. What all stages are given and what keeps what they return."""

from __future__ import annotations

import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tame.core.config import StudyConfig
from tame.core.errors import StorageError, UsageError, require
from tame.core.records import Event, History, Point, curve_event, early_stop_event
from tame.store.database import Database, open_store
from tame.store.disk import write_inside
from tame.store.lease import Lease, hold
from tame.study.events import Opened, StudyEvent, WorkerRestarted, event_of
from tame.study.state import STUDY, State, Watcher, config_of, how_to_resume, open_events, require_study, unfinished
from tame.trial.commands import Commands, EndedEarly, Message, Note, PointMeasured, Progress, Saved
from tame.worker.executor import Executor, Place
from tame.worker.executors import inline_executor, process_executor
from tame.worker.watch import LEAST_SILENCE_S

OURS_LONGER = 10  # times as long may what is not the user's own say nothing


class Study:
    """An open study; use as a context manager. Everything that happens goes through `keep`."""

    def __init__(
        self, folder: Path, config: StudyConfig | None, store: Database, lease: Lease, watcher: Watcher
    ) -> None:
        self.folder = folder
        self.watcher = watcher
        self._store = store
        self._lease = lease
        self.throwaway = False  # whether the folder goes with the study
        self._executor: Executor | None = None
        self._waiting: dict[int, list[Point]] = {}  # points of trials whose weights are not kept yet
        self._ends: dict[int, int] = {}  # likewise: trials that stopped early, and their best epoch
        self.build: Callable[..., Any] | None = None  # what makes a module of the user's own
        self.state = State()
        for event in store.events(STUDY):
            self.state.after(event)
        config = config_of(self.state, folder) if config is None else config
        clock = self.state.clock  # a resume may have given it more time
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
        """Whoever trains; progress goes to the watcher, points of curves are kept."""
        return self.executor.commands

    @property
    def used_s(self) -> float:
        """Seconds of the budget that are used up, earlier processes included."""
        return time.monotonic() - self._started

    @property
    def left_s(self) -> float:
        """Seconds that are left of the clock; infinite where the clock plays no part."""
        clock = self.config.clock_s
        return float("inf") if clock is None else clock - self.used_s

    def started_at(self, monotonic: float) -> None:
        """Counts the budget from an earlier moment than the opening."""
        self._started = monotonic - self.state.used_s

    def keep(self, *events: Event | StudyEvent) -> None:
        """Stores events, with the points of curves that were waiting, in one transaction."""
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
        """Starts the worker. under: a cache that is read too, and that nothing is put into."""
        place = Place(cache=cache, study=self.folder, under=under)
        if inline:
            self._executor = inline_executor(place, hear=self._hear, build=self.build)
            return

        def restarted(how: str) -> None:
            self.watcher.note(f"the process that trains ended ({how}); it is started again from the last checkpoint")
            self.keep(WorkerRestarted(how=how))

        self._executor = process_executor(
            place, hear=self._hear, log=self.folder / "worker.log", restarted=restarted, silence_s=self._silence_s(),
            own_model=self.config.model is not None,
        )  # fmt: skip

    def _silence_s(self) -> float | None:
        """How long the worker may say nothing; for ever where no clock holds. What hangs is a module of the user's
        own; an epoch of TAME's may last long on a large table and a slow machine."""
        clock = self.config.clock_s
        if clock is None:
            return None
        return (1 if self.config.model else OURS_LONGER) * max(LEAST_SILENCE_S, 2 * clock)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the study in one step, readable by the owner only."""
        write_inside(self.folder, name, text)
        return self.folder / name

    def close(self) -> None:
        """Ends the worker and gives the study free."""
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
                # Only now: a point that is stored must not be lost with the weights that it was measured on.
                self._keep_curves(trials)


def begin(config: StudyConfig, watcher: Watcher) -> Study:
    """A new study in a new folder. Raises UsageError for a folder that exists, StorageError where it cannot be made."""
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
    """A study that was begun earlier. Raises UsageError where there is none, StorageError where it is in use."""
    require_study(folder)
    lease = hold(folder)
    try:
        store = open_events(folder, read_only=False)
        study = Study(folder, None, store, lease, watcher)
        require(study.state.imported is None, unfinished(folder, study.state))
        return study
    except BaseException:
        lease.release()
        raise


def _new_folder(config: StudyConfig) -> Path:
    """The folder of a new study, made: as asked for, or the next free runs/NAME-0001."""
    if config.out is not None:
        folder = Path(config.out)
        if (folder / "study.db").exists():
            mend = how_to_resume(folder, model=config.model)
            raise UsageError(f"{folder} holds a study already; go on with: {mend}")
        require(
            not folder.exists() or _is_empty(folder), f"{folder} exists and is not an empty folder; name another --out"
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
    raise UsageError(f"runs/ holds 9,999 studies named {name}; name a folder with --out")


def _make(folder: Path, *, exist_ok: bool) -> Path:
    """The folder, made for its owner alone. Raises FileExistsError where it may not exist, else StorageError."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir(mode=0o700, exist_ok=exist_ok)
        except FileExistsError:
            if not exist_ok:
                raise
            raise StorageError(f"{folder} is in the way and no folder; name another --out") from None
        folder.chmod(0o700)
    except FileExistsError as problem:
        if Path(str(problem.filename)) == folder:
            raise
        raise _not_made(folder, f"{problem.filename} is no folder") from None
    except OSError as problem:
        raise _not_made(folder, str(problem.strerror)) from None
    return folder


def _not_made(folder: Path, why: str) -> StorageError:
    return StorageError(f"the study's folder {folder} cannot be made: {why}")


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _remove_if_ours(folder: Path) -> None:
    """Removes a folder in which nothing but what a failed start leaves has been made."""
    ours = {"study.lock", "study.pid", "study.db", ".study.db.lock", ".study.db.new"}
    names = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if names <= ours:
        for name in names:
            (folder / name).unlink(missing_ok=True)
        folder.rmdir()
