"""The trials of a study in columns, for pages: folded from the events one by one, and cheap for 10,000 of them.

It tells the same as the fold of `core/records.py`, which is made for deciding: there a trial is a value with a recipe,
here a row of arrays. A recipe is kept as what it changes in that of the first trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tame.core.errors import StorageError, require
from tame.core.recipe import Recipe, Value
from tame.core.records import (
    FINALIST,
    IMPORTED,
    MISFITS,
    REMEDY,
    STATE_AFTER,
    Changed,
    Decided,
    Event,
    ImportedTrial,
    Measured,
    StoppedEarly,
    Story,
    TrialState,
    misfit,
    story_of,
)

EPOCH, TRAIN, VALID, METRIC = range(4)  # columns of the points
TREATED = (REMEDY, FINALIST)  # origins whose source is the trial with the finding, not one they continue from
Points = NDArray[np.float64]  # (number of points, 4): epoch, losses of training and validation, metric; NaN: not finite


class Grown:
    """Rows that are added at the end of an array, which doubles when it is full."""

    def __init__(self) -> None:
        self._rows: Points = np.empty((1024, 4))
        self.count = 0

    def add(self, fresh: Points) -> tuple[int, int]:
        """First and last row, exclusive, of what was added."""
        begin, end = self.count, self.count + len(fresh)
        while end > len(self._rows):
            self._rows = np.concatenate([self._rows, np.empty_like(self._rows)])
        self._rows[begin:end] = fresh
        self.count = end
        return begin, end

    def of(self, spans: list[tuple[int, int]]) -> Points:
        """The rows of these spans, in their order."""
        parts = [self._rows[begin:end] for begin, end in spans]
        return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty((0, 4))


class TrialRow:
    """A trial: what was decided about it, and where its points are."""

    __slots__ = (
        "against", "changes", "epochs", "inherited", "is_lost", "kept", "last_reason", "loss", "most", "number",
        "origin", "parent", "reason", "seen", "spans", "state", "until",
    )  # fmt: skip

    def __init__(self, number: int, *, origin: str, reason: str, state: TrialState, until: int) -> None:
        self.number, self.origin, self.reason, self.state, self.until = number, origin, reason, state, until
        self.last_reason = ""
        self.changes: Mapping[str, Value] = {}
        self.most = 0  # epochs of its recipe
        self.spans: list[tuple[int, int]] = []
        self.epochs = 0
        self.is_lost = False  # whether its curve ended with a loss that is not finite
        self.kept: int | None = None
        self.parent: int | None = None
        self.against: int | None = None
        self.inherited = 0
        self.loss = math.inf  # of validation, at the weights that are judged
        self.seen = 0  # the event that changed it last


class Columns:
    """All trials of a study. Raises StorageError for an event that does not fit, which it names."""

    def __init__(self) -> None:
        self.rows: dict[int, TrialRow] = {}
        self.base: Mapping[str, Value] = {}  # the recipe of the first trial
        self.epochs = 0  # that all trials have trained themselves
        self._points = Grown()

    def after(self, event: Event) -> TrialRow | None:
        """Takes in an event; the trial that it is about, None for one about no trial."""
        try:
            story = story_of(event)
            if story is None:
                return None
            own = self._take(story)
        except MISFITS as problem:
            raise misfit(event, problem) from problem
        own.seen, own.loss = event.id, self.loss(own.number)
        return own

    def _take(self, story: Story) -> TrialRow:
        match story:
            case Decided():
                return self._decide(story)
            case Measured():
                return self._measure(story)
            case StoppedEarly():
                return self._stop(story)
            case Changed():
                own = self._known(story.trial)
                own.state = story.state
                return own
            case ImportedTrial():
                return self._import(story)

    def points(self, number: int) -> Points:
        """The curve of a trial: (epochs, 4), by epoch."""
        return self._points.of(self._known(number).spans)

    def judged(self, number: int) -> NDArray[np.float64] | None:
        """The point of the weights that are judged: of the last epoch, or the one that was kept."""
        row = self._known(number)
        points = self.points(number)
        if row.kept is not None:
            points = points[points[:, EPOCH] == row.kept]
        return points[-1] if len(points) else None

    def loss(self, number: int) -> float:
        """The validation loss of the weights that are judged; infinite if there is none."""
        point = self.judged(number)
        return math.inf if point is None or math.isnan(point[VALID]) else float(point[VALID])

    def recipe(self, number: int) -> dict[str, Value]:
        """The whole recipe of a trial, by field."""
        return {**self.base, **self._known(number).changes}

    def _known(self, number: int) -> TrialRow:
        require(number in self.rows, f"no earlier event begins trial {number}", error=StorageError)
        return self.rows[number]

    def _decide(self, story: Decided) -> TrialRow:
        if story.recipe is None:
            require(story.kind in STATE_AFTER, f"a {story.kind} without a recipe", error=StorageError)
            own = self._known(story.trial)
            own.state, own.until, own.last_reason = STATE_AFTER[story.kind], story.until or own.until, story.reason
            return own
        is_new = story.kind in ("start", "copy") and story.trial not in self.rows
        require(is_new, f"trial {story.trial} cannot {story.kind} with a recipe here", error=StorageError)
        own = self._begin(story.trial, story.recipe, story.origin, story.reason, "running", story.until)
        if story.source is not None:
            self._take_from(own, self._known(story.source), story)
            own.inherited = own.epochs
        return own

    def _begin(
        self, number: int, recipe: Mapping[str, Value], origin: str, reason: str, state: TrialState, until: int
    ) -> TrialRow:  # fmt: skip
        own = self.rows[number] = TrialRow(number, origin=origin, reason=reason, state=state, until=until)
        if not self.base:
            self.base = Recipe.from_flat(recipe).flat()  # with the fields that older studies lack
        own.changes = {name: value for name, value in recipe.items() if self.base.get(name) != value}
        most = recipe.get("epochs")
        own.most = most if isinstance(most, int) else 0
        return own

    def _take_from(self, own: TrialRow, source: TrialRow, story: Decided) -> None:
        points = self.points(source.number)
        if own.origin in TREATED:
            own.against = source.number
            points = points[points[:, EPOCH] <= own.until] if story.kind == "copy" else points[:0]
        else:
            own.parent = source.number
        self._keep(own, points, anew=True)

    def _measure(self, story: Measured) -> TrialRow:
        own = self._known(story.trial)
        before = own.epochs
        fresh = np.array([row[:4] for row in story.points], dtype=np.float64).reshape(-1, 4)
        goes_on = not own.is_lost and _is_plain(fresh, before)
        self._keep(own, fresh if goes_on else _merged(self.points(story.trial), fresh), anew=not goes_on)
        if own.is_lost:
            own.state = "diverged"
        self.epochs += own.epochs - before
        return own

    def _keep(self, own: TrialRow, points: Points, *, anew: bool) -> None:
        """Adds points to a curve, or puts them in its place; what was there before stays unused."""
        if anew:
            own.spans, own.epochs, own.is_lost = [], 0, False
        if not len(points):
            return
        begin, end = self._points.add(points)
        if own.spans and own.spans[-1][1] == begin:
            own.spans[-1] = (own.spans[-1][0], end)
        else:
            own.spans.append((begin, end))
        own.epochs = int(points[-1, EPOCH])
        own.is_lost = bool(np.isnan(points[-1, TRAIN : VALID + 1]).any())

    def _stop(self, story: StoppedEarly) -> TrialRow:
        own = self._known(story.trial)
        measured = bool((self.points(story.trial)[:, EPOCH] == story.best).any())
        require(measured, f"trial {story.trial} has not measured epoch {story.best}", error=StorageError)
        own.state, own.kept, own.last_reason = "complete", story.best, story.reason
        return own

    def _import(self, story: ImportedTrial) -> TrialRow:
        require(story.trial not in self.rows, f"trial {story.trial} is there already", error=StorageError)
        count = len(story.points)
        own = self._begin(story.trial, story.recipe, IMPORTED, story.reason, story.state, count)
        own.kept = story.kept
        rows = [[epoch, None, loss, metric] for epoch, loss, metric in story.points]
        self._keep(own, np.array(rows, dtype=np.float64).reshape(-1, 4), anew=True)
        self.epochs += own.epochs
        return own


def _is_plain(fresh: Points, before: int) -> bool:
    """Whether points go on where a curve ends, and none is lost: as nearly all do."""
    epochs = fresh[:, EPOCH]
    rises = len(fresh) == 0 or (epochs[0] > before and bool((np.diff(epochs) > 0).all()))
    return rises and not np.isnan(fresh[:, TRAIN : VALID + 1]).any()


def _merged(old: Points, fresh: Points) -> Points:
    """Both, by epoch: the later one of an epoch holds, and a lost loss ends the curve."""
    known = {int(row[EPOCH]): row for row in (*old, *fresh)}
    kept: list[NDArray[np.float64]] = []
    for epoch in sorted(known):
        kept.append(known[epoch])
        if np.isnan(known[epoch][TRAIN : VALID + 1]).any():
            break
    return np.array(kept).reshape(-1, 4)
