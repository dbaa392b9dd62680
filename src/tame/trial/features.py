"""Frozen features: each picture passes the backbone once for each view; the result is kept on disk."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from tame.data.cache import ArrayCache
from tame.data.views import square_view
from tame.parts.backbones import Backbone

Precision = Literal["float32", "bfloat16"]
BATCHES = {"cpu": 16, "cuda": 256}
AGREEMENT = 0.05  # largest relative distance (root mean square) of bfloat16 features from float32 ones


@dataclass(frozen=True, slots=True)
class Speed:
    """How a backbone is run here. rate: pictures a second at the size it was measured with."""

    precision: Precision
    batch_size: int
    rate: float
    size: int

    def seconds(self, num_pictures: int, *, size: int) -> float:
        """The forecast for so many pictures of another size: work grows with the area."""
        return num_pictures / self.rate * (size / self.size) ** 2


@dataclass(frozen=True, slots=True)
class Pictures:
    """Decoded pictures with the digests of their files, in the order of the study."""

    pixels: Sequence[np.ndarray]
    digests: Sequence[str]


class Runner:
    """A module made ready to run fast on this machine: channels-last, in the chosen precision, without gradients."""

    def __init__(self, module: nn.Module, backbone: Backbone, device: torch.device, precision: Precision) -> None:
        self.dtype = getattr(torch, precision)
        self.device = device
        self.module = module.to(device, memory_format=torch.channels_last).eval()
        self.mean = torch.tensor(backbone.config["mean"], device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(backbone.config["std"], device=device).view(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> Tensor:
        """pictures: (B, S, S, 3) uint8; returns what the module makes of them, float32."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).permute(0, 3, 1, 2)
        x = (x.float() - self.mean) / self.std
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            return self.module(x).float()


def measure_speed(backbone: Backbone, device: torch.device, pictures: Pictures, *, size: int) -> Speed:
    """The fastest way to run the backbone here that does not move its features, from a few batches of real pictures."""
    batch = min(BATCHES[device.type], len(pictures.pixels))
    seen = np.stack([_seen(pictures, i, 0, size, backbone) for i in range(batch)])
    exact, rates = None, {}
    for precision in ("float32", "bfloat16"):
        runner = Runner(backbone.module, backbone, device, precision)
        found = runner(seen).cpu()
        exact = found if exact is None else exact
        distance = float((found - exact).norm() / exact.norm().clamp(min=1e-12))
        if distance < AGREEMENT:
            rates[precision] = batch / _fastest(lambda r=runner: r(seen), device)
    best = max(rates, key=lambda name: rates[name])
    return Speed(best, batch, rates[best], size)


def extract(
    backbone: Backbone,
    pictures: Pictures,
    rows: Sequence[int],
    *,
    size: int,
    view: int,
    speed: Speed,
    device: torch.device,
    cache: ArrayCache | None,
    module: nn.Module | None = None,
    part: str = "features",
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """What the backbone (or `module`, a part of it) makes of these pictures in one view: (len(rows), ...) float32.

    Computed once for each picture, view, size, weights and precision, then read from the cache.
    """
    keys = [f"{pictures.digests[i]}-{backbone.digest[:16]}-{part}-{size}-{view}-{speed.precision}" for i in rows]
    have = dict(cache.get(keys)) if cache else {}
    missing = [(row, key) for row, key in zip(rows, keys, strict=True) if key not in have]
    if missing:
        runner = Runner(module or backbone.module, backbone, device, speed.precision)
        fresh: dict[str, np.ndarray] = {}
        with ThreadPoolExecutor(2) as pool:
            batches = [missing[i : i + speed.batch_size] for i in range(0, len(missing), speed.batch_size)]
            load = [pool.submit(_load, pictures, [row for row, _ in own], view, size, backbone) for own in batches[:3]]
            for index, own in enumerate(batches):
                seen = load[index].result()
                if index + 3 < len(batches):
                    rows_ahead = [row for row, _ in batches[index + 3]]
                    load.append(pool.submit(_load, pictures, rows_ahead, view, size, backbone))
                load[index] = None  # type: ignore[call-overload]  # the pictures of a batch are not needed twice
                for (_, key), value in zip(own, runner(seen).cpu().numpy(), strict=True):
                    fresh[key] = value
                if progress:
                    progress(min((index + 1) * speed.batch_size, len(missing)), len(missing))
        if cache:
            cache.put(fresh)
        have |= fresh
    return np.stack([have[key] for key in keys])


def _load(pictures: Pictures, rows: Sequence[int], view: int, size: int, backbone: Backbone) -> np.ndarray:
    return np.stack([_seen(pictures, row, view, size, backbone) for row in rows])


def _seen(pictures: Pictures, row: int, view: int, size: int, backbone: Backbone) -> np.ndarray:
    config = backbone.config
    return square_view(
        pictures.pixels[row], size=size, view=view, name=pictures.digests[row],
        crop=float(config.get("crop_pct", 0.875)), interpolation=str(config.get("interpolation", "bicubic")),
    )  # fmt: skip


def _fastest(run: Callable[[], Tensor], device: torch.device, repeats: int = 2) -> float:
    """Seconds of the fastest of a few runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return max(min(times), 1e-9)
