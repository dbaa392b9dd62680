"""Depthwise convolutions with weights whose gradient is a matrix product: what torch computes, to the last digits."""

from __future__ import annotations

import copy

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from tame.parts.depthwise import USUAL_PLACES, Depthwise, with_depthwise


def conv_of(kind, kernel, stride, channels=6):
    padding = {} if kind is Conv2dSame else {"padding": kernel // 2}
    return kind(channels, channels, kernel, stride=stride, groups=channels, bias=stride == 1, **padding).double()


@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("side", [3, 4, 6, 11])
def test_outputs_and_gradients_are_those_of_torch(kind, stride, kernel, side):
    torch.manual_seed(0)
    plain = conv_of(kind, kernel, stride)
    fast = with_depthwise(nn.Sequential(copy.deepcopy(plain)))
    assert isinstance(fast[0], Depthwise) == (kernel > 3 or stride > 1)
    x = torch.randn(5, 6, side, side + 1, dtype=torch.float64)
    found = []
    for module in (plain, fast):
        own = x.clone().requires_grad_(True)
        output = module(own)
        weights = torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)
        (output * weights).sum().backward()
        found.append([output, own.grad, *(parameter.grad for parameter in module.parameters())])
    for theirs, ours in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)  # float64


def test_maps_on_both_sides_of_the_limit_were_tried():
    assert 3 * 4 <= USUAL_PLACES < 4 * 5


def test_only_slow_convolutions_are_replaced_and_parameters_keep_their_names():
    module = nn.Sequential(
        nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 5, padding=2), nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, dilation=2), nn.Conv2d(8, 16, 5, padding=2, groups=8),
        nn.Conv2d(8, 8, 5, padding="same", groups=8), nn.Conv2d(1, 1, 5, padding=2),
        nn.Conv2d(8, 8, 3, padding=1, stride=2, groups=8),
    )  # fmt: skip
    before = {name: id(parameter) for name, parameter in module.named_parameters()}
    with_depthwise(module)
    assert [isinstance(each, Depthwise) for each in module] == [False, False, True, *[False] * 4, True]
    assert {name: id(parameter) for name, parameter in module.named_parameters()} == before


@pytest.mark.parametrize(("kernel", "stride", "side"), [(5, 1, 6), (5, 2, 6), (3, 2, 12), (5, 1, 12)])
def test_in_bfloat16_gradients_are_close_to_those_of_float32(kernel, stride, side):
    torch.manual_seed(0)
    plain = conv_of(nn.Conv2d, kernel, stride, channels=16).float()
    fast = with_depthwise(nn.Sequential(copy.deepcopy(plain)))
    x = torch.randn(32, 16, side, side, requires_grad=True)
    own = x.detach().clone().requires_grad_(True)
    plain(x).square().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = fast(own)
    output.float().square().sum().backward()
    assert output.dtype == torch.bfloat16
    assert own.grad.dtype == fast[0].weight.grad.dtype == torch.float32
    for ours, theirs in ((own.grad, x.grad), (fast[0].weight.grad, plain.weight.grad)):
        assert (ours - theirs).norm() / theirs.norm() < 0.02
