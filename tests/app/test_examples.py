"""The examples run as they stand, each in a process and a folder of its own, and print what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMIT_S = 600  # for a machine that others use too; alone on two cores each takes less than 40 s

pytestmark = pytest.mark.slow


def run_example(name: str, folder: Path) -> str:
    """What the example prints, when it is run in this folder."""
    variables = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, str(EXAMPLES / name)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=LIMIT_S, check=False,
        env={**variables, "TAME_CACHE": str(folder / "cache")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_run_here():
    tested = set(re.findall(r'run_example\("(\w+\.py)"', Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} == tested


def test_a_module_of_ones_own_is_searched_scored_and_used(tmp_path):
    score, winner, first = run_example("own_module.py", tmp_path).splitlines()
    value, low, high = map(float, re.findall(r"\d\.\d+", score))
    assert low <= value <= high
    assert value > 0.9  # a digit guessed without looking: 0.1
    width, dropout, lr = map(float, re.findall(r": ([0-9.e-]+)", winner.removeprefix("winner:")))
    assert 16 <= width <= 256
    assert 0 <= dropout <= 0.5
    assert 1e-3 <= lr <= 1e-1
    right = sum(said == str(digit) for digit, said in enumerate(re.findall(r"'(\d)'", first)))
    assert right >= 8  # the first ten digits are 0 to 9
    assert (tmp_path / "runs" / "arrays-0001" / "report.html").is_file()


def test_two_phases_are_compared_with_one(tmp_path):
    one, two, compared = run_example("phases.py", tmp_path).splitlines()
    found = []
    for line, title in ((one, "Adam throughout"), (two, "Adam, then momentum")):
        assert line.startswith(f"{title}: log loss ")
        value, low, high = map(float, re.findall(r"\d\.\d+", line))
        assert low <= value <= high < 0.66  # 0.66 nats: guessing by the shares of the two classes
        found.append((low, high))
    apart = found[0][1] < found[1][0] or found[1][1] < found[0][0]
    assert compared.startswith("the intervals do not overlap" if apart else "the intervals overlap")
