"""Metrics on stacked logits for curves; the numbers of a report come from scikit-learn and are held against these."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.registry import Registry


class Measure(Protocol):
    """outputs: (M, B, C) logits; target: (B,) class numbers. Returns (M,)."""

    def __call__(self, outputs: Tensor, target: Tensor) -> Tensor: ...


METRICS: Registry[Measure] = Registry("metric")


@METRICS.add("accuracy")
def accuracy(outputs: Tensor, target: Tensor) -> Tensor:
    """Share of examples whose largest logit is the target's."""
    return (outputs.argmax(dim=-1) == target).to(outputs.dtype).mean(dim=-1)


def _confusion(outputs: Tensor, target: Tensor) -> Tensor:
    """Counts (M, C, C): row is the true class, column the predicted one."""
    num_classes = outputs.shape[-1]
    cell = target * num_classes + outputs.argmax(dim=-1)
    counts = torch.zeros(outputs.shape[0], num_classes**2, dtype=outputs.dtype, device=outputs.device)
    counts.scatter_add_(1, cell, torch.ones_like(cell, dtype=outputs.dtype))
    return counts.view(-1, num_classes, num_classes)


@METRICS.add("balanced_accuracy")
def balanced_accuracy(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean over the classes that occur of the share of each that is recognised."""
    counts = _confusion(outputs, target)
    size = counts.sum(dim=2)
    recall = counts.diagonal(dim1=1, dim2=2) / size.clamp(min=1)
    present = (size > 0).to(outputs.dtype)
    return (recall * present).sum(dim=1) / present.sum(dim=1)


@METRICS.add("f1_macro")
def f1_macro(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean over the classes that occur or are predicted of 2 TP / (2 TP + FP + FN)."""
    counts = _confusion(outputs, target)
    bottom = counts.sum(dim=1) + counts.sum(dim=2)
    f1 = 2 * counts.diagonal(dim1=1, dim2=2) / bottom.clamp(min=1)
    present = (bottom > 0).to(outputs.dtype)
    return (f1 * present).sum(dim=1) / present.sum(dim=1)


@METRICS.add("log_loss")
def log_loss(outputs: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-probability of the target, in nats."""
    log_p = F.log_softmax(outputs, dim=-1)
    return -log_p.gather(-1, target.expand(outputs.shape[0], -1).unsqueeze(-1)).squeeze(-1).mean(dim=1)
