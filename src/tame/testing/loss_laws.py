"""The laws of a Loss: what every one must do, whatever it measures. Each law takes a registered name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from tame.parts.losses import LOSSES, mean_loss

Law = Callable[[str], None]
Loop = Callable[[Sequence[float], int, float], float]  # logits and target of one example, label smoothing: its loss


def cross_entropy_by_loop(logits: Sequence[float], target: int, smoothing: float) -> float:
    """Cross-entropy of one example in plain floats. Source: as in `tame.parts.losses.cross_entropy`."""
    top = max(logits)
    log_sum = top + math.log(math.fsum(math.exp(z - top) for z in logits))
    wanted = [smoothing / len(logits) + (1 - smoothing) * (c == target) for c in range(len(logits))]
    return math.fsum(share * (log_sum - z) for share, z in zip(wanted, logits, strict=True))


LOOPS: dict[str, Loop] = {"cross_entropy": cross_entropy_by_loop}  # a loss of your own adds its loop here


def equals_a_plain_loop(name: str) -> None:
    outputs, target, smoothing = _case(name)
    found = LOSSES.get(name)(outputs, target, label_smoothing=smoothing)
    assert name in LOOPS, f"give the loss {name!r} a plain loop in loss_laws.LOOPS"
    wanted = [
        [LOOPS[name](row, label, rate) for row, label in zip(rows, target.tolist(), strict=True)]
        for rows, rate in zip(outputs.tolist(), smoothing.tolist(), strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(wanted, dtype=torch.float64), rtol=1e-13, atol=1e-13)


def gradient_is_right(name: str) -> None:
    outputs, target, smoothing = _case(name)

    def loss(x: Tensor) -> Tensor:
        return LOSSES.get(name)(x, target, label_smoothing=smoothing)

    assert torch.autograd.gradcheck(loss, (outputs.requires_grad_(),), atol=1e-8)


def finite_at_huge_logits(name: str) -> None:
    for dtype in (torch.float32, torch.float64):
        corners = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4]], dtype=dtype)
        outputs = corners.repeat(2, 1, 1).requires_grad_()
        smoothing = torch.tensor([0.0, 0.1], dtype=dtype)
        for label in range(3):
            loss = LOSSES.get(name)(outputs, torch.full((3,), label), label_smoothing=smoothing)
            (grad,) = torch.autograd.grad(loss.sum(), outputs)
            assert loss.isfinite().all(), loss
            assert grad.isfinite().all(), grad


def members_do_not_mix(name: str) -> None:
    outputs, target, smoothing = _case(name)
    together = LOSSES.get(name)(outputs, target, label_smoothing=smoothing)
    for i in range(len(outputs)):
        alone = LOSSES.get(name)(outputs[i : i + 1], target, label_smoothing=smoothing[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], rtol=0, atol=0)
        (grad,) = torch.autograd.grad(
            LOSSES.get(name)(outputs.requires_grad_(), target, label_smoothing=smoothing)[i].sum(), outputs
        )
        others = [j for j in range(len(outputs)) if j != i]
        assert not grad[others].any()


def mean_is_over_the_members_own_examples(name: str) -> None:
    outputs, target, smoothing = _case(name)
    weight = (torch.rand(outputs.shape[:2], generator=_chance(name)) < 0.6).to(outputs)
    weight[1] = 0
    found = mean_loss(name, outputs, target, label_smoothing=smoothing, weight=weight)
    each = LOSSES.get(name)(outputs, target, label_smoothing=smoothing)
    for i, own in enumerate(weight > 0):
        wanted = each[i][own].mean() if own.any() else torch.zeros((), dtype=each.dtype)
        torch.testing.assert_close(found[i], wanted, rtol=1e-12, atol=1e-12)
    plain = mean_loss(name, outputs, target, label_smoothing=smoothing)
    torch.testing.assert_close(plain, each.mean(dim=1), rtol=1e-12, atol=1e-12)


def an_excluded_example_weighs_nothing_even_where_its_loss_is_infinite(name: str) -> None:
    outputs, target, smoothing = _case(name)
    weight = torch.ones(outputs.shape[:2], dtype=outputs.dtype)
    weight[:, 3] = 0
    spoilt = outputs.clone()
    spoilt[:, 3, :] = 0
    spoilt[:, 3, target[3]] = -math.inf
    results = []
    for x in (outputs, spoilt):
        x = x.clone().requires_grad_()
        loss = mean_loss(name, x, target, label_smoothing=smoothing, weight=weight)
        (grad,) = torch.autograd.grad(loss.sum(), x)
        results.append((loss.detach(), grad[:, [i for i in range(len(target)) if i != 3]]))
        assert not grad[:, 3].any()
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


LAWS: tuple[Law, ...] = (
    equals_a_plain_loop,
    gradient_is_right,
    finite_at_huge_logits,
    members_do_not_mix,
    mean_is_over_the_members_own_examples,
    an_excluded_example_weighs_nothing_even_where_its_loss_is_infinite,
)


def _chance(name: str) -> torch.Generator:
    return torch.Generator().manual_seed(len(name))


def _case(name: str) -> tuple[Tensor, Tensor, Tensor]:
    """Outputs (3, 7, 5) in float64, targets (7,) and a label smoothing (3,) for each member."""
    chance = _chance(name)
    outputs = 4 * torch.randn(3, 7, 5, dtype=torch.float64, generator=chance)
    target = torch.randint(5, (7,), generator=chance)
    return outputs, target, torch.tensor([0.0, 0.1, 0.7], dtype=torch.float64)
