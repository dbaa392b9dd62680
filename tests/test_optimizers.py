"""The laws of every optimizer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from tame.core.recipe import OptimizerRecipe
from tame.parts.optimizers import OPTIMIZERS, Hyper
from tame.testing.optimizer_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", OPTIMIZERS.names())
def test_every_optimizer_keeps_the_law(name, law):
    law(OPTIMIZERS.get(name))


@pytest.mark.parametrize("name", OPTIMIZERS.names())
@given(
    lr=st.floats(1e-5, 1e-1),
    decay=st.floats(0, 1),
    momentum=st.floats(0, 0.99),
    scale=st.floats(1e-3, 1e3),
    seed=st.integers(0, 99),
)
def test_a_few_steps_equal_those_of_torch_at_any_hyperparameters(name, lr, decay, momentum, scale, seed):
    chance = torch.Generator().manual_seed(seed)
    recipe = OptimizerRecipe(lr=lr, weight_decay=decay, momentum=momentum)
    start = torch.randn(5, dtype=torch.float64, generator=chance)
    own = nn.Parameter(start.clone())
    reference = OPTIMIZERS.get(name).reference([own], recipe)
    params = {"x": start.clone()[None]}
    state = OPTIMIZERS.get(name).init(params)
    column = [torch.tensor([value], dtype=torch.float64) for value in (lr, decay, momentum)]
    for _ in range(3):
        grad = scale * torch.randn(5, dtype=torch.float64, generator=chance)
        own.grad = grad.clone()
        reference.step()
        params, state = OPTIMIZERS.get(name).update(params, {"x": grad[None]}, state, Hyper(*column))
    torch.testing.assert_close(params["x"][0], own.detach(), rtol=1e-10, atol=1e-12)  # float64
