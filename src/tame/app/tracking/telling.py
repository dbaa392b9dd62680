"""From the events of a study to the calls of a tracker: one way for `--track` and for `tame export --tensorboard`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tame.app.tracking.tracker import Kind, Measured, Run, Tracker
from tame.core.conditions import field_of
from tame.core.files import TEXT_BYTES, appending, read_bytes
from tame.core.recipe import Recipe, Value
from tame.core.records import (
    IMPORTED,
    STATE_AFTER,
    Changed,
    Decided,
    Event,
    ImportedTrial,
    Point,
    StoppedEarly,
    TrialState,
    story_of,
)
from tame.core.records import Measured as Grown
from tame.core.result import Result
from tame.study.state import State

ABOUT = ("opened", "data", "imported", "plan", "result")  # kinds of events that tell what trials are named by
OVER: tuple[TrialState, ...] = ("complete", "stopped", "diverged", "failed")
SCORE = -1  # in place of a trial's number: the score of the study


@dataclass(slots=True)
class _Trial:
    """A trial that is not over. seen: the last epoch that was measured; kept: the epoch that is judged, if not the last
    one; waiting: what a tracker of whole trials was not told yet."""

    run: Run
    state: TrialState = "running"
    seen: int = 0
    kept: int | None = None
    values: dict[int, Mapping[str, float]] = field(default_factory=dict)
    waiting: list[Measured] = field(default_factory=list)


class Ledger:
    """What a tracker was told before, so that a resumed study repeats nothing: a line for each thing, at its end.

    Whatever lies there only decides what is told again. folder: None for a tracker that writes all again.
    """

    def __init__(self, folder: Path | None, name: str) -> None:
        self.epochs: dict[int, int] = {}
        self.over: set[int] = set()
        self._file = None
        if folder is None:
            return
        with suppress(FileNotFoundError):
            for line in read_bytes(folder, name, most=TEXT_BYTES).decode("utf-8", "replace").splitlines():
                self._read(line)
        self._file = appending(folder, name)

    def _read(self, line: str) -> None:
        try:
            trial, epoch, over = json.loads(line)
            trial, epoch, over = int(trial), int(epoch), bool(over)
        except (ValueError, TypeError, RecursionError):
            return  # the last line of a process that was killed
        self.epochs[trial] = max(epoch, self.epochs.get(trial, 0))
        if over:
            self.over.add(trial)

    def note(self, trial: int, epoch: int, *, over: bool = False) -> None:
        """This was told."""
        if self._file is not None:
            self._file.write(json.dumps([trial, epoch, over]).encode() + b"\n")

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


class Telling:
    """Takes in the events of a study, in their order, and tells a tracker. Raises whatever the tracker raises."""

    def __init__(self, tracker: Tracker, kind: Kind, ledger: Ledger) -> None:
        self.seq = 0  # of the last event
        self._tracker, self._whole, self._ledger = tracker, kind.is_whole, ledger
        self._state = State()  # of the study as a whole, without its trials
        self._trials: dict[int, _Trial] = {}
        self._varied: frozenset[str] = frozenset()
        self._base: Mapping[str, Value] = {}

    def after(self, event: Event) -> None:
        """Takes in an event. Raises StorageError for a damaged one."""
        self.seq = event.id
        at = seconds_of(event.at)
        if event.kind in ABOUT:
            self._about(event, at)
            return
        story = story_of(event)
        if isinstance(story, Decided) and story.recipe is not None:
            self._start(story.trial, story.recipe, story.origin, story.reason, at)
        elif isinstance(story, ImportedTrial):
            self._start(story.trial, story.recipe, IMPORTED, story.reason, at)
            points = [Point(epoch, None, None, metric) for epoch, _, metric in story.points]
            self._measure(story.trial, points, at)
            self._turn(story.trial, story.state, at, kept=story.kept)
        elif isinstance(story, Grown):
            self._measure(story.trial, story.points, at)
        elif isinstance(story, StoppedEarly):
            self._turn(story.trial, "complete", at, kept=story.best)
        elif isinstance(story, Changed):
            self._turn(story.trial, story.state, at)
        elif isinstance(story, Decided):
            self._turn(story.trial, STATE_AFTER[story.kind], at)

    def _about(self, event: Event, at: float) -> None:
        self._state.after(event)
        plan, imported = self._state.plan, self._state.imported
        if event.kind == "plan" and plan is not None:
            space = plan.space.get("dimensions", plan.space)
            known = [field_of(name) for name in space] if isinstance(space, Mapping) else []
            self._varied = frozenset([*known, *(name for changes in plan.portfolio for name in changes)])
            self._base = plan.base
        elif event.kind == "imported" and imported is not None:
            self._varied, self._base = frozenset(imported.names.values()), Recipe().flat()
        elif event.kind == "result":
            for number in list(self._trials):  # what is paused goes on no more
                self._end(number, at)
            self._score(at)

    def _start(self, number: int, recipe: Mapping[str, Value], origin: str, reason: str, at: float) -> None:
        if number in self._ledger.over:
            return
        self._base = base = self._base or recipe  # without a plan, the first recipe
        params = {
            name: value
            for name, value in recipe.items()
            if name in self._varied or (name not in ("seed", "epochs") and value != base.get(name))
        }
        own = _Trial(Run(trial=number, at=at, origin=origin, reason=reason, params=params))
        self._trials[number] = own
        if not self._whole:
            self._tracker.start(own.run)

    def _measure(self, number: int, points: tuple[Point, ...] | list[Point], at: float) -> None:
        own = self._trials.get(number)
        if own is None:
            return
        told = self._ledger.epochs.get(number, 0)
        fresh: list[Measured] = []
        for point in points:
            if point.epoch <= own.seen:
                continue  # measured again after a kill, with the same result
            own.seen = point.epoch
            own.values[point.epoch] = self._named(point)
            if self._whole or point.epoch > told:
                fresh.append(Measured(point.epoch, at, own.values[point.epoch]))
        if self._whole:
            own.waiting += fresh
        elif fresh:
            self._tracker.measure(own.run, fresh)
            self._ledger.note(number, own.seen)
        if points and points[-1].is_lost and self._state.imported is None:
            self._turn(number, "diverged", at)

    def _named(self, point: Point) -> dict[str, float]:
        """The values of a point that are known, by name."""
        imported = self._state.imported
        metric = self._state.metric if imported is None else imported.metric
        named = {"train/loss": point.train_loss, "valid/loss": point.valid_loss, f"valid/{metric}": point.valid_metric}
        return {name: float(value) for name, value in named.items() if value is not None}

    def _turn(self, number: int, state: TrialState, at: float, *, kept: int | None = None) -> None:
        own = self._trials.get(number)
        if own is None:
            return
        own.state, own.kept = state, kept or own.kept
        if state in OVER:
            self._end(number, at)

    def _end(self, number: int, at: float) -> None:
        own = self._trials.pop(number)
        epoch = own.seen if own.kept is None else own.kept
        judged = {name: value for name, value in own.values.get(epoch, {}).items() if name.startswith("valid/")}
        final = Measured(epoch, at, {f"final/{name}": value for name, value in judged.items()})
        if self._whole:
            self._tracker.start(own.run)
            self._tracker.measure(own.run, own.waiting)
        self._tracker.end(own.run, own.state, final)
        self._ledger.note(number, own.seen, over=True)

    def _score(self, at: float) -> None:
        if SCORE in self._ledger.over or self._state.result is None:
            return
        result = Result.from_json(self._state.result)
        score = result.score
        ends = {"": score.value, "_low": score.low, "_high": score.high}
        self._tracker.score({f"test/{result.metric}{end}": value for end, value in ends.items()}, at=at)
        self._ledger.note(SCORE, 0, over=True)


def seconds_of(at: str) -> float:
    """A time of an event in seconds since 1970; 0 for what a stranger wrote in its place."""
    with suppress(ValueError, OverflowError, OSError):
        return datetime.fromisoformat(at).timestamp()
    return 0.0
