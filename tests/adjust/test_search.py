"""The laws of every searcher, what each of them must do besides, and the points that fill the space."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from tame.adjust import portfolio
from tame.adjust.asha import decide as asha
from tame.adjust.grid import grid_points, levels_of
from tame.adjust.hyperband import hyperband_brackets
from tame.adjust.last_stretch import finish
from tame.adjust.population_based import CHANGEABLE, changed, marks_of
from tame.adjust.sampling import proposals, random_points, sobol_points
from tame.adjust.searcher import SearchConfig
from tame.adjust.searchers import SEARCHERS, WHOLE
from tame.core.config import SEARCHES, StudyConfig
from tame.core.errors import StorageError, UsageError
from tame.core.recipe import Recipe
from tame.core.records import Decision, Event, Point, curve_event, decision_event, replay
from tame.core.space import Choice, Float, Int, Space
from tame.study.state import State
from tame.testing.searcher_laws import (
    CONDITIONAL,
    CONFIG,
    EXCEPTIONS,
    LAWS,
    SPACE,
    begun,
    falling,
    history_of,
    play,
)
from tame.trial.commands import Asked, AskedCopy, PointMeasured, Unsealed

# A Gaussian process takes a tenth of a second for each proposal.
SMALLER = {"gp": replace(CONFIG, trials=4, cohort=2)}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", SEARCHERS.names())
def test_every_searcher_keeps_the_law(name, law):
    if (name, law.__name__) in EXCEPTIONS:
        with pytest.raises(AssertionError):
            law(SEARCHERS.get(name), config=SMALLER.get(name, CONFIG))
    else:
        law(SEARCHERS.get(name), config=SMALLER.get(name, CONFIG))


def test_a_study_may_ask_for_every_searcher_that_is_registered():
    assert set(SEARCHES) == set(SEARCHERS.names())
    assert set(SEARCHERS.names()) > WHOLE
    assert StudyConfig(data="x").search == "auto"
    for name in SEARCHERS.names():
        assert StudyConfig.from_json(StudyConfig(data="x", search=name).to_json()).search == name
    with pytest.raises(UsageError, match="no search named 'hyperbnd'; did you mean 'hyperband'"):
        StudyConfig(data="x", search="hyperbnd")


def test_searchers_load_neither_torch_nor_optuna_before_they_are_asked():
    code = "import sys, tame.adjust.searchers; sys.exit('torch' in sys.modules or 'optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", [name for name in SEARCHERS.names() if name != "auto"])
def test_only_auto_tries_the_portfolio(name):
    _, rounds = play(SEARCHERS.get(name), falling, config=SMALLER.get(name, CONFIG))
    origins = [d.origin for d in begun(rounds)]
    assert origins[0] == "default"
    assert "default" not in origins[1:]
    assert "portfolio" not in origins


def test_auto_tries_the_portfolio_first():
    _, rounds = play(SEARCHERS.get("auto"), falling)
    assert [d.origin for d in begun(rounds)[:5]] == ["default", *["portfolio"] * 3, "sobol"]


@pytest.mark.parametrize("name", sorted(WHOLE - {"pbt"}))
def test_every_trial_is_trained_to_its_end(name):
    events, _ = play(SEARCHERS.get(name), falling, config=SMALLER.get(name, CONFIG))
    assert all(trial.state == "complete" for trial in replay(events).trials.values())


# The grid


@given(
    counts=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_every_point_of_a_grid_comes_once(counts, seed):
    levels = [[i / max(1, count - 1) for i in range(count)] for count in counts]
    found = [tuple(point) for point in grid_points(levels, seed)]
    assert len(found) == len(set(found)) == np.prod(counts)


@given(trials=st.integers(2, 300), low=st.integers(1, 5), values=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_a_grid_fits_the_trials_and_misses_no_value_that_it_has_room_for(trials, low, values):
    space = Space(
        {
            "optimizer.lr": Float(1e-4, 1e-1, log=True),
            "model.dropout": Float(0.0, 0.4, step=0.1),
            "batch_size": Int(low, low + values - 1, log=True),
            "schedule.name": Choice("cosine", "constant", "linear"),
        }
    )
    base = Recipe().but({"model.hidden": 64})
    levels = levels_of(space, trials - 1, base)
    sizes = [len(each) for each in levels]
    assert np.prod(sizes) <= max(1, trials - 1)
    for dim, own in zip(space.dimensions.values(), levels, strict=True):
        assert len({dim.at(u) for u in own}) == len(own), "a level that is another one's value"
        room = np.prod(sizes) // len(own) * (len(own) + 1) > trials - 1
        assert room or len(own) == dim.count, "there was room for one more value"
    for own, dim in zip(levels, space.dimensions.values(), strict=True):
        if len(own) > 1 and not isinstance(dim, Choice):
            assert (dim.at(own[0]), dim.at(own[-1])) == pytest.approx((dim.low, dim.high))


def test_a_grid_that_ends_early_has_covered_the_space():
    levels = [[i / 8 for i in range(9)]] * 2
    first = np.array(list(islice(grid_points(levels, 0), 27)))
    thirds = {(int(3 * min(a, 0.99)), int(3 * min(b, 0.99))) for a, b in first}
    assert len(thirds) == 9


# Brackets


def test_hyperband_has_the_brackets_of_its_paper():
    """Table 1 of Li et al. (2018), for 81 epochs and eta 3; its n of 34 and 15 are rounded up, as in Algorithm 1."""
    config = SearchConfig(base=Recipe().but({"epochs": 81}))
    found = hyperband_brackets(config)
    assert [bracket.size for bracket in found] == [81, 34, 15, 8, 5]
    assert [bracket.rungs[0] for bracket in found] == [1, 3, 9, 27, 81]
    assert found[1].rungs == (3, 9, 27, 81)


def test_hyperband_shows_all_its_brackets_where_few_trials_are_asked_for():
    config = SearchConfig(base=CONFIG.base, trials=12)
    sizes = [bracket.size for bracket in hyperband_brackets(config)]
    assert len(sizes) == 4
    assert sum(sizes) <= 12
    _, rounds = play(SEARCHERS.get("hyperband"), falling, config=config)
    assert len({decision.until for decision in begun(rounds)}) > 2


def test_a_bracket_of_successive_halving_is_cut_to_a_third_at_each_rung():
    config = SearchConfig(base=CONFIG.base, trials=18, cohort=18)
    events, _ = play(SEARCHERS.get("sha"), falling, config=config)
    epochs = sorted(trial.epochs for trial in replay(events).trials.values())
    assert sum(each == 27 for each in epochs) in (2, 3)  # the default goes on beside the best
    assert sum(each >= 9 for each in epochs) in (6, 7)


def test_asha_promotes_before_it_starts_and_trains_no_epoch_twice():
    config = SearchConfig(base=CONFIG.base, trials=30, cohort=6)
    history = history_of({0: [9.0], 1: [1.0], 2: [2.0], 3: [3.0], 4: [4.0], 5: [5.0]}, states={}, base=config.base)
    found = asha(history, SPACE, 0, config=config)
    going = {d.trial: d.until for d in found if d.kind == "continue"}
    assert going == {0: 3, 1: 3, 2: 3}  # the default, and 6 // 3 that are best
    assert [d.trial for d in found if d.kind == "pause"] == [3, 4, 5]
    assert [d.trial for d in found if d.kind == "start"] == [6, 7, 8]
    events, _ = play(asha, falling, config=config)
    epochs = [(e.data["trial"], row[0]) for e in events if e.kind == "curve" for row in e.data["points"]]
    assert len(epochs) == len(set(epochs))


def test_asha_continues_trials_that_waited():
    config = SearchConfig(base=CONFIG.base, trials=9, cohort=3)
    losses = {0: [9.0], 1: [2.0], 2: [3.0], 3: [4.0], 4: [5.0], 5: [6.0]}
    states = {1: "complete", 2: "paused", 3: "paused"}
    found = asha(history_of(losses, states=states, base=config.base), SPACE, 0, config=config)
    assert {d.trial for d in found if d.kind == "continue"} == {0, 2}


# Populations

POPULATION = SearchConfig(base=CONFIG.base, trials=10, cohort=10)


def test_the_worst_fifth_continues_from_the_best_fifth():
    events, rounds = play(SEARCHERS.get("pbt"), falling, config=POPULATION)
    history = replay(events)
    for decisions in rounds[1:-1]:
        kinds = [decision.kind for decision in decisions]
        assert (kinds.count("stop"), kinds.count("copy"), kinds.count("continue")) == (2, 2, 8)
    copies = [trial for trial in history.trials.values() if trial.parent is not None]
    assert len(copies) == 2 * (len(marks_of(27)) - 1)
    for trial in copies:
        parent = history.trials[trial.parent]
        assert trial.curve.points[: trial.inherited] == parent.curve.points[: trial.inherited]
        assert trial.trained == trial.epochs - trial.inherited > 0


def test_a_diverged_member_is_replaced_and_the_population_keeps_its_size():
    losses = lambda trial, recipe, epoch: None if trial in (3, 4) and epoch > 3 else falling(trial, recipe, epoch)  # noqa: E731
    _, rounds = play(SEARCHERS.get("pbt"), losses, config=POPULATION)
    assert all(sum(d.kind in ("continue", "copy") for d in decisions) == 10 for decisions in rounds[1:-1])


def test_a_member_that_stopped_early_is_not_replaced():
    """It has all that it will get, and is no worse for it."""
    pbt = SEARCHERS.get("pbt")
    history = replay(map(decision_event, pbt(replay([]), SPACE, 0, config=POPULATION)))
    until = marks_of(27)[0]
    for n in range(10):
        history = history.after(curve_event(n, [Point(e, 1.0 + n, 1.0 + n, None) for e in range(1, until + 1)]))
    history = history.after(Event("early_stop", {"trial": 9, "best": 1, "reason": "no better since"}))
    kinds = [decision.kind for decision in pbt(history, SPACE, 0, config=POPULATION)]
    assert (kinds.count("stop"), kinds.count("copy"), kinds.count("continue")) == (2, 2, 7)


@given(seed=st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_a_copy_changes_only_fields_that_may_change_and_stays_in_the_space(seed):
    rng = np.random.default_rng(seed)
    space = SPACE.but({"optimizer.momentum": Float(0.5, 0.99), "loss.label_smoothing": Choice(0.0, 0.1, 0.2)})
    recipe = Recipe().but({"model.hidden": 64, "epochs": 9, **space.from_unit(rng.random(len(space)))})
    found = changed(recipe, space, rng)
    assert found is not None
    assert space.holds(found.flat())
    names = {name for name, value in found.flat().items() if value != recipe.flat()[name]}
    assert names
    assert names <= CHANGEABLE & {*space.dimensions}


def test_a_population_whose_recipes_cannot_change_trains_on_without_copies():
    space = Space({"model.hidden": Choice(0, 16, 64), "batch_size": Choice(16, 32, 64, 128)})
    events, rounds = play(SEARCHERS.get("pbt"), falling, space=space, config=POPULATION)
    assert {d.kind for decisions in rounds for d in decisions} == {"start", "continue", "complete"}
    assert all(trial.state == "complete" for trial in replay(events).trials.values())


def test_a_copy_follows_from_the_events():
    start = Decision("start", 0, "why", 2, CONFIG.base, "default")
    points = [Point(1, 0.5, 0.5, 0.5), Point(2, 0.4, 0.4, 0.5)]
    other = CONFIG.base.but({"optimizer.lr": 0.02})
    copy = Decision("copy", 1, "better", 4, other, "copy", 0)
    go_on = Decision("continue", 0, "on", 4)
    events = [decision_event(start), curve_event(0, points), decision_event(go_on), decision_event(copy)]
    state = State()
    for event in events:
        state.after(event)
    trial = state.history.trials[1]
    assert (trial.parent, trial.inherited, trial.epochs, trial.trained) == (0, 2, 2, 0)
    assert trial.recipe == other
    assert trial.state == "running"
    assert state.left_from == {0: 2, 1: 2}, "a copy trains on together with its parent"
    state.after(curve_event(1, [*points, Point(3, 0.1, 0.1, 0.9)]))
    state.after(curve_event(0, [Point(3, 0.3, 0.3, 0.6)]))
    assert [p.valid_loss for p in state.history.trials[1].curve.points] == [0.5, 0.4, 0.1]
    assert state.history.trials[1].trained == 1


# Copies where they train


def small_net(width: int):
    from torch import nn

    return nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 2))


def trainer_of(folder, heard, measurer):
    """What the worker does, for a small network on made-up numbers; made again, it is the worker after a kill."""
    from tame.worker.trainer import Trainer

    trainer = Trainer(
        cache=folder / "cache", study=folder / "study", emit=heard.append, build=small_net, measurer=measurer
    )
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    np.save(folder / "x.npy", rng.normal(size=(60, 3)).astype(np.float32))
    trainer.open("arrays", {"file": str(folder / "x.npy"), "build": None})
    trainer.learn(
        Unsealed(
            rows=range(60), targets=rng.integers(2, size=60).tolist(), folds=[i % 3 for i in range(60)],
            num_classes=2, task="binary",
        )
    )  # fmt: skip
    return trainer


OWN = Recipe().but({"model.name": "own", "own.width": 8, "epochs": 6, "batch_size": 16, "optimizer.lr": 1e-2})
FOLDS = [0, 1, 2]


def rows_of(heard, trial):
    return {m.point.epoch: m.point.row()[1:] for m in heard if isinstance(m, PointMeasured) and m.trial == trial}


def advance(trainer, recipes, until, inherited=0):
    """recipes: by trial; trials other than 0 are copies that have epochs of their parent."""
    asked = [Asked(trial=n, recipe=r, inherited=inherited if n else 0) for n, r in recipes.items()]
    trainer.advance(asked, folds=FOLDS, until=until, metric="accuracy", final=False)


def copied(trainer, recipes, epoch):
    asked = [AskedCopy(trial=n, recipe=r, source=0, epoch=epoch) for n, r in recipes.items() if n]
    trainer.copy(asked, folds=FOLDS)


@pytest.fixture(params=["alone", "together"])
def measurer(request, one_thread):
    """Networks are trained one by one, or in one computation, as this one says."""
    from measurers import ALONE, TOGETHER

    return ALONE if request.param == "alone" else TOGETHER


@pytest.mark.parametrize("schedule", ["cosine", "plateau"])
def test_a_copy_continues_exactly_where_its_parent_is(measurer, schedule, tmp_path):
    """With the recipe of its parent it does what its parent does; with another rate something else."""
    own = OWN.but({"schedule.name": schedule, "schedule.patience": 1})
    recipes = {0: own, 1: own, 2: own.but({"optimizer.lr": 1e-3})}
    heard = []
    trainer = trainer_of(tmp_path, heard, measurer)
    advance(trainer, {0: own}, 3)
    copied(trainer, recipes, 3)
    advance(trainer, recipes, 6, inherited=3)
    parent, same, other = (rows_of(heard, n) for n in range(3))
    assert sorted(parent) == sorted(same) == sorted(other) == [1, 2, 3, 4, 5, 6]
    assert [same[epoch] for epoch in range(1, 7)] == [parent[epoch] for epoch in range(1, 7)]
    assert [other[epoch] for epoch in (1, 2, 3)] == [parent[epoch] for epoch in (1, 2, 3)]
    assert other[6] != parent[6]


@pytest.mark.parametrize("killed_after", ["copy", "training on", "training on apart"])
def test_copies_outlive_a_kill(measurer, killed_after, tmp_path):
    """A new process that is asked for the same again, from the checkpoints, comes to the same points."""
    recipes = {0: OWN, 1: OWN.but({"optimizer.lr": 3e-3}), 2: OWN.but({"optimizer.lr": 3e-2})}
    heard = {name: [] for name in ("whole", "first", "second")}
    whole = trainer_of(tmp_path / "whole", heard["whole"], measurer)
    trainer = trainer_of(tmp_path / "killed", heard["first"], measurer)
    for each in (whole, trainer):
        advance(each, {0: OWN}, 2)
        copied(each, recipes, 2)
    if killed_after == "training on":
        advance(trainer, recipes, 4, inherited=2)
    if killed_after == "training on apart":  # as where memory ran out, or with more cores
        advance(trainer, {0: OWN}, 4)
        advance(trainer, {n: r for n, r in recipes.items() if n}, 3, inherited=2)
    again = trainer_of(tmp_path / "killed", heard["second"], measurer)
    copied(again, recipes, 2)
    for each in (whole, again):
        advance(each, recipes, 5, inherited=2)
    for number in recipes:
        second, wanted = rows_of(heard["second"], number), rows_of(heard["whole"], number)
        assert sorted(second) == sorted(wanted)
        np.testing.assert_allclose([second[e] for e in wanted], [wanted[e] for e in wanted], rtol=1e-5)


def test_a_copy_whose_parent_is_lost_is_an_error_that_says_so(measurer, tmp_path):
    trainer = trainer_of(tmp_path, [], measurer)
    advance(trainer, {0: OWN}, 2)
    trainer.forget([0], keep=[])
    with pytest.raises(StorageError, match="the weights of trial 0 after epoch 2 are lost"):
        copied(trainer, {1: OWN}, 2)


# Models of the losses


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_model_finds_better_recipes_than_chance(name):
    """On a smooth bowl: of as many trials, the later ones are nearer to its bottom than random ones are."""
    space = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True), "model.dropout": Float(0.0, 0.5)})
    config = SearchConfig(base=Recipe().but({"epochs": 1, "model.hidden": 64}), trials=24, cohort=4)

    def loss(trial, recipe, epoch):
        u, v = space.to_unit(recipe.flat())
        return float((u - 0.8) ** 2 + (v - 0.2) ** 2)

    def late(own, seed):
        events, _ = play(SEARCHERS.get(own), loss, space=space, config=config, seed=seed)
        trials = [t for _, t in sorted(replay(events).trials.items())]
        return float(np.mean([trial.loss for trial in trials[12:]]))

    assert late(name, 0) < late("random", 0) / 2


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_model_says_nothing_on_the_terminal(name, capfd):
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(logging.INFO)  # whatever another test has left
    try:
        play(SEARCHERS.get(name), falling, space=CONDITIONAL, config=SearchConfig(base=CONFIG.base, trials=4, cohort=2))
        assert capfd.readouterr() == ("", "")
        assert optuna.logging.get_verbosity() == logging.INFO
    finally:
        optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_a_model_can_be_asked_for_several_that_all_differ(name):
    config = SearchConfig(base=Recipe().but({"epochs": 3}), trials=48, cohort=6)
    losses = {n: [1.0 + n, 0.5 + n, 0.1 + n] for n in range(1, 13)}
    history = history_of({0: [1.0, 0.9, 0.8], **losses}, states=dict.fromkeys(range(13), "complete"), base=config.base)
    found = SEARCHERS.get(name)(history, Space({"optimizer.lr": Float(1e-4, 1e-1, log=True)}), 0, config=config)
    rates = sorted(d.recipe.optimizer.lr for d in found)
    assert len(rates) == 6
    assert min(b / a for a, b in pairwise(rates)) > 1.0


@pytest.mark.parametrize("dimensions", [1, 5])
def test_random_points_are_even_and_repeat_by_seed(dimensions):
    found = np.array(list(islice(random_points(dimensions, 3), 2000)))
    assert np.array_equal(found, np.array(list(islice(random_points(dimensions, 3), 2000))))
    assert found.mean() == pytest.approx(0.5, abs=0.03)
    assert found.var() == pytest.approx(1 / 12, abs=0.01)


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
    default = decision_event(Decision("start", 0, "why", 1, Recipe().but({"epochs": 9}), "default"))
    assert [d.trial for d in finish(replay([default, *events[1:]]), epochs=17)] == [3, 0], (
        "it is compared with the best"
    )
