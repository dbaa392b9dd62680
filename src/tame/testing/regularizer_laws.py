"""The laws of the regularisers that are functions of stacked parameters. Each law takes a dtype to compute in."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from tame.parts.regularizers import limit_norms, penalty, update_average, update_mean, weight_names

Law = Callable[[torch.dtype], None]

_L1, _L2, _MAX_NORM = (0.0, 0.3, 0.02, 0.0), (0.0, 0.0, 0.5, 1.5), (0.0, 0.5, 2.0, 1e-3)
_MEMBERS = len(_L1)


def penalty_equals_a_plain_loop(dtype: torch.dtype) -> None:
    params = _params(dtype)
    found = penalty(params, l1=_row(_L1, dtype), l2=_row(_L2, dtype))
    assert found.dtype == dtype
    for i in range(_MEMBERS):
        weights = [w for name in ("out.weight", "conv.weight") for w in params[name][i].flatten().tolist()]
        wanted = _L1[i] * math.fsum(abs(w) for w in weights) + _L2[i] / 2 * math.fsum(w * w for w in weights)
        assert math.isclose(found[i].item(), wanted, rel_tol=_rtol(dtype), abs_tol=0)


def penalty_gradient_is_right(dtype: torch.dtype) -> None:
    weights = _params(torch.float64)["conv.weight"].requires_grad_()
    l1, l2 = _row(_L1, torch.float64), _row(_L2, torch.float64)
    assert torch.autograd.gradcheck(lambda w: penalty({"conv.weight": w}, l1=l1, l2=l2), (weights,), atol=1e-7)


def penalty_moves_no_bias_and_no_neighbour(dtype: torch.dtype) -> None:
    params = {name: value.requires_grad_() for name, value in _params(dtype).items()}
    found = penalty(params, l1=_row(_L1, dtype), l2=_row(_L2, dtype))
    for i in range(_MEMBERS):
        grads = torch.autograd.grad(found[i], list(params.values()), retain_graph=True, allow_unused=True)
        for name, grad in zip(params, grads, strict=True):
            if name not in weight_names(params):
                assert grad is None
                continue
            assert grad[i].any() == (_L1[i] + _L2[i] > 0)
            assert not grad[[j for j in range(_MEMBERS) if j != i]].any()


def no_unit_is_longer_than_its_limit(dtype: torch.dtype) -> None:
    params = _params(dtype)
    before = _copy(params)
    limit_norms(params, _row(_MAX_NORM, dtype))
    for name, value in params.items():
        for i, limit in enumerate(_MAX_NORM):
            if not limit or name not in weight_names(params):
                assert torch.equal(value[i], before[name][i]), "without a limit, and if not a weight, it stays"
                continue
            for unit, old in zip(value[i].flatten(1), before[name][i].flatten(1), strict=True):
                length = math.sqrt(math.fsum(w * w for w in old.tolist()))
                wanted = old if length <= limit else old * (limit / length)
                torch.testing.assert_close(unit, wanted, rtol=_rtol(dtype), atol=0)
                assert math.sqrt(math.fsum(w * w for w in unit.tolist())) <= limit * (1 + _rtol(dtype))


def a_second_limit_changes_nothing(dtype: torch.dtype) -> None:
    params = _params(dtype)
    limit_norms(params, _row(_MAX_NORM, dtype))
    once = _copy(params)
    limit_norms(params, _row(_MAX_NORM, dtype))
    for name, value in params.items():
        torch.testing.assert_close(value, once[name], rtol=_rtol(dtype), atol=0)


def a_limit_reaches_a_module_through_views(dtype: torch.dtype) -> None:
    module = nn.Linear(5, 3, dtype=dtype)
    nn.init.constant_(module.weight, 2.0)
    before = module.bias.detach().clone()
    limit_norms({name: value[None] for name, value in module.named_parameters()}, _row((1.0,), dtype))
    torch.testing.assert_close(module.weight.norm(dim=1), torch.ones(3, dtype=dtype), rtol=_rtol(dtype), atol=0)
    assert torch.equal(module.bias, before)


def moving_average_equals_a_plain_loop(dtype: torch.dtype) -> None:
    decays = (0.0, 0.05, 0.5, 0.99)
    average, wanted = _params(dtype), _params(torch.float64)
    for step in range(30):
        now = _params(dtype, seed=step + 1)
        update_average(average, now, decay=_row(decays, dtype), step=torch.tensor(step))
        for i, decay in enumerate(decays):
            keep = min(decay, (1 + step) / (10 + step))
            for name, value in wanted.items():
                value[i] = keep * value[i] + (1 - keep) * now[name][i].double()
    for name, value in average.items():
        assert torch.equal(value[0], now[name][0]), "without decay it must equal the present values"
        torch.testing.assert_close(value.double(), wanted[name], rtol=20 * _rtol(dtype), atol=_rtol(dtype))


def moving_average_comes_to_that_of_torch(dtype: torch.dtype) -> None:
    module = nn.Linear(4, 3, dtype=dtype)
    reference = AveragedModel(module, avg_fn=lambda old, now, _: 0.9 * old + 0.1 * now)
    reference.update_parameters(module)
    average = {name: value.detach()[None].clone() for name, value in module.named_parameters()}
    for step in range(10):
        _shake(module, step)
        reference.update_parameters(module)
        now = {name: value[None] for name, value in module.named_parameters()}
        # late enough that the warm start is over
        update_average(average, now, decay=_row((0.9,), dtype), step=torch.tensor([1000 + step]))
    for name, value in reference.module.named_parameters():
        torch.testing.assert_close(average[name][0], value.detach(), rtol=20 * _rtol(dtype), atol=_rtol(dtype))


def mean_equals_that_of_torch(dtype: torch.dtype) -> None:
    module = nn.Sequential(nn.Linear(4, 3, dtype=dtype), nn.BatchNorm1d(3, dtype=dtype))
    reference = AveragedModel(module, use_buffers=True)
    mean = {name: torch.full_like(value[None], 7) for name, value in module.state_dict().items()}
    for count in range(8):
        _shake(module, count)
        module(torch.ones(2, 4, dtype=dtype))
        reference.update_parameters(module)
        now = {name: value[None] for name, value in module.state_dict().items()}
        update_mean(mean, now, count=torch.full((1,), count, dtype=dtype))
    for name, value in reference.module.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(mean[name][0], value, rtol=20 * _rtol(dtype), atol=_rtol(dtype))
    assert mean["1.num_batches_tracked"].item() == 8


def averages_of_members_do_not_mix(dtype: torch.dtype) -> None:
    mean, average = _params(dtype), _params(dtype)
    before, now = _copy(mean), _params(dtype, seed=5)
    for value in now.values():
        value[1] = torch.inf
    active = torch.tensor([True, True, True, False])
    update_mean(mean, now, count=torch.tensor([0, 1, 2, 3]), active=active)
    decay = _row((0.5, 0.5, 0.0, 0.5), dtype)
    update_average(average, now, decay=decay, step=torch.tensor(10**6), active=active)
    for name, value in mean.items():
        assert torch.equal(value[0], now[name][0]), "the mean of one value is the value"
        assert torch.equal(value[3], before[name][3]), "a member that is not active keeps its mean"
        assert torch.equal(average[name][3], before[name][3])
        torch.testing.assert_close(value[2], (2 * before[name][2] + now[name][2]) / 3, rtol=1e-5, atol=1e-6)
        assert torch.equal(average[name][2], now[name][2])
        half = (before[name][0] + now[name][0]) / 2
        torch.testing.assert_close(average[name][0], half, rtol=1e-5, atol=1e-6)


LAWS: tuple[Law, ...] = (
    penalty_equals_a_plain_loop,
    penalty_gradient_is_right,
    penalty_moves_no_bias_and_no_neighbour,
    no_unit_is_longer_than_its_limit,
    a_second_limit_changes_nothing,
    a_limit_reaches_a_module_through_views,
    moving_average_equals_a_plain_loop,
    moving_average_comes_to_that_of_torch,
    mean_equals_that_of_torch,
    averages_of_members_do_not_mix,
)


def _params(dtype: torch.dtype, *, seed: int = 0) -> dict[str, Tensor]:
    """Parameters of four members: a matrix, a convolution, and non-weights. Norms from 0.1 to about 5."""
    chance = torch.Generator().manual_seed(seed)
    shapes = {"out.weight": (5, 3), "out.bias": (5,), "conv.weight": (4, 2, 3, 3), "norm.weight": (4,), "scale": ()}
    found = {n: torch.randn(_MEMBERS, *shape, generator=chance).to(dtype) for n, shape in shapes.items()}
    found["out.weight"][:, 0] *= 0.05
    return found


def _copy(params: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in params.items()}


def _row(values: tuple[float, ...], dtype: torch.dtype) -> Tensor:
    return torch.tensor(values, dtype=dtype)


@torch.no_grad()
def _shake(module: nn.Module, seed: int) -> None:
    chance = torch.Generator().manual_seed(seed)
    for value in module.parameters():
        value.add_(torch.randn(value.shape, generator=chance).to(value))


def _rtol(dtype: torch.dtype) -> float:
    return 1e-6 if dtype == torch.float32 else 1e-12
