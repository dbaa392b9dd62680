"""Products in bfloat16 between hidden layers against float32: how much faster, and do the curves agree? One JSON line.

Populations of one shape on adult, four rates each, with three seeds, in both precisions in turn, with the engine and
the library that `tame fit` uses here. Curves: the largest difference of validation log loss between the precisions in
any epoch, compared with the difference between two seeds.
Usage: python benchmarks/precision.py [--epochs 6] [--seeds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

import numpy as np
from features import git, machine
from population import PARTS, TABLE, mean_ratio, opened, recipe_of

SHAPES = ((2, 256, 1024), (3, 256, 256), (3, 128, 1024), (2, 256, 128))  # depth, width, batch
RATES = (3e-4, 1e-3, 3e-3, 1e-2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    from tame.worker.environment import tune_allocator, worker_environment

    os.environ |= worker_environment()
    tune_allocator()
    import torch

    from tame.parts.products import by_onednn, onednn_is_exact, onednn_pays

    torch.set_num_threads(1)  # as in trainings that run side by side
    load_before, onednn = os.getloadavg(), onednn_is_exact() and onednn_pays()
    with by_onednn(onednn):
        data = opened(PARTS["free"])
        shapes = [of_shape(shape, data, given.epochs, given.seeds) for shape in SHAPES]
    print(json.dumps({
        "benchmark": "precision", "commit": git("rev-parse", "HEAD"), "versions": {"torch": torch.__version__},
        "data": TABLE.name, "epochs": given.epochs, "seeds": given.seeds, "float32_by_onednn": onednn, "shapes": shapes,
        "machine": machine() | {"load_before": load_before, "load_after": os.getloadavg()},
    }))  # fmt: skip


def of_shape(shape: tuple[int, int, int], data: Any, epochs: int, seeds: int) -> dict[str, Any]:
    """Seconds and curves of both precisions."""
    depth, width, batch = shape
    curves: dict[bool, list[np.ndarray]] = {False: [], True: []}
    ratios = []
    for seed in range(seeds):
        seconds = {}
        for half in (False, True) if seed % 2 else (True, False):
            trained(shape, data, 1, seed, half)  # warm-up, so that one-time costs are not measured
            begun = time.perf_counter()
            curves[half].append(trained(shape, data, epochs, seed, half))
            seconds[half] = time.perf_counter() - begun
        ratios.append(seconds[False] / seconds[True])
    ratio, interval = mean_ratio(ratios)
    usual, rounded = np.array(curves[False]), np.array(curves[True])  # (seeds, epochs, rates)
    apart = np.abs(rounded - usual).max(axis=1)
    found = {
        "shape": f"{depth} x {width}, batch {batch}", "times_as_fast": ratio, "interval": interval,
        "apart": apart.mean(axis=0).round(4).tolist(),
        "seeds_apart": np.abs(usual[0] - usual[1]).max(axis=0).round(4).tolist(),
        "last_float32": usual[:, -1].mean(axis=0).round(4).tolist(),
        "last_bfloat16": rounded[:, -1].mean(axis=0).round(4).tolist(),
    }  # fmt: skip
    print(found, file=sys.stderr)
    return found


def trained(shape: tuple[int, int, int], data: Any, epochs: int, seed: int, half: bool) -> np.ndarray:
    """Validation log loss (epochs, rates)."""
    from tame.trial.population import Member
    from tame.trial.stacked import Stacked
    from tame.trial.traced import TRACES
    from tame.trial.unit import judged

    depth, width, batch = shape
    material, examples, _ = data
    own = {"depth": depth, "width": width, "batch": batch, "weight_decay": 1e-3, "dropout": 0.2}
    recipes = [recipe_of(own | {"lr": rate}, PARTS["free"], epochs).but({"seed": seed}) for rate in RATES]
    members = [Member(i, 0, recipe) for i, recipe in enumerate(recipes)]
    task = material.task(recipes[0], range(len(examples)), examples, [0])
    engine, losses = Stacked(task, TRACES, half), []

    def watch(_: Any, measured: Any) -> None:
        found = judged(members, measured, examples, "accuracy")
        losses.append([found[i, 0][1] for i in range(len(members))])

    engine.advance(engine.start(members), until=epochs, watch=watch)
    return np.array(losses)


if __name__ == "__main__":
    main()
