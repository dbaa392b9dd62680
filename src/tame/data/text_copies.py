"""Texts that are the same, nearly the same, or part of one another, by the runs of eight words that they share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np

from tame.core.rng import stream

RUN = 8  # words
SAME = 0.5  # of the runs of the shorter text that are also in the longer one: from there on they are near copies
COMMON = 50  # texts that may share a run: what more of them hold is boilerplate, which joins nothing
_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


def coded(texts: Iterable[Sequence[str]]) -> list[np.ndarray]:
    """Each text, given as words, as numbers (n,) int64: equal words have equal numbers."""
    known: dict[str, int] = {}
    return [np.array([known.setdefault(word, len(known)) for word in words], dtype=np.int64) for words in texts]


def runs(words: np.ndarray, length: int = RUN) -> np.ndarray:
    """(n - length + 1,) hashes (uint64) of all runs of so many words, in order. words: (n,) numbers.

    Two runs that differ share a hash with a chance of one in 2**64. A text shorter than a run is one run.
    """
    length = min(length, len(words))
    if not length:
        return np.zeros(0, dtype=np.uint64)
    factors = stream(0, "runs of words").integers(1, 2**63, size=RUN, dtype=np.uint64)[:length] | np.uint64(1)
    # Spread out first: sums of products with small numbers collide.
    spread = (words.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    spread ^= spread >> np.uint64(29)
    windows = np.lib.stride_tricks.sliding_window_view(spread, length)
    return np.asarray((windows * factors).sum(axis=1, dtype=np.uint64))


def near_copies(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of texts of which the shorter one shares more than half of its runs of eight words with the longer.

    Source: Broder, On the resemblance and containment of documents (1997).
    """
    if not texts:
        return []
    own = [np.unique(runs(words)) for words in coded(map(words_of, texts))]
    sizes = np.array([len(each) for each in own])
    every, place = np.concatenate(own), np.repeat(np.arange(len(own)), sizes)
    order = np.argsort(every, kind="stable")
    every, place = every[order], place[order]
    starts = np.flatnonzero(np.r_[True, every[1:] != every[:-1]][: len(every)])
    shared: dict[tuple[int, int], int] = {}
    for start, end in pairwise([*starts, len(every)]):
        if 1 < end - start <= COMMON:
            some = place[start:end].tolist()
            for i, first in enumerate(some):
                for second in some[i + 1 :]:
                    shared[first, second] = shared.get((first, second), 0) + 1
    pairs = [pair for pair, count in shared.items() if count > SAME * min(sizes[pair[0]], sizes[pair[1]])]
    same: dict[bytes, int] = {}  # also where more texts are alike than may share a run
    for number, each in enumerate(own):
        first = same.setdefault(each.tobytes(), number)
        if first != number and len(each):
            pairs.append((first, number))
    return sorted(set(pairs))


def longest_run(some: np.ndarray, every: np.ndarray) -> tuple[int, int]:
    """The length of the longest run of words that `some` (n,) shares with `every` (N,), and where in `some` it
    starts. Takes n x N steps."""
    best, start = 0, 0
    run = np.zeros(len(every) + 1, dtype=np.int32)
    for place, word in enumerate(some.tolist()):
        run[1:] = np.where(every == word, run[:-1] + 1, 0)
        longest = int(run.max(initial=0))
        if longest > best:
            best, start = longest, place - longest + 1
    return best, start
