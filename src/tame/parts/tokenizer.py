"""Texts to tokens and back, by the tokenizer.json of a model's folder. Needs the extra `text`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.parts.text_folders import read_tokenizer, reading_tokens, require_known


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text as tokens (n,) int32, and the number of its characters (n,) int32 that each stands for."""

    ids: np.ndarray
    characters: np.ndarray


class Tokenizer:
    """The tokenizer of a language model. content: of its tokenizer.json; ids: how many the model has embeddings for."""

    def __init__(self, content: bytes, *, ids: int, where: str) -> None:
        """Raises UsageError and DataError as `read_tokenizer`."""
        self._own, self._ids, self._where = read_tokenizer(content, where=where, ids=ids), ids, where
        unknown = getattr(self._own.model, "unk_token", None)
        self._unknown = None if unknown is None else self._own.token_to_id(unknown)

    def unknown(self, ids: np.ndarray) -> int:
        """How many of these tokens stand for what the tokenizer does not know."""
        return 0 if self._unknown is None else int((ids == self._unknown).sum())

    def name_of(self, token: int) -> str:
        """What a token is called in the vocabulary."""
        return self._own.id_to_token(token) or ""

    def encode(self, text: str) -> Tokens:
        """The tokens of a text, without those that begin or end it. Raises UsageError and DataError as a tokenizer that
        does not belong to the model does."""
        with reading_tokens(self._where):
            found = self._own.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False)
        require_known(found.ids, self._ids, where=self._where)
        ends = np.array([end for _, end in found.offsets], dtype=np.int64)
        ends = np.maximum.accumulate(ends) if len(ends) else ends
        return Tokens(np.array(found.ids, dtype=np.int32), np.diff(ends, prepend=0).astype(np.int32))

    def decode(self, ids: Sequence[int]) -> str:
        """The text of tokens, those that begin or end one left out."""
        found: str = self._own.decode(list(ids), skip_special_tokens=True)
        return found


def in_blocks(ids: np.ndarray, characters: np.ndarray, block: int) -> np.ndarray:
    """(n, block + 2) int64: blocks of tokens that overlap by one, so that each is foretold once, -1 where the last is
    not full; then the characters of those that are foretold, at least 1."""
    num = max(1, -(-(len(ids) - 1) // block))
    found = np.full(num * block + 1, -1, dtype=np.int64)
    found[: len(ids)] = ids
    counts = np.zeros(num * block + 1, dtype=np.int64)
    counts[: len(ids)] = characters
    tokens = np.lib.stride_tricks.sliding_window_view(found, block + 1)[::block]
    each = counts[1:].reshape(num, block).sum(axis=1)
    return np.concatenate([tokens, np.maximum(each, 1)[:, None]], axis=1)
