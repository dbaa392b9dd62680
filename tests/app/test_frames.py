"""Trials and curves as frames: the values of the history, none lost and none made up."""

from __future__ import annotations

import math

import pandas as pd
import polars as pl
import pytest

from made_results import made
from tame.app.frames import curves_frame, trials_frame
from tame.core.errors import UsageError
from tame.core.records import History


def test_each_trial_is_a_row_with_its_recipe_and_what_varies_comes_first() -> None:
    _, past = made("two_classes")
    frame = trials_frame(past, "pandas")
    assert isinstance(frame, pd.DataFrame)
    assert frame["trial"].tolist() == sorted(past.trials)
    fields = [name for name in frame.columns if name.startswith("recipe.")]
    assert set(fields) == {f"recipe.{name}" for name in past.trials[0].recipe.flat()}
    varies = [frame[name].nunique() > 1 for name in fields]
    assert varies == sorted(varies, reverse=True)
    for row in frame.itertuples():
        trial = past.trials[row.trial]
        assert (row.state, row.epochs) == (trial.state, trial.epochs)
        assert frame.loc[row.Index, "recipe.optimizer.lr"] == trial.recipe.optimizer.lr
        kept = None if trial.judged is None else trial.judged.valid_loss
        assert math.isnan(row.valid_loss) if kept is None else row.valid_loss == kept


def test_each_epoch_is_a_row_and_what_diverged_has_no_loss() -> None:
    _, past = made("two_classes")
    frame = curves_frame(past, "pandas")
    points = [(number, point) for number, trial in sorted(past.trials.items()) for point in trial.curve.points]
    assert list(zip(frame["trial"], frame["epoch"], strict=True)) == [(n, point.epoch) for n, point in points]
    lost = [point.valid_loss is None for _, point in points]
    assert any(lost)
    assert frame["valid_loss"].isna().tolist() == lost
    assert frame["train_loss"].dtype == "float64"


def test_other_frames_read_the_table_of_arrow_and_unknown_ones_are_refused() -> None:
    _, past = made("two_classes")
    table = trials_frame(past, "arrow")
    assert pl.from_arrow(table)["trial"].to_list() == sorted(past.trials)
    assert curves_frame(History(), "arrow").num_rows == 0
    assert trials_frame(History(), "pandas").empty
    with pytest.raises(UsageError, match="no frame named 'polars'"):
        trials_frame(past, "polars")
