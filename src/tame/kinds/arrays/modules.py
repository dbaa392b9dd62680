"""Modules that a function of the user's makes: what they must be, whoever makes them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tame.core.errors import TameError, UsageError, require
from tame.core.recipe import Value
from tame.parts.network import Build
from tame.trial.own_module import words_of

FORWARD_S = 60.0  # that an untrained module may take for a few examples before it counts as hanging
PRECISIONS = {"torch.float32", "torch.float64"}  # of parameters: in coarser ones the moments of an optimizer are lost


def forward_s(module: nn.Module) -> float | None:
    """Seconds that a first pass of a few examples may take before it counts as hanging; None where it may compile."""
    compiles = any(type(part).__name__ == "OptimizedModule" for part in module.modules())  # of torch.compile
    return None if compiles else FORWARD_S


def make_module(make: Build, own: Mapping[str, Value]) -> nn.Module:
    """The module that the user's function makes. Raises UsageError that says what is wrong with it."""
    name = getattr(make, "__name__", "the model's function")
    arguments = ", ".join(f"{key}={value!r}" for key, value in own.items())
    try:
        module = make(**own)
    except (TameError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # the user's code may raise anything; it is told, not hidden
        raise UsageError(f"{name}({arguments}) raised {words_of(problem)}") from problem
    require(isinstance(module, nn.Module), f"{name}({arguments}) gives a {type(module).__name__}, not an nn.Module")
    assert isinstance(module, nn.Module)
    state = module.state_dict().values()
    lazy = any(nn.parameter.is_lazy(each) for each in state)
    require(not lazy, f"{name}({arguments}) has layers without sizes (Lazy...); give them their sizes")
    extra = [type(each).__name__ for each in state if not isinstance(each, Tensor)]
    require(not extra, f"{name}({arguments}) keeps a {', '.join(extra)} in its state, which may hold tensors only")
    coarse = {str(each.dtype) for each in state if each.dtype == torch.bfloat16}
    coarse |= {str(each.dtype) for each in module.parameters() if each.requires_grad} - PRECISIONS
    said = f"{name}({arguments}) has tensors of {', '.join(sorted(coarse))}, which cannot be trained here"
    require(not coarse, f"{said}; return module.float()")
    some = any(value.requires_grad for value in module.parameters())
    require(some, f"{name}({arguments}) makes a module without parameters: there is nothing to train")
    if precision_of(module) == torch.float64:
        module.register_forward_pre_hook(_in_double)  # inputs come as float32, unless that would lose digits
    return module


def precision_of(module: nn.Module) -> torch.dtype:
    """In what the module computes: float64 where all its parameters are, else float32."""
    every = {value.dtype for value in module.parameters() if value.is_floating_point()}
    return torch.float64 if every == {torch.float64} else torch.float32


def _in_double(module: nn.Module, inputs: tuple[object, ...]) -> tuple[object, ...]:
    return tuple(each.double() if isinstance(each, Tensor) and each.is_floating_point() else each for each in inputs)
