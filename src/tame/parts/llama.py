"""Language models of the Llama family in plain torch, opened from a folder in Hugging Face's format.

Source: Touvron et al., Llama: open and efficient foundation language models (2023). Equals LlamaForCausalLM of
transformers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.core.errors import require
from tame.parts.embedded_encoders import CONFIG
from tame.parts.text_folders import load_weights, open_text_folder, whole

MOST = {"vocab_size": 2**20, "hidden_size": 2**15, "intermediate_size": 2**17, "num_hidden_layers": 512,
        "num_attention_heads": 512, "max_position_embeddings": 2**24}  # fmt: skip
PLAIN_ROPE = (None, "default")
ATTENTION = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj")
FEED_FORWARD = ("mlp.gate_proj", "mlp.up_proj", "mlp.down_proj")
MATRICES = (*ATTENTION, *FEED_FORWARD)  # of a block, by the names in Hugging Face's files


@dataclass(frozen=True, slots=True, kw_only=True)
class LlamaConfig:
    """The shape of a model, by the names of config.json. end: the token that ends a text; start: that begins one."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    max_position_embeddings: int
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False
    bos_token_id: int = 1
    eos_token_id: int = 2

    def to_json(self) -> dict[str, object]:
        """Plain values as config.json has them."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        kind = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu"}
        return {**kind, **own, "attention_bias": False, "mlp_bias": False, "torch_dtype": "float32"}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every weight by its name."""
        wide, inner, heads = self.hidden_size, self.intermediate_size, self.num_attention_heads * self.head_dim
        few = self.num_key_value_heads * self.head_dim
        own = {
            "self_attn.q_proj": (heads, wide), "self_attn.k_proj": (few, wide), "self_attn.v_proj": (few, wide),
            "self_attn.o_proj": (wide, heads), "mlp.gate_proj": (inner, wide), "mlp.up_proj": (inner, wide),
            "mlp.down_proj": (wide, inner), "input_layernorm": (wide,), "post_attention_layernorm": (wide,),
        }  # fmt: skip
        found: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (self.vocab_size, wide)}
        for number in range(self.num_hidden_layers):
            found |= {f"model.layers.{number}.{name}.weight": shape for name, shape in own.items()}
        found["model.norm.weight"] = (wide,)
        return found if self.tie_word_embeddings else {**found, "lm_head.weight": (self.vocab_size, wide)}


def read_config(values: Mapping[str, Any], *, where: str) -> LlamaConfig:
    """The config of these values. Raises UsageError for another architecture or a number out of range, RefusedError for
    one that is too large."""
    kind = values.get("model_type")
    require(kind == "llama", f"{where} is of type {kind!r:.40}; TAME trains language models of the type 'llama'")
    own = {name: whole(values, name, 1, most, where=where) for name, most in MOST.items()}
    heads = own["num_attention_heads"]
    known = {name: value for name, value in values.items() if value is not None}  # null where the default holds
    own["num_key_value_heads"] = whole(known, "num_key_value_heads", 1, heads, where=where, default=heads)
    per_head = own["hidden_size"] // heads
    own["head_dim"] = whole(known, "head_dim", 1, MOST["hidden_size"], where=where, default=per_head)
    fits = heads % own["num_key_value_heads"] == 0 and own["head_dim"] % 2 == 0 and own["head_dim"] > 0
    require(fits, f"{where}: {heads} heads do not fit {own['num_key_value_heads']} keys and {own['hidden_size']} units")
    for name in ("attention_bias", "mlp_bias"):
        require(not values.get(name), f"{where}: {name} is set, which TAME's Llama does not have")
    require(values.get("hidden_act", "silu") == "silu", f"{where}: hidden_act must be silu")
    turned = values.get("rope_parameters") or values.get("rope_scaling") or {}
    require(isinstance(turned, Mapping), f"{where}: rope_parameters must be an object")
    way = turned.get("rope_type", turned.get("type"))
    require(way in PLAIN_ROPE, f"{where}: rotary positions of the type {way!r:.40} are not supported, only plain ones")
    theta = values.get("rope_theta", turned.get("rope_theta", 10000.0))
    return LlamaConfig(
        **own, rms_norm_eps=_number(values.get("rms_norm_eps", 1e-6), "rms_norm_eps", where),
        rope_theta=_number(theta, "rope_theta", where), tie_word_embeddings=values.get("tie_word_embeddings") is True,
        **{name: _token(values.get(name), name, own["vocab_size"], where) for name in ("bos_token_id", "eos_token_id")},
    )  # fmt: skip


def _number(found: object, name: str, where: str) -> float:
    good = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found) and found > 0
    require(good, f"{where}: {name} must be a number above 0, got {found!r:.40}")
    assert isinstance(found, int | float)
    return float(found)


def _token(found: object, name: str, vocabulary: int, where: str) -> int:
    first = found[0] if isinstance(found, list) and found else found
    good = type(first) is int and 0 <= first < vocabulary
    require(good, f"{where}: {name} must be a token below {vocabulary:,}, got {found!r:.40}")
    assert isinstance(first, int)
    return first


Product = Callable[[str, Tensor, Tensor], Tensor]  # a matrix by its path, its input and its weight, to its output


def plain_product(path: str, x: Tensor, weight: Tensor) -> Tensor:
    """The product with the weight alone."""
    return F.linear(x, weight)


@dataclass(slots=True)
class Cache:
    """Keys and values (M, B, H, T, D) of the tokens that a model has seen, by block: grows as tokens are added."""

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        return self.keys[0].shape[-2] if self.keys else 0

    def add(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values of a block with new ones added."""
        if block == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[block] = torch.cat([self.keys[block], keys], dim=-2)
            self.values[block] = torch.cat([self.values[block], values], dim=-2)
        return self.keys[block], self.values[block]


class Llama(nn.Module):
    """A causal language model. Its parameters have the names of Hugging Face's files.

    They are empty when it is made, and are not trained: adapters are (`parts/adapters.py`).
    """

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        for path, shape in config.shapes().items():
            *rooms, leaf = path.split(".")
            place: nn.Module = self
            for room in rooms:
                if not hasattr(place, room):
                    place.add_module(room, nn.Module())
                place = getattr(place, room)
            place.register_parameter(leaf, nn.Parameter(torch.empty(shape), requires_grad=False))
        self._weights: dict[str, nn.Parameter] = {}

    def forward(
        self, tokens: Tensor, *, product: Product = plain_product, cache: Cache | None = None, last: bool = False
    ) -> Tensor:
        """Logits (M, B, T, V) of the token after each of `tokens` (B, T), whole numbers.

        product: how matrices are applied, the way in which adapters of M members come in; M is 1 up to the first matrix
        that differs between members. cache: of the tokens before these; last: only of the last token.
        """
        own = self.weights()
        x = self.hidden(tokens, product=product, cache=cache)
        x = x[:, :, -1:] if last else x
        path = "model.embed_tokens" if self.config.tie_word_embeddings else "lm_head"
        return product(path, x, own[f"{path}.weight"])

    def weights(self) -> Mapping[str, nn.Parameter]:
        """The weights by name."""
        first = self.get_parameter("model.embed_tokens.weight")
        if self._weights.get("model.embed_tokens.weight") is not first:  # they were replaced, as loading does
            self._weights = dict(self.named_parameters())
        return self._weights

    def hidden(self, tokens: Tensor, *, product: Product = plain_product, cache: Cache | None = None) -> Tensor:
        """What the last layer sees, (M, B, T, D). Arguments as of `forward`."""
        own, config = self.weights(), self.config
        x = F.embedding(tokens, own["model.embed_tokens.weight"])[None]
        turn = _turns(config, cache.length if cache else 0, tokens.shape[1], x)
        for number in range(config.num_hidden_layers):
            path = f"model.layers.{number}"
            seen = _norm(x, own[f"{path}.input_layernorm.weight"], config.rms_norm_eps)
            x = x + self._attention(path, number, seen, turn, product, cache)
            seen = _norm(x, own[f"{path}.post_attention_layernorm.weight"], config.rms_norm_eps)
            x = x + self._feed_forward(path, seen, product)
        return _norm(x, own["model.norm.weight"], config.rms_norm_eps)

    def _attention(
        self, path: str, number: int, x: Tensor, turn: tuple[Tensor, Tensor], product: Product, cache: Cache | None
    ) -> Tensor:
        own, config = self.weights(), self.config

        def heads(name: str) -> Tensor:
            full = f"{path}.self_attn.{name}"
            found = product(full, x, own[f"{full}.weight"])
            return torch.unflatten(found, -1, (-1, config.head_dim)).transpose(-2, -3)  # (M, B, H, T, D)

        query, key, value = _turned(heads("q_proj"), *turn), _turned(heads("k_proj"), *turn), heads("v_proj")
        if cache is not None:
            key, value = cache.add(number, key, value)
        members = max(len(each) for each in (query, key, value))
        share = config.num_attention_heads // config.num_key_value_heads
        q, k, v = (each.expand(members, *each.shape[1:]).flatten(0, 1) for each in (query, key, value))
        k, v = (each.repeat_interleave(share, dim=1) if share > 1 else each for each in (k, v))
        whole = q.shape[-2] == k.shape[-2]
        mask = None if whole else _later(q.shape[-2], k.shape[-2], q.device)
        found = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=whole and q.shape[-2] > 1)
        merged = torch.unflatten(found.transpose(1, 2).flatten(2), 0, (members, -1))
        return product(f"{path}.self_attn.o_proj", merged, own[f"{path}.self_attn.o_proj.weight"])

    def _feed_forward(self, path: str, x: Tensor, product: Product) -> Tensor:
        own, room = self.weights(), f"{path}.mlp"
        gate = F.silu(product(f"{room}.gate_proj", x, own[f"{room}.gate_proj.weight"]))
        up = product(f"{room}.up_proj", x, own[f"{room}.up_proj.weight"])
        return product(f"{room}.down_proj", gate * up, own[f"{room}.down_proj.weight"])


def _norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """Root mean square norm. Source: Zhang and Sennrich (2019)."""
    return weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps))


def _turns(config: LlamaConfig, start: int, length: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines (T, D) of the rotary positions from `start` on. Source: Su et al., RoFormer (2021)."""
    steps = torch.arange(0, config.head_dim, 2, dtype=torch.int64, device=like.device).float()
    frequency = 1.0 / (config.rope_theta ** (steps / config.head_dim))
    places = torch.arange(start, start + length, device=like.device).float()
    angle = (frequency[:, None] @ places[None]).T
    both = torch.cat([angle, angle], dim=-1)
    return both.cos().to(like.dtype), both.sin().to(like.dtype)


def _turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat([-second, first], dim=-1) * sine


def _later(new: int, every: int, device: torch.device) -> Tensor:
    """(new, every) bools: which of all tokens each of the last ones may see."""
    return torch.ones(new, every, dtype=torch.bool, device=device).tril(every - new)


@dataclass(frozen=True, slots=True)
class LanguageModel:
    """A model with its tokenizer. digest: of weights, config and tokenizer together; tokenizer: content of its file."""

    name: str
    module: Llama
    tokenizer: bytes
    digest: str

    @property
    def config(self) -> LlamaConfig:
        return self.module.config


def open_language_model(folder: Path) -> LanguageModel:
    """The model of a folder in Hugging Face's format, in float32.

    Raises UsageError for a folder that is not of this family or does not fit together, RefusedError for one that asks
    for code, holds pickles, or is too large.
    """
    found, where = open_text_folder(folder), str(folder)
    config = read_config(found.config, where=f"{where}/{CONFIG}")
    with torch.device("meta"):  # nothing is allocated before the weights bear out what the config says
        module = Llama(config)
    load_weights(module, found.weights, where=where)
    return LanguageModel(found.name, module, found.tokenizer, found.digest)
