"""One writer for each study folder, kept by a lock that the system takes back from a process that dies."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from tame.core.errors import StorageError, require
from tame.core.files import require_own, write_text
from tame.store.disk import why


class Lease:
    """The right to write a study, until `release`, the end of the `with` block, or the end of the process."""

    def __init__(self, lock: FileLock) -> None:
        self._lock = lock

    def release(self) -> None:
        """Lets others write; a second call does nothing."""
        self._lock.release()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.release()


def hold(folder: Path) -> Lease:
    """The lease of the study in `folder`, which must exist.

    Raises StorageError at once if another process, or this one, holds it already; RefusedError where its files are
    links.
    """
    # The number of the process is a file of its own: older filelocks empty the lock file when they try it.
    holder = folder / "study.pid"
    require(folder.is_dir(), f"the study folder {folder} does not exist", error=StorageError)
    require_own(folder, "study.lock", holder.name)
    lock = FileLock(folder / "study.lock", timeout=0, mode=0o600, thread_local=False)
    try:
        lock.acquire()
        write_text(folder, holder.name, f"{os.getpid()}\n")
    except Timeout:
        known = ""
        with suppress(OSError, ValueError):
            known = f" (pid {int(holder.read_text(encoding='ascii'))})"
        raise StorageError(f"{folder} is being worked on by another tame process{known}") from None
    except OSError as error:
        lock.release()
        raise StorageError(f"{folder} cannot be locked for writing: {why(error)}") from error
    return Lease(lock)
