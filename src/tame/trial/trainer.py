"""What the process that trains can do: one method a command, plain JSON values in and out.

A trial is trained as one member for each fold it is validated in; a finalist under cross-validation also as one member
on all examples, which is the one that can be delivered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tame.core.errors import DataError, require
from tame.core.recipe import Recipe
from tame.data.cache import ArrayCache
from tame.data.images import Picture, load_pixels, perceptual_hash
from tame.data.quality import find_duplicates
from tame.parts.backbones import open_backbone
from tame.parts.losses import LOSSES
from tame.parts.models import MODELS, Head, head_shapes
from tame.parts.network import Network, plain_head, read_network, write_network
from tame.parts.optimizers import OPTIMIZERS
from tame.parts.schedules import SCHEDULES
from tame.store.checkpoints import Checkpoints
from tame.trial.features import Pictures, Speed
from tame.trial.inputs import Inputs
from tame.trial.judge import judge
from tame.trial.pixels import PixelTask, Tuned
from tame.trial.population import Engine, Examples, Member, Population
from tame.trial.serial import Serial
from tame.trial.stacked import Stacked, group_key
from tame.trial.unit import Fold, Job, Shelf, Unit

Reply = dict[str, Any]
Emit = Callable[[Reply], None]
SHORTEST = 384  # pixels of the shorter side of what is kept of a picture: enough for every input size
FEATURE_LENGTH = 16.0  # of the scaled features, on average: the rates of the portfolio are meant for it
PROBE = {  # the head that fine-tuning starts from
    "model.unfrozen": 0, "input.views": 2, "optimizer.name": "sgd", "optimizer.lr": 3e-3, "optimizer.momentum": 0.9,
    "optimizer.weight_decay": 1e-3, "schedule.name": "cosine", "schedule.warmup": 0.0, "epochs": 20, "batch_size": 64,
}  # fmt: skip
GROUP_BYTES = 256 * 2**20  # of parameters, gradients and moments of the members that are trained at once


class Trainer:
    """The commands of the worker. `emit` sends what happens on the way to the coordinator."""

    def __init__(self, *, cache: str, study: str | None, emit: Emit) -> None:
        self._cache = Path(cache)
        self._emit = emit
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._shelf = Shelf(Checkpoints(Path(study) / "checkpoints")) if study else None
        self._inputs: Inputs | None = None
        self._network: Network | None = None
        self._rows: list[int] = []
        self._examples: Examples | None = None

    def open(self, *, pictures: Sequence[dict[str, Any]], backbone: str | None) -> Reply:
        """Opens the backbone and decodes all pictures. Returns what was kept and skipped, and what is known of both."""
        opened = open_backbone(backbone) if backbone else None
        given = [Picture(**each) for each in pictures]
        cache = ArrayCache(self._cache / "pixels")
        loaded = load_pixels(given, shortest=SHORTEST, cache=cache, on_progress=lambda i, n: self._say("decode", i, n))
        require(len(loaded.pictures) > 0, "none of the pictures can be read", error=DataError)
        own = Pictures(loaded.arrays, [picture.digest for picture in loaded.pictures])
        self._inputs = Inputs(own, opened, cache=self._cache, device=self._device, say=self._say)
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

    def speed(self, *, size: int, crop: float, known: Reply | None) -> Reply:
        """How the backbone is run here, and how fast: as known, or measured at a size."""
        own = Speed(**known) if known else None
        return asdict(self._given().measure(size=size, crop=crop, known=own))

    def duplicates(self, *, size: int, crop: float) -> Reply:
        """Pairs of pictures that are the same or nearly: by perceptual hash, then by the backbone's features."""
        inputs = self._given()
        features = None
        if inputs.backbone is not None:
            rows = range(len(inputs.pictures.pixels))
            features = inputs.features(rows, size=size, views=1, crop=crop)[0].cpu().numpy()
        hashes = [perceptual_hash(array) for array in inputs.pictures.pixels]
        return {"pairs": find_duplicates(hashes, features, digests=inputs.pictures.digests)}

    def missing(self, *, rows: list[int], size: int, views: int, crop: float) -> Reply:
        """How many passes through the backbone the features of these pictures still need."""
        return {"passes": self._given().missing(rows, size=size, views=views, crop=crop)}

    def learn(self, *, rows: list[int], labels: list[int], folds: list[int], num_classes: int) -> Reply:
        """Gives the examples that are not sealed. rows: picture numbers; folds: -1 for never validated."""
        self._rows = list(rows)
        self._examples = Examples(torch.tensor(labels), torch.tensor(folds), num_classes)
        return {}

    def check(self, *, recipes: list[Reply]) -> Reply:
        """Nothing, if every part that these recipes name exists. Raises UsageError with the nearest name."""
        for each in recipes:
            recipe = Recipe.from_flat(each)
            LOSSES.get(recipe.loss.name)
            OPTIMIZERS.get(recipe.optimizer.name)
            SCHEDULES.get(recipe.schedule.name)
            backbone = self._given().backbone
            if backbone is None:
                MODELS.get(recipe.model.name)
            else:
                require(
                    recipe.model.name == "head", f"with a backbone, model.name is 'head', not {recipe.model.name!r}"
                )
            require(
                not recipe.model.unfrozen, "model.unfrozen is set by fine-tuning, after the heads; it cannot be fixed"
            )
        return {}

    def prepare(self, *, size: int, views: int, crop: float) -> Reply:
        """Computes (or finds) the features of all examples at a size."""
        self._given().features(self._rows, size=size, views=views, crop=crop)
        return {}

    def advance(self, *, trials: list[Reply], folds: list[Fold], until: int, metric: str, final: bool) -> Reply:
        """Trains trials until that many epochs in all.

        trials: {"trial", "recipe"}; folds: the members of each; final: they may be delivered, so their states are kept.
        Emits {"event": "point", "trial", "row"} for every epoch of every trial, and "saved" when those are safe.
        """
        jobs = [Job(each["trial"], Recipe.from_flat(each["recipe"])) for each in trials]

        def point(trial: int, row: list[Any]) -> None:
            self._emit({"event": "point", "trial": trial, "row": row})

        for group in self._groups(jobs, folds):
            engine = self._engine(group[0].recipe, folds)
            unit = Unit(engine, group, folds, self._learnt(), metric, self._kept(), keep_all=final)
            unit.advance(until=until, emit=point, saved=lambda: self._emit({"event": "saved"}))
        return {}

    def forget(self, *, trials: list[int], keep: list[int]) -> Reply:
        """Drops trials that will never go on, and the checkpoints that hold none of `keep`."""
        self._kept().forget(trials, keep=keep)
        return {}

    def validation(self, *, trials: list[Reply], folds: list[Fold]) -> Reply:
        """Logits of the validated examples for each trial, each by the member that has not seen it."""
        found = {}
        for each in trials:
            job = Job(each["trial"], Recipe.from_flat(each["recipe"]))
            logits, rows = self._pooled(job, each["epochs"], folds)
            found[str(job.trial)] = {"rows": [self._rows[row] for row in rows], "logits": logits.tolist()}
        return {"validation": found}

    def rehearse(self, *, recipe: Reply, folds: list[Fold]) -> Reply:
        """Seconds that an epoch of one member takes here, from a few steps; its inputs are ready afterwards."""
        own, inputs = Recipe.from_flat(recipe), self._given()
        if inputs.backbone is None:
            scratch = Serial(PixelTask(inputs.pixels(self._rows, own), self._learnt(), self._device))
            return {"epoch_s": scratch.rehearse(Member(-1, folds[0], own))}
        features, classes = inputs.backbone.num_features, self._learnt().num_classes
        heads: dict[Fold, Head] = {fold: Head(features, classes, hidden=own.model.hidden) for fold in folds}
        autocast = torch.bfloat16 if inputs.half() else None
        engine = Serial(inputs.tuned_task(own, self._rows, heads, self._learnt(), autocast))
        return {"epoch_s": engine.rehearse(Member(-1, folds[0], own))}

    def network(self, *, trial: int, recipe: Reply, epochs: int, fold: Fold, labels: list[str]) -> Reply:
        """Makes this member the network that is scored and delivered from here on."""
        self._network = self._finished(Job(trial, Recipe.from_flat(recipe)), epochs, fold, labels)
        return {}

    def judge(self, *, rows: list[int]) -> Reply:
        """Logits of pictures by that network."""
        found = judge(self._chosen(), self._some(rows), device=self._device, cache=self._cache)
        return {"logits": found.tolist()}

    def deliver(self, *, folder: str) -> Reply:
        """Writes that network as a model folder, and returns its files with their hashes."""
        return {"files": write_network(self._chosen(), Path(folder))}

    def judge_again(self, *, folder: str, rows: list[int]) -> Reply:
        """Logits of pictures by the network of a model folder, from the folder and the pictures alone."""
        return {"logits": judge(read_network(Path(folder)), self._some(rows), device=self._device).tolist()}

    # How a recipe is trained -----------------------------------------------------------------------------------------

    def _groups(self, jobs: Sequence[Job], folds: Sequence[Fold]) -> list[list[Job]]:
        """Jobs that are trained together: heads by shape and as many as fit, everything else one by one."""
        groups: dict[Any, list[list[Job]]] = {}
        for job in jobs:
            if not self._is_head(job.recipe):
                groups[job.trial] = [[job]]
                continue
            own = groups.setdefault(group_key(job.recipe), [[]])
            if len(own[-1]) >= self._most(job.recipe, len(folds)):
                own.append([])
            own[-1].append(job)
        return [group for own in groups.values() for group in own]

    def _most(self, recipe: Recipe, num_folds: int) -> int:
        backbone = self._given().backbone
        assert backbone is not None
        shapes = head_shapes(backbone.num_features, self._learnt().num_classes, hidden=recipe.model.hidden)
        weights = sum(math.prod(shape) for shape in shapes.values())
        return max(1, GROUP_BYTES // (weights * 4 * 4 * num_folds))

    def _engine(self, recipe: Recipe, folds: Sequence[Fold]) -> Engine:
        inputs, examples = self._given(), self._learnt()
        autocast = torch.bfloat16 if inputs.half() else None
        if recipe.model.name != "head":
            return Serial(PixelTask(inputs.pixels(self._rows, recipe), examples, self._device, autocast))
        if not recipe.model.unfrozen:
            features, _, _ = self._scaled(recipe)
            return Stacked(features, examples.to(self._device))
        heads = self._first_heads(recipe, folds)
        return Serial(inputs.tuned_task(recipe, self._rows, heads, examples, autocast))

    def _scaled(self, recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
        """Features (V, N, D) that are centred and have length 16 on average, with the shift (D,) and the scale ().

        One scale for all features: gradient descent then finds what it would find on the plain ones, in fewer steps.
        """
        plain = self._given().features(
            self._rows, size=recipe.input.size, views=recipe.input.views, crop=recipe.input.crop
        )
        shift = plain[0].mean(dim=0)
        scale = FEATURE_LENGTH / (plain[0] - shift).square().sum(dim=1).mean().sqrt().clamp(min=1e-12)
        return (plain - shift) * scale, shift, scale

    def _first_heads(self, recipe: Recipe, folds: Sequence[Fold]) -> dict[Fold, Head]:
        """The head that fine-tuning starts from, for each fold: one trained on the frozen features first.

        Source: Kumar et al., Fine-Tuning can Distort Pretrained Features (2022): probe first, then tune.
        """
        probe = recipe.but({**PROBE, "seed": recipe.seed})
        features, shift, scale = self._scaled(probe)
        stacked = Stacked(features, self._learnt().to(self._device))
        members = [Member(-1, fold, probe) for fold in folds]
        population = stacked.advance(stacked.start(members), until=probe.epochs, watch=lambda *_: None)
        heads = [plain_head(stacked.head(population, i), shift=shift, scale=scale) for i in range(len(folds))]
        return dict(zip(folds, heads, strict=True))

    def _finished(self, job: Job, epochs: int, fold: Fold, labels: Sequence[str]) -> Network:
        """The network of a member after so many epochs."""
        inputs, recipe = self._given(), job.recipe
        engine = self._engine(recipe, [fold])
        population = self._trained(engine, Member(job.trial, fold, recipe), epochs)
        backbone = inputs.backbone
        run = {} if backbone is None else asdict(inputs.speed())
        module: nn.Module
        if isinstance(engine, Stacked):
            _, shift, scale = self._scaled(recipe)
            module = plain_head(engine.head(population, 0), shift=shift, scale=scale)
        else:
            assert isinstance(engine, Serial)
            module, _ = engine.restore(population)
            if isinstance(module, Tuned):
                backbone, module = inputs.tuned_backbone(module), module.head
        return Network(recipe, tuple(labels), backbone, module.eval(), run, SHORTEST)

    def _pooled(self, job: Job, epochs: int, folds: Sequence[Fold]) -> tuple[Tensor, Tensor]:
        """Logits (n, C) of the validated examples, each by the member that has not seen it, and their rows (n,)."""
        examples, engine = self._learnt(), self._engine(job.recipe, folds)
        seen = []
        for fold in folds:
            member = Member(job.trial, fold, job.recipe)
            rows = examples.validates(member).nonzero().squeeze(1)
            seen.append((rows, engine.predict(self._trained(engine, member, epochs), rows)[0].float().cpu()))
        rows = torch.cat([rows for rows, _ in seen])
        order = rows.argsort()
        return torch.cat([logits for _, logits in seen])[order], rows[order]

    def _trained(self, engine: Engine, member: Member, epochs: int) -> Population:
        """The member after so many epochs; trained again, alone and with the same result, where it was let go."""
        found = self._kept().get(Job(member.trial, member.recipe), member.fold)
        if found is None or found.epoch != epochs:
            start = found if found is not None and found.epoch < epochs else engine.start([member])
            found = engine.advance(start, until=epochs, watch=lambda *_: None)
            self._kept().put(found)
        return found

    @staticmethod
    def _is_head(recipe: Recipe) -> bool:
        return recipe.model.name == "head" and not recipe.model.unfrozen

    def _some(self, rows: Sequence[int]) -> Pictures:
        own = self._given().pictures
        return Pictures([own.pixels[row] for row in rows], [own.digests[row] for row in rows])

    def _given(self) -> Inputs:
        assert self._inputs is not None, "open() comes first"
        return self._inputs

    def _learnt(self) -> Examples:
        assert self._examples is not None, "learn() comes first"
        return self._examples

    def _kept(self) -> Shelf:
        assert self._shelf is not None, "this worker has no study"
        return self._shelf

    def _chosen(self) -> Network:
        assert self._network is not None, "network() comes first"
        return self._network

    def _say(self, what: str, done: int, total: int) -> None:
        self._emit({"event": "progress", "what": what, "done": done, "total": total})
