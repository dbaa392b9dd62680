"""Regularisers: what keeps a network from learning its examples by heart.

Functions of stacked parameters, name -> (M, ...), each with a strength for each member; those that change parameters
do so in place, so that views of one module's parameters (p[None]) serve as well.
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
        "Adds the sum of absolute weights to the loss, which drives weights that matter little to zero.",
        ("regularize.l1",),
        "Tibshirani, Regression Shrinkage and Selection via the Lasso (1996)",
    ),
    "l2": Regularizer(
        "Adds half the sum of squared weights to the loss, which keeps all weights small.",
        ("regularize.l2",),
        "Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.1.1",
    ),
    "weight_decay": Regularizer(
        "Shrinks the parameters by a share of the learning rate in each step, apart from the loss.",
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
        "Shortens the weights of a unit after each step to a greatest length.",
        ("regularize.max_norm",),
        "Srivastava et al., Dropout (2014), section 5.1",
    ),
    "early_stopping": Regularizer(
        "Ends training when the validation loss has not fallen for some epochs, and goes back to the best epoch.",
        ("regularize.early_stopping",),
        "Goodfellow, Bengio and Courville, Deep Learning (2016), section 7.8",
    ),
    "ema": Regularizer(
        "Judges a moving average of the weights over the steps instead of the last ones.",
        ("regularize.ema",),
        "Polyak and Juditsky, Acceleration of Stochastic Approximation by Averaging (1992)",
    ),
    "swa": Regularizer(
        "Judges the mean of the weights at the ends of the last epochs instead of the last ones.",
        ("regularize.swa",),
        "Izmailov et al., Averaging Weights Leads to Wider Optima (2018)",
    ),
    "mixup": Regularizer(
        "Trains on weighted means of two examples and of their targets.",
        ("regularize.mixup",),
        "Zhang et al., mixup (2018)",
    ),
    "cutmix": Regularizer(
        "Pastes a box of one picture into another and weighs the targets by the area.",
        ("regularize.cutmix",),
        "Yun et al., CutMix (2019)",
    ),
    "augmentation": Regularizer(
        "Changes each picture at random in each epoch, in ways that leave its class as it is.",
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
    """The parameters that penalties and norms act on: those of two or more axes in a member, no biases, no norms."""
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
    """Shortens each unit's weights, in place, to its member's greatest length.

    params: (M, ...) each, weights as (M, units, ...); the length is taken over all axes after the units.
    max_norm: (M,), 0 for no limit. A length holds within the rounding of its dtype. Waits for no device.
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
    """The moving average of each member's parameters moves towards their present values, in place.

    average, params: (M, ...) each, of the same names; decay: (M,) in [0, 1); step: (M,) or a scalar, how many updates
    came before. The decay is min(decay, (1 + step) / (10 + step)), so that the average does not hang on to the
    initial weights. A member of decay 0 has its present values; so have whole numbers, as the counters of norms.
    active: (M,) of bools, the members that took a step, whose average moves; None for all.
    Raises ShapeError if a name is missing. Source: Polyak and Juditsky (1992).
    """
    step = step.to(decay.dtype)
    share = 1 - torch.minimum(decay, (1 + step) / (10 + step))
    _move(average, params, weight=share if active is None else torch.where(active, share, 0))


@torch.no_grad()
def update_mean(mean: Tensors, params: Tensors, *, count: Tensor, active: Tensor | None = None) -> None:
    """The mean of each member's parameters takes in their present values, in place.

    mean, params: (M, ...) each, of the same names; count: (M,), how many are in the mean so far, 0 at first, when it
    becomes the present values; active: (M,) of bools, the members whose mean moves, None for all. Whole numbers, as the
    counters of norms, are those of the present. Raises ShapeError if a name is missing.
    Source: Izmailov et al., Averaging Weights Leads to Wider Optima (2018), algorithm 1.
    """
    share = 1 / (1 + (count if count.is_floating_point() else count.float()))
    _move(mean, params, weight=share if active is None else torch.where(active, share, 0))


def _move(average: Tensors, params: Tensors, *, weight: Tensor) -> None:
    """Each average goes the share `weight` (M,) of its way to the parameters; at 0 it stays, at 1 it is there."""
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
    """What early stopping remembers, each (M,): lowest validation loss, its epoch (0: none yet), epochs since."""

    best: Tensor
    best_epoch: Tensor
    waited: Tensor


def start_patience(num_members: int, *, like: Tensor) -> Patience:
    """Before the first epoch. best: in the dtype of `like`; best_epoch, waited: int64; all on its device."""
    none = torch.zeros(num_members, dtype=torch.int64, device=like.device)
    return Patience(best=like.new_full((num_members,), torch.inf), best_epoch=none, waited=none.clone())


@torch.no_grad()
def step_patience(state: Patience, valid_loss: Tensor, epoch: int) -> tuple[Patience, Tensor]:
    """The state after an epoch, and whether (M,) its validation loss is lower than every one before.

    valid_loss: (M,); a loss that is no number or infinite is not lower. A member has run out of patience when its
    `waited` has reached regularize.early_stopping.
    Source: Goodfellow, Bengio and Courville, Deep Learning (2016), algorithm 7.1.
    """
    improved = valid_loss < state.best
    found = Patience(
        best=torch.where(improved, valid_loss, state.best),
        best_epoch=torch.where(improved, epoch, state.best_epoch),
        waited=torch.where(improved, 0, state.waited + 1),
    )
    return found, improved
