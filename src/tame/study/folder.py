"""The folder of a study: taken for a new one, known again where a start was interrupted, and taken away.

Whatever is removed is removed under the lease, and only what a study makes: a process that is refused takes away
neither the study of another nor a file of the user's.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from contextlib import closing, suppress
from fnmatch import fnmatchcase
from pathlib import Path

from tame.core.config import StudyConfig
from tame.core.edits import EDITS
from tame.core.errors import StorageError, TameError, UsageError
from tame.core.exported import EXPORTS
from tame.core.files import TEXT_BYTES, read_bytes, remove_drafts
from tame.core.plain import from_plain, to_plain
from tame.store.lease import HOLDER, LOCK, BusyError, Lease, hold
from tame.store.ring import RING
from tame.study.inbox import ASKED
from tame.study.record import DATABASE, SERVER, is_study, open_record
from tame.study.state import how_to_resume

CONFIG = "config.json"
GIVEN = ("columns.npz", "inputs.npy", "targets.npz", "pictures.bin", "pictures.json", EDITS)  # that the user gave
# What a start leaves that is killed before its first event, and what else a study makes in its folder.
LEFT = (
    LOCK, HOLDER, DATABASE, f"{DATABASE}-journal", f"{DATABASE}-wal", f"{DATABASE}-shm", f".{DATABASE}.*", CONFIG,
    f".{CONFIG}.*", SERVER, ".tame-*", *GIVEN, *(f".{name}.*" for name in GIVEN),
)  # fmt: skip
MADE = (
    "worker.log", "skipped.csv", "split.csv", "engines.json", EXPORTS, ".handed.npz", "report.html", "report.json",
    "tame-crash.txt", RING, ".*.tmp",
)  # fmt: skip
FOLDERS = ("checkpoints", "model", "sketch", "cache", "tracking", ASKED)
WRITTEN = ("model", "sketch")  # those whose files are written as those of the study's folder are
ATTEMPTS = 20  # at a folder that other processes make and remove at the same moment


def is_interrupted(folder: Path) -> bool:
    """Whether a study was begun there and killed before it had a database."""
    names = set(os.listdir(folder))
    return LOCK in names and all(map(_is_left, names))


def written_config(folder: Path) -> StudyConfig:
    """The config of a study that was killed before its first event. Raises UsageError where that was not written."""
    path = folder / CONFIG
    again = f"begin it again with: tame fit DATA --out {shlex.quote(str(folder))}"
    try:
        config = StudyConfig.from_json(json.loads(read_bytes(folder, CONFIG, most=TEXT_BYTES)))
        return from_plain(StudyConfig, to_plain(config), what="the config")  # of the types that its fields have
    except FileNotFoundError:
        raise UsageError(f"{folder}: its start was interrupted before anything was stored; {again}") from None
    except TameError:
        raise
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as problem:
        raise StorageError(f"{path} cannot be read: {problem}; {again}") from None


def take_folder(config: StudyConfig) -> tuple[Path, Lease, bool]:
    """The folder of a new study, its lease, and whether this process made the folder."""
    for _ in range(ATTEMPTS):
        folder, made = _new_folder(config)
        try:
            lease = hold(folder)
        except BusyError:
            raise  # somebody else has begun a study there: it is theirs, whoever made the folder
        except StorageError:
            if folder.exists():
                raise
            continue  # another process had it, was refused, and took it away again
        try:
            _require_free(folder, config)
        except BaseException:
            if made:
                lease.remove(folder=True)
            lease.release()
            raise
        return folder, lease, made
    raise StorageError(f"{folder} comes and goes: other processes make and remove it")


def _require_free(folder: Path, config: StudyConfig) -> None:
    """Raises UsageError unless a study may be begun in a folder whose lease is held; takes leftovers away."""
    if _contains_study(folder):
        fix = how_to_resume(folder, model=config.model)
        raise UsageError(f"{folder} already contains a study; continue it with: {fix}")
    for name in os.listdir(folder):
        if not _is_left(name):
            raise _not_empty(folder)
    remove_drafts(folder)
    for name in (SERVER, *GIVEN):
        (folder / name).unlink(missing_ok=True)  # of a start that was interrupted; this one may be given other arrays


def _contains_study(folder: Path) -> bool:
    """Whether a study was begun there. One on a server counts from its config on: its first event comes later."""
    if os.path.lexists(folder / DATABASE):
        with closing(open_record(folder, read_only=False)) as record:
            return record.is_begun
    return all(os.path.lexists(folder / name) for name in (SERVER, CONFIG))


def _new_folder(config: StudyConfig) -> tuple[Path, bool]:
    """The folder of a new study and whether it was made now: as asked for, or the next free runs/NAME-0001."""
    if config.out is not None:
        folder = Path(config.out)
        names = set(os.listdir(folder)) if folder.is_dir() else set()
        # Nothing is put into a folder of the user's, not even a lock.
        if names and not is_study(folder) and not (LOCK in names and all(map(_is_left, names))):
            raise _not_empty(folder)
        return folder, _make(folder)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(config.data).resolve().name).strip(".-") or "study"
    for number in range(1, 10_000):
        folder = Path("runs") / f"{name}-{number:04d}"
        if not folder.exists() and _make(folder):
            return folder, True
    raise UsageError(f"runs/ contains 9,999 studies named {name}; give a folder with --out")


def _make(folder: Path) -> bool:
    """Whether the folder was made now, for its owner alone, or was there. Raises StorageError where neither."""
    for _ in range(ATTEMPTS):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700)
        except FileExistsError as problem:
            if folder.is_dir():
                folder.chmod(0o700)
                return False
            if Path(str(problem.filename)) == folder:
                raise StorageError(f"{folder} exists and is not a folder; give another --out") from None
            raise _not_made(folder, f"{problem.filename} is not a folder") from None
        except FileNotFoundError:
            continue  # another process, which had been refused, took the folder above away
        except OSError as problem:
            raise _not_made(folder, str(problem.strerror)) from None
        folder.chmod(0o700)
        return True
    raise _not_made(folder, "the folder above it comes and goes")


def _not_made(folder: Path, why: str) -> StorageError:
    return StorageError(f"cannot create the folder {folder} for the study: {why}")


def _not_empty(folder: Path) -> UsageError:
    return UsageError(f"{folder} exists and is not an empty folder; give another --out")


def _is_left(name: str) -> bool:
    """Whether a start that is killed before its first event can leave a file of that name."""
    return any(fnmatchcase(name, form) for form in LEFT)


def remove_made(folder: Path, lease: Lease, *, whole: bool) -> None:
    """Removes what a study makes in its folder, under its lease, and with `whole` the folder. What else lies there
    stays."""
    for name in os.listdir(folder) if folder.is_dir() else ():
        path = folder / name
        if name in FOLDERS and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif any(fnmatchcase(name, form) for form in (*LEFT, *MADE)) and name not in (LOCK, HOLDER):
            with suppress(OSError):
                path.unlink()
    lease.remove(folder=whole)
