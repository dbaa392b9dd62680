"""The laws of every metric, each held against scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from tame.core.config import METRIC_MODES
from tame.evaluate.score import measure, softmax
from tame.parts.metrics import METRICS
from tame.testing.metric_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")


def by_sklearn(name, logits, target):
    probabilities, predicted = torch.softmax(logits, dim=-1).numpy(), logits.argmax(dim=-1).numpy()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "y_pred contains classes not in y_true", UserWarning)
        warnings.filterwarnings("ignore", "A single label was found", UserWarning)
        if name == "accuracy":
            return sk.accuracy_score(target, predicted)
        if name == "balanced_accuracy":
            return sk.balanced_accuracy_score(target, predicted)
        if name == "f1_macro":
            return sk.f1_score(target, predicted, average="macro")
        return sk.log_loss(target, probabilities, labels=range(logits.shape[-1]))


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_keeps_the_law(name, law):
    law(METRICS.get(name))


def test_every_metric_that_can_be_asked_for_can_be_measured_along_the_curve():
    assert set(METRICS.names()) == set(METRIC_MODES)


@pytest.mark.parametrize("name", METRICS.names())
@given(
    seed=st.integers(0, 100_000),
    n=st.integers(1, 30),
    classes=st.integers(2, 6),
    absent=st.integers(0, 5),
    lean=st.floats(0, 6),
)
def test_every_metric_equals_that_of_scikit_learn(name, seed, n, classes, absent, lean):
    """With classes that never occur (their number may be all but one), and with logits that lean to the truth."""
    rng = np.random.default_rng(seed)
    present = rng.permutation(classes)[: max(1, classes - absent)]
    target = rng.choice(present, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), target] += lean
    logits = torch.from_numpy(logits)
    found = METRICS.get(name)(logits[None], torch.from_numpy(target)).item()
    assert found == pytest.approx(by_sklearn(name, logits, target), rel=1e-12, abs=1e-12)  # float64
    assert found == pytest.approx(measure(name, target, softmax(logits.numpy())), rel=1e-12, abs=1e-12)


def test_metrics_at_their_best_and_worst():
    target = torch.tensor([0, 1, 2, 2])
    right = torch.nn.functional.one_hot(target, 3).double()[None] * 50
    wrong = right.roll(1, dims=-1)
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        assert METRICS.get(name)(right, target).item() == 1
        assert METRICS.get(name)(wrong, target).item() == 0
    assert METRICS.get("log_loss")(right, target).item() < 1e-12
    assert METRICS.get("log_loss")(wrong, target).item() == pytest.approx(50)
