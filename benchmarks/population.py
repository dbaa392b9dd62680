"""Populations on a table: TAME's engines against plain PyTorch with Optuna, same recipes. Prints one JSON line.

The plain side is what a competent user writes: one recipe after another in `study.optimize`, the whole table as two
tensors, batches by index of a random permutation, no DataLoader. TAME's side groups the recipes as `tame fit` does.
Each round has new recipes. Both sides use the same rows, validate after each epoch on the same rows, and run in turn in
separate processes.
Usage: python benchmarks/population.py [--parts free,shaped,tiny,features] [--recipes 64] [--epochs 2] [--rounds 2]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from features import SHARED, TUNED, cpu_s, git, machine

TABLE, TARGET = SHARED / "data" / "tables" / "adult_train.csv", "income"
PACKAGES = ("torch", "numpy", "optuna", "pyarrow")
SEED, HELD_OUT, FEATURES, PER_SHAPE, LOADED = 0, 0.2, 64, 8, 4


@dataclass(frozen=True)
class Part:
    """A space of recipes. shared: how many recipes have the same shape; 1: every recipe draws its own."""

    widths: tuple[int, ...]
    depths: tuple[int, ...]
    batches: tuple[int, ...]
    shared: int = 1
    features: bool = False  # a linear head on fixed features instead of the table's columns


PARTS = {
    "free": Part((32, 64, 128, 256), (1, 2, 3), (128, 256, 512, 1024)),
    "shaped": Part((32, 64, 128, 256), (1, 2, 3), (128, 256, 512, 1024), shared=PER_SHAPE),
    "tiny": Part((8, 16, 32, 64), (1, 2), (32, 64, 128)),
    "tiny_shaped": Part((8, 16, 32, 64), (1, 2), (32, 64, 128), shared=PER_SHAPE),
    "features": Part((FEATURES,), (0,), (32, 64, 128), features=True),
}


def main() -> None:
    """Compares both sides over the rounds, or (in a separate process) trains one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", default="free,shaped,tiny,tiny_shaped,features")
    parser.add_argument("--recipes", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="16 recipes, one epoch, one round, nothing else")
    parser.add_argument("--sleep", action="store_true", help="waiting threads of the plain side sleep, as TAME's do")
    parser.add_argument("--json", type=Path, help="also write the result here")
    parser.add_argument("--one", choices=["plain", "loader", "tame"], help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=SEED, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.quick:
        given.recipes, given.epochs, given.rounds = min(given.recipes, 16), 1, 1
    if given.one:
        sides = {"plain": train_plain, "loader": train_plain, "tame": train_tame}
        print(json.dumps(sides[given.one](given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given.folder = Path(folder)
        found = json.dumps(compare(given))
    if given.json:
        given.json.write_text(found + "\n")
    print(found)


def compare(given: argparse.Namespace) -> dict[str, Any]:
    """The whole result."""
    load_before, parts = os.getloadavg(), {}
    for name in given.parts.split(","):
        passes: dict[str, list[dict[str, Any]]] = {"plain": [], "tame": []}
        for index in range(given.rounds):
            given.seed = index  # new recipes in each round
            for side in ("plain", "tame") if index % 2 == 0 else ("tame", "plain"):
                passes[side].append(run_side(side, name, given))
                print(f"{name}, round {index + 1}, {side}: {passes[side][-1]['wall_s']:.1f} s", file=sys.stderr)
        parts[name] = summary(name, passes, given)
        print(f"{name}: {parts[name]['ratio']} times {parts[name]['interval']}", file=sys.stderr)
    found = {
        "benchmark": "population",
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "seeds": list(range(given.rounds)),
        "data": TABLE.name,
        "recipes": given.recipes,
        "epochs": given.epochs,
        "rounds": given.rounds,
        "plain_threads_sleep": given.sleep,
        "parts": parts,
    }
    if not given.quick:
        found["loader"] = loader_costs(given)
        found["peak_mb"] = {num: run_side("tame", "shaped", given, num=num, epochs=1)["peak_mb"] for num in (1, 256)}
    return found | {"machine": machine() | {"load_before": load_before, "load_after": os.getloadavg()}}


def run_side(
    side: str, part: str, given: argparse.Namespace, *, num: int | None = None, epochs: int | None = None
) -> dict[str, Any]:
    """One side in a separate process: started as by a user, or as TAME starts its worker."""
    from tame.worker.environment import worker_environment

    environment = {name: value for name, value in os.environ.items() if not name.startswith(TUNED)}
    if side == "tame" or given.sleep:
        environment |= worker_environment()
    command = [sys.executable, __file__, "--one", side, "--parts", part, "--folder", str(given.folder)]
    command += ["--recipes", str(num or given.recipes), "--epochs", str(epochs or given.epochs)]
    command += ["--seed", str(given.seed)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return dict(json.loads(done.stdout))


def draw(part: Part, num: int, seed: int) -> list[dict[str, Any]]:
    """Parameters of recipes from Optuna's random sampler; the first of each block determines its shape."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, found = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed)), list[dict[str, Any]]()
    for index in range(num):
        trial = study.ask()
        suggest(trial, part)
        shape = found[index - index % part.shared] if index % part.shared else trial.params
        found.append(trial.params | {name: shape[name] for name in ("width", "depth", "batch")})
    return found


def suggest(trial: Any, part: Part) -> dict[str, Any]:
    """The parameters that an objective requests from Optuna."""
    return {
        "width": trial.suggest_categorical("width", part.widths),
        "depth": trial.suggest_categorical("depth", part.depths),
        "batch": trial.suggest_categorical("batch", part.batches),
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def opened(part: Part) -> tuple[Any, Any, Any]:
    """The material that TAME trains on, the examples with a fifth of the rows held out, and (N, D) inputs."""
    import torch

    from tame.core.recipe import Recipe
    from tame.data.table_kinds import type_table
    from tame.data.table_reading import read_raw
    from tame.data.targets import read_target
    from tame.kinds.tables.material import TableMaterial
    from tame.trial.population import Examples

    raw = read_raw(TABLE)
    target, _ = read_target(raw, TARGET)
    material: Any = TableMaterial(type_table(raw, target=TARGET), device=torch.device("cpu"))
    held_out = np.random.default_rng(SEED).random(len(target.values)) < HELD_OUT
    examples = Examples(torch.from_numpy(target.values), torch.from_numpy(np.where(held_out, 0, -1)), 2)
    rows = range(len(examples))
    plain = Recipe().but({"model.name": "mlp", "table.one_hot": 64})
    x = material.task(plain, rows, examples, [0]).x
    if part.features:
        random = torch.Generator().manual_seed(SEED)
        x = torch.relu(x @ torch.randn(x.shape[1], FEATURES, generator=random) / x.shape[1] ** 0.5)
        material = Features(x[None])
    return material, examples, x


class Features:
    """Fixed features (1, N, D), like those of a frozen backbone, as a material for the chooser."""

    kind = "features"

    def __init__(self, features: Any) -> None:
        self.features = features

    def stacks(self, recipe: Any) -> bool:
        return True

    def lanes(self, recipe: Any, rows: Any, examples: Any, folds: Any) -> Any:
        return [folds]

    def task(self, recipe: Any, rows: Any, examples: Any, folds: Any) -> Any:
        from tame.kinds.pictures.tasks import FeatureTask

        return FeatureTask(self.features, examples, examples.target.device)


# Plain PyTorch under Optuna -------------------------------------------------------------------------------------------


def train_plain(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each recipe and its last validation loss, one after another."""
    import optuna
    import torch

    part = PARTS[given.parts]
    _, examples, x = opened(part)
    recipes = draw(part, given.recipes, given.seed)
    held = examples.fold == 0
    data = x[~held], examples.target[~held], x[held], examples.target[held]
    torch.manual_seed(SEED)
    seconds: list[float] = []

    def objective(trial: Any) -> float:
        begun = time.perf_counter()
        loss = fit_plain(suggest(trial, part), *data, epochs=given.epochs, loader=given.one == "loader")
        seconds.append(time.perf_counter() - begun)
        return loss

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=SEED))
    for recipe in recipes:
        study.enqueue_trial(recipe)
    begun, used = time.perf_counter(), cpu_s()
    study.optimize(objective, n_trials=len(recipes))
    wall_s, used = time.perf_counter() - begun, cpu_s() - used
    losses = [trial.value for trial in study.trials]
    return {"wall_s": wall_s, "cpu_s": used, "seconds": seconds, "losses": losses, "peak_mb": peak_mb()}


def fit_plain(own: dict[str, Any], x: Any, y: Any, x_valid: Any, y_valid: Any, *, epochs: int, loader: bool) -> float:
    """The last validation loss of one recipe."""
    import torch
    from torch import nn
    from torch.nn import functional as F
    from torch.utils.data import DataLoader, TensorDataset

    layers: list[nn.Module] = []
    width = x.shape[1]
    for _ in range(own["depth"]):
        layers += [nn.Linear(width, own["width"]), nn.ReLU(), nn.Dropout(own["dropout"])]
        width = own["width"]
    model = nn.Sequential(*layers, nn.Linear(width, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=own["lr"], weight_decay=own["weight_decay"])
    loss_valid = float("nan")
    for _ in range(epochs):
        model.train()
        order = torch.randperm(len(x))
        batches: Any = ((x[rows], y[rows]) for rows in order.split(own["batch"]))
        for x_batch, y_batch in DataLoader(TensorDataset(x, y), own["batch"], shuffle=True) if loader else batches:
            loss = F.cross_entropy(model(x_batch), y_batch)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            outputs = model(x_valid)
            loss_valid = F.cross_entropy(outputs, y_valid).item()
            (outputs.argmax(dim=1) == y_valid).float().mean().item()
    return loss_valid


# TAME -----------------------------------------------------------------------------------------------------------------


def train_tame(given: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each group and the last validation loss of each recipe, grouped as the worker groups them."""
    from tame.worker.environment import tune_allocator

    tune_allocator()
    import torch

    from tame.trial.choose import Chooser
    from tame.trial.measurements import Measurements
    from tame.trial.side_by_side import side_by_side
    from tame.trial.unit import Job
    from tame.worker.environment import usable_cores

    torch.set_num_threads(1)  # small trainings run side by side, one per core
    cores = usable_cores()
    part = PARTS[given.parts]
    material, examples, _ = opened(part)
    jobs = [Job(i, recipe_of(own, part, given.epochs)) for i, own in enumerate(draw(part, given.recipes, given.seed))]
    chooser = Chooser(Measurements(given.folder / "engines.json", {}), torch.device("cpu"))
    begun = time.perf_counter()
    chooser.groups(material, jobs, [0], range(len(examples)), examples, at_least=cores)
    choose_s = time.perf_counter() - begun
    seconds, losses, sizes = [0.0] * len(jobs), [0.0] * len(jobs), [1] * len(jobs)
    begun, used = time.perf_counter(), cpu_s()

    def carry_out(group: Any, _: Any) -> bool:
        start = time.perf_counter()
        found = train_group(group, given.epochs)
        for job in group.jobs:
            seconds[job.trial] = (time.perf_counter() - start) / len(group.jobs)
            losses[job.trial], sizes[job.trial] = found[job.trial], len(group.jobs)
        return True

    groups = chooser.groups(material, jobs, [0], range(len(examples)), examples, at_least=cores)
    todo, onednn = [partial(carry_out, group) for group in groups], [group.precision.onednn for group in groups]
    side_by_side(todo, cores=cores, emit=lambda message: None, onednn=onednn)
    wall_s, used = time.perf_counter() - begun, cpu_s() - used
    return {
        "wall_s": wall_s, "cpu_s": used, "choose_s": choose_s, "seconds": seconds, "losses": losses,
        "sizes": sizes, "engines": list(map(asdict, chooser.uses())), "peak_mb": peak_mb(),
    }  # fmt: skip


def train_group(group: Any, epochs: int) -> dict[int, float]:
    """The last validation loss of each trial of a group, trained and validated epoch by epoch as in a unit."""
    from tame.trial.unit import judged

    losses: dict[int, float] = {}
    for lane in group.lanes:
        population = lane.engine.start(lane.members)
        for epoch in range(1, epochs + 1):
            seen: list[Any] = []
            population = lane.engine.advance(population, until=epoch, watch=lambda _, m, seen=seen: seen.append(m))
            found = judged(population.members, seen[0], lane.examples, "accuracy")
            losses |= {trial: values[1] for (trial, _), values in found.items()}
    return losses


def recipe_of(own: dict[str, Any], part: Part, epochs: int) -> Any:
    """The recipe with these parameters, at a constant rate as on the plain side."""
    from tame.core.recipe import Recipe

    model: dict[str, Any] = {"model.name": "head", "model.hidden": 0}
    if not part.features:
        model = {"model.name": "mlp", **{f"model.{name}": own[name] for name in ("width", "depth", "dropout")}}
    return Recipe().but({
        **model, "table.one_hot": 64, "batch_size": own["batch"], "epochs": epochs, "seed": SEED,
        "optimizer.name": "adamw", "optimizer.lr": own["lr"], "optimizer.weight_decay": own["weight_decay"],
        "schedule.name": "constant",
    })  # fmt: skip


# What it comes to -----------------------------------------------------------------------------------------------------


def summary(name: str, passes: dict[str, list[dict[str, Any]]], given: argparse.Namespace) -> dict[str, Any]:
    """The rates of both sides, their ratio (also by width and batch), and whether the results agree."""
    from scipy import stats

    plain, tame = passes["plain"], passes["tame"]
    recipes = [draw(PARTS[name], given.recipes, seed) for seed in range(given.rounds)]
    ratio, interval = mean_ratio([p["wall_s"] / t["wall_s"] for p, t in zip(plain, tame, strict=True)])
    ends = np.array(plain[0]["losses"]), np.array(tame[0]["losses"])
    total = given.recipes * given.epochs
    return {
        "plain_per_s": [round(total / each["wall_s"], 2) for each in plain],
        "tame_per_s": [round(total / each["wall_s"], 2) for each in tame],
        "ratio": ratio,
        "interval": interval,
        "cpu_ratio": round(sum(e["cpu_s"] for e in plain) / sum(e["cpu_s"] for e in tame), 2),
        "choose_s": [round(each["choose_s"], 2) for each in tame],  # measured in the first round, then cached
        "mean_members": round(float(np.mean(tame[0]["sizes"])), 2),
        "groups": len({json.dumps([own[k] for k in ("width", "depth", "batch")]) for own in recipes[0]}),
        "by_width": by("width", recipes, plain, tame),
        "by_batch": by("batch", recipes, plain, tame),
        "engines": tame[0]["engines"],
        "validation_loss": {
            "plain_mean": round(float(ends[0].mean()), 4),
            "tame_mean": round(float(ends[1].mean()), 4),
            "best": [round(float(each.min()), 4) for each in ends],
            "largest_difference": round(float(np.abs(ends[0] - ends[1]).max()), 4),
            "largest_gap_of_quantiles": round(float(np.abs(np.sort(ends[0]) - np.sort(ends[1])).max()), 4),
            "kolmogorov_smirnov_p": round(float(stats.ks_2samp(*ends).pvalue), 3),
        },
        "peak_mb": {side: round(max(each["peak_mb"] for each in own)) for side, own in passes.items()},
    }


def by(
    name: str, recipes: list[list[dict[str, Any]]], plain: list[dict[str, Any]], tame: list[dict[str, Any]]
) -> dict[str, float]:
    """The speed-up of the recipes with each value of a parameter, over all rounds."""
    found = {}
    for value in sorted({own[name] for drawn in recipes for own in drawn}):
        own = [(index, i) for index, drawn in enumerate(recipes) for i, each in enumerate(drawn) if each[name] == value]
        seconds = [sum(side[index]["seconds"][i] for index, i in own) for side in (plain, tame)]
        found[str(value)] = round(seconds[0] / seconds[1], 2)
    return found


def mean_ratio(ratios: list[float]) -> tuple[float, list[float]]:
    """The geometric mean and its 95 % interval (Student's t on logarithms); NaN for the ends with a single round."""
    from scipy import stats

    logs = np.log(ratios)
    half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs) if len(logs) > 1 else float("nan")
    ends = [round(float(np.exp(logs.mean() + sign * half)), 3) for sign in (-1, 1)]
    return round(float(np.exp(logs.mean())), 3), [] if len(logs) < 2 else ends


def loader_costs(given: argparse.Namespace) -> dict[str, float]:
    """The slowdown of the plain side with a DataLoader, on a few recipes of one epoch."""
    slow, fast = (run_side(side, "free", given, num=LOADED, epochs=1) for side in ("loader", "plain"))
    return {"recipes": LOADED, "times_as_slow": round(slow["wall_s"] / fast["wall_s"], 2)}


def peak_mb() -> float:
    """The peak memory of this process."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


if __name__ == "__main__":
    main()
