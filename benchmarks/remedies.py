"""Does the doctor help? Sick and healthy settings, each fitted with and without it in the same budget.

Twelve settings have something wrong with them: four overfit, three learn too slowly, two have a rate that is too high
for the network, two a fault in the set-up, one wrong labels. The healthy ones vary in data and network. Without the
doctor a study gets as many more trials as the remedies of its twin took epochs. Judged by the loss on fresh examples of
the same task, which no study has seen: log loss, or squared error over the variance of the target. Prints one JSON
line: for each setting the mean loss both ways over the seeds, with the interval of their difference. The settings were
made with the seeds 0 to 2 in view, which is why others judge.
Usage: python benchmarks/remedies.py [--seeds 10] [--first 10] [--healthy 40] [--settings NAMES] [--trials 12]
                                     [--out PAIRS.jsonl] [--write docs/remedies.md]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from features import git, machine
from scipy.stats import t as student
from torch import Tensor, nn

import tame
from tame.evaluate.over_seeds import holm

FRESH = 2000  # examples that judge
TRIALS = 16
SEEDS_BEFORE = 3  # of the sick settings, before the healthy ones: so that a part of all is a fair part
CLASSES = 3


class Times(nn.Module):
    """Multiplies by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def perceptron(inputs: int, outputs: int, *, width: int, depth: int = 2, act: type[nn.Module] = nn.ReLU,
               hidden: float = 1.0, last: float = 1.0) -> nn.Sequential:  # fmt: skip
    """hidden, last: factors on what hidden layers and the last one give."""
    layers: list[nn.Module] = []
    for place in range(depth):
        layers += [nn.Linear(width if place else inputs, width), Times(hidden), act()]
    return nn.Sequential(*layers, nn.Linear(width, outputs), Times(last))


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A task and a network. noise: beside a signal of 1; wrong: share of labels drawn at random; scale: of the inputs;
    network: arguments of `perceptron`; curved: whether the target depends on products of inputs; fixed: fields that the
    user has set."""

    rows: int
    columns: int = 16
    noise: float = 0.5
    wrong: float = 0.0
    scale: float = 1.0
    curved: bool = False
    is_regression: bool = False
    epochs: int = 20
    network: Mapping[str, Any]
    fixed: Mapping[str, Any] = field(default_factory=dict)

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
    "overfitting: wide": Setting(
        rows=160, columns=24, noise=0.8, epochs=16, network={"width": 128}, fixed={"optimizer.lr": 5e-3}
    ),
    "overfitting: few rows": Setting(rows=120, noise=1.0, epochs=20, network={"width": 96}),
    "overfitting: deep": Setting(rows=160, columns=16, noise=0.7, epochs=16, network={"width": 64, "depth": 4}),
    "overfitting: numbers": Setting(rows=160, noise=0.8, epochs=16, is_regression=True, network={"width": 96}),
    "too slow: plain descent": Setting(
        rows=300, noise=0.3, epochs=6, network={"width": 32, "depth": 3}, fixed={"optimizer.name": "sgd"}
    ),
    "too slow: sigmoids": Setting(
        rows=300, noise=0.3, epochs=6, network={"width": 32, "act": nn.Sigmoid}, fixed={"optimizer.name": "sgd"}
    ),
    "too slow: large batches": Setting(
        rows=300, noise=0.3, epochs=6, network={"width": 32}, fixed={"optimizer.name": "sgd", "batch_size": 128}
    ),
    "rate: large outputs": Setting(rows=240, noise=0.5, epochs=20, network={"width": 64, "last": 100.0}),
    "rate: large layers": Setting(rows=240, noise=0.5, epochs=12, network={"width": 64, "depth": 3, "hidden": 12.0}),
    "set-up: inputs not scaled": Setting(rows=240, noise=0.5, epochs=12, scale=300.0, network={"width": 64}),
    "set-up: units that saturate": Setting(
        rows=240, noise=0.5, epochs=12, network={"width": 64, "hidden": 30.0, "act": nn.Tanh}
    ),
    "data: wrong labels": Setting(
        rows=240, noise=0.3, wrong=0.3, epochs=16, network={"width": 96}, fixed={"optimizer.lr": 5e-3}
    ),
}  # fmt: skip


def healthy(number: int) -> Setting:
    """One of many settings with nothing wrong: enough rows for a network of moderate size."""
    rng = np.random.default_rng([7, number])
    return Setting(
        rows=int(rng.choice([500, 700, 1000])), columns=int(rng.choice([6, 10, 16])),
        noise=float(rng.choice([0.1, 0.3, 0.6])), curved=bool(rng.integers(2)),
        is_regression=bool(rng.integers(4) == 0), epochs=int(rng.choice([6, 8, 10])),
        network={"width": int(rng.choice([8, 16, 32])), "depth": int(rng.choice([1, 2]))},
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=10, help="the first of the seeds")
    parser.add_argument("--healthy", type=int, default=40)
    parser.add_argument("--settings", default="", help="only sick settings whose name contains one of these, by commas")
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--out", type=Path, help="file that pairs are added to; those in it are not run again")
    parser.add_argument("--minutes", type=float, default=math.inf, help="after which no further pair is begun")
    parser.add_argument("--write", type=Path, help="the page of the documentation that gets the table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts = given.settings.split(",")
    seeds = range(given.first, given.first + given.seeds)
    sick = [(name, seed) for seed in seeds for name in SICK if any(part in name for part in parts)]
    before = SEEDS_BEFORE * len(sick) // max(given.seeds, 1)
    wanted = [*sick[:before], *((f"healthy {i}", i) for i in range(given.healthy)), *sick[before:]]
    known = {(each["setting"], each["seed"]): each for each in read(given.out) if each["trials"] == given.trials}
    begun = time.monotonic()
    for name, seed in wanted:
        if (name, seed) in known:
            continue
        if time.monotonic() - begun > 60 * given.minutes:
            break
        known[name, seed] = found = pair(name, seed, given.trials)
        if given.out is not None:
            with given.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(found) + "\n")
        print(json.dumps(found), file=sys.stderr, flush=True)
    every = [known[each] for each in wanted if each in known]
    if given.write is not None:
        given.write.write_text(page(every, trials=given.trials), encoding="utf-8")
    print(json.dumps({
        "benchmark": "remedies", "commit": sorted({each["commit"] for each in every}), "machine": machine(),
        "trials": given.trials, "pairs": len(every), "missing": len(wanted) - len(every), **summary(every),
        "seconds": round(sum(each["seconds"] for each in every)),
    }))  # fmt: skip


def read(path: Path | None) -> list[dict[str, Any]]:
    """The pairs in a file; none where there is no file yet."""
    if path is None or not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pair(name: str, seed: int, trials: int) -> dict[str, Any]:
    """The mean losses on fresh examples with and without the doctor, and what it did.

    Where it found nothing to treat, the study without it is the same one, and is not run.
    """
    setting, begun = SICK[name] if name in SICK else healthy(seed), time.monotonic()
    x, y, fresh, truth = setting.draw(seed)
    with tempfile.TemporaryDirectory(prefix="tame-bench-") as folder:

        def lost(under: str, trials: int, *, doctor: bool) -> tuple[np.ndarray, Any]:
            return judged(setting, seed, (x, y), fresh, truth, Path(folder) / under, trials=trials, doctor=doctor)

        treated, study = lost("with", trials, doctor=True)
        cases = study.result.get("cases", ())
        more = math.ceil(sum(case["epochs"] for case in cases) / setting.epochs)
        plain = lost("without", trials + more, doctor=False)[0] if cases else treated
    apart = treated - plain
    remedies = [remedy for case in cases for remedy in case["remedies"]]
    return {
        "setting": name, "seed": seed, "trials": trials, "commit": git("rev-parse", "HEAD"),
        "with": float(treated.mean()), "without": float(plain.mean()), "apart": float(apart.mean()),
        "error": float(apart.std(ddof=1) / math.sqrt(len(apart))),
        "cases": [case["code"] for case in cases],
        "tried": [f"{each['field']} {each['before']} -> {each['after']}: {each['verdict']}" for each in remedies],
        "more": more, "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


def judged(
    setting: Setting, seed: int, data: tuple[np.ndarray, np.ndarray], fresh: np.ndarray, truth: np.ndarray,
    folder: Path, *, trials: int, doctor: bool,
) -> tuple[np.ndarray, Any]:  # fmt: skip
    """The loss of each fresh example, and the study."""
    study = tame.fit(
        data, model=setting.build(), trials=trials, epochs=setting.epochs, seed=seed, out=str(folder), doctor=doctor,
        set=dict(setting.fixed), quiet=True,
    )  # fmt: skip
    outputs = study.outputs(fresh)
    if setting.is_regression:
        return (outputs - truth) ** 2 / float(np.var(truth)), study
    return -np.log(np.clip(outputs[np.arange(len(truth)), truth], 1e-15, 1)), study


def summary(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Each sick setting over its seeds, and all healthy ones together.

    A difference is real if the t-test over the seeds says so, each of which draws data, fresh examples and networks
    again; of the sick settings, as raised by Holm for looking at all of them.
    """
    sick = {name: [each for each in pairs if each["setting"] == name] for name in SICK}
    rows = {name: row(own) for name, own in sick.items() if own}
    for name, chance in zip(rows, holm([each["chance"] for each in rows.values()]), strict=True):
        rows[name]["verdict"] = "no real difference" if chance >= 0.05 else _side(rows[name]["apart"])
    well = [each for each in pairs if each["setting"] not in SICK]
    lower = sum(each["with"] < each["without"] for each in rows.values())
    verdicts = [each["verdict"] for each in rows.values()]
    return {
        "sick": rows, "lower": f"{lower} of {len(rows)}", "better": verdicts.count("better"),
        "worse": verdicts.count("worse"), "healthy": row(well) if well else None,
    }  # fmt: skip


HEAD = """# Does the doctor help?

Written by `benchmarks/remedies.py`. Each setting is fitted twice, with the doctor and without it, for as many epochs:
without it a study gets as many more trials as the remedies of its twin took epochs. {trials} trials, folds as usual.
The loss is that of 2,000 fresh examples of the same task which no study has seen: log loss, or squared error over the
variance of the target. Less is better. Of the difference the 95 % interval is shown, over seeds that each draw data,
fresh examples and networks again; a verdict is raised by Holm for all sick settings. Treated: the studies in which the
doctor found something to treat; the others are the same with it and without it."""


def page(pairs: Sequence[Mapping[str, Any]], *, trials: int) -> str:
    """The page of the documentation: all pairs of sick and healthy settings."""
    found = summary(pairs)
    lines = [
        HEAD.format(trials=trials), "",
        "| setting | with | without | difference | seeds | lower, higher | treated | verdict |", "|---" * 8 + "|",
        *(_line(name, each, each["verdict"]) for name, each in found["sick"].items()),
    ]  # fmt: skip
    if found["healthy"] is not None:
        well = found["healthy"]
        lines.append(_line(f"{well['of']} healthy settings", well, f"worst {well['worst']:+.3f}"))
    sick = [each for each in pairs if each["setting"] in SICK]
    better, worse = (sum((side * each["apart"]) > 0 for each in sick) for side in (-1, 1))
    lines += ["", f"Of {len(sick)} pairs of sick settings the loss is lower with the doctor in {better}, the same in "
              f"{len(sick) - better - worse} and higher in {worse}.", ""]  # fmt: skip
    return "\n".join(lines)


def _line(name: str, own: Mapping[str, Any], verdict: str) -> str:
    apart = f"{own['apart']:+.3f} ({own['apart'] - own['half']:+.3f} to {own['apart'] + own['half']:+.3f})"
    counts = f"{own['of']} | {own['lower']}, {own['higher']} | {own['treated']}"
    return f"| {name} | {own['with']:.3f} | {own['without']:.3f} | {apart} | {counts} | {verdict} |"


def _side(apart: float) -> str:
    return "better" if apart < 0 else "worse"


def row(pairs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Mean losses, their difference with its 95 % interval over the pairs, and what was tried. chance: p-value."""
    apart = np.array([each["apart"] for each in pairs])
    mean, half, chance = float(apart.mean()), math.inf, 1.0
    if len(apart) > 1:
        error = float(apart.std(ddof=1) / math.sqrt(len(apart)))
        half = float(student.ppf(0.975, len(apart) - 1)) * error
        chance = float(2 * student.sf(abs(mean) / error, len(apart) - 1)) if error else 1.0
    return {
        "with": round(float(np.mean([each["with"] for each in pairs])), 4),
        "without": round(float(np.mean([each["without"] for each in pairs])), 4),
        "apart": round(mean, 4), "half": round(half, 4), "chance": float(f"{chance:.2g}"), "of": len(pairs),
        "lower": int((apart < 0).sum()), "higher": int((apart > 0).sum()), "worst": round(float(apart.max()), 4),
        "treated": sum(bool(each["cases"]) for each in pairs),
        "tried": dict(Counter(tried for each in pairs for tried in each["tried"]).most_common(8)),
    }  # fmt: skip


if __name__ == "__main__":
    main()
