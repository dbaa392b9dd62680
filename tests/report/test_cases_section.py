"""What the doctor tried, on the page and in the terminal: seen, tried, came of it, and both curves side by side."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from made_results import HOSTILE, made, printed, read
from tame.app.show import result_lines
from tame.core.evaluation import Difference
from tame.core.records import History
from tame.core.result import Result
from tame.core.result_parts import CaseRow, RemedyRow
from tame.report.page import render_report

GAIN = Difference(-0.41, -0.52, -0.30, 244, "paired")
NONE = Difference(0.012, -0.03, 0.054, 244, "paired")


def remedy(field: str, after: float, number: int, *, seeds: int = 3, **more: object) -> RemedyRow:
    trials = tuple(range(number, number + seeds))
    return replace(RemedyRow(field=field, before=0.0, after=after, trials=trials), **more)  # type: ignore[arg-type]


def with_cases(
    *remedies: RemedyRow, seen: str = "overfitting since epoch 9", epochs: int = 120
) -> tuple[Result, History]:
    result, past = made("two_classes")
    ended = [number for number, trial in past.trials.items() if trial.state == "complete"]
    case = CaseRow(
        code="overfitting", seen=seen, patient=ended[0], epoch=40, beside=(ended[0],) * 3 if epochs else (),
        epochs=epochs, remedies=tuple(replace(each, trials=(ended[1],) * len(each.trials)) for each in remedies),
    )  # fmt: skip
    return replace(result, cases=(case,)), past


def section(result: Result, past: History) -> str:
    page = render_report(result, past, {})
    return page.partition('id="cases"')[2].partition("</section>")[0]


def test_a_case_tells_what_was_seen_tried_and_came_of_it() -> None:
    helped = remedy("model.dropout", 0.3, 1, verdict="helped", kept=True, difference=GAIN)
    other = remedy("optimizer.weight_decay", 0.1, 4, verdict="no real difference", difference=NONE)
    text = " ".join(read(section(*with_cases(helped, other))).text.split())
    assert "Seen: Overfitting since epoch 9" in text
    assert "Tried: dropout 0 → 0.3. Came of it: validation loss −0.41 (−0.52 to −0.30), 3 seeds: kept." in text
    assert "validation loss +0.012 (−0.03 to +0.054), 3 seeds: no real difference, not kept." in text
    assert "120 epochs were trained for it, beside the same recipe with 3 seeds." in text


def test_both_curves_stand_side_by_side_over_the_same_axis() -> None:
    found = section(*with_cases(remedy("model.dropout", 0.3, 1, verdict="helped", kept=True, difference=GAIN)))
    drawn = re.findall(r"<svg role=.img.*?</svg>", found, flags=re.S)
    assert 'id="case-0-patient-title"' in found
    assert 'id="case-0-remedy-title"' in found
    assert len(drawn) >= 4, "each in two widths"
    assert found.index("case-0-patient") < found.index("case-0-remedy")


@pytest.mark.parametrize(
    ("verdict", "said"),
    [("diverged", "it diverged: not kept"), ("not finished", "the time ended before it was trained")],
)
def test_a_remedy_that_cannot_be_compared_says_why(verdict: str, said: str) -> None:
    assert said in read(section(*with_cases(remedy("optimizer.lr", 1e-3, 1, verdict=verdict)))).text


def test_what_cost_nothing_says_so() -> None:
    free = remedy(
        "regularize.early_stopping", 10, 1, seeds=1, is_free=True, verdict="helped", kept=True, difference=GAIN
    )
    text = read(section(*with_cases(free, epochs=0))).text
    assert "at no cost: kept" in text
    assert "Nothing was trained for it." in text


def test_a_candidate_that_one_seed_could_not_show_to_be_better_is_told_as_one() -> None:
    own = remedy("optimizer.weight_decay", 2.0, 1, seeds=1, verdict="no real difference", kept=True, difference=GAIN)
    assert "1 seed: too little to tell, kept as a candidate" in read(section(*with_cases(own))).text


def test_the_terminal_tells_it_in_a_line() -> None:
    result, _ = with_cases(remedy("model.dropout", 0.3, 1, verdict="helped", kept=True, difference=GAIN))
    text = " ".join(printed(result_lines(result)).split())
    assert "Tried: dropout 0 → 0.3 against overfitting of trial" in text
    assert "validation loss −0.41 (−0.52 to −0.30), 3 seeds: kept." in text


def test_without_cases_there_is_no_section() -> None:
    assert 'id="cases"' not in render_report(*made("two_classes"), {})


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_finding_is_inert(text: str) -> None:
    result, past = with_cases(remedy("model.dropout", 0.3, 1, verdict="helped", kept=True), seen=text)
    found = read(render_report(result, past, {}))
    assert not found.tags & {"script", "iframe", "object", "embed"}
    assert not [attribute for attribute in found.attributes if attribute[1].startswith("on")]
    assert "\x1b" not in printed(result_lines(result))


def test_a_result_is_read_as_it_was_written_and_an_older_one_has_no_cases() -> None:
    result, _ = with_cases(remedy("model.dropout", 0.3, 1, verdict="helped", kept=True, difference=GAIN))
    plain = result.to_json()
    assert Result.from_json(plain) == result
    del plain["cases"]
    assert Result.from_json(plain).cases == ()
