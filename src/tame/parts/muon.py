"""Muon: hidden weights move along the orthogonal matrix nearest to their momentum; AdamW moves everything else.

Both share one rate, since the orthogonal step is scaled to the root mean square of AdamW's steps.
Sources: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024); Liu et al., Muon is Scalable
for LLM Training (2025), for the scale.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from tame.core.recipe import OptimizerRecipe
from tame.parts.adam import ADAMW_RULE, adamw_reference
from tame.parts.optimizer_rules import Hyper, Named, Optimizer, Rule, Tensors

NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NS_STEPS = 5
NS_EPS = 1e-7
RMS = 0.2  # of AdamW's steps, as measured by Liu et al.


def takes_muon(name: str, ndim: int) -> bool:
    """Whether Muon moves a parameter with that name and number of dimensions (of one member): weights of hidden layers.

    These are matrices whose name ends with "weight", does not contain "embed" and has no part "out" (the last layer).
    """
    hidden = "embed" not in name.lower() and "out" not in name.split(".")
    return ndim == 2 and hidden and name.endswith("weight")


def orthogonalized(matrices: Tensor) -> Tensor:
    """Matrices (..., r, c) with the same singular vectors and singular values near 1 (about 0.7 to 1.2).

    Five steps of a fifth-order Newton-Schulz iteration, in the precision of the argument: in bfloat16, as in torch, the
    result would depend on how many matrices are multiplied at once.
    """
    a, b, c = NS_COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=NS_EPS)
    for _ in range(NS_STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def _scale(shape: torch.Size) -> float:
    return RMS * math.sqrt(max(shape[-2:]))


def _muon_columns(_: Tensors, hyper: Hyper) -> tuple[Tensor, ...]:
    return 1 - hyper.lr * hyper.weight_decay, 1 - hyper.momentum, hyper.momentum, -hyper.lr


def _muon_move(value: Tensor, grad: Tensor, slots: tuple[Tensor, ...], columns: tuple[Tensor, ...]) -> None:
    (velocity,), (keep, news, momentum, back) = slots, columns
    velocity.lerp_(grad, news)
    ahead = torch.lerp(grad, velocity, momentum.expand_as(grad))
    value.mul_(keep).addcmul_(orthogonalized(ahead), back * _scale(value.shape))


MUON_RULE = Rule(("velocity",), _muon_columns, _muon_move)


def _split(params: Tensors) -> tuple[Tensors, Tensors]:
    hidden = {name: value for name, value in params.items() if takes_muon(name, value.ndim - 1)}
    return hidden, {name: value for name, value in params.items() if name not in hidden}


def _init(params: Tensors) -> Tensors:
    hidden, rest = _split(params)
    return MUON_RULE.init(hidden) | (ADAMW_RULE.init(rest) if rest else {})


def _update(
    params: Tensors, grads: Tensors, state: Tensors, hyper: Hyper, *, active: Tensor | None = None
) -> tuple[Tensors, Tensors]:
    """One step, as `Update`."""
    hidden, rest = _split(params)
    if hidden:
        MUON_RULE.update(hidden, grads, _of(state, MUON_RULE, hidden), hyper, active=active)
    if rest:
        ADAMW_RULE.update(rest, grads, _of(state, ADAMW_RULE, rest), hyper, active=active)
    return params, state


def _of(state: Tensors, rule: Rule, params: Tensors) -> Tensors:
    own = {name: state[name] for name in rule.counters}
    return own | {key: state[key] for key in (f"{slot}.{name}" for slot in rule.slots for name in params)}


class Muon(torch.optim.Optimizer):
    """Muon for the weights of hidden layers and torch's AdamW for the rest, in one optimizer for plain modules.

    Groups that Muon moves have `muon` set to true. AdamW moves groups that are added later, unless they have it too.
    """

    def __init__(self, named: Named, recipe: OptimizerRecipe) -> None:
        self._adamw = adamw_reference(named, recipe)
        fixed = {key: value for key, value in self._adamw.param_groups[0].items() if not key.startswith("param")}
        hidden = [param for name, param in named if takes_muon(name, param.ndim)]
        rest = [param for name, param in named if not takes_muon(name, param.ndim)]
        groups: list[dict[str, object]] = [{"params": hidden, "muon": True}, {"params": rest, "muon": False}]
        super().__init__([group for group in groups if group["params"]], fixed | {"muon": False})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step; a parameter without a gradient does not change."""
        # Linked again in each step, since loading a state replaces both.
        self._adamw.state = self.state
        self._adamw.param_groups = [group for group in self.param_groups if not group["muon"]]
        self._adamw.step()
        for group in self.param_groups:
            if group["muon"]:
                for param in group["params"]:
                    if param.grad is not None:
                        self._move(param, param.grad, group)

    def _move(self, param: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        momentum, lr = group["betas"][0], group["lr"]
        velocity = self.state[param].setdefault("momentum_buffer", torch.zeros_like(param))
        velocity.copy_(momentum * velocity + (1 - momentum) * grad)
        step = orthogonalized((1 - momentum) * grad + momentum * velocity)
        param.mul_(1 - lr * group["weight_decay"]).sub_(lr * _scale(param.shape) * step)


MUON = Optimizer(_init, _update, Muon)
