"""The network of a finished study again, with random weights: what its pretraining was worth."""

from __future__ import annotations

import csv
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tame.app.run import cache_folder
from tame.core.recipe import Recipe, Value
from tame.core.records import Score
from tame.core.result import Result
from tame.data.images import scan
from tame.evaluate.score import judged_from, score
from tame.kinds.pictures.commands import Given, open_pictures
from tame.study.state import Watcher
from tame.trial.commands import Commands, MemberOf, Message, Progress, StateOf, Unsealed
from tame.worker.executor import Place
from tame.worker.executors import process_executor
from tame.worker.watch import Patience

SIZE = 48  # pixels: from random weights, more epochs are worth more than more pixels
RECIPE: Mapping[str, Value] = {
    "input.size": SIZE, "input.crop": 1.0, "input.views": 2, "optimizer.name": "adamw", "optimizer.lr": 3e-3,
    "optimizer.weight_decay": 5e-2, "schedule.name": "cosine", "schedule.warmup": 0.1, "loss.label_smoothing": 0.1,
    "augment.flip": True, "augment.crop": 0.1, "batch_size": 32,
}  # fmt: skip
JUDGING = 0.5  # of an epoch: what judging the sealed part takes
MOST_EPOCHS = 60


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


def from_scratch(
    study: Path, result: Result, *, seconds: float, watcher: Watcher, most: int = MOST_EPOCHS
) -> FromScratch | None:
    """The network of a study's backbone with random weights, trained for so many seconds and epochs at the most.

    study: a finished one, of pictures in a folder, with a backbone that timm knows. None where there is no time for an
    epoch.
    """
    assert result.backbone is not None
    begun, name = time.monotonic(), str(result.backbone.architecture)

    def hear(message: Message) -> None:
        if isinstance(message, Progress):
            watcher.progress(message.what, message.done, message.total)

    with tempfile.TemporaryDirectory() as place:
        where = Place(cache=cache_folder(), study=Path(place))
        executor = process_executor(where, hear=hear, log=None, restarted=watcher.note, patience=Patience())
        try:
            worker = executor.commands
            part = _opened(worker, study, result)
            recipe = Recipe().but({**RECIPE, "model.name": f"timm:{name}"})
            epoch_s = worker.rehearse(recipe, folds=[None]).epoch_s
            left = seconds - (time.monotonic() - begun)
            epochs = min(int(left / epoch_s - JUDGING), most)
            if epochs < 1:
                return None
            own = _judged(worker, part, recipe.but({"epochs": epochs}), result)
        finally:
            executor.close()
    return FromScratch(network=name, size=SIZE, epochs=epochs, wall_s=time.monotonic() - begun, score=own)


def _opened(worker: Commands, study: Path, result: Result) -> _Sealed:
    """Opens the pictures of a study in a worker, and gives it all labels but those of the sealed part."""
    with (study / "split.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    part, group = ({row["id"]: row[name] for row in rows} for name in ("part", "group"))
    pictures = scan(Path(result.data)).pictures
    label = {picture.id: picture.label for picture in pictures}
    kept = list(enumerate(open_pictures(worker, Given(tuple(pictures), None)).kept))
    trained_on = {row: label[name] for row, name in kept if part[name] in ("train", "val")}
    sealed = {row: label[name] for row, name in kept if part[name] == "test"}
    worker.learn(
        Unsealed(
            rows=list(trained_on), targets=list(trained_on.values()), folds=[-1] * len(trained_on),
            num_classes=len(result.classes), task=result.task,
        )
    )  # fmt: skip
    ids = [name for row, name in kept if row in sealed]
    return _Sealed(sealed, ids, np.array([int(group[name]) for name in ids]))


def _judged(worker: Commands, part: _Sealed, recipe: Recipe, result: Result) -> Score:
    """The score on the sealed part of a network that is trained on everything else."""
    member = MemberOf(StateOf(trial=0, recipe=recipe, epochs=recipe.epochs), None)
    worker.train_again([member])
    worker.network([member], labels=result.classes)
    outputs = np.array(worker.judge(list(part.sealed)))
    judged = judged_from(result.task, part.ids, list(part.sealed.values()), outputs, groups=part.groups)
    return score(result.metric, judged, how="the same network with random weights, on the same pictures", seed=0)
