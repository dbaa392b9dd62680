"""Two recipes over seeds and examples: right on average, honest about chance in both, and as a plain loop computes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tame.evaluate.over_seeds import difference_over_seeds, holm


def drawn(rng, *, seeds=3, n=120, of_seeds=0.0, of_examples=0.0, rest=1.0, mean=0.0):
    return (
        mean
        + rng.normal(0, of_seeds, (seeds, 1))
        + rng.normal(0, of_examples, (1, n))
        + rng.normal(0, rest, (seeds, n))
    )


def by_loops(apart):
    """The mean and its standard error in plain float64."""
    seeds, n = len(apart), len(apart[0])
    mean = math.fsum(value for row in apart for value in row) / (seeds * n)
    rows = [math.fsum(row) / n for row in apart]
    columns = [math.fsum(row[i] for row in apart) / seeds for i in range(n)]
    of_seeds = n * math.fsum((value - mean) ** 2 for value in rows) / (seeds - 1)
    of_examples = seeds * math.fsum((value - mean) ** 2 for value in columns) / (n - 1)
    rest = math.fsum((apart[s][i] - rows[s] - columns[i] + mean) ** 2 for s in range(seeds) for i in range(n)) / (
        (seeds - 1) * (n - 1)
    )
    return mean, math.sqrt(max(of_seeds + of_examples - rest, of_seeds, of_examples) / (seeds * n))


@given(seed=st.integers(0, 999), seeds=st.integers(2, 5), n=st.integers(2, 30))
def test_it_is_the_mean_with_the_error_that_a_plain_loop_computes(seed, seeds, n):
    apart = drawn(np.random.default_rng(seed), seeds=seeds, n=n, of_seeds=0.5, of_examples=2.0, mean=0.3)
    found, chance = difference_over_seeds(apart)
    mean, error = by_loops(apart.tolist())
    assert found.value == pytest.approx(mean, abs=1e-12)
    assert (found.low + found.high) / 2 == pytest.approx(mean, abs=1e-9)
    assert found.high - mean >= stats.norm.ppf(0.975) * error * (1 - 1e-9)
    assert found.is_real == (chance < 0.05)
    assert found.n == n


@pytest.mark.parametrize(
    ("of_seeds", "of_examples"), [(0.0, 1.0), (1.0, 0.0), (0.1, 1.0), (0.05, 0.3)], ids=["rows", "seeds", "both", "few"]
)
def test_without_a_difference_one_is_seen_in_about_one_of_twenty(of_seeds, of_examples):
    rng = np.random.default_rng(1)
    seen = [
        difference_over_seeds(drawn(rng, of_seeds=of_seeds, of_examples=of_examples))[0].is_real for _ in range(1000)
    ]
    assert np.mean(seen) <= 0.085  # 0.05 and five standard errors


def test_the_same_seed_twice_is_no_second_seed_where_only_rows_differ():
    """With every seed alike, the interval is that of the examples alone."""
    row = np.random.default_rng(2).normal(0.2, 1, 100)
    found, _ = difference_over_seeds(np.stack([row, row, row]))
    half = stats.t.ppf(0.975, 99) * row.std(ddof=1) / 10
    assert (found.low, found.high) == pytest.approx((row.mean() - half, row.mean() + half))


def test_examples_of_a_group_count_as_one():
    rng = np.random.default_rng(3)
    groups, of_group = np.repeat(np.arange(20), 20), rng.normal(0, 1, 20)
    apart = of_group[groups] + rng.normal(0, 0.5, (3, 400))
    alone, grouped = difference_over_seeds(apart)[0], difference_over_seeds(apart, groups)[0]
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)
    singles = difference_over_seeds(apart, np.arange(400))[0]
    assert (singles.low, singles.high) == pytest.approx((alone.low, alone.high))


def test_groups_of_unequal_size_keep_the_mean_of_the_examples():
    rng = np.random.default_rng(4)
    apart, groups = rng.normal(0, 1, (3, 60)), np.repeat([7, 3, 9, 1], [5, 10, 15, 30])
    assert difference_over_seeds(apart, groups)[0].value == pytest.approx(apart.mean())


def test_no_spread_at_all_is_sure():
    found, chance = difference_over_seeds(np.full((2, 3), -0.5))
    assert (found.low, found.high, chance) == (-0.5, -0.5, 0.0)
    assert difference_over_seeds(np.zeros((2, 3)))[1] == 1.0


@pytest.mark.parametrize("shape", [(0, 9), (3, 1)])
def test_no_seed_or_one_example_tells_nothing(shape):
    with pytest.raises(ValueError, match="need a seed and two examples"):
        difference_over_seeds(np.ones(shape))


def test_of_one_seed_it_is_the_t_test_over_examples():
    own = np.random.default_rng(0).normal(0.2, 1.0, 40)
    found, chance = difference_over_seeds(own[None])
    known = stats.ttest_1samp(own, 0.0)
    assert chance == pytest.approx(known.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))
    assert "one seed" in found.how


def test_holms_values_are_those_of_his_paper():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_raises_keeps_the_order_and_ends_at_one(chances):
    raised = holm(chances)
    assert all(a <= b <= 1 for a, b in zip(chances, raised, strict=True))
    order = np.argsort(chances, kind="stable")
    assert (np.diff(np.array(raised)[order]) >= 0).all()
