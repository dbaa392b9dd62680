"""How much memory training on pictures will take: heads on features, fine-tuning, networks from scratch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from tame.core.recipe import Recipe
from tame.kinds.pictures.inputs import Inputs
from tame.parts.backbones import Backbone, cut
from tame.parts.mlp import head_of, num_weights
from tame.parts.models import build_model
from tame.trial.choose import SIZES, member_bytes
from tame.trial.commands import Fold
from tame.trial.draws import same_chance
from tame.trial.memory_needs import FLOAT, Alone, groups, one_pass, states
from tame.trial.population import Examples, num_outputs
from tame.trial.training_material import Trained


def of_pictures(inputs: Inputs, trained: Trained) -> int:
    """Bytes that training all this adds to what the process has held so far."""
    recipes, folds, examples, tuning = trained.recipes, trained.folds, trained.examples, trained.tuning
    if inputs.backbone is None:
        return _scratch(inputs, recipes, folds, examples, trained.rehearsed, cores=trained.cores)
    found = _heads(inputs.backbone, recipes, folds, examples, trained.cores)
    if tuning is None:
        return found
    # Steps at the smallest size may have been tried, but larger blocks do not fit into the holes that they left.
    later = _tuned(inputs, tuning, _judged(examples, folds)).most + 3 * tuning.input.size**2 * len(examples)
    return max(found, later)


def _scratch(
    inputs: Inputs, recipes: Sequence[Recipe], folds: Sequence[Fold], examples: Examples, rehearsed: Recipe | None,
    *, cores: int,
) -> int:  # fmt: skip
    """Networks from scratch: one on each of these cores at a time, at its own input size."""
    weights, alone = dict[Recipe, int](), dict[Recipe, Alone]()
    for recipe in dict.fromkeys([*recipes, *([rehearsed] if rehearsed else [])]):
        with same_chance(recipe.seed, "build"):
            module = build_model(recipe.model, num_outputs(recipe, examples)).to(inputs.device)
        size = recipe.input.size
        one = one_pass(module, torch.zeros(1, 3, size, size, device=inputs.device))
        weights[recipe] = num_weights(module)
        alone[recipe] = Alone.of(
            weights[recipe], one, batch=recipe.batch(len(examples)), judged=_judged(examples, folds)
        )
    tried = alone[rehearsed].step if rehearsed else 0
    pixels = max(3 * recipe.input.size**2 * len(examples) for recipe in recipes)
    largest = sorted((own.most for own in alone.values()), reverse=True)[:cores]
    return max(0, sum(largest) - tried) + pixels + states(weights, len(folds))


def _heads(backbone: Backbone, recipes: Sequence[Recipe], folds: Sequence[Fold], examples: Examples, cores: int) -> int:
    """Heads: their groups, what waits, and the features at every size, as they are and as they are scaled."""
    weights, each = dict[Recipe, int](), dict[Recipe, int]()
    for recipe in recipes:
        head = head_of(backbone.width(recipe.model.pooled), num_outputs(recipe, examples), recipe.model)
        weights[recipe] = num_weights(head)
        each[recipe] = member_bytes(head, recipe, recipe.batch(len(examples)))
    sizes = {recipe.input.size for recipe in recipes}
    views = max(recipe.input.views for recipe in recipes)
    scaled = {(recipe.input.size, recipe.model.pooled) for recipe in recipes}
    columns = len(sizes) * backbone.width(len(backbone.pooled)) + sum(backbone.width(pooled) for _, pooled in scaled)
    features = columns * views * len(examples) * FLOAT
    judged = int((examples.fold >= 0).sum())
    own = groups(each, len(folds), lambda recipe, wanted: min(wanted, SIZES[-1]), cores=cores, judged=judged)
    return own + features + states(weights, len(folds))


def _tuned(inputs: Inputs, recipe: Recipe, judged: int) -> Alone:
    """The upper part of the backbone, on what the lower part makes of a batch each time."""
    assert inputs.backbone is not None
    autocast = torch.bfloat16 if inputs.half() else None
    folded = replace(inputs.backbone, module=inputs.folded())
    lower, upper = (part.to(inputs.device) for part in cut(folded, recipe.model.unfrozen))
    size, batch = recipe.input.size, recipe.batch_size
    x = torch.zeros(1, 3, size, size, device=inputs.device)
    below = one_pass(lower, x, autocast)
    with torch.no_grad():
        maps = lower.eval()(x)
    above = one_pass(upper, maps, autocast)
    assert isinstance(batch, int), "fine-tuning goes in batches"
    return Alone.of(num_weights(upper), above, batch=batch, judged=judged, below=below.at_once)


def _judged(examples: Examples, folds: Sequence[Fold]) -> int:
    """Examples that one member validates."""
    return int((examples.fold >= 0).sum()) // len(folds)
