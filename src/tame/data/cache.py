"""Arrays on disk by key, shared between studies and processes.

One call of `put` writes one shard, which never changes again: a process that is killed leaves a whole shard or none,
and two writers never meet. A shard is a safetensors file (one tensor of bytes, three that index it), read through a
memory map. What is damaged or foreign is put aside, since all of it can be computed again.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
import os
import secrets
import stat
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy

from tame.core.errors import ShapeError, StorageError, require
from tame.core.files import write_bytes

DTYPES = ("uint8", "uint16", "float16", "float32")
_PREFIX, _SUFFIX = "v1-", ".safetensors"  # another version of the format gets another prefix and is left alone
_ALIGN, _NDIM = 64, 8
_STALE_S = 3600.0  # a half-written file older than this belongs to no living writer


@dataclass(slots=True)
class _Shard:
    dtype: np.dtype[np.generic]
    places: dict[str, tuple[int, tuple[int, ...]]]  # first byte and shape of each array
    start: int  # of the arrays within the file
    size: int
    digest: str
    data: np.ndarray | None = None  # the mapped bytes, once their digest was found right

    def view(self, key: str) -> np.ndarray:
        assert self.data is not None
        first, shape = self.places[key]
        stop = first + math.prod(shape) * self.dtype.itemsize
        return self.data[first:stop].view(self.dtype).reshape(shape)


class ArrayCache:
    """The arrays in one folder. Each thread opens its own; any number of processes may share the folder.

    `notes` says which files were put aside, and why. A shard that is in use keeps one file open. The folder may be
    removed at any time. under: another cache, whose arrays are read too and which nothing is put into.
    """

    def __init__(self, folder: Path, *, under: Path | None = None) -> None:
        self.folder = folder
        self._under = ArrayCache(under) if under is not None else None
        self.notes: list[str] = []
        self._shards: dict[str, _Shard] = {}
        self._ignored: set[str] = set()

    def keys(self) -> frozenset[str]:
        """Every key that is stored now. A shard whose bytes are damaged is found out by `get` only."""
        self._refresh()
        below = self._under.keys() if self._under is not None else frozenset()
        return below.union(key for shard in self._shards.values() for key in shard.places)

    def get(self, keys: Sequence[str]) -> dict[str, np.ndarray]:
        """Read-only, memory-mapped arrays of those keys that are stored, in the order of `keys`.

        The bytes of a shard are checked against their digest when it is first used.
        """
        self._refresh()
        wanted, found = set(keys), dict[str, np.ndarray]()
        for name, shard in list(self._shards.items()):
            hits = wanted & shard.places.keys()
            if hits and self._is_sound(name, shard):
                found |= {key: shard.view(key) for key in hits}
                wanted -= hits
        if wanted and self._under is not None:
            found |= self._under.get(sorted(wanted))
        return {key: found[key] for key in keys if key in found}

    def put(self, items: Mapping[str, np.ndarray]) -> None:
        """Stores these arrays as one shard, all of one dtype out of DTYPES, each with at most 8 dimensions.

        Returns when they are safe on disk. Raises ShapeError for arrays that fit in no shard, StorageError if the
        disk fails or is full.
        """
        if not items:
            return
        kinds = sorted({str(array.dtype) for array in items.values()})
        good = len(kinds) == 1 and kinds[0] in DTYPES and all(array.ndim <= _NDIM for array in items.values())
        require(good, f"a shard holds one dtype of {', '.join(DTYPES)}, got {', '.join(kinds)}", error=ShapeError)
        name = f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        try:
            for part in (*reversed(self.folder.parents), self.folder):
                part.mkdir(mode=0o700, exist_ok=True)
            write_bytes(self.folder, name, _pack(items, kinds[0]))
        except OSError as problem:
            raise StorageError(f"cannot write to the cache {self.folder}: {problem.strerror}") from None

    def trim(self, limit_bytes: int) -> int:
        """Bytes freed: shards go until the rest fits the limit, the one unused for longest first.

        What was put aside and what killed writers left goes always. Arrays that are in use stay readable.
        """
        shards, freed = [], 0
        for name in self._names():
            try:
                status = os.lstat(self.folder / name)
            except FileNotFoundError:
                continue
            is_stale = name.startswith((".tmp-", ".tame-")) and time.time() - status.st_mtime > _STALE_S
            if _is_shard(name):
                shards.append((status.st_mtime_ns, name, status.st_size))
            elif is_stale or name.endswith(".bad"):
                freed += self._remove(name, status.st_size)
        total = sum(size for _, _, size in shards)
        for _, name, size in sorted(shards):
            if total <= limit_bytes:
                break
            freed += self._remove(name, size)
            total -= size
        return freed

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except FileNotFoundError:
            return []
        except OSError as problem:
            raise StorageError(f"cannot read the cache {self.folder}: {problem.strerror}") from None

    def _refresh(self) -> None:
        names = {name for name in self._names() if _is_shard(name)} - self._ignored
        for name in self._shards.keys() - names:
            del self._shards[name]
        for name in sorted(names - self._shards.keys()):
            try:
                self._shards[name] = _read_index(self.folder / name)
            except FileNotFoundError:
                continue  # another process trimmed the cache
            except Exception as problem:  # a foreign file can fail a parser in any way
                self._put_aside(name, problem)

    def _is_sound(self, name: str, shard: _Shard) -> bool:
        if shard.data is None:
            try:
                data = _map(self.folder / name, shard)
                if _digest(data) != shard.digest:
                    raise ValueError("its bytes do not fit their digest")
                os.utime(self.folder / name)  # the order in which `trim` removes
            except (OSError, ValueError) as problem:
                self._put_aside(name, problem)
                return False
            shard.data = data
        return True

    def _put_aside(self, name: str, problem: Exception) -> None:
        self._shards.pop(name, None)
        if isinstance(problem, FileNotFoundError):
            return
        self._ignored.add(name)
        self.notes.append(f"{name} was put aside: {problem}")
        if not isinstance(problem, OSError):  # a disk or a limit of the system failed, not the shard
            try:
                os.replace(self.folder / name, self.folder / f"{name}.bad")
            except OSError as refused:
                self.notes.append(f"{name} could not be renamed: {refused.strerror}")

    def _remove(self, name: str, size: int) -> int:
        try:
            os.unlink(self.folder / name)
        except OSError:
            return 0
        self._shards.pop(name, None)
        return size


def _pack(items: Mapping[str, np.ndarray], dtype: str) -> bytes:
    """The bytes of a shard."""
    lengths = [-(-array.nbytes // _ALIGN) * _ALIGN for array in items.values()]
    offsets = np.array([0, *itertools.accumulate(lengths)], dtype=np.int64)
    data = np.zeros(offsets[-1], dtype=np.uint8)
    shapes = np.full((len(items), _NDIM), -1, dtype=np.int64)
    for row, array in enumerate(items.values()):
        data[offsets[row] :][: array.nbytes] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        shapes[row, : array.ndim] = array.shape
    index: dict[str, np.ndarray] = {
        "offsets": offsets[:-1],
        "shapes": shapes,
        "keys": np.frombuffer(json.dumps(list(items)).encode(), dtype=np.uint8),
    }
    about = {"format": "tame-cache", "dtype": dtype, "bytes": _digest(data), "index": _index_digest(dtype, index)}
    packed: bytes = safetensors.numpy.save({"bytes": data, **index}, about)
    return packed


def _read_index(path: Path) -> _Shard:
    """The shard without its arrays. Raises ValueError, or what a parser raises, if it is none of ours or damaged."""
    with _open(path) as file:  # first, since safetensors would follow a link and wait for a pipe
        start = 8 + int.from_bytes(file.read(8), "little")
        with safetensors.safe_open(path, "numpy") as tensors:
            about = tensors.metadata()
            index = {name: tensors.get_tensor(name) for name in ("offsets", "shapes", "keys")}
            [size] = tensors.get_slice("bytes").get_shape()
        file.seek(8)
        start += json.loads(file.read(start - 8))["bytes"]["data_offsets"][0]
    if about["format"] != "tame-cache" or about["dtype"] not in DTYPES:
        raise ValueError("it is no cache file of TAME")
    if _index_digest(about["dtype"], index) != about["index"]:
        raise ValueError("its index does not fit its digest")
    dtype = np.dtype(about["dtype"])
    shapes = [tuple(n for n in row if n >= 0) for row in index["shapes"].tolist()]
    places = dict(
        zip(json.loads(index["keys"].tobytes()), zip(index["offsets"].tolist(), shapes, strict=True), strict=True)
    )
    for first, shape in places.values():
        if not 0 <= first <= size - math.prod(shape) * dtype.itemsize:
            raise ValueError("an array reaches beyond its bytes")
    return _Shard(dtype, places, start, size, about["bytes"])


def _map(path: Path, shard: _Shard) -> np.ndarray:
    """The bytes of all arrays of the shard, read-only."""
    if shard.size == 0:  # an empty range cannot be mapped
        return np.frombuffer(b"", dtype=np.uint8)
    with _open(path) as file:
        return np.asarray(np.memmap(file, dtype=np.uint8, mode="r", offset=shard.start, shape=(shard.size,)))


def _open(path: Path) -> io.BufferedReader:
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise ValueError("it is not a file")
    return open(path, "rb")


def _digest(data: np.ndarray) -> str:
    return hashlib.blake2b(data.data, digest_size=16).hexdigest()


def _index_digest(dtype: str, index: Mapping[str, np.ndarray]) -> str:
    pieces = [dtype.encode(), *(index[name].tobytes() for name in sorted(index))]
    return hashlib.blake2b(b"".join(pieces), digest_size=16).hexdigest()


def _is_shard(name: str) -> bool:
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX)
