"""Judging pictures with a trained network: the one path for scores, for parity checks and for `tame predict`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tame.data.cache import ArrayCache
from tame.data.views import central_pixels
from tame.kinds.costs import Speed
from tame.kinds.pictures.features import Pictures, extract
from tame.kinds.pictures.tasks import layout, normalise
from tame.parts.losses import LOSSES
from tame.parts.network import Network

BATCH = 128


@torch.no_grad()
def judge(network: Network, pictures: Pictures, *, device: torch.device, cache: Path | None = None) -> Tensor:
    """Canonical outputs (n, C) of pictures.

    Of each picture itself, or the mean with its mirror image's if the recipe has several views. cache: where features
    of the unchanged backbone may be kept and found.
    """
    views = range(2 if network.recipe.input.views > 1 else 1)
    found = [_view(network, pictures, view, device, cache) for view in views]
    return LOSSES.get(network.recipe.loss.name).predict(torch.stack(found).mean(dim=0))


def _view(network: Network, pictures: Pictures, view: int, device: torch.device, cache: Path | None) -> Tensor:
    size = network.recipe.input.size
    module = network.module.to(device).eval()
    if network.backbone is not None:
        features = extract(
            network.backbone, pictures, range(len(pictures.pixels)), size=size, view=view,
            crop=network.recipe.input.crop,
            speed=Speed(**network.run), device=device, cache=ArrayCache(cache / "features") if cache else None,
        )  # fmt: skip
        return torch.as_tensor(module(torch.from_numpy(features).to(device))).float().cpu()
    logits = []
    for start in range(0, len(pictures.pixels), BATCH):
        some = pictures.pixels[start : start + BATCH]
        x = normalise(
            central_pixels(some, size=size, crop=network.recipe.input.crop).to(device), layout(network.recipe)
        )
        logits.append(module(x.flip(3) if view else x).float().cpu())
    return torch.cat(logits)
