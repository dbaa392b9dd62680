"""Does the doctor help? Sick and healthy settings, each fitted with and without it in the same budget.

Twelve settings have something wrong with them: four overfit, three learn too slowly, two have a rate that is too high
for the network, two a fault in the set-up, one wrong labels. The healthy ones vary in data and network. Without the
doctor a study gets as many more trials as the remedies of its twin took epochs. Judged by the loss on fresh examples of
the same task, which no study has seen: log loss, or squared error over the variance of the target. Prints one JSON
line: for each setting the mean loss both ways over the seeds, and in how many pairs the difference is more than twice
its standard error over the examples.
Usage: python benchmarks/remedies.py [--seeds 10] [--healthy 40] [--settings NAMES] [--trials 12]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from features import git, machine
from torch import Tensor, nn

import tame

FRESH = 2000  # examples that judge
CLASSES = 3


class Times(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def perceptron(inputs: int, outputs: int, *, width: int, depth: int = 2, act: type[nn.Module] = nn.ReLU,
               hidden: float = 1.0, last: float = 1.0, softmax: bool = False) -> nn.Sequential:  # fmt: skip
    """hidden, last: factors on what hidden layers and the last one give."""
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Linear(width if place else inputs, width), Times(hidden), act()]
    layers += [nn.Linear(width, outputs), Times(last)]
    return nn.Sequential(*layers, *([nn.Softmax(dim=-1)] if softmax else []))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A task and a network. noise: beside a signal of 1; wrong: share of labels drawn at random; scale: of the inputs;
    network: arguments of `perceptron`; curved: whether the target depends on products of inputs."""

    rows: int
    columns: int = 16
    noise: float = 0.5
    wrong: float = 0.0
    scale: float = 1.0
    curved: bool = False
    is_regression: bool = False
    epochs: int = 20
    network: Mapping[str, Any]

    def draw(self, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Inputs and targets to fit, and fresh ones."""
        rng = np.random.default_rng([seed, self.rows, self.columns])
        outputs = 1 if self.is_regression else CLASSES
        weights = rng.normal(size=(self.columns, outputs)) / math.sqrt(self.columns)
        n = self.rows + FRESH
        x = rng.normal(size=(n, self.columns))
        signal = x @ weights
        if self.curved:
            signal = signal + (x[:, :1] * x[:, 1:2]) * rng.normal(size=(1, outputs))
        signal = signal + self.noise * rng.normal(size=signal.shape)
        y = signal[:, 0] if self.is_regression else signal.argmax(axis=1)
        if self.wrong:
            gone = rng.random(n) < self.wrong
            y = np.where(gone, rng.integers(0, CLASSES, n), y)
        x = (self.scale * x).astype(np.float32)
        return x[: self.rows], y[: self.rows], x[self.rows :], y[self.rows :]

    def build(self) -> Callable[[], nn.Module]:
        outputs = 1 if self.is_regression else CLASSES
        return lambda: perceptron(self.columns, outputs, **self.network)


SICK: Mapping[str, Setting] = {
    "overfitting: wide": Setting(rows=240, columns=32, noise=2.0, network={"width": 256}),
    "overfitting: few rows": Setting(rows=120, noise=1.0, epochs=30, network={"width": 128}),
    "overfitting: deep": Setting(rows=300, columns=24, noise=1.5, network={"width": 128, "depth": 4}),
    "overfitting: numbers": Setting(rows=160, columns=24, noise=1.5, is_regression=True, network={"width": 128}),
    "too slow: small outputs": Setting(rows=400, noise=0.3, epochs=8, network={"width": 32, "last": 0.02}),
    "too slow: sigmoids": Setting(rows=400, noise=0.3, epochs=8, network={"width": 32, "depth": 3, "act": nn.Sigmoid}),
    "too slow: few epochs": Setting(rows=300, noise=0.3, curved=True, epochs=5, network={"width": 16}),
    "rate: large outputs": Setting(rows=400, noise=0.5, network={"width": 64, "last": 100.0}),
    "rate: large layers": Setting(rows=400, noise=0.5, network={"width": 64, "depth": 3, "hidden": 12.0}),
    "set-up: inputs not scaled": Setting(rows=400, noise=0.5, scale=300.0, network={"width": 64}),
    "set-up: softmax before the loss": Setting(rows=400, noise=0.5, network={"width": 64, "softmax": True}),
    "data: wrong labels": Setting(rows=400, noise=0.3, wrong=0.3, network={"width": 128}),
}  # fmt: skip


def healthy(number: int) -> Setting:
    """One of many settings with nothing wrong: enough rows for a network of moderate size."""
    rng = np.random.default_rng([7, number])
    return Setting(
        rows=int(rng.choice([800, 1200, 2000])), columns=int(rng.choice([6, 10, 16])),
        noise=float(rng.choice([0.1, 0.3, 0.6])), curved=bool(rng.integers(2)),
        is_regression=bool(rng.integers(4) == 0), epochs=int(rng.choice([8, 12, 16])),
        network={"width": int(rng.choice([8, 16, 32])), "depth": int(rng.choice([1, 2]))},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--healthy", type=int, default=40)
    parser.add_argument("--settings", default="", help="only those whose name contains this")
    parser.add_argument("--trials", type=int, default=12)
    given = parser.parse_args()
    named = {name: each for name, each in SICK.items() if given.settings in name}
    begun = time.monotonic()
    sick = {
        name: summary([pair(name, each, seed, given.trials) for seed in range(given.seeds)])
        for name, each in named.items()
    }
    well = [pair(f"healthy {i}", healthy(i), i, given.trials) for i in range(given.healthy)]
    better = sum(each["mean_with"] < each["mean_without"] for each in sick.values())
    print(json.dumps({
        "benchmark": "remedies", "commit": git("rev-parse", "HEAD"), "machine": machine(), "load": os.getloadavg(),
        "seeds": given.seeds, "trials": given.trials, "sick": sick, "better": f"{better} of {len(sick)}",
        "healthy": summary(well) if well else None, "wall_s": round(time.monotonic() - begun),
    }))  # fmt: skip


def pair(name: str, setting: Setting, seed: int, trials: int) -> dict[str, Any]:
    """The losses (n,) on fresh examples with and without the doctor, and what it did."""
    x, y, fresh, truth = setting.draw(seed)
    with tempfile.TemporaryDirectory(prefix="tame-bench-") as folder:
        treated, study = judged(setting, seed, (x, y), fresh, truth, Path(folder) / "with", trials=trials, doctor=True)
        spent = sum(case["epochs"] for case in study.result.get("cases", ()))
        more = math.ceil(spent / setting.epochs)
        plain, _ = judged(setting, seed, (x, y), fresh, truth, Path(folder) / "without", trials=trials + more,
                          doctor=False)  # fmt: skip
    apart = treated - plain
    cases = study.result.get("cases", ())
    kept = [remedy for case in cases for remedy in case["remedies"] if remedy["kept"]]
    found = {
        "with": float(treated.mean()), "without": float(plain.mean()), "apart": float(apart.mean()),
        "error": float(apart.std(ddof=1) / math.sqrt(len(apart))),
        "kept": [f"{each['field']} {each['before']} -> {each['after']}" for each in kept],
        "cases": [case["code"] for case in cases], "more": more,
    }  # fmt: skip
    print(name, seed, json.dumps(found), file=sys.stderr, flush=True)
    return found


def judged(
    setting: Setting, seed: int, data: tuple[np.ndarray, np.ndarray], fresh: np.ndarray, truth: np.ndarray,
    folder: Path, *, trials: int, doctor: bool,
) -> tuple[np.ndarray, Any]:  # fmt: skip
    """The loss of each fresh example, and the study."""
    study = tame.fit(
        data, model=setting.build(), trials=trials, epochs=setting.epochs, seed=seed, out=str(folder), doctor=doctor,
        quiet=True,
    )  # fmt: skip
    outputs = study.outputs(fresh)
    if setting.is_regression:
        return (outputs - truth) ** 2 / float(np.var(truth)), study
    return -np.log(np.clip(outputs[np.arange(len(truth)), truth], 1e-15, 1)), study


def summary(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Over the seeds of a setting, or over all healthy ones."""
    real = [each["apart"] / each["error"] if each["error"] else 0.0 for each in pairs]
    return {
        "mean_with": round(float(np.mean([each["with"] for each in pairs])), 4),
        "mean_without": round(float(np.mean([each["without"] for each in pairs])), 4),
        "better": sum(value < -2 for value in real), "worse": sum(value > 2 for value in real), "of": len(pairs),
        "worst": round(max(each["apart"] for each in pairs), 4),
        "treated": sum(bool(each["cases"]) for each in pairs),
        "kept": sorted({kept for each in pairs for kept in each["kept"]}),
    }  # fmt: skip


if __name__ == "__main__":
    main()
