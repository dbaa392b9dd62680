"""Small pictures of examples, for the report."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

from PIL import Image

from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.data.image_decoding import decode_bytes, judged_warnings
from tame.data.image_loading import content_of, depth_of
from tame.data.images import Picture
from tame.kinds.pictures.listing import listing_of


def draw(config: StudyConfig, sides: Mapping[str, int], folder: Path) -> dict[str, bytes]:
    """JPEG files of the pictures of these ids; those that are gone or damaged are left out.

    sides: the longer side of each, at most, in pixels; folder: of the study.
    """
    try:
        listing = listing_of(config, folder)
    except TameError:
        return {}  # the report is drawn again after the pictures were moved: it is drawn without them
    shown = [picture for picture in listing.pictures if picture.id in sides]
    with judged_warnings():
        bits, _ = depth_of(shown)  # nearly that of all pictures: seen in a report, not judged by
    drawn = {picture.id: thumbnail(picture, sides[picture.id], bits) for picture in shown}
    return {name: small for name, small in drawn.items() if small is not None}


def thumbnail(picture: Picture, side: int, bits: int | None) -> bytes | None:
    """A JPEG of a picture that was drawn again, its longer side at most so many pixels; None where it cannot be read.

    bits: of white in grey pictures of 16 bits.
    """
    try:
        with judged_warnings():
            image = Image.fromarray(decode_bytes(content_of(picture), shortest=side, bits=bits))
    except TameError:
        return None
    image.thumbnail((side, side))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
