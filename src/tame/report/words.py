"""A study's result in plain words, the same in the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Protocol

from tame.core.answers import Difference
from tame.core.recipe import Recipe
from tame.core.records import Point, Trial
from tame.core.result import Result
from tame.core.space import Choice, Dimension, Int
from tame.kinds.known import KINDS
from tame.report.formats import (
    IN_UNITS,
    compact,
    count,
    inert,
    is_rising,
    listed,
    metric_name,
    short,
    shown,
    shown_signed,
    significant,
)

HEADS = {  # of columns in a table of trials
    "input.size": "size", "optimizer.lr": "rate", "optimizer.weight_decay": "decay", "model.width": "width",
    "model.depth": "depth", "batch_size": "batch", "model.dropout": "dropout", "model.hidden": "hidden",
}  # fmt: skip


class Interval(Protocol):
    """A 95 % interval."""

    @property
    def low(self) -> float: ...

    @property
    def high(self) -> float: ...


class Scored(Interval, Protocol):
    """A score with its interval, of a winner or of a baseline."""

    @property
    def value(self) -> float: ...


def noun(kind: str, n: int = 2) -> str:
    """What one example, or n of them, of this kind of data is called: pictures, rows, examples."""
    own = KINDS.get(kind).words
    return own.noun if n == 1 else own.nouns


def a_noun(kind: str) -> str:
    """One of them: a picture, a row, an example."""
    return KINDS.get(kind).words.a_noun


def examples(result: Result, n: int, which: str = "") -> str:
    """So many examples: 1,200 rows, 153 test pictures."""
    return count(n, f"{which} {noun(result.kind, 1)}".strip())


def guess_loss(result: Result) -> float:
    """About what guessing costs: ln C nats, or 1 for the squared error of a standardised target."""
    return 1.0 if result.is_regression else math.log(max(len(result.classes), 2))


def loss_unit(result: Result) -> str:
    """What stands behind "loss" at an axis."""
    return ", of the scaled target" if result.is_regression else f", nats {a_noun(result.kind)}"


def span(about: Interval, metric: str = "accuracy") -> str:
    """The interval of a score: 0.916 to 0.982."""
    return f"{shown(metric, about.low)} to {shown(metric, about.high)}"


def gain(metric: str, difference: Difference) -> tuple[float, float, float]:
    """A difference as a gain, with its interval: above zero is better, whichever way the metric runs."""
    value, low, high = difference.value, difference.low, difference.high
    return (value, low, high) if is_rising(metric) else (-value, -high, -low)


def comparison(metric: str, difference: Difference, other: str) -> str:
    """Better or worse by how much, or that no real difference was shown."""
    value, low, high = gain(metric, difference)
    if not difference.is_real:
        own, *ends = (shown_signed(metric, each) for each in (value, low, high))
        return f"no real difference from {other}: {own} ({ends[0]} to {ends[1]})"
    word = "better" if value > 0 else "worse"
    low, high = (low, high) if value > 0 else (-high, -low)
    return f"{word} than {other} by {shown(metric, abs(value))} ({shown(metric, low)} to {shown(metric, high)})"


def other_metrics(result: Result) -> str:
    """What the other metrics of the task say of the same predictions, "log loss 0.289 and ..."; "" without others."""
    others = {name: value for name, value in result.metrics.items() if name != result.metric}
    return listed([f"{metric_name(name)} {shown(name, value)}" for name, value in others.items()])


def opened(result: Result) -> str:
    """How often the sealed test part was opened."""
    times = result.test_openings
    if times == 1:
        return "opened once"
    return f"opened {times} times, for the same model each time, since the study was interrupted after the first"


def verdict(result: Result) -> str:
    """What the search was worth: the winner beside the default recipe, on the sealed test."""
    default = result.baselines.default
    if default is None:
        return "the default recipe could not be trained to its end, so nothing is said of a gain over it"
    if result.trials == 1:
        return "only the default recipe was tried: nothing was searched, so nothing is said of a gain over it"
    if default.is_winner:
        return "the default recipe won: the search found nothing that is shown to be better"
    return comparison(result.metric, default.difference, "the default recipe")


def dummy_label(result: Result) -> str:
    """What guessing without looking guesses: the commonest class, or the mean or median of the training data."""
    if not result.is_regression:
        return "commonest class"
    return "training median" if result.metric == "mae" else "training mean"


def dummy_verdict(result: Result) -> str:
    """The winner beside guessing without looking."""
    what = "guessing" if result.is_regression else "naming"
    other = f"always {what} the {dummy_label(result)}"
    return comparison(result.metric, result.baselines.dummy.difference, other)


def optimism(result: Result) -> str:
    """How much better the winner looked while it was chosen than it turned out to be."""
    score, amount, metric = result.score, result.optimism, result.metric
    said = f"validation said {validation(result)}, the sealed test {shown(metric, score.value)}"
    unseen = abs(amount) < 0.0005 * (abs(score.value) if metric in IN_UNITS else 1)
    if unseen:
        return f"{said}: no optimism"
    if amount < 0:
        return f"{said}: optimism {shown(metric, amount)}, so none is visible"
    within = score.low <= result.validation.value <= score.high
    how = "within the uncertainty of the test" if within else "more than the uncertainty of the test explains"
    return f"{said}: optimism {shown(metric, amount)}, {how}"


def validation(result: Result) -> str:
    """The validation value, over folds with its standard error: 0.962 ± 0.004 over 5 folds."""
    about, metric = result.validation, result.metric
    own = shown(metric, about.value)
    if about.stderr is None:
        return own
    folds = result.data_facts.folds
    return f"{own} ± {shown(metric, about.stderr)}" + (f" over {folds} folds" if folds > 1 else "")


def part_size(part: Mapping[str, int]) -> int:
    """How many examples a part of the split holds: the sum over its classes."""
    return sum(part.values())


def learnt(result: Result) -> str:
    """What the network does, and from how many examples it was learnt and tested."""
    own = part_size(result.data_facts.counts.get("train", {}))
    trained = examples(result, own)
    return f"{_ability(result)}, learnt from {trained} and tested on {result.score.n:,} others"


def _ability(result: Result) -> str:
    """tells ants from bees; predicts price."""
    target = short(result.target, 40)
    if result.is_regression:
        return f"predicts {target or 'a number'}"
    classes = result.classes
    is_brief = len(classes) <= 5 and all(len(name) <= 24 for name in classes)
    named = listed(classes) if is_brief else f"{len(classes):,} classes"
    if target:
        return f"predicts {target} ({named if len(classes) > 2 or not is_brief else ' or '.join(classes)})"
    if len(classes) == 2 and is_brief:
        return f"tells {classes[0]} from {classes[1]}"
    return f"tells {named} apart"


def predict_command(result: Result, quote: Callable[[str], str]) -> str:
    """The command that uses the model, or the call where new examples are given from Python only."""
    new_input = KINDS.get(result.kind).words.new_input
    if not new_input:
        return f"tame.load({inert(result.study)!r}).predict(x)"
    return f"tame predict {quote(inert(result.study))} {new_input}"


def trials_words(result: Result) -> str:
    """How many recipes were tried, and what became of them."""
    states = ", ".join(f"{amount:,} {state}" for state, amount in result.trial_states.items())
    return f"{count(result.trials, 'recipe')} tried; training runs, finalists included: {states}"


def rest(result: Result) -> str:
    """What spending as much again on the search was worth, and whether it ended for that; "" where it is not known."""
    about = result.rest
    if about is None or about.gain is None:
        return ""
    if about.stopped_because:
        return f"The search stopped after {count(about.recipes, 'recipe')} because {about.stopped_because}."
    return (
        f"As many epochs again would lower the best validation loss, {significant(about.best)}, by about "
        f"{significant(about.gain, 2)}; the noise of that loss is about {significant(about.noise, 2)}."
    )


def state(trial: Trial) -> str:
    """What became of a trial, in words."""
    return "complete early" if trial.kept_epoch is not None and trial.state == "complete" else trial.state


def judged_point(trial: Trial) -> Point | None:
    """The epoch of a trial whose weights are judged; None before the first."""
    return trial.judged


def leading(recipes: Sequence[Recipe], most: int) -> list[tuple[str, str]]:
    """At most so many fields that vary over these recipes, those first that matter most, each with a short head."""
    found = [(field, head) for field, head in HEADS.items() if len(set(map(attrgetter(field), recipes))) > 1]
    return found[:most]


def setting(dimension: Dimension) -> str:
    """A dimension of a space in words."""
    when = " and ".join(f"{name} is {' or '.join(map(compact, v))}" for name, v in dimension.when.items())
    only = f", where {when}" if when else ""
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(compact(value) for value in dimension.values) + only
    scale = ", evenly over its logarithm" if dimension.log else ""
    plain = 1 if isinstance(dimension, Int) else None  # of a range that was given no step
    step = "" if dimension.step == plain else f", in steps of {compact(dimension.step)}"
    return f"{compact(dimension.low)} to {compact(dimension.high)}{step}{scale}{only}"
