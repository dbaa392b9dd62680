"""The trained network as a module of torch: it says what the study predicts, and keeps the user's own keys."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

import tame
from tame.core.errors import ShapeError, UsageError
from tame.kinds.prediction import no_module

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 4)).astype(np.float32)
SMALL = {"trials": 1, "epochs": 2, "folds": 2, "quiet": True}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


class Net(nn.Module):
    def __init__(self, inputs=4, outputs=1):
        super().__init__()
        self.first = nn.Linear(inputs, 8)
        self.norm = nn.BatchNorm1d(8)
        self.last = nn.Linear(8, outputs)

    def forward(self, x):
        return self.last(torch.relu(self.norm(self.first(x.flatten(1)))))


def of_bytes():
    return Net(3 * 4 * 4, 2)


def in_double():
    return Net().double()


@pytest.mark.parametrize("build", [Net, in_double])
def test_an_own_module_for_numbers_keeps_its_keys_and_gives_numbers_in_their_units(build):
    y = 1000 + 50 * X[:, 0]
    study = tame.fit((X, y), model=build, **SMALL)
    module = study.module
    assert type(module) is Net
    assert set(module.state_dict()) == set(build().state_dict())
    build().load_state_dict(module.state_dict())
    wanted = study.outputs(X)
    for given in (X, torch.from_numpy(X), torch.from_numpy(X).double(), pd.DataFrame(X)):
        said = module(given)
        assert said.shape == (80, 1)
        np.testing.assert_allclose(said[:, 0].detach().numpy(), wanted, rtol=1e-6)
    assert 900 < wanted.mean() < 1100
    module(torch.from_numpy(X)).sum().backward()
    assert module.first.weight.grad is not None, "it can be trained further"
    again = pickle.loads(pickle.dumps(copy.deepcopy(module)))
    assert torch.equal(again(X), module(X))
    assert study.module is module, "it is read once"


def test_an_own_module_for_bytes_is_given_them_as_it_was_in_training():
    pictures = RNG.integers(0, 256, size=(80, 3, 4, 4)).astype(np.uint8)
    y = (pictures[:, 0].mean(axis=(1, 2)) > 128).astype(int)
    study = tame.fit((pictures, y), model=of_bytes, **SMALL)
    wanted = study.outputs(pictures)
    for given in (pictures, torch.from_numpy(pictures), torch.from_numpy(pictures).float() / 255):
        np.testing.assert_allclose(study.module(given).softmax(dim=1).detach().numpy(), wanted, atol=1e-6)


@pytest.mark.slow
def test_a_table_goes_in_as_a_frame():
    gaps = np.where(X[:, 1] > 1, np.nan, X[:, 2])
    frame = pd.DataFrame({"size": X[:, 0], "kind": RNG.choice(["a", "b", "c"], 80), "gap": gaps})
    y = np.where((frame["kind"] == "a") ^ (X[:, 0] > 0), "yes", "no")
    study = tame.fit((frame, y), **SMALL)
    said = study.module(frame)
    np.testing.assert_allclose(said.softmax(dim=1).detach().numpy(), study.outputs(frame), atol=1e-6)
    numbers = tame.fit((frame, 100 + X[:, 0].astype(float)), **SMALL)
    np.testing.assert_allclose(numbers.module(frame)[:, 0].detach().numpy(), numbers.outputs(frame), rtol=1e-6)
    with pytest.raises(tame.TameError, match="'kind' is not there"):
        study.module(frame[["size", "gap"]])


def drawn(folder, num=48, side=40):
    """Pictures of which the part that is bright is the label."""
    folder.mkdir()
    names, values = [], []
    for i in range(num):
        value = float(RNG.uniform(10, 90))
        pixels = RNG.integers(0, 60, (side, side + 4, 3)).astype(np.uint8)
        pixels[: int(side * value / 100)] += 150
        names.append(f"{folder}/{i}.png")
        values.append(round(value, 2))
        Image.fromarray(pixels).save(names[-1])
    return names, values


@pytest.mark.sampled(1)
@pytest.mark.parametrize("numbers", [False, True])
def test_pictures_go_in_as_bytes_of_any_size(numbers, tmp_path):
    names, values = drawn(tmp_path / "pictures")
    labels = values if numbers else ["high" if value > 50 else "low" for value in values]
    study = tame.fit((names, labels), backbone="none", **SMALL)
    pixels = np.stack([np.asarray(Image.open(name)) for name in names[:6]])
    said = study.module(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    wanted = study.outputs([Image.open(name) for name in names[:6]])
    own = said[:, 0] if numbers else said.softmax(dim=1)
    np.testing.assert_allclose(own.detach().numpy(), wanted, rtol=1e-5, atol=1e-5)
    with pytest.raises(ShapeError, match=r"need pictures \(n, 3, H, W\) uint8, got \(2, 40, 44, 3\) uint8"):
        study.module(torch.from_numpy(pixels[:2]))


@pytest.mark.sampled(1)
@pytest.mark.parametrize("pooled", [0, 2])
def test_a_head_on_a_frozen_backbone_is_given_the_features_it_was_trained_on(pooled, tmp_path):
    pytest.importorskip("timm", reason="timm is not installed")
    names, values = drawn(tmp_path / "pictures")
    labels = ["high" if value > 50 else "low" for value in values]
    fixed = {"model.pooled": pooled, "input.size": 128}
    study = tame.fit((names, labels), backbone="lite0", set=fixed, **SMALL)
    pixels = np.stack([np.asarray(Image.open(name)) for name in names[:6]])
    said = study.module(torch.from_numpy(pixels).permute(0, 3, 1, 2)).softmax(dim=1)
    wanted = study.outputs([Image.open(name) for name in names[:6]])
    np.testing.assert_allclose(said.detach().numpy(), wanted, atol=0.05)  # features may have been made in bfloat16
    assert np.ptp(wanted[:, 0]) > 0.1


def test_a_kind_of_another_package_says_that_it_has_none():
    with pytest.raises(UsageError, match="use predict or outputs"):
        no_module(type("Other", (), {"kind": "sequences"})())
