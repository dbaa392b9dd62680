"""A finalist: a recipe that was trained again, with its predictions on the validation examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.evaluation import Tempering
from tame.core.recipe import Recipe
from tame.core.records import Trial
from tame.evaluate.score import Judged, judged_from, mean_of, measure
from tame.evaluate.temperature import tempered
from tame.kinds.kind import Data
from tame.study.plan import Plan
from tame.study.session import Study
from tame.study.test import folds_of
from tame.trial.commands import StateOf


@dataclass(frozen=True, slots=True)
class Finalist:
    """A recipe that was trained again: its trials, one per seed, and their predictions on the validation examples.

    each: those of every seed; judged: their mean. Once tempered, all are at a temperature that was fitted on others of
    these examples.
    """

    recipe: Recipe
    from_trial: int
    trials: tuple[Trial, ...]
    each: tuple[Judged, ...]
    judged: Judged
    values: tuple[float, ...]  # the metric of each seed, averaged over its folds
    tempering: Tempering | None = None  # of each network; None where none was fitted

    @property
    def value(self) -> float:
        return float(np.mean(self.values))


def validation(study: Study, data: Data, plan: Plan, trial: Trial) -> Judged:
    """A trial's predictions on the validation examples, each by the member that was not trained on it."""
    folds = [fold for fold in folds_of(plan, trial) if fold is not None]
    found = study.worker.validation(state_of(study, trial), folds=folds)
    ids = [data.ids[row] for row in found.rows]
    return judged_from(
        data.task, ids, data.truth(found.rows), np.array(found.outputs), groups=data.groups_of(found.rows),
        weights=data.weights_of(found.rows),
    )  # fmt: skip


def state_of(study: Study, trial: Trial) -> StateOf:
    """The weights of a trial that are evaluated. A plateau schedule also needs the validation losses."""
    depends = trial.recipe.schedule.name == "plateau"
    losses = [point.valid_loss for point in trial.curve.points] if depends else None
    how = study.state.hows.get(trial.number)
    return StateOf(trial=trial.number, recipe=trial.recipe, epochs=trial.best_epoch, losses=losses, how=how)


def epochs_on_all(data: Data, trial: Trial) -> int:
    """The epochs of the network of a trial that is trained on all examples, and delivered.

    Early stopping found its epoch with networks that see all folds but one. On all examples as many epochs have more
    steps and overfit, while as many steps are too few: it is the epoch times the root of the share of examples. In 15
    small trainings, eight seeds each, that lowered the loss on fresh examples in 11 with two folds and in 4 with five,
    and raised it in none and 1; those seeds did not choose the rule.
    """
    if trial.kept_epoch is None or data.split.folds < 2:
        return trial.best_epoch
    return math.ceil(trial.kept_epoch * math.sqrt(1 - 1 / data.split.folds))


def together(study: Study, data: Data, plan: Plan, trial: Trial, own: Sequence[Trial]) -> Finalist:
    judged = tuple(validation(study, data, plan, each) for each in own)
    values = tuple(float(np.mean(fold_values(data, each))) for each in judged)
    return Finalist(trial.recipe, trial.number, tuple(own), judged, mean_of(judged), values)


def at_temperature(data: Data, finalist: Finalist, *, seed: int) -> Finalist:
    """The finalist as it would be delivered: its predictions at a temperature, if that is shown to help."""
    found, each = tempered(finalist.each, seed=seed)
    if found is None or not found.is_kept:
        return replace(finalist, tempering=found)
    values = tuple(float(np.mean(fold_values(data, one))) for one in each)
    return replace(finalist, each=each, judged=mean_of(each), values=values, tempering=found)


def best_of(metric: str, finalists: Sequence[Finalist]) -> Finalist:
    """The finalist with the best validation metric; among equal ones, the one tried first."""
    sign = 1 if METRIC_MODES[metric] == "max" else -1
    return max(finalists, key=lambda f: (sign * f.value, -f.from_trial))


def fold_values(data: Data, judged: Judged) -> list[float]:
    """The metric on the validation examples of each fold; one value if there is one validation part."""
    if data.split.folds < 2:
        return [measure(data.metric, judged)]
    fold_of = dict(zip(data.ids, data.split.fold, strict=True))
    folds = np.array([fold_of[name] for name in judged.ids])
    return [measure(data.metric, judged.only(folds == fold)) for fold in range(data.split.folds)]


def fold_error(data: Data, judged: Judged) -> float | None:
    """The standard error of the metric over the folds; None if there is one validation part."""
    values = fold_values(data, judged)
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


MANY = 2000  # validation examples, from which on the metric is fine enough to choose by
