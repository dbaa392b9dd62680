"""What a module of the user's own may do in training: fail, or return something else than before training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from tame.core.errors import TameError, UsageError, require
from tame.core.recipe import Recipe

OWN = "own"  # the model's name in a recipe
MOST_WORDS = 2000  # characters of an exception's message that are passed on


def words_of(problem: BaseException) -> str:
    """The class of an exception and its message, or that the message cannot be read."""
    name = type(problem).__name__
    try:
        text = str(problem)
    except BaseException as other:  # the class may be the user's own, and its __str__ do anything
        return f"{name} (without a message: its __str__ raised {type(other).__name__})"
    return f"{name}: {text[:MOST_WORDS]}" if text else name


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether torch ran out of memory, on a GPU or not."""
    words = words_of(problem).lower()
    return isinstance(problem, torch.OutOfMemoryError) or "can't allocate memory" in words


@contextmanager
def naming_failures(recipe: Recipe) -> Iterator[None]:
    """Turns exceptions of a module of the user's own into UsageError; bugs in TAME stay what they are."""
    try:
        yield
    except (TameError, KeyboardInterrupt):
        raise
    except BaseException as problem:  # the user's code may raise anything; it is reported, not hidden
        if recipe.model.name != OWN or is_out_of_memory(problem):
            raise
        raise UsageError(f"the model failed in training: {words_of(problem)}") from problem


def require_outputs(recipe: Recipe, outputs: object, shape: tuple[int, ...], *, trained: bool) -> None:
    """Raises UsageError if a module of the user's own returns anything but outputs of this shape.

    shape: (B, O), or (M, B, O) for M members; trained: whether they are from a training step.
    """
    if recipe.model.name != OWN:
        return
    found = "None" if outputs is None else f"a {type(outputs).__name__}"
    if isinstance(outputs, Tensor):
        found = f"outputs of shape {tuple(outputs.shape)}"
    if not isinstance(outputs, Tensor) or tuple(outputs.shape) != shape:
        raise UsageError(f"the model returns {found} in training, but it must return {shape}")
    real = not outputs.dtype.is_complex
    require(real, f"the model returns {str(outputs.dtype).removeprefix('torch.')} outputs, but they must be real")
    why = "the model's outputs do not depend on its parameters: look for detach() and no_grad() in forward()"
    require(outputs.requires_grad or not trained, why)


@contextmanager
def alone(module: nn.Module, num_examples: int) -> Iterator[None]:
    """With a single example, which has no variance, batch norms use their running statistics, as TAME's own do."""
    kind = nn.modules.batchnorm._BatchNorm
    parts = module.modules() if num_examples == 1 else ()
    some = [part for part in parts if isinstance(part, kind) and part.training and part.running_mean is not None]
    for norm in some:
        norm.eval()
    try:
        yield
    finally:
        for norm in some:
            norm.train()
