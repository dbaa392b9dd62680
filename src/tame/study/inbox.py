"""The inbox of a study: what its user asks for while it runs, one small file each, until the study takes it up.

A folder may come from a stranger, and so may the files in it: a request counts only with a proof that this user made it
for this study. Whoever makes one and whoever takes it up need the user's key, which lies in no study.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from tame.core.edits import Edit, check_edit
from tame.core.errors import RefusedError, StorageError, TameError, require, unknown
from tame.core.files import own_folder, read_bytes, require_own_folder, write_text
from tame.core.options import write_time
from tame.core.plain import from_plain, to_plain
from tame.study.events import Asked, Wish

ASKED = "asked"
MOST_BYTES = 64 * 1024  # of a request
MOST_FILES = 64  # that are looked at
MOST_S = 7 * 86_400.0  # that are added at once
_NAME = re.compile(r"[a-z_]{2,8}(-[0-9a-f]{12})?\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    """By which a request is known as this user's, for this study. key: the user's own; study: the study's random id."""

    key: bytes
    study: str

    def of(self, wish: Asked) -> str:
        """The proof of a request."""
        text = json.dumps([self.study, to_plain(wish)], sort_keys=True)
        return hmac.new(self.key, text.encode("utf-8", "backslashreplace"), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealed:
    asked: Asked
    proof: str


def wish_of(
    what: Wish, *, seconds: float | None = None, code: str | None = None, texts: tuple[str, ...] | None = None,
    edit: Edit | None = None,
) -> Asked:  # fmt: skip
    """A request with an id of its own. Raises UsageError or DataError for one that says too little or too much."""
    known = get_args(Wish)
    require(what in known, unknown("request", what, known))
    given = {"time": seconds, "mute": code, "space": texts, "edit": edit}
    for name, value in given.items():
        fits = (value is not None) == (what == name)
        require(fits, f"{what} does not say what" if what == name else f"{what} goes without what {name} says")
    if seconds is not None:
        good = 0 < seconds <= MOST_S
        require(good, f"at least a moment and at most {write_time(MOST_S)[0]} can be added, got {seconds:g} s")
    if edit is not None:
        check_edit(edit)
    return Asked(id=secrets.token_hex(16), what=what, seconds=seconds, code=code, texts=texts, edit=edit)


def ask(folder: Path, wish: Asked, seal: Seal) -> bool:
    """Puts a request into a study's inbox. Returns whether it is a new one: what waits already is not asked twice.

    Raises StorageError where it cannot be written, RefusedError for a link.
    """
    try:
        own_folder(folder, ASKED)
        name = _name_of(wish)
        if os.path.lexists(folder / ASKED / name):
            return False
        write_text(folder, f"{ASKED}/{name}", json.dumps({"asked": to_plain(wish), "proof": seal.of(wish)}) + "\n")
    except OSError as problem:
        raise StorageError(f"nothing can be asked of {folder}: {problem.strerror or problem}") from None
    return True


@dataclass(frozen=True, slots=True)
class Waiting:
    """A request in the inbox, or why it is none."""

    name: str
    wish: Asked | None
    problem: str = ""


def waiting(folder: Path, seal: Seal) -> list[Waiting]:
    """The requests that wait, in the order in which they came. Raises RefusedError where the inbox is a link."""
    require_own_folder(folder / ASKED)
    try:
        names = [entry.name for entry in os.scandir(folder / ASKED) if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    came = sorted((_came(folder, name), name) for name in names[:MOST_FILES])
    return [_read(folder, name, seal) for _, name in came]


def is_anything_waiting(folder: Path) -> bool:
    """Whether the inbox holds a file; cheap enough to be asked all the time."""
    try:
        with os.scandir(folder / ASKED) as entries:
            return any(not entry.name.startswith(".") for entry in entries)
    except OSError:
        return False


def remove(folder: Path, name: str) -> None:
    """Takes a file out of the inbox; a folder that somebody put there stays."""
    with suppress(OSError):
        os.unlink(folder / ASKED / name)


def _read(folder: Path, name: str, seal: Seal) -> Waiting:
    try:
        require(_NAME.fullmatch(name) is not None, f"{name!r} is not the name of a request", error=RefusedError)
        content = read_bytes(folder, f"{ASKED}/{name}", most=MOST_BYTES)
        sealed = from_plain(_Sealed, json.loads(content), what=f"{ASKED}/{name}")
        own = hmac.compare_digest(seal.of(sealed.asked), sealed.proof)
        require(own, "it was not asked by this user of this study", error=RefusedError)
        wish = sealed.asked
        wish_of(wish.what, seconds=wish.seconds, code=wish.code, texts=wish.texts, edit=wish.edit)
    except FileNotFoundError:
        return Waiting(name, None)
    except (OSError, ValueError, TypeError, RecursionError, TameError) as problem:
        said = problem.strerror if isinstance(problem, OSError) else problem
        return Waiting(name, None, str(said))
    return Waiting(name, wish)


def _came(folder: Path, name: str) -> int:
    try:
        return os.lstat(folder / ASKED / name).st_mtime_ns
    except OSError:
        return 0


def _name_of(wish: Asked) -> str:
    """The same for the same request, so that two pages which ask at once ask once."""
    if wish.what not in ("mute", "space", "edit"):
        return f"{wish.what}.json"
    # The same edit may be made, taken back and made again before the study looks.
    own = wish.id if wish.what == "edit" else json.dumps([wish.code, wish.texts])
    return f"{wish.what}-{hashlib.sha256(own.encode('utf-8', 'backslashreplace')).hexdigest()[:12]}.json"
