"""From photographs to the report: does `tame fit` keep its promises on real photographs within its time?

Runs the command line as a user would, for several seeds, first with an empty cache and then with cached features, and
prints one JSON line: test accuracy and wall time of each run, recipes tried, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
TAME = Path(sys.executable).with_name("tame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED / "data" / "ants_bees"))
    parser.add_argument("--backbone", default=str(SHARED / "weights" / "mobilenetv2_100"))
    parser.add_argument("--test", default="val", help="folder that is sealed; empty: as in the data")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--again", default="20s", help="time of the runs with cached features; empty: no such runs")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tame-bench-"))
    runs = []
    for seed in range(given.seeds):
        cache = work / f"cache-{seed}"
        for name, limit in (("first", given.time), ("cached", given.again)):
            if limit:
                runs.append({"run": name, **fit(given, seed, limit, cache, work / f"{name}-{seed}")})
                print(json.dumps(runs[-1]), file=sys.stderr)
    shutil.rmtree(work)
    print(
        json.dumps({"benchmark": "main_job", **about(), "data": Path(given.data).name, "runs": runs, **summary(runs)})
    )


def fit(given: argparse.Namespace, seed: int, limit: str, cache: Path, out: Path) -> dict[str, object]:
    """One run of the command line, timed externally."""
    command = [str(TAME), "fit", given.data, "--backbone", given.backbone, "--seed", str(seed), "--time", limit]
    command += ["--out", str(out), "--json", "--quiet", *(["--test", given.test] if given.test else [])]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TAME_CACHE": str(cache)})
    wall_s = time.perf_counter() - begun
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {done.returncode}: {done.stderr}")
    result = json.loads(done.stdout)
    return {
        "seed": seed,
        "limit": limit,
        "wall_s": round(wall_s, 1),
        "score": result["score"]["value"],
        "low": result["score"]["low"],
        "high": result["score"]["high"],
        "validation": result["validation"]["value"],
        "trials": result["trials"],
        "size": result["winner"]["recipe"]["input.size"],
        "default": result["baselines"]["default"]["value"],
        "fine_tuning": result["fine_tuning"],
        "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }


def summary(runs: list[dict[str, object]]) -> dict[str, object]:
    """Mean score and slowest run of each kind."""
    found: dict[str, object] = {}
    for kind in dict.fromkeys(run["run"] for run in runs):
        own = [run for run in runs if run["run"] == kind]
        scores = [float(str(run["score"])) for run in own]
        found[f"{kind}_mean_score"] = round(statistics.mean(scores), 4)
        found[f"{kind}_slowest_s"] = max(float(str(run["wall_s"])) for run in own)
        found[f"{kind}_fewest_trials"] = min(int(str(run["trials"])) for run in own)
    return found


def about() -> dict[str, object]:
    """The commit and the machine."""
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return {"commit": commit.stdout.strip(), "cores": os.cpu_count(), "machine": platform.machine()}


if __name__ == "__main__":
    main()
