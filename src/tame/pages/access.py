"""Who may see the pages: a browser that was once opened with the printed address."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable


class Access:
    """A token that lets one browser in, and the secret that this browser keeps in a cookie.

    Cookies ignore ports, so the name has ours in it: two servers do not take each other's away. used: called with a
    new address whenever one has been used, for another browser.
    """

    def __init__(self, port: int, *, used: Callable[[str], None]) -> None:
        self._port, self._used = port, used
        self._token = secrets.token_urlsafe(32)
        self._secret = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The address that lets a browser in, once."""
        return f"http://127.0.0.1:{self._port}/enter?token={self._token}"

    @property
    def cookie(self) -> str:
        """What a browser that was let in is given."""
        return f"{self._name}={self._secret}; Path=/; HttpOnly; SameSite=Strict"

    def enter(self, token: str) -> bool:
        """Whether this token lets a browser in; it does so once."""
        right = hmac.compare_digest(token.encode(), self._token.encode())
        if right:
            self._token = secrets.token_urlsafe(32)
            self._used(self.address)
        return right

    def is_known(self, cookies: bytes) -> bool:
        """Whether a header with cookies has ours."""
        own = [part.strip() for part in cookies.split(b";") if part.strip().startswith(f"{self._name}=".encode())]
        return len(own) == 1 and hmac.compare_digest(own[0], f"{self._name}={self._secret}".encode())

    @property
    def _name(self) -> str:
        return f"tame_{self._port}"
