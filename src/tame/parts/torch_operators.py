"""A model written down in ONNX's operators, computed by torch, so that torch.export makes one program of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tame.parts.operators import BYTES, DOUBLE, FLOAT, INT64, TEXT, TRUTH, Attribute, Operators

# Texts are given as the numbers of categories, and classes are told as theirs.
TYPES: Mapping[int, torch.dtype] = {
    FLOAT: torch.float32, BYTES: torch.uint8, INT64: torch.int64, TEXT: torch.int64, TRUTH: torch.bool,
    DOUBLE: torch.float64,
}  # fmt: skip


def _gather(x: Tensor, places: Tensor, *, axis: int) -> Tensor:
    found = x.index_select(axis, places.reshape(-1))
    return found.reshape(*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])


def _gemm(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, transB: int = 0) -> Tensor:
    found = x @ (weight.T if transB else weight)
    return found if bias is None else found + bias


def _batch_norm(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, *, epsilon: float) -> Tensor:
    return F.batch_norm(x, mean, var, weight, bias, eps=epsilon)


def _layer_norm(x: Tensor, weight: Tensor, bias: Tensor, *, axis: int, epsilon: float) -> Tensor:
    assert axis == -1
    return F.layer_norm(x, weight.shape, weight, bias, eps=epsilon)


def _reshape(x: Tensor, sizes: list[int]) -> Tensor:
    return x.reshape([x.shape[place] if size == 0 else size for place, size in enumerate(sizes)])


def _unsqueeze(x: Tensor, axes: list[int]) -> Tensor:
    for axis in axes:
        x = x.unsqueeze(axis)
    return x


# Each operator of ONNX that models are written in, by what torch has for it.
OPS: Mapping[str, Callable[..., Tensor]] = {
    "Abs": torch.abs, "Add": torch.add, "And": torch.logical_and, "Cos": torch.cos, "Div": torch.div,
    "Elu": F.elu, "Equal": torch.eq, "Exp": torch.exp, "Floor": torch.floor, "Greater": torch.gt,
    "GreaterOrEqual": torch.ge, "HardSwish": F.hardswish, "IsNaN": torch.isnan, "Less": torch.lt,
    "LessOrEqual": torch.le, "Log": torch.log, "MatMul": torch.matmul, "Max": torch.maximum, "Min": torch.minimum,
    "Mish": F.mish, "Mul": torch.mul, "Relu": F.relu, "Selu": F.selu, "Sigmoid": torch.sigmoid, "Sign": torch.sign,
    "Sin": torch.sin, "Softplus": F.softplus, "Softsign": F.softsign, "Sqrt": torch.sqrt, "Sub": torch.sub,
    "Tanh": torch.tanh, "Where": torch.where,
    "ArgMax": lambda x, *, axis, keepdims: x.argmax(dim=axis, keepdim=bool(keepdims)),
    "BatchNormalization": _batch_norm,
    "Cast": lambda x, *, to: x.to(TYPES[to]),
    "Concat": lambda *parts, axis: torch.cat(parts, dim=axis),
    "Einsum": lambda *parts, equation: torch.einsum(equation, *parts),
    "Gather": _gather,
    "Gelu": lambda x, *, approximate="none": F.gelu(x, approximate=approximate),
    "Gemm": _gemm,
    "LabelEncoder": lambda x, **_: x,
    "LayerNormalization": _layer_norm,
    "LeakyRelu": lambda x, *, alpha: F.leaky_relu(x, alpha),
    "LogSoftmax": lambda x, *, axis: x.log_softmax(dim=axis),
    "Softmax": lambda x, *, axis: x.softmax(dim=axis),
    "Transpose": lambda x, *, perm: x.permute(list(perm)),
}  # fmt: skip
# Those whose last input is fixed numbers: axes or sizes.
FIXED: Mapping[str, Callable[..., Tensor]] = {
    "CumSum": lambda x, axis: x.cumsum(axis[0]),
    "ReduceL2": lambda x, axes, *, keepdims: x.square().sum(dim=axes, keepdim=bool(keepdims)).sqrt(),
    "ReduceLogSumExp": lambda x, axes, *, keepdims: x.logsumexp(dim=axes, keepdim=bool(keepdims)),
    "ReduceMean": lambda x, axes, *, keepdims: x.mean(dim=axes, keepdim=bool(keepdims)),
    "ReduceSum": lambda x, axes, *, keepdims: x.sum(dim=axes, keepdim=bool(keepdims)),
    "ReduceSumSquare": lambda x, axes, *, keepdims: x.square().sum(dim=axes, keepdim=bool(keepdims)),
    "Reshape": _reshape,
    "Squeeze": lambda x, axes: x.squeeze(axes[0]),
    "Unsqueeze": _unsqueeze,
}


@dataclass(frozen=True, slots=True)
class _Step:
    """Values that are computed of others. made: their names."""

    compute: Callable[..., Any]
    given: tuple[str, ...]
    made: tuple[str, ...]


class TorchOperators(nn.Module, Operators):
    """See Operators: what is written down is computed when it is called, with a dict of inputs and one of outputs.

    inputs: the names of what it will be given.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        super().__init__()
        self._steps: list[_Step] = []
        self._known: dict[tuple[object, ...], str] = {}
        self._fixed: dict[str, np.ndarray] = {}
        self._outputs: dict[str, str] = {}
        self._taken = set(inputs)
        self.shapes: dict[str, Sequence[int | str]] = {}

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """inputs: by name; of texts the numbers of their categories."""
        values: dict[str, Tensor] = dict(inputs)
        for step in self._steps:
            found = step.compute(*(self._value(values, name) for name in step.given))
            values |= zip(step.made, found, strict=True)
        return {name: values[value] for name, value in self._outputs.items()}

    def _value(self, values: Mapping[str, Tensor], name: str) -> Tensor:
        return values[name] if name in values else self.get_buffer(name)

    def input(self, name: str, kind: int, shape: Sequence[int | str]) -> str:
        """See Operators."""
        self.shapes[name] = shape
        return name

    def constant(self, values: np.ndarray) -> str:
        """See Operators."""
        values = np.asarray(values, order="C")
        key = ("constant", values.dtype.str, values.shape, values.tobytes())
        if key not in self._known:
            self._known[key] = name = self._new()
            self._fixed[name] = values
            self.register_buffer(name, torch.from_numpy(values.copy()))
        return self._known[key]

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Attribute) -> str:
        """See Operators."""
        key = (kind, inputs, repr(sorted(attributes.items())))
        if key in self._known:
            return self._known[key]
        self._known[key] = name = self._new()
        if kind in FIXED:
            *given, last = inputs
            numbers = np.atleast_1d(self._fixed[last]).tolist()
            self._add(lambda *values: [FIXED[kind](*values, numbers, **attributes)], given, [name])
        else:
            self._add(lambda *values: [OPS[kind](*values, **attributes)], inputs, [name])
        return name

    def either(
        self,
        condition: str,
        true: Callable[[TorchOperators], str],
        false: Callable[[TorchOperators], str],
        *,
        kind: int,
    ) -> str:
        """See Operators. Both parts are computed: which one counts is known when the program runs."""
        return self.op("Where", condition, true(self), false(self))

    def module(self, whole: nn.Module, given: str, *, example: Tensor, name: str) -> list[str]:
        """See Operators."""
        own, made = f"part{len(self._steps)}", [self._new() for _ in whole(example)]
        self.add_module(own, whole)
        self._add(lambda x: self.get_submodule(own)(x), [given], made)
        return made

    def output(self, name: str, value: str, kind: int, shape: Sequence[int | str]) -> str:
        """See Operators."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._outputs[name] = value
        return name

    def _add(self, compute: Callable[..., Any], given: Sequence[str], made: Sequence[str]) -> None:
        self._steps.append(_Step(compute, tuple(given), tuple(made)))

    def _new(self) -> str:
        name = f"value{len(self._known)}_{len(self._steps)}"
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name
