"""The weights of words and characters are scikit-learn's, of the training texts alone, and survive a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import FeatureUnion

from tame.core.errors import UsageError
from tame.data.tfidf import Counts, TfIdf

TEXTS = [
    "The rent is due, the rent is late", "a cat sat on the mat", "The cat is late.", "rent due", "", "!!", "x",
    "Ünïcode WORDS and the rent", "on the mat the cat sat",
]  # fmt: skip
ROWS = np.array([0, 1, 2, 3, 1, 8])


def theirs() -> FeatureUnion:
    return FeatureUnion(
        [
            ("words", TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b", sublinear_tf=True, min_df=2)),
            ("characters", TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, min_df=2)),
        ]
    )


def test_a_fold_sees_what_scikit_learn_would_make_of_its_training_texts():
    counts = Counts.of(TEXTS)
    own, places = TfIdf.fit(counts, ROWS)
    reference = theirs().fit([TEXTS[row] for row in ROWS])
    names = [name for _, part in reference.transformer_list for name in part.get_feature_names_out()]
    assert [*own.terms["words"], *own.terms["characters"]] == names
    expected = reference.transform(TEXTS).toarray()
    np.testing.assert_allclose(own.of_counts(counts, places).toarray(), expected, atol=1e-6)
    np.testing.assert_allclose(own.of_texts(TEXTS).toarray(), expected, atol=1e-6)


def test_texts_of_other_folds_move_nothing():
    more = [*TEXTS, "zebra zebra zebra", "rent rent rent"]
    own, places = TfIdf.fit(Counts.of(TEXTS), ROWS)
    again, other = TfIdf.fit(Counts.of(more), ROWS)
    first, second = own.of_counts(Counts.of(TEXTS), places), again.of_counts(Counts.of(more), other)
    assert (abs(first - second[: len(TEXTS)]) > 1e-7).nnz == 0


def test_it_stays_sparse():
    counts = Counts.of(TEXTS)
    own, places = TfIdf.fit(counts, ROWS)
    found = own.of_counts(counts, places)
    assert found.dtype == np.float32
    assert found.nnz < found.shape[0] * found.shape[1]


def test_it_survives_a_file():
    own, _ = TfIdf.fit(Counts.of(TEXTS), ROWS)
    again = TfIdf.from_arrays(own.to_arrays())
    assert (own.of_texts(TEXTS) != again.of_texts(TEXTS)).nnz == 0


def test_texts_without_a_term_are_all_zero():
    own, _ = TfIdf.fit(Counts.of(["", "!", "?"]), np.arange(3))
    assert own.of_texts(["", "some words"]).nnz == 0


@pytest.mark.parametrize(
    "terms", [{"words": ["a"]}, {"words": ["a", "a"], "characters": []}, {"words": [1], "characters": []}]
)
def test_terms_that_it_cannot_have_written_are_refused(terms):
    arrays = {"terms": np.frombuffer(json.dumps(terms).encode(), np.uint8), "weights": np.ones(1, np.float32)}
    with pytest.raises(UsageError, match="terms of texts"):
        TfIdf.from_arrays(arrays)


def test_weights_of_another_number_are_refused():
    arrays = TfIdf.fit(Counts.of(TEXTS), ROWS)[0].to_arrays()
    with pytest.raises(UsageError, match="but weights of shape"):
        TfIdf.from_arrays({**arrays, "weights": arrays["weights"][:-1]})
