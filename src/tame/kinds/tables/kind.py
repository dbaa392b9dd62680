"""Tables: the rows of a file, or of arrays of two dimensions given from Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import GIVEN, StudyConfig
from tame.core.errors import require
from tame.core.recipe import Recipe
from tame.kinds.kind import Data, Kind, Tuning, Words

COHORT = 24  # recipes that start together


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """Multi-layer perceptrons on the rows of a table."""
    num, (texts, encoded) = len(data.rows), data.texts
    if data.shares is None and texts:
        return portfolio.texts(
            num,
            task=data.task,
            epochs=config.epochs,
            seed=seed,
            columns=data.columns - texts,
            encoded=encoded,
            lengths=data.lengths,
        )
    return portfolio.tables(num, task=data.task, epochs=config.epochs, seed=seed, columns=data.columns)


def tuned(
    data: Data, head: Recipe, sizes: Sequence[int], *, epochs: int, seed: int
) -> tuple[tuple[Recipe, float], ...]:
    """The last blocks of the encoder of texts: a half of them, a third and a sixth, of which one at the least."""
    every = data.encoder_blocks
    length = head.input.length if head.table.texts == "encoder" and head.model.name != "words" else 0
    return tuple(
        (
            portfolio.encoder_tuning(
                head, blocks=blocks, length=length or data.lengths[0], epochs=epochs, seed=seed, task=data.task
            ),
            (every + 2 * blocks) / (every + 2),  # all pass every block, and the trained ones the way back
        )
        for blocks in sorted({max(1, every // part) for part in (2, 3, 6)}, reverse=True)
        if every and data.shares is None
    )  # fmt: skip


def claims(config: StudyConfig) -> bool:
    """Whether the data is a file."""
    return config.data not in GIVEN and not Path(config.data).is_dir()


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings that are about pictures."""
    require(
        config.task != "images",
        f"no column of {config.data} names pictures by their files; if one does, give it with --image",
    )
    labels = "--label-pattern reads labels from the names of files in a folder"
    require(config.label_pattern is None, f"{labels}; {config.data} is a file")


TUNING = Tuning(tuned, part="block", of="the encoder")
TABLES = Kind(
    name="table",
    words=Words(
        noun="row",
        new_input="new.csv",
        card_type="tabular",
        card_task="tabular",
        takes="It takes a table with the columns that `model.json` names, in any order; missing values and categories "
        "that were not in the training data are allowed.",
        smaller="a narrower model (--set model.width=64)",
    ),
    claims=claims,
    check=check,
    uses=frozenset({"table", "augment"}),
    preset=preset,
    cohort=lambda data: COHORT,
    runs=17,
    rehearses_many=True,
    look="tame.kinds.tables.source:look",
    examples="tame.kinds.tables.examples:read",
    has_linear=True,
    has_trees=True,
    ensembles=True,
    tuning=TUNING,
    source="tame.kinds.tables.source:read",
    material="tame.kinds.tables.material:open_material",
    prediction="tame.kinds.tables.prediction:PREDICTION",
    onnx="tame.kinds.tables.onnx_table:ONNX",
)
