"""Facts about the data: pictures that are the same, or nearly, and what follows from where they lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.data.image_hashes import close_pairs

SURE_BITS = 6  # of 64: re-encoded copies differ by no more, different photographs by twice as much
LIKELY_BITS = 12  # so close a pair is the same picture if its features agree as well
LIKELY_COSINE = 0.90
ALONE_COSINE = 0.975  # features as close as this need no hash: crops of the same picture


def find_duplicates(
    hashes: Sequence[int], features: np.ndarray | None, *, digests: Sequence[str]
) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of the same picture: by file, by perceptual hash, then by the distance of features.

    hashes: (N,) 64-bit perceptual hashes; features: (N, D) of a pretrained backbone, or None.
    """
    array = np.asarray(hashes, dtype=np.uint64)
    unit = None
    if features is not None:
        # Without the mean, which all pictures share, the cosine tells pictures apart.
        centred = features - features.mean(axis=0, keepdims=True)
        unit = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
    found = set()
    for a, b in close_pairs(array, limit=LIKELY_BITS if unit is not None else SURE_BITS):
        bits = int(array[a] ^ array[b]).bit_count()
        if bits <= SURE_BITS if unit is None else unit[a] @ unit[b] >= LIKELY_COSINE:
            found.add((a, b))
    if unit is not None:
        found |= set(_alike(unit))
    first: dict[str, int] = {}
    for row, digest in enumerate(digests):
        if digest in first:
            found.add((first[digest], row))
        first.setdefault(digest, row)
    return sorted(found)


def _alike(unit: np.ndarray, block: int = 1024) -> list[tuple[int, int]]:
    """Pairs of rows whose cosine is at least ALONE_COSINE, block by block. unit: (N, D) rows of length 1."""
    found = []
    for start in range(0, len(unit), block):
        rows, columns = np.nonzero(unit[start : start + block] @ unit[start:].T >= ALONE_COSINE)
        found += [(start + int(r), start + int(c)) for r, c in zip(rows, columns, strict=True) if r < c]
    return found
