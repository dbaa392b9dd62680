"""The two ways to learn from small pictures, tried on a few: a head on frozen features, and a network from scratch."""

from __future__ import annotations

from dataclasses import replace

import torch

from tame.adjust import portfolio
from tame.core.recipe import Recipe
from tame.kinds.pictures.commands import Compare, Compared
from tame.kinds.pictures.tasks import FeatureTask, PixelTask
from tame.trial.population import Engine, Examples, Measured, Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked

EPOCHS = 10  # of the network from scratch


def compare(asked: Compare, head: Recipe, features: FeatureTask, pixels: PixelTask) -> Compared:
    """How often each is right on the examples that it was not trained on. head: the recipe of the head."""
    examples = features.examples
    scratch = scratch_recipe(asked)
    apart = replace(pixels, examples=replace(examples, together=False))
    return Compared(
        pretrained=_accuracy(Stacked(features), head, examples),
        scratch=_accuracy(Serial(apart), scratch, examples),
        trained_on=int((examples.fold != 0).sum()),
        judged=int((examples.fold == 0).sum()),
    )


def scratch_recipe(asked: Compare) -> Recipe:
    """The default recipe of networks from scratch, for a few epochs."""
    return portfolio.scratch(asked.side, len(asked.rows), epochs=EPOCHS, seed=asked.seed).base


def examples_of(asked: Compare) -> Examples:
    """The examples with those that judge as their fold 0."""
    folds = torch.where(torch.tensor(asked.held), 0, -1)
    return Examples(torch.tensor(asked.targets), folds, asked.classes)


def _accuracy(engine: Engine, recipe: Recipe, examples: Examples) -> float:
    last: list[Measured] = []
    population = engine.start([Member(-1, 0, recipe)])
    engine.advance(population, until=recipe.epochs, watch=lambda _, measured: last.append(measured))
    outputs, rows = last[-1].outputs[0].cpu(), last[-1].rows.cpu()
    return float((outputs.argmax(dim=1) == examples.target.cpu()[rows]).double().mean())
