"""The laws of a Searcher: what every one must do, however it chooses. Each law takes its `decide`.

A searcher is played against made-up losses: `play` carries out what it decides, as the loop would, and checks each
decision on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tame.adjust.searcher import SearchConfig
from tame.core.recipe import Recipe
from tame.core.records import Curve, Decision, Event, History, Point, curve_event, decision_event, replay
from tame.core.rng import stream
from tame.core.space import Choice, Float, Int, Space

Loss = Callable[[int, Recipe, int], float | None]  # trial, recipe, epoch: its validation loss; None where it diverged


class Decide(Protocol):
    """The one method of a Searcher."""

    def __call__(self, history: History, space: Space, seed: int, *, config: SearchConfig) -> list[Decision]: ...


Law = Callable[[Decide], None]

SPACE = Space(
    {
        "optimizer.lr": Float(1e-4, 1e-1, log=True),
        "model.dropout": Float(0.1, 0.5),
        "model.hidden": Choice(0, 64),
        "batch_size": Int(8, 256, log=True),
    }
)
CONFIG = SearchConfig(
    base=Recipe().but({"epochs": 27, "model.dropout": 0.1, "model.hidden": 64}),
    portfolio=({"optimizer.lr": 1e-2}, {"optimizer.lr": 3e-3}, {"batch_size": 64, "epochs": 27}),
    trials=40,
    cohort=12,
)


def play(
    decide: Decide, loss: Loss, *, space: Space = SPACE, config: SearchConfig = CONFIG, seed: int = 0
) -> tuple[list[Event], list[list[Decision]]]:
    """What happens when a search is carried out until it decides nothing more: the events, and the decisions by round.

    Raises AssertionError where a decision does not fit the trial it is about, or the search does not end.
    """
    events: list[Event] = []
    rounds: list[list[Decision]] = []
    history = History()
    while decisions := decide(history, space, seed, config=config):
        assert len(rounds) < 20 * config.trials, "the search does not end"
        numbers = [decision.trial for decision in decisions]
        assert len(set(numbers)) == len(numbers), "one round decides twice about a trial"
        rounds.append(decisions)
        for decision in decisions:
            _fits(decision, history, config)
            events.append(decision_event(decision))
        history = replay(events)
        for trial in history.having("running"):
            points = []
            for epoch in range(trial.epochs + 1, trial.until + 1):
                value = loss(trial.number, trial.recipe, epoch)
                points.append(Point(epoch, value, value, None))
                if value is None:
                    break
            if points:
                events.append(curve_event(trial.number, points))
        history = replay(events)
    return events, rounds


def a_fresh_one_decides_the_same_from_the_same_history(decide: Decide) -> None:
    """At every round, and from events that went through the store's plain values."""
    events, rounds = play(decide, falling)
    _, again = play(decide, falling)
    assert again == rounds
    seen = 0
    for decisions in rounds:
        history = replay(events[:seen])
        assert decide(history, SPACE, 0, config=CONFIG) == decisions
        turned = History(dict(reversed(list(history.trials.items()))))
        assert decide(turned, SPACE, 0, config=CONFIG) == decisions, (
            "the order in which trials are held must not matter"
        )
        seen += len(decisions)
        while seen < len(events) and events[seen].kind == "curve":
            seen += 1


def deciding_changes_nothing(decide: Decide) -> None:
    events, _ = play(decide, falling)
    history = replay(events[: len(events) // 2])
    before = dict(history.trials)
    decide(history, SPACE, 0, config=CONFIG)
    assert dict(history.trials) == before


def every_proposal_lies_in_the_space(decide: Decide) -> None:
    """Whatever the seed; the default and the portfolio are the study's own, and are proposed as they are."""
    fixed = frozenset({"batch_size"})
    space = SPACE.without(fixed)
    config = SearchConfig(base=CONFIG.base, portfolio=CONFIG.portfolio, fixed=fixed, trials=30, cohort=10)
    for seed in range(5):
        _, rounds = play(decide, falling, space=space, config=config, seed=seed)
        for decision in _starts(rounds):
            assert decision.recipe is not None
            assert decision.recipe.batch_size == config.base.batch_size, "a fixed field was changed"
            if decision.origin not in ("default", "portfolio"):
                assert space.holds(decision.recipe.flat()), decision.recipe.flat()
            searched = {*space.dimensions, *(name for each in config.portfolio for name in each)}
            other = {name: value for name, value in decision.recipe.flat().items() if name not in searched}
            assert other.items() <= config.base.flat().items(), "a field outside the space was changed"


def the_seed_decides_what_is_proposed(decide: Decide) -> None:
    recipes = [
        [d.recipe for d in _starts(play(decide, falling, seed=seed)[1]) if d.origin not in ("default", "portfolio")]
        for seed in (0, 0, 1)
    ]
    assert recipes[0] == recipes[1]
    assert recipes[0] != recipes[2]


def no_recipe_is_tried_twice(decide: Decide) -> None:
    small = Space({"model.hidden": Choice(0, 64), "model.dropout": Choice(0.1, 0.3)})
    for space in (SPACE, small):
        _, rounds = play(decide, falling, space=space)
        keys = [decision.recipe.key() for decision in _starts(rounds) if decision.recipe]
        assert len(set(keys)) == len(keys)


def the_budget_of_trials_is_spent_and_not_exceeded(decide: Decide) -> None:
    for trials in (1, 2, 11, 12, 13, 40):
        _, rounds = play(decide, falling, config=_but(CONFIG, trials=trials))
        assert len(_starts(rounds)) == trials
    few = Space({"model.hidden": Choice(0, 64)})
    _, rounds = play(decide, falling, space=few, config=_but(CONFIG, portfolio=()))
    assert len(_starts(rounds)) == 2, "a space of two recipes holds two"


def trials_are_numbered_on_from_the_last(decide: Decide) -> None:
    _, rounds = play(decide, falling)
    assert [decision.trial for decision in _starts(rounds)] == list(range(CONFIG.trials))


def a_trial_that_diverged_never_goes_on(decide: Decide) -> None:
    """Half of the trials diverge, at their first epoch or later, and looked best until then."""

    def loss(trial: int, recipe: Recipe, epoch: int) -> float | None:
        if trial % 2:
            return None if epoch >= 1 + 4 * (trial % 3) else -100.0
        return falling(trial, recipe, epoch)

    events, rounds = play(decide, loss)
    history = History()
    seen = 0
    for decisions in rounds:
        history = replay(events[:seen])
        lost = {trial.number for trial in history.having("diverged")}
        assert not lost & {decision.trial for decision in decisions}
        seen += len(decisions)
        while seen < len(events) and events[seen].kind == "curve":
            seen += 1
    last = replay(events)
    assert {t.number for t in last.having("diverged")} == {t for t in last.trials if t % 2}
    assert last.having("complete")


def the_default_always_reaches_the_end(decide: Decide) -> None:
    """Even as the worst of all."""
    events, _ = play(decide, lambda trial, recipe, epoch: 100.0 if trial == 0 else falling(trial, recipe, epoch))
    trial = replay(events).trials[0]
    assert trial.origin == "default"
    assert trial.recipe == CONFIG.base
    assert trial.state == "complete"
    assert trial.epochs == CONFIG.base.epochs


def the_best_of_all_reaches_the_end(decide: Decide) -> None:
    """Where losses keep their order from the first epoch on, nothing that is worse may be preferred."""
    for seed in range(3):
        events, _ = play(decide, falling, seed=seed)
        trials = replay(events).trials.values()
        best = min(trials, key=lambda t: falling(t.number, t.recipe, CONFIG.base.epochs))
        assert best.state == "complete"


def all_diverged_is_an_end(decide: Decide) -> None:
    events, rounds = play(decide, lambda *_: None)
    assert len(_starts(rounds)) == CONFIG.trials
    assert len(replay(events).having("diverged")) == CONFIG.trials


def every_decision_says_why(decide: Decide) -> None:
    _, rounds = play(decide, falling)
    assert all(decision.reason.strip() for decisions in rounds for decision in decisions)


LAWS: tuple[Law, ...] = (
    a_fresh_one_decides_the_same_from_the_same_history,
    deciding_changes_nothing,
    every_proposal_lies_in_the_space,
    the_seed_decides_what_is_proposed,
    no_recipe_is_tried_twice,
    the_budget_of_trials_is_spent_and_not_exceeded,
    trials_are_numbered_on_from_the_last,
    a_trial_that_diverged_never_goes_on,
    the_default_always_reaches_the_end,
    the_best_of_all_reaches_the_end,
    all_diverged_is_an_end,
    every_decision_says_why,
)


def falling(trial: int, recipe: Recipe, epoch: int) -> float:
    """A loss that falls with the epochs, in the same order of recipes at each of them; no two are equal."""
    level = float(stream(0, "level", recipe.key()).random())
    return level + 1 / epoch


def history_of(losses: Mapping[int, Sequence[float]], *, states: Mapping[int, str], base: Recipe) -> History:
    """A history of trials with these validation losses, epoch by epoch; the first one is the default."""
    events = []
    for number, values in losses.items():
        origin = "default" if number == 0 else "sobol"
        recipe = base.but({"optimizer.lr": 1e-3 * (1 + number)})
        events.append(decision_event(Decision("start", number, "", len(values), recipe, origin)))
        events.append(curve_event(number, [Point(i + 1, v, v, None) for i, v in enumerate(values)]))
        events.append(Event("trial_state", {"trial": number, "state": states.get(number, "running")}))
    return replay(events)


def _fits(decision: Decision, history: History, config: SearchConfig) -> None:
    if decision.kind == "start":
        assert decision.trial not in history.trials, "a number is used twice"
        assert decision.recipe is not None, "a trial starts without a recipe"
        assert 1 <= decision.until <= config.base.epochs
        return
    trial = history.trials[decision.trial]
    assert trial.state in ("running", "paused"), f"{decision.kind} about a trial that is {trial.state}"
    if decision.kind == "continue":
        assert trial.epochs < decision.until <= trial.recipe.epochs, "a trial goes on beyond its recipe, or not at all"
    if decision.kind == "complete":
        assert trial.epochs == trial.recipe.epochs, "a trial is complete that is not trained to the end"
    assert trial.curve != Curve(), "decided before anything was measured"


def _starts(rounds: Sequence[Sequence[Decision]]) -> list[Decision]:
    return [decision for decisions in rounds for decision in decisions if decision.kind == "start"]


def _but(config: SearchConfig, *, trials: int | None = None, portfolio: tuple[()] | None = None) -> SearchConfig:
    return SearchConfig(
        base=config.base,
        portfolio=config.portfolio if portfolio is None else portfolio,
        trials=trials or config.trials,
        cohort=config.cohort,
    )
