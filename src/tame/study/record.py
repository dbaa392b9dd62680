"""A study: its folder, its events, its worker. What all stages are given and what keeps what they return."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tame.core.config import StudyConfig
from tame.core.errors import StorageError, UsageError, require
from tame.core.records import Event, Finding, History
from tame.store.database import Database, open_store
from tame.store.lease import Lease, hold
from tame.trial.process import LEAST_SILENCE_S, InlineWorker, ProcessWorker, Reply, Worker

OURS_LONGER = 10  # times as long may what is not the user's own say nothing
STUDY = "study"  # its name inside its own database


class Watcher(Protocol):
    """Who looks on. It gets values and cannot steer."""

    def phase(self, text: str) -> None: ...

    def progress(self, what: str, done: int, total: int) -> None: ...

    def point(self, trial: int, row: Sequence[Any]) -> None: ...

    def history(self, history: History) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """A watcher that looks away."""

    def phase(self, text: str) -> None: ...

    def progress(self, what: str, done: int, total: int) -> None: ...

    def point(self, trial: int, row: Sequence[Any]) -> None: ...

    def history(self, history: History) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(slots=True)
class State:
    """What the events tell: the trials, the findings, and the last word of every other kind of event."""

    history: History = field(default_factory=History)
    findings: list[Finding] = field(default_factory=list)
    last: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    left_from: dict[int, int] = field(default_factory=dict)  # the epoch a trial stood at when it was told to go on
    trained_s: float = 0.0  # that training has taken in the search
    marks: list[tuple[float, int]] = field(default_factory=list)  # after each training: seconds used, epochs trained
    openings: int = 0  # of the test part: more than one only where a study was killed after the first
    used_s: float = 0.0  # of the budget, over all processes that have worked on the study

    @property
    def epoch_s(self) -> float:
        """Seconds that an epoch of a trial has taken, its inputs aside; 0 before there was one."""
        return self.trained_s / max(self.epochs, 1)

    @property
    def epochs(self) -> int:
        """Epochs that all trials have trained."""
        return sum(trial.trained for trial in self.history.trials.values())

    def after(self, event: Event) -> None:
        """Takes one event in."""
        if event.kind == "decision" and event.data["kind"] == "continue":
            self.left_from[event.data["trial"]] = self.history.trials[event.data["trial"]].epochs
        self.history = self.history.after(event)
        if event.kind == "decision" and event.data["kind"] == "copy":
            self.left_from[event.data["trial"]] = self.history.trials[event.data["trial"]].inherited
        if event.kind == "finding":
            self.findings.append(Finding(**event.data))
        self.last[event.kind] = event.data
        self.openings += event.kind == "test_opened"
        self.trained_s += float(event.data.get("trained_s", 0.0))
        self.used_s = max(self.used_s, float(event.data.get("used_s", 0.0)))
        if event.kind == "trained":
            self.marks.append((self.used_s, self.epochs))


class Study:
    """An open study; use as a context manager. Everything that happens goes through `keep`."""

    def __init__(self, folder: Path, config: StudyConfig, store: Database, lease: Lease, watcher: Watcher) -> None:
        self.folder = folder
        self.watcher = watcher
        self._store = store
        self._lease = lease
        self.throwaway = False  # whether the folder goes with the study
        self._worker: Worker | None = None
        self._waiting: dict[int, list[Sequence[Any]]] = {}  # points of trials whose weights are not kept yet
        self._ends: dict[int, int] = {}  # likewise: trials that stopped early, and their best epoch
        self.build: Callable[..., Any] | None = None  # what makes a module of the user's own
        self.state = State()
        for event in store.events(STUDY):
            self.state.after(event)
        self.config = replace(config, **self.state.last.get("clock", {}))  # a resume may have given it more time
        self._started = time.monotonic() - self.state.used_s

    @property
    def history(self) -> History:
        return self.state.history

    @property
    def worker(self) -> Worker:
        assert self._worker is not None, "hire() comes first"
        return self._worker

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

    def keep(self, *events: Event) -> None:
        """Stores events, with the points of curves that were waiting, in one transaction."""
        self._keep_curves(list(self._waiting), *events)

    def _keep_curves(self, trials: Sequence[int], *events: Event) -> None:
        """Stores the waiting points of these trials, and events."""
        curves = [Event("curve", {"trial": n, "points": self._waiting.pop(n)}) for n in trials if n in self._waiting]
        ends = {trial: self._ends.pop(trial) for trial in trials if trial in self._ends}
        stops = [
            Event("early_stop", {"trial": trial, "best": best, "reason": f"the weights of epoch {best} were the best"})
            for trial, best in ends.items()
        ]
        fresh = [*curves, *stops, *events]
        for event in self._store.append(STUDY, fresh) if fresh else []:
            self.state.after(event)

    def hire(self, *, cache: Path, inline: bool, under: Path | None = None) -> None:
        """Starts the worker. under: a cache that is read too, and that nothing is put into."""
        if inline:
            self._worker = InlineWorker(cache=cache, study=self.folder, build=self.build, under=under)
            return

        def restarted(how: str) -> None:
            self.watcher.note(f"the process that trains ended ({how}); it is started again from the last checkpoint")
            self.keep(Event("worker_restarted", {"how": how}))

        log = self.folder / "worker.log"
        self._worker = ProcessWorker(
            cache=cache, study=self.folder, log=log, restarted=restarted, silence_s=self._silence_s(), under=under
        )

    def _silence_s(self) -> float | None:
        """How long the worker may say nothing; for ever where no clock holds. What hangs is a module of the user's
        own; an epoch of TAME's may last long on a large table and a slow machine."""
        clock = self.config.clock_s
        if clock is None:
            return None
        return (1 if self.config.model else OURS_LONGER) * max(LEAST_SILENCE_S, 2 * clock)

    def ask(self, name: str, **values: Any) -> Reply:
        """The worker's answer to a command; progress goes to the watcher, points of curves are kept."""
        return self.worker.call(name, self._hear, **values)

    def write(self, name: str, text: str) -> Path:
        """Writes a file of the study in one step, readable by the owner only."""
        path = self.folder / name
        write_private(path, text)
        return path

    def close(self) -> None:
        """Ends the worker and gives the study free."""
        if self._worker is not None:
            self._worker.close()
        self._store.close()
        self._lease.release()
        if self.throwaway:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Study:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def _hear(self, message: Reply) -> None:
        if message["event"] == "progress":
            self.watcher.progress(message["what"], message["done"], message["total"])
        elif message["event"] == "point":
            row = message["row"]
            self._waiting.setdefault(message["trial"], []).append(row)
            self.watcher.point(message["trial"], row)
        elif message["event"] == "end":
            self._ends[message["trial"]] = message["best"]
        elif message["event"] == "note":
            self.watcher.note(message["text"])
        elif message["event"] == "saved":
            # Only now: a point that is stored must not be lost with the weights that it was measured on.
            self._keep_curves(message["trials"])


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
    study.keep(Event("opened", {"config": config.to_json()}))
    return study


def reopen(folder: Path, watcher: Watcher) -> Study:
    """A study that was begun earlier. Raises UsageError where there is none, StorageError where it is in use."""
    require(folder.is_dir(), f"no study folder {folder}")
    require((folder / "study.db").exists(), f"{folder} is no study: it holds no study.db")
    lease = hold(folder)
    try:
        store = open_store(folder / "study.db", create=False)
        study = Study(folder, read_config(store, folder), store, lease, watcher)
        require("imported" not in study.state.last, unfinished(folder, study.state))
        return study
    except BaseException:
        lease.release()
        raise


def read_state(folder: Path) -> tuple[StudyConfig, State]:
    """Config and state of a study, without disturbing who works on it."""
    require(folder.is_dir(), f"no study folder {folder}")
    require((folder / "study.db").exists(), f"{folder} is no study: it holds no study.db")
    store = open_store(folder / "study.db", create=False, read_only=True)
    try:
        state = State()
        for event in store.events(STUDY):
            state.after(event)
        return read_config(store, folder), state
    finally:
        store.close()


def unfinished(folder: Path, state: State) -> str:
    """What to do with a study that has no result."""
    if "imported" in state.last:
        best = f"try their best with: tame fit DATA --first {folder}"
        return f"{folder} holds imported trials, which cannot go on; {best}"
    model = state.last.get("opened", {}).get("config", {}).get("model")
    return f"{folder} is not finished; go on with: {how_to_resume(folder, model=model)}"


def how_to_resume(folder: Path, *, model: str | None, time: str = "") -> str:
    """The command that goes on with a study, or the call where it trains a model of the user's own.

    time: that it is given more of, such as 5m.
    """
    if model is not None:
        more = f", time={time!r}" if time else ""
        return f"tame.resume({str(folder)!r}, model=build{more})"
    more = f" --time {time}" if time else ""
    return f"tame resume {shlex.quote(str(folder))}{more}"


def read_config(store: Database, folder: Path) -> StudyConfig:
    """The config that a study was begun with."""
    for event in store.events(STUDY):
        if event.kind == "opened":
            return StudyConfig.from_json(event.data["config"])
    raise StorageError(f"{folder} was begun but holds no config; begin it again with tame fit")


def write_private(path: Path, text: str) -> None:
    """Writes a text file in one step, readable by the owner only. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as problem:
        raise StorageError(f"{path} cannot be written: {problem.strerror or problem}") from None


def findings_events(findings: Iterable[Finding]) -> list[Event]:
    """The events that keep findings."""
    return [Event("finding", finding.to_json()) for finding in findings]


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
        said = f"the study's folder {folder} cannot be made: {problem.filename} is no folder"
        raise StorageError(said) from None
    except OSError as problem:
        raise StorageError(f"the study's folder {folder} cannot be made: {problem.strerror}") from None
    return folder


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
