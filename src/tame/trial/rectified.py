"""Which units of a module are active, wherever in forward() it rectifies them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_ALWAYS = (F.relu, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_, F.relu6)
# With the name of the lower bound: they rectify where that is zero.
_BOUNDED = {
    F.hardtanh: "min_val", torch.clamp: "min", torch.clamp_: "min", torch.clamp_min: "min", torch.clip: "min",
    Tensor.clamp: "min", Tensor.clamp_: "min", Tensor.clamp_min: "min", Tensor.clamp_min_: "min", Tensor.clip: "min",
}  # fmt: skip


class Rectified(TorchFunctionMode):
    """While it is entered, listens to a module. seen: for each rectifier in the order of calls, the name of the part
    that called it, and (U,) bools: which of its units any example made active.

    A unit is a channel of a picture or volume, else each number of an example. Sees functions as well as modules,
    which call the same functions.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.seen: list[tuple[str, Tensor]] = []
        self._module = module
        self._stack = [""]
        self._handles: list[torch.utils.hooks.RemovableHandle] = []

    def __enter__(self) -> Rectified:
        for name, part in self._module.named_modules():
            if part is not self._module:
                self._handles.append(part.register_forward_pre_hook(lambda *_, name=name: self._stack.append(name)))
                self._handles.append(part.register_forward_hook(lambda *_: self._left(), always_call=True))
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *problem: Any) -> None:
        super().__exit__(*problem)  # type: ignore[no-untyped-call]
        for handle in self._handles:
            handle.remove()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        found = func(*args, **given)
        bound = given.get(_BOUNDED[func], args[1] if len(args) > 1 else None) if func in _BOUNDED else None
        zero = isinstance(bound, int | float) and bound == 0
        if isinstance(found, Tensor) and (func in _ALWAYS or zero) and found.ndim >= 2:
            self.seen.append((self._name(), _active(found)))
        return found

    def _left(self) -> None:
        self._stack.pop()

    def _name(self) -> str:
        own = self._stack[-1] or "forward()"
        before = sum(name.split(", call ")[0] == own for name, _ in self.seen)
        return own if not before else f"{own}, call {before + 1}"


def _active(values: Tensor) -> Tensor:
    """(U,) bools: which units are above zero for any example. values: (B, ...)."""
    above = values > 0
    if values.ndim >= 4:
        return above.transpose(0, 1).flatten(1).any(dim=1)
    return above.flatten(1).any(dim=0)
