"""Texts that are nearly copies are found, others are not; and words that give a class away are told."""

from __future__ import annotations

import numpy as np

from tame.data.text_leaks import telling_words
from tame.data.text_twins import near_texts

WORDS = [f"w{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(600)]


def text(seed: int, num: int = 40) -> str:
    return " ".join(np.random.default_rng(seed).choice(WORDS, num))


def test_texts_that_differ_in_capitals_digits_and_punctuation_are_nearly_the_same():
    texts = ["You have won 500 pounds, call now!", "YOU HAVE WON 900 POUNDS - CALL NOW", "ok", "OK!", text(1)]
    assert near_texts(texts) == [(0, 1)]


def test_a_text_with_most_of_another_is_nearly_the_same():
    whole = text(1)
    part = " ".join(whole.split()[:25])
    assert near_texts([whole, text(2), f"{text(3, 8)} {part}"]) == [(0, 2)]


def test_a_text_that_quotes_another_is_not():
    whole = text(1, 100)
    assert near_texts([whole, f"{text(2, 100)} {' '.join(whole.split()[:20])}"]) == []


def test_random_texts_have_no_copies_and_boilerplate_is_none():
    footer = " ".join(WORDS[:12])
    assert near_texts([f"{text(seed, 30)} {footer}" for seed in range(60)]) == []
    assert near_texts([text(seed, 12) for seed in range(300)]) == []


def test_chinese_texts_are_compared_by_characters():
    texts = [
        "快递很快，包装也很好，下次再来",
        "快递很快 包装也很好！下次再来。",
        "很好用！",
        "很好用。",
        "快递太慢了，包装破了，不会再来",
    ]
    assert near_texts(texts) == [(0, 1)]


def labelled(num: int, add: dict[int, str]) -> tuple[list[str], np.ndarray]:
    truth = np.arange(num) % 3
    return [f"{text(i, 12)} {add.get(int(truth[i]), '')}" for i in range(num)], truth


def test_a_label_inside_the_text_is_told():
    texts, truth = labelled(150, {1: "category sport"})
    (found,) = telling_words(texts, truth, num_classes=3)
    assert (found.number, found.holds, found.others) == (1, 1.0, 0.0)
    assert "sport" in found.words or "category" in found.words


def test_words_that_only_help_are_not_told():
    texts, truth = labelled(150, {})
    helped = [f"{each} rare" if truth[i] == 1 and i % 2 else each for i, each in enumerate(texts)]
    assert telling_words(helped, truth, num_classes=3) == []
    assert telling_words(texts[:30], truth[:30], num_classes=3) == [], "of few texts nothing is said"
    assert telling_words(["!"] * 60, np.arange(60) % 2, num_classes=2) == []
