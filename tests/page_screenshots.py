"""Photographs all pages with Chromium, wide and narrow, light and dark, in good states and in bad ones.

First walks as a beginner does, from an empty folder through Teach to a prediction, and photographs each step; what was
taught there is then the good state. Prints the seconds of each step since `tame ui` was started.
Usage: python tests/page_screenshots.py FOLDER [--seconds 20]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from bad_studies import damaged, ended, imported, killed, newer, old
from browsing import CHROMIUM, FLAGS
from searching import searching_study
from tame.app.drawing.picture_set import draw
from tame.pages.serve import bound

COUNTS = {"bee": 30, "nothing": 30, "wasp": 30}
LOOKS = {
    f"{name}-{scheme}": {"viewport": {"width": width, "height": height}, "color_scheme": scheme}
    for name, width, height in (("wide", 1280, 860), ("narrow", 390, 844))
    for scheme in ("light", "dark")
}
GOOD = {
    "studies": "/", "watch": "/s/{taught-0001}", "trials": "/s/{taught-0001}/trials?trial=0",
    "space": "/s/{taught-0001}/space", "data": "/s/{taught-0001}/data?view=classes",
    "report": "/s/{taught-0001}/report", "try": "/s/{taught-0001}/try", "teach": "/teach",
    "learn": "/learn?study={taught-0001}",
    "lesson": "/learn/rate?study={taught-0001}", "compare": "/compare?a={taught-0001}&b={copy}",
    "watch-searching": "/s/{searching}", "space-searching": "/s/{searching}/space", "watch-table": "/s/{table}",
}  # fmt: skip
BAD = {
    **{f"bad-{name}": f"/s/{{{name}}}" for name in ("damaged", "newer", "imported", "ended", "killed", "stopped")},
    "bad-data-gone": "/s/{table}/data", "bad-report-none": "/s/{killed}/report", "bad-try-none": "/s/{killed}/try",
    "bad-compare": "/compare?a={taught-0001}&b={table}", "bad-trials-damaged": "/s/{damaged}/trials",
    "bad-space-imported": "/s/{imported}/space", "bad-no-such-study": "/s/0123456789abcdef",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=int, default=0, help="of training; 0: as many as the page proposes")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="tame-pages-") as place, sync_playwright() as play:
        os.environ |= {"TAME_STATE": f"{place}/state", "TAME_CACHE": f"{place}/cache"}  # as on a machine that is new
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FLAGS])
        drawn = Path(place) / "drawn"
        draw(drawn, seed=1, counts=COUNTS)
        runs = Path(place) / "runs"
        runs.mkdir()
        print(json.dumps(walk(chromium, runs, drawn, given.folder, seconds=given.seconds)))
        shutil.copytree(runs / "taught-0001", runs / "copy")
        for make in (damaged, newer, imported, ended, killed):
            make(runs)
        for name in ("table", "stopped"):
            old(name, runs)
        with searching_study(runs / "searching"), served(runs) as address:
            time.sleep(11.0)  # after which a process that was killed is known to be dead
            photograph(chromium, address, given.folder)
        with searching_study(runs / "gone") as study, served(runs) as address:
            watched(chromium, address, study.folder, given.folder)
        chromium.close()
    print(f"{len(list(given.folder.glob('*.png')))} pictures in {given.folder}")


@contextmanager
def served(runs: Path) -> Iterator[str]:
    """The address of the pages of a folder, which `tame ui` serves at another port than the taken one it is given."""
    with bound(0) as taken:
        words = ["ui", str(runs), "--port", str(taken.getsockname()[1]), "--no-browser"]
        command = [sys.executable, "-P", "-m", "tame.app.cli", *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as own:
            assert own.stdout is not None
            try:
                yield own.stdout.readline().strip()
            finally:
                own.terminate()


def walk(chromium: Browser, runs: Path, drawn: Path, to: Path, *, seconds: int) -> dict[str, float]:
    """Teaches a machine as a beginner does. Returns the seconds of each step since the command was given."""
    begun, found = time.monotonic(), dict[str, float]()
    with served(runs) as address:
        page = chromium.new_context(**LOOKS["wide-light"]).new_page()

        def step(name: str) -> None:
            found[name] = round(time.monotonic() - begun, 1)
            page.screenshot(path=to / f"walk-{len(found)}-{name}.png", full_page=True)

        page.goto(address)
        page.wait_for_selector("main")
        step("empty")
        page.click("nav >> text=Teach")
        for name in COUNTS:
            page.fill("input[name=class]", name)
            page.keyboard.press("Enter")
            page.locator(f"section[aria-label='Class {name}']").wait_for()
        step("classes")
        for name, count in COUNTS.items():
            card = page.locator(f"section[aria-label='Class {name}']")
            card.locator("input[webkitdirectory]").set_input_files(drawn / name)
            card.locator(f"text={count} pictures").wait_for(timeout=60_000)
        page.wait_for_selector(".thumbs img")
        step("pictures")
        if seconds:
            page.select_option("select", str(seconds))
        page.click("button.go")
        page.wait_for_selector("section[aria-label='What came of it']", timeout=120_000)
        step("training")
        page.wait_for_selector(".chip.finished, .chip.failed, .note.problem", timeout=600_000)
        if not page.locator(".chip.finished").count():
            sys.exit(f"nothing was trained: {page.inner_text('main')}; give it more --seconds")
        page.wait_for_selector("h2:has-text('What to do next')")
        step("trained")
        page.locator("section[aria-label='A picture'] input").set_input_files(next((drawn / "bee").iterdir()))
        page.wait_for_selector("table.bars", timeout=60_000)
        step("prediction")
        page.context.close()
    return found


def photograph(chromium: Browser, address: str, to: Path) -> None:
    """All pages in all looks."""
    host = address.partition("/enter")[0]
    first = chromium.new_context()
    page = first.new_page()
    page.goto(address)
    page.wait_for_url(f"{host}/")
    known = page.evaluate("fetch('/api/studies').then((r) => r.json())")["studies"]
    places = dict(GOOD | BAD)
    for each in known:
        places = {name: path.replace(f"{{{each['name']}}}", each["id"]) for name, path in places.items()}
    for look, how in LOOKS.items():
        context = chromium.new_context(storage_state=first.storage_state(), **how)  # the address lets in once
        page = context.new_page()
        for name, path in places.items():
            page.goto(f"{host}{path}")
            page.locator("text=/^Looking.*…/").first.wait_for(state="detached", timeout=30_000)
            page.wait_for_timeout(900)
            page.screenshot(path=to / f"{name}-{look}.png", full_page=True)
        context.close()
    first.close()


def watched(chromium: Browser, address: str, study: Path, to: Path) -> None:
    """A study that is deleted while somebody watches it."""
    page = chromium.new_context(**LOOKS["wide-light"]).new_page()
    page.goto(address)
    page.click("a:text-is('gone')")
    page.wait_for_selector(".chart canvas")
    shutil.rmtree(study)
    page.wait_for_selector("[role=alert]:has-text('is gone')")
    page.screenshot(path=to / "bad-gone-wide-light.png", full_page=True)
    page.context.close()


if __name__ == "__main__":
    main()
