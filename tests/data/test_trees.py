"""Gradient boosting beside the network: scikit-learn's own, with its settings, on the columns as they are."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

from tame.core.rng import stream
from tame.data.linear import LEAST_LOG
from tame.data.tables import MISSING, UNSEEN, Column, Table
from tame.data.trees import ITERATIONS, MOST_CODES, columns_for_trees, trees_outputs

NUM = 160


def rows_of(seed=0):
    rng = stream(seed, "rows")
    x = rng.normal(size=(NUM, 3))
    x[rng.random((NUM, 3)) < 0.05] = np.nan
    code = rng.integers(0, 5, NUM).astype(float)
    clean = np.nan_to_num(x)
    return np.column_stack([x, code]), clean[:, 0] * (code > 2) + clean[:, 1], np.array([False] * 3 + [True])


@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_what_scikit_learn_fits(weighted):
    x, number, is_code = rows_of()
    weights = stream(1, "weights").uniform(0.5, 2, NUM) if weighted else None
    plain = {"early_stopping": False, "random_state": 3, "categorical_features": is_code}
    found, count = trees_outputs(x, number, x, is_code=is_code, num_classes=0, seed=3, weights=weights)
    theirs = HistGradientBoostingRegressor(**plain).fit(x, number, sample_weight=weights)
    assert (found.shape, count) == ((NUM, 1), ITERATIONS)
    np.testing.assert_allclose(found[:, 0], theirs.predict(x), rtol=1e-9)
    label = np.digitize(number, [-0.5, 0.5])
    found, _ = trees_outputs(
        x, label, x, is_code=is_code, num_classes=3, seed=3, weights=weights, by_class=True
    )  # fmt: skip
    theirs = HistGradientBoostingClassifier(class_weight="balanced", **plain).fit(x, label, sample_weight=weights)
    np.testing.assert_allclose(np.exp(found), theirs.predict_proba(x), rtol=1e-9)


def test_classes_that_are_rare_or_not_there_are_no_trouble():
    x, number, is_code = rows_of()
    label = (number > 0).astype(int)
    label[7] = 3
    found, _ = trees_outputs(x, label, x, is_code=is_code, num_classes=5, seed=0)
    assert found.shape == (NUM, 5)
    assert (found[:, [2, 4]] == LEAST_LOG).all()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-9)
    one, count = trees_outputs(x, np.ones(NUM, dtype=int), x[:2], is_code=is_code, num_classes=2, seed=0)
    assert one.tolist() == [[LEAST_LOG, 0.0]] * 2
    assert count == 0


def test_without_time_there_are_fewer_iterations():
    x, number, is_code = rows_of()
    _, count = trees_outputs(x, number, x[:1], is_code=is_code, num_classes=0, seed=0, limit_s=1e-9)
    assert count == ITERATIONS // 2
    _, few = trees_outputs(x, np.arange(NUM) % 40, x[:1], is_code=is_code, num_classes=40, seed=0, limit_s=1e-9)
    assert few == 1


def test_columns_are_taken_as_they_are():
    codes = np.array([0, MOST_CODES + 3, MISSING, UNSEEN, MOST_CODES - 1, 1])
    numbers = np.array([1.5, np.nan, 3.0, 4.0, 5.0, 6.0])
    columns = (
        Column("a", "number", ""), Column("b", "category", "", categories=tuple(map(str, range(300)))),
        Column("c", "text", ""), Column("d", "constant", ""), Column("e", "number", ""),
    )  # fmt: skip
    empty = np.full(6, np.nan)
    table = Table(columns, {"a": numbers, "b": codes, "c": codes * 0, "e": empty}, 6, texts={"c": ("x",)})
    x, is_code = columns_for_trees(table, [5, 0, 1, 2, 3, 4])
    assert is_code.tolist() == [False, True, False]
    np.testing.assert_array_equal(x[:, 0], numbers[[5, 0, 1, 2, 3, 4]])
    np.testing.assert_array_equal(x[:, 1], [1, 0, MOST_CODES - 1, np.nan, np.nan, MOST_CODES - 1])
    x = np.tile(x, (20, 1))
    trees_outputs(x, np.arange(120) % 2, x, is_code=is_code, num_classes=2, seed=0)  # a column may hold nothing at all
