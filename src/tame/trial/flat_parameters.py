"""The parameters of a group during training: joined into one tensor if the optimizer allows it.

A step of small networks is a series of short calls; one call then moves all parameters at once.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from copy import copy

import torch
from torch import Tensor

from tame.parts.optimizers import Hyper, Optimizer, clip_gradients

Tensors = dict[str, Tensor]
_ALL = "all"  # the name of the one tensor (M, P)


class FlatParameters:
    """params: of all members by name; each step changes them in place."""

    params: Tensors

    def __init__(self, optimizer: Optimizer, params: Tensors, state: Tensors) -> None:
        self._optimizer = optimizer
        self.params, self._params, self._state = params, params, state
        if optimizer.slots is None:
            return
        whole = self._joined(params)
        self._params, self.params = {_ALL: whole}, self._parts(whole)
        of_params = {f"{slot}.{name}" for slot in optimizer.slots for name in params}
        self._state = {name: value for name, value in state.items() if name not in of_params}
        for slot in optimizer.slots:
            self._state[f"{slot}.{_ALL}"] = self._joined({name: state[f"{slot}.{name}"] for name in params})

    @property
    def kind(self) -> Hashable:
        """Everything that a step depends on besides its tensors and their sizes."""
        return self._optimizer, tuple(self.params)

    @property
    def is_traceable(self) -> bool:
        """Whether every step makes the same calls, which change tensors and read no numbers from them."""
        return self._optimizer.slots is not None

    def tensors(self) -> tuple[Tensors, Tensors]:
        """Parameters and state in the form in which a step moves them."""
        return self._params, self._state

    def over(self, params: Tensors, state: Tensors, like: Tensors) -> FlatParameters:
        """The same with other tensors, in the form of `tensors`, for parameters with the shapes of `like`."""
        found = copy(self)
        found.params, found._params, found._state = like, params, state
        found.params = found._parts(params[_ALL])
        return found

    def step(
        self, grads: Mapping[str, Tensor], hyper: Hyper, *, active: Tensor | None, clip: tuple[Tensor, Tensor] | None
    ) -> None:
        """One step of the optimizer. active: as in `Update`; clip: limits (M,) of norm and value of the gradients."""
        if self._optimizer.slots is None:
            given = {name: grads[name] for name in self.params}
        else:
            given = {_ALL: self._joined(grads)}
        if clip is not None:
            given = clip_gradients(given, norm=clip[0], value=clip[1])
        self._optimizer.update(self._params, given, self._state, hyper, active=active)

    def state(self) -> Tensors:
        """The optimizer's state, by the names that its `init` gives."""
        if self._optimizer.slots is None:
            return self._state
        joined = {f"{slot}.{_ALL}": slot for slot in self._optimizer.slots}
        found = {name: value for name, value in self._state.items() if name not in joined}
        for name, slot in joined.items():
            found |= {f"{slot}.{own}": value for own, value in self._parts(self._state[name]).items()}
        return found

    def _joined(self, tensors: Mapping[str, Tensor]) -> Tensor:
        own = [tensors[name] for name in self.params]
        return torch.cat([each.flatten(1) if each.dim() > 1 else each.unsqueeze(1) for each in own], dim=1)

    def _parts(self, whole: Tensor) -> Tensors:
        # A trace does not treat sizes read from tensors as constants, so that it works for other sizes too.
        sizes = [math.prod(like.shape[1:]) for like in self.params.values()]
        parts = zip(self.params.items(), torch.split(whole, sizes, dim=1), strict=True)
        return {name: part.view_as(like) for (name, like), part in parts}
