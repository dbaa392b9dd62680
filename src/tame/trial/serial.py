"""The reference engine: one member at a time, with a plain module and `torch.optim`. Takes any module."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.parts.losses import LOSSES
from tame.parts.optimizers import clip_gradients, load_optimizer_tensors, optimizer_tensors, plain_optimizer
from tame.parts.regularizers import limit_norms, penalty, update_average, update_mean
from tame.trial.batches import Batch
from tame.trial.draws import epoch_batches
from tame.trial.own_module import naming_failures, require_outputs
from tame.trial.population import (
    Measured,
    Member,
    Population,
    Task,
    Tensors,
    built,
    epoch_chance,
    in_room,
    nothing,
    num_outputs,
)
from tame.trial.ranks import Ranks, sees_parts
from tame.trial.settings import Settings, averages, optimizer_of, phase
from tame.trial.stacked import precision

LONG_S = 1.0  # of a rehearsal, after which no further step is made


@dataclass(slots=True)
class _Training:
    """A member in training: its module, its optimizer, and what is averaged."""

    member: Member
    module: nn.Module
    optimizer: torch.optim.Optimizer
    factors: list[float]  # multiplier of the rate of each group of the optimizer
    average: Tensors
    plateau: Tensor | None


@dataclass(frozen=True, slots=True)
class Serial:
    """Trains populations of one member.

    parts: parts of each batch, whose gradients are accumulated if memory is too small for a whole batch; norms over a
    batch then see only the parts. ranks: those that see the other parts of every batch, None if there are none.
    """

    task: Task
    parts: int = 1
    ranks: Ranks | None = None

    def start(self, members: Sequence[Member]) -> Population:
        """The member before its first epoch."""
        (member,) = members
        module = built(self.task, member)
        own = _Training(member, module, *self._optimizer(module, member.recipe, 1), {}, None)
        if averages(member.recipe):
            own.average = {name: value.detach().clone() for name, value in module.state_dict().items()}
        if member.recipe.schedule.name == "plateau":
            own.plateau = torch.ones(1, device=self.task.device)
        return Population((member,), _tensors_of(own))

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None],
        between: Callable[[], None] = nothing,
    ) -> Population:  # fmt: skip
        """See Engine."""
        (member,) = population.members
        if self.ranks is not None:
            epoch = population.epoch
            population = population.at(epoch, self.ranks.of_the_first(population.tensors, epoch))
        own = self._restore(population)
        validated = self.task.examples.validates(member).nonzero().squeeze(1)
        for epoch in range(population.epoch + 1, until + 1):
            with epoch_chance(self.task, member.recipe.seed, epoch, rank=self._rank):
                train_loss = self._epoch(own, epoch, between)
            population = population.at(epoch, _tensors_of(own))
            outputs = self._outputs_of_all(own, validated)
            watch(population, Measured(epoch, train_loss, outputs.unsqueeze(0), validated))
        return population

    def predict(self, population: Population, rows: Tensor) -> Tensor:
        """Canonical outputs (1, n, C) for the examples in these rows, without augmentation."""
        return self._outputs(self._restore(population), rows).unsqueeze(0)

    def fits(self, population: Population) -> bool:
        """Whether this engine wrote the state, so that it can continue from it."""
        return any(name.startswith("module.") for name in population.tensors)

    def module(self, population: Population, place: int) -> nn.Module:
        """The network of the member, with the weights that are judged."""
        own = self._restore(population)
        with _Judged(own) as module:
            state = {name: value.clone() for name, value in module.state_dict().items()}
        own.module.load_state_dict(state)
        return own.module.eval()

    def rehearse(
        self, member: Member, steps: int = 4, *, whole: bool = True, clock: Callable[[], float] = time.perf_counter
    ) -> float:
        """Seconds per epoch (or per step) of this member, measured in a few steps of a copy that is discarded.

        The first step, which prepares much, does not count; of slow steps only one more is made.
        """
        own = self._restore(self.start([member]))
        walked = self.task.examples.walked(member)
        batches = epoch_batches(member.recipe.seed, 1, walked, member.recipe.batch(len(walked)))
        settings, like = self._settings(own)
        rates = settings.rates(1, len(batches), like)[:, 0].tolist()
        times = []
        own.module.train()
        _mode(own.optimizer, train=True)
        with epoch_chance(self.task, member.recipe.seed, 1):
            # Not the last batch, which may have only a few examples and would look fast.
            whole_ones = [step for step, rows in enumerate(batches) if len(rows) == len(batches[0])]
            for step in islice(cycle(whole_ones), steps):
                begin = clock()
                self._step(own, settings, 1, step, batches[step], rates[step], len(batches))
                times.append(clock() - begin)
                if len(times) > 1 and sum(times) > LONG_S:
                    break
        if not whole:
            return min(times[1:] or times)
        validated = int(self.task.examples.validates(member).sum())
        ahead = 0.4 * validated / member.recipe.batch(len(walked))  # prediction is a forward pass
        return min(times[1:] or times) * (len(batches) + ahead)

    def _optimizer(self, module: nn.Module, recipe: Recipe, number: int) -> tuple[torch.optim.Optimizer, list[float]]:
        first, *others = self.task.groups(module, recipe)
        optimizer = plain_optimizer(first.named, optimizer_of(recipe, number))
        factors = [first.factor] * len(optimizer.param_groups)
        for own in others:
            optimizer.add_param_group({"params": [param for _, param in own.named]})
            factors.append(own.factor)
        return optimizer, factors

    def _restore(self, population: Population) -> _Training:
        """The module and the optimizer of a population of one member."""
        (member,) = population.members
        module = built(self.task, member)
        tensors = {name: value[0] for name, value in population.tensors.items()}
        number = phase(member.recipe, max(population.epoch, 1))
        own = _Training(member, module, *self._optimizer(module, member.recipe, number), {}, None)
        module.load_state_dict(in_room(tensors, "module"))
        load_optimizer_tensors(own.optimizer, in_room(tensors, "optimizer"))
        own.average = {name: value.clone() for name, value in in_room(tensors, "average").items()}
        own.plateau = population.tensors.get("plateau.multiplier")
        return own

    def _settings(self, own: _Training) -> tuple[Settings, Tensor]:
        like = next(own.module.parameters()).detach()
        return Settings.of([own.member], self.task.examples, like), like

    def _epoch(self, own: _Training, epoch: int, between: Callable[[], None]) -> Tensor:
        """Trains the member for one epoch. Returns its loss (1,) over its training examples."""
        recipe, number = own.member.recipe, phase(own.member.recipe, epoch)
        if number == 2 and phase(recipe, epoch - 1) == 1:
            with _Judged(own, averaged=False) as module:
                state = {name: value.clone() for name, value in module.state_dict().items()}
            own.module.load_state_dict(state)
            own.optimizer, own.factors = self._optimizer(own.module, recipe, 2)
        if recipe.model.thaw:
            for group in self.task.groups(own.module, recipe):
                for _, param in group.named:
                    param.requires_grad_((epoch - 1) >= group.begins * recipe.epochs)
        settings, like = self._settings(own)
        walked = self.task.examples.walked(own.member)
        batches = epoch_batches(recipe.seed, epoch, walked, recipe.batch(len(walked)))
        rates = settings.rates(epoch, len(batches), like)[:, 0]
        if own.plateau is not None and number == 1:
            rates = rates * own.plateau.to(rates)
        total, count = torch.zeros_like(like.flatten()[:1]), 0.0
        own.module.train()
        assert self.ranks is None or sees_parts(own.module), "norms over a batch would see only a part of it"
        _mode(own.optimizer, train=True)
        for step, (rows, rate) in enumerate(zip(batches, rates.tolist(), strict=True)):
            between()
            loss, seen = self._step(own, settings, epoch, step, rows, rate, len(batches))
            total += loss * seen
            count += seen
        if averages(recipe) == "swa":
            inside, before = settings.averaging(epoch)
            with _Judged(own, averaged=False) as module:
                update_mean(
                    _stacked(own.average), _stacked(module.state_dict()),
                    count=torch.tensor([before[0] if inside[0] else 0], dtype=like.dtype, device=like.device),
                )  # fmt: skip
        return (total / (count or 1)).cpu()

    def _step(
        self, own: _Training, settings: Settings, epoch: int, step: int, rows: Tensor, rate: float, num_steps: int
    ) -> tuple[Tensor, float]:
        """One step on the member's examples in a batch. Returns their mean loss and their number, or their weight."""
        recipe = own.member.recipe
        batch = Batch.of(self.task, own.member, settings, rows, epoch=epoch, step=step)
        if not batch.count:
            return torch.zeros((), device=self.task.device), 0
        for group, factor in zip(own.optimizer.param_groups, own.factors, strict=True):
            group["lr"] = rate * factor
        own.optimizer.zero_grad(set_to_none=True)
        if self.parts == 1 and self.ranks is None:
            loss = batch.backward(own.module)
        else:
            loss = torch.zeros((), device=self.task.device)
            places = torch.arange(batch.count, device=rows.device)
            for part in torch.chunk(places if self.ranks is None else self.ranks.part(places), self.parts):
                if len(part):
                    loss = loss + batch.backward(own.module, part)
            if self.ranks is not None:
                loss = _added_up(self.ranks, own, loss)
        params: dict[str, nn.Parameter] = {}
        if settings.any_penalty or settings.any_clip or settings.any_max_norm:
            params = {name: value for name, value in own.module.named_parameters() if value.requires_grad}
        if settings.any_penalty:
            own_penalty = penalty({n: p[None] for n, p in params.items()}, l1=settings.l1, l2=settings.l2)
            torch.autograd.backward(own_penalty.sum())
        if settings.any_clip:
            grads = {name: value.grad[None] for name, value in params.items() if value.grad is not None}
            for name, value in clip_gradients(grads, norm=settings.clip_norm, value=settings.clip_value).items():
                params[name].grad = value[0]
        own.optimizer.step()
        if settings.any_max_norm:
            limit_norms({name: value.detach()[None] for name, value in params.items()}, settings.max_norm)
        if averages(recipe) == "ema":
            done = torch.full_like(settings.ema, (epoch - 1) * num_steps + step)
            update_average(_stacked(own.average), _stacked(own.module.state_dict()), decay=settings.ema, step=done)
        return loss, batch.size

    def _outputs_of_all(self, own: _Training, rows: Tensor) -> Tensor:
        """As `_outputs`, of which each of the ranks predicts a part."""
        if self.ranks is None:
            return self._outputs(own, rows)
        places = self.ranks.part(torch.arange(len(rows)))
        mine = self._outputs(own, rows[places.to(rows.device)])
        found = mine.new_zeros(len(rows), mine.shape[1])
        found[places] = mine
        self.ranks.add([found])
        return found

    @property
    def _rank(self) -> int:
        return 0 if self.ranks is None else self.ranks.number

    @torch.no_grad()
    def _outputs(self, own: _Training, rows: Tensor) -> Tensor:
        recipe, found = own.member.recipe, []
        if not len(rows):  # a module of the user's own may not take an empty batch
            like = next(own.module.parameters())
            return torch.zeros(0, max(self.task.examples.num_classes, 1), dtype=like.dtype)
        with _Judged(own) as module:
            for some in torch.split(rows, self.task.eval_batch):
                with precision(self.task), naming_failures(recipe):
                    views = [module(x) for x in self.task.views(recipe, some)]
                width = num_outputs(recipe, self.task.examples)
                for view in views:
                    require_outputs(recipe, view, (len(some), width), trained=False)
                views = [v.float() if v.dtype == torch.bfloat16 else v for v in views]
                found.append(views[0] if len(views) == 1 else torch.stack(views).mean(dim=0))
        return LOSSES.get(recipe.loss.name).predict(torch.cat(found)).cpu()


class _Judged:
    """Switches the module to evaluation, with averaged weights if there are any, and back again."""

    def __init__(self, own: _Training, *, averaged: bool = True) -> None:
        self._own = own
        self._averaged = averaged and bool(own.average)
        self._kept: Tensors = {}

    def __enter__(self) -> nn.Module:
        own = self._own
        _mode(own.optimizer, train=False)
        if self._averaged:
            self._kept = {name: value.clone() for name, value in own.module.state_dict().items()}
            own.module.load_state_dict(own.average)
        return own.module.eval()

    def __exit__(self, *problem: object) -> None:
        own = self._own
        if self._averaged:
            own.module.load_state_dict(self._kept)
        _mode(own.optimizer, train=True)


def _added_up(ranks: Ranks, own: _Training, loss: Tensor) -> Tensor:
    """Adds up the gradients of all ranks, each of a part of the batch. loss: () the part of it; returns all of it."""
    params = [param for param in own.module.parameters() if param.requires_grad]
    # What no example of the batch reached has no gradient, and stays; one that is zero would decay.
    reached = torch.tensor([float(param.grad is not None) for param in params], device=loss.device)
    grads = [torch.zeros_like(param) if param.grad is None else param.grad for param in params]
    whole = loss.clone()
    ranks.add([*grads, reached, whole])
    for param, grad, many in zip(params, grads, reached.tolist(), strict=True):
        param.grad = grad if many else None
    return whole


def _mode(optimizer: torch.optim.Optimizer, *, train: bool) -> None:
    """Switches schedule-free optimizers, whose weights in training differ from those that are judged."""
    change = getattr(optimizer, "train" if train else "eval", None)
    if callable(change):
        change()


def _stacked(tensors: Tensors) -> Tensors:
    return {name: value.detach()[None] for name, value in tensors.items()}


def _tensors_of(own: _Training) -> Tensors:
    """Copies of all tensors of a training, each with a leading 1."""
    found = {f"module.{name}": value.detach().clone()[None] for name, value in own.module.state_dict().items()}
    found |= {f"optimizer.{name}": v.clone()[None] for name, v in optimizer_tensors(own.optimizer).items()}
    found |= {f"average.{name}": value.clone()[None] for name, value in own.average.items()}
    if own.plateau is not None:
        found["plateau.multiplier"] = own.plateau
    return found
