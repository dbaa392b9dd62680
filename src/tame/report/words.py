"""A study's result in plain words, the same in the terminal and in the report."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Protocol

from tame.core.evaluation import ONE_SEED, Calibration, Difference, Refusal, Residuals
from tame.core.recipe import Value
from tame.core.records import Point, Trial
from tame.core.result import Result
from tame.core.space import Choice, Dimension, Int
from tame.kinds.known import KINDS
from tame.report.fields import COLUMNS, FIELDS, name_of
from tame.report.formats import (
    IN_UNITS,
    compact,
    count,
    inert,
    is_rising,
    listed,
    metric_name,
    number,
    short,
    shown,
    shown_signed,
    significant,
)

STATES = {  # of a trial, as people say it; while a study goes on, a paused trial waits for its turn
    "waiting": "waits", "running": "interrupted", "paused": "stopped early", "complete": "trained",
    "stopped": "stopped early", "diverged": "diverged", "failed": "failed",
}  # fmt: skip
ORIGINS = {  # of a recipe, as people say it; those of other packages keep their names
    "portfolio": "known good", "user": "given", "sobol": "even spread", "tpe": "predicted good",
    "gp": "predicted good", "model": "predicted good", "remedy": "remedy", "fine-tune": "fine-tuned",
}  # fmt: skip
TREES = "gradient boosting"
FEW = 0.1  # an interval of a score that is wider says that there are few examples


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
    """A number of examples in words: 1,200 rows, 153 test pictures."""
    return count(n, f"{which} {noun(result.kind, 1)}".strip())


def guess_loss(result: Result) -> float:
    """About the loss of guessing: ln C nats, 1 for the squared error of a standardized target, or that of a language
    model before it was adapted."""
    if result.is_language_model:
        return result.baselines.dummy.value
    return 1.0 if result.is_regression else math.log(max(len(result.classes), 2))


def loss_unit(result: Result) -> str:
    """What follows "loss" in the label of an axis."""
    if result.is_language_model:
        return ", bits per character"
    return ", of the scaled target" if result.is_regression else f", nats per {noun(result.kind, 1)}"


def span(about: Interval, metric: str = "accuracy") -> str:
    """The interval of a score: 0.916 to 0.982."""
    return f"{shown(metric, about.low)} to {shown(metric, about.high)}"


def gain(metric: str, difference: Difference) -> tuple[float, float, float]:
    """A difference as a gain, with its interval: above zero is better, for every metric."""
    value, low, high = difference.value, difference.low, difference.high
    return (value, low, high) if is_rising(metric) else (-value, -high, -low)


def comparison(metric: str, difference: Difference, other: str) -> str:
    """Better or worse, and by how much, or no real difference."""
    value, low, high = gain(metric, difference)
    if difference.verdict == ONE_SEED:
        own, *ends = (shown_signed(metric, each) for each in (value, low, high))
        return (
            f"whether it is better than {other} is not known: one seed of each was trained, and these two networks "
            f"differ by {own} ({ends[0]} to {ends[1]})"
        )
    if not difference.is_real:
        own, *ends = (shown_signed(metric, each) for each in (value, low, high))
        return f"no real difference from {other}: {own} ({ends[0]} to {ends[1]})"
    word = "better" if value > 0 else "worse"
    low, high = (low, high) if value > 0 else (-high, -low)
    return f"{word} than {other} by {shown(metric, abs(value))} ({shown(metric, low)} to {shown(metric, high)})"


def other_metrics(result: Result) -> str:
    """The other metrics of the task on the same predictions: "log loss 0.289 and ..."; "" if there are none."""
    others = {name: value for name, value in result.metrics.items() if name != result.metric}
    return listed([f"{metric_name(name)} {shown(name, value)}" for name, value in others.items()])


def opened(result: Result) -> str:
    """How often the sealed test part was opened."""
    times = result.test_openings
    if times == 1:
        return "opened once"
    return f"opened {times} times, each time for the same model, because the study was interrupted after the first"


def edited(result: Result) -> str:
    """How the data was edited before the study, and what that means for its score; "" where it was not."""
    own = result.edits
    if own is None:
        return ""
    done = _edits(result, own.excluded, own.relabelled)
    if not own.test_excluded and not own.test_relabelled:
        return f"the data was edited by hand: {done}, none of them in the sealed test part"
    of_test, looked = _edits(result, own.test_excluded, own.test_relabelled), own.after_looking
    after = f", {looked} of these after looking at the test answers of an earlier study" if looked else ""
    said = f"the data was edited by hand: {done}; in the sealed test part {of_test}{after}"
    return f"{said}. The score is flattered where only examples that a model got wrong were edited"


def _edits(result: Result, excluded: int, relabelled: int) -> str:
    """12 pictures were left out and 3 labels were changed."""
    said = [f"{examples(result, excluded)} {were(excluded)} left out"] if excluded else []
    said += [f"{count(relabelled, 'label')} {were(relabelled)} changed"] if relabelled else []
    return " and ".join(said)


def were(amount: int) -> str:
    """The verb of a number of things in the past."""
    return "was" if amount == 1 else "were"


def verdict(result: Result) -> str:
    """What the search was worth: the winner beside the default recipe, on the sealed test."""
    default = result.baselines.default
    if default is None:
        return "the default recipe could not be trained to the end, so the gain over it is unknown"
    if result.trials == 1 and default.is_winner:
        return "only the default recipe was tried: nothing was searched, so the gain over it is unknown"
    if default.is_winner:
        return "the default recipe won: the search found nothing that is shown to be better"
    return comparison(result.metric, default.difference, "the default recipe")


def other_verdicts(result: Result) -> list[str]:
    """What is delivered beside one network of the winner, where it is several, a linear model, gradient boosting, where
    that was asked for, and the dummy."""
    own, metric = result.baselines, result.metric
    trees = f"{TREES} (scikit-learn)"
    others = ((own.single, "one network of the winner"), (own.linear, "a linear model"), (own.trees, trees))
    said = [comparison(metric, each.difference, name) for each, name in others if each is not None]
    return [*said, dummy_verdict(result)]


def dummy_label(result: Result) -> str:
    """What the dummy predicts: the most common class, the mean or median of the training data, or what a language model
    said before it was adapted."""
    if result.is_language_model:
        return "before adapting"
    if not result.is_regression:
        return "most common class"
    return "training median" if result.metric == "mae" else "training mean"


def dummy_verdict(result: Result) -> str:
    """The winner compared with the dummy."""
    if result.is_language_model:
        return comparison(result.metric, result.baselines.dummy.difference, "the model before it was adapted")
    other = f"always predicting the {dummy_label(result)}"
    return comparison(result.metric, result.baselines.dummy.difference, other)


def beats_dummy(result: Result) -> bool:
    """Whether the winner was shown to be better than the dummy."""
    difference = result.baselines.dummy.difference
    return difference.is_real and gain(result.metric, difference)[0] > 0


def optimism(result: Result) -> str:
    """How much better the winner looked in validation than on the sealed test."""
    score, amount, metric = result.score, result.optimism, result.metric
    said = f"validation: {validation(result)}, sealed test: {shown(metric, score.value)}"
    unseen = abs(amount) < 0.0005 * (abs(score.value) if metric in IN_UNITS else 1)
    if unseen:
        return f"{said}; no optimism"
    if amount < 0:
        return f"{said}; optimism {shown(metric, amount)}, so there is none"
    about = result.optimism_interval
    if about is None:  # of an earlier TAME, which compared with the test alone
        within = score.low <= result.validation.value <= score.high
        how = "within the uncertainty of the test" if within else "more than the uncertainty of the test explains"
        return f"{said}; optimism {shown(metric, amount)}, {how}"
    ends = f"({shown_signed(metric, about.low)} to {shown_signed(metric, about.high)})"
    how = "more than the uncertainty of both explains" if about.is_real else "within the uncertainty of both"
    return f"{said}; optimism {shown(metric, amount)} {ends}, {how}"


def calibration(result: Result, about: Calibration) -> str:
    """Whether the probabilities are off by more than those of a calibrated network are on as many examples."""
    own = number(about.ece)
    if about.usual is None:
        return f"probabilities are off by {own} on average (calibration error)"
    usual = f"{number(about.usual)} is usual for {examples(result, about.n)}"
    if not about.is_off:
        return f"no miscalibration was shown ({own}; {usual})"
    lean = f": the network is {about.lean}" if about.lean else ""
    return f"probabilities are off by {own} on average, and {usual} if they are right{lean}"


def refusing(result: Result, about: Refusal) -> str:
    """What is left, and how much of it is wrong, if the least certain predictions are not given."""
    ends = f"{100 * about.risk_low:.1f} to {100 * about.risk_high:.1f}"
    return (
        f'with "I do not know" below a probability of {number(about.threshold)}, '
        f"{100 * about.coverage:.0f} % of {examples(result, about.n)} are answered, and {100 * about.risk:.1f} % "
        f"({ends}) of the answers are wrong instead of {100 * about.risk_of_all:.1f} %"
    )


def validation(result: Result) -> str:
    """The validation value, over folds with its standard error: 0.962 ± 0.004 over 5 folds."""
    about, metric = result.validation, result.metric
    own = shown(metric, about.value)
    if about.stderr is None:
        return own
    folds = result.data_facts.folds
    return f"{own} ± {shown(metric, about.stderr)}" + (f" over {folds} folds" if folds > 1 else "")


def error_spread(about: Residuals) -> str:
    """How large errors are: half of them, and 9 of 10, lie below these sizes."""
    half, most = significant(about.median_size), significant(about.size_90)
    return f"half of the predictions are off by less than {half}, 9 of 10 by less than {most}"


def part_size(part: Mapping[str, int]) -> int:
    """The number of examples in a part of the split: the sum over its classes."""
    return sum(part.values())


def ability(result: Result) -> str:
    """What the network does, and on how many examples it was trained and tested."""
    if (texts := result.data_facts.language) is not None:
        trained = f"adapted to {count(texts.texts.get('train', 0), 'text')}"
        judged = min(texts.texts.get("test", 0), result.score.n)  # a passage of each, as long as there are so many
        return f"writes on from a beginning, {trained} and tested on {judged:,} others"
    own = part_size(result.data_facts.counts.get("train", {}))
    trained = examples(result, own)
    verb, what = _task(result)
    third = f"{verb}es" if verb.endswith("sh") else f"{verb}s"
    does = third if beats_dummy(result) else f"was not shown to {verb}"
    return f"{does} {what}, trained on {trained} and tested on {result.score.n:,} others"


def _task(result: Result) -> tuple[str, str]:
    """distinguish, ants from bees; predict, price."""
    target = short(result.target, 40)
    if result.is_regression:
        return "predict", target or "a number"
    classes = result.classes
    is_brief = len(classes) <= 5 and all(len(name) <= 24 for name in classes)
    named = listed(classes) if is_brief else f"{len(classes):,} classes"
    if target:
        return "predict", f"{target} ({named if len(classes) > 2 or not is_brief else ' or '.join(classes)})"
    if len(classes) == 2 and is_brief:
        return "distinguish", f"{classes[0]} from {classes[1]}"
    return "distinguish", named


def predict_command(result: Result, quote: Callable[[str], str]) -> str:
    """The command that uses the model, or the Python call if new examples come only from Python."""
    new_input = KINDS.get(result.kind).words.new_input
    if not new_input:
        return f"tame.load({inert(result.study)!r}).predict(x)"
    return f"tame predict {quote(inert(result.study))} {new_input}"


def trials_words(result: Result) -> str:
    """How many recipes were tried, and how their trainings ended."""
    return f"{count(result.trials, 'recipe')} tried; training runs, finalists included: {states_of(result)}"


def workers(result: Result) -> str:
    """By how many workers the trials were trained; "" for one."""
    num, threads = result.machine.get("workers"), result.machine.get("threads_each")
    if not isinstance(num, int) or not isinstance(threads, int):
        return ""
    return f"by {num} workers with {'a GPU' if result.machine.get('gpus') else count(threads, 'thread')} each"


def states_of(result: Result) -> str:
    """How many trials ended in which state."""
    return counted(result.trial_states)


def counted(states: Mapping[str, int], *, going_on: bool = False, lives: bool = False) -> str:
    """So many trials in each state: 22 trained, 40 stopped early. going_on, lives: as of `state`."""
    found: dict[str, int] = {}
    for name, amount in states.items():
        word = state(name, going_on=going_on, lives=lives)
        found[word] = found.get(word, 0) + amount
    return ", ".join(f"{amount:,} {word}" for word, amount in found.items() if amount)


def rest(result: Result) -> str:
    """What searching as long again would gain, and whether the search stopped for that; "" if unknown."""
    about = result.rest
    if about is None or about.gain is None:
        return ""
    if about.stopped_because:
        return f"The search stopped after {count(about.recipes, 'recipe')} because {about.stopped_because}."
    return (
        f"As many epochs again would lower the best validation loss, {significant(about.best)}, by about "
        f"{significant(about.gain, 2)}; the noise of that loss is about {significant(about.noise, 2)}."
    )


def state(name: str, *, going_on: bool = False, lives: bool = False) -> str:
    """The state of a trial as people say it. going_on: whether its search has not ended; lives: whether a process works
    on the study, without which nothing trains."""
    if lives and name == "running":
        return "training"
    return "waits" if going_on and name == "paused" else STATES.get(name, name)


def origin(name: str) -> str:
    """Why a recipe was tried, in two words."""
    return ORIGINS.get(name, name)


def badges(result: Result) -> list[str]:
    """What must stand beside the score: a winner that was not trained to its end, an interval that is wide."""
    cut = any(
        each.code == "cut_short" and each.evidence.get("trial") == result.winner.trial for each in result.findings
    )
    found = ["not trained to its end"] if cut or not result.whole else []
    score = result.score
    is_wide = result.metric not in (*IN_UNITS, "log_loss", "r2", "bits_per_character") and score.high - score.low > FEW
    found += ["interval too narrow to trust"] if score.doubt else []
    return [*found, *([f"few test {noun(result.kind)}: a wide interval"] if is_wide else [])]


def judged_point(trial: Trial) -> Point | None:
    """The epoch of a trial whose weights are evaluated; None before the first."""
    return trial.judged


def leading(recipes: Sequence[Mapping[str, Value]], most: int) -> list[tuple[str, str]]:
    """At most `most` fields that vary over these recipes, the most important first, each with a short heading.

    recipes: flat, or what each changes in one of them.
    """
    varying = (field for field in COLUMNS if len({recipe.get(field) for recipe in recipes}) > 1)
    return [(field, FIELDS[field].head) for field in islice(varying, most)]


def setting(dimension: Dimension) -> str:
    """A dimension of a space in words."""
    when = " and ".join(f"{name_of(name)} is {' or '.join(map(compact, v))}" for name, v in dimension.when.items())
    only = f", where {when}" if when else ""
    if isinstance(dimension, Choice):
        return "one of " + ", ".join(compact(value) for value in dimension.values) + only
    scale = ", log scale" if dimension.log else ""
    plain = 1 if isinstance(dimension, Int) else None  # of a range that was given no step
    step = "" if dimension.step == plain else f", in steps of {compact(dimension.step)}"
    return f"{compact(dimension.low)} to {compact(dimension.high)}{step}{scale}{only}"
