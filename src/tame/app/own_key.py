"""The key by which this user's own requests are known, on a private list of this user and in no study."""

from __future__ import annotations

import secrets

from tame.app.own_studies import own_list
from tame.core.errors import TameError
from tame.core.files import read_bytes, write_bytes
from tame.study.state import Watcher

NAME, BYTES = "key", 32


def own_key(watcher: Watcher) -> bytes | None:
    """This user's key, made where it is missing; None, with a note, where it can be neither read nor written."""
    folder = own_list("studies").parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            found = read_bytes(folder, NAME, most=BYTES)
        except FileNotFoundError:
            write_bytes(folder, NAME, secrets.token_bytes(BYTES))
            found = read_bytes(folder, NAME, most=BYTES)  # of two processes that made one, the last one's holds
    except (OSError, TameError) as problem:
        watcher.note(f"nothing can be asked of this study while it runs: {folder / NAME} cannot be used ({problem})")
        return None
    return found if len(found) == BYTES else None
