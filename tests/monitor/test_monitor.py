"""The laws of every rule, the rules on recorded curves of real trainings, and the edges of a space."""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tame.core.recipe import Recipe
from tame.core.records import Curve, Finding, Point, Trial
from tame.core.rng import stream
from tame.core.space import Choice, Float, Int, Space
from tame.monitor.case import Facts
from tame.monitor.curves import noise, relative_fall, smooth
from tame.monitor.remedies import CHANGES
from tame.monitor.rules import RULES, consistent, examine
from tame.monitor.space import LEAST_TRIALS, edges
from tame.testing.rule_laws import FACTS, LAWS, NUMBERS, PLANTED, as_regression, clean, trial_of


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", RULES.names())
def test_every_rule_keeps_the_law(name, law):
    law(name)


def test_every_rule_has_advice():
    assert set(RULES.names()) <= set(CHANGES)


# On recorded curves ---------------------------------------------------------------------------------------------------

CLASSES = {"cifar100_allcnnc": 100, "fmnist_2c2d": 10, "svhn_wrn164": 10}


@pytest.fixture(scope="module")
def recorded(shared):
    """Classification runs of DeepOBS: the trial, what the rules know, and the raw record."""
    path = shared / "curves" / "deepobs.json.gz"
    if not path.is_file():
        pytest.skip(f"needs {path}")
    with gzip.open(path) as file:
        runs = [run for run in json.load(file) if run["problem"] in CLASSES]
    found = []
    for run in runs:
        lost = [
            i for i, pair in enumerate(zip(run["train_loss"], run["test_loss"], strict=True)) if np.isnan(pair).any()
        ]
        end = lost[0] + 1 if lost else len(run["train_loss"])
        own = (run["train_loss"][:end], run["test_loss"][:end], run["test_acc"][:end])
        trial = trial_of(*own, state="diverged" if lost else "complete")
        classes = CLASSES[run["problem"]]
        facts = Facts(
            task="multiclass", num_classes=classes, num_valid=10_000, metric="accuracy", higher_is_better=True,
            dummy=1 / classes, dummy_error=math.sqrt((1 - 1 / classes) / classes / 10_000),
            guess_loss=math.log(classes),
        )  # fmt: skip
        found.append((run, trial, {finding.code: finding for finding in examine(trial, facts)}))
    return found


def test_divergence_is_found_exactly_where_a_recorded_run_diverged(recorded):
    for run, _, found in recorded:
        assert ("diverged" in found) == bool(np.isnan(run["train_loss"] + run["test_loss"]).any())
    assert sum("diverged" in found for _, _, found in recorded) > 20


def test_overfitting_is_found_where_a_recorded_validation_loss_rose_and_only_there(recorded):
    """Rose: the mean of the last five epochs lies over the lowest five-epoch mean, by a judge of its own."""
    fired, missed = [], []
    for run, _, found in recorded:
        if np.isnan(run["train_loss"] + run["test_loss"]).any():
            continue
        means = np.convolve(run["test_loss"], np.ones(5) / 5, mode="valid")
        rise = means[-1] / means.min() - 1
        train = np.convolve(run["train_loss"], np.ones(5) / 5, mode="valid")
        learns_on = train[-1] < 0.9 * train[means.argmin()]
        if {"overfitting", "overconfident"} & set(found):
            fired.append(rise > 0.02)
        elif rise > 0.3 and learns_on and means.argmin() < 0.7 * len(means):
            missed.append((run["problem"], run["opt"], run["lr"]))
    assert len(fired) > 30
    assert np.mean(fired) > 0.95
    assert len(missed) <= 0.05 * len(fired), missed


def test_a_recorded_run_is_called_overconfident_too_where_its_accuracy_held(recorded):
    """Fell: the mean of the last five epochs lies below the best five-epoch mean, by a judge of its own."""
    fell, held = [], []
    for run, _, found in recorded:
        assert "overfitting" in found or "overconfident" not in found
        means = np.convolve(run["test_acc"], np.ones(5) / 5, mode="valid")
        if "overfitting" in found:
            (held if "overconfident" in found else fell).append(means.max() - means[-1])
    assert len(fell) >= 3, "few: in these runs the accuracy mostly held while the loss rose"
    assert len(held) > 30
    assert min(fell) > 0.003
    assert np.mean(np.array(held) < 0.01) > 0.9


def test_good_recorded_runs_are_not_blamed_for_their_rate(recorded):
    """Good: within 3 points of the best accuracy of the problem. A run that ends at chance is never called good."""
    best = {
        name: max(np.nanmax(run["test_acc"]) for run, _, _ in recorded if run["problem"] == name) for name in CLASSES
    }
    good = [found for run, _, found in recorded if run["test_acc"][-1] >= best[run["problem"]] - 0.03]
    assert len(good) > 100
    assert np.mean(["rate_too_high" in found for found in good]) <= 0.02
    assert not any({"rate_too_low", "no_better_than_dummy", "diverged"} & set(found) for found in good)


def test_recorded_runs_that_learned_nothing_are_all_found(recorded):
    """At chance on a balanced problem: whatever the cause, the run is not passed over in silence."""
    causes = {"rate_too_high", "rate_too_low", "no_better_than_dummy", "learning_noise"}
    for run, trial, found in recorded:
        if run["problem"] != "svhn_wrn164" and trial.curve.last.valid_metric is not None:
            at_chance = run["test_acc"][-1] <= 1 / CLASSES[run["problem"]] + 0.001
            if at_chance and trial.state == "complete":
                assert causes & set(found), (run["problem"], run["opt"], run["lr"])


def test_no_two_findings_about_a_recorded_run_contradict_each_other(recorded):
    apart = [
        {"rate_too_high", "rate_too_low"}, {"rate_too_high", "still_improving"}, {"rate_too_high", "overfitting"},
        {"overfitting", "still_improving"}, {"overfitting", "underfitting"}, {"rate_too_low", "overfitting"},
        {"rate_too_low", "no_better_than_dummy"}, {"diverged", "rate_too_low"},
    ]  # fmt: skip
    for _, _, found in recorded:
        assert not [pair for pair in apart if pair <= set(found)]


# Curves ---------------------------------------------------------------------------------------------------------------


@given(spread=st.floats(1e-3, 10), seed=st.integers(0, 99), slope=st.floats(-1, 1))
def test_noise_is_measured_around_a_trend(spread, seed, slope):
    values = slope * np.arange(2000) + stream(seed, "noise").normal(0, spread, 2000)
    assert noise(values) == pytest.approx(spread, rel=0.15)


def test_noise_of_a_straight_line_and_of_too_few_points_is_nothing():
    assert noise([5, 4, 3, 2, 1]) == 0
    assert noise([1, 9, 2]) == 0


def test_smoothing_takes_out_a_single_spike_and_keeps_a_trend():
    assert smooth([5, 4, 30, 2, 1]).tolist() == [4.5, 5, 4, 2, 1.5]
    assert smooth([3.0]).tolist() == [3.0]


@given(st.lists(st.floats(-10, 10), max_size=12), st.sampled_from([1, 3, 5]))
def test_smoothing_takes_the_median_of_what_there_is_around_each_point(values, window):
    half = window // 2
    wanted = [np.median(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]
    assert smooth(values, window=window).tolist() == wanted


def test_the_fall_is_relative_to_where_it_began():
    assert relative_fall([10] * 8 + [10, 5, 5], share=0.3) == pytest.approx(0.5)
    assert relative_fall([5] * 8 + [5, 10, 10], share=0.3) == pytest.approx(-1)
    assert relative_fall([5, 4, 3, 2, 1], share=0.2) == pytest.approx(0.25)  # both ends smoothed: from 2 to 1.5


def test_examine_reports_all_that_the_rules_find():
    trial = trial_of([1, math.nan], [1, math.nan], state="diverged")
    assert [finding.code for finding in examine(trial, FACTS)] == ["diverged"]
    assert examine(trial, FACTS)[0].trial == trial.number


def test_of_several_seeds_each_kind_is_told_once_and_nothing_that_contradicts_it():
    def of(code: str, number: int) -> Finding:
        return Finding(code, f"{code} {number}", "info", {}, trial=number)

    every = [of("underfitting", 1), of("overfitting", 2), of("rate_too_low", 3), of("rate_too_low", 4), of("others", 5)]
    assert [finding.title for finding in consistent(every)] == ["rate_too_low 3", "others 5"]
    assert [finding.title for finding in consistent(every[:2])] == ["overfitting 2"]
    assert consistent([]) == []


@pytest.mark.parametrize("metric", ["accuracy", "f1_macro", "roc_auc", "average_precision"])
def test_a_dummy_is_judged_by_every_metric_with_the_error_of_guessing(metric):
    facts = replace(FACTS, metric=metric, dummy=0.5, dummy_error=0.02)
    for value, fires in ((0.45, True), (0.53, True), (0.55, False)):
        trial = trial_of([2.3] * 6, [2.3] * 6, [value] * 6, state="complete")
        found = RULES.get("no_better_than_dummy")(trial, facts)
        assert (found is not None) == fires
    assert RULES.get("no_better_than_dummy")(trial_of([1] * 6, [1] * 6, [0.5] * 6, state="complete"), facts).title == (
        "not shown to be better than the dummy: 0.500 against 0.500"
    )


def test_less_is_better_for_errors_of_a_regression():
    facts = replace(NUMBERS, dummy=12_345.678, dummy_error=100)
    rule = RULES.get("no_better_than_dummy")
    assert rule(trial_of([1] * 6, [1] * 6, [12_100] * 6, state="complete"), facts) is None
    found = rule(trial_of([1] * 6, [1] * 6, [12_200] * 6, state="complete"), facts)
    assert found.title == "not shown to be better than the dummy: 12,200 against 12,350"
    assert found.evidence == {"valid_metric": 12200, "dummy": 12350, "n": 500, "guess": "always predicting the mean"}


def test_overfitting_is_overconfidence_too_unless_the_metric_falls_or_is_a_loss_itself():
    trial = PLANTED["overconfident"](stream(0, "split"))
    found = {finding.code: finding for finding in examine(trial, FACTS)}
    assert found["overconfident"].severity == found["overfitting"].severity == "info"
    for loss_like in (replace(FACTS, metric="log_loss", higher_is_better=False), FACTS):
        fallen = trial
        if loss_like is FACTS:
            points = [p._replace(valid_metric=0.9 - 0.01 * p.epoch) for p in trial.curve.points]
            fallen = replace(trial, curve=Curve(tuple(points)))
        found = {finding.code: finding for finding in examine(fallen, loss_like)}
        assert found["overfitting"].severity == "warning"
        assert "overconfident" not in found
    codes = [finding.code for finding in examine(as_regression(trial), NUMBERS)]
    assert "overfitting" in codes


def test_early_stopping_leaves_no_overfitting_and_is_an_end():
    trial = PLANTED["overfitting"](stream(0, "early"))
    assert "overfitting" in [finding.code for finding in examine(trial, FACTS)]
    assert "overfitting" not in [finding.code for finding in examine(replace(trial, kept_epoch=3), FACTS)]
    short = trial_of([2.3] * 6, [2.3] * 6, [0.1] * 5 + [0.9], state="complete")
    short = replace(short, recipe=short.recipe.but({"epochs": 40}))
    rule = RULES.get("no_better_than_dummy")
    assert rule(short, FACTS) is None, "it may still train on"
    assert rule(replace(short, kept_epoch=3), FACTS) is not None, "epoch 3 is judged"
    assert rule(replace(short, kept_epoch=6), FACTS) is None


@pytest.mark.parametrize(("rate", "is_high"), [(1e-1, True), (1e-6, False)])
def test_losses_that_rise_at_a_rate_far_below_the_usual_one_do_not_make_it_too_high(rate, is_high):
    losses = [2.3, 1.2, 1.1, 1.5, 1.7, 1.8, 1.9, 1.9]
    trial = trial_of(losses, losses, [0.1] * 8, state="complete")
    trial = replace(trial, recipe=trial.recipe.but({"optimizer.name": "adamw", "optimizer.lr": rate, "epochs": 8}))
    assert ("rate_too_high" in {finding.code for finding in examine(trial, FACTS)}) is is_high


@pytest.mark.parametrize(("name", "is_high"), [("adapted", False), ("mlp", True)])
def test_adapters_beside_a_frozen_network_want_ten_times_the_rate_of_a_whole_one(name, is_high):
    recipe = Recipe().but({"model.name": name, "optimizer.name": "adamw", "optimizer.lr": 3e-3})
    trial = replace(
        trial_of([1.15, 1.22, 1.19], [1.36, 1.35, 1.34], [1.36, 1.35, 1.34], state="complete"),
        recipe=recipe.but({"epochs": 3}),
    )
    facts = replace(FACTS, task="language-model", metric="bits_per_character", higher_is_better=False, dummy=1.41,
                    dummy_error=0.4, guess_loss=1.41)  # fmt: skip
    assert ("rate_too_high" in {finding.code for finding in examine(trial, facts)}) is is_high


def test_clean_runs_of_the_laws_are_worth_the_name():
    """Most of the fall is over before the last fifth, and there is noise."""
    trials = [clean(stream(run, "worth")) for run in range(20)]
    for trial in trials:
        losses = [point.valid_loss for point in trial.curve.points]
        assert noise(losses) > 0
        assert losses[-1] < 0.8 * losses[0]


# Edges ----------------------------------------------------------------------------------------------------------------

WIDE = Space(
    {"optimizer.lr": Float(1e-4, 1e-1, log=True), "batch_size": Int(8, 128, log=True), "model.hidden": Choice(0, 64)}
)


def survivors(lr, *, count=14, of=120, spread=0.0, space=WIDE):
    """The best trials of many all over the space, as a search leaves them: the loss grows with the distance from lr."""
    rng = stream(0, "edges")
    found = []
    for number in range(of):
        recipe = Recipe().but({**space.from_unit(rng.random(len(space))), "epochs": 1})
        loss = 1 + (math.log(recipe.optimizer.lr) - math.log(lr)) ** 2 + rng.normal(0, spread)
        found.append(ended(number, recipe, loss))
    return sorted(found, key=lambda trial: trial.curve.last.valid_loss)[:count]


def ended(number, recipe, loss):
    state = "diverged" if loss is None else "complete"
    return Trial(number, recipe, "sobol", "", state, 1, Curve((Point(1, loss, loss, None),)))


@pytest.mark.parametrize(("lr", "side"), [(1e-6, "low"), (1e1, "high")])
def test_an_optimum_outside_the_space_is_seen_on_its_edge(lr, side):
    (finding,) = edges(survivors(lr), WIDE)
    assert finding.code == "best_on_edge"
    assert finding.evidence["field"] == "optimizer.lr"
    assert finding.evidence["side"] == side
    assert finding.change == CHANGES["best_on_edge"]


@pytest.mark.parametrize("lr", [1e-3, 3e-3, 1e-2, 3e-2])
def test_an_optimum_inside_the_space_is_not(lr):
    assert edges(survivors(lr, spread=0.01), WIDE) == []


def test_losses_without_any_optimum_seldom_look_like_an_edge():
    rng = stream(1, "edges")
    recipes = [trial.recipe for trial in survivors(1e-2, count=120)]
    fired = 0
    for _ in range(100):
        chosen = rng.permutation(len(recipes))[:20]
        fired += bool(edges([ended(n, recipes[n], loss) for n, loss in zip(chosen, rng.random(20), strict=True)], WIDE))
    assert fired <= 5


def test_few_trials_and_edges_that_cannot_be_moved_say_nothing():
    assert edges(survivors(1e-6, count=LEAST_TRIALS - 1), WIDE) == []
    space = Space(
        {"model.dropout": Float(0.0, 0.5), "model.hidden": Choice(64), "optimizer.lr": Float(1e-4, 1e-1, True)}
    )
    rng = stream(0, "dropout")
    recipes = [Recipe().but(space.from_unit(rng.random(3))) for _ in range(40)]
    found = [ended(number, recipe, 1 + recipe.model.dropout) for number, recipe in enumerate(recipes)]
    best = sorted(found, key=lambda trial: trial.curve.last.valid_loss)[:14]
    assert all(trial.recipe.model.dropout < 0.2 for trial in best)
    assert edges(best, space) == [], "there is no dropout below zero"


def test_a_diverged_trial_is_not_among_the_best():
    trials = survivors(1e-2)
    lost = [ended(200 + i, Recipe().but({"optimizer.lr": 1e-1}), None) for i in range(10)]
    assert edges(trials + lost, WIDE) == []
