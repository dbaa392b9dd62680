"""Files of a study, written in one step; the failures of a disk in plain words."""

from __future__ import annotations

import os
from pathlib import Path

from tame.core.errors import StorageError
from tame.core.files import write_text


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
    """Writes a text file in one step, readable by the owner only; a link that lies there is replaced.

    Raises StorageError, RefusedError where its folder is a link.
    """
    write_inside(path.parent, path.name, text)


def write_inside(folder: Path, name: str, text: str) -> None:
    """Writes a text file of a folder, or of one below it ("model/README.md"), as `write_private` does."""
    try:
        write_text(folder, name, text)
    except OSError as problem:
        raise StorageError(f"{folder / name} cannot be written: {problem.strerror or problem}") from None
