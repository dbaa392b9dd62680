"""What was measured: a study keeps it, so that it is measured once; a machine caches it in small JSON files.

Whatever is lost, damaged or cannot be written is measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tame.core.errors import StorageError
from tame.core.files import write_text

T = TypeVar("T")


class Measurements:
    """What is known of how long work takes here, by key: what the study holds, else what the machine has cached.

    held: of the study, from before; keep: called with what joins it, so that whoever trains next is told.
    """

    def __init__(
        self, machine: Path, held: Mapping[str, object], keep: Callable[[str, object], None] = lambda key, value: None
    ) -> None:
        self._machine = machine
        self._held = dict(held)
        self._keep = keep

    def recall(self, key: str, read: Callable[[object], T], *, shared: bool = True) -> T | None:
        """The measurement of this key, converted by `read`; None if there is none or it cannot be read.

        shared: whether that of another study on this machine counts; it is then the study's own from here on.
        """
        found = _read(self._held, key, read)
        if found is None and shared:
            cached = read_json(self._machine)
            found = _read(cached, key, read)
            if found is not None:
                self._hold(key, cached[key])
        return found

    def remember(self, key: str, value: object, *, shared: bool = True) -> None:
        """Keeps a measurement, in plain values, for the study and, if `shared`, for the machine."""
        if shared:
            remember(self._machine, key, value)
        self._hold(key, value)

    def _hold(self, key: str, value: object) -> None:
        if key not in self._held or self._held[key] != value:
            self._held[key] = value
            self._keep(key, value)


def recall(path: Path, key: str, read: Callable[[object], T]) -> T | None:
    """The value stored under this key, converted by `read`; None if there is none or it cannot be read."""
    return _read(read_json(path), key, read)


def _read(known: Mapping[str, object], key: str, read: Callable[[object], T]) -> T | None:
    try:
        return read(known[key])
    except (KeyError, TypeError, ValueError, AttributeError, StorageError):
        return None


def remember(path: Path, key: str, value: object) -> None:
    """Stores a value under this key; other keys of the file stay."""
    known = read_json(path)
    if known.get(key) != value:
        write_json(path, {**known, key: value})


def read_json(path: Path) -> dict[str, object]:
    """The object in a JSON file of a cache; empty if there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: dict[str, object]) -> None:
    """Writes a JSON file atomically, readable only by the owner; does nothing if it cannot be written."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_text(path.parent, path.name, json.dumps(value, indent=1, sort_keys=True))
