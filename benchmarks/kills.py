"""Is anything lost? Kills a study with SIGKILL at random times, resumes it, and compares it with an uninterrupted one.

Kills the coordinator and the worker in turn. Prints one JSON line with the times and whether the result was the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"
TAME = str(Path(sys.executable).with_name("tame"))
COMPARED = ("score", "validation", "winner", "baselines", "confusion", "finalists", "epochs", "trials", "per_class")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
    given = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="tame-kills-"))
    os.environ["TAME_CACHE"] = str(work / "cache")
    whole = json.loads(finish(begin(work / "whole")))
    chance, moments, runs, same = random.Random(given.seed), [], 0, []
    while len(moments) < given.kills:
        folder = work / f"killed-{runs}"
        runs += 1
        process = begin(folder)
        while len(moments) < given.kills:
            while not (folder / "study.db").exists() and process.poll() is None:
                time.sleep(0.02)
            after = chance.uniform(0.1, 9.0)
            time.sleep(after)
            if process.poll() is not None:
                break
            whom = "worker" if len(moments) % 2 else "coordinator"
            victim = worker_of(process.pid) if whom == "worker" else process.pid
            if victim is None:
                continue
            os.kill(victim, signal.SIGKILL)
            moments.append([whom, round(after, 2)])
            if whom == "coordinator":
                process.communicate()
                process = start("resume", str(folder))
        result = json.loads(finish(process))
        same.append(all(result[key] == whole[key] for key in COMPARED))
    print(json.dumps({"benchmark": "kills", "kills": moments, "studies": runs, "same_result": same}))


def begin(folder: Path) -> subprocess.Popen[str]:
    data, weights = SHARED / "data" / "ants_bees", SHARED / "weights" / "mobilenetv2_100"
    bounds = ("--test", "val", "--seed", "3", "--trials", "24", "--epochs", "12", "--out", str(folder))
    return start("fit", str(data), "--backbone", str(weights), *bounds)


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [TAME, *arguments, "--json", "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"ended with {process.returncode}: {errors}")
    return output


def worker_of(pid: int) -> int | None:
    """The training process of a coordinator (Linux)."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(found[0]) if found else None


if __name__ == "__main__":
    main()
