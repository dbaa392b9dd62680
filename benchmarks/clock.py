"""Does the clock hold on a machine that other programs load? Studies with `--time` beside processes that only count.

Runs each study once, beside so many busy processes, with an empty cache, and prints one JSON line: for each the seconds
by the shell's clock, the exit code, and the score. A clock holds where the study ends within 15 % of it with a model
(exit 0), or says no later than that what would be enough (exit 5).
Usage: python benchmarks/clock.py [--busy 6] [--times 30s,60s] [--data photos,adult,phoneme]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from features import git, machine

from tame.core.options import parse_time

SHARED = Path(__file__).resolve().parents[2] / "shared"
TAME = str(Path(sys.executable).with_name("tame"))
TABLES = SHARED / "data" / "tables"
DATA = {
    "photos": [
        str(SHARED / "data" / "ants_bees"), "--test", "val",
        "--backbone", str(SHARED / "weights" / "mobilenetv2_100"),
    ],
    "adult": [str(TABLES / "adult_train.csv"), "--target", "income"],
    "phoneme": [str(TABLES / "phoneme.csv"), "--target", "label"],
}  # fmt: skip
WITHIN = 1.15  # times the clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=6, help="processes that load the machine")
    parser.add_argument("--times", default="30s,60s")
    parser.add_argument("--data", default=",".join(DATA))
    given = parser.parse_args()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
    try:
        found = [study(name, clock) for name in given.data.split(",") for clock in given.times.split(",")]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    about = {"benchmark": "clock", "commit": git("rev-parse", "HEAD"), "machine": machine(), "busy": given.busy}
    load = [round(each, 1) for each in os.getloadavg()]
    print(json.dumps({**about, "load_after": load, "studies": found, "all_held": all(each["held"] for each in found)}))


def study(name: str, clock: str) -> dict[str, object]:
    """What one study took, and whether it held its clock."""
    with tempfile.TemporaryDirectory(prefix="tame-clock-") as folder:
        environment = {**os.environ, "TAME_CACHE": f"{folder}/cache"}
        command = [TAME, "fit", *DATA[name], "--time", clock, "--seed", "0", "--json", "--out", f"{folder}/study"]
        begun = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        took_s = time.monotonic() - begun
    result = json.loads(done.stdout) if done.stdout.strip() else {}
    told = re.search(r"about (\S+) would be enough", done.stderr)
    in_time = took_s <= WITHIN * parse_time(clock)
    return {
        "data": name, "clock": clock, "took_s": round(took_s, 1), "code": done.returncode,
        "score": result.get("score", {}).get("value"), "enough": told[1] if told else None,
        "held": in_time and (done.returncode == 0 or (done.returncode == 5 and told is not None)),
    }  # fmt: skip


if __name__ == "__main__":
    main()
