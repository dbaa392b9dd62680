"""The pictures of the report: which are drawn, and what is said of each."""

from __future__ import annotations

from dataclasses import replace

from made_results import JPEG, classes_of, made, read, with_answers
from tame.core.evaluation import Sample
from tame.core.result import Result
from tame.report.page import render_report
from tame.report.pictures import LARGE, MOST_PAIRS, SMALL, pictured

SAMPLES = (
    Sample("val/ants/1.jpg", "ants", "ants", 0.991), Sample("val/ants/2.jpg", "ants", "bees", 0.8),
    Sample("val/bees/3.jpg", "bees", "bees", 0.97),
)  # fmt: skip


def sampled() -> Result:
    return with_answers(made("two_classes")[0], samples=SAMPLES)


def test_samples_and_pairs_are_small_and_mistakes_are_large() -> None:
    result = sampled()
    sides = pictured(result)
    assert {sides[each.id] for each in SAMPLES} == {SMALL}
    assert {sides[each.id] for each in classes_of(result).mistakes} == {LARGE}
    twin = next(each for each in result.findings if each.code == "near_duplicates")
    assert all(name in sides for name in twin.evidence["pairs"][0])
    assert pictured(made("numbers")[0]) == {}
    many = replace(twin, evidence={"count": 99, "pairs": [[f"{i}.jpg", f"{i}b.jpg"] for i in range(99)]})
    assert (
        len(pictured(replace(result, findings=(many,)))) == len(pictured(replace(result, findings=()))) + 2 * MOST_PAIRS
    )


def test_each_class_shows_its_samples_and_frames_its_mistakes() -> None:
    result, past = sampled(), made("two_classes")[1]
    html = render_report(result, past, dict.fromkeys(pictured(result), JPEG))
    read(html)
    strips = html.partition("Typical pictures of each class")[2].partition("</section>")[0]
    assert strips.count("<li") == 3
    assert strips.count('class="mistaken"') == 1
    assert 'alt="ants, predicted correctly with a probability of 99.1 %"' in strips
    assert 'alt="ants, predicted as bees with a probability of 80.0 %"' in strips


def test_pairs_of_copies_stand_side_by_side_if_both_can_be_shown() -> None:
    result, past = made("two_classes")
    html = render_report(result, past, dict.fromkeys(pictured(result), JPEG))
    pairs = html.partition("<h3>Copies</h3>")[2].partition("</ul>")[0]
    assert pairs.count("<img") == 2
    assert "1 of 3 are shown." in pairs
    assert "<h3>Copies</h3>" not in render_report(result, past, {})


def test_mistakes_are_described_with_their_probability() -> None:
    result, past = made("two_classes")
    html = render_report(result, past, dict.fromkeys(pictured(result), JPEG))
    for each in classes_of(result).mistakes:
        share = f"{100 * each.probability:.1f} %"
        assert f'alt="{each.true}, predicted as {each.predicted} with a probability of {share}"' in html


def test_samples_of_a_result_are_kept_and_older_results_have_none() -> None:
    result = sampled()
    assert classes_of(Result.from_json(result.to_json())).samples == SAMPLES
    assert "samples" not in made("two_classes")[0].to_json()
