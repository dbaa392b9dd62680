"""From a finding to the change that it suggests: in words for people, and as a change of the space if there is one.

A remedy is a function of (recipe, finding, space): one changed field within its range, or None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from tame.core.codes import CODES
from tame.core.errors import UsageError
from tame.core.plain import from_plain
from tame.core.recipe import Recipe, Value
from tame.core.records import Finding
from tame.core.registry import Registry
from tame.core.space import Choice, Dimension, Float, Int, Space, field_of

Side = Literal["low", "high"]
Number = int | float

FACTORS = (3.0, 10.0)  # smallest and largest factor by which a log range grows
WHOLE_FACTOR = 2.0  # largest factor for whole numbers such as widths, which are costly
SHORTER = 5  # how often a step beyond the end is halved if no recipe may go that far

# The suggested change in words, by the name of the finding.
CHANGES: Mapping[str, str] = {name: code.change for name, code in CODES.items() if code.change}


@dataclass(frozen=True, slots=True)
class Widened:
    """A range extended beyond one of its ends. to: the new end; None if no recipe may have values beyond."""

    name: str
    side: Side
    to: Number | None


@dataclass(frozen=True, slots=True)
class Narrowed:
    """New recipes are proposed only from a bound on (side high: up to it), because most beyond it were lost."""

    name: str
    side: Side  # the side of the lost ones
    bound: Number


Change = Widened | Narrowed


class Remedy(Protocol):
    """The change of one field that a finding suggests; None if there is nothing to change."""

    def __call__(self, recipe: Recipe, finding: Finding, space: Space) -> Change | None: ...


REMEDIES: Registry[Remedy] = Registry("remedy")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnEdge:
    """The evidence of best recipes on an edge. low, high: the range at that time; to: the new end, once widened."""

    field: str
    side: Side
    low: Number
    high: Number
    to: Number | None = None

    @classmethod
    def of(cls, finding: Finding) -> OnEdge:
        return from_plain(cls, finding.evidence, what=f"the evidence of {finding.code}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """The evidence of too many lost trials. bound: most beyond it were lost; first_after: number of the first trial
    that could start after narrowing."""

    field: str = ""
    side: Literal["low", "high", ""] = ""
    value: Value | None = None
    bound: Number | None = None
    first_after: int | None = None

    @classmethod
    def of(cls, finding: Finding) -> Lost:
        return from_plain(cls, finding.evidence, what=f"the evidence of {finding.code}")


def change_for(recipe: Recipe, finding: Finding, space: Space) -> Change | None:
    """The change that a finding suggests; None if it has no remedy, or the remedy has nothing to change.

    A field that is not searched was fixed by the user, and stays.
    """
    if finding.code not in REMEDIES.names():
        return None
    change = REMEDIES.get(finding.code)(recipe, finding, space)
    return change if change is not None and change.name in space.dimensions else None


@REMEDIES.add("best_on_edge")
def further_out(recipe: Recipe, finding: Finding, space: Space) -> Change | None:
    """Extends the range on whose edge the best recipes lie."""
    about = OnEdge.of(finding)
    own = space.dimensions.get(about.field)
    return None if own is None else Widened(about.field, about.side, wider(about.field, own, about.side))


@REMEDIES.add("infeasible")
def away_from_the_lost(recipe: Recipe, finding: Finding, space: Space) -> Change | None:
    """Keeps new recipes on the side of a bound where trials can be trained."""
    about = Lost.of(finding)
    return Narrowed(about.field, about.side, about.bound) if about.side and about.bound is not None else None


def wider(name: str, dimension: Dimension, side: Side) -> Number | None:
    """The new end of a range extended beyond its low or high end; None if no recipe may have values beyond it.

    A log range grows by its own width, by a factor of 3 to 10; a linear one by half its width; a range of whole numbers
    at most doubles. If no recipe can have such a value, it grows by half of that, a quarter and so on.
    """
    if isinstance(dimension, Choice):
        return None
    for halvings in range(SHORTER + 1):
        end = _beyond(dimension, side, 0.5**halvings)
        grows = end < dimension.low if side == "low" else end > dimension.high
        if not grows:
            return None
        try:
            Recipe().but({field_of(name): end})
        except UsageError:
            continue
        return end
    return None


def _beyond(dim: Float | Int, side: Side, share: float) -> Number:
    """The end of a range that grows on one side by this share of its full step."""
    least, most = FACTORS
    factor = min(max(dim.high / dim.low, least), most) if dim.log else 1.0
    if isinstance(dim, Int):
        factor = min(factor, WHOLE_FACTOR)
    factor **= share
    reach = share * (dim.high - dim.low) / 2
    if isinstance(dim, Int):
        up = min(dim.high * (factor - 1), dim.high) if dim.log else min(reach, abs(dim.high))
        down = dim.low - dim.low / factor if dim.log else reach
        steps = max(1, round((down if side == "low" else up) / dim.step))
        return dim.low - steps * dim.step if side == "low" else dim.low + (dim.count - 1 + steps) * dim.step
    if dim.step is not None:
        steps = max(1, round(reach / dim.step))
        return dim.low - steps * dim.step if side == "low" else dim.low + (int(dim.count) - 1 + steps) * dim.step
    if dim.log:
        end = dim.low / factor if side == "low" else dim.high * factor
    else:
        end = dim.low - reach if side == "low" else dim.high + reach
    return float(f"{end:.4g}")  # a readable number, still beyond the old end
