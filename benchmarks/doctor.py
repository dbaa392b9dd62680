"""Does the doctor name the right cause, and leave healthy runs alone? Prints one JSON line.

Recorded runs (DeepOBS): what was wrong is known by the outcome, without looking at the shape of the curve. The final
validation loss is compared with that of the best learning rate of the same problem and optimizer, on a scale from there
(0) to the loss before training (1): good up to 0.05, middling up to 0.3, and beyond that the rate was too low or too
high, by the side on which it lies. The first record of a run is from before training, and is left out, as TAME's curves
begin after the first epoch. Blamed: a warning
or a problem. Told anything: also for information, but for training that was still improving.

Made-up runs: those of the laws of rules, 200 of each fault and of clean runs. Named: the planted cause is among the
findings; another: so is a warning or problem of another kind.
Usage: python benchmarks/doctor.py [--curves FILE.json.gz]
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from features import SHARED, git, machine

from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Point, Trial
from tame.core.rng import stream
from tame.monitor.case import Facts
from tame.monitor.rules import examine
from tame.testing.rule_laws import FACTS, PLANTED, TINY, clean

GOOD, MIDDLING = 0.05, 0.3
LAST = 20  # the final loss is the median over the last twentieth of the epochs
RUNS = 200
# Classes, share of the most common one, and validation examples. The other problems have no metric.
CLASSES = {
    "cifar10_3c3d": (10, 0.1, 10_000), "cifar100_allcnnc": (100, 0.01, 10_000), "fmnist_2c2d": (10, 0.1, 10_000),
    "mnist_2c2d": (10, 0.1, 10_000), "svhn_wrn164": (10, 0.196, 26_032), "tolstoi_char_rnn": (83, 0.17, 100_000),
}  # fmt: skip
OPTIMIZERS = {
    "AdamOptimizer": ("adam", 0.9),
    "GradientDescentOptimizer": ("sgd", 0.9),
    "MomentumOptimizer": ("momentum", 0.9),
}
HIGH, LOW = {"rate_too_high", "diverged"}, {"rate_too_low"}


@dataclass(frozen=True)
class Run:
    """A recorded run: what was wrong with it by its outcome, and what the doctor says."""

    problem: str
    truth: str
    found: tuple[Finding, ...]

    @property
    def codes(self) -> set[str]:
        return {finding.code for finding in self.found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--curves", type=Path, default=SHARED / "curves" / "deepobs.json.gz", help="recorded runs")
    given = parser.parse_args()
    if not given.curves.is_file():
        raise SystemExit(f"there is no file of recorded runs {given.curves}")
    with gzip.open(given.curves) as file:
        records: list[dict[str, Any]] = json.load(file)
    began = time.process_time()
    runs = list(examined(records))
    each_ms = 1000 * (time.process_time() - began) / len(runs)
    problems = sorted({run.problem for run in runs})
    print(json.dumps({
        "benchmark": "doctor", "commit": git("rev-parse", "HEAD"), "recorded": table(runs),
        "by_problem": {name: table([r for r in runs if r.problem == name]) for name in problems},
        "made_up": made_up(), "ms_per_run": round(each_ms, 2), "machine": machine(),
    }))  # fmt: skip


def examined(records: Sequence[Mapping[str, Any]]) -> Iterable[Run]:
    groups: defaultdict[tuple[str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        groups[record["problem"], record["opt"]].append(record)
    for own in groups.values():
        by_rate: defaultdict[float, list[float]] = defaultdict(list)
        for record in own:
            by_rate[record["lr"]].append(final(record))
        medians = {rate: float(np.median(losses)) for rate, losses in by_rate.items()}
        best = min(medians, key=lambda rate: medians[rate])
        for record in own:
            start = record["test_loss"][0]
            off = (final(record) - medians[best]) / (start - medians[best])
            side = "low" if record["lr"] < best else "high"
            truth = "good" if off <= GOOD else "middling" if off <= MIDDLING else side
            yield Run(record["problem"], truth, tuple(examine(trial_of(record), facts_of(record["problem"]))))


def final(record: Mapping[str, Any]) -> float:
    """The loss at the end; infinite if one was not a number."""
    losses = np.array(record["test_loss"], dtype=float)
    if not (np.isfinite(losses).all() and np.isfinite(np.array(record["train_loss"], dtype=float)).all()):
        return math.inf
    return float(np.median(losses[-max(3, len(losses) // LAST) :]))


def trial_of(record: Mapping[str, Any]) -> Trial:
    points: list[Point] = []
    metrics = record["test_acc"] or [None] * len(record["test_loss"])
    for i in range(1, len(record["test_loss"])):
        points.append(
            Point(i, *(_finite(values[i]) for values in (record["train_loss"], record["test_loss"], metrics)))
        )
        if points[-1].is_lost:
            break
    name, momentum = OPTIMIZERS[record["opt"]]
    epochs = len(record["test_loss"]) - 1
    recipe = Recipe().but({
        "epochs": epochs, "optimizer.name": name, "optimizer.lr": record["lr"], "optimizer.momentum": momentum,
        "optimizer.weight_decay": 0.0, "batch_size": record["bs"],
    })  # fmt: skip
    state = "diverged" if points[-1].is_lost else "complete"
    return Trial(0, recipe, "grid", "recorded", state, epochs, Curve(tuple(points)))  # type: ignore[arg-type]


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def facts_of(problem: str) -> Facts:
    if problem not in CLASSES:
        return Facts(
            task="regression", num_classes=1, num_valid=10_000, metric="mse", higher_is_better=False, dummy=None,
            dummy_error=None, guess_loss=None,
        )  # fmt: skip
    classes, dummy, examples = CLASSES[problem]
    return Facts(
        task="multiclass", num_classes=classes, num_valid=examples, metric="accuracy", higher_is_better=True,
        dummy=dummy, dummy_error=math.sqrt(dummy * (1 - dummy) / examples), guess_loss=math.log(classes),
    )  # fmt: skip


def table(runs: Sequence[Run]) -> dict[str, object]:
    """For each outcome how many runs there are, how often each side is named, and all that was said."""
    rows: dict[str, object] = {}
    for truth in ("good", "middling", "low", "high"):
        own = [run for run in runs if run.truth == truth]
        said = Counter("+".join(sorted(run.codes)) or "silent" for run in own)
        rows[truth] = {
            "runs": len(own), "named_high": sum(bool(run.codes & HIGH) for run in own),
            "named_low": sum(bool(run.codes & LOW) for run in own),
            "blamed": sum(any(each.severity != "info" for each in run.found) for run in own),
            "told_anything": sum(bool(run.codes - {"still_improving"}) for run in own),
            "blamed_for_rate": sum(bool(run.codes & (HIGH | LOW)) for run in own), "said": dict(said.most_common()),
        }  # fmt: skip
    return rows


def made_up() -> dict[str, object]:
    found: dict[str, object] = {}
    for name, make in (*PLANTED.items(), ("clean", clean)):
        facts = TINY if name == "noisy_validation" else FACTS
        every = [examine(replace(make(stream(run, "doctor", name)), number=run), facts) for run in range(RUNS)]
        own = [{each.code for each in said} for said in every]
        others = [{each.code for each in said if each.severity != "info"} - {name} for said in every]
        told = {"named": sum(name in codes for codes in own) / RUNS} if name in PLANTED else {}
        found[name] = {**told, "another": sum(bool(codes) for codes in others) / RUNS}
    return found


if __name__ == "__main__":
    main()
