"""What whoever trains can do: the commands of `trial/commands.py`, with torch.

A trial is trained as one member for each fold it is validated in; a finalist under cross-validation also as one member
on all examples, which is the one that can be delivered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor

from tame.core.errors import DataError, StorageError, UsageError, require
from tame.core.recipe import Recipe
from tame.data.cache import ArrayCache
from tame.data.image_hashes import perceptual_hash
from tame.data.image_loading import load_pixels
from tame.data.images import Picture
from tame.data.quality import find_duplicates
from tame.data.sources import open_columns, open_rows, take_rows
from tame.data.tables import Column
from tame.kinds.arrays.material import ArrayMaterial, build_of, of_arrays
from tame.kinds.costs import Speed
from tame.kinds.tables.material import TableMaterial, of_tables
from tame.parts.network import Build, Network, read_network, write_network
from tame.parts.products import by_onednn
from tame.parts.unused_settings import refuse_unused
from tame.store.checkpoints import Checkpoints
from tame.trial.choose import Chooser, Group
from tame.trial.commands import (
    Advanced,
    Asked,
    AskedCopy,
    DeviceMemory,
    Doing,
    EndedEarly,
    Fold,
    MemberOf,
    MemoryUse,
    Note,
    Outputs,
    Plain,
    PointMeasured,
    Progress,
    Rehearsed,
    Saved,
    StateOf,
    Unsealed,
    Validation,
)
from tame.trial.measurer import Measurer
from tame.trial.member_states import Shelf
from tame.trial.own_module import is_out_of_memory
from tame.trial.population import Examples, Member, Population
from tame.trial.side_by_side import Emit, side_by_side, threads
from tame.trial.training_material import Material, check_parts, examples_of
from tame.trial.unit import Job, Lane, Unit, plateau_rate, slowed
from tame.worker.environment import usable_cores
from tame.worker.machine import peak_bytes, slowdown

if TYPE_CHECKING:
    from tame.kinds.pictures.material import PictureMaterial

Reply = dict[str, Any]


class Trainer:
    """The commands of the worker. `emit` sends what happens on the way to the coordinator.

    under: another cache, whose pixels and features are read too; measurer: says how long a step takes; run: trains a
    unit as `Unit.advance` does.
    """

    def __init__(
        self, *, cache: Path, study: Path | None, emit: Emit, build: Build | None = None, under: Path | None = None,
        measurer: Measurer | None = None, run: Callable[..., None] = Unit.advance,
    ) -> None:  # fmt: skip
        self._cache = cache
        self._under = under
        self._study = study
        self._emit = emit
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._shelf = Shelf(Checkpoints(study / "checkpoints")) if study else None
        self._build = build
        self._material: Material | None = None
        self._chooser = Chooser(self._cache, self._study, self._device, measurer=measurer)
        self._run = run
        self._network: Network | None = None
        self._rows: list[int] = []
        self._examples: Examples | None = None
        self._task = "multiclass"

    # Opening the data ------------------------------------------------------------------------------------------------

    def open(self, kind: str, given: Plain) -> Plain:
        openers: dict[str, Callable[..., Reply]] = {
            "images": self._open_pictures,
            "table": self._open_table,
            "arrays": self._open_arrays,
        }
        return openers[kind](**given)

    def ask(self, question: str, given: Plain) -> Plain:
        answers: dict[str, Callable[..., Reply]] = {
            "speed": self._speed,
            "duplicates": self._duplicates,
            "missing": self._missing,
            "prepare": self._prepare,
        }
        return answers[question](**given)

    def tell(self, question: str, given: Plain) -> None:
        self.ask(question, given)

    def _open_pictures(self, *, pictures: Sequence[dict[str, Any]], backbone: str | None) -> Reply:
        """Opens the backbone and decodes all pictures. Returns what was kept and skipped, and what is known of both."""
        from tame.kinds.pictures.features import Pictures
        from tame.kinds.pictures.inputs import Inputs
        from tame.kinds.pictures.material import SHORTEST, PictureMaterial
        from tame.parts.backbones import open_backbone  # timm takes seconds to load, and a table does not need it

        opened = open_backbone(backbone) if backbone else None
        given = [Picture(**each) for each in pictures]
        cache = ArrayCache(self._cache / "pixels", under=self._under and self._under / "pixels")
        loaded = load_pixels(given, shortest=SHORTEST, cache=cache, on_progress=lambda i, n: self._say("decode", i, n))
        require(len(loaded.pictures) > 0, "none of the pictures can be read", error=DataError)
        own = Pictures(loaded.arrays, [picture.digest for picture in loaded.pictures])
        inputs = Inputs(own, opened, cache=self._cache, under=self._under, device=self._device, say=self._say)
        self._material = PictureMaterial(inputs, cache=self._cache)
        about = None
        if opened is not None:
            about = {
                "name": opened.name, "digest": opened.digest, "size": opened.size, "fixed_size": opened.fixed_size,
                "num_features": opened.num_features, "stages": len(opened.stages),
                "crop": float(opened.config.get("crop_pct", 0.875)),
                "license": opened.config.get("license"), "architecture": opened.config.get("architecture"),
            }  # fmt: skip
        return {
            "kept": [picture.id for picture in loaded.pictures],
            "skipped": [asdict(each) for each in loaded.skipped],
            "sides": [min(array.shape[:2]) for array in loaded.arrays],
            "device": self._device.type,
            "backbone": about,
        }

    def _open_table(
        self, *, files: list[str], arrays: str | None, columns: list[Reply], kept: list[int], beside: Sequence[str] = ()
    ) -> Reply:  # fmt: skip
        """Opens a table, its columns as they were understood; kept: rows of the files, one after the other.

        arrays: where the values lie, if somebody has read them already; a process that is started again later reads
        the files. beside: columns of the files that are no features.
        """
        own = [Column.from_json(each) for each in columns]
        if arrays is not None and (not files or Path(arrays).exists()):
            table = open_columns(Path(arrays), own)
        else:
            table = take_rows(open_rows([Path(file) for file in files], own), np.array(kept, dtype=np.int64))
        self._material = TableMaterial(table, device=self._device, beside=beside)
        return {"device": self._device.type}

    def _open_arrays(self, *, file: str, build: str | None) -> Reply:
        """Opens an array of inputs (N, ...), and the function that makes a module, where it can be found by name."""
        own = self._build if self._build is not None else build_of(build)
        try:
            x = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, EOFError, ValueError) as problem:
            raise StorageError(f"the arrays in {file} cannot be read, begin again with tame.fit: {problem}") from None
        self._material = ArrayMaterial(x, own, device=self._device, doing=self._doing)
        return {"device": self._device.type}

    def _speed(self, *, size: int, crop: float, known: Reply | None) -> Reply:
        """How the backbone is run here, and how fast: as known, or measured at a size."""
        own = Speed.from_json(known) if known else None
        return asdict(self._pictures().inputs.measure(size=size, crop=crop, known=own))

    def _duplicates(self, *, size: int, crop: float) -> Reply:
        """Pairs of pictures that are the same or nearly: by perceptual hash, then by the backbone's features."""
        inputs = self._pictures().inputs
        features = None
        if inputs.backbone is not None:
            rows = range(len(inputs.pictures.pixels))
            features = inputs.features(rows, size=size, views=1, crop=crop)[0].cpu().numpy()
        hashes = [perceptual_hash(array) for array in inputs.pictures.pixels]
        return {"pairs": find_duplicates(hashes, features, digests=inputs.pictures.digests)}

    def _missing(self, *, rows: list[int] | None, size: int, views: int, crop: float) -> Reply:
        """How many passes through the backbone the features of these pictures still need."""
        own = self._rows if rows is None else rows
        return {"passes": self._pictures().inputs.missing(own, size=size, views=views, crop=crop)}

    def _prepare(self, *, rows: list[int] | None, size: int, views: int, crop: float) -> Reply:
        """Computes (or finds) the features of all examples at a size."""
        self._pictures().inputs.features(self._rows if rows is None else rows, size=size, views=views, crop=crop)
        return {}

    # Training --------------------------------------------------------------------------------------------------------

    def learn(self, examples: Unsealed) -> None:
        self._rows = list(examples.rows)
        self._task = examples.task
        self._examples = examples_of(examples)

    def check(self, recipes: Sequence[Recipe], *, also: Sequence[Recipe] = (), given: Sequence[str] = ()) -> None:
        examples = self._learnt()
        shares = examples.num_classes > 0 and examples.target.ndim == 2
        for recipe in recipes:
            stacked = self._given().stacks(recipe)
            counts = recipe.loss.name == "poisson" and self._task == "regression" and bool((examples.target >= 0).all())
            task = "counts" if counts else "distribution" if shares else self._task
            check_parts(
                recipe, task=task, num_classes=examples.num_classes, has_costs=examples.costs is not None,
                stacked=stacked,
            )  # fmt: skip
            self._given().check(recipe, examples)
        refuse_unused([*recipes, *also], given, kind=self._given().kind)

    def advance(
        self, trials: Sequence[Asked], *, folds: Sequence[Fold], until: int, metric: str, final: bool
    ) -> Advanced:
        jobs = [Job(each.trial, each.recipe) for each in trials]
        cores = self._cores([job.recipe for job in jobs])
        with self._threads(cores):
            copied = {each.trial for each in trials if each.inherited}
            begun = time.monotonic()
            groups = [g for own in self._apart(jobs, copied) for g in self._groups(own, folds, cores)]
            preparing_s = time.monotonic() - begun
            while groups:
                units = [Unit(group.jobs, group.lanes, metric, self._kept(), keep_all=final) for group in groups]
                todo = [partial(self._advance, unit, until) for unit in units]
                onednn = [group.precision.onednn for group in groups]
                failed = side_by_side(todo, cores=cores, emit=self._emit, onednn=onednn)
                groups = [own for place in failed for own in self._smaller(groups[place], folds)]
        return Advanced(engines=self._chooser.told(), preparing_s=preparing_s)

    def _advance(self, unit: Unit, until: int, emit: Emit) -> bool:
        """Whether memory sufficed to train a unit until that many epochs in all."""
        trials = [job.trial for job in unit.jobs]
        try:
            self._run(
                unit,
                until=until,
                emit=lambda trial, point: emit(PointMeasured(trial, point)),
                saved=lambda: emit(Saved(trials)),
                end=lambda trial, best: emit(EndedEarly(trial, best)),
            )
        except RuntimeError as problem:
            if not is_out_of_memory(problem):
                raise
            return False
        return True

    def copy(self, trials: Sequence[AskedCopy], *, folds: Sequence[Fold]) -> None:
        for epoch in sorted({each.epoch for each in trials}):
            own = [each for each in trials if each.epoch == epoch]
            recipes = {each.trial: each.recipe for each in own}
            self._kept().copy({each.trial: each.source for each in own}, recipes, folds, epoch=epoch)

    def _apart(self, jobs: Sequence[Job], copied: Collection[int]) -> list[list[Job]]:
        """The jobs as they may be grouped: together, unless copies are among them and they stand at several epochs.

        Where a kill left the members of a group apart it begins again, which a copy cannot.
        """
        if not copied:
            return [list(jobs)]
        epochs = {job.trial: self._kept().epoch(job.trial) for job in jobs}
        return [[job for job in jobs if epochs[job.trial] == epoch] for epoch in sorted(set(epochs.values()))]

    def _groups(self, jobs: Sequence[Job], folds: Sequence[Fold], cores: int = 1) -> list[Group]:
        """Jobs by what trains them together, in no fewer groups than there are cores for."""
        return self._chooser.groups(
            self._given(), jobs, folds, self._rows, self._learnt(), begun=self._kept().was_stacked, at_least=cores
        )

    def _smaller(self, group: Group, folds: Sequence[Fold]) -> list[Group]:
        """The same jobs in groups of half the size, after memory ran out. Raises StorageError where that is no help."""
        said = self._chooser.smaller(len(group.jobs))
        alone = f"memory ran out with trial {group.jobs[0].trial} alone; try a smaller model"
        require(bool(said), alone, error=StorageError)
        self._emit(Note(said))
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return self._groups(group.jobs, folds)

    def forget(self, trials: Sequence[int], *, keep: Sequence[int]) -> None:
        self._kept().forget(trials, keep=keep)

    def rehearse(self, recipe: Recipe, *, folds: Sequence[Fold]) -> Rehearsed:
        material, examples = self._given(), self._learnt()
        if material.kind == "images" and not material.stacks(recipe):
            task = self._pictures().rehearsal(recipe, self._rows, examples, folds)
            alone = self._chooser.rehearse(task, Member(-1, folds[0], recipe))
            return Rehearsed(epoch_s=alone, alone_s=alone, pair_s=2 * alone, prepare_s=0.0)
        cores = self._cores([recipe])
        if material.kind == "images":
            material = self._pictures().blank()
        with self._threads(cores):
            begun = time.monotonic()
            material.task(recipe, self._rows, examples, folds[:1])
            prepare_s = time.monotonic() - begun
            company, alone = self._chooser.epoch_s(material, recipe, folds, self._rows, examples)
        pair_s = alone * (1 if cores > 1 else 2)
        return Rehearsed(epoch_s=company / cores, alone_s=alone, pair_s=pair_s, prepare_s=prepare_s)

    def memory(
        self, recipes: Sequence[Recipe], *, folds: Sequence[Fold], tuning: Recipe | None, rehearsed: Recipe | None
    ) -> MemoryUse:
        examples = self._learnt()
        cores, chooser = self._cores(recipes), self._chooser
        with self._threads(cores):
            if self._given().kind == "images":
                from tame.kinds.pictures.memory import of_pictures  # what it needs of timm is there by now

                inputs = self._pictures().inputs
                adds = of_pictures(inputs, recipes, folds, examples, cores=cores, tuning=tuning, rehearsed=rehearsed)
            elif self._given().kind == "table":
                adds = of_tables(self._given(), recipes, folds, self._rows, examples, chooser=chooser, cores=cores)
            else:
                adds = of_arrays(self._given(), recipes, folds, self._rows, examples, chooser=chooser)
        device = None
        if self._device.type == "cuda":
            total = torch.cuda.get_device_properties(self._device).total_memory
            device = DeviceMemory(peak_bytes=torch.cuda.max_memory_allocated(self._device), total_bytes=total)
        return MemoryUse(process=os.getpid(), peak_bytes=peak_bytes(), adds_bytes=adds, device=device)

    def slowdown(self, recipe: Recipe) -> float:
        small = self._device.type == "cpu" and self._given().small(recipe)
        return slowdown(usable_cores()) if small else 1.0

    def _cores(self, recipes: Sequence[Recipe]) -> int:
        """How many trainings of these recipes go on side by side: one on each core where their steps are small."""
        small = self._device.type == "cpu" and all(map(self._given().small, recipes))
        return usable_cores() if small else 1

    @staticmethod
    def _threads(cores: int) -> threads:
        return threads(1 if cores > 1 else torch.get_num_threads())

    # Judging ---------------------------------------------------------------------------------------------------------

    def validation(self, state: StateOf, *, folds: Sequence[Fold]) -> Validation:
        outputs, rows = self._pooled(state, folds)
        return Validation(rows=[self._rows[row] for row in rows], outputs=outputs.tolist())

    def train_again(self, members: Sequence[MemberOf]) -> None:
        cores = self._cores([each.state.recipe for each in members])

        def train(lane: Lane, own: StateOf, emit: Emit) -> bool:
            what, total = "epochs of what is delivered", own.epochs
            self._trained(lane, own, on_epoch=lambda done: emit(Progress(what, done, total)))
            return True

        with self._threads(cores):
            groups = [self._alone(each.state, each.fold) for each in members]
            todo = [partial(train, group.lanes[0], each.state) for group, each in zip(groups, members, strict=True)]
            side_by_side(todo, cores=cores, emit=self._emit, onednn=[group.precision.onednn for group in groups])

    def network(self, member: MemberOf, *, labels: Sequence[str]) -> None:
        group = self._alone(member.state, member.fold)
        (lane,) = group.lanes
        with by_onednn(group.precision.onednn):
            population = self._trained(lane, member.state)
        module = lane.engine.module(population, 0)
        task = self._chooser.task_of(lane)
        self._network = self._given().network(task, module, member.state.recipe, member.fold, self._task, labels)

    def judge(self, rows: Sequence[int]) -> Outputs:
        found: Outputs = self._given().judge(self._chosen(), rows, cached=True).tolist()
        return found

    def deliver(self, folder: str) -> Mapping[str, str]:
        return write_network(self._chosen(), Path(folder))

    def judge_again(self, folder: str, *, rows: Sequence[int]) -> Outputs:
        build = self._material.build if isinstance(self._material, ArrayMaterial) else None
        network = read_network(Path(folder), build)
        found: Outputs = self._given().judge(network, rows, cached=False).tolist()
        return found

    # Members one by one ----------------------------------------------------------------------------------------------

    def _alone(self, state: StateOf, fold: Fold) -> Group:
        """One member alone, in the engine that trained it in company."""
        (group,) = self._groups([Job(state.trial, state.recipe)], [fold])
        return group

    def _pooled(self, state: StateOf, folds: Sequence[Fold]) -> tuple[Tensor, Tensor]:
        """Outputs (n, C) of the validated examples, each by the member that has not seen it, and their rows (n,)."""
        seen = []
        for fold in folds:
            group = self._alone(state, fold)
            (lane,) = group.lanes
            rows = self._learnt().validates(lane.members[0]).nonzero().squeeze(1)
            with by_onednn(group.precision.onednn):
                population = self._trained(lane, state)
                own = lane.engine.predict(population, rows.to(self._device))[0].float().cpu()
            seen.append((rows, lane.examples.undo(own, fold)))
        rows = torch.cat([rows for rows, _ in seen])
        order = rows.argsort()
        return torch.cat([outputs for _, outputs in seen])[order], rows[order]

    def _trained(
        self, lane: Lane, state: StateOf, *, on_epoch: Callable[[int], None] = lambda epoch: None
    ) -> Population:
        """The member in that state; trained again, alone and with the same result, where it was let go."""
        (member,) = lane.members
        epochs, losses = state.epochs, state.losses
        found = self._kept().get(member.trial, member.fold, member.recipe)
        if found is not None and not lane.engine.fits(found):
            found = None
        if found is None or found.epoch != epochs:
            found = found if found is not None and found.epoch < epochs else lane.engine.start([member])
            for epoch in range(found.epoch + 1, epochs + 1):
                if losses is not None:
                    found = slowed(found, plateau_rate(losses[: epoch - 1], member.recipe), member.trial)
                found = lane.engine.advance(found, until=epoch, watch=lambda *_: None)
                on_epoch(epoch)
            self._kept().put(found)
        return found

    def _given(self) -> Material:
        assert self._material is not None, "open() comes first"
        return self._material

    def _pictures(self) -> PictureMaterial:
        if self._given().kind != "images":
            raise UsageError("only pictures have a backbone")
        return cast("PictureMaterial", self._material)

    def _learnt(self) -> Examples:
        assert self._examples is not None, "learn() comes first"
        return self._examples

    def _kept(self) -> Shelf:
        assert self._shelf is not None, "this worker has no study"
        return self._shelf

    def _chosen(self) -> Network:
        assert self._network is not None, "network() comes first"
        return self._network

    def _doing(self, what: str, limit_s: float | None) -> None:
        self._emit(Doing(what, limit_s))

    def _say(self, what: str, done: int, total: int) -> None:
        self._emit(Progress(what, done, total))
