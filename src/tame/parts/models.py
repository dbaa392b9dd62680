"""Small networks from scratch on pictures, and the initial weights of all models of TAME."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import UsageError, unknown
from tame.core.recipe import ModelRecipe
from tame.core.registry import Registry
from tame.core.rng import stream
from tame.parts.mlp import Draws, Periodic, kept


def uniform_init(shape: tuple[int, ...], *, fan_in: int, seed: int, name: str) -> Tensor:
    """Uniform draws in +-1/sqrt(fan_in), float32, from the stream `name` of the seed: nn.Linear's own default."""
    bound = 1 / math.sqrt(fan_in)
    draws = stream(seed, "init", name).random(shape, dtype=np.float32)
    return torch.from_numpy((2 * draws - 1) * bound)


class BuildModel(Protocol):
    """A network from scratch on (B, 3, S, S) pictures that returns (B, C) logits."""

    def __call__(self, recipe: ModelRecipe, num_classes: int) -> nn.Module: ...


MODELS: Registry[BuildModel] = Registry("model")


class Dropout(nn.Module):
    """Dropout of the values (B, W) between two layers, by the draws of a step: torch's generators are left alone, so
    that networks can be trained in several threads. Source: Srivastava et al., Dropout (2014)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """draws: the randomness of a training step, None for prediction."""
        if draws is None or not self.rate:
            return x
        return x * kept(draws(x.shape[1]).to(x.dtype), x.new_tensor(self.rate))


class Layers(nn.Sequential):
    """Layers one after another, whose dropout takes the draws of a step."""

    takes_draws = True

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """x: (B, 3, S, S); draws: as for Dropout. Returns (B, C) logits."""
        for layer in self:
            x = layer(x, draws) if isinstance(layer, Dropout) else layer(x)
        return x


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions with batch norm and a skip connection; the first may halve the resolution.

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
    """A small residual network: a stem and three stages of one block, widths w, 2w, 4w, then global average pooling."""
    width = recipe.width
    stem = [nn.Conv2d(3, width, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages = [
        ResidualBlock(width, width, stride=1),
        ResidualBlock(width, 2 * width, stride=2),
        ResidualBlock(2 * width, 4 * width, stride=2),
    ]
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), Dropout(recipe.dropout), nn.Linear(4 * width, num_classes)]
    return Layers(*stem, *stages, *tail)


class MeanAndMax(nn.Module):
    """The mean and the largest value of each channel, wherever in the picture it lies. (B, C, H, W) to (B, 2C)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x.mean(dim=(2, 3)), x.amax(dim=(2, 3))), dim=1)


@MODELS.add("resnet")
def resnet(recipe: ModelRecipe, num_classes: int) -> nn.Module:
    """A residual network for a short training: a stem and two blocks, each of which halves the resolution.

    Widths w, 2w, 4w. At width 16 a picture of 48 pixels takes 4.4 million multiplications; of "cnn" it takes 7.1.
    """
    width = recipe.width
    stem = [nn.Conv2d(3, width, 3, padding=1, stride=2, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    stages = [ResidualBlock(width, 2 * width, stride=2), ResidualBlock(2 * width, 4 * width, stride=2)]
    return Layers(*stem, *stages, MeanAndMax(), Dropout(recipe.dropout), nn.Linear(8 * width, num_classes))


@MODELS.add("plain_cnn")
def plain_cnn(recipe: ModelRecipe, num_classes: int) -> nn.Module:
    """A textbook network: three 3 x 3 convolutions with max-pooling, then one hidden layer."""
    layers: list[nn.Module] = []
    channels = 3
    for factor in (1, 2, 4):
        layers += [nn.Conv2d(channels, recipe.width * factor, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = recipe.width * factor
    tail = [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * channels, 4 * channels), nn.ReLU()]
    return Layers(*layers, *tail, Dropout(recipe.dropout), nn.Linear(4 * channels, num_classes))


OWN_MODELS = frozenset(MODELS.names())  # which draw nothing from torch's generators: several train side by side
TIMM = "timm:"  # prefix of a timm architecture that is trained from scratch


def build_model(recipe: ModelRecipe, num_outputs: int) -> nn.Module:
    """A network from scratch on pictures: one of TAME's by name, or any of timm's as "timm:NAME". Raises UsageError."""
    if not recipe.name.startswith(TIMM):
        return MODELS.get(recipe.name)(recipe, num_outputs)
    import timm

    name = recipe.name.removeprefix(TIMM)
    if not timm.is_model(name):
        raise UsageError(unknown("timm model", name, timm.list_models()))
    return timm.create_model(name, pretrained=False, num_classes=num_outputs, drop_rate=recipe.dropout)


def init_module(module: nn.Module, *, seed: int) -> None:
    """Initialises every parameter of a module from the seed and its name: equal networks get equal weights.

    Convolutions: normal with variance 2 / fan_in (He et al., 2015); linear layers: uniform in +-1/sqrt(fan_in);
    embeddings: normal with standard deviation 1/sqrt(width); frequencies of periodic embeddings: normal with their
    own standard deviation.
    """
    for path, part in module.named_modules():
        with torch.no_grad():
            if isinstance(part, nn.Conv2d):
                _normal(part.weight, math.sqrt(2 / part.weight[0].numel()), seed, path)
                if part.bias is not None:
                    part.bias.zero_()
            elif isinstance(part, nn.Linear):
                for name, value in part.named_parameters():
                    _uniform(value, part.in_features, seed, f"{path}.{name}")
            elif isinstance(part, nn.Embedding):
                _normal(part.weight, 1 / math.sqrt(part.embedding_dim), seed, path)
            elif isinstance(part, Periodic):
                _normal(part.frequency, part.sigma, seed, f"{path}.frequency")
                for name in ("weight", "bias"):
                    _uniform(getattr(part, name), part.weight.shape[1], seed, f"{path}.{name}")
            elif isinstance(part, nn.modules.batchnorm._BatchNorm | nn.LayerNorm):
                part.reset_parameters()


def _normal(value: Tensor, spread: float, seed: int, name: str) -> None:
    draws = stream(seed, "init", name).standard_normal(tuple(value.shape), dtype=np.float32)
    value.copy_(torch.from_numpy(draws * np.float32(spread)))


def _uniform(value: Tensor, fan_in: int, seed: int, name: str) -> None:
    value.copy_(uniform_init(tuple(value.shape), fan_in=fan_in, seed=seed, name=name))
