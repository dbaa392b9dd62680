"""The laws that every Activation must satisfy. Each law takes a registered name."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from tame.parts.activations import ACTIVATIONS, gain

Law = Callable[[str], None]
Formula = Callable[[float], float]

_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def _softplus(x: float) -> float:
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def _elu(x: float) -> float:
    return x if x > 0 else math.expm1(x)


# An activation of your own adds its formula here, in plain floats.
FORMULAS: dict[str, Formula] = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "silu": lambda x: x * _sigmoid(x),
    "mish": lambda x: x * math.tanh(_softplus(x)),
    "elu": _elu,
    "selu": lambda x: _SELU_SCALE * (x if x > 0 else _SELU_ALPHA * math.expm1(x)),
    "leaky_relu": lambda x: x if x > 0 else x / 100,
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "hard_swish": lambda x: x * min(max(x + 3, 0.0), 6.0) / 6,
    "identity": lambda x: x,
}


def equals_its_formula(name: str) -> None:
    assert name in FORMULAS, f"give the activation {name!r} a formula in activation_laws.FORMULAS"
    along = torch.linspace(-30, 30, 601, dtype=torch.float64)
    wanted = torch.tensor([FORMULAS[name](x) for x in along.tolist()], dtype=torch.float64)
    # 3e-9: torch's softplus is linear above 20, where it differs from the formula by exp(-20).
    torch.testing.assert_close(ACTIVATIONS.get(name)(along), wanted, rtol=1e-12, atol=3e-9)


def gradient_is_right(name: str) -> None:
    x = torch.linspace(-5, 5, 40, dtype=torch.float64)  # avoids the kinks of all known activations
    assert torch.autograd.gradcheck(ACTIVATIONS.get(name), (x.requires_grad_(),), atol=1e-7)


def keeps_shape_and_dtype_and_its_input(name: str) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        x = torch.linspace(-2, 2, 24, dtype=dtype).view(2, 3, 4)
        before = x.clone()
        found = ACTIVATIONS.get(name)(x)
        assert found.shape == x.shape
        assert found.dtype == dtype
        assert torch.equal(x, before)


def finite_at_huge_sums(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        x = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype, requires_grad=True)
        found = ACTIVATIONS.get(name)(x)
        (grad,) = torch.autograd.grad(found.sum(), x)
        assert found.isfinite().all(), found
        assert grad.isfinite().all(), grad


def entries_do_not_mix(name: str) -> None:
    x = torch.linspace(-3, 3, 12, dtype=torch.float64)
    alone = torch.cat([ACTIVATIONS.get(name)(each[None]) for each in x])
    torch.testing.assert_close(ACTIVATIONS.get(name)(x), alone, rtol=1e-14, atol=1e-15)


def has_a_gain(name: str) -> None:
    assert 0.1 < gain(name) < 10


LAWS: tuple[Law, ...] = (
    equals_its_formula,
    gradient_is_right,
    keeps_shape_and_dtype_and_its_input,
    finite_at_huge_sums,
    entries_do_not_mix,
    has_a_gain,
)
