"""Depthwise convolutions with gradients that oneDNN is slow with on a CPU.

They take most of the time of a backward pass. The gradient of 5 x 5 weights on 1,152 maps of 3 x 3, batch 64, one core:
43 ms with AVX2 and 96 ms in bfloat16, against 6 and 2 ms here and 3 ms for any other convolution of the block; on 672
maps of 6 x 6 15 and 70 ms, against 13 and 6. The gradient of the inputs of one with stride 2, in bfloat16: 272 ms for
672 maps of 9 x 9 and 91 ms for 240 of 13 x 13, against 3 and 2 ms in float32, in which it is computed here.

Each pair of an output and an input place of a channel belongs to one weight at most, so the gradient of the weights is
the sum of such pairs in the product of the maps: exact, and cheap as long as maps are small.

In float32 the products are summed by two plain operations. MKL's product of many small matrices makes its threads wait
for each other at every one of them: 11 ms for 1,152 channels on a quiet machine of two cores, 8 s on a busy one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]
MOST_PLACES = {torch.bfloat16: 100}  # of a map; the product of larger ones takes longer than oneDNN
USUAL_PLACES = 16  # in other types
LEAST_WEIGHTS = 25  # of a channel; oneDNN is fast with 3 x 3


class Depthwise(nn.Module):
    """A depthwise convolution with the parameters of another, by the same names."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride, self.padding = conv.stride, conv.padding
        self.same = type(conv) is Conv2dSame

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W). Returns (B, C, H', W')."""
        weight, bias = self.weight, self.bias
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        padding = self.padding
        if self.same:
            x, padding = pad_same(x, list(weight.shape[2:]), list(self.stride)), (0, 0)
        found: Tensor = _Convolved.apply(x, weight, bias, self.stride, padding)
        return found


def with_depthwise(module: nn.Module) -> nn.Module:
    """The module, its depthwise convolutions that are slow replaced in place; parameters keep their names."""
    for path, each in list(module.named_modules()):
        if type(each) in (nn.Conv2d, Conv2dSame) and _is_slow(each):
            module.set_submodule(path, Depthwise(each))
    return module


def _is_slow(conv: nn.Module) -> bool:
    assert isinstance(conv, nn.Conv2d)
    plain = conv.padding_mode == "zeros" and not isinstance(conv.padding, str) and conv.dilation == (1, 1)
    own = conv.groups == conv.in_channels == conv.out_channels and conv.groups > 1
    return plain and own and (conv.kernel_size[0] * conv.kernel_size[1] >= LEAST_WEIGHTS or conv.stride != (1, 1))


class _Convolved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        (grad,), (x, weight), (of_x, of_weight) = grads, ctx.saved_tensors, (None, None)
        form = [list(ctx.stride), list(ctx.padding), [1, 1], False, [0, 0], x.shape[1]]
        if ctx.needs_input_grad[0]:
            same = torch.float32 if x.dtype == torch.bfloat16 and ctx.stride != (1, 1) else x.dtype
            given = [each.to(same) for each in (grad, x, weight)]
            of_x = torch.ops.aten.convolution_backward(*given, None, *form, [True, False, False])[0].to(x.dtype)
        if ctx.needs_input_grad[1] and _pays(x, weight):
            of_weight = weight_gradient(grad, x, weight.shape, stride=ctx.stride, padding=ctx.padding)
        elif ctx.needs_input_grad[1]:
            of_weight = torch.ops.aten.convolution_backward(grad, x, weight, None, *form, [False, True, False])[1]
        return of_x, of_weight, grad.sum(dim=(0, 2, 3)) if ctx.needs_input_grad[2] else None, None, None


def _pays(x: Tensor, weight: Tensor) -> bool:
    """Whether the gradient of the weights is faster as products."""
    places, weights = x.shape[2] * x.shape[3], weight.shape[2] * weight.shape[3]
    return weights >= LEAST_WEIGHTS and places <= MOST_PLACES.get(x.dtype, USUAL_PLACES)


def weight_gradient(grad: Tensor, x: Tensor, shape: torch.Size, *, stride: Pair, padding: Pair) -> Tensor:
    """The gradient (C, 1, K, L) of the weights. grad: (B, C, H', W') of the outputs; x: (B, C, H, W)."""
    channels = x.shape[1]
    outputs, inputs = (each.permute(1, 2, 3, 0).reshape(channels, -1, each.shape[0]) for each in (grad, x))
    if x.dtype == torch.bfloat16:
        pairs = torch.bmm(outputs, inputs.transpose(1, 2))
    else:
        pairs = (outputs[:, :, None] * inputs[:, None]).sum(-1)
    wide = (pairs if pairs.dtype == torch.float64 else pairs.float()).view(channels, -1)
    axes = zip(grad.shape[2:], x.shape[2:], shape[2:], stride, padding, strict=True)
    return (wide @ _places(*axes).to(wide)).view(shape).to(x.dtype)


@lru_cache(maxsize=32)
def _places(*axes: tuple[int, int, int, int, int]) -> Tensor:
    """(H' W' H W, K L) of ones and zeros: which pairs of an output and an input place belong to which weight.

    axes: of rows and of columns, places of the outputs and inputs, weights, stride and padding.
    """
    one_side = []
    for outputs, inputs, size, stride, padding in axes:
        offset = torch.arange(inputs)[None, :] + padding - stride * torch.arange(outputs)[:, None]
        one_side.append((offset[..., None] == torch.arange(size)).float())
    rows, columns = one_side  # (H', H, K), (W', W, L)
    return torch.einsum("ahk,bwl->abhwkl", rows, columns).reshape(-1, rows.shape[2] * columns.shape[2])
