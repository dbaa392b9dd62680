"""Texts that are the same, nearly the same, or part of one another, by the runs of eight words that they share: of
Chinese and Japanese by runs of eight characters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.rng import stream

RUN = 8  # words
SAME = 0.5  # of the runs of the shorter text that are also in the longer one: from there on they are near copies
COMMON = 50  # texts that may share a run: what more of them hold may be boilerplate, which joins nothing
COVERED = 0.8  # of the words, in runs that are shared: less may be a letterhead and a disclaimer
LINKS = 4  # texts that each is compared with for the runs that more than COMMON share
BLOCK = 2**22  # numbers that are looked at together
LONGEST = 40  # characters of a word: German has some of that length
# Chinese characters and Japanese syllables, which are written without blanks.
_UNSPACED = (
    r"\u3005-\u3007\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    r"\uff66-\uff9d\U00020000-\U0003ffff"
)
_PLAIN = re.compile(r"\w+", re.ASCII)  # quicker than the next, and the same where all is ASCII
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_CHARACTER = re.compile(f"[{_UNSPACED}]")


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation.

    Each Chinese or Japanese character is a word of its own, for no blanks stand between words there, and so is each
    character of a word of more than 40. Thai is parted at vowels and tones above and below the line, into pieces of
    about five letters.
    """
    found = (_PLAIN if text.isascii() else _WORD).findall(text.lower())
    if max(map(len, found), default=0) <= LONGEST:
        return found
    return [part for word in found for part in (word if len(word) > LONGEST else (word,))]


def is_character(word: str) -> bool:
    """Whether a word of `words_of` is a character of a script without blanks, of which a word has about two."""
    return len(word) == 1 and _CHARACTER.match(word) is not None


def joined(words: Sequence[str]) -> str:
    """Words of `words_of` as they are read: without blanks between characters of a script that has none."""
    return "".join(
        f" {word}" if place and not (is_character(word) and is_character(words[place - 1])) else word
        for place, word in enumerate(words)
    )


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
    total = np.zeros(len(words) - length + 1, dtype=np.uint64)
    for place, factor in enumerate(factors):
        total += spread[place : place + len(total)] * factor
    return total


def near_copies(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of texts of which the shorter one shares more than half of its runs of eight words with the longer.

    Runs that more than 50 texts share may be boilerplate. They count only for two texts that are, but for a fifth of
    their words, the same; and of such a crowd not all pairs are named, but enough to join it. Takes memory and time in
    proportion to the words: 100,000 texts of 50 words take some seconds.
    Source: Broder, On the resemblance and containment of documents (1997).
    """
    if not texts:
        return []
    held = _Held.of(list(map(words_of, texts)))
    alike, counts = held.sharing()
    first, second = held.parted(alike)
    near = counts > SAME * np.minimum(held.sizes[first], held.sizes[second])
    pairs = [*zip(first[near].tolist(), second[near].tolist(), strict=True)]
    same: dict[bytes, int] = {}  # also where more texts are alike than may share a run
    is_first = np.ones(len(texts), dtype=bool)
    for number, each in enumerate(np.split(held.keys % held.num_runs, np.cumsum(held.sizes)[:-1])):
        other = same.setdefault(each.tobytes(), number)
        if other != number and len(each):
            pairs.append((other, number))
            is_first[number] = False
    pairs += held.in_crowds(alike, counts, is_first)
    return sorted(set(pairs))


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """Which runs of words N texts hold, in numbers. line: the runs of all texts, in order; lengths: (N,) how many of
    them are of each text; keys: text x num_runs + run, each once, sorted; sizes: (N,) different runs of each text."""

    line: np.ndarray
    lengths: np.ndarray
    keys: np.ndarray
    sizes: np.ndarray
    num_runs: int

    @classmethod
    def of(cls, texts: Sequence[Sequence[str]]) -> _Held:
        own = coded(texts)
        words = np.array([len(each) for each in own])
        lengths = np.where(words >= RUN, words - RUN + 1, np.minimum(words, 1))
        hashes, number = runs(np.concatenate(own)), np.repeat(np.arange(len(own)), words)
        within = (
            hashes[number[: len(hashes)] == number[len(number) - len(hashes) :]] if len(number) >= RUN else hashes[:0]
        )
        every = np.zeros(lengths.sum(), dtype=np.uint64)
        every[np.repeat(words >= RUN, lengths)] = within
        starts = np.cumsum(lengths) - lengths
        for short in np.flatnonzero((words > 0) & (words < RUN)).tolist():
            every[starts[short]] = runs(own[short])[0]
        different, line = np.unique(every, return_inverse=True)
        num_runs = max(len(different), 1)
        keys = _different(np.repeat(np.arange(len(own)), lengths) * num_runs + line)
        return cls(line, lengths, keys, np.bincount(keys // num_runs, minlength=len(own)), num_runs)

    def parted(self, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first and the second text of pairs, which are numbers first x N + second."""
        return pairs // len(self.sizes), pairs % len(self.sizes)

    def sharing(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of texts that share a run which at most 50 texts hold, sorted, and how many such runs they share."""
        run = self.keys % self.num_runs
        order = np.argsort(run, kind="stable")
        text, holders = (self.keys // self.num_runs)[order], np.bincount(run, minlength=self.num_runs)
        starts = np.cumsum(holders) - holders
        found, counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        for size in range(2, COMMON + 1):
            i, j = np.triu_indices(size, 1)
            own = starts[holders == size]
            for some in np.array_split(own, -(-len(own) * len(i) // BLOCK)) if len(own) else ():
                new = text[some[:, None] + i] * len(self.sizes) + text[some[:, None] + j]
                found, counts = _added(found, counts, new.ravel())
        return found, counts

    def in_crowds(self, alike: np.ndarray, counts: np.ndarray, chosen: np.ndarray) -> list[tuple[int, int]]:
        """Pairs of near copies that also share runs which more than 50 texts hold. alike, counts: as `sharing` gives
        them; chosen: (N,) bool, texts that are looked at."""
        num, run, text = len(self.sizes), self.keys % self.num_runs, self.keys // self.num_runs
        is_common = np.bincount(run, minlength=self.num_runs)[run] > COMMON
        common = np.bincount(text[is_common], minlength=num)
        first, second = self.parted(alike)
        rare = self.sizes - common
        both = (common[first] > 0) & (common[second] > 0) & chosen[first] & chosen[second]
        asked = [alike[both & (counts > SAME * np.minimum(rare[first], rare[second]))]]
        kept = is_common & chosen[text]
        asked.append(self._linked(run[kept], text[kept]))
        pairs = _different(np.concatenate(asked))
        first, second = self.parted(pairs)
        place = np.minimum(np.searchsorted(alike, pairs), max(len(alike) - 1, 0))
        known = np.where(alike[place] == pairs, counts[place], 0) if len(alike) else np.zeros(len(pairs))
        most = known + np.minimum(common[first], common[second])
        good = most > SAME * np.minimum(self.sizes[first], self.sizes[second])
        first, second = first[good], second[good]
        words = self.lengths + RUN - 1
        ends = np.cumsum(np.minimum(words[first], words[second])) // BLOCK
        found: list[tuple[int, int]] = []
        for block in np.split(np.arange(len(ends)), np.flatnonzero(np.diff(ends)) + 1) if len(ends) else ():
            a, b = first[block], second[block]
            is_same = self._are_same(a, b)
            found += zip(a[is_same].tolist(), b[is_same].tolist(), strict=True)
        return found

    def _linked(self, run: np.ndarray, text: np.ndarray) -> np.ndarray:
        """Pairs of each text with a few before it: of the first and of the next before it that hold one of its runs,
        those with most such runs. Comparing all that share a run would be quadratic."""
        num = len(self.sizes)
        order = np.argsort(run, kind="stable")
        run, text = run[order], text[order]
        if not len(run):
            return np.zeros(0, dtype=np.int64)
        is_start = np.r_[True, run[1:] != run[:-1]]
        later = ~is_start
        starts = np.flatnonzero(is_start)[np.cumsum(is_start) - 1]
        before = np.concatenate([text[starts][later], text[np.flatnonzero(later) - 1]])
        pairs, times = np.unique(before * num + np.tile(text[later], 2), return_counts=True)
        first, second = self.parted(pairs)
        best = np.lexsort((first, -times, second))
        own = second[best]
        starts = np.flatnonzero(np.r_[True, own[1:] != own[:-1]])
        rank = np.arange(len(own)) - np.repeat(starts, np.diff(np.r_[starts, len(own)]))
        return np.asarray(pairs[best[rank < LINKS]])

    def _are_same(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(n,) whether these pairs share more than half of the runs of the shorter text, and these runs hold all but a
        fifth of the words of the longer."""
        is_shorter = self.lengths[first] <= self.lengths[second]
        shorter, longer = np.where(is_shorter, first, second), np.where(is_shorter, second, first)
        num, words = self.lengths[shorter], self.lengths[shorter] + RUN - 1
        pair = np.repeat(np.arange(len(num)), words)
        place = np.arange(len(pair)) - np.repeat(np.cumsum(words) - words, words)
        is_run = place < num[pair]  # behind the runs of each text follow places for the last words
        pair_of, offsets = pair[is_run], np.cumsum(self.lengths) - self.lengths
        keys = longer[pair_of] * self.num_runs + self.line[offsets[shorter[pair_of]] + place[is_run]]
        shared = np.zeros(len(pair), dtype=np.int64)
        shared[is_run] = self.keys[np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)] == keys
        total = np.cumsum(shared)
        covered = total > np.r_[np.zeros(RUN, dtype=np.int64), total[:-RUN]][: len(total)]
        half = np.bincount(pair, shared, len(num)) > SAME * num
        held = np.bincount(pair, covered, len(num)) >= COVERED * (self.lengths[longer] + RUN - 1)
        return np.asarray(half & held)


def _different(keys: np.ndarray) -> np.ndarray:
    """The keys sorted, each once; np.unique would hash them, which takes longer."""
    own = np.sort(keys)
    return own[np.r_[True, own[1:] != own[:-1]]] if len(own) else own


def _added(keys: np.ndarray, counts: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted keys and their counts, with more keys counted."""
    new, times = np.unique(more, return_counts=True)
    every, place = np.unique(np.concatenate([keys, new]), return_inverse=True)
    total = np.bincount(place, np.concatenate([counts, times]), len(every))
    return every, total.astype(np.int64)


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
