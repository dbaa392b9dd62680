"""How often does a finding that is treated name the right cause? Writes src/tame/monitor/precision.toml, one JSON line.

Counted where the cause is known: in the recorded runs of `doctor.py` (DeepOBS; rates by the outcome) and in the
trainings of `planted.py`. What is still improving there is trained on for half as many epochs again: right if the
validation loss falls by another hundredth. Overfitting, overconfidence and memorised examples are one illness, which a
network that is trained on random labels has too. A finding that fires on fewer than five of these is counted on the
made-up runs of the laws of rules, with clean ones.
Usage: python benchmarks/findings_precision.py [--seeds 3] [--curves FILE.json.gz] [--write FILE]
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from doctor import HIGH, LOW, RUNS, examined
from features import SHARED, git, machine
from planted import PLANTS, Plant, trained

from tame.core.rng import stream
from tame.monitor.prescriptions import FOR
from tame.monitor.rules import examine
from tame.testing.rule_laws import FACTS, PLANTED, TINY, clean

ENOUGH = 5  # curves on which a finding fired, with a known cause
ON = 0.5  # of the epochs, that what is still improving is trained on for
GAIN = 0.01  # of the validation loss
ILL = ("overfitting", "overconfident", "memorised")
HEADER = """# How often each finding about a curve names the right cause. A finding is treated only from 0.8 on.
# Written by benchmarks/findings_precision.py.
#
# right, fired: how many of the curves in which a rule fired had what it names; how: on what that was counted.
"""


@dataclass
class Tally:
    """How often each finding fired, and was right."""

    fired: Counter[str]
    right: Counter[str]

    def add(self, codes: Iterable[str], is_right: Callable[[str], bool]) -> None:
        for code in set(codes) & set(FOR):
            self.fired[code] += 1
            self.right[code] += is_right(code)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--curves", type=Path, default=SHARED / "curves" / "deepobs.json.gz", help="recorded runs")
    parser.add_argument("--write", type=Path, help="the file that is written")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.curves.is_file():
        raise SystemExit(f"there is no file of recorded runs {given.curves}")
    real, drawn = Tally(Counter(), Counter()), of_made_up()
    with gzip.open(given.curves) as file:
        for run in examined(json.load(file)):
            rates = {**dict.fromkeys(HIGH, "high"), **dict.fromkeys(LOW, "low")}
            real.add(run.codes & set(rates), lambda code, run=run, rates=rates: run.truth == rates[code])
    for plant in PLANTS.values():
        for seed in range(given.seeds):
            of_plant(real, plant, seed)
    rows = {}
    for code in FOR:
        tally, how = real, "recorded runs, by their outcome, and faults planted in small trainings"
        if real.fired[code] < ENOUGH:
            tally, how = drawn, f"made-up curves, {RUNS} of each fault and of none"
        rows[code] = {"right": tally.right[code], "fired": tally.fired[code], "how": how}
    if given.write is not None:
        given.write.write_text(HEADER + "".join(map(section, rows, rows.values())), encoding="utf-8")
    print(json.dumps({
        "benchmark": "findings_precision", "commit": git("rev-parse", "HEAD"), "seeds": given.seeds, "codes": rows,
        "machine": machine(),
    }))  # fmt: skip


def section(code: str, row: dict[str, object]) -> str:
    return f"\n[{code}]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in row.items())


def of_plant(tally: Tally, plant: Plant, seed: int) -> None:
    codes = {finding.code for finding in examine(*trained(plant, seed))}

    def is_right(code: str) -> bool:
        if code == "still_improving":
            return _goes_on(plant, seed)
        return any(_is_same(code, cause) for cause in plant.causes) or (code in ILL and plant.labels == "random")

    tally.add(codes, is_right)


def _goes_on(plant: Plant, seed: int) -> bool:
    """Whether the validation loss falls further if it is trained on. The same seed makes the same epochs first."""
    longer, _ = trained(replace(plant, epochs=round((1 + ON) * plant.epochs)), seed)
    losses = [point.valid_loss for point in longer.curve.points if point.valid_loss is not None]
    end = losses[plant.epochs - 1]
    return min(losses[plant.epochs :], default=end) < (1 - GAIN) * end


def _is_same(code: str, cause: str) -> bool:
    return code == cause or (code in ILL and cause in ILL)


def of_made_up() -> Tally:
    tally = Tally(Counter(), Counter())
    for name, make in (*PLANTED.items(), ("clean", clean)):
        facts = TINY if name == "noisy_validation" else FACTS
        for run in range(RUNS):
            found = examine(replace(make(stream(run, "doctor", name)), number=run), facts)
            tally.add((each.code for each in found), lambda code, name=name: _is_same(code, name))
    return tally


if __name__ == "__main__":
    main()
