"""Adapters: few trained numbers beside a frozen language model, for a population of members at once.

An adapter adds a product of two thin matrices to a frozen one. All members of a population share the base: it is
applied once up to the first matrix that differs between them. Their ranks, rates, matrices and dropout are values of
each member; smaller ranks are masks of a larger one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import require
from tame.core.recipe import AdapterRecipe
from tame.core.registry import Registry
from tame.core.rng import stream_seed
from tame.parts.llama import ATTENTION, FEED_FORWARD, MATRICES, Llama, Product
from tame.parts.mlp import Draws

Tensors = Mapping[str, Tensor]
WHICH: Mapping[str, tuple[str, ...]] = {
    "qv": (ATTENTION[0], ATTENTION[2]),
    "attention": ATTENTION,
    "mlp": FEED_FORWARD,
    "all": MATRICES,
}


class Adapter(Protocol):
    """An adapter of one matrix (O, D), for M members at once.

    shapes: of its trained parameters by name, for a rank; start: draws one of them; added: x (M or 1, B, T, D) to what
    it adds to the output, (M, B, T, O), given its parameters with a leading M, and `gain` (M, R), which is the scale of
    each member for its ranks and 0 beyond; merged: what it adds to the weight, (O, D), from parameters without M.
    """

    def shapes(self, rows: int, columns: int, rank: int) -> Mapping[str, tuple[int, ...]]: ...

    def start(self, name: str, shape: tuple[int, ...], chance: torch.Generator) -> Tensor: ...

    def added(self, x: Tensor, params: Tensors, gain: Tensor) -> Tensor: ...

    def merged(self, params: Tensors, gain: Tensor) -> Tensor: ...


ADAPTERS: Registry[Adapter] = Registry("adapter")


@dataclass(frozen=True, slots=True)
class Lora:
    """B A x, scaled by alpha / rank. B starts at zero, so that training starts from the base.

    Source: Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (2021).
    """

    def shapes(self, rows: int, columns: int, rank: int) -> Mapping[str, tuple[int, ...]]:
        return {"down": (rank, columns), "up": (rows, rank)}

    def start(self, name: str, shape: tuple[int, ...], chance: torch.Generator) -> Tensor:
        if name == "up":
            return torch.zeros(shape)
        bound = 1 / math.sqrt(shape[1])
        return torch.empty(shape).uniform_(-bound, bound, generator=chance)

    def added(self, x: Tensor, params: Tensors, gain: Tensor) -> Tensor:
        rows, shape = x.flatten(1, 2), x.shape[1:3]
        few = torch.matmul(rows, params["down"].transpose(1, 2)) * gain[:, None]
        return torch.unflatten(torch.matmul(few, params["up"].transpose(1, 2)), 1, tuple(shape))

    def merged(self, params: Tensors, gain: Tensor) -> Tensor:
        return (params["up"] * gain) @ params["down"]


ADAPTERS.add("lora")(Lora())


def room_of(rank: int) -> int:
    """The rank that members with this one are trained at together: the next power of two, the rest masked."""
    return 1 << (rank - 1).bit_length()


AT_ONCE = 16  # blocks that one member is judged on at once: their logits take most of the memory


class Adapted(nn.Module):
    """A frozen model with an adapter at some of its matrices; gives bits per character.

    Its state is that of the adapters alone. `forward` is of one member, `stacked` of M of them. half: the matrices of
    the base in bfloat16, as of `halved`, which are used in training alone; what is judged is always in float32.
    """

    takes_draws = True

    def __init__(
        self, base: Llama, recipe: AdapterRecipe, *, length: int, dropout: float, seed: int,
        half: Tensors | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._base = (base,)  # in a tuple: its weights are no state of this module
        self._half = (half or {},)
        self.kind = ADAPTERS.get(recipe.name)
        self.length = length
        self.dropout = dropout
        self.places = {path.replace(".", "/"): path for path in _paths(base)}
        rank, shapes = room_of(recipe.rank), base.config.shapes()
        for name, path in self.places.items():
            rows, columns = shapes[f"{path}.weight"]
            chance = torch.Generator().manual_seed(stream_seed(seed, "adapter", path))
            for part, shape in self.kind.shapes(rows, columns, rank).items():
                self.register_parameter(f"{name}:{part}", nn.Parameter(self.kind.start(part, shape, chance)))
        own = torch.arange(rank) < recipe.rank
        gain = own * (recipe.alpha / recipe.rank)
        for which in MATRICES:
            on = which in WHICH[recipe.matrices]
            self.register_buffer(_gain(which), gain * on)

    @property
    def base(self) -> Llama:
        """The frozen model."""
        return self._base[0]

    def forward(self, x: Tensor, draws: Draws | None = None) -> Tensor:
        """Bits per character (B, 1) of blocks of text. x: (B, T + 2) whole numbers: T + 1 tokens of which the first is
        context alone, -1 where a block is not full, then the number of characters of the others."""
        tensors = {name: value[None] for name, value in (*self.named_parameters(), *self.named_buffers())}
        dropout = torch.full((1,), self.dropout) if self.training and self.dropout else None
        return self.stacked(tensors, x, dropout=dropout, draws=draws if dropout is not None else None)[0]

    def stacked(
        self, tensors: Tensors, x: Tensor, *, dropout: Tensor | None, draws: Draws | None, mine: Tensor | None = None
    ) -> Tensor:
        """Bits per character (M, B, 1) for members whose parameters and buffers have a leading M.

        In training blocks are cut to `length` tokens, each with its own context. dropout: (M,) share of an input's
        features that a block does not see, the same at all its tokens (Gal and Ghahramani, 2016); draws: None outside
        of training.
        """
        rows, characters = x[:, :-1], x[:, -1]
        parts = max(1, (rows.shape[1] - 1) // self.length) if self.training else 1
        rows = rows if parts == 1 else shorter(rows, self.length)
        place = torch.arange(len(x), device=x.device).repeat_interleave(parts)
        product = self._product(tensors, dropout, draws, place)
        at_once = len(rows) if self.training else max(1, AT_ONCE // len(next(iter(tensors.values()))))
        lost = torch.cat([nats(self.base, some, product) for some in torch.split(rows, at_once)], dim=1)
        nats_of = torch.unflatten(lost, 1, (len(x), parts)).sum(dim=2)
        return torch.unsqueeze(nats_of / (math.log(2) * characters.to(lost)), -1)

    def product(self, tensors: Tensors) -> Product:
        """How matrices are applied with adapters, outside of training. tensors: with a leading M."""
        return self._product(tensors, None, None, None)

    def _product(self, tensors: Tensors, dropout: Tensor | None, draws: Draws | None, rows: Tensor | None) -> Product:
        gains = {which: tensors[_gain(which)] for which in MATRICES}
        used = {which: bool(gain.any()) for which, gain in gains.items()}
        half = self._half[0] if self.training else {}

        def apply(path: str, x: Tensor, weight: Tensor) -> Tensor:
            found = half_product(x, half[path]) if path in half else F.linear(x, weight)
            which = ".".join(path.split(".")[-2:])
            if not used.get(which, False):
                return found
            name = path.replace(".", "/")
            own = {part: tensors[f"{name}:{part}"] for part in self.kind.shapes(1, 1, 1)}
            seen = x if dropout is None or draws is None else _dropped(x, dropout, draws, rows)
            return found + self.kind.added(seen, own, gains[which])

        return apply

    def merge(self) -> Llama:
        """A copy of the base with the adapters inside its weights, which says the same but for rounding."""
        module = copy.deepcopy(self.base)
        weights, own = dict(module.named_parameters()), dict(self.named_parameters())
        with torch.no_grad():
            for name, path in self.places.items():
                gain = self.get_buffer(_gain(".".join(path.split(".")[-2:])))
                parts = {part: own[f"{name}:{part}"].detach() for part in self.kind.shapes(1, 1, 1)}
                weights[f"{path}.weight"].add_(self.kind.merged(parts, gain))
        return module

    def step_bytes(self, batch: int, tokens: int) -> int:
        """About the bytes of a training step of one member on so many blocks of so many tokens: what the base keeps for
        the way back."""
        own = self.base.config
        heads = own.num_attention_heads * own.head_dim
        widths = own.num_hidden_layers * (6 * own.hidden_size + 4 * own.intermediate_size + 2 * heads)
        return 4 * batch * tokens * (widths + 3 * own.vocab_size)

    def num_trained(self) -> int:
        """How many numbers are trained, without those that masks leave at rest."""
        found = 0
        for path in self.places.values():
            rank = int((self.get_buffer(_gain(".".join(path.split(".")[-2:]))) != 0).sum())
            rows, columns = self.base.config.shapes()[f"{path}.weight"]
            found += sum(math.prod(shape) for shape in self.kind.shapes(rows, columns, rank).values()) if rank else 0
        return found


def halved(base: Llama) -> dict[str, Tensor]:
    """The matrices of a model in bfloat16, by their paths."""
    own = base.weights()
    matrices = {name.removesuffix(".weight"): value for name, value in own.items() if value.ndim == 2}
    if not base.config.tie_word_embeddings:
        del matrices["model.embed_tokens"]  # rows of which are taken, and nothing is multiplied with
    return {path: value.detach().bfloat16() for path, value in matrices.items()}


def half_product(x: Tensor, weight: Tensor) -> Tensor:
    """The product with a matrix in bfloat16, in the type of x."""
    return F.linear(x.bfloat16(), weight).to(x.dtype)


def shorter(rows: Tensor, length: int) -> Tensor:
    """Blocks (n, T + 1) as blocks (n T / length, length + 1), in order; the last token of each is the next one's
    first. Raises UsageError where the length does not divide T."""
    whole = rows.shape[1] - 1
    require(whole % length == 0, f"input.length {length} does not divide the blocks of {whole} tokens")
    return rows.unfold(1, length + 1, length).flatten(0, 1)


def nats(base: Llama, rows: Tensor, product: Product) -> Tensor:
    """(M, n) the negative log-likelihood of each block (n, T + 1) in nats; tokens below 0 count nothing."""
    seen, wanted = rows[:, :-1].clamp(min=0), rows[:, 1:]
    logits = base(seen, product=product)
    members = len(logits)
    flat, aims = logits.flatten(0, 2), wanted.expand(members, *wanted.shape).flatten()
    lost = F.cross_entropy(flat, aims, ignore_index=-1, reduction="none")
    return torch.unflatten(lost, 0, (members, *wanted.shape)).sum(dim=2)


def _dropped(x: Tensor, dropout: Tensor, draws: Draws, rows: Tensor | None) -> Tensor:
    """x (M or 1, B, T, D) with features left out at all tokens of a block, by draws that all members share."""
    drawn = draws(x.shape[-1])
    drawn = drawn if rows is None else drawn[rows]
    share = dropout[:, None, None, None]
    return x * (drawn[None, :, None] >= share) / (1 - share)


def _paths(base: Llama) -> Sequence[str]:
    return [f"model.layers.{number}.{which}" for number in range(base.config.num_hidden_layers) for which in MATRICES]


def _gain(which: str) -> str:
    return f"gain:{which.replace('.', '/')}"
