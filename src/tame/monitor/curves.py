"""Statistics of learning curves: smoothing, slope, noise, trend, cycles. Plain numbers, no torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

# Standard deviation of the difference of two smoothed values per standard deviation of one epoch: a median of three
# independent normal values has 0.67 of it (their order statistics, exactly), and so has each of the two.
OF_MEDIANS = 0.67 * math.sqrt(2)
LEAST_CYCLES = 5  # fewer are no pattern: what drifts slowly looks like them
BY_CHANCE = 1e-4  # probability of a cycle this strong in noise


def smooth(values: Sequence[float] | np.ndarray, *, window: int = 3) -> np.ndarray:
    """Centred moving medians; at the ends over the values that exist. values: (T,); returns (T,)."""
    array, half = np.asarray(values, dtype=float), window // 2
    n = len(array)
    if n <= 2 * half:
        return np.array([np.median(array[max(0, i - half) : i + half + 1]) for i in range(n)])
    start = [np.median(array[: i + half + 1]) for i in range(half)]
    middle = np.median(np.lib.stride_tricks.sliding_window_view(array, 2 * half + 1), axis=1)
    end = [np.median(array[i - half :]) for i in range(n - half, n)]
    return np.concatenate([start, middle, end])


def noise(values: Sequence[float] | np.ndarray) -> float:
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


def relative_fall(values: Sequence[float] | np.ndarray, *, share: float) -> float:
    """Relative fall of the curve over its last `share` of epochs; below 0 if it rose. values: (T,)."""
    array = smooth(values)
    start = array[max(0, len(array) - 1 - max(1, round(share * len(array))))]
    return float((start - array[-1]) / max(abs(start), 1e-12))


@dataclass(frozen=True, slots=True)
class Fall:
    """How much a loss fell after its first epoch: in all, in the second half of the epochs, in the last fifth."""

    HALF: ClassVar[float] = 0.08  # of the whole fall, in the second half of the epochs: still on the way
    SLOWING: ClassVar[float] = 0.15  # of that, in the last fifth: not slowing down, as a curve near its floor does

    whole: float
    late: float
    last: float

    @classmethod
    def of(cls, values: np.ndarray, soft: np.ndarray) -> Fall:
        """values, soft: (T,), a curve and its smoothed one."""
        end, length = float(soft[-1]), len(values)
        fifth = soft[-1 - max(1, length // 5)]
        return cls(float(values[0]) - end, float(soft[length // 2]) - end, float(fifth) - end)

    @property
    def goes_on(self) -> bool:
        """Whether it had not slowed down, as a curve near its floor does."""
        return self.whole > 0 and self.late > self.HALF * self.whole and self.last > self.SLOWING * self.late


def trend(values: Sequence[float] | np.ndarray) -> float:
    """How steadily a curve rises: 1 if every later value is higher, -1 if every one is lower. values: (T,).

    0 for fewer than three values, and for a curve that does not move.
    Source: Kendall, A new measure of rank correlation (1938), against time as in Mann (1945).
    """
    from scipy.stats import kendalltau  # loaded here: it takes a second and 40 MB, and pages read no trend

    array = np.asarray(values, dtype=float)
    if len(array) < 3 or np.ptp(array) == 0:
        return 0.0
    return float(kendalltau(np.arange(len(array)), array).statistic)


@dataclass(frozen=True, slots=True)
class Cycle:
    """A rise and fall that returns. epochs: of one turn; share: of the variance around the trend; chance: of noise
    that looks like this."""

    epochs: float
    share: float
    chance: float


def cycle(values: Sequence[float] | np.ndarray) -> Cycle | None:
    """The strongest regular cycle around the trend of a curve; None if noise could look like it. values: (T,).

    Source: Fisher, Tests of significance in harmonic analysis (1929): the share of the largest of m periodogram
    ordinates exceeds g by chance with probability sum_j (-1)^(j-1) C(m, j) (1 - j g)^(m-1).
    """
    array = np.asarray(values, dtype=float)
    if len(array) < 4 * LEAST_CYCLES:
        return None
    rest = array - np.polyval(np.polyfit(np.arange(len(array)), array, 3), np.arange(len(array)))
    power = np.abs(np.fft.rfft(rest)[1 : (len(array) - 1) // 2 + 1]) ** 2
    if power.sum() <= 1e-24 * max(1.0, float(np.square(array).sum())):
        return None
    top, m = int(power.argmax()), len(power)
    g = float(power[top] / power.sum())
    terms = [(-1) ** (j - 1) * math.comb(m, j) * (1 - j * g) ** (m - 1) for j in range(1, int(1 / g) + 1)]
    chance = min(1.0, max(0.0, sum(terms)))
    if top + 1 < LEAST_CYCLES or chance >= BY_CHANCE:
        return None
    return Cycle(len(array) / (top + 1), g, chance)
