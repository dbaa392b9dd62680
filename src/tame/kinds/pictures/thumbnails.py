"""Small pictures of examples, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image

from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.data.image_decoding import decode
from tame.data.images import scan


def draw(config: StudyConfig, sides: Mapping[str, int]) -> dict[str, bytes]:
    """JPEG files of the pictures of these ids; those that are gone or damaged are left out.

    sides: the longer side of each, at most, in pixels.
    """
    try:
        listing = scan(Path(config.data), val=config.val, test=config.test)
    except TameError:
        return {}  # the report is drawn again after the pictures were moved: it is drawn without them
    shown = [picture for picture in listing.pictures if picture.id in sides]
    drawn = {picture.id: _thumbnail(picture.path, sides[picture.id]) for picture in shown}
    return {name: small for name, small in drawn.items() if small is not None}


def _thumbnail(path: str, side: int) -> bytes | None:
    try:
        image = Image.fromarray(decode(path, shortest=side))
    except TameError:
        return None
    image.thumbnail((side, side))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
