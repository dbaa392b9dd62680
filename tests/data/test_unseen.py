"""What columns tell out of fold: against plain loops and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tame.core.errors import ShapeError
from tame.data.unseen import (
    Aim,
    Values,
    area,
    beyond,
    binned,
    explained,
    folds_of,
    losses_of_all,
    losses_of_line,
    losses_of_none,
    losses_of_one,
    predictions_of_all,
)


def aim_of(y, num_classes, seed=0):
    return Aim(y, num_classes, folds_of(np.arange(len(y)), y if num_classes else np.zeros(len(y), int), seed=seed))


def test_folds_keep_groups_whole_and_classes_in_proportion():
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 60, 400)
    strata = (groups % 5 == 0).astype(int)
    folds = folds_of(groups, strata, seed=0)
    assert all(len(set(folds[groups == each])) == 1 for each in np.unique(groups))
    shares = [strata[folds == fold].mean() for fold in range(4)]
    assert max(shares) - min(shares) < 0.15
    assert set(folds.tolist()) == {0, 1, 2, 3}
    np.testing.assert_array_equal(folds, folds_of(groups, strata, seed=0))


def test_bins_hold_equally_many_numbers_and_missing_ones_are_apart():
    values = np.concatenate([np.arange(320.0), [np.nan, np.nan]])
    codes = binned(Values("x", values))
    counts = np.bincount(codes[:320])
    assert counts.min() >= 9
    assert counts.max() <= 11
    assert set(codes[320:]) == {codes.max()}
    assert len(np.unique(binned(Values("x", np.full(5, np.nan))))) == 1
    words = binned(Values("c", np.array([3, 3, 3, 1, 1, -1])))
    assert words.tolist() == [0, 0, 0, 1, 1, 2]


def test_losses_of_a_column_are_those_of_a_loop_over_other_folds():
    rng = np.random.default_rng(1)
    codes, y = rng.integers(0, 4, 60), rng.integers(0, 3, 60)
    aim = aim_of(y, 3)
    found = losses_of_one(codes, aim)
    for row in range(60):
        rest = aim.folds != aim.folds[row]
        prior = np.bincount(y[rest], minlength=3) + 1.0
        prior /= prior.sum()
        own = np.bincount(y[rest & (codes == codes[row])], minlength=3)
        likely = (own + prior) / (own.sum() + 1)
        assert found[row] == pytest.approx(-np.log(likely[y[row]]))


def test_squared_errors_of_a_column_and_of_a_line_are_those_of_loops():
    rng = np.random.default_rng(2)
    codes, y = rng.integers(0, 4, 50), rng.normal(size=50)
    aim, x = aim_of(y, 0), rng.normal(size=50)
    found, line = losses_of_one(codes, aim), losses_of_line(x, aim)
    for row in range(50):
        rest = aim.folds != aim.folds[row]
        own = y[rest & (codes == codes[row])]
        assert found[row] == pytest.approx((y[row] - (own.sum() + y[rest].mean()) / (len(own) + 1)) ** 2)
        slope, start = np.polyfit(x[rest], y[rest], 1)
        assert line[row] == pytest.approx((y[row] - start - slope * x[row]) ** 2)


def test_what_tells_nothing_explains_nothing_and_what_tells_all_explains_all():
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 800)
    aim = aim_of(y, 2)
    none = losses_of_none(aim)
    assert abs(explained(losses_of_one(rng.integers(0, 5, 800), aim), none)) < 0.02
    assert explained(losses_of_one(y, aim), none) > 0.98


@pytest.mark.parametrize("num", [400, 2000])
def test_trees_predict_rows_that_they_have_not_seen(num):
    rng = np.random.default_rng(4)
    x, c = rng.normal(size=num), rng.integers(0, 3, num)
    y = ((x > 0) ^ (c == 1)).astype(int)
    columns = [Values("x", np.where(rng.random(num) < 0.05, np.nan, x)), Values("c", c)]
    aim = aim_of(y, 2)
    told = explained(losses_of_all(predictions_of_all(columns, aim, seed=0), aim), losses_of_none(aim))
    assert told > 0.5
    noise = aim_of(rng.integers(0, 2, num), 2)
    assert explained(losses_of_all(predictions_of_all(columns, noise, seed=0), noise), losses_of_none(noise)) < 0.0
    numbers = aim_of(y + 0.1 * rng.normal(size=num), 0)
    found = losses_of_all(predictions_of_all(columns, numbers, seed=0), numbers)
    assert explained(found, losses_of_none(numbers)) > 0.5


def test_the_area_is_that_of_scikit_learn_and_its_error_that_of_repeated_draws():
    rng = np.random.default_rng(5)
    areas, errors = [], []
    for _ in range(200):
        own = rng.random(120) < 0.4
        scores = rng.normal(size=120) + own
        value, error = area(scores, own)
        assert value == pytest.approx(roc_auc_score(own, scores))
        areas.append(value)
        errors.append(error)
    assert np.mean(errors) == pytest.approx(np.std(areas), rel=0.25)
    assert area(np.zeros(3), np.zeros(3, dtype=bool)) == (0.5, np.inf)
    assert area(np.arange(4), np.arange(4) > 1)[1] > 0.1, "an area of 1 on few rows is not certain"


def test_more_looks_need_more_standard_errors():
    assert beyond(1) == pytest.approx(3.09, abs=0.01)
    assert beyond(100) > beyond(10) > beyond(1)


def test_folds_of_another_length_are_refused():
    with pytest.raises(ShapeError, match="a fold for each row"):
        Aim(np.zeros(3, int), 2, np.zeros(2, int))
