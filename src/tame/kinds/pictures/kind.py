"""Pictures: a folder of them, in folders by class."""

from __future__ import annotations

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import StudyConfig
from tame.kinds.kind import Data, Features, Kind
from tame.kinds.pictures.costs import costs, crop_for, missing_s, prepare

HEADS_COHORTS, SCRATCH_COHORT = (64, 32), 8  # recipes that start together: heads on few examples, on many; networks
SCRATCH_EPOCHS = 30  # that a picture network may train at most where nothing else is said


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """Heads on a backbone, at these input sizes; without one, small networks from scratch."""
    num = len(data.rows)
    if data.backbone is None:
        return portfolio.scratch(data.side, num, epochs=config.epochs, seed=seed)
    crop = crop_for(data.backbone, data.side)
    return portfolio.heads(sizes, num, epochs=config.epochs, seed=seed, crop=crop)


def cohort(data: Data) -> int:
    """How many recipes start together."""
    few, many = HEADS_COHORTS
    if data.backbone is None:
        return SCRATCH_COHORT
    return few if len(data.rows) < portfolio.SMALL else many


PICTURES = Kind(
    name="images",
    preset=preset,
    cohort=cohort,
    runs=5,
    most_epochs=SCRATCH_EPOCHS,
    features=Features(costs, missing_s, prepare),
    smaller="a smaller input (--set input.size=...)",
)
