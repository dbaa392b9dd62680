"""Intervals against scipy, published numbers, an independent implementation and simulation; scores against sklearn."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from tame.core.config import CLASSIFICATION_METRICS, REGRESSION_METRICS, StudyConfig, default_metric
from tame.core.errors import UsageError
from tame.core.rng import stream
from tame.data.split import Sealed
from tame.evaluate.calibration import calibration, expected_cost
from tame.evaluate.compare import Z, effective, paired_shares, wilson
from tame.evaluate.score import (
    METRICS_OF,
    InconsistentError,
    Judged,
    confusion,
    difference,
    dummy,
    dummy_error,
    errors,
    guesses,
    judged_from,
    mean_of,
    measure,
    mistakes,
    open_test,
    per_class,
    residuals,
    score,
    softmax,
    statistic_of,
)

METRICS = (*CLASSIFICATION_METRICS, *REGRESSION_METRICS)

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
    assert found.verdict == "no real difference"


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


# Examples that belong together ----------------------------------------------------------------------------------------


def grouped(chance, sizes):
    """Noise in groups of these sizes: copies of one example, with one label, judged alike."""
    groups = np.repeat(np.arange(len(sizes)), sizes)
    target, sure = (
        np.repeat(own, sizes) for own in (chance.integers(0, 2, len(sizes)), chance.normal(size=len(sizes)))
    )
    logits = np.stack([np.zeros(len(sure)), sure], axis=1)
    return judged_from("binary", list(map(str, groups)), target, logits, groups=groups)


@pytest.mark.parametrize("sizes", [[10] * 12, [4] * 20, [2] * 60, [1] * 50 + [12] * 5, [30, 1, 1, 2] * 6])
def test_the_interval_of_copies_holds_the_truth_in_about_95_of_100(sizes):
    """As many independent examples as there are groups tell about as much, and no more, whatever their sizes."""
    chance = stream(len(sizes), "copies")
    held, real = [], []
    for _ in range(600):
        judged = grouped(chance, sizes)
        own = score("accuracy", judged, how="", seed=0)
        held.append(own.low <= 0.5 <= own.high)
        guess = replace(judged, outputs=np.tile([0.6, 0.4], (len(judged.ids), 1)))
        real.append(difference("accuracy", judged, guess, seed=0).low > 0)
    assert np.mean(held) >= 0.925
    assert np.mean(real) <= 0.045


def test_groups_of_one_change_nothing():
    judged = judged_at_random(3)
    alone = replace(judged, groups=np.arange(len(judged.ids))[::-1])
    for metric in ("accuracy", "log_loss"):
        assert score(metric, judged, how="h", seed=1) == score(metric, alone, how="h", seed=1)
    right = judged.right
    assert paired_shares(right, ~right) == paired_shares(right, ~right, alone.groups)


def test_independent_examples_that_are_grouped_by_chance_keep_their_number():
    """Groups whose examples are as different as any others tell nearly as much as single examples."""
    chance = stream(2, "copies")
    found = [effective(chance.integers(0, 2, 400).astype(float), np.repeat(np.arange(200), 2)) for _ in range(50)]
    assert 340 < np.mean(found) <= 400


def test_a_score_says_in_how_many_groups_its_examples_are():
    own = score("accuracy", grouped(stream(0, "copies"), [10] * 12), how="the sealed test part", seed=0)
    assert own.n == 120
    assert own.how.endswith("of them 108 belong to another one, as copies do, and the interval counts 12 groups")


# Scores ---------------------------------------------------------------------------------------------------------------


def judged_at_random(seed, n=60, classes=4, lean=1.5):
    rng = stream(seed, "judged")
    target = rng.integers(classes, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), target] += lean
    return judged_from("multiclass" if classes > 2 else "binary", [f"{i}.jpg" for i in range(n)], target, logits)


def numbers_at_random(seed, n=60, spread=0.5):
    rng = stream(seed, "numbers")
    target = rng.normal(20, 3, n)
    outputs = target + 3 * spread * rng.normal(size=n) + 0.2
    return judged_from("regression", [f"row {i}" for i in range(n)], target, outputs[:, None])


def for_metric(metric, seed, n=60, classes=4, lean=1.5):
    if metric in CLASSIFICATION_METRICS:
        return judged_at_random(seed, n, classes, lean)
    return numbers_at_random(seed, n, spread=1 / (1 + lean))


def classes_of(target, probabilities):
    target, probabilities = np.array(target), np.array(probabilities, float)
    return Judged(tuple(map(str, range(len(target)))), target, probabilities, "multiclass")


def test_softmax_is_the_normalised_exponential_and_handles_huge_logits():
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
    assert np.trace(counts) / n == pytest.approx(measure("accuracy", judged), abs=1e-12)
    assert np.array_equal(counts.sum(axis=1), np.bincount(judged.target, minlength=classes))
    assert np.array_equal(counts.sum(axis=0), np.bincount(judged.predicted, minlength=classes))
    rows = per_class(judged, names)
    assert [row.right for row in rows] == np.diag(counts).tolist()
    assert sum(row.n for row in rows) == n
    for row in rows:
        assert (row.value is None) == (row.n == 0)
        if row.n:
            assert row.low <= row.value <= row.high


def test_a_confusion_matrix_that_hides_examples_is_not_reported():
    judged = judged_at_random(0)
    with pytest.raises(InconsistentError, match="does not agree with the accuracy"):
        confusion(judged, ["only", "two"])


@pytest.mark.parametrize("metric", METRICS)
def test_a_score_lies_in_its_interval_and_repeats(metric):
    judged = for_metric(metric, 1)
    found = score(metric, judged, how="tried", seed=0)
    assert found.low < found.value < found.high
    assert (found.n, found.how) == (60, "tried")
    assert found == score(metric, judged, how="tried", seed=0)


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_measures_are_those_of_scikit_learn(metric, classes):
    judged = for_metric(metric, 2, n=200, classes=classes)
    target, predicted, outputs = judged.target, judged.predicted, judged.outputs
    by = {
        "accuracy": lambda: sk.accuracy_score(target, predicted),
        "balanced_accuracy": lambda: sk.balanced_accuracy_score(target, predicted),
        "f1_macro": lambda: sk.f1_score(target, predicted, average="macro"),
        "log_loss": lambda: sk.log_loss(target, outputs),
        "roc_auc": lambda: (
            sk.roc_auc_score(target, outputs, multi_class="ovr")
            if classes > 2
            else sk.roc_auc_score(target, outputs[:, 1])
        ),
        "average_precision": lambda: (
            sk.average_precision_score(np.eye(classes)[target], outputs, average="macro")
            if classes > 2
            else sk.average_precision_score(target, outputs[:, 1])
        ),
        "rmse": lambda: math.sqrt(sk.mean_squared_error(target, outputs)),
        "mae": lambda: sk.mean_absolute_error(target, outputs),
        "r2": lambda: sk.r2_score(target, outputs),
    }
    assert measure(metric, judged) == pytest.approx(by[metric](), rel=1e-12)


def test_a_metric_of_another_task_is_refused_by_name():
    with pytest.raises(UsageError, match="no metric of a regression task named 'rsme'; did you mean 'rmse'"):
        measure("rsme", numbers_at_random(0))
    with pytest.raises(UsageError, match="no metric of a binary task named 'rmse'"):
        measure("rmse", judged_at_random(0, classes=2))


@pytest.mark.parametrize(("task", "outputs"), [("binary", np.zeros((3, 2))), ("regression", np.zeros((2, 1)))])
def test_outputs_that_do_not_fit_are_refused(task, outputs):
    with pytest.raises(InconsistentError, match="do not fit together"):
        judged_from(task, ["a", "b"], [0, 1, 1], outputs)
    bad = np.full((2, outputs.shape[1]), math.nan)
    with pytest.raises(InconsistentError, match="not finite"):
        judged_from(task, ["a", "b"], [0, 1], bad)
    with pytest.raises(UsageError, match="no task named 'regresion'; did you mean 'regression'"):
        judged_from("regresion", ["a", "b"], [0, 1], np.zeros((2, 1)))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_default_metric_fits_its_task(task):
    assert default_metric(task) in METRICS_OF[task]
    assert StudyConfig(data="x").metric == "auto"
    with pytest.raises(UsageError, match="no task named 'binery'; did you mean 'binary'"):
        default_metric("binery")


def test_log_loss_of_a_certain_mistake_is_large_and_finite():
    found = measure("log_loss", classes_of([0, 1], [[0.0, 1.0], [0.0, 1.0]]))
    assert found == pytest.approx(-math.log(1e-15) / 2, rel=1e-6)


def test_balanced_accuracy_is_silent_about_classes_that_are_only_predicted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure("balanced_accuracy", classes_of([0, 0, 1], [[1, 0, 0], [0, 0, 1], [0, 1, 0]]))
    assert found == pytest.approx(0.75)


def test_metrics_of_what_cannot_be_ordered_or_does_not_vary_are_numbers():
    one = classes_of([1, 1, 1], [[0.2, 0.8, 0], [0.5, 0.5, 0], [1, 0, 0]])
    assert measure("roc_auc", one) == statistic_of("roc_auc", one)(np.ones((1, 3)))[0][0] == 0.5
    flat = judged_from("regression", ["a", "b"], [3.0, 3.0], np.array([[3.0], [4.0]]))
    assert measure("r2", flat) == 0.0
    assert measure("r2", replace(flat, outputs=flat.target)) == 1.0


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro", "roc_auc", "average_precision"])
def test_a_perfect_score_of_few_examples_is_not_certain(metric):
    judged = judged_at_random(0, n=60, classes=3, lean=50)
    found = score(metric, judged, how="", seed=0)
    assert (found.value, found.high) == (1, pytest.approx(1, abs=1e-9))
    rarest = np.bincount(judged.target).min()
    assert binomtest(rarest, rarest).proportion_ci(method="wilson").low - 0.05 < found.low < 0.98


@pytest.mark.parametrize("metric", METRICS)
def test_a_difference_is_that_of_the_scores_and_of_the_same_examples_only(metric):
    a, b = for_metric(metric, 3, lean=3.0), for_metric(metric, 3, lean=0.5)
    found = difference(metric, a, b, seed=0)
    assert found.value == pytest.approx(measure(metric, a) - measure(metric, b), abs=1e-12)
    assert found.low < found.value < found.high
    assert found.is_real
    assert not difference(metric, a, a, seed=0).is_real
    other = Judged(tuple(reversed(b.ids)), b.target, b.outputs, b.task)
    with pytest.raises(InconsistentError, match="different examples"):
        difference(metric, a, other, seed=0)


def test_networks_are_averaged_over_the_same_examples_only():
    a, b = judged_at_random(3, lean=3.0), judged_at_random(3, lean=0.5)
    assert mean_of([a, b]).outputs == pytest.approx((a.outputs + b.outputs) / 2, abs=1e-15)
    with pytest.raises(InconsistentError, match="different examples"):
        mean_of([a, b.only(np.arange(60) < 59)])


def test_mistakes_come_with_the_surest_first():
    judged = judged_at_random(4, lean=0.3)
    names = ["a", "b", "c", "d"]
    found = mistakes(judged, names, most=100)
    assert len(found) == int((~judged.right).sum())
    probabilities = [row.probability for row in found]
    assert probabilities == sorted(probabilities, reverse=True)
    for row in found:
        place = judged.ids.index(row.id)
        assert row.true == names[judged.target[place]]
        assert row.predicted == names[judged.predicted[place]] != row.true
    assert found[:12] == mistakes(judged, names)


# Of regressions -------------------------------------------------------------------------------------------------------


def test_the_largest_errors_come_first_with_their_signs():
    judged = numbers_at_random(5)
    found = errors(judged, most=100)
    assert len(found) == 60
    sizes = [abs(row.error) for row in found]
    assert sizes == sorted(sizes, reverse=True)
    for row in found:
        place = judged.ids.index(row.id)
        assert row.true == judged.target[place]
        assert row.error == row.predicted - row.true
    assert errors(judged) == found[:12]


def test_residuals_are_in_the_units_of_the_target():
    judged = numbers_at_random(6, n=2000)
    found, off = residuals(judged), judged.outputs - judged.target
    assert found.rmse == pytest.approx(math.sqrt((off**2).mean()), rel=1e-12)
    assert found.mean_error == pytest.approx(off.mean(), rel=1e-9)
    half = Z * off.std() / math.sqrt(2000)
    assert (found.mean_low, found.mean_high) == pytest.approx((off.mean() - half, off.mean() + half))
    assert found.mean_low < 0.2 < found.mean_high
    assert found.within_rmse == pytest.approx(0.68, abs=0.04)  # of normal errors
    assert found.median_size == pytest.approx(np.median(np.abs(off)))
    points = np.array(found.points)
    assert len(points) == 500
    assert points[0, 0] == judged.target.min()
    assert points[-1, 0] == judged.target.max()
    own = set(zip(judged.target, judged.outputs, strict=True))
    assert set(found.points) <= own
    assert len(residuals(numbers_at_random(6, n=7)).points) == 7


# Probabilities and costs ----------------------------------------------------------------------------------------------


def test_calibration_equals_a_count_by_hand():
    judged = judged_at_random(7, n=500)
    found = calibration(judged, bins=5)
    sure, right = judged.probabilities.max(axis=1), judged.right
    apart = 0.0
    for part in found.bins:
        own = (sure > part.start) & (sure <= part.end)
        assert part.n == own.sum() > 0
        assert part.confidence == pytest.approx(sure[own].mean())
        assert part.right == pytest.approx(right[own].mean())
        assert part.low <= part.right <= part.high
        apart += own.mean() * abs(right[own].mean() - sure[own].mean())
    assert sum(part.n for part in found.bins) == found.n == 500
    assert found.ece == pytest.approx(apart)


def test_probabilities_that_are_true_are_calibrated_and_overconfident_ones_are_not():
    rng = stream(8, "calibrated")
    logits = 2 * rng.normal(size=(4000, 3))
    true = softmax(logits)
    target = np.array([rng.choice(3, p=row) for row in true])
    assert calibration(classes_of(target, true)).ece < 0.03
    assert calibration(classes_of(target, softmax(3 * logits))).ece > 0.1


def test_a_calibrated_network_shows_an_error_of_the_usual_size_and_one_that_is_too_sure_more():
    """Held against labels that are drawn from the probabilities, in fresh samples of as many examples."""
    rng, n = stream(11, "calibrated"), 150
    usual, told, off, gaps = [], [], [], []
    for _ in range(150):
        true = softmax(1.5 * rng.normal(size=(n, 3)))
        target = (rng.random(n)[:, None] > true.cumsum(axis=1)[:, :2]).sum(axis=1)
        found = calibration(classes_of(target, true))
        usual.append(found.ece)
        told.append(found.usual)
        off.append(found.is_off)
        gaps.append(found.lean != "")
    assert np.mean(told) == pytest.approx(np.mean(usual), rel=0.05)
    assert np.mean(off) <= 0.09  # 0.05, and two standard errors of 150 draws
    assert np.mean(gaps) <= 0.09
    target = (rng.random(n)[:, None] > true.cumsum(axis=1)[:, :2]).sum(axis=1)
    sure = calibration(classes_of(target, true**4 / (true**4).sum(axis=1, keepdims=True)))
    assert sure.is_off
    assert sure.lean == "overconfident"
    shy = calibration(classes_of(true.argmax(axis=1), true**0.5 / (true**0.5).sum(axis=1, keepdims=True)))
    assert (shy.is_off, shy.lean) == (True, "underconfident")


def test_copies_leave_a_calibrated_network_further_off():
    judged = judged_at_random(12, n=60)
    rows = np.repeat(np.arange(60), 4)
    copies = Judged(tuple(map(str, range(240))), judged.target[rows], judged.outputs[rows], judged.task)
    grouped = replace(copies, groups=rows)
    assert calibration(grouped).usual == pytest.approx(calibration(judged).usual, rel=0.1)
    assert calibration(copies).usual < 0.7 * calibration(grouped).usual


@pytest.mark.parametrize("classes", [2, 3])
def test_the_brier_score_is_that_of_scikit_learn(classes):
    judged = judged_at_random(13, n=200, classes=classes)
    found = calibration(judged)
    squares = ((judged.outputs - np.eye(classes)[judged.target]) ** 2).sum(axis=1).mean()
    assert found.brier == pytest.approx(squares / (2 if classes == 2 else 1), rel=1e-12)
    if classes == 2:
        assert found.brier == pytest.approx(sk.brier_score_loss(judged.target, judged.outputs[:, 1]), rel=1e-12)
    assert found.brier_low < found.brier < found.brier_high


def test_decisions_that_weigh_costs_cost_less_where_costs_differ():
    rng = stream(9, "costs")
    logits = rng.normal(size=(3000, 2))
    target = np.array([rng.choice(2, p=row) for row in softmax(logits)])
    judged = judged_from("binary", list(map(str, range(3000))), target, logits)
    found = expected_cost(judged, [[0, 1], [10, 0]], seed=0)
    counts = confusion(judged, ["a", "b"])
    assert found.value == pytest.approx((counts[0][1] + 10 * counts[1][0]) / 3000)
    assert found.low < found.value < found.high
    assert found.aware.high < found.low
    assert found.aware.changed > 0
    assert found.n == 3000
    # Elkan's threshold: decide for class 1 from a probability of 1 / (1 + 10) on.
    decided = (judged.probabilities[:, 1] >= 1 / 11).astype(int)
    by_hand = np.where(decided == target, 0, np.where(target == 1, 10, 1)).mean()
    assert found.aware.value == pytest.approx(by_hand)
    even = expected_cost(judged, [[0, 1], [1, 0]], seed=0)
    assert even.value == even.aware.value == pytest.approx(1 - measure("accuracy", judged))
    assert even.aware.changed == 0
    with pytest.raises(UsageError, match="costs of 2 classes must be a 2 x 2 table"):
        expected_cost(judged, [[0, 1, 2]] * 3, seed=0)
    with pytest.raises(UsageError, match="finite"):
        expected_cost(judged, [[0, math.inf], [1, 0]], seed=0)


# Guessing -------------------------------------------------------------------------------------------------------------


def test_the_dummy_answers_with_the_most_common_class_of_the_training_data():
    train_targets, target = np.array([0, 1, 1, 1, 2, 2]), np.array([1, 1, 0, 2, 0])
    four, three = classes_of(target, np.ones((5, 4)) / 4), classes_of(target, np.ones((5, 3)) / 3)
    found = dummy("accuracy", train_targets, four, seed=0)
    assert (found.value, found.n) == (0.4, 5)
    shares = np.array([1, 3, 2]) / 6
    wanted = -np.log(shares[target]).mean()
    assert dummy("log_loss", train_targets, three, seed=0).value == pytest.approx(wanted, rel=1e-6)
    assert dummy("balanced_accuracy", train_targets, four, seed=0).value == pytest.approx(1 / 3)
    assert dummy("roc_auc", train_targets, four, seed=0).value == 0.5


def test_the_dummy_of_a_regression_is_the_best_constant_of_the_training_data():
    judged, train_targets = numbers_at_random(1), np.array([1.0, 2.0, 3.0, 14.0])
    assert set(guesses("rmse", train_targets, judged).predicted) == {5.0}
    assert set(guesses("mae", train_targets, judged).predicted) == {2.5}
    found = dummy("mae", train_targets, judged, seed=0)
    assert found.value == pytest.approx(np.abs(judged.target - 2.5).mean())
    assert found.how == "always the median of the training data"
    assert dummy("r2", judged.target, judged, seed=0).value == pytest.approx(0, abs=1e-12)
    assert dummy("rmse", train_targets, judged, seed=0).how == "always the mean of the training data"


@pytest.mark.parametrize("metric", METRICS)
def test_the_error_of_guessing_is_its_spread_from_sample_to_sample(metric):
    """Held against guessing on 400 fresh samples: random answers for metrics that a constant pins to one value."""
    rng, n = stream(10, "guessing"), 300
    found = []
    for _ in range(400):
        if metric in CLASSIFICATION_METRICS:
            target = rng.choice(3, p=[0.5, 0.3, 0.2], size=n)
            outputs = np.tile([0.5, 0.3, 0.2], (n, 1))
            if metric in ("balanced_accuracy", "f1_macro"):
                outputs = np.eye(3)[rng.choice(3, p=[0.5, 0.3, 0.2], size=n)]
            elif metric in ("roc_auc", "average_precision"):
                outputs = softmax(rng.normal(size=(n, 3)))
            judged = Judged((), target, outputs, "multiclass")
        else:
            target = rng.normal(20, 3, n)
            judged = Judged((), target, np.full(n, 20.0), "regression")
        if metric == "r2":
            found.append(1 - ((target - 20) ** 2).mean() / 9)
        else:
            found.append(statistic_of(metric, judged)(np.ones((1, n)))[0][0])
    judged = Judged(tuple(map(str, range(n))), judged.target, judged.outputs, judged.task)
    train_targets = judged.target if metric not in CLASSIFICATION_METRICS else np.repeat([0, 1, 2], [50, 30, 20])
    assert dummy_error(metric, train_targets, judged, seed=0) == pytest.approx(np.std(found), rel=0.35)


def test_the_test_part_is_recorded_before_its_labels_are_seen():
    log = []
    logits = np.array([[0.0, 1.0], [0.0, 1.0]])
    judged = open_test(Sealed((3, 5), (1, 0)), ["a", "b"], logits, log.append, task="binary")
    assert log == [2]
    assert judged.right.tolist() == [True, False]
    numbers = open_test(Sealed((3, 5), (1, 0)), ["a", "b"], np.array([[1.5], [0.0]]), log.append, task="regression")
    assert numbers.residual.tolist() == [0.5, 0.0]

    def fails(count):
        raise OSError(count)

    with pytest.raises(OSError):
        open_test(Sealed((3, 5), (1, 0)), ["a", "b"], np.zeros((2, 2)), fails, task="binary")
