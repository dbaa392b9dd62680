"""Pages that are served for a test, and requests as they lie on the wire."""

from __future__ import annotations

import socket
import threading
import time
import zipfile
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tame.pages.access import Access
from tame.pages.serve import bound, configured
from tame.pages.server import Settings, application

OLD = Path(__file__).parent / "data" / "old_studies"
KEY = b"k" * 32


@dataclass
class Served:
    """A server, its address, and the cookie of a browser that was let in. answered: method, address and status of each
    request."""

    port: int
    access: Access
    folder: Path
    answered: list[tuple[str, str, int]] = field(default_factory=list)
    stop: Callable[[], None] = lambda: None

    @property
    def cookie(self):
        return self.access.cookie.split(";")[0]

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def raw(self, request: bytes, *, timeout=10.0) -> bytes:
        """What the server answers to these bytes, until it closes the connection or says no more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as own:
            with suppress(OSError):  # it has hung up on a body that it does not want
                own.sendall(request)
            found = b""
            while True:
                try:
                    part = own.recv(65536)
                except (TimeoutError, OSError):
                    return found
                if not part:
                    return found
                found += part

    def request(
        self, path="/", *, method="GET", body=b"", host=None, cookie=True, timeout=10.0, **headers
    ) -> tuple[int, dict, bytes]:
        """Status, headers and body. Headers with underscores in place of dashes."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host if host is None else host}", "Connection: close"]
        lines += [f"Cookie: {self.cookie}"] if cookie else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}"] if body or method not in ("GET", "HEAD") else []
        return parsed(self.raw("\r\n".join([*lines, "", ""]).encode("latin-1") + body, timeout=timeout))

    def change(self, path, body=b"", **headers):
        """A change as our own scripts make it."""
        own = {"Origin": f"http://{self.host}", "X_Tame": "1", "Sec_Fetch_Site": "same-origin",
               "Content_Type": "application/json"}  # fmt: skip
        return self.request(path, method="POST", body=body, **{**own, **headers})


def parsed(answer: bytes) -> tuple[int, dict, bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunked(body)
    return int(lines[0].split()[1]) if lines[0] else 0, headers, body


def unchunked(body: bytes) -> bytes:
    found = b""
    while body:
        size, _, rest = body.partition(b"\r\n")
        count = int(size or b"0", 16)
        if not count:
            break
        found, body = found + rest[:count], rest[count + 2 :]
    return found


def unpack(name: str, folder: Path) -> Path:
    """A study of an earlier version, in the folder under its name."""
    with zipfile.ZipFile(OLD / f"{name}.zip") as archive:
        archive.extractall(folder)
    return next(path.parent for path in folder.rglob("study.db") if name in str(path))


def noting(app, answered):
    """The same application, and what it answered."""

    async def noted(scope, receive, send):
        async def told(message):
            if message["type"] == "http.response.start":
                path = (scope["raw_path"] + b"?" + scope["query_string"]).decode("latin-1")
                answered.append((scope["method"], path, message["status"]))
            await send(message)

        await app(scope, receive, told)

    return noted


@contextmanager
def serving(folder: Path, *, key: bytes | None = KEY, asked_port: int = 0, **settings):
    """The pages of a folder, until the end of the block."""
    own = bound(asked_port)
    port = own.getsockname()[1]
    access = Access(port, used=lambda again: None)
    served = Served(port, access, folder)
    app = application(Settings(folders=(folder,), key=key, **settings), access, port=port)
    server = configured(noting(app, served.answered))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
    thread.start()

    def stop():
        server.should_exit = True
        thread.join(10)

    served.stop = stop
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.02)
    try:
        yield served
    finally:
        served.stop()
