"""What the trials of a study are fed with: pictures, features, feature maps, each made once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tame.core.recipe import Recipe
from tame.data.cache import ArrayCache
from tame.data.views import central_pixels
from tame.kinds.costs import Speed
from tame.kinds.pictures.features import Pictures, Runner, extract, feature_keys, measure_speed
from tame.kinds.pictures.inference import fold_norms, folded_pairs
from tame.kinds.pictures.tasks import Tuned, TunedTask, tuned_backbone
from tame.parts.backbones import Backbone, cut
from tame.parts.mlp import Mlp
from tame.parts.products import has_half
from tame.trial.measurements import recall, remember
from tame.trial.population import Examples

MACHINE_FORMAT = 3  # of what is remembered of a machine
Say = Callable[[str, int, int], None]


class Inputs:
    """Pictures and, where there is one, the backbone they pass. `say` hears of progress: what, done, of how many."""

    def __init__(
        self, pictures: Pictures, backbone: Backbone | None, *, cache: Path, under: Path | None = None,
        device: torch.device, say: Say,
    ) -> None:  # fmt: skip
        """under: another cache, whose features are read too."""
        self.pictures = pictures
        self.backbone = backbone
        self.device = device
        self._cache = cache
        self._say = say
        self._features = ArrayCache(cache / "features", under=under and under / "features")
        self._speed: Speed | None = None
        self._half: bool | None = None
        self._folded: nn.Module | None = None
        self._runners: dict[int, Runner] = {}
        self._made: dict[tuple[object, ...], Tensor] = {}

    def measure(self, *, size: int, crop: float, known: Speed | None) -> Speed:
        """How the backbone is run here: as known, or measured once at a size and remembered for the machine.

        Known is what an earlier process of the same study ran with: the study then repeats.
        """
        self._speed = known or self._speed
        if self._speed is None:
            backbone = self._own()
            parts = (
                MACHINE_FORMAT,
                backbone.digest[:16],
                *self._machine(),
                size,
                crop,
            )
            key, path = "-".join(map(str, parts)), self._cache / "machine.json"
            self._speed = recall(path, key, Speed.from_json)
            if self._speed is None:
                self._speed = measure_speed(backbone, self.device, self.pictures, size=size, crop=crop)
                remember(path, key, asdict(self._speed))
        return self._speed

    def speed(self) -> Speed:
        """How the backbone is run here."""
        assert self._speed is not None, "measure() comes first"
        return self._speed

    def half(self) -> bool:
        """Whether convolutions are trained in bfloat16 (with float32 weights): where products in it are faster.

        Measured once and remembered for the machine, so that a study repeats. It does not depend on how features are
        computed: what is trained is judged as it was trained.
        """
        if self._half is None and self.backbone is not None:
            key, path = "-".join(map(str, ("half", *self._machine()))), self._cache / "machine.json"
            self._half = recall(path, key, bool)
            if self._half is None:
                self._half = has_half(self.device)
                remember(path, key, self._half)
        return bool(self._half)

    def _machine(self) -> tuple[object, ...]:
        return self.device.type, torch.__version__, os.cpu_count()

    def features(self, rows: Sequence[int], *, size: int, views: int, crop: float, pooled: int = 0) -> Tensor:
        """(V, n, D) float32 features of these pictures in their first `views` views, with so many stages averaged."""

        def make() -> Tensor:
            found = [self._extract(rows, size=size, view=view, crop=crop) for view in range(views)]
            return torch.from_numpy(np.stack(found)).to(self.device)

        return self._keep(("features", size, views, crop), rows, make)[..., -self._own().width(pooled) :]

    def missing(self, rows: Sequence[int], *, size: int, views: int, crop: float) -> int:
        """How many passes through the backbone the features of these pictures still need."""
        have = self._features.keys()
        own, speed = self._own(), self.speed()
        wanted = (
            feature_keys(own, self.pictures, rows, size=size, view=view, crop=crop, speed=speed)
            for view in range(views)
        )
        return sum(key not in have for keys in wanted for key in keys)

    def pixels(self, rows: Sequence[int], recipe: Recipe) -> Tensor:
        """(n, 3, S, S) uint8 pictures as this recipe sees them, for networks that are trained on pixels."""

        def make() -> Tensor:
            seen = [self.pictures.pixels[row] for row in rows]
            return central_pixels(seen, size=recipe.input.size, crop=recipe.input.crop)

        return self._keep(("pixels", recipe.input.size, recipe.input.crop), rows, make)

    def folded(self) -> nn.Module:
        """The backbone with its norms folded into its convolutions, which is faster and as good to fine-tune."""
        if self._folded is None:
            self._folded = fold_norms(self._own().module.cpu(), self._probe())
        return self._folded

    def tuned_task(
        self, recipe: Recipe, rows: Sequence[int], heads: Mapping[int | None, Mlp], examples: Examples,
        autocast: torch.dtype | None,
    ) -> TunedTask:  # fmt: skip
        """Fine-tuning of the backbone's last stages, as this recipe wants it."""
        folded = replace(self._own(), module=self.folded())
        lower, upper = cut(folded, recipe.model.unfrozen)
        mean, std = (torch.tensor(self._own().config[name]).view(1, 3, 1, 1) * 255 for name in ("mean", "std"))
        lower = lower.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return TunedTask(
            lower, upper, folded.stages[len(folded.stages) - recipe.model.unfrozen :], mean.to(self.device),
            std.to(self.device), heads, self.pixels(rows, recipe), examples, self.device, autocast,
        )  # fmt: skip

    def tuned_backbone(self, trained: Tuned) -> Backbone:
        """The whole backbone with what fine-tuning has made of its upper part."""
        pairs = folded_pairs(self._own().module, self._probe())
        return tuned_backbone(self._own(), self.folded(), pairs, trained)

    def _probe(self) -> Tensor:
        size = self._own().size
        return torch.linspace(-1, 1, 3 * size**2).view(1, 3, size, size)

    def _extract(self, rows: Sequence[int], *, size: int, view: int, crop: float) -> np.ndarray:
        return extract(
            self._own(), self.pictures, rows, speed=self.speed(), device=self.device, cache=self._features,
            runners=self._runners, progress=lambda i, n: self._say("features", i, n), size=size, view=view, crop=crop,
        )  # fmt: skip

    def _keep(self, key: tuple[object, ...], rows: Sequence[int], make: Callable[[], Tensor]) -> Tensor:
        """What `make` makes, made once. Of pixels only the last size is kept: they are large."""
        full = (*key, hash(tuple(rows)))
        if full not in self._made:
            if key[0] != "features":
                self._made = {k: v for k, v in self._made.items() if k[0] == "features"}
            self._made[full] = make()
        return self._made[full]

    def _own(self) -> Backbone:
        assert self.backbone is not None, "features need a backbone"
        return self.backbone
