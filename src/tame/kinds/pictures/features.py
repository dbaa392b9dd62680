"""Frozen features: each picture passes the backbone once for each view; the result is kept on disk."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from tame.data.cache import ArrayCache
from tame.data.views import square_view
from tame.kinds.costs import Precision, Speed, Way
from tame.kinds.pictures.inference import distance, fold_norms, fuse
from tame.parts.backbones import Backbone
from tame.parts.products import has_half

CPU_BATCHES = (8, 16, 32)
GPU_BATCHES = (64, 256)
# Largest relative distance (root mean square) of features in half precision from those in float32. For MobileNetV2 on
# ants_bees, with heads trained on float32 features: at 0.08 to 0.09 (bfloat16; cosine 0.996) 0 to 1 of 153 predictions
# changed, at 0.16 (6 bits of mantissa instead of 7) up to 5, at 0.6 (4 bits) up to 13. A cosine is no second test:
# a distance of 0.12 leaves it above 0.99.
AGREEMENT = 0.12
PATIENCE_S = 0.6  # after so long no further way of running a backbone is tried
LONG_S = 2.5  # a quiet machine measures all in less; on one that takes longer what is known by then is enough
LOADERS, AHEAD = 2, 3  # threads that cut views out of pictures, and batches that they are ahead
CHUNK = 1000  # features that are stored at once: a killed process loses fewer


@dataclass(frozen=True, slots=True)
class Pictures:
    """Decoded pictures with the digests of their files, in the order of the study.

    bits: that white was taken to have in grey of 16 bits where no file says it.
    """

    pixels: Sequence[np.ndarray]
    digests: Sequence[str]
    bits: int | None = None


class Runner:
    """A copy of a module, made ready to run fast on this machine: channels last, without gradients.

    way: how it really runs, which is `speed.way` or, where the module or the machine does not allow that, less.
    """

    def __init__(self, module: nn.Module, backbone: Backbone, device: torch.device, speed: Speed, *, size: int) -> None:
        self.device = device
        self.dtype: torch.dtype = getattr(torch, speed.precision)
        self.module, self.way = _rewritten(module, device, speed, size)
        # Norms that stay want float32: their statistics do not bear rounding.
        self.autocast = self.way == "plain" and self.dtype != torch.float32
        if self.way != "fused":
            dtype = torch.float32 if self.autocast else self.dtype
            own = copy.deepcopy(self.module) if self.module is module else self.module
            self.module = own.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.mean = torch.tensor(backbone.config["mean"], device=device).view(1, 3, 1, 1) * 255
        self.std = torch.tensor(backbone.config["std"], device=device).view(1, 3, 1, 1) * 255

    @torch.inference_mode()
    def __call__(self, pictures: np.ndarray) -> Tensor:
        """pictures: (B, S, S, 3) uint8; returns what the module makes of them, float32."""
        x = torch.from_numpy(np.ascontiguousarray(pictures)).to(self.device).permute(0, 3, 1, 2)  # channels last
        x = x.float().sub_(self.mean).div_(self.std)
        if not self.autocast:
            return self.module(x.to(self.dtype)).float()  # type: ignore[no-any-return]
        with torch.autocast(self.device.type, dtype=self.dtype):
            return self.module(x).float()  # type: ignore[no-any-return]


def measure_speed(backbone: Backbone, device: torch.device, pictures: Pictures, *, size: int, crop: float) -> Speed:
    """The fastest way to run the backbone here that does not move its features, from a few batches of real pictures."""
    sizes = [each for each in (CPU_BATCHES if device.type == "cpu" else GPU_BATCHES) if each <= len(pictures.pixels)]
    sizes = sizes or [len(pictures.pixels)]
    seen = _seen(backbone, pictures, range(sizes[-1]), size=size, view=0, crop=crop)
    few = seen[: sizes[0]]
    best = Speed("float32", "plain", sizes[0], 0.0, size)
    runner = Runner(backbone.staged(), backbone, device, best, size=size)
    exact, rate = _timed(runner, few)
    best, start = replace(best, rate=rate), time.perf_counter()
    for precision, way in _candidates(device):
        tried = _try(replace(best, precision=precision, way=way), backbone, device, few, exact)
        if tried and tried[0].rate > best.rate:
            best, runner = tried
        if time.perf_counter() - start > PATIENCE_S:
            break
    for batch_size in sizes[1:]:
        if time.perf_counter() - start > LONG_S:
            break
        try:
            _, rate = _timed(runner, seen[:batch_size])
        except torch.OutOfMemoryError:
            break
        if rate > best.rate:
            best = replace(best, batch_size=batch_size, rate=rate)
    return best


def extract(
    backbone: Backbone,
    pictures: Pictures,
    rows: Sequence[int],
    *,
    size: int,
    view: int,
    crop: float,
    speed: Speed,
    device: torch.device,
    cache: ArrayCache | None,
    runners: dict[int, Runner] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """All features of these pictures in one view, as `Backbone.staged` gives them: (len(rows), D) float32.

    runners: of this backbone by size, kept between calls, since making one takes a quarter of a second.
    Computed once for each picture, view, size, crop, weights, precision and way, then read from the cache.
    """
    keys = feature_keys(backbone, pictures, rows, size=size, view=view, crop=crop, speed=speed)
    have = dict(cache.get(keys)) if cache else {}
    missing = {key: row for key, row in zip(keys, rows, strict=True) if key not in have}
    if missing:
        runner = (runners or {}).get(size) or Runner(backbone.staged(), backbone, device, speed, size=size)
        if runners is not None:
            runners[size] = runner
        waiting, done, fresh = list(missing), 0, dict[str, np.ndarray]()
        batches = [waiting[i : i + speed.batch_size] for i in range(0, len(waiting), speed.batch_size)]

        def load(batch: list[str]) -> np.ndarray:
            return _seen(backbone, pictures, [missing[key] for key in batch], size=size, view=view, crop=crop)

        try:
            for batch, seen in zip(batches, _ahead(load, batches), strict=True):
                found = runner(_filled(seen, runner, speed))
                fresh |= zip(batch, found[: len(batch)].cpu().numpy(), strict=True)
                done += len(batch)
                if cache and len(fresh) >= CHUNK:
                    cache.put(fresh)
                    have, fresh = have | fresh, {}
                if progress:
                    progress(done, len(missing))
        finally:  # `progress` may end the work: what is done by then is kept
            if cache:
                cache.put(fresh)
        have |= fresh
    return np.stack([have[key] for key in keys])


def feature_keys(
    backbone: Backbone, pictures: Pictures, rows: Sequence[int], *, size: int, view: int, crop: float, speed: Speed
) -> list[str]:
    """Under which keys the features of these pictures are kept: everything that their values depend on."""
    name = f"{backbone.digest[:16]}-{len(backbone.pooled)} stages-{size}-{crop:g}-{view}-{speed.precision}-{speed.way}"
    return [f"{pictures.digests[row]}-{name}" for row in rows]


def _filled(seen: np.ndarray, runner: Runner, speed: Speed) -> np.ndarray:
    """A whole batch that begins with these pictures: in a smaller one torch may sum in another order, and what is kept
    would differ in its last bits from what is computed again, which matters where features hardly differ between
    pictures. oneDNN's fused convolutions take each picture alone."""
    from_elsewhere = runner.device.type == "cpu" and speed.batch_size > CPU_BATCHES[-1]  # a GPU, whose bits are others
    if runner.way == "fused" or from_elsewhere:
        return seen
    return np.concatenate([seen, np.repeat(seen[-1:], speed.batch_size - len(seen), axis=0)])


def _rewritten(module: nn.Module, device: torch.device, speed: Speed, size: int) -> tuple[nn.Module, Way]:
    """The module folded and fused as far as asked for and possible; itself where it stays plain."""
    if speed.way == "plain":
        return module, "plain"
    own = next(module.parameters()).device
    probe = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0)).to(own)
    folded = fold_norms(module, probe)
    if speed.way == "fused" and device.type == own.type == "cpu":
        fused = fuse(folded, probe, dtype=getattr(torch, speed.precision))
        if fused is not folded:
            return fused, "fused"
    return folded, "plain" if folded is module else "folded"


def _candidates(device: torch.device) -> list[tuple[Precision, Way]]:
    """Ways to run a backbone, the most promising first."""
    if device.type == "cpu":
        ways: list[Way] = ["fused", "folded", "plain"]
        # Without instructions for bfloat16 one batch in it would use up the patience for all other ways.
        precisions: list[Precision] = ["bfloat16", "float32"] if has_half(device) else ["float32"]
        return [(precision, way) for way in ways for precision in precisions][:-1]
    bfloat = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    half: Precision = "bfloat16" if bfloat else "float16"
    return [(half, "folded"), (half, "plain"), ("float32", "folded")]


def _try(
    speed: Speed, backbone: Backbone, device: torch.device, few: np.ndarray, exact: Tensor
) -> tuple[Speed, Runner] | None:
    """A way with its rate; None where the backbone cannot run that way or its features would move."""
    try:
        runner = Runner(backbone.staged(), backbone, device, speed, size=speed.size)
        if runner.way != speed.way:
            return None
        found, rate = _timed(runner, few)
    except (RuntimeError, NotImplementedError):
        return None  # a layer that knows no half precision, or one that insists on another
    own, theirs = (each[:, -backbone.num_features :] for each in (found, exact))  # what rounding moves most
    return (replace(speed, rate=rate), runner) if distance(own, theirs) <= AGREEMENT else None


def _timed(runner: Runner, pictures: np.ndarray) -> tuple[Tensor, float]:
    """What comes out, and the pictures a second in the faster of two runs; of one that is long, in this one."""
    times: list[float] = []
    while len(times) < 2 and sum(times) < LONG_S:
        start = time.perf_counter()
        found = runner(pictures).cpu()  # on a GPU, copying the result waits for it
        times.append(time.perf_counter() - start)
    return found, len(pictures) / max(min(times), 1e-9)


def _ahead(load: Callable[[list[str]], np.ndarray], batches: Sequence[list[str]]) -> Iterator[np.ndarray]:
    """Each batch loaded, in order, while those after it are being loaded."""
    waiting: deque[Future[np.ndarray]] = deque()
    with ThreadPoolExecutor(LOADERS) as pool:
        for batch in batches:
            waiting.append(pool.submit(load, batch))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _seen(
    backbone: Backbone, pictures: Pictures, rows: Sequence[int], *, size: int, view: int, crop: float
) -> np.ndarray:
    """(n, S, S, 3) uint8: these pictures as the backbone sees them."""
    filter_name = str(backbone.config.get("interpolation", "bicubic"))
    views = [
        square_view(
            pictures.pixels[row], size=size, view=view, name=pictures.digests[row], crop=crop, interpolation=filter_name
        )
        for row in rows
    ]
    return np.stack(views)
