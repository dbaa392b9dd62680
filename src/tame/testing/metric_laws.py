"""The laws that every metric on stacked outputs must satisfy.

Each law takes the metric and what it is measured on: "classes", "two classes" or "numbers".
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from tame.parts.metrics import Measure

Law = Callable[[Measure, str], None]
KINDS = ("classes", "two classes", "numbers")


def members_do_not_mix(metric: Measure, kind: str) -> None:
    outputs, target = _case(kind)
    together = metric(outputs, target)
    assert together.shape == (len(outputs),)
    for i in range(len(outputs)):
        torch.testing.assert_close(together[i : i + 1], metric(outputs[i : i + 1], target), rtol=1e-14, atol=1e-14)


def the_order_of_the_examples_does_not_matter(metric: Measure, kind: str) -> None:
    outputs, target = _case(kind)
    turned = torch.arange(len(target) - 1, -1, -1)
    torch.testing.assert_close(metric(outputs, target), metric(outputs[:, turned], target[turned]))


def a_constant_added_everywhere_does_not_matter(metric: Measure, kind: str) -> None:
    """Added to all logits of classes; or to both the predictions and the target of numbers. To what texts cost it is
    added to the metric too."""
    outputs, target = _case(kind)
    shifted = target + 3 if kind == "numbers" else target
    more = 3 if kind == "texts" else 0
    torch.testing.assert_close(metric(outputs, target) + more, metric(outputs + 3, shifted))


def a_lost_member_leaves_its_neighbours_unmoved(metric: Measure, kind: str) -> None:
    outputs, target = _case(kind)
    spoilt = outputs.clone()
    spoilt[1] = torch.nan
    found, wanted = metric(spoilt, target), metric(outputs, target)
    torch.testing.assert_close(found[[0, 2]], wanted[[0, 2]], rtol=0, atol=0)


def it_keeps_the_dtype_of_the_outputs_and_is_right_in_both(metric: Measure, kind: str) -> None:
    outputs, target = _case(kind)
    target = target.float() if kind == "numbers" else target
    single = metric(outputs.float(), target)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), metric(outputs.float().double(), target), rtol=1e-5, atol=1e-5)


LAWS: tuple[Law, ...] = (
    members_do_not_mix,
    the_order_of_the_examples_does_not_matter,
    a_constant_added_everywhere_does_not_matter,
    a_lost_member_leaves_its_neighbours_unmoved,
    it_keeps_the_dtype_of_the_outputs_and_is_right_in_both,
)


def _case(kind: str) -> tuple[Tensor, Tensor]:
    """Outputs (3, 40, O) in float64 and a target (40,)."""
    chance = torch.Generator().manual_seed(5)
    width = {"classes": 4, "two classes": 2, "numbers": 1, "texts": 1}[kind]
    outputs = torch.randn(3, 40, width, dtype=torch.float64, generator=chance)
    if kind == "numbers":
        return outputs, torch.randn(40, dtype=torch.float64, generator=chance)
    return outputs, torch.randint(width, (40,), generator=chance)
