"""Pictures: in folders by class, listed in a table, or given from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import AUTO, GIVEN, StudyConfig
from tame.core.config import PICTURES as GIVEN_PICTURES
from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.kinds.kind import Data, Features, Kind, Tuning, Words, referred
from tame.kinds.pictures.choice import is_small
from tame.kinds.pictures.costs import compute, costs, crop_for, missing_s

HEADS_COHORTS, SCRATCH_COHORT = (64, 32), 8  # recipes that start together: heads on few examples, on many; networks
SCRATCH_EPOCHS = 30  # that a picture network may train at most where nothing else is said


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """Heads on a backbone, at these input sizes; without one, small networks from scratch."""
    num = len(data.rows)
    if data.backbone is None:
        return portfolio.scratch(data.side, num, task=data.task, epochs=config.epochs, seed=seed)
    own, small = data.backbone, is_small(data.side, data.backbone.size)
    return portfolio.heads(
        sizes, num, task=data.task, epochs=config.epochs, seed=seed, crop=crop_for(own, data.side), pooled=own.pooled,
        unlike=small,
    )  # fmt: skip


def tuned(
    data: Data, head: Recipe, sizes: Sequence[int], *, epochs: int, seed: int
) -> tuple[tuple[Recipe, float], ...]:
    """The last stages of the backbone at each input size: work grows with the area."""
    if data.backbone is None:
        return ()
    stages, task = data.backbone.stages, data.task
    return tuple(
        (
            portfolio.fine_tuning(head, size=size, epochs=epochs, stages=stages, seed=seed, task=task),
            (size / min(sizes)) ** 2,
        )
        for size in sorted(sizes, reverse=True)
    )


def cohort(data: Data) -> int:
    """How many recipes start together."""
    few, many = HEADS_COHORTS
    if data.backbone is None:
        return SCRATCH_COHORT
    return few if len(data.rows) < portfolio.SMALL else many


def claims(config: StudyConfig) -> bool:
    """Whether the data is a folder, a table that lists pictures, or pictures given from Python."""
    if config.data in GIVEN:
        return config.data == GIVEN_PICTURES
    # Referred to, since it reads the beginning of a table, by what takes long to load.
    return Path(config.data).is_dir() or bool(referred("tame.kinds.pictures.listing:claims_file")(config))


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings that are about tables."""
    if config.data == GIVEN_PICTURES:
        for name in ("val", "test"):
            said = f"{name} names a folder or a table; give {{'train': ..., 'val': ..., 'test': ...}} as the data"
            require(getattr(config, name) is None, said)
    elif Path(config.data).is_dir():
        referred("tame.kinds.pictures.listing:check_place")(config)
    else:
        labels = "--label-pattern reads labels from the names of files in a folder"
        require(config.label_pattern is None, f"{labels}; {config.data} is a list")
    known = ("auto", "images", "classification", "regression")
    require(config.task in known, f"--task {config.task} is not for pictures; leave it out")


PICTURES = Kind(
    name="images",
    words=Words(
        noun="picture",
        new_input="photo.jpg",
        card_type="imagefolder",
        card_task="image",
        takes="Pictures are turned upright, made RGB, cropped to the central square and resized as `model.json` says.",
        smaller="a smaller input (--set input.size=...)",
        stranger="a picture of something else",
        is_file=True,
    ),
    claims=claims,
    check=check,
    uses=frozenset({"input", "augment"}),
    preset=preset,
    cohort=cohort,
    runs=5,
    most_epochs=SCRATCH_EPOCHS,
    least_s=5.0,
    backbone=AUTO,
    features=Features(costs, missing_s, compute),
    tuning=Tuning(tuned, part="stage", of="the backbone"),
    has_linear=True,
    source="tame.kinds.pictures.source:read",
    material="tame.kinds.pictures.material:open_material",
    prediction="tame.kinds.pictures.prediction:PREDICTION",
    look="tame.kinds.pictures.source:look",
    thumbnails="tame.kinds.pictures.thumbnails:draw",
    examples="tame.kinds.pictures.examples:read",
    onnx="tame.kinds.pictures.onnx_picture:ONNX",
)
