"""The multi-layer perceptron of tables, features and heads: as a plain module, and for all members of a group at once.

With depth 0 it is a linear model. `forward` is the reference; `stacked` computes the same for parameters with a leading
M in a few large matrix products.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import UsageError, unknown
from tame.core.recipe import ModelRecipe
from tame.parts.activations import ACTIVATIONS

Tensors = Mapping[str, Tensor]


class Draws(Protocol):
    """The randomness of one step: uniform draws (B, width) in [0, 1), new ones for each layer, in order."""

    def __call__(self, width: int) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of an input (B, D), in this order.

    dense: numbers as they are; periodic: numbers that become periodic embeddings of `dim` values each, whose initial
    frequencies have standard deviation `sigma`; embedded: the number of codes of each column of category codes.
    """

    dense: int
    periodic: int = 0
    embedded: tuple[int, ...] = ()
    dim: int = 8
    sigma: float = 0.3

    def to_json(self) -> dict[str, object]:
        """Plain values that `from_json` turns back."""
        return {**asdict(self), "embedded": list(self.embedded)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Columns:
        """The columns that `to_json` wrote. Raises KeyError, TypeError or ValueError for anything else."""
        found = cls(**{**values, "embedded": tuple(values["embedded"])})
        if found.dense + found.embedding_width < 1:
            raise ValueError("a model has at least one column")
        return found

    @property
    def widths(self) -> list[int]:
        """The embedding width of each column of codes. Source: the rule of thumb of fastai, 1.6 x n^0.56."""
        return [min(32, round(1.6 * count**0.56)) for count in self.embedded]

    @property
    def embedding_width(self) -> int:
        """The number of values that the trained embeddings give for one example."""
        return self.periodic * self.dim + sum(self.widths)


class Periodic(nn.Module):
    """Numbers (B, P) to (B, P x dim): sines and cosines of trained frequencies, then a layer for each number.

    Source: Gorishniy, Rubachev and Babenko, On Embeddings for Numerical Features in Tabular Deep Learning (2022), 3.3.
    """

    def __init__(self, columns: int, dim: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.frequency = nn.Parameter(torch.zeros(columns, dim))
        self.weight = nn.Parameter(torch.zeros(columns, 2 * dim, dim))
        self.bias = nn.Parameter(torch.zeros(columns, dim))

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * torch.pi * self.frequency * x[..., None]
        waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
        return F.relu(torch.einsum("bpk,pkd->bpd", waves, self.weight) + self.bias).flatten(1)


class BatchNorm(nn.BatchNorm1d):
    """Batch norm that uses its running statistics for a batch of one, since one example has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and len(x) == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(x)


class Mlp(nn.Module):
    """Hidden layers of equal width: linear, norm, activation, dropout; all but the first may be residual."""

    takes_draws = True

    def __init__(self, columns: Columns, num_outputs: int, recipe: ModelRecipe) -> None:
        super().__init__()
        self.columns = columns
        self.activation = ACTIVATIONS.get(recipe.activation)
        self.norm = recipe.norm
        self.residual = recipe.residual
        self.dropout = recipe.dropout
        self.periodic = Periodic(columns.periodic, columns.dim, columns.sigma) if columns.periodic else None
        self.embeddings = nn.ModuleList(
            nn.Embedding(count, width) for count, width in zip(columns.embedded, columns.widths, strict=True)
        )
        inputs, width = columns.dense + columns.embedding_width, recipe.width
        sizes = [inputs] + [width] * recipe.depth
        # Batch norm cancels every bias: Adam would only amplify the rounding errors that are its gradient.
        biased = self.norm != "batch"
        self.body = nn.ModuleList(nn.Linear(a, b, bias=biased) for a, b in pairwise(sizes))
        norms = {"layer": nn.LayerNorm, "batch": BatchNorm}
        self.norms = nn.ModuleList(norms[self.norm](width) for _ in self.body if self.norm != "none")
        self.out = nn.Linear(sizes[-1], num_outputs)

    @property
    def kind(self) -> Hashable:
        """Everything that a pass depends on besides its tensors."""
        return self.columns, self.norm, self.activation, self.residual, len(self.body)

    @property
    def widths(self) -> list[int]:
        """The number of units in each hidden layer."""
        return [layer.out_features for layer in self.body if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """x: (B, D) as in `columns`; draws: the randomness of a training step, None for prediction. Returns (B, O)."""
        h = self._inputs(x)
        for i, layer in enumerate(self.body):
            z = layer(h)
            z = self.activation(self.norms[i](z) if self.norm != "none" else z)
            if draws is not None and self.dropout:
                z = z * kept(draws(z.shape[1]).to(z.dtype), z.new_tensor(self.dropout))
            h = h + z if self.residual and i else z
        return self.out(h)  # type: ignore[no-any-return]

    def _inputs(self, x: Tensor) -> Tensor:
        if not self.columns.embedding_width:
            return x
        dense, numbers, codes = self._split(x)
        found = [dense]
        if self.periodic is not None:
            found.append(self.periodic(numbers))
        found += [embedding(codes[:, i]) for i, embedding in enumerate(self.embeddings)]
        return torch.cat(found, dim=1)

    def _split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        dense, periodic = self.columns.dense, self.columns.periodic
        return x[..., :dense], x[..., dense : dense + periodic], x[..., dense + periodic :].long()

    # All members at once --------------------------------------------------------------------------------------------

    def stacked(
        self, tensors: Tensors, x: Tensor, *, dropout: Tensor | None, draws: Draws | None, mine: Tensor | None = None
    ) -> Tensor:
        """Outputs (M, B, O) of members that see the same examples.

        tensors: as `state_dict`, each with a leading M; x: (B, D), or (M, B, D) if members have their own;
        dropout: (M,) rates, None if all are zero; draws: the randomness of a training step, which also updates the
        running statistics in `tensors`; None for prediction;
        mine: (M, B), 0 if an example is not the member's and must not affect batch norm.
        """
        h: Tensor | None = None
        for i in range(len(self.body)):
            weight, bias = tensors[f"body.{i}.weight"], tensors.get(f"body.{i}.bias")
            z = self._first(tensors, weight, bias, x) if h is None else _linear(weight, bias, h)
            z = self.activation(self.normed(tensors, i, z, training=draws is not None, mine=mine))
            if draws is not None and dropout is not None:
                z = z * kept(draws(z.shape[2]).to(dropout.dtype), dropout[:, None, None]).to(z.dtype)
            h = h + z if self.residual and h is not None else z
        weight, bias = tensors["out.weight"], tensors["out.bias"]
        return self._first(tensors, weight, bias, x) if h is None else _linear(weight, bias, h)

    def _first(self, tensors: Tensors, weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
        """The first layer. Inputs without embeddings are shared by all members and need only one product for all."""
        if not self.columns.embedding_width:
            return shared_linear(weight, bias, x)
        cut = self.columns.dense
        z = shared_linear(weight[:, :, :cut], bias, x[..., :cut])
        return z + self.embedded(tensors, x) @ weight[:, :, cut:].transpose(1, 2)

    def embedding_names(self) -> list[str]:
        """The names of the embedding parameters before the first layer."""
        return [name for name, _ in self.named_parameters() if name.startswith(("periodic.", "embeddings."))]

    def embedded(self, tensors: Tensors, x: Tensor) -> Tensor:
        """The values (M, B, L) of each member's embeddings of the columns that have one."""
        _, numbers, codes = self._split(x)
        found = []
        if self.periodic is not None:
            angle = 2 * torch.pi * tensors["periodic.frequency"][:, None] * numbers[..., None]  # (M, B, P, k)
            waves = torch.cat([angle.cos(), angle.sin()], dim=-1)
            mixed = torch.einsum("mbpk,mpkd->mbpd", waves, tensors["periodic.weight"])
            found.append(F.relu(mixed + tensors["periodic.bias"][:, None]).flatten(2))
        for i in range(len(self.embeddings)):
            own = tensors[f"embeddings.{i}.weight"]
            every = torch.arange(len(own), device=own.device)[:, None]
            found.append(own[every, codes[..., i].expand(len(own), -1)])
        return torch.cat(found, dim=2)

    def normed(self, tensors: Tensors, i: int, z: Tensor, *, training: bool, mine: Tensor | None) -> Tensor:
        """The normalised values (M, B, W) of layer i; in training, batch norm also updates its running statistics."""
        if self.norm == "none":
            return z
        own = {name: tensors[f"norms.{i}.{name}"] for name in ("weight", "bias")}
        scale, shift = own["weight"][:, None], own["bias"][:, None]
        if self.norm == "layer":
            return F.layer_norm(z, z.shape[-1:]) * scale + shift
        mean, spread, _ = self.statistics(tensors, i, z, training=training, mine=mine)
        return (z - mean) / (spread + self.eps(i)).sqrt() * scale + shift

    def eps(self, i: int) -> float:
        """What the norm of layer i adds to the variance."""
        found = self.norms[i].eps
        assert isinstance(found, float)
        return found

    def statistics(
        self, tensors: Tensors, i: int, z: Tensor, *, training: bool, mine: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Mean and variance (M, 1, W) that batch norm uses, and the share (M, B, 1) of each example in them.

        In training the running statistics in `tensors` are updated. The share is None if they are used, and 0 for a
        member that uses them because it has only one example, which has no variance.
        """
        mean, spread = (tensors[f"norms.{i}.running_{name}"] for name in ("mean", "var"))
        if not training or z.shape[1] == 1:
            return mean[:, None], spread[:, None], None
        momentum = self.norms[i].momentum
        assert isinstance(momentum, float)
        if mine is None:
            size = torch.full((len(z), 1), z.shape[1], dtype=z.dtype, device=z.device)
            share = (1 / size)[:, None]
            own_mean, own_spread = z.mean(dim=1), z.var(dim=1, correction=0)
        else:
            size, own = mine.sum(dim=1, keepdim=True).to(z), mine[..., None].to(z)
            own_mean = (z * own).sum(dim=1) / size.clamp(min=1)
            own_spread = ((z - own_mean[:, None]).square() * own).sum(dim=1) / size.clamp(min=1)
            lonely = size < 2
            share = torch.where(lonely[:, None], 0, own / size.clamp(min=1)[:, None])
            own_mean, own_spread = torch.where(lonely, mean, own_mean), torch.where(lonely, spread, own_spread)
        found = own_mean[:, None], own_spread[:, None], share
        with torch.no_grad():
            moved = momentum * (size > 1).to(mean)
            mean.lerp_(own_mean.detach().to(mean), moved.expand_as(mean).to(mean))
            unbiased = own_spread.detach() * size / (size - 1).clamp(min=1)
            spread.lerp_(unbiased.to(spread), moved.expand_as(spread).to(spread))
            tensors[f"norms.{i}.num_batches_tracked"].add_((size > 1).squeeze(1).to(torch.int64))
        return found


def kept(draws: Tensor, rate: Tensor, scale: Tensor | None = None) -> Tensor:
    """The multiplier of dropout: 0 where a draw is below the rate, otherwise the scale, which is 1 / (1 - rate).

    draws: (B, W); rate, and scale if already known: () or (M, 1, 1). Returns (B, W) or (M, B, W).
    """
    found = draws.new_empty(*rate.shape[:-2], *draws.shape)
    # Computed as numbers directly: on a CPU, a tensor of bools in between takes nine times as long.
    return torch.ge(draws, rate, out=found).mul_(1 / (1 - rate) if scale is None else scale)


def shared_linear(weight: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    """One matrix product for all members that share their input. (M, O, D), (M, O), (B, D) -> (M, B, O)."""
    if x.ndim == 3:
        return _linear(weight, bias, x)
    members, outputs, features = weight.shape
    flat = F.linear(x, weight.reshape(members * outputs, features), None if bias is None else bias.reshape(-1))
    return flat.view(x.shape[0], members, outputs).transpose(0, 1)


def _linear(weight: Tensor, bias: Tensor | None, h: Tensor) -> Tensor:
    """(M, O, I), (M, O), (M, B, I) -> (M, B, O)."""
    if bias is None:
        return torch.bmm(h, weight.transpose(1, 2))
    return torch.baddbmm(bias.unsqueeze(1), h, weight.transpose(1, 2))


def head_of(num_features: int, num_classes: int, recipe: ModelRecipe) -> Mlp:
    """The head on a backbone's features: linear, or with one hidden layer of `recipe.hidden` units."""
    plain = ModelRecipe(
        name="head", width=max(recipe.hidden, 1), depth=1 if recipe.hidden else 0, dropout=recipe.dropout
    )
    return Mlp(Columns(num_features), num_classes, plain)


TABLE_MODELS = ("linear", "mlp")
WORDS = "words"  # a linear model on the sparse words of texts, which is not built here


def build_table_model(columns: Columns, num_outputs: int, recipe: ModelRecipe) -> Mlp:
    """The model of a table: linear, or a multi-layer perceptron. Raises UsageError for another name."""
    if recipe.name not in TABLE_MODELS:
        raise UsageError(unknown("model of tables", recipe.name, (*TABLE_MODELS, WORDS)))
    return Mlp(columns, num_outputs, replace(recipe, depth=0) if recipe.name == "linear" else recipe)


def num_weights(module: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(math.prod(value.shape) for value in module.parameters())
