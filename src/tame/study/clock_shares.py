"""How a study divides its clock: time reserved for the end, time for the search, time for fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tame.core.recipe import Recipe
from tame.kinds.costs import PLANNED_EPOCHS, Costs

SEARCH_SHARE = 0.1  # of the clock for the search, without its features, if fine-tuning follows
FINALISTS_SHARE = 0.06  # of the clock for finalists on frozen features
SLACK = 0.05  # of the clock, as a margin for wrong forecasts
END_S = 4.5  # for the check of the delivered model, the report and what the forecasts miss
END_SHARE, LEAST_END_S = 0.12, 2.0  # share of a short clock, if that is less; at least so many seconds
LOADED = 0.3  # of the time that other programs add to processor work, they add to the end (measured under 6 of them)
MOST_END_SHARE = 0.35  # of the clock
MORE_DATA_SHARE = 0.1  # of the clock, to train the winner on fewer examples too, if that was asked for
CHECKED = 64  # test examples on which the delivered model must predict as it did when scored
LINEAR_SHARE, LINEAR_S = 0.04, 4.0  # of the clock, and at most, that a linear model beside the score may take
QUOTES_SHARE, QUOTES_S = 0.05, 6.0  # of the clock, and at most, that words of texts are left out for
LEAST_LINEAR_S = 0.5  # that must be left when it begins
TREES_SHARE, TREES_S = 0.06, 12.0  # of the clock, and at most, that gradient boosting beside the score may take


def linear_s(clock_s: float) -> float:
    """Seconds to reserve for a linear model of the same inputs."""
    return min(LINEAR_SHARE * clock_s, LINEAR_S)


def trees_s(clock_s: float) -> float:
    """Seconds to reserve for gradient boosting, where that was asked for."""
    return min(TREES_SHARE * clock_s, TREES_S)


def quotes_s(clock_s: float) -> float:
    """Seconds to reserve for what decided about texts."""
    return min(QUOTES_SHARE * clock_s, QUOTES_S)


@dataclass(frozen=True, slots=True)
class Ending:
    """Seconds to reserve for scoring winner and default, the check of the delivered model, and the report.

    other_size_s: the part of them for a winner with another input size than the default.
    """

    end_s: float
    other_size_s: float


@dataclass(frozen=True, slots=True)
class Searching:
    """until_s: seconds of the clock; None without one. to_the_end: whether no time is left for fine-tuning."""

    until_s: float | None
    to_the_end: bool


def ending(
    base: Recipe, sizes: Sequence[int], costs: Costs | None, clock_s: float | None, *, slower: float = 1.0
) -> Ending:
    """The time reserved for the end of a study. costs: of features; None for networks from scratch.

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
    """Until when a study searches. num_runs: number of networks in a fine-tuned trial."""
    if clock_s is None:
        return Searching(None, False)
    later = clock_s - end_s
    if costs is None:
        return Searching(max(later, used_s), False)  # minus the time for finalists, which is measured during the search
    ready = used_s + sum(costs.speed.seconds(costs.learnt[size], size) for size in sizes)
    # The time left for fine-tuning; if that is too little for a good one, the search continues to the end.
    left = later - ready - (SEARCH_SHARE + FINALISTS_SHARE + SLACK) * clock_s
    if PLANNED_EPOCHS * num_runs * costs.epoch_s > left:
        return Searching(later, True)
    return Searching(min(ready + SEARCH_SHARE * clock_s, later), False)
