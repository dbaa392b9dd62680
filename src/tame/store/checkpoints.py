"""Checkpoints: named tensors in files that carry their own hash, written so that a crash at any moment loses none.

A file is `NAME.NUMBER.SHA256.safetensors`. The number rises with each save of the name. The hash of the content stands
in the file's name, not beside it in a manifest, so that one rename makes both visible at once and they cannot differ.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from tame.core.errors import StorageError, UsageError, require
from tame.core.files import read_bytes, reading, remove_drafts, require_own_folder, write_bytes
from tame.store.disk import SAFE, sync_folder, why

MOST_BYTES = 2**36  # of one checkpoint
RESERVE_BYTES = 50 * 2**20  # left free for the database and the report

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_FILE = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)\.(?P<number>\d{8,})\.(?P<sha256>[0-9a-f]{64})\.safetensors")
_META = "tame"
_DTYPES = (
    "float64", "float32", "float16", "complex64", "bool",
    "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
)  # fmt: skip


class DamagedError(StorageError):
    """Of a checkpoint there are only damaged files."""


@dataclass(frozen=True, slots=True)
class _Version:
    path: Path
    name: str
    number: int
    sha256: str


class Checkpoints:
    """The checkpoints in one folder: of each name the last one saved and the one before it.

    Opened for writing (by the one process that holds the study's lease, or those that it started), the folder is made
    if it is missing and, if `tidies`, files that a killed writer left half written are removed: only where no other
    process writes. Processes that write at the same time write different names. Raises StorageError, RefusedError for a
    folder that is a link.
    """

    def __init__(self, folder: Path, *, read_only: bool = False, tidies: bool = True) -> None:
        self._folder = folder
        self._read_only = read_only
        self._tidies = tidies
        require_own_folder(folder)
        if not read_only:
            try:
                self._prepare()
            except OSError as error:
                raise StorageError(f"{folder} cannot hold checkpoints: {why(error)}") from error

    def save(self, name: str, tensors: Mapping[str, np.ndarray], meta: Mapping[str, str]) -> str:
        """The SHA-256 of the new checkpoint, which is on the disk when this returns.

        Raises StorageError if it cannot be stored (the earlier ones are then as they were), UsageError for a name
        other than a-z, 0-9, dot, dash and underscore, TypeError for a value that is no array of numbers.
        """
        self._require_writer()
        _check_name(name)
        content = _pack(tensors, meta)
        sha256 = hashlib.sha256(content).hexdigest()
        try:
            earlier = self._versions(name)
            number = earlier[0].number + 1 if earlier else 1
            self._require_space(len(content))
            write_bytes(self._folder, f"{name}.{number:08d}.{sha256}.safetensors", content)
            for version in earlier[1:]:
                version.path.unlink(missing_ok=True)
        except OSError as error:
            problem = f"checkpoint {name!r} cannot be stored in {self._folder}: {why(error)}"
            left = SAFE if self._folder.is_dir() else "the folder was deleted or moved away while it was in use"
            raise StorageError(f"{problem}; {left}") from error
        return sha256

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, str], str | None]:
        """Tensors, meta and note of the last sound checkpoint; the note says what was wrong if that is an earlier one.

        Raises DamagedError if all are damaged, StorageError if there is none or one cannot be read. A damaged file is
        not deleted; a writer sets it aside as `*.damaged`.
        """
        problems: list[str] = []
        unread = False
        for version in self._read_versions(name):
            try:
                content = read_bytes(self._folder, version.path.name, most=MOST_BYTES)
                require(hashlib.sha256(content).hexdigest() == version.sha256, "its hash differs", error=StorageError)
                tensors, meta = _unpack(content)
            except OSError as error:
                problems.append(f"{version.path.name} cannot be read: {why(error)}")
                unread = True
                continue
            except (StorageError, SafetensorError, LookupError, ValueError, MemoryError) as error:
                problems.append(f"{version.path.name} is damaged: {error}")
                self._set_aside(version)
                continue
            note = f"{'; '.join(problems)}; went back to the checkpoint before it" if problems else None
            return tensors, meta, note
        reason = "; ".join(problems) if problems else "there is none"
        kind = DamagedError if problems and not unread else StorageError
        raise kind(f"no checkpoint {name!r} can be read in {self._folder}: {reason}")

    def has(self, name: str) -> bool:
        """Whether a checkpoint of that name is stored; it may be damaged."""
        return bool(self._read_versions(name))

    def drop(self, name: str) -> None:
        """Deletes all checkpoints of that name; if there are none, nothing. Raises StorageError."""
        self._require_writer()
        try:
            # From the oldest, so that one which is interrupted leaves the last.
            for version in reversed(self._versions(name)):
                version.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageError(f"checkpoint {name!r} cannot be deleted in {self._folder}: {why(error)}") from error

    def names(self) -> list[str]:
        """All names that have a checkpoint, sorted."""
        return sorted({version.name for version in self._read_versions(None)})

    def numbers(self) -> dict[str, int]:
        """The number of the last checkpoint of each name, which rises with every save."""
        return {version.name: version.number for version in reversed(self._read_versions(None))}

    def about(self, name: str) -> dict[str, str] | None:
        """What the last checkpoint of that name says of itself in its first bytes, which `load` checks; None if it is
        gone or cannot be read."""
        for version in self._read_versions(name):
            unread = suppress(OSError, LookupError, ValueError, TypeError, MemoryError)
            with unread, reading(self._folder, version.path.name) as file:
                return _meta(file.read(8), file.read)
        return None

    def _prepare(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            sync_folder(self._folder.parent)
        if self._tidies:
            remove_drafts(self._folder)

    def _versions(self, name: str | None) -> list[_Version]:
        """Stored versions of one name, or of all, the newest first."""
        found = []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                match = _FILE.fullmatch(entry.name)
                if match and name in (None, match["name"]) and entry.is_file(follow_symlinks=False):
                    found.append(_Version(Path(entry.path), match["name"], int(match["number"]), match["sha256"]))
        return sorted(found, key=lambda version: -version.number)

    def _read_versions(self, name: str | None) -> list[_Version]:
        try:
            return self._versions(name)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"the checkpoints in {self._folder} cannot be read: {why(error)}") from error

    def _require_space(self, size_bytes: int) -> None:
        need, free = 2 * size_bytes + RESERVE_BYTES, shutil.disk_usage(self._folder).free
        full = f"{self._folder} has {free / 1e6:.0f} MB left, a checkpoint needs {need / 1e6:.0f} MB"
        require(free >= need, f"{full}; {SAFE}", error=StorageError)

    def _require_writer(self) -> None:
        require(not self._read_only, f"{self._folder} was opened read-only", error=StorageError)

    def _set_aside(self, version: _Version) -> None:
        """Takes a damaged file out of the count, so that the next save keeps the sound one before it."""
        if not self._read_only:
            with suppress(OSError):
                version.path.rename(f"{version.path}.damaged")


def _check_name(name: str) -> None:
    form = "1 to 128 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
    if not _NAME.fullmatch(name):
        raise UsageError(f"the name of a checkpoint must be {form}, got {name!r}")


def _pack(tensors: Mapping[str, np.ndarray], meta: Mapping[str, str]) -> bytes:
    for key, tensor in tensors.items():
        if not isinstance(tensor, np.ndarray) or tensor.dtype.name not in _DTYPES:
            got = tensor.dtype if isinstance(tensor, np.ndarray) else type(tensor).__name__
            raise TypeError(f"tensor {key!r} must be a numpy array of plain numbers, got {got}")
        if key == "__metadata__":
            raise ValueError("a tensor cannot be named '__metadata__'")
    # safetensors takes the memory as it lies, so it must lie in C order; asarray keeps arrays without dimensions.
    dense = {key: np.asarray(tensor, order="C") for key, tensor in tensors.items()}
    # One key, because the order of several would differ from save to save, and with it the hash.
    return safetensors.save(dense, metadata={_META: json.dumps(dict(meta), sort_keys=True)})


def _unpack(content: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    tensors: dict[str, np.ndarray] = safetensors.load(content)
    return tensors, _meta(content[:8], lambda size: content[8 : 8 + size])


def _meta(size: bytes, header: Callable[[int], bytes]) -> dict[str, str]:
    """The meta of a file that begins with the size of its header. header: gives so many bytes of what follows."""
    meta: dict[str, str] = json.loads(json.loads(header(int.from_bytes(size, "little")))["__metadata__"][_META])
    return meta
