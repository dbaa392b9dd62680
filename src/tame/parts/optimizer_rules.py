"""How the stacked optimizers step: a rule defines the update of one tensor, and the driver here does the rest.

The driver converts hyperparameters to float64, leaves idle members unchanged, and on a CPU works in blocks that fit
into the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from tame.core.recipe import OptimizerRecipe
from tame.parts.kernels import played_back

Tensors = dict[str, Tensor]
Named = list[tuple[str, nn.Parameter]]

# From this many numbers per member on, one torch kernel per member beats batched operations on a CPU, which pass over
# the memory many times; below it the calls cost more than the passes. It depends on the size of a member and not of the
# population, so that a member's result does not depend on its group.
FUSED_FROM = 4_096
BLOCK_FROM = 2**20  # numbers in one tensor from which a CPU processes it in blocks
BLOCK = 2**17  # numbers in a block, so that they stay in the cache between operations


@dataclass(frozen=True, slots=True)
class Hyper:
    """Hyperparameters of this step, each (M,); lr already includes the schedule. Best in float64."""

    lr: Tensor
    weight_decay: Tensor
    momentum: Tensor
    beta2: Tensor


class Update(Protocol):
    """One step. All tensors are (M, ...); `params` and `state` are changed in place and returned.

    `active`: (M,) of bools, or None for all; a member that is not active keeps its parameters and state bit for bit.
    """

    def __call__(
        self, params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
    ) -> tuple[Tensors, Tensors]: ...


@dataclass(frozen=True, slots=True)
class Optimizer:
    """`init` creates the state, `update` takes a step, `reference` is the same optimizer for one plain module.

    `evaluated` computes from (params, state, hyper) the parameters that are judged and kept, if they differ from the
    trained ones; it does not change its arguments. The reference of such an optimizer has `train()`, to be called
    before steps, and `eval()`, to be called before evaluation; both may be called repeatedly at any time.
    Every reference accepts further groups through `add_param_group`, without names.
    slots: the state of each parameter, if all numbers of a parameter are treated alike, so that all parameters may be
    given as one tensor (M, P). None if a parameter's shape or name matters.
    """

    init: Callable[[Tensors], Tensors]
    update: Update
    reference: Callable[[Named, OptimizerRecipe], torch.optim.Optimizer]
    evaluated: Callable[[Tensors, Tensors, Hyper], Tensors] | None = None
    slots: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """An optimizer that treats all numbers of a tensor alike.

    slots: the state of each parameter, initially zero, or a copy of the parameter for those in `copies`.
    counters: the state of each member, with its initial value.
    columns: computes from counters (changed in place) and hyperparameters, all (M,), what `move` needs per member.
    move: changes parameter and slots, given (parameter, gradient, slots, columns); the columns broadcast.
    fused: the name of a torch kernel that does the same step member by member in one pass over the memory
    (`played_back`); needs `step` as its only counter.
    """

    slots: tuple[str, ...]
    columns: Callable[[Tensors, Hyper], tuple[Tensor, ...]]
    move: Callable[[Tensor, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]], None]
    counters: Mapping[str, float] = field(default_factory=dict)
    copies: frozenset[str] = frozenset()
    fused: str = ""

    def init(self, params: Tensors) -> Tensors:
        """The state before the first step: counters by name, slots as SLOT.PARAMETER; each with a leading M."""
        state = {name: column(params, start) for name, start in self.counters.items()}
        for name, value in params.items():
            for slot in self.slots:
                make = torch.clone if slot in self.copies else torch.zeros_like
                state[f"{slot}.{name}"] = make(value.detach(), memory_format=torch.contiguous_format)
        return state

    @torch.no_grad()
    def update(
        self, params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
    ) -> tuple[Tensors, Tensors]:
        """One step, as `Update`."""
        before = None if active is None else _copies(params, state)
        if self.fused and one_by_one(params, state):
            state["step"] += 1
            self._step_singly(params, grads, state, hyper)
        else:
            columns = self.columns({name: state[name] for name in self.counters}, widened(hyper))
            self._step_together(params, grads, state, columns)
        if active is not None and before is not None:
            _give_back(active, (params, state), before)
        return params, state

    def _step_together(self, params: Tensors, grads: Tensors, state: Tensors, columns: tuple[Tensor, ...]) -> None:
        shaped: dict[tuple[torch.dtype, int], tuple[Tensor, ...]] = {}
        every = torch.stack(columns)
        for name, value in params.items():
            kind = (value.dtype, value.ndim)
            if kind not in shaped:
                shaped[kind] = every.to(value.dtype).view(len(every), *column_shape(value)).unbind()
            whole = (value, grads[name], *(state[f"{slot}.{name}"] for slot in self.slots))
            for block in _blocks((*whole, *shaped[kind]), like=value):
                self.move(block[0], block[1], block[2 : len(whole)], block[len(whole) :])

    def _step_singly(self, params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper) -> None:
        step = getattr(played_back(), self.fused)
        given = [grads[name].contiguous() for name in params]
        slots = [state[f"{slot}.{name}"] for slot in self.slots for name in params]
        columns = (hyper.lr, hyper.weight_decay, hyper.momentum, hyper.beta2)
        step(list(params.values()), given, slots, state["step"].float(), *columns)


def unnamed(named: Named) -> list[nn.Parameter]:
    """The parameters without names: with names, torch would refuse further groups without them."""
    return [param for _, param in named]


def column(params: Tensors, start: float) -> Tensor:
    """(M,) values in the widest float type of the device."""
    some = next(iter(params.values()))
    return torch.full((some.shape[0],), start, dtype=_wide(some), device=some.device)


def column_shape(like: Tensor) -> tuple[int, ...]:
    """The shape in which (M,) values broadcast with a tensor (M, ...)."""
    return (-1,) + (1,) * (like.ndim - 1)


def widened(hyper: Hyper) -> Hyper:
    """The same in float64: 1 - beta2**step in float32 is wrong in the fifth digit at the first steps."""
    wide = _wide(hyper.lr)
    return Hyper(hyper.lr.to(wide), hyper.weight_decay.to(wide), hyper.momentum.to(wide), hyper.beta2.to(wide))


def one_by_one(params: Tensors, state: Tensors) -> bool:
    """Whether each member is updated by its own kernel call: on a CPU, from FUSED_FROM numbers on.

    Elsewhere the hyperparameters would have to be copied from the device; and the kernels need contiguous memory.
    """
    if not all(value.device.type == "cpu" and value.is_contiguous() for value in (*params.values(), *state.values())):
        return False
    return sum(value[0].numel() for value in params.values()) >= FUSED_FROM


def _wide(like: Tensor) -> torch.dtype:
    return torch.float32 if like.device.type == "mps" else torch.float64


def _blocks(tensors: tuple[Tensor, ...], *, like: Tensor) -> Iterator[tuple[Tensor, ...]]:
    if like.device.type != "cpu" or like.numel() < BLOCK_FROM:
        yield tensors
        return
    members = max(1, BLOCK // like[0].numel())
    yield from zip(*(torch.split(tensor, members) for tensor in tensors), strict=True)


def _copies(*rooms: Tensors) -> tuple[Tensors, ...]:
    return tuple({name: value.clone() for name, value in room.items()} for room in rooms)


def _give_back(active: Tensor, rooms: tuple[Tensors, ...], before: tuple[Tensors, ...]) -> None:
    """Restores the members that are not active, whatever was computed in between, infinities included."""
    for room, old in zip(rooms, before, strict=True):
        for name, value in room.items():
            mine = active.view(column_shape(value))
            value.copy_(torch.where(mine, value, old[name]))
