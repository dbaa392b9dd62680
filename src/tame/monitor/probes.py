"""From what a rehearsal measured to findings about the set-up, by name: what is wrong before anything is trained.

A judge takes plain numbers and returns a finding with its evidence, or None. Where the cause of one finding is another,
only the cause is told, here and beside the findings about curves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tame.core.codes import CODES
from tame.core.probed import Probed, Reach, Units, Weights
from tame.core.recipe import Recipe
from tame.core.records import Confidence, Finding, Severity
from tame.core.registry import Registry
from tame.monitor.case import Facts
from tame.monitor.floor import floor_of

NAMED = 3  # layers or parameters that a title names
TIMES = 3.0  # the loss of guessing: a first loss beyond it by that and a nat says that the outputs are too large
TIMES_SPREAD = 5.0  # of a regression, where the loss of guessing is the variance of the target
LARGE_INPUTS = 10.0  # standard deviation of inputs beyond which they, not the weights, make the outputs large
MOST_MISSED = 0.01  # share of the targets that may lie beyond what the outputs can reach
LEAST_LEARNED = 0.1  # of the way from one answer for all to a perfect loss, on a few examples
DEAD = 0.8  # share of a layer's units
LEAST_UNITS = 8  # of a layer, below which a share says nothing
CONSTANT = 1e-6  # of the largest output, that outputs for different examples differ by at least: rounding is 1e-7
VANISHED = 1e-4  # gradient of the first layers over that of the last ones, each relative to its weights
NONE_LEFT = 1e-7  # gradient over weights, in all layers
EXPLODED = 1e3  # gradient over weights, in the layer where it is largest
GROWN = 100.0  # gradient of the first layers over that of the later ones, each relative to its weights
LEAST_LAYERS = 3  # of weights, below which there are no first and last ones
SMALL_STEP, LARGE_STEP, THROWN = 1e-5, 0.1, 1.0  # change of the weights in one step over their size
SMALL_BATCH = 8  # examples, of which a mean and a variance are mostly noise


class Judge(Protocol):
    """From what was measured to a finding or None: fires on the planted fault, and stays silent on clean networks."""

    def __call__(self, probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None: ...


JUDGES: Registry[Judge] = Registry("judge of a rehearsal")

_NO_LEARNING = ("cannot_overfit_batch", "update_ratio")
# What a finding explains, by its name: those are not told beside it.
SILENCES: Mapping[str, tuple[str, ...]] = {
    "dead_units": ("constant_outputs", "no_gradient", "vanishing_gradients", "exploding_gradients", *_NO_LEARNING),
    "constant_outputs": ("no_gradient", "exploding_gradients", *_NO_LEARNING),
    "squashed_outputs": ("large_first_loss", "vanishing_gradients", *_NO_LEARNING),
    "no_gradient": ("vanishing_gradients", "exploding_gradients", *_NO_LEARNING),
    "exploding_gradients": ("large_first_loss", "cannot_overfit_batch", "update_ratio"),
    "large_first_loss": ("cannot_overfit_batch", "update_ratio"),
    "vanishing_gradients": ("constant_outputs", "cannot_overfit_batch", "update_ratio"),
    "small_batch_norm": ("vanishing_gradients", "exploding_gradients"),
}

EXPLAINED = "explained_by"  # in the evidence of a finding whose cause another is
_NOTHING_LEARNED = ("no_better_than_dummy", "underfitting", "plateau", "memorised", "still_improving")
_BLAMED = ("rate_too_high", "rate_too_low", "over_regularised", "learning_noise")
# Of findings about curves: those that a finding about the set-up explains, and those that would blame another cause.
EXPLAINS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("squashed_outputs", "dead_units", "constant_outputs", "cannot_overfit_batch", "no_gradient",
         "vanishing_gradients"), _NOTHING_LEARNED,
    ),
    "exploding_gradients": ("diverged", "no_better_than_dummy"),
    "large_first_loss": ("no_better_than_dummy", "plateau"),
    "update_ratio": (),
    "small_batch_norm": ("noisy_validation",),
}  # fmt: skip
CONTRADICTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("squashed_outputs", "dead_units", "constant_outputs", "cannot_overfit_batch"), _BLAMED),
    "no_gradient": ("over_regularised",),
    "vanishing_gradients": ("over_regularised", "rate_too_low"),
}


def judge(probed: Probed, recipe: Recipe, facts: Facts) -> list[Finding]:
    """What a rehearsal shows, the causes without what they explain.

    >>> from tame.core.probed import Batches, Probed
    >>> facts = Facts(task="binary", num_classes=2, num_valid=50, metric="accuracy", higher_is_better=True,
    ...               dummy=0.5, dummy_error=0.07, guess_loss=0.69)
    >>> seen = Probed(batches=Batches(norms=("norm",), batch=4, last=4))
    >>> [(each.id, each.title) for each in judge(seen, Recipe(), facts)]
    [('TAME211', 'batch norm on batches of 4: norm')]
    """
    every = [JUDGES.get(name)(probed, recipe, facts) for name in JUDGES.names()]
    found = {finding.code: finding for finding in every if finding is not None}
    causes = [code for code, finding in found.items() if finding.severity != "info"]
    silent = {
        other for code in SILENCES if code in causes for other in SILENCES[code] if not _is_silenced(code, causes)
    }
    return sorted((each for code, each in found.items() if code not in silent), key=lambda finding: finding.id)


def _is_silenced(code: str, found: Collection[str]) -> bool:
    return any(code in SILENCES[other] for other in SILENCES if other in found)


def beside_set_up(findings: Sequence[Finding], set_up: Sequence[Finding]) -> list[Finding]:
    """Findings about curves beside those about the set-up: without those that contradict one, and each that one
    explains names it as the cause."""
    causes = {finding.code: finding for finding in set_up if finding.severity != "info"}
    wrong = {other for code in causes for other in CONTRADICTS.get(code, ())}
    told = []
    for finding in findings:
        cause = next((c for code, c in causes.items() if finding.code in EXPLAINS.get(code, ())), None)
        if cause is not None:
            evidence = {**finding.evidence, EXPLAINED: cause.id}
            finding = replace(finding, evidence=evidence, change=f"first see {cause.id}: {cause.change}")
        if finding.code not in wrong:
            told.append(finding)
    return told


def of_set_up(findings: Sequence[Finding]) -> list[Finding]:
    """Of the findings of a study, those about the set-up."""
    return [finding for finding in findings if finding.code in JUDGES.names() and finding.trial is None]


@JUDGES.add("squashed_outputs")
def squashed_outputs(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """However the weights are moved, the outputs stay within [-1, 1] or on one side of it, but the loss needs numbers
    without bounds: logits, or a target that lies beyond."""
    reach = probed.reach
    if reach is None or not (reach.is_floored or reach.is_capped) or recipe.loss.name in ("hinge", "squared_hinge"):
        return None
    evidence: dict[str, object] = {"low": _short(reach.low), "high": _short(reach.high)}
    if facts.task == "regression":
        if reach.missed <= MOST_MISSED:
            return None
        evidence["missed"] = round(reach.missed, 3)
        title = f"the outputs stay {_within(reach)}, and {100 * reach.missed:.0f} % of the targets lie beyond"
        return _finding("squashed_outputs", title, "problem", evidence, "high")
    if reach.of == "log-probabilities":
        title = "the outputs are log-probabilities: the log-softmax before the loss changes nothing and can be left out"
        return _finding("squashed_outputs", title, "info", evidence, "high")
    if not (reach.is_floored and reach.is_capped):
        title = f"the outputs stay {_within(reach)}, so they cannot be logits"
        return _finding("squashed_outputs", title, "warning", evidence, "medium")
    floor = floor_of(facts.num_classes, reach.high - reach.low if not reach.of else 1.0)
    what = f"are {reach.of}" if reach.of else f"stay {_within(reach)}"
    evidence["floor"] = _short(floor)
    title = f"the outputs {what}, so the loss cannot fall below {floor:.3g}"
    return _finding("squashed_outputs", title, "problem", evidence, "high")


def _within(reach: Reach) -> str:
    if reach.is_floored and reach.is_capped:
        return f"between {_short(reach.low):g} and {_short(reach.high):g}"
    return f"above {_short(reach.low):g}" if reach.is_floored else f"below {_short(reach.high):g}"


@JUDGES.add("large_first_loss")
def large_first_loss(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """Before training, the loss is far above that of outputs that are all zero, which is that of guessing."""
    first = probed.first_loss
    if first is None or first.guess is None:
        return None
    if first.loss is not None:
        much = TIMES_SPREAD if facts.task == "regression" else TIMES
        if first.loss <= much * abs(first.guess) or first.loss - first.guess <= 1.0:
            return None
    why = "the initial weights are too large"
    if first.inputs is not None and first.inputs > LARGE_INPUTS:
        why = f"the inputs are large (standard deviation {_short(first.inputs):g})"
    loss = "infinite" if first.loss is None else f"{_short(first.loss):g}"
    evidence: dict[str, object] = {
        "first_loss": loss if first.loss is None else _short(first.loss), "guess_loss": _short(first.guess),
        "outputs": None if first.outputs is None else _short(first.outputs),
        "inputs": None if first.inputs is None else _short(first.inputs),
    }  # fmt: skip
    title = f"the first loss is {loss} where guessing has {_short(first.guess):g}: {why}"
    sure: Confidence = "high" if first.loss is None or first.loss > 4 * abs(first.guess) + 1 else "medium"
    return _finding("large_first_loss", title, "warning", evidence, sure)


@JUDGES.add("cannot_overfit_batch")
def cannot_overfit_batch(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """A few training examples, shown again and again at several rates, are hardly learned better than by one answer
    for all of them, which any sound network manages."""
    one = probed.one_batch
    if one is None or one.constant is None or one.perfect is None or one.examples < 2:
        return None
    way = one.constant - one.perfect
    if way <= 1e-6 * max(1.0, abs(one.constant)):
        return None  # they have one target, or what the loss wants cannot be reached by any output
    learned = -math.inf if one.lowest is None else (one.constant - one.lowest) / way
    if learned >= LEAST_LEARNED:
        return None
    rates = ", ".join(f"{rate:g}" for rate in one.rates)
    evidence: dict[str, object] = {
        "n": one.examples, "constant_loss": _short(one.constant), "perfect_loss": _short(one.perfect),
        "lowest_loss": None if one.lowest is None else _short(one.lowest), "steps": one.steps, "rates": rates,
    }  # fmt: skip
    title = f"{one.examples} examples cannot be learned by heart in {one.steps} steps, at no rate of {rates}"
    if probed.steps is not None and 2 * probed.steps.frozen_of > probed.steps.numbers:
        return _finding("cannot_overfit_batch", title, "info", evidence, "low")  # what is kept may leave too little
    return _finding("cannot_overfit_batch", title, "problem", evidence, "high" if learned < 0.05 else "medium")


@JUDGES.add("no_gradient")
def no_gradient(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """Parameters that are to be trained got no gradient in any of a few steps: forward() does not use them, or cuts
    them off."""
    steps = probed.steps
    if steps is None or not steps.without:
        return None
    evidence: dict[str, object] = {"parameters": list(steps.without[:20]), "count": len(steps.without)}
    title = f"no gradient reaches {_named(steps.without)}"
    return _finding("no_gradient", title, "warning", evidence, "high")


@JUDGES.add("frozen_parameters")
def frozen_parameters(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """Some parameters are set not to be trained, as of a pretrained part that is kept."""
    steps = probed.steps
    if steps is None or not steps.frozen or not steps.numbers:
        return None
    share = steps.frozen_of / steps.numbers
    evidence: dict[str, object] = {
        "parameters": list(steps.frozen[:20]), "count": len(steps.frozen), "share": round(share, 4),
    }  # fmt: skip
    title = f"{100 * share:.0f} % of the weights are frozen: {_named(steps.frozen)}"
    return _finding("frozen_parameters", title, "info", evidence, "high")


@JUDGES.add("dead_units")
def dead_units(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """In a layer, most rectified units are zero for every example before training, so that no gradient passes."""
    layers = [each for each in probed.units or () if each.count >= LEAST_UNITS and each.dead >= DEAD * each.count]
    if not layers:
        return None
    worst = max(layers, key=lambda each: each.dead / each.count)
    evidence: dict[str, object] = {
        "layer": worst.name, "dead": worst.dead, "units": worst.count, "layers": [_of_layer(each) for each in layers],
    }  # fmt: skip
    title = f"{worst.dead} of {worst.count} units of {worst.name} are never active"
    return _finding("dead_units", title, "problem" if worst.dead == worst.count else "warning", evidence, "high")


def _of_layer(units: Units) -> str:
    return f"{units.name}: {units.dead} of {units.count}"


@JUDGES.add("constant_outputs")
def constant_outputs(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """Before training and after a few steps, the outputs are the same for different examples."""
    steps = probed.steps
    if steps is None or steps.spread is None or steps.spread_before is None:
        return None
    if max(steps.spread, steps.spread_before) > CONSTANT:
        return None
    evidence: dict[str, object] = {"spread": _short(steps.spread), "steps": steps.count}
    title = "the outputs do not depend on the input: they are the same for different examples"
    return _finding("constant_outputs", title, "problem", evidence, "high")


@JUDGES.add("vanishing_gradients")
def vanishing_gradients(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """Relative to their weights, the first layers get a tiny part of the gradient of the last ones, or all get next to
    none."""
    layers = _relative(probed)
    if len(layers) < 2:
        return None
    first, last, ratio = layers[0][0], layers[-1][0], _shrinkage(layers)
    most = max(gradient for _, gradient in layers)
    small = len(layers) >= LEAST_LAYERS and 0 < ratio < VANISHED  # nothing at all is cut off, not shrunk
    if most >= NONE_LEFT and not small:
        return None
    evidence: dict[str, object] = {
        "first_layer": first, "last_layer": last, "ratio": _short(ratio), "largest": _short(most),
        "layers": [f"{name}: {_short(gradient):g}" for name, gradient in layers[:20]],
    }  # fmt: skip
    title = f"vanishing gradients: in {first} {_short(ratio):g} of what {last} gets, relative to the weights"
    if most < NONE_LEFT:
        title = f"vanishing gradients: {_short(most):g} of the weights at most"
    return _finding("vanishing_gradients", title, "warning", evidence, "medium")


@JUDGES.add("exploding_gradients")
def exploding_gradients(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """A gradient is a thousand times as large as the weights it belongs to, or not finite, or that of the first layers
    is a hundred times that of the later ones. The last layer is left out: large weights there are another fault."""
    steps = probed.steps
    if steps is None or not steps.weights:
        return None
    endless = [each.name for each in steps.weights if each.gradient is None]
    layers = _relative(probed)
    worst, most = max(layers, key=lambda each: each[1]) if layers else ("", 0.0)
    # What begins at zero lets little through in the first steps, so that other layers seem to get too much.
    whole = len(layers) > LEAST_LAYERS and all(each.size for each in steps.weights)
    ratio = _growth(layers[:-1]) if whole else 1.0
    if not endless and most < EXPLODED and ratio <= GROWN:
        return None
    evidence: dict[str, object] = {
        "layer": endless[0] if endless else worst, "times": None if endless else _short(most),
        "growth": _short(ratio), "layers": [f"{name}: {_short(gradient):g}" for name, gradient in layers[:20]],
    }  # fmt: skip
    how = f"relative to the weights, the first layers get {_short(ratio):g} times what later ones get"
    if most >= EXPLODED:
        how = f"that of {worst} is {_short(most):g} times its weights"
    if endless:
        how = f"that of {endless[0]} is not finite"
    sure: Confidence = "high" if endless else "medium"
    return _finding("exploding_gradients", f"exploding gradients: {how}", "warning", evidence, sure)


@JUDGES.add("update_ratio")
def update_ratio(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """At the rate of the recipe, a step changes the weights by more than a tenth of their size, or by less than a
    hundred-thousandth, in the median over the layers."""
    steps = probed.steps
    if steps is None or not steps.weights:
        return None
    ratio = _median([_over(each.update, each.size) for each in steps.weights])
    if ratio is None or SMALL_STEP <= ratio <= LARGE_STEP:
        return None
    evidence: dict[str, object] = {
        "ratio": _short(ratio), "optimizer.lr": recipe.optimizer.lr, "first_loss": steps.first,
        "last_loss": steps.last, "steps": steps.count,
    }  # fmt: skip
    rose = steps.last is None or (steps.first is not None and steps.last > steps.first)
    if ratio < SMALL_STEP:
        title = (
            f"steps at rate {recipe.optimizer.lr:g} change the weights by {_short(ratio):g} of their size: too little"
        )
        return _finding("update_ratio", title, "warning", evidence, "medium", change="use a higher learning rate")
    title = f"steps at rate {recipe.optimizer.lr:g} change the weights by {_short(ratio):g} of their size: too much"
    severity: Severity = "warning" if ratio > THROWN or rose else "info"
    return _finding("update_ratio", title, severity, evidence, "high" if rose else "medium",
                    change="use a lower learning rate, or warmup")  # fmt: skip


@JUDGES.add("small_batch_norm")
def small_batch_norm(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """The network normalises over batches of fewer than eight examples, or the last batch of an epoch has one."""
    own = probed.batches
    if own is None or not own.norms or (own.batch >= SMALL_BATCH and own.last != 1):
        return None
    evidence: dict[str, object] = {"norms": list(own.norms[:20]), "batch_size": own.batch, "last_batch": own.last}
    if own.batch >= SMALL_BATCH:
        title = f"the last batch of an epoch has 1 example, which batch norm cannot be trained on: {_named(own.norms)}"
        return _finding("small_batch_norm", title, "info", evidence, "high")
    title = f"batch norm on batches of {own.batch}: {_named(own.norms)}"
    return _finding("small_batch_norm", title, "warning", evidence, "high")


@JUDGES.add("not_probed")
def not_probed(probed: Probed, recipe: Recipe, facts: Facts) -> Finding | None:
    """A part of the rehearsal was not run: it failed, or there was no time for it."""
    if not probed.not_run:
        return None
    missing = [f"{each.probe.replace('_', ' ')} ({each.why})" for each in probed.not_run]
    evidence: dict[str, object] = {"probes": missing}
    title = f"not looked at before training: {', '.join(each.probe.replace('_', ' ') for each in probed.not_run)}"
    return _finding("not_probed", title, "info", evidence, "high")


def _relative(probed: Probed) -> list[tuple[str, float]]:
    """The gradient of each layer over its weights, where both are finite and the weights are not zero."""
    weights: Sequence[Weights] = () if probed.steps is None else probed.steps.weights
    pairs = [(each.name, _over(each.gradient, each.size)) for each in weights]
    return [(name, ratio) for name, ratio in pairs if ratio is not None]


def _thirds(layers: Sequence[tuple[str, float]]) -> tuple[list[float], list[float]]:
    """The gradients of the first third of the layers and of the last."""
    size = max(1, len(layers) // 3)
    return [each for _, each in layers[:size]], [each for _, each in layers[-size:]]


def _shrinkage(layers: Sequence[tuple[str, float]]) -> float:
    """The gradient of the first third of the layers over that of the last; infinite if the last ones get none."""
    first, last = map(_median, _thirds(layers))
    return (first or 0.0) / last if last else math.inf


def _growth(layers: Sequence[tuple[str, float]]) -> float:
    """The gradient of the first third of the layers over the largest of the last; 1 if the last ones get none."""
    first, last = _thirds(layers)
    return (_median(first) or 0.0) / max(last) if max(last) > 0 else 1.0


def _over(value: float | None, size: float | None) -> float | None:
    """A value over the size of the weights it belongs to; None where they are zero or one is not known."""
    return None if value is None or size is None or size <= 0 else value / size


def _median(values: Sequence[float | None]) -> float | None:
    known = sorted(each for each in values if each is not None)
    return known[len(known) // 2] if known else None


def _named(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _finding(
    code: str, title: str, severity: Severity, evidence: Mapping[str, object], sure: Confidence, *, change: str = ""
) -> Finding:
    return Finding(code, title, severity, evidence, change=change or CODES[code].change, confidence=sure)
