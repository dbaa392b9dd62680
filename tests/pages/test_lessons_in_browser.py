"""Every lesson in a real browser: something is tried, and right and wrong answers are told apart."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from playwright import sync_api

from served_pages import serving, unpack
from tame.app.learn import look_at
from tame.core.plain import from_plain
from tame.learn.lesson import lesson, lessons
from tame.learn.questions import questions
from tame.learn.seen import Seen

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
SHOTS = os.environ.get("TAME_SHOTS")  # a folder for pictures of every lesson, to be looked at
COMPUTES = (sys.executable, "-P", "-m", "tame.app.lessons")
LONG_MS = 240_000  # on a machine that others load; what it takes is a benchmark's to say
NAMES = [each.name for each in lessons()]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        pytest.skip(f"needs Chromium at {CHROMIUM}; CHROMIUM names another place")
    with sync_api.sync_playwright() as play:
        own = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield own
        own.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A server with a study whose data is gone, and the process that computes on the demo."""
    folder = tmp_path_factory.mktemp("lessons")
    study = unpack("table", folder / "runs")
    with serving(study.parent, lessons=COMPUTES, progress=folder / "state") as own:
        own.study = study
        yield own


@pytest.fixture(scope="module")
def browser(chromium, served):
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    context.set_default_timeout(LONG_MS)
    page = context.new_page()
    page.goto(served.access.address)
    yield context
    context.close()


@contextmanager
def opened(browser, served, name, *, study="demo", allowed=None):
    """A lesson in a page of its own. Anything wrong in it fails the test. allowed: what its console may say."""
    wrong = []
    page = browser.new_page()
    page.on("pageerror", lambda problem: wrong.append(f"error: {problem}"))
    page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    page.on(
        "request", lambda asked: None if asked.url.startswith(f"http://{served.host}/") else wrong.append(asked.url)
    )
    page.goto(f"http://{served.host}/learn/{name}?study={study}")
    yield page
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "what was tried fits on a telephone"
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}-tried.png", full_page=True)
    page.close()
    assert [text for text in wrong if allowed is None or allowed not in text] == []


def ask(served, name, what, **asked):
    status, _, said = served.request(
        f"/api/learn/{name}/ask/{what}", method="POST", timeout=LONG_MS / 1000, Origin=f"http://{served.host}",
        body=json.dumps({"study": "demo", "asked": asked}).encode(), X_Tame="1", Sec_Fetch_Site="same-origin",
        Content_Type="application/json",
    )  # fmt: skip
    assert status == 200, said
    return json.loads(said)


def told(page, *, right, at=-1):
    page.wait_for_selector(".told")
    own = page.locator(".told").nth(at) if at >= 0 else page.locator(".told").last
    assert own.get_attribute("class").split()[-1] == ("right" if right else "wrong"), own.inner_text()


def slide(page, label, value):
    page.locator(f"input[type=range][aria-label='{label}']").first.evaluate(
        "(own, value) => { own.value = value; own.dispatchEvent(new Event('input', { bubbles: true })); }", str(value)
    )


@pytest.mark.parametrize("name", NAMES)
def test_questions_are_answered_rightly_and_wrongly(browser, served, name):
    if lesson(name).classes:  # the study has none, so the questions are about networks trained on the demo
        study, seen = "demo", from_plain(Seen, ask(served, name, "seen"), what="what is seen")
    else:
        study, seen = json.loads(served.request("/api/studies")[2])["studies"][0]["id"], look_at(served.study)
    with opened(browser, served, name, study=study) as page:
        with page.expect_response(re.compile("questions")) as asked:
            page.click("#quiz button:has-text('Test me')")
        keys = questions(name, seen, seed=int(asked.value.json()["seed"]))
        for place, question in enumerate(keys):
            form, good = page.locator("#quiz form").nth(place), place != 1
            if question.options:
                chosen = int(question.key) if good else (int(question.key) + 1) % len(question.options)
                form.locator("input[type=radio]").nth(chosen).check()
            else:
                form.locator("input").fill(str(question.key if good else question.key + 1000))
            form.locator("button").click()
            form.locator(".told.right" if good else ".told.wrong").wait_for()
        page.wait_for_selector(f"text={len(keys) - 1} of {len(keys)} right")


def test_an_answer_that_is_none_is_asked_for_again(browser, served):
    with opened(browser, served, "descent", allowed="409") as page:
        page.click("#quiz button:has-text('Test me')")
        form = page.locator("#quiz form:has(input[inputmode=decimal])").first
        form.locator("input").fill("nan")
        form.locator("button").click()
        form.locator("text=finite").wait_for()
        assert page.locator(".told").count() == 0


def test_descent_is_predicted_and_raced(browser, served):
    rate = ask(served, "descent", "facts")["rate"]
    descents = {"runs": [{"optimizer": "sgd", "lr": rate}], "steps": 12}
    path = ask(served, "descent", "descents", **descents)["paths"][0]
    angles = [math.degrees(math.atan2(-b, -a)) % 360 for a, b in path["gradients"]]
    with opened(browser, served, "descent") as page:
        page.wait_for_selector("text=The five steps")
        for step, good in enumerate((True, True, False, True, True)):
            slide(page, "Direction of the arrow in degrees", round(angles[step] + (0 if good else 180)) % 360)
            page.click("button:has-text('This way')")
            if step < 4:
                page.wait_for_selector(f"text={step + 1} of 5 predicted")
                told(page, right=good, at=0)
        page.wait_for_selector("text=4 of 5 predictions were right")
        told(page, right=True)
        page.click("button:has-text('This is uphill')")
        page.wait_for_selector("text=Your arrow is")
        page.click("button:has-text('Commit and run')")
        page.wait_for_selector("text=pairs are in the right order")
        assert page.locator("figcaption:has-text('% of the movement')").count() == 3


def test_three_rates_are_found(browser, served):
    found = ask(served, "rate", "rates")
    low, high = math.log10(found["low"]), math.log10(found["high"])
    with opened(browser, served, "rate") as page:
        page.wait_for_selector("text=Find three rates")
        slide(page, "Rate, on a logarithmic scale", high)
        page.click("button:has-text('Run forty steps')")
        told(page, right=False)
        slide(page, "Rate, on a logarithmic scale", low)
        page.click("button:has-text('Run forty steps')")
        page.wait_for_selector("li.done:has-text('creeps')")
        tried = ((rate, ask(served, "rate", "rate", lr=rate, wanted="arrives")) for rate in (1.0, 3.0, 0.3, 10.0))
        best = next(rate for rate, found in tried if found["right"])
        slide(page, "Rate, on a logarithmic scale", math.log10(best))
        page.click("button:has-text('Run forty steps')")
        page.wait_for_selector("li.done:has-text('arrives')")
        slide(page, "Rate, on a logarithmic scale", high)
        page.click("button:has-text('Run forty steps')")
        page.wait_for_selector("text=All three found")
        page.click("button:has-text('Run the three')")
        page.wait_for_selector("text=times less")


def test_batches_are_bet_on(browser, served):
    with opened(browser, served, "batches") as page:
        page.wait_for_selector("text=Three descents")
        for axis, place in (("updates", 2), ("examples", 0), ("seconds", 1)):
            page.locator(f"input[name={axis}]").nth(place).check()
        page.click("button:has-text('Commit and run')")
        page.wait_for_selector(".told")
        page.click("button:has-text('seconds')")
        assert page.locator("table tbody tr").count() == 3


def test_an_outlier_pulls_and_costs_change_answers(browser, served):
    pull = ask(served, "losses", "line", y=8)["pull"]
    right = sorted(pull, key=lambda name: -pull[name])
    with opened(browser, served, "losses") as page:

        def arrange(names):
            """Moves each to the top, the last one first."""
            for name in reversed(names):
                for _ in range(3):
                    up = page.locator(f"button[aria-label='{name} up']")
                    if up.count():
                        up.click()

        page.wait_for_selector("text=It pulls, most first")
        arrange(right[::-1])
        page.click("button:has-text('Commit')")
        told(page, right=False, at=0)
        arrange(right)
        page.click("button:has-text('Commit')")
        page.wait_for_selector(".told.right")
        page.wait_for_selector("text=The hinge loss no longer looks at")
        page.click("button:has-text('Choose answers')")
        page.wait_for_selector("text=The mean cost went from")
        told(page, right=False)
        for field in page.locator("table.costs tbody tr td:nth-child(2) input").all():
            field.fill("20")
        page.click("button:has-text('Choose answers')")
        page.wait_for_selector("text=answers changed")
        told(page, right=True)


def test_an_optimizer_is_chosen(browser, served):
    found = ask(served, "optimizers", "contest", situation="as it is", optimizer="sgd")
    worst = max(found["ends"], key=found["ends"].get)
    with opened(browser, served, "optimizers") as page:
        first, second = page.locator("section.contest").nth(0), page.locator("section.contest").nth(1)
        first.locator(f"label:has-text('{found['best']}') input").first.check()
        first.locator("button").click()
        first.locator(".told.right").wait_for()
        second.locator("label:has-text('adam') input").first.check()
        second.locator("button").click()
        second.locator(".told").wait_for()
        for words, answer in (("Are most values", "no"), ("Do you have time", "yes"), ("Are your batches", "no")):
            page.locator(f"p:has-text('{words}') label:has-text('{answer}') input").check()
        guided = page.locator("section.contest").nth(3)
        guided.locator(f"label:has-text('{worst}') input").first.check()
        guided.locator("button").click()
        good = ask(served, "optimizers", "contest", situation="as it is", optimizer=worst)["right"]
        guided.locator(".told.right" if good else ".told.wrong").wait_for()


def test_derivatives_are_computed_by_hand(browser, served):
    net = ask(served, "backprop", "network", seed=0)
    edge = net["edges"][0]
    by_hand = (net["output"] - net["target"]) * net["outside"][int(edge[1]) - 1]
    with opened(browser, served, "backprop") as page:
        form = page.locator(f"form:has(input[name={edge}])")
        form.locator("input").fill("soon")
        form.locator("text=Write a number").wait_for()
        form.locator("input").fill(str(by_hand + 1))
        form.locator("button").click()
        form.locator(".told.wrong").wait_for()
        form.locator("input").fill(str(by_hand))
        form.locator("button").click()
        form.locator(".told.right").wait_for()


def test_curves_are_sorted_and_a_network_is_fixed(browser, served):
    with opened(browser, served, "fit") as page:
        page.wait_for_selector("text=Fix it")
        page.select_option("select[aria-label='The change']", "share")
        page.click("button:has-text('Compare')")
        page.wait_for_selector("text=The change helped")
        page.wait_for_selector("text=Curve 1 of")
        curves = ask(served, "fit", "curves")["curves"]
        for place in range(2):
            page.wait_for_selector(f"text=Curve {place + 1} of")
            right = ask(served, "fit", "sort", trial=curves[place]["trial"], answer="good")["verdict"]
            wrong = "good" if right != "good" else "overfitted"
            page.locator(f"input[name=sort][value='{wrong if place else right}']").check()
            page.locator("button:has-text('Answer')").first.click()
            page.wait_for_selector(f".told.{'wrong' if place else 'right'}:has-text('The doctor')")
            page.click("button:has-text('Next')")


def test_six_curves_are_named(browser, served):
    with opened(browser, served, "rate") as page:
        page.wait_for_selector("text=Curve 1 of 6")
        curves = ask(served, "rate", "curves", first="rate", many=6)["curves"]
        for curve in curves:
            right = ask(served, "rate", "sort", trial=curve["trial"], answer="good")["verdict"]
            page.locator(f"input[name=sort][value='{right}']").check()
            page.click("button:has-text('Answer')")
            page.wait_for_selector(".told.right:has-text('with a rate of')")
            page.click("button:has-text('Next')")
        page.wait_for_selector("text=6 of 6 as the doctor says")


def test_flattery_is_guessed(browser, served):
    key = ask(served, "honest", "second_look", points=0)["key"]
    for guess, good in ((key, True), (90, False)):
        with opened(browser, served, "honest") as page:
            page.fill("input[name=points]", str(guess))
            page.click("button:has-text('Commit and simulate')")
            page.wait_for_selector(f".told.{'right' if good else 'wrong'}")


def test_a_search_by_hand_is_compared(browser, served):
    with opened(browser, served, "search") as page:
        for place in range(3):
            page.wait_for_selector(f"h3:has-text('Round {place + 1} of 3')")
            for tried in range(6):
                page.locator("button:has-text('Try')").first.click()
                page.wait_for_selector(f"text={tried + 1} of 6 tried")
            if place < 2:
                page.click("button:has-text('Next round')")
        page.wait_for_selector("text=Was it real?")
        assert page.locator("th:has-text('Round')").count() == 3


def test_texts_are_told_apart_and_little_is_forgotten(browser, served):
    with opened(browser, served, "texts") as page:
        page.wait_for_selector("text=Which was written after")
        for place in range(3):
            good = ask(served, "texts", "which", pair=place, after=0)["right"]
            page.click(f"button[aria-label='Text {1 if good == (place != 1) else 2} was written after']")
            told(page, right=place != 1)
            page.click("button:has-text('Next')")
        page.wait_for_selector("text=2 of 3 were told apart")
        slide(page, "Steps", 5)
        slide(page, "Rate, on a logarithmic scale", -2)
        page.click("button:has-text('Adapt')")
        page.wait_for_selector(".told.wrong:has-text('It gained too little')")


def test_the_exercise_is_done_without_code(browser, served):
    def choose(name, value, words):
        page.locator(f"input[name={name}][value='{value}']").check()
        page.locator(f"button:has-text('{words}')").first.click()

    with opened(browser, served, "bees") as page:
        page.wait_for_selector("text=pairs that show the same")
        choose("split", "groups", "Split")
        page.wait_for_selector(".told.right:has-text('divides')")
        page.click("button:has-text('Train it')")
        page.wait_for_selector("text=What would you say of its curve")
        choose("curve", ask(served, "bees", "read", answer="good")["verdict"], "Answer")
        page.wait_for_selector(".told.right:has-text('The doctor says')")
        page.click("button:has-text('Read the first report')")
        for place in range(5):
            page.wait_for_selector(f"input[name=fault-{place}]")
            name = ask(served, "bees", "found", place=place, answer="matrix")["name"]
            choose(
                f"fault-{place}",
                name if place else next(each for each in ("scale", "copies") if each != name),
                "Say what",
            )
            page.wait_for_selector(f"h4:has-text('Report {place + 1}') ~ .told")
            if place < 4:
                page.click("button:has-text('Next report')")
        page.wait_for_selector("text=4 of 5 faults found")
        choose("change", "worse", "Commit and train")
        page.wait_for_selector("table:has-text('You said')")
        choose("doctor", "better", "Call the doctor")
        page.wait_for_selector("text=The doctor says >> nth=1")
        choose("exam", "better", "Open the exam")
        page.wait_for_selector("td:has-text('pretrained')")


def test_transfer_is_read_off_and_destroyed(browser, served):
    needed = ask(served, "transfer", "reading", examples=1)["needed"] or 1000
    with opened(browser, served, "transfer") as page:
        page.wait_for_selector("button:has-text('Answer'):enabled")
        page.fill("input[name=examples]", "0.5")
        page.click("button:has-text('Answer')")
        told(page, right=False)
        page.fill("input[name=examples]", str(needed))
        page.click("button:has-text('Answer')")
        page.wait_for_selector(".told.right")
        page.locator("label:has-text('100 ×') input").check()
        page.click("button:has-text('Fine-tune')")
        page.wait_for_selector("text=What was learned before")


def test_the_stages_are_told(browser, served):
    with opened(browser, served, "loop") as page:
        page.click("button:has-text('Monitor')")
        page.wait_for_selector("text=gets a name")


@pytest.mark.parametrize("name", NAMES)
def test_no_lesson_scrolls_sideways(browser, served, name):
    with opened(browser, served, name) as page:
        page.wait_for_selector("#app h2")
        waits = page.locator("#app").get_by_text(re.compile("your examples…|the pictures…"))
        sync_api.expect(waits).to_have_count(0, timeout=LONG_MS)
        for width in (320, 390, 1280):
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / f"{name}-{width}.png", full_page=True)


def test_a_page_that_is_open_while_the_server_ends_and_begins_again_says_how_to_go_on(chromium, tmp_path):
    runs = unpack("table", tmp_path / "runs").parent
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    with serving(runs, lessons=COMPUTES) as first:
        page.goto(first.access.address)
        page.wait_for_url(f"http://{first.host}/")  # to which the first page goes on by itself
        page.goto(f"http://{first.host}/learn/descent?study=demo")
        page.wait_for_selector("button:has-text('This way')", timeout=LONG_MS)
    page.click("button:has-text('This way')")
    page.wait_for_selector("text=The server does not answer")
    page.click("#quiz button:has-text('Test me')")
    page.wait_for_selector("#quiz >> text=The server does not answer")
    with serving(runs, lessons=COMPUTES, asked_port=first.port) as second:
        assert second.port == first.port
        page.click("button:has-text('This way')")
        page.wait_for_selector("text=Open the address that TAME printed")
        context.new_page().goto(second.access.address)
        page.click("button:has-text('This way')")
        page.wait_for_selector("text=1 of 5 predicted", timeout=LONG_MS)
    context.close()


def test_a_study_that_is_deleted_while_its_lesson_is_open_is_said_to_be_gone(chromium, tmp_path):
    study = unpack("table", tmp_path / "runs")
    context = chromium.new_context(viewport={"width": 1100, "height": 900})
    page = context.new_page()
    with serving(study.parent, lessons=COMPUTES) as own:
        page.goto(own.access.address)
        page.wait_for_url(f"http://{own.host}/")
        page.goto(f"http://{own.host}/learn/descent")
        page.wait_for_selector("button:has-text('This way')", timeout=LONG_MS)
        shutil.rmtree(study)
        time.sleep(1.5)  # until the folder is looked at again
        page.click("button:has-text('This way')")
        page.wait_for_selector("text=Load this page again")
        page.reload()
        page.wait_for_selector("text=The demo stands in")
    context.close()


def test_cards_are_turned(browser, served):
    page = browser.new_page()
    page.goto(f"http://{served.host}/learn")
    page.click("button:has-text('Turn over')")
    before = page.inner_text(".flash .verdict")
    page.click("button:has-text('I knew it')")
    page.wait_for_function("before => document.querySelector('.flash .verdict').innerText !== before", arg=before)
    page.close()
