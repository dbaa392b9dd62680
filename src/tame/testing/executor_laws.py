"""The laws of executors: each carries out the same commands with the same messages and answers, and what it is told
lasts, whatever happens to its processes.

Each law takes a `Start`, which makes an executor of the kind, and an empty folder. The data is small and of the kind
"arrays".
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np

from tame.core.errors import StoppedError, UsageError
from tame.core.files import replacing, write_text
from tame.core.recipe import Recipe
from tame.trial.commands import Asked, Commands, MemberOf, Message, Outputs, PointMeasured, StateOf, Unsealed
from tame.worker.executor import Executor, Hear, Place
from tame.worker.inline import InlineExecutor

NUM, CLASSES = 24, 3
RECIPE = Recipe().but({"model.name": "own", "batch_size": 8, "epochs": 2})
EXAMPLES = Unsealed(
    rows=list(range(NUM)), targets=[i % CLASSES for i in range(NUM)], folds=[i % 2 for i in range(NUM)],
    num_classes=CLASSES, task="multiclass",
)  # fmt: skip
MODEL = "import torch\ndef build():\n    torch.manual_seed(0)\n    return torch.nn.Linear(5, 3)\n"
TOLERANCE = 1e-5  # of float32 values; the engine is chosen by measuring, and two may differ in their last bits


class Start(Protocol):
    """Starts an executor."""

    def __call__(self, place: Place, *, hear: Hear) -> Executor: ...


Law = Callable[[Start, Path], None]


def messages_and_answers_are_those_of_the_plain_one(start: Start, folder: Path) -> None:
    own, plain = _story(start, folder / "own"), _story(InlineExecutor, folder / "plain")
    _require_same(own[0], plain[0])
    np.testing.assert_allclose(own[1], plain[1], rtol=TOLERANCE, atol=TOLERANCE)


def what_it_was_told_outlives_its_process(start: Start, folder: Path) -> None:
    """Data, examples and the network that is delivered: the next process is told all of it again."""
    with _opened(start, folder, lambda message: None) as (executor, commands):
        _advance(commands, until=2)
        commands.network([MemberOf(StateOf(trial=0, recipe=RECIPE, epochs=2), 0)], labels=("a", "b", "c"))
        before = commands.judge([0, 1, 2])
        _kill(executor)
        np.testing.assert_allclose(commands.judge([0, 1, 2]), before, rtol=TOLERANCE, atol=TOLERANCE)


def a_process_that_is_killed_changes_no_point(start: Start, folder: Path) -> None:
    heard: list[Message] = []
    with _opened(start, folder, heard.append) as (executor, commands):
        _advance(commands, until=1)
        _kill(executor)
        _advance(commands, until=2)
    last = {each.point.epoch: each for each in _points(heard)}  # a checkpoint's points are said again
    _require_same(list(last.values()), _story(InlineExecutor, folder / "plain")[0])


def what_comes_late_is_not_taken_for_what_was_asked_since(start: Start, folder: Path) -> None:
    """Who hears may fail in the middle of a command: its other messages and its answer are then of no use."""
    heard: list[Message] = []

    def hear(message: Message) -> None:
        heard.append(message)
        if isinstance(message, PointMeasured) and len(_points(heard)) == 1:
            raise OSError("the disk is full")

    with _opened(start, folder, hear) as (_, commands):
        assert _raised(OSError, lambda: _advance(commands, until=2)) == "the disk is full"
        assert "model.name is 'own'" in _raised(UsageError, lambda: commands.check([Recipe()]))
        assert len(_points(heard)) == 1, "the second epoch is not said on another command"
        _advance(commands, until=2)
    assert _points(heard)[-1].point.epoch == 2


def an_error_is_raised_as_it_was_and_the_next_command_is_carried_out(start: Start, folder: Path) -> None:
    with _opened(start, folder, lambda message: None) as (_, commands):
        said = _raised(UsageError, lambda: commands.check([Recipe()]))
        assert "model.name is 'own' with a module of your own" in said
        commands.check([RECIPE])


def what_a_model_takes_is_measured_without_training_it(start: Start, folder: Path) -> None:
    labels, heard = ("a", "b", "c"), list[Message]()
    with _opened(start, folder, heard.append) as (_, commands):
        one, two = (commands.price([RECIPE] * many, fold=0, labels=labels, row=0) for many in (1, 2))
        assert one.latency_s > 0
        assert 0 < one.size_bytes < two.size_bytes, "two networks take more room than one"
        _advance(commands, until=2)
    _require_same(_points(heard), _story(InlineExecutor, folder / "plain")[0])


def a_stop_ends_the_next_command_too(start: Start, folder: Path) -> None:
    with _opened(start, folder, lambda message: None) as (executor, commands):
        executor.stop()
        for _ in range(2):
            assert _raised(StoppedError, lambda: _advance(commands, until=2)) == "stopped by the user"


LAWS: tuple[Law, ...] = (
    messages_and_answers_are_those_of_the_plain_one,
    what_it_was_told_outlives_its_process,
    a_process_that_is_killed_changes_no_point,
    what_comes_late_is_not_taken_for_what_was_asked_since,
    an_error_is_raised_as_it_was_and_the_next_command_is_carried_out,
    what_a_model_takes_is_measured_without_training_it,
    a_stop_ends_the_next_command_too,
)


def _points(heard: Sequence[Message]) -> list[PointMeasured]:
    return [each for each in heard if isinstance(each, PointMeasured)]


def _require_same(found: Sequence[PointMeasured], wanted: Sequence[PointMeasured]) -> None:
    """The same trials and epochs in the same order, with the same values."""
    assert [(each.trial, each.point.epoch) for each in found] == [(each.trial, each.point.epoch) for each in wanted]
    values, others = (np.array([each.point[1:4] for each in one], dtype=float) for one in (found, wanted))
    np.testing.assert_allclose(values, others, rtol=TOLERANCE, atol=TOLERANCE)


def _story(start: Start, folder: Path) -> tuple[Sequence[PointMeasured], Outputs]:
    """The points that are heard while a trial trains for two epochs, and what it says of its validation examples."""
    heard: list[Message] = []
    with _opened(start, folder, heard.append) as (_, commands):
        _advance(commands, until=2)
        outputs = commands.validation(StateOf(trial=0, recipe=RECIPE, epochs=2), folds=[0]).outputs
    return _points(heard), outputs


@contextmanager
def _opened(start: Start, folder: Path, hear: Hear) -> Iterator[tuple[Executor, Commands]]:
    """An executor that was given the data and the examples."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder, "x.npy") as file:
        np.save(file, np.random.default_rng(0).normal(size=(NUM, 5)).astype(np.float32))
    write_text(folder, "own.py", MODEL)
    executor = start(Place(cache=folder / "cache", study=folder / "study"), hear=hear)
    try:
        given = {"file": str(folder / "x.npy"), "build": f"{folder / 'own.py'}:build"}
        executor.commands.open("arrays", given)
        executor.commands.learn(EXAMPLES)
        yield executor, executor.commands
    finally:
        executor.close()


def _advance(commands: Commands, *, until: int) -> None:
    asked = [Asked(trial=0, recipe=RECIPE)]
    commands.advance(asked, folds=[0], until=until, metric="accuracy", final=False)


def _raised(kind: type[BaseException], do: Callable[[], object]) -> str:
    """The message of the error of this kind that something raises, as it must."""
    try:
        do()
    except kind as problem:
        return str(problem)
    raise AssertionError(f"{kind.__name__} was not raised")


def _kill(executor: Executor) -> None:
    """Kills the process that trains, where it is another one."""
    if executor.pid != os.getpid():
        os.kill(executor.pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows, SIGTERM ends it at once
