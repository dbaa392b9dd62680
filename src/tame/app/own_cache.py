"""Where what is computed from data is kept between studies."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from tame.core.errors import StorageError


def cache_path() -> Path:
    """Where decoded pictures and features are kept between studies: $TAME_CACHE, or the user's cache folder."""
    given = os.environ.get("TAME_CACHE")
    return Path(given) if given else platformdirs.user_cache_path("tame")


def cache_folder() -> Path:
    """The folder of the cache, created if missing. Raises StorageError if it cannot be created."""
    folder = cache_path()
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as problem:
        raise StorageError(
            f"cannot create the cache folder {folder}: {problem.strerror}; set TAME_CACHE to another folder"
        ) from None
    return folder
