"""The network of a finished study again, with random weights: what its pretraining was worth."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tame.core.recipe import Recipe, Value
from tame.core.records import Score
from tame.core.result import Result
from tame.data.images import scan
from tame.evaluate.score import judged_from, score
from tame.study.session import Study
from tame.trial.commands import Commands, MemberOf, StateOf

SIZE = 40  # pixels: from random weights, more epochs are worth more than more pixels
RECIPE: Mapping[str, Value] = {
    "input.size": SIZE, "input.crop": 1.0, "input.views": 2, "optimizer.name": "adamw", "optimizer.lr": 3e-3,
    "optimizer.weight_decay": 5e-2, "schedule.name": "cosine", "schedule.warmup": 0.1, "loss.label_smoothing": 0.1,
    "augment.flip": True, "augment.crop": 0.1, "batch_size": 64,
}  # fmt: skip
JUDGING = 0.5  # of an epoch: what judging the sealed part takes
LEAST_EPOCHS, MOST_EPOCHS = 4, 60  # fewer are no comparison: the network has hardly moved


@dataclass(frozen=True, slots=True, kw_only=True)
class FromScratch:
    """A network with random weights, trained on what a study's model was trained on, judged on the same sealed part.

    size: pixels of its input; wall_s: seconds from the start to its score.
    """

    network: str
    size: int
    epochs: int
    wall_s: float
    score: Score


@dataclass(frozen=True, slots=True)
class _Sealed:
    """The sealed part of a study: class numbers of its pictures by row, with their ids and groups.

    Pictures with one group belong together, as copies do.
    """

    sealed: Mapping[int, int]
    ids: Sequence[str]
    groups: np.ndarray


def from_scratch(study: Study, result: Result, *, seconds: float, most: int = MOST_EPOCHS) -> FromScratch | None:
    """The network of a study's backbone with random weights, trained for so many seconds and epochs at the most.

    study: one that has just finished, of pictures in a folder, with a backbone that timm knows; its worker has read the
    pictures and trains on the same ones. None where there is no time for a few epochs.
    """
    assert result.backbone is not None
    begun, name = time.monotonic(), str(result.backbone.architecture)
    recipe = Recipe().but({**RECIPE, "model.name": f"timm:{name}"})
    part, epoch_s = _sealed(study.folder, result), study.worker.rehearse(recipe, folds=[None]).epoch_s
    left = seconds - (time.monotonic() - begun)
    epochs = min(int(left / epoch_s - JUDGING), most)
    if epochs < min(LEAST_EPOCHS, most):
        return None
    number = max(study.history.trials) + 1  # of no trial: the worker keeps weights by it
    own = _judged(study.worker, part, recipe.but({"epochs": epochs}), result, number=number)
    return FromScratch(network=name, size=SIZE, epochs=epochs, wall_s=time.monotonic() - begun, score=own)


def _sealed(study: Path, result: Result) -> _Sealed:
    """The sealed part, by the rows that the worker knows."""
    with (study / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    label = {picture.id: picture.label for picture in scan(Path(result.data)).pictures}
    own = [(number, row["id"], int(row["group"])) for number, row in enumerate(rows) if row["part"] == "test"]
    sealed = {number: label[name] for number, name, _ in own}
    return _Sealed(sealed, [name for _, name, _ in own], np.array([group for *_, group in own]))


def _judged(worker: Commands, part: _Sealed, recipe: Recipe, result: Result, *, number: int) -> Score:
    """The score on the sealed part of a network that is trained on everything else."""
    member = MemberOf(StateOf(trial=number, recipe=recipe, epochs=recipe.epochs), None)
    worker.train_again([member])
    worker.network([member], labels=result.classes)
    outputs = np.array(worker.judge(list(part.sealed)))
    judged = judged_from(result.task, part.ids, list(part.sealed.values()), outputs, groups=part.groups)
    return score(result.metric, judged, how="the same network with random weights, on the same pictures", seed=0)
