"""Hostile pages in a browser that was let in: they read nothing and change nothing. Each attempt is shown to be one: it
goes through where a server is open to all."""

from __future__ import annotations

import hashlib
import http.server
import threading
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import study_in
from served_pages import serving
from tame.pages.serve import forwarding
from tame.store.ring import RING

LEAST = 36  # attempts that are promised; a place and a way are one
SECRET = "alive"  # the name of the study, which all pages would show
REFUSED = ("", "this is not the address of these pages\n")  # what is read under a rebound name
SITES = ("127.0.0.1", "localhost", "evil.test", "rebound.test")  # each at another port than the pages
PLACES = (*SITES, "rebound to the very port", "a frame without an origin", "a data address")

ATTACK = Path(__file__).with_name("attack.html").read_text()
AROUND = {
    "a frame without an origin": '<iframe sandbox="allow-scripts allow-forms allow-popups" src="/attack"></iframe>',
    "a data address": "<script>fetch('/attack').then((r) => r.text()).then((t) => { const f = "
    "document.createElement('iframe'); f.src = 'data:text/html,' + encodeURIComponent(t); document.body.append(f); })"
    "</script><body></body>",
}


class Listening(http.server.BaseHTTPRequestHandler):
    """What both sites share: every method is answered by one function."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.answer(self)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_GET

    def say(self, body, kind="text/html", status=200, **headers):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def site(answer):
    """A server at a free port; its port."""
    own = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listening)
    own.daemon_threads = True
    own.answer = answer
    thread = threading.Thread(target=own.serve_forever, daemon=True)
    thread.start()
    try:
        yield own.server_address[1]
    finally:
        own.shutdown()
        own.server_close()


def hostile(attack, place):
    """Answers with the attack, for some places in a frame. attack: what it is for the address of this site."""

    def answer(request):
        parts, text = urlsplit(request.path), attack(request.headers["Host"])
        allowed = {"Access_Control_Allow_Origin": request.headers.get("Origin", "*"),
                   "Access_Control_Allow_Credentials": "true"}  # fmt: skip
        if parts.path == "/redirect":
            request.say(b"", status=302, Location=parse_qs(parts.query)["to"][0], **allowed)
        else:
            request.say((AROUND.get(place, text) if parts.path == "/" else text).encode(), **allowed)

    return answer


def attacked(context, host, study, place):
    """What each attempt found, by its name."""
    page = context.new_page()

    def attack(site):
        return ATTACK % {"host": host, "study": study, "site": site}

    with site(hostile(attack, place)) as port:
        start = f"http://{place if place in SITES else 'evil.test'}:{port}/"
        if place == "rebound to the very port":  # the name was that of a foreign machine before, which sent this
            start, sent = f"http://{host}/attack", attack(f"evil.test:{port}")
            context.route(start, lambda route: route.fulfill(body=sent, content_type="text/html"))
        page.goto(start)
        frame = page.main_frame
        if place in AROUND:
            page.wait_for_selector("iframe")
            frame = page.main_frame.child_frames[0]
        frame.wait_for_function("window.done !== undefined", timeout=30_000)
        found = frame.evaluate("window.done")
    page.close()
    return found


def named(url):
    return parse_qs(urlsplit(url).query).get("try", [""])[0]


def kept(folder):
    """All files below a folder, by their content; but what a living study says all the time."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != RING]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_page_in_the_same_browser_reads_and_changes_nothing(chromium, running, place):
    study, _ = running
    runs = study.folder.parent
    with serving(runs, fit=("false",), answers=("false",)) as own, chromium.new_context() as context:
        page = context.new_page()
        page.goto(own.access.address)
        page.wait_for_selector(f"text={SECRET}")
        before, token, cookies = kept(runs), own.access.address, context.cookies()
        host = own.host if "rebound" not in place else f"rebound.test:{own.port}"
        so_far, target = len(own.answered), study_in(own)
        found = attacked(context, host, target, place)
        assert {name: text for name, text in found.items() if text not in REFUSED} == {}
        came = [(named(path), status) for _, path, status in own.answered[so_far:] if named(path)]
        assert {name for name, _ in came} == set(found), "each has arrived"
        assert [each for each in came if each[1] < 400] == []
        assert (kept(runs), own.access.address, context.cookies()) == (before, token, cookies)
        page.reload()
        page.wait_for_selector(f"text={SECRET}")


def test_a_file_of_our_own_lets_the_browser_in(chromium, tmp_path):
    """It comes from a foreign origin, so the cookie is not sent until the first page has gone on by itself."""
    runs = tmp_path / "runs"
    runs.mkdir()
    with serving(runs) as own, chromium.new_context() as context:
        page = context.new_page()
        page.goto(forwarding(own.access.address, tmp_path).as_uri())
        page.wait_for_selector("h1:has-text('Studies')")
        assert page.url == f"http://{own.host}/"
        page.reload()
        page.wait_for_selector("h1:has-text('Studies')")


def test_the_attempts_are_as_many_as_promised_and_each_goes_through_where_all_is_open(chromium):
    """Against a server that lets all in: an attempt that cannot get through there would prove nothing."""
    arrived = set()

    def answer(request):
        origin = request.headers.get("Origin", "*")
        if request.command != "OPTIONS":
            arrived.add(named(request.path))
        kinds = {".js": "text/javascript", ".css": "text/css"}
        path = urlsplit(request.path).path
        body = b"event: state\ndata: alive\n\n" if path.endswith("/events") else b"/* alive */"
        request.say(
            body, kinds.get(path[path.rfind(".") :], "text/event-stream" if path.endswith("/events") else "text/html"),
            Access_Control_Allow_Origin=origin, Access_Control_Allow_Credentials="true",
            Access_Control_Allow_Headers="x-tame, content-type", Access_Control_Allow_Methods="PUT, DELETE, POST, GET",
        )  # fmt: skip

    with site(answer) as port, chromium.new_context() as context:
        found = attacked(context, f"127.0.0.1:{port}", "0" * 16, "localhost")
    assert len(found) * len(PLACES) >= LEAST
    assert set(found) - arrived == set()
    blind = {"beacon", "ping", "form", "form_of_plain_text", "form_of_files", "form_that_reads", "object", "socket"}
    opaque = {"fetch_opaque", "ask_plainly", "ask_in_parting", "new_class", "image", "film", "frame", "frame_of_report"}
    reads = set(found) - blind - opaque - {"guess", "guess_in_a_window", "window"}
    assert {name: found[name] for name in reads if not found[name]} == {}
