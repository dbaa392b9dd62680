"""What the last linear layer of a module is given."""

from __future__ import annotations

import torch
from torch import nn

from tame.kinds.last_inputs import MOST_WIDTH, last_inputs, whole


def test_it_is_what_the_last_linear_layer_takes():
    body, last = nn.Sequential(nn.Linear(3, 5), nn.ReLU()), nn.Linear(5, 2)
    module, x = nn.Sequential(body, last), torch.randn(7, 3, generator=torch.Generator().manual_seed(0))
    with last_inputs(module) as taken:
        module(x)
        assert torch.equal(taken(7), body(x).detach())
        module(x[:2])
        assert taken(2).shape == (2, 5)
    module(x)
    assert not last._forward_pre_hooks


def test_modules_without_one_vector_for_each_example_have_none():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return self.layer(self.layer(x))

    x = torch.zeros(4, 3)
    wide = nn.Linear(MOST_WIDTH + 1, 1)
    wider = torch.zeros(4, MOST_WIDTH + 1)
    for module, own in ((Twice(), x), (nn.ReLU(), x), (nn.Linear(3, 1), x[None]), (wide, wider)):
        with last_inputs(module) as taken:
            module(own)
            assert taken(4) is None


def test_parts_are_whole_only_if_none_is_missing():
    one, two = torch.zeros(2, 3), torch.ones(1, 3)
    assert torch.equal(whole([one, two]), torch.cat([one, two]))
    assert whole([one, None]) is None
    assert whole([]) is None
