"""From photographs to the report: does `tame fit` keep its promises on real photographs within its time?

Runs the command line as a user would, for several seeds and with each backbone in turn, first with an empty cache and
then with cached features. Each run is told as a JSON line on stderr when it ends. The JSON line at the end holds all
runs (test accuracy, wall time, recipes tried, peak memory), and for each backbone the mean score, the slowest run and
the fewest recipes. A run that fails is told with its exit code and its message, the others go on, and the exit code of
the whole is 1. OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=avx2 ONEDNN_MAX_CPU_ISA=AVX2 make of any processor
one with AVX2 alone.
"""

from __future__ import annotations

import argparse
import itertools
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
ISA = ("OPENBLAS_CORETYPE", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA")  # what limits the processor's instructions
TAME = Path(sys.executable).with_name("tame")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default=str(SHARED / "data" / "ants_bees"))
    weights = str(SHARED / "weights" / "mobilenetv2_100")
    parser.add_argument(
        "--backbones", nargs="+", type=listed, default=[["auto", weights]], help="what --backbone is, in turn (A,B)"
    )
    parser.add_argument("--test", default="val", help="folder that is sealed; empty: as in the data")
    parser.add_argument("--time", default="60s")
    parser.add_argument("--again", default="20s", help="time of the runs with cached features; empty: no such runs")
    parser.add_argument("--seeds", type=int, default=5, help="so many, from 0 on")
    given = parser.parse_args()
    backbones = list(dict.fromkeys(itertools.chain.from_iterable(given.backbones)))
    if missing := [each for each in backbones if "/" in each and not Path(each).is_dir()]:
        parser.error(f"no folder {', '.join(missing)}")  # now, not after the runs with the other backbones
    work = Path(tempfile.mkdtemp(prefix="tame-bench-"))
    runs = []
    for seed, backbone in itertools.product(range(given.seeds), backbones):
        own = f"{Path(backbone).name}-{seed}"
        for name, limit in (("first", given.time), ("cached", given.again)):
            if limit:
                out, cache = work / f"{name}-{own}", work / f"cache-{own}"
                found = fit(given, seed, limit, cache, out, backbone=backbone)
                runs.append({"run": f"{name} {Path(backbone).name}", **found})
                print(json.dumps(runs[-1]), file=sys.stderr)
    shutil.rmtree(work)
    print(
        json.dumps({"benchmark": "main_job", **about(), "data": Path(given.data).name, "runs": runs, **summary(runs)})
    )
    if any("exit" in run for run in runs):
        raise SystemExit(1)


def listed(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name for name in text.split(",") if name]


def fit(
    given: argparse.Namespace, seed: int, limit: str, cache: Path, out: Path, *, backbone: str
) -> dict[str, object]:
    """One run of the command line, timed externally."""
    command = [str(TAME), "fit", given.data, "--backbone", backbone, "--seed", str(seed), "--time", limit]
    command += ["--out", str(out), "--json", "--quiet", *(["--test", given.test] if given.test else [])]
    begun = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TAME_CACHE": str(cache)})
    wall_s = time.perf_counter() - begun
    if done.returncode:
        told = {"command": " ".join(command), "exit": done.returncode, "stderr": done.stderr[-2000:]}
        return {"seed": seed, "limit": limit, "wall_s": round(wall_s, 1), **told}
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
        "sizes": result["sizes"],
        "speed": result["speed"],
        "default": result["baselines"]["default"]["value"],
        "fine_tuning": result["fine_tuning"],
        "peak_gib": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20, 2),
    }


def summary(runs: list[dict[str, object]]) -> dict[str, object]:
    """Mean score and slowest run of each kind, of the runs that ended well."""
    found: dict[str, object] = {}
    well = [run for run in runs if "exit" not in run]
    for kind in dict.fromkeys(str(run["run"]) for run in well):
        own = [run for run in well if run["run"] == kind]
        scores = [float(str(run["score"])) for run in own]
        kind = kind.replace(" ", "_")
        found[f"{kind}_mean_score"] = round(statistics.mean(scores), 4)
        found[f"{kind}_slowest_s"] = max(float(str(run["wall_s"])) for run in own)
        found[f"{kind}_fewest_trials"] = min(int(str(run["trials"])) for run in own)
    return found


def about() -> dict[str, object]:
    """The commit and the machine."""
    root = Path(__file__).resolve().parents[1]
    commit = subprocess.run(["git", "-C", str(root), "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    limited = {name: os.environ[name] for name in ISA if name in os.environ}
    return {"commit": commit.stdout.strip(), "cores": os.cpu_count(), "machine": platform.machine(), "limited": limited}


if __name__ == "__main__":
    main()
