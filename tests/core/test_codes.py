"""The registry of findings: numbers that stay, reasons in two sentences, names that are found."""

from __future__ import annotations

import re

import pytest

from tame.core.codes import CODES, FAMILIES, id_of, muted_in_toml, name_of, names_of
from tame.core.config import StudyConfig
from tame.core.errors import UsageError
from tame.core.plain import from_plain
from tame.core.records import Finding

# Whoever mutes a number must go on muting the same kind: a number here may be added, never changed.
GIVEN = {
    "near_duplicates": 101, "duplicate_rows": 102, "equal_by_chance": 103, "label_conflict": 104, "suspect_labels": 105,
    "leak": 106, "target_leak": 107, "skipped_files": 108, "skipped_rows": 109, "imbalance": 110,
    "identifier_columns": 111, "constant_columns": 112, "unseen_categories": 113, "infinite_values": 114,
    "few_rows": 115, "small_test": 116, "overlapping_windows": 123, "row_order": 124,
    "squashed_outputs": 201, "large_first_loss": 202, "cannot_overfit_batch": 203, "no_gradient": 204,
    "frozen_parameters": 205, "dead_units": 206, "constant_outputs": 207, "vanishing_gradients": 208,
    "exploding_gradients": 209, "update_ratio": 210, "small_batch_norm": 211, "not_probed": 212,
    "overfitting": 301, "overconfident": 302, "underfitting": 303,
    "over_regularised": 304, "still_improving": 305, "rate_too_high": 306, "rate_too_low": 307, "diverged": 308,
    "no_better_than_dummy": 309, "memorised": 310, "learning_noise": 311, "plateau": 312, "noisy_validation": 313,
    "periodic": 314, "best_on_edge": 401, "infeasible": 402, "linear_range": 403, "cut_short": 404,
    "worthless_rest": 405, "fine_tuning": 406, "memory_short": 407, "score_without_twins": 501,
    "shortcut": 117, "parts_differ": 118, "sentinel_values": 119, "group_column": 120, "small_classes": 121,
    "unscaled_inputs": 122, "failing_class": 502, "worse_than_guessing": 503, "miscalibrated": 504,
    "validation_above_test": 505, "no_better_than_linear": 506, "few_decide": 507, "test_too_small": 508,
    "trees_are_better": 509,
}  # fmt: skip


def test_numbers_never_change_and_are_given_once():
    assert {name: code.number for name, code in CODES.items()} == GIVEN
    assert len({code.number for code in CODES.values()}) == len(CODES)
    assert {code.number // 100 for code in CODES.values()} <= set(FAMILIES)


@pytest.mark.parametrize("name", CODES)
def test_every_kind_says_why_it_matters_in_two_sentences(name):
    code = CODES[name]
    assert len(re.findall(r"\.(?: |$)", code.why)) == 2
    assert code.why.endswith(".")
    assert code.title[0].islower()
    assert not code.change.endswith(".")


def test_a_kind_is_asked_for_by_number_or_name():
    for asked in ("TAME301", "tame301", "overfitting", "Overfitting"):
        assert name_of(asked) == "overfitting"
    assert name_of("no better than dummy") == "no_better_than_dummy"
    assert names_of(["TAME301", "overfitting"]) == ("overfitting",)
    assert id_of("of another package") == ""


@pytest.mark.parametrize(("asked", "near"), [("overfiting", "overfitting"), ("TAME31", "TAME3"), ("", "known")])
def test_an_unknown_kind_is_refused_with_a_near_one(asked, near):
    with pytest.raises(UsageError, match=near):
        name_of(asked)


def test_a_study_refuses_to_mute_what_there_is_not():
    assert StudyConfig(data="x", mute=("TAME301", "leak")).muted == ("overfitting", "leak")
    with pytest.raises(UsageError, match="did you mean 'overfitting'"):
        StudyConfig(data="x", mute=("overfiting",))
    with pytest.raises(UsageError, match="must be a list of findings"):
        StudyConfig(data="x", mute="TAME301")  # type: ignore[arg-type]
    assert muted_in_toml("leak", "x.toml") == ("leak",)
    assert muted_in_toml(["leak", "TAME301"], "x.toml") == ("leak", "TAME301")
    with pytest.raises(UsageError, match=r"x.toml: mute must be a list"):
        muted_in_toml(301, "x.toml")
    plain = StudyConfig(data="x").to_json()
    assert "mute" not in plain, "a study that mutes nothing is written as before"
    assert StudyConfig.from_json(StudyConfig(data="x", mute=("leak",)).to_json()).mute == ("leak",)


def test_findings_of_older_studies_are_read():
    old = {"code": "overfitting", "title": "t", "severity": "warning", "evidence": {}, "change": "", "outcome": "",
           "trial": 3}  # fmt: skip
    found = from_plain(Finding, old, what="a finding")
    assert (found.id, found.confidence, found.mute) == ("TAME301", None, "--mute TAME301")
    assert found.to_json() == old
    assert found.document()["confidence"] == "high"
    foreign = Finding("of_a_package", "t", "info", {})
    assert (foreign.id, foreign.why, foreign.mute) == ("", "", "")
