"""The state of a study from its events, for report, terminal and the study itself. Loads neither torch nor worker."""

from __future__ import annotations

import gc
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from tame.adjust.guard import Rest
from tame.core.config import METRIC_MODES, StudyConfig, default_metric
from tame.core.edits import Edit, Edited, after
from tame.core.errors import StorageError, require, unknown
from tame.core.importance import Objective
from tame.core.objectives import Price, check_limits
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.core.records import MISFITS, Decided, Event, Finding, Fold, History, Point, Trial, misfit
from tame.core.result import Result
from tame.core.result_parts import DataFacts as DataFactsType
from tame.core.result_parts import EngineChoice
from tame.core.space import Space
from tame.core.space_text import parse_dimension
from tame.kinds.costs import Speed
from tame.kinds.known import FIRST
from tame.study.events import (
    EVENTS,
    Answered,
    Asked,
    Clock,
    DataFacts,
    Delivered,
    Ended,
    EnginesUsed,
    FinalistsChosen,
    Forecast,
    ForecastCorrected,
    HowChosen,
    Imported,
    Judgements,
    LimitsChanged,
    MeasurementKept,
    MoreDataJudged,
    MoreSeeds,
    Opened,
    Outcome,
    PlanEvent,
    Prescribed,
    RecipePriced,
    Region,
    Remedied,
    ResultPlain,
    SealOpened,
    SearchEnded,
    SetUpProbed,
    SpaceAsked,
    SpaceKept,
    Stopped,
    Summary,
    Trained,
    Tried,
    TuningJudged,
    WorkerRestarted,
    WorkersHired,
    read_event,
)
from tame.study.record import Record, is_study, open_record
from tame.trial.commands import How

MOST_S = 1e12  # seconds that anything may have taken


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


@dataclass(frozen=True, slots=True)
class Case:
    """Remedies against a finding, and what came of them; None while they are trained."""

    prescribed: Prescribed
    remedied: Remedied | None = None

    def outcome_of(self, tried: Tried) -> Outcome | None:
        """What came of one remedy."""
        own = () if self.remedied is None else self.remedied.outcomes
        return next((each for each in own if each.trial == tried.trials[0]), None)


class Mark(NamedTuple):
    """After a training: seconds of the budget used, epochs trained by all trials, and those that were all of a
    trial."""

    used_s: float = 0.0
    epochs: int = 0
    singles: int = 0


@dataclass(slots=True)
class State:
    """The state from the events: trials, findings, and the last event of every other kind, under its name."""

    fold: Fold = field(default_factory=Fold)  # of the trials
    findings: list[Finding] = field(default_factory=list)
    prices: dict[str, Price] = field(default_factory=dict)  # of what is delivered, by shape
    hows: dict[int, How] = field(default_factory=dict)  # in which way a trial is trained
    measurements: dict[str, object] = field(default_factory=dict)  # of the engines, by key
    cases: list[Case] = field(default_factory=list)
    left_from: dict[int, int] = field(default_factory=dict)  # the epoch of a trial when it was last continued
    trained_s: float = 0.0  # seconds of training
    singles: int = 0  # trials of one epoch that were trained apart from others
    singles_s: float = 0.0  # those of `trained_s` that these took
    marks: list[Mark] = field(default_factory=list)  # after each training
    wishes: dict[str, Asked] = field(default_factory=dict)  # what the user asked for, by its id
    extra_s: float = 0.0  # seconds that the user added to the clock while the study ran
    left_out: tuple[str, ...] = ()  # codes of findings that the user muted while it ran
    edits: tuple[Edit, ...] = ()  # of its data: those it was begun with and those made since, for the next study
    is_paused: bool = False  # whether it waits for the user
    stop_asked: bool = False  # whether the user ended the search
    openings: int = 0  # of the test part: more than one only if a study was killed after the first
    used_s: float = 0.0  # seconds of the budget, over all processes of the study
    opened: Opened | None = None
    edited: Edited | None = None
    clock: Clock | None = None
    data: DataFacts | None = None
    plan: PlanEvent | None = None
    set_up: SetUpProbed | None = None
    space: SpaceKept | None = None
    space_asked: SpaceAsked | None = None
    asked: Asked | None = None
    answered: Answered | None = None
    region: Region | None = None
    worth: Rest | None = None
    prescribed: Prescribed | None = None
    remedied: Remedied | None = None
    search_ended: SearchEnded | None = None
    finalists: FinalistsChosen | None = None
    more_seeds: MoreSeeds | None = None
    priced: RecipePriced | None = None
    limits: LimitsChanged | None = None
    tuning_judged: TuningJudged | None = None
    more_data: MoreDataJudged | None = None
    test_opened: SealOpened | None = None
    judgements: Judgements | None = None
    delivered: Delivered | None = None
    result: ResultPlain | None = None
    forecast: Forecast | None = None
    forecast_corrected: ForecastCorrected | None = None
    how: HowChosen | None = None
    measured: MeasurementKept | None = None
    engines: EnginesUsed | None = None
    trained: Trained | None = None
    workers: WorkersHired | None = None
    worker_restarted: WorkerRestarted | None = None
    summary: Summary | None = None  # of all trials, for those who only show them
    stopped: Stopped | None = None
    ended: Ended | None = None
    imported: Imported | None = None

    @property
    def epoch_s(self) -> float:
        """Mean seconds per epoch of a trial, without preparing inputs; 0 before the first.

        Models that are solved at once are left out, where there are others: their only epoch takes as long as many.
        """
        others = self.epochs - self.singles
        return (self.trained_s - self.singles_s) / others if others > 0 else self.trained_s / max(self.epochs, 1)

    def in_epochs(self, recipe: Recipe, epochs: int) -> float:
        """So many epochs of a recipe, in epochs that take as long as the mean one."""
        if not recipe.is_single or not self.singles or self.epoch_s <= 0:
            return epochs
        return epochs * self.singles_s / self.singles / self.epoch_s

    @property
    def history(self) -> History:
        """All trials as they are now; a value, put together when it is asked for."""
        return self.fold.history

    @property
    def epochs(self) -> int:
        """Epochs trained by all trials."""
        return self.fold.epochs

    @property
    def kept_remedies(self) -> list[Trial]:
        """The trials of remedies that helped: candidates like those of the search."""
        judged = [outcome for case in self.cases if case.remedied for outcome in case.remedied.outcomes]
        return [self.history.trials[each.trial] for each in judged if each.kept]

    @property
    def kind(self) -> str:
        """The kind of data; pictures if unknown, as in the first studies."""
        return FIRST if self.data is None else str(self.data.get("kind", FIRST))

    @property
    def metric(self) -> str:
        """The metric that the study began with; "" before its data is known.

        Studies that do not keep it were chosen by the one that was asked for, or by the default of their task.
        """
        if self.data is None:
            return ""
        asked = "auto" if self.opened is None else str(self.opened.config.get("metric") or "auto")
        default = default_metric("multiclass" if self.data.get("classes") else "regression")
        return str(self.data.get("metric") or (default if asked == "auto" else asked))

    def after(self, event: Event) -> None:
        """Applies one event; one of an unknown kind changes only the used time."""
        of_trials = OF_TRIALS.get(event.kind)
        if of_trials is not None:  # nearly all; they tell no time used, and name themselves where they do not fit
            of_trials(self, event)
            return
        step = STEPS.get(event.kind)
        try:
            used_s = event.data.get("used_s")
            if isinstance(used_s, int | float):
                require(0 <= used_s < MOST_S, f"used_s is {used_s}, not seconds of a budget", error=StorageError)
                self.used_s = max(self.used_s, float(used_s))
            if step is not None:
                step(self, event)
            check = CHECKS.get(event.kind)
            if check is not None:
                check(self)
        except MISFITS as problem:
            raise misfit(event, problem) from problem


def _of_trials(state: State, event: Event) -> None:
    state.fold.take(event)


def _decided(state: State, event: Event) -> None:
    story = state.fold.take(event)
    if isinstance(story, Decided) and story.kind in ("continue", "copy"):
        state.left_from[story.trial] = state.fold.epochs_of(story.trial)


def _found(state: State, event: Event) -> None:
    state.findings.append(from_plain(Finding, event.data, what=event))


def _prescribed(state: State, event: Event) -> None:
    _held(state, event)
    own = state.prescribed
    assert own is not None
    require(bool(own.tried) and all(each.trials for each in own.tried), "a remedy has no trial", error=StorageError)
    for number in (own.patient, *own.trials):
        require(number in state.fold, f"no earlier event begins trial {number}", error=StorageError)
    state.cases.append(Case(own))


def _remedied(state: State, event: Event) -> None:
    _held(state, event)
    own = state.remedied
    assert own is not None
    for each in own.outcomes:
        state.history.known(each.trial)
    places = [i for i, case in enumerate(state.cases) if case.prescribed.first == own.trial]
    require(len(places) == 1, f"no case is known by trial {own.trial}", error=StorageError)
    state.cases[places[0]] = replace(state.cases[places[0]], remedied=own)


def _held(state: State, event: Event) -> None:
    setattr(state, event.kind, read_event(event))


def _asked(state: State, event: Event) -> None:
    _held(state, event)
    own = state.asked
    assert own is not None
    require(own.id not in state.wishes, f"{own.id} was asked before", error=StorageError)
    state.wishes[own.id] = own


def _answered(state: State, event: Event) -> None:
    _held(state, event)
    asked, answered = state.asked, state.answered
    assert answered is not None
    if asked is None or asked.id != answered.id:
        raise StorageError("it answers nothing that was asked just before")
    if not answered.done:
        return
    match asked.what:
        case "pause":
            state.is_paused = True
        case "go_on":
            state.is_paused = False
        case "stop":
            state.stop_asked, state.is_paused = True, False
        case "time":
            state.extra_s += float(asked.seconds or 0.0)
        case "mute":
            state.left_out = (*state.left_out, asked.code or "")
        case "edit":
            assert asked.edit is not None, "an edit that was done says what it is"
            state.edits = after(state.edits, asked.edit)


def _edited(state: State, event: Event) -> None:
    _held(state, event)
    assert state.edited is not None
    state.edits = state.edited.edits


def _of_data(state: State, event: Event) -> None:
    pairs = event.data.get("pairs", ())
    if not isinstance(pairs, Sized):
        raise StorageError("its pairs are not a list")
    from_plain(DataFactsType, {**event.data, "pairs": len(pairs)}, what=event)
    metric = event.data.get("metric", "accuracy")
    require(metric in METRIC_MODES, unknown("metric", str(metric), METRIC_MODES), error=StorageError)
    state.data = dict(event.data)


def _of_result(state: State, event: Event) -> None:
    Result.from_json(event.data)
    state.result = dict(event.data)


def _of_opening(state: State, event: Event) -> None:
    _held(state, event)
    state.openings += 1


def _of_choice(state: State, event: Event) -> None:
    _held(state, event)
    assert state.how is not None
    if state.how.how is not None:
        state.hows |= dict.fromkeys(state.how.trials, state.how.how)


def _of_measurement(state: State, event: Event) -> None:
    _held(state, event)
    assert state.measured is not None
    state.measurements[state.measured.key] = state.measured.value


def _of_price(state: State, event: Event) -> None:
    _held(state, event)
    own = state.priced
    assert own is not None
    good = 0 < own.latency_s < MOST_S and own.size_bytes > 0
    require(good, f"a price of {own.latency_s} s and {own.size_bytes} bytes", error=StorageError)
    state.prices[own.shape] = Price(own.latency_s, own.size_bytes)


def _of_training(state: State, event: Event) -> None:
    _held(state, event)
    assert state.trained is not None
    require(state.trained.trained_s >= 0, "it took less than no time", error=StorageError)
    require(state.trained.trained_s < MOST_S, f"it took {state.trained.trained_s:g} s", error=StorageError)
    state.trained_s += state.trained.trained_s
    mark, before = Mark(state.used_s, state.epochs, state.fold.singles), state.marks[-1] if state.marks else Mark()
    if mark.singles - before.singles == mark.epochs - before.epochs > 0:
        state.singles += mark.epochs - before.epochs
        state.singles_s += state.trained.trained_s
    state.marks.append(mark)


OF_TRIALS: Mapping[str, Callable[[State, Event], None]] = {
    "decision": _decided, "curve": _of_trials, "trial_state": _of_trials, "early_stop": _of_trials,
    "imported_trial": _of_trials,
}  # fmt: skip
STEPS: Mapping[str, Callable[[State, Event], None]] = {
    **dict.fromkeys(EVENTS, _held),
    **OF_TRIALS,
    "finding": _found,
    "prescribed": _prescribed,
    "remedied": _remedied,
    "asked": _asked,
    "answered": _answered,
    "edited": _edited,
    "data": _of_data,
    "result": _of_result,
    "test_opened": _of_opening,
    "how": _of_choice,
    "measured": _of_measurement,
    "priced": _of_price,
    "trained": _of_training,
}


def _check_opened(state: State) -> None:
    assert state.opened is not None
    config = StudyConfig.from_json(state.opened.config)
    from_plain(StudyConfig, to_plain(config), what="the config")  # of the types that its fields have
    for name in ("data", "target", "image", "text", "groups", "order", "val", "test"):
        require(getattr(config, name) != "", f"its {name} has no name", error=StorageError)


def _check_clock(state: State) -> None:
    assert state.clock is not None
    require(0 < state.clock.time_s < MOST_S, f"a clock of {state.clock.time_s} s", error=StorageError)


def _check_plan(state: State) -> None:
    plan = state.plan
    assert plan is not None
    base = Recipe.from_flat(plan.base)
    for changes in plan.portfolio:
        base.but(changes)
    Space.from_json(plan.space, base=plan.base)
    if plan.speed is not None:
        Speed.from_json(plan.speed)


def _check_space(state: State) -> None:
    Space.from_json((state.imported or state.space or PlanEvent()).space, base=(state.plan or PlanEvent()).base)


def _check_asked(state: State) -> None:
    assert state.space_asked is not None
    for text in state.space_asked.texts:
        parse_dimension(text)


def _check_wish(state: State) -> None:
    assert state.asked is not None
    seconds = state.asked.seconds or 0.0
    require(0 <= seconds < MOST_S, f"{seconds} s more", error=StorageError)
    for text in state.asked.texts or ():
        parse_dimension(text)
    require(
        (state.asked.edit is not None) == (state.asked.what == "edit"), "no edit, or one too many", error=StorageError
    )


def _check_region(state: State) -> None:
    assert state.region is not None
    for name, bounds in state.region.bounds.items():
        known = bounds.keys() <= {"low", "high"}
        require(known, f"{name} is bounded by {', '.join(bounds)}, not by low and high", error=StorageError)


def _check_finalists(state: State) -> None:
    assert state.finalists is not None
    require(bool(state.finalists.trials), "there are no finalists", error=StorageError)
    for number in state.finalists.trials:
        state.history.known(number)


def _check_engines(state: State) -> None:
    assert state.engines is not None
    from_plain(tuple[EngineChoice, ...], state.engines.used, what="what trains")


# What a kind of event says beyond the types of its fields must be so before anything is concluded from it.
CHECKS: Mapping[str, Callable[[State], None]] = {
    "opened": _check_opened, "clock": _check_clock, "plan": _check_plan, "space": _check_space,
    "imported": _check_space, "space_asked": _check_asked, "asked": _check_wish,
    "region": _check_region, "finalists": _check_finalists,
    "engines": _check_engines, "limits": lambda state: check_limits(state.limits and state.limits.limits),
}  # fmt: skip


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


def read_state(folder: Path, *, store: str | None = None) -> tuple[StudyConfig, State]:
    """Config and state of a study, without disturbing a process that works on it. store: as in `open_record`."""
    record = open_record(folder, read_only=True, store=store)
    try:
        state = state_of(record)
        return config_of(state, folder), state
    finally:
        record.close()


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """What is shown of a study within: where its events do not fit together, StorageError says so.

    Each event was checked by itself. A record that a stranger wrote may still name in one what no other holds.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as problem:
        told = f"{type(problem).__name__}: {problem}"
        raise StorageError(f"{folder}: its record does not fit together, so it cannot be shown ({told})") from problem


def delivered_files(folder: Path, *, store: str | None = None) -> Mapping[str, str] | None:
    """The SHA-256 of each file of the delivered model; None where no study is, or one that has delivered none.

    store: as in `open_record`.
    """
    if not is_study(folder):
        return None
    record = open_record(folder, read_only=True, store=store)
    try:
        event = record.last(Delivered.event_kind)
    finally:
        record.close()
    if event is None:
        return None
    kept = read_event(event)
    assert isinstance(kept, Delivered)
    return kept.files


def state_of(record: Record) -> State:
    """What the events of a record tell."""
    state = State()
    # Nearly all that is made here is kept: a collector that looks through all of it again and again takes longer than
    # the reading itself.
    collects = gc.isenabled()
    gc.disable()
    try:
        for event in record.each():
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
    """The config with which a study was started. Raises StorageError if it has none."""
    if state.opened is None:
        raise StorageError(f"{folder} was started but holds no config; start it again with tame fit")
    return StudyConfig.from_json(state.opened.config)


def unmuted(state: State) -> list[Finding]:
    """The findings of a study that the user did not mute, at its start or since."""
    muted = () if state.opened is None else StudyConfig.from_json(state.opened.config).muted
    return [finding for finding in state.findings if finding.code not in (*muted, *state.left_out)]


def findings_events(findings: Iterable[Finding]) -> list[Event]:
    """The events that store findings."""
    return [Event("finding", finding.to_json()) for finding in findings]
