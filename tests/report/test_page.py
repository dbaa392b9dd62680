"""The page: every number is there, whatever comes from outside is inert, and nothing runs or loads."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from made_results import BASE, CASES, HOSTILE, classes_of, made, printed, read, report, state
from tame.app.show import result_lines, study_table
from tame.core.evaluation import NumberAnswers
from tame.core.recipe import Recipe
from tame.core.records import Finding, History, Trial
from tame.core.space import Space
from tame.report import formats, words
from tame.report.fields import in_plain_words
from tame.report.model_card import model_card
from tame.report.next_steps import next_steps
from tame.report.page import render_failure, render_report


@pytest.fixture(scope="module", params=CASES)
def page(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param, report(request.param)


def test_the_page_is_well_formed_and_every_link_stays_inside_it(page: tuple[str, str]) -> None:
    found = read(page[1])
    assert len(found.ids) == len(set(found.ids))
    links = [value for _, name, value in found.attributes if name in ("href", "xlink:href")]
    assert links
    assert {link[1:] for link in links if link.startswith("#")} <= set(found.ids)
    assert all(link.startswith("#") for link in links)
    labels = [value for _, name, value in found.attributes if name == "aria-labelledby"]
    assert {part for label in labels for part in label.split()} <= set(found.ids)


def test_the_page_runs_nothing_and_loads_nothing(page: tuple[str, str]) -> None:
    found = read(page[1])
    assert not found.tags & {"script", "iframe", "object", "embed", "link", "form", "base", "foreignobject", "use"}
    assert not [attribute for attribute in found.attributes if attribute[1].startswith("on")]
    sources = [value for _, name, value in found.attributes if name in ("src", "srcset", "poster", "data")]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    style = page[1].partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page[1]
    assert "<script" not in page[1]
    if not page[0].startswith("hostile"):
        assert "http:" not in page[1]
        assert "https:" not in page[1]


def test_every_chart_is_xml_with_a_title_and_a_description(page: tuple[str, str]) -> None:
    charts = re.findall(r'<svg role="img".*?</desc>.*?(?=</figure>|</div>)', page[1], flags=re.S)
    isolated = len(re.findall(r'<title id="isolation-\d+-title">', page[1]))
    plain = 8 if page[0] in ("numbers", "small_numbers", "explained", "hostile_numbers") else 9
    assert isolated >= 1
    assert len(charts) == 2 * (plain + 3) + isolated, "each in two widths, but for those that are small"
    for chart in charts:
        root = ElementTree.fromstring(chart.strip())
        assert [child.tag for child in root][:2] == ["title", "desc"]
        assert all((child.text or "").strip() for child in list(root)[:2])
        assert "nan" not in chart.lower().replace("finance", "")


def test_hostile_text_is_shown_as_text() -> None:
    html = report("hostile")
    html.encode("utf-8")
    text = read(html).text
    for char in ("\x1b", "\x00", "\u202e", "\u2066", "\u2028", "\x07"):
        assert char not in html
    assert "<script>alert(1)</script>" in text
    assert "\\x1b" in text or "\\u001b" in text
    assert "\\xff" in text
    assert "عربي עברית" in text
    assert "{{ 7 * 7 }}" in text


def test_all_numbers_are_on_the_page() -> None:
    result, _ = made("two_classes")
    text = " ".join(read(report("two_classes")).text.split())
    score, default = result.score, result.baselines.default
    assert default is not None
    for value in (score.value, score.low, score.high, default.value, result.validation.value):
        assert formats.number(value) in text
    assert words.optimism(result)[1:] in text
    assert words.verdict(result)[1:] in text
    assert f"{result.epochs:,}" in text
    assert "57.83" not in text
    assert "58 s" in text
    for each in classes_of(result).per_class:
        assert f"{each.right} of {each.n}" in text
    for each in result.finalists:
        assert formats.number(each.loss) in text
        assert all(formats.number(value) in text for value in each.values)
    for field, value in Recipe.from_flat(result.winner.recipe).shown().items():
        assert field in text
        assert formats.compact(value).replace(",", "") in text.replace(",", "")
    for needed in (result.command, "tame predict runs/ants_bees-0001 photo.jpg", "ab12" * 16, "Linux-6.8.0-x86_64"):
        assert needed in text
    for each in classes_of(result).mistakes:
        assert f"{100 * each.probability:.1f} %" in text
    for finding in result.findings:
        assert in_plain_words(finding.title)[1:] in text
        assert finding.change in text
    assert all(str(count) in text for row in classes_of(result).confusion or () for count in row)


def test_a_regression_shows_its_errors_and_no_classes() -> None:
    result, _ = made("numbers")
    html = report("numbers")
    text = " ".join(read(html).text.split())
    assert isinstance(result.answers, NumberAnswers)
    about, score = result.answers.residuals, result.score
    for value in (score.value, score.low, score.high, about.median_size, about.size_90, about.rmse):
        assert formats.significant(value) in text
    for needed in ("A network that predicts price", "training mean", "± 2,500 over 5 folds", "on 800 test rows"):
        assert needed in text
    for each in result.answers.errors:
        assert each.id in text
        assert formats.significant(each.true) in text
    chart = html.partition('id="agreement"')[2].partition('class="slim"')[0]
    assert chart.count("<circle") + chart.count('class="cross"') == len(about.points) == 500
    for absent in ("Confusion", "Each class", "mistakes", "ommonest class", "nats", "accuracy"):
        assert absent not in text
    for each in result.finalists:
        assert formats.significant(each.value) in text
    assert f"{formats.metric_name('rmse')}, lower is better" in text
    assert "%" not in text.partition("95 % interval")[0]


def test_what_decides_between_equal_finalists_has_a_column_unless_it_is_the_metric_itself() -> None:
    result, _ = made("small_numbers")
    text = " ".join(read(report("small_numbers")).text.split())
    assert "the lowest RMSE wins" in text
    assert "without a real difference, the lowest" not in read(report("numbers")).text
    assert "without a real difference, the lowest" not in read(report("log_loss")).text
    assert "the lowest log loss wins" in " ".join(read(report("table")).text.split())
    assert all(formats.significant(each.loss) in text for each in result.finalists)


@pytest.mark.parametrize("case", ["table", "numbers", "arrays"])
def test_a_page_without_pictures_does_not_speak_of_them(case: str) -> None:
    text = read(report(case)).text
    assert "picture" not in text.lower()
    assert "Fine-tuning" not in text
    result, _ = made(case)
    for own in (printed(result_lines(result)), printed(study_table(state(case), mattered=None))):
        assert "picture" not in own.lower()
    assert "picture" not in model_card(result).lower()


@pytest.mark.parametrize("case", ["numbers", "table", "arrays", "two_classes"])
def test_nothing_found_is_said_for_every_task(case: str) -> None:
    result, past = made(case)
    html = render_report(replace(result, findings=(), all_findings=0), past, {})
    read(html)
    assert "No problems were found" in html


def test_a_study_without_findings_notes_backbone_or_trained_curves_still_has_a_report() -> None:
    result, _ = made("two_classes")
    facts = replace(result.data_facts, notes=(), skipped=0, skipped_first=(), folds=1)
    bare = replace(
        result, findings=(), all_findings=0, space=Space({}), backbone=None, fine_tuning=None, speed=None,
        data_facts=facts,
    )  # fmt: skip
    html = render_report(bare, History({0: Trial(0, BASE, "default", "the default recipe")}), {})
    assert "No problems were found" in html
    assert "trained from scratch" in html
    read(html)


def test_a_default_recipe_that_is_no_finalist_and_a_winner_without_fresh_seeds_are_said_to_be() -> None:
    result, past = made("two_classes")
    changed = replace(
        result,
        finalists=tuple(replace(each, origin="sobol") for each in result.finalists),
        winner=replace(result.winner, trial=result.winner.from_trial),
        baselines=replace(result.baselines, default=None),
    )
    html = render_report(changed, past, {})
    assert "so the gain over it is unknown" in html
    assert "There was no time to train the best recipes again" in html
    assert "comes from its training with a fresh" not in html


def test_what_is_seen_first_comes_first_and_every_section_is_listed_once() -> None:
    for case in ("two_classes", "numbers", "table"):
        html = report(case)
        sections = re.findall(r'<section[^>]* id="([\w-]+)"', html)
        listed = re.findall(r'<a href="#([\w-]+)">', html.partition("<nav")[2].partition("</nav>")[0])
        assert listed == sections
        first = ["agreement", "errors"] if case == "numbers" else ["mistakes", "confusion", "classes"]
        assert sections[: 1 + len(first)] == ["result", *first]
        assert sections.index("data") < sections.index("curves") < sections.index("search")
    assert '<section id="findings"' not in report("numbers"), "all are on the first screen"
    assert html.index('class="skip"') < html.index("<main")


def test_findings_are_shortened_only_where_they_are_told_in_full_further_down() -> None:
    result, past = made("two_classes")
    long = replace(result.findings[0], outcome="word " * 60 + "end")
    for others in ((), result.findings[1:]):
        html = render_report(replace(result, findings=(long, *others)), past, {})
        assert long.outcome in html
        assert ('<section id="findings"' in html) is bool(others)


def test_what_few_people_need_is_folded() -> None:
    folded = re.findall(r"<details[^>]*>\s*<summary>([^<]+)", report("table"))
    assert folded == [
        "The space",
        "All trials, by last validation loss",
        "How it was trained",
        "Versions, machine and hashes",
    ]


def test_the_steps_are_on_the_page_and_in_the_terminal() -> None:
    result, _ = made("two_classes")
    page = " ".join(read(report("two_classes")).text.split())
    shown = " ".join(printed(result_lines(result)).split())
    for step in next_steps(result):
        for text in (page, shown):
            assert step.command in text
            assert formats.sentence(step.why) in text


def test_a_winner_that_was_not_trained_to_its_end_and_few_examples_have_a_badge() -> None:
    result, past = made("two_classes")
    assert 'class="badge"' not in report("two_classes")
    evidence = {"trial": result.winner.trial, "epochs": 4, "of": 40}
    cut = replace(result, findings=(Finding("cut_short", "cut", "warning", evidence),))
    assert "Not trained to its end" in render_report(cut, past, {})
    assert "Not trained to its end." in printed(result_lines(cut))
    other = replace(cut, findings=(replace(cut.findings[0], evidence={**evidence, "trial": 9999}),))
    assert "Not trained to its end" not in render_report(other, past, {})
    few = replace(result, score=replace(result.score, low=0.8, high=0.95))
    assert "Few test pictures: a wide interval" in render_report(few, past, {})


def test_a_telephone_gets_charts_of_its_width_with_texts_that_can_be_read() -> None:
    for case in ("two_classes", "numbers", "forty_classes"):
        slim = re.findall(r'<div class="slim"><svg[^>]*viewBox="0 0 (\d+) \d+"', report(case))
        assert len(slim) >= 10
        assert set(slim) == {"350"}
    style = report("numbers").partition("<style>")[2].partition("</style>")[0]
    style = re.sub(r"@media print \{(?:[^{}]|\{[^{}]*\})*\}", "", style)
    sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", style)]
    assert min(size for size in sizes if size != 9) >= 11, "9 is a sign, not a text"


def test_labels_of_a_narrow_chart_lie_within_it() -> None:
    chart = report("two_classes").partition('id="finalist-values-narrow-title"')[2].partition("</svg>")[0]
    rows = re.findall(r'class="label"[^>]*>([^<]+)</text>', chart)
    assert "trial 0, default" in rows
    assert all(len(row) < 46 for row in rows)


def test_paper_gets_two_columns_page_numbers_and_twenty_trials() -> None:
    style = report("many_trials").partition("<style>")[2].partition("</style>")[0]
    assert "counter(page)" in style
    printed_style = style.partition("@media print")[2]
    assert ".score, .below, .pair { grid-template-columns: 1fr 1fr" in printed_style
    assert "tr:nth-child(n+21) { display: none; }" in printed_style
    assert "The first 20 of 500 are printed." in read(report("many_trials")).text
    assert "@media screen and (max-width: 930px)" in style


def test_the_page_of_a_failed_study_is_well_formed_and_inert() -> None:
    result, past = made("hostile")
    html = render_failure(HOSTILE[0], HOSTILE[1], result.findings, past)
    text = read(html).text
    assert "No usable model was trained" in text
    assert "stopped early" in text
    assert "\x1b" not in html
    assert "<script" not in html.replace("&lt;script", "")
    assert "No problems were found" in read(render_failure("photos", "no time", (), past)).text


def test_numbers_on_every_tint_of_the_matrix_can_be_read() -> None:
    """Source of the formula: Web Content Accessibility Guidelines 2.1, contrast ratio; 4.5 is asked for."""
    style = report("two_classes").partition("<style>")[2].partition("</style>")[0]
    for block in re.findall(r":root \{([^}]*)\}", style):
        colours = {name: f"{value}" for name, value in re.findall(r"--(\w+): (#[0-9a-f]{3,6});", block)}
        most = float(re.findall(r"--most: ([.\d]+);", block)[0])
        ink, panel = _channels(colours["ink"]), _channels(colours["panel"])
        for name in ("winner", "default"):
            tints = [
                [
                    most * share * a + (1 - most * share) * b
                    for a, b in zip(_channels(colours[name]), panel, strict=True)
                ]
                for share in (0.0, 0.25, 0.5, 0.75, 1.0)
            ]
            assert min(_contrast(ink, tint) for tint in tints) >= 4.5


def _channels(colour: str) -> list[float]:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]


def _contrast(one: list[float], other: list[float]) -> float:
    low, high = sorted(
        sum(w * (v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4)
            for w, v in zip((0.2126, 0.7152, 0.0722), colour, strict=True))
        for colour in (one, other)
    )  # fmt: skip
    return (high + 0.05) / (low + 0.05)
