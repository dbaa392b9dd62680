"""Charts: well-formed, legible, and silent about what is not a number."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from typing import Any

import pytest

from tame.report.charts import Dot, Line, Row, Spot, agreement, curves, intervals, scatter, shares, tag


@pytest.mark.parametrize("bad", [None, math.nan, math.inf])
def test_charts_leave_out_what_is_no_number(bad: float | None) -> None:
    line = Line(((1, 0.7), (2, bad), (3, 0.5), (4, 0.4)), "winner", "x")
    frame: dict[str, Any] = {"name": "n", "title": "t", "desc": "d"}
    drawn = [
        curves([line, Line(((1, bad),))], low=0, high=1, y_label="y", **frame),
        curves([], low=0, high=1, y_label="y", **frame),
        scatter([Dot(1e-3, bad), Dot(1e-2, 0.4, "winner", "w")], high=1, x_label="x", y_label="y", **frame),
        scatter([], high=1, x_label="x", y_label="y", **frame),
        intervals([Row("a", bad), Row("b", 0.5, 0.4, 0.6)], low=0, high=1, **frame),
        shares([], **frame),
        agreement([Spot(0.5, bad or 7.0), Spot(0.2, 0.3, 0.1, 0.4)], low=0, high=1, x_label="x", y_label="y", **frame),
    ]
    for chart in drawn:
        ElementTree.fromstring(chart)
        assert not re.search(r'"[^"]*\b(nan|inf)\b', chart)
    assert drawn[0].count("M") >= 2


def test_labels_at_the_ends_of_lines_do_not_lie_on_one_another() -> None:
    lines = [Line(((1, 0.9), (9, 0.5 + i / 1e4)), "finalist", f"trial {i}") for i in range(8)]
    chart = curves(lines, name="n", title="t", desc="d", low=0, high=1, y_label="y")
    places = sorted(float(y) for y in re.findall(r'y="([\d.]+)" class="label', chart))
    assert len(places) == 8
    assert min(b - a for a, b in pairwise(places)) >= 14.9


def test_an_element_escapes_its_texts_and_attributes() -> None:
    assert tag("text", "<&\x1b", x=1.0, class_='"') == '<text x="1" class="&#34;">&lt;&amp;\\u001b</text>'
