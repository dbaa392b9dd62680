"""What the pages tell of studies: what their events say, soon, and nothing of the sealed part too early."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from browsing import wait_until
from served_pages import KEY, serving, unpack
from tame.core.config import StudyConfig
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Finding, Point, curve_event, decision_event
from tame.core.result import Result
from tame.pages.library import Library, Shelf
from tame.pages.serve import PORTS, bound
from tame.study.events import SealOpened
from tame.study.inbox import Seal, waiting
from tame.study.live import Live, Spent
from tame.study.record import open_record
from tame.study.session import begin
from tame.study.state import Silent, read_state


def test_only_studies_that_go_on_are_kept_open(running, tmp_path):
    for name in ("stopped", "table"):
        unpack(name, tmp_path / name).rename(tmp_path / "runs" / name)
    library = Library((tmp_path / "runs",), store_of=lambda folder: None)
    for _ in range(2):
        for shelf in library.shelves():
            shelf.look()
        is_open = {shelf.folder.name: shelf.follower._record is not None for shelf in library.shelves()}
        assert is_open == {"alive": True, "stopped": False, "table": False}
    shelf = next(shelf for shelf in library.shelves() if shelf.folder.name == "stopped")
    before = shelf.followed.seq
    with closing(open_record(shelf.folder, read_only=False)) as record:
        assert [event.id for event in record.each()][-1] == before
        record.append([Event("stopped", {"used_s": 1.0})])
    shelf.look()
    assert (shelf.problem, shelf.followed.seq) == ("", before + 1)
    assert shelf.follower._record is None
    library.close()


def ids(own):
    return {each["name"]: each["id"] for each in json.loads(own.request("/api/studies")[2])["studies"]}


def state(own, study):
    return json.loads(own.request(f"/api/s/{study}/state")[2])


def events(own, study, *, after=0, seconds=2.0):
    """The messages of the stream within so many seconds."""
    head = f"GET /api/s/{study}/events?after={after} HTTP/1.1\r\nHost: {own.host}\r\nCookie: {own.cookie}\r\n\r\n"
    found = b""
    with socket.create_connection(("127.0.0.1", own.port), timeout=0.2) as stream:
        stream.sendall(head.encode())
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                found += stream.recv(1 << 20)
            except TimeoutError:
                continue
    return messages(found.decode("utf-8", "replace"))


def messages(text):
    own = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            own.append((fields.get("event"), fields.get("id"), json.loads(fields["data"])))
    return own


@pytest.fixture
def live():
    """What the running study's process says, by the name of its study."""
    return {}


@pytest.fixture
def running(tmp_path, live):
    """A study whose process lives, with a few trials."""
    with begin(StudyConfig(data="x", out=str(tmp_path / "runs" / "alive"), time_s=60.0), Silent()) as study:
        speaker = live["speaker"] = Live(study.folder, lambda: Spent(used_s=3.0, given_s=60.0))
        speaker.phase("stage 3 of 6: searching 4 dimensions")
        for number, rate in enumerate((0.1, 0.01, 1.0)):
            recipe = Recipe().but({"optimizer.lr": rate, "epochs": 8})
            origin = "default" if number == 0 else "sobol"
            study.keep(decision_event(Decision("start", number, f"reason {number}", 4, recipe, origin)))
        for number in range(3):
            points = [Point(epoch, 0.5, (number + 1) / epoch, 0.5 + 0.1 * epoch) for epoch in range(1, 5)]
            study.keep(curve_event(number, points))
        yield study
        speaker.close()


def test_old_studies_are_listed_with_what_they_say(tmp_path):
    for name in ("table", "stopped"):
        unpack(name, tmp_path / name)
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("table", "stopped"):
        source = next((tmp_path / name).rglob("study.db")).parent
        shutil.move(source, runs / name)
    (runs / "no study").mkdir()
    (runs / "linked").symlink_to(runs / "table")
    with serving(runs) as own:
        known = ids(own)
        assert sorted(known) == ["stopped", "table"]
        view = state(own, known["table"])["view"]
        _, kept = read_state(runs / "table")
        result = Result.from_json(kept.result)
        assert view["life"] == "finished"
        assert view["score"]["value"] == result.score.value
        assert view["seal"]["open"]
        assert state(own, known["stopped"])["view"]["life"] in ("stopped", "killed")
        assert "tame resume" in state(own, known["stopped"])["view"]["next"]["command"]
        page = own.request(f"/s/{known['table']}")[2].decode()
        assert view["score"]["words"] in page, "the first HTML holds it without a script"


def test_what_is_copied_into_a_shell_is_quoted(running):
    """A cost matrix has what a shell takes for a redirection, and an event of a stranger may hold anything."""
    costs = Recipe().but({"loss.costs": "yes>no=2, no>yes=1"})
    running.keep(decision_event(Decision("start", 90, "tried", 4, costs, "sobol")))
    foreign = Recipe().flat() | {"optimizer.name": "adamw; touch owned #"}
    own = decision_event(Decision("start", 91, "tried", 4, Recipe(), "sobol"))
    running.keep(Event(own.kind, {**own.data, "recipe": foreign}))
    with serving(running.folder.parent) as served:
        study = ids(served)["alive"]
        said = [json.loads(served.request(f"/api/s/{study}/trial/{number}")[2])["command"] for number in (90, 91)]
    words = [[each for each in shlex.split(one) if each != "--set"] for one in said]
    assert "loss.costs=yes>no=2, no>yes=1" in words[0]
    assert "optimizer.name=adamw; touch owned #" in words[1]


def test_nothing_is_taken_in_while_a_study_is_read():
    """Of a study that grows, a view is made of one state of it."""

    class Growing:
        def __init__(self):
            self.followed = SimpleNamespace(begun_at="", rows={0: 0}, state=SimpleNamespace(opened=None))

        def catch_up(self):
            self.followed.rows[len(self.followed.rows)] = 0
            return True

        def rest(self):
            pass

    shelf = Shelf("1", Path("nothing"), Growing())
    other = threading.Thread(target=shelf.look)

    def build(own):
        for _ in own.followed.rows:
            other.start()
            other.join(timeout=0.2)
        return len(own.followed.rows)

    assert shelf.read(build) == 1
    other.join()
    assert len(shelf.followed.rows) == 2


def test_a_running_study_is_told_as_it_is(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        view = state(own, study)["view"]
        assert view["life"] == "training"
        assert view["stage"] == "T"
        assert view["best"]["trial"] == 0
        assert view["best"]["loss"] == 0.25
        assert view["trials"] == 3
        assert view["epochs"] == 12
        assert view["now"] == "searching 4 dimensions"
        assert view["clock"]["given_s"] == 60.0
        assert not view["seal"]["open"]
        rows = json.loads(own.request(f"/api/s/{study}/trials?sort=loss")[2])["rows"]
        assert [row["number"] for row in rows] == [0, 1, 2]
        rows = json.loads(own.request(f"/api/s/{study}/trials?sort=number&down=1&first=1&most=1")[2])
        assert (rows["count"], [row["number"] for row in rows["rows"]]) == (3, [1])
        detail = json.loads(own.request(f"/api/s/{study}/trial/2")[2])
        assert detail["command"] == "--set optimizer.lr=1.0"
        assert detail["points"] == [[epoch, 0.5, 3 / epoch, 0.5 + 0.1 * epoch] for epoch in range(1, 5)]
        curves = json.loads(own.request(f"/api/s/{study}/curves?field=metric")[2])
        assert curves["best"] == 0
        assert [one["trial"] for one in curves["curves"]] == [0, 1, 2]
        assert own.request(f"/api/s/{study}/curves?field=secret")[0] == 400
        assert own.request(f"/api/s/{study}/trial/99")[0] == 404
        assert own.request("/api/s/0000000000000000/state")[0] == 404


def test_an_event_is_told_within_a_second_and_none_twice(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        before = events(own, study)
        last = next(int(number) for kind, number, _ in reversed(before) if kind == "lines")
        told = [line["id"] for kind, _, lines in before if kind == "lines" for line in lines]
        running.keep(Event("finding", Finding("overfitting", "it overfits", "warning", {}, trial=1).to_json()))
        fresh = events(own, study, after=last, seconds=1.5)
        again = [line for kind, _, lines in fresh if kind == "lines" for line in lines]
        assert [line["words"] for line in again] == ["It overfits."]
        assert not set(told) & {line["id"] for line in again}
        assert told == sorted(set(told))


def test_points_are_told_before_they_are_stored(running, live):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        speaker = live["speaker"]
        speaker.point(1, Point(5, 0.1, 0.2, 0.9))  # as the ring has it when the page is opened
        later = threading.Timer(0.8, lambda: (speaker.point(1, Point(6, 0.1, 0.2, 0.9)), speaker.beat()))
        later.start()
        told = [each["points"] for kind, _, each in events(own, study, seconds=2.5) if kind == "live"]
        assert [1, 6, 0.1, 0.2, 0.9, None] in [point for points in told for point in points]


def test_watching_keeps_no_lock_on_the_store(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        watcher = threading.Thread(target=events, args=(own, study), kwargs={"seconds": 3.0})
        watcher.start()
        waits = []
        for epoch in range(5, 35):
            begun = time.monotonic()
            running.keep(curve_event(0, [Point(epoch, 0.1, 0.1, 0.9)]))
            waits.append(time.monotonic() - begun)
            time.sleep(0.05)
        watcher.join()
        assert max(waits) < 5.0


def test_a_request_lands_in_the_inbox_with_a_proof(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        status, _, body = own.change(f"/api/s/{study}/ask", json.dumps({"what": "time", "seconds": 120}).encode())
        assert status == 202, body
        seal = Seal(key=KEY, study=running.state.opened.id)
        (found,) = waiting(running.folder, seal)
        assert (found.wish.what, found.wish.seconds) == ("time", 120)
        status, _, body = own.change(f"/api/s/{study}/ask", json.dumps({"what": "time", "seconds": 120}).encode())
        assert b"already" in body
        for bad in (b"", b"[]", b"{", b'{"what": "rm"}', b'{"what": "time"}', b'{"what": ["stop"]}', b'"stop"'):
            assert own.change(f"/api/s/{study}/ask", bad)[0] in (400, 409), bad
        assert len(waiting(running.folder, seal)) == 1


def test_nothing_can_be_asked_of_pages_that_only_show_or_of_a_study_that_nobody_works_on(running, tmp_path):
    with serving(running.folder.parent, is_read_only=True) as own:
        assert own.change(f"/api/s/{ids(own)['alive']}/ask", b'{"what": "stop"}')[0] == 403
    folder = unpack("stopped", tmp_path / "old")
    with serving(folder.parent) as own:
        (study,) = ids(own).values()
        assert own.change(f"/api/s/{study}/ask", b'{"what": "stop"}')[0] == 409


def test_nothing_of_the_sealed_part_is_told_before_it_is_opened(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        paths = [
            "/", f"/s/{study}", f"/s/{study}/trials", f"/s/{study}/report", "/api/studies", f"/api/s/{study}/state",
            f"/api/s/{study}/curves", f"/api/s/{study}/trials", f"/api/s/{study}/trial/0",
        ]  # fmt: skip
        for path in paths:
            body = own.request(path)[2].decode()
            assert '"score": {' not in body
        assert "sealed" in state(own, study)["view"]["seal"]["words"]
        running.keep(SealOpened(n=100, trial=0, used_s=5.0))
        assert state(own, study)["view"]["seal"]["open"]


def test_a_study_whose_process_was_killed_says_so(running, live):
    live["speaker"].close()
    with serving(running.folder.parent) as own:
        view = state(own, ids(own)["alive"])["view"]
        assert view["life"] == "killed"
        assert view["next"]["words"].startswith("Nothing was lost")
        assert view["ask"] == []


def test_a_damaged_study_keeps_its_row_and_says_why(tmp_path):
    folder = unpack("table", tmp_path)
    content = bytearray((folder / "study.db").read_bytes())
    content[5000:9000] = b"\xff" * 4000
    (folder / "study.db").write_bytes(bytes(content))
    with serving(folder.parent) as own:
        (view,) = json.loads(own.request("/api/studies")[2])["studies"]
        assert view["problem"]
        assert own.request(f"/s/{view['id']}")[0] == 200


def test_a_study_that_is_deleted_while_it_is_watched_says_so(running):
    with serving(running.folder.parent) as own:
        study = ids(own)["alive"]
        assert state(own, study)["view"]["problem"] == ""
        (running.folder / "study.db").rename(running.folder / "away.db")
        assert "is gone" in state(own, study)["view"]["problem"]
        (running.folder / "away.db").rename(running.folder / "study.db")


def test_two_studies_are_compared_only_on_the_same_sealed_examples(tmp_path):
    first = unpack("table", tmp_path / "a")
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("one", "two", "three"):
        shutil.copytree(first, runs / name)
    lines = (runs / "three" / "split.csv").read_text().splitlines()
    (runs / "three" / "split.csv").write_text("\n".join([lines[0], *[f"x{line}" for line in lines[1:]]]))
    with serving(runs) as own:
        known = ids(own)
        page = own.request(f"/compare?a={known['one']}&b={known['two']}")[2].decode()
        assert "No real difference was shown" in page
        page = own.request(f"/compare?a={known['one']}&b={known['three']}")[2].decode()
        assert "tested on different examples" in page
        assert own.request(f"/compare?a={known['one']}")[0] == 404


def test_no_token_is_written_down(tmp_path, capfd):
    """Not in a log, not in an address that a page passes on, not in a file."""
    with serving(tmp_path) as own:
        token, secret = own.access.address.partition("=")[2], own.cookie.partition("=")[2]
        status, headers, body = own.request(f"/enter?token={token}", cookie=False)
        assert status == 200
        assert headers["referrer-policy"] == "no-referrer"
        pages = [own.request(path) for path in ("/", "/teach", "/api/studies", "/file/ui.js", "/nothing")]
        own.raw(b"nonsense\r\n\r\n")
    told = "".join(capfd.readouterr()) + "".join(f"{head}{text}" for _, head, text in pages) + str(body)
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    for word in (token, secret):
        assert word not in told + written


def test_the_token_is_in_no_command_line_and_its_file_is_for_the_owner_only(tmp_path):
    """Whoever can list processes would be let in first. The browser is a script that says what it was given."""
    browser, given = tmp_path / "browser", tmp_path / "given"
    browser.write_text(f'#!/bin/sh\necho "$@" > {given}.part\nmv {given}.part {given}\n')
    browser.chmod(0o700)
    code = "import sys; from pathlib import Path; from tame.pages.serve import serve; from tame.pages.server import "
    code += "Settings; serve(Settings(folders=(Path(sys.argv[1]),), key=None), port=0, browser=True, say=print)"
    environment = {**os.environ, "BROWSER": f"{browser} %s", "PYTHONUNBUFFERED": "1", "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as own:
        address = own.stdout.readline().strip()
        wait_until(given.exists)
        said = given.read_text().strip()
        page = Path(urlsplit(said).path)
        assert said.startswith("file://")
        assert address.partition("=")[2] not in said
        assert f'content="0; url={address}"' in page.read_text()
        assert [path.stat().st_mode & 0o777 for path in (page, page.parent)] == [0o600, 0o700]
        own.send_signal(signal.SIGINT)
        own.wait(timeout=20)
    assert not page.parent.exists()


def test_the_server_loads_nothing_large():
    """Each of these takes seconds on a slow machine before the address is printed, and dozens of megabytes."""
    large = "{'torch', 'sklearn', 'scipy', 'pyarrow', 'optuna'}"
    code = f"import sys, tame.pages.server; print(sorted({large} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_empty_folder_says_how_to_begin(tmp_path):
    with serving(tmp_path) as own:
        assert b"tame demo" in own.request("/")[2]


def test_the_next_port_is_taken_where_one_is_in_use():
    with closing(bound(0)) as first:
        port = first.getsockname()[1]
        with closing(bound(port)) as second:
            assert port < second.getsockname()[1] < port + PORTS
            assert second.getsockname()[0] == "127.0.0.1"


_spec = importlib.util.spec_from_file_location("stranger", Path(__file__).parents[1] / "store" / "stranger.py")
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
STRANGERS, stranger = _module.STRANGERS, _module.stranger


@pytest.mark.parametrize("name", STRANGERS)
def test_a_stranger_s_study_is_shown_or_refused_and_leads_nowhere(name, tmp_path):
    study, canaries = stranger(name, tmp_path / "all")
    before = {path.name: path.read_bytes() for path in canaries.rglob("*") if path.is_file()}
    with serving(study.parent) as own:
        answers = [own.request("/"), own.request("/api/studies")]
        for number in ids(own).values():
            paths = ("", "/trials", "/report", "/report.html")
            answers += [own.request(f"/s/{number}{path}") for path in paths]
            paths = ("state", "curves", "trials", "trial/0")
            answers += [own.request(f"/api/s/{number}/{path}") for path in paths]
    assert {status for status, *_ in answers} <= {200, 404, 409}
    assert not [body for *_, body in answers if b"the user's own" in body.replace(b"&#39;", b"'")]
    assert {path.name: path.read_bytes() for path in canaries.rglob("*") if path.is_file()} == before
