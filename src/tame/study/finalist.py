"""A finalist: a recipe that was trained again, with what it says of the validation examples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.recipe import Recipe
from tame.core.records import Trial
from tame.evaluate.score import Judged, measure, softmax
from tame.study.plan import Plan
from tame.study.prepare import Data
from tame.study.record import Study
from tame.study.test import folds_of


@dataclass(frozen=True, slots=True)
class Finalist:
    """A recipe that was trained again: its trials, one a seed, and what they say of the validation examples."""

    recipe: Recipe
    from_trial: int
    trials: tuple[Trial, ...]
    judged: Judged
    values: tuple[float, ...]  # the metric of each seed

    @property
    def value(self) -> float:
        return float(np.mean(self.values))


def validation(study: Study, data: Data, plan: Plan, trial: Trial) -> Judged:
    """What a trial says of the validation examples, each judged by the member that has not seen it."""
    asked = [{"trial": trial.number, "recipe": trial.recipe.flat(), "epochs": trial.epochs}]
    folds = [fold for fold in folds_of(plan, trial) if fold is not None]
    found = study.ask("validation", trials=asked, folds=folds)["validation"][str(trial.number)]
    rows = found["rows"]
    target = np.array([data.labels[row] for row in rows])
    return Judged(tuple(data.ids[row] for row in rows), target, softmax(np.array(found["logits"])))


def together(study: Study, data: Data, plan: Plan, trial: Trial, own: Sequence[Trial]) -> Finalist:
    judged = [validation(study, data, plan, each) for each in own]
    mean = np.mean([each.probabilities for each in judged], axis=0)
    pooled = Judged(judged[0].ids, judged[0].target, mean)
    values = tuple(measure(study.config.metric, each.target, each.probabilities) for each in judged)
    return Finalist(trial.recipe, trial.number, tuple(own), pooled, values)


def best_of(metric: str, finalists: Sequence[Finalist]) -> Finalist:
    """The finalist with the best validation metric; of equal ones the one that was tried first."""
    sign = 1 if METRIC_MODES[metric] == "max" else -1
    return max(finalists, key=lambda f: (sign * f.value, -f.from_trial))
