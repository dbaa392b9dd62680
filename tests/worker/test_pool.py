"""Several workers say what one says, whichever of them die, and whenever. How they are processes, the laws know."""

from __future__ import annotations

import json
import os
import signal

import numpy as np
import pytest

from measurers import ALONE, TOGETHER
from tame.core.errors import StoppedError, UsageError
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.data.sources import write_columns
from tame.data.tables import Column, Table
from tame.kinds.tables.commands import Given
from tame.trial.commands import (
    Asked,
    AskedCopy,
    Chosen,
    EngineMeasured,
    How,
    MemberOf,
    Note,
    PointMeasured,
    StateOf,
    Unsealed,
)
from tame.worker.client import Client
from tame.worker.executor import Place, WorkerLostError
from tame.worker.pool import PoolExecutor
from tame.worker.process import ProcessExecutor
from tame.worker.trainer import Trainer
from tame.worker.wire import carry_out, handlers_of

pytestmark = pytest.mark.usefixtures("one_thread")

NUM, EPOCHS, FOLDS = 60, 4, [0, None]
BASE = {"model.name": "mlp", "model.depth": 1, "batch_size": 16, "epochs": EPOCHS, "schedule.name": "cosine"}
RECIPES = {
    number: Recipe().but({**BASE, "model.width": 4 + 4 * (number % 2), "optimizer.lr": 1e-3 * (1 + number)})
    for number in range(6)
}


class Here:
    """A worker in this process. dies_at: at so many of its words it dies for good, and nothing more is kept."""

    def __init__(self, place, *, hear, measurer=TOGETHER, dies_at=None):
        self.commands = Client(self.carry_out)
        self.pid, self.hear, self.words, self.dies_at = 0, hear, 0, dies_at
        self.is_dead = self.is_stopped = self.is_interrupted = self.is_anew = False
        self._handlers = handlers_of(
            Trainer(
                cache=place.cache, study=place.study, share=place.share, measured=place.measured, emit=self._emit,
                measurer=measurer,
            )
        )  # fmt: skip

    def stop(self):
        self.is_stopped = True

    def interrupt(self):
        self.is_interrupted = True

    def close(self):
        pass

    def begin_anew(self):
        self.is_anew = True

    def carry_out(self, call):
        self.is_interrupted = False
        if self.is_dead:
            raise WorkerLostError("dead")
        return json.loads(json.dumps(carry_out(self._handlers, call), allow_nan=False))

    def _emit(self, message):
        self.words += 1
        self.is_dead = self.is_dead or self.words == self.dies_at
        if self.is_dead:
            raise WorkerLostError("dead")
        self.hear(message)
        if self.is_stopped or self.is_interrupted:
            raise StoppedError("stopped by the user")


class Workers:
    """Some workers of a study on a small table, one alone being no pool, and what they have said."""

    def __init__(self, folder, num, *, deaths=(), measurer=TOGETHER, hear=None, are_processes=False):
        self.heard, self.each, self.restarts = [], {}, []
        take = self.heard.append if hear is None else lambda message: hear(self, message)
        place = Place(cache=folder / "cache", study=folder / "study", share=1 if num > 1 else 0)
        place.study.mkdir(parents=True)

        def hire(number, *, hear, restarted):
            if are_processes:
                self.each[number] = ProcessExecutor(place, hear=hear, log=None, restarted=restarted)
                return self.each[number]
            dies_at = deaths[number] if number < len(deaths) else None
            self.each[number] = Here(place, hear=hear, measurer=measurer, dies_at=dies_at)
            return self.each[number]

        self.executor = (
            hire(0, hear=take, restarted=pytest.fail)
            if num == 1
            else PoolExecutor(hire, workers=num, hear=take, restarted=self.restarts.append)
        )
        rng = np.random.default_rng(0)
        values = {name: rng.normal(size=NUM) for name in "ab"}
        table = Table(tuple(Column(name, "number", "") for name in values), values, NUM)
        write_columns(folder / "columns.npz", table)
        given = Given(files=(), arrays=str(folder / "columns.npz"), columns=table.columns, kept=())
        self.commands.open("table", to_plain(given))
        self.commands.learn(
            Unsealed(
                rows=list(range(NUM)), targets=[int(each > 0) for each in values["a"]],
                folds=[i % 3 for i in range(NUM)], num_classes=2, task="binary",
            )
        )  # fmt: skip

    @property
    def commands(self):
        return self.executor.commands

    def advance(self, trials, until, *, final=False, inherited=0, how=None):
        asked = [
            Asked(trial=n, recipe=RECIPES[n % 6], how=how or self.hows.get(n), inherited=inherited if n >= 6 else 0)
            for n in trials
        ]
        return self.commands.advance(asked, folds=FOLDS, until=until, metric="accuracy", final=final)

    @property
    def hows(self):
        return {trial: said.how for said in self.heard if isinstance(said, Chosen) for trial in said.trials}

    @property
    def points(self):
        said = [each for each in self.heard if isinstance(each, PointMeasured)]
        return {(each.trial, each.point.epoch): each.point for each in said}

    def of(self, kind):
        return [each for each in self.heard if isinstance(each, kind)]


def search(workers, how=None):
    """Three rounds of a search, the later ones of fewer trials. how: in which way all are trained, if it is given."""
    rounds = ((range(6), 1), ([0, 1, 2, 4], 2), ([0, 1, 4], EPOCHS))
    answers = [workers.advance(trials, until, how=how) for trials, until in rounds]
    return workers.points, answers[-1].engines


@pytest.fixture(scope="module")
def alone(tmp_path_factory, one_thread):
    """What one worker says."""
    workers = Workers(tmp_path_factory.mktemp("alone") / "one", 1)
    return workers, *search(workers)


@pytest.mark.parametrize("num", [2, 4])
def test_several_workers_say_what_one_says(alone, num, tmp_path):
    one, points, engines = alone
    workers = Workers(tmp_path / "several", num)
    assert search(workers) == (points, engines)
    assert workers.of(Chosen) == one.of(Chosen)
    assert workers.of(EngineMeasured) == one.of(EngineMeasured), "measured once, whoever trains"
    assert sum(each.words > 0 for each in workers.each.values()) == num, "all have trained"


@pytest.mark.sampled(6)
@pytest.mark.parametrize("moment", range(1, 51))
def test_a_worker_that_dies_at_any_moment_changes_no_point(alone, moment, tmp_path):
    """One that others take the place of. The lead's moments are words too: of what it measures, of what it chooses."""
    _, points, _ = alone
    deaths = [None, None, None]
    deaths[moment % 3] = 1 + moment // 3
    workers = Workers(tmp_path / "several", 3, deaths=deaths)
    assert search(workers)[0] == points
    dead = [number for number, each in workers.each.items() if each.is_dead]
    told = [note.text for note in workers.of(Note)]
    assert told == [f"worker {number + 1} is given up, 2 others go on: dead" for number in dead]


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(1, 26, 3))
def test_a_process_that_is_killed_at_any_moment_changes_no_point(alone, moment, tmp_path):
    """It begins again, and goes on from its checkpoints. The lead is killed too."""
    _, points, _ = alone
    killed = []

    def hear(workers, message):
        workers.heard.append(message)
        if len(workers.of(PointMeasured)) == moment and not killed:
            killed.append(workers.each[moment % 2].pid)
            os.kill(killed[0], signal.SIGKILL)

    workers = Workers(tmp_path / "several", 2, hear=hear, are_processes=True)
    try:
        assert search(workers, How(stacked=True))[0] == points
    finally:
        workers.executor.close()
    assert killed
    assert set(workers.restarts) <= {f"worker {moment % 2 + 1}: signal 9"}


def test_a_round_ends_with_the_death_of_all_but_one(alone, tmp_path):
    _, points, _ = alone
    workers = Workers(tmp_path / "several", 4, deaths=[9, 2, 1])
    assert search(workers)[0] == points
    assert [each.is_dead for each in workers.each.values()] == [True, True, True, False]
    assert workers.of(Note)[-1].text == "worker 1 is given up, one other goes on: dead"
    assert workers.each[3].is_anew, "the new lead begins with what was measured"


def test_the_death_of_all_ends_the_study(tmp_path):
    workers = Workers(tmp_path / "several", 2, deaths=[9, 2])
    with pytest.raises(WorkerLostError, match="dead"):
        search(workers)
    with pytest.raises(WorkerLostError, match="dead"):
        workers.advance([0], EPOCHS)


def test_what_a_given_up_worker_says_late_is_refused(tmp_path):
    workers = Workers(tmp_path / "several", 2, deaths=[None, 2])
    workers.advance(range(6), 1)
    assert workers.each[1].is_dead
    before = len(workers.heard)
    with pytest.raises(WorkerLostError, match="worker 2 was given up"):
        workers.each[1].hear(Note("late"))
    assert len(workers.heard) == before


@pytest.mark.parametrize("how", ["interrupt", "stop", "error"])
@pytest.mark.parametrize("after", [1, 4, 9])
def test_an_end_in_the_middle_keeps_what_was_measured(alone, how, after, tmp_path):
    """What is said until all have ended is heard, and what goes on afterwards goes on from there."""
    _, points, _ = alone

    done = []

    def hear(workers, message):
        workers.heard.append(message)
        if len(workers.points) < after or done:
            return
        done.append(message)
        if how == "error":
            raise OSError("the disk is full")
        getattr(workers.executor, how)()

    workers = Workers(tmp_path / "several", 2, hear=hear)
    with pytest.raises(OSError if how == "error" else StoppedError):
        search(workers)
    assert len(workers.points) >= after
    if how == "stop":
        with pytest.raises(StoppedError):
            workers.advance(range(6), 1)
        return
    assert search(workers)[0] == points


def test_an_error_of_one_ends_the_round_and_not_the_study(tmp_path):
    workers = Workers(tmp_path / "several", 2)
    workers.advance(range(6), 1)
    wrong = Asked(trial=7, recipe=RECIPES[0], inherited=3)
    with pytest.raises(Exception, match="the weights that trial 7 has from its parent are lost"):
        workers.commands.advance([wrong], folds=FOLDS, until=4, metric="accuracy", final=False)
    with pytest.raises(UsageError, match="no model of tables named 'none'"):
        workers.commands.check([RECIPES[0].but({"model.name": "none"})])
    workers.advance([0, 1], 2)
    assert (0, 2) in workers.points


@pytest.mark.parametrize("measurer", [TOGETHER, ALONE], ids=["together", "one by one"])
@pytest.mark.parametrize("final", [True, False])
def test_a_network_is_judged_with_its_own_weights_whoever_trained_it(final, measurer, tmp_path):
    """Also where they were not kept in a checkpoint: whoever has them hands them over."""
    said = []
    for num in (1, 3):
        workers = Workers(tmp_path / str(num), num, measurer=measurer)
        workers.advance(range(6), EPOCHS, final=final)
        states = [StateOf(trial=n, recipe=RECIPES[n], epochs=EPOCHS, how=workers.hows[n]) for n in range(6)]
        valid = [workers.commands.validation(state, folds=[0]).outputs for state in states]
        words = sum(each.words for each in workers.each.values())
        workers.commands.train_again([MemberOf(states[2], None), MemberOf(states[3], None)])
        workers.commands.network([MemberOf(states[2], None), MemberOf(states[3], None)], labels=["no", "yes"])
        assert sum(each.words for each in workers.each.values()) == words, "nothing was trained again"
        said.append((valid, workers.commands.judge(list(range(NUM)))))
    assert said[0] == said[1]


def test_copies_begin_with_the_weights_of_their_parents_whoever_trained_them(tmp_path):
    said = []
    for num in (1, 3):
        workers = Workers(tmp_path / str(num), num)
        workers.advance(range(6), 2)
        copies = [AskedCopy(trial=n, recipe=RECIPES[n % 6], source=n - 6, epoch=2) for n in (7, 8, 11)]
        workers.commands.copy(copies, folds=FOLDS)
        workers.advance([0, 1, 2], 3)  # which leaves them at different epochs
        workers.advance([0, 1, 2, 7, 8, 11], EPOCHS, inherited=2)
        said.append(workers.points)
    assert said[0] == said[1]


def test_trials_that_will_not_continue_are_forgotten_by_all(tmp_path):
    workers = Workers(tmp_path / "several", 2)
    workers.advance(range(6), 1)
    workers.commands.forget([1, 3, 5], keep=[0, 2, 4])
    workers.advance([0, 2, 4], 2)
    workers.commands.forget(list(range(6)), keep=[])
    workers.advance([6], 1)
    kept = sorted(path.name for path in (tmp_path / "several" / "study" / "checkpoints").iterdir())
    assert len(kept) == 1, kept
