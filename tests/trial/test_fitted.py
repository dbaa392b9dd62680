"""The solver of linear models on sparse inputs reaches the minimum that it states, and behaves as an engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.optimize import minimize

from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.trial.fitted import Fitted, SparseTask, applied, check_solvable
from tame.trial.population import Examples, Member

N, V = 120, 30


def task(classes: int, *, folds: int = 3, seed: int = 0, scaling: dict | None = None) -> SparseTask:
    chance = np.random.default_rng(seed)
    x = sparse.random(N, V, density=0.2, format="csr", dtype=np.float32, rng=chance)
    signal = x.toarray() @ chance.normal(size=(V, max(classes, 1)))
    noisy = signal + 0.3 * chance.normal(size=signal.shape)
    target = torch.from_numpy(noisy.argmax(axis=1)) if classes else torch.from_numpy(noisy[:, 0])
    if classes == 2:
        target = torch.from_numpy((noisy[:, 0] > 0).astype(np.int64))
    fold = torch.arange(N) % folds
    return SparseTask(x, Examples(target, fold, classes, together=False, scaling=scaling), torch.device("cpu"))


def member(fold: int | None = 0, **changes: object) -> Member:
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return Member(1, fold, Recipe().but({"model.name": "words", "regularize.l2": 1e-2, **named}))


def solved(own: SparseTask, one: Member, until: int = 1):
    engine, seen = Fitted(own), []
    population = engine.advance(engine.start([one]), until=until, watch=lambda _, measured: seen.append(measured))
    return engine, population, seen


def minimum(x: np.ndarray, sign: np.ndarray, l2: float) -> np.ndarray:
    """The minimum of the mean logistic loss and the penalty on all weights, the bias last, in float64."""
    wide = np.concatenate([x, np.ones((len(x), 1))], axis=1)

    def loss(w):
        return np.logaddexp(0, -sign * (wide @ w)).mean() + l2 / 2 * w @ w

    return minimize(loss, np.zeros(wide.shape[1]), method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-14}).x


@pytest.mark.parametrize("classes", [2, 4])
def test_each_class_against_all_others_is_at_the_minimum(classes):
    own, one = task(classes), member()
    _, population, _ = solved(own, one)
    rows = own.examples.trains(one).numpy()
    x, truth = own.x.toarray().astype(np.float64), own.examples.target.numpy()
    found = np.concatenate(
        [population.tensors["fitted.weight"][0], population.tensors["fitted.bias"][0][:, None]], axis=1
    )
    for number in range(classes):
        expected = minimum(x[rows], np.where(truth[rows] == number, 1.0, -1.0), 1e-2)
        expected = expected / 2 if classes == 2 else expected
        wide = np.concatenate([x, np.ones((N, 1))], axis=1)
        np.testing.assert_allclose(wide @ found[number], wide @ expected, atol=0.05)


def test_numbers_are_at_the_minimum_of_ridge_regression():
    own = task(0, scaling={0: (0.0, 1.0), None: (0.0, 1.0)})
    one = member(loss__name="mse")
    engine, population, _ = solved(own, one)
    rows = own.examples.trains(one).numpy()
    x, y = own.x.toarray().astype(np.float64)[rows], own.examples.target.numpy()[rows]
    centred = x - x.mean(axis=0)
    w = np.linalg.solve(centred.T @ centred + 1e-2 * len(x) / 2 * np.eye(V), centred.T @ (y - y.mean()))
    np.testing.assert_allclose(population.tensors["fitted.weight"][0, 0], w, atol=2e-3)
    found = engine.predict(population, torch.arange(N))[0, :, 0]
    np.testing.assert_allclose(found, own.x.toarray() @ w + y.mean() - x.mean(axis=0) @ w, atol=5e-3)


def test_it_sees_nothing_of_the_fold_that_judges_it():
    own, one = task(3), member(fold=1)
    other = SparseTask(own.x.copy(), own.examples, own.device)
    other.x.data[np.isin(other.x.tocoo().row, np.flatnonzero(own.examples.fold == 1))] = 9.0
    first, second = (solved(each, one)[1].tensors["fitted.weight"] for each in (own, other))
    assert torch.equal(first, second)


def test_further_epochs_and_a_stop_between_change_nothing():
    own, one = task(3), member()
    engine, whole, seen = solved(own, one, until=3)
    stopped = engine.advance(solved(own, one)[1], until=3, watch=lambda *_: None)
    assert all(torch.equal(whole.tensors[name], stopped.tensors[name]) for name in whole.tensors)
    assert [measured.epoch for measured in seen] == [1, 2, 3]
    assert len({float(measured.train_loss) for measured in seen}) == 1
    assert engine.fits(whole)


def test_the_delivered_module_says_what_the_engine_says():
    own, one = task(3), member()
    engine, population, seen = solved(own, one)
    rows = own.examples.validates(one).nonzero().squeeze(1)
    assert torch.equal(seen[0].outputs, engine.predict(population, rows))
    torch.testing.assert_close(applied(engine.module(population, 0), own.x[rows.numpy()]), seen[0].outputs[0])
    dense = engine.module(population, 0)(own.views(one.recipe, rows)[0])
    torch.testing.assert_close(dense, seen[0].outputs[0], atol=1e-5, rtol=1e-5)


def test_weights_of_examples_count():
    own, one = task(2), member()
    examples = own.examples
    doubled = torch.where(torch.arange(N) < 40, 2.0, 1.0)
    weighed = SparseTask(own.x, Examples(examples.target, examples.fold, 2, together=False, weight=doubled), own.device)
    twice = torch.cat([torch.arange(N), torch.arange(40)])
    repeated = SparseTask(
        own.x[twice.numpy()], Examples(examples.target[twice], examples.fold[twice], 2, together=False), own.device
    )
    first, second = (solved(each, one)[1].tensors["fitted.weight"] for each in (weighed, repeated))
    torch.testing.assert_close(first, second, atol=0.03, rtol=0)


def test_a_class_that_a_fold_does_not_have_is_not_expected():
    own, one = task(3), member(fold=0)
    target = torch.where(own.examples.fold == 0, 2, own.examples.target % 2)
    own = SparseTask(own.x, Examples(target, own.examples.fold, 3, together=False), own.device)
    engine, population, _ = solved(own, one)
    assert int(engine.predict(population, torch.arange(N))[0].argmax(dim=1).max()) < 2


@pytest.mark.parametrize(
    ("changes", "why"), [({"loss.name": "focal"}, "not focal"), ({"loss.label_smoothing": 0.1}, "smoothing")]
)
def test_what_cannot_be_solved_is_refused(changes, why):
    with pytest.raises(UsageError, match=why):
        check_solvable(Recipe().but(changes))


def test_a_rehearsal_takes_some_of_the_time():
    assert 0 < Fitted(task(3)).rehearse(member()) < 60
