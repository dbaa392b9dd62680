"""A network that is made to be tried for a moment, with a generator of its own, and thrown away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from tame.core.rng import stream
from tame.parts.losses import mean_loss
from tame.parts.optimizers import clip_gradients
from tame.trial.draws import StepDraws
from tame.trial.own_module import alone, naming_failures
from tame.trial.population import Member, Task, built
from tame.trial.settings import Settings
from tame.trial.stacked import precision
from tame.trial.stepper import Stepper


class TimeUp(Exception):
    """There is no time for the rest of what is tried."""


class Rehearsal:
    """A module made for the rehearsal, and the examples that it is shown."""

    def __init__(self, task: Task, member: Member, tick: Callable[[], None]) -> None:
        self.task, self.member, self.recipe, self.tick = task, member, member.recipe, tick
        self.module = built(task, member)
        self.state = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        self.params = {name: value for name, value in self.module.named_parameters() if value.requires_grad}
        self.settings = Settings.of([member], task.examples, next(iter(self.params.values())).detach())
        self.walked = task.examples.walked(member)
        trains = task.examples.trains(member).nonzero().squeeze(1)
        self.trains = trains[torch.from_numpy(stream(self.recipe.seed, "probe").permutation(len(trains))).to(trains)]

    def reset(self) -> None:
        """The weights as they were made, in training, without gradients."""
        self.module.load_state_dict(self.state)
        self.module.train()
        self.module.zero_grad(set_to_none=True)

    def calm(self) -> None:
        """In training, but without dropout, so that the same examples give the same outputs."""
        self.module.train()
        for part in self.module.modules():
            if isinstance(part, nn.modules.dropout._DropoutNd):
                part.eval()

    def inputs(self, rows: Tensor) -> Tensor:
        return self.task.batch(self.recipe, rows, epoch=1, step=0)

    def outputs(self, x: Tensor) -> Tensor:
        """(B, O), of float32 or float64."""
        with precision(self.task), naming_failures(self.recipe), alone(self.module, len(x)):
            if getattr(self.module, "takes_draws", False):
                draws = StepDraws(self.recipe.seed, 1, 0, len(x), self.task.device)
                found: Tensor = self.module(x, draws)
            else:
                found = self.module(x)
        whole: Tensor = found.float() if found.dtype == torch.bfloat16 else found
        return whole

    def loss(self, outputs: Tensor, rows: Tensor) -> Tensor:
        target = self.task.examples.aims([self.member], rows, outputs[None]).to(self.task.device)
        found: Tensor = mean_loss(self.recipe.loss.name, outputs[None], target, self.settings.loss)
        return found[0]

    def backward(self, x: Tensor, rows: Tensor) -> float:
        """The loss of these examples, whose gradients are then those of the parameters."""
        self.module.zero_grad(set_to_none=True)
        loss = self.loss(self.outputs(x), rows)
        torch.autograd.backward(loss)
        return float(loss.detach())

    def clip(self) -> None:
        """Clips the gradients as the recipe does."""
        if not self.settings.any_clip:
            return
        grads = {name: value.grad[None] for name, value in self.params.items() if value.grad is not None}
        for name, value in clip_gradients(grads, norm=self.settings.clip_norm, value=self.settings.clip_value).items():
            self.params[name].grad = value[0]


def steppers_of(own: Rehearsal) -> list[Stepper]:
    """What changes the parameters, for each group of them with its own share of the rate."""
    recipe = own.recipe.optimizer
    return [
        Stepper(dict(named), replace(recipe, lr=recipe.lr * factor))
        for named, factor, _ in own.task.groups(own.module, own.recipe)
    ]
