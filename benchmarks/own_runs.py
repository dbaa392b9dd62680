"""TAME's own runs on varied tasks: the same recipes on every task, their curves in one file. Prints one JSON line.

For selecting which recipes to try first (`learn_portfolio.py`). The `world.py` beside the other recorded curves can
read the file, so that searches can be evaluated on it too (`search_regret.py`). Tables are generated (`own_tables.py`)
or come with scikit-learn; heads are trained on MobileNetV2 features of photographs and drawn pictures
(`own_pictures.py`); small networks from scratch are trained on such pictures at 32 pixels. The recipes are the default,
a hand-written list, small steps from the default, and points that fill the space, as TAME proposes them. Each has the
batch size that TAME uses for that many examples. Each task is recorded in its own file, so that a stopped run continues
where it was.
Usage: python benchmarks/own_runs.py --out FILE.npz [--kind tables|heads|scratch] [--tasks NAMES] [--points 32]
    [--epochs 20] [--rows 1.0] [--seed 0] [--shipped]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import own_pictures
import own_tables
from features import SHARED, git, machine

WEIGHTS = SHARED / "weights" / "mobilenetv2_100"
POINTS, EPOCHS, SEED = 32, 20, 0
TYPICAL_ROWS = 2000  # of the task whose preset the recipes come from: many examples, so that nothing is left out
RECORDED = ("train", "valid", "metric")  # losses, and accuracy or root mean square error in the evaluation
PIXELS = 96  # side of the backbone's input
FINE = 32  # side of the input of a network from scratch, in pixels: the size of the photographs
COHORT = 32  # recipes drawn from the space at a time: an eighth of them share a shape
MOST = 16  # members of a group; fixed, so that records do not depend on what is fastest here
PERIODIC = {"table.numbers": "periodic", "table.dim": 16, "table.scaling": "standard"}
PLAIN = {"table.numbers": "plain", "table.scaling": "standard"}
KNOWN: Sequence[Mapping[str, Any]] = (  # hand-written, also from trials on other tables, to compare selected lists with
    {**PERIODIC, "model.norm": "batch", "model.depth": 3, "model.dropout": 0.1},
    {**PLAIN, "model.norm": "batch"},
    {"optimizer.lr": 1e-3, "model.dropout": 0.3},
    {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
    {"model.width": 256, "model.dropout": 0.4},
    PLAIN,
    {"model.name": "linear", "optimizer.lr": 1e-2},
)
NEAR: Mapping[str, Sequence[Any]] = {  # single changes of the default
    "optimizer.lr": (5e-4, 1e-3, 4e-3, 8e-3),
    "model.dropout": (0.0, 0.1, 0.4),
    "optimizer.weight_decay": (1e-3, 3e-1),
    "model.width": (256,),
    "model.depth": (3,),
    "model.norm": ("batch",),
    "loss.label_smoothing": (0.02,),
}
PAIRS: Sequence[Mapping[str, Any]] = (  # changes that are known to work together
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
HIDDEN = {"model.hidden": 256, "model.dropout": 0.3}
HEADS_KNOWN: Sequence[Mapping[str, Any]] = (  # hand-written, to compare selected lists with
    {"optimizer.lr": 1e-2, "optimizer.weight_decay": 1e-2},
    {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-2},
    {"loss.label_smoothing": 0.05, "optimizer.weight_decay": 1e-2},
    {"optimizer.name": "adamw", "optimizer.weight_decay": 1e-2},
    {**HIDDEN, "optimizer.lr": 1e-2, "loss.label_smoothing": 0.05},
)
HEADS_NEAR: Mapping[str, Sequence[Any]] = {
    "optimizer.lr": (5e-4, 1e-3, 2e-3, 6e-3, 1e-2, 2e-2),
    "optimizer.weight_decay": (1e-4, 1e-2, 3e-2, 1e-1),
    "loss.label_smoothing": (0.05, 0.1),
    "schedule.name": ("linear", "wsd"),
    "input.views": (1,),
    "model.hidden": (128,),
    "regularize.mixup": (0.2,),
}
HEADS_PAIRS: Sequence[Mapping[str, Any]] = (
    {"optimizer.lr": 5e-4, "optimizer.weight_decay": 1e-1},
    {"optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
    {"optimizer.lr": 1e-2, "optimizer.weight_decay": 1e-1},
    {"optimizer.lr": 2e-3, "loss.label_smoothing": 0.1},
    {"optimizer.name": "adamw", "optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
    {"optimizer.name": "adamw", "optimizer.lr": 3e-4, "optimizer.weight_decay": 1e-1},
    {**HIDDEN, "optimizer.lr": 3e-3},
    {**HIDDEN, "model.dropout": 0.5, "optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-2},
    {**HIDDEN, "model.dropout": 0.5, "optimizer.name": "adamw", "optimizer.lr": 1e-3, "optimizer.weight_decay": 1e-1},
    {**HIDDEN, "optimizer.lr": 1e-3},
    {"regularize.mixup": 0.2, "optimizer.lr": 1e-2},
)
RESIDUAL = {"model.name": "cnn", "optimizer.lr": 6e-3}
DESCENT = {"optimizer.name": "nesterov", "optimizer.lr": 5e-2, "optimizer.weight_decay": 5e-4}
SCRATCH_KNOWN: Sequence[Mapping[str, Any]] = (  # hand-written, to compare selected lists with
    {"optimizer.lr": 1e-2, "loss.label_smoothing": 0.1},
    {"model.width": 24},
    RESIDUAL,
    {"optimizer.lr": 1e-3, "model.width": 24, "augment.crop": 0.2},
    DESCENT,
)
SCRATCH_NEAR: Mapping[str, Sequence[Any]] = {
    "optimizer.lr": (1e-3, 1.7e-3),
    "augment.crop": (0.0, 0.2),
    "loss.label_smoothing": (0.1,),
    "regularize.mixup": (0.2,),
}
SCRATCH_PAIRS: Sequence[Mapping[str, Any]] = (
    {**RESIDUAL, "optimizer.lr": 3e-3},
    {**RESIDUAL, "optimizer.lr": 1.2e-2, "optimizer.weight_decay": 1e-1},
    {**RESIDUAL, "loss.label_smoothing": 0.1, "augment.crop": 0.2},
    {**RESIDUAL, "regularize.mixup": 0.2},
    {**RESIDUAL, "model.width": 24, "model.dropout": 0.2},
    {**DESCENT, "model.name": "cnn", "optimizer.lr": 1e-1},
    {"model.width": 24, "model.dropout": 0.3, "augment.crop": 0.2},
)


@dataclass(frozen=True)
class Kind:
    """The runs of a kind of model.

    name: of the file in `spaces/`; tasks: by name, each with `draw`, whose result has `digest`, `num_own` and `task`;
    preset: for a number of examples of a task; opened: the material of a drawn task and its examples, which may cache
    slow results in a folder.
    """

    name: str
    tasks: Mapping[str, Any]
    preset: Callable[..., Any]
    opened: Callable[[Any, Path], tuple[Any, Any]]
    known: Sequence[Mapping[str, Any]]
    near: Mapping[str, Sequence[Any]]
    pairs: Sequence[Mapping[str, Any]]

    def steps(self) -> Iterator[Mapping[str, Any]]:
        """Changes of the default: a single value, or a few that work together."""
        for name, values in self.near.items():
            yield from ({name: value} for value in values)
        yield from self.pairs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the file of curves; FILE.parts holds the records")
    parser.add_argument("--kind", choices=list(KINDS), default="tables")
    every = "; ".join(f"of {name}: {', '.join(each.tasks)}" for name, each in KINDS.items())
    parser.add_argument("--tasks", help=f"some of the tasks of a kind (default: all). {every}")
    parser.add_argument("--points", type=int, default=POINTS, help="recipes that fill the space, besides the others")
    parser.add_argument("--recipes", type=int, help="only this many recipes, from the first")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument(
        "--rows", type=float, default=1.0, help="share of the training examples that is used, for drawn data"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--shipped", action="store_true", help="only the default and the shipped list")
    given = parser.parse_args()
    kind = KINDS[given.kind]
    names = given.tasks.split(",") if given.tasks else list(kind.tasks)
    if unknown := [name for name in names if name not in kind.tasks]:
        raise SystemExit(f"no task named {', '.join(unknown)}; known: {', '.join(kind.tasks)}")
    begun = time.perf_counter()
    if given.shipped:
        changes = shipped(kind)
    else:
        changes = recipes(kind, given.points, epochs=given.epochs, seed=given.seed)[: given.recipes]
    parts = given.out.with_name(given.out.name + ".parts")
    parts.mkdir(parents=True, exist_ok=True)
    found = {}
    for name in names:
        found[name] = recorded(kind, name, changes, parts, epochs=given.epochs, share=given.rows, seed=given.seed)
        print(f"{name}: {time.perf_counter() - begun:.0f} s so far", file=sys.stderr)
    write_suite(given.out, kind, changes, found, epochs=given.epochs, seed=given.seed)
    print(json.dumps({
        "benchmark": "own_runs", "commit": git("rev-parse", "HEAD"), "seeds": [given.seed], "kind": given.kind,
        "tasks": len(found), "recipes": len(changes), "epochs": given.epochs,
        "wall_s": round(time.perf_counter() - begun, 1), "file": str(given.out), "machine": machine(),
    }))  # fmt: skip


# Recipes --------------------------------------------------------------------------------------------------------------


def recipes(kind: Kind, points: int, *, epochs: int, seed: int) -> list[dict[str, Any]]:
    """Changes of the default recipe, without duplicates: none, the known list, small steps, points of the space."""
    from tame.adjust.sampling import proposals
    from tame.adjust.searcher import SearchConfig
    from tame.core.space import Space

    preset = kind.preset(TYPICAL_ROWS, task="binary", epochs=epochs, seed=seed)
    space = Space(preset.dimensions, base=preset.base.flat())
    known = (*kind.known, *kind.steps())
    proposed = proposals(space, seed, SearchConfig(base=preset.base, portfolio=known, cohort=COHORT))
    base = preset.base.flat()
    found, left = list[dict[str, Any]](), points
    for origin, recipe in proposed:
        left -= origin == "sobol"
        if left < 0:
            break
        found.append({name: value for name, value in recipe.flat().items() if value != base[name]})
    return found


def shipped(kind: Kind) -> list[dict[str, Any]]:
    """Changes of the default recipe: none, then the lists of all cases in the order of their file, each once."""
    from tame.adjust.presets import known

    found: list[dict[str, Any]] = [{}, *(dict(each.changes) for each in known(kind.name).portfolio)]
    return [own for i, own in enumerate(found) if own not in found[:i]]


# Training -------------------------------------------------------------------------------------------------------------


def recorded(
    kind: Kind, name: str, changes: Sequence[Mapping[str, Any]], parts: Path, *, epochs: int, share: float, seed: int
) -> dict[str, np.ndarray]:
    """The records (N, E) of every recipe on a task: trained now, or from an earlier run."""
    drawn = kind.tasks[name].draw(seed, share)
    base = kind.preset(drawn.num_own, task=drawn.task, epochs=epochs, seed=seed).base
    settings = json.dumps([RECORDED, drawn.digest(), base.flat(), list(changes)], sort_keys=True)
    path = parts / f"{name}-{hashlib.blake2b(settings.encode(), digest_size=6).hexdigest()}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return {part: kept[part] for part in RECORDED}
    material, examples = kind.opened(drawn, parts)
    found = train(material, examples, base, changes)
    fresh = path.with_suffix(".tmp")
    with fresh.open("wb") as file:
        np.savez_compressed(file, **found)
    fresh.replace(path)
    return found


def train(material: Any, examples: Any, base: Any, changes: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The records (N, E) of every recipe; NaN after one has diverged."""
    import torch

    from tame.trial.settings import group_key
    from tame.trial.unit import Job

    torch.set_num_threads(1)
    useless = set() if examples.num_classes else {"loss.label_smoothing"}
    alike: dict[Any, list[Job]] = {}
    for i, own in enumerate(changes):
        recipe = base.but({field: value for field, value in own.items() if field not in useless})
        alike.setdefault(group_key(recipe), []).append(Job(i, recipe))
    found = {part: np.full((len(changes), base.epochs), np.nan, np.float32) for part in RECORDED}
    for jobs in alike.values():
        for start in range(0, len(jobs), MOST):
            for trial, epoch, values in curves(material, jobs[start : start + MOST], examples, epochs=base.epochs):
                for part, value in zip(RECORDED, values, strict=True):
                    found[part][trial, epoch - 1] = value
    return found


def opened_table(drawn: own_tables.Drawn, keep: Path) -> tuple[Any, Any]:
    """The material that TAME trains on and its examples, read from a file as a user's would be; nothing is cached."""
    import torch

    from tame.data.table_kinds import type_table
    from tame.data.table_reading import read_raw
    from tame.data.targets import read_target
    from tame.kinds.tables.material import TableMaterial
    from tame.trial.population import Examples

    with tempfile.TemporaryDirectory() as folder:
        raw = read_raw(own_tables.write_csv(drawn, Path(folder) / "table.csv"))
    target, _ = read_target(raw, drawn.target, task="regression" if drawn.task == "regression" else "classification")
    material = TableMaterial(type_table(raw, target=drawn.target), device=torch.device("cpu"))
    return material, Examples(torch.from_numpy(target.values), torch.from_numpy(drawn.fold), len(target.classes))


def opened_pictures(drawn: own_pictures.Pictured, keep: Path) -> tuple[Any, Any]:
    """The material that TAME trains heads on and its examples; features are cached, since tasks share pictures.

    The backbone runs in float32, since the fastest precision differs between machines.
    """
    from tame.kinds.costs import Speed
    from tame.parts.backbones import open_backbone

    known = Speed("float32", "folded", 32, 0.0, PIXELS)
    return _opened(drawn, keep, open_backbone(str(WEIGHTS)), known)


def opened_pixels(drawn: own_pictures.Pictured, keep: Path) -> tuple[Any, Any]:
    """The material that TAME trains networks from scratch on and its examples; nothing is cached."""
    return _opened(drawn, keep, None, None)


def _opened(drawn: own_pictures.Pictured, keep: Path, backbone: Any, known: Any) -> tuple[Any, Any]:
    """backbone, known: the network that computes features and its measured speed; None for a network from scratch."""
    import torch

    from tame.kinds.pictures.features import Pictures
    from tame.kinds.pictures.inputs import Inputs
    from tame.kinds.pictures.material import PictureMaterial
    from tame.trial.population import Examples

    pictures = Pictures(drawn.pixels, drawn.digests)
    inputs = Inputs(pictures, backbone, cache=keep, device=torch.device("cpu"), say=lambda *_: None)
    if known is not None:
        inputs.measure(size=PIXELS, crop=1.0, known=known)
    target, fold = torch.from_numpy(drawn.target), torch.from_numpy(drawn.fold)
    return PictureMaterial(inputs, cache=keep), Examples(target, fold, drawn.num_classes)


def curves(
    material: Any, jobs: Sequence[Any], examples: Any, *, epochs: int
) -> Iterator[tuple[int, int, tuple[float, ...]]]:
    """Number, epoch and records of recipes of one shape; means over the folds.

    They are trained together if the material allows it, otherwise one by one.
    """
    from tame.trial.population import Member
    from tame.trial.serial import Serial
    from tame.trial.stacked import Stacked
    from tame.trial.unit import judged

    rows, folds = range(len(examples)), list(range(int(examples.fold.max()) + 1))
    metric = "accuracy" if examples.num_classes else "rmse"
    found: dict[tuple[int, int], list[tuple[float, ...]]] = {}
    for lane in material.lanes(jobs[0].recipe, rows, examples, folds):
        task = material.task(jobs[0].recipe, rows, examples, lane)
        members = [Member(job.trial, fold, job.recipe) for job in jobs for fold in lane]
        together = material.stacks(jobs[0].recipe)
        engine: Stacked | Serial = Stacked(task) if together else Serial(task)
        for own in [members] if together else [[member] for member in members]:
            population = engine.start(own)
            for epoch in range(1, epochs + 1):
                seen: list[Any] = []
                population = engine.advance(population, until=epoch, watch=lambda _, m, seen=seen: seen.append(m))
                losses = judged(population.members, seen[0], task.examples, metric)
                for (trial, _), values in losses.items():
                    found.setdefault((trial, epoch), []).append(values)
    for (trial, epoch), each in found.items():
        yield trial, epoch, tuple(np.mean(each, axis=0) if np.isfinite(each).all() else [np.nan] * len(RECORDED))


# The file -------------------------------------------------------------------------------------------------------------


def write_suite(
    path: Path, kind: Kind, changes: Sequence[Mapping[str, Any]], found: Mapping[str, Mapping[str, np.ndarray]], *,
    epochs: int, seed: int,
) -> None:  # fmt: skip
    """Writes all tasks to one file, in the format of the recorded curves, with the changes of each recipe as JSON."""
    names, configs, logs = numbered(kind, changes)
    np.savez_compressed(
        path, allow_pickle=False, configs=configs, hp_names=np.array(names), hp_low=configs.min(axis=0),
        hp_high=configs.max(axis=0), hp_scale=np.array(["log" if log else "linear" for log in logs]),
        epochs=np.arange(1, epochs + 1), mode=np.array("min"), seed=np.array(seed),
        changes=np.array([json.dumps(own, sort_keys=True) for own in changes]),
        **{f"{part}/{task}": own[part] for task, own in found.items() for part in RECORDED},
    )  # fmt: skip


def numbered(kind: Kind, changes: Sequence[Mapping[str, Any]]) -> tuple[list[str], np.ndarray, list[bool]]:
    """Names, (N, D) values and log scales of all fields that differ; unordered choices become 0 or 1 per value."""
    preset = kind.preset(TYPICAL_ROWS, task="binary", epochs=1, seed=0)
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


# Kinds ----------------------------------------------------------------------------------------------------------------


def preset_of_tables(num: int, *, task: str, epochs: int, seed: int) -> Any:
    """TAME's preset for a table: loss and batch size depend on the task and the number of rows."""
    from tame.adjust import portfolio

    return portfolio.tables(num, task=task, epochs=epochs, seed=seed)


def preset_of_heads(num: int, *, task: str, epochs: int, seed: int) -> Any:
    """TAME's preset for heads on small pictures, which are not cropped: the batch size depends on their number."""
    from tame.adjust import portfolio

    return portfolio.heads((PIXELS,), num, epochs=epochs, seed=seed, crop=1.0)


def preset_of_scratch(num: int, *, task: str, epochs: int, seed: int) -> Any:
    """TAME's preset for small networks from scratch on small pictures."""
    from tame.adjust import portfolio

    return portfolio.scratch(FINE, num, epochs=epochs, seed=seed)


KINDS = {
    "tables": Kind("tables", own_tables.TASKS, preset_of_tables, opened_table, KNOWN, NEAR, PAIRS),
    "heads": Kind("heads", own_pictures.TASKS, preset_of_heads, opened_pictures, HEADS_KNOWN, HEADS_NEAR, HEADS_PAIRS),
    "scratch": Kind(
        "scratch", own_pictures.SCRATCH, preset_of_scratch, opened_pixels, SCRATCH_KNOWN, SCRATCH_NEAR, SCRATCH_PAIRS
    ),
}


if __name__ == "__main__":
    main()
