"""Does the rehearsal name faults planted in modules of a user's own, and leave sound ones alone? Prints one JSON line.

Small modules with a fault, and varied ones without, are tried as before a search, on made rows, pictures, sequences and
tokens. Named: one of the right causes is among the findings. Another: a warning or a problem of another kind is. Of
sound modules, every warning and problem is a false alarm.
Usage: python benchmarks/planted_set_up.py [--seeds 5] [--first 0] [--only NAME] [--numbers]
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from features import git, machine
from planted import Row, totals
from set_up_modules import PLANTS, Plant

from tame.core.plain import to_plain
from tame.core.probed import Probed
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.arrays.material import ArrayMaterial
from tame.monitor.case import Facts
from tame.monitor.probes import judge
from tame.trial.population import Examples, Member
from tame.trial.probing import probe

NUM, CLASSES, COLUMNS, SIDE, LENGTH, WORDS = 400, 5, 20, 12, 10, 50
CPU = torch.device("cpu")
LIMIT_S = 60.0  # not that of a study: a loaded machine must not decide what is named


@dataclass
class Rehearsed(Row):
    """What was said about the modules of a plant. wall_s: the longest rehearsal."""

    wall_s: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="plants whose name contains this")
    parser.add_argument("--numbers", action="store_true", help="print what was measured, for whoever sets a limit")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: dict[str, Rehearsed] = {}
    for name, plant in PLANTS.items():
        if given.only not in name:
            continue
        row = rows[name] = Rehearsed()
        for seed in range(given.first, given.first + given.seeds):
            probed, recipe, facts = rehearsed(plant, seed)
            found = judge(probed, recipe, facts)
            row.count(found, plant.causes)
            row.wall_s = max(row.wall_s, round(probed.wall_s, 3))
            told = [each.code + ("" if each.severity != "info" else " (info)") for each in found]
            row.said["+".join(told) or "silent"] += 1
            if given.numbers:
                print(name, seed, json.dumps(to_plain(probed)), [each.title for each in found])
    causes = {name: plant.causes for name, plant in PLANTS.items()}
    print(json.dumps({
        "benchmark": "planted_set_up", "commit": git("rev-parse", "HEAD"), "seeds": given.seeds, "first": given.first,
        **totals(rows, causes, given.seeds),
        "longest_s": max((row.wall_s for row in rows.values()), default=0.0),
        "plants": {name: {**vars(row), "said": dict(row.said)} for name, row in rows.items()}, "machine": machine(),
    }))  # fmt: skip


def rehearsed(plant: Plant, seed: int) -> tuple[Probed, Recipe, Facts]:
    """What a rehearsal of the module measures, its recipe, and what is known of the task."""
    x, y = made(plant, seed)
    classes = 0 if plant.task == "regression" else 2 if plant.task == "binary" else CLASSES
    recipe = Recipe().but({"model.name": "own", "seed": seed, **_loss(plant), **plant.recipe})
    fold = torch.from_numpy(np.where(np.arange(len(x)) < len(x) // 4, 0, -1))
    target = torch.from_numpy(y)
    examples = Examples(target, fold, classes)
    material = ArrayMaterial(x, plant.build, device=CPU)
    task = material.task(recipe, range(len(x)), examples, [0])
    facts = Facts(
        task=plant.task, num_classes=max(classes, 1), num_valid=len(x) // 4, metric="accuracy" if classes else "rmse",
        higher_is_better=bool(classes), dummy=1 / classes if classes else 1.0, dummy_error=0.05,
        guess_loss=math.log(classes) if classes else 1.0,
    )  # fmt: skip
    return probe(task, Member(-1, 0, recipe), limit_s=LIMIT_S), recipe, facts


def _loss(plant: Plant) -> Mapping[str, object]:
    return {"loss.name": "mse"} if plant.task == "regression" else {}


def made(plant: Plant, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of the kind that the module takes, and targets that they tell."""
    chance = stream(seed, "made", plant.inputs)
    num = plant.rows or NUM
    shape = {"rows": (COLUMNS,), "two": (2,), "pictures": (3, SIDE, SIDE), "series": (LENGTH, 6), "words": (LENGTH,)}
    if plant.inputs == "words":
        x = chance.integers(0, WORDS, (num, *shape["words"]))
        flat = (x[:, :, None] == np.arange(WORDS)).sum(axis=1).astype(float)
    else:
        x = chance.normal(size=(num, *shape[plant.inputs])).astype(np.float32)
        flat = x.reshape(num, -1).astype(float)
    hidden = np.tanh(flat @ chance.normal(size=(flat.shape[1], 16)) / math.sqrt(flat.shape[1]))
    if plant.task == "regression":
        return plant.scale * x if plant.scale != 1 else x, 3 + 5 * (hidden @ chance.normal(size=16))
    classes = 2 if plant.task == "binary" else CLASSES
    logits = hidden @ chance.normal(size=(16, classes)) + 0.3 * chance.normal(size=(num, classes))
    return plant.scale * x if plant.scale != 1 else x, logits.argmax(axis=1)


if __name__ == "__main__":
    main()
