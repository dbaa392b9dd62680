"""How columns of text enter a model: as sparse words, as a few numbers made of these, or as features of an encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from tame.core.errors import UsageError, require
from tame.data.tables import MISSING, Table
from tame.data.tfidf import Counts, TfIdf

Way = Literal["words", "tfidf", "encoder"]
WAYS: tuple[Way, ...] = ("words", "tfidf", "encoder")
LENGTH = 128  # tokens of a text that an encoder reads where nothing else is said
SHORTEST, LONGEST = 3, 32_768  # tokens that it may read
MOST_AXES = 128  # numbers that TF-IDF is reduced to
POWER = 3  # iterations of the randomized decomposition; more hardly turn its axes


@dataclass(frozen=True, slots=True, eq=False)
class TextPlan:
    """How a column of text enters, fitted on the training rows.

    way: words, sparse; tfidf, these on their main axes; encoder, features of a frozen network, which reads `length`
    tokens of each. mark: whether a missing
    text is marked in a column of its own. spread, centre: of log lengths; shift: (D,) and scale: of the vectors, so
    that they are centred and vary by 1 on average; axes: (D, V) of tfidf.
    """

    name: str
    way: Way
    mark: bool
    centre: float = 0.0
    spread: float = 1.0
    scale: float = 1.0
    length: int = LENGTH
    shift: np.ndarray | None = None
    tfidf: TfIdf | None = None
    axes: np.ndarray | None = None

    @property
    def width(self) -> int:
        """Columns of the dense matrix; of sparse words none."""
        return 0 if self.shift is None else len(self.shift) + 1 + self.mark

    def dense(self, vectors: np.ndarray, texts: Sequence[str], codes: np.ndarray) -> np.ndarray:
        """(n, width) float32. vectors: (K, D) of the texts; codes: (n,) into them. All zero where there is none."""
        assert self.shift is not None
        found = np.zeros((len(codes), self.width), dtype=np.float32)
        here = codes != MISSING
        own, lengths = (vectors - self.shift) * self.scale, (log_lengths(texts) - self.centre) / self.spread
        found[here, : len(self.shift)] = own[codes[here]]
        found[here, len(self.shift)] = lengths[codes[here]]
        if self.mark:
            found[:, -1] = ~here
        return found

    def to_json(self) -> dict[str, object]:
        """Names and small things; `arrays` has the rest."""
        return {
            "name": self.name, "way": self.way, "mark": self.mark, "centre": self.centre, "spread": self.spread,
            "scale": self.scale, "length": self.length,
        }  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """What `restore` needs beside `to_json`."""
        found = {} if self.tfidf is None else self.tfidf.to_arrays()
        named = {"shift": self.shift, "axes": self.axes}
        return found | {name: each for name, each in named.items() if each is not None}

    @classmethod
    def restore(cls, json: Any, arrays: Mapping[str, np.ndarray]) -> TextPlan:
        """The plan that gave `to_json` and `arrays`. Raises UsageError for what none can have given."""
        try:
            plain = cls(
                str(json["name"]), json["way"], bool(json["mark"]), float(json["centre"]), float(json["spread"]),
                float(json["scale"]), int(json.get("length", LENGTH)),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as problem:
            raise UsageError(f"this is not how a text enters a model: {problem}") from None
        require(SHORTEST <= plain.length <= LONGEST, f"an encoder cannot read {plain.length} tokens of a text")
        require(plain.way in WAYS, f"a text cannot enter a model as {plain.way!r}")
        tfidf = TfIdf.from_arrays(arrays) if "terms" in arrays else None
        found = replace(plain, tfidf=tfidf, shift=arrays.get("shift"), axes=arrays.get("axes"))
        fits = (found.tfidf is not None) == (found.way != "encoder") and (found.shift is None) == (found.way == "words")
        if found.axes is not None and found.tfidf is not None and found.shift is not None:
            fits = fits and found.axes.shape == (len(found.shift), found.tfidf.num_terms)
        require(fits and (found.axes is not None) == (found.way == "tfidf"), "a text's numbers do not fit together")
        return found


def log_lengths(texts: Sequence[str]) -> np.ndarray:
    """(K,) logarithms of one and the characters of each."""
    return np.log1p(np.array([len(text) for text in texts], dtype=np.float64))


def fitted(name: str, way: Way, table: Table, rows: np.ndarray, vectors: np.ndarray | None) -> TextPlan:
    """How a column enters, without its terms. vectors: (K, D) of its texts; None of sparse words. rows: (n,)."""
    codes = table.values[name][rows]
    here = codes[codes != MISSING]
    plan = TextPlan(name, way, bool(len(here) < len(codes)))
    if vectors is None:
        return plan
    lengths = log_lengths(table.texts[name])[here]
    shift = vectors[here].mean(axis=0) if len(here) else np.zeros(vectors.shape[1], dtype=np.float32)
    # One scale for all numbers: those that hardly vary say little, and are not blown up.
    spread = float(np.sqrt(np.mean(np.square(vectors[here] - shift)))) if len(here) else 0.0
    return replace(
        plan, centre=float(lengths.mean()) if len(here) else 0.0, shift=shift.astype(np.float32),
        spread=float(lengths.std()) or 1.0 if len(here) else 1.0, scale=1 / spread if spread > 1e-12 else 1.0,
    )  # fmt: skip


def main_axes(x: sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
    """(D, V) float32 directions in which these rows of a sparse matrix vary most; D is at most 128.

    Source: Halko, Martinsson and Tropp, Finding structure with randomness (2011), through scikit-learn; for texts:
    Deerwester et al., Indexing by latent semantic analysis (1990).
    """
    from sklearn.utils.extmath import randomized_svd  # takes a second to load

    own = x[rows]
    most = min(MOST_AXES, *(side - 1 for side in own.shape))
    if most < 1 or own.nnz == 0:
        return np.zeros((1, x.shape[1]), dtype=np.float32)
    _, _, axes = randomized_svd(own, n_components=most, n_iter=POWER, random_state=0)
    return np.ascontiguousarray(axes, dtype=np.float32)


class CountedTexts:
    """The columns of text of one table, counted once, and fitted once for the same rows."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._counts: dict[str, Counts] = {}
        self._fits: dict[tuple[str, int], tuple[TfIdf, sparse.csr_matrix]] = {}
        self._axes: dict[tuple[str, int], np.ndarray] = {}

    def fit(self, name: str, rows: np.ndarray) -> tuple[TfIdf, sparse.csr_matrix]:
        """What counts in these rows of the table, and (K, V) all texts of the column by that."""
        key = (name, hash(rows.tobytes()))
        if key not in self._fits:
            if name not in self._counts:
                self._counts[name] = Counts.of(self._table.texts[name])
            own, places = TfIdf.fit(self._counts[name], self._codes(name, rows))
            self._fits[key] = own, own.of_counts(self._counts[name], places)
        return self._fits[key]

    def axes(self, name: str, rows: np.ndarray) -> np.ndarray:
        """(D, V) the main axes of these rows."""
        key = (name, hash(rows.tobytes()))
        if key not in self._axes:
            self._axes[key] = main_axes(self.fit(name, rows)[1], self._codes(name, rows))
        return self._axes[key]

    def _codes(self, name: str, rows: np.ndarray) -> np.ndarray:
        codes = self._table.values[name][rows]
        return np.asarray(codes[codes != MISSING])
