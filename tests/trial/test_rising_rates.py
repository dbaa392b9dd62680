"""Rising learning rates: the same losses as a plain loop of torch, nothing kept, and rates that are told rightly."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tame.core.plain import from_plain, to_plain
from tame.core.rate_range import SMOOTHED, RateRange, rate_range
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.arrays.material import ArrayMaterial
from tame.trial.draws import epoch_batches
from tame.trial.population import Examples, Member, built
from tame.trial.rising_rates import ABOVE, BELOW, STEPS, tried_rates

pytestmark = pytest.mark.usefixtures("one_thread")

NUM, COLUMNS = 96, 6
X = stream(0, "inputs").normal(size=(NUM, COLUMNS)).astype(np.float32)
Y = torch.from_numpy((X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 0))
FOLD = torch.from_numpy(np.where(np.arange(NUM) % 4 == 0, 0, -1))
RECIPE = Recipe().but({"model.name": "own", "batch_size": 16, "optimizer.weight_decay": 0.0})
SGD = RECIPE.but({"optimizer.name": "sgd", "optimizer.lr": 0.05})


def build():
    return nn.Sequential(nn.Linear(COLUMNS, 16), nn.ReLU(), nn.Linear(16, 3))


def tried(recipe=SGD, *, limit_s=math.inf, **more):
    material = ArrayMaterial(X, build, device=torch.device("cpu"))
    task = material.task(recipe, range(NUM), Examples(Y, FOLD, 3), [0])
    return tried_rates(task, Member(-1, 0, recipe), limit_s=limit_s, **more), task


@pytest.mark.parametrize(
    ("changes", "make"),
    [
        ({"optimizer.name": "sgd", "optimizer.lr": 0.05}, lambda p, lr: torch.optim.SGD(p, lr=lr)),
        ({"optimizer.name": "adamw", "optimizer.lr": 1e-3}, lambda p, lr: torch.optim.AdamW(p, lr=lr, weight_decay=0)),
        ({"optimizer.name": "rmsprop", "optimizer.lr": 1e-3}, lambda p, lr: torch.optim.RMSprop(p, lr=lr, alpha=0.999)),
    ],
    ids=["sgd", "adamw", "rmsprop"],
)
def test_each_step_is_that_of_torch_at_its_rate(changes, make):
    recipe = RECIPE.but(changes)
    found, task = tried(recipe)
    module = built(task, Member(-1, 0, recipe)).train()
    lr = recipe.optimizer.lr
    optimizer = make(module.parameters(), lr)
    trains = FOLD != 0
    batches = [
        mine
        for epoch in range(1, STEPS + 1)
        for rows in epoch_batches(recipe.seed, epoch, task.examples.walked(Member(-1, 0, recipe)), 16)
        if len(mine := rows[trains[rows]])
    ]
    mean = 0.0
    for number, ((rate, smooth), rows) in enumerate(zip(found.points, batches, strict=False)):
        assert rate == pytest.approx(lr * BELOW * (ABOVE / BELOW) ** (number / (STEPS - 1)))
        optimizer.zero_grad()
        loss = F.cross_entropy(module(torch.from_numpy(X)[rows]), Y[rows])
        mean = SMOOTHED * mean + (1 - SMOOTHED) * float(loss.detach())
        assert smooth == pytest.approx(mean / (1 - SMOOTHED ** (number + 1)), rel=2e-3), number
        loss.backward()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
    assert len(found.points) > STEPS / 2


def test_it_repeats_moves_no_generator_and_can_be_sent():
    before = torch.get_rng_state()
    first, again = tried()[0], tried()[0]
    assert torch.equal(before, torch.get_rng_state())
    assert first.points == again.points
    assert from_plain(RateRange, to_plain(first), what="it") == first


def test_it_ends_with_its_time_and_with_what_diverges():
    ticks = iter(range(1000))
    short, _ = tried(limit_s=20, clock=lambda: float(next(ticks)))
    assert 10 < len(short.points) < 30
    wild, _ = tried(SGD.but({"optimizer.lr": 50.0}))
    assert len(wild.points) < STEPS
    assert wild.lowest is not None, "a loss that diverged rose"


def test_the_suggested_rate_trains_and_one_far_beyond_it_does_not():
    found, _ = tried()
    assert found.suggested is not None
    assert 0.01 < found.suggested < 1
    assert found.steepest < found.lowest

    def after(rate):
        module = build()
        optimizer = torch.optim.SGD(module.parameters(), lr=rate)
        for _ in range(60):
            optimizer.zero_grad()
            loss = F.cross_entropy(module(torch.from_numpy(X)), Y)
            loss.backward()
            optimizer.step()
        return float(loss.detach())

    torch.manual_seed(0)
    assert after(found.suggested) < 0.9 * math.log(3)
    assert after(found.suggested) < after(found.suggested / 1000)


RATES = [10.0 ** (k / 20 - 5) for k in range(100)]


@pytest.mark.parametrize(
    ("losses", "said", "steepest", "lowest"),
    [
        ([1.0] * 100, "hardly fell", None, None),
        ([1 / (1 + 1e3 * r) for r in RATES], "never rises", 1e-3, None),
        ([1 / (1 + 1e3 * r) + (10 * r) ** 4 for r in RATES], "a tenth of that", 1e-3, 0.05),
        ([1 / (1 + 1e3 * r) if r < 0.01 else math.nan for r in RATES], "a tenth of that", 1e-3, 0.01),
        ([1.0, 0.5], "hardly fell", None, None), ([], "of no step", None, None),
    ],
    ids=["flat", "falling", "rising", "lost", "two", "none"],
)  # fmt: skip
def test_what_a_curve_of_losses_says(losses, said, steepest, lowest):
    found = rate_range(RATES, losses, usual=1e-3)
    assert said in found.words
    for value, about in ((found.steepest, steepest), (found.lowest, lowest)):
        assert (value is None) == (about is None)
        assert value is None or about / 4 < value < about * 4
