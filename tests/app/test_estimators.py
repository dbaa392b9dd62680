"""The scikit-learn estimators: its own checks, and what its users do with estimators."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_regression
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_dataframe_column_names_consistency, parametrize_with_checks
from torch import nn

import tame
from tame import TameClassifier, TameRegressor
from tame.app.estimators import _as_value_errors
from tame.core.errors import StoppedError
from tame.data.split import make_split

pytestmark = pytest.mark.usefixtures("one_thread", "own_cache")

FAST = {"trials": 1, "folds": 2, "epochs": 2}
SMALL = {
    "model.width": 16, "model.depth": 1, "model.dropout": 0.0, "table.numbers": "plain", "table.scaling": "standard",
    "optimizer.lr": 0.1, "batch_size": 8,
}  # fmt: skip
X, CODES = make_blobs(60, centers=3, cluster_std=0.7, random_state=0)


def classifier(**settings):
    return TameClassifier(**{**FAST, "set": SMALL, "random_state": 0, **settings})


def linear(width: int = 4):
    return nn.Sequential(nn.Flatten(), nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 2))


@pytest.fixture(scope="module")
def own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TAME_CACHE", str(tmp_path_factory.getbasetemp() / "estimators-cache"))
        yield


@pytest.fixture(scope="module")
def fitted(one_thread, own_cache):
    return classifier().fit(X, np.array(["lynx", "ant", "bee"])[CODES])


# A study splits rows by their number, and a row of weight 2 is one row: networks differ by more than rounding.
# That a loss counts them alike is held in tests/trial/test_weights.py.
COPIES = "its 16 rows are copies of four, two of a class; copies stay on one side, so that too few are left to judge by"
NOT_HELD = {
    "check_sample_weight_equivalence_on_dense_data": "which rows are sealed depends on how many there are",
    "check_sample_weights_shape": COPIES,
    "check_sample_weights_not_overwritten": COPIES,
}


@pytest.mark.sampled(24)
@parametrize_with_checks(
    [classifier(), TameRegressor(**FAST, set=SMALL)], expected_failed_checks=lambda estimator: NOT_HELD
)
def test_the_checks_of_scikit_learn(estimator, check):
    check(estimator)


def test_labels_keep_their_type_and_order(fitted):
    assert fitted.classes_.tolist() == ["ant", "bee", "lynx"]
    probabilities = fitted.predict_proba(X)
    assert probabilities.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert (fitted.predict(X) == fitted.classes_[probabilities.argmax(axis=1)]).all()
    assert fitted.score(X, np.array(["lynx", "ant", "bee"])[CODES]) > 0.9


def test_labels_whose_texts_sort_otherwise_than_they_do():
    labels = np.array([2, 10, 1])[CODES]
    own = classifier().fit(X, labels)
    assert own.classes_.tolist() == [1, 2, 10]
    assert own.predict(X).dtype == labels.dtype
    assert own.score(X, labels) > 0.9


def test_the_result_of_the_study_is_there(fitted):
    sealed = fitted.study_["score"]
    assert sealed["n"] == 12
    assert sealed["low"] <= sealed["value"] <= sealed["high"]
    assert {"findings", "baselines", "winner"} <= set(fitted.study_)
    assert fitted.study_["classes"] == ["ant", "bee", "lynx"]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda own: pickle.loads(pickle.dumps(own))])
def test_a_copy_predicts_the_same(fitted, copied):
    assert (copied(fitted).predict_proba(X) == fitted.predict_proba(X)).all()


def test_the_same_random_state_gives_exactly_the_same_model(fitted):
    again = clone(fitted).fit(X, np.array(["lynx", "ant", "bee"])[CODES])
    assert (again.predict_proba(X) == fitted.predict_proba(X)).all()
    other = clone(fitted).set_params(random_state=np.random.RandomState(5)).fit(X, CODES)
    assert (other.predict_proba(X) != fitted.predict_proba(X)).any()


def test_kept_studies_lie_beside_each_other(tmp_path):
    own = classifier(keep=tmp_path / "kept").fit(X, CODES)
    first = own.study_["study"]
    second = own.fit(X, CODES).study_["study"]
    assert [first, second] == [str(tmp_path / "kept" / f"fit-000{i}") for i in (1, 2)]
    by_study = tame.load(first).outputs(X)
    np.testing.assert_allclose(own.predict_proba(X), by_study, atol=1e-5)  # float64 against float32


def test_frames_of_any_columns_are_trained_on():
    rng = np.random.default_rng(0)
    words = rng.choice(["red", "green", "blue"], size=80)
    frame = pd.DataFrame({
        "word": words, "kind": pd.Categorical(rng.choice(["a", "b"], size=80)), "number": rng.normal(size=80),
        "day": pd.date_range("2020-01-01", periods=80), "flag": rng.random(80) > 0.5,
    })  # fmt: skip
    frame.loc[::7, "number"] = np.nan
    frame.loc[3, "word"] = None
    own = classifier(set={**SMALL, "table.numbers": "periodic"}, epochs=4).fit(frame, words == "red")
    assert own.feature_names_in_.tolist() == list(frame.columns)
    assert own.classes_.dtype == bool
    assert own.score(frame, words == "red") > 0.9
    unseen = frame[:3].assign(word=["violet", None, "red"])
    assert own.predict_proba(unseen).shape == (3, 2)
    with pytest.raises(ValueError, match="feature names should match"):
        own.predict(frame[["kind", "word", "number", "day", "flag"]])
    with pytest.raises(ValueError, match="contains NaN"):
        clone(own).fit(frame, np.where(np.arange(80) == 4, np.nan, 1.0))


def test_a_frame_and_its_array_are_judged_alike(fitted):
    own = classifier().fit(pl.DataFrame(X, schema=["a", "b"]), CODES)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        by_array = own.predict_proba(X)
    assert (by_array == own.predict_proba(pl.DataFrame(X, schema=["a", "b"]))).all()
    with pytest.warns(UserWarning, match="fitted without feature names"):
        by_frame = fitted.predict_proba(pd.DataFrame(X, columns=["a", "b"]))
    assert (by_frame == fitted.predict_proba(X)).all()


@pytest.mark.filterwarnings("ignore")
def test_names_of_columns_are_checked_as_scikit_learn_wants():
    check_dataframe_column_names_consistency("TameClassifier", classifier())


def test_missing_numbers_are_trained_on_and_infinite_ones_refused():
    holes = np.where(np.arange(60)[:, None] % 9 == 0, np.nan, X)
    own = classifier().fit(holes, CODES)
    assert np.isfinite(own.predict_proba(holes)).all()
    with pytest.raises(ValueError, match="infinity"):
        own.predict(np.full((1, 2), np.inf))


def test_a_class_of_one_row_is_trained_on_and_never_judged():
    labels = CODES.copy()
    labels[0] = 7
    own = classifier().fit(X, labels)
    assert own.classes_.tolist() == [0, 1, 2, 7]
    assert "too rare" in own.study_["data_facts"]["split"]
    assert own.study_["data_facts"]["counts"]["train"]["7"] == 1
    assert "7" not in own.study_["data_facts"]["counts"]["test"]
    with pytest.raises(ValueError, match="every class has too few"):
        classifier().fit(X[:6], [0, 0, 1, 1, 2, 2])


@pytest.mark.parametrize("folds", [None, 4])
def test_what_is_not_rare_is_split_as_if_the_rare_were_not_there(folds):
    labels, groups = np.array([0, 1] * 10 + [2, 2, 2, 3]), np.arange(24)
    groups[23] = groups[0]  # a twin of the rare row stays with it
    split = make_split(
        labels, [""] * 24, groups, classes=("a", "b", "c", "d"), folds=folds, seed=0, lenient=True
    )  # fmt: skip
    held = [0, 23] if folds is None else [0, 20, 21, 22, 23]
    assert [row for row in range(24) if (split.part[row], split.fold[row]) == ("train", -1)] == held
    rest = np.setdiff1d(np.arange(24), held)
    names = ("a", "b", "c") if folds is None else ("a", "b")
    alone = make_split(labels[rest], [""] * len(rest), groups[rest], classes=names, folds=folds, seed=0)
    assert (alone.part, alone.folds) == (tuple(split.part[row] for row in rest), split.folds)


@pytest.mark.parametrize("shape", [(-1, 6), (-1, 1, 2, 3)])
def test_a_module_of_ones_own(shape, tmp_path):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 6)).astype(np.float32)
    y = np.where(x[:, 0] > 0, "up", "down")
    own = TameClassifier(
        linear, space={"width": tame.Int(2, 16)}, set={"optimizer.lr": 0.1}, trials=2, epochs=4, folds=2, random_state=0
    ).fit(x.reshape(shape), y)
    assert 2 <= own.study_["winner"]["recipe"]["own.width"] <= 16
    assert pickle.loads(pickle.dumps(own)).score(x.reshape(shape), y) > 0.7
    with pytest.raises(ValueError, match="NaN"):
        own.predict(np.full((1, *x.reshape(shape).shape[1:]), np.nan, dtype=np.float32))


def test_a_regression_comes_in_the_unit_of_its_target():
    x, y = make_regression(80, 3, random_state=0)
    own = TameRegressor(**FAST, set=SMALL, loss="huber", metric="r2", random_state=0).fit(x, 1000 + 50 * y)
    assert own.score(x, 1000 + 50 * y) > 0.5
    assert own.study_["winner"]["recipe"]["loss.name"] == "huber"
    assert own.study_["metric"] == "r2"


def test_in_pipelines_and_searches():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), classifier()), {"tameclassifier__epochs": np.array([1, 2])}, cv=2
    ).fit(X, CODES)
    assert search.best_score_ > 0.5
    assert search.best_estimator_[-1].study_["data_facts"]["examples"] == 60
    assert len(cross_val_score(classifier(), X, CODES, cv=2)) == 2


@pytest.mark.parametrize(("settings", "message"), [
    ({"set": {"model.widht": 3}}, "did you mean 'model.width'"),
    ({"metric": "rmse"}, "rmse does not fit"),
    ({"trials": 0}, "trials must be 1"),
    ({"space": {"optimizer.rate": tame.Float(0.1, 1)}}, "no recipe field|no .* named"),
    ({"time": "soon"}, "cannot read the time"),
])  # fmt: skip
def test_wrong_settings_are_value_errors(settings, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        classifier(keep=tmp_path, **settings).fit(X, CODES)
    assert list(tmp_path.iterdir()) == []


def test_wrong_data_is_refused_in_the_words_of_scikit_learn():
    with pytest.raises(NotFittedError):
        classifier().predict(X)
    with pytest.raises(TypeError, match="Sparse data"):
        classifier().fit(sparse.csr_array(X), CODES)
    with pytest.raises(ValueError, match="only one class, 'a'"):
        classifier().fit(X, ["a"] * 60)
    with pytest.raises(ValueError, match=r"Found array with 4 sample\(s\)"):
        classifier().fit(X[:4], CODES[:4])
    with pytest.raises(ValueError, match="every y is 1: there is nothing to learn"):
        TameRegressor(**FAST).fit(X, np.ones(60))


def test_a_study_that_is_stopped_is_an_interruption():
    with pytest.raises(KeyboardInterrupt, match="stopped"), _as_value_errors():
        raise StoppedError("stopped; everything is saved")


def test_importing_the_package_loads_neither_torch_nor_scikit_learn():
    found = "import sys, tame; print('TameClassifier' in dir(tame), 'torch' in sys.modules, 'sklearn' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", found], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["True", "False", "False"]


def test_weights_are_left_as_they_were():
    weights = np.where(CODES == 0, 10.0, 1.0)
    before = weights.copy()
    classifier().fit(X, CODES, sample_weight=weights)
    assert (weights == before).all()


def test_weights_decide_what_is_learnt_and_what_is_measured():
    """Of labels that contradict each other, those count that have the weight; rows of weight 0 do not count at all."""
    twice, labels = np.concatenate([X, X + 1e-3]), np.concatenate([CODES == 0, CODES != 0])
    first = np.concatenate([np.full(60, 9.0), np.full(60, 1.0)])
    own, other = (classifier(epochs=8).fit(twice, labels, sample_weight=each) for each in (first, first[::-1]))
    assert own.score(X, CODES == 0) > 0.9
    assert other.score(X, CODES == 0) < 0.1
    assert own.study_["score"]["value"] > 0.6, "of the sealed rows, most are light and contradict"
    assert own.study_["score"]["how"].endswith("; each counts by its weight")
    assert own.study_["baselines"]["dummy"]["value"] < own.study_["score"]["value"]
    dropped = classifier(epochs=8).fit(twice, labels, sample_weight=np.concatenate([np.ones(60), np.zeros(60)]))
    alone = classifier(epochs=8).fit(X, CODES == 0)
    assert (dropped.predict_proba(X) == alone.predict_proba(X)).all()


@pytest.mark.slow
def test_weights_of_a_frame_and_for_numbers():
    frame = pd.DataFrame(X, columns=["a", "b"], index=np.arange(60) * 3)
    weights = pd.Series(np.where(np.arange(60) % 5 == 0, 0, 2.0))
    kept = (weights > 0).to_numpy()
    for made, y in ((classifier(), CODES), (TameRegressor(**FAST, set=SMALL, random_state=0), X[:, 0])):
        own, alone = clone(made).fit(frame, y, sample_weight=weights), clone(made).fit(frame[kept], y[kept])
        assert (own.predict(frame) == alone.predict(frame)).all(), "one weight for all is no weight"
    other = pl.DataFrame(X, schema=["a", "b"])
    of_polars = classifier().fit(other, CODES, sample_weight=weights)
    alone = classifier().fit(other[np.flatnonzero(kept)], CODES[kept])
    assert (of_polars.predict_proba(other) == alone.predict_proba(other)).all()


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        (np.ones(59), r"sample_weight has shape \(59,\) and there are 60 rows: give one number for each"),
        (np.ones((60, 2)), r"sample_weight has shape \(60, 2\)"),
        ([1.0] * 59 + [-1.0], r"sample_weight is -1.0 in row 59 \(1 such rows\): weights are 0 or more"),
        ([1.0] * 58 + [np.nan, np.inf], r"sample_weight is nan in row 58 \(2 such rows\)"),
        (["much"] * 60, "sample_weight is a list: give one number for each row"),
        (np.zeros(60), "sample_weight is zero in every row"),
        (np.arange(60) > 56, "sample_weight is 0 in all but 3 rows: a study needs 5 rows"),
        ((CODES == 1).astype(float), "y contains only one class, 1 in rows whose sample_weight is above 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_with_the_place(weights, said):
    with pytest.raises(ValueError, match=said):
        classifier().fit(X, CODES, sample_weight=weights)
