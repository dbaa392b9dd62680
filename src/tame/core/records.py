"""The frozen values that the stages exchange, and the fold from events to a study's history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Final, Literal, NamedTuple, get_args

from msgspec import Meta

from tame.core.codes import CODES, id_of
from tame.core.errors import StorageError, TameError, require
from tame.core.plain import from_plain
from tame.core.recipe import MOST_EPOCHS, Recipe, Value

_MOST: Final = 2**53  # beyond it whole numbers are not numbers of anything counted here
_Whole = Annotated[int, Meta(ge=-_MOST, le=_MOST)]
_Epoch = Annotated[int, Meta(ge=1, le=MOST_EPOCHS)]
_Number = _Whole | float | None
TrialState = Literal["waiting", "running", "paused", "complete", "stopped", "diverged", "failed"]
Severity = Literal["info", "warning", "problem"]
Confidence = Literal["low", "medium", "high"]
LOST: Final[tuple[TrialState, ...]] = ("diverged", "failed")
DecisionKind = Literal["start", "continue", "pause", "stop", "complete", "copy"]
# Who proposed a trial: the user or a rule; the searchers; the doctor; what trains after the search; another program.
# Searchers from other packages have their own origins, which are kept as they are.
Origin = Literal[
    "default", "portfolio", "user", "sobol", "random", "grid", "tpe", "gp", "model", "copy", "remedy", "finalist",
    "fine-tune", "imported",
]  # fmt: skip
ORIGINS: Final[tuple[Origin, ...]] = get_args(Origin)

DEFAULT: Final[Origin] = "default"  # the recipe that always takes part
PORTFOLIO: Final[Origin] = "portfolio"  # a recipe that works on many tasks, or is an earlier study's
REMEDY: Final[Origin] = "remedy"  # one field changed against a finding, or the recipe itself trained beside it
FINALIST: Final[Origin] = "finalist"  # a recipe of the search, trained again with a fresh seed
FINE_TUNED: Final[Origin] = "fine-tune"
IMPORTED: Final[Origin] = "imported"

_GIVEN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({DEFAULT, PORTFOLIO})
_DRAWN: Final[frozenset[Origin | str]] = frozenset[Origin | str]({"sobol", "random", "grid"})
_OF_THE_DOCTOR: Final[frozenset[Origin | str]] = frozenset[Origin | str]({REMEDY, FINALIST})  # where they have a source
_AFTER_THE_SEARCH: Final[frozenset[Origin | str]] = frozenset[Origin | str]({FINALIST, FINE_TUNED})


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a study, as the store keeps it. `data` holds plain JSON values, never NaN."""

    kind: str
    data: Mapping[str, object]
    id: int = 0  # assigned by the store: 1, 2, 3, ...
    at: str = ""  # UTC, ISO 8601; for people only, no decision depends on it

    def __str__(self) -> str:
        """The event as messages name it."""
        return f"event {self.id} ({self.kind})"


class Point(NamedTuple):
    """One epoch of a curve: means over the folds. None where the value was not finite.

    train_loss: of the recipe's own loss; valid_loss: log loss in nats, or the squared error of a standardised target;
    valid_error: the standard error of the metric over the folds, where there are several. A tuple, since a study of
    10,000 trials is read into half a million of them, which a reader of JSON makes at once.
    """

    epoch: _Epoch
    train_loss: _Number
    valid_loss: _Number
    valid_metric: _Number
    valid_error: _Number = None

    @property
    def is_lost(self) -> bool:
        """Whether a loss was not finite, which ends a curve."""
        return self.train_loss is None or self.valid_loss is None

    def row(self) -> list[int | float | None]:
        """As an event keeps it: the standard error stands there only where there is one."""
        return list(self[:4] if self.valid_error is None else self)


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
    against: int | None = None  # of a remedy, or a finalist that is stopped in time: the trial with the finding

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
    def is_remedy(self) -> bool:
        """Whether the doctor started it beside the search: with one field changed, or to compare such a one with."""
        return self.origin == REMEDY

    @property
    def may_be_delivered(self) -> bool:
        """Whether its weights may be delivered: it was trained after the search, as a finalist or by fine-tuning."""
        return self.origin in _AFTER_THE_SEARCH

    @property
    def is_searched(self) -> bool:
        """Whether the search started it: no remedy, and neither trained after the search nor imported."""
        return self.origin != IMPORTED and not self.may_be_delivered and not self.is_remedy

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

    copy: a new trial that continues from the weights of `source`, at that trial's current epoch. Of a remedy, and of a
    finalist that is stopped in time, `source` is the trial with the finding: one that starts takes nothing from it, and
    a copy its curve up to `until`.
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
    """What the doctor found: `evidence` holds the numbers, `change` what to do, `outcome` whether that helped.

    confidence: how sure that is; None where it was counted, and in a study from before findings had one.
    """

    code: str
    title: str
    severity: Severity
    evidence: Mapping[str, object]
    change: str = ""
    outcome: str = ""
    trial: int | None = None
    confidence: Confidence | None = None

    @property
    def id(self) -> str:
        """The stable number of its kind, such as TAME301; "" for a kind of another package."""
        return id_of(self.code)

    @property
    def why(self) -> str:
        """Why it matters, in two sentences; "" for a kind of another package."""
        return CODES[self.code].why if self.code in CODES else ""

    @property
    def mute(self) -> str:
        """The option that leaves it out; "" for a kind of another package."""
        return f"--mute {self.id}" if self.id else ""

    def document(self) -> dict[str, object]:
        """As programs read it: with its number, why it matters, and how to mute it."""
        sure = self.confidence or "high"
        return {"id": self.id, **self.to_json(), "confidence": sure, "why": self.why, "mute": self.mute}

    def to_json(self) -> dict[str, object]:
        """As it is kept; without a confidence where it has none, so that older ones are written as they were."""
        plain: dict[str, object] = {
            "code": self.code, "title": self.title, "severity": self.severity, "evidence": dict(self.evidence),
            "change": self.change, "outcome": self.outcome, "trial": self.trial,
        }  # fmt: skip
        return plain if self.confidence is None else {**plain, "confidence": self.confidence}


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its 95 % interval, the number of examples, and how it was measured.

    doubt: why the interval may be too narrow to trust; "" if nothing says so, and in older results.
    """

    value: float
    low: float
    high: float
    n: int
    how: str
    doubt: str = ""

    def to_json(self) -> dict[str, object]:
        found: dict[str, object] = {
            "value": self.value, "low": self.low, "high": self.high, "n": self.n, "how": self.how,
        }  # fmt: skip
        return found | ({"doubt": self.doubt} if self.doubt else {})


@dataclass(frozen=True, slots=True)
class History:
    """All trials of a study by number: all that a searcher may know."""

    trials: Mapping[int, Trial] = field(default_factory=dict)

    def having(self, *states: TrialState) -> list[Trial]:
        """The trials in one of these states, by number."""
        return [trial for _, trial in sorted(self.trials.items()) if trial.state in states]

    def after(self, event: Event) -> History:
        """The history once the event has happened. Events of other kinds change nothing."""
        fold = Fold(self)
        fold.take(event)
        return fold.history

    def known(self, number: int) -> Trial:
        """The trial of this number. Raises StorageError where no event has begun it."""
        require(number in self.trials, f"no earlier event begins trial {number}", error=StorageError)
        return self.trials[number]


class Fold:
    """Takes events in, one after the other, and tells the history that they make.

    An event costs the same however many trials there are. The history is a value: what it holds is put together when
    it is asked for, once a round and not once an event.
    """

    __slots__ = ("_growing", "_history", "epochs", "singles")

    def __init__(self, history: History | None = None) -> None:
        self._history = history or History()
        self._growing: dict[int, _Growing] = {}  # the trials that the history does not hold yet, or otherwise
        trials = self._history.trials.values()
        self.epochs = sum(trial.trained for trial in trials)  # that all trials have trained
        self.singles = sum(own.trained for own in trials if own.recipe.is_single)  # those that were all of a trial

    def __eq__(self, other: object) -> bool:
        return self.history == other.history if isinstance(other, Fold) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    @property
    def history(self) -> History:
        if self._growing:
            grown = {number: own.trial() for number, own in self._growing.items()}
            self._history, self._growing = History({**self._history.trials, **grown}), {}
        return self._history

    def epochs_of(self, number: int) -> int:
        """Epochs that a trial stands at."""
        return self.grown(number).epochs

    def take(self, event: Event) -> Story | None:
        """Takes in an event, and returns what it says; None for one of another kind, which changes nothing.

        Raises StorageError for a damaged one.
        """
        try:
            story = story_of(event)
            if story is None:
                return None
            self._growing[story.trial] = story.of(self)
        except MISFITS as problem:
            raise misfit(event, problem) from problem
        return story

    def __contains__(self, number: int) -> bool:
        """Whether a trial of this number has begun."""
        return number in self._growing or number in self._history.trials

    def grown(self, number: int) -> _Growing:
        """The trial of this number, to be changed. Raises StorageError where none has begun."""
        own = self._growing.get(number)
        if own is None:
            own = self._growing[number] = _Growing.of(self._history.known(number))
        return own


@dataclass(slots=True)
class _Growing:
    """A trial while events are taken in; the fields of Trial, which is made of it at last."""

    number: int
    recipe: Recipe
    origin: Origin | str
    reason: str
    state: TrialState
    until: int
    points: list[Point]
    last_reason: str = ""
    kept_epoch: int | None = None
    parent: int | None = None
    inherited: int = 0
    against: int | None = None

    @classmethod
    def of(cls, trial: Trial) -> _Growing:
        return cls(
            trial.number, trial.recipe, trial.origin, trial.reason, trial.state, trial.until, list(trial.curve.points),
            trial.last_reason, trial.kept_epoch, trial.parent, trial.inherited, trial.against,
        )  # fmt: skip

    @property
    def epochs(self) -> int:
        return self.points[-1].epoch if self.points else 0

    def trial(self) -> Trial:
        return Trial(
            self.number, self.recipe, self.origin, self.reason, self.state, self.until, Curve(tuple(self.points)),
            self.last_reason, self.kept_epoch, self.parent, self.inherited, self.against,
        )  # fmt: skip

    def measure(self, fresh: Sequence[Point]) -> None:
        """Adds points; the later one of an epoch holds, and a lost loss ends the curve."""
        before, goes_on = self.epochs, not (self.points and self.points[-1].is_lost)
        for epoch, train, valid, _, _ in fresh:  # half a million in a large study: no more is done for a plain one
            goes_on = goes_on and epoch > before and train is not None and valid is not None
            before = epoch
        if goes_on:
            self.points += fresh
            return
        known = {point.epoch: point for point in (*self.points, *fresh)}
        self.points = []
        for epoch in sorted(known):
            self.points.append(known[epoch])
            if known[epoch].is_lost:
                self.state = "diverged"
                return


# What reading an event may raise that somebody else wrote.
MISFITS: Final = (TameError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)


def misfit(event: Event, problem: BaseException) -> StorageError:
    """The error for an event that does not fit, which names it.

    A checksum proves that an event is as it was written, not who wrote it: a folder may come from a stranger.
    """
    told = str(problem) if isinstance(problem, TameError) else f"{type(problem).__name__}: {problem}"
    if isinstance(problem, StorageError) and told.startswith(str(event)):
        return problem
    return StorageError(f"{event} is damaged: {told}")


def replay(events: Iterable[Event]) -> History:
    """The history that these events tell."""
    fold = Fold()
    for event in events:
        fold.take(event)
    return fold.history


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


STATE_AFTER: Final[Mapping[DecisionKind, TrialState]] = {
    "continue": "running", "pause": "paused", "stop": "stopped", "complete": "complete",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Decided:
    """What an event tells of a decision: the recipe by its fields."""

    kind: DecisionKind
    trial: Annotated[int, Meta(ge=0, le=_MOST)]
    reason: str
    until: Annotated[int, Meta(ge=0, le=MOST_EPOCHS)] = 0
    recipe: Mapping[str, Value] | None = None
    origin: str = ""
    source: int | None = None

    def decision(self) -> Decision:
        recipe = None if self.recipe is None else Recipe.from_flat(self.recipe)
        return Decision(self.kind, self.trial, self.reason, self.until, recipe, self.origin, self.source)

    def of(self, fold: Fold) -> _Growing:
        if self.recipe is None:
            require(self.kind in STATE_AFTER, f"a {self.kind} without a recipe", error=StorageError)
            own = fold.grown(self.trial)
            own.state, own.until, own.last_reason = STATE_AFTER[self.kind], self.until or own.until, self.reason
            return own
        is_new = self.kind in ("start", "copy") and self.trial not in fold
        require(is_new, f"trial {self.trial} cannot {self.kind} with a recipe here", error=StorageError)
        recipe = Recipe.from_flat(self.recipe)
        own = _Growing(self.trial, recipe, self.origin, self.reason, "running", self.until, [])
        if self.source is None:
            return own
        source = fold.grown(self.source)
        if self.origin in _OF_THE_DOCTOR:
            own.against = source.number
            own.points = [each for each in source.points if self.kind == "copy" and each.epoch <= self.until]
        else:
            own.points, own.parent = list(source.points), source.number
        own.inherited = own.epochs
        return own


@dataclass(frozen=True, slots=True)
class Measured:
    """New points of a curve; a loss that is not finite ends the curve and the trial."""

    trial: int
    points: tuple[Point, ...]

    def of(self, fold: Fold) -> _Growing:
        own = fold.grown(self.trial)
        before = own.epochs
        own.measure(self.points)
        fold.epochs += own.epochs - before
        fold.singles += (own.epochs - before) * own.recipe.is_single
        return own


@dataclass(frozen=True, slots=True)
class StoppedEarly:
    """A trial that stopped early; it gets no more epochs, and the weights of its best epoch are kept."""

    trial: int
    best: int
    reason: str

    def of(self, fold: Fold) -> _Growing:
        own = fold.grown(self.trial)
        measured = any(point.epoch == self.best for point in reversed(own.points))
        require(measured, f"trial {self.trial} has not measured epoch {self.best}", error=StorageError)
        own.state, own.kept_epoch, own.last_reason = "complete", self.best, self.reason
        return own


@dataclass(frozen=True, slots=True)
class Changed:
    """A trial changed its state; no reason is stored."""

    trial: int
    state: TrialState

    def of(self, fold: Fold) -> _Growing:
        own = fold.grown(self.trial)
        own.state = self.state
        return own


@dataclass(frozen=True, slots=True)
class ImportedTrial:
    """A complete trial of another program: points of epoch, loss and metric; its training loss is unknown."""

    trial: int
    recipe: Mapping[str, Value]
    state: TrialState
    points: tuple[tuple[_Epoch, _Number, _Number], ...]
    kept: int | None
    reason: str

    def of(self, fold: Fold) -> _Growing:
        require(self.trial not in fold, f"trial {self.trial} is there already", error=StorageError)
        points = [Point(epoch, None, loss, metric) for epoch, loss, metric in self.points]
        for before, point in pairwise(points):
            rises = point.epoch > before.epoch
            require(rises, f"epoch {point.epoch} comes after epoch {before.epoch}", error=StorageError)
        has_kept = self.kept is None or any(point.epoch == self.kept for point in points)
        require(has_kept, f"epoch {self.kept}, whose value counts, is not there", error=StorageError)
        recipe = Recipe.from_flat(self.recipe)
        own = _Growing(self.trial, recipe, IMPORTED, self.reason, self.state, len(points), points, kept_epoch=self.kept)
        fold.epochs += own.epochs
        fold.singles += own.epochs * own.recipe.is_single
        return own


Story = Decided | Measured | Changed | StoppedEarly | ImportedTrial


def story_of(event: Event) -> Story | None:
    """What an event tells of a trial; None for one of another kind. Raises StorageError for a damaged one."""
    kind = _STORIES.get(event.kind)
    if kind is None:
        return None
    story: Story = from_plain(kind, event.data, what=event)
    return story


# What is told of trials, by the kind of event. `of` gives the trial that is new, or another then, from those so far.
_STORIES: Final[Mapping[str, type[Story]]] = {
    "decision": Decided, "curve": Measured, "trial_state": Changed, "early_stop": StoppedEarly,
    "imported_trial": ImportedTrial,
}  # fmt: skip
