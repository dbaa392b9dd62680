"""The Adam family: steps along the mean gradient, in units of the gradient's root mean square."""

from __future__ import annotations

import torch
from torch import Tensor

from tame.core.recipe import OptimizerRecipe
from tame.parts.kernels import ADAM_EPS
from tame.parts.optimizer_rules import Hyper, Named, Optimizer, Rule, Tensors, unnamed

NADAM_DECAY = 4e-3  # of the momentum schedule, as in torch


def _moments(counters: Tensors, hyper: Hyper) -> tuple[Tensor, Tensor]:
    """The bias corrections of the two means after this step: 1 - beta1**t and sqrt(1 - beta2**t)."""
    counters["step"] += 1
    return 1 - hyper.momentum ** counters["step"], (1 - hyper.beta2 ** counters["step"]).sqrt()


def _adamw_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    scale1, scale2 = _moments(counters, hyper)
    # m / scale1 / (sqrt(v) / scale2 + eps), with the scales factored out of the tensors
    rate, floor = hyper.lr / scale1 * scale2, ADAM_EPS * scale2
    return 1 - hyper.lr * hyper.weight_decay, 1 - hyper.momentum, 1 - hyper.beta2, floor, rate


def _adamw_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (first, second), (keep, news, news2, floor, rate) = slots, columns
    first.lerp_(grad, news)
    second.lerp_(grad.square(), news2)
    # At a rate of 0 the denominator is infinite, and the step zero.
    value.mul_(keep).addcdiv_(first, second.sqrt().add_(floor).div_(rate), value=-1)


def _adam_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return hyper.weight_decay, torch.ones_like(hyper.lr), *_adamw_columns(counters, hyper)[1:]


def _adam_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    _adamw_move(value, torch.addcmul(grad, value, columns[0]), slots, columns[1:])


def _nadamw_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    _, scale2 = _moments(counters, hyper)
    step = counters["step"]
    mu = hyper.momentum * (1 - 0.5 * 0.96 ** (step * NADAM_DECAY))
    mu_next = hyper.momentum * (1 - 0.5 * 0.96 ** ((step + 1) * NADAM_DECAY))
    product = counters["mu_product"].mul_(mu)
    of_grad, of_mean = (1 - mu) / (1 - product), mu_next / (1 - product * mu_next)
    keep = 1 - hyper.lr * hyper.weight_decay
    return keep, 1 - hyper.momentum, 1 - hyper.beta2, ADAM_EPS * scale2, hyper.lr * scale2, of_grad, of_mean


def _nadamw_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (first, second), (keep, news, news2, floor, rate, of_grad, of_mean) = slots, columns
    first.lerp_(grad, news)
    second.lerp_(grad.square(), news2)
    ahead = (grad * of_grad).addcmul_(first, of_mean)
    value.mul_(keep).addcdiv_(ahead, second.sqrt().add_(floor).div_(rate), value=-1)


def _adam_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2)
    return torch.optim.Adam(unnamed(named), lr=recipe.lr, betas=betas, eps=ADAM_EPS, weight_decay=recipe.weight_decay)


def adamw_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """torch's AdamW."""
    betas = (recipe.momentum, recipe.beta2)
    return torch.optim.AdamW(unnamed(named), lr=recipe.lr, betas=betas, eps=ADAM_EPS, weight_decay=recipe.weight_decay)


def _nadamw_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    betas = (recipe.momentum, recipe.beta2)
    return torch.optim.NAdam(
        unnamed(named), lr=recipe.lr, betas=betas, eps=ADAM_EPS, weight_decay=recipe.weight_decay,
        momentum_decay=NADAM_DECAY, decoupled_weight_decay=True,
    )  # fmt: skip


_MEANS = ("first", "second")
ADAM_RULE = Rule(_MEANS, _adam_columns, _adam_move, counters={"step": 0.0}, fused="adam")
ADAMW_RULE = Rule(_MEANS, _adamw_columns, _adamw_move, counters={"step": 0.0}, fused="adamw")
NADAMW_RULE = Rule(_MEANS, _nadamw_columns, _nadamw_move, counters={"step": 0.0, "mu_product": 1.0})

ADAM = Optimizer(ADAM_RULE.init, ADAM_RULE.update, _adam_reference, slots=ADAM_RULE.slots)
ADAMW = Optimizer(ADAMW_RULE.init, ADAMW_RULE.update, adamw_reference, slots=ADAMW_RULE.slots)
NADAMW = Optimizer(NADAMW_RULE.init, NADAMW_RULE.update, _nadamw_reference, slots=NADAMW_RULE.slots)
