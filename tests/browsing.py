"""Pages in a real browser: whatever is wrong in one fails the test that opened it."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager
from pathlib import Path

from tame.core.recipe import Recipe
from tame.core.records import Decision, Point, curve_event, decision_event

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
NAMES = "MAP evil.test 127.0.0.1, MAP rebound.test 127.0.0.1"  # foreign names that point at this machine
FLAGS = (
    f"--host-resolver-rules={NAMES}", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    "--disable-features=LocalNetworkAccessChecks,HttpsUpgrades",  # new browsers help us; old ones and others do not
)  # fmt: skip
BROKEN = "a rule of the policy is broken"
LISTENER = f"""document.addEventListener("securitypolicyviolation",
  (e) => console.error("{BROKEN}:", e.violatedDirective, e.blockedURI));"""


@contextmanager
def opened(chromium, served, path="/", *, allowed=None, **how):
    """A page of a browser that was let in. Anything that is wrong in it, in its frames or in another tab of it fails
    the test: errors, broken rules of the policy, a request to another place. allowed: a pattern of what the console may
    say."""
    wrong, finished = [], []
    context = chromium.new_context(**how)
    context.add_init_script(LISTENER)
    context.on("weberror", lambda problem: wrong.append(f"error: {problem.error}"))
    context.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
    context.on("request", lambda request: wrong.append(request.url) if not ours(request.url, served) else None)
    page = context.new_page()
    page.goto(served.access.address)
    page.wait_for_url(f"http://{served.host}/")  # which the first page goes on to by itself
    page.on("requestfinished", lambda request: finished.append(request))
    page.goto(f"http://{served.host}{path}")
    page.bytes_of = lambda: sum(request.sizes()["responseBodySize"] for request in finished)
    try:
        yield page
    finally:
        context.close()
    assert [text for text in wrong if BROKEN in text or allowed is None or not re.search(allowed, text)] == []


def ours(url, served):
    return url.startswith((f"http://{served.host}/", "data:", "blob:"))


def fill(study, *, trials, epochs, first=0, piece=1_000):
    """Gives a study trials with curves."""
    events = []
    for number in range(first, first + trials):
        recipe = Recipe().but({"optimizer.lr": 10 ** -(1 + number % 5), "epochs": epochs, "seed": number})
        origin = "default" if number == 0 else "sobol"
        events.append(decision_event(Decision("start", number, f"reason {number}", epochs, recipe, origin)))
        points = [Point(e, 1 / e, 1 / e + 0.01 * (number % 97), 0.5 + 0.4 * e / epochs) for e in range(1, epochs + 1)]
        events.append(curve_event(number, points))
        if len(events) > piece:
            study.keep(*events)
            events = []
    study.keep(*events)


def study_in(served, name=None):
    """The id of the study of this name; without one, of the newest."""
    found = json.loads(served.request("/api/studies")[2])["studies"]
    return next(each["id"] for each in found if name in (None, each["name"]))


def wait_until(claim, seconds=10.0):
    """What the claim says as soon as it is true."""
    end = time.monotonic() + seconds
    while not (found := claim()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.05)
    return found
