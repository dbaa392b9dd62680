"""The reference engine: one member at a time, with a plain module and `torch.optim`. Takes any module."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.core.rng import stream_seed
from tame.parts.losses import mean_loss
from tame.parts.models import Head, init_head
from tame.parts.optimizers import OPTIMIZERS
from tame.parts.schedules import rate_multiplier
from tame.trial.population import Examples, Measured, Member, Population, dropout_noise, epoch_batches
from tame.trial.stacked import view_draws

EVAL_BATCH = 256


class Task(Protocol):
    """What the serial engine trains: how to build a member's module and what the module is fed with."""

    @property
    def examples(self) -> Examples: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def autocast(self) -> torch.dtype | None:
        """bfloat16 where that is faster and safe, else None; parameters stay float32."""
        ...

    def build(self, member: Member) -> nn.Module: ...

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int) -> Tensor:
        """The inputs of these examples as this epoch of this recipe sees them."""
        ...

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The inputs of these examples to judge them by: one view, or the picture and its mirror image."""
        ...

    def noise(self, recipe: Recipe, epoch: int, step: int, batch_size: int) -> Tensor | None:
        """Dropout draws for the whole batch where the module takes them as an argument; else None."""
        ...

    def groups(self, module: nn.Module, recipe: Recipe) -> list[tuple[list[nn.Parameter], float]]:
        """The parameters that are trained, with the factor on the rate that each group has."""
        ...


@dataclass(frozen=True, slots=True)
class Serial:
    """Trains populations of one member."""

    task: Task

    def start(self, members: Sequence[Member]) -> Population:
        """The member before its first epoch."""
        (member,) = members
        module = self._build(member)
        return Population((member,), _tensors_of(module, self._optimizer(module, member.recipe)))

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None]
    ) -> Population:
        """The population trained until that many epochs in all. `watch` sees it after every epoch."""
        (member,) = population.members
        module, optimizer = self.restore(population)
        validated = self.task.examples.validates(member).nonzero().squeeze(1)
        for epoch in range(population.epoch + 1, until + 1):
            train_loss = self._epoch(module, optimizer, member, epoch)
            population = population.at(epoch, _tensors_of(module, optimizer))
            logits = self._logits(module, member.recipe, validated)
            watch(population, Measured(epoch, torch.tensor([train_loss]), logits.unsqueeze(0), validated))
        return population

    def predict(self, population: Population, rows: Tensor) -> Tensor:
        """Logits (1, n, C) of the examples in these rows, unchanged by augmentation."""
        module, _ = self.restore(population)
        return self._logits(module, population.members[0].recipe, rows).unsqueeze(0)

    def restore(self, population: Population) -> tuple[nn.Module, torch.optim.Optimizer]:
        """The module and the optimizer that a population of one member stands for."""
        (member,) = population.members
        module = self._build(member)
        optimizer = self._optimizer(module, member.recipe)
        own = {name: value[0] for name, value in population.tensors.items()}
        module.load_state_dict({n.removeprefix("module."): v for n, v in own.items() if n.startswith("module.")})
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in own.items():
            if name.startswith("optimizer."):
                _, index, leaf = name.split(".", 2)
                state.setdefault(int(index), {})[leaf] = value.clone()
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        return module, optimizer

    def rehearse(self, member: Member, steps: int = 4) -> float:
        """Seconds that an epoch of this member takes, from a few steps of a copy that is thrown away."""
        module, optimizer = self.restore(self.start([member]))
        batches = epoch_batches(member.recipe.seed, 1, len(self.task.examples), member.recipe.batch_size)
        times = []
        for step, rows in enumerate(batches[:steps]):
            begin = time.perf_counter()
            self._step(module, optimizer, member, 1, step, rows, len(batches))
            times.append(time.perf_counter() - begin)
        validated = int(self.task.examples.validates(member).sum())
        ahead = 0.4 * validated / member.recipe.batch_size  # judging is a forward pass
        return min(times[1:] or times) * (len(batches) + ahead)

    def _build(self, member: Member) -> nn.Module:
        """The member's module; what torch draws while making it is overwritten, and must not move its generators."""
        with _same_chance(member.recipe.seed, 0, 0):
            return self.task.build(member)

    def _optimizer(self, module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
        groups = self.task.groups(module, recipe)
        optimizer = OPTIMIZERS.get(recipe.optimizer.name).reference(groups[0][0], recipe.optimizer)
        for params, _ in groups[1:]:
            optimizer.add_param_group({"params": params})
        for group, (_, factor) in zip(optimizer.param_groups, groups, strict=True):
            group["factor"] = factor
        return optimizer

    def _epoch(self, module: nn.Module, optimizer: torch.optim.Optimizer, member: Member, epoch: int) -> float:
        batches = epoch_batches(member.recipe.seed, epoch, len(self.task.examples), member.recipe.batch_size)
        total, count = torch.zeros((), device=self.task.device), 0
        module.train()
        for step, rows in enumerate(batches):
            loss, own = self._step(module, optimizer, member, epoch, step, rows, len(batches))
            total += loss * own
            count += own
        return float(total) / max(count, 1)

    def _step(
        self, module: nn.Module, optimizer: torch.optim.Optimizer, member: Member,
        epoch: int, step: int, rows: Tensor, num_steps: int,
    ) -> tuple[Tensor, int]:  # fmt: skip
        """One step on the examples of a batch that are the member's: their mean loss and how many they are."""
        recipe, task = member.recipe, self.task
        mine = task.examples.trains(member)[rows]
        own = rows[mine]
        if not len(own):
            return torch.zeros((), device=task.device), 0
        done = torch.tensor([min(((epoch - 1) + step / num_steps) / recipe.epochs, 1.0)], dtype=torch.float64)
        warmup = torch.tensor([recipe.schedule.warmup], dtype=torch.float64)
        multiplier = float(rate_multiplier([recipe.schedule.name], done, warmup=warmup))
        for group in optimizer.param_groups:
            group["lr"] = recipe.optimizer.lr * multiplier * group["factor"]
        noise = task.noise(recipe, epoch, step, len(rows))
        x = task.batch(recipe, own, epoch=epoch)
        with _same_chance(recipe.seed, epoch, step), self._precision():
            outputs = module(x) if noise is None else module(x, noise[mine].to(x))
        target = task.examples.target[own].to(task.device)
        outputs = outputs.float() if outputs.dtype == torch.bfloat16 else outputs
        smoothing = torch.tensor([recipe.loss.label_smoothing], dtype=outputs.dtype, device=task.device)
        (loss,) = mean_loss(recipe.loss.name, outputs[None], target, label_smoothing=smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach(), len(own)

    @torch.no_grad()
    def _logits(self, module: nn.Module, recipe: Recipe, rows: Tensor) -> Tensor:
        module.eval()
        found = []
        for part in torch.split(rows, EVAL_BATCH):
            with self._precision():
                views = [module(x).float() for x in self.task.views(recipe, part)]
            found.append(torch.stack(views).mean(dim=0))
        if not found:
            return torch.zeros(0, self.task.examples.num_classes)
        return torch.cat(found).cpu()

    def _precision(self) -> torch.autocast:
        dtype = self.task.autocast
        return torch.autocast(self.task.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


@dataclass(frozen=True, slots=True)
class HeadTask:
    """Heads on features, one at a time: the reference that the stacked engine is held against."""

    features: Tensor  # (V, N, D)
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None

    def build(self, member: Member) -> nn.Module:
        recipe, features = member.recipe, self.features.shape[2]
        hidden = recipe.model.hidden
        head = Head(features, self.examples.num_classes, hidden=hidden, dropout=recipe.model.dropout)
        head.load_state_dict(init_head(features, self.examples.num_classes, hidden=hidden, seed=recipe.seed))
        return head.to(self.features)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int) -> Tensor:
        return self.features[view_draws(recipe, epoch, len(self.examples))[rows], rows]

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [view[rows] for view in self.features[:2]]

    def noise(self, recipe: Recipe, epoch: int, step: int, batch_size: int) -> Tensor | None:
        if not recipe.model.hidden:
            return None
        return dropout_noise(recipe.seed, epoch, step, (batch_size, recipe.model.hidden))

    def groups(self, module: nn.Module, recipe: Recipe) -> list[tuple[list[nn.Parameter], float]]:
        return [(list(module.parameters()), 1.0)]


class _same_chance:
    """Gives torch's own generators a state that depends on seed, epoch and step alone, and puts theirs back."""

    def __init__(self, seed: int, epoch: int, step: int) -> None:
        self._seed = stream_seed(seed, "step", epoch, step)
        self._fork = torch.random.fork_rng()

    def __enter__(self) -> None:
        self._fork.__enter__()
        torch.manual_seed(self._seed)

    def __exit__(self, *problem: object) -> None:
        self._fork.__exit__(None, None, None)


def _tensors_of(module: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Copies of all that the module and the optimizer remember, each with a leading 1."""
    found = {f"module.{name}": value.detach().clone()[None] for name, value in module.state_dict().items()}
    for index, values in optimizer.state_dict()["state"].items():
        for name, value in values.items():
            if isinstance(value, Tensor):
                found[f"optimizer.{index}.{name}"] = value.detach().clone()[None]
    return found
