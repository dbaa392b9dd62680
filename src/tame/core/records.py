"""The frozen values that the stages exchange, and the fold from events to a study's history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

from tame.core.plain import from_plain
from tame.core.recipe import Recipe, Value

TrialState = Literal["waiting", "running", "paused", "complete", "stopped", "diverged", "failed"]
Severity = Literal["info", "warning", "problem"]
DecisionKind = Literal["start", "continue", "pause", "stop", "complete", "copy"]
# Who proposed a trial: the user or a rule; the searchers; what trains after the search; another program. Searchers
# from other packages have their own origins, which are kept as they are.
Origin = Literal[
    "default", "portfolio", "user", "sobol", "random", "grid", "tpe", "gp", "model", "copy", "finalist", "fine-tune",
    "imported",
]  # fmt: skip
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)

DEFAULT: Final[Origin] = "default"  # the recipe that always takes part
FINALIST: Final[Origin] = "finalist"  # a recipe of the search, trained again with a fresh seed
FINE_TUNED: Final[Origin] = "fine-tune"
IMPORTED: Final[Origin] = "imported"

_GIVEN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({DEFAULT, "portfolio"})
_DRAWN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({"sobol", "random", "grid"})
_AFTER_THE_SEARCH: Final[frozenset[Origin | str]] = frozenset[Origin | str]({FINALIST, FINE_TUNED})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a study, as the store keeps it. `data` holds plain JSON values, never NaN."""

    kind: str
    data: Mapping[str, object]
    id: int = 0  # assigned by the store: 1, 2, 3, ...
    at: str = ""  # UTC, ISO 8601; for people only, no decision depends on it


@dataclass(frozen=True, slots=True)
class Point:
    """One epoch of a curve: means over the folds. None if the value was not finite.

    train_loss: the recipe's own loss; valid_loss: log loss in nats, or the squared error of a standardised target;
    valid_error: the standard error of the metric over the folds, if there are several.
    """

    epoch: int
    train_loss: float | None
    valid_loss: float | None
    valid_metric: float | None
    valid_error: float | None = None

    def row(self) -> list[int | float | None]:
        """The point as an event keeps it and `Point(*row)` reads it; the standard error only if there is one."""
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
        """The part of the curve up to `epoch`, included."""
        return Curve(tuple(point for point in self.points if point.epoch <= epoch))


@dataclass(frozen=True, slots=True)
class Trial:
    """A recipe in training, with its curve so far."""

    number: int
    recipe: Recipe
    origin: Origin | str  # any text if it is from an older study or another package's searcher
    reason: str
    state: TrialState = "waiting"
    until: int = 0  # the epoch that it was last asked to train to
    curve: Curve = field(default_factory=Curve)
    last_reason: str = ""  # of the last decision about it
    kept_epoch: int | None = None  # of a trial that stopped early: the epoch whose weights are kept
    parent: int | None = None  # of a copy: the trial whose weights it continues from
    inherited: int = 0  # of a copy: how many epochs at the start of its curve its parent trained

    @property
    def is_default(self) -> bool:
        return self.origin == DEFAULT

    @property
    def was_given(self) -> bool:
        """Whether its recipe was known before the search: the default, or one from the portfolio."""
        return self.origin in _GIVEN

    @property
    def is_drawn(self) -> bool:
        """Whether its recipe was chosen from the space without looking at earlier trials."""
        return self.origin in _DRAWN

    @property
    def is_independent(self) -> bool:
        """Whether its recipe does not depend on earlier trials: given or drawn."""
        return self.was_given or self.is_drawn

    @property
    def is_finalist(self) -> bool:
        return self.origin == FINALIST

    @property
    def is_fine_tuned(self) -> bool:
        return self.origin == FINE_TUNED

    @property
    def may_be_delivered(self) -> bool:
        """Whether its weights may be delivered: it was trained after the search, as a finalist or by fine-tuning."""
        return self.origin in _AFTER_THE_SEARCH

    @property
    def is_searched(self) -> bool:
        """Whether the search started it: neither trained after the search nor imported."""
        return self.origin != IMPORTED and not self.may_be_delivered

    @property
    def epochs(self) -> int:
        """Epochs trained so far, including those that a copy inherited."""
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
        """The validation loss of the weights that are judged; infinite if there is none."""
        point = self.judged
        return math.inf if point is None or point.valid_loss is None else point.valid_loss

    @property
    def judged(self) -> Point | None:
        """The point of the curve that belongs to the weights that are judged."""
        if self.kept_epoch is None:
            return self.curve.last  # the fast path, since a search calls this for thousands of trials
        return next((p for p in reversed(self.curve.points) if p.epoch == self.best_epoch), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What happens to a trial next, and why. `until`: total epochs; `recipe`: of a trial that starts or is a copy.

    copy: a new trial that continues from the weights of `source`, at that trial's current epoch.
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
    """What the doctor found: `evidence` holds the numbers, `change` what to do, `outcome` whether that helped."""

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
    """A number with its 95 % interval, the number of examples, and how it was measured."""

    value: float
    low: float
    high: float
    n: int
    how: str

    def to_json(self) -> dict[str, object]:
        return {"value": self.value, "low": self.low, "high": self.high, "n": self.n, "how": self.how}


@dataclass(frozen=True, slots=True)
class History:
    """All trials of a study by number: all that a searcher may know."""

    trials: Mapping[int, Trial] = field(default_factory=dict)

    def having(self, *states: TrialState) -> list[Trial]:
        """The trials in one of these states, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.state in states]

    def after(self, event: Event) -> History:
        """The history after the event. Events of other kinds change nothing."""
        what = f"event {event.id} ({event.kind})"
        match event.kind:
            case "decision":
                return _after_decision(self, decision_of(event))
            case "curve":
                return from_plain(_Measured, event.data, what=what).after(self)
            case "trial_state":
                return from_plain(_Changed, event.data, what=what).after(self)
            case "early_stop":
                return from_plain(_Stopped, event.data, what=what).after(self)
            case "imported_trial":
                return from_plain(_Imported, event.data, what=what).after(self)
            case _:
                return self

    def having_added(self, trial: Trial) -> History:
        """The history with this trial, which replaces the one with the same number."""
        return History({**self.trials, trial.number: trial})


def replay(events: Iterable[Event]) -> History:
    """The history that follows from these events."""
    history = History()
    for event in events:
        history = history.after(event)
    return history


def decision_event(decision: Decision) -> Event:
    """The event that records a decision."""
    data: dict[str, object] = {
        "kind": decision.kind, "trial": decision.trial, "reason": decision.reason, "until": decision.until,
    }  # fmt: skip
    if decision.recipe is not None:
        data |= {"recipe": decision.recipe.flat(), "origin": decision.origin}
    if decision.source is not None:
        data["source"] = decision.source
    return Event("decision", data)


def curve_event(trial: int, points: Iterable[Point]) -> Event:
    """The event that records new points of a trial's curve."""
    return Event("curve", {"trial": trial, "points": [point.row() for point in points]})


def early_stop_event(trial: int, best: int) -> Event:
    """The event that records that a trial stopped early, and its best epoch."""
    return Event("early_stop", {"trial": trial, "best": best, "reason": f"the weights of epoch {best} were the best"})


_STATE_AFTER: Final[Mapping[DecisionKind, TrialState]] = {
    "continue": "running", "pause": "paused", "stop": "stopped", "complete": "complete",
}  # fmt: skip
_Number = int | float | None


@dataclass(frozen=True, slots=True)
class _Decided:
    """A decision as it is stored, with the fields of its recipe."""

    kind: DecisionKind
    trial: int
    reason: str
    until: int = 0
    recipe: Mapping[str, Value] | None = None
    origin: str = ""
    source: int | None = None


def decision_of(event: Event) -> Decision:
    """The decision that `decision_event` recorded."""
    kept = from_plain(_Decided, event.data, what=f"event {event.id} ({event.kind})")
    recipe = None if kept.recipe is None else Recipe.from_flat(kept.recipe)
    return Decision(kept.kind, kept.trial, kept.reason, kept.until, recipe, kept.origin, kept.source)


def _after_decision(history: History, decision: Decision) -> History:
    if decision.recipe is None:
        trial = history.trials[decision.trial]
        state, until = _STATE_AFTER[decision.kind], decision.until or trial.until
        return history.having_added(replace(trial, state=state, until=until, last_reason=decision.reason))
    trial = Trial(decision.trial, decision.recipe, decision.origin, decision.reason, "running", decision.until)
    if decision.source is not None:
        source = history.trials[decision.source]
        trial = replace(trial, curve=source.curve, parent=source.number, inherited=source.epochs)
    return history.having_added(trial)


@dataclass(frozen=True, slots=True)
class _Measured:
    """New points of a curve; a loss that is not finite ends the curve and the trial."""

    trial: int
    points: tuple[tuple[_Number, ...], ...]  # in the order of Point's fields; older studies have no valid_error

    def after(self, history: History) -> History:
        trial = history.trials[self.trial]
        points = {point.epoch: point for point in trial.curve.points}
        points |= {point.epoch: point for point in map(_point, self.points)}
        ordered = [points[epoch] for epoch in sorted(points)]
        lost = next((i for i, p in enumerate(ordered) if p.train_loss is None or p.valid_loss is None), None)
        if lost is not None:
            return history.having_added(replace(trial, curve=Curve(tuple(ordered[: lost + 1])), state="diverged"))
        return history.having_added(replace(trial, curve=Curve(tuple(ordered))))


def _point(row: Sequence[_Number]) -> Point:
    epoch, train_loss, valid_loss, valid_metric, *error = row
    return Point(int(epoch or 0), train_loss, valid_loss, valid_metric, error[0] if error else None)


@dataclass(frozen=True, slots=True)
class _Stopped:
    """A trial that stopped early; it gets no more epochs, and the weights of its best epoch are kept."""

    trial: int
    best: int
    reason: str

    def after(self, history: History) -> History:
        trial = history.trials[self.trial]
        return history.having_added(replace(trial, state="complete", kept_epoch=self.best, last_reason=self.reason))


@dataclass(frozen=True, slots=True)
class _Changed:
    """A trial changed its state; no reason is stored."""

    trial: int
    state: TrialState

    def after(self, history: History) -> History:
        return history.having_added(replace(history.trials[self.trial], state=self.state))


@dataclass(frozen=True, slots=True)
class _Imported:
    """A complete trial of another program: points of epoch, loss and metric; its training loss is unknown."""

    trial: int
    recipe: Mapping[str, Value]
    state: TrialState
    points: tuple[tuple[int, _Number, _Number], ...]
    kept: int | None
    reason: str

    def after(self, history: History) -> History:
        points = tuple(Point(epoch, None, loss, metric) for epoch, loss, metric in self.points)
        trial = Trial(
            self.trial, Recipe.from_flat(self.recipe), IMPORTED, self.reason, self.state, len(points), Curve(points),
            kept_epoch=self.kept,
        )  # fmt: skip
        return history.having_added(trial)
