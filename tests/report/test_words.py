"""Sentences about a result: verdicts that follow from intervals, and optimism with its sign and weight."""

from __future__ import annotations

from dataclasses import replace

import pytest

from made_results import classes_of, made
from tame.core.evaluation import ONE_SEED, Calibration, Difference
from tame.core.records import Score
from tame.core.result_parts import Validation
from tame.report import words


def difference(value: float, low: float, high: float) -> Difference:
    return Difference(value, low, high, 100)


@pytest.mark.parametrize(
    ("metric", "about", "said"),
    [
        ("accuracy", difference(0.02, -0.01, 0.05), "no real difference from it: +0.020 (−0.010 to +0.050)"),
        ("accuracy", difference(0.03, 0.01, 0.05), "better than it by 0.030 (0.010 to 0.050)"),
        ("accuracy", difference(-0.03, -0.05, -0.01), "worse than it by 0.030 (0.010 to 0.050)"),
        ("log_loss", difference(-0.03, -0.05, -0.01), "better than it by 0.030 (0.010 to 0.050)"),
        ("log_loss", difference(0.03, 0.01, 0.05), "worse than it by 0.030 (0.010 to 0.050)"),
        ("rmse", difference(-31_234.0, -52_000.0, -9_876.0), "better than it by 31,200 (9,880 to 52,000)"),
        ("mae", difference(0.00123, -0.002, 0.004), "no real difference from it: −0.00123 (−0.00400 to +0.00200)"),
        ("r2", difference(0.03, 0.01, 0.05), "better than it by 0.030 (0.010 to 0.050)"),
    ],
)
def test_a_verdict_follows_from_the_interval_and_the_way_the_metric_runs(
    metric: str, about: Difference, said: str
) -> None:
    assert words.comparison(metric, about, "it") == said


@pytest.mark.parametrize(
    ("test", "validation", "said"),
    [
        (0.961, 0.967, "validation: 0.967, sealed test: 0.961; optimism 0.006, within the uncertainty of the test"),
        (0.80, 0.99, "optimism 0.190, more than the uncertainty of the test explains"),
        (0.97, 0.96, "optimism −0.010, so there is none"),
        (0.96, 0.96, "no optimism"),
    ],
)
def test_optimism_is_named_with_its_sign_and_its_weight(test: float, validation: float, said: str) -> None:
    result = replace(
        made("two_classes")[0], score=Score(test, test - 0.04, test + 0.02, 153, ""), optimism=validation - test,
        validation=Validation(value=validation, n=244, how=""),
    )  # fmt: skip
    assert said in words.optimism(result)


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((-0.01, 0.022), "within the uncertainty of both"),
        ((0.001, 0.011), "more than the uncertainty of both explains"),
    ],
)
def test_optimism_is_weighed_by_the_noise_of_both_where_that_is_known(ends: tuple[float, float], said: str) -> None:
    result = replace(made("two_classes")[0], optimism=0.006, optimism_interval=difference(0.006, *ends))
    assert words.optimism(result).endswith(said)


def test_of_one_seed_each_no_recipe_is_called_better() -> None:
    about = replace(difference(0.03, 0.01, 0.05), verdict=ONE_SEED)
    said = words.comparison("accuracy", about, "it")
    assert said.startswith("whether it is better than it is not known: one seed of each was trained")


@pytest.mark.parametrize(
    ("ece", "said"),
    [
        (0.013, "no miscalibration was shown (0.013; 0.060 is usual for 153 pictures)"),
        (0.12, "probabilities are off by 0.120 on average, and 0.060 is usual for 153 pictures if they are right: "
               "the network is overconfident"),
    ],
)  # fmt: skip
def test_miscalibration_is_weighed_by_what_a_calibrated_network_shows(ece: float, said: str) -> None:
    result, _ = made("two_classes")
    about = Calibration(n=153, ece=ece, confidence=0.95, right=0.85, bins=(), usual=0.06, most=0.09, least_gap=-0.04,
                        most_gap=0.04)  # fmt: skip
    assert words.calibration(result, about) == said


def test_optimism_of_an_error_is_told_in_the_units_of_the_target() -> None:
    result = replace(
        made("numbers")[0], score=Score(47_612.0, 40_000.0, 55_000.0, 800, ""), optimism=1490.0,
        validation=Validation(value=46_122.0, n=3200, how="", stderr=512.3),
    )  # fmt: skip
    assert result.data_facts.folds == 5
    said = "validation: 46,100 ± 512 over 5 folds, sealed test: 47,600; optimism 1,490, within the uncertainty"
    assert words.optimism(result).startswith(said)
    assert "no optimism" in words.optimism(replace(result, optimism=12.0))
    assert "optimism −1,490, so there is none" in words.optimism(replace(result, optimism=-1490.0))


def test_a_study_that_tried_one_recipe_does_not_say_that_a_search_found_nothing() -> None:
    result, _ = made("two_classes")
    default = result.baselines.default
    assert default is not None
    won = replace(result, baselines=replace(result.baselines, default=replace(default, is_winner=True)))
    assert words.verdict(won) == "the default recipe won: the search found nothing that is shown to be better"
    assert "nothing was searched" in words.verdict(replace(won, trials=1))


def test_the_number_of_openings_and_the_other_metrics_are_two_sentences() -> None:
    result, _ = made("two_classes")
    several = replace(result, metrics={"accuracy": 0.9, "log_loss": 0.289, "f1_macro": 0.88})
    assert words.opened(several) == "opened once"
    assert words.other_metrics(several) == "log loss 0.289 and macro F1 0.880"
    assert words.other_metrics(result) == ""


def test_a_calibration_error_of_an_older_result_is_told_alone() -> None:
    result, _ = made("two_classes")
    told = classes_of(result).calibration
    assert told is not None
    older = replace(told, ece=0.013, usual=None)
    assert words.calibration(result, older) == "probabilities are off by 0.013 on average (calibration error)"


@pytest.mark.parametrize(
    ("name", "about", "said"),
    [
        ("two_classes", difference(0.4, 0.3, 0.5), "distinguishes "),
        ("two_classes", difference(0.0, -0.2, 0.2), "was not shown to distinguish "),
        ("two_classes", difference(-0.4, -0.5, -0.3), "was not shown to distinguish "),
        ("numbers", difference(-9.0, -12.0, -6.0), "predicts "),
        ("numbers", difference(9.0, 6.0, 12.0), "was not shown to predict "),
    ],
)
def test_a_network_is_said_to_do_its_task_only_where_it_was_shown_to(name, about, said):
    result = made(name)[0]
    dummy = replace(result.baselines.dummy, difference=about)
    own = replace(result, baselines=replace(result.baselines, dummy=dummy))
    assert words.ability(own).startswith(said)
