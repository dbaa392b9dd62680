"""Small pictures of examples, for the report."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image

from tame.core.config import StudyConfig
from tame.core.errors import TameError
from tame.data.image_decoding import decode
from tame.data.images import scan

THUMBNAIL = 160  # pixels of the longer side


def draw(config: StudyConfig, ids: Sequence[str]) -> dict[str, bytes]:
    """JPEG files of the pictures of these ids; those that are gone or damaged are left out."""
    try:
        listing = scan(Path(config.data), val=config.val, test=config.test)
    except TameError:
        return {}  # the report is drawn again after the pictures were moved: it is drawn without them
    wanted = set(ids)
    drawn = {picture.id: _thumbnail(picture.path) for picture in listing.pictures if picture.id in wanted}
    return {name: small for name, small in drawn.items() if small is not None}


def _thumbnail(path: str) -> bytes | None:
    try:
        image = Image.fromarray(decode(path, shortest=THUMBNAIL))
    except TameError:
        return None
    image.thumbnail((2 * THUMBNAIL, 2 * THUMBNAIL))
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return buffer.getvalue()
