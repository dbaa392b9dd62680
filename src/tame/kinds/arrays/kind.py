"""Arrays of any shape given from Python, for a module of the user's own."""

from __future__ import annotations

from tame.adjust import portfolio
from tame.adjust.portfolio import Preset
from tame.core.config import ARRAYS, StudyConfig
from tame.core.errors import require
from tame.kinds.kind import Data, Kind, Words

COHORT = 16  # recipes that start together


def preset(config: StudyConfig, data: Data, sizes: tuple[int, ...], *, seed: int) -> Preset:
    """How a module of the user's own is trained."""
    return portfolio.own(len(data.rows), task=data.task, epochs=config.epochs, seed=seed)


def claims(config: StudyConfig) -> bool:
    """Whether the data was given from Python. Rows and columns without a module of the user's own become a table."""
    return config.data == ARRAYS


def check(config: StudyConfig) -> None:
    """Raises UsageError for settings that are about files and folders."""
    for name in ("target", "image", "label_pattern", "groups", "order", "val", "test", "backbone"):
        require(getattr(config, name) is None, f"{name} is for files and folders; arrays come as (X, y) alone")
    said = "columns are what TAME's networks for tables are trained on; a model of your own sees the array as it is"
    require(not config.told or config.model is None, said)
    require(config.task not in ("images", "table"), f"the task {config.task!r} is not for arrays; leave it out")


OWN_ARRAYS = Kind(
    name="arrays",
    words=Words(
        noun="example",
        new_input="",
        card_type="arrays",
        card_task="tabular",
        takes="It takes arrays of the shape that `model.json` names.",
        smaller="a smaller model",
    ),
    claims=claims,
    check=check,
    uses=frozenset({"own"}),
    preset=preset,
    cohort=lambda data: COHORT,
    runs=20,
    has_linear=True,
    source="tame.kinds.arrays.source:read",
    material="tame.kinds.arrays.material:open_material",
    prediction="tame.kinds.arrays.prediction:PREDICTION",
    onnx="tame.kinds.arrays.onnx_arrays:ONNX",
    own_model="tame.kinds.arrays.sameness:OWN_MODEL",
    examples="tame.kinds.arrays.examples:read",
)
