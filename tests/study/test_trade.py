"""Which finalist wins where it counts what a model takes: never one over a limit, and its price is told."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from command_line import tame_here
from tame.core.errors import NothingTrainedError
from tame.core.objectives import Price
from tame.core.recipe import Recipe
from tame.core.records import Trial
from tame.core.rng import stream
from tame.evaluate.score import judged_from, measure
from tame.study.finalist import Finalist
from tame.study.pricing import preferred, shape_of
from tame.study.trade import is_level, winner_of

NUM = 400
DATA = SimpleNamespace(metric="accuracy", task="binary", classes=("a", "b"), whole=True, rows=[0])


def finalist(number, wrong, width):
    """A recipe that errs on so many of the examples, others than its neighbours do."""
    target = np.arange(NUM) % 2
    said = target.copy()
    places = stream(number, "wrong").choice(NUM, wrong, replace=False)
    said[places] = 1 - said[places]
    judged = judged_from("binary", list(map(str, range(NUM))), target, np.eye(2)[said] * 4.0)
    recipe = Recipe().but({"model.width": width})
    return Finalist(recipe, number, (Trial(number, recipe, "", ""),), (judged,), judged, (measure("accuracy", judged),))


def study_like(prices, *, objective=None, limit=None):
    known = {shape_of([Recipe().but({"model.width": width})]): price for width, price in prices.items()}
    config = SimpleNamespace(objective=objective, limit=limit or {}, seed=0, model=None, clock_s=None)
    return SimpleNamespace(config=config, state=SimpleNamespace(prices=known), folder="runs/x-0001")


PRICES = {16: Price(0.001, 10_000), 64: Price(0.004, 90_000), 256: Price(0.016, 900_000)}
SMALL, MIDDLE, LARGE = finalist(1, 60, 16), finalist(2, 22, 64), finalist(3, 20, 256)
ALL = [LARGE, MIDDLE, SMALL]


def won(*, finalists=ALL, **asked):
    return winner_of(study_like(PRICES, **asked), DATA, finalists, loss="log_loss").from_trial


def test_without_an_objective_the_best_wins_whatever_it_takes():
    assert won() == LARGE.from_trial


@pytest.mark.parametrize("objective", ["latency", "size"])
def test_the_cheapest_wins_that_is_within_a_standard_error_of_the_best(objective):
    assert is_level(DATA, LARGE, MIDDLE, seed=0)
    assert not is_level(DATA, LARGE, SMALL, seed=0)
    assert won(objective=objective) == MIDDLE.from_trial


def test_what_takes_nearly_as_much_is_not_worth_a_worse_metric():
    prices = {**PRICES, 64: Price(0.0155, 890_000)}
    study = study_like(prices, objective="latency")
    assert winner_of(study, DATA, ALL, loss="log_loss") is LARGE


@pytest.mark.parametrize(("limit", "wins"), [
    ({"latency": "20ms"}, LARGE), ({"latency": "10ms"}, MIDDLE), ({"size": "50kB"}, SMALL),
    ({"size": "1MB", "latency": "2ms"}, SMALL),
])  # fmt: skip
def test_what_exceeds_a_limit_never_wins(limit, wins):
    assert won(limit=limit) == wins.from_trial


def test_where_nothing_keeps_within_the_limits_the_nearest_is_named():
    with pytest.raises(NothingTrainedError) as problem:
        won(limit={"latency": "0.5ms"})
    assert problem.value.exit_code == 4
    assert "of trial 1, takes 1.00 ms of latency" in str(problem.value)
    assert "tame resume runs/x-0001 --limit latency=1.1ms" in str(problem.value)


def trial_of(own):
    return replace(own.trials[0], number=own.from_trial)


def test_finalists_are_the_best_and_those_that_take_less_than_all_that_are_better():
    ranked = [trial_of(each) for each in (MIDDLE, LARGE, SMALL)]
    numbers = [trial.number for trial in preferred(study_like(PRICES, objective="latency"), ranked)]
    assert numbers == [2, 1, 3]
    numbers = [trial.number for trial in preferred(study_like(PRICES, limit={"latency": "5ms"}), ranked)]
    assert numbers == [2, 1]
    assert preferred(study_like({}, objective="latency"), ranked) == ranked, "nothing was measured yet"


def test_recipes_that_differ_in_nothing_that_is_delivered_take_the_same():
    one = Recipe()
    for field, value in (("optimizer.lr", 0.5), ("model.dropout", 0.4), ("epochs", 7), ("loss.label_smoothing", 0.1)):
        assert shape_of([one.but({field: value})]) == shape_of([one])
    assert shape_of([one.but({"model.width": 99})]) != shape_of([one])
    assert shape_of([one, one]) != shape_of([one])


@pytest.mark.slow
def test_a_study_whose_limit_is_too_tight_goes_on_with_a_looser_one(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200)).round(3)
    with (tmp_path / "rows.csv").open("w", newline="", encoding="utf-8") as file:
        rows = [(x, y, "yes" if x + y > 0.2 else "no") for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        csv.writer(file).writerows([("a", "b", "label"), *rows])
    study, cache = tmp_path / "study", tmp_path / "cache"
    words = ("--target", "label", "--trials", "3", "--epochs", "3", "--folds", "2", "--quiet")
    tight = tame_here("fit", tmp_path / "rows.csv", *words, "--limit", "latency=1us", "--out", study, cache=cache)
    assert tight.returncode == 4
    assert f"go on with: tame resume {study} --limit latency=" in tight.stderr
    again = tight.stderr.partition("--limit latency=")[2].split()[0]
    done = tame_here("resume", study, "--limit", f"latency={again}", "--json", "--quiet", cache=cache)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    found, number = result["trade"], result["winner"]["from_trial"]
    assert next(each for each in found["rows"] if each["from_trial"] == number)["is_within"]
    assert found["latency_s"] <= found["limits"]["latency"]
    shown = tame_here("show", study, cache=cache).stdout
    assert "One example alone takes the delivered model" in shown
    late = tame_here("resume", study, "--limit", "latency=1s", cache=cache)
    assert late.returncode == 2
    assert "its winner is known" in late.stderr
