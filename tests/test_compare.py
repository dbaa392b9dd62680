"""Intervals against scipy, published numbers, an independent implementation and simulation; scores against sklearn."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from tame.core.rng import stream
from tame.data.split import Sealed
from tame.evaluate.compare import Z, bootstrap, paired_shares, wilson
from tame.evaluate.score import (
    InconsistentError,
    Judged,
    _on_rows,
    confusion,
    difference,
    dummy,
    measure,
    mistakes,
    open_test,
    per_class,
    score,
    softmax,
)

METRICS = ("accuracy", "balanced_accuracy", "f1_macro", "log_loss")

# Wilson and Newcombe --------------------------------------------------------------------------------------------------


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_equals_scipy(case):
    successes, n = case
    wanted = binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson(successes, n) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_wilson_of_nothing_knows_nothing():
    assert wilson(0, 0) == (0.0, 1.0)


def newcombe_by_hand(e, f, g, h):
    """Method 10 from the cells of the paired table, written from the paper: e both, f only a, g only b, h neither."""
    n = e + f + g + h

    def roots(x):
        """The limits as the two solutions of (p - x/n)^2 = z^2 p (1 - p) / n."""
        a, b, c = 1 + Z**2 / n, -(2 * x / n + Z**2 / n), (x / n) ** 2
        root = math.sqrt(max(b * b - 4 * a * c, 0))
        return (-b - root) / (2 * a), (-b + root) / (2 * a)

    (l2, u2), (l3, u3) = roots(e + f), roots(e + g)
    p2, p3 = (e + f) / n, (e + g) / n
    below = (e + f) * (g + h) * (e + g) * (f + h)
    numerator = e * h - f * g
    if numerator > 0:
        numerator = max(numerator - n / 2, 0)
    phi = numerator / math.sqrt(below) if below else 0.0
    delta = math.sqrt(max((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u3 - p3) + (u3 - p3) ** 2, 0))
    epsilon = math.sqrt(max((u2 - p2) ** 2 - 2 * phi * (u2 - p2) * (p3 - l3) + (p3 - l3) ** 2, 0))
    return p2 - p3, p2 - p3 - delta, p2 - p3 + epsilon


def cells(e, f, g, h):
    return np.repeat([True, True, False, False], [e, f, g, h]), np.repeat([True, False, True, False], [e, f, g, h])


tables = st.tuples(*[st.integers(0, 60)] * 4).filter(lambda table: sum(table) > 0)


@given(tables)
def test_newcombe_equals_an_implementation_of_its_own(table):
    found = paired_shares(*cells(*table))
    assert (found.value, found.low, found.high) == pytest.approx(newcombe_by_hand(*table), abs=1e-7)
    assert found.n == sum(table)


@pytest.mark.parametrize(
    ("table", "value", "low", "high"),
    [
        # Fagerland, Lydersen and Laake, Statistical Analysis of Contingency Tables (2017), chapter 8
        ((1, 1, 7, 12), -0.286, -0.507, -0.026),
        # Altman et al., Statistics with Confidence (2000), table 6.2
        ((14, 5, 0, 22), 0.12, 0.01, 0.23),
    ],
)
def test_newcombe_equals_published_examples(table, value, low, high):
    found = paired_shares(*cells(*table))
    assert found.value == pytest.approx(value, abs=0.005)
    digits = 3 if value == -0.286 else 2
    assert (round(found.low, digits), round(found.high, digits)) == (low, high)


@given(tables)
def test_a_difference_turns_its_sign_and_holds_its_own_value(table):
    a, b = cells(*table)
    there, back = paired_shares(a, b), paired_shares(b, a)
    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-12)
    assert -1 - 1e-12 <= there.low <= there.value <= there.high <= 1 + 1e-12
    assert there.is_real == back.is_real


@given(st.lists(st.booleans(), min_size=1, max_size=80))
def test_between_equals_there_is_no_difference(right):
    found = paired_shares(np.array(right), np.array(right))
    assert found.value == 0
    assert found.low <= 0 <= found.high
    assert not found.is_real
    assert found.to_json()["verdict"] == "no real difference"


@pytest.mark.parametrize(
    ("p_both", "p_a", "p_b", "n"),
    [(0.7, 0.1, 0.1, 100), (0.6, 0.2, 0.05, 60), (0.9, 0.05, 0.03, 200), (0.3, 0.3, 0.1, 40)],
)
def test_newcombe_holds_the_truth_in_about_95_of_100(p_both, p_a, p_b, n):
    rng = stream(n, "coverage")
    held = []
    for _ in range(1500):
        found = paired_shares(*cells(*rng.multinomial(n, [p_both, p_a, p_b, 1 - p_both - p_a - p_b])))
        held.append(found.low <= p_a - p_b <= found.high)
    assert 0.93 <= np.mean(held) <= 0.985


@pytest.mark.parametrize(("share", "n"), [(0.5, 50), (0.9, 80), (0.97, 300)])
def test_wilson_holds_the_truth_in_about_95_of_100(share, n):
    right = stream(n, "coverage").binomial(n, share, 3000)
    held = [low <= share <= high for low, high in (wilson(int(x), n) for x in right)]
    assert 0.93 <= np.mean(held) <= 0.98


# The bootstrap --------------------------------------------------------------------------------------------------------


def test_the_bootstrap_of_a_mean_is_that_of_theory():
    values = stream(0, "values").normal(3, 2, 400)
    low, high = bootstrap(lambda rows: values[rows].mean(), 400, seed=1)
    half = Z * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.1 * half)


def test_the_bootstrap_repeats_by_seed_and_leaves_out_what_is_no_number():
    values = stream(0, "values").normal(size=50)
    first = bootstrap(lambda rows: values[rows].mean(), 50, seed=1)
    assert first == bootstrap(lambda rows: values[rows].mean(), 50, seed=1)
    assert first != bootstrap(lambda rows: values[rows].mean(), 50, seed=2)
    low, high = bootstrap(lambda rows: math.nan if rows[0] % 2 else values[rows].mean(), 50, seed=1)
    assert low < values.mean() < high


# Scores ---------------------------------------------------------------------------------------------------------------


def judged_at_random(seed, n=60, classes=4, lean=1.5):
    rng = stream(seed, "judged")
    target = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), target] += lean
    return Judged(tuple(f"{i}.jpg" for i in range(n)), target, softmax(logits))


def test_softmax_is_the_exponential_by_its_sum_and_bears_huge_logits():
    logits = np.array([[1.0, 2.0, 4.0], [1e4, -1e4, 1e4 - 1]])
    wanted = np.exp(logits[0]) / np.exp(logits[0]).sum()
    assert softmax(logits)[0] == pytest.approx(wanted, rel=1e-12)
    assert softmax(logits)[1] == pytest.approx([1 / (1 + math.exp(-1)), 0, 1 / (1 + math.e)], rel=1e-12)


@given(seed=st.integers(0, 1000), n=st.integers(1, 40), classes=st.integers(2, 6))
def test_the_trace_of_the_confusion_matrix_is_the_accuracy(seed, n, classes):
    judged = judged_at_random(seed, n, classes)
    names = [f"class {i}" for i in range(classes)]
    counts = np.array(confusion(judged, names))
    assert counts.sum() == n
    assert np.trace(counts) / n == pytest.approx(measure("accuracy", judged.target, judged.probabilities), abs=1e-12)
    assert np.array_equal(counts.sum(axis=1), np.bincount(judged.target, minlength=classes))
    assert np.array_equal(counts.sum(axis=0), np.bincount(judged.predicted, minlength=classes))
    rows = per_class(judged, names)
    assert [row["right"] for row in rows] == np.diag(counts).tolist()
    assert sum(row["n"] for row in rows) == n
    for row in rows:
        assert (row["value"] is None) == (row["n"] == 0)
        if row["n"]:
            assert row["low"] <= row["value"] <= row["high"]


def test_a_confusion_matrix_that_hides_examples_is_not_reported():
    judged = judged_at_random(0)
    with pytest.raises(InconsistentError, match="does not agree with the accuracy"):
        confusion(judged, ["only", "two"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_lies_in_its_interval_and_repeats(metric):
    judged = judged_at_random(1)
    found = score(metric, judged, how="tried", seed=0)
    assert found.low < found.value < found.high
    assert (found.n, found.how) == (60, "tried")
    assert found == score(metric, judged, how="tried", seed=0)


@pytest.mark.parametrize("metric", METRICS)
def test_measures_are_those_of_scikit_learn(metric):
    judged = judged_at_random(2, n=200)
    by = {
        "accuracy": lambda t, p, q: sk.accuracy_score(t, p),
        "balanced_accuracy": lambda t, p, q: sk.balanced_accuracy_score(t, p),
        "f1_macro": lambda t, p, q: sk.f1_score(t, p, average="macro"),
        "log_loss": lambda t, p, q: sk.log_loss(t, q),
    }
    wanted = by[metric](judged.target, judged.predicted, judged.probabilities)
    assert measure(metric, judged.target, judged.probabilities) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("metric", METRICS)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30), classes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_what_the_bootstrap_measures_is_what_is_reported(metric, seed, n, classes):
    judged = judged_at_random(seed, n, classes)
    rows = stream(seed, "rows").integers(n, size=n)
    wanted = measure(metric, judged.target[rows], judged.probabilities[rows])
    assert _on_rows(metric, judged)(rows) == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_log_loss_of_a_certain_mistake_is_large_and_finite():
    found = measure("log_loss", np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    assert found == pytest.approx(-math.log(1e-15) / 2, rel=1e-6)


def test_balanced_accuracy_is_silent_about_classes_that_are_only_predicted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure("balanced_accuracy", np.array([0, 0, 1]), np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0]], float))
    assert found == pytest.approx(0.75)


@pytest.mark.parametrize("metric", METRICS)
def test_a_difference_is_that_of_the_scores_and_of_the_same_examples_only(metric):
    a, b = judged_at_random(3, lean=3.0), judged_at_random(3, lean=0.5)
    found = difference(metric, a, b, seed=0)
    wanted = measure(metric, a.target, a.probabilities) - measure(metric, b.target, b.probabilities)
    assert found.value == pytest.approx(wanted, abs=1e-12)
    assert found.low < found.value < found.high
    assert found.is_real
    assert not difference(metric, a, a, seed=0).is_real
    other = Judged(tuple(reversed(b.ids)), b.target, b.probabilities)
    with pytest.raises(InconsistentError, match="different examples"):
        difference(metric, a, other, seed=0)


def test_mistakes_come_with_the_surest_first():
    judged = judged_at_random(4, lean=0.3)
    names = ["a", "b", "c", "d"]
    found = mistakes(judged, names, most=100)
    assert len(found) == int((~judged.right).sum())
    probabilities = [row["probability"] for row in found]
    assert probabilities == sorted(probabilities, reverse=True)
    for row in found:
        place = judged.ids.index(row["id"])
        assert row["true"] == names[judged.target[place]]
        assert row["predicted"] == names[judged.predicted[place]] != row["true"]
    assert found[:12] == mistakes(judged, names)


def test_the_dummy_answers_with_what_is_commonest_in_the_training_data():
    learnt, target = np.array([0, 1, 1, 1, 2, 2]), np.array([1, 1, 0, 2, 0])
    found = dummy("accuracy", learnt, target, num_classes=4, seed=0)
    assert (found.value, found.n) == (0.4, 5)
    shares = np.array([1, 3, 2]) / 6
    wanted = -np.log(shares[target]).mean()
    assert dummy("log_loss", learnt, target, num_classes=3, seed=0).value == pytest.approx(wanted, rel=1e-6)
    assert dummy("balanced_accuracy", learnt, target, num_classes=4, seed=0).value == pytest.approx(1 / 3)


def test_the_test_part_is_recorded_before_its_labels_are_seen():
    log = []
    judged = open_test(Sealed((3, 5), (1, 0)), ["a", "b"], np.array([[0.0, 1.0], [0.0, 1.0]]), log.append)
    assert log == [2]
    assert judged.right.tolist() == [True, False]

    def fails(count):
        raise OSError(count)

    with pytest.raises(OSError):
        open_test(Sealed((3, 5), (1, 0)), ["a", "b"], np.zeros((2, 2)), fails)
