"""What it costs to turn examples into features before anything trains on them: values, for plan and forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tame.core.plain import from_plain

Precision = Literal["float32", "bfloat16", "float16"]
Way = Literal["plain", "folded", "fused"]
PLANNED_EPOCHS = 3  # that a plan with fine-tuning in it must have time for


@dataclass(frozen=True, slots=True)
class Speed:
    """How a backbone is run here. rate: examples a second at the size it was measured with.

    way: plain, with norms folded into convolutions, or these fused with their activations as well.
    """

    precision: Precision
    way: Way
    batch_size: int
    rate: float
    size: int

    @classmethod
    def from_json(cls, own: object) -> Speed:
        """The values of the fields by name. Raises StorageError or ValueError for anything else."""
        found = from_plain(cls, own, what="the speed of a backbone")
        if min(found.batch_size, found.rate, found.size) <= 0:
            raise ValueError(own)
        return found

    def seconds(self, num: int, size: int) -> float:
        """Seconds that so many examples take through the backbone at a size: work grows with the area."""
        return num / self.rate * (size / self.size) ** 2


@dataclass(frozen=True, slots=True)
class Costs:
    """How fast the backbone runs here, and how many passes the features of training and sealed examples need, by size.

    sizes: those whose features can be computed in the time for it, the best guess first, at least one; tunes: whether
    the backbone may be trained as well.
    """

    speed: Speed
    learnt: Mapping[int, int]
    sealed: Mapping[int, int]
    epoch_s: float  # of fine-tuning at the smallest size, one fold; infinite where it cannot be tried
    sizes: tuple[int, ...] = ()
    tunes: bool = False
