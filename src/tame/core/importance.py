"""What mattered in a search, as values: importance, the best loss for each value, and the gain of more trials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value

LEAST = 16  # trials; with fewer, no importance is given


@dataclass(frozen=True, slots=True)
class Objective:
    """What trials are compared by, and its direction. sign: 1 if lower is better, -1 if higher is."""

    name: str = "validation loss"
    sign: float = 1.0

    def shown(self, loss: float) -> float:
        """The value that a loss stands for; a lower loss is always better."""
        return self.sign * loss


@dataclass(frozen=True, slots=True)
class Importance:
    """One dimension's share in what sets the best trials apart; low, high: of 90 % of resampled studies.

    is_shown: whether it exceeds what chance alone gives a dimension that has no effect.
    """

    name: str
    value: float
    low: float
    high: float
    n: int  # trials in which the dimension was active
    is_shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Importances:
    """All dimensions, the most important first; none if there are too few trials. enough: how many would be enough."""

    method: str = "PED-ANOVA"
    n: int
    top: int  # trials that count as the best
    enough: int
    is_enough: bool
    each: tuple[Importance, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The trials whose values lie in one part of a dimension. low, high: of the best loss in 95 % of resamples.

    start, end: of the part in the unit cube; value: of a choice, else None.
    """

    start: float
    end: float
    value: Value | None
    n: int
    final: int  # how many of them were trained to their end
    best: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Isolation:
    """The best that was found in each part of a dimension, over all values of the other dimensions."""

    name: str
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class BestOf:
    """The expected best of n trials, drawn from those that were made.

    sizes: numbers of trials; median, low, high: of the best of that many, with a simultaneous 95 % band over all sizes
    (low is None if there are too few trials to bound it); gain: what twice as many trials would gain, None if unknown;
    noise: standard deviation of the same recipe trained with other seeds, None if it was not measured; drawn: trials
    that were chosen without looking at earlier ones.
    """

    sizes: tuple[int, ...]
    median: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float, ...]
    gain: float | None
    noise: float | None
    n: int
    drawn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mattered:
    """What mattered in a search; all values are those of `metric`, in its own direction."""

    metric: str
    mode: Literal["min", "max"]
    how: str  # how trials of unequal length were made comparable
    importance: Importances
    isolation: tuple[Isolation, ...]
    best_of: BestOf | None

    @property
    def objective(self) -> Objective:
        return Objective(self.metric, 1.0 if self.mode == "min" else -1.0)

    def to_json(self) -> dict[str, object]:
        """Plain values that `from_json` turns back into this object."""
        found: dict[str, object] = to_plain(self)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Mattered:
        """The object that `to_json` wrote. Raises StorageError if the values do not fit."""
        return from_plain(cls, values, what="what mattered in the search")
