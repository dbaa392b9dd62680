"""Weights of examples: what a plain loop of torch does with them, in both engines, and what they mean."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tame.core.recipe import Recipe
from tame.kinds.arrays.material import OwnTask
from tame.kinds.tables.material import TableTask
from tame.parts.mlp import Columns
from tame.trial.commands import Unsealed
from tame.trial.draws import epoch_batches
from tame.trial.population import Examples, Measured, Member, built
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked
from tame.trial.training_material import examples_of, scaled
from tame.trial.unit import judged

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
N = 24
X = RNG.normal(size=(N, 3)).astype(np.float32)
CODES = torch.from_numpy((X[:, 0] + X[:, 1] > 0).astype(np.int64))
NUMBERS = torch.from_numpy(X[:, 0] * 3 + RNG.normal(size=N))
WEIGHT = torch.from_numpy(RNG.uniform(0.2, 4.0, N))
TWICE = torch.from_numpy(RNG.integers(1, 4, N).astype(np.float64))  # how often a row is there
PLAIN = {
    "optimizer.name": "sgd", "optimizer.lr": 0.2, "optimizer.weight_decay": 0.0, "optimizer.momentum": 0.0,
    "schedule.name": "constant", "schedule.warmup": 0.0, "batch_size": "all", "epochs": 3, "seed": 3,
    "loss.label_smoothing": 0.0,
}  # fmt: skip
OWN = Recipe().but({**PLAIN, "model.name": "own"})
TABLE = Recipe().but({**PLAIN, "model.name": "mlp", "model.width": 8, "model.depth": 1, "model.dropout": 0.0})


def examples(target: torch.Tensor, weight: torch.Tensor | None, **more: object) -> Examples:
    return Examples(target, torch.full((len(target),), -1), 2 if target.dtype == torch.int64 else 0, weight=weight,
                    **more)  # type: ignore[arg-type]  # fmt: skip


def own_task(x: np.ndarray, about: Examples, width: int = 2) -> OwnTask:
    return OwnTask(x, lambda: nn.Linear(3, width), replace(about, together=False), CPU)


def table_task(x: np.ndarray, about: Examples) -> TableTask:
    return TableTask(torch.from_numpy(x), Columns(3), about, CPU)


def trained(engine: Serial | Stacked, recipe: Recipe, *, fold: int | None = None):
    seen = []
    population = engine.start([Member(0, fold, recipe)])
    population = engine.advance(population, until=recipe.epochs, watch=lambda _, each: seen.append(each))
    return engine.module(population, 0), seen


@pytest.mark.parametrize("batch", ["all", 7])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse", "mae"])
def test_the_reference_engine_does_what_a_plain_loop_of_torch_does(loss, batch):
    classes = loss == "cross_entropy"
    about = examples(CODES if classes else NUMBERS, WEIGHT)
    recipe = OWN.but({"loss.name": loss, "batch_size": batch})
    task = own_task(X, about if classes else scaled(about, recipe), 2 if classes else 1)
    module, seen = trained(Serial(task), recipe)

    plain = built(task, Member(0, None, recipe))
    middle = np.average(NUMBERS.numpy(), weights=WEIGHT.numpy())
    spread = np.sqrt(np.average((NUMBERS.numpy() - middle) ** 2, weights=WEIGHT.numpy()))
    optimizer, told = torch.optim.SGD(plain.parameters(), lr=0.2), []
    for epoch in range(1, recipe.epochs + 1):
        total = 0.0
        for rows in epoch_batches(recipe.seed, epoch, torch.arange(N), recipe.batch(N)):
            said, weight = plain(torch.from_numpy(X)[rows]), WEIGHT[rows].float()
            if classes:
                each = nn.functional.cross_entropy(said, CODES[rows], reduction="none")
            else:
                apart = said[:, 0] - ((NUMBERS[rows] - middle) / spread).float()
                each = apart.square() if loss == "mse" else apart.abs()
            mean = (weight * each).sum() / weight.sum()
            optimizer.zero_grad()
            mean.backward()
            optimizer.step()
            total += float(mean.detach()) * float(weight.sum())
        told.append(total / float(WEIGHT.sum()))
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(module.state_dict()[name], value, rtol=1e-5, atol=1e-6)  # float32
    assert [float(each.train_loss) for each in seen] == pytest.approx(told, rel=1e-5)


@pytest.mark.parametrize("kind", ["own", "serial", "stacked"])
@pytest.mark.parametrize("regression", [False, True])
def test_a_weight_of_two_is_a_row_that_is_there_twice(kind, regression):
    """Exact where a batch holds all rows."""
    target = NUMBERS if regression else CODES
    copies = np.repeat(np.arange(N), TWICE.numpy().astype(int))
    found = []
    for x, about in ((X, examples(target, TWICE)), (X[copies], examples(target[copies], None))):
        recipe = (OWN if kind == "own" else TABLE).but({"loss.name": "mse"} if regression else {})
        own = scaled(about, recipe)
        task = own_task(x, own, 1 if regression else 2) if kind == "own" else table_task(x, own)
        module, seen = trained(Stacked(task) if kind == "stacked" else Serial(task), recipe)
        found.append((module.eval()(torch.from_numpy(X)), seen[-1].train_loss))
    torch.testing.assert_close(*(each[0] for each in found), rtol=1e-5, atol=1e-5)  # float32
    torch.testing.assert_close(*(each[1] for each in found), rtol=1e-5, atol=1e-5)
    unweighted, _ = trained(Serial(task_of_none(kind, target, regression)), recipe)
    assert not torch.allclose(unweighted.eval()(torch.from_numpy(X)), found[0][0], atol=1e-3)


def task_of_none(kind: str, target: torch.Tensor, regression: bool):
    own = scaled(examples(target, None), OWN)
    return own_task(X, own, 1 if regression else 2) if kind == "own" else table_task(X, own)


@pytest.mark.parametrize("more", [{}, {"regularize.mixup": 0.4}, {"loss.class_weights": "balanced"}])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_both_engines_agree_about_weights_with_folds_and_small_batches(more, norm):
    fold = torch.arange(N) % 3
    about = Examples(CODES, fold, 2, weight=WEIGHT)
    recipe = TABLE.but({"batch_size": 7, "model.norm": norm, **more})
    found = []
    for engine in (Serial(table_task(X, about)), Stacked(table_task(X, about))):
        module, seen = trained(engine, recipe, fold=1)
        found.append((module.eval()(torch.from_numpy(X)), seen[-1].train_loss, seen[-1].outputs))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-4, atol=2e-5)  # float32


def test_parts_of_a_batch_are_one_batch():
    about = examples(CODES, WEIGHT)
    whole, _ = trained(Serial(own_task(X, about)), OWN)
    parts, _ = trained(Serial(own_task(X, about), parts=3), OWN)
    torch.testing.assert_close(whole.weight, parts.weight, rtol=1e-5, atol=1e-6)  # float32


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "roc_auc", "average_precision"])
def test_the_values_of_a_curve_are_weighted(metric):
    fold = torch.arange(N) % 2
    member, many = Member(0, 1, OWN), torch.repeat_interleave(torch.arange(N), TWICE.long())
    outputs = torch.randn(1, N, 2, generator=torch.Generator().manual_seed(0))

    told = []
    for rows, weight in ((torch.arange(N), TWICE), (many, None)):
        about = Examples(CODES[rows], fold[rows], 2, weight=weight)
        seen = Measured(1, torch.zeros(1), outputs[:, rows], torch.arange(len(rows)))
        told.append(judged([member], seen, about, metric)[0, 1][1:])
    assert told[0] == pytest.approx(told[1], rel=1e-5)  # float32


def test_weights_come_with_the_examples():
    given = Unsealed(rows=[0, 1], targets=[0, 1], folds=[-1, -1], num_classes=2, task="binary", weights=[0.5, 1.5])
    found = examples_of(given)
    assert found.weight is not None
    assert found.weight.tolist() == [0.5, 1.5]
    assert found.class_counts(Member(0, None, OWN)).tolist() == [0.5, 1.5]
