"""The temperature of probabilities: the best one, kept only where it helps on examples it was not fitted on."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from tame.core.rng import stream
from tame.evaluate.networks import loss_difference
from tame.evaluate.score import InconsistentError, Judged, judged_from, measure, softmax
from tame.evaluate.temperature import FLATTEST, FOLDS, at, fit, folds_of, tempered


def drawn(seed: int, n: int, *, sharp: float = 1.0, classes: int = 3, groups: int = 1) -> Judged:
    """Predictions `sharp` times as sure as they should be; `groups` copies of each example."""
    rng = stream(seed, "drawn")
    logits = rng.normal(0, 1.5, size=(n, classes))
    target = np.array([rng.choice(classes, p=own) for own in softmax(logits)])
    logits, target = np.repeat(logits, groups, axis=0), np.repeat(target, groups)
    ids = list(map(str, range(n * groups)))
    own = np.repeat(np.arange(n), groups) if groups > 1 else None
    return judged_from("multiclass", ids, target, sharp * logits, groups=own)


def loss_at(judged: Judged, temperature: float) -> float:
    """A plain float64 loop."""
    total, count = 0.0, 0.0
    for row, probabilities in enumerate(judged.probabilities):
        own = [math.exp(math.log(p) / temperature) for p in probabilities]
        weight = 1.0 if judged.weights is None else judged.weights[row]
        total -= weight * math.log(own[judged.target[row]] / sum(own))
        count += weight
    return total / count


@pytest.mark.parametrize("sharp", [0.5, 1.0, 3.0])
def test_the_fitted_temperature_is_the_one_with_the_lowest_log_loss(sharp: float) -> None:
    judged = drawn(0, 300, sharp=sharp)
    best = minimize_scalar(lambda t: loss_at(judged, t), bounds=(0.05, 20), method="bounded", options={"xatol": 1e-7})
    assert fit([judged]) == pytest.approx(best.x, rel=1e-4)
    assert measure("log_loss", at(judged, best.x)) == pytest.approx(loss_at(judged, best.x), abs=1e-12)  # float64


def test_an_example_that_counts_twice_counts_as_two() -> None:
    judged = drawn(1, 200, sharp=2.0)
    twice = judged.only(np.arange(200) < 50)
    both = Judged(
        (*judged.ids, *(f"{name}b" for name in twice.ids)), np.concatenate([judged.target, twice.target]),
        np.concatenate([judged.outputs, twice.outputs]), judged.task,
    )  # fmt: skip
    weighted = replace(judged, weights=np.where(np.arange(200) < 50, 2.0, 1.0))
    assert fit([weighted]) == pytest.approx(fit([both]), rel=1e-5)


def test_probabilities_of_an_overconfident_network_are_mended_and_its_answers_stay() -> None:
    judged, fresh = drawn(2, 600, sharp=3.0), drawn(3, 3000, sharp=3.0)
    found, (own,) = tempered([judged], seed=0)
    assert found is not None
    assert found.is_kept
    assert found.value == pytest.approx(3.0, rel=0.2)
    assert found.difference.high < 0
    assert found.difference.value == pytest.approx(measure("log_loss", own) - measure("log_loss", judged), abs=1e-9)
    assert (own.predicted == judged.predicted).all()
    assert measure("log_loss", at(fresh, found.value)) < measure("log_loss", fresh) - 0.1


def test_a_calibrated_network_is_left_alone() -> None:
    kept = [tempered([drawn(seed, 200)], seed=seed)[0].is_kept for seed in range(100)]
    assert sum(kept) <= 5


def test_without_mistakes_nothing_says_that_a_network_may_be_surer() -> None:
    logits = np.eye(3)[np.arange(300) % 3] * 2.0
    judged = judged_from("multiclass", list(map(str, range(300))), np.arange(300) % 3, logits)
    assert fit([judged]) == 1.0
    found, own = tempered([judged], seed=0)
    assert found is not None
    assert (found.value, found.is_kept) == (1.0, False)
    assert own[0] is judged


def test_an_example_does_not_choose_its_own_temperature() -> None:
    judged = drawn(4, 200, sharp=3.0)
    _, (before,) = tempered([judged], seed=0)
    other = judged.target.copy()
    other[17] = (other[17] + 1) % 3
    _, (after,) = tempered([replace(judged, target=other)], seed=0)
    assert (after.outputs[17] == before.outputs[17]).all()
    assert (after.outputs != before.outputs).any()


def test_copies_stay_in_one_fold() -> None:
    judged = drawn(5, 60, groups=4)
    fold = folds_of(judged, seed=0)
    assert {len(set(fold[judged.groups == group])) for group in range(60)} == {1}
    assert set(fold) == set(range(FOLDS))


def test_copies_are_no_evidence() -> None:
    kept = [tempered([drawn(seed, 60, groups=8)], seed=seed)[0].is_kept for seed in range(40)]
    assert sum(kept) <= 3


def test_the_temperature_is_that_of_one_network_and_not_of_their_mean() -> None:
    rng = stream(6, "members")
    first = drawn(6, 500)
    logits = np.log(first.probabilities)
    members = [replace(first, outputs=softmax(logits + rng.normal(0, 1.5, logits.shape))) for _ in range(4)]
    found, own = tempered(members, seed=0)
    assert found is not None
    assert found.value > 1.3
    assert len(own) == 4
    mean = replace(first, outputs=np.mean([each.outputs for each in members], axis=0))
    assert fit([mean]) < found.value


def test_shares_of_classes_are_met_as_they_are() -> None:
    judged = drawn(7, 400, sharp=4.0)
    shares = softmax(np.log(judged.probabilities) / 4)
    soft = replace(judged, shares=shares, target=shares.argmax(axis=1))
    found, _ = tempered([replace(soft, target=soft.target)], seed=0)
    assert fit([replace(soft, shares=0.9 * shares + 0.1 / 3)]) > 4
    assert found is not None


def test_regressions_and_few_examples_have_none() -> None:
    numbers = judged_from("regression", list("abc"), np.arange(3.0), np.arange(3.0)[:, None])
    assert tempered([numbers], seed=0) == (None, (numbers,))
    few = drawn(8, 30, sharp=5.0)
    assert tempered([few], seed=0) == (None, (few,))
    with pytest.raises(InconsistentError, match="different examples"):
        tempered([drawn(8, 60), drawn(8, 61)], seed=0)


def test_a_useless_network_becomes_as_flat_as_allowed() -> None:
    rng = stream(9, "useless")
    logits = 5 * rng.normal(size=(400, 2))
    judged = judged_from("binary", list(map(str, range(400))), rng.integers(0, 2, 400), logits)
    assert 5 < fit([judged]) <= FLATTEST


@pytest.mark.parametrize("metric", ["log_loss", "rmse"])
def test_the_difference_of_networks_is_that_of_their_mean_losses(metric: str) -> None:
    rng = stream(10, "losses")
    if metric == "log_loss":
        a, b = [drawn(11, 150)], [at(drawn(11, 150), 2.0), at(drawn(11, 150), 0.7)]
        wanted = measure("log_loss", a[0]) - np.mean([measure("log_loss", each) for each in b])
    else:
        target, ids = rng.normal(size=150), list(map(str, range(150)))
        told = (target[:, None] + spread * rng.normal(size=(150, 1)) for spread in (0.5, 0.7))
        a, b = ([judged_from("regression", ids, target, each)] for each in told)
        wanted = measure("rmse", a[0]) - measure("rmse", b[0])
    found = loss_difference(metric, a, b, seed=0, how="")
    assert found.value == pytest.approx(wanted, abs=1e-12)  # float64
    assert found.low < found.value < found.high
