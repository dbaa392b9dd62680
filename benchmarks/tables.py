"""From tables to the report: does `tame fit` keep its promises on real tables within its time?

Runs the command line as a user would, for several seeds (each with its own split if no test part is given), and prints
one JSON line: the test metrics and the wall time of each run, their means, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from main_job import SHARED, TAME, about

TABLES = SHARED / "data" / "tables"
JOBS = {  # the file, the target, the sealed file, the time, and the goal
    "adult": ("adult_train.csv", "income", "adult_test.csv", "2m", {"accuracy": 0.866, "log_loss": 0.287}),
    "abalone": ("abalone.csv", "rings", None, "1m", {"rmse": 2.12}),
    "phoneme": ("phoneme.csv", "label", None, "1m", {"accuracy": 0.895}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", default=",".join(JOBS), help="which of them, separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tame-bench-"))
    found = {}
    for name in given.tables.split(","):
        runs = [fit(name, seed, work) for seed in range(given.seeds)]
        aims = JOBS[name][-1]
        means = {metric: round(statistics.mean(run["metrics"][metric] for run in runs), 4) for metric in aims}
        found[name] = {"means": means, "aims": aims, "slowest_s": max(run["wall_s"] for run in runs), "runs": runs}
    shutil.rmtree(work)
    print(json.dumps({"benchmark": "tables", **about(), "tables": found}))


def fit(name: str, seed: int, work: Path) -> dict[str, object]:
    """One run of the command line, timed externally."""
    table, target, sealed, limit, _ = JOBS[name]
    out = work / f"{name}-{seed}"
    command = [str(TAME), "fit", str(TABLES / table), "--target", target, "--seed", str(seed), "--time", limit]
    command += ["--out", str(out), "--json", "--quiet", *(["--test", str(TABLES / sealed)] if sealed else [])]
    begun = time.perf_counter()
    environment = {**os.environ, "TAME_CACHE": str(work / "cache")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    wall_s = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    run = {
        "seed": seed, "wall_s": round(wall_s, 1), "metrics": {n: round(v, 4) for n, v in result["metrics"].items()},
        "score": result["score"], "validation": result["validation"]["value"], "trials": result["trials"],
        "epochs": result["epochs"], "from_trial": result["winner"]["from_trial"],
        "default": result["baselines"]["default"]["value"],
        "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }  # fmt: skip
    print(json.dumps({"table": name, **run}), file=sys.stderr)
    return run


if __name__ == "__main__":
    main()
