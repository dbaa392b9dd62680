"""Features of texts by a frozen encoder: each different text passes it once; what comes out is kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from tame.core.errors import UsageError
from tame.data.cache import ArrayCache
from tame.data.tables import Table
from tame.data.texts import digest_of
from tame.parts.encoders import TextEncoder, features_of, tokens_of

LENGTH = 128  # tokens of a text that are read
NO_ENCODER = "table.texts=encoder needs an encoder of texts, and this study has none; name one with --backbone"
CHUNK = 512  # texts whose features are stored at once: a killed process loses fewer


class FrozenTexts:
    """The features of columns of text. say: hears of progress: done, of how many."""

    def __init__(
        self, encoder: TextEncoder, *, device: torch.device, cache: Path | None = None,
        say: Callable[[int, int], None] = lambda done, total: None,
    ) -> None:  # fmt: skip
        self.encoder = encoder
        self._device = device
        self._cache = None if cache is None else ArrayCache(cache / "texts")
        self._say = say
        self._made: dict[tuple[str, ...], np.ndarray] = {}
        self.cut = 0  # texts that were longer than LENGTH, of those that were read here
        self.unknown = 0.0  # share of the tokens of the last texts that the tokenizer does not know

    def __call__(self, table: Table, name: str) -> np.ndarray:
        """(K, D) float32 features of the different texts of a column."""
        texts = table.texts[name]
        if texts not in self._made:
            self._made[texts] = self._features(texts)
        return self._made[texts]

    def cost(self, table: Table, tried: int) -> tuple[int, float]:
        """How many texts of a table have no features yet, and the seconds that these will take, from a few of them."""
        have = self._cache.keys() if self._cache is not None else frozenset()
        missing = [text for texts in table.texts.values() for text in texts if self._key(text) not in have]
        some = missing[:: max(1, len(missing) // tried)]
        if not some:
            return 0, 0.0
        begun = time.monotonic()
        features_of(self.encoder, tokens_of(self.encoder, some, length=LENGTH).ids, device=self._device)
        return len(missing), (time.monotonic() - begun) * len(missing) / len(some)

    def _features(self, texts: tuple[str, ...]) -> np.ndarray:
        keys = [self._key(text) for text in texts]
        found = dict(self._cache.get(keys)) if self._cache is not None else {}
        waiting = [place for place, key in enumerate(keys) if key not in found]
        # Of about the same length together, so that little of a batch is filled up.
        waiting.sort(key=lambda place: len(texts[place]))
        for start in range(0, len(waiting), CHUNK):
            some = waiting[start : start + CHUNK]
            tokens = tokens_of(self.encoder, [texts[place] for place in some], length=LENGTH)
            self.cut += int(tokens.was_cut.sum())
            self.unknown = tokens.unknown
            fresh = features_of(self.encoder, tokens.ids, device=self._device)
            own = {keys[place]: row for place, row in zip(some, fresh, strict=True)}
            if self._cache is not None:
                self._cache.put(own)
            found |= own
            self._say(min(start + CHUNK, len(waiting)), len(waiting))
        empty = np.zeros((0, self.encoder.num_features), dtype=np.float32)
        return np.stack([found[key] for key in keys]) if keys else empty

    def _key(self, text: str) -> str:
        return f"{digest_of(text)}-{self.encoder.digest[:16]}-{self.encoder.pooling}-{LENGTH}"


def no_encoder(table: Table, name: str) -> np.ndarray:
    """Raises UsageError: there is no encoder here."""
    raise UsageError(NO_ENCODER)
