"""The fast engine: all members of a group in one batched computation.

A group shares its data, its seed, its shapes, its batch size and its kind of optimizer (`group_key`); everything else
is a tensor with one value for each member. The members of the folds of cross-validation walk through the same batches;
an example weighs nothing for the member that is validated on it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.parts.losses import mean_loss
from tame.parts.models import apply_heads, init_head
from tame.parts.optimizers import OPTIMIZERS, Hyper
from tame.parts.schedules import rate_multiplier
from tame.trial.population import (
    Examples,
    Measured,
    Member,
    Population,
    Tensors,
    dropout_noise,
    epoch_batches,
)  # fmt: skip


def group_key(recipe: Recipe) -> Hashable:
    """Recipes with the same key can be trained in one group."""
    return (
        recipe.input.size, recipe.input.views, recipe.input.crop, recipe.model.hidden, recipe.batch_size,
        recipe.optimizer.name, recipe.loss.name, recipe.seed,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stacked:
    """Trains heads on features. features: (V, N, D) views of each example; examples: their targets and folds."""

    features: Tensor
    examples: Examples

    def start(self, members: Sequence[Member]) -> Population:
        """The members before their first epoch; those with the same seed start from the same draws."""
        own = []
        for member in members:
            recipe = member.recipe
            own.append(
                init_head(
                    self.features.shape[2], self.examples.num_classes, hidden=recipe.model.hidden, seed=recipe.seed
                )
            )
        params = {name: torch.stack([each[name] for each in own]).to(self.features) for name in own[0]}
        state = OPTIMIZERS.get(members[0].recipe.optimizer.name).init(params)
        return Population(tuple(members), {**_named("param", params), **_named("state", state)})

    def advance(
        self, population: Population, *, until: int, watch: Callable[[Population, Measured], None]
    ) -> Population:
        """The population trained until that many epochs in all. `watch` sees it after every epoch."""
        run = _Run.of(population, self.features, self.examples)
        tensors = {name: value.clone() for name, value in population.tensors.items()}
        params, state = _part(tensors, "param"), _part(tensors, "state")
        for epoch in range(population.epoch + 1, until + 1):
            train_loss, params, state = run.epoch(epoch, params, state)
            population = population.at(epoch, {**_named("param", params), **_named("state", state)})
            watch(population, run.measure(epoch, train_loss, params))
        return population

    @torch.no_grad()
    def predict(self, population: Population, rows: Tensor) -> Tensor:
        """Logits (M, n, C) of the examples in these rows, from their first view."""
        params = _part(dict(population.tensors), "param")
        return predict_heads(params, self.features[:, rows])

    def head(self, population: Population, place: int) -> Tensors:
        """The parameters of one member's head."""
        return {name: value[place] for name, value in _part(dict(population.tensors), "param").items()}


@dataclass(frozen=True, slots=True)
class _Run:
    """What stays the same while one population is advanced."""

    features: Tensor
    target: Tensor
    recipe: Recipe  # of the first member: what the whole group shares
    trains: Tensor  # (M, N) of the features' type: 1 where the member learns from the example
    rows: Tensor  # (n,) examples that some member validates
    schedules: list[str]
    tensors: dict[str, Tensor]  # (M,) each

    @classmethod
    def of(cls, population: Population, features: Tensor, examples: Examples) -> _Run:
        members = population.members
        assert len({group_key(member.recipe) for member in members}) == 1, "a group shares its key"

        def column(pick: Callable[[Recipe], float]) -> Tensor:
            values = [pick(member.recipe) for member in members]
            return torch.tensor(values, dtype=features.dtype, device=features.device)

        tensors = {
            "lr": column(lambda r: r.optimizer.lr),
            "weight_decay": column(lambda r: r.optimizer.weight_decay),
            "momentum": column(lambda r: r.optimizer.momentum),
            "smoothing": column(lambda r: r.loss.label_smoothing),
            "dropout": column(lambda r: r.model.dropout),
            "warmup": column(lambda r: r.schedule.warmup),
            "epochs": column(lambda r: r.epochs),
        }
        validated = torch.stack([examples.validates(member) for member in members]).any(dim=0)
        return cls(
            features=features,
            target=examples.target,
            recipe=members[0].recipe,
            trains=torch.stack([examples.trains(member) for member in members]).to(features),
            rows=validated.nonzero().squeeze(1),
            schedules=[member.recipe.schedule.name for member in members],
            tensors=tensors,
        )

    def epoch(self, epoch: int, params: Tensors, state: Tensors) -> tuple[Tensor, Tensors, Tensors]:
        """One epoch: the loss of each member (M,), averaged over the examples it learnt from, and the new state."""
        recipe, tensors = self.recipe, self.tensors
        optimizer = OPTIMIZERS.get(recipe.optimizer.name)
        device = self.features.device
        batches = epoch_batches(recipe.seed, epoch, self.target.shape[0], recipe.batch_size)
        views = view_draws(recipe, epoch, self.target.shape[0]).to(device)
        counts = torch.stack([self.trains[:, rows].sum(dim=1) for rows in batches])  # (steps, M)
        some_idle = (counts == 0).any(dim=1).tolist()  # one look an epoch, so that a GPU need not wait in every step
        all_train = bool(self.trains.all())
        total = torch.zeros_like(tensors["lr"])
        for step, rows in enumerate(batches):
            rows = rows.to(device)
            weight = None if all_train else self.trains[:, rows]
            noise = None
            if recipe.model.hidden:
                noise = dropout_noise(recipe.seed, epoch, step, (len(rows), recipe.model.hidden)).to(self.features)
            leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
            with torch.enable_grad():
                x = self.features[views[rows], rows]
                outputs = apply_heads(leaves, x, dropout=tensors["dropout"], noise=noise)
                smoothing = tensors["smoothing"]
                loss = mean_loss(recipe.loss.name, outputs, self.target[rows], label_smoothing=smoothing, weight=weight)
                grads = dict(zip(leaves, torch.autograd.grad(loss.sum(), list(leaves.values())), strict=True))
            total += loss.detach() * counts[step]
            done = ((epoch - 1) + step / len(batches)) / tensors["epochs"]
            lr = tensors["lr"] * rate_multiplier(self.schedules, done.clamp(max=1), warmup=tensors["warmup"])
            hyper = Hyper(lr=lr, weight_decay=tensors["weight_decay"], momentum=tensors["momentum"])
            active = counts[step] > 0 if some_idle[step] else None  # no example in this batch, no step
            params, state = optimizer.update(params, grads, state, hyper, active=active)
        return total / self.trains.sum(dim=1), params, state

    @torch.no_grad()
    def measure(self, epoch: int, train_loss: Tensor, params: Tensors) -> Measured:
        return Measured(epoch, train_loss, predict_heads(params, self.features[:, self.rows]), self.rows)


def predict_heads(params: Tensors, features: Tensor) -> Tensor:
    """Logits (M, n, C) of features (V, n, D): of the picture itself, or its mean with the mirror image's.

    A recipe that trains on more than one view is judged, and later used, with both.
    """
    logits = apply_heads(params, features[0])
    return logits if len(features) == 1 else (logits + apply_heads(params, features[1])) / 2


def view_draws(recipe: Recipe, epoch: int, num_examples: int) -> Tensor:
    """Which cached view (N,) each example is seen in during an epoch."""

    if recipe.input.views == 1:
        return torch.zeros(num_examples, dtype=torch.long)
    return torch.from_numpy(stream(recipe.seed, "view", epoch).integers(recipe.input.views, size=num_examples))


def _named(room: str, tensors: Tensors) -> Tensors:
    return {f"{room}.{name}": value for name, value in tensors.items()}


def _part(tensors: Tensors, room: str) -> Tensors:
    return {name.removeprefix(f"{room}."): value for name, value in tensors.items() if name.startswith(f"{room}.")}
