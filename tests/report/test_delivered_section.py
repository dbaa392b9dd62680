"""What is delivered and what more data would be worth: the same words in the report, the terminal and the card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from made_results import HOSTILE, made, printed, read, with_answers
from tame.app.show import result_lines
from tame.core.evaluation import Difference, Refusal, Tempering
from tame.core.result import Result
from tame.core.result_parts import BaselineScore, ClassGrowth, EnsembleRow, MoreData, SharePoint, UnlikeRow
from tame.report.model_card import model_card
from tame.report.page import render_report

LOWER = Difference(-0.041, -0.06, -0.02, 244, "paired")
NONE = Difference(-0.001, -0.005, 0.003, 244, "paired")
WARMER = Tempering(value=1.62, fitted=1.62, difference=LOWER)
UNLIKE = UnlikeRow(n=153, flagged=2, share=2 / 153, low=0.0036, high=0.046)
REFUSED = Refusal(
    threshold=0.95, n=153, answered=100, coverage=100 / 153, coverage_low=0.58, coverage_high=0.72, risk=0.02,
    risk_low=0.005, risk_high=0.07, risk_of_all=0.15,
)  # fmt: skip


def section(result: Result, name: str) -> str:
    page = render_report(result, made("two_classes")[1], {})
    return " ".join(read(page.partition(f'id="{name}"')[2].partition("</section>")[0]).text.split())


def terminal(result: Result) -> str:
    return " ".join(printed(result_lines(result)).split())


def test_a_kept_temperature_is_told_everywhere() -> None:
    result = with_answers(made("two_classes")[0], temperature=WARMER)
    said = "The probabilities were made less sure by a temperature of 1.62, which changes the log loss by −0.041"
    for text in (section(result, "delivered"), terminal(result), model_card(result)):
        assert said in text
    assert Result.from_json(result.to_json()) == result
    surer = with_answers(result, temperature=replace(WARMER, value=0.7))
    assert "made surer by a temperature of 0.7" in terminal(surer)


def test_a_temperature_that_was_not_kept_is_told_as_that() -> None:
    result = with_answers(made("two_classes")[0], temperature=replace(WARMER, value=1.0, difference=NONE))
    assert "The probabilities were not corrected: a temperature of 1.62 changes the log loss by −0.001" in (
        section(result, "delivered")
    )


@pytest.mark.parametrize(("kept", "said"), [
    (True, "The model is the mean of 3 networks of the finalists: validation log loss −0.041 (−0.060 to −0.020)"),
    (False, "The mean of 3 networks of the finalists was tried and not delivered: its metric is worse"),
])  # fmt: skip
def test_an_ensemble_is_told_whether_it_is_delivered_or_not(kept: bool, said: str) -> None:
    own = EnsembleRow(members=(1, 2, 3), value=0.9, difference=LOWER, kept=kept, why="its metric is worse")
    result = replace(made("two_classes")[0], ensemble=own)
    for text in (section(result, "delivered"), terminal(result), model_card(result)):
        assert said in text
    assert Result.from_json(result.to_json()) == result


def test_what_picking_flatters_is_told() -> None:
    own = EnsembleRow(members=(1, 2, 3), value=0.9, difference=LOWER, kept=True, why="", optimism=0.0123)
    single = BaselineScore(value=0.8, low=0.7, high=0.9, n=153, how="", difference=Difference(0.02, 0.01, 0.03, 153))
    result = replace(made("two_classes")[0], ensemble=own)
    result = replace(result, baselines=replace(result.baselines, single=single))
    for text in (section(result, "delivered"), terminal(result), model_card(result)):
        assert "picked one by one; on the examples that they were picked on it is lower by 0.012 more" in text
    assert "Better than one network of the winner by 0.020 (0.010 to 0.030)." in terminal(result)
    assert Result.from_json(result.to_json()) == result


def test_false_alarms_and_what_is_kept_of_the_data_are_told() -> None:
    result = replace(made("two_classes")[0], unlike=UNLIKE)
    text = section(result, "delivered")
    assert "of 153 test pictures, which are like it, 2 are flagged, 1.3 % (0.4 % to 4.6 %; 1 % is meant)" in text
    assert "For this the model keeps means and spreads of its training pictures, and none of the pictures." in text
    assert "1 is flagged, 0.7 %" in section(
        replace(result, unlike=replace(UNLIKE, flagged=1, share=1 / 153)), "delivered"
    )
    assert Result.from_json(result.to_json()) == result


def test_what_is_left_at_each_threshold_is_a_table() -> None:
    result = with_answers(made("two_classes")[0], refusals=(REFUSED,))
    text = section(result, "delivered")
    assert "tame predict --sure P" in text
    assert "15.0 % of all predictions are wrong" in text
    assert "0.95 100 (65.4 %) 2.0 % 0.5 % to 7.0 %" in text
    assert Result.from_json(result.to_json()) == result


def growth(**changes: object) -> MoreData:
    points = tuple(
        SharePoint(share=share, examples=int(400 * share), networks=2, loss=loss, low=loss - 0.02, high=loss + 0.02)
        for share, loss in ((0.25, 0.5), (0.5, 0.42), (1.0, 0.37))
    )
    gain = Difference(0.031, 0.012, 0.05, 244, "")
    rare = ClassGrowth(name="bees", examples=80, recognised=(0.5, 0.6, 0.7), gain=0.1, low=0.02, high=0.18)
    whole = MoreData(metric="log_loss", points=points, gain=gain, classes=(rare,), epochs=160)
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_what_more_data_would_be_worth_is_told_with_the_class_that_gains() -> None:
    result = replace(made("two_classes")[0], more_data=growth())
    text = section(result, "more-data")
    said = "Twice as many training pictures would probably lower the log loss by about 0.031 (0.012 to 0.050)."
    assert said in text
    assert said in terminal(result)
    assert "The class that gained most from the last doubling is bees: 60 % of it were recognised before" in text
    assert "25 % 100 0.500 0.480 to 0.520" in text
    assert "bees 80 50 % 60 % 70 % +10.0 +2.0 to +18.0" in text
    assert Result.from_json(result.to_json()) == result


def test_what_is_not_shown_or_not_known_is_told_as_that() -> None:
    plain, unsure = made("two_classes")[0], growth(gain=Difference(0.01, -0.02, 0.04, 244, ""))
    assert "is not shown: by about 0.010 (−0.020 to 0.040)" in section(replace(plain, more_data=unsure), "more-data")
    unknown = MoreData(metric="log_loss", why="there was no time")
    assert "is not known: there was no time." in section(replace(plain, more_data=unknown), "more-data")


def test_names_from_outside_are_inert_there_too() -> None:
    found = growth()
    rows = tuple(replace(found.classes[0], name=name) for name in HOSTILE)
    result, past = made("two_classes")
    page = render_report(replace(result, more_data=replace(found, classes=rows)), past, {})
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_a_result_of_an_earlier_version_has_none_of_it() -> None:
    result, past = made("two_classes")
    page = render_report(result, past, {})
    assert 'id="delivered"' not in page
    assert 'id="more-data"' not in page
