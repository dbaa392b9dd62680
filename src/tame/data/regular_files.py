"""Opening a file that is somebody else's: a regular one only, of a limited size."""

from __future__ import annotations

import io
import os
import stat

from tame.core.errors import TameError, require

_KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder"}


def open_regular(path: str, *, error: type[TameError], most_bytes: int | None = None) -> io.BufferedReader:
    """A file opened without following a link, waiting for a pipe or touching a device.

    Raises `error` for what is not a regular file or cannot be opened and, where there is a limit, for a file that is
    empty or larger.
    """
    try:
        _require_regular(os.lstat(path).st_mode, error)
        flags = ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
        file = os.fdopen(os.open(path, os.O_RDONLY | sum(getattr(os, flag, 0) for flag in flags)), "rb")
    except OSError as problem:
        raise error(f"cannot be opened: {problem.strerror}") from None
    try:
        found = os.fstat(file.fileno())
        _require_regular(found.st_mode, error)  # of what is open now, whatever has the name
        if most_bytes is not None:
            require(found.st_size > 0, "an empty file", error=error)
            limit = f"beyond the limit of {most_bytes // 10**6} MB"
            require(found.st_size <= most_bytes, f"{found.st_size} bytes are {limit}", error=error)
    except BaseException:
        file.close()
        raise
    return file


def _require_regular(mode: int, error: type[TameError]) -> None:
    kind = _KINDS.get(stat.S_IFMT(mode), "a device")
    require(stat.S_ISREG(mode), f"{kind} and not a file", error=error)
