"""Requests that are meant to wear the server out, sent to `tame ui` as a process: they are cut, and it serves on."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from served_pages import parsed, unpack
from tame.pages.guard import MOST_BODY, MOST_PICTURE
from tame.pages.serve import MOST_HEAD, SLOW_S

GIGABYTE = 1_000_000_000
MORE_BYTES = 100e6  # by which the memory of the server may grow: a picture of 20 MB, some copies of it
IN_FLIGHT = 16 * 2**20  # that the kernel takes from us and the server has not read


TAKEN = (
    ("POST", "/api/teach/class", MOST_BODY), ("PUT", f"/api/teach/class/{'0' * 12}/{'0' * 64}", MOST_PICTURE),
    ("GET", "/", 0),
)  # fmt: skip


class Process:
    """`tame ui`, and a browser that was let in."""

    def __init__(self, folder):
        words = [sys.executable, "-P", "-m", "tame.app.cli", "ui", str(folder), "--port", "0", "--no-browser"]
        self.own = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.own.stdout.readline().strip()
        self.port = int(self.address.split(":")[2].split("/")[0])
        self.host = f"127.0.0.1:{self.port}"
        status, headers, _ = parsed(self.said(f"GET /enter?{self.address.partition('?')[2]} HTTP/1.1\r\n"))
        assert status == 200
        self.head = (
            f"Host: {self.host}\r\nCookie: {headers['set-cookie'].split(';')[0]}\r\nOrigin: http://{self.host}\r\n"
            "X-Tame: 1\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/octet-stream\r\n"
        )

    def said(self, first, head=None):
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as own:
            own.sendall((first + (head or f"Host: {self.host}\r\n") + "Connection: close\r\n\r\n").encode())
            found = b""
            while part := own.recv(65536):
                found += part
        return found

    def serves(self):
        begun = time.monotonic()
        assert parsed(self.said("GET / HTTP/1.1\r\n", self.head))[0] == 200
        return time.monotonic() - begun

    @property
    def bytes_now(self):
        status = Path(f"/proc/{self.own.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024  # the most that it ever was


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    unpack("table", folder)
    own = Process(folder)
    own.serves()
    yield own
    own.own.send_signal(signal.SIGINT)
    _, said = own.own.communicate(timeout=20)
    assert "Traceback" not in said


def poured(served, head, piece, *, most=GIGABYTE):
    """How many bytes of a body go out before the server hangs up, and what it answered."""
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as own:
        own.sendall(head.encode())
        sent, answer = 0, b""
        while sent < most:
            readable, writable, _ = select.select([own], [own], [], 30)
            if readable:
                with suppress(OSError):
                    answer += own.recv(65536)
                break
            try:
                sent += own.send(piece) if writable else 0
            except OSError:
                break
        with suppress(OSError):
            answer = answer or own.recv(65536)
    return sent, answer


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is read from /proc")
@pytest.mark.parametrize("how", ["said", "in pieces", "said to be short"])
@pytest.mark.parametrize(("method", "path", "most"), TAKEN)
def test_a_body_of_a_gigabyte_is_cut_early_and_takes_no_memory(served, how, method, path, most):
    before = served.bytes_now
    length = {"said": f"Content-Length: {GIGABYTE}\r\n", "in pieces": "Transfer-Encoding: chunked\r\n",
              "said to be short": "Content-Length: 10\r\n"}[how]  # fmt: skip
    piece = b"x" * 65536
    piece = b"10000\r\n" + piece + b"\r\n" if how == "in pieces" else piece
    sent, answer = poured(served, f"{method} {path} HTTP/1.1\r\n{served.head}{length}\r\n", piece)
    assert sent < most + IN_FLIGHT
    statuses = {"said": (413,), "in pieces": (200, 413), "said to be short": (200, 400, 409, 413)}[how]
    assert parsed(answer)[0] in statuses or not answer
    assert served.bytes_now - before < MORE_BYTES
    served.serves()


def test_a_head_that_never_ends_is_cut(served):
    before = served.bytes_now
    sent, answer = poured(served, "GET / HTTP/1.1\r\nX-Long: ", b"x" * 4096)
    assert sent < MOST_HEAD + IN_FLIGHT
    assert parsed(answer)[0] in (400, 431) or not answer
    assert served.bytes_now - before < MORE_BYTES


@pytest.mark.slow
def test_those_who_are_slow_keep_nobody_waiting_and_are_cut(served):
    """More connections than are served at once, each of which sends a byte now and then."""
    with ExitStack() as all_:
        slow = [all_.enter_context(socket.create_connection(("127.0.0.1", served.port))) for _ in range(40)]
        for own in slow:
            own.sendall(b"GET / HTTP/1.1\r\nHost: ")
        assert served.serves() < 5
        end = time.monotonic() + SLOW_S + 10
        while slow and time.monotonic() < end:
            for own in list(slow):
                try:
                    own.sendall(b"x")
                    own.settimeout(0.05)
                    if own.recv(1000) == b"":
                        slow.remove(own)
                except TimeoutError:
                    continue
                except OSError:
                    slow.remove(own)
            time.sleep(0.2)
        assert slow == []
    served.serves()


FORMS = (
    "GET http://{host}/ HTTP/1.1", "GET //{host}/ HTTP/1.1", "GET {host} HTTP/1.1", "GET /../ HTTP/1.1",
    "GET /file/..%2f..%2fguard.py HTTP/1.1", "GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", "GET /file\\ui.js HTTP/1.1",
    "GET /file/ui.js;x HTTP/1.1", "GET /?a=<script> HTTP/1.1", "GET * HTTP/1.1", "CONNECT {host} HTTP/1.1",
    "OPTIONS * HTTP/1.1", "TRACE / HTTP/1.1", "BREW / HTTP/1.1", "PRI * HTTP/2.0", "GET /",
    "\x16\x03\x01\x02\x00\x01\x00", "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
    "GET / HTTP/1.1\r\nHost : evil.example", "GET / HTTP/1.1\r\n Host: evil.example",
    "GET / HTTP/1.1\r\nHost: localhost:{port}@evil.example", "GET / HTTP/1.1\r\nHost: {host}",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_a_request_read_nothing(served, form):
    first = form.format(host=served.host, port=served.port) + "\r\n"
    try:
        answer = served.said(first, served.head)
    except (ConnectionError, TimeoutError):
        answer = b""
    assert b"<h1" not in answer or parsed(answer)[0] in (400, 404)
    assert b"root:" not in answer
    assert answer == b"" or parsed(answer)[0] >= 400
    served.serves()


def test_two_requests_in_one_are_two_requests_each_with_its_own_check(served):
    """What follows the first in the same connection is not believed because the first was."""
    second = "GET /api/studies HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.port), timeout=20) as own:
        own.sendall(f"GET /file/ui.js HTTP/1.1\r\n{served.head}\r\n{second}".encode())
        found = b""
        while part := own.recv(65536):
            found += part
    answers = found.count(b"HTTP/1.1 ")
    assert answers == 2
    assert b"HTTP/1.1 421 " in found
