"""How much memory training will need, computed from shapes before anything is allocated."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.trial.choose import Chooser
from tame.trial.commands import Fold
from tame.trial.population import Examples
from tame.trial.settings import group_key
from tame.trial.stacked import EVAL_VALUES
from tame.trial.training_material import Material

FLOAT = 4  # bytes
VALUES = 6  # times the size of the weights: parameters, gradients, two moments, and the workspace of a step
KEPT = 3  # likewise for a waiting trial: parameters and two moments
LAYERS = 3  # held at the same time while a group predicts: input, output and workspace of a layer
JUDGED = 256  # examples that one module predicts at once
WAITING = 64  # waiting trials whose weights are kept, in addition to those that start together


@dataclass(frozen=True, slots=True)
class Pass:
    """Bytes of one example in a network. kept: the outputs of all layers, which the backward pass needs; at_once: the
    largest input plus output of one layer."""

    kept: int
    at_once: int


@dataclass(frozen=True, slots=True)
class Alone:
    """Bytes that one network needs: in a training step, and while it predicts a batch of unseen examples."""

    step: int
    judging: int

    @classmethod
    def of(cls, weights: int, one: Pass, *, batch: int, judged: int, below: int = 0) -> Alone:
        """below: bytes of an example in a frozen part, which keeps no activations."""
        state = VALUES * FLOAT * weights
        judging = min(JUDGED, judged) * max(one.at_once, below)
        return cls(state + batch * max(one.kept + one.at_once, below), state + judging)

    @property
    def most(self) -> int:
        return max(self.step, self.judging)


def members_together(
    chooser: Chooser, material: Material, folds: Sequence[Fold], rows: Sequence[int], examples: Examples,
    recipe: Recipe, wanted: int,
) -> int:  # fmt: skip
    """How many of this many members of a recipe are trained together."""
    return chooser.choice(material, recipe, folds, rows, examples, members=wanted).members


def groups(
    each: Mapping[Recipe, int], num_folds: int, members: Callable[[Recipe, int], int], *, cores: int, judged: int
) -> int:
    """Bytes of the largest groups, as many as are trained side by side.

    each: bytes of one member of these recipes; members: how many of this many are trained together; judged: examples
    that a group predicts after each epoch, as many at once as the engine does.
    """
    alike = Counter(group_key(recipe) for recipe in each)
    largest = {group_key(recipe): recipe for recipe in sorted(each, key=lambda own: each[own])}
    found: list[int] = []
    for key, recipe in largest.items():
        wanted = alike[key] * num_folds
        most = min(members(recipe, wanted), wanted)
        widest = max(recipe.model.width, recipe.model.hidden, 64)
        at_once = min(judged, max(1, EVAL_VALUES // (most * widest)))
        found += [most * (each[recipe] + LAYERS * FLOAT * widest * at_once)] * max(1, wanted // most)
    return sum(sorted(found, reverse=True)[:cores])


def states(weights: Mapping[Recipe, int], num_folds: int) -> int:
    """Bytes of the weights and moments of waiting trials. weights: how many each of these recipes has."""
    mean = sum(weights.values()) / len(weights)
    return round(KEPT * FLOAT * num_folds * (sum(weights.values()) + WAITING * mean))


def one_pass(module: nn.Module, x: Tensor, autocast: torch.dtype | None = None) -> Pass:
    """The bytes that one of the examples x (B, ...) needs in the layers of a network."""
    kept = at_once = 0

    def see(_: nn.Module, taken: object, given: object) -> None:
        nonlocal kept, at_once
        kept += size_bytes(given)
        at_once = max(at_once, size_bytes(taken) + size_bytes(given))

    hooks = [part.register_forward_hook(see) for part in module.modules() if not list(part.children())]
    training = module.training
    how = nullcontext() if autocast is None else torch.autocast(x.device.type, dtype=autocast)
    try:
        with torch.no_grad(), how:
            module.eval()(x)
    finally:
        module.train(training)
        for hook in hooks:
            hook.remove()
    return Pass(kept // len(x), at_once // len(x))


def size_bytes(value: object) -> int:
    """Bytes of a tensor, or of everything in a tuple, list or dictionary."""
    if isinstance(value, Tensor):
        return value.numel() * value.element_size()
    if isinstance(value, Mapping):
        value = list(value.values())
    return sum(map(size_bytes, value)) if isinstance(value, tuple | list) else 0
