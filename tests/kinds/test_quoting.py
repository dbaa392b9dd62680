"""Texts as the report quotes them: the words that decided, the likest training text, the score on what was cut."""

from __future__ import annotations

from dataclasses import replace

from made_results import made
from tame.core.quotes import ClassWords, CutTexts, Likest, Quote, Quotes, Weighed
from tame.core.records import Score
from tame.core.result import Result
from tame.kinds.tables.quoting import MOST_PIECES, pieces
from tame.report.page import render_report
from tame.report.quotes_section import cut, of_texts


def test_each_word_is_left_out_wherever_it_stands():
    found = dict(pieces("Good day, good cat!"))
    assert list(found) == ["good", "day", "cat"]
    assert found["good"] == "day, cat!"
    assert found["day"] == "Good , good cat!"
    assert pieces("  ...") == []


def test_of_a_long_text_runs_of_words_are_left_out_each_once():
    words = [f"w{number}" for number in range(100)]
    found = pieces(" ".join(words))
    assert len(found) <= MOST_PIECES
    assert [word for run, _ in found for word in run.split()] == words
    assert all(set(run.split()) | set(rest.split()) == set(words) for run, rest in found)


SCORE = Score(0.9, 0.8, 0.95, 40, "test examples whose texts are cut")
QUOTES = Quotes(
    quotes=(
        Quote(
            "t.csv:7", "<b>free</b> prize\u202e now", (Weighed("prize", 0.4), Weighed("now", -0.05)),
            Likest("t.csv:9", "spam", 0.82, "a prize for you"),
        ),
    ),
    by_class=(ClassWords("spam", 4, (Weighed("prize", 0.3),)),),
    by="the words in them",
    cut=CutTexts(128, "tokens", 40, 153, SCORE, None),
)  # fmt: skip


def test_the_report_quotes_texts_inert():
    result, history = made("two_classes")
    own = replace(result, quotes=QUOTES, kind="table")
    page = render_report(own, history, {})
    assert "<b>free" not in page
    assert "&lt;b&gt;free&lt;/b&gt; prize" in page
    assert "\u202e" not in page
    assert "for it “prize” 40 %; against it “now” 5 %" in page
    assert "Of 40 of the 153 test texts only the first 128 tokens are read" in page
    assert Result.from_json(own.to_json()) == own
    assert "What decided about texts" not in render_report(result, history, {})


def test_the_texts_that_were_cut_are_counted_in_both_parts():
    result, _ = made("two_classes")
    both = CutTexts(128, "tokens", 40, 153, SCORE, None, 300, 1200)
    assert cut(result, both).startswith("of 40 of the 153 test texts only the first 128 tokens are read: ")
    assert cut(result, both).endswith(" on these; the same holds of 300 of the 1,200 texts that it was trained on")
    tested = replace(both, trained=0)
    assert cut(result, tested).endswith("; the 1,200 texts that it was trained on are read whole")
    alone = CutTexts(20_000, "characters", 0, 153, None, None, 1, 1200)
    said = "of 1 of the 1,200 texts that it was trained on only the first 20,000 characters are read"
    assert cut(result, alone) == f"{said}; the 153 test texts are read whole"


def test_a_text_like_no_other_is_said_to_be_so():
    result, _ = made("two_classes")
    far = replace(QUOTES.quotes[0], likest=Likest("t.csv:9", "spam", 0.1, "something else"))
    section = of_texts(replace(result, quotes=replace(QUOTES, quotes=(far,), by_class=(), cut=None)))
    assert section is not None
    assert section.quotes[0].likest.startswith("like none of the training texts; least unlike t.csv:9")
    assert not section.is_section
