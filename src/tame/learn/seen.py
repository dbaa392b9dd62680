"""What the lessons know of a study: its trials with their curves, and the numbers that the texts name.

From the events alone, so that the pages can tell it without torch and without a look at the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tame.core.config import LANGUAGE, METRIC_MODES, default_metric
from tame.core.dimensions import Float
from tame.core.evaluation import LanguageAnswers
from tame.core.plain import from_plain
from tame.core.recipe import Recipe, Value
from tame.core.records import Curve, Finding, Point, Trial, TrialState
from tame.core.result import Result
from tame.kinds.language.kind import LANGUAGE_MODELS
from tame.monitor.case import Facts
from tame.monitor.rules import examine
from tame.report import formats, words
from tame.study.columns import Columns, TrialRow
from tame.study.following import Followed
from tame.study.state import explored_space

MOST_TRIALS = 200  # of a study, evenly over their numbers
LEAST_TRIALS = 2  # with such curves; with fewer a lesson is about networks that are trained for it
LEAST_POINTS = 4  # epochs of a curve that can be read
ENDED: tuple[TrialState, ...] = ("complete", "diverged")

Verdict = Literal["diverged", "too fast", "too slow", "overfitted", "underfitted", "undertrained", "good"]
VERDICTS: Mapping[Verdict, str] = {
    "good": "nothing is wrong with it",
    "overfitted": "overfitted: it memorizes, and the validation loss rises",
    "underfitted": "underfitted: it cannot even describe the training examples",
    "undertrained": "undertrained: it ended while it was still improving",
    "too slow": "the rate is too low",
    "too fast": "the rate is too high",
    "diverged": "diverged: its loss is no longer a number",
}
OF_RATES: tuple[Verdict, ...] = ("too slow", "too fast", "diverged")  # whose fault is the rate
OF_CODES: Mapping[str, Verdict] = {  # the doctor's findings about a curve, the causes first
    "diverged": "diverged", "rate_too_high": "too fast", "rate_too_low": "too slow", "over_regularised": "underfitted",
    "overfitting": "overfitted", "memorised": "overfitted", "overconfident": "overfitted",
    "underfitting": "underfitted", "no_better_than_dummy": "underfitted", "still_improving": "undertrained",
}  # fmt: skip
Points = tuple[tuple[int, float | None, float | None, float | None], ...]
Counts = dict[str, dict[str, int]]
STAGES = {"T": "Test", "A": "Adjust", "M": "Monitor", "E": "Evaluate"}
STAGE_OF: Mapping[str, tuple[str, str]] = {  # events that belong to one stage of the loop, whatever they hold
    "space": ("A", "The space was widened"), "region": ("A", "New recipes come from a part of the space"),
    "prescribed": ("M", "A remedy was prescribed"), "remedied": ("M", "It was judged whether a remedy had helped"),
    "finalists": ("E", "The finalists were chosen"), "test_opened": ("E", "The sealed test part was opened"),
}  # fmt: skip
_LEFT = {"pause": "paused", "stop": "stopped"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenTrial:
    """A trial. points: of each epoch its number, training loss, validation loss and metric; None: not a number."""

    number: int
    origin: str
    state: TrialState
    recipe: Mapping[str, Value]
    points: Points

    @property
    def lowest(self) -> tuple[int, float] | None:
        """The epoch with the lowest validation loss, and that loss; None where there is none."""
        known = [(valid, epoch) for epoch, _, valid, _ in self.points if valid is not None]
        return None if not known else (min(known)[1], min(known)[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A study as the lessons see it. nouns: what its examples are called; counts: examples of each class that are
    trained on; train, valid, test: examples of each part; is_own: whether it is the learner's and not the demo;
    why: why the demo stands in; told: what happened, each as the kind of its event and a line of words."""

    name: str
    is_own: bool
    why: str = ""
    nouns: str
    task: str
    metric: str
    counts: Mapping[str, int]
    train: int
    valid: int
    test: int = 0
    trials: tuple[SeenTrial, ...] = ()
    rates: tuple[float, float] | None = None
    score: tuple[float, float, float, int] | None = None  # value, low, high, examples; once the seal is open
    chosen: float | None = None  # the winner's metric on the examples that chose it
    told: tuple[tuple[str, str], ...] = ()
    language: LanguageAnswers | None = None  # of a language model, once it is delivered

    @property
    def classes(self) -> int:
        """How many classes there are; 0 of a regression."""
        return 0 if self.task in ("regression", LANGUAGE) else len(self.counts)

    @property
    def readable(self) -> tuple[SeenTrial, ...]:
        """The trials whose curves are long enough to be read."""
        long = [each for each in self.trials if len(each.points) >= LEAST_POINTS or each.state == "diverged"]
        return tuple(each for each in long if each.points)

    @property
    def best(self) -> SeenTrial | None:
        """The trial with the lowest validation loss."""
        known = [(each.lowest[1], each.number, each) for each in self.trials if each.lowest is not None]
        return min(known, key=lambda each: each[:2])[2] if known else None

    @property
    def guess_loss(self) -> float | None:
        """The loss of giving every example the training shares of the classes, in nats."""
        total = sum(self.counts.values())
        if not self.classes or not total:
            return None
        shares = [count / total for count in self.counts.values() if count]
        return -sum(share * math.log(share) for share in shares)

    @property
    def facts(self) -> Facts:
        """What the doctor's rules need to know."""
        total, own = sum(self.counts.values()), self.classes
        dummies = {"accuracy": max(self.counts.values(), default=0) / total if total else None}
        dummies |= {"balanced_accuracy": 1 / own if own else None, "r2": 0.0}
        return Facts(
            task=self.task, num_classes=own or 1, num_valid=self.valid, metric=self.metric,
            higher_is_better=METRIC_MODES.get(self.metric, "max") == "max", dummy=dummies.get(self.metric),
            dummy_error=None, guess_loss=self.guess_loss if own else 1.0,
        )  # fmt: skip


def findings_of(trial: SeenTrial, facts: Facts) -> list[Finding]:
    """What the doctor finds in the curve of a trial."""
    recipe = tuple(sorted(trial.recipe.items()))
    return list(_examined(trial.number, trial.origin, trial.state, recipe, trial.points, facts))


@lru_cache(maxsize=4 * MOST_TRIALS)
def _examined(
    number: int, origin: str, state: TrialState, recipe: tuple[tuple[str, Value], ...], points: Points, facts: Facts
) -> tuple[Finding, ...]:  # fmt: skip
    """What the doctor finds; kept, since every question asks it of all trials."""
    curve = Curve(tuple(Point(*each) for each in points))
    own = Trial(number, Recipe.from_flat(dict(recipe)), origin, "", state, curve=curve)
    return tuple(examine(own, facts))


@dataclass(frozen=True, slots=True)
class Named:
    """A trial whose curve can be called something. facts: what the doctor knew; cause: the finding that says what it
    is, None where nothing is wrong with it."""

    trial: SeenTrial
    facts: Facts
    cause: Finding | None

    @property
    def verdict(self) -> Verdict:
        return "good" if self.cause is None else OF_CODES[self.cause.code]


def named(seen: Seen) -> tuple[Named, ...]:
    """The curves of a study that can be called something. Of a trial that the search left before its end nobody can
    say that nothing is wrong with it: its losses still fall, as those of an undertrained one."""
    facts = seen.facts
    every = [Named(each, facts, cause(findings_of(each, facts))) for each in seen.readable]
    return tuple(each for each in every if each.trial.state in ENDED or each.cause is not None)


def verdict(found: Sequence[Finding]) -> Verdict:
    """What a curve is, by what the doctor finds in it: the first cause counts."""
    own = cause(found)
    return "good" if own is None else OF_CODES[own.code]


def cause(found: Sequence[Finding]) -> Finding | None:
    """The finding that says what a curve is; None where nothing is wrong with it."""
    by_code = {each.code: each for each in reversed(found)}
    return next((by_code[code] for code in OF_CODES if code in by_code), None)


def seen_of(followed: Followed, name: str) -> Seen:
    """A study as its events so far tell it. Raises StorageError for a result that cannot be read."""
    state, data = followed.state, followed.state.data or {}
    result = None if state.result is None else Result.from_json(state.result)
    parts = from_plain(Counts, data.get("counts") or {}, what="the counts of the data")
    sizes = {part: sum(own.values()) for part, own in parts.items()}
    classes = from_plain(list[str], list(data.get("classes") or ()), what="the classes")  # type: ignore[call-overload]
    none = LANGUAGE if state.kind == LANGUAGE_MODELS.name else "regression"
    task = none if not classes else "binary" if len(classes) == 2 else "multiclass"
    asked = "auto" if state.opened is None else str(state.opened.config.get("metric") or "auto")
    metric = result.metric if result is not None else default_metric(task) if asked == "auto" else asked
    own = {name: parts.get("train", {}).get(name, 0) for name in classes}
    score, answers = (None, None) if result is None else (result.score, result.answers)
    return Seen(
        name=name, is_own=True, nouns=words.noun(state.kind), task=task, metric=metric, counts=own,
        train=sizes.get("train", 0), valid=sizes.get("val", 0) or sizes.get("train", 0), test=sizes.get("test", 0),
        trials=_trials(followed.columns), rates=_rates(followed),
        score=None if score is None else (score.value, score.low, score.high, score.n),
        chosen=None if result is None else result.validation.value, told=tuple(_told(followed)),
        language=answers if isinstance(answers, LanguageAnswers) else None,
    )  # fmt: skip


def _trials(columns: Columns) -> tuple[SeenTrial, ...]:
    every = [row for row in columns.rows.values() if row.spans]
    step = max(1, math.ceil(len(every) / MOST_TRIALS))
    return tuple(_trial(columns, row) for row in every[::step])


def _trial(columns: Columns, row: TrialRow) -> SeenTrial:
    points = tuple(
        (int(epoch), *(None if math.isnan(each) else float(each) for each in more))
        for epoch, *more in columns.points(row.number)
    )
    return SeenTrial(
        number=row.number, origin=row.origin, state=row.state, recipe=columns.recipe(row.number),
        points=points,  # type: ignore[arg-type]
    )  # fmt: skip


def _rates(followed: Followed) -> tuple[float, float] | None:
    """The rates that were searched, where they are a range."""
    dim = explored_space(followed.state).dimensions.get("optimizer.lr")
    return (float(dim.low), float(dim.high)) if isinstance(dim, Float) else None


def _told(followed: Followed) -> list[tuple[str, str]]:
    """What happened that belongs to one stage of the loop: the stage and the event in words."""
    found: list[tuple[str, str]] = []
    for line in followed.lines:
        stage, said = STAGE_OF.get(line.kind, ("", ""))
        if line.kind == "decision" and line.data.get("kind") in ("pause", "stop"):
            stage, said = "A", f"Trial {line.trial} was {_LEFT[str(line.data['kind'])]}: {line.data.get('reason', '')}"
        if line.kind == "finding":
            trial = line.data.get("trial")
            stage, said = ("M", f"Of trial {trial}: {line.data.get('title', '')}") if trial is not None else ("", "")
        if stage:
            found.append((stage, formats.inert(formats.sentence(said))))
    measured = [row for row in followed.columns.rows.values() if row.spans]
    found += [("T", f"Trial {row.number} was trained for {row.epochs} epochs and measured.") for row in measured]
    return found
