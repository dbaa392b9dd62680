"""A wide module of the user's own on a few noisy rows: what the doctor kept is delivered, and better than guessing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from torch import nn

import tame

CLASSES, COLUMNS = 10, 64


def rows(rng, n, weights):
    """Rows whose class a linear rule tells, beside noise that is as large."""
    x = rng.normal(size=(n, COLUMNS))
    y = (x @ weights + 8 * rng.normal(size=(n, CLASSES))).argmax(axis=1)
    return x.astype(np.float32), y


def build():
    return nn.Sequential(nn.Linear(COLUMNS, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, CLASSES))


@pytest.mark.slow
def test_what_the_doctor_kept_is_delivered_and_better_than_guessing(tmp_path, monkeypatch):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(COLUMNS, CLASSES))
    x, y = rows(rng, 400, weights)
    study = tame.fit((x, y), model=build, trials=1, epochs=40, folds=2, seed=0, out=str(tmp_path / "study"), quiet=True)
    patient, *_ = study.result["cases"]
    assert patient["code"] in ("overfitting", "overconfident")
    (remedy,) = patient["remedies"]
    assert (remedy["field"], remedy["kept"]) == ("regularize.early_stopping", True)
    assert study.result["winner"]["from_trial"] == remedy["trials"][0]
    losses = [each["valid_loss"] for each in study.curves().to_dict("records") if each["trial"] == 0]
    assert losses[-1] > 1.5 * min(losses), "without it, the last epoch would have been delivered"
    fresh, truth = rows(rng, 4000, weights)
    outputs = study.outputs(fresh)
    log_loss = float(-np.log(outputs[np.arange(len(truth)), truth]).mean())
    assert log_loss < math.log(CLASSES), f"guessing has {math.log(CLASSES):.2f}"
