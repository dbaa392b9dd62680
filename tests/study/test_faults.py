"""What is lost, damaged, full or hung up while a study works or after it: nothing stored goes, what is said is so."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, event

from command_line import tame_here
from measurers import ALONE, Company
from processes import wait_for
from tame.core.errors import StorageError
from tame.core.recipe import Recipe
from tame.core.records import Event
from tame.store.checkpoints import Checkpoints
from tame.store.database import open_store
from tame.store.disk import disk_failure
from tame.study.state import read_state
from tame.trial import choose
from tame.trial.commands import Asked, Note, PointMeasured, Unsealed
from tame.worker.executor import Place
from tame.worker.inline import InlineExecutor

TAME = str(Path(sys.executable).with_name("tame"))
SMALL = ("--target", "label", "--trials", "2", "--epochs", "2", "--seed", "1", "--quiet")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    rng = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    x = rng.normal(size=(160, 2)).round(3)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("alpha", "beta", "label"), *((*row, "yes" if sum(row) > 0 else "no") for row in x)]
        )
    return path


@pytest.fixture(scope="module")
def finished(table, cache, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "whole"
    done = tame_here("fit", table, *SMALL, "--inline", "--out", folder, cache=cache)
    assert done.returncode == 0, done.stderr
    return folder


def held(folder):
    return {path.name: path.read_bytes() for path in (folder / "model").iterdir()}


def test_a_finished_study_holds_no_checkpoints(finished):
    assert list((finished / "checkpoints").iterdir()) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("command", [("resume", "--inline"), ("report",)], ids=["resume", "report"])
def test_a_model_that_is_missing_is_delivered_again(command, finished, cache, tmp_path):
    """The same one, and without another look at the test part."""
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "model")
    (folder / "report.json").unlink()
    done = tame_here(command[0], folder, *command[1:], cache=cache)
    assert done.returncode == 0, done.stderr
    assert "model.json, model.safetensors is missing or damaged; it is delivered again" in done.stderr
    assert held(folder) == held(finished)
    assert (folder / "report.json").read_bytes() == (finished / "report.json").read_bytes()
    assert read_state(folder)[1].openings == 1


def test_a_model_with_a_flipped_byte_is_delivered_again(finished, cache, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    weights = folder / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = tame_here("resume", folder, "--inline", cache=cache)
    assert "model.safetensors is missing or damaged" in done.stderr
    assert held(folder) == held(finished)


def numbers(folder):
    """What a study measured and concluded, to the last digit."""
    state = read_state(folder)[1]
    result = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    judged = {key: result[key] for key in ("score", "validation", "winner", "baselines", "finalists")}
    return {number: trial.curve for number, trial in state.history.trials.items()}, judged


@pytest.mark.sampled(2)
@pytest.mark.parametrize("part", [0.3, 0.5, 0.58, 0.7, 0.73, 0.75, 0.78, 0.85])
def test_what_is_measured_otherwise_on_resume_changes_no_number(part, table, tmp_path, monkeypatch):
    """The engine depends on how many are trained together, of which some have ended then, and on how fast this machine
    is just then."""
    words = (
        "fit", table, "--target", "label", "--trials", "3", "--epochs", "3", "--folds", "2", "--seed", "1", "--set",
        "model.width=8", "--set", "model.depth=1", "--search", "random", "--space", "optimizer.lr=1e-4..1e-1:log",
        "--quiet", "--inline",
    )  # fmt: skip
    monkeypatch.setattr(choose, "Rehearsals", lambda: Company(least=16))
    commits = []

    def fails_at(number):
        def fails(_):
            commits.append(None)
            if len(commits) == number:
                raise StorageError("the disk is full")

        return fails

    event.listen(Engine, "commit", count := fails_at(0))
    assert tame_here(*words, "--out", tmp_path / "whole", cache=tmp_path / "cache").returncode == 0
    event.remove(Engine, "commit", count)
    number = int(part * len(commits))
    commits.clear()
    event.listen(Engine, "commit", fails := fails_at(number))
    done = tame_here(*words, "--out", tmp_path / "own", cache=tmp_path / "cache")
    event.remove(Engine, "commit", fails)
    assert (done.returncode, "the disk is full" in done.stderr) == (6, True), done.stderr
    monkeypatch.setattr(choose, "Rehearsals", lambda: ALONE)
    done = tame_here("resume", tmp_path / "own", "--quiet", "--inline", cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert numbers(tmp_path / "own") == numbers(tmp_path / "whole")


NUM = 24
OWN = Recipe().but({"model.name": "own", "batch_size": 8, "epochs": 2})


@pytest.mark.parametrize("damage", ["last", "all"])
def test_a_damaged_checkpoint_is_as_a_missing_one(damage, tmp_path):
    """Trained again in the same command, with the same points, and told."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(NUM, 5)).astype(np.float32))
    (tmp_path / "own.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(5, 3)\n")

    def points(study, until):
        heard = []
        executor = InlineExecutor(Place(cache=tmp_path / "cache", study=study), hear=heard.append)
        executor.commands.open("arrays", {"file": str(tmp_path / "x.npy"), "build": f"{tmp_path / 'own.py'}:build"})
        executor.commands.learn(
            Unsealed(
                rows=list(range(NUM)), targets=[i % 3 for i in range(NUM)], folds=[i % 2 for i in range(NUM)],
                num_classes=3, task="multiclass",
            )
        )  # fmt: skip
        for each in until:
            executor.commands.advance(
                [Asked(trial=0, recipe=OWN)], folds=[0], until=each, metric="accuracy", final=True
            )
        found = {each.point.epoch: each.point for each in heard if isinstance(each, PointMeasured)}
        return found, [each.text for each in heard if isinstance(each, Note)]

    whole, notes = points(tmp_path / "whole", (1, 2))
    assert notes == []
    points(tmp_path / "own", (1,))
    points(tmp_path / "own", (1,))
    files = sorted((tmp_path / "own" / "checkpoints").iterdir())
    for path in files[-1:] if damage == "last" else files:
        path.write_bytes(path.read_bytes()[:-1])
    again, notes = points(tmp_path / "own", (2,))
    assert again == whole
    assert "is damaged: its hash differs" in notes[0]


def test_a_copy_whose_weights_are_lost_is_not_begun_from_nothing(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((NUM, 5), dtype=np.float32))
    (tmp_path / "own.py").write_text("from torch import nn\ndef build():\n    return nn.Linear(5, 3)\n")
    executor = InlineExecutor(Place(cache=tmp_path / "cache", study=tmp_path / "own"), hear=lambda message: None)
    executor.commands.open("arrays", {"file": str(tmp_path / "x.npy"), "build": f"{tmp_path / 'own.py'}:build"})
    with pytest.raises(StorageError, match="the weights that trial 3 has from its parent are lost"):
        executor.commands.advance(
            [Asked(trial=3, recipe=OWN, inherited=1)], folds=[0], until=2, metric="accuracy", final=False
        )  # fmt: skip


def test_nothing_is_promised_of_a_folder_that_is_gone(tmp_path):
    (tmp_path / "own").mkdir()
    store = open_store(tmp_path / "own" / "study.db", create=True)
    kept = Checkpoints(tmp_path / "own" / "checkpoints")
    store.append("study", [Event("kind", {})])
    shutil.rmtree(tmp_path / "own")
    with pytest.raises(StorageError, match="the file was deleted or moved away while it was in use") as problem:
        store.append("study", [Event("kind", {})])
    assert "safe" not in str(problem.value)
    with pytest.raises(StorageError, match="the folder was deleted or moved away while it was in use") as problem:
        kept.save("name", {"x": np.zeros(3)}, {})
    assert "safe" not in str(problem.value)
    store.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", [("--version",), ("show", "FOLDER"), ("show", "FOLDER", "--json"), ("--help",)])
def test_a_result_that_cannot_be_written_is_exit_6(words, finished):
    with open("/dev/full", "w") as full:
        command = [TAME, *(str(finished) if word == "FOLDER" else word for word in words)]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 6
    assert done.stderr == "tame: the result cannot be written to stdout: no space left on device\n"


@pytest.mark.parametrize("problem", [OSError(28, "x"), OSError(27, "x"), ValueError("I/O error (os error 28)")])
def test_what_fails_on_the_disk_is_known(problem):
    assert disk_failure(problem) in ("no space left on device", "file too large")
    assert disk_failure(ValueError("another")) is None
    assert disk_failure(FileNotFoundError(2, "x")) is None


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="needs SIGHUP")
def test_a_closed_terminal_stops_a_study_as_sigterm_does(table, cache, tmp_path):
    """Nothing can be told any more, and all the same it is kept; who asked for it with nohup goes on."""
    folder = tmp_path / "own"
    environment = {**os.environ, "TAME_CACHE": str(cache)}
    words = [TAME, "fit", str(table), *SMALL[:-1], "--epochs", "200", "--out", str(folder)]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(words, stderr=full, stdout=subprocess.PIPE, text=True, env=environment)
        wait_for(lambda: process.poll() is not None or (folder / "split.csv").exists())
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=120)
    assert process.returncode == 129
    state = read_state(folder)[1]
    assert state.stopped is not None
    assert json.loads((folder / "config.json").read_text())["epochs"] == 200
