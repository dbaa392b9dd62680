"""Arrays of any shape given from Python, for a module of the user's own."""

from __future__ import annotations

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import StudyConfig
from tame.kinds.kind import Data, Kind

COHORT = 16  # recipes that start together


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """How a module of the user's own is trained."""
    return portfolio.own(len(data.rows), task=data.task, epochs=config.epochs, seed=seed)


ARRAYS_KIND = Kind(name="arrays", preset=preset, cohort=lambda data: COHORT, runs=20, smaller="a smaller model")
