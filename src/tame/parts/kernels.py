"""Parts of a step in TorchScript, for what a trace cannot contain: loops, and numbers read from tensors.

In a step recorded by `torch.jit.trace` (tame.trial.traced), a number read from a tensor becomes a constant; these
functions run again each time the trace runs.
"""

from __future__ import annotations

from functools import cache

import torch

ADAM_EPS = 1e-8
ADAGRAD_EPS = 1e-10

_SOURCE = """
def layer_norm_back(of_hat: Tensor, z: Tensor, width: int, mean: Tensor, over: Tensor) -> Tensor:
    return torch.ops.aten.native_layer_norm_backward(
        of_hat, z, [width], mean, over, None, None, [True, False, False]
    )[0]

def numbers(column: Tensor) -> List[float]:
    found: List[float] = column.tolist()
    return found

def parts(tensors: List[Tensor]) -> List[List[Tensor]]:
    each = [v.unbind() for v in tensors]
    return [[v[i] for v in each] for i in range(tensors[0].size(0))]

def adagrad(
    params: List[Tensor], grads: List[Tensor], slots: List[Tensor], step: Tensor,
    lr: Tensor, weight_decay: Tensor, momentum: Tensor, beta2: Tensor,
) -> Tensor:
    values, slopes, totals, steps = parts(params), parts(grads), parts(slots), step.unbind()
    rates, decays = numbers(lr), numbers(weight_decay)
    for i in range(step.size(0)):
        torch._fused_adagrad_(
            values[i], slopes[i], totals[i], [steps[i] for _ in params],
            lr=rates[i], lr_decay=0.0, weight_decay=decays[i], eps=ADAGRAD_EPS, maximize=False,
        )
    return step
"""
_ADAM = """
def NAME(
    params: List[Tensor], grads: List[Tensor], slots: List[Tensor], step: Tensor,
    lr: Tensor, weight_decay: Tensor, momentum: Tensor, beta2: Tensor,
) -> Tensor:
    values, slopes, steps = parts(params), parts(grads), step.unbind()
    first, second = parts(slots[: len(params)]), parts(slots[len(params) :])
    rates, decays, betas, betas2 = numbers(lr), numbers(weight_decay), numbers(momentum), numbers(beta2)
    for i in range(step.size(0)):
        torch._fused_NAME_(
            values[i], slopes[i], first[i], second[i], [], [steps[i] for _ in params], lr=rates[i], beta1=betas[i],
            beta2=betas2[i], weight_decay=decays[i], eps=ADAM_EPS, amsgrad=False, maximize=False,
        )
    return step
"""


@cache
def played_back() -> torch.jit.CompilationUnit:
    """The functions by name: `layer_norm_back`, and for some optimizers the step of each member by a torch kernel.

    adam, adamw, adagrad: (params, grads, slots, step (M,) float32, lr, weight_decay, momentum, beta2 (M,) float64);
    params, grads and slots are lists of tensors (M, ...); all first slots come before all second ones. params and slots
    are changed in place.
    """
    source = _SOURCE + "".join(_ADAM.replace("NAME", name) for name in ("adam", "adamw"))
    numbers = {"ADAM_EPS": ADAM_EPS, "ADAGRAD_EPS": ADAGRAD_EPS}
    for name, value in numbers.items():
        source = source.replace(name, repr(value))
    return torch.jit.CompilationUnit(source)
