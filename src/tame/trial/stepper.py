"""Steps of one plain module by an optimizer of a recipe, for a moment: nothing of it is kept or resumed.

TAME's own optimizers are used where there are any: the first of torch's in a process takes seconds to load.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from tame.core.recipe import OptimizerRecipe
from tame.parts.optimizers import OPTIMIZERS, Hyper, plain_optimizer


class Stepper:
    """Changes parameters, by name, with their gradients; one without a gradient stays as it is."""

    def __init__(self, params: Mapping[str, nn.Parameter], recipe: OptimizerRecipe) -> None:
        self._params = params
        self._recipe = recipe
        self._plain: torch.optim.Optimizer | None = None
        if recipe.name in OPTIMIZERS.names():
            self._own = OPTIMIZERS.get(recipe.name)
            # Views with a leading 1, so that what changes them changes the parameters.
            self._values = {name: value.detach()[None] for name, value in params.items()}
            self._state = self._own.init(self._values)
        else:
            self._plain = plain_optimizer(list(params.items()), recipe)
            self._usual = [group["lr"] for group in self._plain.param_groups]
            start = getattr(self._plain, "train", None)  # of those whose weights in training are not those judged
            if callable(start):
                start()

    @torch.no_grad()
    def step(self, times: float = 1.0) -> None:
        """One step at so many times the rate of the recipe."""
        if self._plain is not None:
            for group, usual in zip(self._plain.param_groups, self._usual, strict=True):
                group["lr"] = usual * times
            self._plain.step()
            return
        grads = {name: value.grad for name, value in self._params.items()}
        if not any(grad is not None for grad in grads.values()):
            return
        whole = {n: (torch.zeros_like(v) if v.grad is None else v.grad)[None] for n, v in self._params.items()}
        like = next(iter(self._values.values()))
        own = self._recipe
        hyper = Hyper(
            *(like.new_tensor([each]) for each in (own.lr * times, own.weight_decay, own.momentum, own.beta2))
        )
        before = {name: self._values[name].clone() for name, grad in grads.items() if grad is None}
        self._own.update(self._values, whole, self._state, hyper)
        for name, old in before.items():  # as torch's, which leave out what has no gradient
            self._values[name].copy_(old)
