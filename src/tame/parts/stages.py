"""Features of a backbone's last stages beside its own: what each says of a picture, averaged over its places."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MOST_POOLED = 4  # of the last stages: those before say little more than colours and edges


class Staged(nn.Module):
    """A network that also returns what its last stages say: (B, 3, S, S) pictures to (B, W + D) features.

    First come the W channels of these stages, first to last, each the mean of a map; then the network's own D features.
    units: paths of the parts of its `forward_features`, in order; stages: those of them that are averaged.
    Source: Evci et al., Head2Toe: Utilizing Intermediate Representations for Better Transfer Learning (2022).
    """

    def __init__(self, whole: nn.Module, units: Sequence[str], stages: Sequence[str]) -> None:
        super().__init__()
        self.whole = whole
        self.units, self.stages = tuple(units), tuple(stages)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for path in self.units:
            x = self.whole.get_submodule(path)(x)
            if path in self.stages:
                found.append(x.mean((2, 3), dtype=torch.float32))
        own: Tensor = self.whole.forward_head(x)  # type: ignore[operator]
        return torch.cat([*found, own.float()], dim=1)


@torch.no_grad()
def pooled_widths(whole: nn.Module, units: Sequence[str], stages: Sequence[str], probe: Tensor) -> tuple[int, ...]:
    """Channels of each of these stages, or () where they cannot be averaged: where the network is no chain of these
    units, or its maps are not (B, C, H, W).

    probe: square pictures that the network takes.
    """
    shapes: list[torch.Size] = []
    handles = [
        whole.get_submodule(path).register_forward_hook(lambda _, __, y: shapes.append(y.shape)) for path in stages
    ]
    try:
        own = whole(probe)
        seen = tuple(shapes)
        are_maps = all(len(shape) == 4 and shape[2] == shape[3] for shape in seen)
        if getattr(whole, "output_fmt", "NCHW") == "NHWC" or len(seen) != len(stages) or not are_maps:
            return ()
        found = Staged(whole, units, stages)(probe)
    except (RuntimeError, AttributeError, AssertionError, TypeError, ValueError):
        return ()
    finally:
        for handle in handles:
            handle.remove()
    each = tuple(int(shape[1]) for shape in seen)
    is_same = found.shape[1] == sum(each) + own.shape[1] and torch.allclose(found[:, sum(each) :], own, 1e-4, 1e-5)
    return each if is_same else ()
