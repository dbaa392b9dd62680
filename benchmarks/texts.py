"""Language models: how well do texts of one kind teach a small model their language, and what does it forget?

Runs the command line as a user would on the contracts, for several seeds: the model before it was adapted is scored in
the same run, on the same sealed passages, and the fixed other text is read before and after. Each run is told as a JSON
line on stderr when it ends. The line at the end holds all runs and the mean perplexities.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"
TAME = Path(sys.executable).with_name("tame")
NUMBERS = ("before", "after", "other_before", "other_after", "wall_s", "tokens_per_s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED / "data" / "texts" / "contracts"))
    parser.add_argument("--backbone", default=str(SHARED / "weights" / "stories260K"))
    parser.add_argument("--time", default="60s")
    parser.add_argument("--seeds", type=int, default=3, help="so many, from 0 on")
    given = parser.parse_args()
    runs = []
    with tempfile.TemporaryDirectory(prefix="tame-bench-") as work:
        for seed in range(given.seeds):
            runs.append(fit(given, seed, Path(work) / str(seed)))
            print(json.dumps(runs[-1]), file=sys.stderr)
    means = {name: round(statistics.fmean(float(run[name]) for run in runs), 2) for name in NUMBERS}
    about = {
        "benchmark": "texts", "model": Path(given.backbone).name, "time": given.time, "cores": os.cpu_count(),
        "machine": platform.machine(), "torch": torch.__version__,
    }  # fmt: skip
    print(json.dumps({**about, **means, "runs": runs}))


def fit(given: argparse.Namespace, seed: int, out: Path) -> dict[str, float]:
    """One run of the command line, timed externally."""
    command = [str(TAME), "fit", given.data, "--task", "language-model", "--backbone", given.backbone]
    command += ["--time", given.time, "--seed", str(seed), "--out", str(out), "--json", "--quiet"]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall_s = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    other = result["other"]["perplexity"]
    return {
        "seed": seed, "wall_s": round(wall_s, 1), "bits": result["score"]["value"], "low": result["score"]["low"],
        "high": result["score"]["high"], "before": result["perplexity"]["before"],
        "after": result["perplexity"]["after"], "other_before": other["before"], "other_after": other["after"],
        "tokens_per_s": result["rate"] or 0.0, "recipes": result["trials"], "epochs": result["epochs"],
        "copied": max((each["copied"] for each in result["written"]), default=0),
    }  # fmt: skip


if __name__ == "__main__":
    main()
