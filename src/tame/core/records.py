"""The frozen values that the stages exchange, and the fold from events to a study's history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from tame.core.errors import StorageError, TameError, require
from tame.core.plain import from_plain
from tame.core.recipe import MOST_EPOCHS, Recipe, Value

TrialState = Literal["waiting", "running", "paused", "complete", "stopped", "diverged", "failed"]
Severity = Literal["info", "warning", "problem"]
DecisionKind = Literal["start", "continue", "pause", "stop", "complete", "copy"]
# Who proposed a trial: by hand or by rule; the searchers; what trains after the search; another program. Searchers of
# other packages bring words of their own, which are kept as they are.
Origin = Literal[
    "default", "portfolio", "user", "sobol", "random", "grid", "tpe", "gp", "model", "copy", "finalist", "fine-tune",
    "imported",
]  # fmt: skip
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)

DEFAULT: Final[Origin] = "default"  # the recipe that is always in the race
FINALIST: Final[Origin] = "finalist"  # a recipe of the search, trained again with a fresh seed
FINE_TUNED: Final[Origin] = "fine-tune"
IMPORTED: Final[Origin] = "imported"

_GIVEN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({DEFAULT, "portfolio"})
_DRAWN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({"sobol", "random", "grid"})
_AFTER_THE_SEARCH: Final[frozenset[Origin | str]] = frozenset[Origin | str]({FINALIST, FINE_TUNED})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a study: what the store keeps. `data` holds plain JSON values, never NaN."""

    kind: str
    data: Mapping[str, object]
    id: int = 0  # given by the store, rising by one, from 1
    at: str = ""  # UTC, ISO 8601; for people only, nothing is decided by it


@dataclass(frozen=True, slots=True)
class Point:
    """One epoch of a curve: means over the folds. None where the value was not finite.

    train_loss: of the recipe's own loss; valid_loss: log loss in nats, or the squared error of a standardised target;
    valid_error: the standard error of the metric over the folds, where there are several.
    """

    epoch: int
    train_loss: float | None
    valid_loss: float | None
    valid_metric: float | None
    valid_error: float | None = None

    def row(self) -> list[int | float | None]:
        """As an event keeps it, and `Point(*row)` reads it: the standard error stands there only where there is one."""
        row = [self.epoch, self.train_loss, self.valid_loss, self.valid_metric]
        return row if self.valid_error is None else [*row, self.valid_error]


@dataclass(frozen=True, slots=True)
class Curve:
    """What a trial measured after each epoch, in order, epochs counted from 1."""

    points: tuple[Point, ...] = ()

    @property
    def last(self) -> Point | None:
        return self.points[-1] if self.points else None

    def upto(self, epoch: int) -> Curve:
        """The part of the curve that ends with `epoch`."""
        return Curve(tuple(point for point in self.points if point.epoch <= epoch))


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe being trained, with its curve so far."""

    number: int
    recipe: Recipe
    origin: Origin | str  # of an older study or another package's searcher it may be any word
    reason: str
    state: TrialState = "waiting"
    until: int = 0  # the epoch it was last told to train to
    curve: Curve = field(default_factory=Curve)
    last_reason: str = ""  # of the last decision on it
    kept_epoch: int | None = None  # whose weights are kept, of a trial that stopped early
    parent: int | None = None  # of a copy: the trial whose weights it goes on from
    inherited: int = 0  # of a copy: the epochs at the start of its curve that its parent trained

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT

    @property
    def was_given(self) -> bool:
        """Whether its recipe was known before the search: the default or one of the portfolio."""
        return self.origin in _GIVEN

    @property
    def is_drawn(self) -> bool:
        """Whether its recipe was chosen from the space without looking at earlier trials."""
        return self.origin in _DRAWN

    @property
    def is_independent(self) -> bool:
        """Whether its recipe does not follow from earlier trials: given or drawn."""
        return self.was_given or self.is_drawn

    @property
    def is_finalist(self) -> bool:
        return self.origin == FINALIST

    @property
    def is_fine_tuned(self) -> bool:
        return self.origin == FINE_TUNED

    @property
    def may_be_delivered(self) -> bool:
        """Whether it was trained after the search, as a finalist or by fine-tuning: its weights may be delivered."""
        return self.origin in _AFTER_THE_SEARCH

    @property
    def is_searched(self) -> bool:
        """Whether a search started it: neither trained after the search nor imported."""
        return self.origin != IMPORTED and not self.may_be_delivered

    @property
    def epochs(self) -> int:
        """Epochs trained so far, those that a copy inherited among them."""
        return self.curve.points[-1].epoch if self.curve.points else 0

    @property
    def trained(self) -> int:
        """Epochs that it trained itself."""
        return self.epochs - self.inherited

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights are judged: the last one, unless an earlier one was restored."""
        return self.epochs if self.kept_epoch is None else self.kept_epoch

    @property
    def loss(self) -> float:
        """The validation loss of the weights that are judged; infinite where there is none."""
        point = self.judged
        return math.inf if point is None or point.valid_loss is None else point.valid_loss

    @property
    def judged(self) -> Point | None:
        """What was measured of the weights that are judged."""
        if self.kept_epoch is None:
            return self.curve.last  # a search asks thousands of trials for it, and all but a few kept their last epoch
        return next((p for p in reversed(self.curve.points) if p.epoch == self.best_epoch), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a trial next, and why. `until`: epochs in all; `recipe`: of a trial that starts or is a copy.

    copy: a new trial that goes on from the weights of `source`, at the epoch where that one stands.
    """

    kind: DecisionKind
    trial: int
    reason: str
    until: int = 0
    recipe: Recipe | None = None
    origin: Origin | str = ""
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor saw: `evidence` holds the numbers, `change` what to do, `outcome` whether that helped."""

    code: str
    title: str
    severity: Severity
    evidence: Mapping[str, object]
    change: str = ""
    outcome: str = ""
    trial: int | None = None

    def to_json(self) -> dict[str, object]:
        return {
            "code": self.code, "title": self.title, "severity": self.severity, "evidence": dict(self.evidence),
            "change": self.change, "outcome": self.outcome, "trial": self.trial,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its 95 % interval, the number of examples behind it, and how it was measured."""

    value: float
    low: float
    high: float
    n: int
    how: str

    def to_json(self) -> dict[str, object]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "how": self.how}


@dataclass(frozen=True, slots=True)
class History:
    """All trials of a study by number: what a searcher may know."""

    trials: Mapping[int, Trial] = field(default_factory=dict)

    def having(self, *states: TrialState) -> list[Trial]:
        """The trials in one of these states, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.state in states]

    def after(self, event: Event) -> History:
        """The history once the event has happened. Events of other kinds change nothing."""
        with naming(event):
            match event.kind:
                case "decision":
                    return _after_decision(self, decision_of(event))
                case "curve":
                    return from_plain(_Measured, event.data, what=named(event)).after(self)
                case "trial_state":
                    return from_plain(_Changed, event.data, what=named(event)).after(self)
                case "early_stop":
                    return from_plain(_Stopped, event.data, what=named(event)).after(self)
                case "imported_trial":
                    return from_plain(_Imported, event.data, what=named(event)).after(self)
        return self

    def known(self, number: int) -> Trial:
        """The trial of this number. Raises StorageError where no event has begun it."""
        require(number in self.trials, f"no earlier event begins trial {number}", error=StorageError)
        return self.trials[number]

    def having_added(self, trial: Trial) -> History:
        """The history with this trial, in place of the one of its number if there is one."""
        return History({**self.trials, trial.number: trial})


def named(event: Event) -> str:
    """The event as messages name it."""
    return f"event {event.id} ({event.kind})"


@contextmanager
def naming(event: Event) -> Iterator[None]:
    """What does not fit within is raised as StorageError that names the event.

    A checksum proves that an event is as it was written, not who wrote it: a folder may come from a stranger.
    """
    try:
        yield
    except (TameError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as problem:
        told = str(problem) if isinstance(problem, TameError) else f"{type(problem).__name__}: {problem}"
        if isinstance(problem, StorageError) and told.startswith(named(event)):
            raise
        raise StorageError(f"{named(event)} is damaged: {told}") from problem


def replay(events: Iterable[Event]) -> History:
    """The history that these events tell."""
    history = History()
    for event in events:
        history = history.after(event)
    return history


def decision_event(decision: Decision) -> Event:
    """The event that keeps a decision."""
    data: dict[str, object] = {
        "kind": decision.kind, "trial": decision.trial, "reason": decision.reason, "until": decision.until,
    }  # fmt: skip
    if decision.recipe is not None:
        data |= {"recipe": decision.recipe.flat(), "origin": decision.origin}
    if decision.source is not None:
        data["source"] = decision.source
    return Event("decision", data)


def curve_event(trial: int, points: Iterable[Point]) -> Event:
    """The event that keeps new points of a trial's curve."""
    return Event("curve", {"trial": trial, "points": [point.row() for point in points]})


def early_stop_event(trial: int, best: int) -> Event:
    """The event that keeps that a trial stopped early, with the weights of its best epoch."""
    return Event("early_stop", {"trial": trial, "best": best, "reason": f"the weights of epoch {best} were the best"})


_STATE_AFTER: Final[Mapping[DecisionKind, TrialState]] = {
    "continue": "running", "pause": "paused", "stop": "stopped", "complete": "complete",
}  # fmt: skip
_Number = int | float | None
_MOST: Final = 2**53  # beyond it whole numbers are not numbers of anything counted here


@dataclass(frozen=True, slots=True)
class _Decided:
    """A decision as it is kept: the recipe by its fields."""

    kind: DecisionKind
    trial: int
    reason: str
    until: int = 0
    recipe: Mapping[str, Value] | None = None
    origin: str = ""
    source: int | None = None


def decision_of(event: Event) -> Decision:
    """The decision that `decision_event` keeps."""
    kept = from_plain(_Decided, event.data, what=f"event {event.id} ({event.kind})")
    in_range = 0 <= kept.trial <= _MOST and 0 <= kept.until <= MOST_EPOCHS
    require(in_range, f"{named(event)} is damaged: trial {kept.trial} until epoch {kept.until}", error=StorageError)
    recipe = None if kept.recipe is None else Recipe.from_flat(kept.recipe)
    return Decision(kept.kind, kept.trial, kept.reason, kept.until, recipe, kept.origin, kept.source)


def _after_decision(history: History, decision: Decision) -> History:
    if decision.recipe is None:
        trial = history.known(decision.trial)
        known = decision.kind in _STATE_AFTER
        require(known, f"a {decision.kind} without a recipe", error=StorageError)
        state, until = _STATE_AFTER[decision.kind], decision.until or trial.until
        return history.having_added(replace(trial, state=state, until=until, last_reason=decision.reason))
    is_new = decision.kind in ("start", "copy") and decision.trial not in history.trials
    require(is_new, f"trial {decision.trial} cannot {decision.kind} with a recipe here", error=StorageError)
    trial = Trial(decision.trial, decision.recipe, decision.origin, decision.reason, "running", decision.until)
    if decision.source is not None:
        source = history.known(decision.source)
        trial = replace(trial, curve=source.curve, parent=source.number, inherited=source.epochs)
    return history.having_added(trial)


@dataclass(frozen=True, slots=True)
class _Measured:
    """New points of a curve; a loss that is not finite ends the curve and the trial."""

    trial: int
    points: tuple[tuple[_Number, ...], ...]  # in the order of Point's fields; those of older studies have no error

    def after(self, history: History) -> History:
        trial = history.known(self.trial)
        points = {point.epoch: point for point in trial.curve.points}
        points |= {point.epoch: point for point in map(_point, self.points)}
        ordered = [points[epoch] for epoch in sorted(points)]
        lost = next((i for i, p in enumerate(ordered) if p.train_loss is None or p.valid_loss is None), None)
        if lost is not None:
            return history.having_added(replace(trial, curve=Curve(tuple(ordered[: lost + 1])), state="diverged"))
        return history.having_added(replace(trial, curve=Curve(tuple(ordered))))


def _point(row: Sequence[_Number]) -> Point:
    epoch, train_loss, valid_loss, valid_metric, *error = row
    _require_epoch(epoch)
    assert isinstance(epoch, int)
    if len(error) > 1 or any(isinstance(value, int) and abs(value) > _MOST for value in row):
        raise StorageError(f"a point of a curve is {row!r}, not an epoch with three or four numbers")
    return Point(epoch, train_loss, valid_loss, valid_metric, error[0] if error else None)


def _require_epoch(epoch: object) -> None:
    """Raises StorageError for what is not the number of an epoch."""
    if not isinstance(epoch, int) or not 1 <= epoch <= MOST_EPOCHS:
        raise StorageError(f"an epoch is {epoch!r}, not a whole number from 1 to {MOST_EPOCHS:,}")


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A trial that stopped early has all it will get; the weights of its best epoch are kept."""

    trial: int
    best: int
    reason: str

    def after(self, history: History) -> History:
        trial = history.known(self.trial)
        measured = any(point.epoch == self.best for point in reversed(trial.curve.points))
        require(measured, f"trial {self.trial} has not measured epoch {self.best}", error=StorageError)
        return history.having_added(replace(trial, state="complete", kept_epoch=self.best, last_reason=self.reason))


@dataclass(frozen=True, slots=True)
class _Changed:
    """A trial in another state, for no reason that is kept."""

    trial: int
    state: TrialState

    def after(self, history: History) -> History:
        return history.having_added(replace(history.known(self.trial), state=self.state))


@dataclass(frozen=True, slots=True)
class _Imported:
    """A trial of another program, whole: points of epoch, loss and metric; its training loss is not known."""

    trial: int
    recipe: Mapping[str, Value]
    state: TrialState
    points: tuple[tuple[int, _Number, _Number], ...]
    kept: int | None
    reason: str

    def after(self, history: History) -> History:
        require(self.trial not in history.trials, f"trial {self.trial} is there already", error=StorageError)
        for (before, *_), (epoch, *_) in zip(((0, None, None), *self.points), self.points, strict=False):
            _require_epoch(epoch)
            require(epoch > before, f"epoch {epoch} comes after epoch {before}", error=StorageError)
        points = tuple(Point(epoch, None, loss, metric) for epoch, loss, metric in self.points)
        has_kept = self.kept is None or any(point.epoch == self.kept for point in points)
        require(has_kept, f"epoch {self.kept}, whose value counts, is not there", error=StorageError)
        trial = Trial(
            self.trial, Recipe.from_flat(self.recipe), IMPORTED, self.reason, self.state, len(points), Curve(points),
            kept_epoch=self.kept,
        )  # fmt: skip
        return history.having_added(trial)
