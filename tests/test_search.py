"""The laws of every searcher, what successive halving must do besides, and the points that fill the space."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from tame.adjust import halving, portfolio
from tame.adjust.halving import finish
from tame.adjust.sampling import proposals, sobol_points
from tame.adjust.searcher import SearchConfig
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Point, curve_event, decision_event, replay
from tame.core.space import Choice, Float, Space
from tame.testing.searcher_laws import CONFIG, LAWS, SPACE, falling, history_of, play

SEARCHERS = {"halving": halving.decide}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SEARCHERS)
def test_every_searcher_keeps_the_law(name, law):
    law(SEARCHERS[name])


@given(
    seed=st.integers(0, 1000),
    epochs=st.integers(1, 50),
    trials=st.integers(1, 25),
    cohort=st.integers(1, 12),
    eta=st.integers(2, 4),
    num_rungs=st.integers(1, 4),
    lost=st.integers(0, 3),
)
@settings(max_examples=25, deadline=None)
def test_halving_ends_within_its_budget_whatever_the_losses(seed, epochs, trials, cohort, eta, num_rungs, lost):
    """With losses of pure noise, some of them not finite."""
    base = Recipe().but({"epochs": epochs})
    config = SearchConfig(base=base, trials=trials, cohort=cohort, eta=eta, num_rungs=num_rungs)
    rng = np.random.default_rng(seed)

    def loss(trial, recipe, epoch):
        return None if trial and rng.random() < 0.05 * lost else float(rng.random())

    events, _ = play(halving.decide, loss, config=config, seed=seed)
    history = replay(events)
    assert len(history.trials) == trials
    assert not history.having("running", "waiting")
    assert history.trials[0].state == "complete"
    assert all(t.epochs == epochs for t in history.having("complete"))
    assert all(t.epochs in config.rungs for t in history.having("stopped", "paused"))


def test_the_best_third_goes_on_the_next_third_waits_and_the_rest_stops():
    config = SearchConfig(base=Recipe().but({"epochs": 9}), num_rungs=2)
    history = history_of({n: [n, n, n] for n in range(1, 10)}, states={}, base=config.base)
    found = {d.trial: (d.kind, d.until) for d in halving.decide(history, SPACE, 0, config=config)}
    wanted = [("continue", 9)] * 3 + [("pause", 3)] * 3 + [("stop", 3)] * 3
    assert found == dict(zip(range(1, 10), wanted, strict=True))


def test_a_waiting_trial_goes_on_once_later_ones_make_it_look_better():
    config = SearchConfig(base=Recipe().but({"epochs": 9}), num_rungs=2)
    paused = {1: "complete", 2: "paused", 3: "stopped"}
    losses = {1: [1.0] * 9, 2: [2.0] * 3, 3: [3.0] * 3}
    before = history_of(losses, states=paused, base=config.base)
    assert [d.kind for d in halving.decide(before, SPACE, 0, config=config)] == ["start"] * 32
    after = history_of({**losses, 4: [4.0] * 3, 5: [5.0] * 3, 6: [6.0] * 3}, states=paused, base=config.base)
    found = {d.trial: d for d in halving.decide(after, SPACE, 0, config=config)}
    assert found[2].kind == "continue"
    assert found[2].until == 9
    assert found[2].reason == "rank 2 of 6 by validation loss at epoch 3; the best 2 go on"
    assert found[4].kind == "pause"


def test_trials_of_other_origins_are_left_alone():
    events, _ = play(halving.decide, falling, config=SearchConfig(base=CONFIG.base, trials=3))
    history = replay(events)
    start = Decision("start", 7, "", 9, CONFIG.base.but({"seed": 7}), "finalist")
    other = history.after(decision_event(start))
    assert halving.decide(other, SPACE, 0, config=SearchConfig(base=CONFIG.base, trials=3)) == []


@given(dimensions=st.integers(1, 12), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20)
def test_sobol_points_lie_in_the_cube_and_repeat_by_seed(dimensions, seed):
    found = np.array(list(islice(sobol_points(dimensions, seed), 300)))
    assert found.shape == (300, dimensions)
    assert found.min() >= 0
    assert found.max() < 1
    assert np.array_equal(found, np.array(list(islice(sobol_points(dimensions, seed), 300))))
    assert not np.array_equal(found, np.array(list(islice(sobol_points(dimensions, seed + 1), 300))))


def test_sobol_points_fill_the_cube_more_evenly_than_chance_and_do_not_repeat():
    found = np.array(list(sobol_points(3, 1)))
    assert found.shape == (2**16, 3)
    assert len(np.unique(found, axis=0)) == len(found)
    chance = qmc.discrepancy(np.random.default_rng(0).random((256, 3)))
    assert qmc.discrepancy(found[:256]) < chance / 3


def test_proposals_are_the_default_then_the_portfolio_then_points_of_the_space():
    found = list(islice(proposals(SPACE, 0, CONFIG), 20))
    assert [origin for origin, _ in found] == ["default", *["portfolio"] * 3, *["sobol"] * 16]
    assert found[0][1] == CONFIG.base


def test_the_portfolio_does_not_touch_what_is_fixed():
    config = SearchConfig(base=CONFIG.base, portfolio=CONFIG.portfolio, fixed=frozenset({"optimizer.lr"}))
    recipes = [recipe for origin, recipe in proposals(Space({}), 0, config)]
    assert {recipe.optimizer.lr for recipe in recipes} == {CONFIG.base.optimizer.lr}


def test_the_dropout_of_a_head_without_a_hidden_layer_is_not_searched():
    space = Space({"model.dropout": Float(0.2, 0.5), "model.hidden": Choice(0)})
    config = SearchConfig(base=Recipe())
    found = list(proposals(space, 0, config))
    assert [recipe.model.dropout for _, recipe in found] == [0.0, 0.2]


@pytest.mark.parametrize("num_examples", [50, 5000])
@pytest.mark.parametrize("epochs", [None, 1, 3])
def test_every_preset_holds_recipes_that_can_be_trained(num_examples, epochs):
    for preset in (
        portfolio.heads((224, 256), num_examples, epochs=epochs, seed=1, crop=0.875),
        portfolio.scratch(96, num_examples, epochs=epochs, seed=1),
    ):
        config = SearchConfig(base=preset.base, portfolio=preset.portfolio)
        found = list(islice(proposals(Space(preset.dimensions), 0, config), 40))
        assert len({recipe.key() for _, recipe in found}) == 40
        assert {recipe.epochs for _, recipe in found} == {preset.base.epochs}
        assert {recipe.seed for _, recipe in found} == {1}
        tuned = portfolio.fine_tuning(preset.base, size=96, epochs=3, stages=7, seed=2)
        assert (tuned.model.unfrozen, tuned.epochs, tuned.seed) == (4, 3, 2)


@given(native=st.sampled_from([96, 160, 224, 384]), side=st.integers(16, 600), fixed=st.booleans())
def test_input_sizes_are_sizes_a_recipe_can_have(native, side, fixed):
    sizes = portfolio.input_sizes(native, side, fixed=fixed)
    assert sizes
    assert len(set(sizes)) == len(sizes)
    for size in sizes:
        Recipe().but({"input.size": size})
        assert size % 32 == 0 or fixed


@given(epochs=st.integers(1, 200), eta=st.integers(2, 5), num_rungs=st.integers(1, 5))
def test_rungs_rise_to_all_epochs(epochs, eta, num_rungs):
    rungs = SearchConfig(base=Recipe().but({"epochs": epochs}), eta=eta, num_rungs=num_rungs).rungs
    assert rungs[-1] == epochs
    assert rungs[0] >= 1
    assert list(rungs) == sorted(set(rungs))
    assert len(rungs) <= num_rungs


@pytest.mark.parametrize("wrong", [{"trials": 0}, {"cohort": 0}, {"eta": 1}, {"num_rungs": 0}])
def test_a_search_without_bounds_is_refused(wrong):
    with pytest.raises(UsageError, match=f"{next(iter(wrong))} must be"):
        SearchConfig(base=Recipe(), **wrong)


def test_a_search_whose_time_is_short_trains_the_best_to_their_end():
    events = []
    for number, loss in enumerate((0.5, 0.3, 0.4, 0.2)):
        recipe = Recipe().but({"epochs": 9, "optimizer.lr": 1e-3 * (number + 1)})
        events.append(decision_event(Decision("start", number, "why", 1, recipe, "sobol")))
        events.append(curve_event(number, [Point(1, loss, loss, 0.5)]))
    history = replay(events)
    assert [d.trial for d in finish(history, epochs=100)] == [3, 1, 2]
    assert [(d.trial, d.until) for d in finish(history, epochs=17)] == [(3, 9), (1, 9)]
    assert finish(history, epochs=7) == []
    whole = [Point(epoch, 0.1, 0.1, 0.9) for epoch in range(1, 10)]
    ended = replay([*events, curve_event(0, whole), decision_event(Decision("complete", 0, "why", 9))])
    assert [d.trial for d in finish(ended, epochs=100)] == [3, 1]
