"""Steps that are played back without Python give to the last bit what the same steps give that are written in it."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.pictures.tasks import FeatureTask
from tame.kinds.tables.material import TableTask
from tame.parts.mlp import Columns
from tame.parts.optimizer_rules import FUSED_FROM
from tame.parts.optimizers import OPTIMIZERS
from tame.trial import traced
from tame.trial.population import Examples, Member
from tame.trial.stacked import Stacked
from tame.trial.traced import Steps, Traces

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
NUM, WIDTH = 37, 5  # batches of 8: four whole ones and one of 5
NEVER = 10**9
BY_STEPS = [name for name in OPTIMIZERS.names() if OPTIMIZERS.get(name).slots is not None]


def examples_of(*, folds=2, together=True, numbers=False):
    rng = stream(0, "target")
    target = torch.from_numpy(rng.normal(size=NUM) if numbers else rng.integers(3, size=NUM))
    fold = torch.arange(NUM) % folds - (1 if folds == 1 else 0)
    scaling = {None: (0.1, 1.3), 0: (0.2, 1.1), 1: (0.3, 0.9)} if numbers else None
    return Examples(target, fold, 0 if numbers else 3, together, scaling=scaling)


def rows_of(dtype):
    return torch.from_numpy(stream(0, "rows").normal(size=(NUM, WIDTH))).to(dtype)


def recipes_of(changes):
    base = Recipe().but(
        {"model.name": "mlp", "model.width": 7, "model.depth": 2, "batch_size": 8, "epochs": 4, "seed": 3}
        | {"optimizer.lr": 0.02, "optimizer.weight_decay": 0.1, "schedule.name": "linear"} | changes
    )  # fmt: skip
    return base, base.but({"optimizer.lr": 0.003, "optimizer.momentum": 0.5}), base.but({"optimizer.weight_decay": 0.0})


def trained(task, recipes, traces, *, folds=(0, 1, None)):
    members = [Member(i, folds[i % len(folds)], recipe) for i, recipe in enumerate(recipes)]
    engine, losses = Stacked(task, traces), []
    population = engine.start(members)
    for epoch in (1, 2, 3):  # as a unit advances them: one epoch after another
        population = engine.advance(population, until=epoch, watch=lambda _, seen: losses.append(seen))
    return population, losses


def assert_same(task, changes, **how):
    """Returns how many kinds of steps were traced."""
    traces = Traces(after=1)
    recipes = recipes_of(changes)
    (slow, of_slow), (fast, of_fast) = (
        trained(task, recipes, Traces(NEVER), **how),
        trained(task, recipes, traces, **how),
    )
    assert slow.tensors.keys() == fast.tensors.keys()
    for name, value in slow.tensors.items():
        assert torch.equal(value, fast.tensors[name]), name
    for one, other in zip(of_slow, of_fast, strict=True):
        assert torch.equal(one.outputs, other.outputs)
        assert torch.equal(one.train_loss, other.train_loss)
    assert all(found is not None for found in traces._known.values()), "a trace that is not exact"
    return len(traces._known)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("norm", ["none", "layer", "batch"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS.names())
def test_a_trace_gives_the_same_with_every_optimizer_and_norm(optimizer, norm, dtype):
    task = TableTask(rows_of(dtype), Columns(WIDTH), examples_of(), CPU)
    count = assert_same(task, {"optimizer.name": optimizer, "model.norm": norm, "model.dropout": 0.3})
    assert count == (2 if optimizer in BY_STEPS else 0)  # whole batches and the last one


@pytest.mark.parametrize(
    "changes",
    [
        {"model.residual": True, "model.depth": 3},
        {"loss.label_smoothing": 0.2},
        {"loss.class_weights": "balanced"},
        {"optimizer.clip_norm": 0.5, "optimizer.clip_value": 0.1},
        {"regularize.max_norm": 0.7},
        {"regularize.ema": 0.9},
        {"augment.noise": 0.2},
        {"schedule.name": "plateau"},
        {"batch_size": "all"},
        {"then.start": 0.5, "then.optimizer": "momentum"},
    ],
    ids=str,
)
def test_a_trace_gives_the_same_with_all_that_a_step_may_do(changes):
    task = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU)
    assert assert_same(task, changes, folds=(0,)) > 0


@pytest.mark.parametrize("together", [True, False])
def test_a_trace_gives_the_same_for_numbers(together):
    task = TableTask(rows_of(torch.float64), Columns(WIDTH), examples_of(numbers=True, together=together), CPU)
    assert assert_same(task, {"loss.name": "mse"}, folds=(0, 1, None) if together else (0,)) > 0


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adagrad", "momentum"])
def test_a_trace_gives_the_same_for_members_that_are_stepped_one_by_one(optimizer):
    task = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU)
    wide = Recipe().but({"model.name": "mlp", "model.width": 70})
    assert sum(value.numel() for value in task.build(Member(0, 0, wide)).parameters()) >= FUSED_FROM
    assert assert_same(task, {"optimizer.name": optimizer, "model.width": 70, "model.dropout": 0.3}) > 0


def test_a_trace_gives_the_same_for_heads():
    features = torch.from_numpy(stream(0, "features").normal(size=(2, NUM, WIDTH))).float()
    task = FeatureTask(features, examples_of(), CPU)
    changes = {"model.name": "head", "model.hidden": 6, "model.dropout": 0.4, "input.views": 2}
    assert assert_same(task, changes) > 0
    assert assert_same(task, changes | {"model.hidden": 0}) > 0


@pytest.mark.parametrize(
    "changes",
    [{"model.activation": "gelu"}, {"regularize.l2": 0.1}, {"regularize.mixup": 0.4}, {"loss.name": "focal"}],
    ids=str,
)
def test_what_needs_autograd_or_other_chance_is_not_traced(changes):
    task = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU)
    assert assert_same(task, changes, folds=(0,)) == 0


def test_traces_are_shared_by_groups_of_a_kind_whatever_their_settings():
    task, traces = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU), Traces(after=0)
    trained(task, recipes_of({"model.dropout": 0.3}), traces)
    made = dict(traces._known)
    other = {"model.dropout": 0.1, "optimizer.lr": 0.5, "loss.label_smoothing": 0.0, "optimizer.beta2": 0.9}
    slow, _ = trained(task, recipes_of(other), Traces(NEVER))
    fast, _ = trained(task, recipes_of(other), traces)
    assert traces._known == made
    for name, value in slow.tensors.items():
        assert torch.equal(value, fast.tensors[name]), name


def test_a_step_is_traced_when_it_was_made_often_enough():
    traces, calls = Traces(after=2), []

    def move(tensors):
        calls.append(1)
        return tensors["a"].mul_(tensors["b"]).sum()

    steps = Steps(traces, "kind", move, {"a": torch.ones(3)})
    found = [float(steps({"b": torch.full((1, 3), 2.0)})) for _ in range(5)]
    assert found == [6.0, 12.0, 24.0, 48.0, 96.0]
    assert len(calls) == 2 + 2  # two as written, one to trace it and one to try the trace; then none


def test_a_step_that_reads_a_number_is_never_run_as_a_trace():
    def move(tensors):
        return tensors["a"].mul_(float(tensors["b"][0])).sum()

    steps = Steps(Traces(after=0), "kind", move, {"a": torch.ones(3)})
    assert [float(steps({"b": torch.full((1, 1), value)})) for value in (2.0, 3.0, 0.5)] == [6.0, 18.0, 9.0]


@pytest.mark.parametrize("after", [0, 2, NEVER])
def test_several_steps_in_one_call_are_the_same_steps(after):
    steps = Steps(Traces(after), "kind", lambda tensors: tensors["a"].mul_(tensors["b"]).sum(), {"a": torch.ones(3)})
    rows = torch.arange(1.0, 7.0)[:, None]
    found = torch.cat([steps({"b": rows[:1]}), steps({"b": rows[1:4]}), steps({"b": rows[4:]})])
    assert found.tolist() == [3.0, 6.0, 18.0, 72.0, 360.0, 2160.0]


def test_a_trace_keeps_nothing_of_the_population_that_it_was_made_with():
    task, traces = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU), Traces(after=0)
    trained(task, recipes_of({}), traces)
    inputs = weakref.ref(task.x)
    del task
    gc.collect()
    assert traces._known
    assert inputs() is None


def test_no_more_traces_are_made_than_are_worth_it(monkeypatch):
    monkeypatch.setattr(traced, "MOST", 3)
    traces = Traces(after=0)
    for size in range(1, 8):
        found = Steps(traces, f"kind {size}", lambda tensors: tensors["a"].sum(), {})({"a": torch.ones(1, size)})
        assert found.tolist() == [size]
    assert len(traces._known) == 3


def test_a_trace_serves_other_sizes_where_it_gives_the_same():
    traces = Traces(after=0)
    for size in (3, 5):
        sums = Steps(traces, "sum", lambda tensors: tensors["a"].sum(), {})
        means = Steps(traces, "mean", lambda tensors: tensors["a"].sum() / len(tensors["a"]), {})  # a constant to torch
        assert sums({"a": torch.ones(1, size)}).tolist() == [size]
        assert means({"a": torch.ones(1, size)}).tolist() == [1.0]
    assert {kind: len(made) for kind, made in traces._made.items()} == {"sum": 1, "mean": 2}


def test_members_of_other_sizes_share_a_trace_and_are_trained_the_same():
    task, traces = TableTask(rows_of(torch.float32), Columns(WIDTH), examples_of(), CPU), Traces(after=0)
    for width, batch in ((6, 16), (9, 16), (6, 25)):
        recipes = recipes_of({"model.width": width, "batch_size": batch, "model.dropout": 0.2})
        (slow, of_slow), (fast, of_fast) = trained(task, recipes, Traces(NEVER)), trained(task, recipes, traces)
        for name, value in slow.tensors.items():
            assert torch.equal(value, fast.tensors[name]), name
        assert all(torch.equal(a.outputs, b.outputs) for a, b in zip(of_slow, of_fast, strict=True))
    assert sum(map(len, traces._made.values())) == 1
    assert len(traces._known) > 3, "each with its last batch, which is smaller"
