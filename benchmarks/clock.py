"""Does the clock hold on a machine that other programs load? Studies with `--time` beside processes that only count.

Runs each study once, beside so many busy processes, with an empty cache (photos_cached: with the features of an earlier
study), and prints one JSON line: for each the seconds by the shell's clock, the exit code, the score of what was
delivered, and the load when it began. A clock holds where the study ends within 15 % of it with a model that was
trained and scored, to its end (exit 0) or as far as there was time (exit 5), or says no later than that what would be
enough (exit 5, no score).
Usage: python benchmarks/clock.py [--busy 6] [--times 30s,60s] [--data photos,photos_cached,adult,phoneme,abalone]
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
from collections.abc import Sequence
from pathlib import Path

from features import git, machine

from tame.core.options import parse_time

SHARED = Path(__file__).resolve().parents[2] / "shared"
TAME = str(Path(sys.executable).with_name("tame"))
TABLES = SHARED / "data" / "tables"
PHOTOS = [
    str(SHARED / "data" / "ants_bees"), "--test", "val", "--backbone", str(SHARED / "weights" / "mobilenetv2_100"),
]  # fmt: skip
CACHED = "photos_cached"
DATA = {
    "photos": PHOTOS,
    CACHED: PHOTOS,
    "adult": [str(TABLES / "adult_train.csv"), "--target", "income"],
    "phoneme": [str(TABLES / "phoneme.csv"), "--target", "label"],
    "abalone": [str(TABLES / "abalone.csv"), "--target", "rings"],
}
WITHIN = 1.15  # times the clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--busy", type=int, default=6, help="processes that load the machine")
    parser.add_argument("--times", default="30s,60s")
    parser.add_argument("--data", default=",".join(DATA))
    given = parser.parse_args()
    names, clocks = given.data.split(","), given.times.split(",")
    with tempfile.TemporaryDirectory(prefix="tame-clock-") as kept:
        if CACHED in names:  # before anything loads the machine
            fit(CACHED, "60s", Path(kept), Path(kept))
        busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(given.busy)]
        found = loaded(busy, [(name, clock) for name in names for clock in clocks], Path(kept))
    about = {"benchmark": "clock", "commit": git("rev-parse", "HEAD"), "machine": machine(), "busy": given.busy}
    print(json.dumps({**about, "studies": found, "all_held": all(each["held"] for each in found)}))


def loaded(
    busy: Sequence[subprocess.Popen[bytes]], wanted: Sequence[tuple[str, str]], kept: Path
) -> list[dict[str, object]]:
    """What each study took beside the busy processes, which are ended then."""
    try:
        return [study(name, clock, kept) for name, clock in wanted]
    finally:
        for process in busy:
            process.kill()
            process.wait()


def fit(name: str, clock: str, folder: Path, kept: Path) -> subprocess.CompletedProcess[str]:
    """One study in a folder; with the cache that is kept, or with an empty one."""
    cache = (kept if name == CACHED else folder) / "cache"
    command = [TAME, "fit", *DATA[name], "--time", clock, "--seed", "0", "--json", "--out", f"{folder}/study"]
    environment = {**os.environ, "TAME_CACHE": str(cache)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def study(name: str, clock: str, kept: Path) -> dict[str, object]:
    """What one study took, and whether it held its clock."""
    load = round(os.getloadavg()[0], 1)
    with tempfile.TemporaryDirectory(prefix="tame-clock-") as folder:
        begun = time.monotonic()
        done = fit(name, clock, Path(folder), kept)
        took_s = time.monotonic() - begun
    result = json.loads(done.stdout) if done.stdout.strip() else {}
    score = result.get("score", {}).get("value")
    told = re.search(r"about (\S+) would be enough", done.stderr)
    in_time = took_s <= WITHIN * parse_time(clock)
    return {
        "data": name, "clock": clock, "load": load, "took_s": round(took_s, 1), "code": done.returncode,
        "score": score, "whole": result.get("whole"), "trials": result.get("trials"),
        "enough": told[1] if told else None,
        "held": in_time and done.returncode in (0, 5) and (score is not None or told is not None),
    }  # fmt: skip


if __name__ == "__main__":
    main()
