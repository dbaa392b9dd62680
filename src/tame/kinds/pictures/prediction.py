"""Judging pictures with a trained network: the one path for scores, for parity checks and for `tame predict`."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import DataError, UsageError, require
from tame.core.text import printable
from tame.data.cache import ArrayCache
from tame.data.given_pictures import pictures_alone, pixels_of_given
from tame.data.image_decoding import decode
from tame.data.image_depth import BITS, UnreadablePicture
from tame.data.image_layout import LISTS
from tame.data.image_places import pictures_listed
from tame.data.images import pictures_in
from tame.data.views import central_pixels
from tame.kinds.costs import Speed
from tame.kinds.last_inputs import last_inputs, whole
from tame.kinds.pictures.features import Pictures, extract
from tame.kinds.pictures.module import PictureModule
from tame.kinds.pictures.tasks import layout, normalise
from tame.kinds.prediction import Left, Predicted, Prediction, Told, distances, joined
from tame.parts.losses import LOSSES
from tame.parts.mlp import head_of
from tame.parts.models import build_model
from tame.parts.network import Build, Described, Network

BATCH = 128
READ = 256  # pictures that are in memory at once


def empty_network(described: Described) -> nn.Module:
    """A head on a backbone, or a network from scratch."""
    backbone, own = described.backbone, described.recipe.model
    if backbone is None:
        return build_model(own, described.num_outputs)
    return head_of(backbone.width(own.pooled), described.num_outputs, own)


def prepared(bits: int | None) -> dict[str, int]:
    """What a network keeps of the pictures it was trained on. bits: of white in 16 bits, where no file says it."""
    return {} if bits is None else {"bits": bits}


def bits_of(network: Network) -> int | None:
    """As was given to `prepared`."""
    found = network.prepared.get("bits")
    known = found is None or found in BITS
    require(known, f"the model says that white has {found!r} bits: {', '.join(map(str, BITS))} are known")
    return found


def verify(network: Network) -> None:
    """Nothing, where what a network keeps of its pictures can be. Raises UsageError."""
    bits_of(network)
    require(network.shortest >= 0, f"the model shrinks pictures to {network.shortest} pixels")


def of_paths(network: Network, inputs: Sequence[Path]) -> Predicted:
    """What a network says of pictures, and of all pictures in folders."""
    names: list[str] = []
    outputs: list[np.ndarray] = []
    apart: list[np.ndarray | None] = []
    files, left = find_pictures(inputs)
    before = len(left)
    for start in range(0, len(files), READ):
        pixels, own = [], []
        for name, path in files[start : start + READ]:
            try:
                pixels.append(decode(path, shortest=network.shortest, bits=bits_of(network)))
                own.append(name)
            except UnreadablePicture as problem:
                left.append(Left(name, str(problem)))
        if pixels:
            found, seen = looked_at(network, Pictures(pixels, own), device=torch.device("cpu"))
            outputs.append(found.double().numpy())
            apart.append(distances(network, seen))
            names += own
    first = f"{left[0].input}: {left[0].reason}" if left else "nothing was given"
    said = f"none of the {len(files) + before} inputs is a picture that can be read: {first}"
    require(bool(outputs), said, error=DataError)
    return Predicted(tuple(names), np.concatenate(outputs), tuple(left), distances=joined(apart))


def of_inputs(network: Network, x: object, *, by_place: bool) -> Told:
    """What a network says of pictures given from Python: a list of paths or of Pillow's pictures, or a dataset.

    by_place: nothing, since pictures have no columns. Raises DataError where one of them cannot be read.
    """
    outputs: list[np.ndarray] = []
    apart: list[np.ndarray | None] = []
    given = enumerate(pictures_alone(x))
    while some := list(islice(given, READ)):
        pixels = []
        for number, each in some:
            try:
                pixels.append(pixels_of_given(each, shortest=network.shortest, bits=bits_of(network)))
            except UnreadablePicture as problem:
                raise DataError(f"picture {number} cannot be read: {problem}") from None
        names = [str(number) for number, _ in some]
        found, seen = looked_at(network, Pictures(pixels, names), device=torch.device("cpu"))
        outputs.append(found.double().numpy())
        apart.append(distances(network, seen))
    require(bool(outputs), "no pictures were given", error=DataError)
    return Told(np.concatenate(outputs), joined(apart))


def find_pictures(inputs: Sequence[Path]) -> tuple[list[tuple[str, str]], list[Left]]:
    """The pictures among files, in folders and in lists, and what is left out: folders are walked as for `tame fit`.

    Each picture has its name, as it was given, and the path of its file. A link that was named itself is followed.
    """
    found: list[tuple[str, str]] = []
    left: list[Left] = []
    for each in inputs:
        name = printable(os.fspath(each))
        try:
            mode = each.stat().st_mode
        except OSError as problem:
            raise UsageError(f"no file or folder {name}: {problem.strerror}") from None
        if stat.S_ISDIR(mode) or each.suffix.lower() in LISTS:
            inside, skipped = pictures_in(each) if stat.S_ISDIR(mode) else pictures_listed(each)
            found += inside
            left += [Left(one.id, one.reason) for one in skipped]
        else:
            found.append((name, os.path.realpath(each)))
    require(bool(found or left), "there are no pictures in what was given", error=DataError)
    return found, left


def judge(network: Network, pictures: Pictures, *, device: torch.device, cache: Path | None = None) -> Tensor:
    """Canonical outputs (n, C) of pictures; numbers are in units of the target.

    Of each picture itself, or the mean with its mirror image's if the recipe has several views. cache: where features
    of the unchanged backbone may be kept and found.
    """
    return looked_at(network, pictures, device=device, cache=cache)[0]


@torch.no_grad()
def looked_at(
    network: Network, pictures: Pictures, *, device: torch.device, cache: Path | None = None
) -> tuple[Tensor, Tensor | None]:
    """As `judge`, with what the last layer is given of each picture itself, (n, D)."""
    views = range(2 if network.recipe.input.views > 1 else 1)
    found, seen = zip(*(_view(network, pictures, view, device, cache) for view in views), strict=True)
    outputs = LOSSES.get(network.recipe.loss.name).predict(torch.stack(found).mean(dim=0))
    return network.together([network.in_units(outputs)]), seen[0]


def _view(
    network: Network, pictures: Pictures, view: int, device: torch.device, cache: Path | None
) -> tuple[Tensor, Tensor | None]:
    """The logits of pictures in one view, and what distances are measured in."""
    size = network.recipe.input.size
    module = network.module.to(device).eval()
    if network.backbone is not None:
        features = extract(
            network.backbone, pictures, range(len(pictures.pixels)), size=size, view=view,
            crop=network.recipe.input.crop,
            speed=Speed(**network.run), device=device, cache=ArrayCache(cache / "features") if cache else None,
        )  # fmt: skip
        own = torch.from_numpy(features[:, -network.backbone.width(network.recipe.model.pooled) :])
        return torch.as_tensor(module(own.to(device))).float().cpu(), own
    logits, seen = [], []
    with last_inputs(module) as taken:
        for start in range(0, len(pictures.pixels), BATCH):
            some = pictures.pixels[start : start + BATCH]
            x = normalise(
                central_pixels(some, size=size, crop=network.recipe.input.crop).to(device), layout(network.recipe)
            )
            logits.append(module(x.flip(3) if view else x).float().cpu())
            seen.append(taken(len(x)))
    return torch.cat(logits), whole(seen)


def _empty(described: Described, _: Build | None) -> nn.Module:
    return empty_network(described)


PREDICTION = Prediction(empty=_empty, of_paths=of_paths, of_inputs=of_inputs, verify=verify, module=PictureModule)
