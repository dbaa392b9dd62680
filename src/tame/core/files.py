"""The one place that opens files for writing, and that opens files of a folder which may come from a stranger.

A file is written under a random name that did not exist, in a folder that is held open, and moved into place when it
is safe on disk. So a link, a pipe or a half-written file that lies where it is going is replaced, never followed, and a
crash leaves the old file or the new one. Files of a study are opened only where nothing on the way to them is a link.
"""

from __future__ import annotations

import os
import re
import secrets
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import IO

from tame.core.errors import RefusedError, UsageError, require

# Elsewhere folders cannot be held open; links there need a privilege to be made.
_HANDLES = os.name == "posix" and {os.open, os.rename, os.unlink, os.stat} <= os.supports_dir_fd
_NOFOLLOW, _NOWAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
_BINARY, _FOLDER = getattr(os, "O_BINARY", 0), getattr(os, "O_DIRECTORY", 0)
_DRAFT = re.compile(r"\.tame-[a-z0-9._-]+\.tmp")
MOST_BYTES = 2**30  # of a file that is read as a whole
TEXT_BYTES = 2**26  # of one with a config, a description or hashes
_MEND = "a study's folder must hold files, not links: put the file itself there"


@contextmanager
def replacing(folder: Path, name: str) -> Iterator[IO[bytes]]:
    """A new file, readable by the owner only, that takes the place of `name` once the block ends well.

    name: a file of the folder, or of a folder below it ("model/model.json"), none of which may be a link. It is on
    the disk then; where the block raises, nothing has changed. Raises OSError, RefusedError for a link on the way.
    """
    with _held(folder, name) as (place, leaf):
        draft = _beside(leaf, f".tame-{secrets.token_hex(8)}.tmp")
        handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY, 0o600, dir_fd=place)
        try:
            with os.fdopen(handle, "w+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if place is None:
                os.replace(draft, leaf)
            else:
                os.rename(draft, leaf, src_dir_fd=place, dst_dir_fd=place)
                os.fsync(place)
        except BaseException:
            with suppress(OSError):
                os.unlink(draft, dir_fd=place)
            raise


def write_bytes(folder: Path, name: str, content: bytes) -> None:
    """Writes a file in one step. Raises as `replacing`."""
    with replacing(folder, name) as file:
        file.write(content)


def write_text(folder: Path, name: str, text: str) -> None:
    """Writes a UTF-8 file in one step; what UTF-8 cannot hold is escaped. Raises as `replacing`."""
    write_bytes(folder, name, text.encode("utf-8", "backslashreplace"))


def remove_drafts(folder: Path, *rooms: str) -> None:
    """Removes what killed writers left in a folder, and in those folders below it.

    For whoever holds the folder: the draft of a writer that still works would go too. Raises OSError, RefusedError for
    a link on the way.
    """
    for room in ("", *rooms):
        try:
            with _held(folder, f"{room}/x".lstrip("/")) as (place, leaf):
                for name in os.listdir(os.path.dirname(leaf) if place is None else place):
                    if _DRAFT.fullmatch(name):
                        os.unlink(_beside(leaf, name), dir_fd=place)
        except (FileNotFoundError, NotADirectoryError):
            continue  # there is no such folder


def new_file(path: Path) -> None:
    """Makes an empty file, readable by the owner only. Raises FileExistsError where anything has that name, OSError."""
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600))


def appending(folder: Path, name: str) -> IO[bytes]:
    """A log that is written on at its end, made where it is missing. Raises OSError, RefusedError for a link."""
    with _held(folder, name) as (place, leaf):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _NOFOLLOW | _NOWAIT | _BINARY
        return os.fdopen(_own(folder / name, lambda: os.open(leaf, flags, 0o600, dir_fd=place)), "ab")


def opened_to_lock(folder: Path, name: str) -> int:
    """The handle of a lock file, made where it is missing. Raises OSError, RefusedError for a link."""
    with _held(folder, name) as (place, leaf):
        flags = os.O_RDWR | os.O_CREAT | _NOFOLLOW | _NOWAIT | _BINARY
        return _own(folder / name, lambda: os.open(leaf, flags, 0o600, dir_fd=place))


def in_place(folder: Path, name: str, *, size: int) -> IO[bytes]:
    """A new file of zeros in the place of `name`, to be written anywhere in it, without a buffer, while others read it.

    For what may be lost: nothing is synced. Raises OSError, RefusedError for a link on the way.
    """
    with _held(folder, name) as (place, leaf):
        draft = _beside(leaf, f".tame-{secrets.token_hex(8)}.tmp")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _BINARY
        with os.fdopen(os.open(draft, flags, 0o600, dir_fd=place), "w+b") as file:
            file.truncate(size)
        if place is None:
            os.replace(draft, leaf)
        else:
            os.rename(draft, leaf, src_dir_fd=place, dst_dir_fd=place)
        again = os.O_RDWR | _NOFOLLOW | _NOWAIT | _BINARY  # open files cannot be renamed on Windows
        return os.fdopen(_own(folder / name, lambda: os.open(leaf, again, dir_fd=place)), "r+b", buffering=0)


def is_folder_beside(file: Path, name: str) -> bool:
    """Whether this is the name of a folder that lies beside a file; a path is none."""
    return Path(name).name == name and (file.parent / name).is_dir()


def require_new(file: Path) -> None:
    """Raises UsageError where a file cannot be new: something has its name already, or there is no folder for it."""
    require(not os.path.lexists(file), f"{file} exists; give another file name")
    require(file.parent.is_dir(), f"there is no folder {file.parent}")


def new_folder(folder: Path) -> None:
    """Makes a folder for its owner alone, or takes an empty one. Raises UsageError where it holds something, or cannot
    be made."""
    require(folder.parent.is_dir(), f"there is no folder {folder.parent}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        is_empty = not any(folder.iterdir())
    except OSError as problem:
        raise UsageError(f"{folder} cannot be made: {problem.strerror}") from None
    require(is_empty, f"{folder} holds something already; give another folder")


def own_folder(folder: Path, name: str) -> Path:
    """The folder of that name in a folder, made for its owner alone where it is missing.

    Raises OSError, RefusedError for a link.
    """
    own = folder / name
    with suppress(FileExistsError):
        own.mkdir(mode=0o700)
    require_own_folder(own)
    return own


def nowhere() -> int:
    """A handle that takes what is written to it and keeps nothing."""
    return os.open(os.devnull, os.O_WRONLY)


def reading(folder: Path, name: str) -> BufferedReader:
    """A file of a folder, opened to be read. Raises FileNotFoundError, OSError, RefusedError as `require_own`."""
    with _held(folder, name) as (place, leaf):
        flags = os.O_RDONLY | _NOFOLLOW | _NOWAIT | _BINARY
        return open(_own(folder / name, lambda: os.open(leaf, flags, dir_fd=place)), "rb")


def read_bytes(folder: Path, name: str, *, most: int = MOST_BYTES) -> bytes:
    """The content of a file of a folder, of `most` bytes. Raises as `reading`, and RefusedError for a larger one.

    A file of many gigabytes takes a stranger nothing: what was never written costs no space.
    """
    with reading(folder, name) as file:
        require_size(folder / name, os.fstat(file.fileno()).st_size, most)
        return file.read()


def require_size(path: Path, size: int, most: int) -> None:
    """Raises RefusedError for a file of more bytes than there may be."""
    right = size <= most
    require(right, f"{path} has {size:,} bytes, but a file of this kind has at most {most:,}", error=RefusedError)


def require_own(folder: Path, *names: str) -> None:
    """Raises RefusedError for a link, a pipe, or a file that has a second name elsewhere; what is missing is fine.

    Other programs open such a file by its path (a database, a lock), and would follow it out of the folder.
    """
    for name in names:
        path = folder / name
        try:
            status = os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        _require_plain(path, status)


def require_own_folder(folder: Path) -> None:
    """Raises RefusedError for a folder of a study that is a link; a missing one is fine."""
    if folder.is_symlink():
        raise RefusedError(f"{folder} is a link to another folder; {_MEND}")


def _own(path: Path, opened: Callable[[], int]) -> int:
    """The handle of a file that is none of what `require_own` refuses."""
    require_own(path.parent, path.name)  # says what it is; the flags hold where it has changed since
    handle = opened()
    try:
        _require_plain(path, os.fstat(handle))
        if sys.platform != "win32":
            os.set_blocking(handle, True)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _require_plain(path: Path, status: os.stat_result) -> None:
    mode = status.st_mode
    what = next((word for test, word in _KINDS if test(mode)), None)
    if what is not None:
        raise RefusedError(f"{path} is {what}; {_MEND}")
    if status.st_nlink > 1:
        raise RefusedError(f"{path} has a second name outside (a hard link); {_MEND.replace('links', 'hard links')}")


_KINDS = (
    (stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISDIR, "a folder"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


@contextmanager
def _held(folder: Path, name: str) -> Iterator[tuple[int | None, str]]:
    """The folder in which `name` lies, as an open handle, and the name in it; without handles None and a path."""
    *rooms, leaf = PurePosixPath(name).parts or ("",)
    require(leaf not in ("", "..") and ".." not in rooms and not name.startswith("/"), f"{name!r} names no file")
    if not _HANDLES:
        for number in range(1, len(rooms) + 1):
            require_own_folder(folder.joinpath(*rooms[:number]))
        yield None, str(folder.joinpath(*rooms, leaf))
        return
    handle = os.open(folder, os.O_RDONLY | _FOLDER)
    try:
        for number, room in enumerate(rooms, 1):
            handle = _below(handle, room, folder.joinpath(*rooms[:number]))
        yield handle, leaf
    finally:
        os.close(handle)


def _below(handle: int, room: str, path: Path) -> int:
    """The handle of a folder below another, which is closed."""
    require_own_folder(path)
    below = os.open(room, os.O_RDONLY | _FOLDER | _NOFOLLOW, dir_fd=handle)
    os.close(handle)
    return below


def _beside(leaf: str, name: str) -> str:
    return os.path.join(os.path.dirname(leaf), name)
