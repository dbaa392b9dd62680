"""Two studies beside each other: paired where single answers are known, refused on other questions."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

pytest.importorskip("starlette", reason="the extra ui is not installed")

from served_pages import serving, unpack
from tame.core.edits import Edit, Edited
from tame.core.records import Event, Score
from tame.evaluate.compare import paired_shares
from tame.evaluate.score import judged_from
from tame.pages.compare import unpaired
from tame.report.formats import shown_signed
from tame.study.events import Answer, Judgements, OfPart, event_of
from tame.study.judgements import MOST, also_wrong
from tame.study.record import open_record


def sealed(folder):
    """The rows of the test part and their names."""
    with (folder / "split.csv").open(newline="") as file:
        return {row: each["id"] for row, each in enumerate(csv.DictReader(file)) if each["part"] == "test"}


def answered(folder, wrong, *, listed=200, others=()):
    """Keeps which of the sealed examples were answered wrongly, and the score that follows."""
    count = len(sealed(folder))
    record = open_record(folder, read_only=False)
    result = [event for event in record.each() if event.kind == "result"][-1].data
    share = 1 - len(wrong) / count
    score = {**result["score"], "value": share, "low": share - 0.2, "high": share + 0.2}
    part = OfPart(
        n=count, wrong=len(wrong), mistakes=tuple(Answer(row, "dark", 0.9) for row in wrong[:listed]),
    )  # fmt: skip
    judged = Judgements(test=part, also_wrong=tuple(wrong[listed:]) or None)
    record.append([event_of(judged), Event("result", {**result, "score": score}), *others])
    record.close()


@pytest.fixture
def pair(tmp_path):
    """Two studies of the same pictures."""
    return [unpack("pictures", tmp_path / name).rename(tmp_path / name / name) for name in ("one", "two")]


def compare(pair, tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    for folder in pair:
        folder.rename(runs / folder.name)
    with serving(runs) as own:
        known = {each["name"]: each["id"] for each in json.loads(own.request("/api/studies")[2])["studies"]}
        return own.request(f"/compare?a={known['one']}&b={known['two']}")[2].decode()


@pytest.mark.parametrize("listed", [200, 1])
def test_the_interval_of_single_answers_is_that_of_paired_shares(pair, tmp_path, listed):
    rows = list(sealed(pair[0]))
    names = list(sealed(pair[0]).values())
    wrong = ([*rows[:4], rows[6]], rows[2:4])
    for folder, own in zip(pair, wrong, strict=True):
        answered(folder, own, listed=listed)
    right = [np.array([row not in own for row in rows]) for own in wrong]
    found = paired_shares(right[1], right[0])
    assert found.value == pytest.approx(0.3)
    page = compare(pair, tmp_path)
    value, low, high = (shown_signed("accuracy", own) for own in (found.value, found.low, found.high))
    assert f"{value} ({low} to {high}) on the same 10 examples" in page
    assert "The interval is of the two answers to each example." in page
    assert "Only two is right on 3 examples" in page
    assert "Only one is right on 0 examples" in page
    assert names[0] in page


def test_all_mistakes_are_kept_the_surest_among_those_that_are_shown():
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(700, 3))
    judged = judged_from("multiclass", [f"{n}.jpg" for n in range(700)], chance.integers(0, 3, 700), logits)
    rows = {name: 1000 + place for place, name in enumerate(judged.ids)}
    kept = also_wrong(judged, rows)
    wrong = {1000 + place for place in np.flatnonzero(~judged.right)}
    assert set(kept) < wrong
    assert len(kept) == len(wrong) - MOST
    least = min(judged.probabilities[row - 1000].max() for row in wrong - set(kept))
    assert all(judged.probabilities[row - 1000].max() <= least for row in kept)
    assert also_wrong(judged.only(judged.right), rows) is None


def test_without_all_answers_the_interval_is_wider_and_says_so(pair, tmp_path):
    page = compare(pair, tmp_path)
    assert "No real difference was shown: 0" in page
    assert "not all kept" in page
    assert "Answers that differ" not in page


def test_labels_that_were_edited_for_one_of_them_are_no_longer_the_same_question(pair, tmp_path):
    name = next(iter(sealed(pair[0]).values()))
    edits = Edited(edits=(Edit(id=name, action="label", label="light"),), sealed=(name,))
    answered(pair[0], [], others=[event_of(edits)])
    answered(pair[1], [])
    page = compare(pair, tmp_path)
    assert "1 label of the test part was edited for one of them alone, so they cannot be compared." in page


def changed(folder, kind, **values):
    """Writes the last event of a kind again, with other values."""
    record = open_record(folder, read_only=False)
    last = [event for event in record.each() if event.kind == kind][-1].data
    record.append([Event(kind, {**last, **values})])
    record.close()
    return last


def test_other_classes_are_another_question(pair, tmp_path):
    changed(pair[1], "result", classes=["cold", "hot"])
    page = compare(pair, tmp_path)
    assert "They answer different questions (they have other classes), so they cannot be compared." in page


def test_the_same_names_with_another_content_are_refused(pair, tmp_path):
    name = next(iter(sealed(pair[1]).values()))
    digests = digests_of(pair[1])
    assert any(each.startswith(f"{name}:") for each in digests), digests[:3]
    changed(pair[1], "data", digests=[f"{name}:other" if each.startswith(f"{name}:") else each for each in digests])
    assert "has the same names, but not the same content" in compare(pair, tmp_path)


def test_a_picture_that_was_trained_on_may_differ(pair, tmp_path):
    changed(pair[1], "data", digests=["more.png:other", *digests_of(pair[1])])
    assert "on the same 10 examples" in compare(pair, tmp_path)


def digests_of(folder):
    record = open_record(folder, read_only=True)
    found = [event for event in record.each() if event.kind == "data"][-1].data["digests"]
    record.close()
    return found


def test_a_score_whose_interval_is_doubtful_is_not_told_better(pair, tmp_path):
    score = {"value": 0.1, "low": 0.1, "high": 0.1, "n": 10, "how": "", "doubt": "the examples are of 1 group only"}
    changed(pair[1], "result", score=score)
    page = compare(pair, tmp_path)
    assert "Which one is better cannot be said: the examples are of 1 group only." in page


def test_a_split_with_an_endless_cell_is_not_read(pair, tmp_path):
    with (pair[1] / "split.csv").open("a") as file:
        file.write(f"{'x' * 140_000},test\n")
    assert "cannot be compared" in compare(pair, tmp_path)


@pytest.mark.parametrize("is_rising", [True, False])
def test_the_interval_of_two_scores_holds_what_it_says(is_rising):
    """Of two independent means of skewed losses, whose own intervals have arms of other lengths."""
    chance = np.random.default_rng(1)
    held, rounds = 0, 400
    for _ in range(rounds):
        own = [scored(np.sqrt(chance.exponential(size=80))) for _ in range(2)]
        gain, low, high = unpaired(*own, is_rising=is_rising)
        assert low <= gain <= high
        held += low <= 0 <= high
    assert 0.92 <= held / rounds <= 0.985


def scored(values):
    """A mean with an interval from its logarithm, longer above than below."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return Score(mean, mean * np.exp(-1.96 * error / mean), mean * np.exp(1.96 * error / mean), len(values), "")


def test_an_interval_with_a_long_arm_is_taken_by_its_arms():
    """The second error is higher, and the first one's own interval holds it."""
    gain, low, high = unpaired(Score(1.0, 0.98, 1.5, 40, ""), Score(1.4, 1.38, 1.9, 40, ""), is_rising=False)
    assert gain == pytest.approx(-0.4)
    assert low < 0 < high
