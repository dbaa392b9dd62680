"""A rehearsal measures what is there, moves nothing, says what it did not run, and repeats."""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tame.core.errors import StoppedError, UsageError
from tame.core.plain import from_plain, to_plain
from tame.core.probed import Probed
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.arrays.material import ArrayMaterial
from tame.trial.population import Examples, Member
from tame.trial.probing import probe
from tame.trial.rectified import Rectified

pytestmark = pytest.mark.usefixtures("one_thread")

NUM, COLUMNS, CLASSES = 96, 6, 3
RECIPE = Recipe().but({"model.name": "own", "batch_size": 16})


def mlp(act=nn.ReLU, outputs=CLASSES, norm=False):
    layers = [nn.Linear(COLUMNS, 16), *([nn.BatchNorm1d(16)] if norm else []), act(), nn.Linear(16, outputs)]
    return nn.Sequential(*layers)


def rehearsed(build=mlp, recipe=RECIPE, *, task="classes", limit_s=math.inf, clock=None, num=NUM):
    x = stream(0, "inputs").normal(size=(num, COLUMNS)).astype(np.float32)
    classes = (x[:, 0] > 0).astype(np.int64) + (x[:, 1] > 0)
    target = torch.from_numpy(classes if task == "classes" else 20 + 7 * x[:, 0].astype(np.float64))
    recipe = recipe if task == "classes" else recipe.but({"loss.name": "mse"})
    fold = torch.from_numpy(np.where(np.arange(num) % 4 == 0, 0, -1))
    material = ArrayMaterial(x, build, device=torch.device("cpu"))
    own = material.task(recipe, range(num), Examples(target, fold, CLASSES if task == "classes" else 0), [0])
    return probe(own, Member(-1, 0, recipe), limit_s=limit_s, **({} if clock is None else {"clock": clock}))


def plain(probed):
    return replace(probed, wall_s=0.0)


def test_the_same_rehearsal_measures_the_same_and_can_be_sent():
    first, again = rehearsed(), rehearsed()
    assert plain(first) == plain(again)
    assert first.not_run == ()
    assert from_plain(Probed, to_plain(first), what="it") == first
    assert plain(rehearsed(recipe=RECIPE.but({"seed": 5}))) != plain(first)


def test_no_generator_is_moved():
    before = torch.get_rng_state(), random.getstate(), numpy_state()
    rehearsed(lambda: nn.Sequential(nn.Dropout(0.5), mlp()))
    after = torch.get_rng_state(), random.getstate(), numpy_state()
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def numpy_state():
    return np.random.get_state()[1].tolist()  # noqa: NPY002, that of the user's own code


def test_the_first_loss_is_that_of_the_recipe_and_guessing_that_of_zeros():
    probed = rehearsed(recipe=RECIPE.but({"loss.label_smoothing": 0.2}))
    assert probed.first_loss.guess == pytest.approx(math.log(3), rel=1e-5)
    assert abs(probed.first_loss.loss - math.log(3)) < 0.3
    assert probed.first_loss.inputs == pytest.approx(1.0, abs=0.1)
    numbers = rehearsed(partial(mlp, outputs=1), task="numbers")
    assert numbers.first_loss.guess == pytest.approx(1.0, abs=0.5), "the variance of a standardised target"


class Functional(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.head = nn.Linear(COLUMNS, 8), nn.Linear(8, 8), nn.Linear(8, CLASSES)
        nn.init.constant_(self.b.bias, -99.0)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.head(self.b(h).clamp(min=0))


def test_units_are_counted_wherever_they_are_rectified():
    named = {each.name: each for each in rehearsed(Functional).units}
    assert named["forward()"].dead < 8
    assert (named["forward(), call 2"].count, named["forward(), call 2"].dead) == (8, 8)
    assert [each.name for each in rehearsed().units] == ["1"]
    assert rehearsed(partial(mlp, nn.GELU)).units == ()


@pytest.mark.parametrize("act", [nn.ReLU, nn.ReLU6, partial(nn.Hardtanh, 0.0, 9.0)])
def test_channels_of_pictures_are_units(act):
    module = nn.Sequential(nn.Conv2d(2, 5, 3), act())
    with torch.no_grad():
        module[0].bias[:2] = -99.0
    with torch.no_grad(), Rectified(module) as found:
        module(torch.randn(4, 2, 6, 6))
    ((name, alive),) = found.seen
    assert (name, alive.tolist()) == ("1", [False, False, True, True, True])
    assert not module[0]._forward_hooks
    assert not module[0]._forward_pre_hooks


def test_gradients_and_updates_are_those_of_a_plain_loop():
    """The reference: gradient descent by hand, whose update is the rate times the gradient."""
    recipe = RECIPE.but({"optimizer.name": "sgd", "optimizer.lr": 0.01, "optimizer.weight_decay": 0.0})
    for each in rehearsed(recipe=recipe).steps.weights:
        assert 0.2 < each.update / (0.01 * each.gradient) < 2, "of other steps, and over all entries"
        assert each.size > 0
    assert [each.name for each in rehearsed(recipe=recipe).steps.weights] == ["0.weight", "2.weight"]


def test_the_peak_rate_of_a_warmup_is_looked_at():
    warm = rehearsed(recipe=RECIPE.but({"schedule.warmup": 0.5}))
    assert warm.steps.weights[0].update == rehearsed().steps.weights[0].update > 0


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.unused, self.kept = nn.Linear(COLUMNS, CLASSES), nn.Linear(2, 2), nn.Linear(COLUMNS, CLASSES)
        self.kept.requires_grad_(False)

    def forward(self, x):
        return self.used(x) + self.kept(x)


def test_parameters_that_are_cut_off_and_those_that_are_frozen_are_told_apart():
    steps = rehearsed(Parts).steps
    assert steps.without == ("unused.weight", "unused.bias")
    assert steps.frozen == ("kept.weight", "kept.bias")
    assert (steps.frozen_of, steps.numbers) == (7 * CLASSES, 2 * 7 * CLASSES + 6)


def test_a_last_layer_of_zeros_is_no_constant():
    def build():
        made = mlp()
        nn.init.zeros_(made[2].weight)
        return made

    steps = rehearsed(build).steps
    assert steps.without == ()
    assert steps.spread > 1e-4


@pytest.mark.parametrize(
    ("how", "of", "floored", "capped"),
    [
        (nn.Identity, "", False, False),
        (partial(nn.Softmax, dim=1), "probabilities", True, True),
        (partial(nn.LogSoftmax, dim=1), "log-probabilities", False, True),
        (nn.Sigmoid, "", True, True),
        (nn.Tanh, "", True, True),
        (nn.ReLU, "", True, False),
    ],
)
def test_outputs_are_pushed_as_far_as_they_go(how, of, floored, capped):
    reach = rehearsed(lambda: nn.Sequential(mlp(), how())).reach
    assert (reach.of, reach.is_floored, reach.is_capped) == (of, floored, capped)


def test_targets_beyond_what_can_be_reached_are_counted():
    reach = rehearsed(lambda: nn.Sequential(mlp(outputs=1), nn.Tanh()), task="numbers").reach
    assert 0.1 < reach.missed < 0.6, "a third of normal values lies beyond one standard deviation"
    assert rehearsed(partial(mlp, outputs=1), task="numbers").reach.missed == 0


def test_a_sound_network_learns_a_few_examples_by_heart_and_one_that_shuffles_does_not():
    class Shuffles(nn.Sequential):
        def forward(self, x):
            return super().forward(x[torch.randperm(len(x))])

    sound = rehearsed().one_batch
    assert sound.constant == pytest.approx(math.log(3), abs=0.1)
    assert sound.perfect < 0.01
    assert sound.lowest < 0.5 * sound.constant
    lost = rehearsed(lambda: Shuffles(mlp())).one_batch
    assert lost.lowest > 0.7 * lost.constant
    assert len(lost.rates) == 3


def test_layers_that_normalise_over_batches_are_named_with_the_last_batch():
    batches = rehearsed(partial(mlp, norm=True), num=97).batches
    assert (batches.norms, batches.batch, batches.last) == (("1",), 16, 8)


# What is not run ------------------------------------------------------------------------------------------------------


def test_what_the_time_does_not_allow_is_said_and_never_guessed():
    seconds = itertools.count()
    probed = rehearsed(limit_s=10.0, clock=lambda: float(next(seconds)))
    assert [each.probe for each in probed.not_run] == ["reach", "one_batch"]
    assert (probed.reach, probed.one_batch) == (None, None)
    assert probed.not_run[0].why == "the 10 s for it were over"
    whole = rehearsed()
    assert (probed.first_loss, probed.units, probed.steps) == (whole.first_loss, whole.units, whole.steps)


def test_a_module_that_fails_in_training_is_left_to_training():
    class Fails(nn.Linear):
        def forward(self, x):
            if self.training:
                raise KeyError("only in training")
            return super().forward(x)

    probed = rehearsed(lambda: Fails(COLUMNS, CLASSES))
    assert {each.probe for each in probed.not_run} == {"first_loss", "units", "steps", "reach", "one_batch"}
    assert "only in training" in probed.not_run[0].why
    assert probed.batches is not None


def test_a_function_that_makes_no_module_says_so_as_ever():
    with pytest.raises(UsageError, match=r"not an nn\.Module"):
        rehearsed(lambda: 3)


def test_a_stop_is_no_failure_of_a_probe():
    class Stops(nn.Linear):
        def forward(self, x):
            raise StoppedError("stopped by the user")

    with pytest.raises(StoppedError):
        rehearsed(lambda: Stops(COLUMNS, CLASSES))


@pytest.mark.parametrize(
    "changes",
    [{"optimizer.name": "schedule_free_adamw"}, {"optimizer.clip_norm": 1.0}, {"loss.class_weights": "balanced"},
     {"batch_size": "all"}, {"batch_size": 1}, {"loss.name": "focal"}, {"regularize.mixup": 0.2}],
    ids=str,
)  # fmt: skip
def test_every_way_of_training_can_be_rehearsed(changes):
    assert rehearsed(recipe=RECIPE.but(changes)).not_run == ()


def test_outputs_that_are_not_finite_are_measured_as_that():
    probed = rehearsed(lambda: nn.Sequential(mlp(), nn.Hardshrink(), nn.Softplus(beta=1e-30)))
    assert probed.wall_s > 0
    to_plain(probed)
