"""The frozen values that the stages exchange, and the fold from events to a study's history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tame.core.recipe import Recipe

TrialState = Literal["waiting", "running", "paused", "complete", "stopped", "diverged", "failed"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a study: what the store keeps. `data` holds plain JSON values, never NaN."""

    kind: str
    data: Mapping[str, Any]
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
    origin: str  # default, portfolio, copy, finalist, fine-tune, user, imported, or who proposed it (sobol, tpe, ...)
    reason: str
    state: TrialState = "waiting"
    until: int = 0  # the epoch it was last told to train to
    curve: Curve = field(default_factory=Curve)
    last_reason: str = ""  # of the last decision on it
    kept_epoch: int | None = None  # whose weights are kept, of a trial that stopped early
    parent: int | None = None  # of a copy: the trial whose weights it goes on from
    inherited: int = 0  # of a copy: the epochs at the start of its curve that its parent trained

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

    kind: Literal["start", "continue", "pause", "stop", "complete", "copy"]
    trial: int
    reason: str
    until: int = 0
    recipe: Recipe | None = None
    origin: str = ""
    source: int | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What the doctor saw: `evidence` holds the numbers, `change` what to do, `outcome` whether that helped."""

    code: str
    title: str
    severity: Literal["info", "warning", "problem"]
    evidence: Mapping[str, Any]
    change: str = ""
    outcome: str = ""
    trial: int | None = None

    def to_json(self) -> dict[str, Any]:
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

    def to_json(self) -> dict[str, Any]:
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
        steps = {"decision": _decided, "curve": _measured, "trial_state": _changed, "early_stop": _stopped}
        steps |= {"imported_trial": _imported}
        step = steps.get(event.kind)
        return step(self, event.data) if step else self

    def _with(self, trial: Trial) -> History:
        return History({**self.trials, trial.number: trial})


def replay(events: Iterable[Event]) -> History:
    """The history that these events tell."""
    history = History()
    for event in events:
        history = history.after(event)
    return history


def decision_event(decision: Decision) -> Event:
    """The event that keeps a decision."""
    data: dict[str, Any] = {
        "kind": decision.kind, "trial": decision.trial, "reason": decision.reason, "until": decision.until,
    }  # fmt: skip
    if decision.recipe is not None:
        data |= {"recipe": decision.recipe.flat(), "origin": decision.origin}
    if decision.source is not None:
        data["source"] = decision.source
    return Event("decision", data)


def curve_event(trial: int, points: Iterable[Point]) -> Event:
    """The event that keeps new points of a trial's curve."""
    rows = [[p.epoch, p.train_loss, p.valid_loss, p.valid_metric, p.valid_error] for p in points]
    return Event("curve", {"trial": trial, "points": rows})


def _decided(history: History, data: Mapping[str, Any]) -> History:
    number = data["trial"]
    if data["kind"] in ("start", "copy"):
        recipe = Recipe.from_flat(data["recipe"])
        trial = Trial(number, recipe, data["origin"], data["reason"], "running", data["until"])
        if data["kind"] == "copy":
            source = history.trials[data["source"]]
            trial = replace(trial, curve=source.curve, parent=source.number, inherited=source.epochs)
        return history._with(trial)
    states: dict[str, TrialState] = {
        "continue": "running", "pause": "paused", "stop": "stopped", "complete": "complete",
    }  # fmt: skip
    trial = history.trials[number]
    until = data["until"] or trial.until
    return history._with(replace(trial, state=states[data["kind"]], until=until, last_reason=data["reason"]))


def _measured(history: History, data: Mapping[str, Any]) -> History:
    """New points; a loss that is not finite ends the curve and the trial."""
    trial = history.trials[data["trial"]]
    points = {point.epoch: point for point in trial.curve.points}
    points |= {row[0]: Point(*row) for row in data["points"]}
    ordered = [points[epoch] for epoch in sorted(points)]
    lost = next((i for i, p in enumerate(ordered) if p.train_loss is None or p.valid_loss is None), None)
    if lost is not None:
        return history._with(replace(trial, curve=Curve(tuple(ordered[: lost + 1])), state="diverged"))
    return history._with(replace(trial, curve=Curve(tuple(ordered))))


def _stopped(history: History, data: Mapping[str, Any]) -> History:
    """A trial that stopped early has all it will get; the weights of its best epoch are kept."""
    trial = history.trials[data["trial"]]
    return history._with(replace(trial, state="complete", kept_epoch=data["best"], last_reason=data["reason"]))


def _imported(history: History, data: Mapping[str, Any]) -> History:
    """A trial of another program, whole: points of epoch, loss and metric; its training loss is not known."""
    points = tuple(Point(epoch, None, loss, metric) for epoch, loss, metric in data["points"])
    trial = Trial(
        data["trial"], Recipe.from_flat(data["recipe"]), "imported", data["reason"], data["state"], len(points),
        Curve(points), kept_epoch=data["kept"],
    )  # fmt: skip
    return history._with(trial)


def _changed(history: History, data: Mapping[str, Any]) -> History:
    return history._with(replace(history.trials[data["trial"]], state=data["state"]))


FINALIST = "finalist"
