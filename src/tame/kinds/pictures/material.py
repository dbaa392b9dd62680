"""Pictures in the process that trains: heads on frozen features, fine-tuning, networks from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.kinds.pictures.features import Pictures
from tame.kinds.pictures.inputs import Inputs
from tame.kinds.pictures.prediction import judge
from tame.kinds.pictures.tasks import FeatureTask, PixelTask, Tuned, TunedTask
from tame.parts.mlp import Mlp
from tame.parts.models import build_model
from tame.parts.network import Network, plain_head
from tame.trial.commands import Fold
from tame.trial.population import Examples, Member, Task, joint
from tame.trial.stacked import Stacked

SHORTEST = 384  # pixels of the shorter side of what is kept of a picture: enough for every input size
FEATURE_LENGTH = 16.0  # of the scaled features, on average: the rates of the portfolio are meant for it
PROBE = {  # the head that fine-tuning starts from
    "model.unfrozen": 0, "input.views": 2, "optimizer.name": "nesterov", "optimizer.lr": 3e-3,
    "optimizer.momentum": 0.9, "optimizer.weight_decay": 1e-3, "schedule.name": "cosine", "schedule.warmup": 0.0,
    "epochs": 20, "batch_size": 64, "then.start": 1.0, "regularize.early_stopping": 0,
}  # fmt: skip


class PictureMaterial:
    """Decoded pictures and, where there is one, the backbone they pass."""

    kind = "images"
    reason = "convolutions are slower together"

    def __init__(self, inputs: Inputs, *, cache: Path, blank: bool = False) -> None:
        """blank: whether features are zeros, on which training takes as long as on what is not computed yet."""
        self.inputs = inputs
        self._cache = cache
        self._blank = blank

    def blank(self) -> PictureMaterial:
        """The same with blank features, to rehearse heads before there are any."""
        return PictureMaterial(self.inputs, cache=self._cache, blank=True)

    def check(self, recipe: Recipe, examples: Examples) -> None:
        if self.inputs.backbone is None:
            build_model(recipe.model, 2)
        else:
            name = recipe.model.name
            require(name == "head", f"with a backbone, model.name is 'head', not {name!r}")
        require(not recipe.model.unfrozen, "model.unfrozen is set by fine-tuning, after the heads; it cannot be fixed")
        require(not recipe.augment.noise, "augment.noise is for the numbers of tables; leave it out")
        frozen = recipe.model.name == "head"
        require(
            not (frozen and recipe.regularize.cutmix),
            "regularize.cutmix pastes parts of pictures; on frozen features use regularize.mixup",
        )

    def small(self, recipe: Recipe) -> bool:
        return self.stacks(recipe)

    def stacks(self, recipe: Recipe) -> bool:
        return recipe.model.name == "head" and not recipe.model.unfrozen

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        inputs = self.inputs
        autocast = torch.bfloat16 if inputs.half() else None
        if self.stacks(recipe):
            features, shift, scale = self._scaled(recipe, rows)
            return FeatureTask(features, examples.to(inputs.device), inputs.device, shift=shift, scale=scale)
        apart = replace(examples, together=False)
        if recipe.model.name != "head":
            return PixelTask(inputs.pixels(rows, recipe), apart, inputs.device, autocast)
        heads = self._first_heads(recipe, rows, examples, folds)
        return inputs.tuned_task(recipe, rows, heads, apart, autocast)

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        """As `task`, but heads are not trained first."""
        if recipe.model.name != "head":
            return self.task(recipe, rows, examples, folds)
        assert self.inputs.backbone is not None
        blank = FeatureTask(torch.zeros(1, 1, self.inputs.backbone.num_features), examples, self.inputs.device)
        heads = {fold: blank.build(Member(-1, fold, recipe.but({"model.unfrozen": 0}))) for fold in folds}
        autocast = torch.bfloat16 if self.inputs.half() else None
        apart = replace(examples, together=False)
        return self.inputs.tuned_task(recipe, rows, _heads(heads), apart, autocast)

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        return [list(folds)] if self.stacks(recipe) and joint(examples, recipe) else [[fold] for fold in folds]

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        backbone = self.inputs.backbone
        run = {} if backbone is None else asdict(self.inputs.speed())
        if isinstance(task, FeatureTask):
            assert isinstance(module, Mlp)
            assert task.shift is not None
            assert task.scale is not None
            module = plain_head(module, shift=task.shift, scale=task.scale)
        elif isinstance(task, TunedTask):
            assert isinstance(module, Tuned)
            backbone, module = self.inputs.tuned_backbone(module), module.head
        return Network(self.kind, kind_of_task, recipe, tuple(labels), module.eval(), backbone, run, SHORTEST)

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        own = self.inputs.pictures
        some = Pictures([own.pixels[row] for row in rows], [own.digests[row] for row in rows])
        return judge(network, some, device=self.inputs.device, cache=self._cache if cached else None)

    def _scaled(self, recipe: Recipe, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (V, N, D) that are centred and have length 16 on average, with the shift (D,) and the scale ().

        One scale for all features: gradient descent then finds what it would find on the plain ones, in fewer steps.
        """
        if self._blank:
            assert self.inputs.backbone is not None
            zeros = torch.zeros(1, 1, self.inputs.backbone.num_features, device=self.inputs.device)
            return zeros.expand(recipe.input.views, len(rows), -1), zeros[0, 0], zeros.sum()
        plain = self.inputs.features(rows, size=recipe.input.size, views=recipe.input.views, crop=recipe.input.crop)
        shift = plain[0].mean(dim=0)
        scale = FEATURE_LENGTH / (plain[0] - shift).square().sum(dim=1).mean().sqrt().clamp(min=1e-12)
        return (plain - shift) * scale, shift, scale

    def _first_heads(
        self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]
    ) -> dict[Fold, Mlp]:
        """The head that fine-tuning starts from, for each fold: one trained on the frozen features first.

        Source: Kumar et al., Fine-Tuning can Distort Pretrained Features (2022): probe first, then tune.
        """
        probe = recipe.but({**PROBE, "seed": recipe.seed})
        features, shift, scale = self._scaled(probe, rows)
        stacked = Stacked(FeatureTask(features, examples.to(self.inputs.device), self.inputs.device))
        members = [Member(-1, fold, probe) for fold in folds]
        population = stacked.advance(stacked.start(members), until=probe.epochs, watch=lambda *_: None)
        heads = {fold: stacked.module(population, i) for i, fold in enumerate(folds)}
        return {fold: plain_head(head, shift=shift, scale=scale) for fold, head in _heads(heads).items()}


def _heads(modules: dict[Fold, nn.Module]) -> dict[Fold, Mlp]:
    return {fold: module for fold, module in modules.items() if isinstance(module, Mlp)}
