"""What a learning-rate range test measured, and the rates that it suggests, as values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

SMOOTHED = 0.9  # of a loss, that the next one keeps
RISEN = 4.0  # times the loss before the test: it has diverged, and the test ends
FELL = 0.05  # of the loss before the test: what must have been won for a rate to be suggested
ROSE = 0.05  # of what was won: what must be lost again beyond the lowest loss
AROUND = 15  # a slope is measured over two of so many parts of the steps
BELOW = 10.0  # times below the rate of the lowest loss, the rate to begin with is


@dataclass(frozen=True, slots=True, kw_only=True)
class RateRange:
    """The losses of steps at rising rates. points: rate and smoothed loss of each step, in order; steepest: the rate at
    which the loss falls fastest, None where it hardly fell; lowest: that of the lowest loss, None where it does not
    rise beyond. usual: the rate of the recipe; seconds: that it took.

    Source: Smith, Cyclical learning rates for training neural networks (2017), 3.3.
    """

    points: tuple[tuple[int | float, int | float], ...]
    usual: int | float
    steepest: int | float | None = None
    lowest: int | float | None = None
    seconds: int | float = 0.0

    @property
    def suggested(self) -> float | None:
        """The rate to begin with: a tenth of that of the lowest loss."""
        return None if self.lowest is None else self.lowest / BELOW

    @property
    def words(self) -> str:
        """What the test says, in a sentence or two."""
        said = f"from {self.points[0][0]:.2g} to {self.points[-1][0]:.2g}" if self.points else "of no step"
        if self.steepest is None:
            return f"learning rates {said} for one step each: the loss hardly fell, so this test suggests none"
        if self.lowest is None or self.suggested is None:
            return (
                f"learning rates {said} for one step each: the loss falls fastest at {self.steepest:.2g} and never "
                f"rises, so none of them is too high for a step (the default is {self.usual:.2g})"
            )
        apart = self.suggested / self.usual
        near = "which is about the default" if 1 / 3 <= apart <= 3 else f"the default is {self.usual:.2g}"
        return (
            f"learning rates {said} for one step each: the loss falls fastest at {self.steepest:.2g} and rises beyond "
            f"{self.lowest:.2g}; a usual choice is a tenth of that, {self.suggested:.2g}, {near}"
        )


def rate_range(rates: Sequence[float], losses: Sequence[float], *, usual: float, seconds: float = 0.0) -> RateRange:
    """The range test of these rates, which rise by equal factors, and of the loss before the step at each.

    >>> rates = [10.0 ** (k / 10 - 5) for k in range(50)]
    >>> found = rate_range(rates, [1 / (1 + 1e3 * r) + (10 * r) ** 4 for r in rates], usual=1e-3)
    >>> 1e-4 < found.steepest < found.lowest < 0.1, found.suggested == found.lowest / 10
    (True, True)
    """
    smooth, mean = list[float](), 0.0
    for number, loss in enumerate(losses, start=1):
        if not math.isfinite(loss):
            break
        mean = SMOOTHED * mean + (1 - SMOOTHED) * loss
        smooth.append(mean / (1 - SMOOTHED**number))  # as of Adam: the first ones count in full
    points = tuple(zip(map(float, rates), smooth, strict=False))
    found = RateRange(points=points, usual=usual, seconds=seconds)
    if len(smooth) < 3:
        return found
    best = min(range(len(smooth)), key=smooth.__getitem__)
    if smooth[0] - smooth[best] < FELL * abs(smooth[0]) or best < 2:
        return found
    wide = max(1, len(smooth) // AROUND)
    falls = {at: smooth[max(at - wide, 0)] - smooth[min(at + wide, best)] for at in range(1, best)}
    steepest = max(falls, key=falls.__getitem__)
    rises = max(smooth[best:]) - smooth[best] >= ROSE * (smooth[0] - smooth[best]) or len(smooth) < len(losses)
    return replace(found, steepest=points[steepest][0], lowest=points[best][0] if rises else None)
