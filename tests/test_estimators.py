"""The scikit-learn estimators: its own checks, and what its users do with estimators."""

from __future__ import annotations

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tame import TameClassifier, TameRegressor

pytestmark = pytest.mark.usefixtures("one_thread")

FAST = {"trials": 1, "folds": 2, "epochs": 2}
SMALL = {"model.width": 16, "model.depth": 1, "model.dropout": 0.0, "table.numbers": "plain", "optimizer.lr": 0.1, "batch_size": 8,
         "table.scaling": "standard"}  # fmt: skip


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("TAME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@parametrize_with_checks(
    [TameClassifier(**FAST, set=SMALL), TameRegressor(**FAST, set=SMALL)],
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)
