"""Teaching in a real browser: recordings, knobs, a server that dies meanwhile, and a model to try and to take away."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import opened, wait_until
from served_pages import serving, unpack

ECHOES = (sys.executable, "-c", "import sys; sys.exit(' '.join(sys.argv[1:]))")
SERVER = (sys.executable, "-P", "-m", "tame.app.cli", "ui")
REFUSE = """(name) => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', name));
}"""
# A picture of eight pixels for each number, put into the field of a class.
GIVE = """async ([name, count, first]) => {
  const canvas = new OffscreenCanvas(8, 8);
  const pen = canvas.getContext("2d");
  const given = new DataTransfer();
  for (let i = first; i < first + count; i++) {
    pen.fillStyle = `rgb(${i % 256}, ${i >> 8}, 7)`;
    pen.fillRect(0, 0, 8, 8);
    given.items.add(new File([await canvas.convertToBlob({type: "image/png"})], `${i}.png`));
  }
  const field = document.querySelector(`section[aria-label="Class ${name}"] input[multiple]`);
  field.files = given.files;
  field.dispatchEvent(new Event("change", {bubbles: true}));
}"""


def add_class(page, name):
    page.fill("input[name=class]", name)
    page.click("button:has-text('Add')")
    card = page.locator(f"section[aria-label='Class {name}']")
    card.wait_for()
    return card


def kept(runs, name):
    return sorted(path.name for path in (runs / "taught/pictures" / name).iterdir() if not path.name.startswith("."))


def test_what_is_held_is_one_recording(chromium, tmp_path):
    """Once with the mouse and once with the space bar."""
    with serving(tmp_path, fit=("true",)) as own, opened(chromium, own, "/teach") as page:
        card = add_class(page, "hand")
        card.locator("button:has-text('Record with the camera')").click()
        button = card.locator("button.hold")
        button.wait_for()
        wait_until(lambda: page.evaluate("document.querySelector('video').videoWidth"))
        for press, release in (
            (lambda: (button.hover(), page.mouse.down()), page.mouse.up),
            (lambda: (button.focus(), page.keyboard.down(" ")), lambda: page.keyboard.up(" ")),
        ):
            before = len(kept(tmp_path, "hand"))
            press()
            wait_until(lambda known=before: len(kept(tmp_path, "hand")) >= known + 3)
            release()
            card.locator("button:has-text('Hold to record')").wait_for()
        page.wait_for_timeout(500)
        ended = len(kept(tmp_path, "hand"))
        card.locator(f"text={ended} pictures of 2 recordings").wait_for()
        page.wait_for_timeout(500)
        assert len(kept(tmp_path, "hand")) == ended, "nothing is taken once the button is let go"
        card.locator("button:has-text('camera off')").click()
        card.locator("button:has-text('Record with the camera')").wait_for()
    assert len({name.split("-")[0] for name in kept(tmp_path, "hand")}) == 2


HELP = {
    "NotAllowedError": "Allow it at the sign", "NotFoundError": "Connect one", "NotReadableError": "another program",
}  # fmt: skip


@pytest.mark.parametrize(("why", "words"), HELP.items())
def test_without_a_camera_the_page_says_what_to_do(chromium, tmp_path, why, words):
    with serving(tmp_path, fit=("true",)) as own, opened(chromium, own, "/teach") as page:
        card = add_class(page, "hand")
        page.evaluate(REFUSE, why)
        card.locator("button:has-text('Record with the camera')").click()
        card.locator(f"[role=alert]:has-text('{words}')").wait_for()
        assert card.locator("label:has-text('Choose pictures')").count() == 1


def test_knobs_of_the_user_go_to_the_study_and_stay_in_the_address(chromium, tmp_path):
    with serving(tmp_path, fit=ECHOES) as own, opened(chromium, own, "/teach") as page:
        for name, first in (("a", 0), ("b", 40)):
            card = add_class(page, name)
            page.evaluate(GIVE, [name, 6, first])
            card.locator("text=6 pictures").wait_for()
        page.click("summary:has-text('Under the hood')")
        train = page.locator("button:has-text('Train with mine')")
        assert train.is_disabled()
        page.fill("input[aria-label='Mine: Epochs']", "12")
        page.fill("input[aria-label='Mine: Learning rate']", "0.02")
        wait_until(lambda: page.evaluate("location.search") == "?epochs=12&rate=0.02")
        train.click()
        page.wait_for_selector("text=--set epochs=12 --set optimizer.lr=0.02", timeout=10_000)


@pytest.mark.slow
def test_a_server_that_is_killed_while_pictures_are_sent_loses_none(chromium, tmp_path):
    """It is started again at the same port, and the browser is let in again; the page that was open sends the rest."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs, count = tmp_path / "runs", 1_000
    runs.mkdir()
    context = chromium.new_context()
    page = context.new_page()
    with begun(runs, port) as first:
        page.goto(first.stdout.readline().strip())
        page.goto(f"http://127.0.0.1:{port}/teach")
        add_class(page, "many")
        page.evaluate(GIVE, ["many", count, 0])
        wait_until(lambda: len(kept(runs, "many")) > 50, 60)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    assert len(kept(runs, "many")) < count
    page.wait_for_selector("text=TAME does not answer", timeout=10_000)
    with begun(runs, port) as second:
        context.new_page().goto(second.stdout.readline().strip())
        page.bring_to_front()
        wait_until(lambda: len(kept(runs, "many")) == count, 120)
        page.wait_for_selector(f"text={count:,} of {count:,}")
        assert page.locator("text=refused").count() == 0
    context.close()


@contextmanager
def begun(runs, port):
    """The pages as a process of their own, whose first line is their address."""
    command = [*SERVER, str(runs), "--port", str(port), "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as own:
        try:
            yield own
        finally:
            own.kill()


@pytest.mark.slow
def test_five_thousand_pictures_arrive_and_the_page_stays_small(chromium, tmp_path):
    with serving(tmp_path, fit=("true",)) as own, opened(chromium, own, "/teach") as page:
        card = add_class(page, "many")
        tools = page.context.new_cdp_session(page)
        page.evaluate(GIVE, ["many", 5_000, 0])
        card.locator("text=5,000 pictures").wait_for(timeout=900_000)
        assert len(kept(tmp_path, "many")) == 5_000
        assert card.locator(".thumbs img").count() <= 12
        tools.send("HeapProfiler.collectGarbage")
        assert page.evaluate("performance.memory.usedJSHeapSize") < 60e6


# Pictures that are sent: how many at once, and how large each was.
COUNT = """() => {
  const send = window.fetch;
  Object.assign(window, {flying: 0, most: 0, sizes: []});
  window.fetch = async (path, how) => {
    if (how?.method !== "PUT") return send(path, how);
    window.most = Math.max(window.most, ++window.flying);
    window.sizes.push(how.body.size);
    try { return await send(path, how); } finally { window.flying--; }
  };
}"""
ANSWERS = (
    sys.executable, "-c",
    "import sys, json\nwhile line := sys.stdin.buffer.readline():\n sys.stdin.buffer.read(json.loads(line)['size'])\n"
    " print(json.dumps({'label': 'dark', 'probabilities': {'dark': 0.7, 'light': 0.3}}), flush=True)",
)  # fmt: skip


@pytest.fixture
def taught(tmp_path):
    """A folder of studies with one that was taught and has ended."""
    folder = unpack("pictures", tmp_path / "old")
    runs = tmp_path / "runs"
    runs.mkdir()
    folder.rename(runs / "taught-0001")
    return runs


def test_what_was_taught_is_judged_tried_and_taken_away(chromium, taught):
    with serving(taught, fit=("true",), answers=ANSWERS) as own, opened(chromium, own, "/teach") as page:
        page.wait_for_selector("h2:has-text('What to do next')")
        assert page.locator("ul.outcome li").count() >= 1
        page.evaluate(COUNT)
        page.click("button:has-text('Use the camera')")
        page.wait_for_selector(".verdict:has-text('dark')")
        page.locator("input[type=range]").fill("0.8")
        page.wait_for_selector(".verdict:has-text('I do not know')")
        page.wait_for_timeout(1000)
        page.click("button:has-text('Stop the camera')")
        assert page.evaluate("window.most") == 1, "one frame is in flight"
        assert page.evaluate("window.sizes.length") > 1
        with page.expect_download() as waits:
            page.click("a:has-text('Download the model')")
        content = Path(waits.value.path()).read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert "model/model.safetensors" in archive.namelist()


def test_of_pictures_that_come_while_one_is_looked_at_the_newest_is_answered(chromium, taught, tmp_path):
    slow = (*ANSWERS[:2], ANSWERS[2].replace("import sys, json", "import sys, json, time").replace(
        " print(", " time.sleep(0.5); print("))  # fmt: skip
    for number in range(6):
        (tmp_path / f"{number}.bmp").write_bytes(b"BM" + bytes(60 + number))
    with serving(taught, fit=("true",), answers=slow) as own, opened(chromium, own, "/teach") as page:
        page.wait_for_selector("label:has-text('Choose a picture')")
        page.evaluate(COUNT)
        field = page.locator("section[aria-label='A picture'] input[type=file]")
        for number in range(6):
            field.set_input_files(tmp_path / f"{number}.bmp")
        page.wait_for_selector(".verdict:has-text('dark')")
        wait_until(lambda: page.evaluate("window.flying === 0 && window.sizes.at(-1) === 67"), 20)
        assert page.evaluate("window.most") == 1
        assert len(page.evaluate("window.sizes")) < 6, "older ones are let go"
