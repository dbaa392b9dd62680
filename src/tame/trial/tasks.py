"""Tasks that both engines train: heads on a backbone's features, and models on the rows of a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.augment import add_noise
from tame.parts.losses import LOSSES
from tame.parts.mlp import Columns, build_table_model, head_of
from tame.parts.models import init_module
from tame.trial.population import Examples, Groups, Member


@dataclass(frozen=True, slots=True)
class FeatureTask:
    """Heads on features. features: (V, N, D) views of each example, which are (plain - shift) x scale."""

    features: Tensor
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    shift: Tensor | None = None  # (D,)
    scale: Tensor | None = None  # ()
    by_fold: None = None
    eval_batch: int = 8192
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        head = head_of(self.features.shape[2], num_outputs(member.recipe, self.examples), member.recipe.model)
        init_module(head, seed=member.recipe.seed)
        return head.to(self.features)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        if recipe.input.views == 1:
            return self.features[0].index_select(0, rows.to(self.features.device))
        return self.features[view_draws(recipe, epoch, len(self.examples)).to(rows.device)[rows], rows]

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The picture itself, or also its mirror image: a recipe that trains on more views is judged with both."""
        return [view[rows] for view in self.features[:2]]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [(list(module.named_parameters()), 1.0)]


@dataclass(frozen=True, slots=True)
class TableTask:
    """Models on encoded rows. x: (N, D) float32, columns as `columns` says; or (F, N, D), one for each of `by_fold`.

    Encodings are fitted on what the members of a fold learn from.
    """

    x: Tensor
    columns: Columns
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: tuple[int | None, ...] | None = None
    eval_batch: int = 8192
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        model = build_table_model(self.columns, num_outputs(member.recipe, self.examples), member.recipe.model)
        init_module(model, seed=member.recipe.seed)
        return model.to(self.x)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        x = self.x.index_select(-2, rows)  # less than half the time of x[rows]
        if not recipe.augment.noise:
            return x
        numbers = slice(0, self.columns.dense + self.columns.periodic)
        return add_noise(x, strength=recipe.augment.noise, seed=recipe.seed, epoch=epoch, step=step, columns=numbers)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        return [self.x.index_select(-2, rows)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [(list(module.named_parameters()), 1.0)]


def num_outputs(recipe: Recipe, examples: Examples) -> int:
    """Numbers that the model gives for each example, as the loss wants them."""
    return LOSSES.get(recipe.loss.name).num_outputs(examples.num_classes)


def view_draws(recipe: Recipe, epoch: int, num_examples: int) -> Tensor:
    """Which cached view (N,) each example is seen in during an epoch."""
    return _view_draws(recipe.seed, epoch, recipe.input.views, num_examples)


@lru_cache(maxsize=2)  # every step of an epoch asks for the same
def _view_draws(seed: int, epoch: int, views: int, num_examples: int) -> Tensor:
    return torch.from_numpy(stream(seed, "view", epoch).integers(views, size=num_examples))
