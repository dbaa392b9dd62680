"""What the trials of a study are fed with: pictures, features, feature maps, each made once and kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tame.data.cache import ArrayCache
from tame.data.views import scratch_pixels
from tame.parts.backbones import Backbone, cut
from tame.trial.features import Pictures, Speed, extract, measure_speed

Say = Callable[[str, int, int], None]


class Inputs:
    """Pictures and, where there is one, the backbone they pass. `say` hears of progress: what, done, of how many."""

    def __init__(self, pictures: Pictures, backbone: Backbone | None, *, cache: Path, device: torch.device, say: Say):
        self.pictures = pictures
        self.backbone = backbone
        self.device = device
        self._cache = cache
        self._say = say
        self._features = ArrayCache(cache / "features")
        self._speed: Speed | None = None
        self._made: dict[tuple[Any, ...], Tensor] = {}

    def speed(self) -> Speed:
        """How the backbone is run here: measured once and remembered for the machine, so that a study repeats."""
        if self._speed is None:
            backbone = self._own()
            parts = (backbone.digest[:16], self.device.type, torch.__version__, os.cpu_count(), backbone.size)
            key, path = "-".join(map(str, parts)), self._cache / "machine.json"
            known = read_json(path)
            if key not in known:
                found = measure_speed(backbone, self.device, self.pictures, size=backbone.size)
                known = {**read_json(path), key: asdict(found)}
                write_json(path, known)
            self._speed = Speed(**known[key])
        return self._speed

    def half(self) -> bool:
        """Whether convolutions are trained in bfloat16 (with float32 weights): where the backbone runs faster in it."""
        return self.backbone is not None and self.speed().precision == "bfloat16"

    def features(self, rows: Sequence[int], *, size: int, views: int) -> Tensor:
        """(V, n, D) float32 features of these pictures in their first `views` views."""
        found = [self._extract(rows, size=size, view=view) for view in range(views)]
        return self._keep(("features", size, views), rows, lambda: torch.from_numpy(np.stack(found)).to(self.device))

    def maps(self, rows: Sequence[int], *, size: int, views: int, unfrozen: int) -> Tensor:
        """(V, n, C, H, W) feature maps below the unfrozen stages, in bfloat16 where the backbone runs in it."""
        dtype = getattr(torch, self.speed().precision)

        def make() -> Tensor:
            lower, _ = cut(self._own(), unfrozen)
            first = None
            for view in range(views):
                found = self._extract(rows, size=size, view=view, module=lower, part=f"maps{unfrozen}", kept=False)
                if first is None:
                    first = torch.empty((views, *found.shape), dtype=dtype)
                first[view] = torch.from_numpy(found).to(dtype)
            assert first is not None
            return first

        return self._keep(("maps", size, views, unfrozen), rows, make)

    def pixels(self, rows: Sequence[int], *, size: int) -> Tensor:
        """(n, 3, S, S) uint8 pictures at an input size, for networks from scratch."""

        def make() -> Tensor:
            return scratch_pixels([self.pictures.pixels[row] for row in rows], size)

        return self._keep(("pixels", size), rows, make)

    def _extract(self, rows: Sequence[int], *, kept: bool = True, **how: Any) -> np.ndarray:
        return extract(
            self._own(), self.pictures, rows, speed=self.speed(), device=self.device,
            cache=self._features if kept else None, progress=lambda i, n: self._say("features", i, n), **how,
        )  # fmt: skip

    def _keep(self, key: tuple[Any, ...], rows: Sequence[int], make: Callable[[], Tensor]) -> Tensor:
        """What `make` makes, made once. Of feature maps and pixels only the last kind is kept: they are large."""
        full = (*key, hash(tuple(rows)))
        if full not in self._made:
            if key[0] != "features":
                self._made = {k: v for k, v in self._made.items() if k[0] == "features"}
            self._made[full] = make()
        return self._made[full]

    def _own(self) -> Backbone:
        assert self.backbone is not None, "features need a backbone"
        return self.backbone


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a cache; empty where there is none or it cannot be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # only a cache: what is lost is measured again
    return found if isinstance(found, dict) else {}


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Writes a JSON file in one step, readable by the owner only."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(handle, "w", encoding="utf-8") as file:
        file.write(json.dumps(value, indent=1, sort_keys=True))
    os.replace(temporary, path)
