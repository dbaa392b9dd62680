"""Short sequences of integers, as a kind of data."""

from __future__ import annotations

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import ARRAYS, OPTIONS, StudyConfig
from tame.core.errors import require
from tame.kinds.kind import Data, Kind, Words

ENDING = ".seq"
NOT_TAKEN = ("target", "columns", "groups", "order", "backbone", "val", "test")


def claims(config: StudyConfig) -> bool:
    """Whether the data is a file with the extension of sequences."""
    return config.data != ARRAYS and config.data.lower().endswith(ENDING)


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings of other kinds of data."""
    for name in NOT_TAKEN:
        flag = OPTIONS[name].flag or name
        require(not getattr(config, name), f"--{flag} is not for sequences; leave it out")
    known = ("auto", "classification", "binary", "multiclass")
    require(config.task in known, f"sequences have classes; the task cannot be {config.task}")


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """The recipes of tables, since each sequence becomes a few numbers."""
    return portfolio.tables(len(data.rows), task=data.task, epochs=config.epochs, seed=seed, columns=data.columns)


SEQUENCES = Kind(
    name="sequences",
    words=Words(
        noun="sequence",
        new_input="new.seq",
        card_type="text",
        card_task="tabular",
        takes="It takes a text file with the integers of one sequence per line.",
        smaller="a narrower model (--set model.width=64)",
    ),
    claims=claims,
    check=check,
    uses=frozenset({"table", "augment"}),
    preset=preset,
    cohort=lambda data: 8,
    runs=12,
    source="tame_sequences.source:read",
    material="tame_sequences.material:open_material",
    prediction="tame_sequences.prediction:PREDICTION",
)
