"""Freeze-thaw: its surrogate against plain linear algebra, its candidates, and what it decides."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from threadpoolctl import threadpool_info

from tame.adjust import thaw
from tame.adjust.candidates import candidates, features, settled, some_of
from tame.adjust.searcher import SEARCHERS, SearchConfig
from tame.adjust.surrogate import FEW, GUESSES, KEPT, MORE, Kernel, Measured, Surrogate, expected_improvement, fit
from tame.core.recipe import Recipe
from tame.core.records import History, replay
from tame.core.space import Choice, Float, Space
from tame.testing.searcher_laws import CONDITIONAL, CONFIG, SPACE, falling, history_of, play


def measured(rng, *, curves=6, dimensions=3):
    """Points of curves that fall, in a random order."""
    runs = np.repeat(np.arange(curves), 3)
    points = rng.random((curves, dimensions))[runs]
    epochs = np.tile([1.0, 4.0, 9.0], curves)
    values = points.sum(axis=1) + 1 / epochs + 0.1 * rng.standard_normal(len(runs))
    return Measured(points, epochs, runs, (values - values.mean()) / values.std())


def covariance(like, a, b):
    """One pair of measurements at a time."""
    found = np.zeros((len(a.runs), len(b.runs)))
    for i in range(len(a.runs)):
        for j in range(len(b.runs)):
            r = math.sqrt(5 * sum(((a.points[i, d] - b.points[j, d]) / like.lengths[d]) ** 2 for d in range(3)))
            near = (1 + r + r * r / 3) * math.exp(-r)
            when = math.exp(-abs(math.log(a.epochs[i]) - math.log(b.epochs[j])) / like.time)
            same = float(a.runs[i] == b.runs[j])
            found[i, j] = like.shared * near * (like.level + (1 - like.level) * when) + like.own * same * (1 + when) / 2
    return found


@pytest.mark.parametrize("seed", range(3))
def test_the_surrogate_predicts_what_plain_linear_algebra_does(seed):
    rng = np.random.default_rng(seed)
    known, asked = measured(rng), measured(rng, curves=4)
    surrogate = fit(known, rng)
    mean, square = np.zeros(12), np.zeros(12)
    for share, process in zip(surrogate.shares, surrogate.processes, strict=True):
        like = process.kernel
        inverse = np.linalg.inv(covariance(like, known, known) + like.noise * np.eye(len(known.runs)))
        across = covariance(like, asked, known)
        own = across @ inverse @ known.values
        variance = like.shared + like.own - np.einsum("ij,jk,ik->i", across, inverse, across)
        mean += share * own
        square += share * (variance + own**2)
        normal = stats.multivariate_normal(np.zeros(len(known.runs)), np.linalg.inv(inverse))
        constant = len(known.runs) / 2 * math.log(2 * math.pi)
        assert process.evidence == pytest.approx(normal.logpdf(known.values) + constant, rel=1e-8)
    found = surrogate.predict(asked.points, asked.epochs, asked.runs)
    np.testing.assert_allclose(found[0], mean, atol=1e-9)
    np.testing.assert_allclose(found[1], np.sqrt(square - mean**2), atol=1e-8)


def test_the_surrogate_keeps_the_likeliest_of_its_guesses():
    for curves, times in ((2, MORE), (6, FEW // 18), (40, 1)):  # of three measurements each: more guesses where few
        rng = np.random.default_rng(0)
        surrogate = fit(measured(rng, curves=curves), rng)
        evidence = [process.evidence for process in surrogate.processes]
        assert len(evidence) == KEPT * times < GUESSES * times
        assert evidence == sorted(evidence, reverse=True)
        assert surrogate.shares.sum() == pytest.approx(1.0)


def test_the_surrogate_is_worked_out_on_one_thread_and_gives_the_others_back():
    def threads():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    class Watching(np.random.Generator):
        def standard_normal(self, *given):
            seen.extend(threads())
            return super().standard_normal(*given)

    class Process:
        def predict(self, asked):
            seen.extend(threads())
            return np.zeros(len(asked.runs)), np.ones(len(asked.runs))

    seen: list[int] = []
    known, before = measured(np.random.default_rng(0)), threads()
    fit(known, Watching(np.random.PCG64(0)))
    Surrogate([Process()], np.ones(1)).predict(known.points, known.epochs, known.runs)
    assert len(seen) > GUESSES
    assert set(seen) == {1}
    assert threads() == before


def test_a_curve_is_like_itself_and_less_like_others():
    like = Kernel(np.ones(2), 1.0, 0.3, 0.01, 0.5, 1.0)
    own = Measured(np.zeros((1, 2)), np.ones(1), np.array([0]), np.zeros(1))
    other = Measured(np.zeros((1, 2)), np.ones(1), np.array([1]), np.zeros(1))
    assert like.between(own, own)[0, 0] == pytest.approx(1.3)
    assert like.between(own, other)[0, 0] == pytest.approx(1.0)


@given(mean=st.floats(-3, 3), deviation=st.floats(0.01, 3), best=st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_the_expected_improvement_is_the_integral_it_stands_for(mean, deviation, best):
    normal = stats.norm(mean, deviation)
    low, high = mean - 10 * deviation, min(best, mean + 10 * deviation)
    wanted, _ = integrate.quad(lambda v: (best - v) * normal.pdf(v), low, high, limit=200) if high > low else (0.0, 0)
    found = expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert found[0] == pytest.approx(wanted, abs=1e-6)


def test_candidates_lie_in_the_space_and_share_as_many_shapes_as_asked():
    rng = np.random.default_rng(0)
    best = np.array([[0.9, 0.1, 0.25, 0.5]])
    points = candidates(SPACE, best, count=64, shapes=4, rng=rng)
    assert points.shape == (64, 4)
    assert all(SPACE.holds(SPACE.from_unit(point)) for point in points)
    shapes = {(values["model.hidden"], values["batch_size"]) for values in map(SPACE.from_unit, points)}
    assert 2 <= len(shapes) <= 4
    free = candidates(SPACE, best, count=64, shapes=None, rng=rng)
    assert len({values["batch_size"] for values in map(SPACE.from_unit, free)}) > 20
    near = np.abs(free[:32, 0] - 0.9).mean(), np.abs(free[32:, 0] - 0.9).mean()
    assert near[0] < near[1] / 2


def test_points_are_settled_as_they_come_back_from_recipes():
    for space in (SPACE, CONDITIONAL):
        points = np.random.default_rng(1).random((40, len(space)))
        found = settled(space, points)
        np.testing.assert_allclose(settled(space, found), found, atol=1e-9)
        assert [space.from_unit(p) for p in found] == [space.from_unit(p) for p in settled(space, found)]


def test_words_have_no_order_and_numbers_do():
    space = Space(
        {
            "optimizer.name": Choice("adamw", "lion", "momentum"),
            "optimizer.lr": Float(1e-3, 1e-1, log=True),
            "model.hidden": Choice(0, 64, 128),
        }
    )
    points = np.array([[(k + 0.5) / 3, 0.5, (k + 0.5) / 3] for k in range(3)])
    seen = features(space, points)
    assert seen.shape == (3, 5)
    apart = [np.linalg.norm(seen[i, :3] - seen[j, :3]) for i, j in ((0, 1), (1, 2), (0, 2))]
    assert apart == pytest.approx([apart[0]] * 3)
    assert abs(seen[0, 4] - seen[2, 4]) == pytest.approx(2 * abs(seen[0, 4] - seen[1, 4]))


def test_of_points_that_exist_half_are_any_and_half_near_the_best():
    rng = np.random.default_rng(0)
    points = rng.random((500, 3))
    found = some_of(points, points[:1], count=100, rng=rng)
    assert {tuple(p) for p in found} <= {tuple(p) for p in points}
    nearest = points[np.argsort(((points - points[0]) ** 2).sum(axis=1))[:50]]
    assert {tuple(p) for p in nearest} <= {tuple(p) for p in found}


def test_only_points_that_exist_begin_where_they_are_given():
    points = np.random.default_rng(3).random((200, len(SPACE)))
    config = SearchConfig(base=CONFIG.base, trials=24, cohort=4, points=points.tolist())
    _, rounds = play(SEARCHERS.get("thaw"), falling, config=config)
    model = [d.recipe for decisions in rounds for d in decisions if d.origin == "model"]
    exist = {CONFIG.base.but(thaw.tidy(CONFIG.base, SPACE, SPACE.from_unit(point))) for point in points}
    assert model
    assert set(model) <= exist


def test_what_is_known_to_work_is_trained_to_its_end_before_others_continue():
    config = SearchConfig(base=CONFIG.base, portfolio=CONFIG.portfolio, trials=30, cohort=8)
    events, _ = play(SEARCHERS.get("auto"), falling, config=config)
    order = [e.data["trial"] for e in events if e.kind == "decision" and e.data["kind"] == "complete"]
    assert set(order[:4]) == {0, 1, 2, 3}


def test_alone_a_search_finishes_what_is_known_to_work_one_after_another():
    config = SearchConfig(base=CONFIG.base, portfolio=CONFIG.portfolio, trials=30, cohort=1, step=1)
    decide, history = SEARCHERS.get("auto"), History()
    events, _ = play(decide, falling, config=config)
    started = [e.data["trial"] for e in events if e.kind == "decision" and e.data["kind"] == "start"]
    curves = [e.data["trial"] for e in events if e.kind == "curve"]
    assert started[:4] == [0, 1, 2, 3]
    assert max(i for i, trial in enumerate(curves) if trial == 0) < curves.index(1) < curves.index(2)
    longer = replace(config, base=CONFIG.base.but({"epochs": 50}))
    assert decide(history, SPACE, 0, config=longer)[0].until == 2  # a twenty-fifth of 50 epochs


def test_few_trials_do_not_all_start_before_there_is_anything_to_learn_from():
    events, _ = play(SEARCHERS.get("auto"), falling, config=replace(CONFIG, trials=40, cohort=64))
    rounds = [e.data["origin"] for e in events if e.kind == "decision" and e.data["kind"] == "start"]
    assert len(rounds) == 40
    assert rounds[0] == "default"
    assert rounds.count("model") >= 10


def test_the_better_curve_continues_and_says_what_it_is_expected_to_reach():
    """Of two curves that are clearly apart, with no recipe left to begin."""
    base = Recipe().but({"epochs": 9})
    history = history_of({0: [1.0, 0.9, 0.8], 1: [5.0, 4.9, 4.8], 2: [1.1, 0.6, 0.2]}, states={}, base=base)
    config = SearchConfig(base=base, trials=3, cohort=1, num_rungs=2)
    (going,) = [d for d in SEARCHERS.get("thaw")(history, SPACE, 0, config=config) if d.kind == "continue"]
    assert (going.trial, going.until) == (2, 9)
    assert going.reason.startswith("most promising within ")


def test_the_default_is_never_given_up_even_if_too_many_wait():
    base = Recipe().but({"epochs": 9})
    losses = {n: [3.0 - 0.01 * n] * 3 for n in range(120)}
    history = history_of(losses, states=dict.fromkeys(range(120), "paused"), base=base)
    config = SearchConfig(base=base, trials=200, cohort=2, num_rungs=2)
    found = SEARCHERS.get("thaw")(history, SPACE, 0, config=config)
    stopped = [d.trial for d in found if d.kind == "stop"]
    assert 40 <= len(stopped) <= 120 - thaw.MOST_WAITING
    assert 0 not in stopped


@given(
    seed=st.integers(0, 1000),
    epochs=st.integers(1, 50),
    trials=st.integers(1, 16),
    cohort=st.integers(1, 8),
    lost=st.integers(0, 3),
    name=st.sampled_from(["auto", "thaw"]),
)
@settings(max_examples=12, deadline=None)
def test_it_ends_within_its_budget_whatever_the_losses(seed, epochs, trials, cohort, lost, name):
    """With losses of pure noise, some of them not finite."""
    config = SearchConfig(base=Recipe().but({"epochs": epochs}), trials=trials, cohort=cohort)
    rng = np.random.default_rng(seed)

    def loss(trial, recipe, epoch):
        return None if trial and rng.random() < 0.05 * lost else float(rng.random())

    events, _ = play(SEARCHERS.get(name), loss, config=config, seed=seed)
    history = replay(events)
    assert len(history.trials) == trials
    assert not history.having("running", "waiting")
    assert history.trials[0].state == "complete"
    assert all(t.epochs == epochs for t in history.having("complete"))
