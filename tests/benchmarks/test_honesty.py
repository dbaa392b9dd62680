"""A sample of the cells of the benchmark of reported numbers, and the page that it writes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tame.core.rng import stream

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def honesty():
    sys.path.insert(0, str(BENCHMARKS))
    import honesty

    yield honesty
    sys.path.remove(str(BENCHMARKS))


def cell(honesty, part, what, n, draws):
    (task,) = [task for own in honesty.ALL for task in own() if (task.part, task.what, task.n) == (part, what, str(n))]
    return task.measure(stream(1, "sample", part, what, str(n)), draws)


@pytest.mark.parametrize(
    ("part", "what", "n", "draws"),
    [
        ("coverage", "RMSE, normal errors", 100, 150),
        ("coverage", "log loss, accuracy 0.994", 100, 100),
        ("coverage", "balanced accuracy, 99:1", 100, 300),
        ("coverage", "macro F1, ten classes", 100, 150),
        ("coverage", "ROC AUC, 95:5", 100, 150),
        ("groups", "accuracy, correlation 0.37", "20 x 20", 200),
        ("groups", "rmse, correlation 0.37", "20 x 20", 100),
    ],
)
def test_intervals_hold_the_truth(honesty, part, what, n, draws):
    found = cell(honesty, part, what, n, draws)
    assert found.value >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / draws)
    assert found.passed


def test_where_rare_large_errors_decide_that_is_said(honesty):
    found = cell(honesty, "coverage", "RMSE, lognormal(1.5) errors", 100, 60)
    assert found.warned > 0.9
    assert found.passed
    assert cell(honesty, "coverage", "RMSE, normal errors", 400, 40).warned < 0.1


@pytest.mark.parametrize(
    ("part", "what", "n", "draws"),
    [
        ("seeds of one recipe called different", "accuracy, 3 of each of 3 recipes", 5000, 60),
        ("optimism where there is none", "accuracy", "200 and 16000", 60),
        ("improvement on noise", "accuracy, each row 4 times", 200, 200),
        ("a calibrated network called miscalibrated", "10 bins", 153, 150),
    ],
)
def test_what_is_not_there_is_seldom_claimed(honesty, part, what, n, draws):
    found = cell(honesty, part, what, n, draws)
    assert found.value <= 0.05 + 3 * np.sqrt(0.95 * 0.05 / draws)
    assert found.passed


def test_the_page_has_a_table_for_each_part_and_marks_what_misses(honesty):
    about = {"part": "coverage", "what": "x", "draws": 10, "aim": "0.93", "warned": 0.0}
    cells = [{**about, "n": "30", "value": 0.95, "passed": True}, {**about, "n": "100", "value": 0.5, "passed": False}]
    page = honesty.page(
        [*cells, {**about, "part": "groups", "n": "2 x 3", "value": 0.9, "passed": True, "warned": 0.2}]
    )
    assert "| x | 0.950 | **0.500** |" in page
    assert "## Groups" in page
    assert "0.900 (warned 0.20)" in page
