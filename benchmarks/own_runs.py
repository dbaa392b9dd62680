"""TAME's own runs on varied tables: the same recipes on every task, their curves in one file. Prints one JSON line.

Made for learning which recipes to try first (`learn_portfolio.py`); the file is read by the `world.py` beside the other
recorded curves, so that searches can be judged on it as well (`search_regret.py`). The tables are drawn for the purpose
(`own_tables.py`) or come with scikit-learn. The recipes are the default, a list from knowledge, small steps from the
default, and points that fill the space, as TAME proposes them. Each has the batch that TAME takes for so many rows.
What was recorded is kept in a file a task, so that a run that was stopped goes on where it was.
Usage: python benchmarks/own_runs.py --out FILE.npz [--tasks NAMES] [--points 32] [--epochs 20] [--rows 1.0] [--seed 0]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from features import git, machine
from own_tables import TASKS, Drawn, write_csv

POINTS, EPOCHS, SEED = 32, 20, 0
TYPICAL_ROWS = 2000  # of a table whose preset the recipes are drawn from; only batch and epochs hang on the rows
COHORT = 32  # recipes that the space is asked for at a time: an eighth of them share a shape
MOST = 16  # members of a group, so that what is recorded does not hang on what is fastest here
PERIODIC = {"table.numbers": "periodic", "table.dim": 16, "table.scaling": "standard"}
PLAIN = {"table.numbers": "plain", "table.scaling": "standard"}
KNOWN: Sequence[Mapping[str, Any]] = (  # a list from knowledge and from trials on other tables, to hold learnt ones to
    {**PERIODIC, "model.norm": "batch", "model.depth": 3, "model.dropout": 0.1},
    {**PLAIN, "model.norm": "batch"},
    {"optimizer.lr": 1e-3, "model.dropout": 0.3},
    {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
    {"model.width": 256, "model.dropout": 0.4},
    PLAIN,
    {"model.name": "linear", "optimizer.lr": 1e-2},
)
NEAR: Mapping[str, Sequence[Any]] = {  # other values than the default's, one at a time
    "optimizer.lr": (5e-4, 1e-3, 4e-3, 8e-3),
    "model.dropout": (0.0, 0.1, 0.4),
    "optimizer.weight_decay": (1e-3, 3e-1),
    "model.width": (256,),
    "model.depth": (3,),
    "model.norm": ("batch",),
    "loss.label_smoothing": (0.02,),
}
PAIRS: Sequence[Mapping[str, Any]] = (  # steps that are known to go together
    {"model.norm": "batch", "optimizer.lr": 5e-3},
    {"model.dropout": 0.4, "optimizer.weight_decay": 3e-1},
    {"optimizer.lr": 5e-3, "model.dropout": 0.4},
    {"optimizer.lr": 5e-3, "optimizer.weight_decay": 2e-1},
    PERIODIC,
    {**PERIODIC, "optimizer.lr": 5e-3},
    {**PERIODIC, "model.norm": "batch"},
    {**PERIODIC, "model.norm": "batch", "optimizer.lr": 5e-3, "model.dropout": 0.0},
    {**PLAIN, "optimizer.lr": 5e-3},
    {**PLAIN, "optimizer.lr": 8e-3, "model.dropout": 0.0},
    {**PLAIN, "model.norm": "batch", "optimizer.lr": 5e-3},
    {**PLAIN, "model.norm": "batch", "optimizer.lr": 8e-3, "model.dropout": 0.0},
    {"table.numbers": "plain", "table.scaling": "quantile", "optimizer.lr": 5e-3},
    {"model.name": "linear", "optimizer.lr": 3e-3},
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file of curves; FILE.parts keeps what is recorded")
    parser.add_argument("--tasks", default=",".join(TASKS), help=f"some of {', '.join(TASKS)}")
    parser.add_argument("--points", type=int, default=POINTS, help="recipes that fill the space, beside the others")
    parser.add_argument("--recipes", type=int, help="only the first so many of all recipes")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--rows", type=float, default=1.0, help="share of the rows of each drawn table that is learnt")
    parser.add_argument("--seed", type=int, default=SEED)
    given = parser.parse_args()
    names = given.tasks.split(",")
    if unknown := [name for name in names if name not in TASKS]:
        raise SystemExit(f"no task named {', '.join(unknown)}; known: {', '.join(TASKS)}")
    begun = time.perf_counter()
    changes = recipes(given.points, epochs=given.epochs, seed=given.seed)[: given.recipes]
    parts = given.out.with_name(given.out.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        found[name] = recorded(name, changes, parts, epochs=given.epochs, share=given.rows, seed=given.seed)
        print(f"{name}: {time.perf_counter() - begun:.0f} s so far", file=sys.stderr)
    write_suite(given.out, changes, found, epochs=given.epochs, seed=given.seed)
    print(json.dumps({
        "benchmark": "own_runs", "commit": git("rev-parse", "HEAD"), "seeds": [given.seed], "tasks": len(found),
        "recipes": len(changes), "epochs": given.epochs, "wall_s": round(time.perf_counter() - begun, 1),
        "file": str(given.out), "machine": machine(),
    }))  # fmt: skip


# Recipes --------------------------------------------------------------------------------------------------------------


def recipes(points: int, *, epochs: int, seed: int) -> list[dict[str, Any]]:
    """Changes of the default recipe, none twice: none, what was known, small steps, points of the space."""
    from tame.adjust import portfolio
    from tame.adjust.sampling import proposals
    from tame.adjust.searcher import SearchConfig
    from tame.core.space import Space

    preset = portfolio.tables(TYPICAL_ROWS, task="binary", epochs=epochs, seed=seed)
    space = Space(preset.dimensions, base=preset.base.flat())
    known = (*KNOWN, *near())
    proposed = proposals(space, seed, SearchConfig(base=preset.base, portfolio=known, cohort=COHORT))
    base = preset.base.flat()
    found, left = list[dict[str, Any]](), points
    for origin, recipe in proposed:
        left -= origin == "sobol"
        if left < 0:
            break
        found.append({name: value for name, value in recipe.flat().items() if value != base[name]})
    return found


def near() -> Iterator[Mapping[str, Any]]:
    """Steps away from the default: one value changed, or a few that go together."""
    for name, values in NEAR.items():
        yield from ({name: value} for value in values)
    yield from PAIRS


# Training -------------------------------------------------------------------------------------------------------------


def recorded(
    name: str, changes: Sequence[Mapping[str, Any]], parts: Path, *, epochs: int, share: float, seed: int
) -> dict[str, np.ndarray]:
    """Training and validation loss (N, E) of every recipe on a task: trained now, or kept from an earlier run."""
    drawn = TASKS[name].draw(seed, share)
    base = base_of(drawn, epochs=epochs, seed=seed)
    settings = json.dumps([drawn.digest(), base.flat(), list(changes)], sort_keys=True)
    path = parts / f"{name}-{hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return {kind: kept[kind] for kind in ("train", "valid")}
    found = train(drawn, base, changes)
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        np.savez_compressed(file, **found)
    fresh.replace(path)
    return found


def base_of(drawn: Drawn, *, epochs: int, seed: int) -> Any:
    """The default recipe for a table: its loss and its batch hang on the task and the rows."""
    from tame.adjust import portfolio

    return portfolio.tables(drawn.num_own, task=drawn.task, epochs=epochs, seed=seed).base


def train(drawn: Drawn, base: Any, changes: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Training and validation loss (N, E) of every recipe; not a number where one had diverged."""
    import torch

    from tame.trial.settings import group_key
    from tame.trial.unit import Job

    torch.set_num_threads(1)
    material, examples = opened(drawn)
    useless = {"loss.label_smoothing"} if drawn.task == "regression" else set()
    alike: dict[Any, list[Job]] = {}
    for i, own in enumerate(changes):
        recipe = base.but({field: value for field, value in own.items() if field not in useless})
        alike.setdefault(group_key(recipe), []).append(Job(i, recipe))
    found = {kind: np.full((len(changes), base.epochs), np.nan, np.float32) for kind in ("train", "valid")}
    for jobs in alike.values():
        for start in range(0, len(jobs), MOST):
            for trial, epoch, losses in curves(material, jobs[start : start + MOST], examples, epochs=base.epochs):
                found["train"][trial, epoch - 1], found["valid"][trial, epoch - 1] = losses
    return found


def opened(drawn: Drawn) -> tuple[Any, Any]:
    """The material that TAME trains on and its examples, read from a file as a user's are."""
    import torch

    from tame.data.table_kinds import type_table
    from tame.data.table_reading import read_raw
    from tame.data.targets import read_target
    from tame.trial.population import Examples
    from tame.trial.rows import TableMaterial

    with tempfile.TemporaryDirectory() as folder:
        raw = read_raw(write_csv(drawn, Path(folder) / "table.csv"))
    target, _ = read_target(raw, drawn.target, task="regression" if drawn.task == "regression" else "classification")
    material = TableMaterial(type_table(raw, target=drawn.target), device=torch.device("cpu"))
    return material, Examples(torch.from_numpy(target.values), torch.from_numpy(drawn.fold), len(target.classes))


def curves(
    material: Any, jobs: Sequence[Any], examples: Any, *, epochs: int
) -> Iterator[tuple[int, int, tuple[float, float]]]:
    """Number, epoch, training and validation loss of recipes of one shape, trained together; means over the folds."""
    from tame.trial.population import Member
    from tame.trial.stacked import Stacked
    from tame.trial.unit import judged

    rows, folds = range(len(examples)), list(range(int(examples.fold.max()) + 1))
    metric = "accuracy" if examples.num_classes else "rmse"
    found: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for lane in material.lanes(jobs[0].recipe, rows, examples, folds):
        task = material.task(jobs[0].recipe, rows, examples, lane)
        engine = Stacked(task)
        population = engine.start([Member(job.trial, fold, job.recipe) for job in jobs for fold in lane])
        for epoch in range(1, epochs + 1):
            seen: list[Any] = []
            population = engine.advance(population, until=epoch, watch=lambda _, m, seen=seen: seen.append(m))
            losses = judged(population.members, seen[0], task.examples, metric)
            for (trial, _), (own, held, _) in losses.items():
                found.setdefault((trial, epoch), []).append((own, held))
    for (trial, epoch), each in found.items():
        yield trial, epoch, tuple(np.mean(each, axis=0) if np.isfinite(each).all() else (np.nan, np.nan))


# The file -------------------------------------------------------------------------------------------------------------


def write_suite(
    path: Path, changes: Sequence[Mapping[str, Any]], found: Mapping[str, Mapping[str, np.ndarray]], *, epochs: int,
    seed: int,
) -> None:  # fmt: skip
    """All tasks in one file, in the format of the recorded curves, with the changes of each recipe as JSON beside."""
    names, configs, logs = numbered(changes)
    np.savez_compressed(
        path, allow_pickle=False, configs=configs, hp_names=np.array(names), hp_low=configs.min(axis=0),
        hp_high=configs.max(axis=0), hp_scale=np.array(["log" if log else "linear" for log in logs]),
        epochs=np.arange(1, epochs + 1), mode=np.array("min"), seed=np.array(seed),
        changes=np.array([json.dumps(own, sort_keys=True) for own in changes]),
        **{f"{kind}/{task}": own[kind] for task, own in found.items() for kind in ("train", "valid")},
    )  # fmt: skip


def numbered(changes: Sequence[Mapping[str, Any]]) -> tuple[list[str], np.ndarray, list[bool]]:
    """Names, (N, D) values and which lie on a log scale, of all that differs; a word is 0 or 1 a value."""
    from tame.adjust import portfolio

    preset = portfolio.tables(TYPICAL_ROWS, task="binary", epochs=1, seed=0)
    base = preset.base.flat()
    names, columns, logs = list[str](), list[list[float]](), list[bool]()
    for field in sorted({field for own in changes for field in own}):
        values = [own.get(field, base[field]) for own in changes]
        short = field.replace(".", "_")
        if isinstance(base[field], str):
            for word in sorted({*values} - {base[field]}):
                names.append(f"{short}_{word}")
                columns.append([float(value == word) for value in values])
                logs.append(False)
        else:
            names.append(short)
            columns.append([float(value) for value in values])
            logs.append(getattr(preset.dimensions.get(field), "log", False))
    return names, np.array(columns).T.reshape(len(changes), len(names)), logs


if __name__ == "__main__":
    main()
