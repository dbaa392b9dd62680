"""The same table on machines that are slower and slower: a small study that is complete, or a refusal at once.

Nothing is timed and nothing trained: what things take is given, and the clock is set by it.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace

import numpy as np
import pytest

from tame.core.config import LANGUAGE, StudyConfig
from tame.core.errors import BudgetError
from tame.core.options import parse_time
from tame.core.recipe import Recipe
from tame.core.records import Point, curve_event, decision_event
from tame.data.split import make_split, seal
from tame.kinds.kind import Blocks, Data
from tame.loop import adjust
from tame.study import finalists as finals
from tame.study.clock import require_room
from tame.study.draft import LONE, at_once, draft, drafted_space, fitted
from tame.study.events import Forecast, Trained
from tame.study.fitting import GOING
from tame.study.plan import facts_of, plan_of
from tame.study.reserve import cost_s
from tame.study.session import begin
from tame.study.state import Silent

CLOCK, OPENING, EPOCH = 60.0, 5.0, 0.04  # seconds on a quiet machine: until the plan is made, and an epoch of a trial
SLOWER = (1, 2, 3, 4, 6, 8, 10, 12, 16, 32, 128)


def data_of(num):
    labels = [n % 2 for n in range(num)]
    split = make_split(labels, [""] * num, np.arange(num), classes=("no", "yes"), folds=None, seed=0)
    hidden = np.array([-1 if part == "test" else label for label, part in zip(labels, split.part, strict=True)])
    ids = tuple(map(str, range(num)))
    sealed = seal(split, labels)
    return Data("table", "binary", "accuracy", ("no", "yes"), ids, hidden, split, sealed, columns=8, refits=True)


class Slow:
    """A study of a table on a machine that is so many times slower; seconds pass only where it is said so."""

    def __init__(self, folder, slower):
        self.slower, self.epoch_s = slower, slower * EPOCH
        config = StudyConfig(data="x.csv", target="y", out=str(folder), time_s=CLOCK)
        self.study, self.data = begin(config, Silent()), data_of(5000)
        self.set_clock(slower * OPENING)
        about = {"used_s": self.study.used_s, "slower": slower}
        own = fitted(config, self.data, draft(config, self.data, None, **about), self.epoch_s, **about)
        until = own.search_until_s
        self.study.keep(own, Forecast(mean_s=self.epoch_s, clock_s=CLOCK, search_until_s=until, used_s=about["used_s"]))
        self.plan = plan_of(own, self.data, drafted_space(own), facts_of(self.data, seed=0))

    def set_clock(self, used_s):
        self.study._started = time.monotonic() - used_s

    def pass_s(self, seconds):
        self.set_clock(self.study.used_s + seconds)

    def train(self, decisions):
        study, epochs = self.study, 0
        for each in decisions:
            fresh = range(study.history.trials[each.trial].epochs + 1, each.until + 1)
            epochs += len(fresh)
            points = [Point(e, 1 / e, 1 / e + 0.01 * each.trial, 0.5) for e in fresh]
            study.keep(curve_event(each.trial, points))
        self.pass_s(epochs * self.epoch_s)
        study.keep(Trained(trained_s=epochs * self.epoch_s, used_s=study.used_s))

    def search(self):
        while decisions := adjust(self.study, self.plan, None):
            self.study.keep(*map(decision_event, decisions))
            if not any(each.kind in GOING for each in decisions):
                break
            self.train([each for each in decisions if each.kind in GOING])


@pytest.fixture
def slow(tmp_path):
    made = []

    def make(slower):
        made.append(Slow(tmp_path / f"study{slower}", slower))
        return made[-1]

    yield make
    for each in made:
        each.study.close()


@pytest.mark.parametrize("slower", SLOWER)
def test_what_a_slow_machine_has_time_for_is_complete_or_refused_at_once(slow, slower):
    own = slow(slower)
    study, plan = own.study, own.plan
    try:
        require_room(study, plan)
    except BudgetError as problem:
        enough = parse_time(re.search(r"about (\S+) would be enough", str(problem))[1])
        assert enough > CLOCK
        assert not study.history.trials
        return
    own.search()
    best, seeds = finals._field(study, plan)
    own.pass_s(cost_s(study, plan, len(best) - 1, seeds))
    assert study.left_s >= plan.end_s, "delivery has the time that is kept for it"
    complete = study.history.having("complete")
    assert complete, "a recipe is trained to its end"
    assert set(best) <= set(complete)
    assert any(trial.is_default for trial in best), "the default is compared with"


def test_some_machines_are_fast_enough_and_some_are_refused(slow):
    held = []
    for slower in SLOWER:
        own = slow(slower)
        try:
            require_room(own.study, own.plan)
            held.append(True)
        except BudgetError:
            held.append(False)
    assert held == sorted(held, reverse=True), "what a machine has time for, a faster one has time for as well"
    assert held[SLOWER.index(4)]
    assert not held[-1]


def test_what_is_solved_at_once_is_planned_alone_where_there_is_no_time_for_more():
    own = draft(
        StudyConfig(data="x.csv", target="y", time_s=CLOCK), replace(data_of(400), texts=(1, False)), None, used_s=5.0
    )
    words = at_once(own)
    every = [Recipe.from_flat(words.base).but(each) for each in ({}, *words.portfolio)]
    assert {each.model.name for each in every} == {"words"}
    assert len({each.regularize.l2 for each in every}) == len(every) == words.trials == words.cohort > 2
    assert all(each.is_single for each in every)
    assert words.space == {}
    assert at_once(words) is None, "nothing else is left"


def test_a_plan_without_what_is_solved_at_once_stays_as_it_is():
    assert at_once(draft(StudyConfig(data="x.csv", target="y", time_s=CLOCK), data_of(400), None, used_s=5.0)) is None


@pytest.mark.parametrize(("runs", "trials"), [(1, 1), (2, None)])
def test_where_the_clock_is_for_one_training_one_recipe_is_trained_with_some_time_to_spare(runs, trials):
    blocks = Blocks(block=128, batch=1, epochs=48, parameters=10**8, runs=runs)
    config = StudyConfig(data="x", backbone="x", task=LANGUAGE, time_s=120.0)
    plain = data_of(400)
    bits = np.where(plain.targets < 0, np.nan, 1.0)
    data = replace(
        plain, kind="language-model", task=LANGUAGE, metric="bits_per_character", classes=(), targets=bits,
        blocks=blocks, refits=False,
    )  # fmt: skip
    own = fitted(config, data, draft(config, data, None, used_s=30.0), 10.0, used_s=30.0)
    assert own.trials == trials
    left = (120.0 - 30.0 - own.end_s) / 10.0
    assert Recipe.from_flat(own.base).epochs == int(left / max(runs, LONE))
