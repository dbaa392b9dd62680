"""The Python call with what people hold: lists, arrays and modules of their own, sound and broken."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import tame
from tame.core.errors import DataError, StoppedError, TameError, UsageError
from tame.trial.own import answers, built

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
SMALL = {"trials": 1, "epochs": 1, "quiet": True}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        *(({name: "x"}, f"{name} is for files") for name in ("target", "groups", "order", "val", "test", "backbone")),
        ({"task": "images"}, "no images task"),
        ({"targett": "x"}, "did you mean 'target'"),
        ({"space": {"optimizer.lr": (1e-3, 1)}}, "give a tame.Float"),
        ({"space": "optimizer.lr"}, "cannot read the space 'optimizer.lr'"),
        ({"metric": "rsme"}, "did you mean 'rmse'"),
    ],
)
def test_a_setting_that_arrays_do_not_have_is_refused_and_leaves_nothing(settings, said, own_folder):
    with pytest.raises(UsageError, match=said):
        tame.fit((X, Y), **SMALL, **settings)
    assert list(own_folder.iterdir()) == []


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (X, Y[:-1], "80 rows and y has 79"),
        (X[:0], Y[:0], "no rows"),
        (np.zeros((9, 3, 4, 4)), Y[:9], "need a model of your own"),
        (X, np.where(Y, X[:, 0], np.nan), "y is nan"),
    ],
)
def test_arrays_that_cannot_be_learnt_from_are_refused_and_leave_nothing(x, y, said, own_folder):
    with pytest.raises(TameError, match=said):
        tame.fit((x, y), **SMALL)
    assert list(own_folder.iterdir()) == []


def test_a_module_made_by_a_closure_is_searched_delivered_and_loaded(own_folder):
    units = 5

    def build(depth=1):
        return nn.Sequential(nn.Linear(3, units), *(nn.Linear(units, units) for _ in range(depth)), nn.Linear(units, 2))

    study = tame.fit((X, Y), model=build, space={"depth": tame.Int(1, 2)}, **SMALL)
    again = tame.load(study.folder, model=build)
    np.testing.assert_array_equal(again.outputs(X), study.outputs(X))
    assert [each["label"] for each in again.predict(X)] == [str(k) for k in study.outputs(X).argmax(axis=1)]
    with pytest.raises(UsageError, match="model=build"):
        tame.load(study.folder).predict(X)
    assert not [path for path in study.folder.rglob("*") if path.suffix in (".py", ".pt", ".pkl", ".pickle")]


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: nn.Linear(3, 5), "5 outputs"),
        (lambda: nn.Linear(4, 2), "the model failed on inputs"),
        (lambda: nn.Identity(), "nothing to train"),
        (lambda: 3, "not an nn.Module"),
        (lambda: nn.Sequential(nn.Linear(3, 2), nn.Softmax(-1)), "remove it"),
        (lambda: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_module_that_cannot_be_trained_is_refused_and_leaves_nothing(build, said, own_folder):
    with pytest.raises(UsageError, match=said):
        tame.fit((X, Y), model=build, **SMALL)
    assert list(own_folder.iterdir()) == []


def test_a_column_that_is_not_given_to_a_prediction_is_refused(monkeypatch):
    study = tame.fit((X, Y), **SMALL)
    assert study.outputs(X).shape == (80, 2)
    with pytest.raises(DataError, match="'x2' is not there"):
        study.predict(X[:, :2])


def test_a_second_stop_is_not_taken_for_a_fault_of_the_module():
    class Stops(nn.Linear):
        def forward(self, x):
            raise StoppedError("stopped at once")

    def stops():
        raise StoppedError("stopped at once")

    with pytest.raises(StoppedError):
        answers(Stops(2, 2), torch.zeros(1, 2))
    with pytest.raises(StoppedError):
        built(stops, {})
