"""Small things about files that must outlive a crash."""

from __future__ import annotations

import os
from pathlib import Path


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
