"""Pictures that are the same or nearly: by file, by hash, by features, as mirror images and as crops."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.data.image_crops import ALIKE, DETAIL, match_windows
from tame.data.image_hashes import close_pairs
from tame.data.split import groups_of

SURE_BITS = 6  # of 64: re-encoded copies differ by no more, different photographs by twice as much
LIKELY_BITS = 12  # so close a pair is the same picture if its features agree as well
LIKELY_COSINE = 0.90
ALONE_COSINE = 0.975  # features as close as this need no hash: crops of the same picture
# Correlations of colours and of detail from which on a picture shows a part of another; the stricter ones where the
# first join more pictures than copying does, as they do of drawings that all look alike.
LEVELS = ((ALIKE, DETAIL), (0.98, 0.9), (0.995, 0.97))
LARGE_GROUP, LARGE_SHARE = 20, 0.05  # pictures, and share of all, that such pairs may join without being doubted


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


def find_equal(pixels: Sequence[np.ndarray], small: np.ndarray) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of pictures of the same pixels, whatever their files; a is the first of them.

    pixels: (H, W, 3) uint8 each; small: of the same pictures, as `small_copy` makes them.
    """
    firsts: dict[bytes, list[int]] = {}
    found = []
    for row, copy in enumerate(small):
        seen = firsts.setdefault(copy.tobytes(), [])
        first = next((other for other in seen if np.array_equal(pixels[other], pixels[row])), None)
        if first is None:
            seen.append(row)
        else:
            found.append((first, row))
    return found


def find_parts(small: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """Pairs (a, b), a < b, of pictures of which one shows the other or a part of it, also turned or mirrored.

    small: (N, SIDE, SIDE, 3) uint8, as `small_copy` makes them. The number is that of pictures that look alike and were
    not paired, since they would be too many in one group.
    """
    if len(small) < 2:
        return [], 0
    found = match_windows(small)
    best: dict[tuple[int, int], int] = {}  # how many of the levels a pair reaches
    for a, b, alike, detail in zip(
        found.whole.tolist(), found.part.tolist(), found.alike.tolist(), found.detail.tolist(), strict=True
    ):
        reached = sum(alike >= colours and detail >= fine for colours, fine in LEVELS)
        if reached:
            pair = (min(a, b), max(a, b))
            best[pair] = max(best.get(pair, 0), reached)
    crowd: set[int] = set()
    for level in range(2, len(LEVELS) + 1):
        groups = groups_of(len(small), list(best))
        large = np.bincount(groups)[groups] > max(LARGE_GROUP, LARGE_SHARE * len(small))
        kept = {pair: reached for pair, reached in best.items() if reached >= level or not large[pair[0]]}
        crowd.update(*(best.keys() - kept.keys()))
        best = kept
    return sorted(best), len(crowd.difference(*best))


def _alike(unit: np.ndarray, block: int = 1024) -> list[tuple[int, int]]:
    """Pairs of rows whose cosine is at least ALONE_COSINE, block by block. unit: (N, D) rows of length 1."""
    found = []
    for start in range(0, len(unit), block):
        rows, columns = np.nonzero(unit[start : start + block] @ unit[start:].T >= ALONE_COSINE)
        found += [(start + int(r), start + int(c)) for r, c in zip(rows, columns, strict=True) if r < c]
    return found
