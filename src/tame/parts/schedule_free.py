"""Schedule-free optimizers: an average of the iterates replaces a decaying rate.

There are three points for each parameter: `base` takes the steps, `average` is judged and kept, and gradients are
computed at the parameter itself, which lies between the two. Constant rates, after a warm-up, suit them best.
Source: Defazio et al., The Road Less Scheduled (2024), algorithm 1 and equation 23 for the weights of the average.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from tame.core.recipe import OptimizerRecipe
from tame.parts.kernels import ADAM_EPS
from tame.parts.optimizer_rules import Hyper, Named, Optimizer, Rule, Tensors, unnamed


def _share(counters: Tensors, lr: Tensor) -> Tensor:
    """The newest iterate's share of the average: the squared highest rate so far, divided by the sum of these."""
    highest = torch.maximum(counters["lr_max"], lr, out=counters["lr_max"])
    weight = highest.square()
    total = counters["weight_sum"].add_(weight)
    return torch.where(total > 0, weight / total, 0)


def _adamw_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    share = _share(counters, hyper.lr)
    counters["step"] += 1
    scale2 = (1 - hyper.beta2 ** counters["step"]).sqrt()
    back_decay = -hyper.lr * hyper.weight_decay
    return share, hyper.momentum, back_decay, 1 - hyper.beta2, ADAM_EPS * scale2, hyper.lr * scale2


def _adamw_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (base, average, second), (share, momentum, back_decay, news2, floor, rate) = slots, columns
    second.lerp_(grad.square(), news2)
    base.addcdiv_(grad, second.sqrt().add_(floor).div_(rate), value=-1).addcmul_(value, back_decay)
    average.lerp_(base, share)
    torch.lerp(base, average, momentum.expand_as(base), out=value)


def _sgd_columns(counters: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return _share(counters, hyper.lr), hyper.momentum, -hyper.lr * hyper.weight_decay, -hyper.lr


def _sgd_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (base, average), (share, momentum, back_decay, back) = slots, columns
    base.addcmul_(grad, back).addcmul_(value, back_decay)
    average.lerp_(base, share)
    torch.lerp(base, average, momentum.expand_as(base), out=value)


def _averages(params: Tensors, state: Tensors, hyper: Hyper) -> Tensors:
    """Copies of the averages, which are judged and kept. The hyperparameters have no effect."""
    return {name: state[f"average.{name}"].clone() for name in params}


class ScheduleFree(torch.optim.Optimizer):
    """Schedule-free AdamW, or descent if not `adaptive`, for plain modules.

    `train()` sets the parameters to the points at which gradients are computed, `eval()` to the averages, which are
    judged and kept; both may be called at any time without losing anything. `step()` needs `train()` before it.
    With a momentum of 0, gradients are computed at the iterates themselves. Equals the package schedulefree, which does
    not store the average and therefore has none with a momentum of 0.
    """

    def __init__(
        self, params: ParamsT, *, lr: float, momentum: float, beta2: float, weight_decay: float, adaptive: bool
    ) -> None:
        fixed = {"lr": lr, "momentum": momentum, "beta2": beta2, "weight_decay": weight_decay, "adaptive": adaptive}
        super().__init__(params, fixed | {"steps": 0, "lr_max": 0.0, "weight_sum": 0.0, "training": False})

    @torch.no_grad()
    def train(self) -> None:
        """Sets the parameters to the points at which gradients are computed."""
        for group in self.param_groups:
            group["training"] = True
            for param in group["params"]:
                if param in self.state:
                    param.copy_(_between(self.state[param], group["momentum"]))

    @torch.no_grad()
    def eval(self) -> None:
        """Sets the parameters to the averages."""
        for group in self.param_groups:
            group["training"] = False
            for param in group["params"]:
                if param in self.state:
                    param.copy_(self.state[param]["average"])

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient does not change. Raises RuntimeError without a `train()` before."""
        for group in self.param_groups:
            if not group["training"]:
                raise RuntimeError("a schedule-free optimizer needs train() before step()")
            group["steps"] += 1
            group["lr_max"] = max(group["lr_max"], group["lr"])
            group["weight_sum"] += group["lr_max"] ** 2
            share = group["lr_max"] ** 2 / group["weight_sum"] if group["weight_sum"] > 0 else 0.0
            for param in group["params"]:
                if param.grad is not None:
                    self._move(param, param.grad, group, share)

    def _move(self, param: Tensor, grad: Tensor, group: dict[str, Any], share: float) -> None:
        state = self.state[param]
        if not state:
            state["base"], state["average"] = param.clone(), param.clone()
            state["second"] = torch.zeros_like(param) if group["adaptive"] else torch.zeros(())
        direction = grad
        if group["adaptive"]:
            beta2 = group["beta2"]
            state["second"] = beta2 * state["second"] + (1 - beta2) * grad**2
            direction = grad / ((state["second"] / (1 - beta2 ** group["steps"])).sqrt() + ADAM_EPS)
        state["base"] -= group["lr"] * (direction + group["weight_decay"] * param)
        state["average"].lerp_(state["base"], share)
        param.copy_(_between(state, group["momentum"]))


def _between(state: dict[str, Tensor], momentum: float) -> Tensor:
    return torch.lerp(state["base"], state["average"], momentum)


def _adamw_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    return ScheduleFree(
        unnamed(named), lr=recipe.lr, momentum=recipe.momentum, beta2=recipe.beta2, weight_decay=recipe.weight_decay,
        adaptive=True,
    )  # fmt: skip


def _sgd_reference(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    return ScheduleFree(
        unnamed(named), lr=recipe.lr, momentum=recipe.momentum, beta2=0.0, weight_decay=recipe.weight_decay,
        adaptive=False,
    )  # fmt: skip


_WEIGHTS = {"lr_max": 0.0, "weight_sum": 0.0}
_COPIES = frozenset(("base", "average"))
_ADAMW = Rule(
    ("base", "average", "second"), _adamw_columns, _adamw_move, counters={"step": 0.0, **_WEIGHTS}, copies=_COPIES
)
_SGD = Rule(("base", "average"), _sgd_columns, _sgd_move, counters=_WEIGHTS, copies=_COPIES)

SCHEDULE_FREE_ADAMW = Optimizer(_ADAMW.init, _ADAMW.update, _adamw_reference, _averages)
SCHEDULE_FREE_SGD = Optimizer(_SGD.init, _SGD.update, _sgd_reference, _averages)
