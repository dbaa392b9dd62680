"""A network of the user's own is tried before the search: faults are told at once, kept once, and named as causes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import tame
from tame.core.rng import stream
from tame.study.state import read_state

pytestmark = pytest.mark.usefixtures("own_folder")

SMALL = {"trials": 2, "epochs": 8, "quiet": True, "set": {"optimizer.lr": 1e-3}}
X = stream(0, "inputs").normal(size=(120, 4)).astype(np.float32)
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)


@pytest.fixture
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Bounded(nn.Module):
    """The outputs of training are shares, those that are judged are not: nothing but a rehearsal sees it."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        return self.body(x).softmax(dim=1) if self.training else self.body(x)


def sound():
    return nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))


def shuffles():
    class Shuffles(nn.Sequential):
        def forward(self, x):
            return super().forward(x[torch.randperm(len(x))] if self.training else x)

    return Shuffles(*sound())


def set_up_of(study):
    return [finding for finding in study.findings if finding.id.startswith("TAME2")]


def test_a_fault_is_found_before_the_search_and_kept_once(own_folder):
    study = tame.fit((X, Y), model=lambda: Bounded(), out=own_folder / "study", **SMALL)
    (found,) = set_up_of(study)
    assert (found.code, found.severity, found.trial) == ("squashed_outputs", "problem", None)
    assert "cannot fall below 0.313" in found.title
    _, state = read_state(own_folder / "study")
    assert state.set_up is not None
    assert state.set_up.wall_s > 0
    assert [each.code for each in state.findings if each.trial is None and each.id.startswith("TAME2")] == [found.code]


def test_a_sound_network_is_told_nothing(own_folder):
    assert set_up_of(tame.fit((X, Y), model=lambda: sound(), **SMALL)) == []


def test_the_fault_is_the_cause_of_what_the_curves_show(own_folder):
    study = tame.fit((X, Y), model=lambda: shuffles(), out=own_folder / "study", **SMALL)
    assert [each.code for each in set_up_of(study)] == ["cannot_overfit_batch"]
    _, state = read_state(own_folder / "study")
    curves = {each.code: each for each in state.findings if each.trial is not None}
    assert not {"rate_too_low", "rate_too_high", "learning_noise", "over_regularised"} & set(curves)
    for code in {"no_better_than_dummy", "underfitting", "still_improving"} & set(curves):
        assert curves[code].evidence["explained_by"] == "TAME203"


def test_a_muted_fault_is_not_told(own_folder):
    assert set_up_of(tame.fit((X, Y), model=lambda: Bounded(), mute=["TAME201"], **SMALL)) == []
