"""What is white in grey pictures of 16 bits, which cameras and scanners may fill with 8 or 12 of them.

A file may say it itself. Where none does, it is decided once for a whole data set: decided picture by picture, the
same grey would be bright in one and dark in the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, TiffImagePlugin

from tame.core.errors import DataError, require

BITS = (8, 12, 16)  # that numbers of 16 bits may use, with what uses them: cameras and scanners of medicine have 12
PNG_START, TIFF_STARTS = b"\x89PNG\r\n\x1a\n", (b"II*\0", b"MM\0*")


class UnreadablePicture(DataError):
    """One file that cannot be used as a picture. The message is the reason, one line without the path."""


def is_deep(image: Image.Image) -> bool:
    """Whether the picture has one number of 16 bits for each pixel."""
    return image.mode.startswith("I;16")


def may_be_deep(start: bytes) -> bool:
    """Whether a file that begins like this (26 bytes or more) may hold grey of 16 bits."""
    return start.startswith(TIFF_STARTS) or (start.startswith(PNG_START) and start[24:26] == b"\x10\0")


def numbers_of(image: Image.Image) -> np.ndarray:
    """(H, W) uint16, from 0 for black. image: loaded, of 16 bits; a TIFF in which 0 is white is turned round."""
    numbers = np.asarray(image).astype(np.uint16)
    return 65535 - numbers if _tag(image, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0 else numbers


def white_in(image: Image.Image, numbers: np.ndarray, data: bytes) -> int | None:
    """The number of white by what the file says of itself; None where it says nothing.

    numbers: of the picture; data: the bytes of its file, b"" where they are not known. A PNG that names B significant
    bits should have stretched them to 16, but files of bare numbers are as common: their numbers lie closer together.
    Sources: PNG specification (third edition), sBIT; TIFF 6.0, BitsPerSample and MaxSampleValue, which many programs
    fill with the largest number of the picture, so that it counts only where it is all ones.
    """
    bits = _tag(image, TiffImagePlugin.BITSPERSAMPLE)
    if bits is not None and bits < 16:
        return (1 << bits) - 1
    largest = _tag(image, 281)  # MaxSampleValue
    if largest is not None and 255 <= largest < 65535 and (largest + 1).bit_count() == 1 and numbers.max() <= largest:
        return largest
    bits = _significant_bits(data)
    if bits is None or not 1 <= bits < 16:
        return None
    steps = np.diff(np.unique(numbers))
    bare = numbers.max() < 2**bits and (not len(steps) or steps.min() < 2 ** (16 - bits) - 1)
    return (1 << bits) - 1 if bare else 65535


def bits_for(largest: Sequence[int]) -> int | None:
    """How many bits white has in a data set whose files do not say it. largest: number of each; None for none."""
    return next(bits for bits in BITS if max(largest) < 2**bits) if largest else None


def white_of(numbers: np.ndarray, bits: int | None) -> int:
    """The number of white in a picture whose file does not say it. bits: of its data set, None where it has no such.

    Raises UnreadablePicture where the picture does not fit, or could be of either depth.
    """
    needed = bits_for([int(numbers.max())])
    assert needed is not None
    mend = "save it with 8 bits"
    said = f"its numbers use {needed} of 16 bits, and nothing says whether that is white; {mend}"
    require(bits is not None or needed == 16, said, error=UnreadablePicture)
    bits = bits or needed
    said = f"its numbers use {needed} bits, and those of the pictures that were trained on {bits}; {mend}"
    require(needed <= bits, said, error=UnreadablePicture)
    return (1 << bits) - 1


def as_grey(numbers: np.ndarray, white: int) -> Image.Image:
    """The picture (H, W) uint16 in 8 bits."""
    wide = np.minimum(numbers, white).astype(np.uint32)
    return Image.fromarray(((wide * 255 + white // 2) // white).astype(np.uint8))


def _tag(image: Image.Image, number: int) -> int | None:
    """A whole number that a TIFF says of itself; None where it does not, or for another format."""
    tags = getattr(image, "tag_v2", {})
    found = tags.get(number) if image.format == "TIFF" else None
    found = found[0] if isinstance(found, tuple) and found else found
    return found if isinstance(found, int) else None


def _significant_bits(data: bytes) -> int | None:
    """How many bits a PNG of one channel says are significant; None where it does not say it."""
    place = len(PNG_START) if data.startswith(PNG_START) else len(data)
    while place + 8 < len(data) and data[place + 4 : place + 8] != b"IDAT":
        size = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"sBIT" and size == 1:
            return data[place + 8]
        place += size + 12
    return None
