"""Models: heads on features (stacked and plain, with the same draws) and small networks from scratch."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.recipe import ModelRecipe
from tame.core.registry import Registry
from tame.core.rng import stream


def uniform_init(shape: tuple[int, ...], *, fan_in: int, seed: int, name: str) -> Tensor:
    """Uniform draws in +-1/sqrt(fan_in), float32, from the stream `name` of the seed: nn.Linear's own default."""
    bound = 1 / math.sqrt(fan_in)
    draws = stream(seed, "init", name).random(shape, dtype=np.float32)
    return torch.from_numpy((2 * draws - 1) * bound)


def head_shapes(num_features: int, num_classes: int, *, hidden: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of each parameter of one head."""
    if not hidden:
        return {"out.weight": (num_classes, num_features), "out.bias": (num_classes,)}
    return {
        "mid.weight": (hidden, num_features),
        "mid.bias": (hidden,),
        "out.weight": (num_classes, hidden),
        "out.bias": (num_classes,),
    }


def init_head(num_features: int, num_classes: int, *, hidden: int, seed: int) -> dict[str, Tensor]:
    """The parameters of one head before training; the same for the same seed and shapes."""
    found = {}
    for name, shape in head_shapes(num_features, num_classes, hidden=hidden).items():
        fan_in = hidden if name.startswith("out") and hidden else num_features
        found[name] = uniform_init(shape, fan_in=fan_in, seed=seed, name=name)
    return found


def apply_heads(
    params: dict[str, Tensor], x: Tensor, *, dropout: Tensor | None = None, noise: Tensor | None = None
) -> Tensor:
    """Logits of all heads for the same examples, computed together.

    params: as `head_shapes`, each with a leading M; x: (B, D) features; dropout: (M,) rates of the hidden layer with
    noise: (B, H) uniform draws in [0, 1) shared by all members. Returns (M, B, C).
    """
    if "mid.weight" not in params:
        return _shared_linear(params["out.weight"], params["out.bias"], x)
    hidden = F.relu(_shared_linear(params["mid.weight"], params["mid.bias"], x))
    if dropout is not None and noise is not None:
        rate = dropout[:, None, None]
        hidden = hidden * ((noise >= rate).to(hidden.dtype) / (1 - rate))
    return torch.baddbmm(params["out.bias"].unsqueeze(1), hidden, params["out.weight"].transpose(1, 2))


def _shared_linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """One matrix product for all members, since they share their input. (M, O, D), (M, O), (B, D) -> (M, B, O)."""
    members, outputs, features = weight.shape
    flat = F.linear(x, weight.reshape(members * outputs, features), bias.reshape(-1))
    return flat.view(x.shape[0], members, outputs).transpose(0, 1)


class Head(nn.Module):
    """One head as a plain module: the reference of `apply_heads`, and the head of a delivered model."""

    def __init__(self, num_features: int, num_classes: int, *, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.mid = nn.Linear(num_features, hidden) if hidden else None
        self.out = nn.Linear(hidden or num_features, num_classes)
        self.dropout = dropout

    def forward(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """x: (B, D) features; noise: (B, H) uniform draws for dropout, or None to predict. Returns (B, C) logits."""
        if self.mid is not None:
            x = F.relu(self.mid(x))
            if noise is not None:
                x = x * ((noise >= self.dropout).to(x.dtype) / (1 - self.dropout))
        return self.out(x)  # type: ignore[no-any-return]


class BuildModel(Protocol):
    """A network from scratch on (B, 3, S, S) pictures that returns (B, C) logits."""

    def __call__(self, recipe: ModelRecipe, num_classes: int) -> nn.Module: ...


MODELS: Registry[BuildModel] = Registry("model")


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm around a skip connection; the first may halve the picture.

    Source: He et al., Deep Residual Learning (2016), section 4.2.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        same = stride == 1 and channels_in == channels_out
        self.skip = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(inner)) + self.skip(x))


@MODELS.add("cnn")
def small_cnn(recipe: ModelRecipe, num_classes: int) -> nn.Module:
    """A small residual network: a stem and three stages of one block, widths w, 2w, 4w, then the mean over places."""
    width = recipe.width
    stem = [nn.Conv2d(3, width, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages = [
        ResidualBlock(width, width, stride=1),
        ResidualBlock(width, 2 * width, stride=2),
        ResidualBlock(2 * width, 4 * width, stride=2),
    ]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(recipe.dropout), nn.Linear(4 * width, num_classes)]
    return nn.Sequential(*stem, *stages, *tail)


@MODELS.add("plain_cnn")
def plain_cnn(recipe: ModelRecipe, num_classes: int) -> nn.Module:
    """The network of teaching notebooks: three 3 x 3 convolutions with max-pooling, then one hidden layer."""
    layers: list[nn.Module] = []
    channels = 3
    for factor in (1, 2, 4):
        layers += [nn.Conv2d(channels, recipe.width * factor, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = recipe.width * factor
    tail = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, 4 * channels), nn.ReLU()]
    return nn.Sequential(*layers, *tail, nn.Dropout(recipe.dropout), nn.Linear(4 * channels, num_classes))


def init_module(module: nn.Module, *, seed: int) -> None:
    """Draws every parameter of a module anew from the seed, by name: the same network, the same first weights.

    Convolutions: normal with variance 2 / fan_in (He et al., 2015); linear layers: uniform in +-1/sqrt(fan_in).
    """
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d):
            fan_in = part.weight[0].numel()
            normal = stream(seed, "init", path).standard_normal(tuple(part.weight.shape), dtype=np.float32)
            with torch.no_grad():
                part.weight.copy_(torch.from_numpy(normal * np.float32(math.sqrt(2 / fan_in))))
                if part.bias is not None:
                    part.bias.zero_()
        elif isinstance(part, nn.Linear):
            with torch.no_grad():
                for name, value in part.named_parameters():
                    draws = uniform_init(tuple(value.shape), fan_in=part.in_features, seed=seed, name=f"{path}.{name}")
                    value.copy_(draws)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
