"""Optimizers that follow the gradient or its running mean: descent, momentum, Adagrad, RMSprop, Lion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from tame.core.recipe import OptimizerRecipe
from tame.parts.kernels import ADAGRAD_EPS
from tame.parts.optimizer_rules import Hyper, Named, Optimizer, Rule, Tensors, unnamed

RMSPROP_EPS = 1e-8


def _sgd_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return 1 - hyper.lr * hyper.weight_decay, -hyper.lr


def _sgd_move(value: Tensor, grad: Tensor, _: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    keep, back = columns
    value.mul_(keep).addcmul_(grad, back)


def _momentum_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return hyper.weight_decay, hyper.momentum, -hyper.lr


def _momentum_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (velocity,), (decay, momentum, back) = slots, columns
    velocity.mul_(momentum).add_(grad).addcmul_(value, decay)
    value.addcmul_(velocity, back)


def _nesterov_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return hyper.weight_decay, hyper.momentum, -hyper.lr, -hyper.lr * hyper.momentum


def _nesterov_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (velocity,), (decay, momentum, back, back_velocity) = slots, columns
    decayed = torch.addcmul(grad, value, decay)
    velocity.mul_(momentum).add_(decayed)
    value.addcmul_(decayed, back).addcmul_(velocity, back_velocity)


def _sgd_reference(*, momentum: bool, nesterov: bool) -> Callable[[Named, OptimizerRecipe], torch.optim.Optimizer]:
    def make(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
        own = recipe.momentum if momentum else 0.0
        # torch refuses nesterov without momentum; without it both are plain descent
        return torch.optim.SGD(
            unnamed(named), lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=own, nesterov=nesterov and own > 0
        )

    return make


def _adagrad_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    counters["step"] += 1
    return hyper.weight_decay, hyper.lr


def _adagrad_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (total,), (decay, lr) = slots, columns
    decayed = torch.addcmul(grad, value, decay)
    total.addcmul_(decayed, decayed)
    value.addcdiv_(decayed, total.sqrt().add_(ADAGRAD_EPS).div_(lr), value=-1)


class Adagrad(torch.optim.Adagrad):
    """Adagrad for plain modules: PyTorch's, and further groups can be added in each version of it."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Further parameters, with the state that PyTorch gives them at the start."""
        super().add_param_group(param_group)
        # torch 2.10 makes a state only for the parameters it is constructed with, and needs one in the first step.
        self.state.update(torch.optim.Adagrad(self.param_groups[-1]["params"]).state)


def _adagrad_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    return Adagrad(unnamed(named), lr=recipe.lr, weight_decay=recipe.weight_decay, eps=ADAGRAD_EPS)


def _rmsprop_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return hyper.weight_decay, 1 - hyper.beta2, hyper.lr


def _rmsprop_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (second,), (decay, news, lr) = slots, columns
    decayed = torch.addcmul(grad, value, decay)
    second.lerp_(decayed.square(), news)
    value.addcdiv_(decayed, second.sqrt().add_(RMSPROP_EPS).div_(lr), value=-1)


def _rmsprop_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    return torch.optim.RMSprop(
        unnamed(named), lr=recipe.lr, alpha=recipe.beta2, eps=RMSPROP_EPS, weight_decay=recipe.weight_decay
    )


def _lion_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return 1 - hyper.lr * hyper.weight_decay, 1 - hyper.momentum, 1 - hyper.beta2, -hyper.lr


def _lion_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (first,), (keep, news, slow_news, back) = slots, columns
    value.mul_(keep).addcmul_(torch.lerp(first, grad, news).sign_(), back)
    first.lerp_(grad, slow_news)


class Lion(torch.optim.Optimizer):
    """Lion for plain modules: steps of equal size, in the direction of the sign of a running mean of the gradients.

    Source: Chen et al., Symbolic Discovery of Optimization Algorithms (2023), algorithm 2.
    """

    def __init__(self, params: ParamsT, *, lr: float, betas: tuple[float, float], weight_decay: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient does not change."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for param in group["params"]:
                if param.grad is None:
                    continue
                first = self.state[param].setdefault("exp_avg", torch.zeros_like(param))
                direction = (beta1 * first + (1 - beta1) * param.grad).sign()
                param.sub_(group["lr"] * (direction + group["weight_decay"] * param))
                first.copy_(beta2 * first + (1 - beta2) * param.grad)


def _lion_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2)
    return Lion(unnamed(named), lr=recipe.lr, betas=betas, weight_decay=recipe.weight_decay)


def _of(rule: Rule, reference: Callable[[Named, OptimizerRecipe], torch.optim.Optimizer]) -> Optimizer:
    return Optimizer(rule.init, rule.update, reference, slots=rule.slots)


SGD = _of(
    Rule((), _sgd_columns, _sgd_move),
    _sgd_reference(momentum=False, nesterov=False),
)
MOMENTUM = _of(
    Rule(("velocity",), _momentum_columns, _momentum_move),
    _sgd_reference(momentum=True, nesterov=False),
)
NESTEROV = _of(
    Rule(("velocity",), _nesterov_columns, _nesterov_move),
    _sgd_reference(momentum=True, nesterov=True),
)
ADAGRAD = _of(
    Rule(("total",), _adagrad_columns, _adagrad_move, counters={"step": 0.0}, fused="adagrad"),
    _adagrad_reference,
)
RMSPROP = _of(Rule(("second",), _rmsprop_columns, _rmsprop_move), _rmsprop_reference)
LION = _of(Rule(("first",), _lion_columns, _lion_move), _lion_reference)
