"""What is said of a score: each finding where its cause is, and none of a score that is as it should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_results import classes_of, made, with_answers
from tame.core.evaluation import ClassScore, Difference
from tame.core.result_parts import Baselines, BaselineScore
from tame.evaluate.calibration import calibration
from tame.evaluate.compare import wilson
from tame.evaluate.score import Judged
from tame.study.score_findings import score_findings


def codes(result, loss=None):
    return [each.code for each in score_findings(result, loss)]


def good():
    """A result of which there is nothing to say."""
    result, _ = made("two_classes")
    dummy = replace(result.baselines.dummy, difference=Difference(0.3, 0.2, 0.4, 153))
    own = [ClassScore(name=each.name, n=80, right=76, value=0.95, low=0.88, high=0.98)
           for each in classes_of(result).per_class]  # fmt: skip
    plain = replace(
        result, baselines=Baselines(dummy=dummy, default=None), optimism_interval=Difference(0.0, -0.05, 0.05, 153),
        score=replace(result.score, doubt=""), metrics={**result.metrics, "log_loss": 0.7},
    )  # fmt: skip
    return with_answers(plain, per_class=tuple(own), calibration=None)


def test_of_a_good_score_nothing_is_said():
    assert codes(good(), Difference(-0.4, -0.5, -0.3, 153)) == []


def test_a_class_that_is_hardly_recognized_is_named():
    result = good()
    low, high = wilson(3, 40)
    bad = ClassScore(name="wasp", n=40, right=3, value=3 / 40, low=low, high=high)
    (found,) = score_findings(with_answers(result, per_class=(classes_of(result).per_class[0], bad)), None)
    assert (found.code, found.evidence["name"], found.evidence["right"]) == ("failing_class", "wasp", 3)
    few = replace(bad, n=5, right=0)
    assert codes(with_answers(result, per_class=(classes_of(result).per_class[0], few))) == [], "five may be chance"


@pytest.mark.parametrize(("low", "said"), [(0.2, ["worse_than_guessing"]), (0.02, []), (-0.1, [])])
def test_a_loss_above_that_of_guessing_is_a_problem_beyond_its_noise(low, said):
    assert codes(good(), Difference(0.3 if low > 0.1 else 0.15, low, 0.5, 153)) == said


def calibrated(gain, seed, num=400):
    """Predictions whose confidence is right with a gain of 1, and too high above."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, num)
    target = (rng.random(num) < 1 / (1 + np.exp(-logits))).astype(np.int64)
    p = 1 / (1 + np.exp(-gain * logits))
    return calibration(Judged(tuple(map(str, range(num))), target, np.column_stack([1 - p, p]), "binary"))


def test_probabilities_are_said_to_be_off_where_they_are_and_not_by_chance():
    (found,) = score_findings(with_answers(good(), calibration=calibrated(4.0, 0)), None)
    assert found.code == "miscalibrated"
    assert "too sure" in found.title
    alarms = sum(bool(codes(with_answers(good(), calibration=calibrated(1.0, seed)))) for seed in range(100))
    assert alarms <= 2


def test_validation_above_the_test_is_said_beyond_both_noises():
    assert codes(replace(good(), optimism_interval=Difference(0.1, 0.05, 0.15, 153))) == ["validation_above_test"]
    assert codes(replace(good(), optimism_interval=Difference(0.1, 0.01, 0.19, 153))) == [], "99 % of chance is wider"


def test_trees_that_are_better_are_told_and_others_are_not():
    result = good()

    def beside(difference):
        trees = BaselineScore(value=0.97, low=0.9, high=0.99, n=153, how="", difference=difference)
        return replace(result, baselines=replace(result.baselines, trees=trees))

    assert codes(beside(Difference(0.1, 0.05, 0.15, 153))) == []
    assert codes(beside(Difference(-0.01, -0.04, 0.02, 153))) == []
    (better,) = score_findings(beside(Difference(-0.02, -0.03, -0.01, 153)), None)
    assert (better.code, better.severity) == ("trees_are_better", "warning")
    assert "gradient boosting (accuracy 0.97) is better than the network" in better.title


def test_a_linear_model_that_does_as_well_is_told():
    result = good()

    def beside(difference):
        linear = BaselineScore(value=0.9, low=0.8, high=0.95, n=153, how="", difference=difference)
        return replace(result, baselines=replace(result.baselines, linear=linear))

    assert codes(beside(Difference(0.1, 0.05, 0.15, 153))) == []
    (level,) = score_findings(beside(Difference(0.01, -0.02, 0.04, 153)), None)
    assert (level.code, level.severity) == ("no_better_than_linear", "info")
    (worse,) = score_findings(beside(Difference(-0.1, -0.15, -0.05, 153)), None)
    assert worse.severity == "warning"
    assert "underfits" not in worse.title
    (small,) = score_findings(beside(Difference(-0.1, -0.15, -0.05, 153)), None, underfits=True)
    assert "underfits" in small.title
    assert "larger network" in small.change
    assert score_findings(beside(Difference(0.01, -0.02, 0.04, 153)), None, underfits=True) == [level]


def test_a_score_that_few_decide_and_a_test_that_is_too_small_are_told():
    doubted = replace(good(), score=replace(good().score, doubt="the largest error alone makes 90 % of the sum"))
    assert codes(doubted) == ["few_decide"]
    dummy = replace(good().baselines.dummy, difference=Difference(0.1, -0.1, 0.3, 40))
    small = replace(good(), baselines=Baselines(dummy=dummy, default=None))
    (found,) = score_findings(small, None)
    assert found.code == "test_too_small"
    assert found.evidence["needed"] == 4 * small.score.n
