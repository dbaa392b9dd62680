"""Fine-tuning of a small network in several processes at once, or in one; each writes what it has found to a file.

Usage: python tuned_together.py NUMBER COUNT FOLDER CHANGES OUT, CHANGES being settings of a recipe in JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.pictures.tasks import TunedTask
from tame.parts.mlp import head_of
from tame.parts.models import init_module
from tame.trial.commands import Seat
from tame.trial.population import Examples, Member, nothing
from tame.trial.ranks import meeting
from tame.trial.serial import Serial

NUM, CLASSES, WIDTH, EPOCHS = 37, 3, 6, 3
CPU = torch.device("cpu")
BASE = {
    "model.unfrozen": 1, "batch_size": 8, "epochs": EPOCHS, "optimizer.lr": 0.05, "optimizer.name": "nesterov",
    "seed": 3, "input.size": 16, "input.views": 2, "augment.flip": True, "augment.crop": 0.1, "model.dropout": 0.3,
}  # fmt: skip


def upper_part(*, norm: bool = True) -> nn.Module:
    """What is trained: a convolution, and a norm whose statistics are those of pretraining."""
    torch.manual_seed(1)
    parts = [nn.Conv2d(4, WIDTH, 3), nn.BatchNorm2d(WIDTH), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    parts[1].running_mean.normal_(0, 0.2)
    parts[1].running_var.uniform_(0.5, 1.5)
    return nn.Sequential(*(parts if norm else [parts[0], *parts[2:]]))


def tuned_task(recipe: Recipe, *, weighted: bool = False) -> TunedTask:
    """Pictures of three classes, some of which count more than others."""
    chance = stream(0, "tuned")
    target = torch.from_numpy(chance.integers(CLASSES, size=NUM))
    weight = torch.from_numpy(chance.uniform(0.5, 3.0, size=NUM)) if weighted else None
    examples = Examples(target, torch.arange(NUM) % 3, CLASSES, together=False, weight=weight)
    pixels = torch.from_numpy(chance.integers(0, 256, size=(NUM, 3, 16, 16)).astype(np.uint8))
    torch.manual_seed(0)
    lower = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).requires_grad_(False)
    heads = {fold: head_of(WIDTH, CLASSES, recipe.model) for fold in (None, 0)}
    for head in heads.values():
        init_module(head, seed=0)
    mean, std = torch.full((1, 3, 1, 1), 127.0), torch.full((1, 3, 1, 1), 60.0)
    return TunedTask(lower, upper_part(), ("0",), mean, std, heads, pixels, examples, CPU)


def train(engine: Serial, recipe: Recipe) -> dict[str, np.ndarray]:
    """The weights after all epochs, and of each epoch the loss and the outputs for the examples that are validated."""
    found, (member,) = {}, [Member(0, 0, recipe)]

    def watch(_, measured):
        found[f"loss {measured.epoch}"] = measured.train_loss.numpy()
        found[f"outputs {measured.epoch}"] = measured.outputs.numpy()

    population = engine.advance(engine.start([member]), until=recipe.epochs, watch=watch)
    return found | {name: value.numpy() for name, value in population.tensors.items()}


def main() -> None:
    number, count, folder, changes, out = sys.argv[1:]
    own = json.loads(changes)
    weighted = own.pop("weighted", False)
    recipe = Recipe().but({**BASE, **own})
    torch.set_num_threads(1)
    engine = Serial(tuned_task(recipe, weighted=weighted))
    if int(count) == 1:
        found = train(engine, recipe)
    else:
        with meeting(Seat(number=int(number), count=int(count), folder=folder), CPU, nothing) as ranks:
            found = train(replace(engine, ranks=ranks), recipe)
    np.savez(Path(out), **found)


if __name__ == "__main__":
    main()
