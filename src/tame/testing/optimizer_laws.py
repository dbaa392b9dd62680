"""The laws of an Optimizer: what every one must do, whatever its rule. Each law takes the optimizer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tame.core.recipe import OptimizerRecipe
from tame.parts.optimizers import Hyper, Optimizer, Tensors
from tame.store.checkpoints import Checkpoints

Law = Callable[[Optimizer], None]

_SHAPES = {"weight": (4, 3), "bias": (4,), "scale": ()}
_RECIPES = (
    OptimizerRecipe(lr=1e-3, weight_decay=0.0, momentum=0.9),
    OptimizerRecipe(lr=3e-2, weight_decay=1e-2, momentum=0.0),
    OptimizerRecipe(lr=1e-1, weight_decay=1e-1, momentum=0.5),
    OptimizerRecipe(lr=1e-2, weight_decay=0.5, momentum=0.99),
)


def equals_its_reference_over_twenty_steps(optimizer: Optimizer) -> None:
    run = _Run.of(optimizer, _RECIPES)
    start = {name: value.clone() for name, value in run.params.items()}
    for step in range(20):
        run.step(optimizer, step)
    for i, recipe in enumerate(_RECIPES):
        own = [nn.Parameter(value[i].clone()) for value in start.values()]
        reference = optimizer.reference(own, recipe)
        for step in range(20):
            for param, grad in zip(own, _grads(step, len(_RECIPES)).values(), strict=True):
                param.grad = grad[i].clone()
            for group in reference.param_groups:
                group["lr"] = recipe.lr * _multiplier(step)
            reference.step()
        for param, found in zip(own, run.params.values(), strict=True):
            torch.testing.assert_close(found[i], param.detach(), rtol=1e-11, atol=1e-12)


def members_do_not_mix(optimizer: Optimizer) -> None:
    together = _Run.of(optimizer, _RECIPES)
    for step in range(5):
        together.step(optimizer, step)
    for i in range(len(_RECIPES)):
        alone = _Run.of(optimizer, _RECIPES).only(i)
        for step in range(5):
            alone.step(optimizer, step, members=[i])
        for name, value in alone.params.items():
            torch.testing.assert_close(together.params[name][i], value[0], rtol=0, atol=1e-14)


def a_member_that_diverges_leaves_its_neighbours_unmoved(optimizer: Optimizer) -> None:
    calm, wild = _Run.of(optimizer, _RECIPES), _Run.of(optimizer, _RECIPES)
    wild.hyper.lr[1] = 1e30
    for step in range(8):
        calm.step(optimizer, step)
        grads = _grads(step, len(_RECIPES))
        if step > 2:
            for value in grads.values():
                value[1] = torch.nan if step % 2 else torch.inf
        wild.step(optimizer, step, grads=grads)
    for name, value in calm.params.items():
        for i in (0, 2, 3):
            assert torch.equal(value[i], wild.params[name][i])


def an_inactive_member_is_not_moved(optimizer: Optimizer) -> None:
    """Whether it idles from the first step or later; and afterwards it goes on as if the step had not been."""
    idle, plain = _Run.of(optimizer, _RECIPES), _Run.of(optimizer, _RECIPES)
    for step in range(6):
        before = idle.copy()
        active = torch.tensor([step not in (0, 3), True, step < 2, True])
        idle.step(optimizer, step, active=active)
        for name, old in before.params.items():
            assert torch.equal(idle.params[name][~active], old[~active]), name
        for name, old in before.state.items():
            assert torch.equal(idle.state[name][~active], old[~active]), name
        if step not in (0, 3):
            plain.step(optimizer, step)
    for name, value in plain.params.items():
        torch.testing.assert_close(idle.params[name][0], value[0], rtol=0, atol=1e-14)
    everyone = _Run.of(optimizer, _RECIPES)
    named = everyone.copy()
    for step in range(4):
        everyone.step(optimizer, step)
        named.step(optimizer, step, active=torch.ones(len(_RECIPES), dtype=torch.bool))
    for name, value in everyone.params.items():
        torch.testing.assert_close(named.params[name], value, rtol=0, atol=1e-14)


def a_round_trip_through_a_checkpoint_changes_nothing(optimizer: Optimizer) -> None:
    straight = _Run.of(optimizer, _RECIPES)
    for step in range(4):
        straight.step(optimizer, step)
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        flat = {f"p.{n}": v for n, v in straight.params.items()} | {f"s.{n}": v for n, v in straight.state.items()}
        checkpoints.save("run", {name: value.numpy() for name, value in flat.items()}, {})
        loaded, _, _ = checkpoints.load("run")
    tensors = {name: torch.from_numpy(value.copy()) for name, value in loaded.items()}
    params = {name: tensors[f"p.{name}"] for name in straight.params}
    again = _Run(params, {name: tensors[f"s.{name}"] for name in straight.state}, straight.hyper)
    for step in range(4, 8):
        straight.step(optimizer, step)
        again.step(optimizer, step)
    for name, value in straight.params.items():
        assert torch.equal(value, again.params[name])


def every_value_of_the_state_belongs_to_a_member(optimizer: Optimizer) -> None:
    run = _Run.of(optimizer, _RECIPES)
    for name, value in run.state.items():
        assert value.shape[:1] == (len(_RECIPES),), f"{name} has no leading M: {tuple(value.shape)}"


def reaches_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    """Half the squared distance to a bottom of its own for each member, with curvatures of 0.2 to 1, without decay."""
    bottom = torch.tensor([[1.0, -2.0], [0.0, 3.0], [0.5, 0.5]], dtype=torch.float64)
    curvature = torch.tensor([0.2, 1.0], dtype=torch.float64)
    params: Tensors = {"x": torch.zeros(3, 2, dtype=torch.float64)}
    state = optimizer.init(params)
    still = torch.zeros(3, dtype=torch.float64)
    for step in range(600):
        lr = torch.full((3,), 0.1, dtype=torch.float64) * (1 - step / 600)
        hyper = Hyper(lr=lr, weight_decay=still, momentum=torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64))
        grads = {"x": curvature * (params["x"] - bottom)}
        params, state = optimizer.update(params, grads, state, hyper)
    torch.testing.assert_close(params["x"], bottom, rtol=0, atol=5e-3)


LAWS: tuple[Law, ...] = (
    equals_its_reference_over_twenty_steps,
    members_do_not_mix,
    a_member_that_diverges_leaves_its_neighbours_unmoved,
    an_inactive_member_is_not_moved,
    a_round_trip_through_a_checkpoint_changes_nothing,
    every_value_of_the_state_belongs_to_a_member,
    reaches_the_bottom_of_a_parabola,
)


@dataclass(slots=True)
class _Run:
    params: Tensors
    state: Tensors
    hyper: Hyper

    @classmethod
    def of(cls, optimizer: Optimizer, recipes: Sequence[OptimizerRecipe]) -> _Run:
        chance = torch.Generator().manual_seed(7)
        params = {
            name: torch.randn(len(recipes), *shape, dtype=torch.float64, generator=chance)
            for name, shape in _SHAPES.items()
        }
        columns = [[getattr(r, name) for r in recipes] for name in ("lr", "weight_decay", "momentum")]
        return cls(params, optimizer.init(params), Hyper(*(torch.tensor(c, dtype=torch.float64) for c in columns)))

    def step(
        self,
        optimizer: Optimizer,
        step: int,
        *,
        members: Sequence[int] | None = None,
        grads: Tensors | None = None,
        active: Tensor | None = None,
    ) -> None:
        all_grads = grads or _grads(step, len(_RECIPES))
        own = all_grads if members is None else {name: value[list(members)] for name, value in all_grads.items()}
        lr = self.hyper.lr * _multiplier(step)
        hyper = Hyper(lr=lr, weight_decay=self.hyper.weight_decay, momentum=self.hyper.momentum)
        self.params, self.state = optimizer.update(self.params, own, self.state, hyper, active=active)

    def only(self, i: int) -> _Run:
        pick = slice(i, i + 1)
        hyper = Hyper(self.hyper.lr[pick], self.hyper.weight_decay[pick], self.hyper.momentum[pick])
        return _Run(
            {n: v[pick].clone() for n, v in self.params.items()},
            {n: v[pick].clone() for n, v in self.state.items()},
            hyper,
        )

    def copy(self) -> _Run:
        return _Run(
            {n: v.clone() for n, v in self.params.items()}, {n: v.clone() for n, v in self.state.items()}, self.hyper
        )


def _grads(step: int, members: int) -> Tensors:
    chance = torch.Generator().manual_seed(1000 + step)
    return {
        name: torch.randn(members, *shape, dtype=torch.float64, generator=chance) for name, shape in _SHAPES.items()
    }


def _multiplier(step: int) -> float:
    return 1 / (1 + step)
