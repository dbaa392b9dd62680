"""TAME as scikit-learn estimators: `fit` runs a whole study, and the delivered model predicts."""

from __future__ import annotations

import numbers
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data

from tame.app.api import asked
from tame.app.predict import judge_inputs
from tame.app.progress import watching
from tame.app.random_state import unchanged_random_state
from tame.app.run import fit_study
from tame.core.config import ARRAYS, INLINE, StudyConfig
from tame.core.errors import DataError, ShapeError, UsageError
from tame.core.files import read_bytes, write_bytes
from tame.core.options import parse_time
from tame.core.space import Dimension
from tame.core.sums import DESCRIPTION, SUMS, WEIGHTS
from tame.data.array_targets import task_of
from tame.data.arrays import read_arrays
from tame.data.foreign import is_from
from tame.data.own_inputs import read_own_inputs
from tame.evaluate.score import softmax
from tame.kinds.arrays.source import keep_arrays
from tame.kinds.materials import read_model
from tame.parts.network import Build, Network

LEAST = 5  # examples: one is sealed, the others are needed for training and validation
MODEL = "model"  # the folder of the delivered model inside the study's folder


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """The shared part of both estimators: their settings, the study, and the delivered model as bytes."""

    def __init__(
        self, model: Build | None = None, *, space: Mapping[str, Dimension] | Sequence[str] | None = None,
        loss: str | None = None, time: str | float | None = None, trials: int | None = 16, epochs: int | None = None,
        metric: str = "auto", search: str = "auto", folds: int | None = None, set: Mapping[str, object] | None = None,
        random_state: int | np.random.RandomState | None = None, keep: str | Path | None = None, quiet: bool = True,
    ) -> None:  # fmt: skip
        self.model = model
        self.space = space
        self.loss = loss
        self.time = time
        self.trials = trials
        self.epochs = epochs
        self.metric = metric
        self.search = search
        self.folds = folds
        self.set = set
        self.random_state = random_state
        self.keep = keep
        self.quiet = quiet

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = (
            self.model is None
        )  # a table may have missing values; your own module gets every value
        tags.input_tags.three_d_array = self.model is not None
        return tags

    def _read(
        self, X: Any, y: Any, sample_weight: Any, *, is_numeric: bool
    ) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """X as TAME takes it (a frame that becomes a table is unchanged) and y (n,), after scikit-learn's checks; and
        weights (n,) above 0, None where all rows count alike. Rows of weight 0 are left out."""
        check = {"y_numeric": is_numeric, "ensure_min_samples": LEAST}
        if not self._is_frame(X):
            x, y = validate_data(self, X, y, **check, **self._allowed())
        else:
            validate_data(self, X, y, skip_check_array=True)
            x, y = X, check_X_y(np.zeros((len(X), 1)), y, **check, estimator=self)[1]
        weights = _weights(sample_weight, len(y))
        if weights is None:
            return x, y, None
        kept = np.flatnonzero(weights)
        if len(kept) < len(y):
            x, y, weights = x.iloc[kept] if hasattr(x, "iloc") else x[kept], y[kept], weights[kept]
            if len(kept) < LEAST:
                few = f"sample_weight is 0 in all but {len(kept)} rows"
                raise ValueError(f"{few}: a study needs {LEAST} rows of more than zero weight")
        return x, y, None if np.ptp(weights) == 0 else weights / weights.mean()

    def _study(self, x: object, y: np.ndarray, task: str, weights: np.ndarray | None) -> None:
        """Runs a study, and keeps its model and result."""
        with _as_value_errors(), tempfile.TemporaryDirectory(prefix="tame-") as temporary:
            read = None if self.model is None else read_own_inputs
            arrays, config = replace(read_arrays(x, y, read=read), weights=weights), self._config(task)
            task_of(arrays.y, task=task)  # refused data leaves no folder behind
            folder = Path(temporary) / "study" if self.keep is None else _next_folder(Path(self.keep))

            def keep(own: Path) -> None:
                keep_arrays(arrays, config.task, own, plain=self.model is not None, rare=True)

            with watching(quiet=self.quiet) as watcher, unchanged_random_state():
                own = replace(config, out=str(folder))
                result = fit_study(own, watcher, inline=True, keep=keep, build=self.model, ours=True)
            names = (DESCRIPTION, WEIGHTS, SUMS)
            self.files_ = {name: read_bytes(folder / MODEL, name) for name in names}
        self.study_ = result.to_json()

    def _config(self, task: str) -> StudyConfig:
        space, fixed = asked(self.model, self.space or (), self.set, self.loss)
        return StudyConfig(
            data=ARRAYS, task=task, model=None if self.model is None else INLINE, metric=self.metric,
            time_s=parse_time(self.time) if isinstance(self.time, str) else self.time, trials=_whole(self.trials),
            epochs=_whole(self.epochs), search=self.search, space=space, set=fixed, folds=_whole(self.folds),
            seed=_seed(self.random_state),
        )  # fmt: skip

    def _judged(self, X: object) -> tuple[Network, np.ndarray]:
        """The delivered network, and its canonical outputs (n, C) for X."""
        check_is_fitted(self, "files_")
        if self._is_frame(X):
            validate_data(self, X, reset=False, skip_check_array=True)
        else:
            X = validate_data(self, X, reset=False, **self._allowed())
        with _as_value_errors(), unchanged_random_state():
            network = self._network()
            return network, judge_inputs(
                network, X, by_place=True
            ).outputs  # scikit-learn has compared the names already

    def _network(self) -> Network:
        """The network, restored each time: a fitted estimator holds only bytes, so it can be copied and pickled."""
        with tempfile.TemporaryDirectory(prefix="tame-") as temporary:
            for name, content in self.files_.items():
                write_bytes(Path(temporary), name, content)
            return read_model(Path(temporary), self.model)

    def _is_frame(self, X: object) -> bool:
        return self.model is None and (is_from("pandas", X, "DataFrame") or is_from("polars", X, "DataFrame"))

    def _allowed(self) -> dict[str, object]:
        plain = self.model is not None
        return {"allow_nd": plain, "ensure_all_finite": True if plain else "allow-nan"}


class TameClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A classifier found by a study: it tries many recipes, acts on findings, and is scored once on sealed rows.

    `fit` seals a fifth of its rows, and searches and trains on the rest; the score of the delivered model on the sealed
    rows is in `study_["score"]`. A class with fewer than three rows is trained on but never evaluated. Training runs in
    this process.

    Parameters
    ----------
    model : function that builds an `nn.Module` from its own arguments; None: TAME's networks for tables. With a model,
        X may have more than two dimensions (n, ...).
    space : dimensions to search by recipe field or argument of `model` (tame.Float, tame.Int, tame.Choice), or texts
        such as "optimizer.lr=1e-4..1e-1:log"; None: TAME's own.
    loss : the loss to minimize ("cross_entropy", "focal", ...).
    time : wall clock in seconds or as text ("5m"). With it, the recipes tried depend on the machine's speed, and a
        refit may differ.
    trials : number of recipes to try.
    epochs : the most epochs per recipe.
    metric : chooses and scores the winner: accuracy, balanced_accuracy, f1_macro, log_loss, roc_auc or
        average_precision;
        "auto" is accuracy.
    search : the search method: "auto", "random", "sobol", "grid", "sha", "hyperband", "asha", "pbt",
        "tpe" or "gp".
    folds : number of cross-validation folds inside the study.
    set : fixed recipe fields, such as {"model.width": 64, "batch_size": "all"}.
    random_state : with the same int, a refit gives exactly the same model.
    keep : folder in which each fit keeps its study, in a new subfolder (`study_["study"]`); None: the study's files are
        removed after the fit.
    quiet : whether to hide progress.

    Attributes
    ----------
    classes_ : (C,) the labels, sorted, in the type of y.
    study_ : dict, the result of the study: score, findings, baselines, winner and the rest of `report.json`.
    files_ : dict of bytes, the delivered model.
    n_features_in_ : number of columns that X had.
    feature_names_in_ : (n_features_in_,) names of the columns, if X was a frame with text names.

    Examples
    --------
    >>> import numpy as np
    >>> import tame
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> y = np.where(x[:, 0] > 0, "right", "left")
    >>> classifier = tame.TameClassifier(trials=1, epochs=2, random_state=0).fit(x, y)
    >>> classifier.classes_.tolist(), classifier.predict_proba(x).shape
    (['left', 'right'], (100, 2))
    """

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Finds, trains and delivers a network. X: (n, D) numbers, NaN if missing, or a frame; y: (n,) labels.

        sample_weight: (n,) 0 or more, what each row counts as in the loss, in the metric that chooses and in the score;
        rows of weight 0 are left out. How columns are scaled and how rows are split does not depend on it.

        Raises ValueError and TypeError for data and settings that cannot be used, and the other errors of
        tame.core.errors where training fails.
        """
        x, y, weights = self._read(X, y, sample_weight, is_numeric=False)
        check_classification_targets(y)
        classes, codes = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            where = "" if sample_weight is None else " in rows whose sample_weight is above 0"
            raise ValueError(
                f"y contains only one class, {classes.tolist()[0]!r}{where}: a classifier needs two or more"
            )
        self._study(x, np.array(_names_of(classes))[codes], "classification", weights)
        self.classes_ = classes
        return self

    def predict(self, X: object) -> np.ndarray:
        """(n,) the most likely class of each row, in the type of y. Raises ValueError if X is unlike that of `fit`."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: object) -> np.ndarray:
        """(n, C) float64 probabilities in the order of `classes_`. Raises as `predict` does."""
        network, outputs = self._judged(X)
        place = {label: i for i, label in enumerate(network.labels)}
        return softmax(outputs)[:, [place[name] for name in _names_of(self.classes_)]]


class TameRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A regressor found by a study: it tries many recipes, acts on findings, and is scored once on sealed rows.

    `fit` seals a fifth of its rows, and searches and trains on the rest; the score of the delivered model on the sealed
    rows is in `study_["score"]`. Training runs in this process.

    Parameters
    ----------
    model, space, time, trials, epochs, search, folds, set, random_state, keep, quiet : as in `TameClassifier`.
    loss : the loss to minimize ("mse", "mae", "huber", ...).
    metric : chooses and scores the winner: rmse, mae or r2; "auto" is rmse.

    Attributes
    ----------
    study_ : dict, the result of the study: score, findings, baselines, winner and the rest of `report.json`.
    files_ : dict of bytes, the delivered model.
    n_features_in_ : number of columns that X had.
    feature_names_in_ : (n_features_in_,) names of the columns, if X was a frame with text names.

    Examples
    --------
    >>> import numpy as np
    >>> import tame
    >>> x = np.random.default_rng(0).normal(size=(100, 2))
    >>> regressor = tame.TameRegressor(trials=1, epochs=2, random_state=0).fit(x, x.sum(axis=1))
    >>> regressor.predict(x).shape, regressor.study_["metric"]
    ((100,), 'rmse')
    """

    def fit(self, X: object, y: object, sample_weight: object = None) -> Self:
        """Finds, trains and delivers a network. X: (n, D) numbers, NaN if missing, or a frame; y: (n,) numbers.

        sample_weight: as of `TameClassifier`; the target is also standardised by it.

        Raises ValueError and TypeError for data and settings that cannot be used, and the other errors of
        tame.core.errors where training fails.
        """
        x, y, weights = self._read(X, y, sample_weight, is_numeric=True)
        self._study(x, np.asarray(y, dtype=np.float64), "regression", weights)
        return self

    def predict(self, X: object) -> np.ndarray:
        """(n,) float64, in the unit of y. Raises ValueError if X is unlike that of `fit`."""
        return np.asarray(self._judged(X)[1][:, 0])


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """Errors as scikit-learn expects them: bad data or settings raise ValueError."""
    try:
        yield
    except (DataError, UsageError, ShapeError) as problem:
        raise ValueError(str(problem)) from problem


def _weights(given: object, num: int) -> np.ndarray | None:
    """(n,) weights of rows, 0 or more; None for none. One number counts for all rows. Raises ValueError."""
    if given is None:
        return None
    try:
        weights = np.array(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight is a {type(given).__name__}: give one number for each row") from None
    weights = np.full(num, float(weights)) if weights.ndim == 0 else weights
    if weights.shape != (num,):
        raise ValueError(f"sample_weight has shape {weights.shape} and there are {num} rows: give one number for each")
    bad = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if len(bad):
        mend = "weights are 0 or more; leave out the row, or give it the weight 0"
        raise ValueError(f"sample_weight is {weights[bad[0]]} in row {bad[0]} ({len(bad)} such rows): {mend}")
    if not weights.any():
        raise ValueError("sample_weight is zero in every row: there is nothing to train on")
    return weights


def _names_of(classes: np.ndarray) -> list[str]:
    """Different texts for the labels: as they are written, or their positions if those are not unique."""
    names = [str(label) for label in classes.tolist()]
    return names if all(names) and len(set(names)) == len(names) else [str(i) for i in range(len(names))]


def _seed(random_state: object) -> int:
    """The seed of a study: a whole number is used unchanged, so that it means the same as `tame fit --seed`."""
    if isinstance(random_state, numbers.Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _whole(value: int | None) -> int | None:
    """A NumPy whole number, as parameter searches give it, as a Python int."""
    return int(value) if isinstance(value, numbers.Integral) and not isinstance(value, bool) else value


def _next_folder(parent: Path) -> Path:
    """A new empty folder in `parent`; simultaneous fits get different ones."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        folder = parent / f"fit-{number:04d}"
        try:
            folder.mkdir(mode=0o700)
            return folder
        except FileExistsError:
            number += 1
