"""Reads the examples of a study for a lesson. Apart from what they are, since what reads data takes seconds to load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.config import GIVEN, LANGUAGE, StudyConfig
from tame.core.errors import UsageError, require
from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.kinds.costs import Speed
from tame.kinds.kind import Data, Known
from tame.kinds.known import kind_of, reader_of
from tame.kinds.materials import open_material
from tame.kinds.pictures.kind import PICTURES
from tame.kinds.tables.material import TableMaterial, TableTask
from tame.learn.ground import Album, Ground, Tuning, Whose
from tame.parts.mlp import WORDS
from tame.study.state import State
from tame.trial.commands import Plain, Unsealed
from tame.trial.population import Examples, Task
from tame.trial.training_material import Material, Room, examples_of

if TYPE_CHECKING:  # what pictures need loads timm, which takes seconds
    from tame.kinds.pictures.material import PictureMaterial

MOST = 400  # examples of each part: more would make a lesson slow, and teach the same
MOST_INPUTS = 4096  # numbers of an example; pictures without a backbone are made smaller
SIDE = 12  # pixels of such a picture
LEAST = 8  # examples of each part
MOST_TUNED, TUNED_SIDE = (150, 80), 96  # pictures of both parts for fine-tuning, and their pixels


class _Desk:
    """The process that trains, for a source: here it is this one."""

    def __init__(self, cache: Path) -> None:
        self.material: Material | None = None
        self._room = Room(
            cache=cache, under=None, study=None, device=torch.device("cpu"), build=None,
            doing=lambda what, limit_s: None, say=lambda what, done, total: None,
        )  # fmt: skip

    def open(self, kind: str, given: Plain) -> Plain:
        self.material, known = open_material(kind, given, self._room)
        return known

    def ask(self, question: str, given: Plain) -> Plain:
        assert self.material is not None
        return self.material.answer(question, given, ())

    def tell(self, question: str, given: Plain) -> None:
        self.ask(question, given)


def read_ground(folder: Path, config: StudyConfig, state: State, whose: Whose, *, cache: Path) -> Ground:
    """The examples of a study. Nothing is written into its folder.

    config: as the user allows it to be followed. Raises UsageError for data on which no lesson can be given, and as
    the kind of data does.
    """
    require(config.model is None, "it trains a module of your own, whose code is not run for a lesson")
    said = "its texts are passages for a language model, not examples of as many numbers each"
    require(config.task != LANGUAGE, said)
    desk, plan = _Desk(cache), state.plan
    speed = None if plan is None or plan.speed is None else Speed.from_json(plan.speed)
    with TemporaryDirectory(prefix="tame-learn-") as kept:
        place = folder if config.data in GIVEN else Path(kept)
        kind = kind_of(config) if state.data is None else reader_of(config, state.kind)
        data = kind.read(config, Known(state.data, speed), desk, phase=lambda text: None, folder=place).data
    assert desk.material is not None
    base = Recipe() if plan is None else Recipe.from_flat(plan.base)
    recipe = base.but({"model.unfrozen": 0, "input.views": 1, "table.numbers": "plain"})
    if recipe.model.name == WORDS:  # as many inputs as there are words, too many for a lesson
        recipe = recipe.but({"model.name": "mlp"})
    return _of_data(data, desk.material, recipe, whose)


def _of_data(data: Data, material: Material, recipe: Recipe, whose: Whose) -> Ground:
    folds = [data.split.fold[row] for row in data.rows]
    targets = data.targets[data.rows]
    examples = examples_of(
        Unsealed(
            rows=data.rows, targets=targets.tolist(), folds=folds, num_classes=len(data.classes), task=data.task
        )
    )  # fmt: skip
    task = material.task(recipe, data.rows, examples, [0])
    rows = np.arange(len(targets))
    train, valid = rows[np.array(folds) != 0], rows[np.array(folds) == 0]
    some, judged = _some(train, "train"), _some(valid, "valid")
    parts = f"it has {len(train)} {whose.nouns} to train on and {len(valid)} to judge by"
    few = f"{parts}, and a lesson needs {LEAST} of each"
    require(min(len(some), len(judged)) >= LEAST, few)
    x, x_valid = _inputs(task, recipe, some), _inputs(task, recipe, judged)
    y, y_valid = torch.from_numpy(targets[some]), torch.from_numpy(targets[judged])
    if not data.classes:
        shift, scale = y.mean(), y.std().clamp_min(1e-12)
        y, y_valid = (y - shift) / scale, (y_valid - shift) / scale
    elif len(set(y.tolist())) < 2:
        raise UsageError("its training examples are all of one class, so there is nothing to tell apart")
    return Ground(
        name=whose.name, nouns=whose.nouns, classes=data.classes, x=x, y=y, x_valid=x_valid, y_valid=y_valid,
        names=material.input_names(task) if isinstance(material, TableMaterial) else (), of=(len(train), len(valid)),
        tuning=_tuning(material, data, examples, recipe, some, judged), album=_album(material, data, whose.name),
    )  # fmt: skip


def _album(material: Material, data: Data, name: str) -> Callable[[], Album] | None:
    """What gives the pictures, where the examples are pictures in classes."""
    if material.kind != PICTURES.name or not data.classes:
        return None
    own = cast("PictureMaterial", material).inputs.pictures
    targets = np.asarray(data.targets[data.rows]).astype(np.int64)
    return lambda: Album(name, data.classes, [own.pixels[row] for row in data.rows], targets, is_drawn=False)


def _tuning(
    material: Material, data: Data, examples: Examples, recipe: Recipe, some: np.ndarray, judged: np.ndarray
) -> Callable[[], Tuning] | None:  # fmt: skip
    """What makes ready for fine-tuning, where the examples are pictures and pass a backbone that can be cut."""
    if material.kind != PICTURES.name:
        return None
    inputs = cast("PictureMaterial", material).inputs
    backbone = inputs.backbone
    if backbone is None or not backbone.stages:
        return None
    own = recipe.but({"model.unfrozen": 1, "input.size": backbone.size if backbone.fixed_size else TUNED_SIDE})
    train, valid = some[: MOST_TUNED[0]], judged[: MOST_TUNED[1]]
    rows = [data.rows[row] for row in (*train.tolist(), *valid.tolist())]

    def tuning() -> Tuning:
        task = inputs.tuned_task(own, rows, {}, examples, None)
        return Tuning(task, own, torch.arange(len(train)), len(train) + torch.arange(len(valid)))

    return tuning


def _some(rows: np.ndarray, part: str) -> np.ndarray:
    """At most MOST of these rows, in their order, drawn once for all lessons."""
    return np.sort(stream(0, "lesson", part).permutation(rows)[:MOST])


def _inputs(task: Task, recipe: Recipe, rows: np.ndarray) -> Tensor:
    """(n, D) float64: what a network sees of these examples."""
    seen = task.views(recipe, torch.from_numpy(rows))[0]
    if isinstance(task, TableTask):
        seen = seen[:, : task.columns.dense]  # codes of embedded categories are no quantities
    if seen.ndim == 4 and seen[0].numel() > MOST_INPUTS:
        seen = F.adaptive_avg_pool2d(seen.float(), SIDE)
    flat = seen.flatten(1)
    require(flat.shape[1] <= MOST_INPUTS, f"each example has {flat.shape[1]:,} numbers, too many for a lesson")
    return flat.double().contiguous().cpu()
