"""What a delivered language model does: what it forgot, what it writes, and how much of that it copied."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import torch
from torch import Tensor

from tame.core.evaluation import BeforeAfter, LanguageAnswers, OtherText, Written
from tame.data.text_copies import RUN, coded, joined, longest_run, runs, words_of
from tame.kinds.language.commands import Asked
from tame.parts.generation import generate
from tame.parts.llama import Llama
from tame.parts.tokenizer import Tokenizer, in_blocks

OPENING = 12  # tokens of a text that samples go on from
SAMPLES, TOKENS = 3, 80  # that are written, and their length
TEMPERATURE = 0.8
OTHER_SHARE = 0.3  # of the time, for the other text
REPEATED = 4  # words of a run that counts as repeated

Bits = Callable[[Llama, Tensor], list[float]]


@dataclass(frozen=True, slots=True)
class Models:
    """The model as it was given, and as it is delivered."""

    before: Llama
    after: Llama


def tell(
    models: Models, tokenizer: Tokenizer, asked: Asked, bits: Bits, *, foretold: int, characters: int, block: int,
    trained: int, seen: Sequence[str], openings: Sequence[str],
) -> LanguageAnswers:  # fmt: skip
    """What the delivered model does beside its score.

    foretold, characters: of the sealed passages; seen: the texts that are trained on; openings: beginnings of texts
    that are not.
    """
    begun = time.perf_counter()
    other = of_other(models, tokenizer, bits, block=block, limit_s=_share(asked.limit_s, OTHER_SHARE))
    left = None if asked.limit_s is None else asked.limit_s - (time.perf_counter() - begun)
    written, rate = write_samples(models, tokenizer, openings, seen, seed=asked.seed, limit_s=left)
    ratio = characters / max(foretold, 1)
    perplexity = BeforeAfter(*(2 ** (value * ratio) for value in asked.bits))
    return LanguageAnswers(
        perplexity=perplexity, tokens=foretold, characters=characters, other=other, written=written,
        temperature=TEMPERATURE, seed=asked.seed, trained=trained, rate=rate,
    )  # fmt: skip


def other_text() -> str:
    """A text of some 2,000 words about everyday things, written for TAME: the same for every model."""
    return files("tame.kinds.language").joinpath("other_text.txt").read_text(encoding="utf-8")


def of_other(
    models: Models, tokenizer: Tokenizer, bits: Bits, *, block: int, limit_s: float | None
) -> OtherText | None:
    """How the other text is foretold before and after, as much of it as there is time for; None where there is none."""
    text, config = tokenizer.encode(other_text()), models.before.config
    ids = np.concatenate([[config.bos_token_id], text.ids]).astype(np.int64)
    blocks = torch.from_numpy(in_blocks(ids, np.concatenate([[0], text.characters]), block))
    begun, sums, seen = time.perf_counter(), np.zeros(2), 0
    for some in torch.split(blocks, 4):
        own = some[:, -1].double().numpy()
        sums += [float(np.dot(bits(model, some), own)) for model in (models.before, models.after)]
        seen += len(some)
        if limit_s is not None and time.perf_counter() - begun > limit_s:
            break
    judged = blocks[:seen]
    characters, tokens = int(judged[:, -1].sum()), int((judged[:, 1:-1] >= 0).sum())
    each = (sums / characters).tolist()
    return OtherText(
        bits=BeforeAfter(*each), perplexity=BeforeAfter(*(2 ** (own * characters / tokens) for own in each)),
        characters=characters,
    )  # fmt: skip


def write_samples(
    models: Models, tokenizer: Tokenizer, openings: Sequence[str], seen: Sequence[str], *, seed: int,
    limit_s: float | None,
) -> tuple[tuple[Written, ...], float | None]:  # fmt: skip
    """What both models write after a few openings, and tokens a second; none where there is no time."""
    every = _Learnt.of(seen)
    found: list[Written] = []
    begun, count = time.perf_counter(), 0
    for number, opening in enumerate(openings[:SAMPLES]):
        prompt = tokenizer.encode(opening).ids.tolist()
        texts = []
        for model in (models.before, models.after):
            room = model.config.max_position_embeddings - len(prompt) - 1
            own = [model.config.bos_token_id, *prompt]
            ids = list(generate(model, own, tokens=min(TOKENS, room), temperature=TEMPERATURE, seed=seed + number))
            count += len(ids)
            texts.append(_continued(tokenizer, own, ids))
        found.append(every.judged(opening, *texts))
        used = time.perf_counter() - begun
        if limit_s is not None and used + used / len(found) > limit_s:
            break
    used = time.perf_counter() - begun
    return tuple(found), count / used if count else None


def _continued(tokenizer: Tokenizer, prompt: list[int], ids: list[int]) -> str:
    return tokenizer.decode([*prompt, *ids])[len(tokenizer.decode(prompt)) :].strip("\ufffd")


@dataclass(frozen=True, slots=True)
class _Learnt:
    """The words of all texts that are trained on. words: one after the other, -1 between texts; known: all their runs
    of eight words, sorted."""

    codes: dict[str, int]
    words: np.ndarray
    known: np.ndarray

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Learnt:
        split = [words_of(text) for text in texts]
        codes: dict[str, int] = {}
        for words in split:
            for word in words:
                codes.setdefault(word, len(codes))
        own = coded(split)
        parted = [part for each in own for part in (each, np.array([-1]))]
        known = np.unique(np.concatenate([runs(each) for each in own if len(each) >= RUN] or [np.zeros(0, np.uint64)]))
        return cls(codes, np.concatenate(parted), known)

    def judged(self, prompt: str, before: str, after: str) -> Written:
        words = words_of(after)
        own = np.array([self.codes.get(word, -2) for word in words], dtype=np.int64)
        copied, start = longest_run(own, self.words)
        each = runs(own) if len(own) >= RUN else np.zeros(0, dtype=np.uint64)
        return Written(
            prompt=prompt, before=before, after=after, copied=copied, words=joined(words[start : start + copied]),
            known=float(np.isin(each, self.known).mean()) if len(each) else 0.0,
            repeated=BeforeAfter(*map(repeated, (before, after))),
        )  # fmt: skip


def repeated(text: str) -> float:
    """The share of a text's runs of four words that it has had before."""
    (words,) = coded([words_of(text)])
    if len(words) <= REPEATED:
        return 0.0
    each = runs(words, REPEATED)
    return 1 - len(np.unique(each)) / len(each)


def _share(limit_s: float | None, share: float) -> float | None:
    return None if limit_s is None else share * limit_s
