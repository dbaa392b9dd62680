"""Tables: the rows of a file, or of arrays of two dimensions given from Python."""

from __future__ import annotations

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import StudyConfig
from tame.kinds.kind import Data, Kind

COHORT = 24  # recipes that start together


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """Multi-layer perceptrons on the rows of a table."""
    num = len(data.rows)
    return portfolio.tables(num, task=data.task, epochs=config.epochs, seed=seed, columns=data.columns)


TABLES = Kind(
    name="table",
    preset=preset,
    cohort=lambda data: COHORT,
    runs=17,
    rehearses_many=True,
    smaller="a narrower model (--set model.width=64)",
)
