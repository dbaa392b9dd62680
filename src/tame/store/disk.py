"""Small things about files that must outlive a crash."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

from tame.core.errors import StorageError

# Full, over a quota, over the size that a file may have, unreadable, read-only.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
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
