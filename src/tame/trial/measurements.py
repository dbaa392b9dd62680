"""Small JSON files in which a machine or a study caches measurements.

Whatever is lost, damaged or cannot be written is measured again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from tame.core.errors import StorageError
from tame.core.files import write_text

T = TypeVar("T")


def recall(path: Path, key: str, read: Callable[[object], T]) -> T | None:
    """The value stored under this key, converted by `read`; None if there is none or it cannot be read."""
    try:
        return read(read_json(path)[key])
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
