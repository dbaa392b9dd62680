"""What a model takes, and what the choice by it has cost: the same words in the report, the terminal and the card."""

from __future__ import annotations

from dataclasses import replace

from made_results import made, printed, read
from tame.app.show import result_lines
from tame.core.evaluation import Difference
from tame.core.plain import to_plain
from tame.core.result import Result
from tame.core.result_parts import PricedRow, Trade
from tame.report.model_card import model_card
from tame.report.page import render_report

WORSE = Difference(-0.003, -0.009, 0.003, 244, "paired")


def with_trade(*, objective: str | None = "latency", limits: dict[str, float] | None = None, other: bool = True):
    result, _ = made("two_classes")
    own = result.winner.from_trial
    best = next(each.from_trial for each in result.finalists if each.from_trial != own)
    rows = (
        PricedRow(from_trial=own, value=0.951, latency_s=0.0051, size_bytes=9_800_000, is_within=True,
                  is_on_front=True),
        PricedRow(from_trial=best, value=0.954, latency_s=0.0204, size_bytes=40_000_000, is_within=not limits,
                  is_on_front=True),
    )  # fmt: skip
    trade = Trade(
        objective=objective, limits=limits or {}, latency_s=0.0051, size_bytes=9_800_000,
        instead_of=best if other else None, difference=WORSE if other else None, rows=rows,
    )  # fmt: skip
    return replace(result, trade=trade), own, best


def texts(result: Result) -> list[str]:
    page = render_report(result, made("two_classes")[1], {})
    section = read(page.partition('id="trade"')[2].partition("</section>")[0]).text
    return [" ".join(own.split()) for own in (section, printed(result_lines(result)), model_card(result))]


def test_the_price_of_a_choice_is_told_everywhere() -> None:
    result, own, best = with_trade()
    for text in texts(result):
        assert "One example alone takes the delivered model 5.10 ms and 9.80 MB on disk." in text
        assert f"Trial {own} was chosen for its latency: 5.10 ms, where trial {best}, which has the best " in text
        assert "takes 20.4 ms (4.0 times faster)" in text
        assert f"no real difference from trial {best}: −0.003 (−0.009 to +0.003)" in text


def test_where_the_best_takes_the_least_that_is_said() -> None:
    result, own, _ = with_trade(other=False)
    for text in texts(result):
        assert f"Trial {own} has the best " in text
        assert "and nothing about as good has less latency." in text


def test_a_finalist_over_a_limit_is_named() -> None:
    result, _, best = with_trade(objective=None, limits={"size": 1e7})
    for text in texts(result):
        assert "5.10 ms and 9.80 MB on disk (limit 10.0 MB)" in text
        assert "1 finalist of 2 takes more than the limit and could not win." in text
        assert f"9.80 MB, where trial {best}" in text
    assert "over the limit" in texts(result)[0]


def test_a_result_with_it_is_read_as_it_was_written_and_others_do_not_mention_it() -> None:
    result, _, _ = with_trade(limits={"size": 1e7})
    assert Result.from_json(to_plain(result.to_json())) == result
    assert "trade" not in made("two_classes")[0].to_json()
    assert 'id="trade"' not in render_report(*made("two_classes"), {})
