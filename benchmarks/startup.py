"""How long does `tame --help` take, and does it load torch? Compared with starting Python, in one run."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

TAME = Path(sys.executable).with_name("tame")
ROUNDS = 7


def main() -> None:
    kinds = {"help": [str(TAME), "--help"], "python": [sys.executable, "-c", "pass"]}
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for _ in range(ROUNDS):
        for name, command in kinds.items():
            begun = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - begun)
    heavy = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, tame.app.cli; print([m for m in ('torch', 'timm', 'sklearn') if m in sys.modules])",
        ],
        check=True,
        capture_output=True,
        text=True,
    )
    found = {name: round(statistics.median(own), 3) for name, own in times.items()}
    print(
        json.dumps({"benchmark": "startup", "median_s": found, "heavy_modules": heavy.stdout.strip(), "rounds": ROUNDS})
    )


if __name__ == "__main__":
    main()
