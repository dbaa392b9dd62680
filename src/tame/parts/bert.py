"""The encoder of the BERT family: tokens to vectors, in plain torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import UsageError, require, unknown
from tame.parts.text_folders import whole

_gelu_new = partial(F.gelu, approximate="tanh")
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu, "gelu_new": _gelu_new, "gelu_pytorch_tanh": _gelu_new, "relu": F.relu, "silu": F.silu,
}  # fmt: skip
POSITIONS = "absolute"
# The names of the published weights, in the order in which they are replaced by those of the modules below.
_NAMES = (
    (r"^(bert|model)\.", ""), (r"^encoder\.layer\.", "layers."), (r"attention\.self\.", ""),
    (r"attention\.output\.dense", "attended"), (r"attention\.output\.LayerNorm", "attended_norm"),
    (r"intermediate\.dense", "wide"), (r"(layers\.\d+)\.output\.dense", r"\1.narrow"),
    (r"(layers\.\d+)\.output\.LayerNorm", r"\1.norm"), (r"^embeddings\.LayerNorm", "norm"),
    (r"^embeddings\.(word|position|token_type)_embeddings", r"\1"), (r"\.gamma$", ".weight"), (r"\.beta$", ".bias"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BertShape:
    """Everything that a BERT depends on besides its weights, in the words of its config.json."""

    vocab_size: int
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    max_position_embeddings: int
    type_vocab_size: int
    hidden_act: str
    layer_norm_eps: float

    @classmethod
    def of(cls, config: Mapping[str, object], *, where: str) -> BertShape:
        """The shape in a config.json. Raises UsageError for what is not a BERT, RefusedError for one too large."""
        kind = config.get("model_type")
        require(kind == "bert", f"{where}: {kind!r} is not a kind of encoder that TAME knows; it reads 'bert'")
        positions = config.get("position_embedding_type") or POSITIONS
        require(positions == POSITIONS, f"{where}: positions are {positions!r}; TAME reads {POSITIONS!r} ones")
        number = partial(whole, config, where=where)
        act = str(config.get("hidden_act", "gelu"))
        if act not in ACTIVATIONS:
            raise UsageError(f"{where}: {unknown('activation', act, ACTIVATIONS)}")
        eps = config.get("layer_norm_eps", 1e-12)
        require(isinstance(eps, float) and 0 < eps < 1, f"{where}: layer_norm_eps must be above 0 and below 1")
        assert isinstance(eps, float)
        found = cls(
            vocab_size=number("vocab_size", 1, 2**20), hidden_size=number("hidden_size", 1, 8192),
            num_hidden_layers=number("num_hidden_layers", 1, 96),
            num_attention_heads=number("num_attention_heads", 1, 256),
            intermediate_size=number("intermediate_size", 1, 2**16),
            max_position_embeddings=number("max_position_embeddings", 4, 2**16),
            type_vocab_size=number("type_vocab_size", 1, 64, default=2), hidden_act=act, layer_norm_eps=eps,
        )  # fmt: skip
        fits = found.hidden_size % found.num_attention_heads == 0
        require(fits, f"{where}: {found.num_attention_heads} heads do not divide {found.hidden_size} units")
        return found

    def to_json(self) -> dict[str, object]:
        """As in a config.json, from which `of` reads it again."""
        return {"model_type": "bert", **asdict(self)}


class Bert(nn.Module):
    """Token ids (B, L) and which of them are there (B, L) to one vector for each token (B, L, hidden_size).

    Source: Devlin et al., BERT: Pre-training of Deep Bidirectional Transformers (2019).
    """

    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        self.word = nn.Embedding(shape.vocab_size, shape.hidden_size)
        self.position = nn.Embedding(shape.max_position_embeddings, shape.hidden_size)
        self.token_type = nn.Embedding(shape.type_vocab_size, shape.hidden_size)
        self.norm = nn.LayerNorm(shape.hidden_size, eps=shape.layer_norm_eps)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.num_hidden_layers))

    def forward(self, ids: Tensor, present: Tensor, *, layers: int | None = None) -> Tensor:
        """layers: how many of the first ones the tokens pass; None for all."""
        # In the order of the published code: the sum of three terms rounds differently in another.
        found = self.norm(self.word(ids) + self.token_type.weight[0] + self.position.weight[: ids.shape[1]])
        mask = present.bool()[:, None, None, :]
        for layer in self.layers[:layers]:
            found = layer(found, mask)
        return found  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, shape: BertShape) -> None:
        super().__init__()
        width = shape.hidden_size
        self.heads = shape.num_attention_heads
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.attended = nn.Linear(width, width)
        self.attended_norm = nn.LayerNorm(width, eps=shape.layer_norm_eps)
        self.wide = nn.Linear(width, shape.intermediate_size)
        self.narrow = nn.Linear(shape.intermediate_size, width)
        self.norm = nn.LayerNorm(width, eps=shape.layer_norm_eps)
        self.activation = ACTIVATIONS[shape.hidden_act]

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x: (B, L, D); mask: (B, 1, 1, L), true for the tokens that are there."""
        query, key, value = (
            part(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask).transpose(1, 2).flatten(2)
        x = self.attended_norm(self.attended(seen) + x)
        return self.norm(self.narrow(self.activation(self.wide(x))) + x)  # type: ignore[no-any-return]


def named_as_here(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published weights of a BERT by the names that `Bert` has."""
    found = {}
    for name, value in weights.items():
        for pattern, own in _NAMES:
            name = re.sub(pattern, own, name)
        found[name] = value
    return found


def empty_bert(shape: BertShape) -> Bert:
    """A network without memory for its weights, to be filled by `load_weights`."""
    with torch.device("meta"):
        return Bert(shape)
