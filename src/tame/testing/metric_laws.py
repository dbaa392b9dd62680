"""The laws of a metric on logits: what every one must do, whatever it counts. Each law takes the metric."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tame.parts.metrics import Measure

Law = Callable[[Measure], None]


def members_do_not_mix(metric: Measure) -> None:
    outputs, target = _case()
    together = metric(outputs, target)
    assert together.shape == (len(outputs),)
    for i in range(len(outputs)):
        torch.testing.assert_close(together[i : i + 1], metric(outputs[i : i + 1], target), rtol=1e-14, atol=1e-14)


def the_order_of_the_examples_does_not_matter(metric: Measure) -> None:
    outputs, target = _case()
    turned = torch.arange(len(target) - 1, -1, -1)
    torch.testing.assert_close(metric(outputs, target), metric(outputs[:, turned], target[turned]))


def a_constant_added_to_all_logits_does_not_matter(metric: Measure) -> None:
    outputs, target = _case()
    torch.testing.assert_close(metric(outputs, target), metric(outputs + 3, target))


def a_lost_member_leaves_its_neighbours_unmoved(metric: Measure) -> None:
    outputs, target = _case()
    spoilt = outputs.clone()
    spoilt[1] = torch.nan
    found, wanted = metric(spoilt, target), metric(outputs, target)
    torch.testing.assert_close(found[[0, 2]], wanted[[0, 2]], rtol=0, atol=0)


LAWS: tuple[Law, ...] = (
    members_do_not_mix,
    the_order_of_the_examples_does_not_matter,
    a_constant_added_to_all_logits_does_not_matter,
    a_lost_member_leaves_its_neighbours_unmoved,
)


def _case() -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(5)
    outputs = torch.randn(3, 40, 4, dtype=torch.float64, generator=chance)
    return outputs, torch.randint(4, (40,), generator=chance)
