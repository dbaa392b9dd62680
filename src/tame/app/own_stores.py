"""Which servers this user keeps studies on, so that a study's folder alone makes TAME connect nowhere."""

from __future__ import annotations

import hashlib
import json
import shlex
from dataclasses import dataclass
from pathlib import Path

from tame.app.own_studies import own_list
from tame.core.address import require_address
from tame.core.errors import RefusedError, TameError, require
from tame.core.files import read_bytes, write_text
from tame.core.plain import from_plain, to_plain
from tame.study.record import SERVER, OnServer, server_of
from tame.study.state import Silent, Watcher


@dataclass(frozen=True, slots=True)
class _Named:
    """The address that this user named for a study."""

    address: str


def store_of(folder: Path, given: str | None = None, *, watcher: Watcher | None = None) -> str | None:
    """The address at which the events of a study are read; None where they are in its folder.

    given: as the user names it now; it is remembered. Raises UsageError where the study uses no server, RefusedError
    where its folder names one that this user has not named.
    """
    kept = server_of(folder)
    if kept is None:
        require(given is None, f"{folder} contains no {SERVER}: its events are in the folder, so leave out --store")
        return None
    if given is not None:
        require_address(given)
        remember_store(kept, given, watcher or Silent())
        return given
    known = _recalled(kept)
    if known is None:
        again = f"tame show {shlex.quote(str(folder))} --store {shlex.quote(kept.address)}"
        raise RefusedError(
            f"the events of {folder} are on a server that you have not named on this machine, so nothing connects to "
            f"it on the folder's word; if that is what you want, name it once: {again}"
        )
    return known


def remember_store(kept: OnServer, address: str, watcher: Watcher) -> None:
    """Remembers where this user keeps a study; a note says where that cannot be done."""
    folder = own_list("stores")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_text(folder, _entry(kept), json.dumps(to_plain(_Named(address))) + "\n")
    except OSError as problem:
        why = problem.strerror or problem
        watcher.note(f"{folder} cannot be written ({why}), so --store will be asked for again; see TAME_STATE")


def _recalled(kept: OnServer) -> str | None:
    try:
        plain = json.loads(read_bytes(own_list("stores"), _entry(kept)))
        address = from_plain(_Named, plain, what="the list of own servers").address
        require_address(address)
    except (OSError, ValueError, TameError):
        return None  # no list that can be read: the address is asked for
    return address


def _entry(kept: OnServer) -> str:
    text = json.dumps([kept.address, kept.study])
    return f"{hashlib.sha256(text.encode()).hexdigest()}.json"
