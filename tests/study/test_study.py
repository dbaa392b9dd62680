"""The main job from the outside: the command line on real files, stopped, killed and resumed."""

from __future__ import annotations

import csv
import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from command_line import tame_here
from processes import count_events, wait_for, wait_for_worker, wait_until_at, worker_of
from tame.app.drawing.picture_set import draw
from tame.core.errors import UsageError
from tame.parts.backbones import build_backbone

TAME = str(Path(sys.executable).with_name("tame"))
SMALL = (
    "--backbone", "none", "--trials", "2", "--epochs", "2", "--set", "input.size=32", "--set", "model.width=4",
    "--seed", "3",
)  # fmt: skip
UNCHANGED = ("score", "validation", "winner", "baselines", "confusion", "per_class", "finalists", "epochs", "trials")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "insects"
    draw(folder, seed=1, counts=16)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def tame(*arguments, cache, cwd=None, **how):
    environment = {**os.environ, "TAME_CACHE": str(cache), "COLUMNS": "80"}
    return subprocess.run(
        [TAME, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=cwd, timeout=300, **how
    )


@pytest.fixture(scope="module")
def finished(pictures, cache, tmp_path_factory):
    """A study that ran to its end undisturbed, and what it printed."""
    folder = tmp_path_factory.mktemp("study") / "whole"
    done = tame("fit", pictures, *SMALL, "--out", folder, "--json", "--quiet", cache=cache)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, json.loads(done.stdout)


def test_the_result_is_one_document_that_agrees_with_itself(finished):
    folder, result = finished
    assert result["schema"] == "tame/1"
    wanted = {"study", "task", "metric", "score", "validation", "optimism", "baselines", "winner", "findings"}
    assert wanted | {"trials", "epochs", "wall_s", "model", "report"} <= set(result)
    n = result["score"]["n"]
    assert sum(map(sum, result["confusion"])) == n
    assert sum(result["confusion"][i][i] for i in range(4)) / n == pytest.approx(result["score"]["value"])
    assert result["score"]["low"] <= result["score"]["value"] <= result["score"]["high"]
    assert result["optimism"] == pytest.approx(result["validation"]["value"] - result["score"]["value"])
    kept = json.loads((folder / "report.json").read_text())
    printed = [
        {name: each[name] for name in own} for own, each in zip(kept["findings"], result["findings"], strict=True)
    ]
    assert kept == {**{name: value for name, value in result.items() if name != "next"}, "findings": printed}
    assert all(each["id"] and each["why"] and each["mute"] for each in result["findings"])
    assert 1 <= len(result["next"]) <= 3
    assert all(shlex.split(each["command"])[0] == "tame" and each["why"] for each in result["next"])


@pytest.mark.slow
def test_a_plan_reads_the_cache_and_leaves_it_as_it_is(finished, pictures, cache, tmp_path):
    def held(folder):
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    before, empty = held(cache), tmp_path / "empty"
    assert any("pixels" in path.parts for path in before)
    for own in (cache, empty):
        done = tame("plan", pictures, "--backbone", "none", "--trials", "2", "--epochs", "1", cache=own, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    assert held(cache) == before
    assert list(tmp_path.iterdir()) == []


def test_the_study_is_the_owners_alone(finished):
    folder, _ = finished
    assert folder.stat().st_mode & 0o777 == 0o700
    for path in folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_split_is_kept_and_the_test_part_was_opened_once(finished, cache):
    folder, result = finished
    with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(row["part"] == "test" for row in rows) == result["score"]["n"]
    shown = json.loads(tame_here("show", folder, "--json", cache=cache).stdout)
    assert shown["schema"] == "tame/1"
    assert len([t for t in shown["trials"] if t["origin"] != "finalist"]) == result["trials"]


def test_the_delivered_model_predicts_what_was_scored(finished, pictures, cache):
    folder, result = finished
    done = tame_here("predict", folder, pictures, "--json", cache=cache)
    assert done.returncode == 0, done.stderr
    said = {
        Path(each["input"]).relative_to(pictures).as_posix(): each for each in json.loads(done.stdout)["predictions"]
    }
    for mistake in result["mistakes"]:
        own = said[mistake["id"]]
        assert own["label"] == mistake["predicted"]
        assert own["probability"] == pytest.approx(mistake["probability"], abs=1e-4)
    with (folder / "split.csv").open(encoding="utf-8", newline="") as file:
        sealed = [row["id"] for row in csv.DictReader(file) if row["part"] == "test"]
    right = sum(said[name]["label"] == name.split("/")[0] for name in sealed)
    assert right / len(sealed) == pytest.approx(result["score"]["value"])


def test_show_report_and_resume_of_a_finished_study(finished, cache):
    folder, result = finished
    table = tame_here("show", folder, cache=cache)
    assert table.returncode == 0
    assert max(map(len, table.stdout.splitlines())) <= 80
    before = (folder / "report.html").read_bytes()
    assert tame_here("report", folder, cache=cache).returncode == 0
    assert (folder / "report.html").read_bytes() == before
    again = tame_here("resume", folder, "--json", "--quiet", cache=cache)
    assert json.loads(again.stdout) == result


@pytest.mark.slow
def test_a_second_process_is_refused_while_one_works(pictures, cache, tmp_path):
    folder = tmp_path / "busy"
    first = begin(pictures, folder, cache)
    wait_for(lambda: (folder / "study.pid").exists())
    second = tame("resume", folder, cache=cache)
    assert second.returncode == 6
    assert "is being worked on" in second.stderr
    first.communicate(timeout=300)
    assert first.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("whom", ["coordinator", "worker"])
def test_a_study_that_is_killed_again_and_again_ends_with_the_same_result(whom, finished, pictures, cache, tmp_path):
    folder_of_whole, whole = finished
    folder = tmp_path / "killed"
    process = begin(pictures, folder, cache)
    # At a place in the work, not at a time: how long the work takes differs between machines.
    marks = sorted(random.Random(whom).sample(range(1, count_events(folder_of_whole) * 2 // 3), 2))
    kills = 0
    for mark in marks:
        wait_until_at(process, folder, mark)
        if whom == "worker":
            wait_for_worker(process)
        victim = process.pid if whom == "coordinator" else worker_of(process.pid)
        if process.poll() is not None or victim is None:
            break
        os.kill(victim, signal.SIGKILL)
        kills += 1
        if whom == "coordinator":
            process.communicate()
            process = resume(folder, cache)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert kills > 0
    result = json.loads(output)
    assert {key: result[key] for key in UNCHANGED} == {key: whole[key] for key in UNCHANGED}


@pytest.mark.slow
def test_a_study_that_is_stopped_says_how_to_go_on_and_does(finished, pictures, cache, tmp_path):
    _, whole = finished
    folder = tmp_path / "stopped"
    process = begin(pictures, folder, cache, quiet=False)
    wait_for(lambda: (folder / "split.csv").exists())
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert f"tame resume {folder}" in errors
    output, errors = resume(folder, cache).communicate(timeout=300)
    result = json.loads(output)
    assert {key: result[key] for key in UNCHANGED} == {key: whole[key] for key in UNCHANGED}


@pytest.mark.slow
def test_pictures_that_changed_since_the_study_began_are_noticed(pictures, cache, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(pictures, own)
    folder = tmp_path / "changed"
    process = begin(own, folder, cache)
    wait_for(lambda: (folder / "split.csv").exists())
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    next(iter((own / "bee").iterdir())).unlink()
    done = tame("resume", folder, cache=cache)
    assert done.returncode == 3
    assert "changed since the study began" in done.stderr


def begin(pictures, folder, cache, *, quiet=True):
    return start("fit", pictures, *SMALL, "--out", folder, "--json", *(["--quiet"] if quiet else []), cache=cache)


def resume(folder, cache):
    return start("resume", folder, "--json", "--quiet", cache=cache)


def start(*arguments, cache):
    environment = {**os.environ, "TAME_CACHE": str(cache)}
    return subprocess.Popen(
        [TAME, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def test_a_cache_that_cannot_be_made_is_said_and_leaves_nothing_behind(pictures, tmp_path):
    (blocked := tmp_path / "file").write_text("no folder")
    done = tame("fit", pictures, *SMALL, "--out", tmp_path / "study", "--quiet", cache=blocked)
    assert done.returncode == 6
    assert "TAME_CACHE" in done.stderr
    assert not (tmp_path / "study").exists()


def test_a_terminal_that_knows_only_ascii_is_no_bug(finished, cache, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = tame("show", finished[0], cache=cache)
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()


@pytest.mark.parametrize(
    "hostile",
    [
        {"input_size": [3, 100000, 100000]},
        {"input_size": "x"},
        {"mean": ["a"]},
        {"std": [0, 0, 0]},
        {"crop_pct": -1},
        {"crop_pct": float("nan")},
    ],
)
def test_a_weights_folder_with_hostile_preprocessing_is_refused_at_once(hostile):
    with pytest.raises(UsageError, match=next(iter(hostile))):
        build_backbone({"architecture": "mobilenetv2_100", **hostile}, {}, name="hostile", digest="0")
