"""The process of the pages: it listens on this machine alone, on the first free port, and says its address first."""

from __future__ import annotations

import asyncio
import errno
import socket
import sys
import webbrowser
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from tame.core.errors import UsageError
from tame.core.files import write_text
from tame.pages.access import Access
from tame.pages.guard import App
from tame.pages.server import Settings, application, onward

PORT = 8263  # TAME on the keys of a telephone
HOST = "127.0.0.1"
PORTS = 20  # that are tried from the asked one on
MOST_CONNECTIONS = 64
MOST_HEAD = 16 * 1024  # bytes of a request's head
SLOW_S = 10.0  # in which the head of a request must have come


def serve(settings: Settings, *, port: int, start: str = "/", browser: bool, say: Callable[[str], None]) -> None:
    """Serves the pages until Ctrl-C. port: to begin with, 0 for any; browser: whether one is opened; say: prints a line
    on stdout.

    Raises UsageError where no port is free.
    """
    own = bound(port)
    number = own.getsockname()[1]
    if port not in (0, number):
        print(f"port {port} is taken, so the pages are on port {number}", file=sys.stderr)
    access = Access(number, used=lambda again: print(f"for another browser: {again}", file=sys.stderr))
    say(access.address)
    server = configured(application(settings, access, port=number))
    with ExitStack() as until_end:
        if browser:
            folder = until_end.enter_context(TemporaryDirectory(prefix="tame-"))
            if not webbrowser.open(forwarding(access.address, Path(folder)).as_uri()):
                print("no browser was found; open this address in one yourself", file=sys.stderr)
        server.run(sockets=[own])


def forwarding(address: str, folder: Path) -> Path:
    """A file for its owner only that takes a browser to an address.

    The command line of a process can be read by everybody on the machine, so the token must not be in that of the
    browser: another user could be let in first.
    """
    write_text(folder, "enter.html", onward(address))
    return folder.resolve() / "enter.html"


class Connection(H11Protocol):
    """A connection that is closed where the head of a request does not come to its end: a few dozen of them would keep
    everybody else out, and uvicorn has no such limit."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast(asyncio.Transport, transport))
        self._late = self.loop.call_later(SLOW_S, self.transport.abort)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waits = self.cycle is None or self.cycle.response_complete
        if waits and self._late is None:
            self._late = self.loop.call_later(SLOW_S, self.transport.abort)
        elif not waits:
            self._let()

    def connection_lost(self, exc: Exception | None) -> None:
        self._let()
        super().connection_lost(exc)

    def _let(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def configured(app: App) -> uvicorn.Server:
    """The server of an application: small limits, and not a word about itself."""
    config = uvicorn.Config(
        app, log_level="error", access_log=False, server_header=False, date_header=False, http=Connection, ws="none",
        lifespan="on", limit_concurrency=MOST_CONNECTIONS, h11_max_incomplete_event_size=MOST_HEAD,
        timeout_keep_alive=30, timeout_graceful_shutdown=1,
    )  # fmt: skip
    return uvicorn.Server(config)


def bound(port: int) -> socket.socket:
    """A socket on this machine's own address, at the first free port from the asked one on."""
    for number in range(port, port + PORTS) if port else (0,):
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            own.bind((HOST, number))
            own.listen(128)
        except OSError as problem:
            own.close()
            if problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return own
    raise UsageError(f"no port from {port} to {port + PORTS - 1} is free; give another one with --port, or --port 0")
