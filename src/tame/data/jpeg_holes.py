"""JPEG files in which zeros stand where data was: cut in a transfer, and as long as they should be nevertheless.

A decoder makes something of the zeros, mostly grey, and says nothing.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

import numpy as np

LEAST = 32  # zeros: a photograph never has so many one after the other; drawings with tables of their own may
ZEROS = re.compile(rb"\0{%d,}" % LEAST)
MARK = re.compile(rb"\xff[^\x00\xff]")
PROGRESSIVE, SCAN = 0xC2, 0xDA  # segments
END_MARK = b"\xff\xd9"
TAIL = 16  # bytes at the end of a part that must matter
MOST = 8  # parts of a picture that are looked at
FILLINGS = tuple(bytes((step * place + 11) % 251 for place in range(512)) for step in (0, 37, 85, 129))  # no marks


def has_hole(data: bytes, decoded: Callable[[bytes], np.ndarray]) -> bool:
    """Whether a part of a JPEG was lost and filled with zeros. decoded: makes pixels of a file, or raises.

    Looked at are only parts of the coded picture with many zeros one after the other. A sound part ends where its last
    pixel does: more data behind it changes nothing, and other data at its end does.
    """
    start = _scan(data)
    if data.find(bytes(LEAST), start) < 0:
        return False
    stop = data.find(END_MARK, start)  # behind it other pictures and notes may follow
    if stop < 0:
        return ZEROS.search(data, len(data.rstrip(b"\0"))) is not None
    ends = set()
    for hole in ZEROS.finditer(data, start, stop):
        mark = MARK.search(data, hole.end(), stop)
        ends.add(stop if mark is None else mark.start())
    if not ends:
        return False
    whole = decoded(data)
    return any(not _is_sound(data, end, whole, decoded) for end in sorted(ends)[:MOST])


def _is_sound(data: bytes, end: int, whole: np.ndarray, decoded: Callable[[bytes], np.ndarray]) -> bool:
    """Whether the part of a picture that ends here is neither too short nor too long for its pixels."""

    def changes(content: bytes) -> bool:
        try:
            return not np.array_equal(decoded(content), whole)
        except Exception:  # of the many kinds that Pillow raises
            return True

    if any(changes(data[:end] + filling + data[end:]) for filling in FILLINGS):
        return False
    return any(changes(data[: end - TAIL] + filling + data[end:]) for filling in FILLINGS)


def lacks_scans(data: bytes) -> bool:
    """Whether a progressive JPEG ends before the last bit of each frequency of each of its colours."""
    left: set[tuple[int, int]] = set()
    for kind, own, _ in _segments(data):
        if kind == PROGRESSIVE:
            left = set(itertools.product(own[6::3], range(64)))
        elif kind == SCAN:
            colours, (first, last, bits) = own[1 : 1 + 2 * own[0] : 2], own[-3:]
            if bits % 16 == 0:
                left -= set(itertools.product(colours, range(first, last + 1)))
    return bool(left)


def _scan(data: bytes) -> int:
    """Where the coded picture begins, behind all tables and notes; the end of the file where that is not found."""
    return next((end for kind, _, end in _segments(data) if kind == SCAN), len(data))


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The marker, the content and the end of each whole segment of a JPEG, passing over coded pixels."""
    place = 2
    while (mark := MARK.search(data, place)) is not None:
        place = mark.start()
        size = int.from_bytes(data[place + 2 : place + 4], "big")
        if 0xD0 <= data[place + 1] <= 0xD9:  # without content
            place += 2
            continue
        if size < 2 or place + 2 + size > len(data):
            return
        place += 2 + size
        yield data[mark.start() + 1], data[mark.start() + 4 : place], place
