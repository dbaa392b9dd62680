"""Whether the numbers of a result agree with each other, with the study's events, and with the predictions they are of.

Every study is asked at its end, before anything is reported, and `tame verify` asks again what a study's record holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.evaluation import ClassAnswers, NumberAnswers, rare_of_two
from tame.core.recipe import Recipe, Value
from tame.core.result import Result
from tame.evaluate.score import LEAST, WEIGHED, InconsistentError, Judged
from tame.kinds.kind import Data
from tame.study.state import State

NEAR = 1e-9  # relative, of what is computed twice in float64


def require_consistent(state: State, result: Result, data: Data, judged: Judged) -> None:
    """Raises InconsistentError where a finished study's numbers contradict each other. judged: the sealed test part."""
    for problem in (*contradictions(state, result), *of_predictions(result, data, judged)):
        raise InconsistentError(f"{problem}; nothing is reported")


def contradictions(state: State, result: Result) -> Iterator[str]:
    """What a result says otherwise than the events before it, or than itself, in words."""
    for check in CHECKS:
        yield from check(state, result)


def _same(a: float, b: float, size: float = 1.0) -> bool:
    return math.isclose(a, b, rel_tol=NEAR, abs_tol=NEAR * max(abs(size), 1e-300))


# Of the record --------------------------------------------------------------------------------------------------------


def _opening(state: State, result: Result) -> Iterator[str]:
    """The test part was opened, for the network that won, and as often as the result says."""
    opened = state.test_opened
    if opened is None:
        yield "there is a result, but no event says that the test part was opened"
        return
    if state.openings != result.test_openings:
        yield f"the test part was opened {state.openings} times, but the result says {result.test_openings}"
    if opened.n != result.score.n:
        yield f"the score is of {result.score.n} examples, but the test part that was opened has {opened.n}"
    if opened.trial != result.winner.trial:
        yield f"the test part was opened for trial {opened.trial}, but the winner is trial {result.winner.trial}"
    kept = result.ensemble is not None and result.ensemble.kept
    members = result.ensemble.members if result.ensemble is not None and kept else (result.winner.trial,)
    if opened.trials != members:
        yield f"the test part was opened for trials {opened.trials}, but the result is of {members}"
    own = result.answers.temperature if isinstance(result.answers, ClassAnswers) else None
    told, asked = 1.0 if own is None else own.value, 1.0 if opened.temperature is None else opened.temperature
    if told != asked:
        yield f"the test part was judged at a temperature of {asked}, but the result says {told}"


def _winner(state: State, result: Result) -> Iterator[str]:
    """The winner is a trial of the study with its recipe, and the one finalist that is marked."""
    winner, trials = result.winner, state.history.trials
    if winner.from_trial not in trials:
        yield f"the winner is trial {winner.from_trial}, which no event begins"
    elif not any(_is_of(winner.recipe, each.recipe) for each in trials.values()):
        yield "the winner's recipe is that of no trial"
    marked = [each for each in result.finalists if each.is_winner]
    if [each.from_trial for each in marked] != [winner.from_trial]:
        yield f"the winner is trial {winner.from_trial}, but not the one finalist that is marked as the winner"
    else:
        kept = result.ensemble is not None and result.ensemble.kept
        value = result.ensemble.value if result.ensemble is not None and kept else marked[0].value
        if value != result.validation.value:
            yield f"the winner's validation score is {value} among the finalists, not {result.validation.value}"


def _is_of(flat: Mapping[str, Value], recipe: Recipe) -> bool:
    """Whether these are fields of a recipe, whatever its seed. An earlier version wrote fewer."""
    own = recipe.flat() | {"seed": flat.get("seed")}
    return all(own.get(name) == value for name, value in flat.items())


def _delivered(state: State, result: Result) -> Iterator[str]:
    """The model that the result describes is the one that was delivered, and predicts as it did when scored."""
    kept = state.delivered
    if kept is None:
        yield "there is a result, but no event says that a model was delivered"
        return
    changed = sorted(name for name, digest in result.delivered.files.items() if kept.files.get(name) != digest)
    if changed:
        yield f"{', '.join(changed)} of the result is not what was delivered"
    if kept.largest_difference != result.delivered.largest_difference:
        yield "the delivered model differs from what was scored by another amount than the result says"


# Of the result --------------------------------------------------------------------------------------------------------


def _score(state: State, result: Result) -> Iterator[str]:
    """The score is that of its metric, and lies in its interval; what it is compared with agrees."""
    score, metric = result.score, result.metric
    if metric in result.metrics and not _same(result.metrics[metric], score.value, score.value):
        yield f"the score is {score.value}, but among all metrics its {metric} is {result.metrics[metric]}"
    default = result.baselines.default
    own = result.baselines
    beside = (
        ("dummy", own.dummy), ("default recipe", default), ("linear model", own.linear), ("trees", own.trees),
        ("one network", own.single),
    )  # fmt: skip
    for name, each in (("score", score), *beside):
        if each is None:
            continue
        if not each.low <= each.value <= each.high:
            yield f"the {name}'s {each.value} is not in its interval {each.low} to {each.high}"
        if each.n != score.n:
            yield f"the {name} is judged on {each.n} examples, but the score on {score.n}"
    for name, base in beside:
        if base is not None and not _same(base.difference.value, score.value - base.value, score.value):
            yield f"the difference from the {name} is {base.difference.value}, not {score.value - base.value}"
    sign = 1 if METRIC_MODES[metric] == "max" else -1
    promised = sign * (result.validation.value - score.value)
    if not _same(result.optimism, promised, score.value):
        yield f"the optimism is {result.optimism}, but validation and test differ by {promised}"


def _confusion(state: State, result: Result) -> Iterator[str]:
    """The confusion matrix gives the accuracies, the classes' shares and as many mistakes."""
    answers, metrics = result.answers, result.metrics
    if not isinstance(answers, ClassAnswers) or answers.confusion is None:
        return
    if WEIGHED in result.score.how:  # counts are of examples, and metrics of their weights
        metrics = {}
    counts = np.array(answers.confusion)
    total, diagonal, rows, columns = counts.sum(), counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    if total != result.score.n:
        yield f"the confusion matrix has {total} examples, but the score is of {result.score.n}"
        return
    seen, either = rows > 0, rows + columns > 0
    found = {
        "accuracy": diagonal.sum() / total,
        "balanced_accuracy": (diagonal[seen] / rows[seen]).mean(),
        "f1_macro": (2 * diagonal[either] / (rows + columns)[either]).mean(),
    }
    for name, value in found.items():
        if name in metrics and not _same(metrics[name], float(value)):
            yield f"the {name} is {metrics[name]}, but the confusion matrix gives {value}"
    if [(each.n, each.right) for each in answers.per_class] != list(zip(rows, diagonal, strict=True)):
        yield "the classes' counts are not those of the confusion matrix"
    wrong = int(total - diagonal.sum())
    if len(answers.mistakes) > wrong or any(each.true == each.predicted for each in answers.mistakes):
        yield f"{len(answers.mistakes)} mistakes are listed, but there are {wrong}"


def _calibration(state: State, result: Result) -> Iterator[str]:
    """The calibration error is that of its bins, which hold every example."""
    about = result.answers.calibration if isinstance(result.answers, ClassAnswers) else None
    if about is None:
        return
    if (about.n, sum(each.n for each in about.bins)) != (result.score.n, result.score.n):
        yield f"the calibration is of {about.n} examples, but the score of {result.score.n}"
        return
    for name, own, value in (
        ("calibration error", about.ece, sum(each.n * abs(each.right - each.confidence) for each in about.bins)),
        ("share of right answers", about.right, sum(each.n * each.right for each in about.bins)),
    ):
        if not math.isclose(own, value / about.n, rel_tol=0, abs_tol=NEAR):
            yield f"the {name} is {own}, but its bins give {value / about.n}"


def _residuals(state: State, result: Result) -> Iterator[str]:
    """The errors of numbers are of every example, and have the rmse that is reported."""
    if not isinstance(result.answers, NumberAnswers):
        return
    about = result.answers.residuals
    if about.n != result.score.n:
        yield f"the errors are of {about.n} examples, but the score of {result.score.n}"
    if "rmse" in result.metrics and not _same(about.rmse, result.metrics["rmse"], about.rmse):
        yield f"the rmse is {result.metrics['rmse']}, but the errors have {about.rmse}"


Check = Callable[[State, Result], Iterator[str]]
CHECKS: tuple[Check, ...] = (_opening, _winner, _delivered, _score, _confusion, _calibration, _residuals)


# Of the predictions ---------------------------------------------------------------------------------------------------


def of_predictions(result: Result, data: Data, judged: Judged) -> Iterator[str]:
    """What the predictions on the test part say otherwise: whose they are, and each metric, computed again."""
    sealed = [data.ids[row] for row in data.sealed.rows]
    if list(judged.ids) != sealed:
        yield "the predictions are not those of the examples of the sealed test part, in their order"
    if len(set(judged.ids)) != len(judged.ids):
        yield "an example of the test part is judged twice"
    seen = {data.ids[row] for part in ("train", "val") for row in data.split.rows(part)}
    if seen.intersection(judged.ids):
        yield f"{len(seen.intersection(judged.ids))} examples of the test part were trained or chosen on"
    for name, again in AGAIN.items():
        if name in result.metrics:
            value = again(judged, judged.weights)
            if not math.isclose(value, result.metrics[name], rel_tol=1e-6, abs_tol=1e-9):
                yield f"the {name} is {result.metrics[name]}, but computed again from the predictions {value}"


Weights = np.ndarray | None


def _log_loss(judged: Judged, weights: Weights) -> float:
    logs = np.log(np.clip(judged.probabilities, LEAST, 1))
    truth = np.eye(logs.shape[1])[judged.target] if judged.shares is None else judged.shares
    return float(np.average(-(truth * logs).sum(axis=1), weights=weights))


def _area(judged: Judged, weights: Weights) -> float:
    """The share of pairs that are in order, those of equal probability by half, from sums below each of one class."""
    found, counts = [], np.ones(len(judged.target)) if weights is None else weights
    for c in range(1 if judged.outputs.shape[1] == 2 else 0, judged.outputs.shape[1]):
        own, scores = judged.target == c, judged.probabilities[:, c]
        if own.any() and not own.all():
            order = np.argsort(scores[~own], kind="stable")
            rest, below = scores[~own][order], np.append(0, np.cumsum(counts[~own][order]))
            left, right = below[np.searchsorted(rest, scores[own])], below[np.searchsorted(rest, scores[own], "right")]
            found.append(float(counts[own] @ (left + right)) / 2 / float(counts[own].sum() * below[-1]))
    return float(np.mean(found)) if found else 0.5


def _precision(judged: Judged, weights: Weights) -> float:
    """The precision at each example of a class, one by one."""
    found, counts = [], np.ones(len(judged.target)) if weights is None else weights
    num = judged.outputs.shape[1]
    one = rare_of_two(float(np.average(judged.target == 0, weights=weights)))
    for c in [one] if num == 2 else range(num):
        own, scores = judged.target == c, judged.probabilities[:, c]
        if not own.any():
            continue
        order = np.argsort(-scores, kind="stable")
        last = np.searchsorted(-scores[order], -scores[own], "right") - 1
        right, among = (np.cumsum(each[order])[last] for each in (counts * own, counts))
        found.append(float(np.average(right / among, weights=counts[own])))
    return float(np.mean(found)) if found else 0.0


AGAIN: dict[str, Callable[[Judged, Weights], float]] = {
    "accuracy": lambda own, weights: float(np.average(own.outputs.argmax(axis=1) == own.target, weights=weights)),
    "log_loss": _log_loss,
    "roc_auc": _area,
    "average_precision": _precision,
    "rmse": lambda own, weights: math.sqrt(float(np.average((own.outputs - own.target) ** 2, weights=weights))),
    "mae": lambda own, weights: float(np.average(np.abs(own.outputs - own.target), weights=weights)),
}  # the others follow from the confusion matrix, or from these and the targets
