"""Columns of text as inputs of a file, and in operators: their terms and tokens are made before, by rules it tells.

ONNX has no operators for the rules by which words are found (Unicode's lower case, runs of characters inside words),
nor for those of a tokenizer. So the graph is given numbers of terms with their counts, or of tokens, and all that
follows is in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import hstack

from tame.data.tfidf import HOW, MOST_CHARACTERS, WORDS, TfIdf
from tame.kinds.tables.row_encoder import RowEncoder
from tame.kinds.tables.text_columns import TextPlan
from tame.parts.encoders import CHARACTERS as A_TOKEN
from tame.parts.encoders import TextEncoder, tokens_of
from tame.parts.onnx_encoders import encoder_nodes
from tame.parts.operators import DOUBLE, FLOAT, INT64, Operators

TERMS, COUNTS, TOKENS, MASK, LENGTH = "terms", "counts", "tokens", "mask", "length"  # what an input is
_TYPES = {INT64: "int64", FLOAT: "float32", DOUBLE: "float64"}
TOKENIZER = "tokenizer.json"  # in the metadata, where there is an encoder
TERM_RULES = (
    "terms and counts: take the `first_characters` of a text, in lower case (Python's str.lower); words: what the "
    "regular expression \\w+ finds, and pairs of neighbouring words with a space between; characters: split the text "
    "at blanks, put a space before and after each piece, and take all its runs of 2 to 5 characters; the number of a "
    "term is its place in `words` of `terms`, and those of `characters` go on behind; others do not count"
)
TOKEN_RULES = (
    f"tokens and mask: take the `first_characters` of a text, make tokens of them by {TOKENIZER} in this "
    "metadata, without cutting, and where there are more than `most_tokens` keep the first of them and the very last"
)
TEXT_RULES = (
    "texts are in Unicode's composed form (NFC), with \\n at the ends of lines and without blanks around a cell; where "
    "one is missing, terms, counts, tokens and mask are 0, and length (its number of characters) is NaN"
)


@dataclass(frozen=True, slots=True)
class OneInput:
    """An input of the file. type: of its numbers, in ONNX; most: tokens that are read, 0 where it has none."""

    name: str
    kind: str
    type: int
    most: int

    @property
    def side(self) -> str:
        """What its columns are; "" where each row has one number."""
        return {TERMS: "terms", COUNTS: "terms", LENGTH: ""}.get(self.kind, "tokens")

    def to_json(self) -> dict[str, object]:
        """What is said of it in the file."""
        shape = {"type": _TYPES[self.type], "shape": ["n", *([self.side] if self.side else [])]}
        if self.kind == LENGTH:
            return {"kind": self.kind, **shape, "missing": "NaN"}
        found = {"kind": self.kind, **shape, "missing": 0, "first_characters": self.most * A_TOKEN or MOST_CHARACTERS}
        return {**found, "most_tokens": self.most} if self.most else found


@dataclass(frozen=True, slots=True, eq=False)
class TextInput:
    """What the file is given of a column of text.

    terms: by analyzer, of all members together, none where no member counts words; lengths: tokens that members read;
    is_measured: whether the number of characters counts; names: of the inputs, by what they are.
    """

    column: str
    terms: Mapping[str, tuple[str, ...]]
    lengths: tuple[int, ...]
    is_measured: bool
    names: Mapping[str, str]

    @property
    def num_terms(self) -> int:
        return sum(map(len, self.terms.values()))

    def places(self, tfidf: TfIdf) -> np.ndarray:
        """(V,) the numbers of the terms of a member."""
        found, start = [], 0
        for name in HOW:
            known = {term: place for place, term in enumerate(self.terms[name], start)}
            found += [known[term] for term in tfidf.terms[name].tolist()]
            start += len(known)
        return np.array(found, dtype=np.int64)

    def inputs(self) -> list[OneInput]:
        """All that the file is given of the column, in order."""
        found = [(TERMS, INT64, 0), (COUNTS, FLOAT, 0)] if self.terms else []
        found += [(kind, INT64, most) for most in self.lengths for kind in (TOKENS, MASK)]
        found += [(LENGTH, DOUBLE, 0)] if self.is_measured else []
        return [OneInput(self.names[_key(kind, most)], kind, number, most) for kind, number, most in found]

    def described(self) -> list[dict[str, object]]:
        """What is said of the inputs in the file."""
        return [{"name": each.name, "column": self.column, **each.to_json()} for each in self.inputs()]

    def feeds(self, texts: Sequence[str], codes: np.ndarray, encoder: TextEncoder | None) -> dict[str, np.ndarray]:
        """The inputs for rows. texts: (K,) different ones; codes: (n,) into them, MISSING where there is none."""
        found = {}
        if self.terms:
            found[self.names[TERMS]], found[self.names[COUNTS]] = self._counted(texts, codes)
        for length in self.lengths:
            assert encoder is not None
            ids = (*tokens_of(encoder, texts, length=length).ids, ())
            rows = [ids[code] for code in codes.tolist()]  # MISSING is -1, the last one
            found[self.names[_key(TOKENS, length)]] = _padded(rows)
            found[self.names[_key(MASK, length)]] = _padded([[1] * len(each) for each in rows])
        if self.is_measured:
            found[self.names[LENGTH]] = np.array([*map(len, texts), np.nan])[codes]
        return found

    def _counted(self, texts: Sequence[str], codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, K) int64 numbers of the terms of each row, and (n, K) float32 how often each occurs; 0 behind them."""
        terms = {name: np.array(own, dtype=object) for name, own in self.terms.items()}
        counted = hstack(list(TfIdf(terms, {}).counts_of(texts).values()), format="csr")
        rows = [slice(0)] + [slice(*counted.indptr[place : place + 2]) for place in range(len(texts))]
        own = [rows[code + 1] for code in codes.tolist()]  # MISSING is -1
        numbers = _padded([counted.indices[each] for each in own])
        return numbers, _padded([counted.data[each] for each in own]).astype(np.float32)


def rules(texts: Sequence[TextInput]) -> list[str]:
    """What the caller does to texts before."""
    found = [TEXT_RULES] if texts else []
    found += [TERM_RULES] if any(own.terms for own in texts) else []
    return found + ([TOKEN_RULES] if any(own.lengths for own in texts) else [])


def _padded(rows: Sequence[Sequence[int] | np.ndarray]) -> np.ndarray:
    """(n, K) int64, with zeros behind those that are shorter; K is 1 or more."""
    found = np.zeros((len(rows), max([1, *map(len, rows)])), dtype=np.int64)
    for row, own in zip(found, rows, strict=True):
        row[: len(own)] = own
    return found


def text_inputs(encoders: Sequence[RowEncoder], taken: Sequence[str]) -> tuple[TextInput, ...]:
    """What a file of these members is given of columns of text. taken: the names of other inputs."""
    columns = dict.fromkeys(plan.name for encoder in encoders for plan in encoder.texts)
    used, found = {*taken, *columns}, []
    for column in columns:
        plans = [plan for encoder in encoders for plan in encoder.texts if plan.name == column]
        counted = [plan.tfidf for plan in plans if plan.tfidf is not None]
        terms = {
            name: tuple(dict.fromkeys(term for own in counted for term in own.terms[name].tolist())) for name in HOW
        }
        lengths = tuple(sorted({plan.length for plan in plans if plan.way == "encoder"}))
        is_measured = any(plan.shift is not None for plan in plans)
        keys = [TERMS, COUNTS] * bool(counted) + [LENGTH] * is_measured
        keys += [_key(kind, length) for length in lengths for kind in (TOKENS, MASK)]
        names = {}
        for key in keys:
            names[key] = f"{column} {key}"
            while names[key] in used:
                names[key] += "_"
            used.add(names[key])
        found.append(TextInput(column, terms if counted else {}, lengths, is_measured, names))
    return tuple(found)


class TextNodes:
    """The columns of text in a graph, each encoded once for all members that see it alike."""

    def __init__(self, nodes: Operators, inputs: Sequence[TextInput], encoder: TextEncoder | None) -> None:
        self._nodes, self._encoder = nodes, encoder
        self._inputs = {own.column: own for own in inputs}
        self._features: dict[tuple[str, int], str] = {}
        for own in inputs:
            for each in own.inputs():
                nodes.input(each.name, each.type, ["n", *([f"{each.name} {each.side}"] if each.side else [])])

    def dense(self, plan: TextPlan) -> str:
        """(n, width) float32, as `TextPlan.dense`."""
        nodes, own = self._nodes, self._inputs[plan.name]
        assert plan.shift is not None
        if plan.way == "encoder":
            vectors = self._featured(plan)
        else:
            assert plan.axes is not None
            vectors = self.words(plan, plan.axes)
        characters = nodes.op("Unsqueeze", own.names[LENGTH], nodes.whole(1))
        missing = nodes.op("IsNaN", characters)
        zero, one, centre, spread = (nodes.constant(np.array(each)) for each in (0.0, 1.0, plan.centre, plan.spread))
        lengths = nodes.op("Log", nodes.op("Add", nodes.op("Where", missing, zero, characters), one))
        lengths = nodes.op("Div", nodes.op("Sub", lengths, centre), spread)
        scaled = nodes.op("Sub", vectors, nodes.constant(np.asarray(plan.shift, np.float32)))
        scaled = nodes.op("Mul", scaled, nodes.constant(np.array(plan.scale, np.float32)))
        found = nodes.beside(scaled, nodes.cast(lengths, FLOAT))
        found = nodes.op("Where", missing, nodes.constant(np.array(0, np.float32)), found)
        return nodes.beside(found, nodes.cast(missing, FLOAT)) if plan.mark else found

    def words(self, plan: TextPlan, weight: np.ndarray) -> str:
        """(n, O) float32 products of a text's weighed terms with their weights. weight: (O, V) of the plan's terms."""
        nodes, own = self._nodes, self._inputs[plan.name]
        assert plan.tfidf is not None
        terms, counts = own.names[TERMS], own.names[COUNTS]
        places = own.places(plan.tfidf)
        of_all = np.zeros((own.num_terms, len(weight)), np.float32)
        of_all[places] = weight.T
        rarity = np.zeros(own.num_terms, np.float32)
        rarity[places] = np.concatenate([plan.tfidf.weights[name] for name in HOW])
        zero, one = (nodes.constant(np.array(each, np.float32)) for each in (0, 1))
        often = nodes.op("Add", nodes.op("Log", nodes.op("Max", counts, one)), one)
        often = nodes.op("Where", nodes.op("Greater", counts, zero), often, zero)
        weighed = nodes.op("Mul", often, nodes.op("Gather", nodes.constant(rarity), terms, axis=0))
        is_word = nodes.op("Less", terms, nodes.constant(np.array(len(own.terms[WORDS]))))
        parts = [nodes.op("Where", is_word, weighed, zero), nodes.op("Where", is_word, zero, weighed)]
        parts = [nodes.op("Div", each, self._length(each)) for each in parts]
        whole = nodes.op("Unsqueeze", nodes.op("Add", *parts), nodes.whole(1))
        rows = nodes.op("Gather", nodes.constant(of_all), terms, axis=0)
        return nodes.op("Squeeze", nodes.op("MatMul", whole, rows), nodes.whole(1))

    def _length(self, x: str) -> str:
        """(n, 1) lengths of rows, 1 of those that are zero."""
        nodes = self._nodes
        found = nodes.op("ReduceL2", x, nodes.whole(1), keepdims=1)
        zero, one = (nodes.constant(np.array(each, np.float32)) for each in (0, 1))
        return nodes.op("Where", nodes.op("Equal", found, zero), one, found)

    def _featured(self, plan: TextPlan) -> str:
        key = plan.name, plan.length
        if key not in self._features:
            assert self._encoder is not None
            names = self._inputs[plan.name].names
            ids, mask = (names[_key(kind, plan.length)] for kind in (TOKENS, MASK))
            self._features[key] = encoder_nodes(self._nodes, self._encoder, ids=ids, mask=mask)
        return self._features[key]


def _key(kind: str, most: int = 0) -> str:
    return f"{kind} {most}" if most else kind
