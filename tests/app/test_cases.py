"""Inputs that once came out wrong, run as their user runs them: scripts in processes, tables by commands."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tame
from command_line import tame_here

QUICK = ("--trials", "2", "--epochs", "4", "--folds", "2", "--quiet", "--inline")


def last_line(shared, tmp_path, name) -> tuple[int, str, str]:
    script = shared / "cases" / "modules" / name
    if not script.exists():
        pytest.skip("needs the shared cases")
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, cwd=tmp_path, timeout=300,
        env={**os.environ, "TAME_CACHE": str(tmp_path / "cache")},
    )  # fmt: skip
    return done.returncode, (done.stdout.strip().splitlines() or [""])[-1], done.stderr


def tables(shared) -> Path:
    folder = shared / "cases" / "tables"
    if not folder.is_dir():
        pytest.skip("needs the shared cases")
    return folder


def predicted(study, file, cache) -> tuple[list[float], str]:
    """The numbers that a study predicts of a table, and what is said beside them."""
    done = tame_here("predict", study, file, "--csv", cache=cache)
    assert done.returncode == 0, done.stderr
    return [float(row["value"]) for row in csv.DictReader(io.StringIO(done.stdout))], done.stderr


@pytest.mark.slow
def test_a_module_that_is_another_in_the_worker_is_refused_before_training(shared, tmp_path):
    code, line, said = last_line(shared, tmp_path, "two_states.py")
    assert code != 0
    assert line == ""
    assert 'if __name__ == "__main__"' in said


@pytest.mark.slow
def test_noise_of_which_each_row_is_there_twice_is_not_better_than_guessing(shared, tmp_path):
    code, line, said = last_line(shared, tmp_path, "noise_with_copies.py")
    assert code == 0, said
    value, _, codes = line.partition(" ")
    assert 0.3 < float(value) < 0.7
    assert "duplicate_rows" in codes


def test_labels_that_are_numbers_are_in_the_order_of_numbers_everywhere(shared, tmp_path):
    code, line, said = last_line(shared, tmp_path, "labels_past_nine.py")
    assert code == 0, said
    assert [float(word) for word in line.split()] == [1.0, 1.0]


@pytest.mark.slow
def test_whole_numbers_beyond_float32_reach_an_own_module_as_they_are(shared, tmp_path):
    code, line, said = last_line(shared, tmp_path, "large_whole_numbers.py")
    assert code == 0, said
    assert float(line) == 1.0


@pytest.mark.slow
def test_a_frame_in_sorted_blocks_is_not_told_by_its_row_numbers(shared, tmp_path, monkeypatch):
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.read_csv(tables(shared) / "sortedid.csv")
    monkeypatch.setenv("TAME_CACHE", str(tmp_path / "cache"))
    study = tame.fit((frame.drop(columns="y"), frame["y"]), trials=3, epochs=12, out=tmp_path / "study")
    assert study.score.value < 0.5


def test_labels_with_signs_come_back_as_they_are(shared, tmp_path):
    table, study = tables(shared) / "pm1.csv", tmp_path / "study"
    done = tame_here("fit", table, "--target", "y", *QUICK, "--out", study, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    done = tame_here("predict", study, table, "--csv", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {row["label"] for row in csv.DictReader(io.StringIO(done.stdout))} <= {"-1", "+1"}


def test_an_animal_gets_the_same_value_with_a_point_and_with_a_comma(shared, tmp_path):
    rings, study = shared / "data" / "tables" / "abalone.csv", tmp_path / "study"
    done = tame_here("fit", rings, "--target", "rings", *QUICK, "--out", study, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    one, _ = predicted(study, tables(shared) / "one_pt.csv", tmp_path)
    other, _ = predicted(study, tables(shared) / "one_de.csv", tmp_path)
    assert one == other


def test_dates_with_the_month_first_are_predicted_as_the_same_dates(shared, tmp_path):
    study = tmp_path / "study"
    done = tame_here("fit", tables(shared) / "dmy.csv", "--target", "y", *QUICK, "--out", study, cache=tmp_path)
    assert done.returncode == 0, done.stderr
    one, _ = predicted(study, tables(shared) / "dmy.csv", tmp_path)
    other, said = predicted(study, tables(shared) / "mdy_later.csv", tmp_path)
    np.testing.assert_array_equal(one, other)
    assert "month first" in said
