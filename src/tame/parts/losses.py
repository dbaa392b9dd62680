"""Losses on stacked outputs: one number for each member, which no other member moves."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.errors import ShapeError
from tame.core.registry import Registry


class Loss(Protocol):
    """The loss of each example.

    outputs: (M, B, C) logits; target: (B,); label_smoothing: (M,). Returns (M, B), in nats for likelihoods.
    """

    def __call__(self, outputs: Tensor, target: Tensor, *, label_smoothing: Tensor) -> Tensor: ...


LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.add("cross_entropy")
def cross_entropy(outputs: Tensor, target: Tensor, *, label_smoothing: Tensor) -> Tensor:
    """Cross-entropy of softmax(outputs) against labels smoothed towards the uniform distribution.

    outputs: (M, B, C); target: (B,) class numbers; label_smoothing: (M,) in [0, 1). Returns (M, B) in nats.
    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7; equals torch's cross_entropy.
    """
    log_p = F.log_softmax(outputs, dim=-1)
    right = log_p.gather(-1, target.expand(outputs.shape[0], -1).unsqueeze(-1)).squeeze(-1)
    smoothing = label_smoothing[:, None]
    return -((1 - smoothing) * right + smoothing * log_p.mean(dim=-1))


def mean_loss(
    name: str, outputs: Tensor, target: Tensor, *, label_smoothing: Tensor, weight: Tensor | None = None
) -> Tensor:
    """The loss of each member, averaged over the examples of the batch that belong to it.

    outputs: (M, B, C); target: (B,); label_smoothing: (M,); weight: (M, B), 0 where an example is not the member's.
    Returns (M,); 0 for a member without an example in the batch. Raises ShapeError where the shapes differ.
    """
    if outputs.ndim != 3 or target.shape[:1] != outputs.shape[1:2]:
        raise ShapeError(f"need outputs (M, B, C) and target (B,), got {tuple(outputs.shape)}, {tuple(target.shape)}")
    each = LOSSES.get(name)(outputs, target, label_smoothing=label_smoothing)
    if weight is None:
        return each.mean(dim=1)
    # where, not a product: an example that is not the member's may have an infinite loss, and 0 x inf is no number.
    own = torch.where(weight > 0, each * weight, torch.zeros_like(each))
    return own.sum(dim=1) / weight.sum(dim=1).clamp(min=1)
