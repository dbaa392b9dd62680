"""Texts as sparse numbers: how often words, pairs of words and runs of characters occur, weighed by how rare they are.

What occurs where is counted once for all texts; a fold then keeps what its own training texts contain, so that nothing
of the others enters, and no text is taken apart twice. Sparse to the end: a matrix is never made dense.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from tame.core.errors import UsageError, require

LEAST_TEXTS = 2  # that a word must occur in to count
MOST_TERMS = 100_000  # of words, and as many of characters: the most frequent
MOST_CHARACTERS = 20_000  # of a text that are looked at; a book says no more about its class in its second chapter
WORDS, CHARACTERS = "words", "characters"
HOW: Mapping[str, dict[str, object]] = {
    WORDS: {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},
    CHARACTERS: {"analyzer": "char_wb", "ngram_range": (2, 5)},
}


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """How often each term occurs in each text. terms, matrices, by analyzer: V names and (K, V) whole numbers."""

    terms: Mapping[str, np.ndarray]
    matrices: Mapping[str, sparse.csr_matrix]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Counts:
        """Counts everything that occurs in these texts."""
        from sklearn.feature_extraction.text import CountVectorizer  # takes a second to load

        terms, matrices = {}, {}
        seen = [text[:MOST_CHARACTERS] for text in texts]
        for name, how in HOW.items():
            own = CountVectorizer(dtype=np.float32, **how)
            try:
                matrices[name] = own.fit_transform(seen).tocsr()
                terms[name] = own.get_feature_names_out()
            except ValueError:  # of texts without a single term
                matrices[name], terms[name] = sparse.csr_matrix((len(texts), 0), dtype=np.float32), np.array([], object)
        return cls(terms, matrices)


@dataclass(frozen=True, slots=True, eq=False)
class TfIdf:
    """Which terms count, and how much. terms: by analyzer, (V,) names; weights: (V,) float32 of each.

    A text becomes (1 + log count) x weight for each term that it holds, of length 1 for words and 1 for characters;
    weights are log((1 + n) / (1 + texts with the term)) + 1, as scikit-learn's TfidfVectorizer has them with
    sublinear_tf. Source: Salton and Buckley, Term-weighting approaches in automatic text retrieval (1988).
    """

    terms: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]

    @property
    def num_terms(self) -> int:
        return sum(len(own) for own in self.terms.values())

    @classmethod
    def fit(cls, counts: Counts, rows: np.ndarray) -> tuple[TfIdf, dict[str, np.ndarray]]:
        """What counts in these rows (n,) of the counted texts, of which one may come several times; and the places of
        its terms in `counts`, by analyzer."""
        terms, weights, places = {}, {}, {}
        for name, matrix in counts.matrices.items():
            times = np.bincount(rows, minlength=matrix.shape[0]).astype(np.float64)
            holds = matrix.copy()
            holds.data[:] = 1
            texts = times @ holds
            kept = np.flatnonzero(texts >= LEAST_TEXTS)
            if len(kept) > MOST_TERMS:
                often = (times @ matrix)[kept]
                kept = np.sort(kept[np.argsort(-often, kind="stable")[:MOST_TERMS]])
            places[name], terms[name] = kept, counts.terms[name][kept]
            weights[name] = (np.log((1 + len(rows)) / (1 + texts[kept])) + 1).astype(np.float32)
        return cls(terms, weights), places

    def of_counts(self, counts: Counts, places: Mapping[str, np.ndarray]) -> sparse.csr_matrix:
        """(K, V) float32 of all counted texts. places: as `fit` gave them."""
        return self._weighed({name: counts.matrices[name][:, own] for name, own in places.items()})

    def of_texts(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """(n, V) float32 of any texts; terms that are not known do not count."""
        return self._weighed(self.counts_of(texts))

    def counts_of(self, texts: Sequence[str]) -> dict[str, sparse.csr_matrix]:
        """How often each of the terms occurs in each text, by analyzer: (n, V) float32."""
        from sklearn.feature_extraction.text import CountVectorizer

        seen, found = [text[:MOST_CHARACTERS] for text in texts], {}
        for name, how in HOW.items():
            own = self.terms[name]
            if not len(own) or not len(seen):
                found[name] = sparse.csr_matrix((len(seen), len(own)), dtype=np.float32)
                continue
            vocabulary = {term: place for place, term in enumerate(own.tolist())}
            found[name] = CountVectorizer(dtype=np.float32, vocabulary=vocabulary, **how).transform(seen).tocsr()
        return found

    def to_arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` reads again, without a Python object."""
        texts = json.dumps({name: own.tolist() for name, own in self.terms.items()}).encode()
        weights = np.concatenate([self.weights[name] for name in HOW])
        return {"terms": np.frombuffer(texts, dtype=np.uint8).copy(), "weights": weights}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> TfIdf:
        """What gave `to_arrays`. Raises UsageError for what it cannot have given."""
        terms, weights = json.loads(arrays["terms"].tobytes()), np.asarray(arrays["weights"], dtype=np.float32)
        good = isinstance(terms, dict) and terms.keys() == HOW.keys()
        good = good and all(isinstance(own, list) and all(isinstance(t, str) for t in own) for own in terms.values())
        require(good and all(len(set(own)) == len(own) for own in terms.values()), "terms of texts must be texts")
        sizes = [len(terms[name]) for name in HOW]
        if weights.shape != (sum(sizes),) or not np.isfinite(weights).all():
            raise UsageError(f"{sum(sizes)} terms of texts, but weights of shape {weights.shape}")
        own = dict(zip(HOW, np.split(weights, np.cumsum(sizes)[:-1]), strict=True))
        return cls({name: np.array(terms[name], dtype=object) for name in HOW}, own)

    def _weighed(self, counts: Mapping[str, sparse.csr_matrix]) -> sparse.csr_matrix:
        found = []
        for name in HOW:
            own = counts[name].astype(np.float32).tocsr(copy=True)
            own.data = 1 + np.log(own.data)
            own = own.multiply(self.weights[name]).tocsr() if own.shape[1] else own
            lengths = np.sqrt(np.asarray(own.multiply(own).sum(axis=1), dtype=np.float64)).ravel()
            lengths[lengths == 0] = 1
            found.append(sparse.diags_array((1 / lengths).astype(np.float32)) @ own)
        return sparse.csr_matrix(sparse.hstack(found, format="csr", dtype=np.float32))
