"""What is trained in groups: rates and beginnings of the stages that are fine-tuned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tame.core.recipe import Recipe
from tame.trial.population import stage_groups


def stages(number):
    return [[(f"{place}.weight", nn.Parameter(torch.zeros(1)))] for place in range(number)]


@pytest.mark.parametrize(
    ("changes", "number", "factors", "begins"),
    [
        ({}, 3, [1.0], [0.0]),
        ({"model.stage_rate": 0.5}, 3, [0.25, 0.5, 1.0], [0.0, 0.0, 0.0]),
        ({"model.thaw": 0.6}, 3, [1.0, 1.0, 1.0], [0.6, 0.3, 0.0]),
        ({"model.stage_rate": 0.5, "model.thaw": 0.5}, 1, [1.0], [0.0]),
    ],
)
def test_earlier_stages_change_more_slowly_and_begin_later(changes, number, factors, begins):
    own = stages(number)
    found = stage_groups(own, Recipe().but({"model.unfrozen": number} | changes).model)
    assert [group.factor for group in found] == pytest.approx(factors)
    assert [group.begins for group in found] == pytest.approx(begins)
    assert [each for group in found for each in group.named] == [each for named in own for each in named]
