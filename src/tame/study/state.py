"""What a study's events tell every reader: pages, terminal, the study itself. Loads neither torch nor the worker."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tame.core.config import StudyConfig
from tame.core.errors import StorageError, require
from tame.core.records import Event, Finding, History
from tame.store.database import Database, open_store

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
        best = f"try their best with: tame fit DATA --start-from {folder}"
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


def findings_events(findings: Iterable[Finding]) -> list[Event]:
    """The events that keep findings."""
    return [Event("finding", finding.to_json()) for finding in findings]
