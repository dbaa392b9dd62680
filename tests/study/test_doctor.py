"""Whose curves are examined in a study: those of trials that went to their end, that were stopped, and what is
delivered; and what is muted."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from tame.app.run import fit_study
from tame.core.config import StudyConfig
from tame.core.records import Trial
from tame.study.state import Silent, State, read_state, unmuted

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A study of wide networks on noisy rows, two of three recipes of which are stopped on the way."""
    folder = tmp_path_factory.mktemp("examined")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(260, 6)).round(3)
    label = np.where(rows[:, 0] + rng.normal(size=260) > 0, "yes", "no")
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [[*"abcdef", "label"], *([*map(str, own), each] for own, each in zip(rows.tolist(), label, strict=True))]
        )
    fixed = {
        "model.name": "mlp", "model.width": 128, "model.depth": 2, "model.dropout": 0.0, "optimizer.name": "adamw",
        "optimizer.lr": 3e-3, "optimizer.weight_decay": 0.0, "schedule.name": "constant", "batch_size": 32,
        "loss.label_smoothing": 0.0,
    }  # fmt: skip
    config = StudyConfig(
        data=str(folder / "rows.csv"), target="label", trials=9, epochs=27, search="asha", set=fixed, seed=1,
        out=str(folder / "study"), mute=("TAME116", "few_rows"), doctor=False,
    )  # fmt: skip
    result = fit_study(config, Silent(), inline=True)
    return result, read_state(folder / "study")[1]


def found_in(state: State, trial: Trial) -> set[str]:
    return {finding.code for finding in state.findings if finding.trial == trial.number}


def test_the_delivered_network_is_examined_and_its_findings_come_first(overfitted):
    result, state = overfitted
    delivered = [trial for trial in state.history.trials.values() if trial.is_finalist]
    assert delivered
    assert any("overfitting" in found_in(state, trial) for trial in delivered)
    own = [finding for finding in result.findings if finding.trial is not None]
    assert {finding.trial for finding in own} & {trial.number for trial in delivered}
    codes = [finding.code for finding in own]
    assert len(codes) == len(set(codes)), "the same finding with every seed is told once"
    assert not {"overfitting", "rate_too_high"} <= set(codes), "no seed contradicts another"


def test_trials_that_did_not_reach_their_end_are_examined_too(overfitted):
    _, state = overfitted
    short = [t for t in state.history.trials.values() if t.state in ("stopped", "paused") and t.epochs < 27]
    long = [trial for trial in short if trial.epochs >= 9]
    assert short
    assert not long or any(found_in(state, trial) for trial in long)


def test_what_is_muted_is_kept_and_not_told(overfitted):
    result, state = overfitted
    muted = {"small_test", "few_rows"}
    assert muted & {finding.code for finding in state.findings}, "else this test shows nothing"
    assert not muted & {finding.code for finding in (*result.findings, *unmuted(state))}
    assert result.all_findings == len(unmuted(state)) < len(state.findings)
    assert "--mute TAME116 --mute few_rows" in result.command
