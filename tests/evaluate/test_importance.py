"""What mattered in a search: importance against Optuna's, isolation, and what more trials would bring."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from tame.adjust.model_based import quiet_optuna
from tame.core.best_of_draws import doubling_gain
from tame.core.importance import LEAST, Objective
from tame.core.recipe import Recipe, Value
from tame.core.records import Curve, History, Point, Trial
from tame.core.rng import stream
from tame.core.space import Choice, Float, Int, Space
from tame.evaluate.best_of import (
    ROUNDING,
    best_of,
    cdf_band,
    isolation,
    retrain_noise,
    what_mattered,
)
from tame.evaluate.importance import importances
from tame.evaluate.outcomes import Outcome, outcomes, values_of
from tame.report.importance_section import ImportanceSection, caution, section
from tame.report.importance_words import in_words as importance_words
from tame.report.importance_words import worth

SPACE = Space(
    {
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
        "optimizer.weight_decay": Float(1e-4, 1e-1, log=True),
        "model.dropout": Float(0.0, 0.5),
        "model.width": Int(8, 64),
        "model.norm": Choice("none", "layer", "batch"),
    }
)
BRANCHED = Space(
    {
        "optimizer.name": Choice("adamw", "sgd"),
        "optimizer.momentum": Float(0.0, 0.9, when={"optimizer.name": "sgd"}),
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
    }
)


def searched(
    loss: Callable[[Mapping[str, Value]], float], num: int, *, space: Space = SPACE, seed: int = 0
) -> list[Outcome]:
    """Trials at random points, all trained to their end, the best first."""
    rng = stream(seed, "searched")
    found = []
    for number in range(num):
        values = space.from_unit(rng.random(len(space)))
        found.append(Outcome(number, values, loss(values), True, True))
    return sorted(found, key=lambda each: each.loss)


def by_rate(values: Mapping[str, Value]) -> float:
    return abs(math.log10(float(values["optimizer.lr"])) + 2.5)


def by_much(values: Mapping[str, Value]) -> float:
    norm = {"none": 0.6, "layer": 0.0, "batch": 0.3}[str(values["model.norm"])]
    return by_rate(values) + norm + 0.8 * float(values["model.dropout"]) + 0.002 * float(values["model.width"])


def by_branch(values: Mapping[str, Value]) -> float:
    momentum = float(values.get("optimizer.momentum", 0.0))
    return 0.3 * by_rate(values) + (0.2 if values["optimizer.name"] == "adamw" else abs(momentum - 0.7))


def trial(number: int, losses: list[float], *, state: Any = "complete", origin: str = "sobol", **more: Any) -> Trial:
    points = tuple(Point(i, loss, loss, 1 - loss) for i, loss in enumerate(losses, 1))
    return Trial(number, Recipe(), origin, "", state, len(losses), Curve(points), **more)


def test_the_field_that_decides_is_the_most_important_and_shown() -> None:
    about = importances(searched(by_rate, 80), SPACE)
    first, *others = about.each
    assert (first.name, first.is_shown, about.n, about.top) == ("optimizer.lr", True, 80, 8)
    assert first.value > 0.5
    assert first.low <= first.value <= first.high
    assert not any(one.is_shown for one in others)
    assert math.isclose(sum(one.value for one in about.each), 1)
    assert importance_words(about) == "shown to matter more than chance: learning rate (80 trials)"


def test_chance_is_seldom_shown_to_matter() -> None:
    rng = stream(1, "noise")
    shown = [
        one.is_shown
        for seed in range(20)
        for one in importances(searched(lambda _: float(rng.random()), 40, seed=seed), SPACE).each
    ]
    assert len(shown) == 100
    assert sum(shown) <= 5  # 1 is expected; 6 or more have a chance below 1 in 1,000


@pytest.mark.parametrize(("space", "loss"), [(SPACE, by_rate), (SPACE, by_much), (BRANCHED, by_branch)])
def test_importances_are_those_of_optuna(space: Space, loss: Callable[[Mapping[str, Value]], float]) -> None:
    optuna = pytest.importorskip("optuna")
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.importance import PedAnovaImportanceEvaluator

    if space is BRANCHED and int(optuna.__version__.split(".")[0]) < 5:
        pytest.skip("Optuna has conditional dimensions in PED-ANOVA from version 5 on")
    dists: dict[str, Any] = {
        name: CategoricalDistribution(dim.values) if isinstance(dim, Choice)
        else IntDistribution(dim.low, dim.high) if isinstance(dim, Int)
        else FloatDistribution(dim.low, dim.high, log=dim.log)
        for name, dim in space.dimensions.items()
    }  # fmt: skip
    found = searched(loss, 200, space=space)
    with quiet_optuna():
        study = optuna.create_study()
    study.add_trials(
        [
            optuna.trial.create_trial(
                value=each.loss, params=dict(each.values), distributions={name: dists[name] for name in each.values}
            )
            for each in found
        ]
    )
    raw = PedAnovaImportanceEvaluator(target_quantile=0.1).evaluate(study)
    total = sum(raw.values())
    own = {one.name: one.value for one in importances(found, space).each}
    assert own.keys() == raw.keys()
    assert own == pytest.approx({name: value / total for name, value in raw.items()}, abs=0.01)


def test_a_field_that_is_active_in_some_recipes_counts_only_among_these() -> None:
    found = searched(by_branch, 120, space=BRANCHED)
    about = {one.name: one for one in importances(found, BRANCHED).each}
    assert about["optimizer.momentum"].n == sum(each.values["optimizer.name"] == "sgd" for each in found) < 120
    assert about["optimizer.momentum"].is_shown
    recipe = Recipe().but({"optimizer.name": "adamw", "optimizer.momentum": 0.5})
    assert "optimizer.momentum" not in values_of(replace(trial(0, [0.5]), recipe=recipe), BRANCHED)


def test_a_dimension_of_one_value_cannot_matter() -> None:
    space = SPACE.but({"model.dropout": Float(0.3, 0.3)})
    found = searched(by_much, 60, space=space)
    beside = replace(found[0], values={**found[0].values, "model.dropout": 0.0})  # a default that lies elsewhere
    about = importances([beside, *found[1:]], space)
    assert {one.name for one in about.each} == {*SPACE.dimensions} - {"model.dropout"}
    assert about.enough == 50


def test_the_same_study_has_the_same_result_and_another_seed_resamples_otherwise() -> None:
    found = searched(by_much, 60)
    assert importances(found, SPACE) == importances(found, SPACE)
    other = importances(found, SPACE, seed=1)
    assert [one.value for one in other.each] == [one.value for one in importances(found, SPACE).each]
    assert other != importances(found, SPACE)


def test_too_few_trials_say_so_and_how_many_are_enough() -> None:
    few = importances(searched(by_rate, LEAST - 1), SPACE)
    assert few.each == ()
    assert importance_words(few) == "too few trials to tell: 15; at least 16 are needed, and 50 are enough"
    some = importances(searched(by_rate, 30), SPACE)
    assert "only a first hint from 30 trials, 50 are enough" in importance_words(some)
    assert not some.is_enough
    assert importances([], SPACE).each == ()


def test_trials_of_unequal_length_are_judged_as_the_search_ranked_them() -> None:
    trials = [
        trial(0, [0.9, 0.5, 0.4]),
        trial(1, [0.6, 0.3, 0.2]),
        trial(2, [0.35], state="stopped"),  # lower than trial 0 at its end, and yet it was stopped
        trial(3, [0.8, 0.7], state="paused"),
        trial(4, [0.5, 0.1], state="diverged"),
        trial(5, [0.1, 0.1, 0.1], origin="finalist"),
        trial(6, [], state="running"),
        trial(7, [0.3, 0.25, 0.9], kept_epoch=2),
    ]
    found = outcomes(History({t.number: t for t in trials}), Space({}))
    assert [each.number for each in found] == [1, 7, 0, 3, 2, 4]
    assert [each.loss for each in found] == [0.2, 0.25, 0.4, 0.7, 0.4, math.inf]
    assert [each.is_final for each in found] == [True, True, True, False, False, False]
    waiting = outcomes(History({3: trials[3], 2: trials[2]}), Space({}))
    assert [(each.number, each.is_final) for each in waiting] == [(3, True), (2, False)]


def test_each_part_of_a_range_has_the_best_that_lies_in_it() -> None:
    found = searched(by_much, 100)
    for name, dim in SPACE.dimensions.items():
        own = isolation(found, name, dim, Objective())
        assert sum(bucket.n for bucket in own.buckets) == 100
        for bucket in own.buckets:
            inside = [
                each.loss
                for each in found
                if (each.values[name] == bucket.value if bucket.value is not None
                    else bucket.start <= dim.where(each.values[name]) < bucket.end)
            ]  # fmt: skip
            assert bucket.best == min(inside)
            assert bucket.low == bucket.best
            assert bucket.high is not None
            assert bucket.best <= bucket.high <= max(inside)
    assert isolation(found, "model.norm", SPACE.dimensions["model.norm"], Objective()) == isolation(
        found, "model.norm", SPACE.dimensions["model.norm"], Objective()
    )
    empty = isolation(found[:1], "model.norm", SPACE.dimensions["model.norm"], Objective())
    assert sorted(bucket.n for bucket in empty.buckets) == [0, 0, 1]
    assert [bucket.best for bucket in empty.buckets if not bucket.n] == [None, None]


def test_if_higher_is_better_every_value_changes_its_sign() -> None:
    found, sign = searched(by_much, 40), Objective("score", -1.0)
    low, high = (
        isolation(found, "model.norm", SPACE.dimensions["model.norm"], o).buckets[0] for o in (Objective(), sign)
    )
    assert low.best is not None
    assert low.high is not None
    assert (high.best, high.low, high.high) == (-low.best, -low.high, -low.best)
    curve = best_of(found, sign)
    assert curve is not None
    assert "would raise the best score by" in worth(curve, sign)
    assert all(b >= a for a, b in zip(curve.median, curve.median[1:], strict=False))


@pytest.mark.parametrize("num", [8, 40])
def test_the_band_of_a_distribution_holds_everywhere_at_once_in_19_of_20_studies(num: int) -> None:
    below, above = cdf_band(num)
    assert np.all(below < above)
    draws = np.sort(stream(7, "coverage").random((4000, num)), axis=1)
    inside = np.all((below <= draws) & (draws <= above), axis=1).mean()
    assert 0.92 < inside < 0.98


def test_the_median_best_of_n_is_below_half_of_all_draws_and_inside_its_band() -> None:
    about = best_of(searched(by_much, 50), Objective())
    assert about is not None
    losses = np.array([each.loss for each in searched(by_much, 50)])
    for size, median, low, high in zip(about.sizes, about.median, about.low, about.high, strict=True):
        at, before = (losses <= median).mean(), (losses < median).mean()
        assert 1 - (1 - before) ** size < 0.5 <= 1 - (1 - at) ** size + 1e-9
        assert low is None or low <= median
        assert median <= high
    assert about.sizes[0] == 1
    assert about.sizes[-1] == 100
    assert about.low[-1] is None
    assert about.low[0] is not None
    assert (about.n, about.drawn) == (50, 50)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_gain_of_twice_as_many_trials_is_forecast_for_losses_with_a_power_law(power: float) -> None:
    def expected(num: int) -> float:
        """Of the least of `num` uniform draws, each to the power."""
        return math.exp(math.lgamma(power + 1) + math.lgamma(num + 1) - math.lgamma(num + power + 1))

    draws = np.sort(stream(3, "doubling").random((400, 100)) ** power, axis=1)
    forecasts = [doubling_gain(losses, rounding=ROUNDING) or 0.0 for losses in draws]
    # Squares of what is uncertain make the forecast rather too hopeful where single trials stand far out.
    assert 0.7 < fmean(forecasts) / (expected(100) - expected(200)) < 1.6


def test_no_curve_for_too_few_trials_and_no_gain_where_all_are_equal() -> None:
    assert best_of(searched(by_much, 7), Objective()) is None
    assert doubling_gain(np.arange(7.0)) is None
    assert {doubling_gain(np.full(num, 0.5), rounding=ROUNDING) for num in range(8, 60)} == {0.0}, (
        "and no rounding that is told as a gain"
    )
    flat = best_of([Outcome(i, {}, 0.5, True, True) for i in range(20)], Objective())
    assert flat is not None
    assert set(flat.median) == {0.5}


def test_the_gain_is_compared_with_the_effect_of_the_seed() -> None:
    again = "the recipe of trial 1 again, with a fresh seed"
    trials = [trial(i, [0.5 + 0.01 * i]) for i in range(20)]
    repeats = [replace(trial(20 + i, [0.4 + 0.1 * i], origin="finalist"), reason=again) for i in range(3)]
    history = History({t.number: t for t in (*trials, *repeats)})
    assert retrain_noise(history) == pytest.approx(0.1)
    assert retrain_noise(History({t.number: t for t in trials})) is None
    about = what_mattered(history, SPACE).best_of
    assert about is not None
    assert worth(about, Objective()).startswith("more trials are unlikely to help: twice as many")
    assert worth(replace(about, noise=1e-6), Objective()).startswith("more trials may help: twice as many")
    assert "was not measured" in worth(replace(about, noise=None), Objective())
    assert caution(about) == ""
    assert "3 of the 20 trials were not drawn at random, as far as is known" in caution(replace(about, drawn=17))


def told(history: History, space: Space) -> ImportanceSection:
    return section(what_mattered(history, space), outcomes(history, space), space)


def test_the_section_of_a_study_of_few_trials_or_of_other_values_has_what_it_can() -> None:
    trials = {i: trial(i, [0.5 + 0.01 * i], state="complete") for i in range(4)}
    few = told(History(trials), SPACE)
    assert (few.importance_chart, few.parallel_chart, few.best_chart, few.isolation) == (
        None,
        None,
        None,
        [],
    )
    lost = {i: trial(i, [0.5], state="diverged") for i in range(20)}
    none = told(History(lost), SPACE)
    assert none.best_chart is None
    beside = {
        i: replace(trial(i, [0.5 + 0.01 * i]), recipe=Recipe().but({"model.norm": n, "optimizer.lr": 10.0 ** -(i % 7)}))
        for i in range(24)
        for n in [("layer", "batch")[i % 2]]
    }
    narrow = Space({"model.norm": Choice("layer", "none"), "optimizer.lr": Float(1e-3, 1e-1, log=True)})
    found = told(History(beside), narrow)
    assert "batch: best 0.510 of 12 trials" in found.isolation[0]
    assert found.parallel_chart is not None
    assert found.beyond == "learning rate 1 of the best trial"
