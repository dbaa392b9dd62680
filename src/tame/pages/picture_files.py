"""Taught pictures as files: their names say which recording they are from, so nothing else needs to be kept."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image, UnidentifiedImageError

from tame.core.errors import UsageError, require

KINDS = (  # what a file of pictures begins with, and its ending
    (b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"), (b"RIFF", ".webp"),
)  # fmt: skip
DIGEST = re.compile(r"[0-9a-f]{64}")
RECORDING = re.compile(r"[0-9a-f]{12}")
PICTURE, CLASS, GROUP = "picture", "class", "recording"  # columns of the list
THUMBNAIL, MOST_PIXELS = 160, 100_000_000
_NAME = re.compile(r"((?P<recording>[0-9a-f]{12})-)?(?P<digest>[0-9a-f]{64})\.[a-z]+")


@dataclass(frozen=True, slots=True)
class Kept:
    """A picture of a class. recording: from which it is, "" for one of its own."""

    name: str
    digest: str
    recording: str

    @property
    def group(self) -> str:
        """What it may not be parted from: its recording, or itself."""
        return self.recording or self.digest


def ending_of(content: bytes) -> str:
    """The ending of a picture's name, by how its file begins. Raises UsageError for what is not a picture."""
    found = next((end for start, end in KINDS if content.startswith(start)), None)
    if found is None:
        raise UsageError("this is not a picture that can be read: JPEG, PNG, WebP, GIF or BMP")
    return found


def file_name(digest: str, ending: str, recording: str) -> str:
    """The name of a picture's file. Raises UsageError for a recording that cannot be one."""
    require(not recording or RECORDING.fullmatch(recording) is not None, "this is not the number of a recording")
    return f"{recording}-{digest}{ending}" if recording else f"{digest}{ending}"


def kept_as(name: str) -> Kept:
    """The picture of a file. One that the user put there has any name, and is from no recording."""
    parts = _NAME.fullmatch(name)
    if parts is None:
        return Kept(name, name, "")
    return Kept(name, parts["digest"], parts["recording"] or "")


def list_of(pictures: Mapping[str, Sequence[Kept]], *, folder: str) -> str:
    """The pictures of each class as the table of which `tame fit --groups` keeps recordings together.

    folder: of the pictures, as seen from that of the table.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow((PICTURE, CLASS, GROUP))
    for own, kept in pictures.items():
        writer.writerows((f"{folder}/{own}/{each.name}", own, f"of {each.group}") for each in kept)
    return text.getvalue()


def thumbnail_of(content: bytes) -> bytes:
    """A small JPEG of a picture: what is shown is drawn again, never the file itself. Raises UsageError."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            require(picture.width * picture.height <= MOST_PIXELS, "this picture is too large to be shown")
            picture.draft("RGB", (THUMBNAIL, THUMBNAIL))
            small = picture.convert("RGB")
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        raise UsageError("this picture cannot be read; the study will leave it out and say so") from None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    drawn = io.BytesIO()
    small.save(drawn, "JPEG", quality=80)
    return drawn.getvalue()
