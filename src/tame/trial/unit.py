"""A unit of training: trials that are advanced together, epoch by epoch, with their curves and their checkpoint."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tame.core.errors import StoppedError
from tame.core.recipe import Recipe
from tame.parts.losses import cross_entropy
from tame.parts.metrics import METRICS
from tame.store.checkpoints import Checkpoints
from tame.trial.population import Engine, Examples, Measured, Member, Population, join, take
from tame.trial.stacked import Stacked

CHECKPOINT_S = 10.0  # between two checkpoints of a training that goes on
Fold = int | None
Row = list[Any]  # epoch, train_loss, valid_loss, valid_metric, as an event keeps them


@dataclass(frozen=True, slots=True)
class Job:
    """A trial as the coordinator asks for it."""

    trial: int
    recipe: Recipe


class Shelf:
    """The state of every member that has been trained, in memory and in checkpoints, by trial and fold."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.checkpoints = checkpoints
        self._own: dict[tuple[int, Fold], Population] = {}
        self._index: dict[str, tuple[int, frozenset[int]]] = {}  # of each checkpoint: epoch, and the trials it holds
        for name in checkpoints.names():
            _, meta, _ = checkpoints.load(name)
            self._index[name] = _about(meta)
        self._curves: dict[int, dict[int, Row]] = {}

    def get(self, job: Job, fold: Fold) -> Population | None:
        """The member's state, from a checkpoint where this process has not trained it."""
        if (job.trial, fold) not in self._own:
            self._load(job.trial)
        found = self._own.get((job.trial, fold))
        return replace(found, members=(Member(job.trial, fold, job.recipe),)) if found else None

    def put(self, population: Population) -> None:
        """Takes the state of every member of a population."""
        for i, member in enumerate(population.members):
            self._own[member.trial, member.fold] = take(population, [i])

    def curve(self, trial: int) -> dict[int, Row]:
        """The points that this trial has shown so far, by epoch."""
        return self._curves.setdefault(trial, {})

    def save(self, name: str, populations: Sequence[Population], trials: Sequence[int]) -> None:
        """Keeps populations that are equally far, and the curves of their trials, in one checkpoint."""
        tensors = {
            f"{i}/{key}": value.cpu().numpy() for i, p in enumerate(populations) for key, value in p.tensors.items()
        }
        members = [[[m.trial, m.fold] for m in p.members] for p in populations]
        curves = {str(trial): list(self.curve(trial).values()) for trial in trials}
        meta = {"epoch": str(populations[0].epoch), "members": json.dumps(members), "curves": json.dumps(curves)}
        self.checkpoints.save(name, tensors, meta)
        self._index[name] = _about(meta)

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        """Drops trials that will never go on, and the checkpoints that hold none of `keep`."""
        gone = set(trials)
        self._own = {key: value for key, value in self._own.items() if key[0] not in gone}
        for name in [name for name, (_, held) in self._index.items() if not held & set(keep)]:
            self.checkpoints.drop(name)
            del self._index[name]

    def _load(self, trial: int) -> None:
        """The furthest checkpoint that holds the trial, if there is one."""
        names = [name for name, (_, held) in self._index.items() if trial in held]
        if not names:
            return
        tensors, meta, _ = self.checkpoints.load(max(names, key=lambda name: self._index[name][0]))
        epoch = int(meta["epoch"])
        for number, rows in json.loads(meta["curves"]).items():
            self.curve(int(number)).update({row[0]: row for row in rows})
        for i, members in enumerate(json.loads(meta["members"])):
            own = {k.split("/", 1)[1]: torch.from_numpy(v) for k, v in tensors.items() if k.startswith(f"{i}/")}
            for place, (number, fold) in enumerate(members):
                if (number, fold) not in self._own:
                    member = Member(number, fold, Recipe())
                    # A copy lies in memory as torch aligns it: matrix products may differ in the last bit otherwise.
                    state = {key: value[place : place + 1].clone() for key, value in own.items()}
                    self._own[number, fold] = Population((member,), state, epoch)


@dataclass(slots=True)
class Unit:
    """Jobs that one engine advances together. folds: the members that each job has."""

    engine: Engine
    jobs: Sequence[Job]
    folds: Sequence[Fold]
    examples: Examples
    metric: str
    shelf: Shelf
    keep_all: bool  # whether the state is kept in a checkpoint even when the training has reached its end

    def advance(self, *, until: int, emit: Callable[[int, Row], None], saved: Callable[[], None]) -> None:
        """Trains to that epoch.

        emit: hears of every new point, and again of those that a checkpoint holds already; saved: is called when what
        was emitted so far will not be lost any more, or need not be kept.
        """
        populations = self._begin(until)
        for job in self.jobs:
            for row in self.shelf.curve(job.trial).values():
                emit(job.trial, row)
        last = time.monotonic()
        for epoch in range(populations[0].epoch + 1, until + 1):
            populations, rows = self._epoch(populations, epoch)
            for job, row in zip(self.jobs, rows, strict=True):
                self.shelf.curve(job.trial)[epoch] = row
            try:
                for job, row in zip(self.jobs, rows, strict=True):
                    emit(job.trial, row)
            except StoppedError:
                self._save(populations)
                saved()
                raise
            if epoch < until and time.monotonic() - last > CHECKPOINT_S:
                self._save(populations)
                saved()
                last = time.monotonic()
        for each in populations:
            self.shelf.put(each)
        if self.keep_all or any(until < job.recipe.epochs for job in self.jobs):
            self._save(populations)
        saved()

    def _begin(self, until: int) -> list[Population]:
        """Members as they were left: one population in the stacked engine, one a member in the serial one."""
        known = [(job, fold, self.shelf.get(job, fold)) for job in self.jobs for fold in self.folds]
        states = [state for _, _, state in known if state is not None]
        # A unit goes on from a common epoch; where a kill left its members apart, it starts again.
        together = len(states) == len(known) and len({state.epoch for state in states}) == 1
        if together and states[0].epoch <= until:
            return [join(states)] if isinstance(self.engine, Stacked) else states
        fresh = [Member(job.trial, fold, job.recipe) for job, fold, _ in known]
        if isinstance(self.engine, Stacked):
            return [self.engine.start(fresh)]
        return [self.engine.start([member]) for member in fresh]

    def _epoch(self, populations: Sequence[Population], epoch: int) -> tuple[list[Population], list[Row]]:
        """Everyone one epoch further, and the points that this adds to the curves."""
        seen: list[Measured] = []

        def watch(_: Population, measured: Measured) -> None:
            seen.append(measured)

        further = [self.engine.advance(each, until=epoch, watch=watch) for each in populations]
        return further, self._rows(epoch, seen)

    def _rows(self, epoch: int, seen: Sequence[Measured]) -> list[Row]:
        """A point of each job's curve: losses and metric over all examples that its folds validate."""
        train = torch.cat([each.train_loss.cpu() for each in seen]).view(len(self.jobs), len(self.folds)).mean(dim=1)
        logits, rows = pool(seen, self.folds, self.examples)
        if not len(rows):
            return [[epoch, _finite(loss), None, None] for loss in train.tolist()]
        target = self.examples.target[rows]
        plain = torch.zeros(len(logits))
        valid = cross_entropy(logits, target, label_smoothing=plain).mean(dim=1).tolist()
        metric = METRICS.get(self.metric)(logits, target).tolist()
        good = logits.isfinite().flatten(1).all(dim=1).tolist()
        return [
            [epoch, _finite(t), _finite(v) if ok else None, _finite(m) if ok else None]
            for t, v, m, ok in zip(train.tolist(), valid, metric, good, strict=True)
        ]

    def _save(self, populations: Sequence[Population]) -> None:
        trials = [job.trial for job in self.jobs]
        digest = hashlib.blake2b(json.dumps([trials, list(self.folds)]).encode(), digest_size=6).hexdigest()
        self.shelf.save(f"unit-{digest}", populations, trials)


def pool(seen: Sequence[Measured], folds: Sequence[Fold], examples: Examples) -> tuple[Tensor, Tensor]:
    """Logits (T, n, C) of the validated examples, each by the member that has not seen it, and their rows (n,)."""
    if len(seen) == 1:
        rows = seen[0].rows.cpu()
        members = seen[0].logits.float().cpu()
        stacked = members.view(len(members) // len(folds), len(folds), *members.shape[1:])
        place = {fold: i for i, fold in enumerate(folds)}
        index = torch.tensor([place[int(fold)] for fold in examples.fold[rows]], dtype=torch.long)
        return stacked[:, index, torch.arange(len(rows))], rows
    rows = torch.cat([each.rows.cpu() for each in seen])
    order = rows.argsort()
    return torch.cat([each.logits[0].float().cpu() for each in seen])[order][None], rows[order]


def _about(meta: Mapping[str, str]) -> tuple[int, frozenset[int]]:
    held = {trial for members in json.loads(meta["members"]) for trial, _ in members}
    return int(meta["epoch"]), frozenset(held)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
