"""The pictures of a study, one by one."""

from __future__ import annotations

from pathlib import Path

from tame.core.config import StudyConfig
from tame.core.plain import from_plain
from tame.data.image_decoding import judged_warnings
from tame.data.image_loading import depth_of
from tame.kinds.examples import Examples
from tame.kinds.kind import Known
from tame.kinds.pictures.listing import listing_of
from tame.kinds.pictures.source import PictureFacts
from tame.kinds.pictures.thumbnails import thumbnail

DEPTH_OF = 64  # pictures by which it is found how many bits they have


def read(config: StudyConfig, known: Known, folder: Path) -> Examples:
    """The pictures in the order in which the study has them. Raises DataError where they cannot be listed."""
    facts = from_plain(PictureFacts, known.data, what="what is known of the pictures")
    kept = [each.rpartition(":") for each in facts.digests[: facts.pictures]]
    ids, digests = [name for name, _, _ in kept], [digest for _, _, digest in kept]
    listing = listing_of(config, folder)
    there = {picture.id: picture for picture in listing.pictures}
    with judged_warnings():
        bits, _ = depth_of(listing.pictures[:DEPTH_OF])

    def label_of(name: str) -> str:
        own = there.get(name)
        if own is None:
            return ""
        return listing.classes[own.label] if listing.classes else f"{own.value:.10g}"

    def picture_of(row: int, side: int) -> bytes | None:
        own = there.get(ids[row])
        is_same = own is not None and own.digest == digests[row]
        return thumbnail(own, side, bits) if own is not None and is_same else None

    return Examples(
        ids=ids, labels=[label_of(name) for name in ids], digest_of=digests.__getitem__, picture_of=picture_of
    )  # fmt: skip
