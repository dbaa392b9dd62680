"""What decided about texts, found by leaving words out, and the training texts that are most like them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse

from tame.data.sources import take_rows
from tame.data.tables import MISSING, Table
from tame.data.tfidf import MOST_CHARACTERS
from tame.kinds.tables.commands import Quoted, QuotesAsked, QuotesTold
from tame.kinds.tables.prediction import CPU, judge_rows, restored
from tame.kinds.tables.text_columns import CountedTexts
from tame.kinds.tables.text_features import FrozenTexts
from tame.parts.network import Network

MOST_PIECES = 40  # that are left out of a text one by one; of a longer one, runs of words are
MOST_WORDS = 8  # told of a text
LEAST_WEIGHT = 0.02  # of a probability
BEGINNING = 400  # characters that are quoted
_WORD = re.compile(r"\w+")
Pieces = Sequence[tuple[str, str]]  # what is left out, and the text without it


def tell(
    table: Table, network: Network, asked: QuotesAsked, *, counted: CountedTexts, frozen: FrozenTexts | None
) -> QuotesTold:
    """What decided about texts of a table. frozen: the encoder that texts are compared by, None for their words.

    What is left out is judged as long as there is time; the nearest texts always are.
    """
    begun = time.perf_counter()
    rows, among = (np.array(each, dtype=np.int64) for each in (asked.rows, asked.among))
    near, likeness = _nearest(table, rows, among, counted, frozen)
    found = []
    for place, row in enumerate(asked.rows):
        late = asked.limit_s is not None and time.perf_counter() - begun > asked.limit_s
        words = () if late else weighed(table, network, row, answer=asked.answers[place])
        found.append(
            Quoted(
                row=row, text=beginning(table, row), words=words, likest=int(near[place]),
                likeness=float(likeness[place]), likest_text=beginning(table, int(near[place])), was_weighed=not late,
            )
        )  # fmt: skip
    length = read_length(network)
    was_cut = cut_rows(table, frozen, length)
    return QuotesTold(
        quotes=tuple(found), cut=tuple(row for row in asked.judged if was_cut[row]),
        trained=int(was_cut[among].sum()), read=length or MOST_CHARACTERS, unit="tokens" if length else "characters",
        by="the words in them" if frozen is None else f"the features of {frozen.encoder.name}",
    )  # fmt: skip


def beginning(table: Table, row: int) -> str:
    """The texts of a row, from their beginning."""
    texts = [_text_of(table, name, row) for name in table.texts]
    whole = " / ".join(" ".join(text.split()) for text in texts if text)
    return whole if len(whole) <= BEGINNING else f"{whole[: BEGINNING - 1]}…"


def weighed(table: Table, network: Network, row: int, *, answer: int) -> tuple[tuple[str, float], ...]:
    """Words of a row's texts, with how much lower the answer is without them, the weightiest first.

    answer: the class whose probability is looked at; -1: the number that is predicted.
    """
    found: list[tuple[str, float]] = []
    for name in table.texts:
        left_out = pieces(_text_of(table, name, row))
        if not left_out:
            continue
        rest = [text for _, text in left_out]
        whole, *others = _answers(_with_texts(table, name, row, rest), network, answer)
        found += [(words, whole - other) for (words, _), other in zip(left_out, others, strict=True)]
    least = LEAST_WEIGHT if answer >= 0 else 0.0
    heavy = sorted((each for each in found if abs(each[1]) > least), key=lambda each: -abs(each[1]))
    return tuple(heavy[:MOST_WORDS])


def pieces(text: str) -> Pieces:
    """Words of a text, each with the text without it wherever it stands; of a long text runs of words, each once."""
    spans = [found.span() for found in _WORD.finditer(text)]
    names = [text[start:end].casefold() for start, end in spans]
    if len(set(names)) <= MOST_PIECES:
        found = {}
        for word in dict.fromkeys(names):
            gone = [span for span, name in zip(spans, names, strict=True) if name == word]
            found[word] = _without(text, gone)
        return list(found.items())
    each = -(-len(spans) // MOST_PIECES)
    runs = [(spans[i][0], spans[min(i + each, len(spans)) - 1][1]) for i in range(0, len(spans), each)]
    return [(" ".join(text[start:end].split()), _without(text, [(start, end)])) for start, end in runs]


def cut_rows(table: Table, frozen: FrozenTexts | None, length: int) -> np.ndarray:
    """(N,) which rows have a text of which not all is read. length: tokens that an encoder reads; 0 of words."""
    found = np.zeros(table.num_rows, dtype=bool)
    for name, texts in table.texts.items():
        if length and frozen is not None:
            own = frozen.are_cut(texts, length)
        else:
            own = np.array([len(text) > MOST_CHARACTERS for text in texts])
        codes = table.values[name]
        found |= (codes != MISSING) & np.append(own, False)[codes]
    return found


def _text_of(table: Table, name: str, row: int) -> str:
    code = int(table.values[name][row])
    return "" if code < 0 else table.texts[name][code]


def _without(text: str, spans: Sequence[tuple[int, int]]) -> str:
    kept, last = [], 0
    for start, end in spans:
        kept.append(text[last:start])
        last = end
    return " ".join("".join([*kept, text[last:]]).split())


def _with_texts(table: Table, name: str, row: int, texts: Sequence[str]) -> Table:
    """A row as it is, then with each of these texts in a column."""
    own = take_rows(table, np.full(len(texts) + 1, row))
    places = dict.fromkeys([_text_of(table, name, row), *texts])
    numbers = {text: number for number, text in enumerate(places)}
    codes = np.array([numbers[_text_of(table, name, row)], *(numbers[text] for text in texts)], dtype=np.int64)
    few = {
        other: tuple(dict.fromkeys([_text_of(table, other, row)])) if other != name else tuple(places)
        for other in table.texts
    }
    values = {other: codes if other == name else np.where(own.values[other] < 0, own.values[other], 0) for other in few}
    return replace(own, values={**own.values, **values}, texts=few)


def _answers(table: Table, network: Network, answer: int) -> list[float]:
    """The probability of a class, or the number, for each row."""
    outputs = judge_rows(network, table, device=CPU).double()
    found = outputs[:, 0] if answer < 0 else torch.softmax(outputs, dim=1)[:, answer]
    return [float(value) for value in found]


def _nearest(
    table: Table, rows: np.ndarray, among: np.ndarray, counted: CountedTexts, frozen: FrozenTexts | None
) -> tuple[np.ndarray, np.ndarray]:
    """(n,) of each row the one among `among` with the likest texts, and the mean cosine of their texts."""
    total, have = np.zeros((len(rows), len(among)), dtype=np.float32), np.zeros(len(rows))
    for name in table.texts:
        some, every = table.values[name][rows], table.values[name][among]
        if frozen is not None:
            none = np.zeros((1, frozen.encoder.num_features), dtype=np.float32)
            x = np.vstack([frozen(table, name, frozen.length), none])
            total += x[some] @ x[every].T
        else:
            own = counted.fit(name, among)[1]
            lengths = np.sqrt(np.asarray(own.multiply(own).sum(axis=1), dtype=np.float64)).ravel()
            own = sparse.diags_array(1 / np.maximum(lengths, 1e-12)) @ own
            x = sparse.vstack([own, sparse.csr_matrix((1, own.shape[1]))], format="csr")
            total += np.asarray((x[some] @ x[every].T).todense(), dtype=np.float32)
        have += some != MISSING
    best = total.argmax(axis=1)
    return among[best], total[np.arange(len(rows)), best] / np.maximum(have, 1)


def read_length(network: Network) -> int:
    """Tokens that a network reads of each text with an encoder, the least of its members; 0 where it uses words."""
    plans = [plan for each in network.members for plan in restored(each).texts]
    return min((plan.length for plan in plans if plan.way == "encoder"), default=0)
