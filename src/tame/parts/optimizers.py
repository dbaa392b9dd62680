"""Optimizers on stacked parameters: every hyperparameter is a tensor of one value for each member.

`torch.optim` refuses a rate for each member, so the stacked engine steps with these; the serial engine uses
`torch.optim` itself, and the laws hold the two together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tame.core.recipe import OptimizerRecipe
from tame.core.registry import Registry

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Hyper:
    """Hyperparameters of this step, each (M,); lr already carries the schedule."""

    lr: Tensor
    weight_decay: Tensor
    momentum: Tensor


class Update(Protocol):
    """One step. All tensors are (M, ...); `params` and `state` are consumed (changed in place) and returned.

    `active`: (M,) of bools, or None for all; a member that is not active keeps its parameters and state.
    """

    def __call__(
        self, params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
    ) -> tuple[Tensors, Tensors]: ...


@dataclass(frozen=True, slots=True)
class Optimizer:
    """`init` makes the state, `update` takes a step, `reference` is the same optimizer for one plain module."""

    init: Callable[[Tensors], Tensors]
    update: Update
    reference: Callable[[list[nn.Parameter], OptimizerRecipe], torch.optim.Optimizer]


OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")

ADAM_BETA2 = 0.999
ADAM_EPS = 1e-8


def _adamw_init(params: Tensors) -> Tensors:
    members = next(iter(params.values()))
    state = {"step": torch.zeros(members.shape[0], dtype=members.dtype, device=members.device)}
    for name, value in params.items():
        state[f"first.{name}"] = torch.zeros_like(value)
        state[f"second.{name}"] = torch.zeros_like(value)
    return state


@torch.no_grad()
def _adamw_update(
    params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
) -> tuple[Tensors, Tensors]:
    """AdamW. Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019), algorithm 2."""
    lr, decay, b1, b2 = hyper.lr, hyper.weight_decay, hyper.momentum, ADAM_BETA2
    one = torch.ones_like(lr)
    if active is not None:
        # An idle member takes a step of length zero: rate 0, and moments that forget and learn nothing.
        lr, b1 = torch.where(active, lr, 0), torch.where(active, b1, 1)
        state["step"] += active.to(state["step"].dtype)
    else:
        state["step"] += 1
    step = state["step"].clamp(min=1)
    rate = lr / (1 - torch.where(hyper.momentum > 0, hyper.momentum, 0) ** step)
    scale2 = (1 - b2**step).sqrt()
    for name, value in params.items():
        first, second, grad = state[f"first.{name}"], state[f"second.{name}"], grads[name]
        shape = (-1,) + (1,) * (value.ndim - 1)
        first.lerp_(grad, (one - b1).view(shape).expand_as(grad))
        if active is None:
            second.mul_(b2).addcmul_(grad, grad, value=1 - b2)
        else:
            second.copy_(torch.where(active.view(shape), second * b2 + grad * grad * (1 - b2), second))
        value.mul_((1 - lr * decay).view(shape))
        # m / bias1 / (sqrt(v / bias2) + eps), as torch orders it.
        bottom = second.sqrt().div_(scale2.view(shape)).add_(ADAM_EPS)
        value.sub_(first.div(bottom).mul_(rate.view(shape)))
    return params, state


def _adamw_reference(params: list[nn.Parameter], recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    betas = (recipe.momentum, ADAM_BETA2)
    return torch.optim.AdamW(params, lr=recipe.lr, betas=betas, eps=ADAM_EPS, weight_decay=recipe.weight_decay)


OPTIMIZERS.add("adamw")(Optimizer(_adamw_init, _adamw_update, _adamw_reference))


def _sgd_init(params: Tensors) -> Tensors:
    return {f"velocity.{name}": torch.zeros_like(value) for name, value in params.items()}


@torch.no_grad()
def _sgd_update(
    params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
) -> tuple[Tensors, Tensors]:
    """Gradient descent with Nesterov momentum and coupled weight decay, as torch.optim.SGD(nesterov=True).

    Source: Sutskever et al., On the importance of initialization and momentum in deep learning (2013).
    """
    lr = hyper.lr if active is None else torch.where(active, hyper.lr, 0)
    for name, value in params.items():
        shape = (-1,) + (1,) * (value.ndim - 1)
        momentum = hyper.momentum.view(shape)
        grad = grads[name] + hyper.weight_decay.view(shape) * value
        velocity = state[f"velocity.{name}"]
        moved = momentum * velocity + grad
        velocity.copy_(moved if active is None else torch.where(active.view(shape), moved, velocity))
        value.sub_(lr.view(shape) * (grad + momentum * velocity))
    return params, state


def _sgd_reference(params: list[nn.Parameter], recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    nesterov = recipe.momentum > 0  # torch refuses nesterov without momentum; both are plain descent then
    return torch.optim.SGD(
        params, lr=recipe.lr, momentum=recipe.momentum, weight_decay=recipe.weight_decay, nesterov=nesterov
    )


OPTIMIZERS.add("sgd")(Optimizer(_sgd_init, _sgd_update, _sgd_reference))
