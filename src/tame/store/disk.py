"""Small things about files that must outlive a crash."""

from __future__ import annotations

import os
from pathlib import Path

from tame.core.errors import StorageError

SAFE = "what was stored before is safe"  # said only of what is there


def sync_folder(folder: Path) -> None:
    """Waits until the folder's own entries (new and renamed files) are on the disk."""
    if os.name != "posix":  # elsewhere folders cannot be opened, and renames are journaled
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def why(error: OSError) -> str:
    """The failure in a few words, without a path."""
    return (error.strerror or str(error)).lower()


def write_private(path: Path, text: str) -> None:
    """Writes a text file in one step, readable by the owner only. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as problem:
        raise StorageError(f"{path} cannot be written: {problem.strerror or problem}") from None
