"""A delivered network of pictures as a module of torch that takes raw pictures."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor, nn

from tame.core.errors import ShapeError
from tame.data.given_pictures import pixels_of_given
from tame.data.views import central_pixels
from tame.kinds.pictures.tasks import layout, normalise
from tame.parts.losses import LOSSES
from tame.parts.network import Network


class PictureModule(nn.Module):
    """Raw pictures to canonical outputs: shrunk, cropped, normalised, and seen in all views of the recipe.

    The preprocessing has no gradient; what is trained further are the weights of `backbone` and `head`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: Network) -> None:
        super().__init__()
        own, self.backbone = network.backbone, None
        if own is not None:
            self.backbone = own.staged() if network.recipe.model.pooled else own.module
            self._width = own.width(network.recipe.model.pooled)
        self.head = network.module
        self._network = network
        if network.backbone is not None:
            mean, std = (torch.tensor(network.backbone.config[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
            self.register_buffer("mean", mean * 255, persistent=False)
            self.register_buffer("std", std * 255, persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """pictures: (n, 3, H, W) uint8, upright, RGB. Returns (n, C) logits, or (n, 1) numbers in units of the target.

        Raises ShapeError for anything else.
        """
        if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
            got = f"{tuple(pictures.shape)} {str(pictures.dtype).removeprefix('torch.')}"
            raise ShapeError(f"need pictures (n, 3, H, W) uint8, got {got}")
        network = self._network
        own, backbone = network.recipe.input, network.backbone
        filter_name = "bicubic" if backbone is None else str(backbone.config.get("interpolation", "bicubic"))
        arrays = [
            pixels_of_given(Image.fromarray(each), shortest=network.shortest, bits=None)
            for each in pictures.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        ]
        seen = central_pixels(arrays, size=own.size, crop=own.crop, interpolation=filter_name)
        seen = seen.to(next(self.head.parameters()).device)
        views = [self._outputs(seen), self._outputs(seen.flip(3))] if own.views > 1 else [self._outputs(seen)]
        outputs = torch.stack(views).mean(dim=0)
        return network.together([network.in_units(LOSSES.get(network.recipe.loss.name).predict(outputs))])

    def _outputs(self, seen: Tensor) -> Tensor:
        if self.backbone is None:
            found: Tensor = self.head(normalise(seen, layout(self._network.recipe)))
            return found
        features = self.backbone((seen.float() - self.mean) / self.std)
        of_features: Tensor = self.head(features[:, -self._width :])
        return of_features
