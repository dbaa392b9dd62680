"""The one gate to the pages: whatever it does not know is refused, before anything else sees the request.

Loopback is no boundary: any page in the user's browser can send requests to this machine, and a name can be made to
point at it. So a request counts only with our own host, from our own pages, and with a secret that only a browser has
which the user let in. It looks at raw headers and the raw path alone: what a framework makes of them may differ.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException

from tame.pages.access import Access

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

READS, CHANGES = ("GET", "HEAD"), ("POST", "PUT", "DELETE")
HEADER = b"x-tame"  # that our scripts send with a change; others would have to ask first, and are never allowed to
ENTER = b"/enter"
FETCH = (b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
ONCE = (b"host", b"origin", b"cookie", b"content-length", b"content-type", *FETCH, HEADER)
MOST_BODY, MOST_PICTURE = 64 * 1024, 20 * 1024 * 1024
MOST_PATH, MOST_QUERY = 200, 400
_PATH = re.compile(rb"(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)+|/")
_QUERY = re.compile(rb"[A-Za-z0-9_=&.,:+~%-]*")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "media-src 'self' blob:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Of the report, which a stranger may have written: no scripts, no forms, no names of this page's origin.
FRAMED = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
    (b"permissions-policy", b"camera=(self), microphone=(), geolocation=(), payment=(), usb=()"),
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not let in."""

    status: int
    words: str


class Guard:
    """An ASGI application that lets the right requests through to another. port: that it is reached at."""

    def __init__(self, app: App, access: Access, *, port: int) -> None:
        self._app, self._access = app, access
        self._hosts = frozenset(f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # such as a WebSocket, which no rule of the browser keeps a foreign page from
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self.refusal(scope)
        if refusal is not None:
            await _answer(send, refusal)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": _with_ours(message.get("headers", ()))}
            await send(message)

        await self._app(scope, _Limited(receive, most_of(scope)), with_headers)

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why a request is refused; None if it is let in."""
        headers: list[tuple[bytes, bytes]] = [(bytes(k).lower(), bytes(v)) for k, v in scope["headers"]]
        given = dict(headers)
        doubled = [name for name in ONCE if sum(k == name for k, _ in headers) > 1]
        if given.get(b"host") not in self._hosts or b"host" in doubled:
            return Refusal(421, "this is not the address of these pages")
        if doubled:
            return Refusal(400, f"the header {doubled[0].decode()} is there twice")
        method = str(scope["method"])
        if method not in (*READS, *CHANGES):
            return Refusal(405, "no such method")
        path, query = bytes(scope.get("raw_path") or b""), bytes(scope.get("query_string") or b"")
        if len(path) > MOST_PATH or len(query) > MOST_QUERY or not _PATH.fullmatch(path) or not _QUERY.fullmatch(query):
            return Refusal(400, "no such address")
        return _foreign(method, path, given) or _body(scope, method, given) or self._locked(path, given)

    def _locked(self, path: bytes, given: dict[bytes, bytes]) -> Refusal | None:
        if path == ENTER or self._access.is_known(given.get(b"cookie", b"")):
            return None
        return Refusal(401, "open the address that TAME printed in the terminal: it lets this browser in, once")


def _foreign(method: str, path: bytes, given: dict[bytes, bytes]) -> Refusal | None:
    """Why a request does not come from our own pages."""
    ours = b"http://" + given[b"host"]
    origin, site = given.get(b"origin"), given.get(b"sec-fetch-site", b"none" if method in READS else b"same-origin")
    if origin is not None and origin != ours:
        return Refusal(403, "this request comes from another page")
    if method in READS:
        is_welcome = site in (b"same-origin", b"none") or _enters(method, path, given)
        return None if is_welcome else Refusal(403, "this request comes from another page")
    if site != b"same-origin" or origin is None:
        return Refusal(403, "this request does not say that it comes from these pages")
    proved = hmac.compare_digest(given.get(HEADER, b""), b"1")
    return None if proved else Refusal(403, "this request does not come from our scripts")


def _enters(method: str, path: bytes, given: dict[bytes, bytes]) -> bool:
    """Whether a tab as a whole goes to the address that lets in, as from our own file or a link in a terminal: the
    token is the proof there, wherever the tab was before."""
    goes = given.get(b"sec-fetch-mode") == b"navigate" and given.get(b"sec-fetch-dest") == b"document"
    return method == "GET" and path == ENTER and goes


def _body(scope: Scope, method: str, given: dict[bytes, bytes]) -> Refusal | None:
    """Why the body of a request is not read."""
    kind = given.get(b"content-type", b"").split(b";")[0].strip().lower()
    if kind.startswith((b"multipart/", b"application/x-www-form-urlencoded")):
        return Refusal(415, "forms are not read here")
    length = given.get(b"content-length", b"0")
    if not re.fullmatch(rb"[0-9]{1,12}", length):
        return Refusal(400, "the length of the body is not a number")
    return Refusal(413, "the body is too long") if int(length) > most_of(scope) else None


def most_of(scope: Scope) -> int:
    """The bytes that the body of a request may have."""
    if scope["method"] in READS:
        return 0
    return MOST_PICTURE if scope["method"] == "PUT" else MOST_BODY  # nothing else is put


class _Limited:
    """The body of a request, of which no more than so many bytes are read, whatever its length was said to be."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._left -= len(message.get("body", b""))
            if self._left < 0:
                raise HTTPException(413, "the body is too long")
        return message


def _with_ours(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers of an answer with ours; one with a policy of its own keeps that."""
    own = [(bytes(name).lower(), bytes(value)) for name, value in headers]
    names = {name for name, _ in own}
    ours = [*HEADERS, (b"content-security-policy", POLICY.encode())]
    return [*own, *(each for each in ours if each[0] not in names)]


async def _answer(send: Send, refusal: Refusal) -> None:
    body = f"{refusal.words}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    # What is refused may have a body that nobody reads, so the connection is not used again.
    ours = _with_ours([*headers, (b"connection", b"close")])
    await send({"type": "http.response.start", "status": refusal.status, "headers": ours})
    await send({"type": "http.response.body", "body": body})
