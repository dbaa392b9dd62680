"""The sections of the page: what each shows, and what it says where there is nothing to show."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from made_results import BASE, COLUMNS, classes_of, made, printed, read, report, with_answers
from tame.app.show import result_lines
from tame.core.evaluation import Difference
from tame.core.records import History, Trial
from tame.core.result_parts import FineTuning
from tame.core.space import Space
from tame.evaluate.best_of import what_mattered
from tame.report import formats, words
from tame.report.importance_words import worth
from tame.report.page import render_report


def test_what_mattered_is_told_with_the_values_behind_it() -> None:
    result, past = made("two_classes")
    section = report("two_classes").partition('id="mattered"')[2].partition("</section>")[0]
    text = " ".join(read(section).text.split())
    found = what_mattered(past, result.space)
    assert found.importance.each[0].name == "optimizer.lr"
    assert found.importance.each[0].is_shown
    assert f"learning rate {100 * found.importance.each[0].value:.0f} %" in text
    assert "Shown to matter more than chance:" in text
    assert found.best_of is not None
    assert formats.sentence(worth(found.best_of, found.objective)) in text
    assert "7 of the 64 trials were not drawn at random, as far as is known" in text
    assert "64 trials in this study" in text


def test_what_mattered_is_left_out_where_nothing_was_searched_and_said_to_be() -> None:
    result, past = made("two_classes")
    few = History({n: trial for n, trial in past.trials.items() if n < 5})
    text = read(render_report(result, few, {})).text
    assert "too few trials to tell: 5; at least 16" in text.replace("Too", "too")
    assert "Importance of each field" not in text
    assert "No searched field differs" in read(render_report(replace(result, space=Space({})), past, {})).text


def test_a_table_shows_its_columns_and_why_some_are_left_out() -> None:
    text = " ".join(read(report("table")).text.split())
    for each in COLUMNS:
        assert f"{each['name']} {each['kind']}" in text
        assert str(each["why"]) in text
    assert "12 (3.0 %)" in text
    assert "Trained on 5 columns: 2 numbers, 1 category, 1 yes or no and 1 date; 2 columns were left out" in text
    assert "Target: bought, one of two classes. 2 different values." in text
    assert "-999 in area was read as missing" in text
    assert "6 rows have an identical copy. 1 row without a target was left out." in text
    out = report("table").partition("Columns that were left out")[2].partition("</table>")[0]
    assert out.count("<tr") == 3
    assert "district" not in out


def test_calibration_costs_and_engines_are_shown_where_they_are_known() -> None:
    result, past = made("table")
    text = " ".join(read(report("table")).text.split())
    costs, told = classes_of(result).costs, classes_of(result).calibration
    assert costs is not None
    assert costs.aware is not None
    assert told is not None
    assert f"{formats.significant(costs.value)} ({formats.significant(costs.low)} to" in text
    assert f"change {formats.count(costs.aware.changed, 'prediction')} and cost" in text
    assert words.calibration(result, told)[1:] in text
    assert told.brier is not None
    assert f"Brier score {formats.number(told.brier)} (" in text
    assert "mlp, 2 layers of 64 48 stacked 6.1 times as fast as serial" in text
    less = with_answers(replace(result, engines=()), costs=None, calibration=None)
    bare = render_report(less, past, {})
    read(bare)
    assert not re.search('id="(costs|calibration|term-calibration)"|How it was trained|#calibration', bare)
    printed(result_lines(less))


def test_only_fields_that_vary_have_a_column_of_trials_and_early_stops_are_named() -> None:
    heads = report("table").partition('id="search"')[2].partition("</thead>")[0].split("<thead>")[1]
    assert re.findall(r">(\w+)</th>", heads)[3:7] == ["epochs", "rate", "decay", "width"]
    assert "size" not in heads
    assert ">size<" in report("two_classes").partition('id="search"')[2].partition("</thead>")[0]
    assert re.search(r"\d+ trained, best epoch kept", read(report("table")).text)
    result, _ = made("two_classes")
    one = render_report(result, History({0: Trial(0, BASE, "default", "the default recipe")}), {})
    assert "Learning rate and loss" not in one


def test_what_is_the_same_for_all_trials_is_said_once() -> None:
    result, past = made("two_classes")
    ended = {n: replace(t, last_reason="the time for the search is used up") for n, t in past.trials.items()}
    html = render_report(result, History(ended), {})
    table = html.partition('class="trials"')[2].partition("</table>")[0]
    assert table.count("the time for the search is used up") == 1
    assert "why it was tried" in table
    assert "what was last decided</th>" not in table


def test_losses_above_the_frame_and_lost_ones_have_two_signs_and_are_counted() -> None:
    chart = report("two_classes").partition('id="rates-title"')[2].partition("</svg>")[0]
    text = read(report("two_classes")).text
    arrows, crosses = chart.count('class="arrow"'), chart.count('class="cross"')
    assert arrows + crosses
    assert f"Arrows: {formats.count(arrows, 'recipe')} above the frame." in text or not arrows
    assert f"Crosses: {formats.count(crosses, 'recipe')} without a loss" in text or not crosses


def test_that_trials_are_compared_early_is_said_where_some_were_paused_or_stopped() -> None:
    result, history = made("two_classes")
    for states, is_said in (({"stopped": 1}, True), ({"paused": 2}, True), ({"complete": 3, "diverged": 1}, False)):
        html = render_report(replace(result, trial_states=states), history, {})
        assert ("Trials are compared at set numbers of epochs" in html) == is_said


def test_every_trial_of_the_search_has_a_row() -> None:
    html = report("many_trials")
    table = html.partition('id="search"')[2].partition("</table>")[0]
    assert table.count("<tr") == 501
    assert len(html) < 3_000_000


def test_many_classes_get_their_confused_pairs_instead_of_a_matrix() -> None:
    result, _ = made("forty_classes")
    html = report("forty_classes")
    assert 'class="matrix' not in html
    counts = classes_of(result).confusion
    assert counts is not None
    worst = max((n, t, p) for t, row in enumerate(counts) for p, n in enumerate(row) if t != p)
    assert f'<td class="num">{worst[0]}</td>' in html
    assert 'class="matrix' in report("twelve_classes")


def test_a_matrix_that_is_withheld_is_said_to_be() -> None:
    result, past = made("two_classes")
    html = render_report(with_answers(result, confusion=None), past, {})
    assert "do not agree with the measured accuracy" in html
    assert 'class="matrix' not in html


def test_mistakes_carry_their_thumbnail_or_say_that_there_is_none() -> None:
    html = report("two_classes")
    result, past = made("two_classes")
    assert html.count('src="data:image/jpeg;base64,/9j/') == len(classes_of(result).mistakes) - 1
    assert html.count("no thumbnail") == 1
    assert "None: every test picture was predicted correctly" in render_report(
        with_answers(result, mistakes=()), past, {}
    )


@pytest.mark.parametrize(
    ("about", "head", "why"),
    [
        (None, "Not tried", "left it out"),
        (FineTuning(kept=False, why="fine-tuning diverged", trial=64), "Tried without success", "Fine-tuning diverged"),
        (
            FineTuning(kept=True, why="kept", trial=9, difference=Difference(0.03, 0.01, 0.05, 9)),
            "Kept",
            "etter than the best network without it by 0.030 (0.010 to 0.050)",
        ),
    ],
)
def test_fine_tuning_says_what_it_added_or_why_it_was_not_tried(about: FineTuning | None, head: str, why: str) -> None:
    result, past = made("two_classes")
    html = render_report(replace(result, fine_tuning=about), past, {})
    assert f"<b>{head}.</b>" in html
    assert why in html
