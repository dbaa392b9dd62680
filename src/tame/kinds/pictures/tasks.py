"""Tasks of the serial engine on pictures: networks from scratch, and the upper part of a backbone on cached maps."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.core.rng import stream
from tame.data.augment import augment
from tame.parts.backbones import Backbone
from tame.parts.depthwise import with_depthwise
from tame.parts.mlp import Draws, Mlp, head_of
from tame.parts.models import TIMM, build_model, init_module
from tame.trial.population import Examples, Group, Groups, Member, num_outputs, stage_groups

MEAN, STD = 127.5, 64.0  # of the pixels that a network from scratch sees
HEAD_RATE = 2.0  # of the backbone's rate: the head has further to go


@dataclass(frozen=True, slots=True)
class PixelTask:
    """Networks from scratch. pixels: (N, 3, S, S) uint8 at the recipe's input size.

    draws: timm's networks draw from torch's generators, those of TAME only from the draws of a step.
    """

    pixels: Tensor
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 256
    draws: bool = True

    def build(self, member: Member) -> nn.Module:
        module = build_model(member.recipe.model, num_outputs(member.recipe, self.examples))
        if not member.recipe.model.name.startswith(TIMM):  # timm draws its own, from the seed as well
            init_module(module, seed=member.recipe.seed)
        elif self.device.type == "cpu":
            module = with_depthwise(module)
        return module.to(self.device, memory_format=layout(member.recipe))  # type: ignore[call-overload, no-any-return]

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        x = normalise(self.pixels[rows].to(self.device), layout(recipe))
        low, high = (0 - MEAN) / STD, (255 - MEAN) / STD
        return augmented(x, recipe, epoch, rows, len(self.examples), low=low, high=high)

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        x = normalise(self.pixels[rows].to(self.device), layout(recipe))
        return [x, x.flip(3)] if recipe.input.views > 1 else [x]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group(list(module.named_parameters()))]


def normalise(pixels: Tensor, form: torch.memory_format) -> Tensor:
    """(B, 3, S, S) uint8 to what a network from scratch sees."""
    return ((pixels.float() - MEAN) / STD).contiguous(memory_format=form)


def layout(recipe: Recipe) -> torch.memory_format:
    """How a network from scratch lies in memory: channels last, which is faster, where that is safe.

    torch 2.15 on the CPU crashes in the backward pass of channels-last convolutions of 4, 8 or 12 channels when the
    number of pictures is odd; with 16, 24 or 32 channels it does not.
    """
    width = recipe.model.width
    return torch.channels_last if width >= 16 and width % 8 == 0 else torch.contiguous_format


def augmented(
    x: Tensor, recipe: Recipe, epoch: int, rows: Tensor, num_examples: int, *, low: float, high: float
) -> Tensor:
    """Pictures (B, C, S, S) with values from low to high, as this epoch of this recipe sees them."""
    return augment(
        x, recipe.augment, seed=recipe.seed, epoch=epoch, rows=rows, num_examples=num_examples, low=low, high=high
    )


class Tuned(nn.Module):
    """The upper part of a backbone with a head on top: what fine-tuning trains."""

    takes_draws = True

    def __init__(self, upper: nn.Module, head: Mlp) -> None:
        super().__init__()
        self.upper = upper
        self.head = head

    def train(self, mode: bool = True) -> Tuned:
        """As nn.Module, but norms keep the statistics of pretraining: small batches would only blur them."""
        super().train(mode)
        for part in self.upper.modules():
            if isinstance(part, nn.modules.batchnorm._BatchNorm):
                part.eval()
        return self

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """x: feature maps (B, C, H, W). Returns (B, num_classes) logits."""
        return self.head(self.upper(x), draws)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class TunedTask:
    """Fine-tuning of the last stages of a backbone. pixels: (N, 3, S, S) uint8 at the recipe's input size.

    lower: the frozen part, which every batch passes again, so that augmentation is fresh (measured: an eighth of the
    time); upper: the part that is trained; stages: paths of its stages, first to last; heads: what each fold's member
    starts from.
    """

    lower: nn.Module
    upper: nn.Module
    stages: Sequence[str]
    mean: Tensor  # (1, 3, 1, 1) in pixels from 0 to 255
    std: Tensor
    heads: Mapping[int | None, Mlp]
    pixels: Tensor
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 256
    draws: bool = True

    def build(self, member: Member) -> nn.Module:
        upper = copy.deepcopy(self.upper).requires_grad_(True)
        upper = with_depthwise(upper) if self.device.type == "cpu" else upper
        head = copy.deepcopy(self.heads[member.fold])
        head.dropout = member.recipe.model.dropout
        return Tuned(upper, head).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        x = self.pixels[rows].to(self.device).float()
        return self._maps(augmented(x, recipe, epoch, rows, len(self.examples), low=0, high=255))

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        x = self.pixels[rows].to(self.device).float()
        return [self._maps(x), self._maps(x.flip(3))] if recipe.input.views > 1 else [self._maps(x)]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        assert isinstance(module, Tuned)
        own: list[list[tuple[str, nn.Parameter]]] = [[] for _ in self.stages]
        for name, each in module.upper.named_parameters():  # what comes after the last stage belongs to it
            place = next((i for i, path in enumerate(self.stages) if name.startswith(f"{path}.")), -1)
            own[place].append((name, each))
        return [*stage_groups(own, recipe.model), Group(list(module.head.named_parameters()), HEAD_RATE)]

    @torch.no_grad()
    def _maps(self, x: Tensor) -> Tensor:
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        dtype = self.autocast
        with torch.autocast(self.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            return self.lower(x)  # type: ignore[no-any-return]


def tuned_backbone(backbone: Backbone, folded: nn.Module, pairs: Sequence[tuple[str, str]], trained: Tuned) -> Backbone:
    """The whole backbone with the weights that fine-tuning left in its upper part, in its plain architecture.

    folded: the backbone with norms folded into convolutions, which was trained; pairs: (convolution, norm) that became
    one. There each norm is left with nothing to do but to add the convolution's bias.
    """
    module = copy.deepcopy(backbone.module)
    weights = {**folded.state_dict(), **trained.upper.state_dict()}
    own = module.state_dict()
    own |= {name: value for name, value in weights.items() if name in own}
    for conv, norm in pairs:
        part = module.get_submodule(norm)
        assert isinstance(part, nn.BatchNorm2d)
        own[f"{norm}.weight"] = torch.ones_like(own[f"{norm}.weight"])
        own[f"{norm}.bias"] = weights[f"{conv}.bias"]
        if f"{conv}.bias" in own:  # the norm adds it
            own[f"{conv}.bias"] = torch.zeros_like(own[f"{conv}.bias"])
        own[f"{norm}.running_mean"] = torch.zeros_like(own[f"{norm}.running_mean"])
        own[f"{norm}.running_var"] = torch.ones_like(own[f"{norm}.running_var"]) - part.eps
    module.load_state_dict(own)
    digest = hashlib.sha256(b"".join(v.cpu().numpy().tobytes() for v in module.state_dict().values())).hexdigest()
    return replace(backbone, module=module.requires_grad_(False).eval(), digest=digest)


@dataclass(frozen=True, slots=True)
class FeatureTask:
    """Heads on features. features: (V, N, D) views of each example, which are (plain - shift) x scale."""

    features: Tensor
    examples: Examples
    device: torch.device
    autocast: torch.dtype | None = None
    shift: Tensor | None = None  # (D,)
    scale: Tensor | None = None  # () or (D,)
    by_fold: None = None
    codes_from: None = None
    eval_batch: int = 8192
    draws: bool = False

    def build(self, member: Member) -> nn.Module:
        head = head_of(self.features.shape[2], num_outputs(member.recipe, self.examples), member.recipe.model)
        init_module(head, seed=member.recipe.seed)
        return head.to(self.features)

    def batch(self, recipe: Recipe, rows: Tensor, *, epoch: int, step: int) -> Tensor:
        if recipe.input.views == 1:
            return self.features[0].index_select(0, rows.to(self.features.device))
        return self.features[view_draws(recipe, epoch, len(self.examples)).to(rows.device)[rows], rows]

    def views(self, recipe: Recipe, rows: Tensor) -> list[Tensor]:
        """The picture itself, or also its mirror image: a recipe that trains on more views is judged with both."""
        return [view[rows] for view in self.features[:2]]

    def groups(self, module: nn.Module, recipe: Recipe) -> Groups:
        return [Group(list(module.named_parameters()))]


def view_draws(recipe: Recipe, epoch: int, num_examples: int) -> Tensor:
    """Which cached view (N,) each example is seen in during an epoch."""
    return _view_draws(recipe.seed, epoch, recipe.input.views, num_examples)


@lru_cache(maxsize=2)  # every step of an epoch asks for the same
def _view_draws(seed: int, epoch: int, views: int, num_examples: int) -> Tensor:
    return torch.from_numpy(stream(seed, "view", epoch).integers(views, size=num_examples))
