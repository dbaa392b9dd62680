"""Features of a backbone's stages: the means of its maps, beside the features that it gives itself."""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import pytest
import timm
import torch
from torch import nn

from tame.parts.backbones import Backbone, build_backbone
from tame.parts.stages import MOST_POOLED, Staged, pooled_widths

WIDTHS = {
    "tf_efficientnet_lite0": (80, 112, 192, 320),
    "mobilenetv2_100": (64, 96, 160, 320),
    "mobilenetv3_small_050": (24, 24, 48, 288),
    "resnet18": (64, 128, 256, 512),
    "convnext_atto": (40, 80, 160, 320),
}


@cache
def backbone(name: str) -> Backbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = timm.create_model(name, num_classes=0)
    return build_backbone({"architecture": name}, module.state_dict(), name=name, digest=name)


def pictures(num: int = 2) -> torch.Tensor:
    return torch.randn(num, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("name", WIDTHS)
def test_features_of_stages_are_the_means_of_their_maps(name):
    own, seen = backbone(name), {}
    assert own.pooled == WIDTHS[name]
    for path in own.stages:
        own.module.get_submodule(path).register_forward_hook(lambda _, __, y, path=path: seen.update({path: y}))
    wanted, found = own.module(pictures()), own.staged()(pictures())
    assert found.shape == (2, own.width(MOST_POOLED))
    means = [seen[path].double().flatten(2).mean(dim=2).float() for path in own.stages[-MOST_POOLED:]]
    torch.testing.assert_close(found, torch.cat([*means, wanted], dim=1), rtol=1e-4, atol=1e-5)  # float32


@pytest.mark.parametrize("name", WIDTHS)
def test_fewer_stages_are_the_last_ones(name):
    own = backbone(name)
    widths = [own.width(pooled) for pooled in range(MOST_POOLED + 1)]
    assert widths[0] == own.num_features
    assert [b - a for a, b in pairwise(widths)] == list(reversed(WIDTHS[name]))


def test_a_network_of_tokens_has_no_maps_to_average():
    own = backbone("vit_tiny_patch16_224")
    assert own.pooled == ()
    assert own.staged() is own.module
    assert own.width(0) == own.num_features


class _Chain(nn.Sequential):
    """Two stages with a head; `skips`: what goes on is not what the last stage gives."""

    def __init__(self, *, skips: bool = False, last: bool = False) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 5, 3, stride=2))
        self.skips = skips
        self.output_fmt = "NHWC" if last else "NCHW"

    def forward_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self[1](self[0](x))
        return self.forward_head(y + 1 if self.skips else y)


def test_only_a_chain_whose_maps_begin_with_channels_has_stages_to_average():
    units = ("0", "1")
    assert pooled_widths(_Chain(), units, units, pictures(1)) == (4, 5)
    assert pooled_widths(_Chain(skips=True), units, units, pictures(1)) == ()
    assert pooled_widths(_Chain(last=True), units, units, pictures(1)) == ()
    assert pooled_widths(_Chain(), ("0", "2"), ("0",), pictures(1)) == ()
    assert not any(each._forward_hooks for each in _Chain().modules())
    assert Staged(_Chain(), units, ("1",))(pictures(1)).shape == (1, 10)
