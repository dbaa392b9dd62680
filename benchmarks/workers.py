"""Several workers beside one: what dealing out groups costs, and what two of one thread do. Prints one JSON line.

A table of made-up numbers, sixteen perceptrons of two widths, trained two epochs a round, as a search does. Three crews
train the same recipes in turn, each in processes of its own that are warm: one worker without a pool, which has all
cores; the same in a pool; two workers that share the cores.

With --ray: one worker behind an actor of a Ray cluster beside one that is a child of this process. First commands that
do nothing, as many as 10,000 trials in groups of eight need, ten for each group; then such groups, trained an epoch a
command.
Usage: python benchmarks/workers.py [--rounds 20] [--rows 3000] [--ray] [--quick] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from features import git, machine
from population import mean_ratio

from tame.core.plain import to_plain
from tame.core.recipe import Recipe
from tame.data.sources import write_columns
from tame.data.tables import Column, Table
from tame.kinds.tables.commands import Given
from tame.trial.commands import Asked, Chosen, How, Message, PointMeasured, Unsealed
from tame.worker.crew import Crew
from tame.worker.environment import usable_cores
from tame.worker.executor import Executor, Place
from tame.worker.executors import process_executor, ray_executor
from tame.worker.pipe import cpu_s
from tame.worker.pool import PoolExecutor
from tame.worker.process import ProcessExecutor
from tame.worker.ray_cluster import Cluster
from tame.worker.sockets import descendants
from tame.worker.watch import Patience

SEED, TRIALS, COLUMNS, A_ROUND = 0, 16, 12, 2
CREWS = ("alone", "pool of one", "two")
GROUP, GROUP_CALLS = 8, 10  # trials of a group behind Ray, and commands until it ends
CALLS = 10_000 // GROUP * GROUP_CALLS  # commands of a study of 10,000 trials
PACKAGES = ("torch", "numpy")


def main() -> None:
    """Lets the crews train in turn, and compares them round by round."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--ray", action="store_true", help="what Ray's actors cost, in place of the crews")
    parser.add_argument("--quick", action="store_true", help="three rounds on few rows")
    parser.add_argument("--json", type=Path, help="also write the result here")
    given = parser.parse_args()
    if given.quick:
        given.rounds, given.rows = 3, 300
    with tempfile.TemporaryDirectory() as folder:
        measure = behind_ray if given.ray else compare
        found = json.dumps(measure(Path(folder), rounds=given.rounds, rows=given.rows))
    if given.json:
        given.json.write_text(found + "\n")
    print(found)


def compare(folder: Path, *, rounds: int, rows: int) -> dict[str, Any]:
    """The whole result."""
    load_before, wall = os.getloadavg(), {name: list[float]() for name in CREWS}
    work = dict.fromkeys(CREWS, 0.0)
    with ExitStack() as stack:
        crews = {name: stack.enter_context(training(name, folder, rows)) for name in CREWS}
        for number in range(rounds + 1):
            for name in CREWS if number % 2 == 0 else CREWS[::-1]:
                begun, worked = time.perf_counter(), crews[name].work_s()
                crews[name].advance(until=A_ROUND * (number + 1), last=A_ROUND * (rounds + 1))
                if number:  # the first round measures and reads
                    wall[name].append(time.perf_counter() - begun)
                    work[name] += crews[name].work_s() - worked
            print(f"round {number}: {[round(each[-1], 3) for each in wall.values() if each]}", file=sys.stderr)
        points = [crew.points for crew in crews.values()]
    beside = {name: [b / a for a, b in zip(wall["alone"], wall[name], strict=True)] for name in CREWS[1:]}
    ratios = {name: mean_ratio(each) for name, each in beside.items()}
    return {
        "benchmark": "workers",
        **about(load_before),
        "trials": TRIALS,
        "rows": rows,
        "rounds": rounds,
        "time_ratio": {name: ratio for name, (ratio, _) in ratios.items()},  # to one worker without a pool
        "interval": {name: interval for name, (_, interval) in ratios.items()},
        "work_ratio": {name: round(work[name] / work["alone"], 3) for name in beside},  # of processor time, in all
        "least_s": {name: round(min(each), 4) for name, each in wall.items()},
        "round_s": {name: round(float(np.median(each)), 4) for name, each in wall.items()},
        "same_points": points[0] == points[1] == points[2],
    }


def behind_ray(folder: Path, *, rounds: int, rows: int) -> dict[str, Any]:
    """What a command costs by way of Ray, and what that adds to training. rounds: groups that are trained."""
    load_before, seconds, work = os.getloadavg(), dict[str, list[float]](), dict[str, list[float]]()
    for name in ("alone", "ray"):
        with training(name, folder, rows) as crew:
            begun, worked = time.perf_counter(), family_s()
            for _ in range(CALLS):
                crew.do_nothing()
            seconds[name], work[name] = [time.perf_counter() - begun], [family_s() - worked]
            for group in range(rounds + 1):
                begun, worked = time.perf_counter(), family_s()
                for epoch in range(1, GROUP_CALLS + 1):
                    crew.advance_group(group, until=epoch)
                if group:  # the first one measures and reads
                    seconds[name].append(time.perf_counter() - begun)
                    work[name].append(family_s() - worked)
            points = crew.points
        print(f"{name}: {seconds[name][0]:.2f} s for {CALLS} commands", file=sys.stderr)
        if name == "alone":
            wanted = points
    ratio, interval = mean_ratio([b / a for a, b in zip(seconds["alone"][1:], seconds["ray"][1:], strict=True)])
    return {
        "benchmark": "workers behind Ray",
        **about(load_before),
        "rows": rows,
        "groups": rounds,
        "trials_a_group": GROUP,
        "commands": CALLS,
        "command_ms": {name: round(1e3 * each[0] / CALLS, 3) for name, each in seconds.items()},
        "command_work_ms": {name: round(1e3 * each[0] / CALLS, 3) for name, each in work.items()},
        "group_s": {name: round(float(np.median(each[1:])), 4) for name, each in seconds.items()},
        "time_ratio": ratio,
        "interval": interval,
        "work_ratio": round(sum(work["ray"][1:]) / sum(work["alone"][1:]), 3),
        "same_points": points == wanted,
    }


def about(load_before: tuple[float, float, float]) -> dict[str, Any]:
    """Where and by what this was measured."""
    return {
        "commit": git("rev-parse", "HEAD"),
        "changed_files": len(git("status", "--porcelain").splitlines()),
        "machine": machine() | {"load_before": load_before, "load_after": os.getloadavg()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        "seeds": [SEED],
    }


def family_s() -> float:
    """Processor time of this process and of all that it has started and that live; Linux only."""
    total = 0
    for process in descendants(os.getpid()):
        with suppress(OSError):  # it may have ended meanwhile
            fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


class Training:
    """One crew, with what it has said."""

    def __init__(self, executor: Executor, heard: list[Message], processes: set[int]) -> None:
        self._executor = executor
        self._heard = heard
        self._processes = processes

    def work_s(self) -> float:
        """Processor time of this process and of those that train, in all."""
        return time.process_time() + sum(cpu_s(pid) or 0.0 for pid in self._processes)

    @property
    def points(self) -> dict[tuple[int, int], object]:
        said = [each for each in self._heard if isinstance(each, PointMeasured)]
        return {(each.trial, each.point.epoch): each.point for each in said}

    def do_nothing(self) -> None:
        """A command that takes as long as it takes to be sent and answered."""
        self._executor.commands.hand_over([])

    def advance_group(self, number: int, *, until: int) -> None:
        """Trains the recipes of one of many groups, all of one width, to this epoch."""
        self._advance({GROUP * number + n: recipe_of(2 * n, GROUP_CALLS) for n in range(GROUP)}, until=until)

    def advance(self, *, until: int, last: int) -> None:
        """Trains all recipes to this epoch. last: the epoch that they end at."""
        self._advance({n: recipe_of(n, last) for n in range(TRIALS)}, until=until)

    def _advance(self, recipes: Mapping[int, Recipe], *, until: int) -> None:
        hows: dict[int, How] = {}
        for said in self._heard:
            if isinstance(said, Chosen):
                hows |= dict.fromkeys(said.trials, said.how)
        asked = [Asked(trial=n, recipe=recipe, how=hows.get(n)) for n, recipe in recipes.items()]
        self._executor.commands.advance(asked, folds=[0], until=until, metric="accuracy", final=False)


@contextmanager
def training(name: str, folder: Path, rows: int) -> Iterator[Training]:
    """A crew that was given the data. All crews find the same measurements, so that they choose alike."""
    own = folder / name.replace(" ", "-")
    own.mkdir()
    heard: list[Message] = []
    place = Place(cache=folder / "cache", study=own, kind="table")
    before = children()
    executor = hired(name, place, heard)
    processes = children() - before
    try:
        chance = np.random.default_rng(SEED)
        values = {f"x{i}": chance.normal(size=rows) for i in range(COLUMNS)}
        table = Table(tuple(Column(each, "number", "") for each in values), values, rows)
        write_columns(own / "columns.npz", table)
        arrays = Given(files=(), arrays=str(own / "columns.npz"), columns=table.columns, kept=())
        executor.commands.open("table", to_plain(arrays))
        executor.commands.learn(
            Unsealed(
                rows=list(range(rows)), targets=(sum(values.values()) > 0).astype(int).tolist(),
                folds=[0 if i % 5 == 0 else -1 for i in range(rows)], num_classes=2, task="binary",
            )
        )  # fmt: skip
        yield Training(executor, heard, processes)
    finally:
        executor.close()


def hired(name: str, place: Place, heard: list[Message]) -> Executor:
    """The executor of a crew, whose processes nothing may restart."""

    def fail(how: str) -> None:
        raise RuntimeError(f"a worker ended: {how}")

    if name == "ray":
        cluster = Cluster("local", 1)
        return ray_executor(place, hear=heard.append, log=None, restarted=fail, patience=Patience, cluster=cluster)
    if name == "pool of one":
        whole = replace(place, share=usable_cores())
        return PoolExecutor(
            lambda number, *, hear, restarted: ProcessExecutor(whole, hear=hear, log=None, restarted=restarted),
            workers=1, hear=heard.append, restarted=fail,
        )  # fmt: skip
    crew = Crew() if name == "alone" else Crew(workers=2, threads=max(1, usable_cores() // 2))
    return process_executor(place, hear=heard.append, log=None, restarted=fail, patience=Patience, crew=crew)


def children() -> set[int]:
    """The processes that this one has started; Linux only."""
    lists = [each / "children" for each in Path("/proc/self/task").iterdir()]
    return {int(pid) for each in lists if each.exists() for pid in each.read_text().split()}


def recipe_of(number: int, epochs: int) -> Recipe:
    """One of the recipes, half of which are of one width."""
    return Recipe().but({
        "model.name": "mlp", "model.width": 64 if number % 2 else 48, "model.depth": 2, "batch_size": 64,
        "epochs": epochs, "seed": SEED, "optimizer.lr": 1e-4 * (1 + number),
    })  # fmt: skip


if __name__ == "__main__":
    main()
