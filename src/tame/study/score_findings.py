"""What the opened test part says of the score besides its value: each a finding, beyond the noise of what it is of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from scipy.stats import binom, norm

from tame.core.config import METRIC_MODES
from tame.core.evaluation import ClassAnswers, Difference
from tame.core.records import Finding, Severity
from tame.core.result import Result
from tame.evaluate.compare import Z
from tame.monitor.remedies import CHANGES

LEVEL = 0.005  # chance of a false alarm over all classes
SURE = float(norm.isf(0.005)) / Z  # times a 95 % interval, as wide as one of 99 %
FAILS = 0.25  # a class of which less is recognized fails, unless guessing between the classes recognizes more
FURTHER = 2.0  # times as far from the usual calibration error as the 95 % limit is


def score_findings(result: Result, loss: Difference | None, *, underfits: bool = False) -> list[Finding]:
    """What there is to say of the score of a finished study.

    loss: how much higher the log loss of the delivered network is than that of guessing; None of a regression.
    underfits: whether the curves of the delivered network stand still with little learned.
    """
    return [
        *_failing(result), *_guessing(result, loss), *_calibration(result), *_validation(result),
        *_linear(result, underfits), *_trees(result), *_few(result), *_too_small(result),
    ]  # fmt: skip


def _of(code: str, title: str, severity: Severity, evidence: Mapping[str, object]) -> Finding:
    return Finding(code, title, severity, evidence, CHANGES[code])


def _failing(result: Result) -> list[Finding]:
    """Classes of which fewer are recognized than guessing between all classes would, beyond chance."""
    if not isinstance(result.answers, ClassAnswers):
        return []
    own = result.answers.per_class
    least = max(FAILS, 1 / max(len(own), 1))
    found = [each for each in own if each.n and float(binom.cdf(each.right, each.n, least)) < LEVEL / max(len(own), 1)]
    if not found:
        return []
    found.sort(key=lambda each: (each.right / each.n, -each.n))
    first = found[0]
    title = f"of {first.n} examples of {first.name!r:.60} in the test part {first.right or 'none'} are recognized"
    title += f"; {len(found) - 1} more classes alike" if len(found) > 2 else "; another class alike" * (len(found) - 1)
    named = [{each.name: f"{each.right} of {each.n}"} for each in found[:20]]
    evidence = {
        "name": first.name, "n": first.n, "right": first.right, "low": round(first.low, 3),
        "high": round(first.high, 3), "classes": named,
    }  # fmt: skip
    return [_of("failing_class", title, "warning", evidence)]


def _guessing(result: Result, loss: Difference | None) -> list[Finding]:
    if loss is None or loss.value <= 0 or loss.value - SURE * (loss.value - loss.low) <= 0:
        return []
    own = result.metrics["log_loss"]
    title = f"the log loss {own:.3g} is worse than that of guessing by the shares of the classes"
    evidence = {"log_loss": own, "guessing": own - loss.value, "by": loss.value, "low": loss.low, "high": loss.high}
    return [_of("worse_than_guessing", title, "problem", evidence)]


def _calibration(result: Result) -> list[Finding]:
    about = result.answers.calibration if isinstance(result.answers, ClassAnswers) else None
    if about is None or about.usual is None or about.most is None:
        return []
    limit = about.usual + FURTHER * (about.most - about.usual)
    if about.ece <= limit:
        return []
    lean = {"": "off", "overconfident": "too sure", "underconfident": "not sure enough"}[about.lean]
    title = f"probabilities are {lean}: by {about.ece:.3f} on average, where {about.usual:.3f} is usual for {about.n:,}"
    evidence = {
        "ece": about.ece, "usual": about.usual, "limit": limit, "n": about.n, "confidence": about.confidence,
        "right": about.right,
    }  # fmt: skip
    return [_of("miscalibrated", title, "warning", evidence)]


def _validation(result: Result) -> list[Finding]:
    own = result.optimism_interval
    if own is None or own.value - SURE * (own.value - own.low) <= 0:
        return []
    validated, tested = result.validation.value, result.score.value
    title = f"validation promised {result.metric} {validated:.3g}, the test gave {tested:.3g}: more than noise explains"
    evidence = {
        "metric": result.metric, "validation": validated, "test": tested, "low": own.low, "high": own.high,
        "n": result.score.n, "n_validation": result.validation.n,
    }  # fmt: skip
    return [_of("validation_above_test", title, "warning", evidence)]


def _linear(result: Result, underfits: bool) -> list[Finding]:
    """That a linear model does as well or better. Where the network is no better than guessing, that says more.

    Curves alone cannot tell a network that is too small from inputs that do not hold the answer; this can.
    """
    linear = result.baselines.linear
    if linear is None or not _is_better(result, result.baselines.dummy.difference):
        return []
    gain = linear.difference
    if result.winner.recipe.get("model.name") == "words" and not gain.is_real:
        return []  # it is a linear model itself
    if _is_better(result, gain):
        return []
    said = "better than" if gain.is_real else "not shown to be worse than"
    title = f"a linear model ({result.metric} {linear.value:.3g}) is {said} the network ({result.score.value:.3g})"
    evidence = {
        "metric": result.metric, "linear": linear.value, "network": result.score.value, "by": gain.value,
        "low": gain.low, "high": gain.high, "n": result.score.n,
    }  # fmt: skip
    found = _of("no_better_than_linear", title, "warning" if gain.is_real else "info", evidence)
    if gain.is_real and underfits:
        title += ", which underfits: the inputs hold more than it has learned"
        found = replace(
            found, title=title, change="use a larger network or a higher learning rate, or the linear model"
        )
    return [found]


def _trees(result: Result) -> list[Finding]:
    """That gradient boosting is better, where it was asked for."""
    trees = result.baselines.trees
    if trees is None or not trees.difference.is_real or _is_better(result, trees.difference):
        return []
    by = trees.difference
    title = (
        f"gradient boosting ({result.metric} {trees.value:.3g}) is better than the network ({result.score.value:.3g})"
    )
    evidence = {
        "metric": result.metric, "trees": trees.value, "network": result.score.value, "by": by.value, "low": by.low,
        "high": by.high, "n": result.score.n,
    }  # fmt: skip
    return [_of("trees_are_better", title, "warning", evidence)]


def _is_better(result: Result, own: Difference) -> bool:
    """Whether the network was shown to be better than what it is compared with."""
    return own.is_real and (own.value > 0) == (METRIC_MODES[result.metric] == "max")


def _few(result: Result) -> list[Finding]:
    if not result.score.doubt:
        return []
    evidence = {"metric": result.metric, "n": result.score.n, "why": result.score.doubt}
    return [_of("few_decide", "few examples or groups decide the score", "warning", evidence)]


def _too_small(result: Result) -> list[Finding]:
    """That a network looks better than guessing, and the test part cannot show it."""
    own = result.baselines.dummy.difference
    sign = 1 if METRIC_MODES[result.metric] == "max" else -1
    if own.is_real or sign * own.value <= 0:
        return []
    behind = abs(own.value - (own.low if sign > 0 else own.high))
    needed = math.ceil(result.score.n * (behind / abs(own.value)) ** 2)
    title = f"{result.score.n:,} test examples are too few to show that this is better than guessing"
    evidence = {
        "metric": result.metric, "n": result.score.n, "by": own.value, "low": own.low, "high": own.high,
        "needed": needed,
    }  # fmt: skip
    return [_of("test_too_small", title, "warning", evidence)]
