"""The noise of a seed: known where it is planted, none where seeds differ only on few examples, and never ignored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tame.core.evaluation import ONE_SEED, Difference
from tame.core.records import Score
from tame.core.rng import stream
from tame.evaluate.score import difference, judged_from, measure
from tame.evaluate.seeds import SeedNoise, beyond_seeds, optimism, seed_noise


def networks(rng, rows, luck, *, own=0.5, groups=None):
    """Predictions of networks on the same examples; luck: how much more or less of a margin each has on all of them."""
    target = rng.integers(2, size=rows)
    ease = rng.normal(1.5, 1, size=rows)
    signs, ids = 2 * target - 1, [str(i) for i in range(rows)]
    found = []
    for each in luck:
        margin = signs * (ease + each + own * rng.normal(size=rows))
        logits = np.stack([np.zeros(rows), margin], axis=1)
        found.append(judged_from("binary", ids, target, logits, groups=groups))
    return found


def test_the_noise_of_a_seed_is_found_again():
    rng, spread = stream(0, "seeds"), 0.1
    recipes = [networks(rng, 20_000, spread * rng.normal(size=4)) for _ in range(30)]
    noise = seed_noise("accuracy", recipes)
    assert noise is not None
    assert noise.freedom == 90
    wanted = spread * stats.norm.pdf(1.5 / math.sqrt(1.25)) / math.sqrt(1.25)  # by the slope of the accuracy
    assert noise.spread == pytest.approx(wanted, rel=0.25)


def test_seeds_that_differ_only_on_few_examples_have_no_noise_of_their_own():
    """On 100 examples the accuracy of seeds varies by 2 points though all are alike on many."""
    rng = stream(1, "seeds")
    recipes = [networks(rng, 100, np.zeros(3)) for _ in range(60)]
    apart = np.sqrt(np.mean([np.var([measure("accuracy", each) for each in own], ddof=1) for own in recipes]))
    noise = seed_noise("accuracy", recipes)
    assert noise is not None
    assert noise.spread < 0.4 * apart


def test_with_folds_one_network_varies_more_than_the_mean_of_all():
    rng = stream(2, "seeds")
    recipes = [networks(rng, 5000, 0.1 * rng.normal(size=3)) for _ in range(4)]
    one, five = (seed_noise("accuracy", recipes, networks=num) for num in (1, 5))
    assert one is not None
    assert five is not None
    assert five.spread == pytest.approx(one.spread * math.sqrt(5), rel=1e-12)


def test_of_one_seed_each_nothing_is_known_and_nothing_claimed():
    rng = stream(3, "seeds")
    a, b = networks(rng, 5000, [0.5, 0.0])
    assert seed_noise("accuracy", [[a], [b]]) is None
    rows = difference("accuracy", a, b, seed=0)
    found = beyond_seeds(rows, None)
    assert rows.is_real
    assert (found.verdict, found.is_real) == (ONE_SEED, False)
    assert (found.value, found.low, found.high) == (rows.value, rows.low, rows.high)


def test_the_interval_of_recipes_is_that_of_rows_and_of_seeds_squared_and_added():
    rows, noise = Difference(0.02, 0.01, 0.04, 500, "rows"), SeedNoise(0.003, 6)
    found = beyond_seeds(rows, noise)
    half = stats.t.ppf(0.975, 6) * 0.003 * math.sqrt(2)
    assert found.low == pytest.approx(0.02 - math.hypot(0.01, half))
    assert found.high == pytest.approx(0.02 + math.hypot(0.02, half))
    assert "6 degrees of freedom" in found.how
    still = beyond_seeds(rows, SeedNoise(0.0, 2))
    assert (still.low, still.high) == pytest.approx((0.01, 0.04), rel=1e-12)
    nothing = Difference(0.0, 0.0, 0.0, 500)
    assert beyond_seeds(nothing, None) == nothing


def test_optimism_has_the_noise_of_both_and_its_sign_is_that_of_a_gain():
    high, low = Score(0.90, 0.86, 0.93, 200, ""), Score(0.87, 0.86, 0.88, 10_000, "")
    found = optimism("accuracy", high, low, None, networks=1)
    assert found.value == pytest.approx(0.03)
    assert found.low == pytest.approx(0.03 - math.hypot(0.04, 0.01))
    assert found.high == pytest.approx(0.03 + math.hypot(0.03, 0.01))
    assert not found.is_real
    mirrored = [Score(1 - own.value, 1 - own.high, 1 - own.low, own.n, "") for own in (high, low)]
    other = optimism("log_loss", *mirrored, None, networks=1)
    assert (other.value, other.low, other.high) == pytest.approx((found.value, found.low, found.high))
    wider = optimism("accuracy", high, low, SeedNoise(0.01, 4), networks=2)
    assert wider.low < found.low
    assert wider.high > found.high


def test_two_seeds_of_one_recipe_are_seldom_called_different_and_a_better_recipe_is_found():
    rng, luck = stream(4, "seeds"), 0.05
    claimed, found = [], []
    for _ in range(60):
        seeds = luck * rng.normal(size=(2, 4))
        validated = networks(rng, 3000, seeds.reshape(-1))
        noise = seed_noise("accuracy", [validated[:4], validated[4:]])
        for better, told in ((0.0, claimed), (0.5, found)):
            a, b = networks(rng, 8000, [seeds[0, 0] + better, seeds[1, 0]])
            told.append(beyond_seeds(difference("accuracy", a, b, seed=0), noise).is_real)
    assert np.mean(claimed) <= 0.1  # 0.05, and two standard errors of 60 draws
    assert np.mean(found) >= 0.9
