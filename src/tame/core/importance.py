"""What mattered in a search, as values: importance, the best for each value, and what more trials would bring."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Value


@dataclass(frozen=True, slots=True)
class Objective:
    """What trials are compared by, and which way it runs. sign: 1 where less is better, -1 where more is."""

    name: str = "validation loss"
    sign: float = 1.0

    def shown(self, loss: float) -> float:
        """The value behind a loss, which is always better when it is less."""
        return self.sign * loss


@dataclass(frozen=True, slots=True)
class Importance:
    """The share of one dimension in what sets the best trials apart; low, high: of 90 % of resampled studies.

    is_shown: whether it is more than what chance alone gives where the dimension plays no part.
    """

    name: str
    value: float
    low: float
    high: float
    n: int  # trials in which the dimension played a part
    is_shown: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Importances:
    """All dimensions, the most important first; none where the trials are too few. enough: trials that would do."""

    method: str = "PED-ANOVA"
    n: int
    top: int  # trials that count as the best
    enough: int
    is_enough: bool
    each: tuple[Importance, ...]


@dataclass(frozen=True, slots=True)
class Bucket:
    """The trials whose values lie in one part of a dimension. low, high: of the best in 95 % of resamples.

    start, end: of the part in the unit cube; value: of a choice, else None.
    """

    start: float
    end: float
    value: Value | None
    n: int
    final: int  # of them were trained to their end
    best: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Isolation:
    """The best that was found for each part of a dimension, whatever the other dimensions were."""

    name: str
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class BestOf:
    """What the best of so many trials comes to, drawn from those that were made.

    sizes: numbers of trials; median, low, high: of the best of so many, with a 95 % band that holds for all sizes at
    once (low is None where the trials are too few to bound it); gain: that twice as many trials would bring, None
    where that cannot be told; noise: standard deviation of the same recipe trained with other seeds, None where it
    was not measured; drawn: trials that were chosen without looking at earlier ones.
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
    """What mattered in a search: all values are as `metric` names them, in its own direction."""

    metric: str
    mode: Literal["min", "max"]
    how: str  # trials of unequal length were made comparable
    importance: Importances
    isolation: tuple[Isolation, ...]
    best_of: BestOf | None

    @property
    def objective(self) -> Objective:
        return Objective(self.metric, 1.0 if self.mode == "min" else -1.0)

    def to_json(self) -> dict[str, object]:
        """Plain values, which `from_json` turns back into these."""
        found: dict[str, object] = to_plain(self)
        return found

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Mattered:
        """Raises StorageError where the values do not fit."""
        return from_plain(cls, values, what="what mattered in the search")
