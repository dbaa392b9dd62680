"""Intervals against a plain loop, theory, scipy and numbers by hand; influences against small moves of a weight."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics as sk

from tame.core.config import CLASSIFICATION_METRICS, REGRESSION_METRICS
from tame.core.rng import stream
from tame.evaluate.compare import Z, paired_shares, wilson
from tame.evaluate.influence import of_mean, of_root
from tame.evaluate.intervals import (
    LEAST_RESAMPLES,
    LOG,
    LOG_REST,
    MANY_MISTAKES,
    PLAIN,
    Draws,
    areas,
    balanced,
    balanced_difference,
    macro_f1,
    precisions,
    studentized,
    unseen_mistakes,
)
from tame.evaluate.score import Judged, judged_from, measure, score, softmax, statistic_of

METRICS = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)


def judged_for(metric, seed, n, classes=4):
    rng = stream(seed, "intervals")
    ids = [str(i) for i in range(n)]
    if metric in REGRESSION_METRICS:
        target = rng.normal(20, 3, n)
        return judged_from("regression", ids, target, (target + rng.normal(0.2, 1.5, n))[:, None])
    target = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), target] += 1.5
    return judged_from("multiclass" if classes > 2 else "binary", ids, target, logits)


def rows_of(judged, rows):
    return Judged(tuple(judged.ids[row] for row in rows), judged.target[rows], judged.outputs[rows], judged.task)


# Statistics -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 1000), n=st.integers(2, 30), classes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_a_weight_is_as_many_rows(metric, seed, n, classes):
    judged = judged_for(metric, seed, n, classes)
    if metric in ("roc_auc", "average_precision"):  # with ties, which continuous scores never have
        judged = replace(judged, outputs=judged.outputs.round(1))
    rows = stream(seed, "rows").integers(n, size=(3, n))
    if metric == "r2":
        rows[:, :2] = [0, 1]  # of equal targets, R squared is set by hand
    weights = np.stack([np.bincount(own, minlength=n) for own in rows]).astype(float)
    wanted = [measure(metric, rows_of(judged, own)) for own in rows]
    assert statistic_of(metric, judged)(weights)[0] == pytest.approx(wanted, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_an_influence_is_what_moving_a_weight_does(metric, classes):
    """Held against central differences in float64, at weights that are not all alike."""
    judged, step = judged_for(metric, 1, 25, classes), 1e-5
    weights = stream(2, "weights").integers(1, 4, size=25).astype(float)
    statistic = statistic_of(metric, judged)
    influence = statistic(weights[None])[1][0]
    moved = step * weights.sum() * np.eye(25)
    up, down = (statistic(weights + sign * moved)[0] for sign in (1, -1))
    np.testing.assert_allclose(influence, (up - down) / (2 * step), rtol=1e-4, atol=1e-5)
    assert (weights * influence).sum() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_an_example_that_counts_twice_is_two_examples(metric):
    judged = judged_for(metric, 3, 30)
    counts = stream(4, "counts").integers(1, 4, size=30)
    value, influence = statistic_of(metric, replace(judged, weights=counts.astype(float)))(np.ones((1, 30)))
    twice = rows_of(judged, np.repeat(np.arange(30), counts))
    assert value[0] == pytest.approx(measure(metric, twice), rel=1e-9)
    assert influence.sum() == pytest.approx(0, abs=1e-8)
    found = score(metric, replace(judged, weights=counts.astype(float)), how="", seed=0)
    assert found.low < found.value < found.high


# The studentized bootstrap --------------------------------------------------------------------------------------------


def by_a_loop(values, scale, groups, seed):
    """The interval of a mean, resample by resample, from the book."""
    draws, mean = Draws(len(values), groups), values.mean()
    own = np.arange(len(values)) if groups is None else groups

    def error(weights):
        middle = (weights * values).sum() / weights.sum()
        sums = 0.0
        for group in np.unique(own):
            rows = own == group
            times = weights[rows][0]
            sums += times * ((values[rows] - middle).sum()) ** 2
        return math.sqrt(sums) / weights.sum()

    found = []
    for weights in np.concatenate(list(draws.weights(stream(seed, "bootstrap")))):
        drawn = np.array([(weights * values).sum() / weights.sum()])
        apart = scale.at(drawn) - scale.at(np.array([mean]))
        found.append(float((apart / (error(weights) * scale.slope(drawn)))[0]))
    low, high = np.quantile(found, [0.025, 0.975])
    step = error(np.ones(len(values))) * scale.slope(np.array([mean]))
    return tuple(float(scale.back(scale.at(np.array([mean])) - end * step)[0]) for end in (high, low))


@pytest.mark.parametrize("scale", [PLAIN, LOG])
@pytest.mark.parametrize("groups", [None, np.repeat(np.arange(12), [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 4])])
def test_the_interval_of_a_mean_equals_a_plain_loop(scale, groups):
    values = stream(0, "values").gamma(2.0, size=40)
    found = studentized(of_mean(values), 40, seed=3, scale=scale, groups=groups)
    assert found == pytest.approx(by_a_loop(values, scale, groups, 3), rel=1e-9)


def test_on_many_rows_it_is_that_of_theory_and_of_scipys_bca():
    values = stream(0, "values").normal(3, 2, 400)
    half = Z * values.std() / math.sqrt(400)
    found = studentized(of_mean(values), 400, seed=1)
    assert found == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)
    squares = values**2
    root = studentized(of_root(squares), 400, seed=1, scale=LOG)
    wanted = stats.bootstrap(
        (squares,), lambda own, axis: np.sqrt(own.mean(axis=axis)), method="BCa", n_resamples=4000,
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    width = wanted.high - wanted.low
    assert root == pytest.approx((wanted.low, wanted.high), abs=0.06 * width)


def test_it_repeats_by_seed_and_draws_less_of_large_data():
    values = stream(0, "values").normal(size=50)
    first = studentized(of_mean(values), 50, seed=1)
    assert first == studentized(of_mean(values), 50, seed=1)
    assert first != studentized(of_mean(values), 50, seed=2)
    assert sum(len(own) for own in Draws(250_000, None).weights(stream(0, "many"))) == LEAST_RESAMPLES


def test_whole_groups_are_drawn():
    groups = np.array([2, 0, 2, 1, 1, 1])
    for weights in Draws(6, groups).weights(stream(0, "groups")):
        counts = np.stack([weights[:, groups == group].sum(axis=1) for group in range(3)], axis=1)
        assert (counts % [1, 3, 2] == 0).all()
        assert ((counts / [1, 3, 2]).sum(axis=1) == 3).all()


def test_what_does_not_vary_has_no_width_and_few_groups_have_much():
    assert studentized(of_mean(np.full(20, 3.0)), 20, seed=0) == (3.0, 3.0)
    values = stream(1, "values").normal(5, 1, 40)
    alone = studentized(of_mean(values), 40, seed=0)
    three = studentized(of_mean(values), 40, seed=0, groups=np.arange(40) % 3)
    sums = [values[np.arange(40) % 3 == group] for group in range(3)]
    error = math.sqrt(sum((own - values.mean()).sum() ** 2 for own in sums) * 3 / 2) / 40
    assert three[0] < values.mean() < three[1]
    assert three[1] - three[0] == pytest.approx(2 * stats.t.ppf(0.975, _satterthwaite(sums)) * error, rel=1e-9)
    assert alone[1] - alone[0] < 1
    one = np.eye(1, 5)[0]  # the mean of few resamples has a logarithm, and none of those that varies
    low, high = studentized(of_mean(one), 5, seed=0, scale=LOG)
    assert low <= 0.2 <= high


def _satterthwaite(parts):
    squares = np.array([len(own) ** 2 for own in parts], float)
    return squares.sum() ** 2 / (squares**2).sum() - 1


# Classes --------------------------------------------------------------------------------------------------------------


def test_balanced_accuracy_puts_wilsons_limits_of_the_classes_together():
    target = np.repeat([0, 1], [40, 10])
    right = np.concatenate([np.arange(40) < 36, np.arange(10) < 7])
    (low_a, high_a), (low_b, high_b) = wilson(36, 40), wilson(7, 10)
    down = math.hypot(0.9 - low_a, 0.7 - low_b) / 2
    up = math.hypot(high_a - 0.9, high_b - 0.7) / 2
    assert balanced(target, right, 2, None) == pytest.approx((0.8 - down, 0.8 + up), rel=1e-12)


def test_of_a_class_without_examples_nothing_is_known():
    right = np.arange(30) < 27
    low, high = balanced(np.zeros(30, int), right, 2, None)
    assert low < 0.45
    assert high > 0.95
    assert low <= 0.9 <= high


def test_macro_f1_puts_the_limits_of_its_classes_together():
    """Of 50 examples of one class, 5 are called another: shares 45 of 50 and 0 of 5, of which only the first varies."""
    target, said = np.zeros(50, int), np.repeat([0, 1], [45, 5])
    (low_a, high_a), (_, high_b) = (tuple(2 * j / (1 + j) for j in wilson(*own)) for own in ((45, 50), (0, 5)))
    value = 2 * 0.9 / 1.9
    found = macro_f1(target, said, 2, None)
    assert found == pytest.approx((low_a / 2, value / 2 + math.hypot(high_a - value, high_b) / 2), rel=1e-12)
    right = macro_f1(target, target, 2, None)
    assert right[0] < 0.5  # of the other class nothing is known
    assert right[1] == pytest.approx(1, abs=0.1)


def test_a_balanced_difference_is_newcombes_where_there_is_one_class():
    right_a, right_b = np.arange(60) < 50, np.arange(60) < 40
    found = balanced_difference(np.zeros(60, int), right_a, right_b, 1, None)
    wanted = paired_shares(right_a, right_b)
    assert (found.value, found.low, found.high) == pytest.approx((wanted.value, wanted.low, wanted.high), rel=1e-12)


def test_groups_with_all_classes_widen_what_is_balanced():
    rng = stream(4, "groups")
    groups = np.repeat(np.arange(20), 10)
    target = np.tile([0, 1], 100)
    right = np.repeat(rng.random(20) < 0.8, 10)
    alone, together = (balanced(target, right, 2, own) for own in (None, groups))
    assert together[1] - together[0] > 2 * (alone[1] - alone[0])


def test_an_areas_limits_are_those_that_its_error_would_not_rule_out():
    """By the formula of Hanley and McNeil, solved by scipy, where the measured error is no larger."""
    rng = stream(7, "area")
    target = np.repeat([0, 1], [30, 12])
    scores = rng.normal(size=42) + 1.5 * target
    judged = judged_from("binary", list(map(str, range(42))), target, np.stack([np.zeros(42), scores], axis=1))
    value = measure("roc_auc", judged)

    def beyond(area):
        pairs, same = area / (2 - area), 2 * area**2 / (1 + area)
        spread = area * (1 - area) + 11 * (pairs - area**2) + 29 * (same - area**2)
        return abs(area - value) - Z * math.sqrt(spread / (12 * 30))

    wanted = optimize.brentq(beyond, 1e-9, value), optimize.brentq(beyond, value, 1 - 1e-12)
    found = areas(target, judged.probabilities, None)
    assert found[0] <= wanted[0] + 1e-9
    assert found[1] >= wanted[1] - 1e-9
    assert found == pytest.approx(wanted, abs=0.02)


def test_copies_widen_an_area_and_a_perfect_one_is_not_certain():
    target = np.repeat([0, 1], [20, 20])
    sure = softmax(np.stack([np.zeros(40), np.where(target == 1, 3.0, -3.0)], axis=1))
    alone, copied = (areas(target, sure, own) for own in (None, np.arange(40) // 2))
    assert alone[1] == pytest.approx(1, abs=1e-9)
    assert copied[0] < alone[0] - 0.05 < 0.95


def test_an_average_precisions_limits_are_wilsons_of_the_class_where_it_varies_less():
    rng = stream(8, "precision")
    target = np.repeat([0, 1], [400, 20])
    scores = rng.normal(size=420) + 4 * target
    sure = softmax(np.stack([np.zeros(420), scores], axis=1))
    value = sk.average_precision_score(target, scores)
    found, wanted = precisions(target, sure, None), wilson(20 * value, 20)
    assert found == pytest.approx(wanted, abs=1e-6)
    assert precisions(target, sure, np.arange(420) // 2)[0] < found[0]


@pytest.mark.parametrize(("first", "rare"), [(95, 1), (5, 0), (40, 1), (33, 0), (60, 1)])
def test_average_precision_of_two_classes_is_that_of_the_rare_one(first, rare):
    rng = stream(9, "rare")
    target = np.repeat([0, 1], [first, 100 - first])
    judged = judged_from("binary", list(map(str, range(100))), target, rng.normal(size=(100, 2)))
    wanted = sk.average_precision_score(target == rare, judged.probabilities[:, rare])
    assert measure("average_precision", judged) == pytest.approx(wanted)


def test_without_a_class_its_average_precision_is_not_known():
    judged = judged_from("binary", list(map(str, range(20))), np.zeros(20, int), np.tile([0.7, 0.3], (20, 1)))
    assert measure("average_precision", judged) == 0
    assert precisions(judged.target, judged.probabilities, None) == (0.0, 1.0)


def test_without_a_class_its_area_is_not_known():
    assert areas(np.zeros(20, int), np.tile([0.7, 0.3], (20, 1)), None) == (0.0, 1.0)


# Mistakes that were not seen ------------------------------------------------------------------------------------------


def test_without_a_mistake_the_bound_is_where_none_has_a_chance_of_one_in_forty():
    """With one probability throughout, the true one at the bound is that of which n in n are right in 2.5 of 100."""
    sure = np.tile([0.99, 0.01], (50, 1))
    share = 0.025 ** (1 / 50)
    wanted = -(share * math.log(0.99) + (1 - share) * math.log(0.01))
    assert unseen_mistakes(sure, np.zeros(50, int), None) == pytest.approx(wanted, rel=1e-6)


def test_of_many_mistakes_nothing_is_left_to_bound():
    even = np.tile([0.6, 0.4], (400, 1))
    assert unseen_mistakes(even, np.arange(400) % 2, None) == 0.0
    assert MANY_MISTAKES < 200


def test_copies_say_less_of_unseen_mistakes_and_shares_of_classes_as_much():
    logits = stream(5, "logits").normal(3, 1, size=60)
    sure = softmax(np.stack([logits, np.zeros(60)], axis=1))
    none = np.zeros(60, int)
    alone = unseen_mistakes(sure, none, None)
    assert unseen_mistakes(sure, none, np.arange(60) // 2) > 1.2 * alone
    assert unseen_mistakes(sure, np.eye(2)[none], None) == pytest.approx(alone, rel=1e-12)


def test_a_log_loss_without_mistakes_is_not_certain():
    logits = np.tile([6.0, 0.0], (40, 1))
    judged = judged_from("binary", list(map(str, range(40))), np.zeros(40, int), logits)
    found = score("log_loss", judged, how="", seed=0)
    assert found.value < 0.003
    assert found.high > 0.3


def test_scales_turn_back():
    values = np.array([0.2, 0.5, 0.9])
    for scale in (PLAIN, LOG, LOG_REST):
        np.testing.assert_allclose(scale.back(scale.at(values)), values, rtol=1e-12)
        slope = (scale.at(values + 1e-6) - scale.at(values - 1e-6)) / 2e-6
        np.testing.assert_allclose(scale.slope(values), slope, rtol=1e-6)
