"""Pictures in the process that trains: heads on frozen features, fine-tuning, networks from scratch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from tame.adjust import portfolio
from tame.core.errors import DataError, WorkerError, require
from tame.core.plain import from_plain, to_plain
from tame.core.recipe import Recipe
from tame.core.result_parts import BackboneFacts
from tame.data.cache import ArrayCache
from tame.data.image_crops import small_copy
from tame.data.image_hashes import perceptual_hash
from tame.data.image_loading import load_pixels
from tame.data.picture_traits import light_of
from tame.data.quality import find_duplicates, find_equal, find_parts
from tame.data.suspects import Suspect, can_be_judged, suspects_by, unseen_outputs, unseen_probabilities
from tame.data.unseen import area
from tame.data.views import central_pixels
from tame.data.wrong_labels import OF_FEATURES, wrong_labels
from tame.kinds.costs import Speed
from tame.kinds.linear import QUESTION, LinearAnswer, answer_linear, read_asked
from tame.kinds.pictures.commands import (
    Apart,
    Compare,
    Compared,
    Duplicates,
    Features,
    Given,
    Labelled,
    Lights,
    Look,
    Missing,
    Opened,
    Parted,
    Rows,
    SpeedAsked,
    SuspectPicture,
    Suspects,
)
from tame.kinds.pictures.comparison import compare, examples_of, scratch_recipe, task_of
from tame.kinds.pictures.features import Pictures
from tame.kinds.pictures.inputs import Inputs
from tame.kinds.pictures.memory import of_pictures
from tame.kinds.pictures.prediction import empty_network, looked_at, prepared
from tame.kinds.pictures.tasks import FeatureTask, PixelTask, Tuned, TunedTask
from tame.parts.backbones import Backbone, open_backbone
from tame.parts.mlp import Mlp
from tame.parts.models import OWN_MODELS, build_model
from tame.parts.network import Network, plain_head, read_network
from tame.trial.commands import Fold, Plain
from tame.trial.population import Examples, Member, Task, joint
from tame.trial.stacked import Stacked
from tame.trial.training_material import Room, Trained, not_asked, scale_of, scaled

T = TypeVar("T")

SHORTEST = 384  # pixels of the shorter side of what is kept of a picture: enough for every input size
LINEAR_SIDE = 16  # pixels of the copies that a linear model sees where there is no backbone
FEATURE_LENGTH = 16.0  # of the scaled features, on average: the rates of the portfolio are meant for it
PROBE = {  # the head that fine-tuning starts from
    "model.pooled": 0, "model.unfrozen": 0, "input.views": 2, "optimizer.name": "nesterov", "optimizer.lr": 3e-3,
    "optimizer.momentum": 0.9, "optimizer.weight_decay": 1e-3, "schedule.name": "cosine", "schedule.warmup": 0.0,
    "epochs": 20, "batch_size": 64, "then.start": 1.0, "regularize.early_stopping": 0,
}  # fmt: skip


class PictureMaterial:
    """Decoded pictures and, where there is one, the backbone they pass."""

    kind = "images"
    reason = "convolutions are slower together"

    def __init__(self, inputs: Inputs, *, cache: Path, blank: bool = False) -> None:
        """blank: whether features are zeros, on which training takes as long as on what is not computed yet."""
        self.inputs = inputs
        self._cache = cache
        self._blank = blank

    def answer(self, question: str, given: Plain, rows: Sequence[int]) -> Plain:
        """Answers the questions of `kinds/pictures/commands.py`."""
        answers: dict[str, Callable[[Plain, Sequence[int]], object]] = {
            "speed": self._speed,
            "duplicates": self._duplicates,
            "suspects": self._suspects,
            "lights": self._lights,
            "apart": self._apart,
            QUESTION: self._linear,
            "compare": self._compare,
            "missing": self._missing,
            "prepare": self._prepare,
        }
        if question not in answers:
            raise not_asked(question, "pictures", answers)
        found = answers[question](given, rows)
        return {} if found is None else to_plain(found)

    def rehearsed(self) -> PictureMaterial:
        """The same with blank features, to rehearse heads before there are any."""
        return PictureMaterial(self.inputs, cache=self._cache, blank=True)

    def check(self, recipe: Recipe, examples: Examples) -> None:
        if self.inputs.backbone is None:
            build_model(recipe.model, 2)
        else:
            name = recipe.model.name
            mend = f"model.name is 'head', not {name!r}; for a network from scratch, add --backbone none"
            require(name == "head", f"with a backbone, {mend}")
            most, own = len(self.inputs.backbone.pooled), recipe.model.pooled
            require(own <= most, f"{self.inputs.backbone.name} has {most} stages that can be averaged, not {own}")
        require(not recipe.model.unfrozen, "model.unfrozen is set by fine-tuning, after the heads; it cannot be fixed")
        require(not recipe.augment.noise, "augment.noise is for the numbers of tables; leave it out")
        frozen = recipe.model.name == "head"
        require(
            not (frozen and recipe.regularize.cutmix),
            "regularize.cutmix pastes parts of pictures; on frozen features use regularize.mixup",
        )

    def small(self, recipe: Recipe) -> bool:
        return self.stacks(recipe) or recipe.model.name in OWN_MODELS

    def stacks(self, recipe: Recipe) -> bool:
        return recipe.model.name == "head" and not recipe.model.unfrozen

    def task(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task:
        inputs, examples = self.inputs, scaled(examples, recipe)
        autocast = torch.bfloat16 if inputs.half() else None
        if self.stacks(recipe):
            features, shift, scale = self._scaled(recipe, rows)
            return FeatureTask(features, examples.to(inputs.device), inputs.device, shift=shift, scale=scale)
        apart = replace(examples, together=False)
        if recipe.model.name != "head":
            pixels, draws = inputs.pixels(rows, recipe), not self.small(recipe)
            return PixelTask(pixels, apart, inputs.device, autocast, draws=draws)
        heads = self._first_heads(recipe, rows, examples, folds)
        return inputs.tuned_task(recipe, rows, heads, apart, autocast)

    def rehearsal(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> Task | None:
        """As `task`, but heads are not trained first."""
        if self.stacks(recipe):
            return None
        if recipe.model.name != "head":
            return self.task(recipe, rows, examples, folds)
        assert self.inputs.backbone is not None
        examples = scaled(examples, recipe)
        width = self.inputs.backbone.width(recipe.model.pooled)
        blank = FeatureTask(torch.zeros(1, 1, width), examples, self.inputs.device)
        heads = {fold: blank.build(Member(-1, fold, recipe.but({"model.unfrozen": 0}))) for fold in folds}
        autocast = torch.bfloat16 if self.inputs.half() else None
        apart = replace(examples, together=False)
        return self.inputs.tuned_task(recipe, rows, _heads(heads), apart, autocast)

    def lanes(self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]) -> list[list[Fold]]:
        return [list(folds)] if self.stacks(recipe) and joint(examples, recipe) else [[fold] for fold in folds]

    def network(
        self, task: Task, module: nn.Module, recipe: Recipe, fold: Fold, kind_of_task: str, labels: Sequence[str]
    ) -> Network:
        backbone = None if isinstance(task, PixelTask) else self.inputs.backbone
        run = {} if backbone is None else asdict(self.inputs.speed())
        if isinstance(task, FeatureTask):
            assert isinstance(module, Mlp)
            assert task.shift is not None
            assert task.scale is not None
            module = plain_head(module, shift=task.shift, scale=task.scale)
        elif isinstance(task, TunedTask):
            assert isinstance(module, Tuned)
            backbone, module = self.inputs.tuned_backbone(module), module.head
        own: dict[str, object] = {**prepared(self.inputs.pictures.bits)}
        own = own if labels else {**own, "target": scale_of(task.examples, fold)}
        return Network(self.kind, kind_of_task, recipe, tuple(labels), module.eval(), backbone, run, SHORTEST, own)

    def adds_bytes(self, trained: Trained) -> int:
        return of_pictures(self.inputs, trained)

    def read(self, folder: Path) -> Network:
        return read_network(folder, empty_network)

    def judge(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor:
        return self._looked_at(network, rows, cached=cached)[0]

    def seen(self, network: Network, rows: Sequence[int], *, cached: bool) -> Tensor | None:
        return self._looked_at(network, rows, cached=cached)[1]

    def _looked_at(self, network: Network, rows: Sequence[int], *, cached: bool) -> tuple[Tensor, Tensor | None]:
        own = self.inputs.pictures
        some = Pictures([own.pixels[row] for row in rows], [own.digests[row] for row in rows])
        return looked_at(network, some, device=self.inputs.device, cache=self._cache if cached else None)

    def _speed(self, given: Plain, _: Sequence[int]) -> Speed:
        asked = _read(SpeedAsked, given, "speed")
        return self.inputs.measure(size=asked.size, crop=asked.crop, known=asked.known)

    def _duplicates(self, given: Plain, _: Sequence[int]) -> Duplicates:
        """Pairs of pictures that are the same or nearly: by perceptual hash, features, turned or cropped."""
        look, features = _read(Look, given, "duplicates"), None
        if self.inputs.backbone is not None:
            rows = range(len(self.inputs.pictures.pixels))
            features = self.inputs.features(rows, size=look.size, views=1, crop=look.crop)[0].cpu().numpy()
        pixels = self.inputs.pictures.pixels
        hashes = [perceptual_hash(array) for array in pixels]
        found = set(find_duplicates(hashes, features, digests=self.inputs.pictures.digests))
        small = np.stack([small_copy(array) for array in pixels])
        parts, crowd = find_parts(small)
        found |= {*find_equal(pixels, small), *parts}
        return Duplicates(tuple(sorted(found)), crowd)

    def _suspects(self, given: Plain, _: Sequence[int]) -> Suspects:
        asked = _read(Labelled, given, "suspects")
        labels, num_classes = np.array(asked.labels), asked.num_classes
        if not can_be_judged(labels, num_classes=num_classes):
            return Suspects(())
        features = self._plain_features(asked.look, asked.rows)
        probability = unseen_probabilities(features, labels, num_classes=num_classes)
        found = suspects_by(probability, labels)
        many = wrong_labels(probability, labels, OF_FEATURES)
        if many is not None:
            have = {suspect.row for suspect in found}
            more = zip(many.rows.tolist(), many.likely.tolist(), many.probability.tolist(), strict=True)
            found += [Suspect(row, likely, own) for row, likely, own in more if row not in have]
        named = tuple(SuspectPicture(asked.rows[s.row], s.likely, s.probability) for s in found)
        return Suspects(named) if many is None else Suspects(named, many.share, many.sure)

    def _lights(self, given: Plain, _: Sequence[int]) -> Lights:
        pixels = self.inputs.pictures.pixels
        return Lights(tuple(light_of(pixels[row]) for row in _read(Rows, given, "lights").rows))

    def _apart(self, given: Plain, _: Sequence[int]) -> Apart:
        asked = _read(Parted, given, "apart")
        features, is_later = self._plain_features(asked.look, asked.rows), np.array(asked.is_later)
        outputs = unseen_outputs(features.astype(np.float64), is_later[:, None].astype(np.float64))
        return Apart(*area(outputs[:, 0], is_later))

    def _linear(self, given: Plain, _: Sequence[int]) -> LinearAnswer:
        """On the features that heads are trained on; without a backbone on very small copies of the pictures."""
        asked, inputs = read_asked(given), self.inputs
        parts = (asked.fitting.rows, asked.fitting.judged)
        if inputs.backbone is not None:
            look = Look(asked.size, asked.crop)
            return answer_linear(asked, *(self._plain_features(look, each) for each in parts))
        seen = [[inputs.pictures.pixels[row] for row in each] for each in parts]
        small = (central_pixels(each, size=LINEAR_SIDE, crop=1.0).flatten(1).numpy() for each in seen)
        return answer_linear(asked, *small)

    def _plain_features(self, look: Look, rows: Sequence[int]) -> np.ndarray:
        """(n, D) features of pictures as they are."""
        found = self.inputs.features(rows, size=look.size, views=1, crop=look.crop)[0]
        return np.asarray(found.cpu().numpy())

    def _compare(self, given: Plain, _: Sequence[int]) -> Compared:
        asked = _read(Compare, given, "compare")
        inputs, examples = self.inputs, examples_of(asked)
        about = {"input.size": asked.size, "input.crop": asked.crop, "seed": asked.seed}
        head = Recipe().but({**PROBE, **about, "loss.name": portfolio.default_loss(task_of(asked))})
        features, shift, scale = self._scaled(head, asked.rows)
        pixels = inputs.pixels(asked.rows, scratch_recipe(asked))
        return compare(
            asked, head, FeatureTask(features, examples.to(inputs.device), inputs.device, shift=shift, scale=scale),
            PixelTask(pixels, examples, inputs.device),
        )  # fmt: skip

    def _missing(self, given: Plain, rows: Sequence[int]) -> Missing:
        asked = _read(Features, given, "missing")
        own = rows if asked.rows is None else asked.rows
        return Missing(self.inputs.missing(own, size=asked.size, views=asked.views, crop=asked.crop))

    def _prepare(self, given: Plain, rows: Sequence[int]) -> None:
        asked = _read(Features, given, "prepare")
        own = rows if asked.rows is None else asked.rows
        self.inputs.features(own, size=asked.size, views=asked.views, crop=asked.crop)

    def _scaled(self, recipe: Recipe, rows: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        """Features (V, N, D) that are centred and have length 16 on average, with the shift (D,) and the scale (D,).

        One scale for all features of a stage, so that gradient descent finds what it would find on the plain ones, in
        fewer steps; the scales make all stages as long, since their numbers are of different sizes.
        """
        own, given = self.inputs.backbone, recipe.input
        assert own is not None
        pooled = recipe.model.pooled
        if self._blank:
            zeros = torch.zeros(1, 1, own.width(pooled), device=self.inputs.device)
            return zeros.expand(given.views, len(rows), -1), zeros[0, 0], zeros[0, 0]
        plain = self.inputs.features(rows, size=given.size, views=given.views, crop=given.crop, pooled=pooled)
        shift = plain[0].mean(dim=0)
        widths = [*own.pooled[len(own.pooled) - pooled :], own.num_features]
        lengths = [each.square().sum(dim=1).mean().sqrt() for each in torch.split(plain[0] - shift, widths, dim=1)]
        each = [
            (FEATURE_LENGTH / len(widths) ** 0.5 / length.clamp(min=1e-12)).expand(width)
            for length, width in zip(lengths, widths, strict=True)
        ]
        scale = torch.cat(each)
        return (plain - shift) * scale, shift, scale

    def _first_heads(
        self, recipe: Recipe, rows: Sequence[int], examples: Examples, folds: Sequence[Fold]
    ) -> dict[Fold, Mlp]:
        """The head that fine-tuning starts from, for each fold: one trained on the frozen features first.

        Source: Kumar et al., Fine-Tuning can Distort Pretrained Features (2022): probe first, then tune.
        """
        probe = recipe.but({**PROBE, "seed": recipe.seed})
        features, shift, scale = self._scaled(probe, rows)
        stacked = Stacked(FeatureTask(features, examples.to(self.inputs.device), self.inputs.device))
        members = [Member(-1, fold, probe) for fold in folds]
        population = stacked.advance(stacked.start(members), until=probe.epochs, watch=lambda *_: None)
        heads = {fold: stacked.module(population, i) for i, fold in enumerate(folds)}
        return {fold: plain_head(head, shift=shift, scale=scale) for fold, head in _heads(heads).items()}


def _heads(modules: dict[Fold, nn.Module]) -> dict[Fold, Mlp]:
    return {fold: module for fold, module in modules.items() if isinstance(module, Mlp)}


def open_material(given: Plain, room: Room) -> tuple[PictureMaterial, Plain]:
    """Opens the backbone and decodes all pictures: `kinds/pictures/commands.py` has what is given and answered."""
    asked = _read(Given, given, "open")
    backbone = open_backbone(asked.backbone, cache=room.cache) if asked.backbone else None
    pixels = ArrayCache(room.cache / "pixels", under=room.under and room.under / "pixels")
    decoded = partial(room.say, "decode")
    loaded = load_pixels(asked.pictures, shortest=SHORTEST, cache=pixels, on_progress=decoded)
    require(len(loaded.pictures) > 0, "none of the pictures can be read", error=DataError)
    own = Pictures(loaded.arrays, loaded.keys, loaded.bits)
    inputs = Inputs(own, backbone, cache=room.cache, under=room.under, device=room.device, say=room.say)
    about = Opened(
        kept=tuple(picture.id for picture in loaded.pictures),
        skipped=tuple(loaded.skipped),
        sides=tuple(min(array.shape[:2]) for array in loaded.arrays),
        device=room.device.type,
        backbone=None if backbone is None else facts_of(backbone),
    )
    return PictureMaterial(inputs, cache=room.cache), to_plain(about)


def facts_of(backbone: Backbone) -> BackboneFacts:
    """What the coordinator must know of a backbone."""
    config = backbone.config
    return BackboneFacts(
        name=backbone.name, digest=backbone.digest, size=backbone.size, fixed_size=backbone.fixed_size,
        num_features=backbone.num_features, stages=len(backbone.stages), pooled=len(backbone.pooled),
        crop=float(config.get("crop_pct", 0.875)),
        license=config.get("license"), architecture=config.get("architecture"),
    )  # fmt: skip


def _read(kind: type[T], given: Plain, question: str) -> T:
    return from_plain(kind, given, what=f"{question!r} of pictures", error=WorkerError)
