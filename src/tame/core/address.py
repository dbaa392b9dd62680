"""The address of a database that keeps a study's events. It is written into the study's folder, without a password."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlsplit

from tame.core.errors import UsageError, require

FORM = "write postgresql://USER@HOST/DATABASE, and give the password in PGPASSWORD or ~/.pgpass, as for psql"
_SECRETS = {"password", "sslpassword"}  # options of an address that hold one


def require_address(address: object) -> None:
    """Raises UsageError unless this is the address of a PostgreSQL database, without a password.

    No message quotes the address, because a password may be anywhere in one that cannot be read.
    """
    unreadable = f"cannot read the address of the store; {FORM}"
    if not isinstance(address, str) or not address.isprintable() or " " in address:
        raise UsageError(unreadable)
    scheme, mark, rest = address.partition("://")
    require(bool(mark and re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,30}", scheme)), unreadable)
    require(scheme == "postgresql", f"a study cannot be kept in a {scheme} database; {FORM}")
    try:
        parts = urlsplit(address)
        options = {name.lower() for name, _ in parse_qsl(parts.query, strict_parsing=bool(parts.query))}
        has_password = parts.password is not None or bool(options & _SECRETS)
        require(parts.port != 0, unreadable)
    except ValueError:
        raise UsageError(unreadable) from None
    kept = "the address of the store holds a password, which would be written into the study's folder"
    require(not has_password, f"{kept}; {FORM}")
    # With a sign that is not escaped, a piece of a password passes for a host, a port or a database.
    require("#" not in rest and "@" not in parts.path + parts.query, unreadable)


def require_ray_address(address: str) -> None:
    """Raises UsageError unless it is "local", or a host and a port."""
    right = 'give "local" for this machine, or HOST:PORT of the head of a cluster'
    require(not address.startswith("ray://"), f"{address!r:.80} is for Ray's client, which TAME does not use; {right}")
    host, _, port = address.rpartition(":")
    good = re.fullmatch(r"[\w.\[\]:-]+", host, re.ASCII) and port.isdecimal() and 0 < int(port) < 2**16
    require(address == "local" or bool(good), f"{address!r:.80} is no address of a Ray cluster; {right}")
