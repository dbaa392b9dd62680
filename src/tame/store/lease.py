"""One writer for each study folder, kept by a lock that the system takes back from a process that dies."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from tame.core.errors import StorageError
from tame.core.files import opened_to_lock, require_own, write_text
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

    Raises BusyError at once if another process, or this one, holds it already, RefusedError where its files are links,
    else StorageError.
    """
    require_own(folder, LOCK, HOLDER)
    try:
        handle = locked(folder, LOCK)
    except FileNotFoundError:
        raise StorageError(f"the study folder {folder} does not exist") from None
    except OSError as error:
        raise StorageError(f"{folder} cannot be locked for writing: {why(error)}") from error
    if handle is None:
        known = ""
        with suppress(OSError, ValueError):
            known = f" (pid {int((folder / HOLDER).read_text(encoding='ascii'))})"
        raise BusyError(f"{folder} is being worked on by another tame process{known}")
    lease = Lease(folder, handle)
    try:
        # A file of its own, since a lock may keep others from reading one.
        write_text(folder, HOLDER, f"{os.getpid()}\n")
    except OSError as error:
        lease.release()
        raise StorageError(f"{folder} cannot be locked for writing: {why(error)}") from error
    return lease


def locked(folder: Path, name: str) -> int | None:
    """The open lock file, locked; None where somebody else has it. Nothing is written to it.

    A process that is given the handle holds the lock too. Raises OSError, RefusedError for a link.
    """
    while True:
        handle = opened_to_lock(folder, name)
        try:
            taken = _try_lock(handle)
            if taken and _is_at(handle, folder / name):
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
