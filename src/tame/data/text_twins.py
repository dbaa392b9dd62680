"""Texts of a table that are nearly the same: but for capitals, digits and punctuation, or with most of their words."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tame.data.text_copies import is_character, near_copies, words_of

LEAST_WORDS = 4  # of a text that is compared: "ok" and "OK!" are no copies
_NO_LETTERS = re.compile(r"[\W\d_]+")


def near_texts(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (a, b), a < b, of these different texts that are nearly the same.

    Texts of at least 4 words (8 Chinese or Japanese characters) that are equal but for capitals, digits, punctuation
    and blanks, and those that `near_copies` finds.
    """
    words = [words_of(_NO_LETTERS.sub(" ", text.casefold())) for text in texts]
    long = [place for place, own in enumerate(words) if len(own) >= 2 * LEAST_WORDS or _num_words(own) >= LEAST_WORDS]
    found = {(long[a], long[b]) for a, b in near_copies([texts[place] for place in long])}
    first: dict[tuple[str, ...], int] = {}
    for place in long:
        other = first.setdefault(tuple(words[place]), place)
        if other != place:
            found.add((other, place))
    return sorted(found)


def _num_words(words: Sequence[str]) -> float:
    """How many words these are, two characters of a script without blanks as one."""
    return sum(0.5 if is_character(word) else 1.0 for word in words)
