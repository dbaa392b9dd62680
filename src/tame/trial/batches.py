"""A batch of one member, whole or in parts: its gradient, which is the same either way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tame.parts.losses import loss_weight, mean_loss
from tame.trial.draws import StepDraws
from tame.trial.own_module import OWN, alone, naming_failures, require_outputs
from tame.trial.population import Member, Task, joint, mixed, mixes, num_outputs
from tame.trial.settings import Settings
from tame.trial.stacked import precision


@dataclass(frozen=True, slots=True)
class Batch:
    """The examples of a member in one step.

    whole: the size of the batch that all members see; mine: (m,) the positions in it of the member's own examples, None
    if all are; rows: (m,) of these examples.
    """

    task: Task
    member: Member
    settings: Settings
    epoch: int
    step: int
    whole: int
    mine: Tensor | None
    rows: Tensor

    @classmethod
    def of(cls, task: Task, member: Member, settings: Settings, rows: Tensor, *, epoch: int, step: int) -> Batch:
        """rows: (B,) of a batch that all members see."""
        mine = None
        if joint(task.examples, member.recipe) and member.fold is not None:
            mine = task.examples.trains(member)[rows].nonzero().squeeze(1)
        own = rows if mine is None else rows[mine]
        return cls(task, member, settings, epoch, step, len(rows), mine, own)

    @property
    def count(self) -> int:
        return len(self.rows)

    @property
    def size(self) -> float:
        """How many its examples count as."""
        weight = self.task.examples.weight
        return float(self.count) if weight is None else float(weight[self.rows].sum())

    def backward(self, module: nn.Module, part: Tensor | None = None) -> Tensor:
        """Adds the gradient of a part to those of the module, and returns its part of the mean loss ().

        part: (n,) positions among the member's examples, None for all; the parts of a batch add up to all of it, but
        for norms over the examples, which see only the part.
        """
        recipe, seen = self.member.recipe, self.rows if part is None else self.rows[part]
        mix = None
        if mixes(recipe):  # with any other example of the batch
            x = self.task.batch(recipe, self.rows, epoch=self.epoch, step=self.step)
            x, mix = mixed(self.task, recipe, self.epoch, self.step, x)
            x = x if part is None else x[part.to(x.device)]
        else:
            x = self.task.batch(recipe, seen, epoch=self.epoch, step=self.step)
        outputs = self._outputs(module, x, part)
        loss = self._loss(outputs, seen)
        if mix is not None:
            partner = self.rows[mix.partner.to(self.rows.device)]
            other = self._loss(outputs, partner if part is None else partner[part])
            loss = mix.lam * loss + (1 - mix.lam) * other
        with naming_failures(recipe):
            torch.autograd.backward(loss)
        return loss.detach()

    def _outputs(self, module: nn.Module, x: Tensor, part: Tensor | None) -> Tensor:
        """(1, n, O) of the inputs of a part."""
        recipe, task = self.member.recipe, self.task
        with precision(task):
            if getattr(module, "takes_draws", False):
                places = self.mine if part is None else part if self.mine is None else self.mine[part]
                places = None if places is None else places.to(task.device)
                found = module(x, StepDraws(recipe.seed, self.epoch, self.step, self.whole, task.device, places))
            else:
                with naming_failures(recipe), alone(module, len(x) if recipe.model.name == OWN else 0):
                    found = module(x)
                require_outputs(recipe, found, (len(x), num_outputs(recipe, task.examples)), trained=True)
        outputs: Tensor = found.float() if found.dtype == torch.bfloat16 else found
        return outputs[None]

    def _loss(self, outputs: Tensor, seen: Tensor) -> Tensor:
        """The mean loss () of outputs (1, n, O) of these examples (n,), as a part of that of the whole batch."""
        name, hyper = self.member.recipe.loss.name, self.settings.loss
        target, weight = self._aims(seen, outputs)
        loss: Tensor = mean_loss(name, outputs, target, hyper, weight=weight)[0]
        if len(seen) == self.count:
            return loss
        part = loss_weight(outputs, target, hyper, weight=weight)[0]
        target, weight = self._aims(self.rows, outputs)
        total = loss_weight(outputs, target, hyper, weight=weight)[0]
        return loss * torch.where(total > 0, part / total, 0)

    def _aims(self, rows: Tensor, like: Tensor) -> tuple[Tensor, Tensor | None]:
        """The targets of these examples, and (1, n) what each of them counts as; None if all count alike."""
        every = self.task.examples.weight
        target = self.task.examples.aims([self.member], rows, like).to(self.task.device)
        return target, None if every is None else every[rows].to(like)[None]
