"""The exercise on pictures: a network from scratch, trained by a plain loop, and a pretrained one.

No part of it is the sealed part of a study: what is called the exam is cut from the other pictures.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.core.rng import stream, stream_seed
from tame.data.array_pictures import same_pictures
from tame.data.split import groups_of
from tame.data.views import central_pixels
from tame.evaluate.score import Judged, judged_from
from tame.learn.ground import Album
from tame.learn.seen import Seen, SeenTrial
from tame.parts.activations import ACTIVATIONS
from tame.parts.optimizers import plain_optimizer
from tame.trial.draws import same_chance

SIDE, LARGE = 32, 96  # pixels of pictures for a network from scratch, and for the pretrained one
MOST = 400  # pictures
LEAST = 10  # of each class
SHOWN = 8  # of each class on the sheet
FIFTHS, EXAM, VALID = 5, 0, 1
PRETRAINED = "lite0"
HEAD_STEPS, HEAD_RATE, LENGTH = 120, 0.01, 16.0
USUAL = Recipe().but({
    "model.name": "plain_cnn", "model.width": 8, "model.activation": "relu", "optimizer.name": "adamw",
    "optimizer.lr": 3e-3, "optimizer.weight_decay": 0.0, "schedule.name": "constant", "batch_size": 16, "epochs": 12,
    "seed": 0,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class How:
    """A training. softmax: whether the network ends with one; raw: whether its inputs stay as they are in the files."""

    recipe: Recipe = USUAL
    softmax: bool = False
    raw: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """A network that was trained. points: epoch, training loss, validation loss, accuracy; outputs: (n, C) of all
    pictures, of the epoch that is kept; first: the loss on the training pictures before any step."""

    points: tuple[tuple[int, float | None, float | None, float | None], ...]
    outputs: Tensor
    first: float


class Exercise:
    """The pictures in small, their parts, and networks that were trained on them. cache: for the pretrained weights."""

    def __init__(self, album: Album, cache: Path) -> None:
        classes = len(album.classes)
        counts = np.bincount(album.y, minlength=classes)
        few = f"{album.name} has {classes} classes; the smallest has {counts.min()} pictures, and {LEAST} are needed"
        require(classes >= 2 and int(counts.min()) >= LEAST, few)
        some = np.sort(stream(0, "exercise", "some").permutation(len(album.y))[:MOST])
        self.album, self._cache = album, cache
        self.pictures, self.y = [album.pictures[row] for row in some], album.y[some]
        self.x = central_pixels(self.pictures, size=SIDE, crop=1.0)
        self.target = torch.from_numpy(self.y).long()
        self.pairs = same_pictures(self.x.permute(0, 2, 3, 1).numpy())[0]
        self.groups = groups_of(len(self.y), self.pairs)
        part = self.fifths(self.groups)
        self.exam, self.valid, self.train = (
            np.flatnonzero(own) for own in (part == EXAM, part == VALID, part > VALID)
        )  # fmt: skip

    @property
    def guessed(self) -> float:
        """The loss of giving every class the same probability, in nats."""
        return float(np.log(len(self.album.classes)))

    def fifths(self, groups: np.ndarray, y: np.ndarray | None = None) -> np.ndarray:
        """(n,) the fifth that each picture is in: classes in proportion, groups undivided."""
        own = self.y if y is None else y
        found = np.empty(len(own), dtype=np.int64)
        for number, (_, rows) in enumerate(
            StratifiedGroupKFold(FIFTHS, shuffle=True, random_state=0).split(own, own, groups)
        ):
            found[rows] = number
        return found

    def divided(self, part: np.ndarray) -> int:
        """How many pairs of copies lie in two of training, validation and exam."""
        own = np.minimum(part, VALID + 1)
        return sum(bool(own[a] != own[b]) for a, b in self.pairs)

    @cached_property
    def scaled(self) -> Tensor:
        """(n, 3, S, S) with mean 0 and standard deviation 1 of each colour, on the training pictures."""
        own = self.x.float()
        train = own[self.train]
        about = {"dim": (0, 2, 3), "keepdim": True}
        return (own - train.mean(**about)) / train.std(**about)  # type: ignore[call-overload, no-any-return]

    def sheet(self) -> str:
        """Some pictures of each class, a row for each, as a data address of a PNG."""
        rows = []
        for k in range(len(self.album.classes)):
            own = self.x[self.target == k][:SHOWN].permute(0, 2, 3, 1).numpy()
            rows.append(np.concatenate([*own, *[np.zeros_like(own[0])] * (SHOWN - len(own))], axis=1))
        return as_png(np.concatenate(rows))

    def judged(self, outputs: np.ndarray, rows: np.ndarray) -> Judged:
        """The answers about these pictures. outputs: (n, C) of all."""
        task = "binary" if len(self.album.classes) == 2 else "multiclass"
        ids = [str(row) for row in rows]
        return judged_from(task, ids, self.y[rows], outputs[rows], groups=self.groups[rows])

    def of_attempt(self, how: How, rows: np.ndarray) -> Judged:
        """The answers of a network that is trained so."""
        return self.judged(self.trained(how).outputs.double().numpy(), rows)

    def trained(self, how: How) -> Attempt:
        """The network of a training, made once."""
        return _trained(self, how)

    def as_trial(self, how: How) -> SeenTrial:
        """A training as a trial that the doctor can look at."""
        return SeenTrial(
            number=0, origin="default", state="complete", recipe=how.recipe.flat(), points=self.trained(how).points
        )

    def seen(self) -> Seen:
        """The exercise as a study of which no trial is known."""
        counts = np.bincount(self.y[self.train], minlength=len(self.album.classes)).tolist()
        return Seen(
            name=self.album.name, is_own=not self.album.is_drawn, nouns="pictures",
            task="binary" if len(counts) == 2 else "multiclass", metric="accuracy",
            counts=dict(zip(self.album.classes, counts, strict=True)), train=len(self.train), valid=len(self.valid),
        )  # fmt: skip

    @cached_property
    def pretrained(self) -> np.ndarray:
        """(n, C) the outputs of a linear head on the features of a network that has seen a million photographs."""
        from tame.parts.backbones import open_backbone  # timm takes seconds to load, and only the exam needs it

        backbone = open_backbone(PRETRAINED, cache=self._cache)
        mean, std = (torch.tensor(backbone.config[name]).view(1, 3, 1, 1) * 255 for name in ("mean", "std"))
        pixels = central_pixels(self.pictures, size=LARGE, crop=1.0)
        module = backbone.module.eval()
        with torch.no_grad():
            features = torch.cat([module((own.float() - mean) / std) for own in torch.split(pixels, 32)])
        own = features[self.train]
        shift = own.mean(dim=0)
        features = (features - shift) * (LENGTH / (own - shift).square().sum(dim=1).mean().sqrt())
        with same_chance(0, "exercise", "head"):
            head = nn.Linear(features.shape[1], len(self.album.classes))
        optimizer = plain_optimizer(list(head.named_parameters()), USUAL.but({"optimizer.lr": HEAD_RATE}).optimizer)
        for _ in range(HEAD_STEPS):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(head(features[self.train]), self.target[self.train]))
            optimizer.step()
        with torch.no_grad():
            found: np.ndarray = head(features).double().numpy()
        return found


def as_png(pixels: np.ndarray) -> str:
    """A picture (H, W, 3) of bytes, twice as large, as a data address."""
    height, width, _ = pixels.shape
    kept = io.BytesIO()
    Image.fromarray(pixels).resize((2 * width, 2 * height)).save(kept, "PNG")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"


class ThreeConvolutions(nn.Module):
    """Three convolutions, each with an activation and pooling, then one hidden layer, which give logits."""

    def __init__(self, recipe: Recipe, classes: int) -> None:
        super().__init__()
        width, self._activation = recipe.model.width, ACTIVATIONS.get(recipe.model.activation)
        sides = (3, width, 2 * width, 4 * width)
        self.convolutions = nn.ModuleList(nn.Conv2d(sides[i], sides[i + 1], 3, padding=1) for i in range(3))
        self.hidden = nn.Linear(4 * width * (SIDE // 8) ** 2, 64)
        self.dropout, self.last = nn.Dropout(recipe.model.dropout), nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.convolutions:
            x = F.max_pool2d(self._activation(layer(x)), 2)
        found: Tensor = self.last(self.dropout(self._activation(self.hidden(x.flatten(1)))))
        return found


@lru_cache(maxsize=64)
def _trained(own: Exercise, how: How) -> Attempt:
    recipe, x = how.recipe, own.x.float() if how.raw else own.scaled
    train, valid = torch.from_numpy(own.train), torch.from_numpy(own.valid)
    chance = torch.Generator().manual_seed(stream_seed(recipe.seed, "exercise", "order"))
    points: list[tuple[int, float | None, float | None, float | None]] = []
    with same_chance(recipe.seed, "exercise", "network"):
        network: nn.Module = ThreeConvolutions(recipe, len(own.album.classes))
        if how.softmax:
            network = nn.Sequential(network, nn.Softmax(dim=1))
        optimizer = plain_optimizer(list(network.named_parameters()), recipe.optimizer)
        first, best, since, kept = float(_loss(recipe, *_of(network, x, own.target, train))), np.inf, 0, None
        for epoch in range(1, recipe.epochs + 1):
            network.train()
            lost = 0.0
            order = train[torch.randperm(len(train), generator=chance)]
            for rows in torch.split(order, recipe.batch(len(train))):
                optimizer.zero_grad()
                loss = _loss(recipe, network(x[rows]), own.target[rows])
                torch.autograd.backward(loss)
                optimizer.step()
                lost += float(loss.detach()) * len(rows)
            outputs = _outputs(network, x)
            judged = float(F.cross_entropy(outputs[valid], own.target[valid]))
            right = float((outputs[valid].argmax(dim=1) == own.target[valid]).double().mean())
            points.append((epoch, _finite(lost / len(train)), _finite(judged), right))
            since = 0 if judged < best else since + 1
            if not recipe.regularize.early_stopping or judged < best:
                kept = outputs
            best = min(best, judged)
            if recipe.regularize.early_stopping and since >= recipe.regularize.early_stopping:
                break
    assert kept is not None
    return Attempt(tuple(points), torch.nan_to_num(kept, posinf=1e6, neginf=-1e6), first)


def _of(network: nn.Module, x: Tensor, target: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    return _outputs(network, x)[rows], target[rows]


def _outputs(network: nn.Module, x: Tensor) -> Tensor:
    network.eval()
    with torch.no_grad():
        found: Tensor = network(x)
    return found


def _loss(recipe: Recipe, outputs: Tensor, target: Tensor) -> Tensor:
    if recipe.loss.name == "hinge":
        return F.multi_margin_loss(outputs, target)
    if recipe.loss.name == "mse":
        return F.mse_loss(outputs, F.one_hot(target, outputs.shape[1]).float())
    return F.cross_entropy(outputs, target, label_smoothing=recipe.loss.label_smoothing)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
