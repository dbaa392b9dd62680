"""Regularisers: what keeps a network from memorising its examples.

Functions of stacked parameters, name -> (M, ...), with one strength per member. Those that change parameters do so in
place, so that views of one module's parameters (p[None]) work too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tame.core.errors import ShapeError
from tame.core.registry import Registry

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Regularizer:
    """What a regulariser does in one sentence, the recipe's fields that set it, and where it comes from."""

    does: str
    fields: tuple[str, ...]
    source: str


REGULARIZERS: Registry[Regularizer] = Registry("regularizer")

_ALL = {
    "l1": Regularizer(
        "Adds the sum of absolute weights to the loss, which drives unimportant weights to zero.",
        ("regularize.l1",),
        "Tibshirani, Regression Shrinkage and Selection via the Lasso (1996)",
    ),
    "l2": Regularizer(
        "Adds half the sum of squared weights to the loss, which keeps all weights small.",
        ("regularize.l2",),
        "Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.1.1",
    ),
    "weight_decay": Regularizer(
        "Shrinks the parameters in each step by a factor that depends on the learning rate, independently of the loss.",
        ("optimizer.weight_decay",),
        "Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019)",
    ),
    "dropout": Regularizer(
        "Switches off a random share of hidden units in each step, so that no unit relies on another.",
        ("model.dropout",),
        "Srivastava et al., Dropout (2014)",
    ),
    "label_smoothing": Regularizer(
        "Moves a share of each target to all classes, so that the network is never pushed to be certain.",
        ("loss.label_smoothing",),
        "Szegedy et al., Rethinking the Inception Architecture (2016), section 7",
    ),
    "max_norm": Regularizer(
        "Limits the norm of each unit's weights after each step.",
        ("regularize.max_norm",),
        "Srivastava et al., Dropout (2014), section 5.1",
    ),
    "early_stopping": Regularizer(
        "Ends training when the validation loss has not fallen for some epochs, and restores the best epoch.",
        ("regularize.early_stopping",),
        "Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.8",
    ),
    "ema": Regularizer(
        "Evaluates a moving average of the weights over the steps instead of the last weights.",
        ("regularize.ema",),
        "Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992)",
    ),
    "swa": Regularizer(
        "Evaluates the mean of the weights at the ends of the last epochs instead of the last weights.",
        ("regularize.swa",),
        "Izmailov et al., Averaging Weights Leads to Wider Optima (2018)",
    ),
    "mixup": Regularizer(
        "Trains on weighted means of two examples and of their targets.",
        ("regularize.mixup",),
        "Zhang et al., mixup (2018)",
    ),
    "cutmix": Regularizer(
        "Pastes a box of one picture into another and weights the targets by area.",
        ("regularize.cutmix",),
        "Yun et al., CutMix (2019)",
    ),
    "augmentation": Regularizer(
        "Changes each picture at random in each epoch, in ways that preserve its class.",
        ("augment.flip", "augment.crop", "augment.rotation", "augment.color", "augment.strength"),
        "Cubuk et al., RandAugment (2020)",
    ),
    "noise": Regularizer(
        "Adds normal noise to the numbers of a table in each step.",
        ("augment.noise",),
        "Bishop, Training with Noise is Equivalent to Tikhonov Regularization (1995)",
    ),
}
for _name, _part in _ALL.items():
    REGULARIZERS.add(_name)(_part)


def weight_names(params: Tensors) -> list[str]:
    """The parameters to which penalties and limits apply: two or more axes per member, no biases, no norms."""
    return [name for name, value in params.items() if value.ndim >= 3]


def penalty(params: Tensors, *, l1: Tensor, l2: Tensor) -> Tensor:
    """l1 times the sum of absolute weights plus l2 times half the sum of squared weights, of each member.

    params: (M, ...) each; l1, l2: (M,). Returns (M,), to be added to the loss; differentiable.
    Source: Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.1.
    """
    found = torch.zeros_like(l1)
    for name in weight_names(params):
        weights = params[name].flatten(1)
        found = found + l1 * weights.abs().sum(dim=1) + l2 / 2 * weights.square().sum(dim=1)
    return found


@torch.no_grad()
def limit_norms(params: Tensors, max_norm: Tensor) -> None:
    """Limits the norm of each unit's weights, in place, to its member's maximum.

    params: (M, ...) each, weights as (M, units, ...); the norm is over all axes after the units.
    max_norm: (M,), 0 for no limit. Exact up to rounding. Does not synchronise with the device.
    Source: Srivastava et al., Dropout (2014), section 5.1.
    """
    limit = torch.where(max_norm > 0, max_norm, torch.inf)[:, None]
    for name in weight_names(params):
        value = params[name]
        norms = torch.linalg.vector_norm(value.flatten(2), dim=2)
        factor = torch.where(norms > limit, limit / norms, 1)
        value.mul_(factor.view(factor.shape + (1,) * (value.ndim - 2)))


@torch.no_grad()
def update_average(
    average: Tensors, params: Tensors, *, decay: Tensor, step: Tensor, active: Tensor | None = None
) -> None:
    """Moves the moving average of each member's parameters towards their present values, in place.

    average, params: (M, ...) each, of the same names; decay: (M,) in [0, 1); step: (M,) or a scalar, how many updates
    came before. The decay is min(decay, (1 + step) / (10 + step)), so that the average does not keep the initial
    weights for long. A member with decay 0 gets its present values, and so do integers such as the counters of norms.
    active: (M,) bools, the members that took a step, whose average moves; None for all.
    Raises ShapeError if a name is missing. Source: Polyak and Juditsky (1992).
    """
    step = step.to(decay.dtype)
    share = 1 - torch.minimum(decay, (1 + step) / (10 + step))
    _move(average, params, weight=share if active is None else torch.where(active, share, 0))


@torch.no_grad()
def update_mean(mean: Tensors, params: Tensors, *, count: Tensor, active: Tensor | None = None) -> None:
    """Adds the present values of each member's parameters to their mean, in place.

    mean, params: (M, ...) each, with the same names; count: (M,), how many are in the mean so far; at 0 it becomes the
    present values; active: (M,) bools, the members whose mean moves, None for all. Integers, such as the counters of
    norms, get their present values. Raises ShapeError if a name is missing.
    Source: Izmailov et al., Averaging Weights Leads to Wider Optima (2018), algorithm 1.
    """
    share = 1 / (1 + (count if count.is_floating_point() else count.float()))
    _move(mean, params, weight=share if active is None else torch.where(active, share, 0))


def _move(average: Tensors, params: Tensors, *, weight: Tensor) -> None:
    """Moves each average by the share `weight` (M,) towards the parameters; 0 leaves it, 1 replaces it."""
    if average.keys() != params.keys():
        raise ShapeError(f"average and parameters differ in {', '.join(sorted(average.keys() ^ params.keys()))}")
    for name, value in average.items():
        own = weight.view((-1,) + (1,) * (value.ndim - 1))
        if value.is_floating_point():
            value.lerp_(params[name].to(value.dtype), own.to(value.dtype))
        else:
            value.copy_(torch.where(own == 0, value, params[name]))


@dataclass(frozen=True, slots=True)
class Patience:
    """The state of early stopping, each (M,): lowest validation loss, its epoch (0: none yet), epochs since."""

    best: Tensor
    best_epoch: Tensor
    waited: Tensor


def start_patience(num_members: int, *, like: Tensor) -> Patience:
    """The state before the first epoch. best: in the dtype of `like`; best_epoch, waited: int64; all on its device."""
    none = torch.zeros(num_members, dtype=torch.int64, device=like.device)
    return Patience(best=like.new_full((num_members,), torch.inf), best_epoch=none, waited=none.clone())


@torch.no_grad()
def step_patience(state: Patience, valid_loss: Tensor, epoch: int) -> tuple[Patience, Tensor]:
    """The state after an epoch, and whether (M,) its validation loss is the lowest so far.

    valid_loss: (M,); a loss that is NaN or infinite is never lower. A member has run out of patience when its `waited`
    has reached regularize.early_stopping.
    Source: Goodfellow, Bengio and Courville, Deep Learning (2016), algorithm 7.1.
    """
    improved = valid_loss < state.best
    found = Patience(
        best=torch.where(improved, valid_loss, state.best),
        best_epoch=torch.where(improved, epoch, state.best_epoch),
        waited=torch.where(improved, 0, state.waited + 1),
    )
    return found, improved
