"""The Python call with what people hold: lists, arrays and modules of their own, sound and broken."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

import tame
from processes import count_events, wait_for
from tame.app.progress import watching
from tame.core.errors import DataError, StoppedError, StorageError, TameError, UsageError
from tame.kinds.arrays.modules import make_module
from tame.kinds.arrays.prediction import answers
from tame.kinds.arrays.source import COLUMNS, INPUTS, TARGETS, read_kept

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = (X[:, 0] + 0.3 * X[:, 1] > 0).astype(int)
SMALL = {"trials": 1, "epochs": 1, "quiet": True}
LONG = {**SMALL, "trials": 500, "epochs": 50}  # it does not end before it is stopped
PLANNED = 8  # events after which the first trials have begun


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch, one_thread):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TAME_CACHE", str(tmp_path.parent / "cache"))
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        *(({name: "x"}, f"{name} is for files") for name in ("target", "groups", "order", "val", "test", "backbone")),
        ({"task": "images"}, "the task .images. is not for arrays"),
        ({"targett": "x"}, "did you mean 'target'"),
        ({"space": {"optimizer.lr": (1e-3, 1)}}, "give a tame.Float"),
        ({"space": "optimizer.lr"}, "cannot read the space 'optimizer.lr'"),
        *(({"space": space}, 'space is .*; give {"optimizer.lr": tame') for space in (None, 5, [3], b"x")),
        ({"space": {3: tame.Float(0, 1)}}, r"space\[3\] is Float"),
        (
            {"space": {"widht": tame.Int(4, 8)}, "model": lambda width=4: nn.Linear(3, width)},
            "no argument of the model or recipe field named 'widht'; did you mean 'width'",
        ),
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
        (np.zeros((9, 3, 4, 4)), Y[:9], "need your own model"),
        (X, np.where(Y, X[:, 0], np.nan), "y is nan"),
    ],
)
def test_arrays_that_cannot_be_trained_on_are_refused_and_leave_nothing(x, y, said, own_folder):
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


class Later(nn.Module):
    """A linear layer that does something else from a later call on."""

    calls = 0

    def __init__(self, how, norm):
        super().__init__()
        self.layer, self.how = nn.Linear(3, 2), how
        self.norm = nn.BatchNorm1d(2) if norm else nn.Identity()  # with one, the serial engine trains it

    def forward(self, x):
        Later.calls += 1
        z = self.norm(self.layer(x))
        return self.how(z) if Later.calls > 40 else z  # after what is tried untrained


def fails(z):
    raise KeyError("late")


def leaves(z):
    raise SystemExit(3)


class Ended(BaseException):
    """What no `except Exception` catches."""


def ends(z):
    raise Ended


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(
    ("how", "said"),
    [
        (fails, "failed in training: KeyError: 'late'"),
        (leaves, "failed in training: SystemExit: 3"),
        (ends, "failed in training: Ended"),
        (lambda z: (z, z), "returns a tuple in training"),
        (lambda z: None, "returns None in training"),
        (lambda z: torch.cat([z, z], dim=-1), "returns outputs of shape"),
        (lambda z: z.detach(), "do not depend on its parameters"),
        (lambda z: z.to(torch.complex64), "returns complex64 outputs"),
    ],
)
def test_a_failure_of_a_module_in_training_is_reported_as_the_users(how, said, norm):
    Later.calls = 0
    with pytest.raises(UsageError, match=said):
        tame.fit((X, Y), model=lambda: Later(how, norm), trials=2, epochs=6, quiet=True)


def test_a_last_batch_of_one_is_no_trouble_for_a_norm_over_batches():
    def build():
        return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    assert tame.fit((X, Y), model=build, set={"batch_size": 1}, **SMALL).score.n


@pytest.mark.slow
def test_numbers_of_numpy_and_torch_are_numbers():
    own = {"optimizer.lr": np.float32(0.25), "batch_size": np.int64(16), "model.dropout": torch.tensor(0.125)}
    study = tame.fit((X, Y), set=own, **{name: np.int64(v) if type(v) is int else v for name, v in SMALL.items()})
    recipe = study.result["winner"]["recipe"]
    assert (recipe["optimizer.lr"], recipe["batch_size"], recipe["model.dropout"]) == (0.25, 16, 0.125)


@pytest.mark.slow
def test_a_time_of_numpy_is_taken_and_a_limit_that_would_not_hold_refused():
    limited = {"optimizer.name": "schedule_free_adamw", "regularize.max_norm": 1.0}
    with pytest.raises(UsageError, match="schedule_free_adamw evaluates an average of the weights"):
        tame.fit((X, Y), time=np.float32(30), set=limited, quiet=True)


@pytest.mark.parametrize("value", [[0.1], np.array([0.1, 0.2]), None, {"a": 1}])
def test_what_is_no_single_value_of_a_field_is_refused(value):
    with pytest.raises(UsageError, match=r"set\['optimizer.lr'\] is a .*; give one number, text"):
        tame.fit((X, Y), set={"optimizer.lr": value}, **SMALL)


@pytest.mark.parametrize(
    ("model", "said"),
    [("mlp", "model is a str"), (nn.Linear(3, 2), "model is a Linear"), (lambda: nn.LazyLinear(2), "without sizes")],
)
def test_what_is_no_function_of_a_whole_module_is_refused(model, said):
    with pytest.raises(UsageError, match=said):
        tame.fit((X, Y), model=model, **SMALL)


def test_a_class_of_a_package_can_be_the_function():
    study = tame.fit((X, Y), model=nn.Linear, set={"in_features": 3, "out_features": 2}, **SMALL)
    assert study.predict(X)


@pytest.mark.parametrize("kept", [{"y": np.array([{}], dtype=object)}, {"y": np.zeros(3)}])
def test_arrays_of_a_study_that_were_tampered_with_are_refused(kept, tmp_path):
    np.savez(tmp_path / TARGETS, **kept)
    with pytest.raises(StorageError, match="cannot be read"):
        read_kept(tmp_path)


class Twice(nn.Linear):
    """A layer that doubles what another one with the same weights says."""

    def __init__(self):
        super().__init__(3, 2)

    def forward(self, x):
        return 2 * super().forward(x)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """The folders of two studies that were stopped in training: on a table, and on a module of one's own."""
    folders = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAME_CACHE", str(tmp_path_factory.mktemp("cache")))
        for name, model in (("table", None), ("own", lambda: nn.Linear(3, 2))):
            folders[name] = tmp_path_factory.mktemp("stopped") / name
            with stopping(folders[name]), pytest.raises(StoppedError):
                tame.fit((X, Y), model=model, out=str(folders[name]), **LONG)
    return folders


@contextmanager
def stopping(folder):
    """Presses Ctrl-C once the study has come further than it is now, and trains."""
    mark = max(PLANNED, count_events(folder)) + 1

    def press():
        wait_for(lambda: count_events(folder) >= mark)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press, daemon=True)
    thread.start()
    yield
    thread.join()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def shorten(path):
    if path.suffix == ".npy":
        np.save(path, np.load(path)[:20])
        return
    with np.load(path) as held:
        kept = {name: value[..., :20] if value.ndim else value for name, value in held.items()}
    np.savez(path, **kept)


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b""), cut, shorten])
@pytest.mark.parametrize(("name", "file"), [("table", TARGETS), ("table", COLUMNS), ("own", TARGETS), ("own", INPUTS)])
def test_a_study_whose_arrays_were_damaged_does_not_go_on(name, file, spoil, stopped, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(stopped[name], folder)
    spoil(folder / file)
    build = None if name == "table" else lambda: nn.Linear(3, 2)
    with pytest.raises(StorageError, match="begin again with"):
        tame.resume(folder, model=build, quiet=True)


def test_a_stopped_study_says_how_it_goes_on(stopped):
    for name, wanted in (("table", "tame resume {}"), ("own", "tame.resume('{}', model=build)")):
        folder = stopped[name]
        with pytest.raises(UsageError) as unfinished:
            tame.load(folder)
        with pytest.raises(UsageError) as taken:
            tame.fit((X, Y), model=None if name == "table" else lambda: nn.Linear(3, 2), out=str(folder), **SMALL)
        for problem in (unfinished, taken):
            assert str(problem.value).endswith(f"continue it with: {wanted.format(folder)}")
    with (
        stopping(stopped["own"]),
        pytest.raises(StoppedError, match=r"Resume with: tame\.resume\('.*/own', model=build\)"),
    ):
        tame.resume(stopped["own"], model=lambda: nn.Linear(3, 2), quiet=True)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (
            lambda: nn.Sequential(nn.Linear(3, 2), nn.Tanh()),
            r"cannot go on with another model.*weight is \[2, 3\] in the file and not there here",
        ),
        (lambda: nn.Linear(3, 2, bias=False), r"bias is \[2\] in the file and not there here"),
        (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(3, 2)), "another module than this"),
        (Twice, "makes another model now than for the training"),
    ],
)
def test_a_study_does_not_go_on_with_another_model_than_it_began_with(stopped, other, said):
    with pytest.raises(UsageError, match=said):
        tame.resume(stopped["own"], model=other, quiet=True)


def test_the_terminal_is_given_back_after_a_fault(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    begun = []

    def job(watcher):
        begun.append(watcher._live.is_started)
        raise DataError("enough")

    with pytest.raises(DataError, match="enough"), watching(quiet=False) as watcher:
        job(watcher)
    assert begun == [True]
    assert not watcher._live.is_started


@pytest.mark.slow
def test_a_column_that_is_not_given_to_a_prediction_is_refused(monkeypatch):
    study = tame.fit((X, Y), **SMALL)
    assert study.outputs(X).shape == (80, 2)
    with pytest.raises(DataError, match="'x2' is not there"):
        study.predict(X[:, :2])


def test_a_second_stop_is_not_taken_for_a_fault_of_the_module():
    class Stops(nn.Linear):
        def forward(self, x):
            raise StoppedError("stopped immediately")

    def stops():
        raise StoppedError("stopped immediately")

    with pytest.raises(StoppedError):
        answers(Stops(2, 2), torch.zeros(1, 2))
    with pytest.raises(StoppedError):
        make_module(stops, {})
