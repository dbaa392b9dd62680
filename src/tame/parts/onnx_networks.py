"""Networks of TAME in operators, in float32 as they predict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.errors import UsageError, unknown
from tame.parts.activations import LEAK
from tame.parts.familiar import Familiar
from tame.parts.losses import LOSSES
from tame.parts.mlp import Mlp
from tame.parts.network import Network
from tame.parts.operators import DOUBLE, FLOAT, ML, TEXT, Operators

_PROBES = 64  # outputs by which a function from outputs to logits is told to be linear

# Each activation of the registry, from a value to a value.
ACTIVATION_NODES: Mapping[str, Callable[[Operators, str], str]] = {
    "relu": lambda nodes, x: nodes.op("Relu", x),
    "gelu": lambda nodes, x: nodes.op("Gelu", x),
    "silu": lambda nodes, x: nodes.op("Mul", x, nodes.op("Sigmoid", x)),
    "mish": lambda nodes, x: nodes.op("Mish", x),
    "elu": lambda nodes, x: nodes.op("Elu", x),
    "selu": lambda nodes, x: nodes.op("Selu", x),
    "leaky_relu": lambda nodes, x: nodes.op("LeakyRelu", x, alpha=LEAK),
    "tanh": lambda nodes, x: nodes.op("Tanh", x),
    "sigmoid": lambda nodes, x: nodes.op("Sigmoid", x),
    "softplus": lambda nodes, x: nodes.op("Softplus", x),
    "softsign": lambda nodes, x: nodes.op("Softsign", x),
    "hard_swish": lambda nodes, x: nodes.op("HardSwish", x),
    "identity": lambda nodes, x: x,
}


def mlp_nodes(nodes: Operators, module: Mlp, activation: str, *, dense: str, periodic: str, codes: str) -> str:
    """Outputs (n, O) of a perceptron. activation: its name.

    dense, periodic: (n, D) and (n, P) float32; codes: (n, E) int64; "" where it has none. Raises UsageError for an
    activation that has no form in ONNX.
    """
    if activation not in ACTIVATION_NODES:
        raise UsageError(f"hidden layers: {unknown('activation with a form in ONNX', activation, ACTIVATION_NODES)}")
    found = [dense] if dense else []
    if module.periodic is not None:
        found.append(_periodic(nodes, module, periodic))
    for place, table in enumerate(module.embeddings):
        own = nodes.op("Gather", codes, nodes.constant(np.array(place)), axis=1)
        assert isinstance(table, nn.Embedding)
        found.append(nodes.op("Gather", _weight(nodes, table.weight), own, axis=0))
    h = nodes.beside(*found)
    for place, layer in enumerate(module.body):
        z = _linear(nodes, layer, h)
        z = ACTIVATION_NODES[activation](nodes, _normed(nodes, module, place, z))
        h = nodes.op("Add", h, z) if module.residual and place else z
    return _linear(nodes, module.out, h)


def canonical_nodes(nodes: Operators, network: Network, outputs: str) -> str:
    """Canonical outputs (n, C) of what a network gives, (n, O): logits, or numbers in float64 and units of the target.

    Raises UsageError for a loss whose outputs have no form in ONNX.
    """
    name = network.recipe.loss.name
    loss = LOSSES.get(name)
    num = loss.num_outputs(len(network.labels))
    if loss.predict is torch.exp:
        outputs = nodes.op("Exp", outputs)
    else:
        weight, bias = _linear_map(loss.predict, num, name)
        if num != len(bias) or bias.any() or not torch.equal(weight, torch.eye(num)):
            outputs = nodes.op("Gemm", outputs, _weight(nodes, weight), _weight(nodes, bias))
    if network.labels:
        return outputs
    target = network.prepared["target"]
    scale, shift = (_number(nodes, float(target[name])) for name in ("scale", "shift"))
    return nodes.op("Add", nodes.op("Mul", nodes.cast(outputs, DOUBLE), scale), shift)


def together_nodes(nodes: Operators, network: Network, outputs: Sequence[str]) -> str:
    """As `Network.together`, and then the probabilities (n, C) of classes. outputs: canonical, of each member."""
    num = len(outputs)
    if not network.labels:
        return nodes.op("ReduceMean", nodes.beside(*outputs), nodes.whole(1), keepdims=1)
    found = outputs[0]
    if num > 1:
        each = [nodes.op("Unsqueeze", nodes.op("LogSoftmax", own, axis=1), nodes.whole(0)) for own in outputs]
        summed = nodes.op("ReduceLogSumExp", nodes.op("Concat", *each, axis=0), nodes.whole(0), keepdims=0)
        found = nodes.op("Sub", summed, nodes.constant(np.array(math.log(num), np.float32)))
    if network.temperature != 1.0:
        found = nodes.op("Div", found, nodes.constant(np.array(network.temperature, np.float32)))
    return nodes.op("Softmax", found, axis=1)


def add_outputs(nodes: Operators, network: Network, judged: str, distance: str) -> dict[str, str]:
    """The outputs of the whole graph, each with what it is. judged: (n, C) probabilities, or (n, 1) numbers.

    distance: (n,) as `distance_nodes` gives it; "" where that is not known.
    """
    found = {}
    if network.labels:
        place = nodes.op("ArgMax", judged, axis=1, keepdims=0)
        label = nodes.op(
            "LabelEncoder", place, domain=ML, keys_int64s=list(range(len(network.labels))),
            values_strings=list(network.labels), default_string="",
        )  # fmt: skip
        found[nodes.output("label", label, TEXT, ["n"])] = "the most probable class"
        found[nodes.output("probabilities", judged, FLOAT, ["n", len(network.labels)])] = (
            "of each class, in the order of `labels`"
        )
    else:
        value = nodes.op("Squeeze", judged, nodes.whole(1))
        found[nodes.output("value", value, DOUBLE, ["n"])] = "the number that is predicted"
    if distance:
        said = "how unlike the training data it is; above 1: flagged"
        found[nodes.output("distance", distance, DOUBLE, ["n"])] = said
    return found


def distance_nodes(nodes: Operators, familiar: Familiar, seen: str) -> str:
    """(n,) as `Familiar.distance` of what the network sees (n, D)."""
    own = nodes.op("Sub", nodes.cast(seen, DOUBLE), _double(nodes, familiar.mean))
    along = nodes.op("MatMul", own, _double(nodes, familiar.directions.T))
    squares = [nodes.op("ReduceSumSquare", each, nodes.whole(1), keepdims=0) for each in (own, along)]
    left = nodes.op("Max", nodes.op("Sub", *squares), _number(nodes, 0.0))
    inside = nodes.op("Div", nodes.op("Mul", along, along), _double(nodes, familiar.spreads))
    inside = nodes.op("ReduceMean", inside, nodes.whole(1), keepdims=0)
    first, second = familiar.limits
    off = nodes.op("Div", nodes.op("Div", left, _number(nodes, familiar.rest)), _number(nodes, second))
    return nodes.op("Max", nodes.op("Div", inside, _number(nodes, first)), off)


def _periodic(nodes: Operators, module: Mlp, numbers: str) -> str:
    own = module.periodic
    assert own is not None
    frequency = _weight(nodes, 2 * torch.pi * own.frequency)
    angle = nodes.op("Mul", nodes.op("Unsqueeze", numbers, nodes.whole(2)), frequency)
    waves = nodes.op("Concat", nodes.op("Cos", angle), nodes.op("Sin", angle), axis=2)
    mixed = nodes.op("Einsum", waves, _weight(nodes, own.weight), equation="bpk,pkd->bpd")
    found = nodes.op("Relu", nodes.op("Add", mixed, _weight(nodes, own.bias)))
    return nodes.op("Reshape", found, nodes.whole(0, own.bias.numel()))


def _normed(nodes: Operators, module: Mlp, place: int, z: str) -> str:
    if module.norm == "none":
        return z
    norm = module.norms[place]
    if isinstance(norm, nn.LayerNorm):
        own = (_weight(nodes, norm.weight), _weight(nodes, norm.bias))
        return nodes.op("LayerNormalization", z, *own, axis=-1, epsilon=norm.eps)
    assert isinstance(norm, nn.BatchNorm1d)
    own_four = (_weight(nodes, each) for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var))
    return nodes.op("BatchNormalization", z, *own_four, epsilon=norm.eps)


def _linear(nodes: Operators, layer: nn.Module, h: str) -> str:
    assert isinstance(layer, nn.Linear)
    bias = [] if layer.bias is None else [_weight(nodes, layer.bias)]
    return nodes.op("Gemm", h, _weight(nodes, layer.weight), *bias, transB=1)


def _linear_map(predict: Callable[[Tensor], Tensor], num: int, loss: str) -> tuple[Tensor, Tensor]:
    """Weight (O, C) and bias (C,) of a function of outputs (n, O). Raises UsageError where it has none."""
    bias = predict(torch.zeros(1, num))[0]
    weight = predict(torch.eye(num)) - bias
    probes = torch.linspace(-50, 50, _PROBES * num).view(_PROBES, num)
    if not torch.allclose(predict(probes), probes @ weight + bias, rtol=1e-5, atol=1e-5):
        raise UsageError(f"what a network trained by the loss {loss!r} gives has no form in ONNX")
    return weight, bias


def _weight(nodes: Operators, values: Tensor | None) -> str:
    assert values is not None
    return nodes.constant(values.detach().to("cpu", torch.float32).numpy())


def _double(nodes: Operators, values: Tensor) -> str:
    return nodes.constant(values.detach().to("cpu", torch.float64).numpy())


def _number(nodes: Operators, value: float) -> str:
    return nodes.constant(np.array(value, dtype=np.float64))
