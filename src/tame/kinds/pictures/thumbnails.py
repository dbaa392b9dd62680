"""Small pictures of examples, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.data.image_decoding import decode_bytes, judged_warnings
from tame.data.image_loading import content_of
from tame.data.images import Picture
from tame.kinds.pictures.listing import listing_of

THUMBNAIL = 160  # pixels of the longer side


def draw(config: StudyConfig, ids: Sequence[str], folder: Path) -> dict[str, bytes]:
    """JPEG files of the pictures of these ids; those that are gone or damaged are left out. folder: of the study."""
    try:
        listing = listing_of(config, folder)
    except TameError:
        return {}  # the report is drawn again after the pictures were moved: it is drawn without them
    wanted = set(ids)
    drawn = {picture.id: _thumbnail(picture) for picture in listing.pictures if picture.id in wanted}
    return {name: small for name, small in drawn.items() if small is not None}


def _thumbnail(picture: Picture) -> bytes | None:
    try:
        with judged_warnings():
            image = Image.fromarray(decode_bytes(content_of(picture), shortest=THUMBNAIL))
    except TameError:
        return None
    image.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
