"""The numbers behind a finding, in a sentence."""

from __future__ import annotations

import pytest

from tame.core.codes import CODES
from tame.core.records import Finding
from tame.report.evidence import evidence
from tame.study.forecast import CODE

CURVE = {"since_epoch": 3, "lowest_valid_loss": 0.4, "last_valid_loss": 0.9, "last_train_loss": 0.1}
LOSSES = {"loss_of_guessing": 1.1, "optimizer.lr": 0.5}
FLAT = {"last_train_loss": 2.1, "last_valid_loss": 2.2, "learned": 0.2}
PAIRS = {"count": 2, "pairs": [["a/1.jpg", "b/2.jpg"], ["a/3.jpg", "a/4.jpg"]]}
SAID = {  # of every code its evidence, and a part of what is said of it
    "squashed_outputs": (
        {"low": 0.0, "high": 1.0, "floor": 0.313},
        "stay between 0 and 1, so the loss cannot fall below",
    ),
    "large_first_loss": (
        {"first_loss": 90.0, "guess_loss": 2.3, "outputs": 40.0, "inputs": 1.0},
        "a first loss of 90, where outputs of zero have 2.3",
    ),
    "cannot_overfit_batch": (
        {"n": 8, "constant_loss": 0.69, "perfect_loss": 0.0, "lowest_loss": 0.68, "steps": 30, "rates": "0.003"},
        "after 30 steps on 8 rows at rates of 0.003, the lowest loss was 0.68",
    ),
    "no_gradient": ({"parameters": ["body.weight"], "count": 1}, "no step gave body.weight a gradient"),
    "frozen_parameters": (
        {"parameters": ["body.weight"], "count": 1, "share": 0.9},
        "0.9 of the weights lie in body.weight",
    ),
    "dead_units": ({"layer": "act", "dead": 9, "units": 9, "layers": ["act: 9 of 9"]}, "zero for every example: act"),
    "constant_outputs": ({"spread": 0.0, "steps": 5}, "after 5 steps the outputs differ between examples by 0"),
    "vanishing_gradients": (
        {"first_layer": "a", "last_layer": "z", "ratio": 1e-6, "largest": 0.1, "layers": ["a: 1e-06", "z: 1"]},
        "gradient over weights of a relative to that of z",
    ),
    "exploding_gradients": (
        {"layer": "a", "times": 5000.0, "growth": 200.0, "layers": ["a: 5000", "z: 25"]},
        "the first ones get 200 times what later ones get",
    ),
    "update_ratio": (
        {"ratio": 2.0, "optimizer.lr": 9.0, "first_loss": 1.0, "last_loss": 8.0, "steps": 5},
        "a step changes the weights by 2 of their size",
    ),
    "small_batch_norm": ({"norms": ["norm"], "batch_size": 4, "last_batch": 4}, "batches of 4, the last one of 4"),
    "not_probed": ({"probes": ["one batch (the 2 s for it were over)"]}, "one batch (the 2 s for it were over)"),
    "overfitting": (CURVE, "lowest in epoch 3 (0.4)"),
    "overconfident": ({**CURVE, "last_valid_metric": 0.9}, "the metric ended at 0.9"),
    "still_improving": ({"fall_over_last_fifth": 0.1, "epochs": 9, "last_valid_loss": 0.5}, "after 9 epochs"),
    "underfitting": (FLAT, "no gap; 0.2 of the way"),
    "over_regularised": ({**FLAT, "field": "model.dropout", "value": 0.9}, "model.dropout is 0.9"),
    "memorised": (FLAT, "training loss 2.1, validation loss 2.2"),
    "learning_noise": (
        {"first_train_loss": 2.3, "last_train_loss": 0.4, "valid_metric": 0.1, "dummy": 0.1},
        "on validation rows",
    ),
    "plateau": (
        {"since_epoch": 3, "until_epoch": 9, "train_loss": 2.0, "last_train_loss": 0.4},
        "2 from epoch 3 to 9",
    ),
    "noisy_validation": ({"noise": 0.07, "n": 40, "needed": 2000}, "2,000 would bring it to 0.01"),
    "periodic": ({"epochs": 5.0, "share_of_variance": 0.7}, "a cycle of 5 epochs"),
    "rate_too_high": ({**LOSSES, "share_of_epochs_that_rose": 0.5, "highest_train_loss": 9.0}, "rate 0.5"),
    "rate_too_low": ({**LOSSES, "last_train_loss": 1.0}, "ended at 1"),
    "diverged": ({"epoch": 2, "optimizer.lr": 9.0}, "in epoch 2"),
    "no_better_than_dummy": ({"valid_metric": 0.5, "dummy": 0.5, "n": 9}, "on 9 validation rows"),
    "best_on_edge": (
        {"field": "epochs", "best_values": [9, 9], "low": 1, "high": 9},
        "best values of epochs are 9 and 9",
    ),
    "infeasible": ({"begun": 9, "lost": 5}, "5 of 9 recipes that started diverged or failed"),
    "linear_range": ({"field": "optimizer.lr", "low": 0.1, "high": 1.0}, "optimizer.lr from 0.1 to 1"),
    "cut_short": ({"trial": 25, "epochs": 4, "of": 40}, "trial 25 was at epoch 4 of 40 when the time ran out"),
    "worthless_rest": ({"recipes": 9, "epochs": 99, "best": 0.1, "gain": 0.01, "noise": 0.1}, "after 9 recipes"),
    "near_duplicates": (PAIRS, "for example"),
    "label_conflict": (PAIRS, "for example"),
    "suspect_labels": (
        {"count": 1, "pictures": [{"picture": "a/1.jpg", "label": "a", "looks_like": "b", "probability": 0.99}]},
        "for example a/1.jpg looks like b",
    ),
    "leak": ({"count": 1, "pictures": ["row 3"]}, "for example row 3"),
    "skipped_files": ({"count": 1, "first": ["a.jpg: truncated"]}, "for example a.jpg: truncated"),
    "imbalance": ({"ant": 90, "bee": 10}, "ant 90; bee 10"),
    "small_test": ({"n": 40}, "40 test rows"),
    "target_leak": ({"columns": [{"column": "price", "evidence": "equals it"}]}, "price: equals it"),
    "skipped_rows": ({"count": 3}, "3 rows without a target"),
    "identifier_columns": ({"columns": ["id"], "count": 1}, "columns: id"),
    "constant_columns": ({"columns": ["unit"], "count": 1}, "columns: unit"),
    "unseen_categories": ({"columns": [{"city": 3}, {"street": 2}]}, "columns: city 3; street 2"),
    "few_rows": ({"rows": 40}, "40 rows"),
    "duplicate_rows": ({"rows": 4, "of": 40}, "4 of 40 rows have an identical copy"),
    "overlapping_windows": (
        {"rows": 30, "of": 40, "cut": 20},
        "30 of 40 rows overlap others; 20 of them lie in series",
    ),
    "equal_by_chance": ({"rows": 9, "of": 40, "by_chance": 8, "in_test": 3}, "9 of 40 rows equal another"),
    "shortcut": (
        {"columns": [{"column": "brightness", "evidence": "tells 90 % of whether a picture is of class a"}]},
        "brightness: tells 90 %",
    ),
    "parts_differ": (
        {"area": 0.9, "error": 0.01, "part": "test", "columns": [{"age": 0.9}, {"city": 0.7}]},
        "ROC curve of 0.9 (standard error 0.01; 0.5 is chance), by column: age 0.9; city 0.7",
    ),
    "sentinel_values": (
        {"columns": [{"column": "age", "value": "-999", "rows": 12, "low": "17", "high": "90"}]},
        "age is -999 in 12 rows, all others lie between 17 and 90",
    ),
    "group_column": (
        {"columns": [{"column": "patient", "evidence": "40 values in 400 rows"}]},
        "patient: 40 values in 400 rows",
    ),
    "row_order": (
        {
            "told": "12 %",
            "name": "sick",
            "share_low": "5 %",
            "share_high": "60 %",
            "rows_low": "rows 1 to 40",
            "rows_high": "rows 361 to 400",
        },
        "tells 12 % of what is to be known of the target: of rows 1 to 40 5 % are sick, of rows 361 to 400 60 %",
    ),
    "small_classes": ({"count": 2, "classes": [{"ant": 3}, {"bee": 4}]}, "ant 3; bee 4"),
    "unscaled_inputs": (
        {"smallest": "input 0", "smallest_spread": 0.1, "largest": "input 3", "largest_spread": 5000.0},
        "deviation of input 0 is 0.1, that of input 3 5,000",
    ),
    "failing_class": (
        {"name": "ant", "n": 30, "right": 1, "low": 0.0, "high": 0.17, "classes": [{"ant": "1 of 30"}]},
        "ant 1 of 30; recognized at most 0.17",
    ),
    "worse_than_guessing": (
        {"log_loss": 2.7, "guessing": 2.3, "by": 0.4, "low": 0.2, "high": 0.6},
        "2.7 against 2.3: higher by 0.4 (0.2 to 0.6)",
    ),
    "miscalibrated": (
        {"ece": 0.3, "usual": 0.03, "limit": 0.09, "n": 500, "confidence": 0.9, "right": 0.6},
        "off by 0.3 on average; a calibrated network shows 0.03 on 500 rows",
    ),
    "validation_above_test": (
        {"metric": "accuracy", "validation": 0.9, "test": 0.7, "low": 0.1, "high": 0.3, "n": 90, "n_validation": 80},
        "accuracy 0.9 on 80 validation rows, 0.7 on 90 of the test",
    ),
    "trees_are_better": (
        {"metric": "accuracy", "network": 0.8, "trees": 0.81, "by": -0.01, "low": -0.03, "high": -0.002, "n": 90},
        "of gradient boosting 0.81 on the same 90 rows",
    ),
    "no_better_than_linear": (
        {"metric": "accuracy", "network": 0.81, "linear": 0.8, "by": 0.01, "low": -0.01, "high": 0.03, "n": 90},
        "of a linear model 0.8 on the same 90 rows",
    ),
    "few_decide": ({"metric": "rmse", "n": 90, "why": "the largest error makes 90 %"}, "rmse on 90 rows: the largest"),
    "test_too_small": (
        {"metric": "accuracy", "n": 20, "by": 0.1, "low": -0.1, "high": 0.3, "needed": 80},
        "on 20 rows; about 80 would show such a difference",
    ),
    "score_without_twins": (
        {"metric": "accuracy", "n": 40, "with_twins": 0.9, "twins": 9, "n_without": 31, "without": 0.8},
        "accuracy on all 40 rows 0.9; on 31 without a twin 0.8",
    ),
    "infinite_values": ({"notes": ["price: 3 infinite"]}, "price: 3 infinite"),
    "fine_tuning": ({"trial": 9, "frozen_trial": 2, "n": 9, "value": 0.1, "low": 0.0, "high": 0.2}, "0.1 (0 to 0.2)"),
    CODE: ({"needs_bytes": 9 * 10**9, "available_bytes": 4 * 10**9}, "about 9.0 GB is needed; 4.0 GB is"),
}


# How a rate shows that it is too high, and how rates that are too low were told before.
OTHERS = [
    ("rate_too_high", {"since_epoch": 4, "lowest_train_loss": 0.2, "last_train_loss": 2.0}, "lowest in epoch 4 (0.2)"),
    ("rate_too_high", {"since_epoch": 4, "last_train_loss": 2.0}, "has stayed at 2 since epoch 4"),
    ("rate_too_high", {"valid_metric": 0.1, "dummy": 0.1, "times_the_usual_rate": 50.0}, "at 50 times the rate"),
    (
        "rate_too_high",
        {"share_of_epochs_that_rose": 0.5, "noise_of_train_loss": 0.3, "first_train_loss": 2, "last_train_loss": 3},
        "rose in 0.5 of all epochs",
    ),
    (
        "rate_too_low",
        {"first_train_loss": 2.3, "last_train_loss": 2.2, "epochs": 30, "share_of_fall_in_second_half": 0.5},
        "fell from 2.3 to 2.2 in 30 epochs",
    ),
]


@pytest.mark.parametrize(("code", "values", "part"), OTHERS)
def test_evidence_of_every_shape_is_told_in_words(code: str, values: dict[str, object], part: str) -> None:
    assert part in evidence(Finding(code, "a title", "warning", values), "table")


def test_every_code_has_its_sentence() -> None:
    assert set(SAID) == set(CODES)


@pytest.mark.parametrize("code", SAID)
def test_evidence_is_told_in_words(code: str) -> None:
    values, part = SAID[code]
    said = evidence(Finding(code, "", "info", values), "table")
    assert part in said
    assert not set("{}[]'") & set(said), "a value of the program"
    assert not any(f"{key.replace('_', ' ')}: " in said for key in values if key not in ("columns",)), "a bare list"


def test_evidence_of_a_code_that_is_not_known_holds_no_dict() -> None:
    unknown = Finding("of_tomorrow", "", "info", {"found": {"a": 1, "b": 2}, "each": [{"c": 3}]})
    assert evidence(unknown) == "found: a 1 and b 2; each: c 3"


def test_a_finding_names_examples_as_the_data_has_them() -> None:
    small = Finding("small_test", "", "info", {"n": 40})
    assert [evidence(small, kind) for kind in ("images", "table", "arrays")] == [
        "40 test pictures", "40 test rows", "40 test examples",
    ]  # fmt: skip
    old = Finding("no_better_than_dummy", "", "problem", {"valid_metric": 0.5, "dummy": 0.5, "n": 9})
    assert "always predicting the most common class has 0.5" in evidence(old)
    many = Finding("constant_columns", "", "info", {"columns": ["a", "b", "c"]})
    assert evidence(many, "table") == "columns: a, b and c"
    leaks = [{"column": "price", "evidence": "equals the target in all rows"}, {"column": "id", "evidence": "so too"}]
    said = evidence(Finding("target_leak", "", "problem", {"columns": leaks}), "table")
    assert said == "price: equals the target in all rows; id: so too"
    unknown = Finding("of_tomorrow", "", "info", {"columns": ["a", "b"], "some_count": 2})
    assert evidence(unknown) == "columns: a and b; some count: 2"
