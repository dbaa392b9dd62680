"""A model of the user's own: what is trained is what predicts, from whatever place its function comes."""

from __future__ import annotations

import functools
import importlib.util
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

import tame
from tame.core.config import INLINE
from tame.core.errors import UsageError
from tame.study.state import read_state
from tame.worker.environment import reference_to

X = np.random.default_rng(0).normal(size=(80, 4)).astype(np.float32)
Y = (np.abs(X[:, 0]) + X[:, 1] > 0.8).astype(int)
SMALL = {"trials": 1, "epochs": 1, "folds": 2, "quiet": True}

FILE = '''
import os
import numpy as np
from torch import nn
import tame

KIND = "relu"
WIDTH = 8

def layer():
    return nn.LeakyReLU(-2.0) if KIND == "neg" else nn.ReLU()

def of_global():
    return nn.Sequential(nn.Linear(4, WIDTH), layer(), nn.Linear(WIDTH, 2))

class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * (2.0 if KIND == "neg" else 1.0)

def in_forward():
    return Scaled(4, 2)

class Gated(nn.Module):
    """Nothing is seen of what comes before its gate until that has been trained."""

    def __init__(self):
        super().__init__()
        self.inside, self.gate, self.out = nn.Linear(4, 4), nn.Parameter(0 * nn.Linear(1, 1).weight[0]), nn.Linear(4, 2)

    def forward(self, x):
        return self.out(x + self.gate * (self.inside(x) if KIND == "relu" else self.inside(-x)))

def behind_a_gate():
    return Gated()

def of_file():
    with open(os.environ["KIND_FILE"]) as file:
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU() if file.read() == "relu" else nn.Tanh(), nn.Linear(8, 2))

if __name__ == "__main__":
    KIND = "neg"
    X = np.random.default_rng(0).normal(size=(80, 4)).astype("float32")
    Y = (abs(X[:, 0]) + X[:, 1] > 0.8).astype(int)
    tame.fit((X, Y), model=of_global, trials=1, epochs=1, folds=2)
'''


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file of the user's, imported here as a notebook or a script would; the process that trains imports it again."""
    file = tmp_path / "models_of_mine.py"
    file.write_text(FILE)
    spec = importlib.util.spec_from_file_location("models_of_mine", file)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "models_of_mine", module)
    spec.loader.exec_module(module)
    return module


def linear(width=2):
    return nn.Linear(4, width)


# The process that trains, and this one -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_script_that_sets_a_global_before_it_fits_is_refused_before_training(own_folder):
    (own_folder / "script.py").write_text(FILE)
    said = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False)
    assert said.returncode == 1
    last = said.stderr.splitlines()[-1]
    assert "of_global() makes another model in the process that trains than in this one" in last
    assert "ReLU() instead of (1): LeakyReLU(negative_slope=-2.0)" in last
    assert 'nothing under `if __name__ == "__main__":` has happened' in last
    assert not list(own_folder.glob("runs/*"))


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("of_global", {"KIND": "neg"}, r"\(1\): ReLU\(\) instead of \(1\): LeakyReLU"),
        ("of_global", {"WIDTH": 9}, r"0.weight is float32 \[8, 4\] instead of float32 \[9, 4\]"),
        ("in_forward", {"KIND": "neg"}, "with the same weights and inputs, outputs"),
        ("behind_a_gate", {"KIND": "neg"}, "with the same weights and inputs, outputs"),
    ],
)
def test_a_function_that_does_another_thing_in_the_process_that_trains_is_refused(mine, name, change, said):
    build = getattr(mine, name)
    assert reference_to(build) is not None
    for field, value in change.items():
        setattr(mine, field, value)
    with pytest.raises(UsageError, match=rf"{name}\(\) makes another model in the process that trains.*{said}"):
        tame.fit((X, Y), model=build, **SMALL)


def test_the_way_out_that_is_named_trains_in_this_process(mine):
    mine.KIND = "neg"
    assert tame.fit((X, Y), model=functools.partial(mine.of_global), **SMALL).predict(X)


def test_the_delivered_model_judges_here_as_it_was_scored(mine, monkeypatch, own_folder):
    (own_folder / "kind.txt").write_text("relu")
    monkeypatch.setenv("KIND_FILE", str(own_folder / "kind.txt"))
    study = tame.fit((X, Y), model=mine.of_file, **SMALL)
    config, _ = read_state(study.folder)
    assert config.model == f"{own_folder / 'models_of_mine.py'}:of_file"
    split = (study.folder / "split.csv").read_text().splitlines()
    test = [int(line.split(",")[0]) for line in split[1:] if "test" in line.split(",")]
    labels = np.array([int(each["label"]) for each in study.predict(X)])
    assert float(np.mean(labels[test] == Y[test])) == pytest.approx(study.score.value)
    (own_folder / "kind.txt").write_text("tanh")
    for again in (study, tame.load(study.folder, model=mine.of_file)):
        with pytest.raises(UsageError, match="makes another model now than for the training"):
            again.predict(X)


# Between fit and predict ---------------------------------------------------------------------------------------------


def test_a_global_that_changes_after_the_fit_is_noticed_by_every_prediction():
    kind = ["relu"]

    def build():
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU() if kind == ["relu"] else nn.Tanh(), nn.Linear(8, 2))

    study = tame.fit((X, Y), model=build, **SMALL)
    found = tame.TameClassifier(model=build, trials=1, epochs=1, folds=2, random_state=0).fit(X, Y)
    before = study.outputs(X), found.predict_proba(X)
    kind[:] = ["tanh"]
    for predict in (study.outputs, found.predict_proba):
        with pytest.raises((UsageError, ValueError), match="makes another model now than for the training"):
            predict(X)
    kind[:] = ["relu"]
    np.testing.assert_array_equal(study.outputs(X), before[0])
    np.testing.assert_array_equal(found.predict_proba(X), before[1])


class Projected(nn.Module):
    """Random features; kept: whether they are delivered with the weights."""

    def __init__(self, kept):
        super().__init__()
        self.layer = nn.Linear(8, 2)
        self.register_buffer("first", torch.randn(4, 8), persistent=kept)

    def forward(self, x):
        return self.layer(torch.cos(x @ self.first))


COUNTED = []


def counting():
    COUNTED.append(1)
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU() if len(COUNTED) % 3 else nn.Tanh(), nn.Linear(8, 2))


@pytest.mark.parametrize(
    "build",
    [
        lambda: nn.Sequential(nn.Linear(4, 8), random.choice([nn.ReLU(), nn.Tanh()]), nn.Linear(8, 2)),
        lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU() if np.random.rand() < 0.5 else nn.Tanh(), nn.Linear(8, 2)),  # noqa: NPY002
        lambda: nn.Sequential(nn.Linear(4, width := int(torch.randint(4, 99, ()))), nn.Linear(width, 2)),
        lambda: Projected(kept=False),
        counting,
    ],
)
def test_a_function_that_makes_another_model_at_each_call_is_refused(build, own_folder):
    with pytest.raises(UsageError, match=r"makes another model each time it is called .*register_buffer"):
        tame.fit((X, Y), model=build, **SMALL)
    assert not list(own_folder.glob("runs/*"))


def test_what_is_drawn_and_delivered_with_the_weights_is_no_fault():
    study = tame.fit((X, Y), model=lambda: Projected(kept=True), **SMALL)
    np.testing.assert_array_equal(study.outputs(X), study.outputs(X))


# Where the function comes from ---------------------------------------------------------------------------------------


class Maker:
    def __init__(self, width):
        self.width = width

    def __call__(self, depth=1):
        return nn.Sequential(*(nn.Linear(4, 4) for _ in range(depth)), nn.Linear(4, self.width))

    def method(self, depth=1):
        return self(depth)


@pytest.mark.parametrize(
    "build",
    [
        lambda depth=1: Maker(2)(depth),
        functools.partial(lambda width, depth=1: Maker(width)(depth), 2),
        Maker(2),
        Maker(2).method,
    ],
    ids=["lambda", "partial", "instance", "method"],
)
def test_any_callable_is_trained_searched_and_loaded(build):
    study = tame.fit((X, Y), model=build, space={"depth": tame.Int(1, 2)}, **SMALL)
    config, _ = read_state(study.folder)
    assert config.model == INLINE
    again = tame.load(study.folder, model=build)
    np.testing.assert_array_equal(study.outputs(X), again.outputs(X))


def test_a_function_of_a_notebook_which_no_file_holds_is_trained_by_its_own_process(own_folder):
    cells = FILE.partition("if __name__")[0] + (
        'X = np.random.default_rng(0).normal(size=(80, 4)).astype("float32")\nKIND = "neg"\n'
        "study = tame.fit((X, X[:, 0] > 0), model=of_global, trials=1, epochs=1, folds=2, quiet=True)\n"
        "print(len(study.predict(X)), study.folder)\n"
    )
    said = subprocess.run([sys.executable, "-"], input=cells, capture_output=True, text=True, check=True)
    assert said.stdout.split()[0] == "80"


class Idiom(nn.Module):
    """A module in which something is written as users write it."""

    def __init__(self, idiom):
        super().__init__()
        self.idiom, self.first, self.last = idiom, nn.Linear(4, 4), nn.Linear(4, 2)
        self.temperature = nn.Parameter(torch.tensor(1.0))  # without dimensions
        self.frozen = nn.Parameter(torch.ones(4), requires_grad=False)
        self.register_parameter("absent", None)
        self.register_buffer("count", torch.tensor(3))
        self.unused = nn.Linear(4, 1)

    def forward(self, x):
        flat = self.idiom(x)
        return self.last(torch.relu_(self.first(flat)) * self.frozen) * self.temperature


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    "idiom",
    [
        lambda x: x.view(x.size(0), -1),
        lambda x: x.reshape(len(x), -1),
        lambda x: torch.stack([row * 2 for row in x]),
        lambda x: (x - x.mean(dim=1, keepdim=True)) / (x.std(dim=1, keepdim=True) + 1),
    ],
    ids=["view", "reshape", "loop", "scaled"],
)
def test_what_users_write_is_trained_in_both_engines(idiom):
    many = tame.fit((X, Y), model=lambda: Idiom(idiom), **{**SMALL, "trials": 4})
    assert many.outputs(X).shape == (80, 2)
    assert tame.fit((X, Y), model=lambda: Idiom(idiom), **SMALL).outputs(X).shape == (80, 2)


# What it is given ----------------------------------------------------------------------------------------------------


class Parity(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(2))

    def forward(self, x):
        return nn.functional.one_hot(x[:, 0].long() % 2, 2).float() * 20 + self.bias


def test_identifiers_beyond_what_float32_holds_stay_themselves():
    ids = np.random.default_rng(0).choice(np.arange(20_000_001, 20_100_000), 100, replace=False)
    study = tame.fit((np.stack([ids, np.arange(100)], 1), ids % 2), model=Parity, **SMALL)
    assert study.score.value == 1.0
    later = [[20_000_001, 3], [4, 5]]
    assert [each["label"] for each in study.predict(later)] == ["1", "0"]
    with pytest.raises(UsageError, match=r"float32 loses digits of X: \d+ in row \d+, column 0"):
        tame.fit((np.stack([ids, np.arange(100) / 3], 1), ids % 2), model=lambda: nn.Linear(2, 2), **SMALL)
    with pytest.raises(UsageError, match=r"X holds whole numbers beyond 16,777,216 and is given as int64"):
        tame.fit((np.stack([ids, np.arange(100)], 1), ids % 2), model=lambda: nn.Linear(2, 2), **SMALL)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("normed", [False, True], ids=["together", "alone"])
def test_a_module_in_float64_is_trained_and_predicts_in_float64(normed):
    seen = set()

    class Sees(nn.Linear):
        def forward(self, x):
            seen.add(x.dtype)
            return super().forward(x)

    def build(double=True):
        norm = [nn.BatchNorm1d(4)] if normed else []
        module = nn.Sequential(*norm, Sees(4, 2))
        return module.double() if double else module

    study = tame.fit((X, X[:, 0] > 0), model=build, trials=1, epochs=8, folds=2, set={"optimizer.lr": 0.1}, quiet=True)
    assert seen == {torch.float64}
    assert study.score.value > 0.8
    assert np.isfinite(study.outputs(X)).all()
    single = {"optimizer.lr": 0.1, "double": False}
    other = tame.fit((X, X[:, 0] > 0), model=build, trials=1, epochs=8, folds=2, set=single, quiet=True)
    np.testing.assert_allclose(study.outputs(X), other.outputs(X), atol=0.05)


def test_seconds_that_float32_cannot_tell_apart_are_trained_on_in_float64():
    x = np.stack([1.7e9 + np.arange(80) % 7, X[:, 0]], 1)

    class Since(nn.Linear):
        def forward(self, x):
            return super().forward(x - torch.tensor([1.7e9, 0], dtype=torch.float64))

    study = tame.fit((x, np.arange(80) % 7 > 3), model=lambda: Since(2, 2).double(), trials=1, epochs=30, folds=2,
                     quiet=True, set={"optimizer.lr": 0.1})  # fmt: skip
    assert study.score.value > 0.9


# Classes -------------------------------------------------------------------------------------------------------------


class Knows(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(12))

    def forward(self, x):
        return nn.functional.one_hot(x[:, 0].long(), 12).float() * 20 + self.bias


@pytest.mark.sampled(1)
@pytest.mark.parametrize("given_as", [int, float, str])
def test_class_k_is_logit_k_for_labels_that_are_numbers(given_as):
    numbers = np.repeat(np.arange(12), 12)
    x = np.stack([numbers, np.random.default_rng(0).normal(size=144)], 1).astype(np.float32)
    y = np.array([given_as(number) for number in numbers])
    found = tame.TameClassifier(model=Knows, trials=1, epochs=1, folds=2, random_state=0).fit(x, y)
    assert found.score(x, y) == 1.0
    np.testing.assert_array_equal(found.classes_, np.unique(y))
    assert tame.fit((x, y), model=Knows, task="classification", **SMALL).score.value == 1.0


def test_twelve_whole_numbers_are_told_how_they_become_classes():
    for settings in ({}, {"loss": "cross_entropy"}):
        with pytest.raises(UsageError, match='give task="classification"'):
            tame.fit((X, np.arange(80) % 12), model=lambda: nn.Linear(4, 12), **SMALL, **settings)
    with pytest.raises(UsageError, match="the model returns 2 outputs, but mse needs 1: change the last layer"):
        tame.fit((X, X[:, 0]), model=lambda: nn.Linear(4, 2), **SMALL)


# Arguments under conditions, and the state of the caller -------------------------------------------------------------


def test_an_argument_whose_condition_is_not_met_has_the_functions_default():
    seen = set()

    def build(act="relu", slope=None):
        seen.add((act, slope))
        layer = nn.ReLU() if act == "relu" else nn.LeakyReLU(slope)
        return nn.Sequential(nn.Linear(4, 8), layer, nn.Linear(8, 2))

    space = {"act": tame.Choice("relu", "leaky"), "slope": tame.Float(0.1, 0.9, when={"act": "leaky"})}
    study = tame.fit((X, Y), model=build, space=space, trials=8, epochs=1, folds=2, quiet=True)
    assert {slope for act, slope in seen if act == "relu"} == {None}
    assert all(0.1 <= slope <= 0.9 for act, slope in seen if act == "leaky")
    tried = {trial.recipe.own.get("act") for trial in read_state(study.folder)[1].history.trials.values()}
    assert tried == {"relu", "leaky"}
    assert study.predict(X)
    with pytest.raises(UsageError, match="slope is searched under a condition: give it a default"):
        tame.fit((X, Y), model=lambda act, slope: build(act, slope), space=space, **SMALL)


def test_a_study_leaves_the_random_state_of_the_caller_as_it_is():
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    wanted = torch.rand(3), random.random(), np.random.rand(3)  # noqa: NPY002
    torch.manual_seed(3)
    random.seed(3)
    np.random.seed(3)  # noqa: NPY002
    study = tame.fit((X, Y), model=lambda: nn.Sequential(nn.Dropout(0.1), linear()), **SMALL)
    study.predict(X)
    tame.TameClassifier(model=linear, trials=1, epochs=1, folds=2, random_state=0).fit(X, Y).predict(X)
    found = torch.rand(3), random.random(), np.random.rand(3)  # noqa: NPY002
    assert torch.equal(found[0], wanted[0])
    assert (found[1], found[2].tolist()) == (wanted[1], wanted[2].tolist())
