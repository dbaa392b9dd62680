"""Products of the matrices of all members, and which of torch's two libraries multiplies them on a CPU.

By default torch multiplies float32 with MKL, which on other processors than Intel's leaves half of AVX-512 unused;
oneDNN, which torch has too, was 2.2 times as fast there (benchmarks/README.md). It takes 12 microseconds more for each
call, and torch gives it float32 only where rounding to bfloat16 is allowed, which it makes use of where the processor
has units for it (AMX). Whether it is as exact as MKL is therefore looked at, and whether it is faster is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from tame.parts.mlp import Mlp, num_weights

HEAVY = 2**19  # multiplications of one member in the mean product of a step, from which oneDNN may pay
HEAVIER = 2**22  # multiplications of one member between two hidden layers, from which rounding to bfloat16 may pay
GAIN = 1.2  # how much faster it must be on a product of members that are heavy
INEXACT = 4.0  # times the error of MKL that it may have
_MATMUL: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
_TINY = 16**3  # multiplications up to which torch asks MKL all the same


class by_onednn(AbstractContextManager[None]):
    """Lets oneDNN multiply float32 on the CPU, in all threads, or MKL; and puts back what was.

    Not for modules of the user's own: where oneDNN multiplies, torch.get_float32_matmul_precision() raises, which
    torch.compile asks.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        self._before = _MATMUL.fp32_precision
        _MATMUL.fp32_precision = "bf16" if self._wanted else "ieee"

    def __exit__(self, *problem: object) -> None:
        _MATMUL.fp32_precision = self._before


def is_by_onednn() -> bool:
    """Whether oneDNN multiplies now."""
    return str(_MATMUL.fp32_precision) == "bf16"


def is_heavy(module: object, batch: int) -> bool:
    """Whether members of this kind are large enough for oneDNN.

    By the size of one of them, and not of the group, so that a member's result does not depend on its company.
    """
    return isinstance(module, Mlp) and batch * num_weights(module) >= HEAVY * (len(module.body) + 1)


def is_heavier(module: object, batch: int) -> bool:
    """Whether members of this kind are large enough for products of bfloat16, likewise."""
    return isinstance(module, Mlp) and len(module.body) > 1 and batch * module.widths[0] ** 2 >= HEAVIER


def product(a: Tensor, b: Tensor, add: Tensor | None = None) -> Tensor:
    """(M, R, K) times (M, K, C), plus (M, 1, C) or (M, R, C) where it is given: (M, R, C).

    Where a is bfloat16, b is rounded to it too; the result is float32. A member's result does not depend on how many
    there are, with oneDNN to the last bit.
    """
    half = a.dtype == torch.bfloat16
    b = b.bfloat16() if half else b
    if (half or is_by_onednn()) and a.shape[1] * a.shape[2] * b.shape[2] <= _TINY and a.device.type == "cpu":
        # Whether torch takes these for too small, it would decide by all members together.
        a, b = (a.float(), b.float()) if half else (a, b)
        found = (a.unsqueeze(3) * b.unsqueeze(1)).sum(dim=2)
    elif half:
        found = torch.bmm(a, b).float()
    else:
        return torch.bmm(a, b) if add is None else torch.baddbmm(add, a, b)
    return found if add is None else found.add_(add)


def onednn_is_exact() -> bool:
    """Whether oneDNN multiplies float32 as exactly here as MKL does."""
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 128, 128, generator=chance) for _ in range(2))
    exact = torch.bmm(a.double(), b.double())
    with by_onednn(True):
        theirs = (torch.bmm(a, b) - exact).abs().max()
    with by_onednn(False):
        usual = (torch.bmm(a, b) - exact).abs().max()
    return bool(theirs <= INEXACT * usual)


def onednn_pays() -> bool:
    """Whether oneDNN is clearly faster here, measured on a product as one thread makes it of members that are heavy."""
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(8, 128, 128, generator=chance) for _ in range(2))
    usual, theirs = (_seconds(a, b, wanted) for wanted in (False, True))
    return usual >= GAIN * theirs


def half_pays(device: torch.device) -> bool:
    """Whether products of numbers rounded to bfloat16, rounding included, are clearly faster on members that are heavy.

    On a GPU without units for bfloat16 they are not, and on a CPU without instructions for it they are far slower.
    """
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, *shape, generator=chance).to(device) for shape in ((512, 128), (128, 128)))
    best = min(_seconds(a, b, wanted) for wanted in ((False, True) if device.type == "cpu" else (False,)))
    return best >= GAIN * _seconds(a, b, False, lambda a, b: product(a.bfloat16(), b))


def _seconds(a: Tensor, b: Tensor, wanted: bool, multiply: Callable[[Tensor, Tensor], Tensor] = torch.bmm) -> float:
    times = []
    with by_onednn(wanted):
        for _ in range(20):
            begun = time.perf_counter()
            multiply(a, b)[0, 0, 0].item()  # waits for a GPU
            times.append(time.perf_counter() - begun)
    return min(times)
