"""The laws that every Optimizer must satisfy. Each law takes the optimizer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tame.core.recipe import OptimizerRecipe
from tame.parts import optimizer_rules
from tame.parts.optimizers import Hyper, Optimizer, Tensors, load_optimizer_tensors, optimizer_tensors
from tame.store.checkpoints import Checkpoints

Law = Callable[[Optimizer], None]

_SHAPES = {"body.0.weight": (4, 3), "body.0.bias": (4,), "body.1.weight": (2, 4), "scale": (), "out.weight": (3, 2)}
_RECIPES = (
    OptimizerRecipe(lr=1e-3, weight_decay=0.0, momentum=0.9, beta2=0.999),
    OptimizerRecipe(lr=3e-2, weight_decay=1e-2, momentum=0.0, beta2=0.9),
    OptimizerRecipe(lr=1e-1, weight_decay=1e-1, momentum=0.5, beta2=0.99),
    OptimizerRecipe(lr=1e-2, weight_decay=0.5, momentum=0.99, beta2=0.5),
)
_FIELDS = ("lr", "weight_decay", "momentum", "beta2")


def equals_its_reference_over_twenty_steps(optimizer: Optimizer) -> None:
    """For the trained parameters and, if they differ, the judged ones; in float64."""
    run = _Run.of(optimizer, _RECIPES)
    start = run.copy().params
    for step in range(20):
        run.step(optimizer, step)
    for i, recipe in enumerate(_RECIPES):
        named = [(name, nn.Parameter(value[i].clone())) for name, value in start.items()]
        with float64():  # torch then uses it for its own running numbers, such as NAdam's
            reference = optimizer.reference(named, recipe)
            for step in range(20):
                _reference_step(reference, named, i, step)
        _assert_equals(named, run.params, i)
        if optimizer.evaluated is not None:
            _called(reference, "eval")
            _assert_equals(named, optimizer.evaluated(run.params, run.state, run.hyper), i)
            _called(reference, "train")
            _assert_equals(named, run.params, i)


def the_reference_goes_on_bit_for_bit_from_its_tensors(optimizer: Optimizer) -> None:
    """Through the names and arrays of a checkpoint, in float32, from the state in which a module is judged."""
    for i, recipe in enumerate(_RECIPES):
        chance = torch.Generator().manual_seed(7)
        start = {name: torch.randn(shape, generator=chance) for name, shape in _SHAPES.items()}
        straight = [(name, nn.Parameter(value)) for name, value in start.items()]
        reference = optimizer.reference(straight, recipe)
        for step in range(4):
            _reference_step(reference, straight, i, step)
        _called(reference, "eval")
        again = [(name, nn.Parameter(param.detach().clone())) for name, param in straight]
        loaded = _through_a_checkpoint(optimizer_tensors(reference))
        resumed = optimizer.reference(again, recipe)
        load_optimizer_tensors(resumed, loaded)
        for step in range(4, 8):
            _reference_step(reference, straight, i, step)
            _reference_step(resumed, again, i, step)
        for (name, one), (_, other) in zip(straight, again, strict=True):
            assert torch.equal(one, other), name


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
        grads = _grads(step)
        if step > 2:
            for value in grads.values():
                value[1] = torch.nan if step % 2 else torch.inf
        wild.step(optimizer, step, grads=grads)
    for name, value in calm.params.items():
        for i in (0, 2, 3):
            assert torch.equal(value[i], wild.params[name][i])


def an_inactive_member_is_not_moved(optimizer: Optimizer) -> None:
    """Whether it is idle from the first step or later; afterwards it continues as if the step had not happened."""
    idle, plain = _Run.of(optimizer, _RECIPES), _Run.of(optimizer, _RECIPES)
    for step in range(6):
        before = idle.copy()
        active = torch.tensor([step not in (0, 3), True, step < 2, True])
        grads = _grads(step)
        if step == 3:
            for value in grads.values():
                value[2] = torch.inf  # the inputs of an idle member must not matter
        idle.step(optimizer, step, active=active, grads=grads)
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
    flat = {f"p.{n}": v for n, v in straight.params.items()} | {f"s.{n}": v for n, v in straight.state.items()}
    tensors = _through_a_checkpoint(flat)
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


def the_fast_ways_equal_the_slow_one(optimizer: Optimizer) -> None:
    """One kernel per member, in blocks, or all at once: the same within rounding, in float64 and float32."""
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5)):
        found = []
        for fused_from, block_from in ((10**12, 10**12), (0, 10**12), (10**12, 0)):
            with _ways(FUSED_FROM=fused_from, BLOCK_FROM=block_from, BLOCK=1):
                run = _Run.of(optimizer, _RECIPES, dtype=dtype)
                for step in range(10):
                    run.step(optimizer, step, active=torch.tensor([True, True, step != 2, True]))
            found.append(run.params)
        for name, value in found[0].items():
            for other in found[1:]:
                torch.testing.assert_close(other[name], value, rtol=tolerance, atol=tolerance)


def a_step_fetches_nothing_from_the_device(optimizer: Optimizer) -> None:
    """On tensors without values, where reading a value is an error: on a GPU it would synchronise."""
    run = _Run.of(optimizer, _RECIPES)
    params = {name: value.to("meta") for name, value in run.params.items()}
    hyper = Hyper(*(getattr(run.hyper, name).to("meta") for name in _FIELDS))
    state = optimizer.init(params)
    grads = {name: torch.empty_like(value) for name, value in params.items()}
    active = torch.ones(len(_RECIPES), dtype=torch.bool, device="meta")
    params, state = optimizer.update(params, grads, state, hyper)
    params, state = optimizer.update(params, grads, state, hyper, active=active)
    judged = params if optimizer.evaluated is None else optimizer.evaluated(params, state, hyper)
    assert all(value.is_meta and value.shape == run.params[name].shape for name, value in judged.items())


def what_is_judged_is_made_without_a_change(optimizer: Optimizer) -> None:
    """Before the first step they are the trained parameters; later steps do not change earlier results."""
    if optimizer.evaluated is None:
        return
    run = _Run.of(optimizer, _RECIPES)
    for name, value in optimizer.evaluated(run.params, run.state, run.hyper).items():
        assert torch.equal(value, run.params[name])
    run.step(optimizer, 0)
    before = run.copy()
    judged = optimizer.evaluated(run.params, run.state, run.hyper)
    kept = {name: value.clone() for name, value in judged.items()}
    for room, old in ((run.params, before.params), (run.state, before.state)):
        assert all(torch.equal(value, old[name]) for name, value in room.items())
    run.step(optimizer, 1)
    assert list(judged) == list(run.params)
    assert all(torch.equal(value, kept[name]) for name, value in judged.items())


def reaches_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    """Minimises half the squared distance to each member's own minimum, with curvatures of 0.2 to 1, without decay.

    At the best of five rates, which decay to zero; measured on the judged parameters.
    """
    bottom = torch.tensor([[[1.0, -2.0], [0.5, 1.5]], [[0.0, 3.0], [1.0, 1.0]], [[0.5, 0.5], [-1.0, 2.0]]])
    rates = (0.03, 0.1, 0.3, 1.0, 1.5)
    bottoms = bottom.double().repeat(len(rates), 1, 1)  # (5 * 3, 2, 2)
    lr = torch.tensor(rates, dtype=torch.float64).repeat_interleave(len(bottom))
    momentum = torch.tensor([0.0, 0.5, 0.9], dtype=torch.float64).repeat(len(rates))
    curvature = torch.tensor([0.2, 1.0], dtype=torch.float64)
    params: Tensors = {"body.weight": torch.zeros_like(bottoms)}
    state = optimizer.init(params)
    hyper = Hyper(lr=lr, weight_decay=0 * lr, momentum=momentum, beta2=torch.full_like(lr, 0.99))
    for step in range(600):
        grads = {"body.weight": curvature * (params["body.weight"] - bottoms)}
        params, state = optimizer.update(params, grads, state, replace(hyper, lr=lr * (1 - step / 600)))
    if optimizer.evaluated is not None:
        params = optimizer.evaluated(params, state, hyper)
    distance = (params["body.weight"] - bottoms).abs().flatten(1).amax(dim=1).nan_to_num(torch.inf)
    nearest = distance.view(len(rates), len(bottom)).amin(dim=0)
    assert (nearest < 5e-3).all(), nearest


LAWS: tuple[Law, ...] = (
    equals_its_reference_over_twenty_steps,
    the_reference_goes_on_bit_for_bit_from_its_tensors,
    members_do_not_mix,
    a_member_that_diverges_leaves_its_neighbours_unmoved,
    an_inactive_member_is_not_moved,
    a_round_trip_through_a_checkpoint_changes_nothing,
    every_value_of_the_state_belongs_to_a_member,
    the_fast_ways_equal_the_slow_one,
    a_step_fetches_nothing_from_the_device,
    what_is_judged_is_made_without_a_change,
    reaches_the_bottom_of_a_parabola,
)


@dataclass(slots=True)
class _Run:
    params: Tensors
    state: Tensors
    hyper: Hyper

    @classmethod
    def of(
        cls, optimizer: Optimizer, recipes: Sequence[OptimizerRecipe], *, dtype: torch.dtype = torch.float64
    ) -> _Run:
        chance = torch.Generator().manual_seed(7)
        params = {
            name: torch.randn(len(recipes), *shape, dtype=torch.float64, generator=chance).to(dtype)
            for name, shape in _SHAPES.items()
        }
        columns = [torch.tensor([getattr(r, name) for r in recipes], dtype=torch.float64) for name in _FIELDS]
        return cls(params, optimizer.init(params), Hyper(*columns))

    def step(
        self,
        optimizer: Optimizer,
        step: int,
        *,
        members: Sequence[int] | None = None,
        grads: Tensors | None = None,
        active: Tensor | None = None,
    ) -> None:
        all_grads = grads or _grads(step)
        own = all_grads if members is None else {name: value[list(members)] for name, value in all_grads.items()}
        own = {name: value.to(self.params[name].dtype) for name, value in own.items()}
        hyper = replace(self.hyper, lr=self.hyper.lr * _multiplier(step))
        self.params, self.state = optimizer.update(self.params, own, self.state, hyper, active=active)

    def only(self, i: int) -> _Run:
        pick = slice(i, i + 1)
        return _Run(
            {n: v[pick].clone() for n, v in self.params.items()},
            {n: v[pick].clone() for n, v in self.state.items()},
            Hyper(*(getattr(self.hyper, name)[pick] for name in _FIELDS)),
        )

    def copy(self) -> _Run:
        return _Run(
            {n: v.clone() for n, v in self.params.items()}, {n: v.clone() for n, v in self.state.items()}, self.hyper
        )


def _reference_step(
    reference: torch.optim.Optimizer, named: list[tuple[str, nn.Parameter]], member: int, step: int
) -> None:
    """The step of one member, with the gradients and the rate of a run."""
    _called(reference, "train")
    for (_, param), grad in zip(named, _grads(step).values(), strict=True):
        param.grad = grad[member].to(param.dtype)
    for group in reference.param_groups:
        group["lr"] = _RECIPES[member].lr * _multiplier(step)
    reference.step()


def _called(reference: torch.optim.Optimizer, name: str) -> None:
    """Calls `train` or `eval` if the optimizer has them."""
    if hasattr(reference, name):
        getattr(reference, name)()


def _assert_equals(named: list[tuple[str, nn.Parameter]], found: Tensors, member: int) -> None:
    for name, param in named:
        torch.testing.assert_close(found[name][member], param.detach(), rtol=1e-11, atol=1e-12)


def _through_a_checkpoint(tensors: Mapping[str, Tensor]) -> Tensors:
    with tempfile.TemporaryDirectory() as folder:
        checkpoints = Checkpoints(Path(folder))
        checkpoints.save("run", {name: value.numpy() for name, value in tensors.items()}, {})
        loaded, _, _ = checkpoints.load("run")
    return {name: torch.from_numpy(value.copy()) for name, value in loaded.items()}


@contextmanager
def float64() -> Iterator[None]:
    """Sets the default type, in which torch's NAdam keeps its running numbers."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def _ways(**sizes: int) -> Iterator[None]:
    """Changes the sizes from which the faster methods are used."""
    before = {name: getattr(optimizer_rules, name) for name in sizes}
    try:
        for name, size in sizes.items():
            setattr(optimizer_rules, name, size)
        yield
    finally:
        for name, size in before.items():
            setattr(optimizer_rules, name, size)


def _grads(step: int) -> Tensors:
    chance = torch.Generator().manual_seed(1000 + step)
    return {
        name: torch.randn(len(_RECIPES), *shape, dtype=torch.float64, generator=chance)
        for name, shape in _SHAPES.items()
    }


def _multiplier(step: int) -> float:
    return 1 / (1 + step)
