"""The columns of the pages tell the same of every study as the fold that decides."""

from __future__ import annotations

import math
import random
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import (
    FINALIST,
    REMEDY,
    Decision,
    Event,
    Fold,
    Point,
    curve_event,
    decision_event,
    early_stop_event,
)
from tame.study.columns import Columns
from tame.study.following import Followed, Follower
from tame.study.record import open_record
from tame.study.state import state_of

OLD = Path(__file__).parents[1] / "data" / "old_studies"
ORIGINS = ("default", "portfolio", "sobol", "copy", REMEDY, FINALIST)


def assert_same(columns, history, epochs):
    assert columns.rows.keys() == history.trials.keys()
    assert columns.epochs == epochs
    for number, trial in history.trials.items():
        row = columns.rows[number]
        own = (row.state, row.origin, row.reason, row.last_reason, row.until, row.epochs, row.kept, row.parent)
        assert own == (
            trial.state, trial.origin, trial.reason, trial.last_reason, trial.until, trial.epochs, trial.kept_epoch,
            trial.parent,
        )  # fmt: skip
        assert (row.inherited, row.against) == (trial.inherited, trial.against)
        assert columns.recipe(number) == trial.recipe.flat()
        rows = [[math.nan if value is None else value for value in point[:4]] for point in trial.curve.points]
        np.testing.assert_array_equal(columns.points(number), np.array(rows, dtype=float).reshape(-1, 4))
        assert row.loss == trial.loss


class Story:
    """Events as a study may write them, and as one that was killed may repeat them."""

    def __init__(self, draw):
        self.draw = draw
        self.fold = Fold()
        self.events = []

    def take(self, event):
        self.fold.take(event)
        self.events.append(event)

    def begin(self):
        known = list(self.fold.history.trials)
        number = len(known)
        source = self.draw.choice([None, *known]) if known else None
        kind = "start" if source is None else self.draw.choice(["start", "copy"])
        recipe = Recipe().but({"optimizer.lr": 10 ** self.draw.uniform(-4, -1), "epochs": self.draw.randint(1, 30)})
        origin = self.draw.choice(ORIGINS)
        decision = Decision(kind, number, "why", self.draw.randint(0, 9), recipe, origin, source)
        self.take(decision_event(decision))

    def measure(self, trial):
        first = max(1, trial.epochs + self.draw.choice([1, 1, 1, 0, -2]))
        lost = (None, 0.5, 1.0)
        points = [
            Point(epoch, self.draw.choice(lost) if self.draw.random() < 0.04 else 0.3, self.draw.random(), None)
            for epoch in range(first, first + self.draw.randint(0, 4))
        ]
        self.take(curve_event(trial.number, points))

    def step(self):
        trials = list(self.fold.history.trials.values())
        if not trials or self.draw.random() < 0.2:
            return self.begin()
        trial = self.draw.choice(trials)
        if self.draw.random() < 0.6:
            return self.measure(trial)
        if self.draw.random() < 0.2 and trial.curve.points:
            return self.take(early_stop_event(trial.number, self.draw.choice(trial.curve.points).epoch))
        kind = self.draw.choice(["continue", "pause", "stop", "complete"])
        return self.take(decision_event(Decision(kind, trial.number, "because", self.draw.randint(0, 9))))


@given(st.integers(0, 2**32), st.integers(1, 120))
@settings(max_examples=60)
def test_the_columns_tell_what_the_fold_tells(seed, length):
    story = Story(random.Random(seed))
    columns = Columns()
    for _ in range(length):
        story.step()
    for event in story.events:
        columns.after(event)
    assert_same(columns, story.fold.history, story.fold.epochs)


@pytest.mark.parametrize("name", ["pictures", "stopped", "table", "own"])
def test_a_followed_study_is_the_same_as_one_that_is_read_whole(tmp_path, name):
    with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
        archive.extractall(tmp_path)
    folder = next(path.parent for path in tmp_path.rglob("study.db"))
    with closing(open_record(folder, read_only=True)) as record:
        state = state_of(record)
    follower = Follower(folder, Followed())
    assert follower.catch_up()
    assert not follower.catch_up()
    followed = follower.followed
    assert_same(followed.columns, state.history, state.epochs)
    assert followed.cases == state.cases
    assert followed.state.findings == state.findings
    assert followed.state.result == state.result
    assert followed.state.used_s == state.used_s
    follower.close()


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (Event("curve", {"trial": 4, "points": [[1, 0.5, 0.5, 0.5]]}, 9), "no earlier event begins trial 4"),
        (Event("curve", {"trial": 0, "points": "many"}, 9), "is damaged"),
        (Event("decision", {"kind": "start", "trial": 0, "reason": "", "recipe": {}}, 9), "cannot start"),
        (Event("decision", {"kind": "dance", "trial": 0, "reason": ""}, 9), "is damaged"),
        (Event("early_stop", {"trial": 0, "best": 7, "reason": ""}, 9), "has not measured epoch 7"),
    ],
)
def test_an_event_that_does_not_fit_is_named(event, words):
    columns = Columns()
    columns.after(decision_event(Decision("start", 0, "why", 3, Recipe(), "default")))
    with pytest.raises(StorageError, match=words):
        columns.after(event)


def test_a_study_that_is_deleted_while_it_is_followed_is_said_to_be_gone(tmp_path):
    with zipfile.ZipFile(OLD / "stopped.zip") as archive:
        archive.extractall(tmp_path)
    folder = next(path.parent for path in tmp_path.rglob("study.db"))
    follower = Follower(folder, Followed())
    follower.catch_up()
    (folder / "study.db").rename(tmp_path / "elsewhere.db")
    with pytest.raises(StorageError, match="is gone"):
        follower.catch_up()


def test_a_study_is_followed_on_after_a_rest_and_another_one_in_its_place_is_not(tmp_path):
    for name in ("stopped", "table"):
        with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
            archive.extractall(tmp_path / name)
    folder, other = (next((tmp_path / name).rglob("study.db")).parent for name in ("stopped", "table"))
    follower = Follower(folder, Followed())
    follower.catch_up()
    follower.rest()
    before = follower.followed.seq
    with closing(open_record(folder, read_only=False)) as record:
        assert [event.id for event in record.each()][-1] == before
        record.append([Event("stopped", {"used_s": 1.0})])
    assert follower.catch_up()
    assert follower.followed.seq == before + 1
    follower.rest()
    (folder / "study.db").write_bytes((other / "study.db").read_bytes())  # which keeps the number of the file
    with pytest.raises(StorageError, match="another study than before"):
        follower.catch_up()
    assert follower.followed.seq == before + 1
