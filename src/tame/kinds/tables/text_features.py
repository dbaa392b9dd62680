"""Features of texts by a frozen encoder: each different text passes it once; what comes out is kept on disk."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

import numpy as np
import torch

from tame.core.errors import UsageError
from tame.data.cache import ArrayCache
from tame.data.tables import Table
from tame.data.texts import digest_of
from tame.kinds.tables.text_choice import Answer, Asked, worth_it
from tame.kinds.tables.text_columns import LENGTH
from tame.parts.encoders import TextEncoder, Tokens, features_of, tokens_of
from tame.parts.products import has_half
from tame.trial.measurements import recall, remember

NO_ENCODER = "table.texts=encoder needs an encoder of texts, and this study has none; name one with --backbone"
TRIED = 48  # texts that a rate is measured on
AGREES = 0.02  # the largest distance of features in bfloat16 from those in float32; of MiniLM it is 0.008
CHUNK = 512  # texts whose features are stored at once: a killed process loses fewer


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Tokens of texts, as many as the encoder takes. counts: (K,); was_cut: (K,) whether there are more; unknown: how
    many stand for what the tokenizer does not know."""

    counts: np.ndarray
    was_cut: np.ndarray
    unknown: float


class FrozenTexts:
    """The features of columns of text. length: tokens that are read where nothing else is asked for; dtype: of
    products; say: hears of progress: done, of how many."""

    def __init__(
        self, encoder: TextEncoder, *, device: torch.device, cache: Path | None = None,
        dtype: torch.dtype = torch.float32, say: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:  # fmt: skip
        self.encoder = encoder
        self.length = min(LENGTH, encoder.longest)
        self.dtype = dtype
        self._device = device
        self._cache = None if cache is None else ArrayCache(cache / "texts")
        self._say = say
        self._counted: dict[tuple[str, ...], Counted] = {}
        self._made: dict[tuple[tuple[str, ...], int], np.ndarray] = {}

    def __call__(self, table: Table, name: str, length: int) -> np.ndarray:
        """(K, D) float32 features of the different texts of a column, of which so many tokens are read."""
        key = table.texts[name], min(length, self.encoder.longest)
        if key not in self._made:
            found = self._features(*key)
            assert found is not None, "nothing ends it"
            self._made[key] = found
        return self._made[key]

    def make(self, table: Table, length: int, *, until: float) -> bool:
        """Whether the features of all columns were made before a moment of the monotonic clock. Those of texts that
        were are kept."""
        for texts in table.texts.values():
            key = texts, min(length, self.encoder.longest)
            found = self._made[key] if key in self._made else self._features(*key, until=until)
            if found is None:
                return False
            self._made[key] = found
        return True

    def counted(self, texts: tuple[str, ...]) -> Counted:
        """How many tokens texts have. The tokens themselves would take more memory than the texts."""
        if texts not in self._counted:
            parts = [self._tokens(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK)]
            self._counted[texts] = Counted(
                np.array([len(ids) for each in parts for ids in each.ids], dtype=np.int64),
                np.concatenate([each.was_cut for each in parts]) if parts else np.zeros(0, dtype=bool),
                sum(each.unknown * sum(map(len, each.ids)) for each in parts),
            )
        return self._counted[texts]

    def are_cut(self, texts: tuple[str, ...], length: int) -> np.ndarray:
        """(K,) which texts have more tokens than are read of them."""
        own = self.counted(texts)
        return np.asarray(own.was_cut | (own.counts > length))

    def cost(self, table: Table, tried: int, lengths: Sequence[int]) -> tuple[int, list[float]]:
        """How many texts of a table have no features of the first length yet, and the seconds that each of these
        lengths takes after those before it, from a few texts."""
        known = set(self._cache.keys()) if self._cache is not None else set()
        found: list[float] = []
        num, rate = 0, 0.0  # seconds a token
        for length in lengths:
            missing: dict[str, tuple[str, int]] = {}
            for texts in table.texts.values():
                for text, own in zip(texts, self.counted(texts).counts.tolist(), strict=True):
                    missing[self._key(text, own, length)] = text, min(own, length)
            missing = {key: each for key, each in missing.items() if key not in known}
            some = sorted(missing.values(), key=lambda each: each[1])[:: max(1, len(missing) // tried)]
            if some and not rate:
                begun = time.monotonic()
                self._made_of([text for text, _ in some], length)
                rate = (time.monotonic() - begun) / sum(own for _, own in some)
            num = num or len(missing)
            found.append(rate * sum(own for _, own in missing.values()))
            known |= missing.keys()
        return num, found

    def _features(self, texts: tuple[str, ...], length: int, *, until: float = math.inf) -> np.ndarray | None:
        counts = self.counted(texts).counts.tolist()
        keys = [self._key(text, own, length) for text, own in zip(texts, counts, strict=True)]
        found = dict(self._cache.get(keys)) if self._cache is not None else {}
        waiting = [place for place, key in enumerate(keys) if key not in found]
        # Of about the same length together, so that little of a batch is filled up.
        waiting.sort(key=lambda place: counts[place])
        for start in range(0, len(waiting), CHUNK):
            if time.monotonic() > until:
                return None
            some = waiting[start : start + CHUNK]
            fresh = self._made_of([texts[place] for place in some], length)
            own = {keys[place]: row for place, row in zip(some, fresh, strict=True)}
            if self._cache is not None:
                self._cache.put(own)
            found |= own
            self._say(min(start + CHUNK, len(waiting)), len(waiting))
        empty = np.zeros((0, self.encoder.num_features), dtype=np.float32)
        return np.stack([found[key] for key in keys]) if keys else empty

    def _made_of(self, texts: Sequence[str], length: int) -> np.ndarray:
        ids = tokens_of(self.encoder, texts, length=length).ids
        return features_of(self.encoder, ids, device=self._device, dtype=self.dtype)

    def _tokens(self, texts: Sequence[str]) -> Tokens:
        return tokens_of(self.encoder, texts, length=self.encoder.longest)

    def _key(self, text: str, count: int, length: int) -> str:
        """Of a text that is read whole the same for every length."""
        half = "" if self.dtype == torch.float32 else "-half"
        return f"{digest_of(text)}-{self.encoder.digest[:16]}-{self.encoder.pooling}-{min(count, length)}{half}"


def texts_told(table: Table, frozen: FrozenTexts | None, asked: Asked) -> Answer:
    """What the features of all texts will take, or what was found in making them."""
    num = sum(map(len, table.texts.values()))
    if frozen is None:
        return Answer(num)
    read = [frozen.counted(texts) for texts in table.texts.values()]
    tokens, longest = np.concatenate([each.counts for each in read]), frozen.encoder.longest
    lengths = asked.lengths or worth_it(tokens, longest)
    missing, seconds, first = 0, [0.0] * len(lengths), lengths[0]
    if asked.make:
        until = math.inf if asked.limit_s is None else time.monotonic() + asked.limit_s
        lengths = tuple(takewhile(lambda length: frozen.make(table, length, until=until), lengths))
        frozen.length = first
    else:
        missing, seconds = frozen.cost(table, TRIED, lengths)
    return Answer(
        num, missing, tuple(lengths), tuple(seconds), longest=longest,
        cut=sum(int(frozen.are_cut(texts, first).sum()) for texts in table.texts.values()),
        unknown=sum(each.unknown for each in read) / max(int(tokens.sum()), 1), blocks=len(frozen.encoder.stages),
    )  # fmt: skip


def training_dtype(encoder: TextEncoder, texts: Sequence[str], *, device: torch.device, path: Path) -> torch.dtype:
    """bfloat16 where products in it are faster here and give these texts about the same features, else float32.

    Found out once and remembered for the machine in `path`, so that a study repeats.
    """
    key = "-".join(map(str, ("encoder", device.type, torch.__version__, os.cpu_count(), encoder.digest[:16])))
    found = recall(path, key, bool)
    if found is None:
        found = has_half(device) and _agrees(encoder, texts[:: max(1, len(texts) // TRIED)][:TRIED], device)
        remember(path, key, found)
    return torch.bfloat16 if found else torch.float32


def _agrees(encoder: TextEncoder, texts: Sequence[str], device: torch.device) -> bool:
    ids = tokens_of(encoder, texts, length=min(LENGTH, encoder.longest)).ids
    usual, half = (features_of(encoder, ids, device=device, dtype=each) for each in (torch.float32, torch.bfloat16))
    return bool(np.linalg.norm(usual - half, axis=1).max(initial=0.0) <= AGREES)


def no_encoder(table: Table, name: str, length: int) -> np.ndarray:
    """Raises UsageError: there is no encoder here."""
    raise UsageError(NO_ENCODER)
