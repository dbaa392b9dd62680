"""Pictures in an array given from Python: which arrays hold some, and which of them show the same."""

from __future__ import annotations

import numpy as np

from tame.data.image_crops import small_copy
from tame.data.image_hashes import perceptual_hash
from tame.data.quality import find_duplicates, find_parts

LEAST_SIDE = 16  # pixels; what is smaller shows too little to be told apart
CHANNELS = (1, 3, 4)
SAMPLE = 1000  # pictures that say what is black and white
ENDS = (0.1, 99.9)  # percent of the values that are below black, and below white


def as_pictures(x: np.ndarray) -> np.ndarray | None:
    """A view (N, H, W, C) of an array that holds pictures, of C = 1, 3 or 4 channels; None for any other.

    x: (N, H, W, C) or (N, C, H, W); or (N, H, W), where these are bytes or as wide as high.
    """
    if x.ndim == 3 and (x.dtype == np.uint8 or x.shape[1] == x.shape[2]):
        x = x[..., None]
    if x.ndim != 4 or x.dtype.kind not in "biuf":
        return None
    for found in (x, x.transpose(0, 2, 3, 1)):
        if found.shape[3] in CHANNELS and min(found.shape[1:3]) >= LEAST_SIDE:
            return found
    return None


def same_pictures(x: np.ndarray) -> tuple[list[tuple[int, int]], int]:
    """Pairs (a, b), a < b, of pictures that are the same or nearly, also turned, mirrored, cropped, brighter, or with
    red and blue exchanged, as some programs read them.

    x: (N, H, W, C) as of `as_pictures`, of any range of values; transparency counts for nothing. The number is that of
    `find_parts`.
    """
    if len(x) < 2:
        return [], 0
    low, high = (0.0, 255.0) if x.dtype == np.uint8 else _ends(x[:: max(1, len(x) // SAMPLE)])
    small, hashes, exchanged = [], [], []
    for each in x:
        pixels = np.nan_to_num(each[..., :3].astype(np.float64), nan=low, posinf=high, neginf=low)
        eight = np.clip((pixels - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
        colours = np.ascontiguousarray(np.broadcast_to(eight, (*eight.shape[:2], 3)))
        small.append(small_copy(colours))
        hashes.append(perceptual_hash(colours))
        exchanged.append(perceptual_hash(np.ascontiguousarray(colours[..., ::-1])))
    parts, crowd = find_parts(np.stack(small))
    again = find_duplicates([*hashes, *exchanged], None, digests=()) if x.shape[3] > 1 else []
    crossed = [(a, b - len(x)) for a, b in again if a < len(x) <= b]
    swapped = {(min(a, b), max(a, b)) for a, b in crossed if a != b}
    return sorted({*find_duplicates(hashes, None, digests=()), *parts, *swapped}), crowd


def _ends(some: np.ndarray) -> tuple[float, float]:
    """The values of black and of white; where nearly all values are one, the least and the largest."""
    values = some[..., :3].astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, ENDS)
    if low == high:
        low, high = values.min(), values.max()
    return float(low), float(high) if high > low else float(low) + 1
