"""Workers that fine-tune one network together end where one ends, whichever of them dies, and whenever they are asked
to end."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

from made_text_models import made_table
from made_texts import made_encoder
from tame.core.errors import StoppedError
from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.data.sources import write_columns
from tame.kinds.tables.commands import Given
from tame.trial.commands import Asked, MemberOf, Note, PointMeasured, Saved, StateOf, Unsealed
from tame.trial.ranks import can_meet
from tame.worker.executor import Place
from tame.worker.pool import PoolExecutor
from tame.worker.process import ProcessExecutor

pytest.importorskip("tokenizers", reason="needs the package tokenizers (the extra 'text')")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_meet(), reason="processes of this system do not train together"),
]

NUM, EPOCHS, TRIAL, FOLDS = 40, 5, 7, [0, None]
RECIPE = Recipe().but({
    "table.texts": "encoder", "input.length": 8, "model.name": "linear", "model.unfrozen": 1, "batch_size": 16,
    "epochs": EPOCHS, "optimizer.lr": 1e-3, "optimizer.name": "nesterov", "schedule.name": "cosine",
})  # fmt: skip


class Workers:
    """Some workers that were given a table of texts, what they were told, and what they have said."""

    def __init__(self, folder, num, *, cache, hear=None, are_here=True):
        self.heard, self.restarts, self.each, self.told = [], [], {}, []
        self._hear = hear or (lambda workers, message: None)
        folder.mkdir()
        place = Place(cache=cache, study=folder / "study", share=1 if num > 1 else 0, kind="table")
        place.study.mkdir()

        def hire(number, *, hear, restarted):
            self.each[number] = worker = ProcessExecutor(place, hear=hear, log=None, restarted=restarted)
            carry_out = worker.carry_out

            def carried(call):
                self.told.append((number, call.name))
                return carry_out(call)

            worker.carry_out = carried
            return worker

        self.executor = (
            hire(0, hear=self.hear, restarted=self.restarts.append)
            if num == 1
            else PoolExecutor(hire, workers=num, hear=self.hear, restarted=self.restarts.append, are_here=are_here)
        )
        table = made_table(NUM)
        write_columns(folder / "columns.npz", table)
        encoder = str(made_encoder(folder / "encoder"))
        given = Given(
            files=(), arrays=str(folder / "columns.npz"), columns=table.columns, kept=(), encoder=encoder
        )  # fmt: skip
        self.commands = self.executor.commands
        self.commands.open("table", to_plain(given))
        self.commands.learn(
            Unsealed(
                rows=list(range(NUM)), targets=[i % 2 for i in range(NUM)], folds=[i % 3 for i in range(NUM)],
                num_classes=2, task="binary",
            )
        )  # fmt: skip

    def hear(self, message):
        self.heard.append(message)
        self._hear(self, message)

    def advance(self, until=EPOCHS):
        self.commands.advance(
            [Asked(trial=TRIAL, recipe=RECIPE)], folds=FOLDS, until=until, metric="accuracy", final=True
        )  # fmt: skip

    def of(self, kind):
        return [each for each in self.heard if isinstance(each, kind)]

    @property
    def points(self):
        return {each.point.epoch: each.point for each in self.of(PointMeasured)}

    @property
    def outputs(self):
        """Of the network that would be delivered, and of the validation, without any further training."""
        state = StateOf(trial=TRIAL, recipe=RECIPE, epochs=EPOCHS)
        said = len(self.heard)
        valid = self.commands.validation(state, folds=[0]).outputs
        self.commands.network([MemberOf(state, None)], labels=["no", "yes"])
        found = np.array(valid), np.array(self.commands.judge(list(range(NUM))))
        assert len(self.heard) == said, "nothing was trained again"
        return found

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.executor.close()


def require_same(workers, one):
    """float32: two processes add up in another order."""
    points, outputs = one
    assert list(workers.points) == list(points)
    for epoch, point in points.items():
        np.testing.assert_allclose(workers.points[epoch][1:4], point[1:4], rtol=1e-4)
    for found, wanted in zip(workers.outputs, outputs, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Where it is known that products are in float32: those in bfloat16 differ by more than the order of their sums."""
    folder = tmp_path_factory.mktemp("first")
    with Workers(folder / "study", 1, cache=folder / "cache") as workers:
        workers.advance(until=1)  # which measures it
    known = folder / "cache" / "machine.json"
    known.write_text(known.read_text().replace("true", "false"))
    return folder / "cache"


@pytest.fixture(scope="module")
def one(tmp_path_factory, cache):
    """What one worker says."""
    with Workers(tmp_path_factory.mktemp("one") / "alone", 1, cache=cache) as workers:
        workers.advance()
        return workers.points, workers.outputs


@pytest.mark.parametrize("num", [2, 3])
def test_workers_that_train_together_end_where_one_ends(num, one, cache, tmp_path):
    with Workers(tmp_path / "several", num, cache=cache) as workers:
        workers.advance(until=2)
        workers.advance()
        assert sorted(number for number, name in workers.told if name == "advance_together") == sorted(
            [*range(num)] * 2
        )
        require_same(workers, one)
        assert len(workers.of(PointMeasured)) == EPOCHS + 2, "the first one speaks for all, once an epoch"
        assert len(workers.of(Saved)) == 2
    kept = [path.name for path in (tmp_path / "several" / "study" / "checkpoints").iterdir()]
    assert len({name.split(".")[0] for name in kept}) == 1, "and writes for all"


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("epoch", [1, 3])
def test_one_that_dies_is_started_again_and_all_go_on(number, epoch, one, cache, tmp_path):
    killed = []

    def hear(workers, message):
        if isinstance(message, PointMeasured) and message.point.epoch == epoch and not killed:
            killed.append(workers.each[number].pid)
            os.kill(killed[0], signal.SIGKILL)

    with Workers(tmp_path / "several", 2, cache=cache, hear=hear) as workers:
        workers.advance(until=2)
        workers.advance()
        require_same(workers, one)
    assert workers.restarts == [f"worker {number + 1}: signal 9"]
    assert not workers.of(Note)


def test_where_one_dies_again_and_again_another_goes_on_alone(one, cache, tmp_path):
    def hear(workers, message):
        if isinstance(message, PointMeasured) and workers.told[-1][1] == "advance_together":
            os.kill(workers.each[1].pid, signal.SIGKILL)

    with Workers(tmp_path / "several", 2, cache=cache, hear=hear) as workers:
        workers.advance()
        require_same(workers, one)
    assert len(workers.restarts) == 4
    (note,) = workers.of(Note)
    assert note.text.startswith(f"one worker goes on alone with trial {TRIAL}: ")


@pytest.mark.parametrize("after", [1, 3])
def test_all_end_when_they_are_asked_to_and_go_on_from_there(after, one, cache, tmp_path):
    def hear(workers, message):
        if isinstance(message, PointMeasured) and len(workers.points) == after and len(workers.of(Saved)) == 0:
            workers.executor.interrupt()

    with Workers(tmp_path / "several", 2, cache=cache, hear=hear) as workers:
        with pytest.raises(StoppedError):
            workers.advance()
        assert len(workers.points) < EPOCHS
        assert not workers.restarts
        workers.advance()
        require_same(workers, one)


def test_workers_on_several_machines_leave_it_to_one(one, cache, tmp_path):
    with Workers(tmp_path / "several", 2, cache=cache, are_here=False) as workers:
        workers.advance()
        assert not [name for _, name in workers.told if name == "advance_together"]
        require_same(workers, one)
