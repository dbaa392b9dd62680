"""What does watching cost, beside training? Prints one JSON line.

Whole studies, each in this process and the one that trains: a module of a user's own, and a table. Watching is the
rehearsal before the search and every call of the rules, timed as they run; training is what the process that trains
took for it in the search. What remedies train is training too.
Usage: python benchmarks/monitoring.py [--trials 8] [--epochs 20] [--rows 2000]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from features import git, machine
from torch import nn

import tame
import tame.loop
import tame.study.cases
import tame.study.finalist_cases
import tame.study.set_up
from tame.study.state import read_state

COLUMNS, CLASSES = 20, 5
PLACES = (
    (tame.loop, "examine"), (tame.study.cases, "examine"), (tame.study.finalist_cases, "examine"),
    (tame.loop, "of_space"), (tame.study.set_up, "judge"),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rows", type=int, default=2000)
    given = parser.parse_args()
    rules_s = timed()
    found = {}
    for name, options in {"own module": {"model": build}, "table": {}}.items():
        rules_s.clear()
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "study"
            tame.fit(made(given.rows), trials=given.trials, epochs=given.epochs, seed=0, out=out, **options)
            _, state = read_state(out)
        rehearsal_s = 0.0 if state.set_up is None else state.set_up.wall_s
        watching_s = rehearsal_s + sum(rules_s)
        found[name] = {
            "rehearsal_s": round(rehearsal_s, 3), "rules_s": round(sum(rules_s), 3), "calls": len(rules_s),
            "trained_s": round(state.trained_s, 2), "epochs": state.epochs,
            "share": round(watching_s / state.trained_s, 4),
        }  # fmt: skip
    print(json.dumps({
        "benchmark": "monitoring", "commit": git("rev-parse", "HEAD"), **vars(given), "studies": found,
        "machine": machine(),
    }))  # fmt: skip


def timed() -> list[float]:
    """The seconds of every call of a rule or judge from here on."""
    seconds: list[float] = []

    def wrapped(do: Callable[..., Any]) -> Callable[..., Any]:
        def call(*values: Any) -> Any:
            begun = time.perf_counter()
            try:
                return do(*values)
            finally:
                seconds.append(time.perf_counter() - begun)

        return call

    for module, name in PLACES:
        setattr(module, name, wrapped(getattr(module, name)))
    return seconds


def build(width: int = 64) -> nn.Module:
    return nn.Sequential(
        nn.Linear(COLUMNS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, CLASSES)
    )


def made(rows: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(0)
    x = chance.normal(size=(rows, COLUMNS)).astype(np.float32)
    hidden = np.tanh(x @ chance.normal(size=(COLUMNS, 16)))
    return x, (hidden @ chance.normal(size=(16, CLASSES))).argmax(axis=1)


if __name__ == "__main__":
    main()
