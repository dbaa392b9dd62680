"""Words that give a class away by themselves: a label inside the text, a footer that one source adds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.data.tfidf import HOW, WORDS

LEAST_TEXTS = 20  # of a class
HOLDS, RIGHT = 0.9, 0.98  # share of the class's texts with the words, and of the texts with the words of the class


@dataclass(frozen=True, slots=True)
class TellingWords:
    """Words that tell one class. holds: share of its texts with them; others: share of all other texts."""

    words: str
    number: int
    holds: float
    others: float


def telling_words(texts: Sequence[str], truth: np.ndarray, *, num_classes: int) -> list[TellingWords]:
    """For each class the words, one or two, that nearly all of its texts have and hardly any other; at most one.

    truth: (n,) class numbers. Of two classes one word may tell both: the one that has it is told.
    """
    from sklearn.feature_extraction.text import CountVectorizer  # takes a second to load

    if len(texts) < 2 * LEAST_TEXTS:
        return []
    counter = CountVectorizer(binary=True, min_df=LEAST_TEXTS // 2, **HOW[WORDS])
    try:
        x = counter.fit_transform(texts).tocsr()
    except ValueError:  # no word is in so many texts
        return []
    names, total = counter.get_feature_names_out(), np.asarray(x.sum(axis=0)).ravel()
    found = []
    for number in range(num_classes):
        mine = truth == number
        if mine.sum() < LEAST_TEXTS or mine.all():
            continue
        own = np.asarray(x[np.flatnonzero(mine)].sum(axis=0)).ravel()
        holds, right = own / mine.sum(), own / np.maximum(total, 1)
        good = np.flatnonzero((holds >= HOLDS) & (right >= RIGHT))
        if len(good):
            best = good[np.argmax(holds[good] + right[good])]
            others = float((total[best] - own[best]) / (~mine).sum())
            found.append(TellingWords(str(names[best]), number, float(holds[best]), others))
    return found
