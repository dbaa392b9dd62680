"""The laws of every loss, and what only cross-entropy must do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from tame.core.errors import ShapeError, UsageError
from tame.parts.losses import LOSSES, cross_entropy, mean_loss
from tame.testing.loss_laws import LAWS

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_keeps_the_law(name, law):
    law(name)


@given(
    seed=st.integers(0, 10_000),
    members=st.integers(1, 4),
    batch=st.integers(1, 9),
    classes=st.integers(2, 7),
    smoothing=st.floats(0, 0.99),
    scale=st.floats(0.1, 50),
)
def test_cross_entropy_equals_that_of_torch(seed, members, batch, classes, smoothing, scale):
    chance = torch.Generator().manual_seed(seed)
    outputs = scale * torch.randn(members, batch, classes, dtype=torch.float64, generator=chance)
    target = torch.randint(classes, (batch,), generator=chance)
    rates = smoothing * torch.linspace(0, 1, members, dtype=torch.float64)
    found = cross_entropy(outputs, target, label_smoothing=rates)
    for i in range(members):
        wanted = F.cross_entropy(outputs[i], target, label_smoothing=float(rates[i]), reduction="none")
        torch.testing.assert_close(found[i], wanted, rtol=1e-12, atol=1e-12)  # float64


def test_shapes_that_do_not_fit_are_refused_with_their_shapes():
    with pytest.raises(ShapeError, match=r"need outputs \(M, B, C\) and target \(B,\), got \(2, 3, 4\), \(2,\)"):
        mean_loss("cross_entropy", torch.zeros(2, 3, 4), torch.zeros(2).long(), label_smoothing=torch.zeros(2))
    with pytest.raises(ShapeError):
        mean_loss("cross_entropy", torch.zeros(3, 4), torch.zeros(3).long(), label_smoothing=torch.zeros(1))


def test_an_unknown_loss_is_refused_with_the_nearest_name():
    with pytest.raises(UsageError, match="did you mean 'cross_entropy'"):
        mean_loss("crossentropy", torch.zeros(1, 2, 3), torch.zeros(2).long(), label_smoothing=torch.zeros(1))
