"""Matrix products of all members, and which of torch's two libraries computes them on a CPU.

By default torch multiplies float32 with MKL, which leaves half of AVX-512 unused on processors other than Intel's;
oneDNN, which torch also contains, was 2.2 times as fast there (benchmarks/README.md). It takes 12 microseconds more per
call, and torch uses it for float32 only if rounding to bfloat16 is allowed, which it does on processors with units for
it (AMX). Therefore TAME checks whether it is as exact as MKL, and measures whether it is faster.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from tame.core.clocks import work_clock
from tame.parts.mlp import Mlp, num_weights

HEAVY = 2**19  # multiplications of one member in the mean product of a step from which oneDNN may be faster
HEAVIER = 2**22  # multiplications of one member between two hidden layers from which bfloat16 may be faster
GAIN = 1.2  # how much faster it must be on a product of heavy members
LONG_S = 0.2  # after which a product is not timed again: in bfloat16 without instructions for it one takes 0.07 s
INEXACT = 4.0  # the largest error allowed, relative to that of MKL
_MATMUL: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
_TINY = 16**3  # multiplications up to which torch uses MKL anyway


class by_onednn(AbstractContextManager[None]):
    """Lets oneDNN, or MKL, multiply float32 on the CPU in all threads, then restores the previous choice.

    Not for modules of the user's own: with oneDNN, torch.get_float32_matmul_precision() raises, and torch.compile calls
    it.
    """

    def __init__(self, wanted: bool) -> None:
        self._wanted = wanted

    def __enter__(self) -> None:
        self._before = _MATMUL.fp32_precision
        _MATMUL.fp32_precision = "bf16" if self._wanted else "ieee"

    def __exit__(self, *problem: object) -> None:
        _MATMUL.fp32_precision = self._before


def is_by_onednn() -> bool:
    """Whether oneDNN multiplies at present."""
    return str(_MATMUL.fp32_precision) == "bf16"


def is_heavy(module: object, batch: int) -> bool:
    """Whether members of this kind are large enough for oneDNN.

    Decided by the size of one member and not of the group, so that a member's result does not depend on its group.
    """
    return isinstance(module, Mlp) and batch * num_weights(module) >= HEAVY * (len(module.body) + 1)


def is_heavier(module: object, batch: int) -> bool:
    """Whether members of this kind are large enough for products in bfloat16, likewise."""
    return isinstance(module, Mlp) and len(module.body) > 1 and batch * module.widths[0] ** 2 >= HEAVIER


def product(a: Tensor, b: Tensor, add: Tensor | None = None) -> Tensor:
    """(M, R, K) times (M, K, C), plus (M, 1, C) or (M, R, C) if given: (M, R, C).

    If a is bfloat16, b is rounded to it too; the result is float32. A member's result does not depend on the number of
    members, with oneDNN to the last bit.
    """
    half = a.dtype == torch.bfloat16
    b = b.bfloat16() if half else b
    if (half or is_by_onednn()) and a.shape[1] * a.shape[2] * b.shape[2] <= _TINY and a.device.type == "cpu":
        # Torch would decide by all members together whether these are too small.
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
    """Whether oneDNN is clearly faster here, measured in one thread on a product of heavy members."""
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(8, 128, 128, generator=chance) for _ in range(2))
    usual, theirs = (_seconds(a, b, wanted) for wanted in (False, True))
    return usual >= GAIN * theirs


def has_half(device: torch.device) -> bool:
    """Whether there are instructions, or units, for bfloat16: told by the same products in one thread.

    Of several threads that wait for each other the gain is small and varies, and the convolutions of a backbone gain
    more than these products.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return half_pays(device)
    finally:
        torch.set_num_threads(before)


def half_pays(device: torch.device) -> bool:
    """Whether products in bfloat16, including the rounding, are clearly faster for heavy members.

    They are not on a GPU without units for bfloat16, and far slower on a CPU without instructions for it.
    """
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(4, *shape, generator=chance).to(device) for shape in ((512, 128), (128, 128)))
    # With units for bfloat16, oneDNN rounds float32 to it: that is no other way to get exact products.
    ways = (False, True) if device.type == "cpu" and onednn_is_exact() else (False,)
    best = min(_seconds(a, b, wanted) for wanted in ways)
    return best >= GAIN * _seconds(a, b, False, lambda a, b: product(a.bfloat16(), b))


def _seconds(a: Tensor, b: Tensor, wanted: bool, multiply: Callable[[Tensor, Tensor], Tensor] = torch.bmm) -> float:
    times: list[float] = []
    clock = work_clock(a.device.type)
    with by_onednn(wanted):
        while len(times) < 3 or (len(times) < 20 and sum(times) < LONG_S):
            begun = clock()
            multiply(a, b)[0, 0, 0].item()  # waits for a GPU
            times.append(clock() - begun)
    return min(times)
