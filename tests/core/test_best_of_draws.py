"""The best of so many draws: held to all draws one by one, and to the two formulas that stood apart before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln

from tame.core.best_of_draws import LEAST_DRAWS, doubling_gain, expected_best, in_order

LOSSES = st.lists(st.floats(0, 10) | st.just(math.inf), min_size=1, max_size=60)
ROUNDING = 1e-9


def log_choose(total, taken):
    return gammaln(total + 1.0) - gammaln(taken + 1.0) - gammaln(total - taken + 1.0)


def mean_best(ordered: np.ndarray, size: int) -> float:
    num = len(ordered)
    better = np.arange(num - size + 1)
    logs = log_choose(num - 1 - better, size - 1) - log_choose(np.asarray(num), size)
    return float(np.exp(logs) @ ordered[: num - size + 1])


def gain_in_the_search(losses: Sequence[float]) -> float | None:
    """As the search had it: any losses, what is not finite as the worst that is, no room for rounding."""
    if len(losses) < 8:
        return None
    ordered = np.sort(np.asarray(losses, float))
    ordered = np.minimum(ordered, ordered[np.isfinite(ordered)].max()) if np.isfinite(ordered).any() else ordered
    quarter, half, whole = (mean_best(ordered, len(ordered) // part) for part in (4, 2, 1))
    earlier, last = quarter - half, half - whole
    return last * min(1.0, last / earlier) if earlier > 0 else 0.0


def gain_in_the_report(losses: np.ndarray) -> float | None:
    """As the report had it: losses in rising order, and less than the rounding of a mean is no gain."""
    num = len(losses)
    if num < 8:
        return None
    quarter, half, whole = (mean_best(losses, max(num // part, 1)) for part in (4, 2, 1))
    before, last = quarter - half, half - whole
    return last * min(1.0, last / before) if before > ROUNDING * abs(whole) else 0.0


@given(losses=st.lists(st.floats(0, 10), min_size=1, max_size=7), data=st.data())
def test_the_expected_best_is_the_mean_over_all_draws(losses: list[float], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(losses)))
    own = expected_best(np.sort(losses), size)
    assert own == pytest.approx(fmean(min(draw) for draw in combinations(losses, size)), rel=1e-9, abs=1e-12)


@given(losses=st.lists(st.floats(0, 10), min_size=LEAST_DRAWS, max_size=12))
def test_the_gain_of_a_doubling_is_that_of_all_draws_one_by_one(losses: list[float]) -> None:
    num = len(losses)
    quarter, half, whole = (fmean(map(min, combinations(losses, num // part))) for part in (4, 2, 1))
    expected = 0.0
    if quarter - half > ROUNDING * whole:
        expected = (half - whole) * min(1.0, (half - whole) / (quarter - half))
    assert doubling_gain(in_order(losses), rounding=ROUNDING) == pytest.approx(expected, rel=1e-5, abs=1e-7)


@given(losses=LOSSES)
def test_the_gain_in_the_search_is_what_it_was(losses: list[float]) -> None:
    assert doubling_gain(in_order(losses)) == gain_in_the_search(losses)


@given(losses=st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_the_gain_in_the_report_is_what_it_was(losses: list[float]) -> None:
    ordered = np.sort(losses)
    assert doubling_gain(ordered, rounding=ROUNDING) == gain_in_the_report(ordered)


@given(losses=st.lists(st.floats(0, 10), min_size=1, max_size=60))
def test_search_and_report_give_the_same_gain_except_for_rounding(losses: list[float]) -> None:
    in_search, in_report = doubling_gain(in_order(losses)), doubling_gain(np.sort(losses), rounding=ROUNDING)
    assert (in_search is None) == (in_report is None)
    assert in_search is None or in_search == pytest.approx(in_report, abs=1e-8)


def test_losses_that_are_not_finite_count_as_the_worst_that_is() -> None:
    assert in_order([math.inf, 2.0, 1.0]).tolist() == [1.0, 2.0, 2.0]
    assert in_order([math.inf, math.inf]).tolist() == [math.inf, math.inf]
    assert doubling_gain(in_order([math.inf] * 9)) == 0.0
    assert doubling_gain(in_order([0.5] * (LEAST_DRAWS - 1))) is None
