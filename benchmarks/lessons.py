"""How soon can something be tried in a lesson, and what do descents cost? Each lesson in Chromium, on 2 cores.

Makes a study of a drawn table and one of drawn pictures, serves them with `tame ui`, opens the list of lessons, waits
as long as somebody needs to read it, and then opens one lesson after the other. Prints one JSON line: for each kind of
study and each lesson the seconds from the click until a button, a slider or a field can be used; the same of a lesson
that is opened first, with no process behind it; and the processor seconds of 8 descents of 60 steps on 243 examples of
1,280 numbers, with the slice of their loss.
Usage: python benchmarks/lessons.py [--read-s 5] [--browser /usr/bin/chromium] [--kinds table,pictures]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from features import git, machine
from playwright.sync_api import Browser, Page, sync_playwright

from tame.app.drawing.picture_set import draw
from tame.app.drawing.table import LEAK, TARGET, TableFaults, draw_table
from tame.learn.descent import Run, descend, problem_of
from tame.learn.ground import Ground
from tame.learn.lesson import lessons
from tame.learn.plane import plane_of, slice_of

TAME = (sys.executable, "-P", "-m", "tame.app.cli")
TRIED = ", ".join(f"#app {each}:enabled" for each in ("button", "input", "select"))
WAIT_MS = 120_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read-s", type=float, default=5.0)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--kinds", default="table,pictures")
    given = parser.parse_args()
    found: dict[str, object] = {"descents_cpu_s": descents()}
    with tempfile.TemporaryDirectory(prefix="tame-lessons-") as kept, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=given.browser, args=["--no-sandbox"])
        for kind in given.kinds.split(","):
            found[kind] = opened(study_of(kind, Path(kept) / kind), browser, read_s=given.read_s)
        browser.close()
    print(json.dumps({"benchmark": "lessons", "commit": git("rev-parse", "HEAD"), "machine": machine(), **found}))


def study_of(kind: str, folder: Path) -> Path:
    """A folder with a finished study of drawn examples of this kind."""
    folder.mkdir()
    own = ["--time", "60s"]
    if kind == "table":
        draw_table(folder / "insects.csv", seed=0, rows=1200, faults=TableFaults())
        own += ["insects.csv", "--target", TARGET, "--column", f"{LEAK}=ignore"]
    else:
        draw(folder / "photos", seed=1, counts=60)
        own += ["photos"]
    subprocess.run([*TAME, "fit", *own, "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return folder


def opened(folder: Path, browser: Browser, *, read_s: float) -> dict[str, object]:
    """Seconds until something can be tried in each lesson."""
    command = [*TAME, "ui", "runs", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
        assert server.stdout is not None
        address = next(word for line in server.stdout for word in line.split() if word.startswith("http"))
        page = browser.new_page()
        page.goto(address)
        base = address.split("/enter")[0]
        try:
            cold = timed(page, f"{base}/learn/descent")
            page.goto(f"{base}/learn")
            time.sleep(read_s)
            warm = {each.name: timed(page, f"{base}/learn/{each.name}") for each in lessons()}
        finally:
            server.terminate()
    return {"without_a_process_s": cold, "lessons_s": warm, "worst_s": max(warm.values())}


def timed(page: Page, address: str) -> float:
    """Seconds from opening an address until something there can be tried."""
    begun = time.perf_counter()
    page.goto(address)
    page.wait_for_selector(TRIED, timeout=WAIT_MS)
    return round(time.perf_counter() - begun, 2)


def descents() -> float:
    """Processor seconds of 8 descents of 60 steps on examples like the features of photographs, and of their slice."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(rng.normal(size=(243, 1280))), torch.from_numpy(rng.integers(2, size=243))
    ground = Ground(
        name="made", nouns="pictures", classes=("a", "b"), x=x, y=y, x_valid=x[:9], y_valid=y[:9], of=(243, 9)
    )
    problem = problem_of(ground, "cross_entropy")
    runs = [Run(optimizer=name, lr=0.01 * 2**i) for i, name in enumerate(["sgd", "momentum", "rmsprop", "adam"] * 2)]
    begun = time.process_time()
    paths = descend(problem, runs, steps=60)
    slice_of(problem, plane_of(paths), paths)
    return round(time.process_time() - begun, 2)


if __name__ == "__main__":
    main()
