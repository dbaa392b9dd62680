"""The laws that every Loss must satisfy. Each law takes the loss.

A correct loss of your own passes `LAWS`, and `equals_a_plain_loop` with a plain loop that you write for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from tame.core.config import LANGUAGE
from tame.parts.losses import NUMBERS, Loss, LossHyper, average_loss

Law = Callable[[Loss], None]
Target = float | int | list[float]  # of one example: a number, a class number or a row


@dataclass(frozen=True, slots=True)
class Case:
    """Outputs (M, B, O) in float64, a target that fits them, and settings that differ between members."""

    outputs: Tensor
    target: Tensor
    hyper: LossHyper
    num_classes: int  # 0: numbers


@dataclass(frozen=True, slots=True)
class Plain:
    """The settings of one member in plain floats."""

    label_smoothing: float
    delta: float
    quantile: float
    gamma: float
    costs: Sequence[Sequence[float]]


Loop = Callable[[Sequence[float], Target, Plain], float]  # outputs and target of one example to its loss


def equals_a_plain_loop(loss: Loss, loop: Loop) -> None:
    for case in cases(loss):
        found = loss.each(case.outputs, case.target, case.hyper)
        members = zip(case.outputs.tolist(), _plain(case.hyper), strict=True)
        wanted = [
            [loop(row, target, plain) for row, target in zip(rows, case.target.tolist(), strict=True)]
            for rows, plain in members
        ]
        torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def gradient_is_right(loss: Loss) -> None:
    for case in cases(loss):

        def each(outputs: Tensor, case: Case = case) -> Tensor:
            return loss.each(outputs, case.target, case.hyper)

        assert torch.autograd.gradcheck(each, (case.outputs.requires_grad_(),), atol=1e-8)


def finite_at_huge_outputs(loss: Loss) -> None:
    """Logits and numbers at 1e4; logarithms of rates at 80, since exp overflows float32 at 88."""
    huge = 80 if loss.tasks & NUMBERS == {"counts"} else 1e4
    for dtype in (torch.float32, torch.float64):
        for case in cases(loss, dtype=dtype):
            signs = torch.randint(-1, 2, case.outputs.shape, generator=_chance()).to(dtype)
            for sign in (signs, torch.ones_like(signs), -torch.ones_like(signs)):
                outputs = (huge * sign).requires_grad_()
                found = loss.each(outputs, case.target, case.hyper)
                (grad,) = torch.autograd.grad(found.sum(), outputs)
                assert found.dtype == dtype
                assert found.isfinite().all(), found
                assert grad.isfinite().all(), grad


def members_do_not_mix(loss: Loss) -> None:
    for case in cases(loss):
        outputs = case.outputs.requires_grad_()
        together = loss.each(outputs, case.target, case.hyper)
        assert together.shape == outputs.shape[:2]
        for i in range(len(outputs)):
            alone = loss.each(outputs[i : i + 1], case.target, _only(case.hyper, i))
            torch.testing.assert_close(together[i], alone[0], rtol=0, atol=0)
            (grad,) = torch.autograd.grad(together[i].sum(), outputs, retain_graph=True)
            assert not grad[[j for j in range(len(outputs)) if j != i]].any()


def mean_is_over_the_members_own_examples(loss: Loss) -> None:
    """Each has the weight of its class; a member without examples has a loss of 0."""
    for case in cases(loss):
        each = loss.each(case.outputs, case.target, case.hyper)
        weight = (torch.rand(each.shape, generator=_chance()) < 0.6).to(each)
        weight[1] = 0
        for hyper, of_class in _weighed(case):
            for own in (weight, None):
                found = average_loss(loss, case.outputs, case.target, hyper, weight=own)
                shares = of_class if own is None else own * of_class
                for i, share in enumerate(shares):
                    wanted = (share * each[i]).sum() / share.sum() if share.any() else torch.zeros_like(each[0, 0])
                    torch.testing.assert_close(found[i], wanted, rtol=1e-12, atol=1e-12)


def an_excluded_example_weighs_nothing_even_where_its_loss_is_infinite(loss: Loss) -> None:
    for case in cases(loss):
        weight = torch.ones(case.outputs.shape[:2], dtype=case.outputs.dtype)
        weight[:, 3] = 0
        others = [i for i in range(len(case.target)) if i != 3]
        results = []
        for spoilt in (None, -math.inf, math.inf, math.nan, 1e300):
            outputs = case.outputs.detach().clone()
            if spoilt is not None:
                outputs[:, 3, -1] = spoilt
            outputs.requires_grad_()
            found = average_loss(loss, outputs, case.target, case.hyper, weight=weight)
            (grad,) = torch.autograd.grad(found.sum(), outputs)
            assert not grad[:, 3].any()
            results.append((found.detach(), grad[:, others]))
        for result in results[1:]:
            torch.testing.assert_close(result, results[0], rtol=0, atol=0)


def predictions_are_canonical(loss: Loss) -> None:
    """As many logits as classes, or as many numbers as outputs, whatever the leading dimensions."""
    for case in cases(loss):
        found = loss.predict(case.outputs)
        width = case.num_classes or case.outputs.shape[-1]
        assert found.shape == (*case.outputs.shape[:-1], width)
        assert torch.equal(loss.predict(case.outputs[0, 0]), found[0, 0])


def a_step_down_the_slope_brings_the_prediction_nearer_to_the_target(loss: Loss) -> None:
    for case in cases(loss):
        outputs = case.outputs.requires_grad_()
        hyper = replace(case.hyper, label_smoothing=torch.zeros_like(case.hyper.label_smoothing))
        (grad,) = torch.autograd.grad(loss.each(outputs, case.target, hyper).sum(), outputs)
        assert grad.any()
        before = _distance(loss, outputs.detach(), case)
        after = _distance(loss, (outputs - 1e-4 * grad).detach(), case)
        assert (after <= before + 1e-12).all(), after - before
        assert (after < before).any()


def it_is_moved_by_its_own_settings_and_no_other(loss: Loss) -> None:
    seen: set[str] = set()
    for case in cases(loss):
        plain = loss.each(case.outputs, case.target, case.hyper)
        for name in ("label_smoothing", "delta", "quantile", "gamma", "costs"):
            value = getattr(case.hyper, name)
            if value is None:
                continue
            moved = not torch.equal(
                plain, loss.each(case.outputs, case.target, replace(case.hyper, **{name: 0.8 * value}))
            )
            assert name in loss.settings or not moved, f"{name} affects the loss but is not among its settings"
            seen |= {name} if moved else set()
    assert seen == loss.settings - {"class_weights"}, "a setting that the loss names does not affect it"
    assert ("class_weights" in loss.settings) == (not loss.tasks & {*NUMBERS, LANGUAGE})


LAWS: tuple[Law, ...] = (
    gradient_is_right,
    finite_at_huge_outputs,
    members_do_not_mix,
    mean_is_over_the_members_own_examples,
    an_excluded_example_weighs_nothing_even_where_its_loss_is_infinite,
    predictions_are_canonical,
    a_step_down_the_slope_brings_the_prediction_nearer_to_the_target,
    it_is_moved_by_its_own_settings_and_no_other,
)


def cases(loss: Loss, *, dtype: torch.dtype = torch.float64) -> Iterator[Case]:
    """A case for each task of the loss, one with rows if it accepts them, and for numbers one with two outputs."""
    chance = _chance()

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=chance).to(dtype)

    for task, classes in (("binary", 2), ("multiclass", 5)):
        if task in loss.tasks:
            labels = torch.arange(7) % classes
            yield Case(2 * normal(3, 7, loss.num_outputs(classes)), labels, _hyper(classes, dtype=dtype), classes)
    if loss.takes_rows:
        classes = 4 if loss.num_outputs(4) == 4 else 2
        rows = torch.softmax(2 * normal(7, classes), dim=1)
        rows[0], rows[1] = F.one_hot(torch.tensor([0, 1]), classes).to(dtype)
        yield Case(2 * normal(3, 7, loss.num_outputs(classes)), rows, _hyper(classes, dtype=dtype), classes)
    if LANGUAGE in loss.tasks:  # outputs are the loss of each text, and the target says nothing
        yield Case(3 + normal(3, 7, 1), torch.zeros(7, dtype=dtype), _hyper(0, dtype=dtype), 0)
    if loss.tasks & NUMBERS:
        counts = loss.tasks & NUMBERS == {"counts"}
        for shape in ((7,), (7, 2)):
            target = torch.randint(6, shape, generator=chance).to(dtype) if counts else 3 * normal(*shape)
            width = loss.num_outputs(0) if len(shape) == 1 else 2
            yield Case(normal(3, 7, width), target, _hyper(0, dtype=dtype), 0)


def _hyper(classes: int, *, dtype: torch.dtype) -> LossHyper:
    costs = 3 * torch.rand(classes, classes, generator=_chance(), dtype=torch.float64).to(dtype)
    costs.fill_diagonal_(0)
    if classes > 2:
        costs[0, 1] = 0
    return LossHyper(
        label_smoothing=torch.tensor([0.0, 0.1, 0.7], dtype=dtype),
        delta=torch.tensor([0.3, 1.0, 2.0], dtype=dtype),
        quantile=torch.tensor([0.1, 0.5, 0.9], dtype=dtype),
        gamma=torch.tensor([0.0, 0.5, 2.0], dtype=dtype),
        costs=costs if classes else None,
    )


def _only(hyper: LossHyper, member: int) -> LossHyper:
    """The settings of one member."""
    columns = {item.name: getattr(hyper, item.name) for item in fields(hyper)}
    shared = ("costs",)
    return LossHyper(**{n: v if n in shared or v is None else v[member : member + 1] for n, v in columns.items()})


def _plain(hyper: LossHyper) -> list[Plain]:
    costs = [] if hyper.costs is None else hyper.costs.tolist()
    columns = [column.tolist() for column in (hyper.label_smoothing, hyper.delta, hyper.quantile, hyper.gamma)]
    return [Plain(s, d, q, g, costs) for s, d, q, g in zip(*columns, strict=True)]


def _weighed(case: Case) -> Iterator[tuple[LossHyper, Tensor]]:
    """Settings without and, for classes, with class weights, each with the weight (M, B) of every example."""
    ones = torch.ones(case.outputs.shape[:2], dtype=case.outputs.dtype)
    yield case.hyper, ones
    if case.num_classes:
        weights = 0.01 + torch.rand(len(ones), case.num_classes, generator=_chance(), dtype=ones.dtype)
        rows = case.target if case.target.ndim == 2 else F.one_hot(case.target, case.num_classes).to(ones)
        yield replace(case.hyper, class_weights=weights), (weights[:, None, :] * rows).sum(dim=-1)


def _distance(loss: Loss, outputs: Tensor, case: Case) -> Tensor:
    """The distance of each prediction from the target: in nats for classes, otherwise the absolute error; of texts the
    output itself."""
    found = loss.predict(outputs)
    if LANGUAGE in loss.tasks:
        return found
    if not case.num_classes:
        return (found - case.target.reshape(found.shape[1:])).abs()
    rows = case.target if case.target.ndim == 2 else F.one_hot(case.target, case.num_classes).to(found)
    return -(F.log_softmax(found, dim=-1) * rows).sum(dim=-1)


def _chance() -> torch.Generator:
    return torch.Generator().manual_seed(7)


def _log_p(logits: Sequence[float]) -> list[float]:
    top = max(logits)
    log_sum = top + math.log(math.fsum(math.exp(z - top) for z in logits))
    return [z - log_sum for z in logits]


def _smoothed(target: Target, classes: int, rate: float) -> list[float]:
    row = target if isinstance(target, list) else [float(c == target) for c in range(classes)]
    return [(1 - rate) * share + rate / classes for share in row]


def _cross_entropy(logits: Sequence[float], target: Target, own: Plain) -> float:
    wanted = _smoothed(target, len(logits), own.label_smoothing)
    return -math.fsum(q * log_p for q, log_p in zip(wanted, _log_p(logits), strict=True))


def _kl_divergence(logits: Sequence[float], target: Target, own: Plain) -> float:
    wanted = _smoothed(target, len(logits), own.label_smoothing)
    return _cross_entropy(logits, target, own) + math.fsum(q * math.log(q) for q in wanted if q > 0)


def _focal(logits: Sequence[float], target: Target, own: Plain) -> float:
    wanted = _smoothed(target, len(logits), own.label_smoothing)
    pairs = zip(wanted, _log_p(logits), strict=True)
    return -math.fsum(q * (1 - math.exp(log_p)) ** own.gamma * log_p for q, log_p in pairs)


def _logistic(outputs: Sequence[float], target: Target, own: Plain) -> float:
    zero, one = _smoothed(target, 2, own.label_smoothing)
    return one * math.log(1 + math.exp(-outputs[0])) + zero * math.log(1 + math.exp(outputs[0]))


def _hinge(outputs: Sequence[float], target: Target, own: Plain) -> float:
    if len(outputs) == 1:
        return max(0.0, 1 - (1 if target == 1 else -1) * outputs[0])
    return max(0.0, *(1 + z - outputs[int(_number(target))] for c, z in enumerate(outputs) if c != target))


def _cost_sensitive(logits: Sequence[float], target: Target, own: Plain) -> float:
    true = int(_number(target))
    wrong = (own.costs[true][c] * math.exp(z - logits[true]) for c, z in enumerate(logits) if c != true)
    return math.log(1 + math.fsum(wrong))


def _of_error(single: Callable[[float, Plain], float]) -> Loop:
    """The loop of a loss of the error (output minus target): its mean over the outputs."""

    def loop(outputs: Sequence[float], target: Target, own: Plain) -> float:
        wanted = target if isinstance(target, list) else [target]
        return math.fsum(single(y - t, own) for y, t in zip(outputs, wanted, strict=True)) / len(outputs)

    return loop


def _huber(error: float, own: Plain) -> float:
    size = abs(error)
    return error**2 / 2 if size <= own.delta else own.delta * (size - own.delta / 2)


def _poisson(outputs: Sequence[float], target: Target, own: Plain) -> float:
    wanted = target if isinstance(target, list) else [target]
    return math.fsum(math.exp(y) - t * y for y, t in zip(outputs, wanted, strict=True)) / len(outputs)


def _number(target: Target) -> float:
    assert not isinstance(target, list)
    return target


LOOPS: dict[str, Loop] = {
    "binary_cross_entropy": _logistic,
    "cost_sensitive": _cost_sensitive,
    "cross_entropy": _cross_entropy,
    "focal": _focal,
    "hinge": _hinge,
    "huber": _of_error(_huber),
    "kl_divergence": _kl_divergence,
    "likelihood": lambda outputs, target, own: outputs[0],
    "log_cosh": _of_error(lambda error, own: math.log(math.cosh(error))),
    "logistic": _logistic,
    "mae": _of_error(lambda error, own: abs(error)),
    "mse": _of_error(lambda error, own: error**2),
    "poisson": _poisson,
    "quantile": _of_error(lambda error, own: -own.quantile * error if error < 0 else (1 - own.quantile) * error),
    "squared_hinge": lambda outputs, target, own: _hinge(outputs, target, own) ** 2,
}
