"""The picture of all curves counts what a plain loop counts, and a chart draws those that matter."""

from __future__ import annotations

import base64
import math

import numpy as np
import pytest

from tame.core.recipe import Recipe
from tame.core.records import Decision, Point, curve_event, decision_event
from tame.pages.curves import HIGH, LEADERS, MOST_LINES, WIDE, chart, density
from tame.study.columns import VALID, Columns


def columns_of(curves):
    """A study whose trials have these validation losses, epoch by epoch; None is lost."""
    columns = Columns()
    for number, values in enumerate(curves):
        origin = "default" if number == 0 else "sobol"
        columns.after(decision_event(Decision("start", number, "", 99, Recipe(), origin)))
        columns.after(curve_event(number, [Point(i + 1, 0.5, value, 0.5) for i, value in enumerate(values)]))
    return columns


def some_curves(count, *, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random() + rng.random(rng.choice([1, 3, 9])).cumsum()).tolist() for _ in range(count)]


@pytest.mark.parametrize("count", [3, 50, 1203])
def test_the_density_counts_what_a_loop_counts(count):
    curves = some_curves(count)
    columns = columns_of(curves)
    found = density(columns, list(columns.rows), VALID)
    flat = np.concatenate(curves)
    low, high = flat.min(), np.quantile(flat, 0.98)
    last = max(map(len, curves))
    counts = np.zeros((HIGH, WIDE))
    for values in curves:
        for place, epoch in enumerate(np.linspace(1, max(last, 2), WIDE)):
            if epoch > len(values) + 0.5:
                continue
            value = np.interp(epoch, np.arange(1, len(values) + 1), values)
            if value <= high:
                row = min(max(math.floor((high - value) / (high - low) * HIGH), 0), HIGH - 1)
                counts[row, place] += 1
    wanted = np.round(255 * np.log1p(counts) / np.log1p(counts.max())).astype(int)
    cells = np.frombuffer(base64.b64decode(found["cells"]), dtype=np.uint8).reshape(HIGH, WIDE)
    # A value on the edge of two cells may fall into either: interpolations differ in their last digit.
    assert (np.abs(cells.astype(int) - wanted) > 0).mean() < 1e-3
    assert (found["low"], found["last"]) == (low, max(last, 2))


def test_a_small_study_is_drawn_curve_by_curve_and_a_large_one_as_a_density():
    few = chart(columns_of(some_curves(20)), "loss")
    assert few["density"] is None
    assert len(few["curves"]) == 20
    curves = some_curves(MOST_LINES + 50)
    many = chart(columns_of(curves), "loss", asked=[77, 10**6])
    assert many["density"] is not None
    best = min(range(len(curves)), key=lambda number: curves[number][-1])
    drawn = [one["trial"] for one in many["curves"]]
    assert many["best"] == best
    assert {0, 77, best} <= set(drawn)
    assert len(drawn) <= LEADERS + 3


def test_lost_and_missing_values_are_gaps():
    columns = columns_of([[0.5, 0.4], [0.5, None], []])
    found = chart(columns, "loss")
    assert [one["values"] for one in found["curves"]] == [[0.5, 0.4], [0.5, None]]
    assert found["count"] == 2
    assert density(columns, [0, 1], VALID)["low"] == 0.4
    assert chart(Columns(), "metric") == {
        "field": "metric", "count": 0, "best": None, "default": None, "curves": [], "density": None,
    }  # fmt: skip
