"""The two ways to learn from small pictures, tried on a few: a head on frozen features, and a network from scratch."""

from __future__ import annotations

from dataclasses import replace

import torch

from tame.adjust import portfolio
from tame.core.recipe import Recipe
from tame.kinds.pictures.commands import Compare, Compared
from tame.kinds.pictures.tasks import FeatureTask, PixelTask
from tame.parts.metrics import METRICS
from tame.trial.population import Engine, Examples, Measured, Member
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked
from tame.trial.training_material import scaled

EPOCHS, MOST_SIZE = 10, 48  # of the network from scratch: a glance, which must not take long


def compare(asked: Compare, head: Recipe, features: FeatureTask, pixels: PixelTask) -> Compared:
    """How often each is right on the examples that it was not trained on. head: the recipe of the head."""
    examples = scaled(features.examples, head)
    scratch = scratch_recipe(asked)
    apart = replace(pixels, examples=replace(examples, together=False))
    return Compared(
        pretrained=_quality(Stacked(replace(features, examples=examples)), head, examples),
        scratch=_quality(Serial(apart), scratch, examples),
        trained_on=int((examples.fold != 0).sum()),
        judged=int((examples.fold == 0).sum()),
    )


def scratch_recipe(asked: Compare) -> Recipe:
    """The default recipe of networks from scratch, for a few epochs."""
    base = portfolio.scratch(asked.side, len(asked.rows), task=task_of(asked), epochs=EPOCHS, seed=asked.seed).base
    return base.but({"input.size": min(base.input.size, MOST_SIZE)})


def task_of(asked: Compare) -> str:
    """The task, as far as recipes differ by it."""
    return "multiclass" if asked.classes else "regression"


def examples_of(asked: Compare) -> Examples:
    """The examples with those that judge as their fold 0."""
    folds = torch.where(torch.tensor(asked.held), 0, -1)
    kind = torch.int64 if asked.classes else torch.float64
    return Examples(torch.tensor(asked.targets, dtype=kind), folds, asked.classes)


def _quality(engine: Engine, recipe: Recipe, examples: Examples) -> float:
    """Accuracy on the examples that judge, or the share of their variance that is explained."""
    last: list[Measured] = []
    population = engine.start([Member(-1, 0, recipe)])
    engine.advance(population, until=recipe.epochs, watch=lambda _, measured: last.append(measured))
    outputs, rows = examples.undo(last[-1].outputs.cpu(), 0), last[-1].rows.cpu()
    metric = METRICS.get("accuracy" if examples.num_classes else "r2")
    return float(metric(outputs, examples.target.cpu()[rows]))
