"""One writer for each study folder, kept by a lock that the system takes back from a process that dies."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tame.core.errors import StorageError
from tame.store.disk import why

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK, HOLDER = "study.lock", "study.pid"


class BusyError(StorageError):
    """Somebody else holds the lease."""


class Lease:
    """The right to write a study, until `release`, the end of the `with` block, or the end of the process."""

    def __init__(self, folder: Path, handle: int) -> None:
        self._folder = folder
        self._handle: int | None = handle

    def release(self) -> None:
        """Lets others write; a second call does nothing."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def remove(self, *, folder: bool) -> None:
        """Takes the lock's own files away while nobody else may write; folder: and the folder, if nothing is in it.

        Whoever opened this lock file finds that it is gone, and takes a new one.
        """
        with suppress(OSError):  # another process has made the folder its own, or the user has put something in
            (self._folder / HOLDER).unlink(missing_ok=True)
            (self._folder / LOCK).unlink(missing_ok=True)
            if folder:
                self._folder.rmdir()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()


def hold(folder: Path) -> Lease:
    """The lease of the study in `folder`, which must exist.

    Raises BusyError at once if another process, or this one, holds it already, else StorageError.
    """
    try:
        handle = _locked(folder / LOCK)
    except FileNotFoundError:
        raise StorageError(f"there is no study folder {folder}") from None
    except OSError as error:
        raise StorageError(f"{folder} cannot be locked for writing: {why(error)}") from error
    if handle is None:
        known = ""
        with suppress(OSError, ValueError):
            known = f" (pid {int((folder / HOLDER).read_text(encoding='ascii'))})"
        raise BusyError(f"{folder} is being worked on by another tame process{known}")
    lease = Lease(folder, handle)
    try:
        _say_who(folder / HOLDER)
    except OSError as error:
        lease.release()
        raise StorageError(f"{folder} cannot be locked for writing: {why(error)}") from error
    return lease


def _locked(path: Path) -> int | None:
    """The open lock file, locked; None where somebody else has it. Nothing is written to it."""
    while True:
        # A link is not followed: it would make and lock a file outside the folder.
        handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            taken = _try_lock(handle)
            if taken and _is_at(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        if not taken:
            return None
        # Whoever held it has removed the file since it was opened; a lock on what is gone keeps nobody out.


def _try_lock(handle: int) -> bool:
    """Whether this process now has the lock."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is the one that lies there."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path, follow_symlinks=False))
    except FileNotFoundError:
        return False


def _say_who(path: Path) -> None:
    """Writes the number of this process. It is a file of its own, since a lock may keep others from reading one."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600)
    with open(handle, "w", encoding="ascii") as file:
        file.write(f"{os.getpid()}\n")
