"""What is delivered: the first network of the winner, or several networks of the finalists that judge together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np

from tame.core.config import METRIC_MODES
from tame.core.evaluation import Difference, Tempering
from tame.core.records import Trial
from tame.evaluate.networks import loss_difference
from tame.evaluate.picking import picked_fairly
from tame.evaluate.score import Judged, difference, mean_of, measure
from tame.evaluate.temperature import LEAST_EXAMPLES, tempered
from tame.kinds.kind import Data
from tame.kinds.known import KINDS
from tame.study.finalist import Finalist, fold_values
from tame.study.pricing import limits_of, price
from tame.study.session import Study

MOST = 8  # networks that judge together
HOW = "the loss of the ensemble and of one network of the winner, on the same validation examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Networks whose mean is tried in place of the winner. trials: of each of them.

    judged: their mean on the validation examples, where members were picked by how well they do that of those that are
    picked without an example; value: the metric of it, averaged over folds; difference: of the loss from that of one
    network of the winner, below 0 where the ensemble is better; optimism: how much lower the loss of the members is on
    the examples that they were picked on, 0 where none was picked; kept: whether it is delivered.
    """

    trials: tuple[Trial, ...]
    judged: Judged
    tempering: Tempering | None
    value: float
    difference: Difference
    optimism: float
    kept: bool
    why: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The winner, and the ensemble that was tried, if one was."""

    winner: Finalist
    ensemble: Ensemble | None = None

    @property
    def _kept(self) -> Ensemble | None:
        return self.ensemble if self.ensemble is not None and self.ensemble.kept else None

    @property
    def is_ensemble(self) -> bool:
        """Whether several networks are delivered."""
        return self._kept is not None

    @property
    def trials(self) -> tuple[Trial, ...]:
        """The networks that judge: no seed is picked for its luck."""
        return self.winner.trials[:1] if self._kept is None else self._kept.trials

    @property
    def tempering(self) -> Tempering | None:
        return self.winner.tempering if self._kept is None else self._kept.tempering

    @property
    def temperature(self) -> float:
        return 1.0 if self.tempering is None else self.tempering.value

    @property
    def judged(self) -> Judged:
        """What is delivered says of the validation examples; of a winner with folds, others of its recipe say it."""
        return self.winner.each[0] if self._kept is None else self._kept.judged

    @property
    def value(self) -> float:
        """The validation metric of what is delivered; of one network, the mean over the seeds of its recipe."""
        return self.winner.value if self._kept is None else self._kept.value


def chosen(study: Study, data: Data, plain: Sequence[Finalist], winner: Finalist, *, loss: str) -> Chosen:
    """The winner, or an ensemble of finalists that is better by more than the noise of the validation examples.

    plain: the finalists before their temperature. What was fine-tuned judges alone: each such network has its own
    backbone or encoder, and a model holds one. Two ensembles are tried. The members of one are the first networks of
    the winner and of each finalist whose loss is not shown to be higher than the lowest, then their second ones, 8 at
    most, or as many as keep within the limits of the study: none is picked by how well it does. Those of the other are
    picked one by one among all networks of finalists, and judged by examples that they were not picked on. The one with
    the lower loss is delivered if that is really lower than that of one network of the winner, and its metric not
    really worse. With an objective, one network is delivered.
    Source: Lakshminarayanan, Pritzel and Blundell, Simple and scalable predictive uncertainty estimation using deep
    ensembles (2017).
    """
    asked, seed = study.config.ensemble, study.config.seed
    if not (KINDS.get(data.kind).ensembles if asked is None else asked) or study.config.objective is not None:
        return Chosen(winner)
    if winner.recipe.model.unfrozen:
        return Chosen(winner)
    tried = _tried(study, data, [each for each in plain if not each.recipe.model.unfrozen], winner, loss)
    if tried is None:
        return Chosen(winner)
    found, (judged,) = tempered([tried.judged], seed=seed)
    better = loss_difference(loss, [judged], winner.each, seed=seed, how=HOW)
    own = difference(data.metric, judged, winner.each[0], seed=seed)
    is_worse = own.is_real and (own.value < 0) == (METRIC_MODES[data.metric] == "max")
    kept = better.is_real and better.high < 0 and not is_worse
    why = "its loss is lower by more than chance" if kept else "its loss is not shown to be lower"
    if is_worse:
        why = "its metric is worse"
    return Chosen(winner, Ensemble(
        trials=tried.trials, judged=judged, tempering=found, value=float(np.mean(fold_values(data, judged))),
        difference=better, optimism=tried.optimism, kept=kept, why=why,
    ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tried:
    trials: tuple[Trial, ...]
    judged: Judged
    optimism: float = 0.0


def _tried(study: Study, data: Data, plain: Sequence[Finalist], winner: Finalist, loss: str) -> _Tried | None:
    """The better one of the two ensembles within the limits; None where there is none of two networks."""
    seed = study.config.seed
    level = _within(study, data, _members(plain, winner, loss, seed=seed))
    usual = _Tried(tuple(trial for trial, _ in level), mean_of([own for _, own in level])) if len(level) > 1 else None
    every = [(trial, own) for each in plain for trial, own in zip(each.trials, each.each, strict=True)]
    if len(every) < 2 or len(every[0][1].ids) < LEAST_EXAMPLES:
        return usual
    every.sort(key=lambda each: each[0] is not level[0][0])  # the winner's first network is a member of any
    found = picked_fairly([own for _, own in every], loss, most=MOST, seed=seed)
    if len(found.members) < 2 or (usual is not None and measure(loss, usual.judged) <= measure(loss, found.judged)):
        return usual
    members = [every[place] for place in found.members]
    if len(_within(study, data, members)) < len(members):  # fewer of them would be others
        return usual
    return _Tried(tuple(trial for trial, _ in members), found.judged, found.optimism)


def _members(plain: Sequence[Finalist], winner: Finalist, loss: str, *, seed: int) -> list[tuple[Trial, Judged]]:
    """The networks that judge together, the winner's first, each with what it says of the validation examples."""
    ranked = sorted(plain, key=lambda each: (measure(loss, each.judged), each.from_trial))
    first = next(each for each in ranked if each.from_trial == winner.from_trial)
    rest = [each for each in ranked if each is not first]
    level = [first, *(each for each in rest if each is ranked[0] or not _is_behind(ranked[0], each, loss, seed=seed))]
    rounds = zip_longest(*(zip(each.trials, each.each, strict=True) for each in level))
    return [member for each in rounds for member in each if member is not None][:MOST]


def _within(study: Study, data: Data, members: list[tuple[Trial, Judged]]) -> list[tuple[Trial, Judged]]:
    """As many of these networks, from the first on, as keep together within the limits of the study."""
    limits = limits_of(study)
    while limits and len(members) > 1:
        if price(study, data, [trial.recipe for trial, _ in members]).within(limits):
            break
        members = members[:-1]
    return members


def _is_behind(best: Finalist, each: Finalist, loss: str, *, seed: int) -> bool:
    found = loss_difference(loss, each.each, best.each, seed=seed, how="the loss of one network of each")
    return found.is_real and found.low > 0
