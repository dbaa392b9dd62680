"""The laws that every searcher must satisfy. Each law takes its `decide`.

A searcher runs on made-up losses: `play` executes its decisions, as the loop would, and checks each of them. A law that
a searcher cannot satisfy by design is listed in `EXCEPTIONS`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from tame.adjust.searcher import Decide, SearchConfig, searched
from tame.core.recipe import Recipe
from tame.core.records import (
    DEFAULT,
    PORTFOLIO,
    Curve,
    Decision,
    Event,
    History,
    Point,
    Trial,
    curve_event,
    decision_event,
    replay,
)
from tame.core.rng import stream
from tame.core.space import Choice, Float, Int, Space, field_of

Loss = Callable[[int, Recipe, int], float | None]  # (trial, recipe, epoch) -> validation loss; None if it diverged
Law = Callable[..., None]  # (decide, *, config): a smaller config is faster, and must not change the verdict

MAY_CHANGE = ("optimizer.", "then.", "regularize.", "loss.label_smoothing", "model.dropout")  # while a network trains

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
    trials=24,
    cohort=8,
)


# With conditions: a rate for each optimizer, momentum for one of them, and dropout only for a head with a hidden layer.
CONDITIONAL = Space(
    {
        "optimizer.name": Choice("adamw", "momentum"),
        "optimizer.lr@adamw": Float(1e-4, 1e-2, log=True),
        "optimizer.lr@momentum": Float(1e-3, 1e-1, log=True),
        "optimizer.momentum": Float(0.5, 0.99, when={"optimizer.name": "momentum"}),
        "loss.label_smoothing": Float(0.0, 0.2, step=0.05),
    },
    base=CONFIG.base.flat(),
)


def play(
    decide: Decide, loss: Loss, *, space: Space = SPACE, config: SearchConfig = CONFIG, seed: int = 0
) -> tuple[list[Event], list[list[Decision]]]:
    """Runs a search until it makes no more decisions. Returns the events, and the decisions by round.

    Raises AssertionError if a decision does not fit its trial, or the search does not end.
    """
    events: list[Event] = []
    rounds: list[list[Decision]] = []
    history = History()
    while decisions := decide(history, space, seed, config=config):
        assert len(rounds) < 20 * (config.trials + config.base.epochs), "the search does not end"
        numbers = [decision.trial for decision in decisions]
        assert len(set(numbers)) == len(numbers), "one round has two decisions about a trial"
        rounds.append(decisions)
        for decision in decisions:
            _fits(decision, history, config)
        fresh = [decision_event(decision) for decision in decisions]
        history = _after(history, fresh)
        curves = [_trained(trial, loss) for trial in history.having("running") if trial.epochs < trial.until]
        history = _after(history, curves)
        events += [*fresh, *curves]
    return events, rounds


def a_fresh_one_decides_the_same_from_the_same_history(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """In every round, and from events that were converted to the store's plain values."""
    events, rounds = play(decide, falling, config=config)
    for history, decisions in zip(_histories(events, rounds), rounds, strict=True):
        assert decide(history, SPACE, 0, config=config) == decisions
        turned = History(dict(reversed(list(history.trials.items()))))
        assert decide(turned, SPACE, 0, config=config) == decisions, (
            "the order of the trials in the history must not matter"
        )


def deciding_changes_nothing(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    events, _ = play(decide, falling, config=config)
    history = replay(events[: len(events) // 2])
    before = dict(history.trials)
    decide(history, SPACE, 0, config=config)
    assert dict(history.trials) == before


def every_proposal_lies_in_the_space(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """For every seed; the default and the portfolio come from the study, and are proposed unchanged."""
    fixed = frozenset({"batch_size"})
    space, config = SPACE.without(fixed), replace(config, fixed=fixed)
    for seed in range(3):
        _, rounds = play(decide, falling, space=space, config=config, seed=seed)
        for decision in begun(rounds):
            assert decision.recipe is not None
            assert decision.recipe.batch_size == config.base.batch_size, "a fixed field was changed"
            if decision.origin not in (DEFAULT, PORTFOLIO):
                assert space.holds(decision.recipe.flat()), decision.recipe.flat()
            known = {*space.dimensions, *(name for each in config.portfolio for name in each)}
            other = {name: value for name, value in decision.recipe.flat().items() if name not in known}
            assert other.items() <= config.base.flat().items(), "a field outside the space was changed"


def under_conditions_only_what_holds_is_set(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """A dimension that does not hold leaves its field as it is in the base recipe, and an argument of the user's own
    function out of the recipe."""
    _, rounds = play(decide, falling, space=CONDITIONAL, config=replace(config, portfolio=()))
    seen = set()
    for decision in begun(rounds)[1:]:
        assert decision.recipe is not None
        own = decision.recipe.flat()
        assert CONDITIONAL.holds(own), own
        idle = {*CONDITIONAL.fields} - {field_of(name) for name in CONDITIONAL.active(own)}
        wanted = {name: value for name, value in config.base.flat().items() if not name.startswith("own.")}
        assert all(own.get(name) == wanted.get(name) for name in idle), "a field was set that does not hold"
        seen.add(own["optimizer.name"])
    assert seen == {"adamw", "momentum"} or config.trials < 20, "a choice was never made"


def the_seed_decides_what_is_proposed(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    recipes = [
        [
            d.recipe
            for d in begun(play(decide, falling, config=config, seed=seed)[1])
            if d.origin not in (DEFAULT, PORTFOLIO)
        ]
        for seed in (0, 0, 1)
    ]
    assert recipes[0] == recipes[1]
    assert recipes[0] != recipes[2]


def no_recipe_is_tried_twice(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """Neither across rounds nor within one, even if few recipes exist."""
    small = Space({"model.hidden": Choice(0, 64), "model.dropout": Choice(0.1, 0.3)})
    for space in (SPACE, small):
        _, rounds = play(decide, falling, space=space, config=config)
        keys = [decision.recipe.key() for decision in _starts(rounds) if decision.recipe]
        assert len(set(keys)) == len(keys)


def what_still_trains_is_known(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """While half of a round is in training, no decision is about that half, and none of its recipes comes again."""
    history = replay(decision_event(d) for d in decide(History(), SPACE, 0, config=config))
    for _ in range(3):
        busy = [t for t in history.having("running") if t.epochs < t.until]
        for trial in busy[::2]:
            history = history.after(_trained(trial, falling))
        busy = busy[1::2]
        known = {t.recipe.key() for t in history.trials.values()}
        decisions = decide(history, SPACE, 0, config=config)
        assert not {t.number for t in busy} & {d.trial for d in decisions}, "a decision about a trial in training"
        fresh = [d.recipe.key() for d in decisions if d.kind == "start" and d.recipe]
        assert not known & set(fresh), "a recipe in training was proposed again"
        for decision in decisions:
            history = history.after(decision_event(decision))
        assert len(searched(history)) <= config.trials


def a_space_that_has_grown_is_searched_on(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """With the same history and a wider space: still no duplicates, and no recipe outside it."""
    few = replace(config, trials=max(2, config.trials // 2))
    events, _ = play(decide, falling, space=SPACE.without({"batch_size"}), config=few)
    history = replay(events)
    known = {t.recipe.key() for t in history.trials.values()}
    fresh = [d.recipe for d in decide(history, SPACE, 0, config=config) if d.kind == "start" and d.recipe]
    assert fresh
    assert len({recipe.key() for recipe in fresh} | known) == len(fresh) + len(known)
    assert all(SPACE.holds(recipe.flat()) for recipe in fresh)


def the_budget_of_trials_is_not_exceeded(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    for trials in (1, 2, config.cohort, config.cohort + 1, config.trials):
        own = replace(config, trials=min(trials, config.trials))
        _, rounds = play(decide, falling, config=own)
        assert 1 <= len(_starts(rounds)) <= own.trials


def the_budget_of_trials_is_spent(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    for trials in (1, 2, config.trials - 1, config.trials):
        _, rounds = play(decide, falling, config=replace(config, trials=trials))
        assert len(_starts(rounds)) == trials


def a_space_that_is_used_up_is_an_end(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """Spaces of two recipes, of one point, of only the default, without dimensions: everything once, then the end."""
    config = replace(config, portfolio=())
    other = 2 * config.base.optimizer.lr
    for dimensions, num in (
        ({"model.hidden": Choice(0, 64)}, 2),
        ({"optimizer.lr": Choice(other)}, 2),
        ({"optimizer.lr": Choice(config.base.optimizer.lr)}, 1),
        ({}, 1),
    ):
        events, rounds = play(decide, falling, space=Space(dimensions), config=config)
        assert len(_starts(rounds)) == num
        assert replay(events).trials[0].state == "complete"


def trials_are_numbered_on_from_the_last(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    _, rounds = play(decide, falling, config=config)
    numbers = [decision.trial for decision in begun(rounds)]
    assert numbers == list(range(len(numbers)))


def trials_of_other_origins_are_left_alone(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """A finalist that is trained again is not a trial of the search."""
    few = replace(config, trials=3)
    events, _ = play(decide, falling, config=few)
    start = Decision("start", 90, "again", 9, config.base.but({"seed": 7}), "finalist")
    history = replay(events)
    assert decide(history, SPACE, 0, config=few) == []
    assert decide(history.after(decision_event(start)), SPACE, 0, config=few) == []


def a_trial_that_diverged_never_goes_on(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """Half of the trials diverge, at their first epoch or later, and look best until then."""

    def loss(trial: int, recipe: Recipe, epoch: int) -> float | None:
        if trial % 2:
            return None if epoch >= 1 + 4 * (trial % 3) else -100.0
        return falling(trial, recipe, epoch)

    events, rounds = play(decide, loss, config=config)
    for history, decisions in zip(_histories(events, rounds), rounds, strict=True):
        lost = {trial.number for trial in history.having("diverged")}
        assert not lost & {decision.trial for decision in decisions}
        assert not lost & {decision.source for decision in decisions}, "a copy of a diverged trial"
    last = replay(events)
    assert last.having("diverged")
    assert last.having("complete")
    assert all(trial.number % 2 == 0 for trial in last.having("complete"))


def the_default_comes_first_and_reaches_the_end(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """Even if it is the worst of all, and with its original recipe."""
    losses = lambda trial, recipe, epoch: 100.0 if trial == 0 else falling(trial, recipe, epoch)  # noqa: E731
    events, _ = play(decide, losses, config=config)
    trial = replay(events).trials[0]
    assert trial.is_default
    assert trial.recipe == config.base
    assert trial.state == "complete"
    assert trial.epochs == config.base.epochs


def the_best_of_all_reaches_the_end(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    """If losses keep their order from the first epoch on, no worse recipe may be preferred."""
    for seed in range(3):
        events, _ = play(decide, falling, config=config, seed=seed)
        trials = replay(events).trials.values()
        best = min(trials, key=lambda t: falling(t.number, t.recipe, config.base.epochs))
        assert best.state == "complete"


def all_diverged_is_an_end(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    events, rounds = play(decide, lambda *_: None, config=config)
    assert len(replay(events).having("diverged")) == len(_starts(rounds)) > 1


def every_decision_says_why(decide: Decide, *, config: SearchConfig = CONFIG) -> None:
    _, rounds = play(decide, falling, config=config)
    assert all(decision.reason.strip() for decisions in rounds for decision in decisions)


LAWS: tuple[Law, ...] = (
    a_fresh_one_decides_the_same_from_the_same_history,
    deciding_changes_nothing,
    every_proposal_lies_in_the_space,
    under_conditions_only_what_holds_is_set,
    the_seed_decides_what_is_proposed,
    no_recipe_is_tried_twice,
    what_still_trains_is_known,
    a_space_that_has_grown_is_searched_on,
    the_budget_of_trials_is_not_exceeded,
    the_budget_of_trials_is_spent,
    a_space_that_is_used_up_is_an_end,
    trials_are_numbered_on_from_the_last,
    trials_of_other_origins_are_left_alone,
    a_trial_that_diverged_never_goes_on,
    the_default_comes_first_and_reaches_the_end,
    the_best_of_all_reaches_the_end,
    all_diverged_is_an_end,
    every_decision_says_why,
)

# Searcher and law, with the reason why the law cannot hold.
EXCEPTIONS: Mapping[tuple[str, str], str] = {
    ("grid", "the_budget_of_trials_is_spent"): "a grid ends after its points, whose number is a product",
}


def falling(trial: int, recipe: Recipe, epoch: int) -> float:
    """A loss that falls with the epochs and ranks recipes in the same order at each; no two are equal."""
    return _level((recipe.optimizer, recipe.model, recipe.loss, recipe.batch_size)) + 1 / epoch


@cache
def _level(searched_fields: Hashable) -> float:
    return float(stream(0, "level", repr(searched_fields)).random())


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


def begun(rounds: Sequence[Sequence[Decision]]) -> list[Decision]:
    """The decisions that created trials: starts and copies."""
    return [decision for decisions in rounds for decision in decisions if decision.kind in ("start", "copy")]


def _starts(rounds: Sequence[Sequence[Decision]]) -> list[Decision]:
    return [decision for decision in begun(rounds) if decision.kind == "start"]


def _trained(trial: Trial, loss: Loss) -> Event:
    """The points that a trial adds until its target epoch, or until it diverges."""
    points = []
    for epoch in range(trial.epochs + 1, trial.until + 1):
        value = loss(trial.number, trial.recipe, epoch)
        points.append(Point(epoch, value, value, None))
        if value is None:
            break
    return curve_event(trial.number, points)


def _after(history: History, events: Sequence[Event]) -> History:
    for event in events:
        history = history.after(event)
    return history


def _histories(events: Sequence[Event], rounds: Sequence[Sequence[Decision]]) -> list[History]:
    """The history before each round."""
    found, history, seen = [], History(), 0
    for decisions in rounds:
        found.append(history)
        end = seen + len(decisions)
        while end < len(events) and events[end].kind == "curve":
            end += 1
        history, seen = _after(history, events[seen:end]), end
    return found


def _fits(decision: Decision, history: History, config: SearchConfig) -> None:
    if decision.kind in ("start", "copy"):
        assert decision.trial not in history.trials, "a number is used twice"
        assert decision.recipe is not None, "a trial starts without a recipe"
        assert 1 <= decision.until <= config.base.epochs
        assert (decision.kind == "copy") == (decision.source is not None)
        if decision.source is not None:
            _fits_its_source(decision, history.trials[decision.source])
        return
    trial = history.trials[decision.trial]
    assert trial.state in ("running", "paused"), f"{decision.kind} about a trial that is {trial.state}"
    if decision.kind == "continue":
        assert trial.epochs < decision.until <= trial.recipe.epochs, "a trial goes beyond its recipe, or not at all"
    if decision.kind == "complete":
        assert trial.epochs == trial.recipe.epochs, "a trial is complete but not trained to its end"
    assert trial.curve != Curve(), "a decision before anything was measured"


def _fits_its_source(decision: Decision, source: Trial) -> None:
    """A copy continues from existing weights, with a recipe that differs only in fields that may change in training."""
    assert decision.recipe is not None
    assert source.state in ("running", "paused"), f"a copy of a trial that is {source.state}"
    assert source.epochs < decision.until, "a copy that does not train"
    before, after = source.recipe.flat(), decision.recipe.flat()
    changes = [name for name in after if after[name] != before[name]]
    assert changes, "a copy with the same recipe"
    assert all(name.startswith(MAY_CHANGE) and not name.endswith("name") for name in changes), changes
