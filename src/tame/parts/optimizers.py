"""Optimizers on stacked parameters: every hyperparameter is a tensor with one value per member.

`torch.optim` does not support a rate per member, so the stacked engine uses these; the serial engine uses plain
optimizers, and the laws check that both agree. Further optimizers come from the packages of the extra `optim`, for the
serial engine only (`extra_optimizers`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from tame.core.errors import UsageError, unknown
from tame.core.recipe import OptimizerRecipe
from tame.core.registry import Registry
from tame.parts.adam import ADAM, ADAMW, NADAMW
from tame.parts.descent import ADAGRAD, LION, MOMENTUM, NESTEROV, RMSPROP, SGD
from tame.parts.extra_optimizers import EXTRA, REFUSED, extra_optimizer, require_looked_at
from tame.parts.muon import MUON
from tame.parts.optimizer_rules import Hyper, Named, Optimizer, Tensors, Update, column_shape
from tame.parts.optimizer_tensors import load_optimizer_tensors, optimizer_tensors
from tame.parts.schedule_free import SCHEDULE_FREE_ADAMW, SCHEDULE_FREE_SGD

__all__ = [
    "OPTIMIZERS", "USES", "Hyper", "Optimizer", "Tensors", "Update", "clip_gradients", "load_optimizer_tensors",
    "optimizer_names", "optimizer_tensors", "plain_optimizer",
]  # fmt: skip

OPTIMIZERS: Registry[Optimizer] = Registry("optimizer")
OPTIMIZERS.add("sgd")(SGD)  # plain descent, without momentum
OPTIMIZERS.add("momentum")(MOMENTUM)  # heavy ball: Polyak, Some methods of speeding up convergence (1964)
OPTIMIZERS.add("nesterov")(NESTEROV)  # Sutskever et al., On the importance of initialization and momentum (2013)
OPTIMIZERS.add("adagrad")(ADAGRAD)  # Duchi et al., Adaptive Subgradient Methods (2011)
OPTIMIZERS.add("rmsprop")(RMSPROP)  # Hinton, Neural Networks for Machine Learning, lecture 6 (2012); no momentum
OPTIMIZERS.add("adam")(ADAM)  # Kingma and Ba, Adam (2015); weight decay goes through the gradient
OPTIMIZERS.add("adamw")(ADAMW)  # Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019)
OPTIMIZERS.add("nadamw")(NADAMW)  # Dozat, Incorporating Nesterov Momentum into Adam (2016); decoupled decay
OPTIMIZERS.add("lion")(LION)
OPTIMIZERS.add("muon")(MUON)
OPTIMIZERS.add("schedule_free_adamw")(SCHEDULE_FREE_ADAMW)
OPTIMIZERS.add("schedule_free_sgd")(SCHEDULE_FREE_SGD)

_PLAIN = frozenset(("lr", "weight_decay"))
_WITH_MOMENTUM = _PLAIN | {"momentum"}
_ALL = _PLAIN | {"momentum", "beta2"}
USES: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "sgd": _PLAIN,
        "momentum": _WITH_MOMENTUM,
        "nesterov": _WITH_MOMENTUM,
        "adagrad": _PLAIN,
        "rmsprop": _PLAIN | {"beta2"},
        "adam": _ALL,
        "adamw": _ALL,
        "nadamw": _ALL,
        "lion": _ALL,
        "muon": _ALL,
        "schedule_free_adamw": _ALL,
        "schedule_free_sgd": _WITH_MOMENTUM,
        **{name: extra.uses for name, extra in EXTRA.items()},
    }
)
"""Which of lr, weight_decay, momentum and beta2 each optimizer uses; a search leaves out the others."""


def optimizer_names(*, extra: bool) -> tuple[str, ...]:
    """Every name that `plain_optimizer` accepts, sorted; with `extra`, also those that need the extra `optim`."""
    return tuple(sorted({*OPTIMIZERS.names(), *(EXTRA if extra else ())}))


def plain_optimizer(named: Named, recipe: OptimizerRecipe) -> torch.optim.Optimizer:
    """The optimizer of that name for the parameters of one plain module.

    If it has `train()` and `eval()` (schedule-free), call the first before steps and the second before evaluation.
    Raises UsageError for an unknown name (with the nearest one), a licence that is not allowed, or a missing package.
    """
    if recipe.name in OPTIMIZERS.names():
        return OPTIMIZERS.get(recipe.name).reference(named, recipe)
    if recipe.name in EXTRA or recipe.name in REFUSED:
        return extra_optimizer(named, recipe)
    require_looked_at(recipe.name)
    raise UsageError(unknown("optimizer", recipe.name, optimizer_names(extra=True)))


@torch.no_grad()
def clip_gradients(grads: Tensors, *, norm: Tensor, value: Tensor) -> Tensors:
    """The gradients, (M, ...) each, clipped to each member's limits: first every entry, then the norm of all together.

    norm, value: (M,), 0 for no limit; a member without limits keeps its gradients bit for bit. The same as
    torch.nn.utils.clip_grad_value_ and then clip_grad_norm_ for one module. The arguments are not changed. Costs four
    passes over the gradients: skip it if no member has a limit.
    Source: Pascanu, Mikolov and Bengio, On the difficulty of training recurrent neural networks (2013).
    """
    entry = torch.where(value > 0, value, torch.inf)
    clipped = {}
    for name, grad in grads.items():
        limit = entry.to(grad.dtype).view(column_shape(grad))
        clipped[name] = grad.clamp(-limit, limit)
    lengths = [torch.linalg.vector_norm(grad.reshape(len(grad), -1), dim=1) for grad in clipped.values()]
    length = torch.linalg.vector_norm(torch.stack(lengths), dim=0)
    factor = torch.where(norm > 0, (norm / (length + 1e-6)).clamp(max=1), 1)
    return {name: grad * factor.to(grad.dtype).view(column_shape(grad)) for name, grad in clipped.items()}
