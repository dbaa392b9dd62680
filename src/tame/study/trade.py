"""Which finalist wins: the best by the metric, or with an objective beside it the cheapest that is about as good."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.objectives import Price
from tame.core.result_parts import FinalistRow, PricedRow, Trade
from tame.evaluate.compare import Z
from tame.evaluate.score import difference, measure
from tame.kinds.kind import Data
from tame.study.ensemble import Chosen
from tame.study.finalist import MANY, Finalist, best_of
from tame.study.pricing import CHEAPER, is_priced, limits_of, price, require_one_within
from tame.study.session import Study


def winner_of(study: Study, data: Data, finalists: Sequence[Finalist], *, loss: str) -> Finalist:
    """The finalist that is delivered. Raises NothingTrainedError if none keeps within the limits.

    With an objective, it is the cheapest of those whose metric is within one standard error of the best, by the paired
    differences on the validation examples. What takes nearly as little counts as equally cheap.
    Source: Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), section 3.4.3.
    """
    seed, objective = study.config.seed, study.config.objective
    if not is_priced(study):
        return best_finalist(data, finalists, loss=loss, seed=seed)
    prices = {each.from_trial: _price(study, data, each) for each in finalists}
    require_one_within(study, [(prices[each.from_trial], each.trials[0]) for each in finalists])
    fitting = [each for each in finalists if prices[each.from_trial].within(limits_of(study))]
    best = best_finalist(data, fitting, loss=loss, seed=seed)
    if objective is None:
        return best
    cost = {number: own.of(objective) for number, own in prices.items()}
    level = [each for each in fitting if is_level(data, best, each, seed=seed)]
    least = min(cost[each.from_trial] for each in level)
    if least > CHEAPER * cost[best.from_trial]:
        return best
    return best_finalist(data, [e for e in level if cost[e.from_trial] <= least / CHEAPER], loss=loss, seed=seed)


def best_finalist(data: Data, finalists: Sequence[Finalist], *, loss: str, seed: int) -> Finalist:
    """The finalist with the best metric.

    On few examples the metric is too coarse: there the lowest loss wins among those whose metric does not really differ
    from the best. The loss is that of one network, which is what is delivered: together several seeds have a lower one,
    and most so those of a recipe whose networks vary most.
    """
    best = best_of(data.metric, finalists)
    if len(best.judged.ids) >= MANY:
        return best
    level = [f for f in finalists if not difference(data.metric, best.judged, f.judged, seed=seed).is_real]
    return min(level or [best], key=lambda f: (_loss_of_one(f, loss), f.from_trial))


def is_level(data: Data, best: Finalist, other: Finalist, *, seed: int) -> bool:
    """Whether the metric of another finalist is within one standard error of the best's, or above it."""
    if other is best:
        return True
    found = difference(data.metric, best.judged, other.judged, seed=seed)
    behind = found.value if METRIC_MODES[data.metric] == "max" else -found.value
    return behind <= (found.high - found.low) / (2 * Z)


def trade_of(
    study: Study, data: Data, finalists: Sequence[Finalist], rows: Sequence[FinalistRow], decided: Chosen, *, loss: str
) -> Trade | None:
    """What every finalist takes, and what the choice by it has cost. rows: of the finalists; None if nobody asked."""
    if not is_priced(study):
        return None
    objective, limits, winner = study.config.objective, limits_of(study), decided.winner
    own = [_price(study, data, each) for each in finalists]
    delivered = price(study, data, [trial.recipe for trial in decided.trials])
    best = best_finalist(data, finalists, loss=loss, seed=study.config.seed)
    behind = next(row.behind for row in rows if row.from_trial == best.from_trial)
    sign = 1 if METRIC_MODES[data.metric] == "max" else -1
    by = objective or next(iter(limits))
    points = [(sign * each.value, -each_price.of(by)) for each, each_price in zip(finalists, own, strict=True)]
    return Trade(
        objective=objective,
        limits=limits,
        latency_s=delivered.latency_s,
        size_bytes=delivered.size_bytes,
        instead_of=None if best is winner else best.from_trial,
        difference=None if best is winner else behind,
        rows=tuple(
            PricedRow(
                from_trial=each.from_trial, value=each.value, latency_s=one.latency_s, size_bytes=one.size_bytes,
                is_within=one.within(limits), is_on_front=not any(_dominates(other, point) for other in points),
            )
            for each, one, point in zip(finalists, own, points, strict=True)
        ),
    )  # fmt: skip


def _dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _price(study: Study, data: Data, finalist: Finalist) -> Price:
    return price(study, data, [finalist.recipe])


def _loss_of_one(finalist: Finalist, loss: str) -> float:
    """The loss of one network of a finalist on the validation examples, on average over its seeds."""
    return float(np.mean([measure(loss, each) for each in finalist.each]))
