"""Near copies of texts, and what one text copied from others."""

from __future__ import annotations

import numpy as np
import pytest

from tame.data.text_copies import coded, longest_run, near_copies, runs, words_of


def text(number: int, words: int = 60) -> str:
    return " ".join(f"w{number * 1000 + each}" for each in range(words))


def plain_share(a: str, b: str) -> float:
    """The share of the shorter text's runs of eight words that are in the other, from sets of tuples."""
    own = [{tuple(words[i : i + 8]) for i in range(len(words) - 7)} for words in map(words_of, (a, b))]
    return len(own[0] & own[1]) / min(map(len, own))


def test_texts_that_share_more_than_half_of_their_runs_are_near_copies():
    a = text(1)
    half = f"{' '.join(words_of(a)[:33])} {text(2, 27)}"  # 26 of 53 runs
    more = f"{' '.join(words_of(a)[:36])} {text(3, 24)}"  # 29 of 53
    inside = f"{text(4)} {a} {text(5)}"
    texts = [a, half, more, inside, text(6)]
    wanted = [(i, j) for i in range(5) for j in range(i + 1, 5) if plain_share(texts[i], texts[j]) > 0.5]
    assert near_copies(texts) == wanted == [(0, 2), (0, 3), (2, 3)]


def test_many_copies_of_one_text_are_joined():
    found = near_copies([text(1)] * 80 + [text(2)])
    assert {pair[0] for pair in found} == {0}
    assert len(found) == 79


def test_boilerplate_that_many_texts_share_joins_none():
    shared = text(0, 50)
    assert near_copies([f"{shared} {text(number, 30)}" for number in range(1, 80)]) == []


def test_punctuation_and_case_do_not_matter():
    a = text(1)
    assert near_copies([a, a.upper().replace(" ", ", ")]) == [(0, 1)]


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["one two"], ["one two", "one two", "three"]])
def test_short_and_empty_texts_are_taken(texts):
    assert near_copies(texts) == ([(0, 1)] if len(texts) == 3 else [])


def test_runs_are_equal_where_their_words_are():
    chance = np.random.default_rng(0)
    words = chance.integers(0, 5, 4000)
    own = runs(words, 4)
    tuples = [tuple(words[i : i + 4]) for i in range(len(words) - 3)]
    assert len(np.unique(own)) == len(set(tuples))
    first = {}
    assert all(first.setdefault(each, code) == code for each, code in zip(tuples, own, strict=True))


def test_the_longest_run_is_that_of_a_plain_search():
    chance = np.random.default_rng(1)
    for _ in range(20):
        some, every = chance.integers(0, 3, 15), chance.integers(0, 3, 60)
        text = " ".join(map(str, every))
        wanted = max(
            (j - i for i in range(15) for j in range(i + 1, 16) if f" {' '.join(map(str, some[i:j]))} " in f" {text} "),
            default=0,
        )
        length, start = longest_run(some, every)
        assert length == wanted
        assert not length or f" {' '.join(map(str, some[start : start + length]))} " in f" {text} "


def test_words_that_nobody_knows_are_no_run():
    (some, every) = coded([words_of("a b c"), words_of("d e f")])
    assert longest_run(some, every) == (0, 0)
