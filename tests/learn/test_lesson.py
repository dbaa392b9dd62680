"""Lessons: what their files hold, and that no number in them was written by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from made_seen import adapted
from tame.core.errors import StorageError, UsageError
from tame.learn.lesson import as_html, lesson, lessons, places, read, table
from tame.learn.numbers import numbers
from tame.learn.question import MAKERS
from tame.learn.questions import questions

DIGITS = re.compile(r"\d")
MARKERS = re.compile(r"^\d+\. ", re.MULTILINE)  # of lists, which Markdown counts itself
NAMES = ("2-3-1", "L1", "L2")  # of things, not numbers of a study
# Slips of other courses' texts, which ours must not repeat.
SLIPS = (
    "converges to the minimum", "each epoch drops", "handle noise", "handles noise", "little memory", "faster: sgd",
    "one example at a time", "combats overfitting", "stuck in local minima", "learnt",
)  # fmt: skip


@pytest.mark.parametrize("own", lessons(), ids=lambda own: own.name)
def test_no_number_of_a_lesson_is_written_by_hand(own):
    prose = MARKERS.sub("", own.text)
    for name in NAMES:
        prose = prose.replace(name, "")
    assert DIGITS.findall(prose) == []
    assert [each for each in own.own if DIGITS.search(each)] == []
    assert DIGITS.search(own.about) is None


@pytest.mark.parametrize("own", lessons(), ids=lambda own: own.name)
def test_a_lesson_is_whole(own, seen, pictures):
    assert own.rows
    assert all(row.topic and row.action and row.check for row in own.rows)
    assert 4 <= own.minutes <= 12
    assert own.name in MAKERS, "each lesson has questions"
    assert questions(own.name, seen, seed=0)
    assert {name for each in own.own for name in places(each)} <= {
        *numbers(seen),
        *numbers(pictures),
        *numbers(replace(seen, language=adapted())),
    }, "a study fills every place"
    assert "<h2>" in as_html(own.text)


@pytest.mark.parametrize("own", lessons(), ids=lambda own: own.name)
def test_no_lesson_repeats_a_known_slip(own):
    assert [slip for slip in SLIPS if slip in own.text.lower()] == []


def test_the_lessons_are_numbered_once_each():
    found = [own.number for own in lessons()]
    assert found == sorted(set(found))


def test_a_sentence_without_its_number_is_left_out():
    text = (
        '+++\nnumber = 1\ntitle = "T"\nminutes = 5\nabout = "a"\nown = ["It is {a}.", "It is {b}."]\nrows = []\n+++\nx'
    )
    assert read("x", text).sentences({"a": "3"}) == ("It is 3.",)


def test_a_lesson_is_found_by_name_and_number_and_a_near_name_is_told():
    assert lesson("descent") == lesson("1")
    with pytest.raises(UsageError, match="did you mean 'descent'"):
        lesson("decsent")


@pytest.mark.parametrize("text", ["no facts", "+++\ntitle = 1\n"])
def test_a_file_that_is_no_lesson_is_refused(text):
    with pytest.raises(UsageError, match="does not begin with its facts"):
        read("x", text)


def test_facts_that_do_not_fit_are_refused():
    with pytest.raises(StorageError, match="the lesson x is damaged"):
        read("x", '+++\nnumber = "one"\n+++\ntext')


def test_html_in_a_lesson_is_shown_as_text():
    assert "<script>" not in as_html("a <script>alert()</script> b")


# What the course is to teach: each topic with the lesson that has a row about it.
TAUGHT = [
    ("descent", "five steps"), ("descent", "uphill"), ("descent", "momentum and adaptive"), ("rate", "too small"),
    ("rate", "overshooting"), ("rate", "read off a curve"), ("rate", "decay"), ("batches", "mini-batch"),
    ("losses", "huber"), ("losses", "cross-entropy"), ("losses", "pizza"), ("optimizers", "rmsprop"),
    ("optimizers", "costs"), ("optimizers", "guide"), ("backprop", "layers"), ("fit", "over- and underfitting"),
    ("fit", "weight decay, dropout"), ("fit", "does not help"), ("honest", "looked at twice"), ("honest", "luck"),
    ("honest", "cross-validation"), ("search", "grid, random and bayesian"), ("search", "real"),
    ("transfer", "few examples"), ("transfer", "destroys"), ("texts", "legal text"), ("texts", "forgetting"),
    ("loop", "adjust"), ("bees", "hands-on"), ("bees", "augmentation"), ("bees", "faults"), ("bees", "experiments"),
    ("loop", "test me, flash cards"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "topic"), TAUGHT)
def test_every_topic_of_the_course_has_an_action_and_a_check(name, topic):
    [row] = [row for row in lesson(name).rows if topic in row.topic.lower()]
    assert f"| {row.topic} | {lesson(name).number} {lesson(name).title} | {row.action} | {row.check} |" in table()


def test_the_table_has_no_other_rows():
    assert table().count("\n") == 1 + len(TAUGHT) == 1 + sum(len(own.rows) for own in lessons())
