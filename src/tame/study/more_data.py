"""Would more data help? The winner's recipe, trained on a quarter and on a half of its examples too."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tame.core.records import Trial
from tame.core.result_parts import ClassGrowth, MoreData
from tame.core.rng import stream
from tame.evaluate.more_data import SHARES, class_growth, growth
from tame.evaluate.score import Judged, judged_from
from tame.kinds.kind import Data
from tame.study.clock_shares import MORE_DATA_SHARE
from tame.study.events import MoreDataJudged
from tame.study.finalist import Finalist, state_of
from tame.study.plan import Plan
from tame.study.session import Study

DRAWS = 2  # of the examples of each share
LEAST = 100  # training examples: of fewer, a quarter is too few to learn from
LONGER = 2.0  # times as many epochs, at most, on fewer examples: these have fewer steps in an epoch


def more_data(study: Study, data: Data, plan: Plan, plain: Finalist, *, loss: str) -> None:
    """Finds out what more examples would be worth, if the user asked for it, and stores it.

    plain: the winner before its temperature. A resumed study has it already.
    """
    if not study.config.more_data or study.state.more_data is not None:
        return
    why = _why_not(data, plain)
    found = MoreData(metric=loss, why=why)
    if not why:
        study.stage(4, "training the winner on fewer examples, to see what more would be worth")
        with study.until(_until_s(study, plan)) as cut:
            if not cut.is_made:
                found = _measured(study, data, plan, plain, loss)
        if cut.is_made:
            found = MoreData(metric=loss, why="there was no time to train on fewer examples; give more with --time")
    study.keep(MoreDataJudged(found=found))


def _until_s(study: Study, plan: Plan) -> float:
    """Seconds of the budget that it may use up; the end that is reserved has its share of the clock."""
    clock = study.config.clock_s
    return math.inf if clock is None else max(clock - plan.end_s + MORE_DATA_SHARE * clock, study.used_s)


def _why_not(data: Data, plain: Finalist) -> str:
    if plain.recipe.model.unfrozen:
        return "it is not measured for a backbone that was fine-tuned"
    if plain.recipe.schedule.name == "plateau":
        return "it is not measured for a learning rate that follows the validation loss"
    if len(_trained_on(data)) < LEAST:
        return f"a quarter of {len(_trained_on(data))} examples is too few to train on"
    return ""


def _measured(study: Study, data: Data, plan: Plan, plain: Finalist, loss: str) -> MoreData:
    trial, seed = plain.trials[0], study.config.seed
    rows = np.array(_trained_on(data))
    by_share: list[list[Judged]] = []
    counts, epochs = [], 0
    for share in SHARES[:-1]:
        chosen = [rows[fractions(data, rows, stream(seed, "share", draw)) < share] for draw in range(DRAWS)]
        longer = min(1 / share, LONGER)
        by_share.append([_on(study, data, plan, trial, own.tolist(), longer) for own in chosen])
        counts.append(len(chosen[0]))
        epochs += DRAWS * math.ceil(longer * trial.best_epoch)
    points, gain = growth(loss, [*by_share, plain.each], [*counts, len(rows)], seed=seed)
    classes: tuple[ClassGrowth, ...] = ()
    if data.classes and data.shares is None:
        each = np.bincount(data.targets[rows], minlength=len(data.classes)).tolist()
        classes = class_growth([*by_share, plain.each], data.classes, each, seed=seed)
    return MoreData(metric=loss, points=points, gain=gain, classes=classes, epochs=epochs)


def _on(study: Study, data: Data, plan: Plan, trial: Trial, rows: list[int], longer: float) -> Judged:
    """What a network with the trial's recipe says of the validation examples, trained on these rows alone."""
    recipe = trial.recipe.but({"epochs": math.ceil(longer * trial.recipe.epochs)})
    state = replace(state_of(study, trial), recipe=recipe, epochs=math.ceil(longer * trial.best_epoch), losses=None)
    found = study.worker.on_fewer(state, folds=list(plan.folds), rows=rows)
    ids = [data.ids[row] for row in found.rows]
    return judged_from(
        data.task, ids, data.truth(found.rows), np.array(found.outputs), groups=data.groups_of(found.rows),
        weights=data.weights_of(found.rows),
    )  # fmt: skip


def _trained_on(data: Data) -> list[int]:
    """The rows that a finalist trains on: all with folds, otherwise those that do not validate."""
    return data.rows if data.split.folds > 1 else data.split.rows("train")


def fractions(data: Data, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) from 0 to 1: the rows below a share are a random choice of so many, in which each class keeps its share.

    The rows of a group have one number, so that it is left out as a whole.
    """
    groups = rows if data.groups is None else data.groups[rows]
    _, first, place = np.unique(groups, return_index=True, return_inverse=True)
    classes = data.targets[rows][first] if data.classes else np.zeros(len(first))
    found = np.zeros(len(first))
    for each in np.unique(classes):
        own = np.flatnonzero(classes == each)
        found[own] = (rng.permutation(len(own)) + rng.random()) / len(own)
    return np.asarray(found[place])
