"""What is shown while a study goes on: three lines that fit the terminal."""

from __future__ import annotations

import sys
import time
from itertools import pairwise

import pytest

from made_results import BASE, made, printed
from tame.app.progress import HEIGHTS, Display, Now, best_so_far, sparkline, watching
from tame.core.records import Curve, History, Point, Trial
from tame.study.state import Silent


def test_a_small_curve_is_as_high_as_its_values() -> None:
    assert sparkline([0.0, 1.0]) == "▁█"
    falling = sparkline([1 - i / 99 for i in range(100)])
    assert len(falling) == 20
    assert all(HEIGHTS.index(a) >= HEIGHTS.index(b) for a, b in pairwise(falling))
    assert sparkline([0.5, None, 0.5]) == "▁▁"
    assert sparkline([None, 0.5]) == sparkline([]) == ""


def test_the_best_trial_is_named_with_the_default_beside_it() -> None:
    _, past = made("two_classes")
    said = best_so_far(past)
    best = min(past.having("complete", "paused", "running"), key=lambda trial: trial.loss)
    default = past.trials[0]
    assert best.judged is not None
    assert default.judged is not None
    assert f"validation {best.judged.valid_metric:.3f}, trial {best.number}" in said
    assert f"the default recipe has {default.judged.valid_metric:.3f}" in said
    only = History({0: Trial(0, BASE, "default", "", "running", 1, Curve((Point(1, 0.5, 0.4, 0.9),)))})
    assert best_so_far(only).rstrip() == "best so far: validation 0.900, the default recipe"
    assert best_so_far(History()) == ""


@pytest.mark.parametrize("width", [60, 72, 80])
def test_three_lines_fit_the_terminal_whatever_they_say(width: int) -> None:
    _, past = made("two_classes")
    display = Display(time.monotonic() + 75)
    try:
        display.phase("stage 3 of 6: searching 5 dimensions, evaluated on 5 folds, at 224 pixels")
        display.progress("features", 120, 396)
        display.history(past)
        display.note("a finding that is longer than a line of a terminal, which cuts it where it ends, as it must")
        lines = printed(display._lines(), width=width).rstrip("\n").split("\n")
    finally:
        display.close()
    assert len(lines) == 3
    assert all(len(line) <= width for line in lines)
    assert lines[0].startswith("stage 3 of 6")
    assert "left" in lines[0]
    if width == 80:
        assert "features 120 of 396" in lines[0]
        assert "1:1" in lines[0]
    assert lines[1].startswith("best so far: validation")
    assert lines[2].startswith("a finding")


@pytest.mark.parametrize("late_s", [0.0, 0.4, 5.0, 4000.0])
def test_a_clock_that_has_run_out_shows_no_time_below_zero(late_s: float) -> None:
    display = Display(time.monotonic() - late_s)
    try:
        display.phase("stage 6 of 6: the report")
        shown = printed(display._lines()).splitlines()[0]
    finally:
        display.close()
    assert "0:00 left" in shown
    assert "-" not in shown.partition("report")[2]


def test_the_last_decision_is_shown_with_its_reason() -> None:
    trial = Trial(7, BASE, "sobol", "fills the space", "stopped", 4, last_reason="rank 6 of 9 at epoch 4")
    display = Display()
    try:
        display.history(History({7: trial}))
        said = printed(display._lines(), width=80)
    finally:
        display.close()
    assert "trial 7 stopped early: rank 6 of 9 at epoch 4" in said
    assert "passed" in said


def test_a_quiet_study_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with watching(quiet=True) as watcher:
        watcher.phase("stage 1 of 6: reading")
    assert isinstance(watcher, Silent)
    with watching(quiet=False) as watcher:
        watcher.phase("stage 1 of 6: reading")
        print("the result", file=sys.stdout)
    assert "stage 1 of 6: reading" in capsys.readouterr().err


def test_the_best_of_a_study_that_is_over_in_a_moment_is_named_too() -> None:
    now = Now()
    now.history(History())
    now.history(made("two_classes")[1])
    assert now.best.startswith("best so far: validation")
