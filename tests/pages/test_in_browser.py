"""The pages in a real browser: they live, they hold no more than is seen, and other pages can do nothing to them."""

from __future__ import annotations

import json
import shutil
import sys
import time

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import fill, opened, study_in, wait_until
from served_pages import KEY, serving, unpack
from tame.core.config import StudyConfig
from tame.core.records import Event, Finding
from tame.study.inbox import Seal, waiting
from tame.study.session import begin
from tame.study.state import Silent

MOST_BYTES = 200_000  # of a page of 10,000 trials, before anybody has touched it
MOST_ROWS = 60  # of a table that exist at once
MOST_CPU_S = 0.5  # of the page's main thread, from the first byte until it rests
MOST_FRAME_MS = 150  # of 95 in 100 frames while pictures are sent
SOON_S = 3.0  # one second is promised; a machine of tests may have others on it


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
        assert time.monotonic() - begun < SOON_S
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


def told(page):
    """The lines of the page, the oldest first."""
    return page.locator(".lines li").evaluate_all("(all) => all.map((e) => e.lastChild.textContent).reverse()")


def test_a_server_that_starts_again_is_found_and_nothing_is_missing(chromium, running):
    """It has another secret then: the page says what to do, and goes on by itself once the browser was let in again."""
    study, _ = running
    away = r"ERR_CONNECTION|ERR_INCOMPLETE|status of 401"  # the browser's own words for a server that is not there
    with serving(study.folder.parent) as own:
        number, port = study_in(own), own.port
        with opened(chromium, own, f"/s/{number}", allowed=away) as page:
            page.wait_for_selector(".lines li")
            own.stop()
            page.wait_for_selector(".chip:has-text('lost contact')")
            for one in range(5):
                study.keep(Event("finding", Finding("overfitting", f"number {one}", "info", {}).to_json()))
            with serving(study.folder.parent, asked_port=port) as again:
                page.wait_for_selector("text=Open the address that TAME printed")
                page.context.new_page().goto(again.access.address)
                page.wait_for_selector(".chip:has-text('training')")
                page.wait_for_selector("text=Number 4.")
                study.keep(Event("finding", Finding("overfitting", "number 5", "info", {}).to_json()))
                page.wait_for_selector("text=Number 5.")
                kept = json.loads(again.request(f"/api/s/{number}/state")[2])["lines"]
                ids = [line["id"] for line in kept]
                assert len(set(ids)) == len(ids)
                assert page.locator(".lines time").count() == len(kept)
                assert told(page)[-6:] == [line["reason"] for line in kept][-6:]


@pytest.mark.slow
def test_what_is_looked_at_stays_while_a_hundred_trials_arrive(chromium, running):
    """Zoom, sort, place, ticks and the open trial; also after a reload."""
    study, _ = running
    with serving(study.folder.parent) as own, opened(chromium, own, f"/s/{study_in(own)}") as page:
        page.wait_for_selector(".chart canvas")
        page.locator(".u-over").scroll_into_view_if_needed()
        box = page.locator(".u-over").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 60, steps=4)
        page.mouse.up()
        page.wait_for_selector("button:has-text('Show all epochs')")
        looked_at = page.url
        assert "epochs=" in looked_at
        other = page.context.new_page()
        other.goto(f"{looked_at.partition('?')[0]}/trials")
        other.click("th button:has-text('Trial')")
        other.locator(".vgrid tbody button").nth(5).click()
        other.wait_for_selector("h2:has-text('Trial 5')")
        scrolled = other.locator(".vgrid").evaluate("(e) => (e.scrollTop = 30)")
        fill(study, trials=100, first=12, epochs=8)
        page.wait_for_selector(".facts dd:has-text('112')")
        other.wait_for_selector("text=112 trials")
        page.wait_for_timeout(1500)
        assert page.url == looked_at
        assert page.locator("button:has-text('Show all epochs')").count() == 1
        assert other.locator("h2:has-text('Trial 5')").count() == 1
        assert other.locator(".vgrid").evaluate("(e) => e.scrollTop") == scrolled
        assert other.locator("th[aria-sort=ascending]").inner_text().startswith("Trial")
        page.reload()
        page.click("button:has-text('Show all epochs')")
        page.wait_for_selector("button:has-text('Show all epochs')", state="detached")
        assert "epochs=" not in page.url


def test_two_ticks_stay_when_a_study_appears(chromium, running, tmp_path):
    study, _ = running
    unpack("table", tmp_path / "runs")
    with serving(study.folder.parent) as own, opened(chromium, own) as page:
        page.locator("input[aria-label='Compare table']").check()
        unpack("stopped", tmp_path / "runs")
        page.wait_for_selector("a:has-text('stopped')", timeout=8_000)
        assert page.locator("input[aria-label='Compare table']").is_checked()
        assert not page.locator("input[aria-label='Compare alive']").is_checked()


def test_two_studies_are_compared_or_it_is_said_why_not(chromium, tmp_path):
    runs = tmp_path / "runs"
    first = unpack("table", tmp_path)
    for name in ("one", "two"):
        shutil.copytree(first, runs / name)
    unpack("pictures", runs)
    with serving(runs) as own:
        one, two, other = (study_in(own, name) for name in ("one", "two", "pictures-study"))
        with opened(chromium, own, f"/compare?a={one}&b={two}") as page:
            assert "No real difference was shown: 0" in page.inner_text(".verdict")
            page.goto(f"http://{own.host}/compare?a={one}&b={other}")
            assert "cannot be compared" in page.inner_text(".verdict")


@pytest.mark.slow
def test_ten_thousand_trials_cost_a_page_no_more_than_what_is_seen(chromium, tmp_path):
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "many"), trials=10_000), Silent()) as study:
        fill(study, trials=10_000, epochs=50, piece=4_000)
    with serving(tmp_path / "runs") as own:
        number = study_in(own)  # the server reads it once
        with opened(chromium, own, f"/s/{number}") as page:
            tools = page.context.new_cdp_session(page)
            tools.send("Performance.enable", {"timeDomain": "threadTicks"})
            page.reload()
            page.wait_for_selector(".chart canvas")
            page.wait_for_timeout(1500)
            spent = {each["name"]: each["value"] for each in tools.send("Performance.getMetrics")["metrics"]}
            assert spent["TaskDuration"] < MOST_CPU_S
            assert page.bytes_of() / 2 < MOST_BYTES  # it was loaded twice
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


@pytest.mark.slow
def test_pictures_arrive_by_the_hundred_and_a_reload_in_the_middle_goes_on(chromium, tmp_path):
    """Names and bytes differ, and no two are sent at a time but four; a reload in the middle goes on where it was."""
    count = 300
    kept = tmp_path / "runs/taught/pictures/many"
    with (
        serving(tmp_path / "runs", fit=("true",)) as own,
        opened(chromium, own, "/teach", allowed="ERR_ABORTED") as page,
    ):
        page.fill("input[name=class]", "many")
        page.click("button:has-text('Add')")
        page.wait_for_selector("section[aria-label='Class many']")
        page.evaluate(MANY, count)
        wait_until(lambda: len(list(kept.iterdir())) > count / 4, seconds=120)
        page.reload()
        page.wait_for_selector("section[aria-label='Class many']")
        before = len(list(kept.iterdir()))
        assert count / 4 < before < count
        page.evaluate(FRAMES)
        page.evaluate(MANY, count)
        page.wait_for_selector(f"section[aria-label='Class many'] >> text={count:,} pictures", timeout=240_000)
        assert "were there already" in page.inner_text("section[aria-label='Class many']")
        frames = sorted(page.evaluate("window.frames_ms"))
        assert frames[int(len(frames) * 0.95)] <= MOST_FRAME_MS
        page.context.new_cdp_session(page).send("HeapProfiler.collectGarbage")
        assert page.evaluate("performance.memory.usedJSHeapSize") < 60e6
        assert page.locator(".thumbs img").count() <= 12
        assert len(list(kept.iterdir())) == count


FRAMES = """() => {
  window.frames_ms = [];
  let last = performance.now();
  const next = (now) => { window.frames_ms.push(now - last); last = now; requestAnimationFrame(next); };
  requestAnimationFrame(next);
}"""
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
