"""The search of lesson 9: recorded trials in rounds, other ways to search them, and whether a win was real."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from made_ground import made_tutor
from tame.core.errors import UsageError
from tame.core.recipe import Recipe
from tame.learn.answers import answer
from tame.learn.of_search import LEAST, PICKS, ROUNDS, by_grid, by_model, by_random
from tame.learn.seen import SeenTrial


def recorded(many):
    """Trials whose loss is lowest at a rate of 0.01."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(many):
        rate = float(10 ** rng.uniform(-4, 0))
        recipe = Recipe().but({"optimizer.lr": rate, "model.dropout": round(float(rng.uniform(0, 0.5)), 2)})
        loss = 0.2 + (np.log10(rate) + 2) ** 2
        points = tuple((epoch, loss, loss + 0.1, 0.5) for epoch in range(1, 6))
        found.append(SeenTrial(number=number, origin="sobol", state="complete", recipe=recipe.flat(), points=points))
    return tuple(found)


@pytest.fixture
def tutor():
    own = made_tutor()
    return made_tutor(own.ground, replace(own.given, trials=recorded(48)))


def test_the_rounds_share_no_trial_and_hide_their_losses(tutor):
    found = answer(tutor, "pool", {})
    places = [[each["place"] for each in own] for own in found["rounds"]]
    assert len(places) == ROUNDS
    assert len({place for own in places for place in own}) == sum(map(len, places))
    assert all(len(own) >= 2 * PICKS for own in places)
    assert found["is_own"]
    assert found["fields"] == ["Learning rate", "Dropout"]
    assert "loss" not in str(found["rounds"])


def test_a_study_with_few_trials_has_the_population_searched():
    own = made_tutor()
    found = answer(made_tutor(own.ground, replace(own.given, trials=recorded(LEAST - 1))), "pool", {})
    assert not found["is_own"]
    assert "Width" in found["fields"]


def test_losses_are_those_of_the_trials_and_whole_rounds_are_compared(tutor):
    rounds = [[each["place"] for each in own] for own in answer(tutor, "pool", {})["rounds"]]
    picks = [own[:PICKS] for own in rounds]
    found = answer(tutor, "tries", {"picks": picks[:1]})
    assert "regrets" not in found
    assert found["rounds"][0]["own"] == min(found["losses"][0])
    whole = answer(tutor, "tries", {"picks": picks})
    assert len(whole["rounds"]) == ROUNDS
    for each in whole["rounds"]:
        assert each["best"] <= min(each["own"], each["grid"], each["model"], each["random"])
    assert 0 <= whole["as_good"] <= 1


def test_the_best_of_each_round_is_hardly_luck_and_the_worst_is(tutor):
    rounds = [[each["place"] for each in own] for own in answer(tutor, "pool", {})["rounds"]]
    losses = {place: trial.lowest[1] for place, trial in enumerate(sorted(tutor.given.trials, key=lambda t: t.number))}
    best, worst = ([sorted(own, key=lambda p: sign * losses[p])[:PICKS] for own in rounds] for sign in (1, -1))
    assert answer(tutor, "tries", {"picks": best})["right"]
    found = answer(tutor, "tries", {"picks": worst})
    assert not found["right"]
    assert found["as_good"] > 0.9
    assert not found["is_real"]


@pytest.mark.parametrize(
    ("picks", "words"),
    [([[0, 0]], "tried already|not in the round"), ([[10_000]], "not in the round"), ([[]] * 4, "3 rounds")],
)
def test_recipes_that_cannot_be_tried_are_refused(tutor, picks, words):
    with pytest.raises(UsageError, match=words):
        answer(tutor, "tries", {"picks": picks})


def test_other_ways_try_as_many_different_recipes():
    rng = np.random.default_rng(0)
    points, losses = rng.random((24, 3)), rng.random(24)
    for own in (by_grid(points), by_model(points, losses, 0), by_grid(points[:, :1])):
        assert len(own) == len(set(own)) == PICKS
    assert by_random(losses, 0).min() >= losses.min()


def test_a_model_finds_lower_losses_than_chance_where_there_is_something_to_learn():
    rng = np.random.default_rng(1)
    apart = []
    for number in range(6):
        points = rng.random((24, 2))
        losses = np.square(points - 0.3).sum(axis=1)
        apart.append(by_random(losses, number).mean() - losses[by_model(points, losses, number)].min())
    assert np.mean(apart) > 0
