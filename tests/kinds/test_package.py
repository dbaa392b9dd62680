"""A kind of data of another package: found by its entry point, also by the process that trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import tame as tame_package
from kinds.samples import EXAMPLE, sequence_lines

TAME = str(Path(sys.executable).with_name("tame"))
MOST_FILES = 8  # that a new kind of data takes


@pytest.fixture(scope="module")
def tame(tmp_path_factory):
    """Runs the command line as it is where the example is installed."""
    site = tmp_path_factory.mktemp("site")
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = site / f"tame_sequences-{project['version']}.dist-info"
    info.mkdir()
    named = "\n".join(f"{name} = {what}" for name, what in project["entry-points"]["tame.kinds"].items())
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    (info / "entry_points.txt").write_text(f"[tame.kinds]\n{named}\n")
    path = os.pathsep.join([str(EXAMPLE), str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, "TAME_CACHE": str(site / "cache"), "COLUMNS": "80"}

    def run(*arguments, cwd):
        command = [TAME, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=cwd, timeout=300)

    return run


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequences")
    lines = sequence_lines(80)
    (folder / "data.seq").write_text("\n".join([*lines, lines[0]]) + "\n")
    (folder / "new.seq").write_text("1 5 9 12\n9 3 7 1\n")
    return folder


@pytest.fixture(scope="module")
def fitted(tame, work):
    done = tame("fit", "data.seq", "--trials", "2", "--epochs", "2", "--out", "study", "--json", "--quiet", cwd=work)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_it_is_fitted_and_its_words_are_used(tame, work, fitted):
    assert (fitted["kind"], fitted["classes"], fitted["trials"]) == ("sequences", ["mixed", "rising"], 2)
    assert [each["code"] for each in fitted["findings"] if each["code"] == "near_duplicates"] == ["near_duplicates"]
    shown = tame("show", "study", cwd=work)
    assert shown.returncode == 0, shown.stderr
    assert "test sequences" in shown.stdout
    assert "new.seq" in shown.stdout
    assert "How the sequences are split" in (work / "study" / "report.html").read_text()
    assert "It takes a text file" in (work / "study" / "model" / "README.md").read_text()


def test_the_report_is_drawn_again(tame, work, fitted):
    (work / "study" / "report.html").unlink()
    done = tame("report", "study", cwd=work)
    assert done.returncode == 0, done.stderr
    assert (work / "study" / "report.html").exists()


def test_it_judges_new_files(tame, work, fitted):
    done = tame("predict", "study", "new.seq", "--json", cwd=work)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["predictions"]
    assert [each["input"] for each in told] == ["new.seq:1", "new.seq:2"]
    assert {each["label"] for each in told} <= {"mixed", "rising"}


def test_data_that_is_wrong_is_named(tame, work):
    (work / "broken.seq").write_text("1 2 3 rising\n4 x 6 mixed\n")
    done = tame("check", "broken.seq", cwd=work)
    assert done.returncode == 3
    assert "broken.seq:2" in done.stderr


@pytest.mark.parametrize("safe", [True, False])
def test_a_package_in_the_first_folder_of_pythonpath_is_found_and_the_current_one_is_not_looked_at(safe, tmp_path):
    site, here = tmp_path / "site", tmp_path / "here"
    info = site / "broken_kind-1.dist-info"
    info.mkdir(parents=True)
    here.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-kind\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[tame.kinds]\nbroken = nowhere_at_all:KIND\n")
    (here / "json.py").write_text("raise SystemExit('the current folder was looked at')\n")
    (here / "data.csv").write_text("a,b\n1,2\n")
    source = Path(tame_package.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(source)])}
    command = [sys.executable, *(["-P"] if safe else []), "-m", "tame.app.cli", "check", "data.csv", "--target", "b"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=here, timeout=300)
    assert (done.returncode, "of the package broken-kind" in done.stderr) == (2, True), done.stderr


def test_it_takes_few_files():
    files = [path for path in EXAMPLE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert len(files) <= MOST_FILES
