"""What do the pages cost, and how soon is on them what happens? A study of 10,000 trials of 50 epochs in Chromium.

Makes such a study, serves it with `tame ui`, and watches it in a headless browser. Prints one JSON line: the processor
seconds of reading it once, memory of the server, bytes until nobody touches the page, milliseconds to its first paint,
processor time of its main thread, its heap, milliseconds from an event to its words on the page, and microseconds that
a point costs the study that is watched.

A second line is of 5,000 pictures that are dropped on Teach: how many of them are kept, seconds until all are, the
most memory that the process of the page had, how slow 95 of 100 frames were at most, and memory of the server.
Usage: python benchmarks/pages.py [--trials 10000] [--epochs 50] [--pictures 5000] [--browser /usr/bin/chromium]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from features import git, machine
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Finding, Point, curve_event, decision_event
from tame.study.following import Follower
from tame.study.live import Live, Spent
from tame.study.session import Study, begin
from tame.study.state import Silent

PIECE = 4_000  # events of one transaction
TOLD = 20  # events whose way to the page is timed
LOOK_S = 0.5  # between two looks at the memory of the page
FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const next = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""


class Memory(NamedTuple):
    """Of a process, in MB. own: what it shares with others counted by its share; resident: all of it."""

    own: float
    resident: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--pictures", type=int, default=5_000)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    given = parser.parse_args()
    about = {"benchmark": "pages", "commit": git("rev-parse", "HEAD"), "machine": machine()}
    with tempfile.TemporaryDirectory(prefix="tame-pages-") as kept:
        runs = Path(kept) / "runs"
        with begin(StudyConfig(data="x", out=str(runs / "many"), trials=given.trials), Silent()) as study:
            fill(study, trials=given.trials, epochs=given.epochs)
            found = {**read(study.folder), **told(study), **served(study, runs, given.browser)}
    print(json.dumps({**about, "trials": given.trials, "epochs": given.epochs, **found}))
    with tempfile.TemporaryDirectory(prefix="tame-pages-") as kept:
        print(json.dumps({**about, "dropped": given.pictures, **taught(Path(kept), given.pictures, given.browser)}))


def fill(study: Study, *, trials: int, epochs: int) -> None:
    events: list[Event] = []
    for number in range(trials):
        recipe = Recipe().but({"optimizer.lr": 10 ** -(1 + number % 40 / 10), "epochs": epochs, "seed": number})
        origin = "default" if number == 0 else "sobol"
        events.append(decision_event(Decision("start", number, "proposed by the model", epochs, recipe, origin)))
        level = 0.2 + 0.01 * (number % 97)
        points = [Point(e, 1 / e, level + 1 / e, 1 - level / 2 - 0.3 / e) for e in range(1, epochs + 1)]
        events.append(curve_event(number, points))
        if len(events) >= PIECE:
            study.keep(*events)
            events = []
    study.keep(*events)


def read(folder: Path) -> dict[str, float]:
    """Processor seconds of reading the study once, and of looking again where nothing is new."""
    follower, begun = Follower(folder), time.process_time()
    follower.catch_up()
    once = time.process_time() - begun
    begun = time.process_time()
    for _ in range(100):
        follower.catch_up()
    again = (time.process_time() - begun) / 100
    follower.close()
    return {"read_cpu_s": round(once, 2), "look_again_cpu_ms": round(1000 * again, 3)}


def told(study: Study) -> dict[str, float]:
    """Microseconds of processor time that telling a point costs, with moments that are written meanwhile."""
    live = Live(study.folder, lambda: Spent(used_s=1.0))
    count, begun = 200_000, time.process_time()
    for number in range(count):
        live.point(number % 1000, Point(1 + number // 1000, 0.5, 0.5, 0.5))
    cost = (time.process_time() - begun) / count
    live.close()
    return {"point_cpu_us": round(1e6 * cost, 2)}


def served(study: Study, runs: Path, browser: str) -> dict[str, object]:
    """What the server and the browser need, and how soon an event is on the page."""
    with entered(runs, browser) as (_, page, pid):
        key = page.evaluate("fetch('/api/studies').then((r) => r.json())")["studies"][0]["id"]
        found = watched(page, f"{page.url}s/{key}", study)
        return {**found, "server_mb": resident_mb(pid)}


@contextmanager
def entered(runs: Path, browser: str) -> Iterator[tuple[Browser, Page, int]]:
    """A browser, its page on the list of studies, and the number of the process that serves it."""
    command = [sys.executable, "-P", "-m", "tame.app.cli", "ui", str(runs), "--port", "0", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ)
    assert server.stdout is not None
    address = server.stdout.readline().strip()
    try:
        with sync_playwright() as play:
            chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
            page = chromium.new_page()
            page.goto(address)
            yield chromium, page, server.pid
            chromium.close()
    finally:
        server.terminate()
        server.wait()


def watched(page: Page, address: str, study: Study) -> dict[str, object]:
    sizes: list[int] = []
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    tools = page.context.new_cdp_session(page)
    tools.send("Performance.enable", {"timeDomain": "threadTicks"})
    begun = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".chart canvas")
    drawn = time.monotonic() - begun
    painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.wait_for_timeout(2000)
    counted = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
    tools.send("HeapProfiler.collectGarbage")
    heap = page.evaluate("performance.memory.usedJSHeapSize")
    waits = [after(page, study, number) for number in range(TOLD)]
    return {
        "bytes": sum(sizes), "first_paint_ms": round(painted), "curves_after_s": round(drawn, 2),
        "main_thread_cpu_s": round(counted["TaskDuration"], 3),
        "heap_mb": round(heap / 1e6, 1), "event_median_ms": round(1000 * statistics.median(waits)),
        "event_worst_ms": round(1000 * max(waits)),
    }  # fmt: skip


def after(page: Page, study: Study, number: int) -> float:
    """Seconds from storing an event until its words are on the page."""
    begun = time.monotonic()
    study.keep(Event("finding", Finding("overfitting", f"finding {number} of the benchmark", "info", {}).to_json()))
    page.wait_for_selector(f".lines >> text=Finding {number} of the benchmark", timeout=30_000)
    return time.monotonic() - begun


def taught(kept: Path, count: int, browser: str) -> dict[str, object]:
    """What dropping a folder of so many pictures costs, and how many of them arrive."""
    (kept / "runs").mkdir()
    (kept / "given").mkdir()
    chance = np.random.default_rng(0)
    for number in range(count):
        pixels = chance.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(kept / "given" / f"{number}.jpg", quality=90)
    with entered(kept / "runs", browser) as (chromium, page, pid):
        page.goto(f"{page.url}teach")
        page.fill("input[name=class]", "many")
        page.keyboard.press("Enter")
        page.wait_for_selector("section[aria-label='Class many']")
        tools = chromium.new_browser_cdp_session()
        page.evaluate(FRAMES)
        looks = [memory_of(tools.send("SystemInfo.getProcessInfo")["processInfo"])]
        begun = time.monotonic()
        page.locator("input[webkitdirectory]").set_input_files(kept / "given")
        done = page.locator(f"section[aria-label='Class many'] >> text=/^{count:,} pictures/")
        while not done.count():
            looks.append(memory_of(tools.send("SystemInfo.getProcessInfo")["processInfo"]))
            time.sleep(LOOK_S)
        seconds = time.monotonic() - begun
        frames = sorted(page.evaluate("window.frames_ms"))
        there = sum(not each.name.startswith(".") for each in (kept / "runs/taught/pictures/many").iterdir())
        return {
            "kept": there, "all_after_s": round(seconds, 1), "page_mb": round(max(looks).own),
            "page_resident_mb": round(max(looks).resident), "empty_page_mb": round(looks[0].own),
            "empty_page_resident_mb": round(looks[0].resident),
            "frame_95_ms": round(frames[int(0.95 * len(frames))]), "server_mb": resident_mb(pid),
        }  # fmt: skip


def memory_of(processes: list[dict[str, object]]) -> Memory:
    """Of the largest process that draws a page."""
    drawing = [Path(f"/proc/{each['id']}/smaps_rollup") for each in processes if each["type"] == "renderer"]
    texts = [dict(re.findall(r"^(\w+): +(\d+) kB$", path.read_text(), flags=re.M)) for path in drawing]
    return max((Memory(int(own["Pss"]) / 1024, int(own["Rss"]) / 1024) for own in texts), default=Memory(0.0, 0.0))


def resident_mb(pid: int) -> float | None:
    """Resident memory of a process; None where the system does not say it in /proc."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmRSS")), None)


if __name__ == "__main__":
    main()
