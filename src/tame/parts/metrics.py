"""Metrics on stacked outputs for curves; the numbers in reports come from scikit-learn, and tests compare the two."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.errors import ShapeError
from tame.core.evaluation import rare_of_two
from tame.core.registry import Registry


class Measure(Protocol):
    """outputs: canonical, (M, B, C) logits with target (B,) class numbers, or (M, B, 1) with target (B,) numbers.

    weight: (B,) above 0, where an example counts as so many; None: all alike.
    Returns (M,). Raises ShapeError if it is for numbers and the outputs are not.
    """

    def __call__(self, outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor: ...


METRICS: Registry[Measure] = Registry("metric")


@METRICS.add("accuracy")
def accuracy(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Share of examples whose largest logit is the target's."""
    return mean_over((outputs.argmax(dim=-1) == target).to(outputs.dtype), weight)


def mean_over(each: Tensor, weight: Tensor | None) -> Tensor:
    """The mean (M,) of a number of each example, (M, B), each counted as often as its weight (B,) says."""
    if weight is None:
        return each.mean(dim=1)
    own = weight.to(each)
    return (each * own).sum(dim=1) / own.sum()


@METRICS.add("bits_per_character")
def bits_per_character(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean of outputs (M, B, 1) that are the bits per character of texts, weighted by their characters."""
    return mean_over(outputs[..., 0], weight)


def _confusion(outputs: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    """Counts (M, C, C), or sums of weights: row is the true class, column the predicted one."""
    num_classes = outputs.shape[-1]
    cell = target * num_classes + outputs.argmax(dim=-1)
    counts = torch.zeros(outputs.shape[0], num_classes**2, dtype=outputs.dtype, device=outputs.device)
    each = torch.ones_like(cell, dtype=outputs.dtype) if weight is None else weight.to(outputs).expand(cell.shape)
    counts.scatter_add_(1, cell, each)
    return counts.view(-1, num_classes, num_classes)


@METRICS.add("balanced_accuracy")
def balanced_accuracy(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean recall over the classes that occur."""
    counts = _confusion(outputs, target, weight)
    size = counts.sum(dim=2)
    recall = counts.diagonal(dim1=1, dim2=2) / torch.where(size > 0, size, 1)
    present = (size > 0).to(outputs.dtype)
    return (recall * present).sum(dim=1) / present.sum(dim=1)


@METRICS.add("f1_macro")
def f1_macro(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean over the classes that occur or are predicted of 2 TP / (2 TP + FP + FN)."""
    counts = _confusion(outputs, target, weight)
    bottom = counts.sum(dim=1) + counts.sum(dim=2)
    f1 = 2 * counts.diagonal(dim1=1, dim2=2) / torch.where(bottom > 0, bottom, 1)
    present = (bottom > 0).to(outputs.dtype)
    return (f1 * present).sum(dim=1) / present.sum(dim=1)


@METRICS.add("log_loss")
def log_loss(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean negative log-probability of the target, in nats."""
    log_p = F.log_softmax(outputs, dim=-1)
    return mean_over(-log_p.gather(-1, target.expand(outputs.shape[0], -1).unsqueeze(-1)).squeeze(-1), weight)


@METRICS.add("roc_auc")
def roc_auc(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Probability that an example of a class ranks above one that is not of it; a tie counts half.

    Two classes are ranked by the difference of their logits. More are ranked by probability, each against the rest,
    and the mean is over the classes that some but not all examples have; without any it is 0.5. NaN if an output is
    NaN.
    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve (1982).
    """
    num_classes = outputs.shape[-1]
    two = num_classes == 2
    rank_by = (outputs[..., 1] - outputs[..., 0])[..., None] if two else F.log_softmax(outputs, dim=-1)
    counts = torch.bincount(target, minlength=num_classes).tolist()
    ranked = [c for c in ((1,) if two else range(num_classes)) if 0 < counts[c] < len(target)]
    columns = {c: rank_by[..., 0 if two else c].contiguous() for c in ranked}
    if weight is None:
        areas = [_area(columns[c], target == c, ones=counts[c]) for c in ranked]
    else:
        areas = [_weighted_area(columns[c], target == c, weight.double()) for c in ranked]
    found = torch.stack(areas).mean(dim=0) if areas else torch.full_like(outputs[:, 0, 0], 0.5)
    return torch.where(outputs.isnan().any(dim=2).any(dim=1), torch.nan, found)


@METRICS.add("average_precision")
def average_precision(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Precision among the examples that rank at least as high as one of a class, averaged over those of the class.

    Of two classes it is that of the second, or of the first if less than a third of the examples are of it. More are
    ranked by probability, each against the rest, and the mean is over the classes that occur. 0 if the one class of two
    does not occur. NaN if an output is NaN.
    Source: Davis and Goadrich, The Relationship Between Precision-Recall and ROC Curves (2006).
    """
    own = torch.ones_like(target, dtype=torch.float64) if weight is None else weight.double()
    sizes = torch.bincount(target, weights=own, minlength=outputs.shape[-1]).tolist()
    rank_by = F.log_softmax(outputs, dim=-1)
    if len(sizes) == 2:
        one = rare_of_two(sizes[0] / sum(sizes))
        rank_by, ranked = outputs - outputs.flip(-1), [one] if sizes[one] else []
    else:
        ranked = [c for c, size in enumerate(sizes) if size]
    each = [_precision(rank_by[..., c].contiguous(), target == c, own) for c in ranked]
    found = torch.stack(each).mean(dim=0) if each else torch.zeros_like(outputs[:, 0, 0])
    return torch.where(outputs.isnan().any(dim=2).any(dim=1), torch.nan, found)


def _precision(rank_by: Tensor, own: Tensor, weight: Tensor) -> Tensor:
    """Average precision (M,) of the examples in own (B,), in float64 until the end. rank_by: (M, B)."""
    order = rank_by.sort(dim=1, descending=True)
    first = torch.searchsorted(-order.values, -rank_by, right=True)  # how many rank at least as high as each
    right, all_of_them = (
        F.pad(each.expand(rank_by.shape).gather(1, order.indices).cumsum(dim=1), (1, 0)).gather(1, first)
        for each in (torch.where(own, weight, 0), weight)
    )
    return ((weight * right / all_of_them)[:, own].sum(dim=1) / weight[own].sum()).to(rank_by.dtype)


def _area(rank_by: Tensor, own: Tensor, *, ones: int) -> Tensor:
    """Area under the ROC curve (M,). rank_by: (M, B); own: (B,) true for `ones` examples."""
    ordered = rank_by.sort(dim=1).values
    # Twice the rank of each, with the mean rank for ties, in integers: the sums would not be exact in float32.
    rank = torch.searchsorted(ordered, rank_by) + torch.searchsorted(ordered, rank_by, right=True) + 1
    won = rank[:, own].sum(dim=1) - ones * (ones + 1)
    return won.to(rank_by.dtype) / (2 * ones * (len(own) - ones))


def _weighted_area(rank_by: Tensor, own: Tensor, weight: Tensor) -> Tensor:
    """The same where an example counts as often as its weight (B,) says: of pairs, the product of both weights."""
    order = rank_by.sort(dim=1)
    others = torch.where(own, 0, weight)
    below = F.pad(others.expand(rank_by.shape).gather(1, order.indices).cumsum(dim=1), (1, 0))
    left = torch.searchsorted(order.values, rank_by)
    right = torch.searchsorted(order.values, rank_by, right=True)
    won = (torch.where(own, weight, 0) * (below.gather(1, left) + below.gather(1, right))).sum(dim=1)
    return (won / (2 * weight[own].sum() * others.sum())).to(rank_by.dtype)


def _errors(outputs: Tensor, target: Tensor) -> Tensor:
    """Prediction minus target, (M, B). Raises ShapeError unless outputs are (M, B, 1) and the target is (B,)."""
    if outputs.ndim != 3 or outputs.shape[-1] != 1 or target.shape != outputs.shape[1:2]:
        got = f"{tuple(outputs.shape)} and {tuple(target.shape)}"
        raise ShapeError(f"metrics of numbers need outputs (M, B, 1) and target (B,), got {got}")
    return outputs[..., 0] - target.to(outputs.dtype)


@METRICS.add("rmse")
def rmse(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Square root of the mean squared error, in units of the target."""
    return mean_over(_errors(outputs, target).square(), weight).sqrt()


@METRICS.add("mae")
def mae(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean absolute error, in units of the target."""
    return mean_over(_errors(outputs, target).abs(), weight)


@METRICS.add("r2")
def r2(outputs: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Share of the target's variance that the predictions explain; below 0 if its mean would be better.

    A constant target gives 1 if it is predicted exactly, otherwise 0.
    """
    own = None if weight is None else weight.to(outputs)
    lost = mean_over(_errors(outputs, target).square(), own)
    wanted = target.to(outputs.dtype)
    if bool((target == target[0]).all()):
        return torch.where(lost == 0, 1, 0 * lost)  # 0 times: NaN stays NaN
    middle = mean_over(wanted[None], own)
    return 1 - lost / mean_over((wanted - middle).square()[None], own)
