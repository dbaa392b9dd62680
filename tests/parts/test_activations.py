"""The laws of every activation, and the gains of initial weights."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tame.core.errors import UsageError
from tame.core.recipe import ModelRecipe
from tame.parts.activations import ACTIVATIONS, gain
from tame.testing.activation_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")

MODULES = {
    "relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU(), "mish": nn.Mish(), "elu": nn.ELU(), "selu": nn.SELU(),
    "leaky_relu": nn.LeakyReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "softplus": nn.Softplus(),
    "softsign": nn.Softsign(), "hard_swish": nn.Hardswish(), "identity": nn.Identity(),
}  # fmt: skip
TORCH_GAINS = {"identity": "linear"} | {name: name for name in ("relu", "leaky_relu", "tanh", "sigmoid", "selu")}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", ACTIVATIONS.names())
def test_every_activation_keeps_the_law(name, law):
    law(name)


@given(seed=st.integers(0, 1000), scale=st.floats(0.1, 100))
def test_every_activation_equals_the_module_of_torch(seed, scale):
    x = scale * torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    for name in ACTIVATIONS.names():
        torch.testing.assert_close(ACTIVATIONS.get(name)(x), MODULES[name](x), rtol=1e-13, atol=0)


@pytest.mark.parametrize("name", TORCH_GAINS)
def test_the_gain_is_that_of_torch_where_torch_has_one(name):
    assert gain(name) == pytest.approx(nn.init.calculate_gain(TORCH_GAINS[name]), rel=1e-15)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS.names()) - set(TORCH_GAINS)))
def test_the_gain_keeps_the_mean_square_of_normal_sums(name):
    z = torch.randn(400_000, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kept = gain(name) * ACTIVATIONS.get(name)(z).square().mean().sqrt().item()
    assert kept == pytest.approx(1, abs=0.01)


def test_the_default_recipe_has_an_activation():
    assert ModelRecipe().activation in ACTIVATIONS.names()
    assert gain(ModelRecipe().activation) == math.sqrt(2)


def test_an_unknown_activation_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'leaky_relu'"):
        ACTIVATIONS.get("leakyrelu")
    with pytest.raises(UsageError, match="no activation named 'reglu'"):
        gain("reglu")
