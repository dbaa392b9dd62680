"""How a study shares its clock: what is kept for the end, how long it searches, and whether fine-tuning has a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tame.core.recipe import Recipe
from tame.kinds.costs import PLANNED_EPOCHS, Costs

SEARCH_SHARE = 0.1  # of the clock that the search takes, its features aside, where fine-tuning is to come
FINALISTS_SHARE = 0.06  # of the clock that finalists on frozen features may take
SLACK = 0.05  # of the clock that forecasts may be wrong by
END_S = 4.5  # for checking the delivered model, the report and what the forecasts miss
END_SHARE, LEAST_END_S = 0.12, 2.0  # of a clock so short that this is less, and seconds at the least
LOADED = 0.3  # of what other programs add to work that is all processor, they add to the end (measured under 6 of them)
MOST_END_SHARE = 0.35  # of the clock
CHECKED = 64  # test pictures that the delivered model must judge as it was scored


@dataclass(frozen=True, slots=True)
class Ending:
    """Seconds to keep for scoring winner and default, the check of the delivered model, and the report; and how many
    of them are for a winner of another input size than the default's."""

    end_s: float
    other_size_s: float


@dataclass(frozen=True, slots=True)
class Searching:
    """until_s: of the clock; None without one. to_the_end: whether nothing is left for fine-tuning."""

    until_s: float | None
    to_the_end: bool


def ending(
    base: Recipe, sizes: Sequence[int], costs: Costs | None, clock_s: float | None, *, slower: float = 1.0
) -> Ending:
    """What is kept for the end of a study. costs: of features; None for networks from scratch.

    slower: how many times as long other programs make short work now, which most of the end is.
    """
    own = END_S if clock_s is None else min(max(END_SHARE * clock_s, LEAST_END_S), END_S)
    own *= 1 + LOADED * (slower - 1)
    own = own if clock_s is None else min(own, max(MOST_END_SHARE * clock_s, LEAST_END_S))
    if costs is None:
        return Ending(own, 0.0)
    first = base.input.size
    judging = {size: costs.speed.seconds(costs.sealed[size], size) for size in sizes}
    other = max((cost for size, cost in judging.items() if size != first), default=0.0)
    return Ending(own + judging[first] + other + costs.speed.seconds(2 * CHECKED, first), other)


def searching(
    sizes: Sequence[int], costs: Costs | None, clock_s: float | None, *, end_s: float, used_s: float, num_runs: int
) -> Searching:
    """Until when a study searches. num_runs: networks that a fine-tuned trial is."""
    if clock_s is None:
        return Searching(None, False)
    later = clock_s - end_s
    if costs is None:
        return Searching(max(later, used_s), False)  # less what the finalists will take, which shows as it goes
    ready = used_s + sum(costs.speed.seconds(costs.learnt[size], size) for size in sizes)
    # What fine-tuning would have left; where that is too little for a good one, the search goes on to the end.
    left = later - ready - (SEARCH_SHARE + FINALISTS_SHARE + SLACK) * clock_s
    if PLANNED_EPOCHS * num_runs * costs.epoch_s > left:
        return Searching(later, True)
    return Searching(min(ready + SEARCH_SHARE * clock_s, later), False)
