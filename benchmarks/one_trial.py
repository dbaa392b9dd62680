"""One trial: the overhead of TAME compared with a bare PyTorch loop that trains the same. Prints one JSON line.

Both train a perceptron with two layers of 128 units on the rows of adult, batch 256, AdamW, cosine schedule, dropout,
and validate it after each epoch. TAME's side uses the engine that is chosen here for a single recipe and advances it
epoch by epoch as a unit does, without a study. Both run in turn in separate processes with the same number of threads.
Usage: python benchmarks/one_trial.py [--epochs 3] [--rounds 5] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from features import TUNED, cpu_s, git, machine
from population import PARTS, SEED, TABLE, mean_ratio, opened, peak_mb, train_group

WIDTH, DEPTH, BATCH, LR, DECAY, DROPOUT = 128, 2, 256, 1e-3, 1e-2, 0.1
PACKAGES = ("torch", "numpy", "pyarrow")


def main() -> None:
    """Compares both over the rounds, or (in a separate process) trains one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="one epoch, two rounds")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--one", choices=["plain", "tame"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.epochs, given.rounds = 1, 2
    if given.one:
        print(json.dumps({"plain": train_plain, "tame": train_tame}[given.one](given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given.folder = Path(folder)
        found = json.dumps(compare(given))
    if given.json:
        given.json.write_text(found + "\n")
    print(found)


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """The whole result."""
    load_before, passes = os.getloadavg(), {"plain": list[dict[str, Any]](), "tame": list[dict[str, Any]]()}
    for index in range(given.rounds):
        for side in ("plain", "tame") if index % 2 == 0 else ("tame", "plain"):
            passes[side].append(run_side(side, given))
            print(f"round {index + 1}, {side}: {passes[side][-1]['wall_s']:.2f} s", file=sys.stderr)
    ratio, interval = mean_ratio(
        [t["wall_s"] / p["wall_s"] for p, t in zip(passes["plain"], passes["tame"], strict=True)]
    )
    cpu = [float(np.median([each["cpu_s"] for each in passes[side]])) for side in ("plain", "tame")]
    return {
        "benchmark": "one_trial",
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "machine": machine() | {"load_before": load_before, "load_after": os.getloadavg()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "seeds": [SEED],
        "data": TABLE.name,
        "epochs": given.epochs,
        "rounds": given.rounds,
        "time_ratio": ratio,  # TAME's time divided by that of the bare loop: 1.03 is 3 % slower
        "interval": interval,
        "cpu_time_ratio": round(cpu[1] / cpu[0], 3),
        "engine": passes["tame"][0]["engine"],
        "wall_s": {side: [round(each["wall_s"], 2) for each in own] for side, own in passes.items()},
        "validation_loss": {side: round(own[0]["loss"], 4) for side, own in passes.items()},
        "peak_mb": {side: max(each["peak_mb"] for each in own) for side, own in passes.items()},
    }


def run_side(side: str, given: argparse.Namespace) -> dict[str, Any]:
    """One side in a separate process: started as by a user, or as TAME starts its worker."""
    from tame.worker.environment import worker_environment

    environment = {name: value for name, value in os.environ.items() if not name.startswith(TUNED)}
    command = [sys.executable, __file__, "--one", side, "--folder", str(given.folder), "--epochs", str(given.epochs)]
    if side == "tame":
        environment |= worker_environment()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def train_plain(given: argparse.Namespace) -> dict[str, Any]:
    """The bare loop, with TAME's allocator settings."""
    from tame.worker.environment import tune_allocator

    tune_allocator()
    import torch

    _, examples, x = opened(PARTS["free"])
    held = examples.fold == 0
    data = x[~held], examples.target[~held], x[held], examples.target[held]
    torch.manual_seed(SEED)
    bare(*data, epochs=1, steps=20)  # warm-up
    begun, used = time.perf_counter(), cpu_s()
    loss = bare(*data, epochs=given.epochs)
    return {"wall_s": time.perf_counter() - begun, "cpu_s": cpu_s() - used, "loss": loss, "peak_mb": peak_mb()}


def bare(x: Any, y: Any, x_valid: Any, y_valid: Any, *, epochs: int, steps: int | None = None) -> float:
    """The last validation loss. steps: the limit of steps per epoch."""
    import torch
    from torch import nn
    from torch.nn import functional as F

    layers: list[nn.Module] = []
    width = x.shape[1]
    for _ in range(DEPTH):
        layers += [nn.Linear(width, WIDTH), nn.ReLU(), nn.Dropout(DROPOUT)]
        width = WIDTH
    model = nn.Sequential(*layers, nn.Linear(width, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * -(-len(x) // BATCH))
    loss_valid = float("nan")
    for _ in range(epochs):
        model.train()
        for rows in torch.randperm(len(x)).split(BATCH)[:steps]:
            loss = F.cross_entropy(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            outputs = model(x_valid)
            loss_valid = F.cross_entropy(outputs, y_valid).item()
            (outputs.argmax(dim=1) == y_valid).float().mean().item()
    return loss_valid


def train_tame(given: argparse.Namespace) -> dict[str, Any]:
    """The engine that is chosen here for one recipe, advanced epoch by epoch."""
    from tame.worker.environment import tune_allocator

    tune_allocator()
    import torch

    from tame.core.recipe import Recipe
    from tame.parts.products import by_onednn
    from tame.trial.choose import Chooser
    from tame.trial.measurements import Measurements
    from tame.trial.serial import Serial
    from tame.trial.unit import Job

    torch.set_num_threads(1)  # as the worker trains small networks
    material, examples, _ = opened(PARTS["free"])
    recipe = Recipe().but({
        "model.name": "mlp", "model.width": WIDTH, "model.depth": DEPTH, "model.dropout": DROPOUT,
        "table.one_hot": 64, "batch_size": BATCH, "epochs": given.epochs, "seed": SEED, "optimizer.name": "adamw",
        "optimizer.lr": LR, "optimizer.weight_decay": DECAY, "schedule.name": "cosine",
    })  # fmt: skip
    chooser = Chooser(Measurements(given.folder / "engines.json", {}), torch.device("cpu"))
    # Measured in the first round, then cached; either way the engine is warm.
    (group,) = chooser.groups(material, [Job(0, recipe)], [0], range(len(examples)), examples)
    lane = group.lanes[0]
    with by_onednn(group.precision.onednn):
        lane.engine.rehearse(lane.members[0] if isinstance(lane.engine, Serial) else lane.members, 20)
        begun, used = time.perf_counter(), cpu_s()
        losses = train_group(group, given.epochs)
        wall_s, used = time.perf_counter() - begun, cpu_s() - used
    (engine,) = chooser.uses()
    return {"wall_s": wall_s, "cpu_s": used, "loss": losses[0], "engine": asdict(engine), "peak_mb": peak_mb()}


if __name__ == "__main__":
    main()
