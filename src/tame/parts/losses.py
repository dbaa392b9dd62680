"""Losses on stacked outputs: one number per member and example, independent of other members."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.config import LANGUAGE
from tame.core.errors import ShapeError, UsageError, require
from tame.core.recipe import LossRecipe
from tame.core.registry import Registry

NUMBERS = frozenset({"regression", "counts"})
CLASSES = frozenset({"binary", "multiclass"})
TASKS = ("binary", "multiclass", "regression", "counts", "distribution", LANGUAGE)


@dataclass(frozen=True, slots=True)
class LossHyper:
    """The settings of the loss for each member.

    label_smoothing, delta, quantile, gamma: (M,). class_weights: (M, C), or None if all classes have the same weight.
    costs: (C, C), row the true class, column the predicted one, zero on the diagonal.
    """

    label_smoothing: Tensor
    delta: Tensor
    quantile: Tensor
    gamma: Tensor
    class_weights: Tensor | None = None
    costs: Tensor | None = None


Each = Callable[[Tensor, Tensor, LossHyper], Tensor]


class EachAndSlope(Protocol):
    """`Loss.each` and its gradient (M, B, O) with respect to the outputs. smooths: False if no label is smoothed."""

    def __call__(
        self, outputs: Tensor, target: Tensor, hyper: LossHyper, *, smooths: bool
    ) -> tuple[Tensor, Tensor]: ...


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss and what it is for.

    each: outputs (M, B, O) and target to the loss (M, B) per example. target is (B,) class numbers (int64), (B, C)
    rows of probabilities, or (B,) or (B, O) numbers.
    tasks: those of TASKS that it can be used for.
    num_outputs: from the number of classes (0 for numbers) to the width O that it needs.
    predict: outputs (..., O) to the canonical form: (..., C) logits whose softmax are the probabilities, or numbers.
    takes_rows: whether target may be rows of probabilities, as mixup produces them.
    settings: the fields of LossRecipe that affect it.
    with_slope: `each` together with its gradient (M, B, O), written out by hand if that pays off.
    """

    each: Each
    tasks: frozenset[str]
    num_outputs: Callable[[int], int]
    predict: Callable[[Tensor], Tensor]
    takes_rows: bool = False
    settings: frozenset[str] = frozenset()
    with_slope: EachAndSlope | None = None


LOSSES: Registry[Loss] = Registry("loss")


def _same(outputs: Tensor) -> Tensor:
    return outputs


def _of_numbers(
    name: str, *settings: str, tasks: frozenset[str] = NUMBERS, predict: Callable[[Tensor], Tensor] = _same,
    slope: Each | None = None,
) -> Callable[[Each], Each]:  # fmt: skip
    """Registers a loss of single numbers, outputs (M, B, K) and target (B, K) to (M, B, K), averaged over the K.

    slope: its derivative with respect to the outputs, if it is written out.
    """

    def register(single: Each) -> Each:
        def each(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
            return single(outputs, _wanted(outputs, target), hyper).mean(dim=-1)

        def with_slope(outputs: Tensor, target: Tensor, hyper: LossHyper, *, smooths: bool) -> tuple[Tensor, Tensor]:
            assert slope is not None
            wanted = _wanted(outputs, target)
            found = slope(outputs, wanted, hyper) / outputs.shape[-1]
            return single(outputs, wanted, hyper).mean(dim=-1), found

        written = with_slope if slope is not None else None
        LOSSES.add(name)(Loss(each, tasks, lambda _: 1, predict, settings=frozenset(settings), with_slope=written))
        return single

    return register


def _wanted(outputs: Tensor, target: Tensor) -> Tensor:
    """The target numbers (B, K) or (M, B, K), in the type of the outputs. Raises ShapeError for another shape."""
    wanted = target[:, None] if target.ndim == 1 else target
    if wanted.shape != outputs.shape[3 - wanted.ndim :]:  # otherwise one would be broadcast over the other
        got = f"{tuple(outputs.shape)} and {tuple(target.shape)}"
        raise ShapeError(f"need outputs (M, B, K) and target (B, K), (M, B, K), or (B,) where K is 1, got {got}")
    return wanted.to(outputs.dtype)


@_of_numbers("mse", slope=lambda outputs, target, hyper: 2 * (outputs - target))
def mse(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Squared error. Equals torch's mse_loss."""
    return (outputs - target).square()


@_of_numbers("mae")
def mae(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Absolute error. Equals torch's l1_loss."""
    return (outputs - target).abs()


@_of_numbers("huber", "delta")
def huber(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Half the squared error up to delta, linear beyond.

    Source: Huber, Robust estimation of a location parameter (1964); equals torch's huber_loss.
    """
    error, delta = (outputs - target).abs(), hyper.delta[:, None, None]
    return torch.where(error <= delta, 0.5 * error.square(), delta * (error - 0.5 * delta))


@_of_numbers("log_cosh")
def log_cosh(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Logarithm of the hyperbolic cosine of the error: half its square near 0, its size minus log 2 far away."""
    error = outputs - target
    # cosh overflows at 89 in float32, and softplus loses digits above its threshold; logsigmoid does not.
    return error - F.logsigmoid(2 * error) - math.log(2)


@_of_numbers("quantile", "quantile")
def quantile(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Pinball loss: minimal if a share `quantile` of the targets lies below the output.

    Source: Koenker and Bassett, Regression quantiles (1978).
    """
    short, share = target - outputs, hyper.quantile[:, None, None]
    return torch.maximum(share * short, (share - 1) * short)


@_of_numbers("poisson", tasks=frozenset({"counts"}), predict=torch.exp)
def poisson(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Negative log-likelihood of counts under a Poisson distribution, without the term that depends only on the target.

    outputs: logarithms of the rate; from 88 in float32 (709 in float64) the rate overflows, and the member diverges.
    Equals torch's poisson_nll_loss.
    """
    return outputs.exp() - target * outputs


def likelihood(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Bits per character (M, B), as a language model gives them: its negative log-likelihood of each text.

    outputs: (M, B, 1); the target is not looked at, since a text is its own.
    """
    return outputs[..., 0]


LOSSES.add("likelihood")(Loss(likelihood, frozenset({LANGUAGE}), lambda _: 1, _same))


def _smoothed_mean(values: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Mean of values (M, B, C) over the classes, weighted by the target smoothed towards the uniform distribution."""
    if target.ndim == 2:
        right = (values * target.to(values.dtype)).sum(dim=-1)
    else:
        right = values.gather(-1, target.expand(values.shape[0], -1).unsqueeze(-1)).squeeze(-1)
    smoothing = hyper.label_smoothing[:, None]
    return (1 - smoothing) * right + smoothing * values.mean(dim=-1)


def _shifted(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (M, B, C) minus the largest of each row, and the logarithm (M, B) of the sum of their exponentials.

    As exact as log_softmax and, with 10 classes on a CPU, three times as fast, which matters for a small network.
    """
    lead = outputs - outputs.detach().amax(dim=-1, keepdim=True)
    return lead, lead.exp().sum(dim=-1).log()


def _share_of_ones(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Probability (M, B) of class 1 in the smoothed target."""
    ones = target[:, 1] if target.ndim == 2 else target
    smoothing = hyper.label_smoothing[:, None]
    return (1 - smoothing) * ones.to(outputs.dtype) + 0.5 * smoothing


def _two_logits(outputs: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(outputs), outputs], dim=-1)


def _hinge_logits(outputs: Tensor) -> Tensor:
    """Logits of a margin: [0, 2 f] for one output f, else the outputs; uncalibrated, only their order is meaningful."""
    return _two_logits(2 * outputs) if outputs.shape[-1] == 1 else outputs


def _of_classes(
    name: str,
    *settings: str,  # besides class_weights, which affects every average
    tasks: frozenset[str] = CLASSES,
    num_outputs: Callable[[int], int] = lambda num_classes: num_classes,
    predict: Callable[[Tensor], Tensor] = _same,
    takes_rows: bool = False,
    with_slope: EachAndSlope | None = None,
) -> Callable[[Each], Each]:
    """Registers a loss of classes; all of these support class weights."""

    def register(each: Each) -> Each:
        fields = frozenset((*settings, "class_weights"))
        LOSSES.add(name)(Loss(each, tasks, num_outputs, predict, takes_rows, fields, with_slope))
        return each

    return register


def _cross_entropy_with_slope(
    outputs: Tensor, target: Tensor, hyper: LossHyper, *, smooths: bool
) -> tuple[Tensor, Tensor]:
    classes = outputs.shape[-1]
    if target.ndim == 2:
        wanted = target.to(outputs.dtype)
    else:
        wanted = outputs.new_zeros(target.shape[0], classes).scatter_(1, target[:, None], 1)
    if smooths:
        smoothing = hyper.label_smoothing[:, None, None]
        wanted = (1 - smoothing) * wanted + smoothing / classes
    log_p = outputs.log_softmax(dim=-1)
    return -(log_p * wanted).sum(dim=-1), log_p.exp_().sub_(wanted)


@_of_classes(
    "cross_entropy", "label_smoothing", tasks=CLASSES | {"distribution"}, takes_rows=True,
    with_slope=_cross_entropy_with_slope,
)  # fmt: skip
def cross_entropy(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Cross-entropy of softmax(outputs) against the target smoothed towards the uniform distribution.

    outputs: (M, B, C); target: (B,) class numbers or (B, C) rows of probabilities. Returns (M, B) in nats.
    Source: Szegedy et al., Rethinking the Inception Architecture (2016), section 7; equals torch's cross_entropy.
    """
    lead, log_sum = _shifted(outputs)
    return log_sum - _smoothed_mean(lead, target, hyper)


@_of_classes("kl_divergence", "label_smoothing", tasks=frozenset({"distribution"}), takes_rows=True)
def kl_divergence(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Divergence of softmax(outputs) from the smoothed target: cross-entropy minus the target's entropy.

    outputs: (M, B, C); target: (B, C) rows of probabilities. Returns (M, B) in nats; 0 if they are equal.
    Source: Kullback and Leibler, On information and sufficiency (1951); equals torch's kl_div.
    """
    smoothing = hyper.label_smoothing[:, None, None]
    wanted = (1 - smoothing) * target.to(outputs.dtype) + smoothing / outputs.shape[-1]
    return (torch.xlogy(wanted, wanted) - wanted * F.log_softmax(outputs, dim=-1)).sum(dim=-1)


@_of_classes("focal", "label_smoothing", "gamma", tasks=CLASSES | {"distribution"}, takes_rows=True)
def focal(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Cross-entropy in which a class of probability p has weight (1 - p)^gamma: it down-weights easy examples.

    outputs: (M, B, C); target as for cross_entropy, which it equals at gamma 0. Returns (M, B).
    Source: Lin et al., Focal loss for dense object detection (2017), equation 4, with softmax in place of sigmoid.
    """
    log_p = F.log_softmax(outputs, dim=-1)
    # (1 - p)^gamma through its logarithm, with p kept below 1: at p = 1 its slope is infinite for a gamma below 1.
    log_rest = torch.log(-torch.expm1(log_p.clamp(max=-torch.finfo(log_p.dtype).eps)))
    return -_smoothed_mean(torch.exp(hyper.gamma[:, None, None] * log_rest) * log_p, target, hyper)


BINARY = frozenset({"binary"})
_of_two_classes = partial(_of_classes, tasks=BINARY, num_outputs=lambda _: 1, predict=_two_logits, takes_rows=True)


@_of_two_classes("binary_cross_entropy", "label_smoothing")
def binary_cross_entropy(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Cross-entropy of sigmoid(outputs) against 0 and 1, smoothed towards one half.

    outputs: (M, B, 1) logits of class 1; target: (B,) of 0 and 1, or (B, 2) rows. Returns (M, B) in nats.
    Equals torch's binary_cross_entropy_with_logits, and cross_entropy of the logits [0, f].
    """
    share = _share_of_ones(outputs, target, hyper)
    return F.binary_cross_entropy_with_logits(outputs[..., 0], share, reduction="none")


@_of_two_classes("logistic", "label_smoothing")
def logistic(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """Logistic loss log(1 + exp(-y f)) of the margin, with y = 1 for class 1 and y = -1 for class 0.

    outputs: (M, B, 1); target as for binary_cross_entropy, to which it is equal. Returns (M, B) in nats.
    Source: Hastie, Tibshirani and Friedman, The elements of statistical learning (2009), section 10.5.
    """
    share, margin = _share_of_ones(outputs, target, hyper), outputs[..., 0]
    return -share * F.logsigmoid(margin) - (1 - share) * F.logsigmoid(-margin)


@_of_classes("hinge", num_outputs=lambda c: 1 if c == 2 else c, predict=_hinge_logits)
def hinge(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """max(0, 1 - margin). The canonical logits are uncalibrated: only their order is meaningful, not their size.

    outputs: (M, B, 1) for two classes, whose margin is y f with y = -1 or 1; or (M, B, C), whose margin is the logit
    of the target minus the largest other one. target: (B,) class numbers. Returns (M, B).
    Source: Crammer and Singer, On the algorithmic implementation of multiclass kernel-based vector machines (2001).
    """
    if outputs.shape[-1] == 1:
        return F.relu(1 - (2 * target - 1).to(outputs.dtype) * outputs[..., 0])
    place = target.expand(outputs.shape[0], -1).unsqueeze(-1)
    others = outputs.scatter(-1, place, -math.inf).amax(dim=-1)
    return F.relu(1 + others - outputs.gather(-1, place).squeeze(-1))


@_of_classes("squared_hinge", num_outputs=lambda c: 1 if c == 2 else c, predict=_hinge_logits)
def squared_hinge(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """The square of `hinge`, which is smooth where the margin reaches 1; also uncalibrated."""
    return hinge(outputs, target, hyper).square()


@_of_classes("cost_sensitive", "costs")
def cost_sensitive(outputs: Tensor, target: Tensor, hyper: LossHyper) -> Tensor:
    """log(1 + sum over wrong classes j of c[y, j] exp(z_j - z_y)): confusions are penalised by their cost.

    outputs: (M, B, C); target: (B,) class numbers y; costs c: (C, C). Returns (M, B); cross-entropy where every cost
    is 1; a cost of 0 ignores its confusion. Expensive mistakes get smaller logits: the largest logit is the decision,
    and the softmax is biased against expensive mistakes. Raises ShapeError without costs of that shape.
    Source: Gimpel and Smith, Softmax-margin CRFs (2010), with the logarithm of the cost as their margin.
    """
    classes = outputs.shape[-1]
    if hyper.costs is None or hyper.costs.shape != (classes, classes):
        got = None if hyper.costs is None else tuple(hyper.costs.shape)
        raise ShapeError(f"cost_sensitive on {classes} classes needs costs ({classes}, {classes}), got {got}")
    itself = torch.eye(classes, dtype=hyper.costs.dtype, device=hyper.costs.device)
    log_costs = (hyper.costs + itself).log()[target]
    lead = outputs - outputs.gather(-1, target.expand(outputs.shape[0], -1).unsqueeze(-1))
    return torch.logsumexp(lead + log_costs, dim=-1)


def loss_hyper(
    recipes: Sequence[LossRecipe], *, class_counts: Tensor | None, costs: Tensor | None, like: Tensor
) -> LossHyper:
    """The settings of these recipes, one per member, in the dtype and on the device of `like`.

    class_counts: (C,) training examples of each class, or (M, C). Balanced weights are n / (C n_c); a class without
    examples counts as having one. costs: (C, C).
    Raises UsageError for balanced weights without counts, ShapeError for an invalid matrix of costs.
    """

    def column(name: str) -> Tensor:
        return torch.tensor([getattr(recipe, name) for recipe in recipes], dtype=like.dtype, device=like.device)

    balanced = torch.tensor([recipe.class_weights == "balanced" for recipe in recipes], device=like.device)
    weights = None
    if balanced.any():
        if class_counts is None:
            raise UsageError("class_weights balanced needs classes, but the target has none")
        counts = class_counts.to(like)
        fair = counts.sum(dim=-1, keepdim=True) / (counts.shape[-1] * counts.clamp(min=1))
        weights = torch.where(balanced[:, None], fair, torch.ones_like(fair))
    if costs is not None:
        square = costs.ndim == 2 and costs.shape[0] == costs.shape[1]
        good = square and bool((costs.isfinite() & (costs >= 0)).all()) and not bool(costs.diagonal().any())
        require(good, "costs must be (C, C), finite, 0 or more, and 0 on the diagonal", error=ShapeError)
        costs = costs.to(like)
    smoothing, delta, quantile, gamma = map(column, ("label_smoothing", "delta", "quantile", "gamma"))
    return LossHyper(smoothing, delta, quantile, gamma, weights, costs)


def mean_loss(name: str, outputs: Tensor, target: Tensor, hyper: LossHyper, *, weight: Tensor | None = None) -> Tensor:
    """`average_loss` of the loss of that name. Raises UsageError for an unknown name, with the nearest one."""
    return average_loss(LOSSES.get(name), outputs, target, hyper, weight=weight)


def average_loss(
    loss: Loss, outputs: Tensor, target: Tensor, hyper: LossHyper, *, weight: Tensor | None = None
) -> Tensor:
    """The loss of each member, averaged over its own examples in the batch: sum of w l over sum of w.

    outputs: (M, B, O); target: as the loss needs it; weight: (M, B), 0 if an example is not the member's. w is the
    weight times that of the example's class (for a row of probabilities, the mean class weight under it).
    Returns (M,); 0 for a member without an example in the batch. Raises ShapeError if the shapes differ.
    Without label smoothing, it averages as torch's cross_entropy(weight=...) does.
    """
    _fit(loss, outputs, target)
    outputs = _own(outputs, weight)
    each = loss.each(outputs, target, hyper)
    return _average(each, _weighed(outputs, target, hyper, weight))


def loss_weight(outputs: Tensor, target: Tensor, hyper: LossHyper, *, weight: Tensor | None = None) -> Tensor:
    """(M,) what the examples of a batch count as in `average_loss`, all together: the mean over parts of a batch, each
    times its weight, is that over the batch. For the arguments see there; of outputs, only the type matters."""
    found = _weighed(outputs, target, hyper, weight)
    num = target.shape[-2] if target.ndim == 3 else len(target)
    return outputs.new_full((1,), num) if found is None else found.sum(dim=-1)


def average_loss_and_slope(
    loss: Loss, outputs: Tensor, target: Tensor, hyper: LossHyper, *, weight: Tensor | None = None, smooths: bool = True
) -> tuple[Tensor, Tensor]:
    """The result (M,) of `average_loss`, and the gradient (M, B, O) of its sum over the members.

    smooths: may be False if every label_smoothing is 0, which saves a few passes.
    """
    if loss.with_slope is None:
        leaf = outputs.detach().requires_grad_()
        with torch.enable_grad():
            found = average_loss(loss, leaf, target, hyper, weight=weight)
        (slope,) = torch.autograd.grad(found, leaf, torch.ones_like(found))
        return found.detach(), slope
    _fit(loss, outputs, target)
    outputs = _own(outputs, weight)
    each, slope = loss.with_slope(outputs, target, hyper, smooths=smooths)
    weight = _weighed(outputs, target, hyper, weight)
    if weight is None:
        return each.mean(dim=1), slope.mul_(1 / each.shape[1])
    share = (weight / _positive(weight.sum(dim=1, keepdim=True)))[..., None]
    return _average(each, weight), torch.where(share > 0, slope * share, 0)


def _own(outputs: Tensor, weight: Tensor | None) -> Tensor:
    """The outputs, with zeros for examples that are not the member's.

    They are excluded here and again in the average: the loss or gradient of such an example may be infinite, and its
    product with 0 would be NaN.
    """
    return outputs if weight is None else torch.where(weight[..., None] > 0, outputs, 0)


def _weighed(outputs: Tensor, target: Tensor, hyper: LossHyper, weight: Tensor | None) -> Tensor | None:
    """(M, B) the weight of each example, with that of its class; None if all have the same weight."""
    if hyper.class_weights is None:
        return weight
    rows = target.ndim == 2
    of_class = hyper.class_weights @ target.to(outputs).T if rows else hyper.class_weights[:, target]
    return of_class if weight is None else weight * of_class


def _average(each: Tensor, weight: Tensor | None) -> Tensor:
    if weight is None:
        return each.mean(dim=1)
    return torch.where(weight > 0, each * weight, 0).sum(dim=1) / _positive(weight.sum(dim=1))


def _positive(total: Tensor) -> Tensor:
    return torch.where(total > 0, total, 1)


def cross_entropy_of(logits: Tensor, target: Tensor) -> Tensor:
    """Plain cross-entropy of canonical logits, for evaluation. logits: (M, B, C); target: (B,). Returns (M, B) nats."""
    lead, log_sum = _shifted(logits)
    return log_sum - lead.gather(-1, target.expand(logits.shape[0], -1).unsqueeze(-1)).squeeze(-1)


def _fit(loss: Loss, outputs: Tensor, target: Tensor) -> None:
    """Raises ShapeError unless outputs are (M, B, O) and the target has the kind and length that the loss needs."""
    own = target.ndim == 3 and bool(loss.tasks & NUMBERS)  # numbers on each member's scale
    good = outputs.ndim == 3 and (target.shape == outputs.shape if own else target.shape[:1] == outputs.shape[1:2])
    if good and not loss.tasks & {*NUMBERS, LANGUAGE}:
        if target.ndim == 2:
            width = max(2, outputs.shape[-1])
            good = loss.takes_rows and target.is_floating_point() and target.shape[1] == width
        else:
            good = bool(loss.tasks & CLASSES) and target.ndim == 1 and target.dtype == torch.int64
    if not good:
        known = ("(B,), (B, O) or (M, B, O)", "(B,) int64", "(B, C) probabilities")
        fits = (loss.tasks & NUMBERS, loss.tasks & CLASSES, loss.takes_rows)
        wanted = " or ".join(kind for kind, fit in zip(known, fits, strict=True) if fit)
        got = f"{tuple(outputs.shape)} and {tuple(target.shape)} {str(target.dtype).removeprefix('torch.')}"
        raise ShapeError(f"need outputs (M, B, O) and target {wanted}, got {got}")
