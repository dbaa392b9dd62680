"""What a notebook shows of a study: the first screen and the charts, small, inert and with nothing that runs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from made_results import CASES, HOSTILE, made, read
from tame.core.errors import UsageError
from tame.core.records import History
from tame.report import formats, words
from tame.report.next_steps import next_steps
from tame.report.notebook import CHARTS, chart, first_screen, in_one_line
from tame.report.page import view

MOST_BYTES = 30_000


@pytest.mark.parametrize("case", CASES)
def test_the_first_screen_is_small_well_formed_and_runs_nothing(case: str) -> None:
    result, _ = made(case)
    html = first_screen(result)
    assert len(html.encode()) < MOST_BYTES
    found = read(html)
    assert not found.tags & {"script", "iframe", "object", "embed", "link", "form", "base", "img", "use", "a", "html"}
    assert not [name for _, name, _ in found.attributes if name.startswith("on") or name in ("src", "href", "data")]
    style = "".join(re.findall(r"<style>(.*?)</style>", html, flags=re.S))
    assert "url(" not in style
    assert "@import" not in style


@pytest.mark.parametrize("case", CASES)
def test_it_says_what_the_report_says(case: str) -> None:
    result, _ = made(case)
    text = " ".join(read(first_screen(result)).text.split())
    told = [
        formats.shown(result.metric, result.score.value), words.span(result.score, result.metric),
        formats.sentence(words.verdict(result)), *words.badges(result),
        *(step.command for step in next_steps(result)),
    ]  # fmt: skip
    for each in told:
        assert " ".join(each.split()).casefold() in text.casefold()


def test_text_from_outside_is_inert() -> None:
    result, _ = made("two_classes")
    [first, *rest] = result.findings
    for bad in HOSTILE:
        shown = first_screen(replace(
            result, study=bad, data=bad, report=bad, command=bad, classes=(bad, "b"),
            findings=(replace(first, title=bad, change=bad, outcome=bad, evidence={"files": bad}), *rest),
        ))  # fmt: skip
        assert len(shown.encode()) < MOST_BYTES
        found = read(shown)
        assert not found.tags & {"script", "img"}
        assert not [name for _, name, _ in found.attributes if name.startswith("on")]
        assert formats.inert(shown.replace("\n", "")) == shown.replace("\n", ""), "no control character is left"
        line = in_one_line(replace(result, study=bad))
        assert line == formats.inert(line)
        assert len(line.splitlines()) == 1


def test_the_style_touches_nothing_else_on_the_page() -> None:
    html = first_screen(made("two_classes")[0])
    style = "".join(re.findall(r"<style>(.*?)</style>", html, flags=re.S))
    depth, outer, begin = 0, [], 0
    for place, sign in enumerate(style):
        if sign == "{":
            outer += [style[begin:place].strip()] if depth == 0 else []
            depth += 1
        elif sign == "}":
            depth -= 1
            begin = place + 1
    assert depth == 0
    assert all(".tame" in each for rule in outer for each in rule.split(",") if not rule.startswith("@media"))
    assert re.search(r"@media print \{ \.tame ", style)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("case", CASES)
def test_every_chart_is_drawn_or_refused_with_the_reason(case: str) -> None:
    result, past = made(case)
    for name in CHARTS:
        if CHARTS[name](view(result, past, {})) is None:
            with pytest.raises(UsageError, match=f"no chart of {name}: it predicts"):
                chart(name, result, past)
            continue
        drawn = chart(name, result, past)
        root = ElementTree.fromstring(drawn.svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(" not in drawn.svg
        assert "script" not in drawn.svg.casefold().replace("description", "") or case.startswith("hostile")
        shown = drawn._repr_html_()
        assert not read(shown).tags & {"script", "img", "a"}
        assert name in repr(drawn)
        assert len(repr(drawn).splitlines()) == 1


def test_charts_that_differ_by_task_are_refused_by_name() -> None:
    with pytest.raises(UsageError, match="no chart of agreement: it predicts classes"):
        chart("agreement", made("two_classes")[0], History())
    with pytest.raises(UsageError, match="no chart named 'curvs'; did you mean 'curves'"):
        chart("curvs", made("two_classes")[0], History())


def test_two_studies_on_one_page_have_different_ids() -> None:
    result, past = made("two_classes")
    one, other = (chart("score", replace(result, study=name), past)._repr_html_() for name in ("runs/a", "runs/b"))
    ids = [set(re.findall(r' id="([^"]+)"', each)) for each in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]
    for own, html in zip(ids, (one, other), strict=True):
        labels = {part for each in re.findall(r'aria-labelledby="([^"]+)"', html) for part in each.split()}
        assert labels <= own


def test_one_line_names_the_study_its_score_and_what_it_was_measured_on() -> None:
    assert in_one_line(made("two_classes")[0]) == (
        "runs/ants_bees-0001: accuracy 0.967 (0.926 to 0.986) on 153 test pictures"
    )
