"""The laws of every metric, each held against scikit-learn's."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from tame.core.config import CLASSIFICATION_METRICS, LANGUAGE_METRICS, METRIC_MODES, REGRESSION_METRICS
from tame.core.errors import ShapeError
from tame.evaluate.score import judged_from, measure, statistic_of
from tame.parts.metrics import METRICS
from tame.testing.metric_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")

few = settings(max_examples=40)  # scikit-learn takes milliseconds each time


def reported(name, task, target, canonical):
    """The metric as the report gives it."""
    return measure(name, judged_from(task, [str(i) for i in range(len(target))], target, canonical))


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
        if name == "log_loss":
            return sk.log_loss(target, probabilities, labels=range(logits.shape[-1]))
        if name == "average_precision":
            seen = [c for c in range(logits.shape[-1]) if (target == c).any()]
            if logits.shape[-1] == 2:
                one = 0 if 3 * (target == 0).sum() < len(target) else 1
                seen = [one] if one in seen else []
            each = [sk.average_precision_score(target == c, probabilities[:, c]) for c in seen]
            return np.mean(each) if each else 0.0
        ranked = [c for c in range(logits.shape[-1]) if 0 < (target == c).sum() < len(target)]
        each = [sk.roc_auc_score(target == c, probabilities[:, c]) for c in ranked]
        return np.mean(each) if each else 0.5


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", METRICS.names())
def test_every_metric_keeps_the_law(name, law):
    kinds = dict.fromkeys(REGRESSION_METRICS, ("numbers",)) | dict.fromkeys(LANGUAGE_METRICS, ("texts",))
    for kind in kinds.get(name, ("classes", "two classes")):
        law(METRICS.get(name), kind)


def test_every_metric_that_can_be_asked_for_can_be_measured_along_the_curve():
    assert set(METRICS.names()) == set(METRIC_MODES)
    assert sorted(METRIC_MODES) == sorted((*CLASSIFICATION_METRICS, *REGRESSION_METRICS, *LANGUAGE_METRICS))


@pytest.mark.parametrize("name", CLASSIFICATION_METRICS)
@few
@given(
    seed=st.integers(0, 100_000),
    n=st.integers(1, 30),
    classes=st.integers(2, 6),
    absent=st.integers(0, 5),
    lean=st.floats(0, 6),
)
def test_every_metric_of_classes_equals_that_of_scikit_learn(name, seed, n, classes, absent, lean):
    """With classes that never occur (their number may be all but one), and with logits that lean to the truth."""
    rng = np.random.default_rng(seed)
    present = rng.permutation(classes)[: max(1, classes - absent)]
    target = rng.choice(present, size=n)
    logits = rng.normal(size=(n, classes))
    logits[np.arange(n), target] += lean
    logits = torch.from_numpy(logits)
    found = METRICS.get(name)(logits[None], torch.from_numpy(target)).item()
    assert found == pytest.approx(by_sklearn(name, logits, target), rel=1e-12, abs=1e-12)  # float64
    told = reported(name, "binary" if classes == 2 else "multiclass", target, logits.numpy())
    assert found == pytest.approx(told, rel=1e-12, abs=1e-12)


@few
@given(
    seed=st.integers(0, 100_000),
    n=st.integers(2, 60),
    levels=st.sampled_from([2, 5, 1000]),
    share=st.floats(0.05, 0.95),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_roc_auc_equals_that_of_scikit_learn(seed, n, levels, share, dtype):
    """With as few as two values of the outputs, so that most pairs tie."""
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < share).astype(int)
    target[:2] = 0, 1
    margin = rng.integers(levels, size=(3, n)) / 4
    outputs = torch.stack([torch.zeros(3, n), torch.from_numpy(margin)], dim=-1).to(dtype)
    found = METRICS.get("roc_auc")(outputs, torch.from_numpy(target))
    wanted = [sk.roc_auc_score(target, row) for row in margin]
    assert found.tolist() == pytest.approx(wanted, rel=1e-6 if dtype == torch.float32 else 1e-12)


@few
@given(
    seed=st.integers(0, 100_000),
    n=st.integers(2, 60),
    levels=st.sampled_from([2, 5, 1000]),
    share=st.floats(0.05, 0.95),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_average_precision_equals_that_of_scikit_learn(seed, n, levels, share, dtype):
    rng = np.random.default_rng(seed)
    target = (rng.random(n) < share).astype(int)
    target[:2] = 0, 1
    margin = rng.integers(levels, size=(3, n)) / 4
    outputs = torch.stack([torch.zeros(3, n), torch.from_numpy(margin)], dim=-1).to(dtype)
    counts = rng.integers(1, 4, size=n)
    weight = torch.from_numpy(counts).to(dtype)
    for own, own_weight in ((np.ones(n), None), (counts, weight)):
        found = METRICS.get("average_precision")(outputs, torch.from_numpy(target), own_weight)
        rare = 0 if 3 * own[target == 0].sum() < own.sum() else 1
        sign = 1 if rare else -1
        wanted = [sk.average_precision_score(target == rare, sign * row, sample_weight=own) for row in margin]
        assert found.tolist() == pytest.approx(wanted, rel=1e-6 if dtype == torch.float32 else 1e-12)


def test_average_precision_of_several_classes_is_the_mean_over_those_that_occur():
    rng = np.random.default_rng(0)
    target, logits = np.arange(60) % 3, rng.normal(size=(60, 4))
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    found = METRICS.get("average_precision")(torch.from_numpy(logits)[None], torch.from_numpy(target)).item()
    wanted = sk.average_precision_score(np.eye(3)[target], probabilities[:, :3], average="macro")
    assert found == pytest.approx(wanted, rel=1e-12)


def test_average_precision_without_the_class_is_nothing_and_no_number_with_lost_outputs():
    outputs = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    assert METRICS.get("average_precision")(outputs, torch.zeros(6, dtype=torch.long)).tolist() == [0, 0]
    outputs[0, 3, 1] = torch.nan
    assert METRICS.get("average_precision")(outputs, torch.arange(6) % 2).isnan().tolist() == [True, False]


def test_roc_auc_is_exact_where_sums_of_ranks_are_not_in_float32():
    n = 20_000
    target = torch.arange(2 * n) % 2
    outputs = torch.zeros(1, 2 * n, 2)
    outputs[0, :, 1] = torch.arange(2 * n) // 4  # each level holds two of both classes
    assert METRICS.get("roc_auc")(outputs, target).item() == 0.5


def test_roc_auc_of_several_classes_equals_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    target, logits = np.arange(60) % 4, rng.normal(size=(60, 4))
    probabilities = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    found = METRICS.get("roc_auc")(torch.from_numpy(logits)[None], torch.from_numpy(target)).item()
    assert found == pytest.approx(sk.roc_auc_score(target, probabilities, multi_class="ovr"), rel=1e-12)


def test_roc_auc_is_even_without_two_sides_and_no_number_with_lost_outputs():
    outputs = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(0))
    for label in (0, 1):
        assert METRICS.get("roc_auc")(outputs, torch.full((6,), label)).tolist() == [0.5, 0.5]
    outputs[0, 3, 1] = torch.nan
    assert METRICS.get("roc_auc")(outputs, torch.arange(6) % 2).isnan().tolist() == [True, False]


BY_SKLEARN = {"rmse": sk.root_mean_squared_error, "mae": sk.mean_absolute_error, "r2": sk.r2_score}


@pytest.mark.parametrize("name", REGRESSION_METRICS)
@few
@given(seed=st.integers(0, 100_000), n=st.integers(2, 40), noise=st.floats(0, 3), far=st.floats(-100, 100))
def test_every_metric_of_numbers_equals_that_of_scikit_learn(name, seed, n, noise, far):
    rng = np.random.default_rng(seed)
    target = far + rng.normal(size=n)
    predicted = target + noise * rng.normal(size=(3, n))
    found = METRICS.get(name)(torch.from_numpy(predicted)[..., None], torch.from_numpy(target))
    wanted = [BY_SKLEARN[name](target, row) for row in predicted]
    assert found.tolist() == pytest.approx(wanted, rel=1e-9, abs=1e-12)  # float64
    told = reported(name, "regression", target, predicted[0][:, None])
    assert found[0].item() == pytest.approx(told, rel=1e-9, abs=1e-12)


def test_r2_of_a_target_without_variance_is_that_of_scikit_learn():
    target = torch.full((4,), 2.0).double()
    outputs = torch.tensor([[2.0, 2, 2, 2], [2, 2, 2, 3], [2, 2, 2, math.nan]]).double()[..., None]
    found = METRICS.get("r2")(outputs, target)
    assert found[:2].tolist() == [sk.r2_score(target, row) for row in outputs[:2, :, 0]] == [1, 0]
    assert found[2].isnan()


@pytest.mark.parametrize("name", REGRESSION_METRICS)
def test_metrics_of_numbers_refuse_shapes_that_would_spread(name):
    for outputs, target in ((torch.zeros(1, 6, 2), torch.zeros(6)), (torch.zeros(1, 6, 1), torch.zeros(6, 1))):
        with pytest.raises(ShapeError, match=r"need outputs \(M, B, 1\) and target \(B,\), got \(1, 6"):
            METRICS.get(name)(outputs, target)


def test_metrics_at_their_best_and_worst():
    target = torch.tensor([0, 1, 2, 2])
    right = torch.nn.functional.one_hot(target, 3).double()[None] * 50
    wrong = right.roll(1, dims=-1)
    for name in ("accuracy", "balanced_accuracy", "f1_macro"):
        assert METRICS.get(name)(right, target).item() == 1
        assert METRICS.get(name)(wrong, target).item() == 0
    assert METRICS.get("log_loss")(right, target).item() < 1e-12
    assert METRICS.get("log_loss")(wrong, target).item() == pytest.approx(50)
    two = right[:, :2, :2]
    assert METRICS.get("roc_auc")(two, target[:2]).item() == 1
    assert METRICS.get("roc_auc")(two.flip(-1), target[:2]).item() == 0


@pytest.mark.parametrize("name", METRICS.names())
@few
@given(
    seed=st.integers(0, 100_000), n=st.integers(2, 30), classes=st.integers(2, 4), levels=st.sampled_from([4, 2**20])
)
def test_weights_count_as_they_do_for_scikit_learn(name, seed, n, classes, levels):
    """Any weights as scikit-learn counts them, and whole ones as rows that are there so often.

    With ties of two classes, whose differences of logits tie where their probabilities do.
    """
    levels = levels if classes == 2 else 2**20
    rng = np.random.default_rng(seed)
    numbers = name in REGRESSION_METRICS
    target = rng.normal(size=n) if numbers else rng.integers(classes, size=n)
    outputs = rng.integers(-levels, levels, size=(n, 1 if numbers else classes)) / levels
    task = "regression" if numbers else "binary" if classes == 2 else "multiclass"
    for weight in (rng.uniform(0.1, 9.0, n), rng.integers(1, 4, n).astype(float)):
        found = METRICS.get(name)(torch.from_numpy(outputs)[None], torch.from_numpy(target), torch.from_numpy(weight))
        judged = judged_from(task, list(map(str, range(n))), target, outputs, weights=weight)
        assert found.item() == pytest.approx(measure(name, judged), rel=1e-9, abs=1e-9)  # float64
        assert statistic_of(name, judged)(np.ones((1, n)))[0].item() == pytest.approx(found.item(), rel=1e-9, abs=1e-9)
        if (weight == np.round(weight)).all():
            rows = np.repeat(np.arange(n), weight.astype(int))
            again = METRICS.get(name)(torch.from_numpy(outputs[rows])[None], torch.from_numpy(target[rows]))
            assert found.item() == pytest.approx(again.item(), rel=1e-9, abs=1e-9)
