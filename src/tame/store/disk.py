"""Files of a study, written in one step; the failures of a disk in plain words."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

from tame.core.errors import StorageError
from tame.core.files import write_text

# Full, over a quota, over the size that a file may have, unreadable, read-only.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
SAFE = "what was stored before is safe"  # said only of what is there


def sync_folder(folder: Path) -> None:
    """Waits until the folder's own entries (new and renamed files) are on the disk."""
    if sys.platform == "win32":  # there folders cannot be opened, and renames are journaled
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def disk_failure(problem: BaseException) -> str | None:
    """In a few words, what failed on the disk; None for a fault of another kind."""
    number = problem.errno if isinstance(problem, OSError) else None
    said = re.search(r"\(os error (\d+)\)", str(problem))  # as libraries in Rust say it
    if number is None and said:
        number = int(said[1])
    return os.strerror(number).lower() if number in DISK_ERRORS else None


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
