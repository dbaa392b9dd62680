"""Questions: their keys are what the study's events say, computed by another way; a wrong key would be found."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from made_seen import adapted
from tame.core.errors import UsageError
from tame.core.plain import from_plain, to_plain
from tame.learn.lesson import lessons
from tame.learn.question import MAKERS, Question, judge
from tame.learn.questions import questions
from tame.learn.seen import VERDICTS, Seen, findings_of, verdict
from tame.monitor.rules import RULES

SEEDS = range(25)
NUMBER = r"(−?-?[\d.,]+(?:e-?\d+)?)"


def all_questions(seen, lesson):
    return [each for seed in SEEDS for each in questions(lesson, seen, seed=seed, many=5)]


def value(text):
    return float(text.replace(",", "").replace("−", "-").rstrip("."))


def said(question, pattern):
    """The numbers that a question names."""
    found = re.search(pattern, question.text)
    return None if found is None else [value(each) for each in found.groups()]


# How each key follows from the words of its question and from the events, written once more.
AGAIN = {
    rf"A weight is {NUMBER}, its gradient {NUMBER}\. .* rate of {NUMBER}\?": lambda q, s, w, g, r: w - r * g,
    rf"was {NUMBER} after its first epoch and {NUMBER} after its last": lambda q, s, a, b: 100 * b / a,
    rf"rates here go from {NUMBER} to {NUMBER}\.": lambda q, s, a, b: math.log10(b) - math.log10(a),
    rf"rate of {NUMBER} falls linearly to zero\. What is it after {NUMBER}%": lambda q, s, r, p: r - r * p / 100,
    rf"over {NUMBER} steps to {NUMBER}\. What is it at step {NUMBER}\?": lambda q, s, n, r, k: r / n * k,
    rf"trains on {NUMBER} .* batch size of {NUMBER}\?": lambda q, s, n, b: -(-n // b),
    rf"After {NUMBER} full batches of {NUMBER}: .* your {NUMBER} ": lambda q, s, u, b, n: u * b / n,
    rf"true class a probability of {NUMBER}\.": lambda q, s, p: math.log(1 / p),
    rf"each of your {NUMBER} classes the same": lambda q, s, c: -math.log(1 / c),
    rf"off by {NUMBER}\. .* delta {NUMBER}\?": lambda q, s, e, d: e * e / 2 / (d * e - d * d / 2),
    rf"rate {NUMBER}, gradients {NUMBER} and then {NUMBER}\.": lambda q, s, r, a, b: -(0.9 * a * r + b * r),
    rf"first gradient of a weight is {NUMBER}\. .* rate of {NUMBER} change": lambda q, s, g, r: -r if g > 0 else r,
    rf"w = {NUMBER} and x = {NUMBER}, the target {NUMBER},": lambda q, s, w, x, y: (
        (0.5 * ((w + 1e-6) * x - y) ** 2 - 0.5 * ((w - 1e-6) * x - y) ** 2) / 2e-6
    ),
    rf"unit has {NUMBER} before .* output is {NUMBER}, .* below is {NUMBER}\.": lambda q, s, i, a, w: (
        0 if i < 0 else a * w
    ),
    rf"loss is {NUMBER}; with the weight {NUMBER} higher it is {NUMBER}\.": lambda q, s, a, h, b: (b - a) / h,
    rf"gives {NUMBER} features\. .* for {NUMBER} classes": lambda q, s, d, c: d * c + c,
    rf"has {NUMBER} weights, the head on it {NUMBER}\.": lambda q, s, b, h: h / (b + h) * 100,
    rf"validation loss of trial {NUMBER} lowest": lambda q, s, t: min(
        (p[2], p[0]) for each in s.trials if each.number == t for p in each.points if p[2] is not None
    )[1],
    rf"training loss of {NUMBER} and a validation loss of {NUMBER}\.": lambda q, s, t, v: v - t,
    rf"interval rests on {NUMBER} ": lambda q, s, n: n * 2**2,
    rf"accuracy of {NUMBER} was measured on {NUMBER} ": lambda q, s, p, n: (p * (1 - p)) ** 0.5 / n**0.5,
    rf"at least one of {NUMBER} random": lambda q, s, n: 100 - 100 * math.exp(n * math.log(0.9)),
    rf"needs {NUMBER} bits for each token": lambda q, s, b: math.exp(b * math.log(2)),
    rf"matrix has {NUMBER} rows and {NUMBER} columns\. .* rank {NUMBER} ": lambda q, s, o, d, r: r * o + r * d,
    rf"cost {NUMBER} bits per character before and {NUMBER} after": lambda q, s, a, b: (b - a) / a * 100,
    rf"has {NUMBER} values for each of {NUMBER} fields": lambda q, s, v, f: math.prod([int(v)] * int(f)),
}


def of_words(question, seen):
    """The key by the words of the question; None where it is a choice or a fact about an optimizer."""
    for pattern, again in AGAIN.items():
        found = said(question, pattern)
        if found is not None:
            return again(question, seen, *found)
    return None


def test_what_a_language_model_forgot_is_asked_about(seen):
    own = replace(seen, language=adapted())
    found = [each for each in all_questions(own, "texts") if "nothing to do with yours" in each.text]
    assert found
    for question in found:
        assert judge(question, of_words(question, own)).right


@pytest.mark.sampled(3)
@pytest.mark.parametrize("lesson", [own.name for own in lessons()])
def test_every_key_is_what_follows_from_the_words_and_the_events(lesson, seen):
    asked = all_questions(seen, lesson)
    assert asked
    for question in asked:
        again = of_words(question, seen)
        if question.options:
            assert question.answer in question.options
        elif again is not None:
            assert judge(question, again).right, (question.text, question.key, again)
        else:
            assert "How many numbers does" in question.text, f"no other way to this key is known: {question.text}"


@pytest.mark.sampled(3)
@pytest.mark.parametrize("lesson", [own.name for own in lessons()])
def test_a_wrong_key_is_found(lesson, seen):
    """The law itself: the same check with planted keys that are off by more than the tolerance."""
    for question in all_questions(seen, lesson):
        again = of_words(question, seen)
        if again is not None and not question.options:
            wrong = replace(question, key=question.key + abs(question.key) + 1)
            assert not judge(wrong, again).right, question.text


def test_what_an_optimizer_keeps_is_what_its_state_has(seen):
    torch = pytest.importorskip("torch")
    from tame.parts.optimizers import OPTIMIZERS

    asked = [each for each in all_questions(seen, "optimizers") if "How many numbers does" in each.text]
    assert asked
    for question in asked:
        name = re.search(r"does (\w+) keep", question.text)[1]
        state = OPTIMIZERS.get(name).init({"w": torch.zeros(1, 10)})
        assert question.key == sum(value.numel() for key, value in state.items() if key.endswith(".w")) / 10, name


@pytest.mark.slow
def test_the_name_of_a_curve_is_what_the_doctor_says(seen):
    asked = [each for each in all_questions(seen, "fit") if "What would you say" in each.text]
    assert asked
    for question in asked:
        trial = next(each for each in seen.trials if each.number == question.trial)
        found = verdict(findings_of(trial, seen.facts))
        assert question.answer.lower() == VERDICTS[found].lower()


def test_every_kind_of_curve_comes_from_rules_that_exist():
    from tame.learn.seen import OF_CODES

    assert set(OF_CODES) <= set(RULES.names())
    assert set(OF_CODES.values()) | {"good"} == set(VERDICTS)


def test_the_same_seed_asks_the_same(seen):
    assert questions("descent", seen, seed=3) == questions("descent", seen, seed=3)
    assert len({each.text for seed in SEEDS for each in questions("descent", seen, seed=seed)}) > 20


def test_a_round_has_three_questions_and_none_twice(seen):
    for own in lessons():
        found = questions(own.name, seen, seed=1)
        assert len(found) == len({each.text for each in found}) == 3, own.name


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "empty"), ("   ", "empty"), ("abc", "not a number"), ("nan", "finite"), ("inf", "finite"),
        ("1,5", "write a point"), (None, "give a number"), (True, "give a number"), ([1], "give a number"),
        (float("nan"), "finite"), ("1e999", "finite"), ("x" * 10_000, "not a number"),
    ],
)  # fmt: skip
def test_what_is_no_answer_is_refused(answer, words):
    with pytest.raises(UsageError, match=words):
        judge(Question(text="?", key=1.0, why=""), answer)


@pytest.mark.parametrize("answer", ["2", "-1", "0.5"])
def test_a_choice_that_is_not_there_is_refused(answer):
    with pytest.raises(UsageError, match="choose one of the 2"):
        judge(Question(text="?", key=1, why="", options=("a", "b")), answer)


@pytest.mark.parametrize(
    ("answer", "right"), [("0.25", True), ("0.26", True), ("0.28", False), ("-0.25", False), ("25e-2 ", True)]
)
def test_a_number_is_right_within_its_tolerance(answer, right):
    assert judge(Question(text="?", key=0.25, why="", tolerance=0.05), answer).right is right


def test_an_unknown_lesson_has_no_questions(seen):
    assert questions("nothing", seen, seed=0) == ()
    assert "nothing" not in MAKERS


def test_what_is_seen_survives_the_way_through_a_pipe(seen):
    assert from_plain(Seen, json.loads(json.dumps(to_plain(seen))), what="it") == seen


def test_a_study_with_nothing_in_it_asks_what_it_can(seen):
    bare = Seen(name="x", is_own=True, nouns="rows", task="regression", metric="rmse", counts={}, train=40, valid=10)
    for own in lessons():
        for question in questions(own.name, bare, seed=0):
            assert math.isfinite(question.key)
