"""A frozen network made fast: norms folded into convolutions, activations done by the convolution before them.

Which module feeds which is watched on a probe, not guessed from names; what was rewritten must give the probe's output
again, in float32, or the network stays as it was.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from timm.layers import GELU, GELUTanh
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.padding import pad_same
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SAME = 1e-4  # largest relative distance (root mean square) of a rewritten network from the plain one, in float32
PACKED_FOR = 16  # pictures in a batch that weights are laid out for; 8 and 32 were as fast, a layout for 1 is slower
CONVOLUTIONS = (nn.Conv2d, Conv2dSame)  # exact types: others compute their weights on the way (weight standardisation)

Pointwise = tuple[str, list[float], str | None]  # name, numbers and algorithm of an activation in oneDNN's words


def fold_norms(module: nn.Module, probe: Tensor) -> nn.Module:
    """A copy in which each BatchNorm that is fed by a convolution alone is part of that convolution.

    module: in evaluation mode, float32; probe: an input of it. Returns `module` itself where nothing can be folded or
    the copy differs on the probe.
    """
    return _fold(module, probe)[0]


def folded_pairs(module: nn.Module, probe: Tensor) -> list[tuple[str, str]]:
    """Paths (convolution, norm) of what `fold_norms` makes one; empty where it leaves the network as it is."""
    return _fold(module, probe)[1]


def _fold(module: nn.Module, probe: Tensor) -> tuple[nn.Module, list[tuple[str, str]]]:
    folded, pairs = copy.deepcopy(module), []
    for conv_path, norm_path in _watch(module, probe)[0]:
        conv, norm = folded.get_submodule(conv_path), folded.get_submodule(norm_path)
        assert isinstance(conv, nn.Conv2d)
        if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
            pairs.append((conv_path, norm_path))
            folded.set_submodule(conv_path, fuse_conv_bn_eval(conv, norm))
            # timm's BatchNormAct2d holds its activation (and a dropout, which does nothing here).
            folded.set_submodule(norm_path, getattr(norm, "act", nn.Identity()))
    try:
        same = is_same(folded, module, probe)
    except AttributeError:
        same = False  # a network that reaches into its norms
    return (folded, pairs) if pairs and same else (module, [])


def fuse(module: nn.Module, probe: Tensor, *, dtype: torch.dtype) -> nn.Module:
    """A copy in `dtype` whose convolutions run as oneDNN primitives with their activation, weights packed beforehand.

    module: in evaluation mode, float32, on the CPU; probe: an input (1, 3, S, S). Pictures of another size are computed
    as well, but slower. Returns `module` itself, still in float32, where this torch has no such primitives or the copy
    differs on the probe in float32.
    """
    if not can_fuse():
        return module
    pairs, shapes = _watch(module, probe)
    try:
        exact = _fused(module, dict(pairs), shapes, torch.float32)
        if not is_same(exact, module, probe):
            return module
        return exact if dtype == torch.float32 else _fused(module, dict(pairs), shapes, dtype)
    except (RuntimeError, NotImplementedError):
        return module  # a shape or a type that oneDNN does not know on this processor


def _fused(
    module: nn.Module, followers: Mapping[str, str], shapes: Mapping[str, tuple[int, ...]], dtype: torch.dtype
) -> nn.Module:
    """shapes: of what each convolution takes; followers: by convolution, the module that takes its result."""
    fused = copy.deepcopy(module).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
    for path, shape in shapes.items():
        conv = module.get_submodule(path)
        assert isinstance(conv, nn.Conv2d)
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            continue
        activation = pointwise(module.get_submodule(followers[path])) if path in followers else None
        if activation:
            fused.set_submodule(followers[path], nn.Identity())
        fused.set_submodule(path, FusedConv(conv, activation or ("none", [], None), dtype, (PACKED_FOR, *shape[1:])))
    return fused  # type: ignore[no-any-return]


def can_fuse() -> bool:
    """Whether this torch has oneDNN's fused convolutions; they are private, so another version may lack them."""
    names = ("_convolution_pointwise", "_reorder_convolution_weight")
    found = all(hasattr(torch.ops.mkldnn, name) for name in names)
    return found and bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


class FusedConv(nn.Module):
    """A convolution and the activation after it as one call of oneDNN, without gradients."""

    def __init__(self, conv: nn.Conv2d, activation: Pointwise, dtype: torch.dtype, shape: tuple[int, ...]) -> None:
        super().__init__()
        ops = torch.ops.mkldnn
        weight = conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)
        bias = None if conv.bias is None else conv.bias.detach().to(dtype)
        form = [list(conv.padding), list(conv.stride), list(conv.dilation), conv.groups]
        # What TensorFlow's padding adds depends on the size of the picture, and differs between the sides.
        own = [list(each) for each in (conv.kernel_size, conv.stride, conv.dilation)]
        self.same: list[list[int]] | None = own if type(conv) is Conv2dSame else None
        self.call: Callable[..., Tensor] = ops._convolution_pointwise
        # Neither tensor is a buffer: a packed weight cannot be moved, cast or saved.
        self.packed = (ops._reorder_convolution_weight(weight, *form, list(shape)), bias, *form, *activation)

    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, H, W) in the type of the weights."""
        if self.same is not None:
            kernel, stride, dilation = self.same
            x = pad_same(x, kernel, stride, dilation)
        return self.call(x, *self.packed)


def pointwise(module: nn.Module) -> Pointwise | None:
    """An activation in the words of oneDNN; None for what it has no word for."""
    match module:
        case nn.Hardtanh():  # ReLU6 is one
            return "hardtanh", [module.min_val, module.max_val], None
        case nn.LeakyReLU():
            return "leaky_relu", [module.negative_slope], None
        case nn.GELU() | GELU() | GELUTanh():
            tanh = isinstance(module, GELUTanh) or getattr(module, "approximate", "none") == "tanh"
            return "gelu", [], "tanh" if tanh else "none"
    kinds = {nn.ReLU: "relu", nn.SiLU: "swish", nn.Hardswish: "hardswish", nn.Hardsigmoid: "hardsigmoid",
             nn.Sigmoid: "sigmoid", nn.Tanh: "tanh"}  # fmt: skip
    return (kinds[type(module)], [], None) if type(module) in kinds else None


def is_same(rewritten: nn.Module, plain: nn.Module, probe: Tensor) -> bool:
    """Whether both give the same on the probe, up to SAME."""
    with torch.no_grad():
        return distance(rewritten(probe), plain(probe)) <= SAME


def distance(found: Tensor, exact: Tensor) -> float:
    """Relative distance of two tensors, root mean square; infinite where one is not finite."""
    if found.shape != exact.shape:
        return float("inf")
    apart = float((found.double() - exact.double()).norm() / exact.double().norm().clamp(min=1e-30))
    return apart if apart == apart else float("inf")


@dataclass(slots=True)
class _Watch:
    """What hooks see while a probe passes: results that are still whole, and who took them."""

    made: dict[int, tuple[str, int, Tensor]] = field(default_factory=dict)  # by identity: maker, version, the result
    takers: list[tuple[str, str]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)  # of what each convolution takes

    def before(self, path: str, x: Tensor) -> None:
        self.calls[path] += 1
        maker, version, _ = self.made.get(id(x), ("", 0, x))
        # `x += shortcut` keeps the object and counts up its version: then the result went elsewhere first.
        if maker and x._version == version:
            self.takers.append((maker, path))

    def after(self, path: str, x: Tensor, y: Tensor) -> None:
        self.shapes[path] = tuple(x.shape)
        self.made[id(y)] = (path, y._version, y)  # held, so that no other tensor gets its identity


def _watch(module: nn.Module, probe: Tensor) -> tuple[list[tuple[str, str]], dict[str, tuple[int, ...]]]:
    """Pairs of paths: a convolution and the one module that took its result; and what shape each convolution takes.

    Only modules that ran once on the probe count. Containers are looked through; a norm that holds its activation is
    one module, as is an activation.
    """
    seen, handles = _Watch(), []
    for path, each in module.named_modules():
        is_part = not any(each.children()) or isinstance(each, nn.BatchNorm2d)
        if not path or not is_part or isinstance(each, nn.Identity):
            continue
        handles.append(
            each.register_forward_pre_hook(lambda _, args, path=path: seen.before(path, args[0]) if args else None)
        )
        if type(each) in CONVOLUTIONS:
            hook = each.register_forward_hook(lambda _, args, y, path=path: seen.after(path, args[0], y))
            handles.append(hook)
    try:
        with torch.no_grad():
            module(probe)
    finally:
        for handle in handles:
            handle.remove()
    once = {path for path, count in seen.calls.items() if count == 1}
    taken = Counter(maker for maker, _ in seen.takers)
    pairs = [(maker, taker) for maker, taker in seen.takers if {maker, taker} <= once and taken[maker] == 1]
    return pairs, {path: shape for path, shape in seen.shapes.items() if path in once}
