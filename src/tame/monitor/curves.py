"""Statistics of learning curves: smoothing, slope, noise. Plain numbers, no torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def smooth(values: Sequence[float], *, window: int = 3) -> np.ndarray:
    """Centred moving medians; at the ends over the values that exist. values: (T,); returns (T,)."""
    array, half = np.asarray(values, dtype=float), window // 2
    n = len(array)
    if n <= 2 * half:
        return np.array([np.median(array[max(0, i - half) : i + half + 1]) for i in range(n)])
    start = [np.median(array[: i + half + 1]) for i in range(half)]
    middle = np.median(np.lib.stride_tricks.sliding_window_view(array, 2 * half + 1), axis=1)
    end = [np.median(array[i - half :]) for i in range(n - half, n)]
    return np.concatenate([start, middle, end])


def noise(values: Sequence[float]) -> float:
    """Standard deviation from epoch to epoch around the local trend, from second differences. values: (T,).

    A second difference of independent noise has six times its variance. The median is used, because the steep fall of
    the first epochs would dominate the mean. 0 for fewer than four values.
    Source: Gasser, Sroka and Jennen-Steinmetz, Residual variance and residual pattern (1986), for an even grid; the
    median as in Hampel, The influence curve and its role in robust estimation (1974).
    """
    array = np.asarray(values, dtype=float)
    if len(array) < 4:
        return 0.0
    return float(1.4826 * np.median(np.abs(np.diff(array, n=2))) / np.sqrt(6))


def relative_fall(values: Sequence[float], *, share: float) -> float:
    """Relative fall of the curve over its last `share` of epochs; below 0 if it rose. values: (T,)."""
    array = smooth(values)
    start = array[max(0, len(array) - 1 - max(1, round(share * len(array))))]
    return float((start - array[-1]) / max(abs(start), 1e-12))
