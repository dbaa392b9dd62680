"""The clock of a study: what begins first, what is kept for the end, who is trained again, and what is too short."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace

import pytest

from plans import plain_plan
from tame.adjust import portfolio
from tame.adjust.last_stretch import finish, unfinished
from tame.adjust.searcher import SEARCHERS, SearchConfig
from tame.core.config import StudyConfig
from tame.core.errors import BudgetError, StoppedError, UsageError
from tame.core.options import parse_time
from tame.core.recipe import Recipe
from tame.core.records import Curve, Decision, Event, History, Point, Trial, curve_event, decision_event
from tame.core.space import Float, Space
from tame.kinds.costs import Costs, Speed
from tame.loop import PROBED, adjust, first_round, last_stretch
from tame.monitor.case import Facts
from tame.study import finalists as finals
from tame.study.clock import LOADED_FROM, give_time, in_time, require_hope, require_room, require_time
from tame.study.clock_shares import END_S, MOST_END_SHARE, ending
from tame.study.events import Forecast, Trained, event_of
from tame.study.fitting import fitting
from tame.study.forecast import in_words
from tame.study.reserve import SURE, limit_s, room_s
from tame.study.session import begin, reopen
from tame.study.state import Silent, State, read_state
from tame.study.test import ended
from tame.trial.commands import Progress

SPACE = Space({"optimizer.lr": Float(1e-4, 1e-1, log=True), "optimizer.weight_decay": Float(1e-6, 1e-1, log=True)})
FACTS = Facts(
    task="binary", num_classes=2, num_valid=100, metric="accuracy", higher_is_better=True, dummy=0.5,
    dummy_error=0.05, guess_loss=0.7,
)  # fmt: skip
EPOCHS = 18
BASE = Recipe().but({"epochs": EPOCHS})
END = 2.0


def plan_with(*, until=math.inf, inputs_s=0.0, tunes=False, other_size_s=0.0, **search):
    own = {"base": BASE, "portfolio": tuple({"optimizer.lr": 10.0**-k} for k in range(2, 6)), "cohort": 24, **search}
    changes = {"search_until_s": until, "end_s": END, "whole": False, "inputs_s": inputs_s, "tunes": tunes}
    changes["other_size_s"] = other_size_s
    return plain_plan(SearchConfig(**own), SPACE, FACTS, **changes)


@pytest.fixture
def clocked(tmp_path):
    """Makes a study of so many seconds in all, of which hardly any are used."""
    opened = []

    def make(time_s, **more):
        config = StudyConfig(data="x", out=str(tmp_path / f"study{len(opened)}"), time_s=time_s, **more)
        opened.append(begin(config, Silent()))
        plan = {"base": BASE.flat(), "space": SPACE.to_json(), "tunes": False, "to_the_end": False}
        opened[-1].keep(Event("plan", plan), Event("forecast", {"mean_s": 0.1, "clock_s": time_s}))
        return opened[-1]

    yield make
    for study in opened:
        study.close()


def trained(study, decisions, *, epoch_s):
    """Trains what was decided, an epoch of a trial in so many seconds."""
    study.keep(*map(decision_event, decisions))
    epochs = 0
    for each in decisions:
        before = study.history.trials[each.trial].epochs
        fresh = range(before + 1, each.until + 1)
        epochs += len(fresh)
        study.keep(curve_event(each.trial, [Point(e, 1 / (each.trial + 2), 1 / e + each.trial, None) for e in fresh]))
    study.keep(Event("trained", {"trained_s": epochs * epoch_s, "used_s": study.used_s}))


def trial_of(number, epochs, *, state="paused", origin="sobol"):
    points = tuple(Point(e + 1, 1.0, 1.0 + number, None) for e in range(epochs))
    return Trial(number, BASE.but({"seed": number}), origin, "", state, epochs, Curve(points))


def history_of(*trials):
    return History({trial.number: trial for trial in trials})


def all_begin(study, plan):
    return SEARCHERS.get(study.config.search)(study.history, plan.space, 0, config=plan.search)


# The search ----------------------------------------------------------------------------------------------------------


def test_a_few_recipes_begin_before_it_is_known_what_an_epoch_takes(clocked):
    plan = plan_with()
    every = all_begin(clocked(60.0), plan)
    assert len(every) > PROBED
    assert first_round(clocked(60.0), plan, every) == every[:PROBED]
    assert first_round(clocked(3.0), plan, every) == every[:1], "no more than there is time for"
    assert first_round(clocked(60.0, search="random"), plan, every) == every, "it looks at the clock in between"
    assert first_round(clocked(None, trials=30), plan, every) == every


@pytest.mark.parametrize(("time_s", "count"), [(3.0, 2), (60.0, PROBED)])
def test_a_model_on_words_is_among_the_first_however_slow_the_machine_is(clocked, time_s, count):
    own = portfolio.texts(400, task="binary", epochs=EPOCHS, seed=0, columns=0, encoded=False)
    study, plan = clocked(time_s), plan_with(base=own.base, portfolio=own.portfolio)
    begun = first_round(study, plan, all_begin(study, plan))
    assert len(begun) == count
    assert [each.recipe.model.name for each in begun[:2]] == ["mlp", "words"]
    assert begun[1].until == begun[1].recipe.epochs == 1, "it is whole before any network has trained on"


def test_a_default_recipe_that_never_trained_is_no_finalist(clocked):
    study, plan = clocked(60.0), plan_with()
    solved, default = trial_of(1, 1, state="complete"), trial_of(0, 0, state="paused", origin="default")
    study.state.history.trials.update({0: default, 1: solved})
    assert [trial.number for trial in finals.best_trials(study, plan, 4)] == [1]


def test_the_first_round_of_inputs_that_take_long_is_smaller(clocked):
    study, slow = clocked(60.0), plan_with(inputs_s=8.0)
    every = all_begin(study, slow)
    tables = [Recipe().but({"table.bins": 8 + place}).table for place in range(len(every))]
    new = [replace(own, recipe=replace(own.recipe, table=tables[place])) for place, own in enumerate(every)]
    assert len(first_round(study, slow, new)) == 2
    assert len(first_round(study, slow, every)) == PROBED, "their inputs are prepared once"


def test_what_the_best_and_the_default_are_short_of_their_end_is_told():
    default = trial_of(0, 2, origin="default")
    assert unfinished(history_of(default, trial_of(1, 6), trial_of(2, 2))) == (EPOCHS - 2) + (EPOCHS - 6)
    assert unfinished(history_of(default, trial_of(1, EPOCHS, state="running"))) == EPOCHS - 2, "one is at its end"
    done = [trial_of(n, EPOCHS, state="complete") for n in (1, 2)]
    assert unfinished(history_of(default, *done)) == 0
    assert unfinished(History()) == 0


def test_nothing_is_trained_on_at_the_end_once_enough_are_complete():
    done = [trial_of(n, EPOCHS, state="complete") for n in range(5)]
    assert finish(history_of(*done, trial_of(5, 2)), epochs=math.inf, enough=3) == []


@pytest.mark.parametrize("search", ["auto", "thaw", "asha"])
@pytest.mark.parametrize("epoch_s", [0.02, 0.2, 0.35])
def test_some_recipes_reach_their_last_epoch_however_slow_the_first_round_was(clocked, search, epoch_s):
    """What was forecast was a fifth of what it takes, at the worst: the clock does not move here, so it is given."""
    study = clocked(40.0, search=search)
    plan = plan_with(until=38.0)
    while decisions := adjust(study, plan, None):
        going = [decision for decision in decisions if decision.kind in ("start", "continue")]
        study.keep(*(decision_event(decision) for decision in decisions if decision not in going))
        if not going:
            break
        trained(study, going, epoch_s=epoch_s)
        study._started = time.monotonic() - study.state.trained_s
    complete = study.history.having("complete")
    assert len(complete) >= 2
    assert any(trial.origin == "default" for trial in complete)
    assert study.left_s > END


@pytest.mark.parametrize(("spare", "going"), [(2.0, [0, 1]), (1.0, [1]), (-1.0, [1])])
def test_what_is_trained_on_at_the_end_leaves_time_for_a_fresh_seed_where_one_fits(clocked, spare, going):
    """spare: how often the best fits into what the default and the best leave, trained again once each."""
    epoch_s, begun = 1.0, 6
    missing, fresh = epoch_s * (EPOCHS - begun), epoch_s * 2 * EPOCHS
    study = clocked(END + 1.0 + SURE * fresh + spare * missing)
    trained(study, [Decision("start", 0, "", begun, BASE, "default")], epoch_s=epoch_s)
    trained(study, [Decision("start", 1, "", begun, BASE.but({"seed": 1}), "sobol")], epoch_s=epoch_s)
    study.keep(curve_event(1, [Point(begun, 0.1, 0.1, None)]))
    assert sorted(decision.trial for decision in last_stretch(study, plan_with())) == going


def test_inputs_that_nobody_had_are_counted_when_a_recipe_begins(clocked):
    study, plan = clocked(60.0), plan_with()
    trained(study, [Decision("start", 0, "", 2, BASE, "default")], epoch_s=1.0)
    other = BASE.but({"table.numbers": "piecewise"})
    fresh = [Decision("start", 1, "", 2, BASE.but({"seed": 1}), "sobol"), Decision("start", 2, "", 2, other, "sobol")]
    assert fitting(plan, study.state, fresh, 4.5) == fresh
    slow = plan_with(inputs_s=3.0)
    assert fitting(slow, study.state, fresh, 4.5) == fresh[:1]
    assert fitting(slow, study.state, fresh, 7.5) == fresh


def test_a_short_clock_keeps_less_for_its_end():
    clocks = (5.0, 20.0, 30.0, 60.0, 300.0, None)
    kept = [ending(BASE, (), None, clock) for clock in clocks]
    assert [own.end_s for own in kept] == pytest.approx([2.0, 2.4, 3.6, END_S, END_S, END_S])
    assert {own.other_size_s for own in kept} == {0.0}
    # Two passes of 64 checked pictures at 100 a second, and 100 sealed ones at each of two sizes.
    size = BASE.input.size
    known = Costs(
        Speed("float32", "plain", 8, 100.0, size), {size: 0, 2 * size: 0}, {size: 100, 2 * size: 100}, math.inf
    )
    judged = [ending(BASE, (size, 2 * size), known, clock) for clock in clocks]
    more = [own.end_s - least.end_s for own, least in zip(judged, kept, strict=True)]
    assert more == pytest.approx([1.28 + 1 + 4] * 6)
    assert {own.other_size_s for own in judged} == {4.0}


# The finalists -------------------------------------------------------------------------------------------------------


def searched(study, *, count=6, epoch_s=0.1):
    trained(
        study, [Decision("start", n, "", EPOCHS, BASE.but({"seed": n}), "default" if n == count - 1 else "sobol")
                for n in range(count)],
        epoch_s=epoch_s,
    )  # fmt: skip
    study.keep(*(decision_event(Decision("complete", n, "", EPOCHS)) for n in range(count)))


def wanted_of(study, *numbers):
    return [(study.history.trials[n], [7]) for n in numbers]


@pytest.mark.parametrize(("left", "count"), [(0.7, 0), (2.5, 2), (60.0, finals.MOST_SEEDS - 1)])
def test_time_that_finalists_leave_goes_to_further_seeds(clocked, left, count):
    study = clocked(left + END + 0.2)
    searched(study)
    found = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), [], each_s=1.0, spent=1.0)
    assert len(found) == count
    again = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), [], each_s=1e-3, spent=1.0)
    assert again == found, "a study that is resumed has the same ones"


def test_more_is_looked_for_after_each_stage(clocked):
    study = clocked(60.0)
    searched(study)
    first = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), [], each_s=30.0, spent=30.0)
    assert len(first) == 1
    more = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), first, each_s=20.0, spent=50.0)
    assert more[:1] == first
    assert len(more) == 3
    full = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), more, each_s=0.1, spent=50.0)
    assert len(full) == finals.MOST_SEEDS - 1
    assert finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), full, each_s=0.1, spent=50.0) == full


def test_without_a_clock_there_are_three_seeds(clocked):
    study = clocked(None, trials=6)
    searched(study)
    found = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), [], each_s=1.0, spent=1.0)
    assert len(found) == finals.CLOCKLESS_SEEDS - 1
    last = finals._more_seeds(study, plan_with(), wanted_of(study, 1, 0), found, each_s=1.0, spent=1.0)
    assert last == found


@pytest.mark.parametrize(("left", "count"), [(0.5, 0), (1.5, 1), (60.0, 4)])
def test_time_that_is_too_short_for_a_further_seed_goes_to_the_next_best(clocked, left, count):
    """each_s: what two finalists take with all their seeds, so a third takes one second, and some more to be sure."""
    study = clocked(left * finals.ROOMY + END + 0.2)
    searched(study)
    study.keep(Event("finalists", {"trials": [0, 5], "seeds": [7]}))
    found = finals._more_finalists(study, plan_with(), wanted_of(study, 0, 5), each_s=2.0)
    assert [trial.number for trial, _ in found] == [0, 5, 1, 2, 3, 4][: 2 + count]
    assert all(seeds == [7] for _, seeds in found)
    assert finals._wanted(study, plan_with()) == found, "a study that is resumed has the same ones"
    assert finals._more_finalists(study, plan_with(), found, each_s=1e-3) == found


def test_there_are_no_more_finalists_without_a_clock_or_where_one_share_of_it_is_theirs(clocked):
    studies = clocked(None, trials=6), clocked(60.0)
    plans = plan_with(), plan_with(tunes=True)
    for study, plan in zip(studies, plans, strict=True):
        searched(study)
        study.keep(Event("finalists", {"trials": [0, 5], "seeds": [7]}))
        found = finals._more_finalists(study, plan, wanted_of(study, 0, 5), each_s=0.1)
        assert [trial.number for trial, _ in found] == [0, 5]


def test_what_is_kept_for_judging_another_input_size_is_free_where_all_finalists_have_one(clocked):
    study = clocked(20.0)
    searched(study)
    same, other = [study.history.trials[n] for n in (1, 0)], study.history.trials[2]
    larger = replace(other, recipe=other.recipe.but({"input.size": 320}))
    rooms = [room_s(study, plan_with(other_size_s=3.0), [*same, *more]) for more in ([], [larger])]
    assert rooms[0] - rooms[1] == pytest.approx(3.0, abs=0.1)


def test_a_field_of_many_needs_more_room_than_it_is_forecast_to_take(clocked):
    epoch_s = 0.1
    cost = epoch_s * EPOCHS * 5
    for room, count in ((1.2 * cost, 4), (1.5 * cost, 5)):
        study = clocked(room + END)
        searched(study, epoch_s=epoch_s)
        best, num_seeds = finals._field(study, plan_with())
        assert (len(best), num_seeds) == (count, 1)


def test_a_default_that_is_the_best_is_trained_again_once(clocked):
    study = clocked(0.1 * EPOCHS * 1.2 + END)
    trained(study, [Decision("start", 0, "", EPOCHS, BASE, "default")], epoch_s=0.1)
    study.keep(decision_event(Decision("complete", 0, "", EPOCHS)))
    best, num_seeds = finals._field(study, plan_with())
    assert ([trial.number for trial in best], num_seeds) == ([0], 1)


# Too short -----------------------------------------------------------------------------------------------------------


def test_a_clock_that_leaves_no_time_for_a_first_recipe_is_told_with_what_goes_on(clocked):
    study = clocked(1.0)
    with pytest.raises(BudgetError, match=r"any recipe could be trained: 0 s of 1 s .* tame resume .* --time 10s"):
        require_time(study, plan_with())
    assert BudgetError.exit_code == 5
    slow = clocked(30.0)
    slow.keep(Event("forecast", {"mean_s": 31.0, "clock_s": 30.0}))
    with pytest.raises(BudgetError):
        adjust(slow, plan_with(), None)
    require_time(clocked(30.0), replace(plan_with(), end_s=20.0))


def test_a_resume_gives_more_time_until_the_first_recipe_has_begun(clocked):
    study = clocked(1.0)
    folder = study.folder
    study.keep(Event("ended", {"why": "", "code": 5, "used_s": 4.0}))
    study.close()
    give_time(folder, 50.0)
    with reopen(folder, Silent()) as again:
        assert 50.0 < again.config.clock_s < 60.0
        assert again.left_s == pytest.approx(50.0, abs=1.0)
        searched(again)
    assert read_state(folder)[1].clock.time_s > 50.0
    with pytest.raises(UsageError, match="has started, so its clock cannot change"):
        give_time(folder, 50.0)
    with pytest.raises(UsageError, match="above 0"):
        give_time(folder, -1.0)


# A machine that other programs load --------------------------------------------------------------------------------


def test_what_is_kept_for_the_end_grows_with_the_load_and_stays_a_part_of_the_clock():
    kept = [ending(BASE, (), None, 60.0, slower=slower).end_s for slower in (1.0, 2.0, 6.0, 100.0)]
    assert kept == sorted(kept)
    assert kept[0] == ending(BASE, (), None, 60.0).end_s
    assert kept[-1] == MOST_END_SHARE * 60.0


def test_a_search_that_the_clock_has_cut_ends_and_leaves_its_trials_where_they_are(clocked):
    study, plan = clocked(60.0), plan_with()
    decisions = all_begin(study, plan)[:3]
    trained(study, decisions, epoch_s=0.1)
    study.is_over = True
    assert adjust(study, plan, None) == []
    assert study.state.search_ended is not None
    assert {trial.state for trial in study.history.trials.values()} == {"paused"}


def test_a_clock_that_holds_no_epoch_ends_at_once_and_says_what_is_enough(clocked):
    study = clocked(30.0)
    study.keep(Event("forecast", {"mean_s": 20.0, "clock_s": 30.0, "search_until_s": -23.0}))
    with pytest.raises(BudgetError, match=r"about (\d+)s would be enough.*--time \1s") as raised:
        require_room(study, plan_with())
    assert parse_time(re.search(r"about (\d+s)", str(raised.value))[1]) >= 40.0
    study.keep(Event("forecast", {"mean_s": 0.1, "clock_s": 30.0, "search_until_s": 20.0}))
    require_room(study, plan_with())


def test_what_comes_before_training_ends_with_the_clock(clocked):
    study = clocked(30.0)
    study.started_at(time.monotonic() - 31.0)
    with pytest.raises(BudgetError, match="would be enough"), in_time(study):
        raise AssertionError("nothing begins when the clock has ended")
    with in_time(clocked(None, trials=3)):
        pass


def test_a_machine_that_is_loaded_too_much_is_told_before_anything_is_read(clocked):
    study = clocked(30.0)
    require_hope(study, least_s=2.0, slower=3.0)
    with pytest.raises(BudgetError, match=r"0 s of 30 s had passed; about (\S+) would be enough") as raised:
        require_hope(study, least_s=2.0, slower=100.0)
    assert parse_time(re.search(r"about (\S+) would", str(raised.value))[1]) > 100.0
    require_hope(clocked(1.0), least_s=2.0, slower=LOADED_FROM)  # alone it may be faster than what is known
    require_hope(clocked(None, trials=3), least_s=2.0, slower=100.0)


def test_a_step_that_would_end_too_late_ends_what_comes_before_training_soon(clocked, tmp_path):
    study = clocked(60.0)
    study.hire(cache=tmp_path / "cache", inline=True)
    with study.until(50.0, foreseeing=True) as cut:
        for done in range(100):  # two seconds for each part
            study._started = time.monotonic() - 2.0 * done
            study._hear(Progress("features", done, 100))
            if study.executor._interrupted:
                raise StoppedError("the worker ends at its next word")
    assert cut.is_made
    assert cut.ends_s == pytest.approx(200.0, rel=0.05)
    assert study.used_s < 30.0


def test_training_ends_in_time_for_what_is_kept(clocked):
    study, plan = clocked(60.0), plan_with()
    assert limit_s(clocked(None, trials=3), plan, final=True) == math.inf
    assert limit_s(study, plan, final=True) == 60.0 - END
    assert limit_s(study, plan, final=False) < limit_s(study, plan, final=True)


def test_a_trial_after_the_search_that_the_clock_cut_is_not_called_complete():
    assert ended(replace(trial_of(9, 4), until=9)).kind == "pause"
    assert ended(replace(trial_of(9, 9), until=9)).kind == "complete"


@pytest.mark.parametrize("until", [-23.0, 0.0, 30.0, 31.0])
def test_a_forecast_names_no_time_that_is_over(until):
    said = " ".join(in_words(Forecast(search_until_s=until, clock_s=30.0, used_s=5.0)))
    assert ("is short: it may end before" in said) == (not 5.0 < until < 30.0)
    assert "-" not in said


# What takes as long as what ------------------------------------------------------------------------------------------


def replayed(*events):
    state = State()
    for event in events:
        state.after(event)
    return state


def begins(number, recipe, *, until):
    return decision_event(Decision("start", number, "first", until, recipe))


def measured(number, epochs):
    return curve_event(number, [Point(epoch, 1.0, 1.0, None) for epoch in range(1, epochs + 1)])


def took(seconds):
    return event_of(Trained(trained_s=seconds, used_s=seconds))


def test_a_model_that_is_solved_at_once_does_not_slow_the_mean_epoch_of_others():
    solved = Recipe().but({"model.name": "words", "epochs": 1})
    state = replayed(
        begins(0, BASE, until=2), begins(1, solved, until=1),
        measured(1, 1), took(6.0), measured(0, 2), took(1.0),
    )  # fmt: skip
    assert state.epoch_s == 0.5
    assert (state.in_epochs(solved, 1), state.in_epochs(BASE, 4)) == (12.0, 4)
    others = [Decision("start", number, "one more", own.epochs, own) for number, own in ((2, solved), (3, BASE))]
    plan = plan_with()
    assert fitting(plan, state, others, 5.9) == [], "neither 12 nor 18 epochs of half a second"
    assert fitting(plan, state, others, 8.9) == others[:1]
    assert fitting(plan, state, others[::-1], 8.9) == others[:1], "what does not fit leaves its time to others"
    assert fitting(plan, state, others, 15.1) == others


def test_where_all_models_are_solved_at_once_their_mean_counts():
    solved = Recipe().but({"model.name": "words", "epochs": 1})
    state = replayed(begins(0, solved, until=1), measured(0, 1), took(6.0))
    assert (state.epoch_s, state.in_epochs(solved, 1)) == (6.0, 1.0)
