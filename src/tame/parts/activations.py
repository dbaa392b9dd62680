"""Activations: elementwise functions of a unit's input."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.registry import Registry

Activation = Callable[[Tensor], Tensor]

ACTIVATIONS: Registry[Activation] = Registry("activation")

LEAK = 0.01  # slope of leaky_relu below zero
# As torch.nn.init.calculate_gain. The gain of selu is empirical: it stabilises gradients, not its fixed point.
GAINS = {
    "identity": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + LEAK**2)),
    "selu": 3 / 4,
}


@ACTIVATIONS.add("relu")
def relu(x: Tensor) -> Tensor:
    """max(x, 0). Source: Nair and Hinton, Rectified Linear Units (2010)."""
    return F.relu(x)


@ACTIVATIONS.add("gelu")
def gelu(x: Tensor) -> Tensor:
    """x times the normal distribution function at x, exactly. Source: Hendrycks and Gimpel, GELUs (2016)."""
    return F.gelu(x)


@ACTIVATIONS.add("silu")
def silu(x: Tensor) -> Tensor:
    """x sigmoid(x), also called swish. Source: Elfwing et al., Sigmoid-Weighted Linear Units (2018)."""
    return F.silu(x)


@ACTIVATIONS.add("mish")
def mish(x: Tensor) -> Tensor:
    """x tanh(softplus(x)). Source: Misra, Mish (2020)."""
    return F.mish(x)


@ACTIVATIONS.add("elu")
def elu(x: Tensor) -> Tensor:
    """x above 0, exp(x) - 1 below. Source: Clevert et al., Exponential Linear Units (2016), alpha 1."""
    return F.elu(x)


@ACTIVATIONS.add("selu")
def selu(x: Tensor) -> Tensor:
    """elu, scaled to preserve zero mean and unit variance. Source: Klambauer et al., Self-Normalizing (2017)."""
    return F.selu(x)


@ACTIVATIONS.add("leaky_relu")
def leaky_relu(x: Tensor) -> Tensor:
    """x above 0, 0.01 x below. Source: Maas et al., Rectifier Nonlinearities (2013)."""
    return F.leaky_relu(x, LEAK)


@ACTIVATIONS.add("tanh")
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, in (-1, 1). Source: LeCun et al., Efficient BackProp (1998), without its scale."""
    return torch.tanh(x)


@ACTIVATIONS.add("sigmoid")
def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), in (0, 1)."""
    return torch.sigmoid(x)


@ACTIVATIONS.add("softplus")
def softplus(x: Tensor) -> Tensor:
    """log(1 + exp(x)); x itself above 20, as in torch. Source: Dugas et al., Second-Order Functions (2001)."""
    return F.softplus(x)


@ACTIVATIONS.add("softsign")
def softsign(x: Tensor) -> Tensor:
    """x / (1 + |x|), in (-1, 1). Source: Bergstra et al., Quadratic Polynomials (2009)."""
    return F.softsign(x)


@ACTIVATIONS.add("hard_swish")
def hard_swish(x: Tensor) -> Tensor:
    """x min(max(x + 3, 0), 6) / 6. Source: Howard et al., MobileNetV3 (2019), section 5.2."""
    return F.hardswish(x)


@ACTIVATIONS.add("identity")
def identity(x: Tensor) -> Tensor:
    """x itself: a network with this activation is linear."""
    return x


@functools.cache
def gain(name: str) -> float:
    """The standard deviation of initial weights before this activation, relative to 1/sqrt(fan_in).

    The value of torch.nn.init.calculate_gain if torch has one; otherwise the gain that preserves the mean square of
    normal inputs, 1 / sqrt(E f(z)^2), which is sqrt(2) for relu. Raises UsageError for an unknown name.
    Source: He et al., Delving Deep into Rectifiers (2015), section 2.2.
    """
    activation = ACTIVATIONS.get(name)
    if name in GAINS:
        return GAINS[name]
    z = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return 1 / math.sqrt(torch.trapezoid(activation(z) ** 2 * density, z).item())
