"""What the pages say of studies that are not well, and of a machine on which something is not as usual."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from bad_studies import damaged, ended, imported, killed, newer, old
from browsing import opened, study_in, wait_until
from served_pages import KEY, serving
from tame.core.config import StudyConfig
from tame.core.records import Event
from tame.pages.serve import PORTS, bound
from tame.study.inbox import Seal, waiting
from tame.study.live import Live, Spent
from tame.study.session import begin
from tame.study.state import Silent

STATES = {  # of a study: how it is made, its word, what its own page says, and what it must not say
    "table": (lambda runs: old("table", runs), "finished", ("2026", "tame predict"), ("Nothing was lost",)),
    "stopped": (lambda runs: old("stopped", runs), "stopped", ("Everything is saved. Go on with:", "tame resume"), ()),
    "damaged": (damaged, "cannot be read", ("damaged",), ("Nothing was lost", "tame resume", "sealed")),
    "newer": (newer, "cannot be read", ("made by a newer TAME", "update TAME"), ("Nothing was lost",)),
    "imported": (imported, "imported trials", ("tame fit DATA --start-from",), ("Nothing was lost", "0.0 s", "sealed")),
    "ended": (ended, "ended without a result", ("Every trial diverged.",), ("Nothing was lost",)),
    "killed": (
        killed, "its process has ended", ("Nothing was lost. Go on with:", "tame resume", "interrupted"),
        ("3 training",),
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def unwell(tmp_path_factory):
    """A folder with a study in each of these states, and its pages."""
    runs = tmp_path_factory.mktemp("unwell") / "runs"
    runs.mkdir()
    for make, *_ in reversed(STATES.values()):
        make(runs)
    with serving(runs) as own:
        yield own


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", STATES)
def test_a_study_in_this_state_says_so_and_what_to_do(chromium, unwell, name):
    _, word, said, unsaid = STATES[name]
    study = study_in(unwell, name)
    wait_until(lambda: json.loads(unwell.request(f"/api/s/{study}/state")[2])["view"]["life"] != "training", seconds=30)
    with opened(chromium, unwell) as page:
        row = page.locator(f"tr:has(a[href='/s/{study}'])")
        assert row.locator(".chip").inner_text() == word
        page.goto(f"http://{unwell.host}/s/{study}")
        page.wait_for_selector(".chip")
        shown = page.inner_text("main")
    with opened(chromium, unwell, f"/s/{study}", java_script_enabled=False) as page:
        plain = page.inner_text("main")
    for text in (shown, plain):
        assert word in text
        assert [each for each in said if each not in text] == []
        assert [each for each in unsaid if each in text] == []
    assert shown.count("Pause") == shown.count("Stop and evaluate") == 0, "nobody would answer"


@pytest.mark.sampled(9)
@pytest.mark.parametrize("name", STATES)
@pytest.mark.parametrize("path", ["/trials", "/space", "/report", "/try"])
def test_all_pages_of_a_study_in_this_state_open(chromium, unwell, name, path):
    with opened(chromium, unwell, f"/s/{study_in(unwell, name)}{path}") as page:
        page.wait_for_selector("h1, iframe")
        assert "Traceback" not in page.content()
        if STATES[name][1] == "cannot be read":
            assert [text for text in STATES[name][2] if text not in page.inner_text("main")] == []


def test_a_study_that_is_deleted_while_it_is_watched_says_so(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".chip:has-text('training')")
        shutil.rmtree(study.folder)
        page.wait_for_selector("[role=alert]:has-text('is gone')", timeout=5_000)
        assert page.inner_text(".chip") == "cannot be read"
        assert page.locator("button:has-text('Pause')").count() == 0
        page.goto(f"http://{own.host}/")
        page.wait_for_selector("td:has-text('is gone')")


def test_a_process_whose_clock_is_ahead_is_not_alive_for_ever(tmp_path, monkeypatch):
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "ahead"), time_s=60.0), Silent()) as study:
        speaker = Live(study.folder, Spent)
        monkeypatch.setattr(time, "time", lambda: 4e9)
        speaker.beat()
        monkeypatch.undo()
        with serving(study.folder.parent) as own:
            assert json.loads(own.request("/api/studies")[2])["studies"][0]["life"] == "killed"
        speaker.close()


def test_two_tabs_that_press_the_same_button_ask_once_and_both_hear_the_answer(chromium, running):
    study, _ = running
    seal = Seal(key=KEY, study=study.state.opened.id)
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        other = page.context.new_page()
        other.goto(page.url)
        for each in (page, other):
            each.click("button:has-text('Pause')")
            each.wait_for_selector(".said:has-text('Asked')")
        (found,) = waiting(study.folder, seal)
        study.keep(found.wish, Event("answered", {"id": found.wish.id, "done": True, "reason": "it waits"}))
        for each in (page, other):
            each.wait_for_selector(".said:has-text('You asked to pause: it waits')", timeout=5_000)


def test_a_clock_of_the_browser_that_is_wrong_or_set_back_changes_nothing(chromium, running):
    study, _ = running
    skewed = "const now = Date.now; Date.now = () => now() + (window.skew ?? 4e11);"
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.add_init_script(skewed)
        page.reload()
        page.wait_for_selector(".chart canvas")
        assert page.inner_text(".chip") == "training"
        assert "left of 10:00" in page.inner_text(".clock")
        page.evaluate("window.skew = -4e11")
        with page.expect_response(lambda answer: "/curves" in answer.url, timeout=6_000):
            study.keep(Event("curve", {"trial": 0, "points": [[9, 0.1, 0.1, 0.9, None]]}))


@contextmanager
def command(*words, **environment):
    """`tame ui` as a person starts it."""
    own = subprocess.Popen(
        [sys.executable, "-P", "-m", "tame.app.cli", "ui", *map(str, words)], stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True, env={**os.environ, **environment},
    )  # fmt: skip
    try:
        yield own
    finally:
        own.send_signal(signal.SIGINT)
        own.communicate(timeout=20)


def test_a_port_that_is_taken_is_said_and_the_next_one_used(chromium, tmp_path):
    """Without a terminal no browser is opened either, and the address is all that stdout has."""
    with bound(0) as taken:
        port = taken.getsockname()[1]
        with command(tmp_path, "--port", port) as own:
            address = own.stdout.readline().strip()
            said = own.stderr.readline()
            number = int(address.split(":")[2].split("/")[0])
            assert port < number < port + PORTS
            assert said == f"port {port} is taken, so the pages are on port {number}\n"
            page = chromium.new_page()
            page.goto(address)
            wait_until(lambda: "tame demo" in page.inner_text("main"))
            page.close()


def test_without_a_browser_the_address_is_there_to_be_opened(tmp_path):
    own, terminal = pty.openpty()
    environment = {**os.environ, "DISPLAY": ":9", "PATH": str(tmp_path), "BROWSER": ""}
    environment.pop("CI", None)
    shown = subprocess.Popen(
        [sys.executable, "-P", "-m", "tame.app.cli", "ui", str(tmp_path), "--port", "0"], stdout=terminal,
        stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip
    try:
        assert shown.stderr.readline() == "no browser was found; open this address in one yourself\n"
        assert os.read(own, 1000).startswith(b"http://127.0.0.1:")
    finally:
        shown.send_signal(signal.SIGINT)
        shown.communicate(timeout=20)
        os.close(own)
        os.close(terminal)


def picture(seed, colour=0):
    noise = np.random.default_rng(seed).integers(0, 60, (48, 48, 3), dtype=np.uint8)
    noise[..., colour] += 150
    return Image.fromarray(noise)


@pytest.fixture
def given(tmp_path):
    """Folders of pictures that cannot be taught."""
    for name, seeds in {"bee": range(6), "wasp": range(10, 16)}.items():
        (tmp_path / "given" / name).mkdir(parents=True)
        for seed in seeds:
            picture(seed).save(tmp_path / "given" / name / f"{seed}.png")
    (tmp_path / "given" / "copies").mkdir()
    for number in range(6):
        picture(0).save(tmp_path / "given" / "copies" / f"{number}.png")
    (tmp_path / "given" / "none").mkdir()
    bad = {"a.txt": b"text", "b.jpg": b"<svg onload=alert(1)>", "c.png": b"", "d.zip": b"PK\3\4"}
    for name, content in bad.items():
        (tmp_path / "given" / "none" / name).write_bytes(content)
    return tmp_path / "given"


def add(page, name, folder=None):
    page.fill("input[name=class]", name)
    page.click("button:has-text('Add')")
    card = page.locator(f"section[aria-label='Class {name}']")
    card.wait_for()
    if folder is not None:
        card.locator("input[webkitdirectory]").set_input_files(folder)
        card.locator("progress").wait_for()
        wait_until(lambda: card.locator("progress").evaluate("(bar) => bar.value === bar.max"))
    return card


def test_what_cannot_be_taught_is_refused_with_the_reason(chromium, tmp_path, given):
    """One class, a class without pictures, all copies, files that are not pictures."""
    refused = r"status of 409"  # the browser's own word for a file that is refused
    with serving(tmp_path / "runs", fit=("true",)) as own, opened(chromium, own, "/teach", allowed=refused) as page:
        train = page.locator("button.go")
        add(page, "bee", given / "bee")
        page.wait_for_selector("text=There must be two classes or more")
        assert train.is_disabled()
        add(page, "wasp")
        page.wait_for_selector("text=wasp has 0 pictures, and needs 5 at least.")
        assert train.is_disabled()
        card = add(page, "fly", given / "none")
        card.locator("summary").click()
        told = card.locator("details li").all_inner_texts()
        assert sorted(text.split(":")[0] for text in told) == ["a.txt", "b.jpg", "c.png", "d.zip"]
        assert all("not a picture" in text for text in told)
        card = add(page, "copy", given / "copies")
        assert "6 are in another class" in card.inner_text()
        assert train.is_disabled()
        kept = {each.name: len(list(each.iterdir())) for each in (tmp_path / "runs/taught/pictures").iterdir()}
        assert kept == {"bee": 6, "wasp": 0, "fly": 0, "copy": 0}
