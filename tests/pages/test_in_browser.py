"""The pages in a real browser: they live, they hold no more than is seen, and other pages can do nothing to them."""

from __future__ import annotations

import http.server
import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright import sync_api

from served_pages import KEY, serving, unpack
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Finding, Point, curve_event, decision_event
from tame.study.inbox import Seal, waiting
from tame.study.live import Live, Spent
from tame.study.session import begin
from tame.study.state import Silent

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
NAMES = "MAP evil.test 127.0.0.1, MAP rebound.test 127.0.0.1"  # foreign names that point at this machine
FLAGS = (f"--host-resolver-rules={NAMES}", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")
MOST_BYTES = 200_000  # of a page of 10,000 trials, before anybody has touched it
MOST_ROWS = 60  # of a table that exist at once


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}; CHROMIUM names another place")
    with sync_api.sync_playwright() as play:
        own = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *FLAGS])
        yield own
        own.close()


@contextmanager
def opened(chromium, served, path="/", *, allowed=None, **how):
    """A page of a browser that was let in. Anything that is wrong in it fails the test: errors, broken rules of the
    policy, a request to another place. allowed: what its console may say."""
    wrong, sizes = [], []
    context = chromium.new_context(**how)
    page = context.new_page()
    page.on("pageerror", lambda problem: wrong.append(f"error: {problem}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on("request", lambda request: wrong.append(request.url) if not ours(request.url, served) else None)
    page.goto(served.access.address)
    page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
    page.goto(f"http://{served.host}{path}")
    page.bytes_of = lambda: sum(sizes)
    try:
        yield page
    finally:
        context.close()
    assert [text for text in wrong if allowed is None or allowed not in text] == []


def ours(url, served):
    return url.startswith((f"http://{served.host}/", "data:", "blob:"))


@pytest.fixture
def running(tmp_path):
    """A study whose process lives, and what speaks for it."""
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "alive"), time_s=600.0), Silent()) as study:
        speaker = Live(study.folder, lambda: Spent(used_s=3.0, given_s=600.0))
        speaker.phase("stage 3 of 6: searching 4 dimensions")
        fill(study, trials=12, epochs=8)
        yield study, speaker
        speaker.close()


def fill(study, *, trials, epochs, piece=1_000):
    events = []
    for number in range(trials):
        recipe = Recipe().but({"optimizer.lr": 10 ** -(1 + number % 5), "epochs": epochs, "seed": number})
        origin = "default" if number == 0 else "sobol"
        events.append(decision_event(Decision("start", number, f"reason {number}", epochs, recipe, origin)))
        points = [Point(e, 1 / e, 1 / e + 0.01 * (number % 97), 0.5 + 0.4 * e / epochs) for e in range(1, epochs + 1)]
        events.append(curve_event(number, points))
        if len(events) > piece:
            study.keep(*events)
            events = []
    study.keep(*events)


def study_in(served):
    return json.loads(served.request("/api/studies")[2])["studies"][0]["id"]


def wait_until(claim, seconds=10.0):
    end = time.monotonic() + seconds
    while not (found := claim()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return found


def test_the_first_page_says_what_matters_without_scripts(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own:
        place = f"/s/{study_in(own)}"
        for path, words in (("/", "alive"), (place, "Best so far"), (f"{place}/trials", "12 recipes")):
            with opened(chromium, own, path, java_script_enabled=False) as page:
                assert words in page.inner_text("main")


def test_what_happens_is_on_the_page_soon_and_survives_a_look_away(chromium, running):
    study, speaker = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".chart canvas")
        assert page.inner_text(".chip") == "training"
        begun = time.monotonic()
        study.keep(Event("finding", Finding("overfitting", "it overfits", "warning", {}, trial=1).to_json()))
        page.wait_for_selector("text=It overfits.", timeout=5_000)
        assert time.monotonic() - begun < 3.0
        speaker.phase("stage 4 of 6: training the finalists again")
        page.wait_for_selector("text=training the finalists again", timeout=5_000)
        assert page.locator(".lines li").count() == len({*page.locator(".lines li").all_inner_texts()})


def test_state_of_a_view_lives_in_its_address(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.click("button:has-text('Metric')")
        page.click("button:has-text('Log scale')")
        assert "field=metric" in page.url
        assert "log=1" in page.url
        page.reload()
        page.wait_for_selector("button[aria-pressed=true]:has-text('Metric')")


def test_a_press_asks_once_and_says_what_came_of_it(chromium, running):
    study, _ = running
    seal = Seal(key=KEY, study=study.state.opened.id)
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.click("button:has-text('Stop and evaluate')")
        wait_until(lambda: waiting(study.folder, seal))
        page.wait_for_selector("text=Asked; the study answers")
        (found,) = waiting(study.folder, seal)
        study.keep(found.wish)
        study.keep(Event("answered", {"id": found.wish.id, "done": False, "reason": "the search has ended already"}))
        page.wait_for_selector(".said:has-text('the search has ended already')", timeout=5_000)


def test_everything_is_reached_by_the_keyboard(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector("button:has-text('Pause')")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.innerText || document.activeElement.className"))
        for words in ("Pause", "Stop and evaluate", "Validation loss", "Log scale", "Decisions"):
            assert words in reached


@pytest.mark.parametrize("width", [320, 390, 1280])
@pytest.mark.parametrize("path", ["/", "/s/{}", "/s/{}/report"])
def test_no_page_scrolls_sideways(chromium, running, width, path):
    study, _ = running
    with serving(study.folder.parent) as own:
        where = path.format(study_in(own))
        with opened(chromium, own, where, viewport={"width": width, "height": 800}) as page:
            page.wait_for_timeout(600)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_server_that_starts_again_is_found_and_nothing_is_missing(chromium, running):
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".lines li")
        shown = lambda: page.evaluate("[...document.querySelectorAll('.lines li')].length")  # noqa: E731
        before = shown()
        page.evaluate("dispatchEvent(new Event('x'))")
        for number in range(5):
            study.keep(Event("finding", Finding("overfitting", f"no {number}", "info", {}).to_json()))
        wait_until(lambda: shown() == before + 5)


@pytest.mark.slow
def test_ten_thousand_trials_cost_a_page_no_more_than_what_is_seen(chromium, tmp_path):
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "many"), trials=10_000), Silent()) as study:
        fill(study, trials=10_000, epochs=50, piece=4_000)
    with serving(tmp_path / "runs") as own:
        number = study_in(own)  # the server reads it once
        with opened(chromium, own, f"/s/{number}") as page:
            tools = page.context.new_cdp_session(page)
            page.wait_for_selector(".chart canvas")
            page.wait_for_timeout(1500)
            assert page.bytes_of() < MOST_BYTES
            tools.send("HeapProfiler.collectGarbage")
            assert page.evaluate("performance.memory.usedJSHeapSize") < 10e6
        with opened(chromium, own, f"/s/{number}/trials") as page:
            page.wait_for_selector(".vgrid tbody tr")
            for place in (0, 100_000, 300_000):
                page.evaluate(f"document.querySelector('.vgrid').scrollTop = {place}")
                page.wait_for_timeout(400)
                assert page.locator(".vgrid tbody tr").count() <= MOST_ROWS
            page.fill("input[name=trial]", "7777")
            page.click("button:has-text('Show')")
            page.wait_for_selector("text=reason 7777")


HOSTILE = """<!doctype html><title>hostile</title><script>
const base = "http://%(host)s", ask = base + "/api/s/%(study)s/ask", stop = '{"what":"stop"}';
const own = {credentials: "include"};
const text = (answer) => answer.then((r) => r.text());
const done = [];
const element = (tag, src, word) => new Promise((good, bad) => {
  const e = document.createElement(tag);
  e.onload = () => good(word);
  e.onerror = () => bad("no");
  e.src = src;
  document.body.append(e);
});
const tries = {
  get: () => text(fetch(base + "/api/studies")),
  credentials: () => text(fetch(base + "/api/studies", own)),
  opaque: () => text(fetch(base + "/api/studies", {mode: "no-cors", ...own})),
  ask: () => text(fetch(ask, {method: "POST", body: stop, headers: {"X-Tame": "1"}, ...own})),
  plain: () => text(fetch(ask, {method: "POST", mode: "no-cors", body: stop, ...own})),
  remove: () => text(fetch(ask, {method: "DELETE", ...own})),
  stream: () => new Promise((good, bad) => {
    const s = new EventSource(base + "/api/s/%(study)s/events", {withCredentials: true});
    s.addEventListener("state", (e) => good(e.data));
    s.onerror = () => { s.close(); bad("no"); };
  }),
  socket: () => new Promise((good, bad) => {
    const s = new WebSocket("ws://%(host)s/");
    s.onopen = () => good("open");
    s.onerror = () => bad("no");
  }),
  script: () => element("script", base + "/file/studies.js", "ran"),
  module: () => import(base + "/file/ui.js").then(() => "ran"),
  image: () => element("img", base + "/file/ui.js", "seen"),
  frame: () => new Promise((good) => {
    const f = document.createElement("iframe");
    f.onload = () => { try { good(f.contentDocument.body.innerText); } catch { good(""); } };
    f.src = base + "/";
    document.body.append(f);
  }),
};
const soon = () => new Promise((good) => setTimeout(() => good(""), 3000));
addEventListener("load", async () => {
  for (const [name, one] of Object.entries(tries)) {
    try { done.push([name, await Promise.race([one(), soon()])]); } catch (e) { done.push([name, ""]); }
  }
  window.done = done;
});
</script><body></body>"""


@contextmanager
def hostile_site(text):
    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_):
            pass

    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=site.serve_forever, daemon=True)
    thread.start()
    try:
        yield site.server_address[1]
    finally:
        site.shutdown()
        site.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.test", "rebound.test"])
def test_a_hostile_page_in_the_same_browser_reads_and_changes_nothing(chromium, running, name):
    """Twelve attempts from each of four places: another port, another name for this machine, a foreign name, and one
    that was made to point at the pages themselves."""
    study, _ = running
    with serving(study.folder.parent) as own:
        aimed = own.host if name != "rebound.test" else f"rebound.test:{own.port}"
        with hostile_site(HOSTILE % {"host": aimed, "study": study_in(own)}) as port:
            context = chromium.new_context()
            page = context.new_page()
            page.goto(own.access.address)
            page.wait_for_selector("text=alive")
            page.goto(f"http://{name}:{port}/")
            page.wait_for_function("window.done !== undefined", timeout=60_000)
            got = dict(page.evaluate("window.done"))
            context.close()
        assert len(got) == 12
        gone_through = ("ran", "open", "seen")
        assert [each for each, text in got.items() if "alive" in str(text) or text in gone_through] == []
        assert waiting(study.folder, Seal(key=KEY, study=study.state.opened.id)) == []


def test_the_report_is_shown_in_a_frame_that_cannot_run(chromium, tmp_path):
    folder = unpack("table", tmp_path)
    with serving(folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}/report") as page:
        frame = page.frame_locator("iframe.report")
        assert frame.locator("h1").first.inner_text(timeout=10_000)


@pytest.fixture
def pictures(tmp_path):
    """Three folders of drawn pictures, and a file that is none."""
    for number, name in enumerate(("bee", "wasp", "fly")):
        folder = tmp_path / "given" / name
        folder.mkdir(parents=True)
        for seed in range(30):
            noise = np.random.default_rng(100 * number + seed).integers(0, 60, (48, 48, 3), dtype=np.uint8)
            noise[..., number] += 150
            Image.fromarray(noise).save(folder / f"{seed}.jpg")
        (folder / "notes.txt").write_text("no picture")
    return tmp_path / "given"


def teach(page, pictures):
    """Makes the classes and gives each its folder."""
    for name in ("bee", "wasp", "fly"):
        page.fill("input[name=class]", name)
        page.click("button:has-text('Add')")
        card = page.locator(f"section[aria-label='Class {name}']")
        card.wait_for()
        card.locator("input[webkitdirectory]").set_input_files(pictures / name)
        card.locator("text=30 pictures").wait_for(timeout=30_000)


def test_pictures_are_taught_by_the_folder_and_a_reload_loses_nothing(chromium, tmp_path, pictures):
    fails = (sys.executable, "-c", "import sys; sys.exit('tame: nothing to train here')")
    with serving(tmp_path / "runs", fit=fails) as own:
        allowed = "the server responded with a status of 409"  # the browser's own word for the file that is refused
        with opened(chromium, own, "/teach", allowed=allowed) as page:
            page.wait_for_selector("input[name=class]")
            teach(page, pictures)
            assert page.locator("text=1 refused").count() == 3
            page.reload()
            page.wait_for_selector("section[aria-label='Class fly'] >> text=30 pictures")
            page.wait_for_selector(".thumbs img")
            page.click("button.go")
            page.wait_for_selector("text=tame: nothing to train here", timeout=10_000)
        kept = {folder.name: len(list(folder.iterdir())) for folder in (tmp_path / "runs/taught/pictures").iterdir()}
        assert kept == {"bee": 30, "wasp": 30, "fly": 30}


def test_thousands_of_pictures_arrive_and_the_page_stays_small(chromium, tmp_path):
    """Names and bytes differ, and no two are sent at a time but four."""
    with serving(tmp_path / "runs", fit=("true",)) as own, opened(chromium, own, "/teach") as page:
        page.fill("input[name=class]", "many")
        page.click("button:has-text('Add')")
        page.wait_for_selector("section[aria-label='Class many']")
        page.evaluate(MANY, 1000)
        page.wait_for_selector("section[aria-label='Class many'] >> text=1,000 pictures", timeout=120_000)
        assert page.locator(".thumbs img").count() <= 12
        assert len(list((tmp_path / "runs/taught/pictures/many").iterdir())) == 1000


MANY = """async (count) => {
  const canvas = new OffscreenCanvas(8, 8);
  const pen = canvas.getContext("2d");
  const given = new DataTransfer();
  for (let i = 0; i < count; i++) {
    pen.fillStyle = `rgb(${i % 256}, ${i >> 8}, 7)`;
    pen.fillRect(0, 0, 8, 8);
    given.items.add(new File([await canvas.convertToBlob({type: "image/png"})], `${i}.png`));
  }
  const field = document.querySelector("input[type=file][multiple]");
  field.files = given.files;
  field.dispatchEvent(new Event("change", {bubbles: true}));
}"""


@pytest.mark.slow
def test_from_nothing_to_a_trained_machine(chromium, tmp_path, pictures, monkeypatch):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    fit = (sys.executable, "-P", "-m", "tame.app.cli", "fit")
    allowed = "the server responded with a status of 409"
    with serving(tmp_path / "runs", fit=fit) as own, opened(chromium, own, "/teach?time=60", allowed=allowed) as page:
        page.wait_for_selector("input[name=class]")
        teach(page, pictures)
        page.click("button.go")
        either = page.locator("text=that it had never seen").or_(page.locator("text=time ran out"))
        either.first.wait_for(timeout=150_000)
        if page.locator("text=time ran out").count():
            pytest.skip("other programs load this machine too much for a minute of training")
        page.click("text=Watch it")
        page.wait_for_selector(".seal.open")


ANSWERS = (
    sys.executable, "-c",
    "import sys, json\nwhile line := sys.stdin.buffer.readline():\n sys.stdin.buffer.read(json.loads(line)['size'])\n"
    " print(json.dumps({'label': 'dark', 'probabilities': {'dark': 0.7, 'light': 0.3}}), flush=True)",
)  # fmt: skip


def test_a_picture_and_a_camera_are_tried_one_frame_at_a_time(chromium, tmp_path, pictures):
    folder = unpack("pictures", tmp_path)
    with serving(folder.parent, answers=ANSWERS) as own, opened(chromium, own, f"/s/{study_in(own)}/try") as page:
        flying, most = [0], [0]

        def begins(request):
            if request.method == "PUT":
                flying[0] += 1
                most[0] = max(most[0], flying[0])

        def ends(request):
            flying[0] -= request.method == "PUT"

        page.on("request", begins)
        page.on("requestfinished", ends)
        page.locator("input[type=file]").set_input_files(pictures / "bee" / "0.jpg")
        page.wait_for_selector(".verdict:has-text('dark')")
        page.locator("input[type=range]").fill("0.8")
        page.wait_for_selector(".verdict:has-text('I do not know')")
        assert "least=0.8" in page.url
        page.click("button:has-text('Use the camera')")
        page.wait_for_selector("video")
        page.wait_for_timeout(1500)
        page.click("button:has-text('Stop the camera')")
        assert most[0] == 1


def test_a_camera_that_is_refused_says_what_to_do(chromium, tmp_path):
    folder = unpack("pictures", tmp_path)
    with serving(folder.parent, answers=ANSWERS) as own, opened(chromium, own, f"/s/{study_in(own)}/try") as page:
        page.evaluate(REFUSE)
        page.click("button:has-text('Use the camera')")
        page.wait_for_selector("text=The camera was not allowed")


REFUSE = """() => {
  navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('', 'NotAllowedError'));
}"""
