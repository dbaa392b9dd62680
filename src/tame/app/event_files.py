"""The numbers in TensorBoard's event files: a reader of the two formats involved, and of nothing more.

TensorBoard itself would bring gRPC, protobuf and a web server along. An event file is a chain of records (TFRecord),
each with its length and checksums; a record is a protobuf message, of which only the scalars of a summary are read.
Sources: tensorflow/core/lib/io/record_writer.h; event.proto, summary.proto and tensor.proto of TensorFlow, whose field
numbers are the constants below; Koopman, 32-bit cyclic redundancy codes (2002), for CRC-32C.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tame.core.errors import DataError

MOST_RECORD = 2**22  # bytes; longer ones hold pictures or graphs, and are skipped
_POLYNOMIAL = 0x82F63B78  # of CRC-32C, reversed
_EVENT_STEP, _EVENT_SUMMARY = 2, 5
_SUMMARY_VALUE, _VALUE_TAG, _VALUE_SIMPLE, _VALUE_TENSOR = 1, 1, 2, 8
_TENSOR_TYPE, _TENSOR_CONTENT, _TENSOR_FLOATS, _TENSOR_DOUBLES = 1, 4, 5, 6
_FLOAT, _DOUBLE = 1, 2  # types of a tensor


@dataclass(frozen=True, slots=True)
class Scalar:
    """One number of a run: its tag, its step, and the number itself, which may be NaN."""

    tag: str
    step: int
    value: float


def scalars(data: bytes, where: str) -> tuple[list[Scalar], bool]:
    """All scalars of an event file, in its order, and whether the file ends in the middle of a record.

    A file that is cut off is ordinary: the program that writes it may still run, or was killed. Raises DataError for
    what is no event file, and for a record whose checksum is wrong.
    """
    found: list[Scalar] = []
    at = 0
    while at < len(data):
        if len(data) - at < 12:
            return found, True
        head = data[at : at + 8]
        if _masked(head) != struct.unpack_from("<I", data, at + 8)[0]:
            told = "is not an event file of TensorBoard" if at == 0 else f"is damaged at byte {at}"
            raise DataError(f"{where} {told}: the checksum of a record's length is wrong")
        (length,) = struct.unpack("<Q", head)
        begin, end = at + 12, at + 12 + length
        if end + 4 > len(data):
            return found, True
        if length <= MOST_RECORD:
            record = data[begin:end]
            if _masked(record) != struct.unpack_from("<I", data, end)[0]:
                raise DataError(f"{where} is damaged at byte {begin}: the checksum of a record is wrong")
            found += _of_event(record, f"{where}, at byte {begin}")
        at = end + 4
    return found, False


def _of_event(record: bytes, where: str) -> Iterator[Scalar]:
    step, summaries = 0, []
    for number, value in _fields(record, where):
        if number == _EVENT_STEP and isinstance(value, int):
            step = value
        elif number == _EVENT_SUMMARY and isinstance(value, bytes):
            summaries.append(value)
    for summary in summaries:
        for number, value in _fields(summary, where):
            if number == _SUMMARY_VALUE and isinstance(value, bytes):
                own = dict(_fields(value, where))
                tag, number_of = own.get(_VALUE_TAG), _number(own, where)
                if isinstance(tag, bytes) and number_of is not None:
                    yield Scalar(tag.decode("utf-8", "replace"), step, number_of)


def _number(value: dict[int, int | bytes], where: str) -> float | None:
    """The number of a summary's value; None if it holds something else, such as a picture."""
    simple, tensor = value.get(_VALUE_SIMPLE), value.get(_VALUE_TENSOR)
    if isinstance(simple, bytes) and len(simple) == 4:
        return float(struct.unpack("<f", simple)[0])
    if not isinstance(tensor, bytes):
        return None
    own = dict(_fields(tensor, where))
    for kind, size, code, listed in ((_FLOAT, 4, "<f", _TENSOR_FLOATS), (_DOUBLE, 8, "<d", _TENSOR_DOUBLES)):
        if own.get(_TENSOR_TYPE) == kind:
            for content in (own.get(_TENSOR_CONTENT), own.get(listed)):
                if isinstance(content, bytes) and len(content) == size:
                    return float(struct.unpack(code, content)[0])
    return None


def _fields(message: bytes, where: str) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: numbers of a varint as int, all else as its bytes. Raises DataError."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at, where)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at, where)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(message, at, where)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise DataError(f"{where}: not a message that TensorBoard writes")
        if at + size > len(message):
            raise DataError(f"{where}: a message ends too early")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: bytes, at: int, where: str) -> tuple[int, int]:
    """A whole number in groups of seven bits, and where it ends. Steps below zero do not occur."""
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(message):
            raise DataError(f"{where}: a message ends too early")
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise DataError(f"{where}: a number without an end")


def _table() -> tuple[int, ...]:
    found = []
    for byte in range(256):
        rest = byte
        for _ in range(8):
            rest = (rest >> 1) ^ (_POLYNOMIAL if rest & 1 else 0)
        found.append(rest)
    return tuple(found)


_CRC = _table()


def _masked(data: bytes) -> int:
    """The checksum of a record: CRC-32C, rotated and moved, as TFRecord has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC[(crc ^ byte) & 0xFF]
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
