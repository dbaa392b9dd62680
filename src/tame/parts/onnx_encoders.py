"""Encoders of texts in operators, in float32 as they predict."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import Tensor, nn

from tame.core.errors import UsageError, unknown
from tame.parts.encoders import TextEncoder
from tame.parts.operators import FLOAT, TRUTH, Operators

# Each activation of the encoders, as attributes of Gelu, or as the name of an operator.
_GELU = {"gelu": "none", "gelu_new": "tanh", "gelu_pytorch_tanh": "tanh"}
_LEAST = float(np.finfo(np.float32).min)  # instead of an infinity, which a text without tokens would make NaN
_SHORTEST = 1e-12  # length of features that are divided by, as in torch


def encoder_nodes(nodes: Operators, encoder: TextEncoder, *, ids: str, mask: str) -> str:
    """(n, D) float32 features of length 1, as `encoders.pooled`. ids, mask: (n, L) int64; a text may have no tokens.

    Raises UsageError for an activation that has no form here.
    """
    module, shape = encoder.module, encoder.shape
    first = nodes.op("Gather", ids, nodes.constant(np.array(0)), axis=0)
    ones = nodes.op("Add", nodes.op("Mul", first, nodes.whole(0)), nodes.whole(1))
    places = nodes.op("Sub", nodes.op("CumSum", ones, nodes.constant(np.array(0))), nodes.whole(1))
    positions = nodes.op("Gather", _weight(nodes, module.position.weight), places, axis=0)
    h = nodes.op("Gather", _weight(nodes, module.word.weight), ids, axis=0)
    h = nodes.op("Add", h, _weight(nodes, module.token_type.weight[0]))
    h = _normed(nodes, module.norm, nodes.op("Add", h, positions))
    present = nodes.cast(nodes.op("Unsqueeze", mask, nodes.whole(1, 2)), TRUTH)
    layers: Iterable[Any] = module.layers
    for layer in layers:
        query, key, value = (
            nodes.op("Reshape", _linear(nodes, part, h), nodes.whole(0, 0, layer.heads, -1))
            for part in (layer.query, layer.key, layer.value)
        )
        query, value = (nodes.op("Transpose", part, perm=[0, 2, 1, 3]) for part in (query, value))
        scores = nodes.op("MatMul", query, nodes.op("Transpose", key, perm=[0, 2, 3, 1]))
        size = math.sqrt(shape.hidden_size // shape.num_attention_heads)
        scores = nodes.op("Where", present, nodes.op("Div", scores, _number(nodes, size)), _number(nodes, _LEAST))
        seen = nodes.op("MatMul", nodes.op("Softmax", scores, axis=-1), value)
        seen = nodes.op("Reshape", nodes.op("Transpose", seen, perm=[0, 2, 1, 3]), nodes.whole(0, 0, -1))
        h = _normed(nodes, layer.attended_norm, nodes.op("Add", _linear(nodes, layer.attended, seen), h))
        wide = _activated(nodes, shape.hidden_act, _linear(nodes, layer.wide, h))
        h = _normed(nodes, layer.norm, nodes.op("Add", _linear(nodes, layer.narrow, wide), h))
    if encoder.pooling == "first":
        found = nodes.op("Gather", h, nodes.constant(np.array(0)), axis=1)
    else:
        here = nodes.cast(nodes.op("Unsqueeze", mask, nodes.whole(2)), FLOAT)
        total = nodes.op("ReduceSum", nodes.op("Mul", h, here), nodes.whole(1), keepdims=0)
        num = nodes.op("Max", nodes.op("ReduceSum", here, nodes.whole(1), keepdims=0), _number(nodes, 1.0))
        found = nodes.op("Div", total, num)
    length = nodes.op("ReduceL2", found, nodes.whole(1), keepdims=1)
    return nodes.op("Div", found, nodes.op("Max", length, _number(nodes, _SHORTEST)))


def _activated(nodes: Operators, name: str, x: str) -> str:
    if name in _GELU:
        return nodes.op("Gelu", x, approximate=_GELU[name])
    if name == "silu":
        return nodes.op("Mul", x, nodes.op("Sigmoid", x))
    if name == "relu":
        return nodes.op("Relu", x)
    raise UsageError(f"the encoder of texts: {unknown('activation', name, [*_GELU, 'silu', 'relu'])}")


def _linear(nodes: Operators, layer: nn.Linear, x: str) -> str:
    return nodes.op("Add", nodes.op("MatMul", x, _weight(nodes, layer.weight.T)), _weight(nodes, layer.bias))


def _normed(nodes: Operators, norm: nn.LayerNorm, x: str) -> str:
    own = (_weight(nodes, norm.weight), _weight(nodes, norm.bias))
    return nodes.op("LayerNormalization", x, *own, axis=-1, epsilon=norm.eps)


def _weight(nodes: Operators, values: Tensor) -> str:
    return nodes.constant(values.detach().cpu().float().numpy())


def _number(nodes: Operators, value: float) -> str:
    return nodes.constant(np.array(value, np.float32))
