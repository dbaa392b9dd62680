"""The last things that a process said, in a file of fixed size beside the store: for whoever looks on meanwhile.

The store stays the truth. What is here may be lost, is never synced, and costs its writer a few microseconds an entry.
A reader copies the file and takes the entries whose checksum holds: one that is just being written is not there yet.
"""

from __future__ import annotations

import os
import secrets
import struct
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tame.core.errors import StorageError, require
from tame.core.files import in_place, read_bytes

RING = "live"
SLOTS, SLOT_BYTES = 256, 4096
_MARK = b"TAMELIVE"
_HEAD = struct.Struct("<8sI16s")  # mark, number of slots, the random id of the writer's life
_ENTRY = struct.Struct("<QII")  # number from 1, bytes, checksum of number and text
MOST_BYTES = SLOT_BYTES - _ENTRY.size  # of one entry
_SIZE = SLOT_BYTES * (SLOTS + 1)


class RingWriter:
    """A new ring in a folder, for one writer. Raises OSError, RefusedError for a link that lies there."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RING
        self._file = in_place(folder, RING, size=_SIZE)
        self._file.write(_HEAD.pack(_MARK, SLOTS, secrets.token_bytes(16)))
        self._number = 0

    def put(self, text: bytes) -> None:
        """Writes an entry of at most MOST_BYTES. Raises OSError."""
        assert len(text) <= MOST_BYTES, "an entry is cut to its slot before"
        self._number += 1
        self._file.seek(SLOT_BYTES * (1 + self._number % SLOTS))
        self._file.write(_ENTRY.pack(self._number, len(text), _checksum(self._number, text)) + text)

    def close(self) -> None:
        """Takes the ring away: nobody speaks any more."""
        self._file.close()
        with suppress(OSError):
            os.unlink(self._path)


@dataclass(frozen=True, slots=True)
class Entries:
    """Entries of a ring, in order. life: of their writer; last: number of the last one, from where to go on; lost: how
    many were overwritten before they were read."""

    life: str
    last: int
    texts: tuple[bytes, ...] = ()
    lost: int = 0


def listen(folder: Path, *, life: str = "", after: int = 0) -> Entries | None:
    """The entries after that one, or all that are there where another life has begun; None where no ring is.

    Raises StorageError for a file that is none, RefusedError for a link.
    """
    try:
        content = read_bytes(folder, RING, most=_SIZE)
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise StorageError(f"{folder / RING} cannot be read: {problem.strerror}") from None
    sound = len(content) == _SIZE and content.startswith(_MARK)
    require(sound or not any(content[:8]), f"{folder / RING} is not what a study says of itself", error=StorageError)
    if not sound or len(content) < _SIZE:
        return None  # its writer has only just made it
    _, slots, own = _HEAD.unpack_from(content)
    require(slots == SLOTS, f"{folder / RING} was made by another version of TAME", error=StorageError)
    since = after if own.hex() == life else 0
    found = dict(filter(None, (_entry(content, SLOT_BYTES * place) for place in range(1, SLOTS + 1))))
    return _in_order(own.hex(), since, found)


def _entry(content: bytes, at: int) -> tuple[int, bytes] | None:
    """Number and text of the entry in a slot; None where none is, or one that is being written."""
    number, size, checksum = _ENTRY.unpack_from(content, at)
    text = content[at + _ENTRY.size : at + _ENTRY.size + min(size, MOST_BYTES)]
    return (number, text) if number and _checksum(number, text) == checksum else None


def _in_order(life: str, since: int, found: dict[int, bytes]) -> Entries:
    """The entries after that one without a gap: behind a gap lies one that was not written to its end when it was
    copied. Only the oldest may be missing, which the next one is overwriting."""
    last = max(found, default=0)
    first = max(since + 1, last - SLOTS + 1)
    if first not in found and first == last - SLOTS + 1:
        first += 1
    number, texts = first, list[bytes]()
    while number in found:
        texts.append(found[number])
        number += 1
    return Entries(life, max(number - 1, since), tuple(texts), max(first - since - 1, 0))


def _checksum(number: int, text: bytes) -> int:
    return zlib.crc32(text, zlib.crc32(number.to_bytes(8, "little")))
