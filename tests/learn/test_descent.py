"""Descents and slices: the same as torch's, and what they show of themselves is true."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from made_ground import made_ground
from tame.core.errors import UsageError
from tame.core.recipe import OptimizerRecipe
from tame.learn.descent import DESCENDS, Run, descend, judged_rate, problem_of, that_overshoots, try_rates
from tame.learn.plane import angle, plane_of, slice_of
from tame.parts.optimizers import OPTIMIZERS


def by_torch(problem, run, *, steps, loss):
    """The same descent by a plain module and torch.optim, all examples in each step."""
    inputs, flat = problem.x.shape[1], problem.start()
    module = torch.nn.Linear(inputs, problem.outputs).double()
    with torch.no_grad():
        module.weight.copy_(flat[: -problem.outputs].view(problem.outputs, inputs))
        module.bias.copy_(flat[-problem.outputs :])
    recipe = OptimizerRecipe(name=run.optimizer, lr=run.lr, weight_decay=0.0, momentum=run.momentum)
    optimizer = OPTIMIZERS.get(run.optimizer).reference(list(module.named_parameters()), recipe)
    path, losses = [flat], []
    for _ in range(steps):
        optimizer.zero_grad()
        own = loss(module(problem.x))
        losses.append(float(own.detach()))
        own.backward()
        optimizer.step()
        path.append(torch.cat([module.weight.detach().flatten(), module.bias.detach()]).clone())
    return torch.stack(path), losses


@pytest.mark.parametrize("name", DESCENDS)
@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_a_path_is_that_of_torch(name, kind):
    ground = made_ground()
    problem, run = problem_of(ground, kind), Run(optimizer=name, lr=0.05)
    one_hot = F.one_hot(ground.y, 3).double()
    loss = (lambda z: F.cross_entropy(z, ground.y)) if kind == "cross_entropy" else (lambda z: F.mse_loss(z, one_hot))
    wanted, losses = by_torch(problem, run, steps=60, loss=loss)
    (path,) = descend(problem, [run], steps=60)
    torch.testing.assert_close(path.weights, wanted, rtol=0, atol=1e-6)
    torch.testing.assert_close(path.losses[:-1], torch.tensor(losses, dtype=torch.float64), rtol=0, atol=1e-6)


def test_a_path_does_not_depend_on_its_company():
    problem = problem_of(made_ground(), "cross_entropy")
    runs = [Run(lr=0.1), Run(optimizer="adam", lr=0.01), Run(lr=0.3), Run(lr=0.1, batch=16)]
    together = descend(problem, runs, steps=30)
    for run, path in zip(runs, together, strict=True):
        torch.testing.assert_close(path.weights, descend(problem, [run], steps=30)[0].weights, rtol=0, atol=1e-12)


def test_the_gradient_is_that_of_a_finite_difference():
    problem = problem_of(made_ground(inputs=3), "cross_entropy")
    weights = problem.start(seed=4)[None]
    _, slope = problem.loss_and_gradient(weights)
    for place in range(problem.size):
        moved = torch.zeros_like(weights)
        moved[0, place] = 1e-6
        higher, lower = (float(problem.loss_and_gradient(weights + sign * moved)[0]) for sign in (1, -1))
        assert float(slope[0, place]) == pytest.approx((higher - lower) / 2e-6, abs=1e-7)


def test_a_lost_descent_ends_where_it_was_finite_and_leaves_others_alone():
    problem = problem_of(made_ground(), "mse")
    lost, good = descend(problem, [Run(lr=1e6), Run(lr=0.05)], steps=200)
    assert lost.is_lost
    assert not good.is_lost
    assert torch.isfinite(lost.weights).all()
    assert torch.isfinite(lost.losses).all()
    torch.testing.assert_close(good.weights, descend(problem, [Run(lr=0.05)], steps=200)[0].weights, rtol=0, atol=1e-12)


def test_a_decay_ends_with_small_steps_and_a_warm_up_begins_with_them():
    problem = problem_of(made_ground(), "mse")
    decayed, warm = descend(
        problem, [Run(lr=0.1, schedule="linear"), Run(lr=0.1, schedule="constant", warmup=0.5)], steps=40
    )
    constant = descend(problem, [Run(lr=0.1)], steps=40)[0]
    lengths = [torch.linalg.vector_norm(path.weights.diff(dim=0), dim=1) for path in (decayed, warm, constant)]
    assert lengths[0][-1] < 0.1 * lengths[0][0]
    assert lengths[1][0] < 0.1 * lengths[2][0]


def test_batches_go_through_all_examples_once_an_epoch():
    from tame.learn.descent import _batch

    problem = problem_of(made_ground(examples=60), "mse")
    rows = torch.cat([_batch(problem, 15, step, 0) for step in range(4)])
    assert sorted(rows.tolist()) == list(range(60))
    again = torch.cat([_batch(problem, 15, step, 0) for step in range(4, 8)])
    assert again.tolist() != rows.tolist()


def test_the_rate_that_is_said_to_overshoot_does():
    chosen = that_overshoots(made_ground(apart=0.5))
    found = chosen.found
    problem = problem_of(made_ground(apart=0.5), found.loss)
    (path,) = descend(problem, [Run(lr=found.overshoots)], steps=40)
    assert judged_rate(found, path) == "rises"
    (best,) = descend(problem, [Run(lr=found.best)], steps=40)
    assert judged_rate(found, best) == "arrives"
    (slow,) = descend(problem, [Run(lr=found.rates[0])], steps=40)
    assert judged_rate(found, slow) == "creeps"


def test_examples_that_can_be_told_apart_forgive_any_rate_and_the_squared_error_does_not():
    """As for photographs seen through a backbone: more inputs than examples."""
    ground = made_ground(classes=2, inputs=200, examples=60, apart=1.0)
    chosen = that_overshoots(ground)
    assert chosen.missed is not None
    assert chosen.missed.loss == "cross_entropy"
    assert chosen.found.loss == "mse"
    again = try_rates(problem_of(ground, "cross_entropy"))
    assert again.overshoots is None


def test_a_regression_takes_the_squared_error():
    chosen = that_overshoots(made_ground(classes=0))
    assert chosen.missed is None
    assert chosen.found.loss == "mse"


def test_the_plane_goes_through_start_and_end_and_its_share_is_true():
    problem = problem_of(made_ground(), "cross_entropy")
    paths = descend(problem, [Run(lr=0.5), Run(optimizer="momentum", lr=0.2)], steps=60)
    plane = plane_of(paths)
    torch.testing.assert_close(plane.axes @ plane.axes.T, torch.eye(2).double(), rtol=0, atol=1e-9)
    for own in (paths[0].weights[0], paths[0].weights[-1]):
        back = plane.origin + plane.places(own[None])[0] @ plane.axes
        torch.testing.assert_close(back, own, rtol=0, atol=1e-9)
    moved = paths[0].weights - paths[0].weights[0]
    seen = plane.places(paths[0].weights) @ plane.axes
    wanted = 1 - float((moved - seen).square().sum() / moved.square().sum())
    assert plane.share(paths[0].weights) == pytest.approx(wanted, abs=1e-9)
    assert 0.5 < plane.share(paths[0].weights) <= 1


@pytest.mark.parametrize("kind", ["cross_entropy", "mse"])
def test_a_slice_has_the_losses_of_its_points(kind):
    problem = problem_of(made_ground(), kind)
    paths = descend(problem, [Run(lr=0.2)], steps=20)
    plane = plane_of(paths)
    cut = slice_of(problem, plane, paths)
    assert cut.losses.shape == (41, 41)
    for j, i in ((0, 0), (5, 30), (40, 12), (20, 20)):
        here = plane.origin + cut.a[i] * plane.axes[0] + cut.b[j] * plane.axes[1]
        assert float(cut.losses[j, i]) == pytest.approx(float(problem.loss_and_gradient(here[None])[0]), abs=1e-9)


def test_a_descent_that_does_not_move_has_a_plane_too():
    problem = problem_of(made_ground(), "mse")
    paths = descend(problem, [Run(lr=1e-300)], steps=5)
    plane = plane_of(paths)
    assert torch.isfinite(plane.axes).all()
    assert torch.isfinite(slice_of(problem, plane, paths).losses).all()
    assert plane.share(paths[0].weights) == 1.0


def test_angles():
    one = torch.tensor([1.0, 0.0]).double()
    assert angle(one, one) == 0
    assert angle(one, -one) == pytest.approx(180)
    assert angle(one, torch.tensor([1.0, 1.0]).double()) == pytest.approx(45)
    assert angle(one, 0 * one) == 180.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lr": 0.0}, "above 0"), ({"lr": math.nan}, "above 0"), ({"lr": math.inf}, "above 0"),
        ({"optimizer": "sdg"}, "did you mean 'sgd'"), ({"momentum": 1.0}, "below 1"), ({"batch": -1}, "1 example"),
        ({"schedule": "cosin"}, "did you mean 'cosine'"), ({"warmup": 1.0}, "share of the steps"),
    ],
)  # fmt: skip
def test_a_run_that_cannot_be_is_refused(changes, words):
    with pytest.raises(UsageError, match=words):
        Run(**changes)


def test_too_much_is_refused():
    problem = problem_of(made_ground(), "mse")
    with pytest.raises(UsageError, match="1 to 400 steps"):
        descend(problem, [Run()], steps=401)
    with pytest.raises(UsageError, match="1 to 12 descents"):
        descend(problem, [Run()] * 13, steps=1)
    with pytest.raises(UsageError, match="no loss named 'huber'"):
        problem_of(made_ground(), "huber")
