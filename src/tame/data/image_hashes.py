"""Which pictures look alike: a perceptual hash of each, and the pairs whose hashes are near."""

from __future__ import annotations

import numpy as np
from PIL import (
    Image,
)


def perceptual_hash(array: np.ndarray) -> int:
    """64 bits that stay nearly the same when a picture is re-encoded or resized a little.

    array: (H, W, 3) uint8. Bit by bit: whether each of the 8 x 8 lowest frequencies of the grey picture is above
    their median. Two pictures of one plain colour hash equal.
    Source: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions (2010), section 3.2.1.
    """
    grey = Image.fromarray(array).convert("L").resize((32, 32), Image.Resampling.BICUBIC, reducing_gap=3.0)
    waves = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)
    block = waves @ np.asarray(grey, dtype=np.float64) @ waves.T
    low = np.round(block.ravel(), 3)  # a plain picture has rounding noise where it should have zeros
    bits = low > np.median(low[1:])  # the first is the mean brightness
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def close_pairs(hashes: np.ndarray, *, limit: int) -> list[tuple[int, int]]:
    """The pairs (i, j), i < j, whose hashes differ in at most `limit` bits, in order.

    hashes: (N,) uint64. Every pair is looked at: 10,000 hashes take about 0.4 s, 100,000 about 40 s. Among K equal
    hashes all K(K - 1)/2 pairs come back.
    """
    pairs: list[tuple[int, int]] = []
    rows = max(1, 2**22 // max(1, len(hashes)))
    for start in range(0, len(hashes), rows):
        distances = np.bitwise_count(hashes[start : start + rows, None] ^ hashes[None, start:])
        first, second = np.nonzero(distances <= limit)
        keep = second > first
        pairs += zip((first[keep] + start).tolist(), (second[keep] + start).tolist(), strict=True)
    return pairs
