"""The linear model beside the network: as good as scikit-learn's, whatever the penalty."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LogisticRegression, RidgeCV
from sklearn.metrics import log_loss
from sklearn.preprocessing import StandardScaler

from tame.data.linear import linear_outputs


def test_it_classifies_as_well_as_scikit_learn_does_with_the_best_penalty():
    x, y = load_breast_cancer(return_X_y=True)
    own, rest = np.arange(len(y)) % 3 > 0, np.arange(len(y)) % 3 == 0
    found = linear_outputs(x[own], y[own], x[rest], num_classes=2, seed=0)
    assert found.shape == (rest.sum(), 2)
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, atol=1e-6)
    scaler = StandardScaler().fit(x[own])
    theirs = []
    for strength in (1e-3, 1e-2, 0.1, 1.0):
        other = LogisticRegression(C=strength, max_iter=500).fit(scaler.transform(x[own]), y[own])
        theirs.append(log_loss(y[rest], other.predict_proba(scaler.transform(x[rest]))))
    assert log_loss(y[rest], np.exp(found)) < min(theirs) + 0.03


def test_it_predicts_numbers_as_well_as_scikit_learn_does():
    x, y = load_diabetes(return_X_y=True)
    own, rest = np.arange(len(y)) % 3 > 0, np.arange(len(y)) % 3 == 0
    found = linear_outputs(x[own], y[own], x[rest], num_classes=0, seed=0)
    other = RidgeCV().fit(x[own], y[own]).predict(x[rest])
    assert found.shape == (rest.sum(), 1)
    assert ((found[:, 0] - y[rest]) ** 2).mean() < 1.05 * ((other - y[rest]) ** 2).mean()


def test_a_class_that_was_not_seen_gets_hardly_any_probability():
    x = np.random.default_rng(0).normal(size=(40, 2))
    found = linear_outputs(x, np.where(x[:, 0] > 0, 2, 0), x, num_classes=3, seed=0)
    assert np.exp(found[:, 1]).max() < 1e-9
    one = linear_outputs(x, np.full(40, 1), x, num_classes=3, seed=0)
    assert np.exp(one[:, 1]).min() == pytest.approx(1)


def test_weights_count_rows_as_often():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    y, weights = x @ [1.0, -2.0] + rng.normal(size=60), rng.integers(1, 4, 60)
    plain = linear_outputs(np.repeat(x, weights, axis=0), np.repeat(y, weights), x, num_classes=0, seed=0)
    found = linear_outputs(x, y, x, num_classes=0, seed=0, weights=weights.astype(float))
    np.testing.assert_allclose(found, plain, atol=0.3)
