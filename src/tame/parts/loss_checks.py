"""Whether a loss fits a task, and a model's outputs and the target fit the loss; said with what would be right."""

from __future__ import annotations

import torch
from torch import Tensor

from tame.core.config import LANGUAGE
from tame.core.errors import UsageError, require, unknown
from tame.core.recipe import LossRecipe
from tame.parts.losses import BINARY, CLASSES, LOSSES, NUMBERS, TASKS, Loss

_INSTEAD = dict(
    zip(TASKS, ("cross_entropy", "cross_entropy", "mse", "poisson", "kl_divergence", "likelihood"), strict=True)
)
_SQUASHED = ("Softmax", "Softmin", "Softmax2d", "Sigmoid", "Hardsigmoid", "LogSigmoid")  # not logits
_POSITIVE = ("Softplus", "ReLU", "Sigmoid", "Softmax", "Hardsigmoid")  # last layers that do not return log rates


def check_loss(recipe: LossRecipe, *, task: str, num_classes: int, has_costs: bool) -> None:
    """Raises UsageError, with the fix, for a loss that is unknown, does not fit the task or lacks its costs."""
    name, loss = recipe.name, LOSSES.get(recipe.name)
    if task not in TASKS:
        raise UsageError(unknown("task", task, TASKS))
    target = {
        "binary": "2 classes",
        "multiclass": f"{num_classes} classes",
        "regression": "numbers",
        "counts": "counts",
        LANGUAGE: "texts",
        "distribution": f"a distribution over {num_classes} classes for each example",
    }[task]
    same = " (if each example has one class, it equals cross_entropy)" if name == "kl_divergence" else ""
    fix = f"the target has {target}{same if task not in NUMBERS else ''}; use {_INSTEAD[task]}"
    codes = task in NUMBERS and bool(loss.tasks & CLASSES)
    classes = ', or give task="classification" if each number is a class' if codes else ""
    require(task in loss.tasks, f"{name} needs {_wants(loss)}, but {fix}{classes}")
    weighs = recipe.class_weights == "none" or task not in (*NUMBERS, LANGUAGE)
    require(weighs, f"class_weights {recipe.class_weights} needs classes, the target has {target}; leave it at none")
    fix = 'set loss.costs to a CSV file, or to "true>predicted=2, ..."'
    require(has_costs or name != "cost_sensitive", f"cost_sensitive needs costs: {fix}")


def unused_settings(recipe: LossRecipe) -> tuple[str, ...]:
    """The fields, such as "gamma", that differ from their default although this loss does not use them."""
    plain, own = LossRecipe(), LOSSES.get(recipe.name).settings
    every = ("label_smoothing", "class_weights", "delta", "quantile", "gamma", "costs")
    return tuple(name for name in every if name not in own and getattr(recipe, name) != getattr(plain, name))


def check_outputs(name: str, outputs: object, target: object, *, num_classes: int, ends_in: str | None = None) -> None:
    """Raises UsageError, with the fix, unless the outputs of an untrained model and the target fit the loss.

    outputs: what the model returns for a batch, which should be a tensor (B, O); target: of that batch, as the loss
    needs it; num_classes: 0 for numbers; ends_in: class name of the model's last layer, such as "Softmax", if known.
    """
    loss = LOSSES.get(name)
    if not isinstance(outputs, Tensor):
        what = f"a {type(outputs).__name__}" + (f" of {len(outputs)}" if isinstance(outputs, tuple | list) else "")
        raise UsageError(f"the model returns {what}, {name} needs one tensor (B, O): let forward() return only that")
    if not isinstance(target, Tensor):
        raise UsageError(f"the target must be a tensor, got a {type(target).__name__}")
    numbers = bool(loss.tasks & {*NUMBERS, LANGUAGE})
    width = loss.num_outputs(num_classes) if not numbers else target.shape[1] if target.ndim == 2 else 1
    _check_shape(name, outputs, len(target), width=width, on="" if numbers else f" on {num_classes} classes")
    bad = int((~outputs.isfinite()).any(dim=1).sum())
    fix = "look for divisions, logarithms and roots in forward(), for its initial weights, and for gaps in the data"
    require(not bad, f"the untrained model returns NaN or infinity for {bad} of {len(outputs)} examples: {fix}")
    _check_ending(name, loss, outputs, ends_in)
    _check_numbers(name, target) if numbers else _check_classes(name, loss, target, num_classes)


def _wants(loss: Loss) -> str:
    """The target that a loss needs, in words."""
    if loss.tasks == BINARY:
        return "2 classes"
    if LANGUAGE in loss.tasks:
        return "texts and a language model"
    if loss.tasks & CLASSES:
        return "classes"
    if "regression" in loss.tasks:
        return "numbers"
    return "counts" if "counts" in loss.tasks else "a distribution over the classes for each example"


def _check_shape(name: str, outputs: Tensor, num_rows: int, *, width: int, on: str) -> None:
    shape, kind = tuple(outputs.shape), str(outputs.dtype).removeprefix("torch.")
    wrong = f"the model returns {kind}, but {name} needs real numbers: return the output of the last layer"
    require(outputs.is_floating_point(), wrong)
    if outputs.ndim != 2:
        fix = "keep the last dimension, as with unsqueeze(-1)" if outputs.ndim < 2 else "flatten or pool at the end"
        raise UsageError(f"the model returns outputs of shape {shape}, but {name}{on} needs (B, {width}): {fix}")
    fix = "forward() must keep the examples separate"
    require(shape[0] == num_rows, f"the model returns {shape[0]} rows for {num_rows} examples: {fix}")
    plural = "s" if shape[1] != 1 else ""
    wrong = f"the model returns {shape[1]} output{plural}, but {name}{on} needs {width}: change the last layer"
    require(shape[1] == width, wrong)


def _check_ending(name: str, loss: Loss, outputs: Tensor, ends_in: str | None) -> None:
    """Raises UsageError for outputs that are already probabilities, and for rates without a logarithm."""
    if loss.tasks & NUMBERS:
        wrong = "regression" not in loss.tasks and ends_in in _POSITIVE
        require(not wrong, f"the model ends in {ends_in}, but {name} needs logarithms of rates: remove it")
        return
    alone = outputs.shape[-1] == 1 and ends_in == "LogSoftmax"  # with one output it is always 0
    squashed = ends_in in _SQUASHED or alone
    require(not squashed, f"the model ends in {ends_in}, but {name} needs logits: remove it, the loss has its own")
    inside = len(outputs) > 0 and outputs.shape[-1] > 1 and bool(((outputs >= 0) & (outputs <= 1)).all())
    if inside and _sum_to_one(outputs):
        raise UsageError(f"the model already returns probabilities, but {name} needs logits: remove the softmax")


def _sum_to_one(rows: Tensor) -> bool:
    close = max(1e-4, 4 * torch.finfo(rows.dtype).eps)  # half precision is not more exact
    return bool(((rows.float().sum(dim=1) - 1).abs() <= close).all())


def _check_numbers(name: str, target: Tensor) -> None:
    require(bool(target.isfinite().all()), f"the target has NaN or infinity, {name} needs numbers: leave those out")
    lowest = float(target.min()) if target.numel() else 0.0
    require(name != "poisson" or lowest >= 0, f"poisson needs counts, but the lowest target is {lowest:g}; use mse")


def _check_classes(name: str, loss: Loss, target: Tensor, num_classes: int) -> None:
    """Raises UsageError unless the target contains class numbers or rows of probabilities, as the loss needs."""
    shape = tuple(target.shape)
    if target.ndim == 2 and target.is_floating_point():
        require(loss.takes_rows, f"{name} needs class numbers (B,), but the target has rows {shape}; use cross_entropy")
        right = f"{name} on {num_classes} classes needs rows of {num_classes}"
        require(shape[1] == num_classes, f"{right} probabilities, but the target's have {shape[1]}")
        proper = bool((target >= 0).all()) and _sum_to_one(target)
        require(proper, "the rows of the target must be probabilities: 0 or more, with a sum of 1")
        return
    kind = str(target.dtype).removeprefix("torch.")
    if not loss.tasks & CLASSES:
        wanted = f"rows of probabilities (B, {num_classes})"
        raise UsageError(f"{name} needs {wanted}, the target is {shape} {kind}; for class numbers use cross_entropy")
    whole = target.ndim == 1 and target.dtype == torch.int64
    require(whole, f"{name} needs class numbers (B,) int64, but the target is {shape} {kind}; for numbers use mse")
    low, high = (int(target.min()), int(target.max())) if len(target) else (0, 0)
    inside = low >= 0 and high < num_classes
    require(inside, f"class numbers must be 0 to {num_classes - 1}, but the target's are {low} to {high}")
