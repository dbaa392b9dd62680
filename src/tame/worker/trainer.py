"""What the process that trains can do: one method a command, plain JSON values in and out.

A trial is trained as one member for each fold it is validated in; a finalist under cross-validation also as one member
on all examples, which is the one that can be delivered.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
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
from tame.kinds.tables.material import TableMaterial, of_tables
from tame.parts.network import Build, Network, read_network, write_network
from tame.parts.products import by_onednn
from tame.parts.unused_settings import refuse_unused
from tame.store.checkpoints import Checkpoints
from tame.trial.choose import Chooser, Group
from tame.trial.member_states import Fold, Shelf
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

    under: another cache, whose pixels and features are read too.
    """

    def __init__(
        self, *, cache: str, study: str | None, emit: Emit, build: Build | None = None, under: str | None = None
    ) -> None:
        self._cache = Path(cache)
        self._under = Path(under) if under else None
        self._study = Path(study) if study else None
        self._emit = emit
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._shelf = Shelf(Checkpoints(Path(study) / "checkpoints")) if study else None
        self._build = build
        self._material: Material | None = None
        self._chooser = Chooser(self._cache, self._study, self._device)
        self._network: Network | None = None
        self._rows: list[int] = []
        self._examples: Examples | None = None
        self._task = "multiclass"

    # Opening the data ------------------------------------------------------------------------------------------------

    def open(self, *, kind: str, given: Reply) -> Reply:
        """Opens data of this kind, as its source gives it. Returns what is known of it then."""
        openers: dict[str, Callable[..., Reply]] = {
            "images": self._open_pictures,
            "table": self._open_table,
            "arrays": self._open_arrays,
        }
        return openers[kind](**given)

    def ask(self, *, question: str, given: Reply) -> Reply:
        """The answer to a question that only this kind of data knows."""
        answers: dict[str, Callable[..., Reply]] = {
            "speed": self._speed,
            "duplicates": self._duplicates,
            "missing": self._missing,
            "prepare": self._prepare,
        }
        return answers[question](**given)

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
        from tame.kinds.pictures.features import Speed

        own = Speed(**known) if known else None
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

    def _missing(self, *, rows: list[int], size: int, views: int, crop: float) -> Reply:
        """How many passes through the backbone the features of these pictures still need."""
        return {"passes": self._pictures().inputs.missing(rows, size=size, views=views, crop=crop)}

    def _prepare(self, *, size: int, views: int, crop: float) -> Reply:
        """Computes (or finds) the features of all examples at a size."""
        self._pictures().inputs.features(self._rows, size=size, views=views, crop=crop)
        return {}

    # Training --------------------------------------------------------------------------------------------------------

    def learn(
        self, *, rows: list[int], targets: list[Any], folds: list[int], num_classes: int, task: str,
        costs: list[list[float]] | None = None,
    ) -> Reply:  # fmt: skip
        """Gives the examples that are not sealed. rows: of the data; folds: -1 for never validated."""
        self._rows = list(rows)
        self._task = task
        given = {"targets": targets, "folds": folds, "num_classes": num_classes, "costs": costs}
        self._examples = examples_of(given)
        return {}

    def check(self, *, recipes: list[Reply], also: Sequence[Reply] = (), given: Sequence[str] = ()) -> Reply:
        """Nothing, if every part that these recipes name exists and fits. Raises UsageError with the mend.

        also: more recipes that may be trained; given: fields that the user fixed or searches, of which each must do
        something in one of all these recipes.
        """
        examples = self._learnt()
        shares = examples.num_classes > 0 and examples.target.ndim == 2
        own = [Recipe.from_flat(each) for each in recipes]
        for recipe in own:
            stacked = self._given().stacks(recipe)
            counts = recipe.loss.name == "poisson" and self._task == "regression" and bool((examples.target >= 0).all())
            task = "counts" if counts else "distribution" if shares else self._task
            check_parts(
                recipe, task=task, num_classes=examples.num_classes, has_costs=examples.costs is not None,
                stacked=stacked,
            )  # fmt: skip
            self._given().check(recipe, examples)
        refuse_unused([*own, *map(Recipe.from_flat, also)], given, kind=self._given().kind)
        return {}

    def advance(self, *, trials: list[Reply], folds: list[Fold], until: int, metric: str, final: bool) -> Reply:
        """Trains trials until that many epochs in all.

        trials: {"trial", "recipe", "inherited": epochs that a copy has from its parent}; folds: the members of each;
        final: they may be delivered, so their states are kept.
        Emits {"event": "point", "trial", "row"} for every epoch of every trial, {"event": "end", "trial", "best"} for
        one that stops early, and "saved" when all that is safe. Returns what engines were chosen, and the seconds until
        they had their inputs.
        """
        jobs = [Job(each["trial"], Recipe.from_flat(each["recipe"])) for each in trials]
        cores = self._cores([job.recipe for job in jobs])
        with self._threads(cores):
            copied = {each["trial"] for each in trials if each.get("inherited")}
            begun = time.monotonic()
            groups = [g for own in self._apart(jobs, copied) for g in self._groups(own, folds, cores)]
            preparing_s = time.monotonic() - begun
            while groups:
                units = [Unit(group.jobs, group.lanes, metric, self._kept(), keep_all=final) for group in groups]
                todo = [partial(_advance, unit, until) for unit in units]
                onednn = [group.precision.onednn for group in groups]
                failed = side_by_side(todo, cores=cores, emit=self._emit, onednn=onednn)
                groups = [own for place in failed for own in self._smaller(groups[place], folds)]
        return {"engines": self._chooser.told(), "preparing_s": preparing_s}

    def copy(self, *, trials: list[Reply], folds: list[Fold]) -> Reply:
        """Makes new trials of the state that others are in, with recipes of their own, and keeps them safe.

        trials: {"trial", "recipe", "source", "epoch"}: the epoch at which the source stands. A trial that is there
        already, from before a kill, is left as it is. Raises StorageError where the source's state is lost.
        """
        for epoch in sorted({each["epoch"] for each in trials}):
            own = [each for each in trials if each["epoch"] == epoch]
            recipes = {each["trial"]: Recipe.from_flat(each["recipe"]) for each in own}
            self._kept().copy({each["trial"]: each["source"] for each in own}, recipes, folds, epoch=epoch)
        return {}

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

    def _smaller(self, group: Group, folds: list[Fold]) -> list[Group]:
        """The same jobs in groups of half the size, after memory ran out. Raises StorageError where that is no help."""
        said = self._chooser.smaller(len(group.jobs))
        alone = f"memory ran out with trial {group.jobs[0].trial} alone; try a smaller model"
        require(bool(said), alone, error=StorageError)
        self._emit({"event": "note", "text": said})
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        return self._groups(group.jobs, folds)

    def forget(self, *, trials: list[int], keep: list[int]) -> Reply:
        """Drops trials that will never go on, and the checkpoints that hold none of `keep`."""
        self._kept().forget(trials, keep=keep)
        return {}

    def rehearse(self, *, recipe: Reply, folds: list[Fold]) -> Reply:
        """Seconds that an epoch of one member takes here in company, and one of two members that have none, from a few
        steps; and that its inputs took, which are ready afterwards."""
        own, material, examples = Recipe.from_flat(recipe), self._given(), self._learnt()
        if material.kind == "images" and not material.stacks(own):
            task = self._pictures().rehearsal(own, self._rows, examples, folds)
            alone = self._chooser.rehearse(task, Member(-1, folds[0], own))
            return {"epoch_s": alone, "alone_s": alone, "pair_s": 2 * alone, "prepare_s": 0.0}
        cores = self._cores([own])
        if material.kind == "images":
            material = self._pictures().blank()
        with self._threads(cores):
            begun = time.monotonic()
            material.task(own, self._rows, examples, folds[:1])
            prepare_s = time.monotonic() - begun
            company, alone = self._chooser.epoch_s(material, own, folds, self._rows, examples)
        pair_s = alone * (1 if cores > 1 else 2)
        return {"epoch_s": company / cores, "alone_s": alone, "pair_s": pair_s, "prepare_s": prepare_s}

    def memory(
        self, *, recipes: list[Reply], folds: list[Fold], tuning: Reply | None, rehearsed: Reply | None
    ) -> Reply:  # fmt: skip
        """Bytes that this process has held so far, and that training these recipes together will add.

        tuning: the recipe that a backbone may be fine-tuned with; rehearsed: of a network from scratch, the one that
        was rehearsed.
        """
        own, examples = [Recipe.from_flat(each) for each in recipes], self._learnt()
        cores, chooser = self._cores(own), self._chooser
        with self._threads(cores):
            if self._given().kind == "images":
                from tame.kinds.pictures.memory import of_pictures  # what it needs of timm is there by now

                later, tried = (Recipe.from_flat(each) if each else None for each in (tuning, rehearsed))
                inputs = self._pictures().inputs
                adds = of_pictures(inputs, own, folds, examples, cores=cores, tuning=later, rehearsed=tried)
            elif self._given().kind == "table":
                adds = of_tables(self._given(), own, folds, self._rows, examples, chooser=chooser, cores=cores)
            else:
                adds = of_arrays(self._given(), own, folds, self._rows, examples, chooser=chooser)
        device = None
        if self._device.type == "cuda":
            total = torch.cuda.get_device_properties(self._device).total_memory
            device = {"peak_bytes": torch.cuda.max_memory_allocated(self._device), "total_bytes": total}
        return {"process": os.getpid(), "peak_bytes": peak_bytes(), "adds_bytes": adds, "device": device}

    def slowdown(self, *, recipe: Reply) -> Reply:
        """How many times as long others on this machine make the short steps of a recipe; 1 where steps are long, since
        what was measured of them holds it already."""
        small = self._device.type == "cpu" and self._given().small(Recipe.from_flat(recipe))
        return {"slowdown": slowdown(usable_cores()) if small else 1.0}

    def _cores(self, recipes: Sequence[Recipe]) -> int:
        """How many trainings of these recipes go on side by side: one on each core where their steps are small."""
        small = self._device.type == "cpu" and all(map(self._given().small, recipes))
        return usable_cores() if small else 1

    @staticmethod
    def _threads(cores: int) -> threads:
        return threads(1 if cores > 1 else torch.get_num_threads())

    # Judging ---------------------------------------------------------------------------------------------------------

    def validation(self, *, trials: list[Reply], folds: list[Fold]) -> Reply:
        """Canonical outputs of the validated examples for each trial, each by the member that has not seen it."""
        found = {}
        for each in trials:
            job = Job(each["trial"], Recipe.from_flat(each["recipe"]))
            outputs, rows = self._pooled(job, each["epochs"], folds, each.get("losses"))
            found[str(job.trial)] = {"rows": [self._rows[row] for row in rows], "outputs": outputs.tolist()}
        return {"validation": found}

    def train_again(self, *, members: list[Reply]) -> Reply:
        """Trains members that were let go, or that nobody has trained yet, so that they are there to be judged.

        members: {"trial", "recipe", "epochs", "fold", "losses"}, as `network` takes them.
        """
        jobs = [Job(each["trial"], Recipe.from_flat(each["recipe"])) for each in members]
        cores = self._cores([job.recipe for job in jobs])

        def train(lane: Lane, own: Reply, emit: Emit) -> bool:
            said = {"event": "progress", "what": "epochs of what is delivered", "total": own["epochs"]}
            self._trained(lane, own["epochs"], own.get("losses"), on_epoch=lambda done: emit({**said, "done": done}))
            return True

        with self._threads(cores):
            groups = [self._alone(job, each["fold"]) for job, each in zip(jobs, members, strict=True)]
            todo = [partial(train, group.lanes[0], each) for group, each in zip(groups, members, strict=True)]
            side_by_side(todo, cores=cores, emit=self._emit, onednn=[group.precision.onednn for group in groups])
        return {}

    def network(
        self, *, trial: int, recipe: Reply, epochs: int, fold: Fold, labels: list[str],
        losses: list[float | None] | None = None,
    ) -> Reply:  # fmt: skip
        """Makes this member the network that is scored and delivered from here on. losses: see `_trained`."""
        job = Job(trial, Recipe.from_flat(recipe))
        group = self._alone(job, fold)
        (lane,) = group.lanes
        with by_onednn(group.precision.onednn):
            population = self._trained(lane, epochs, losses)
        module = lane.engine.module(population, 0)
        task = self._chooser.task_of(lane)
        self._network = self._given().network(task, module, job.recipe, fold, self._task, labels)
        return {}

    def judge(self, *, rows: list[int]) -> Reply:
        """Canonical outputs of examples by that network."""
        return {"outputs": self._given().judge(self._chosen(), rows, cached=True).tolist()}

    def deliver(self, *, folder: str) -> Reply:
        """Writes that network as a model folder, and returns its files with their hashes."""
        return {"files": write_network(self._chosen(), Path(folder))}

    def judge_again(self, *, folder: str, rows: list[int]) -> Reply:
        """Canonical outputs by the network of a model folder, from the folder and the raw examples alone."""
        build = self._material.build if isinstance(self._material, ArrayMaterial) else None
        network = read_network(Path(folder), build)
        return {"outputs": self._given().judge(network, rows, cached=False).tolist()}

    # Members one by one ----------------------------------------------------------------------------------------------

    def _alone(self, job: Job, fold: Fold) -> Group:
        """One member alone, in the engine that trained it in company."""
        (group,) = self._groups([job], [fold])
        return group

    def _pooled(
        self, job: Job, epochs: int, folds: Sequence[Fold], losses: list[float | None] | None
    ) -> tuple[Tensor, Tensor]:
        """Outputs (n, C) of the validated examples, each by the member that has not seen it, and their rows (n,)."""
        seen = []
        for fold in folds:
            group = self._alone(job, fold)
            (lane,) = group.lanes
            rows = self._learnt().validates(lane.members[0]).nonzero().squeeze(1)
            with by_onednn(group.precision.onednn):
                population = self._trained(lane, epochs, losses)
                own = lane.engine.predict(population, rows.to(self._device))[0].float().cpu()
            seen.append((rows, lane.examples.undo(own, fold)))
        rows = torch.cat([rows for rows, _ in seen])
        order = rows.argsort()
        return torch.cat([outputs for _, outputs in seen])[order], rows[order]

    def _trained(
        self, lane: Lane, epochs: int, losses: list[float | None] | None,
        *, on_epoch: Callable[[int], None] = lambda epoch: None,
    ) -> Population:  # fmt: skip
        """The member after so many epochs; trained again, alone and with the same result, where it was let go.

        losses: the trial's validation losses, where its rates depended on them.
        """
        (member,) = lane.members
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
        self._emit({"event": "doing", "what": what, "limit_s": limit_s})

    def _say(self, what: str, done: int, total: int) -> None:
        self._emit({"event": "progress", "what": what, "done": done, "total": total})


def _advance(unit: Unit, until: int, emit: Emit) -> bool:
    """Whether memory sufficed to train a unit until that many epochs in all."""
    trials = [job.trial for job in unit.jobs]
    try:
        unit.advance(
            until=until,
            emit=lambda trial, row: emit({"event": "point", "trial": trial, "row": row}),
            saved=lambda: emit({"event": "saved", "trials": trials}),
            end=lambda trial, best: emit({"event": "end", "trial": trial, "best": best}),
        )
    except RuntimeError as problem:
        if not is_out_of_memory(problem):
            raise
        return False
    return True
