"""The state of a study from its events, for report, terminal and the study itself. Loads neither torch nor worker."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tame.adjust.guard import Rest
from tame.core.config import StudyConfig
from tame.core.errors import StorageError, require
from tame.core.importance import Objective
from tame.core.plain import from_plain
from tame.core.records import Decided, Event, Finding, Fold, History, Point
from tame.core.space import Space
from tame.kinds.known import FIRST
from tame.store.database import Database, open_store
from tame.study.events import (
    EVENTS,
    Clock,
    DataFacts,
    Delivered,
    Ended,
    EnginesUsed,
    FinalistsChosen,
    Forecast,
    ForecastCorrected,
    Imported,
    MoreSeeds,
    Opened,
    PlanEvent,
    Region,
    ResultPlain,
    SealOpened,
    SearchEnded,
    SpaceAsked,
    SpaceKept,
    Stopped,
    Trained,
    TuningJudged,
    WorkerRestarted,
    read_event,
)

STUDY = "study"  # its name inside its own database
UNTIMED = frozenset(("decision", "curve", "trial_state", "early_stop", "imported_trial"))  # that tell no time used


class Watcher(Protocol):
    """An observer of a study. It gets values and cannot steer."""

    def phase(self, text: str) -> None: ...

    def progress(self, what: str, done: int, total: int) -> None: ...

    def point(self, trial: int, point: Point) -> None: ...

    def history(self, history: History) -> None: ...

    def note(self, text: str) -> None: ...


class Silent:
    """A watcher that shows nothing."""

    def phase(self, text: str) -> None: ...

    def progress(self, what: str, done: int, total: int) -> None: ...

    def point(self, trial: int, point: Point) -> None: ...

    def history(self, history: History) -> None: ...

    def note(self, text: str) -> None: ...


@dataclass(slots=True)
class State:
    """The state from the events: trials, findings, and the last event of every other kind, under its name."""

    fold: Fold = field(default_factory=Fold)  # of the trials
    findings: list[Finding] = field(default_factory=list)
    left_from: dict[int, int] = field(default_factory=dict)  # the epoch of a trial when it was last continued
    trained_s: float = 0.0  # seconds of training in the search
    marks: list[tuple[float, int]] = field(default_factory=list)  # after each training: seconds used, epochs trained
    openings: int = 0  # of the test part: more than one only if a study was killed after the first
    used_s: float = 0.0  # seconds of the budget, over all processes of the study
    opened: Opened | None = None
    clock: Clock | None = None
    data: DataFacts | None = None
    plan: PlanEvent | None = None
    space: SpaceKept | None = None
    space_asked: SpaceAsked | None = None
    region: Region | None = None
    worth: Rest | None = None
    search_ended: SearchEnded | None = None
    finalists: FinalistsChosen | None = None
    more_seeds: MoreSeeds | None = None
    tuning_judged: TuningJudged | None = None
    test_opened: SealOpened | None = None
    delivered: Delivered | None = None
    result: ResultPlain | None = None
    forecast: Forecast | None = None
    forecast_corrected: ForecastCorrected | None = None
    engines: EnginesUsed | None = None
    trained: Trained | None = None
    worker_restarted: WorkerRestarted | None = None
    stopped: Stopped | None = None
    ended: Ended | None = None
    imported: Imported | None = None

    @property
    def epoch_s(self) -> float:
        """Mean seconds per epoch of a trial, without preparing inputs; 0 before the first."""
        return self.trained_s / max(self.epochs, 1)

    @property
    def history(self) -> History:
        """All trials as they are now; a value, put together when it is asked for."""
        return self.fold.history

    @property
    def epochs(self) -> int:
        """Epochs trained by all trials."""
        return self.fold.epochs

    @property
    def kind(self) -> str:
        """The kind of data; pictures if unknown, as in the first studies."""
        return FIRST if self.data is None else str(self.data.get("kind", FIRST))

    def after(self, event: Event) -> None:
        """Applies one event; one of an unknown kind changes only the used time."""
        if event.kind not in UNTIMED:
            used_s = event.data.get("used_s")
            if isinstance(used_s, int | float):
                self.used_s = max(self.used_s, float(used_s))
        step = STEPS.get(event.kind)
        if step is not None:
            step(self, event)


def _of_trials(state: State, event: Event) -> None:
    state.fold.take(event)


def _decided(state: State, event: Event) -> None:
    story = state.fold.take(event)
    if isinstance(story, Decided) and story.kind in ("continue", "copy"):
        state.left_from[story.trial] = state.fold.epochs_of(story.trial)


def _found(state: State, event: Event) -> None:
    state.findings.append(from_plain(Finding, event.data, what=f"event {event.id} (finding)"))


def _held(state: State, event: Event) -> None:
    setattr(state, event.kind, read_event(event))


def _of_data(state: State, event: Event) -> None:
    state.data = dict(event.data)


def _of_result(state: State, event: Event) -> None:
    state.result = dict(event.data)


def _of_opening(state: State, event: Event) -> None:
    _held(state, event)
    state.openings += 1


def _of_training(state: State, event: Event) -> None:
    _held(state, event)
    assert state.trained is not None
    state.trained_s += state.trained.trained_s
    state.marks.append((state.used_s, state.epochs))


STEPS: Mapping[str, Callable[[State, Event], None]] = {
    **dict.fromkeys(EVENTS, _held),
    "decision": _decided,
    "curve": _of_trials,
    "trial_state": _of_trials,
    "early_stop": _of_trials,
    "imported_trial": _of_trials,
    "finding": _found,
    "data": _of_data,
    "result": _of_result,
    "test_opened": _of_opening,
    "trained": _of_training,
}


def objective_of(state: State) -> Objective:
    """The objective by which the trials of a study are compared."""
    about = state.imported
    return Objective() if about is None else Objective(about.metric, 1.0 if about.mode == "min" else -1.0)


def explored_space(state: State) -> Space:
    """The current space of a study, or that of imported trials; empty if there is none."""
    plan = state.plan or PlanEvent()
    return Space.from_json((state.imported or state.space or plan).space, base=plan.base)


def absent_of(state: State) -> Mapping[str, Sequence[int]]:
    """The trials of an imported study that do not have a dimension, by dimension."""
    return {} if state.imported is None else state.imported.absent


def read_state(folder: Path) -> tuple[StudyConfig, State]:
    """Config and state of a study, without disturbing a process that works on it."""
    require(folder.is_dir(), f"the study folder {folder} does not exist")
    require((folder / "study.db").exists(), f"{folder} is not a study: it contains no study.db")
    store = open_store(folder / "study.db", create=False, read_only=True)
    try:
        state = state_of(store)
        return config_of(state, folder), state
    finally:
        store.close()


def state_of(store: Database) -> State:
    """What the events in a store tell."""
    state = State()
    # Nearly all that is made here is kept: a collector that looks through all of it again and again takes longer than
    # the reading itself.
    collects = gc.isenabled()
    gc.disable()
    try:
        for event in store.each(STUDY):
            state.after(event)
    finally:
        if collects:
            gc.enable()
    return state


def unfinished(folder: Path, state: State) -> str:
    """What to do with a study that has no result."""
    if state.imported is not None:
        best = f"try the best of them with: tame fit DATA --start-from {folder}"
        return f"{folder} contains imported trials, which cannot be continued; {best}"
    model = None if state.opened is None else state.opened.config.get("model")
    command = how_to_resume(folder, model=None if model is None else str(model))
    return f"{folder} is not finished; continue it with: {command}"


def how_to_resume(folder: Path, *, model: str | None, time: str = "") -> str:
    """The command that continues a study, or the Python call if it trains the user's own model.

    time: additional time, such as 5m.
    """
    if model is not None:
        more = f", time={time!r}" if time else ""
        return f"tame.resume({str(folder)!r}, model=build{more})"
    more = f" --time {time}" if time else ""
    return f"tame resume {shlex.quote(str(folder))}{more}"


def config_of(state: State, folder: Path) -> StudyConfig:
    """The config with which a study was started."""
    if state.opened is None:
        raise StorageError(f"{folder} was started but has no config; start it again with tame fit")
    return StudyConfig.from_json(state.opened.config)


def findings_events(findings: Iterable[Finding]) -> list[Event]:
    """The events that store findings."""
    return [Event("finding", finding.to_json()) for finding in findings]
